/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs, one after the other, each with what trees and index say of it. The
 * frame (trailer, header, footer) comes first; then, at the levels that ask
 * for it, the ciphertexts in ranges of whole entries, so that a thread needs
 * the memory of one range and one chunk.
 *
 * A footer that is damaged takes away the scrub checksums, but not the data:
 * level 4 then goes by what the trees say.
 */
#include <string.h>

#include "repo/check_impl.h"
#include "repo/crypt.h"

/* One pack under examination. */
struct exam {
	struct check_worker *w;
	struct check_listed *listed;
	char name[PACK_KEY_MAX];
	uint64_t len;
	const struct refset_item *items; /* what trees and index say, by offset */
	size_t nitems;
	const struct check_domain *domain; /* NULL: not known here */
	struct pack_header header;
	bool has_header;            /* it parses */
	bool bad_header;            /* its bytes are not those that were signed */
	struct pack_entry *entries; /* owned; by offset; NULL: the footer is damaged */
	size_t nentries;
	/* findings */
	struct buf text; /* of the frame */
	bool unreadable; /* the store does not give a part of it */
	uint64_t bad, hurt;
	uint32_t bad_off;
	char why[200];
};

/* ---- damage ---- */

/* Notes all that restore points need at this offset; returns how many. */
static uint64_t hurt_at(struct exam *x, uint32_t off)
{
	size_t lo = 0;
	size_t hi = x->nitems;
	uint64_t n = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (x->items[mid].ref.off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < x->nitems && x->items[lo].ref.off == off; lo++) {
		if (x->items[lo].flags & REFSET_POINT) {
			check_hurts(x->w->ck, &x->items[lo]);
			n++;
		}
	}
	return n;
}

static void entry_bad(struct exam *x, const struct pack_entry *entry, const char *why)
{
	struct chunk_ref at = { .off = entry->off, .kind = x->listed->kind };
	uint64_t hurt;

	memcpy(at.pack, x->listed->id, sizeof(at.pack));
	memcpy(at.id, entry->id, sizeof(at.id));
	hurt = hurt_at(x, entry->off);
	x->hurt += hurt;
	if (hurt == 0 && absent_has_place(&x->w->ck->view.absent, &at)) {
		atomic_fetch_add_explicit(&x->w->ck->known_damaged, 1, memory_order_relaxed);
		return;
	}
	if (x->bad++ == 0) {
		x->bad_off = entry->off;
		(void)snprintf(x->why, sizeof(x->why), "%.199s", why);
	}
	check_bad(x->w->ck, &at);
}

/* Nothing can be had of the pack. Returns how many chunks restore points need of it. */
static uint64_t all_bad(struct exam *x)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < x->nitems; i++) {
		if (x->items[i].flags & REFSET_POINT) {
			check_hurts(x->w->ck, &x->items[i]);
			lost++;
		} else {
			check_bad(x->w->ck, &x->items[i].ref);
		}
	}
	return lost;
}

/* A part of the frame is damaged. 0, or -1 when e is no finding. */
static int frame_bad(struct exam *x, const char *part, const struct err *why, struct err *e)
{
	if (!check_is_finding(why)) {
		*e = *why;
		return -1;
	}
	(void)buf_printf(&x->text, "%s%s: %s", x->text.len ? "; " : "", part, why->msg);
	x->unreadable |= check_what_of(why) == CHECK_UNREADABLE;
	return 0;
}

/* ---- what trees and index say ---- */

/* Chunks must end within the object; those that do not are lost. */
static void compare_bounds(struct exam *x)
{
	uint64_t lost = 0;
	uint64_t end = 0;

	for (size_t i = 0; i < x->nitems; i++) {
		const struct chunk_ref *r = &x->items[i].ref;
		uint64_t this_end = r->off + (uint64_t)r->stored;

		if (this_end <= x->len)
			continue;
		check_bad(x->w->ck, r);
		if (!(x->items[i].flags & REFSET_POINT))
			continue;
		check_hurts(x->w->ck, &x->items[i]);
		end = this_end > end ? this_end : end;
		lost++;
	}
	if (lost > 0)
		check_find(x->w->ck, CHECK_SIZE, x->name, lost,
		           "%llu bytes long, but %llu chunks of restore points lie up to byte %llu",
		           (unsigned long long)x->len, (unsigned long long)lost,
		           (unsigned long long)end);
}

