/* SPDX-License-Identifier: Apache-2.0 */
/* See nodes.h. */
#include "repo/nodes.h"

#include <string.h>

#include "common/secret.h"
#include "repo/compress.h"

#define RANGE_BYTES (4 * MIB) /* of one read; one node may be longer */
#define GAP_BYTES (64 * KIB)  /* read in vain rather than by another request */

struct nodes {
	struct crypt_box *boxes[3]; /* by cipher */
	struct compress *z;
	uint8_t *dek; /* locked memory */
	struct buf head, stored, plain, scratch;
	/* of the pack under way */
	char name[PACK_KEY_MAX];
	struct pack_header header;
	struct crypt_box *box; /* keyed by `key`; NULL: not yet */
	uint16_t key;
};

struct nodes *nodes_new(void)
{
	struct nodes *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->head.max = FORMAT_PACK_MAX;
	x->stored.max = RANGE_BYTES + FORMAT_CHUNK_MAX + FORMAT_TAG_BYTES;
	x->scratch.max = FORMAT_CHUNK_MAX + FORMAT_TAG_BYTES;
	x->plain.max = FORMAT_CHUNK_MAX;
	x->z = compress_new();
	x->dek = secret_new(FORMAT_DEK_BYTES);
	if (x->z && x->dek)
		return x;
	nodes_free(x);
	return NULL;
}

void nodes_free(struct nodes *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < ARRAY_LEN(x->boxes); i++)
		crypt_box_free(x->boxes[i]);
	compress_free(x->z);
	secret_free(x->dek);
	buf_clear(&x->head);
	buf_clear(&x->stored);
	buf_clear(&x->plain);
	buf_clear(&x->scratch);
	free(x);
}

bool nodes_is_finding(const struct err *e)
{
	switch (e->class) {
	case ERR_NOT_FOUND:
	case ERR_CORRUPT:
	case ERR_FORMAT:
	case ERR_DENIED:
	case ERR_UNSUPPORTED:
	case ERR_TOO_BIG:
	case ERR_IO:
		return true;
	default:
		return false;
	}
}

/* Reads the whole header into x->head. */
static int read_header(struct nodes *x, const struct nodes_call *c, const uint8_t *pack,
                       uint64_t len, struct err *e)
{
	size_t need = PACK_HEADER_GUESS < len ? PACK_HEADER_GUESS : (size_t)len;

	buf_reset(&x->head);
	if (len == 0)
		return err_set(e, ERR_CORRUPT, "the object is empty");
	for (size_t have = 0; have < need;) {
		if (need > len)
			return err_set(e, ERR_CORRUPT, "the header ends behind the object");
		if (buf_reserve(&x->head, need - x->head.len) < 0)
			return err_set(e, ERR_NOMEM, "no memory for a header of %zu bytes", need);
		have = need;
		if (c->get(c->arg, x->name, 0, x->head.data, have, e) < 0)
			return -1;
		x->head.len = have;
		if (pack_header_decode(x->head.data, have, pack, &x->header, &need, e) < 0)
			return -1;
	}
	return 0;
}

/* Keys the box for this data key of the pack. -1 with e. */
static int use_key(struct nodes *x, const struct nodes_call *c, const struct nodes_domain *d,
                   uint16_t key, struct err *e)
{
	if (x->box && x->key == key)
		return 0;
	x->box = NULL;
	if (x->header.cipher >= ARRAY_LEN(x->boxes))
		return err_set(e, ERR_FORMAT, "cipher %u is unknown here", x->header.cipher);
	struct crypt_box **box = &x->boxes[x->header.cipher];
	if (!*box)
		*box = crypt_box_new(x->header.cipher);
	if (!*box)
		return err_set(e, ERR_NOMEM, "no memory for a cipher");
	if (pack_header_dek(x->head.data, &x->header, key, c->repo->keys, d->keys, x->dek, e) < 0)
		return -1;
	crypt_box_key(*box, x->dek);
	x->box = *box;
	x->key = key;
	return 0;
}

/*
 * Decrypts the node whose ciphertext is at `in`, checks id and level, and
 * visits it. 1: it is damaged, *why says how.
 */
