/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects from a second store. Nothing is put that is not whole: packs with
 * all their checksums, everything else opens as what its name says.
 */
#include <string.h>

#include "common/cancel.h"
#include "common/json.h"
#include "repo/commits.h"
#include "repo/crypt.h"
#include "repo/frame.h"
#include "repo/note.h"
#include "repo/repair_impl.h"
#include "repo/session.h"

#define COMMITS "commit/"

/* ---- packs ---- */

static int get_here(void *arg, const char *name, uint64_t off, void *p, size_t n, struct err *e)
{
	const struct buf *object = arg;

	if (off > object->len || n > object->len - off)
		return err_set(e, ERR_CORRUPT, "'%s' has only %zu bytes", name, object->len);
	memcpy(p, object->data + off, n);
	return 0;
}

static int verify_scrub(const struct buf *object, const uint8_t *id, const struct pack_header *h,
                        const struct domain_keys *d, const struct pack_entry *v, size_t n,
                        struct err *e)
{
	struct crypt_scrub *scrub = crypt_scrub_new(h->cipher, d->scrub, id);
	int rc = scrub ? 0 : err_set(e, ERR_NOMEM, "no memory for a checksum");

	for (size_t i = 0; rc == 0 && i < n; i++) {
		uint8_t sum[16];

		if (crypt_scrub(scrub, (uint32_t)i, object->data + v[i].off, v[i].stored, sum) < 0)
			rc = err_set(e, ERR_BUG, "a checksum cannot be computed");
		else if (memcmp(sum, v[i].scrub, sizeof(sum)) != 0)
			rc = err_set(e, ERR_CORRUPT, "the chunk at byte %u is damaged", v[i].off);
	}
	crypt_scrub_free(scrub);
	return rc;
}

static int verify_pack(const struct repair *rp, const char *key, const uint8_t *id, uint8_t kind,
                       struct buf *object, struct err *e)
{
	const struct frame f = {
		.get = get_here, .arg = object, .name = key, .id = id, .len = object->len
	};
	const struct keys *keys = rp->repo->keys;
	CLEANUP(buf_clear) struct buf head = BUF_INIT(FORMAT_PACK_MAX);
	CLEANUP(buf_clear) struct buf tail = BUF_INIT(FORMAT_PACK_MAX);
	auto_free struct pack_entry *entries = NULL;
	const uint8_t *footer = NULL;
	struct pack_header h;
	struct pack_trailer t;
	size_t n;

	if (frame_header(&f, &head, &h, e) < 0 ||
	    frame_footer(&f, keys, &tail, &t, &footer, e) < 0 ||
	    pack_header_signed(head.data, h.len, &t, e) < 0)
		return -1;
	const struct repair_domain *d = repair_domain_of(rp, h.domain_tag);
	if (!d || h.kind != kind)
		return err_set(e, ERR_CORRUPT, "it is of another kind or domain");
	/* The footer's decoder sees to it that all entries lie within the object. */
	if (pack_footer_decode(footer, t.footer_len, &t, id, keys, d->keys, &entries, &n, e) < 0)
		return -1;
	return verify_scrub(object, id, &h, d->keys, entries, n, e);
}

/* ---- the rest ---- */

/*
 * A store with this one object, for the functions that open an object where it lies: so they look
 * at the very bytes that will be put, and not at what a second read would give.
 */
struct shelf {
	struct store base;
	const char *key;
	const struct buf *object;
};

static int shelf_head(struct store *s, const char *key, struct store_stat *ret, struct err *e)
{
	const struct shelf *x = (const struct shelf *)s;

	if (strcmp(key, x->key) != 0)
		return err_set(e, ERR_NOT_FOUND, "only '%s' is looked at", x->key);
	*ret = (struct store_stat){ .size = x->object->len };
	return 0;
}

static int shelf_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                     struct err *e)
{
	const struct shelf *x = (const struct shelf *)s;
	struct store_stat st;

	return shelf_head(s, key, &st, e) < 0
	               ? -1
	               : get_here((void *)(uintptr_t)x->object, key, off, p, n, e);
}

