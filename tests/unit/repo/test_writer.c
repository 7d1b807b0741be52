/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups of a made-up image whose source knows what changed: what is not claimed comes from the
 * previous point unread, what is restored is the image all the same, and a comparison finds what a
 * source did not tell. An image is one number a page, so that a large one is cheap.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/absent.h"
#include "repo/collection.h"
#include "repo/reader.h"
#include "repo/tree.h"
#include "repo/writer.h"
#include "tests/unit/repo/repo_fixture.h"

#define PAGE 4096
#define HOLE 0
#define ZEROS 1 /* allocated */

/* ---- images ---- */

struct image {
	uint32_t *pages; /* HOLE, ZEROS, or what the page's bytes follow from */
	uint64_t size;   /* bytes */
};

static size_t pages_of(uint64_t size)
{
	return (size_t)((size + PAGE - 1) / PAGE);
}

static struct image image_new(uint64_t size)
{
	struct image m = { .pages = calloc(pages_of(size) + 1, sizeof(*m.pages)), .size = size };

	if (!m.pages)
		harness_die("no memory");
	return m;
}

static struct image image_copy(const struct image *m)
{
	struct image ret = image_new(m->size);

	memcpy(ret.pages, m->pages, pages_of(m->size) * sizeof(*m->pages));
	return ret;
}

static void image_clear(struct image *m)
{
	free(m->pages);
}
#define auto_image CLEANUP(image_clear)

static void image_resize(struct image *m, uint64_t size)
{
	struct image to = image_new(size);
	size_t n = pages_of(size < m->size ? size : m->size);

	memcpy(to.pages, m->pages, n * sizeof(*m->pages));
	free(m->pages);
	*m = to;
}

static void page_bytes(uint32_t of, uint8_t ret[PAGE])
{
	uint64_t x = of * UINT64_C(0x9e3779b97f4a7c15) + 1;

	if (of == HOLE || of == ZEROS) {
		memset(ret, 0, PAGE);
		return;
	}
	for (size_t i = 0; i < PAGE; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(ret + i, &x, 8);
	}
}

static uint32_t at_page(const struct image *m, size_t i)
{
	return i < pages_of(m->size) ? m->pages[i] : HOLE;
}

/* ---- a source of one image ---- */

enum honesty { TRUTHFUL, UNKNOWN, FAILING, NONSENSE };

struct content {
	struct fake *f;
};

struct fake {
	struct source source;
	const struct image *now, *base; /* base NULL: it has none */
	const uint8_t *secret;          /* pages that changed and are not told; or NULL */
	enum honesty honesty;
	bool block;
	uint64_t ino;
	unsigned step;
	uint64_t bytes_read;
	uint64_t fails_at; /* reading does, from there on; 0: nowhere */
	struct content content;
	struct timestamp time;
};

static struct fake *fake_of(struct source *s)
{
	return (struct fake *)(void *)s;
}

static int fake_next(struct source *s, struct batch **ret, struct err *e)
{
	struct fake *f = fake_of(s);
	bool root = f->step == 0;

	(void)e;
	*ret = NULL;
	if (f->step++ > (f->block ? 0U : 1U))
		return 0;
	struct batch *b = calloc(1, sizeof(*b));
	if (!b)
		harness_die("no memory");
	b->source = s;
	b->n = 1;
	b->entries[0] = (struct entry){
		.path = root ? "" : "image",
		.path_len = root ? 0 : 5,
		.st = { .mode = S_IFREG | 0600,
		        .nlink = 1,
		        .ino = f->ino,
		        .size = f->now->size,
		        .mtime = f->time,
		        .ctime = f->time },
		.block = f->block,
	};
	b->entries[0].name = b->entries[0].path;
	if (root && !f->block) {
		b->entries[0].st.mode = S_IFDIR | 0700;
		b->entries[0].st.size = 0;
	}
	*ret = b;
	return 0;
}

static void fake_batch_free(struct source *s, struct batch *b)
{
	(void)s;
	free(b);
}

static int fake_load(struct source *s, struct entry *n, struct entry_detail *ret, struct err *e)
{
	(void)s;
	(void)n;
	(void)e;
	*ret = (struct entry_detail){ 0 };
	return 0;
}

static int fake_open(struct source *s, struct entry *n, struct content **ret, struct err *e)
{
	struct fake *f = fake_of(s);

	(void)n;
	(void)e;
	f->content.f = f;
	*ret = &f->content;
	return 0;
}

static int fake_data(struct content *c, uint64_t off, uint64_t *ret_start, uint64_t *ret_end,
                     struct err *e)
{
	const struct image *m = c->f->now;
	size_t n = pages_of(m->size);
	size_t i = off / PAGE;

	(void)e;
	while (i < n && m->pages[i] == HOLE)
		i++;
	size_t end = i;
	while (end < n && m->pages[end] != HOLE)
		end++;
	*ret_start = i * PAGE > off ? i * PAGE : off;
	*ret_end = end * PAGE;
	*ret_start = *ret_start < m->size ? *ret_start : m->size;
	*ret_end = *ret_end < m->size ? *ret_end : m->size;
	return 0;
}