static int visit(struct nodes *x, const struct nodes_call *c, const struct refset_item *item,
                 const uint8_t *in, struct err *why, struct err *e)
{
	const struct nodes_domain d = c->domain(c->arg, item->domain);
	const struct chunk_ref *ref = &item->ref;
	uint8_t id[FORMAT_ID_BYTES];

	if (use_key(x, c, &d, ref->key, why) < 0) {
		if (why->class != ERR_NOMEM)
			return 1;
		*e = *why;
		return -1;
	}
	buf_reset(&x->plain);
	buf_reset(&x->scratch);
	if (buf_reserve(&x->plain, ref->plain) < 0 || buf_reserve(&x->scratch, ref->stored) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a tree node of %u bytes", ref->plain);
	if (pack_chunk_open(x->box, x->z, c->repo->keys->repo, ref, in, x->scratch.data,
	                    x->plain.data) < 0) {
		(void)err_set(why, ERR_CORRUPT, "it does not decrypt");
		return 1;
	}
	crypt_chunk_id(d.node, x->plain.data, ref->plain, id, NULL);
	if (memcmp(id, ref->id, sizeof(id)) != 0) {
		(void)err_set(why, ERR_CORRUPT, "its content does not have its id");
		return 1;
	}
	if (ref->plain < 2 || x->plain.data[1] != c->level) {
		(void)err_set(why, ERR_FORMAT, "it is not of level %u", c->level);
		return 1;
	}
	int rc = c->visit(c->arg, item, x->plain.data, ref->plain, why);
	if (rc < 0)
		*e = *why;
	return rc;
}

/* How many of the n items from the first on are worth one read. */
static size_t span(const struct refset_item *items, size_t n)
{
	uint64_t start = items[0].ref.off;
	uint64_t end = start + items[0].ref.stored;
	size_t k = 1;

	for (; k < n; k++) {
		const struct chunk_ref *r = &items[k].ref;

		if (r->off > end + GAP_BYTES || r->off + (uint64_t)r->stored > start + RANGE_BYTES)
			break;
		if (r->off + (uint64_t)r->stored > end)
			end = r->off + (uint64_t)r->stored;
	}
	return k;
}

/* Reads and visits n items that lie close together. */
static int visit_span(struct nodes *x, const struct nodes_call *c, const struct refset_item *items,
                      size_t n, struct err *e)
{
	uint64_t start = items[0].ref.off;
	uint64_t end = start;
	struct err why = ERR_INIT;

	for (size_t i = 0; i < n; i++) {
		if (items[i].ref.off + (uint64_t)items[i].ref.stored > end)
			end = items[i].ref.off + (uint64_t)items[i].ref.stored;
	}
	buf_reset(&x->stored);
	if (buf_reserve(&x->stored, end - start) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a range of %llu bytes",
		               (unsigned long long)(end - start));
	if (c->get(c->arg, x->name, start, x->stored.data, end - start, &why) < 0) {
		if (!nodes_is_finding(&why)) {
			*e = why;
			return -1;
		}
		if (n == 1)
			return c->bad(c->arg, items, &why, e);
		/* one by one, to know which of them it is */
		for (size_t i = 0; i < n; i++) {
			if (visit_span(x, c, &items[i], 1, e) < 0)
				return -1;
		}
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		why = (struct err)ERR_INIT;
		int rc = visit(x, c, &items[i], x->stored.data + (items[i].ref.off - start), &why,
		               e);
		if (rc < 0 || (rc > 0 && c->bad(c->arg, &items[i], &why, e) < 0))
			return -1;
	}
	return 0;
}

int nodes_read(struct nodes *x, const struct nodes_call *c,
               const uint8_t pack[FORMAT_PACK_ID_BYTES], uint64_t len,
               const struct refset_item *items, size_t n, struct err *ret_header, struct err *e)
{
	struct err why = ERR_INIT;

	pack_key_name(x->name, pack, CHUNK_NODE);
	x->box = NULL;
	if (read_header(x, c, pack, len, &why) < 0) {
		if (!nodes_is_finding(&why)) {
			*e = why;
			return -1;
		}
		if (ret_header)
			*ret_header = why;
		for (size_t i = 0; i < n; i++) {
			if (c->bad(c->arg, &items[i], &why, e) < 0)
				return -1;
		}
		return 0;
	}
	for (size_t i = 0; i < n;) {
		size_t k = span(items + i, n - i);

		if (visit_span(x, c, items + i, k, e) < 0)
			return -1;
		i += k;
	}
	return 0;
}