static int verify_commit(const struct repo *r, const char *key, size_t len, struct err *e)
{
	CLEANUP(point_clear) struct point p = { 0 };
	const char *session = key + strlen(COMMITS);
	char **segments = NULL;
	size_t n = 0;
	int rc;

	switch (commit_kind_of(session, len)) {
	case COMMIT_ABORT:
		return session_abort_verify(r, session, e);
	case COMMIT_MAINTENANCE:
		rc = session_segments(r, session, &segments, &n, e);
		for (size_t i = 0; rc == 0 && i < n; i++)
			free(segments[i]);
		free(segments);
		return rc;
	case COMMIT_POINT:
		break;
	}
	return repo_point_at(r, session, 0, &p, e);
}

static int verify_note(const struct repo *r, const char *key, struct err *e)
{
	for (size_t i = 0; i < NOTE_PLACES; i++) {
		const struct note_place *p = &note_places[i];
		CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
		auto_json json_t *o = NULL;

		if (strncmp(key, p->prefix, strlen(p->prefix)) != 0)
			continue;
		return p->list ? note_get_list(r, p->kind, key, &o, &list, NULL, e)
		               : note_get(r, p->kind, key, &o, NULL, e);
	}
	return err_set(e, ERR_UNSUPPORTED, "objects of this kind are not put back");
}

static int verify(const struct repair *rp, const char *key, struct buf *object, struct err *e)
{
	static const struct store_ops ops = {
		.name = "shelf",
		.get = shelf_get,
		.head = shelf_head,
	};
	char url[] = "the copy";
	struct shelf shelf = { .base = { .ops = &ops, .url = url }, .key = key, .object = object };
	struct repo here = *rp->repo;
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t kind;

	here.store = &shelf.base;
	if (pack_key_parse(key, id, &kind) == 0)
		return verify_pack(rp, key, id, kind, object, e);
	if (strncmp(key, COMMITS, strlen(COMMITS)) == 0)
		return verify_commit(&here, key, object->len, e);
	return verify_note(&here, key, e);
}

/* ---- putting ---- */

/* What is there goes first: an object is never written over. */
static int replace(const struct repair *rp, const struct repair_object *o, const struct buf *object,
                   struct err *e)
{
	struct iovec iov = { .iov_base = object->data, .iov_len = object->len };
	struct store *to = rp->repo->store;

	if (o->there && store_delete(to, o->key, e) < 0)
		return err_wrap(e, "taking away what is damaged");
	return store_put(to, o->key, &iov, 1, e) < 0 ? err_wrap(e, "putting it back") : 0;
}

/* True for an error that is about this object; others end the repair. */
static bool is_of_object(const struct err *e)
{
	return e->class == ERR_NOT_FOUND || e->class == ERR_CORRUPT || e->class == ERR_FORMAT ||
	       e->class == ERR_DENIED || e->class == ERR_TOO_BIG || e->class == ERR_INVALID ||
	       e->class == ERR_UNSUPPORTED || e->class == ERR_EXISTS;
}

int repair_copy(struct repair *rp, const struct repair_object *o, uint64_t *ret_bytes,
                struct err *why, struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(FORMAT_PACK_MAX);
	int rc = cancel_check(rp->repo->cancel, e);

	if (rc < 0)
		return -1;
	if (store_get_all(rp->params->from->store, o->key, &object, why) < 0)
		rc = err_wrap(why, "in the second store");
	else if (verify(rp, o->key, &object, why) < 0)
		rc = err_wrap(why, "the copy in the second store");
	else if (!rp->params->dry_run)
		rc = replace(rp, o, &object, why);
	*ret_bytes = object.len;
	if (rc == 0)
		return 1;
	if (is_of_object(why))
		return 0;
	*e = *why;
	return err_wrap(e, "'%s'", o->key);
}