/* Whether the source tells that page i changed. The last page counts when its length did. */
static bool told(const struct fake *f, size_t i)
{
	bool cut = f->now->size != f->base->size &&
	           (i >= f->base->size / PAGE || i >= f->now->size / PAGE);

	return (cut || at_page(f->now, i) != at_page(f->base, i)) && !(f->secret && f->secret[i]);
}

static int fake_changed(struct content *c, uint64_t off, bool *ret_known, uint64_t *ret_start,
                        uint64_t *ret_end, struct err *e)
{
	const struct fake *f = c->f;
	size_t n = pages_of(f->now->size);
	size_t i = off / PAGE;

	*ret_known = f->honesty != UNKNOWN && f->base;
	*ret_start = *ret_end = f->now->size;
	if (f->honesty == FAILING && off > 0)
		return err_set(e, ERR_IO, "no list");
	if (!*ret_known)
		return 0;
	while (i < n && !told(f, i))
		i++;
	size_t end = i;
	while (end < n && told(f, end))
		end++;
	if (i == n)
		return 0;
	*ret_start = i * PAGE;
	*ret_end = end * PAGE;
	if (f->honesty == NONSENSE && off > 0)
		*ret_end = *ret_start = 0;
	return 0;
}

static int64_t fake_read(struct content *c, void *p, size_t n, uint64_t off, struct err *e)
{
	struct fake *f = c->f;
	uint8_t page[PAGE];
	size_t done = 0;

	if (f->fails_at && off + n > f->fails_at)
		return err_set(e, ERR_IO, "the disk is broken there");
	while (done < n && off + done < f->now->size) {
		uint64_t at = off + done;
		size_t part = PAGE - at % PAGE;
		uint64_t left = f->now->size - at;

		part = part < n - done ? part : n - done;
		part = part < left ? part : (size_t)left;
		page_bytes(f->now->pages[at / PAGE], page);
		memcpy((uint8_t *)p + done, page + at % PAGE, part);
		done += part;
	}
	f->bytes_read += done;
	return (int64_t)done;
}

static int fake_close(struct content *c, struct entry_stat *ret_st, bool *ret_changed,
                      struct err *e)
{
	(void)c;
	(void)e;
	*ret_st = (struct entry_stat){ 0 };
	*ret_changed = false;
	return 0;
}

static void fake_free(struct source *s)
{
	(void)s;
}

static const struct source_ops fake_ops = {
	.name = "fake",
	.next = fake_next,
	.batch_free = fake_batch_free,
	.load = fake_load,
	.open = fake_open,
	.data = fake_data,
	.changed = fake_changed,
	.read = fake_read,
	.close = fake_close,
	.free = fake_free,
};

/* ---- a world ---- */

struct world {
	struct repo_fixture f;
	char *state;
	struct repo *writer, *reader;
	uint64_t random;
	int64_t clock;
	/* the newest point */
	struct point point;
	bool any;
	uint64_t bytes_read, bytes_shown;
	/* how the next one is made */
	bool block, compare, force, no_token;
	const char *base_session; /* NULL: that of the newest point */
	const char *domain;
	enum honesty honesty;
	const uint8_t *secret;
	uint64_t ino, fails_at;
	bool same_time;
};

static void world_init(struct world *w)
{
	*w = (struct world){ .f = repo_fixture_new(),
		             .state = tmpdir_new(),
		             .random = 88172645463325252,
		             .domain = "d",
		             .ino = 7 };
	w->writer = open_repo(&w->f, "agent.key", w->state);
	w->reader = open_repo(&w->f, "recovery.key", NULL);
}

static void world_clear(struct world *w)
{
	if (w->any)
		point_clear(&w->point);
	repo_free(w->writer);
	repo_free(w->reader);
	tmpdir_remove(w->state);
	repo_fixture_clear(&w->f);
}
#define auto_world CLEANUP(world_clear)

static uint64_t draw(struct world *w, uint64_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % below;
}

static const struct point_volume volume_name = { .name = "v" };

/* Backs the image up; base: what the newest point has of it, or NULL. */
static void backup(struct world *w, const struct image *now, const struct image *base)
{
	struct point_volume v = volume_name;
	struct progress_counts counts = { 0 };
	struct point_capture capture = { 0 };
	struct point p;
	struct err e = ERR_INIT;
	struct fake f = {
		.source = { .ops = &fake_ops },
		.now = now,
		.base = base,
		.block = w->block,
		.honesty = w->honesty,
		.secret = w->secret,
		.ino = w->ino,
		.fails_at = w->fails_at,
		.time = { .s = w->same_time ? w->clock : ++w->clock },
	};

	v.block = w->block;
	if (!w->no_token)
		(void)snprintf(capture.token, sizeof(capture.token), "view %d", (int)w->clock);
	const struct writer_params params = {
		.volume = &v,
		.domain = w->domain,
		.consistency = "crash",
		.driver = "fake",
		.capture = &capture,
		.base_session = w->base_session ? w->base_session
		                : w->any        ? w->point.session
		                                : NULL,
		.compare = w->compare,
		.force = w->force,
		.threads = 2,
		.counts = &counts,
	};
	if (writer_backup(w->writer, &f.source, &params, &p, &e) < 0)
		fail_msg("%s", e.msg);
	if (w->any)
		point_clear(&w->point);
	w->point = p;
	w->any = true;
	w->bytes_read = f.bytes_read;
	w->bytes_shown = atomic_load(&counts.bytes_done);
	assert_int_equal(p.bytes_read, f.bytes_read);
}