static const struct pack_entry *entry_at(const struct exam *x, uint32_t off)
{
	size_t lo = 0;
	size_t hi = x->nentries;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (x->entries[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < x->nentries && x->entries[lo].off == off ? &x->entries[lo] : NULL;
}

static bool entry_is(const struct pack_entry *n, const struct chunk_ref *r)
{
	return n && memcmp(n->id, r->id, sizeof(n->id)) == 0 && n->stored == r->stored &&
	       n->plain == r->plain && n->counter == r->counter && n->key == r->key &&
	       n->compression == r->compression && n->kind == r->kind;
}

static void compare_entries(struct exam *x)
{
	uint64_t by_point = 0;
	uint64_t by_index = 0;
	uint32_t first = 0;

	for (size_t i = 0; i < x->nitems; i++) {
		const struct refset_item *it = &x->items[i];

		if (entry_is(entry_at(x, it->ref.off), &it->ref))
			continue;
		if (by_point + by_index == 0)
			first = it->ref.off;
		if (it->flags & REFSET_POINT) {
			by_point++;
			check_hurts(x->w->ck, it);
		} else {
			by_index++;
			check_bad(x->w->ck, &it->ref);
		}
	}
	if (by_point + by_index > 0)
		check_find(x->w->ck, CHECK_MISMATCH, x->name, by_point,
		           "its footer does not have %llu chunks as trees tell of them and %llu "
		           "as the "
		           "index does, the first at byte %u",
		           (unsigned long long)by_point, (unsigned long long)by_index, first);
}

/* ---- the frame ---- */

/* Header, and the domain that it names. */
static int read_header(struct exam *x, const struct pack_trailer *t, struct err *e)
{
	struct check *ck = x->w->ck;
	struct err why = ERR_INIT;
	uint8_t hash[32];

	const struct frame f = check_frame(ck, x->name, x->listed->id, x->len);

	if (frame_header(&f, &x->w->head, &x->header, &why) < 0)
		return frame_bad(x, "its header does not open", &why, e);
	x->has_header = true;
	if (x->header.kind != x->listed->kind) {
		x->bad_header = true;
		(void)err_set(&why, ERR_FORMAT, "the header is of a pack of another kind");
		return frame_bad(x, "its header does not belong there", &why, e);
	}
	for (size_t i = 0; i < ck->ndomains; i++) {
		if (memcmp(ck->domains[i].keys->tag, x->header.domain_tag, 8) == 0)
			x->domain = &ck->domains[i];
	}
	if (!t)
		return 0;
	crypt_sha256(hash, x->w->head.data, x->header.len);
	if (x->header.len == t->header_len && memcmp(hash, t->header_hash, sizeof(hash)) == 0)
		return 0;
	x->bad_header = true;
	(void)err_set(&why, ERR_CORRUPT, "its bytes are not those that were signed");
	return frame_bad(x, "its header is damaged", &why, e);
}

/* *ret_ok: the trailer is good, and *ret_footer is in w->tail. */
static int read_tail(struct exam *x, struct pack_trailer *ret, const uint8_t **ret_footer,
                     bool *ret_ok, struct err *e)
{
	const struct frame f = check_frame(x->w->ck, x->name, x->listed->id, x->len);
	struct err why = ERR_INIT;

	*ret_ok = frame_footer(&f, x->w->ck->repo->keys, &x->w->tail, ret, ret_footer, &why) == 0;
	return *ret_ok ? 0 : frame_bad(x, "its trailer does not open", &why, e);
}

static int read_frame(struct exam *x, struct err *e)
{
	struct pack_trailer trailer;
	const uint8_t *footer = NULL;
	struct err why = ERR_INIT;
	bool ok;

	if (read_tail(x, &trailer, &footer, &ok, e) < 0 ||
	    read_header(x, ok ? &trailer : NULL, e) < 0)
		return -1;
	if (!x->domain && x->nitems > 0)
		x->domain = &x->w->ck->domains[x->items[0].domain];
	if (!ok || !x->domain)
		return 0;
	if (pack_footer_decode(footer, trailer.footer_len, &trailer, x->listed->id,
	                       x->w->ck->repo->keys, x->domain->keys, &x->entries, &x->nentries,
	                       &why) < 0)
		return frame_bad(x, "its footer does not open", &why, e);
	compare_entries(x);
	return 0;
}

/* ---- the body ---- */

/* Entries that are made up from what the trees say, where the footer is lost. */
static int entries_of_items(struct exam *x, struct err *e)
{
	if (x->nitems == 0)
		return 0;
	x->entries = calloc(x->nitems, sizeof(*x->entries));
	if (!x->entries)
		return err_set(e, ERR_NOMEM, "no memory for the entries of a pack");
	for (size_t i = 0; i < x->nitems; i++) {
		const struct chunk_ref *r = &x->items[i].ref;
		struct pack_entry *n = &x->entries[x->nentries];

		if (!(x->items[i].flags & REFSET_POINT) || r->off + (uint64_t)r->stored > x->len)
			continue;
		memcpy(n->id, r->id, sizeof(n->id));
		n->off = r->off;
		n->stored = r->stored;
		n->plain = r->plain;
		n->counter = r->counter;
		n->key = r->key;
		n->compression = r->compression;
		n->kind = r->kind;
		x->nentries++;
	}
	return 0;
}

/* What is done with each ciphertext. NULL: it is good; else why not. `in` is the ciphertext. */
struct body {
	struct crypt_scrub *scrub; /* level 3 */
	struct crypt_box *box;     /* level 4, of the key below */
	uint16_t key;
};

static const char *verify_scrub(struct exam *x, struct body *b, size_t i, const uint8_t *in)
{
	uint8_t sum[16];

	if (crypt_scrub(b->scrub, (uint32_t)i, in, x->entries[i].stored, sum) < 0)
		return "its checksum cannot be computed";
	return memcmp(sum, x->entries[i].scrub, sizeof(sum)) == 0 ? NULL : "its checksum differs";
}

/* *ret_rc -1 with e: the check ends. */
static const char *verify_data(struct exam *x, struct body *b, size_t i, const uint8_t *in,
                               int *ret_rc, struct err *e)
{
	struct check_worker *w = x->w;
	const struct pack_entry *n = &x->entries[i];
	struct chunk_ref ref = {
		.off = n->off,
		.stored = n->stored,
		.plain = n->plain,
		.counter = n->counter,
		.key = n->key,
		.compression = n->compression,
		.kind = n->kind,
	};
	struct err why = ERR_INIT;
	uint8_t id[FORMAT_ID_BYTES];

	memcpy(ref.id, n->id, sizeof(ref.id));
	memcpy(ref.pack, x->listed->id, sizeof(ref.pack));
	if (!b->box || b->key != n->key) {
		b->key = n->key;
		b->box = check_box(w, &x->header, n->key, x->domain, &why);
		if (!b->box && !check_is_finding(&why)) {
			*e = why;
			*ret_rc = -1;
		}
		if (!b->box)
			return "the key of the pack does not open for it";
	}
	buf_reset(&w->plain);
	buf_reset(&w->scratch);
	if (buf_reserve(&w->plain, n->plain) < 0 || buf_reserve(&w->scratch, n->stored) < 0) {
		*ret_rc = err_set(e, ERR_NOMEM, "no memory for a chunk of %u bytes", n->plain);
		return NULL;
	}
	if (pack_chunk_open(b->box, w->z, w->ck->repo->keys->repo, &ref, in, w->scratch.data,
	                    w->plain.data) < 0)
		return "it does not decrypt";
	crypt_chunk_id(n->kind == CHUNK_NODE ? &x->domain->node : &x->domain->id, w->plain.data,
	               n->plain, id, NULL);
	return memcmp(id, n->id, sizeof(id)) == 0 ? NULL : "its content does not have its id";
}

/* Reads entries [from, to), and verifies each. */
static int verify_range(struct exam *x, struct body *b, size_t from, size_t to, struct err *e)
{
	struct check_worker *w = x->w;
	struct progress_counts *counts = w->ck->params->counts;
	uint64_t start = x->entries[from].off;
	uint64_t end = x->entries[to - 1].off + (uint64_t)x->entries[to - 1].stored;
	struct err why = ERR_INIT;
	int rc = 0;

	buf_reset(&w->stored);
	if (buf_reserve(&w->stored, end - start) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a range of %llu bytes",
		               (unsigned long long)(end - start));
	if (check_get(w->ck, x->name, start, w->stored.data, end - start, &why) < 0) {
		if (!check_is_finding(&why)) {
			*e = why;
			return -1;
		}
		/* one by one, to know which of them it is */
		for (size_t i = from; to - from > 1 && rc == 0 && i < to; i++)
			rc = verify_range(x, b, i, i + 1, e);
		if (to - from == 1)
			entry_bad(x, &x->entries[from], why.msg);
		return rc;
	}
	for (size_t i = from; i < to; i++) {
		const uint8_t *in = w->stored.data + (x->entries[i].off - start);
		const char *bad = b->scrub ? verify_scrub(x, b, i, in)
		                           : verify_data(x, b, i, in, &rc, e);

		if (rc < 0)
			return -1;
		if (bad)
			entry_bad(x, &x->entries[i], bad);
	}
	if (counts)
		atomic_fetch_add_explicit(&counts->bytes_done, end - start, memory_order_relaxed);
	return 0;
}

static int read_body(struct exam *x, struct err *e)
{
	struct body b = { 0 };
	int rc = 0;

	if (x->w->ck->params->level == 3) {
		b.scrub = crypt_scrub_new(x->header.cipher, x->domain->keys->scrub, x->listed->id);
		if (!b.scrub)
			return err_set(e, ERR_NOMEM, "no memory for a checksum");
	}
	for (size_t i = 0; rc == 0 && i < x->nentries;) {
		uint64_t start = x->entries[i].off;
		size_t k = i + 1;

		while (k < x->nentries &&
		       x->entries[k].off + (uint64_t)x->entries[k].stored <=
		               start + CHECK_RANGE_BYTES &&
		       x->entries[k].off >=
		               x->entries[k - 1].off + (uint64_t)x->entries[k - 1].stored)
			k++;
		rc = verify_range(x, &b, i, k, e);
		i = k;
	}
	crypt_scrub_free(b.scrub);
	return rc;
}

/* ---- one pack ---- */

/* A repair has marked what was here, and nothing needs it here any more. */
static bool is_known(const struct exam *x)
{
	const struct absent *a = &x->w->ck->view.absent;

	for (size_t i = 0; x->hurt == 0 && i < a->nplaces; i++) {
		if (a->places[i].pack.kind == x->listed->kind &&
		    memcmp(a->places[i].pack.id, x->listed->id, FORMAT_PACK_ID_BYTES) == 0)
			return true;
	}
	return false;
}

static void tell_damage(struct exam *x)
{
	struct check *ck = x->w->ck;

	if (x->text.len > 0 && is_known(x)) {
		atomic_fetch_add_explicit(&ck->known_damaged, 1, memory_order_relaxed);
		buf_reset(&x->text);
	}
	if (x->bad > 0)
		(void)buf_printf(&x->text,
		                 "%s%llu of %zu chunks are damaged, the first at byte %u: %s",
		                 x->text.len ? "; " : "", (unsigned long long)x->bad, x->nentries,
		                 x->bad_off, x->why);
	if (x->text.len > 0)
		check_find(ck, x->unreadable && x->bad == 0 ? CHECK_UNREADABLE : CHECK_DAMAGED,
		           x->name, x->hurt, "%s", buf_cstr(&x->text));
}

/* HEAD: its length must be the one of the index. 1: it is gone. */
static int ask_length(struct exam *x, struct err *e)
{
	struct check *ck = x->w->ck;
	struct err why = ERR_INIT;
	struct store_stat st;

	if (cancel_check(ck->repo->cancel, e) < 0)
		return -1;
	if (store_head(ck->repo->store, x->name, &st, &why) < 0) {
		if (!check_is_finding(&why)) {
			*e = why;
			return -1;
		}
		if (why.class == ERR_NOT_FOUND)
			atomic_store(&ck->stale, true);
		check_find(ck, check_what_of(&why), x->name, all_bad(x), "it was listed, but: %s",
		           why.msg);
		return 1;
	}
	x->len = st.size;
	if (x->listed->index_len > 0 && x->len != x->listed->index_len)
		check_find(ck, CHECK_SIZE, x->name, 0, "%llu bytes long, the index says %u",
		           (unsigned long long)x->len, x->listed->index_len);
	return 0;
}

static int examine(struct exam *x, struct err *e)
{
	struct check *ck = x->w->ck;
	unsigned level = ck->params->level;

	if (level >= 1) {
		int gone = ask_length(x, e);

		if (gone != 0)
			return gone < 0 ? -1 : 0;
	}
	compare_bounds(x);
	if (level < 2)
		return 0;
	atomic_fetch_add_explicit(&ck->objects, 1, memory_order_relaxed);
	if (read_frame(x, e) < 0)
		return -1;
	if (!x->domain && x->text.len == 0) {
		atomic_fetch_add_explicit(&ck->unknown_packs, 1, memory_order_relaxed);
		return 0;
	}
	x->listed->framed = x->domain && x->entries && x->text.len == 0;
	bool full = x->listed->body && x->domain && x->has_header;
	if (level == 4 && full && !x->entries && entries_of_items(x, e) < 0)
		return -1;
	if (full && x->entries && read_body(x, e) < 0)
		return -1;
	bool good = x->bad == 0 && x->text.len == 0;
	if ((full || (x->listed->body && !good)) && check_read(ck, x->listed, good, e) < 0)
		return -1;
	/* Without a header no key. Whether a damaged one still gives it, level 4 has tried. */
	if (!x->has_header || (x->bad_header && level < 4))
		x->hurt += all_bad(x);
	tell_damage(x);
	return 0;
}

/* Of a pack that is not there. Where a collection takes it away, nobody relies on it. */
static void drop_missing_locked(struct check *ck, struct refset_group *g)
{
	for (size_t i = 0; i < g->n; i++) {
		const struct chunk_ref *ref = &g->items[i].ref;

		if (!pack_list_has(&ck->view.absent.packs, ref->kind, ref->pack))
			check_bad_locked(ck, ref);
	}
	g->n = 0;
}

/* The next pack, and what is said of it into w->group. NULL: none left, or e. */
static struct check_listed *next_pack(struct check_worker *w, int *ret_rc, struct err *e)
{
	struct check *ck = w->ck;
	struct check_listed *listed = NULL;
	uint8_t kind;
	uint8_t id[FORMAT_PACK_ID_BYTES];
	int rc = 0;

	w->group.n = 0;
	(void)pthread_mutex_lock(&ck->lock);
	if (ck->next < ck->nlisted) {
		listed = &ck->listed[ck->next++];
		while (rc == 0 && refset_peek(ck->all, &kind, id) &&
		       refset_pack_cmp(kind, id, listed->kind, listed->id) <= 0) {
			rc = refset_take(ck->all, &w->group, e);
			/* what is said of packs that are not there was told before */
			if (refset_pack_cmp(kind, id, listed->kind, listed->id) < 0)
				drop_missing_locked(ck, &w->group);
		}
	}
	(void)pthread_mutex_unlock(&ck->lock);
	*ret_rc = rc;
	return rc < 0 ? NULL : listed;
}

/* Drops what is had from elsewhere, and counts what is needed here. */
static uint64_t count_needed(struct check *ck, struct refset_group *g)
{
	uint64_t needed = 0;
	size_t kept = 0;

	for (size_t i = 0; i < g->n; i++) {
		const struct refset_item *it = &g->items[i];
		bool point = it->flags & REFSET_POINT;

		if (!(it->flags & REFSET_MOVED) && !check_place_good(ck, &it->ref))
			continue;
		needed += point;
		g->items[kept++] = *it;
	}
	g->n = kept;
	return needed;
}

static void note_unindexed(struct check *ck, const struct check_listed *x)
{
	(void)pthread_mutex_lock(&ck->lock);
	ck->unindexed++;
	if (!ck->unindexed_first || x < ck->unindexed_first)
		ck->unindexed_first = x;
	(void)pthread_mutex_unlock(&ck->lock);
}

static int check_some(struct check_worker *w, struct err *e)
{
	struct check *ck = w->ck;
	struct progress_counts *counts = ck->params->counts;
	struct check_listed *listed;
	int rc = 0;

	while (rc == 0 && !atomic_load(&ck->stop) && (listed = next_pack(w, &rc, e))) {
		struct exam x = {
			.w = w,
			.listed = listed,
			.len = listed->len,
			.items = w->group.items,
			.nitems = w->group.n,
			.text = BUF_INIT(4 * (size_t)ERR_MSG_MAX),
		};
		uint64_t needed = count_needed(ck, &w->group);

		x.nitems = w->group.n;
		if (listed->kind == CHUNK_DATA)
			atomic_fetch_add_explicit(&ck->chunks, needed, memory_order_relaxed);
		if (needed > 0 && listed->named == CHECK_UNNAMED)
			note_unindexed(ck, listed);
		/*
		 * A session that has relied on one which was fenced later: the next collections
		 * name the pack again, and so may a repair.
		 */
		if (needed > 0 && listed->named == CHECK_NAMED_IN_VAIN)
			listed->named = CHECK_UNNAMED;
		if (needed == 0 && listed->named == CHECK_UNNAMED) {
			atomic_fetch_add_explicit(&ck->unreferenced, 1, memory_order_relaxed);
			atomic_fetch_add_explicit(&ck->unreferenced_bytes, listed->len,
			                          memory_order_relaxed);
		}
		pack_key_name(x.name, listed->id, listed->kind);
		/* Dead: it is there because it is locked, or about to be deleted. */
		if (needed > 0 || !pack_list_has(&ck->view.dead, listed->kind, listed->id))
			rc = examine(&x, e);
		if (rc < 0)
			(void)err_wrap(e, "checking '%s'", x.name);
		free(x.entries);
		buf_clear(&x.text);
		if (counts)
			atomic_fetch_add_explicit(&counts->files_done, 1, memory_order_relaxed);
	}
	return rc;
}

int check_packs(struct check *ck, struct err *e)
{
	CLEANUP(refset_group_clear) struct refset_group rest = { 0 };
	uint8_t kind;
	uint8_t id[FORMAT_PACK_ID_BYTES];

	if (check_pool(ck, check_some, 0, ck->all, e) < 0)
		return -1;
	/* What is said of packs that would come after the last one that is there. */
	while (refset_peek(ck->all, &kind, id)) {
		if (refset_take(ck->all, &rest, e) < 0)
			return -1;
		drop_missing_locked(ck, &rest);
	}
	return 0;
}
