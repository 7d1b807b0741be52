/* SPDX-License-Identifier: Apache-2.0 */
/* See chain.h. */
#include "repo/chain.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"

void chain_init(struct chain *c, char kind, const char *prefix)
{
	*c = (struct chain){ .kind = kind, .next = 1 };
	(void)snprintf(c->prefix, sizeof(c->prefix), "%s", prefix);
}

typedef int each_fn(void *arg, uint64_t n, const json_t *record,
                    const uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e);

/* Reads number c->next. 1: it is there, 0: it is not, -1: e. */
static int read_next(const struct repo *r, struct chain *c, each_fn *each, void *arg, struct err *e)
{
	uint8_t signer[FORMAT_SIGNER_BYTES];
	auto_json json_t *o = NULL;
	struct err why = ERR_INIT;
	char key[NOTE_KEY_MAX];

	note_number_key(c->prefix, c->next, key);
	if (note_get(r, c->kind, key, &o, signer, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return 0;
		if (!key_is_void(&why)) {
			*e = why;
			return err_wrap(e, "reading '%s'", key);
		}
	} else if (each(arg, c->next, o, signer, e) < 0) {
		return -1;
	}
	c->next++;
	return 1;
}

/* ---- what there is ---- */

struct numbers {
	const struct repo *r;
	size_t skip; /* of a key, before its number */
	uint64_t *v;
	size_t n, cap;
};

static int take_number(void *arg, const struct store_item *item, struct err *e)
{
	struct numbers *x = arg;
	uint64_t n;

	if (cancel_check(x->r->cancel, e) < 0)
		return -1;
	if (!note_number(item->key + x->skip, &n))
		return 0;
	if (x->n == CHAIN_RECORDS_MAX)
		return err_set(e, ERR_TOO_BIG, "more than %d records", CHAIN_RECORDS_MAX);
	if (x->n == x->cap) {
		size_t cap = x->cap ? 2 * x->cap : 64;
		void *v = reallocarray(x->v, cap, sizeof(*x->v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a list of %zu records", cap);
		x->v = v;
		x->cap = cap;
	}
	x->v[x->n++] = n;
	return 0;
}

static int read_listed(const struct repo *r, struct chain *c, each_fn *each, void *arg,
                       struct err *e)
{
	char prefix[NOTE_KEY_MAX + 1];
	int n = snprintf(prefix, sizeof(prefix), "%s/", c->prefix);
	struct numbers x = { .r = r, .skip = (size_t)n };
	int rc = store_list(r->store, prefix, NULL, take_number, &x, e);

	for (size_t i = 0; rc >= 0 && i < x.n; i++) {
		/* An earlier reading came this far, and failed. */
		if (x.v[i] < c->next)
			continue;
		c->missing += x.v[i] - c->next;
		c->next = x.v[i];
		rc = read_next(r, c, each, arg, e);
		/* Listed, and not there: it is the store's word, and the number is taken. */
		if (rc == 0) {
			c->missing++;
			c->next++;
		}
	}
	free(x.v);
	if (rc < 0)
		return err_wrap(e, "reading the records below '%s'", c->prefix);
	c->listed = true;
	return 0;
}

int chain_read(const struct repo *r, struct chain *c, each_fn *each, void *arg, struct err *e)
{
	int rc;

	if (!c->listed && read_listed(r, c, each, arg, e) < 0)
		return -1;
	do {
		rc = read_next(r, c, each, arg, e);
	} while (rc > 0 && cancel_check(r->cancel, e) == 0);
	return rc == 0 ? 0 : -1;
}

int chain_add(const struct repo *r, struct chain *c, const json_t *record, struct err *e)
{
	struct err why = ERR_INIT;
	char key[NOTE_KEY_MAX];

	if (c->next > NOTE_NUMBER_MAX)
		return err_set(e, ERR_TOO_BIG, "there are no numbers left below '%s'", c->prefix);
	note_number_key(c->prefix, c->next, key);
	if (note_put(r, c->kind, key, record, NULL, &why) < 0) {
		if (why.class == ERR_EXISTS)
			return err_set(e, ERR_BUSY,
			               "'%s' was put by somebody else meanwhile: read again what "
			               "there is, and then decide",
			               key);
		*e = why;
		return err_wrap(e, "putting '%s'", key);
	}
	c->next++;
	return 0;
}