/* ---- what a point holds ---- */

#define CACHE 64

struct reading {
	struct reader *reader;
	struct domain_keys *domain;
	struct {
		uint8_t id[32];
		uint8_t *plain;
	} cache[CACHE];
	unsigned next;
};

static const uint8_t *chunk_of(struct reading *r, const struct chunk_ref *ref)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; i < CACHE; i++) {
		if (r->cache[i].plain && memcmp(r->cache[i].id, ref->id, 32) == 0)
			return r->cache[i].plain;
	}
	size_t i = r->next++ % CACHE;
	free(r->cache[i].plain);
	r->cache[i].plain = malloc(ref->plain);
	memcpy(r->cache[i].id, ref->id, 32);
	if (!r->cache[i].plain)
		harness_die("no memory");
	if (reader_chunk(r->reader, r->domain, ref, r->cache[i].plain, &e) < 0)
		fail_msg("%s", e.msg);
	return r->cache[i].plain;
}

/* Compares [off, off + n) of the image with what an extent holds (NULL: zeros). */
static void compare_bytes(const struct image *m, uint64_t off, uint64_t n, const uint8_t *p)
{
	static const uint8_t zeros[PAGE];
	uint8_t page[PAGE];

	for (uint64_t at = off; at < off + n;) {
		uint64_t part = PAGE - at % PAGE;

		part = part < off + n - at ? part : off + n - at;
		if (p || at_page(m, at / PAGE) > ZEROS) {
			page_bytes(at_page(m, at / PAGE), page);
			if (memcmp(page + at % PAGE, p ? p + (at - off) : zeros, part) != 0)
				fail_msg("byte %llu and the %llu after it differ",
				         (unsigned long long)at, (unsigned long long)part);
		}
		at += part;
	}
}

static void compare_record(struct reading *r, const struct image *m, const struct record *rec,
                           const struct leaf *leaf, uint64_t *at)
{
	assert_int_equal(rec->position, *at);
	for (size_t i = 0; i < rec->nextents; i++) {
		const struct extent *x = &rec->extents[i];
		const uint8_t *p = NULL;

		if (x->chunk >= 0)
			p = chunk_of(r, &leaf->chunks[x->chunk]) + x->off;
		compare_bytes(m, *at, x->len, p);
		*at += x->len;
	}
}

/* The newest point restores to the image; returns the number of its extents. */
static size_t check_restore(struct world *w, const struct image *m)
{
	struct reading r = { 0 };
	const struct record *rec;
	struct leaf *leaf;
	struct err e = ERR_INIT;
	uint64_t at = 0;
	size_t extents = 0;
	auto_tree struct tree *t = NULL;

	if (keys_domain(w->reader->keys, w->point.domain, &r.domain, &e) < 0 ||
	    reader_open(w->reader, &(struct reader_params){ .rehash = true }, NULL, NULL, &r.reader,
	                &e) < 0 ||
	    tree_open(w->reader, &w->point, &t, &e) < 0)
		fail_msg("%s", e.msg);
	for (;;) {
		if (tree_next(t, &rec, &leaf, &e) < 0)
			fail_msg("%s", e.msg);
		if (!rec)
			break;
		if (rec->position == 0 && S_ISDIR(rec->st.mode))
			continue;
		if (rec->position == 0)
			assert_int_equal(rec->st.size, m->size);
		extents += rec->nextents;
		compare_record(&r, m, rec, leaf, &at);
	}
	assert_int_equal(at, m->size);
	for (size_t i = 0; i < CACHE; i++)
		free(r.cache[i].plain);
	reader_free(r.reader);
	secret_free(r.domain);
	return extents;
}

static const struct capture_changes *changes(const struct world *w)
{
	return &w->point.capture.changes;
}

/* An image of n pages, all of them different. */
static struct image full_image(uint64_t size)
{
	struct image m = image_new(size);

	for (size_t i = 0; i < pages_of(size); i++)
		m.pages[i] = (uint32_t)i + 2;
	return m;
}

/* ---- one step ---- */

static void test_writer_backup__reads_only_what_is_claimed(void **state)
{
	(void)state;
	for (int block = 0; block < 2; block++) {
		auto_world struct world w;
		auto_image struct image a = full_image(8 * MIB);
		auto_image struct image b = image_copy(&a);

		world_init(&w);
		w.block = block;
		backup(&w, &a, NULL);
		assert_int_equal(w.bytes_read, 8 * MIB);
		assert_string_equal(changes(&w)->base_session, "");
		b.pages[3] = 900001;
		b.pages[700] = 900002;
		b.pages[701] = HOLE;
		b.pages[702] = ZEROS;
		auto_free char *base = strdup(w.point.session);
		backup(&w, &b, &a);
		assert_int_equal(w.bytes_read, 3 * PAGE);
		assert_string_equal(changes(&w)->base_session, base);
		assert_int_equal(changes(&w)->claimed_bytes, 4 * PAGE);
		assert_int_equal(changes(&w)->skipped_bytes, 8 * MIB - 4 * PAGE);
		assert_false(changes(&w)->compared);
		assert_int_equal(changes(&w)->unread_points, 1);
		assert_int_equal(w.bytes_shown, 8 * MIB);
		assert_int_equal(w.point.bytes_new, 3 * PAGE); /* zeros among data are data */
		(void)check_restore(&w, &b);
		/* nothing at all */
		backup(&w, &b, &b);
		assert_int_equal(w.bytes_read, 0);
		assert_int_equal(w.point.bytes_new, 0);
		assert_int_equal(changes(&w)->unread_points, 2);
		(void)check_restore(&w, &b);
	}
}

