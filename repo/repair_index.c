/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index from the packs themselves. A pack says in its footer, which its
 * writer signed, all that a segment says of it.
 */
#include <string.h>

#include "common/cancel.h"
#include "repo/frame.h"
#include "repo/repair_impl.h"
#include "repo/segment.h"
#include "repo/session.h"
#include "repo/view.h"

struct indexing {
	struct repair *rp;
	struct session_pulse pulse;
	struct view view;
	struct buf head, tail;
	struct segment_list written;
};

static void indexing_clear(struct indexing *x)
{
	view_clear(&x->view);
	buf_clear(&x->head);
	buf_clear(&x->tail);
	segment_list_clear(&x->written);
}

static int get(void *arg, const char *name, uint64_t off, void *p, size_t n, struct err *e)
{
	const struct repo *r = arg;

	return cancel_check(r->cancel, e) < 0 ? -1 : store_get(r->store, name, off, p, n, e);
}

static int writer_of(struct indexing *x, struct repair_domain *d, struct err *e)
{
	const struct repo *r = x->rp->repo;
	const struct segment_writer_params p = {
		.store = r->store,
		.keys = r->keys,
		.domain = d->keys,
		.session = x->pulse.session,
	};

	return d->to ? 0 : segment_writer_new(&p, &d->to, e);
}

/* Reads what the pack says of itself; the entries are the caller's. */
static int read_pack(struct indexing *x, const char *name, const struct pack_name *pack,
                     uint64_t len, struct repair_domain **ret, struct pack_entry **ret_entries,
                     size_t *ret_n, struct err *e)
{
	const struct keys *keys = x->rp->repo->keys;
	const struct frame f = {
		.get = get,
		.arg = (void *)(uintptr_t)x->rp->repo,
		.name = name,
		.id = pack->id,
		.len = len,
	};
	const uint8_t *footer = NULL;
	struct pack_header h;
	struct pack_trailer t;

	if (frame_header(&f, &x->head, &h, e) < 0 ||
	    frame_footer(&f, keys, &x->tail, &t, &footer, e) < 0 ||
	    pack_header_signed(x->head.data, h.len, &t, e) < 0)
		return -1;
	/* The segment would vouch for it. */
	if (!t.vouched)
		return err_set(e, ERR_DENIED, "its signer was revoked");
	*ret = repair_domain_of(x->rp, h.domain_tag);
	if (!*ret || h.kind != pack->kind)
		return err_set(e, ERR_CORRUPT, "it is of another kind or domain");
	return pack_footer_decode(footer, t.footer_len, &t, pack->id, keys, (*ret)->keys,
	                          ret_entries, ret_n, e);
}

static int add_pack(struct indexing *x, const struct pack_name *pack, const char *name,
                    size_t *ret_n, struct err *e)
{
	struct repair *rp = x->rp;
	struct segment_pack to = { .kind = pack->kind };
	auto_free struct pack_entry *entries = NULL;
	struct repair_domain *d = NULL;
	struct store_stat st;

	if (store_head(rp->repo->store, name, &st, e) < 0 ||
	    read_pack(x, name, pack, st.size, &d, &entries, ret_n, e) < 0)
		return -1;
	auto_free struct chunk_ref *refs = calloc(*ret_n + 1, sizeof(*refs));
	if (!refs)
		return err_set(e, ERR_NOMEM, "no memory for the index of a pack");
	for (size_t i = 0; i < *ret_n; i++)
		segment_ref_of(&entries[i], pack->id, &refs[i]);
	memcpy(to.id, pack->id, sizeof(to.id));
	to.len = st.size;
	if (rp->params->dry_run)
		return 0;
	return writer_of(x, d, e) < 0 ? -1 : segment_add(d->to, &to, refs, *ret_n, e);
}

static int add_packs(struct indexing *x, struct err *e)
{
	struct repair *rp = x->rp;

	for (size_t i = 0; i < rp->unindexed.n; i++) {
		const struct pack_name *pack = &rp->unindexed.v[i];
		char name[PACK_KEY_MAX];
		struct err why = ERR_INIT;
		size_t n = 0;

		pack_key_name(name, pack->id, pack->kind);
		/* It would be there by now. */
		if (rp->params->dry_run && pack_list_has(&rp->replaced, pack->kind, pack->id))
			continue;
		/* A collection takes it away, or has. */
		if (pack_list_has(&x->view.absent.packs, pack->kind, pack->id) ||
		    pack_list_has(&x->view.dead, pack->kind, pack->id))
			continue;
		if (!rp->params->dry_run)
			session_pulse(&x->pulse);
		if (add_pack(x, pack, name, &n, &why) == 0) {
			rp->result->indexed++;
			if (repair_tell(rp, REPAIR_INDEXED, name, n, NULL, e) < 0)
				return -1;
		} else if (why.class == ERR_CORRUPT || why.class == ERR_FORMAT ||
		           why.class == ERR_DENIED || why.class == ERR_NOT_FOUND) {
			if (repair_tell(rp, REPAIR_FAILED, name, 0, why.msg, e) < 0)
				return -1;
		} else {
			*e = why;
			return err_wrap(e, "reading '%s' for the index", name);
		}
	}
	return 0;
}

static int flush(struct indexing *x, struct err *e)
{
	const struct repair *rp = x->rp;

	for (size_t i = 0; i < rp->ndomains; i++) {
		if (rp->domains[i].to && segment_finish(rp->domains[i].to, &x->written, e) < 0)
			return -1;
	}
	return 0;
}

static int drop_segments(struct repair *rp, struct err *e)
{
	for (size_t i = 0; i < rp->nsegments; i++) {
		struct err why = ERR_INIT;

		if (rp->params->dry_run ||
		    store_delete(rp->repo->store, rp->segments[i], &why) == 0) {
			rp->result->dropped++;
			if (repair_tell(rp, REPAIR_DROPPED, rp->segments[i], 0, NULL, e) < 0)
				return -1;
		} else if (why.class == ERR_DENIED || why.class == ERR_UNSUPPORTED) {
			/* It is of no use, and no harm. */
			if (repair_tell(rp, REPAIR_FAILED, rp->segments[i], 0, why.msg, e) < 0)
				return -1;
		} else {
			*e = why;
			return -1;
		}
	}
	return 0;
}

int repair_index(struct repair *rp, struct err *e)
{
	CLEANUP(indexing_clear)
	struct indexing x = { .rp = rp,
		              .head = BUF_INIT(FORMAT_PACK_MAX),
		              .tail = BUF_INIT(FORMAT_PACK_MAX) };
	const struct repo *r = rp->repo;
	char session[96];

	if (rp->unindexed.n == 0)
		return drop_segments(rp, e);
	/* As any session: registered first, and what is absent read after that. */
	if (!rp->params->dry_run) {
		if (session_begin_maintenance(r, "repair", session, e) < 0)
			return -1;
		session_pulse_start(&x.pulse, r, session, 0, false);
	}
	if (view_load(r, &x.view, e) < 0 || add_packs(&x, e) < 0)
		return -1;
	if (rp->params->dry_run)
		return drop_segments(rp, e);
	if (flush(&x, e) < 0 ||
	    session_commit_index(r, session, "repair", x.written.v, x.written.n, e) < 0)
		return err_wrap(e, "making the index again");
	rp->result->segments += x.written.n;
	return drop_segments(rp, e);
}