/* What makes the writer read everything. */
static void test_writer_backup__reads_everything_when_the_base_is_not_certain(void **state)
{
	static const char other[] = "2026-11-21/03fa41b2c19de077-00112233445566778899aabbccddeeff";

	(void)state;
	for (int i = 0; i < 6; i++) {
		auto_world struct world w;
		auto_image struct image a = full_image(2 * MIB);
		auto_image struct image b = image_copy(&a);

		world_init(&w);
		w.no_token = i == 4;
		backup(&w, &a, NULL);
		b.pages[3] = 900001;
		w.honesty = i == 0 ? UNKNOWN : TRUTHFUL;
		w.base_session = i == 1 ? other : NULL;
		w.domain = i == 2 ? "e" : "d";
		w.force = i == 3;
		w.ino = i == 5 ? 8 : 7;
		backup(&w, &b, &a);
		assert_int_equal(w.bytes_read, 2 * MIB);
		assert_int_equal(changes(&w)->skipped_bytes, 0);
		assert_int_equal(changes(&w)->unread_points, i == 0 || i == 5 ? 1 : 0);
		(void)check_restore(&w, &b);
	}
}

static void test_writer_backup__a_list_that_breaks_off_claims_the_rest(void **state)
{
	static const enum honesty kinds[] = { FAILING, NONSENSE };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		auto_world struct world w;
		auto_image struct image a = full_image(4 * MIB);
		auto_image struct image b = image_copy(&a);

		world_init(&w);
		w.block = true;
		backup(&w, &a, NULL);
		b.pages[300] = 900001;
		b.pages[900] = 900002;
		w.honesty = kinds[i];
		backup(&w, &b, &a);
		assert_in_range(w.bytes_read, 2 * MIB, 3 * MIB);
		(void)check_restore(&w, &b);
	}
}

/* The second point does not follow the base: a third one came between. */
static void test_writer_backup__a_stale_base_does_not_count(void **state)
{
	auto_world struct world w;
	auto_image struct image a = full_image(2 * MIB);
	auto_image struct image b = image_copy(&a);
	auto_image struct image c = image_copy(&a);

	(void)state;
	world_init(&w);
	w.block = true;
	backup(&w, &a, NULL);
	auto_free char *first = strdup(w.point.session);
	b.pages[10] = 900001;
	backup(&w, &b, &a);
	/* page 10 is as in the first view: a claim from there says nothing about the second */
	c.pages[20] = 900002;
	w.base_session = first;
	backup(&w, &c, &a);
	assert_int_equal(w.bytes_read, 2 * MIB);
	assert_string_equal(changes(&w)->base_session, "");
	(void)check_restore(&w, &c);
}

static void test_writer_backup__takes_only_what_both_sizes_have(void **state)
{
	static const uint64_t sizes[] = { 3 * MIB,        5 * MIB,     5 * MIB + 100,
		                          5 * MIB + 5000, 4 * MIB - 1, MIB };

	(void)state;
	for (int block = 0; block < 2; block++) {
		auto_world struct world w;
		auto_image struct image a = full_image(4 * MIB);

		world_init(&w);
		w.block = block;
		backup(&w, &a, NULL);
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			auto_image struct image b = image_copy(&a);
			uint64_t common = a.size < sizes[i] ? a.size : sizes[i];

			image_resize(&b, sizes[i]);
			for (size_t k = 0; k < pages_of(sizes[i]); k++) {
				if (b.pages[k] == HOLE)
					b.pages[k] = (uint32_t)(1000000 * (i + 1) + k);
			}
			backup(&w, &b, &a);
			assert_in_range(changes(&w)->skipped_bytes, common - (size_t)2 * PAGE,
			                common);
			(void)check_restore(&w, &b);
			image_clear(&a);
			a = image_copy(&b);
		}
	}
}

/* Without fingerprints of pages what is claimed is stored, and nothing else. */
static void test_writer_backup__needs_no_page_cache(void **state)
{
	auto_world struct world w;
	auto_image struct image a = full_image(4 * MIB);
	auto_image struct image b = image_copy(&a);

	(void)state;
	world_init(&w);
	repo_free(w.writer);
	w.writer = open_repo(&w.f, "agent.key", NULL);
	w.block = true;
	backup(&w, &a, NULL);
	for (size_t i = 0; i < 10; i++)
		b.pages[100 * i] = (uint32_t)(900000 + i);
	backup(&w, &b, &a);
	assert_int_equal(w.bytes_read, 10 * PAGE);
	assert_int_equal(w.point.bytes_new, 10 * PAGE);
	(void)check_restore(&w, &b);
}

/* Chunks that a session may not refer to are read, and stored again. */
static void test_writer_backup__reads_what_is_marked_as_damaged(void **state)
{
	auto_world struct world w;
	auto_image struct image a = full_image(4 * MIB);
	struct place place = { .pack = { .kind = CHUNK_DATA } };
	const struct record *rec;
	struct leaf *leaf;
	struct err e = ERR_INIT;

	(void)state;
	world_init(&w);
	w.block = true;
	backup(&w, &a, NULL);
	{
		auto_tree struct tree *t = NULL;

		assert_int_equal(tree_open(w.reader, &w.point, &t, &e), 0);
		assert_int_equal(tree_next(t, &rec, &leaf, &e), 0);
		const struct chunk_ref *ref = &leaf->chunks[rec->extents[1].chunk];
		memcpy(place.pack.id, ref->pack, sizeof(place.pack.id));
		memcpy(place.id, ref->id, sizeof(place.id));
		place.off = ref->off;
	}
	if (damage_put(w.writer, &place, 1, &e) < 0)
		fail_msg("%s", e.msg);
	backup(&w, &a, &a);
	assert_int_equal(w.bytes_read, MIB);
	assert_int_equal(changes(&w)->skipped_bytes, 3 * MIB);
	assert_int_equal(w.point.bytes_new, MIB);
	(void)check_restore(&w, &a);
}

/* What could not be read is not in the point: it is nothing to go by, although stat is the same. */
static void test_writer_backup__a_large_file_that_broke_off_is_read_again(void **state)
{
	(void)state;
	for (int based = 0; based < 2; based++) {
		auto_world struct world w;
		auto_image struct image a = image_new(1500 * (uint64_t)MIB);

		world_init(&w);
		for (size_t i = 1; i < 1500; i += 50)
			a.pages[256 * i] = (uint32_t)i + 2;
		w.fails_at = 1200 * (uint64_t)MIB;
		backup(&w, &a, NULL);
		assert_int_equal(w.point.unreadable, 1);
		w.fails_at = 0;
		w.same_time = !based;
		backup(&w, &a, based ? &a : NULL);
		assert_int_equal(w.bytes_read, 30 * PAGE);
		assert_int_equal(w.point.unreadable, 0);
		(void)check_restore(&w, &a);
		/* now it is */
		backup(&w, &a, based ? &a : NULL);
		assert_int_equal(w.bytes_read, 0);
	}
}

/* ---- fragmentation ---- */

static void test_writer_backup__bounds_the_pieces_of_a_window(void **state)
{
	auto_world struct world w;
	auto_image struct image a = full_image(16 * MIB);
	size_t extents = 0;

	(void)state;
	world_init(&w);
	w.block = true;
	backup(&w, &a, NULL);
	for (uint32_t round = 0; round < 8; round++) {
		auto_image struct image b = image_copy(&a);

		/* 16 pages of the first MiB, others each time */
		for (size_t i = 0; i < 16; i++)
			b.pages[16 * i + 2 * round] = 900000 + 100 * round + (uint32_t)i;
		backup(&w, &b, &a);
		extents = check_restore(&w, &b);
		image_clear(&a);
		a = image_copy(&b);
	}
	assert_in_range(extents, 16, 16 + 64);
}

/* ---- comparing ---- */

static void test_writer_backup__compare_finds_nothing_where_all_was_told(void **state)
{
	(void)state;
	for (int force = 0; force < 2; force++) {
		auto_world struct world w;
		auto_image struct image a = full_image(4 * MIB);
		auto_image struct image b = image_copy(&a);

		world_init(&w);
		for (size_t i = 300; i < 400; i++)
			a.pages[i] = HOLE;
		b.pages[350] = HOLE;
		backup(&w, &a, NULL);
		w.compare = true;
		w.force = force;
		backup(&w, &b, &a);
		assert_true(changes(&w)->compared);
		assert_int_equal(changes(&w)->claimed_bytes, 99 * PAGE);
		assert_int_equal(changes(&w)->compared_bytes, 4 * MIB - 99 * PAGE);
		assert_int_equal(changes(&w)->wrong_bytes, 0);
		assert_int_equal(changes(&w)->skipped_bytes, 0);
		assert_int_equal(changes(&w)->unread_points, 0);
		assert_false(changes(&w)->distrusted);
		(void)check_restore(&w, &b);
	}
}

static void test_writer_backup__compare_counts_what_was_not_told(void **state)
{
	(void)state;
	for (int block = 0; block < 2; block++) {
		auto_world struct world w;
		auto_image struct image a = full_image(4 * MIB);
		auto_free uint8_t *secret = calloc(pages_of(a.size), 1);

		world_init(&w);
		a.pages[500] = HOLE;
		a.pages[501] = ZEROS;
		auto_image struct image b = image_copy(&a);
		b.pages[3] = 900001;   /* told */
		b.pages[100] = 900002; /* not told, as what follows */
		b.pages[101] = HOLE;
		b.pages[102] = ZEROS;
		b.pages[500] = 900003;
		b.pages[501] = HOLE; /* the same bytes */
		b.pages[1023] = 900004;
		for (size_t i = 4; i < 1024; i++)
			secret[i] = 1;
		w.block = block;
		w.secret = secret;
		backup(&w, &a, NULL);
		w.compare = true;
		backup(&w, &b, &a);
		assert_int_equal(w.bytes_read, 4 * MIB - 2 * PAGE);
		assert_int_equal(changes(&w)->claimed_bytes, PAGE);
		assert_int_equal(changes(&w)->compared_bytes, 4 * MIB - PAGE);
		assert_int_equal(changes(&w)->wrong_bytes, 5 * PAGE);
		assert_true(changes(&w)->distrusted);
		(void)check_restore(&w, &b);
		/* stays so until a comparison finds nothing */
		w.compare = false;
		w.honesty = UNKNOWN;
		backup(&w, &b, &b);
		assert_true(changes(&w)->distrusted);
		w.base_session = "of another";
		backup(&w, &b, &b);
		assert_string_equal(changes(&w)->base_session, "");
		assert_true(changes(&w)->distrusted);
		w.base_session = NULL;
		w.honesty = TRUTHFUL;
		w.compare = true;
		backup(&w, &b, &b);
		assert_int_equal(changes(&w)->wrong_bytes, 0);
		assert_false(changes(&w)->distrusted);
	}
}

/* ---- many steps ---- */

/* Some change of the image: pages, runs, holes, zeros, copies within. */
static void change(struct world *w, struct image *m)
{
	size_t n = pages_of(m->size);
	uint64_t edits = draw(w, 12);

	for (uint64_t i = 0; i < edits && n; i++) {
		uint64_t kind = draw(w, 6);
		size_t from = draw(w, n);
		size_t len = kind < 3 ? 1 : draw(w, 400) + 1;

		for (size_t k = from; k < n && k < from + len; k++)
			m->pages[k] = kind == 4   ? HOLE
			              : kind == 5 ? ZEROS
			                          : (uint32_t)draw(w, UINT32_MAX);
	}
}

static void rounds(struct world *w, uint64_t size, unsigned count, bool resize)
{
	auto_image struct image a = image_new(size);

	for (unsigned i = 0; i < 8; i++)
		change(w, &a);
	backup(w, &a, NULL);
	(void)check_restore(w, &a);
	for (unsigned i = 0; i < count; i++) {
		auto_image struct image b = image_copy(&a);

		change(w, &b);
		if (resize && draw(w, 3) == 0)
			image_resize(&b, 256 * KIB + draw(w, 2 * size));
		w->compare = draw(w, 8) == 0;
		w->honesty = draw(w, 10) == 0 ? UNKNOWN : TRUTHFUL;
		backup(w, &b, &a);
		assert_int_equal(changes(w)->wrong_bytes, 0);
		if (!w->compare && w->honesty == TRUTHFUL)
			assert_true(w->bytes_read <= changes(w)->claimed_bytes + 2 * PAGE +
			                                     w->writer->params.cut_max + 4 * MIB +
			                                     size / 50);
		(void)check_restore(w, &b);
		image_clear(&a);
		a = image_copy(&b);
	}
}

static void test_writer_backup__any_changes_of_a_device(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.block = true;
	rounds(&w, 12 * MIB, 40, false);
}

static void test_writer_backup__any_changes_of_a_file_that_grows_and_shrinks(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	rounds(&w, 6 * MIB + 321, 40, true);
}

/* Over 1 GiB records are handed on while the file is read, with continuations. */
static void test_writer_backup__any_changes_of_a_large_sparse_image(void **state)
{
	(void)state;
	for (int block = 0; block < 2; block++) {
		auto_world struct world w;

		world_init(&w);
		w.block = block;
		rounds(&w, 2500 * (uint64_t)MIB, 8, false);
	}
}

/* ---- names that vanish ---- */

/* A directory with "a" and "b", names of one link; "b" is gone once it is looked at. */
static int links_next(struct source *s, struct batch **ret, struct err *e)
{
	struct fake *f = fake_of(s);
	static const char *const names[] = { "a", "b" };

	(void)e;
	*ret = NULL;
	if (f->step++ > 1)
		return 0;
	struct batch *b = calloc(1, sizeof(*b));
	if (!b)
		harness_die("no memory");
	b->source = s;
	b->n = f->step;
	b->entries[0] = (struct entry){ .path = "", .st = { .mode = S_IFDIR | 0700, .nlink = 2 } };
	for (size_t i = 0; i < b->n && f->step == 2; i++)
		b->entries[i] = (struct entry){
			.path = names[i],
			.path_len = 1,
			.st = { .mode = S_IFLNK | 0777, .nlink = 2, .ino = 9 },
		};
	for (size_t i = 0; i < b->n; i++)
		b->entries[i].name = b->entries[i].path;
	*ret = b;
	return 0;
}

static int links_load(struct source *s, struct entry *n, struct entry_detail *ret, struct err *e)
{
	struct fake *f = fake_of(s);

	*ret = (struct entry_detail){ 0 };
	if (n->path_len > 0 && n->path[0] == 'b')
		return err_sys(e, f->secret ? EIO : ENOENT, "reading the link 'b'");
	if (n->path_len > 0) {
		ret->link = (uint8_t *)strdup("target");
		ret->link_len = 6;
	}
	return 0;
}

static void backup_links(struct world *w, bool broken, bool still, struct point *ret)
{
	const uint8_t yes = 1;
	struct source_ops ops = fake_ops;
	struct fake f = { .source = { .ops = &ops }, .secret = broken ? &yes : NULL };
	struct progress_counts counts = { 0 };
	struct err e = ERR_INIT;

	ops.next = links_next;
	ops.load = links_load;
	const struct writer_params params = {
		.volume = &volume_name,
		.domain = "d",
		.consistency = "fuzzy",
		.driver = "fake",
		.still = still,
		.threads = 1,
		.counts = &counts,
	};
	if (writer_backup(w->writer, &f.source, &params, ret, &e) < 0)
		fail_msg("%s", e.msg);
}

static void test_writer_backup__a_further_name_that_vanishes_is_gone(void **state)
{
	auto_world struct world w;
	struct point p;

	(void)state;
	world_init(&w);
	backup_links(&w, false, false, &p);
	assert_int_equal(p.gone, 1);
	assert_int_equal(p.unreadable, 0);
	assert_int_equal(p.others, 1);
	point_clear(&p);
	backup_links(&w, true, false, &p);
	assert_int_equal(p.gone, 0);
	assert_int_equal(p.unreadable, 1);
	point_clear(&p);
}

static void test_writer_backup__what_vanishes_from_a_view_that_is_still_was_lost(void **state)
{
	auto_world struct world w;
	struct point p;

	(void)state;
	world_init(&w);
	backup_links(&w, false, true, &p);
	assert_int_equal(p.gone, 0);
	assert_int_equal(p.unreadable, 1);
	assert_int_equal(p.nproblems, 1);
	assert_string_equal(p.problems[0].path, "b");
	assert_string_equal(p.problems[0].why, "vanished from a view that nobody may change");
	point_clear(&p);
}

/* ---- names of one file, read while they change ---- */

/* A name of a regular file, as it is listed, and what is there when it is opened. */
struct name_now {
	const char *name;
	uint64_t ino, size;
	uint64_t opens_ino; /* 0: it has vanished by then */
};

struct names {
	struct fake fake;
	const struct name_now *of;
	size_t n;
};

static struct names *names_of(struct source *s)
{
	return (struct names *)(void *)s;
}

static int names_next(struct source *s, struct batch **ret, struct err *e)
{
	const struct names *f = names_of(s);

	(void)e;
	*ret = NULL;
	if (names_of(s)->fake.step++ > 1)
		return 0;
	struct batch *b = calloc(1, sizeof(*b));
	if (!b)
		harness_die("no memory");
	b->source = s;
	b->n = 1;
	b->entries[0] = (struct entry){ .path = "", .st = { .mode = S_IFDIR | 0700, .nlink = 2 } };
	if (f->fake.step == 2)
		b->n = f->n;
	for (size_t i = 0; i < b->n && f->fake.step == 2; i++)
		b->entries[i] = (struct entry){
			.path = f->of[i].name,
			.path_len = strlen(f->of[i].name),
			.st = { .mode = S_IFREG | 0600,
			        .nlink = 3,
			        .ino = f->of[i].ino,
			        .size = f->of[i].size },
		};
	for (size_t i = 0; i < b->n; i++)
		b->entries[i].name = b->entries[i].path;
	*ret = b;
	return 0;
}

static int names_open(struct source *s, struct entry *n, struct content **ret, struct err *e)
{
	const struct names *f = names_of(s);

	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->of[i].name, n->path) != 0)
			continue;
		if (!f->of[i].opens_ino)
			return err_sys(e, ENOENT, "opening '%s'", n->path);
		n->st.ino = f->of[i].opens_ino;
		n->st.size = f->fake.now->size;
	}
	return fake_open(s, n, ret, e);
}

/* Backs the names up into a new world; want has for each record "name=linked name " in order. */
static void backup_names(struct world *w, const struct name_now *of, size_t n, const char *want)
{
	char got[256] = "";
	auto_image struct image m = full_image(3 * PAGE);
	struct source_ops ops = fake_ops;
	struct names f = { .fake = { .source = { .ops = &ops }, .now = &m }, .of = of, .n = n };
	struct progress_counts counts = { 0 };
	const struct record *rec;
	struct leaf *leaf;
	struct err e = ERR_INIT;
	size_t len = 0;
	auto_tree struct tree *t = NULL;

	ops.next = names_next;
	ops.open = names_open;
	const struct writer_params params = {
		.volume = &volume_name,
		.domain = "d",
		.consistency = "fuzzy",
		.driver = "fake",
		.threads = 1,
		.counts = &counts,
	};
	world_init(w);
	if (writer_backup(w->writer, &f.fake.source, &params, &w->point, &e) < 0)
		fail_msg("%s", e.msg);
	w->any = true;
	if (tree_open(w->reader, &w->point, &t, &e) < 0)
		fail_msg("%s", e.msg);
	for (;;) {
		if (tree_next(t, &rec, &leaf, &e) < 0)
			fail_msg("%s", e.msg);
		if (!rec)
			break;
		if (rec->path_len > 0)
			len += (size_t)snprintf(got + len, sizeof(got) - len, "%.*s=%.*s ",
			                        (int)rec->path_len, rec->path,
			                        (int)rec->hardlink_len, rec->hardlink);
	}
	assert_string_equal(got, want);
}

static void test_writer_backup__names_that_vanish_are_nothing_to_link_to(void **state)
{
	static const struct name_now names[] = {
		{ "a", 9, 5, 0 }, { "b", 9, 5, 0 }, { "c", 9, 5, 9 }, { "d", 9, 5, 9 }
	};
	auto_world struct world w;

	(void)state;
	backup_names(&w, names, ARRAY_LEN(names), "c= d=c ");
	assert_int_equal(w.point.gone, 2);
	assert_int_equal(w.point.files, 2);
}

static void test_writer_backup__a_name_that_is_another_file_is_nothing_to_link_to(void **state)
{
	static const struct name_now names[] = { { "a", 9, 5, 10 },
		                                 { "b", 9, 5, 9 },
		                                 { "c", 9, 5, 9 } };
	auto_world struct world w;

	(void)state;
	backup_names(&w, names, ARRAY_LEN(names), "a= b= c=b ");
}

/* The number of a file that is removed is given to the next one that is made. */
static void test_writer_backup__an_inode_number_that_came_back_is_another_file(void **state)
{
	static const struct name_now names[] = { { "a", 9, 5, 9 },
		                                 { "b", 9, 6, 9 },
		                                 { "c", 9, 6, 9 } };
	auto_world struct world w;

	(void)state;
	backup_names(&w, names, ARRAY_LEN(names), "a= b= c=b ");
	/* it may also be the same file, with names that are no links now: that is told */
	assert_int_equal(w.point.nproblems, 1);
	assert_string_equal(w.point.problems[0].path, "b");
}

/* ---- writer_previous ---- */

static void test_writer_previous__tells_of_the_point_that_is_gone_by(void **state)
{
	auto_world struct world w;
	auto_image struct image a = full_image(MIB);
	struct writer_previous p;
	struct err e = ERR_INIT;

	(void)state;
	world_init(&w);
	w.block = true;
	assert_int_equal(writer_previous(w.writer, &volume_name, "d", &p, &e), 0);
	assert_string_equal(p.session, "");
	backup(&w, &a, NULL);
	backup(&w, &a, &a);
	assert_int_equal(writer_previous(w.writer, &volume_name, "d", &p, &e), 0);
	assert_string_equal(p.session, w.point.session);
	assert_string_equal(p.token, "view 2");
	assert_string_equal(p.driver, "fake");
	assert_false(p.distrusted);
	assert_int_equal(p.unread_points, 1);
	/* of a machine that remembers nothing */
	assert_int_equal(writer_previous(w.reader, &volume_name, "d", &p, &e), 0);
	assert_string_equal(p.session, w.point.session);
	assert_string_equal(p.token, "view 2");
	/* of another domain nothing can be taken */
	assert_int_equal(writer_previous(w.writer, &volume_name, "other", &p, &e), 0);
	assert_string_equal(p.session, "");
	assert_string_equal(p.token, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writer_backup__reads_only_what_is_claimed),
		cmocka_unit_test(test_writer_backup__reads_everything_when_the_base_is_not_certain),
		cmocka_unit_test(test_writer_backup__a_list_that_breaks_off_claims_the_rest),
		cmocka_unit_test(test_writer_backup__a_stale_base_does_not_count),
		cmocka_unit_test(test_writer_backup__takes_only_what_both_sizes_have),
		cmocka_unit_test(test_writer_backup__needs_no_page_cache),
		cmocka_unit_test(test_writer_backup__reads_what_is_marked_as_damaged),
		cmocka_unit_test(test_writer_backup__a_large_file_that_broke_off_is_read_again),
		cmocka_unit_test(test_writer_backup__bounds_the_pieces_of_a_window),
		cmocka_unit_test(test_writer_backup__compare_finds_nothing_where_all_was_told),
		cmocka_unit_test(test_writer_backup__compare_counts_what_was_not_told),
		cmocka_unit_test(test_writer_backup__any_changes_of_a_device),
		cmocka_unit_test(test_writer_backup__any_changes_of_a_file_that_grows_and_shrinks),
		cmocka_unit_test(test_writer_backup__any_changes_of_a_large_sparse_image),
		cmocka_unit_test(test_writer_backup__a_further_name_that_vanishes_is_gone),
		cmocka_unit_test(
			test_writer_backup__what_vanishes_from_a_view_that_is_still_was_lost),
		cmocka_unit_test(test_writer_backup__names_that_vanish_are_nothing_to_link_to),
		cmocka_unit_test(
			test_writer_backup__a_name_that_is_another_file_is_nothing_to_link_to),
		cmocka_unit_test(
			test_writer_backup__an_inode_number_that_came_back_is_another_file),
		cmocka_unit_test(test_writer_previous__tells_of_the_point_that_is_gone_by),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
