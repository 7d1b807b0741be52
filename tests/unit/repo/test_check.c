/* SPDX-License-Identifier: Apache-2.0 */
/* The check: which level finds which damage, and which files it says are hurt. */
#include "repo/check.h"

#include <stdatomic.h>

#include "repo/collection.h"
#include "repo/gc.h"
#include "repo/run_log.h"
#include "tests/harness/keys_kit.h"

#define DATA_START 158 /* of the first ciphertext in a pack with one recipient */

/* What a check said. */
struct said {
	struct check_result result;
	struct buf problems; /* "missing pack/…: 3\n" */
	struct buf texts;    /* with the sentences */
	struct buf hurt;     /* "SESSION PATH entries\n" */
};

#define SAID_INIT                                                                            \
	{                                                                                    \
		.problems = BUF_INIT(MIB), .texts = BUF_INIT(4 * MIB), .hurt = BUF_INIT(MIB) \
	}

static void said_clear(struct said *s)
{
	buf_clear(&s->problems);
	buf_clear(&s->texts);
	buf_clear(&s->hurt);
}
#define auto_said CLEANUP(said_clear)

static int on_problem(void *arg, const struct check_problem *p, struct err *e)
{
	struct said *s = arg;

	(void)e;
	assert_true(strlen(p->text) > 10);
	(void)buf_printf(&s->problems, "%s %s: %llu\n", check_what_name(p->what), p->object,
	                 (unsigned long long)p->chunks);
	(void)buf_printf(&s->texts, "%s %s: %s\n", check_what_name(p->what), p->object, p->text);
	return 0;
}

static int on_hurt(void *arg, const struct check_hurt *h, struct err *e)
{
	struct said *s = arg;

	(void)e;
	(void)buf_printf(&s->hurt, "%.10s %s /%s%s %llu\n", h->session, h->volume, h->path,
	                 h->subtree ? "..." : "", (unsigned long long)h->entries);
	return 0;
}

static void run_with(const struct repo *r, unsigned level, unsigned threads, struct said *s)
{
	const struct check_params p = {
		.level = level,
		.threads = threads,
		.problem = on_problem,
		.hurt = on_hurt,
		.arg = s,
	};

	buf_reset(&s->problems);
	buf_reset(&s->texts);
	buf_reset(&s->hurt);
	ok(check_run(r, &p, &s->result, e));
	assert_int_equal(s->result.level, level);
}

static void run(const struct kit *k, unsigned level, struct said *s)
{
	run_with(k->recovery, level, 2, s);
}

static void assert_clean(const struct kit *k, unsigned level)
{
	auto_said struct said s = SAID_INIT;

	run(k, level, &s);
	assert_string_equal(buf_cstr(&s.texts), "");
	assert_string_equal(buf_cstr(&s.hurt), "");
	assert_int_equal(s.result.problems, 0);
	assert_int_equal(s.result.hurt_entries, 0);
}

/* Level: exactly this problem, once; none at the levels below. hurt: the files, or "". */
static void assert_found(const struct kit *k, unsigned level, const char *problem, const char *hurt)
{
	auto_said struct said s = SAID_INIT;

	for (unsigned below = 0; below < level; below++)
		assert_clean(k, below);
	for (; level <= CHECK_LEVEL_MAX; level++) {
		run(k, level, &s);
		assert_string_equal(buf_cstr(&s.problems), problem);
		assert_string_equal(buf_cstr(&s.hurt), hurt);
	}
}

static void format(char *ret, size_t max, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void format(char *ret, size_t max, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(ret, max, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < max);
}

/* Two points of one volume: 40 files, and the same but for the last 20. */
struct two {
	struct kit k;
	struct point first, second;
	struct kit_names data, meta, idx; /* names in order; which is whose: below */
	const char *data_of[2], *meta_of[2];
};

#define RUN_A "aaaa0000000000000000000000000001"
#define RUN_B "bbbb0000000000000000000000000002"
#define FILES 40
#define BYTES 3000

static const struct kit_content first_content = {
	.volume = "v", .domain = "d", .n = 1, .files = FILES, .bytes = BYTES, .seed = 1000
};

/* The name that is in `now` and was not in `before`. */
static const char *new_name(const struct kit_names *now, const char *before)
{
	for (size_t i = 0; i < now->n; i++) {
		if (strcmp(now->keys[i], before) != 0)
			return now->keys[i];
	}
	fail_msg("there is no other pack");
	return NULL;
}

static void two_init(struct two *t)
{
	struct kit_names names;
	static char first_data[128];
	static char first_meta[128];

	memset(t, 0, sizeof(*t));
	t->k = kit_new();
	t->first = kit_backup(&t->k, &first_content);
	kit_list(&t->k, "pack/", &names);
	assert_int_equal(names.n, 1);
	format(first_data, sizeof(first_data), "%s", names.keys[0]);
	kit_list(&t->k, "meta/", &names);
	assert_int_equal(names.n, 1);
	format(first_meta, sizeof(first_meta), "%s", names.keys[0]);

	/* of the second point, files from 20 on differ */
	struct kit_content c = first_content;
	c.n = 2;
	c.from = FILES;
	c.files = FILES + 20;
	c.previous = &t->first;
	struct kit_content more = c;
	more.from = FILES;
	t->second = kit_backup(&t->k, &more);
	kit_list(&t->k, "pack/", &t->data);
	kit_list(&t->k, "meta/", &t->meta);
	kit_list(&t->k, "idx/", &t->idx);
	assert_int_equal(t->data.n, 2);
	assert_int_equal(t->meta.n, 2);
	assert_int_equal(t->idx.n, 2);
	t->data_of[0] = first_data;
	t->data_of[1] = new_name(&t->data, first_data);
	t->meta_of[0] = first_meta;
	t->meta_of[1] = new_name(&t->meta, first_meta);
}

static void two_clear(struct two *t)
{
	point_clear(&t->first);
	point_clear(&t->second);
	kit_clear(&t->k);
}
#define auto_two CLEANUP(two_clear)

static void session_key(char ret[128], const char *prefix, const struct point *p)
{
	format(ret, 128, "%s%s", prefix, p->session);
}

/* ---- nothing is wrong ---- */

static void test_check_run__whole_repository_has_no_problem_at_any_level(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;

	(void)state;
	two_init(&t);
	for (unsigned level = 0; level <= CHECK_LEVEL_MAX; level++) {
		run(&t.k, level, &s);
		assert_string_equal(buf_cstr(&s.texts), "");
		assert_int_equal(s.result.problems, 0);
		assert_int_equal(s.result.points, 2);
		assert_int_equal(s.result.packs, 2);
		assert_int_equal(s.result.node_packs, 2);
		assert_int_equal(s.result.segments, 2);
		assert_int_equal(s.result.nodes, 2);
		assert_int_equal(s.result.chunks, FILES + 20);
		assert_int_equal(s.result.open_sessions, 0);
		assert_int_equal(s.result.unreferenced, 0);
		assert_int_equal(s.result.foreign, 0);
	}
	/* level 4 has read all ciphertexts: more than the plain text of the files */
	assert_true(s.result.bytes_read > (FILES + 20) * BYTES);
}

static void test_check_run__empty_repository_has_no_problem(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	for (unsigned level = 0; level <= CHECK_LEVEL_MAX; level++)
		assert_clean(&k, level);
}

static void test_check_run__any_key_reaches_level_3_and_only_recovery_level_4(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	struct check_params p = { .level = 4 };

	(void)state;
	two_init(&t);
	for (unsigned level = 0; level <= 3; level++) {
		run_with(t.k.audit, level, 1, &s);
		assert_int_equal(s.result.problems, 0);
		run_with(t.k.agent, level, 1, &s);
		assert_int_equal(s.result.problems, 0);
	}
	fails_saying(ERR_DENIED, "recovery key", check_run(t.k.audit, &p, &s.result, e));
	fails_saying(ERR_DENIED, "recovery key", check_run(t.k.agent, &p, &s.result, e));
	p.level = 5;
	fails_saying(ERR_INVALID, "level 5", check_run(t.k.recovery, &p, &s.result, e));
}

/* ---- what is missing ---- */

static void test_check_run__missing_data_pack_is_found_at_level_0_with_its_files(void **state)
{
	auto_two struct two t;
	char problem[256];
	char hurt[4096] = "";
	size_t n = 0;

	(void)state;
	two_init(&t);
	kit_remove(&t.k, t.data_of[1]);
	format(problem, sizeof(problem), "missing %s: 20\n", t.data_of[1]);
	for (unsigned i = FILES; i < FILES + 20; i++)
		n += (size_t)snprintf(hurt + n, sizeof(hurt) - n, "2026-11-24 v /f%05u 1\n", i);
	assert_found(&t.k, 0, problem, hurt);
}

static void test_check_run__missing_pack_that_two_points_share_hurts_both(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;

	(void)state;
	two_init(&t);
	kit_remove(&t.k, t.data_of[0]);
	run(&t.k, 0, &s);
	assert_int_equal(s.result.problems, 1);
	assert_int_equal(s.result.hurt_points, 2);
	assert_int_equal(s.result.hurt_entries, 2 * FILES);
	assert_non_null(strstr(buf_cstr(&s.hurt), "2026-11-23 v /f00000 1\n"));
	assert_non_null(strstr(buf_cstr(&s.hurt), "2026-11-24 v /f00039 1\n"));
	assert_null(strstr(buf_cstr(&s.hurt), "/f00040"));
}

static void test_check_run__missing_node_pack_is_found_at_level_0_with_the_whole_tree(void **state)
{
	auto_two struct two t;
	char problem[256];

	(void)state;
	two_init(&t);
	kit_remove(&t.k, t.meta_of[0]);
	format(problem, sizeof(problem), "missing %s: 1\n", t.meta_of[0]);
	assert_found(&t.k, 0, problem, "2026-11-23 v /... 41\n");
}

static void test_check_run__missing_index_segment_hurts_no_file(void **state)
{
	auto_two struct two t;

	(void)state;
	two_init(&t);
	kit_remove(&t.k, t.idx.keys[0]);
	assert_found(&t.k, 0, "missing idx/: 0\n", "");
}

static void test_check_run__missing_pack_that_only_the_index_names_hurts_no_file(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	struct kit_content c = first_content;
	struct kit_names names;
	char problem[256];

	(void)state;
	two_init(&t);
	c.n = 3;
	c.seed = 9000;
	c.uncommitted = true;
	auto_kit_point struct point p = kit_backup(&t.k, &c);
	run(&t.k, 2, &s);
	assert_int_equal(s.result.problems, 0);
	assert_int_equal(s.result.open_sessions, 1);

	kit_list(&t.k, "pack/", &names);
	for (size_t i = 0; i < names.n; i++) {
		if (strcmp(names.keys[i], t.data_of[0]) != 0 &&
		    strcmp(names.keys[i], t.data_of[1]) != 0) {
			format(problem, sizeof(problem), "missing %s: 0\n", names.keys[i]);
			kit_remove(&t.k, names.keys[i]);
		}
	}
	assert_found(&t.k, 0, problem, "");
}

static void test_check_run__packs_that_moved_are_found_through_the_index(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_said struct said s = SAID_INIT;
	struct kit_content c = { .volume = "v",
		                 .domain = "d",
		                 .n = 1,
		                 .files = 5000,
		                 .bytes = 64,
		                 .seed = 1,
		                 .moved = true };
	struct kit_names names;

	(void)state;
	auto_kit_point struct point p = kit_backup(&k, &c);
	assert_true(p.levels > 1);
	for (unsigned level = 0; level <= CHECK_LEVEL_MAX; level++) {
		run(&k, level, &s);
		assert_string_equal(buf_cstr(&s.texts), "");
		assert_int_equal(s.result.chunks, 5000);
	}

	/* damage in the new places hurts the point that comes there by the index */
	kit_list(&k, "pack/", &names);
	assert_int_equal(names.n, 1);
	kit_flip(&k, names.keys[0], DATA_START + 7 * (64 + 16) + 5);
	run(&k, 3, &s);
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-23 v /f00007 1\n");
	kit_list(&k, "meta/", &names);
	kit_flip(&k, names.keys[0], DATA_START + 50);
	run(&k, 0, &s);
	assert_int_equal(s.result.problems, 1);
	assert_true(s.result.hurt_entries > 10 && s.result.hurt_entries < 5000);
	assert_int_equal(strncmp(buf_cstr(&s.hurt), "2026-11-23 v /... ", 18), 0);
}

static void test_check_run__chunks_that_moved_nowhere_are_lost(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_said struct said s = SAID_INIT;
	struct kit_content c = first_content;

	(void)state;
	c.moved = true;
	c.unindexed = true;
	auto_kit_point struct point p = kit_backup(&k, &c);
	run(&k, 0, &s);
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-23 v /... 41\n");
	assert_int_equal(s.result.unreferenced, 2);
}

/* ---- what is too short or too long ---- */

static void test_check_run__truncated_pack_is_found_at_level_0(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	char problem[256];
	size_t n;

	(void)state;
	two_init(&t);
	free(kit_get(&t.k, t.data_of[1], &n));
	/* chunks 0 to 9 are whole, the tenth is not */
	kit_cut(&t.k, t.data_of[1], n - (DATA_START + 10 * (BYTES + 16) + 100));
	format(problem, sizeof(problem), "size %s: 10\n", t.data_of[1]);
	run(&t.k, 0, &s);
	assert_string_equal(buf_cstr(&s.problems), problem);
	assert_int_equal(s.result.hurt_entries, 10);
	assert_non_null(strstr(buf_cstr(&s.hurt), "/f00050 1\n"));
	assert_null(strstr(buf_cstr(&s.hurt), "/f00049 1\n"));
	run(&t.k, 1, &s);
	assert_string_equal(buf_cstr(&s.problems), problem);

	/* at level 4 the chunks that are left are still read, although the footer is gone */
	run(&t.k, 4, &s);
	assert_int_equal(s.result.hurt_entries, 10);
}

static void test_check_run__pack_with_bytes_behind_its_end_is_found_at_level_0(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	char problem[256];
	size_t n;

	(void)state;
	two_init(&t);
	auto_free uint8_t *p = kit_get(&t.k, t.data_of[0], &n);
	auto_free uint8_t *longer = calloc(1, n + 4096);
	memcpy(longer, p, n);
	kit_replace(&t.k, t.data_of[0], longer, n + 4096);
	format(problem, sizeof(problem), "size %s: 0\n", t.data_of[0]);
	run(&t.k, 0, &s);
	assert_string_equal(buf_cstr(&s.problems), problem);
	assert_string_equal(buf_cstr(&s.hurt), "");
	/* and its trailer is not where it should be */
	format(problem, sizeof(problem), "size %s: 0\ndamaged %s: 0\n", t.data_of[0], t.data_of[0]);
	run(&t.k, 4, &s);
	assert_string_equal(buf_cstr(&s.problems), problem);
	assert_string_equal(buf_cstr(&s.hurt), "");
}

static void test_check_run__stump_of_a_pack_is_told(void **state)
{
	static const size_t sizes[] = { 0, 1, 40, 100, 159, 160, 200 };
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	size_t n;

	(void)state;
	two_init(&t);
	auto_free uint8_t *p = kit_get(&t.k, t.data_of[1], &n);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		kit_replace(&t.k, t.data_of[1], p, sizes[i]);
		for (unsigned level = 0; level <= CHECK_LEVEL_MAX; level++) {
			run(&t.k, level, &s);
			assert_int_equal(s.result.hurt_entries, 20);
		}
	}
}

static void test_check_run__stump_of_a_node_pack_is_told(void **state)
{
	static const size_t sizes[] = { 0, 1, 40, 100, 158, 170 };
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	size_t n;

	(void)state;
	two_init(&t);
	auto_free uint8_t *p = kit_get(&t.k, t.meta_of[1], &n);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		kit_replace(&t.k, t.meta_of[1], p, sizes[i]);
		for (unsigned level = 0; level <= CHECK_LEVEL_MAX; level++) {
			run(&t.k, level, &s);
			assert_string_equal(buf_cstr(&s.hurt), "2026-11-24 v /... 61\n");
		}
	}
}

/* ---- what is damaged ---- */

static void test_check_run__flipped_bit_in_a_chunk_is_found_at_level_3_with_its_file(void **state)
{
	auto_two struct two t;
	char problem[256];

	(void)state;
	two_init(&t);
	kit_flip(&t.k, t.data_of[0], DATA_START + 3 * (BYTES + 16) + 1234);
	format(problem, sizeof(problem), "damaged %s: 1\n", t.data_of[0]);
	assert_found(&t.k, 3, problem, "2026-11-23 v /f00003 1\n2026-11-24 v /f00003 1\n");
}

static void test_check_run__flipped_bit_in_a_tag_is_found_at_level_3(void **state)
{
	auto_two struct two t;
	char problem[256];

	(void)state;
	two_init(&t);
	kit_flip(&t.k, t.data_of[1], DATA_START + (BYTES + 16) - 1);
	format(problem, sizeof(problem), "damaged %s: 1\n", t.data_of[1]);
	assert_found(&t.k, 3, problem, "2026-11-24 v /f00040 1\n");
}

static void test_check_run__flipped_bit_in_a_node_is_found_at_level_0(void **state)
{
	auto_two struct two t;
	char problem[256];

	(void)state;
	two_init(&t);
	kit_flip(&t.k, t.meta_of[1], DATA_START + 40);
	format(problem, sizeof(problem), "damaged %s: 1\n", t.meta_of[1]);
	assert_found(&t.k, 0, problem, "2026-11-24 v /... 61\n");
}

static void test_check_run__flipped_bit_in_a_sealed_key_is_found_at_level_2(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	char problem[256];

	(void)state;
	two_init(&t);
	kit_flip(&t.k, t.data_of[1], 36 + 34 + 20);
	format(problem, sizeof(problem), "damaged %s: 20\n", t.data_of[1]);
	assert_clean(&t.k, 1);
	for (unsigned level = 2; level <= CHECK_LEVEL_MAX; level++) {
		run(&t.k, level, &s);
		assert_string_equal(buf_cstr(&s.problems), problem);
		assert_int_equal(s.result.hurt_entries, 20);
	}
	/* the recipient's id in the slot: the key is still there, and nobody's */
	kit_flip(&t.k, t.data_of[1], 36 + 34 + 20);
	kit_flip(&t.k, t.data_of[1], 36 + 34);
	run(&t.k, 4, &s);
	assert_string_equal(buf_cstr(&s.problems), problem);
	assert_int_equal(s.result.hurt_entries, 20);
}

static void test_check_run__damaged_magic_takes_the_whole_pack(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;

	(void)state;
	two_init(&t);
	kit_flip(&t.k, t.data_of[1], 0);
	assert_clean(&t.k, 1);
	for (unsigned level = 2; level <= CHECK_LEVEL_MAX; level++) {
		run(&t.k, level, &s);
		assert_int_equal(s.result.problems, 1);
		assert_int_equal(s.result.hurt_entries, 20);
	}
	kit_flip(&t.k, t.meta_of[1], 1);
	run(&t.k, 0, &s);
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-24 v /... 61\n");
}

static void test_check_run__damaged_footer_or_trailer_is_found_at_level_2(void **state)
{
	auto_two struct two t;
	char problem[256];

	(void)state;
	two_init(&t);
	format(problem, sizeof(problem), "damaged %s: 0\n", t.data_of[0]);
	kit_flip(&t.k, t.data_of[0], -(FORMAT_TRAILER_BYTES + 30));
	assert_found(&t.k, 2, problem, "");
	kit_flip(&t.k, t.data_of[0], -(FORMAT_TRAILER_BYTES + 30));
	assert_clean(&t.k, 4);
	for (int64_t at = -FORMAT_TRAILER_BYTES; at < 0; at += 13) {
		kit_flip(&t.k, t.data_of[0], at);
		assert_found(&t.k, 2, problem, "");
		kit_flip(&t.k, t.data_of[0], at);
	}
}

static void test_check_run__damaged_footer_does_not_hide_a_damaged_chunk_at_level_4(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;

	(void)state;
	two_init(&t);
	kit_flip(&t.k, t.data_of[0], -(FORMAT_TRAILER_BYTES + 30));
	kit_flip(&t.k, t.data_of[0], DATA_START + 100);
	run(&t.k, 4, &s);
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-23 v /f00000 1\n2026-11-24 v /f00000 1\n");
	assert_non_null(strstr(buf_cstr(&s.texts), "its footer does not open"));
	assert_non_null(strstr(buf_cstr(&s.texts), "1 of 40 chunks are damaged"));
}

static void test_check_run__padding_does_not_count(void **state)
{
	auto_two struct two t;
	int64_t end = DATA_START + (int64_t)FILES * (BYTES + 16);
	size_t n;

	(void)state;
	two_init(&t);
	auto_free uint8_t *p = kit_get(&t.k, t.data_of[0], &n);
	/* the footer's place is in the trailer; what lies between is padding */
	assert_true(end <
	            (int64_t)(p[n - 160] | (uint64_t)p[n - 159] << 8 | (uint64_t)p[n - 158] << 16));
	kit_flip(&t.k, t.data_of[0], end);
	assert_clean(&t.k, 4);
}

static void test_check_run__damaged_commit_is_found_at_level_0(void **state)
{
	auto_two struct two t;
	char key[128];
	char problem[256];

	(void)state;
	two_init(&t);
	session_key(key, "commit/", &t.first);
	format(problem, sizeof(problem), "damaged %s: 0\n", key);
	kit_flip(&t.k, key, 60);
	assert_found(&t.k, 0, problem, "");
	kit_flip(&t.k, key, 60);
	kit_flip(&t.k, key, -1);
	assert_found(&t.k, 0, problem, "");
	kit_flip(&t.k, key, -1);
	kit_cut(&t.k, key, 1);
	assert_found(&t.k, 0, problem, "");
}

static void test_check_run__object_that_is_no_commit_is_told(void **state)
{
	auto_kit struct kit k = kit_new();

	(void)state;
	ok(put_text(k.store, "commit/readme.txt", "hello", e));
	assert_found(&k, 0, "mismatch commit/: 0\n", "");
}

static void test_check_run__damaged_index_segment_is_found_at_level_0(void **state)
{
	auto_two struct two t;
	char problem[256];

	(void)state;
	two_init(&t);
	kit_flip(&t.k, t.idx.keys[1], 100);
	format(problem, sizeof(problem), "missing idx/: 0\ndamaged %s: 0\n", t.idx.keys[1]);
	assert_found(&t.k, 0, problem, "");
}

static void test_check_run__damaged_session_marker_is_found_at_level_2(void **state)
{
	auto_two struct two t;
	char key[128];
	char problem[256];

	(void)state;
	two_init(&t);
	session_key(key, "sess/", &t.second);
	kit_flip(&t.k, key, 50);
	format(problem, sizeof(problem), "damaged %s: 0\n", key);
	assert_found(&t.k, 2, problem, "");
}

/* ---- what was swapped ---- */

static void test_check_run__swapped_packs_are_found_at_level_2(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_said struct said s = SAID_INIT;
	struct kit_content c = first_content;
	struct kit_names names;
	char problems[512];

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &c);
	c.n = 2;
	c.seed = 5000;
	c.previous = &a;
	auto_kit_point struct point b = kit_backup(&k, &c);
	kit_list(&k, "pack/", &names);
	assert_int_equal(names.n, 2);
	kit_swap(&k, names.keys[0], names.keys[1]);
	assert_clean(&k, 0);
	assert_clean(&k, 1);
	format(problems, sizeof(problems), "damaged %s: 40\ndamaged %s: 40\n", names.keys[0],
	       names.keys[1]);
	for (unsigned level = 2; level <= CHECK_LEVEL_MAX; level++) {
		run(&k, level, &s);
		assert_string_equal(buf_cstr(&s.problems), problems);
		assert_int_equal(s.result.hurt_entries, 2 * FILES);
	}
}

static void test_check_run__swapped_small_objects_are_found(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	char a[128];
	char b[128];
	char problems[512];

	(void)state;
	two_init(&t);
	session_key(a, "commit/", &t.first);
	session_key(b, "commit/", &t.second);
	kit_swap(&t.k, a, b);
	format(problems, sizeof(problems), "damaged %s: 0\ndamaged %s: 0\n", a, b);
	run(&t.k, 0, &s);
	assert_string_equal(buf_cstr(&s.problems), problems);
	kit_swap(&t.k, a, b);

	kit_swap(&t.k, t.idx.keys[0], t.idx.keys[1]);
	format(problems, sizeof(problems), "missing idx/: 0\ndamaged %s: 0\ndamaged %s: 0\n",
	       t.idx.keys[0], t.idx.keys[1]);
	run(&t.k, 0, &s);
	assert_string_equal(buf_cstr(&s.problems), problems);
	kit_swap(&t.k, t.idx.keys[0], t.idx.keys[1]);

	session_key(a, "sess/", &t.first);
	session_key(b, "sess/", &t.second);
	kit_swap(&t.k, a, b);
	format(problems, sizeof(problems), "damaged %s: 0\ndamaged %s: 0\n", a, b);
	run(&t.k, 2, &s);
	assert_string_equal(buf_cstr(&s.problems), problems);
}

/* ---- what contradicts ---- */

static void test_check_run__index_that_tells_wrong_places_is_found_at_level_2(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_content c = first_content;
	struct kit_names data;
	struct kit_names meta;
	char problems[512];

	(void)state;
	c.index_off = 8;
	auto_kit_point struct point p = kit_backup(&k, &c);
	kit_list(&k, "pack/", &data);
	kit_list(&k, "meta/", &meta);
	format(problems, sizeof(problems), "mismatch %s: 0\nmismatch %s: 0\n", meta.keys[0],
	       data.keys[0]);
	assert_found(&k, 2, problems, "");
}

static void test_check_run__tree_that_tells_wrong_lengths_is_found_at_level_2(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_said struct said s = SAID_INIT;
	struct kit_content c = first_content;
	struct kit_names names;
	char problem[256];

	(void)state;
	c.tree_stored = 1;
	auto_kit_point struct point p = kit_backup(&k, &c);
	kit_list(&k, "pack/", &names);
	format(problem, sizeof(problem), "mismatch %s: 40\n", names.keys[0]);
	assert_clean(&k, 1);
	run(&k, 2, &s);
	assert_string_equal(buf_cstr(&s.problems), problem);
	assert_int_equal(s.result.hurt_entries, FILES);
}

static void test_check_run__intact_nodes_that_lie_are_found_at_level_0(void **state)
{
	static const struct {
		enum kit_lie lie;
		const char *says;
	} cases[] = {
		{ KIT_LIE_ID, "its content does not have its id" },
		{ KIT_LIE_LEVEL, "it is not of level 0" },
		{ KIT_LIE_FORM, "tree node" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_kit struct kit k = kit_new();
		auto_said struct said s = SAID_INIT;
		struct kit_content c = first_content;

		c.node_lie = cases[i].lie;
		auto_kit_point struct point p = kit_backup(&k, &c);
		run(&k, 0, &s);
		assert_int_equal(s.result.problems, 1);
		if (!strstr(buf_cstr(&s.texts), cases[i].says))
			fail_msg("%s", buf_cstr(&s.texts));
		assert_string_equal(buf_cstr(&s.hurt), "2026-11-23 v /... 41\n");
	}
}

static void test_check_run__intact_chunk_with_another_content_is_found_at_level_4(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_said struct said s = SAID_INIT;
	struct kit_content c = first_content;

	(void)state;
	c.chunk_lie = KIT_LIE_ID;
	auto_kit_point struct point p = kit_backup(&k, &c);
	assert_clean(&k, 3);
	run(&k, 4, &s);
	assert_non_null(strstr(buf_cstr(&s.texts), "its content does not have its id"));
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-23 v /f00000 1\n");
}

static void test_check_run__pack_under_a_name_of_another_kind_is_found_at_level_2(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	char name[128];
	size_t n;

	(void)state;
	two_init(&t);
	format(name, sizeof(name), "meta%s", t.data_of[0] + strlen("pack"));
	auto_free uint8_t *p = kit_get(&t.k, t.data_of[0], &n);
	ok(put_bytes(t.k.store, name, p, n, e));
	assert_clean(&t.k, 1);
	run(&t.k, 2, &s);
	assert_int_equal(s.result.problems, 1);
	assert_non_null(strstr(buf_cstr(&s.texts), name));
	assert_string_equal(buf_cstr(&s.hurt), "");
}

/* ---- what is only counted ---- */

static void test_check_run__leftovers_are_counted_and_no_problem(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	struct kit_content c = first_content;

	(void)state;
	two_init(&t);
	c.n = 3;
	c.seed = 7000;
	c.unfinished = true;
	auto_kit_point struct point p = kit_backup(&t.k, &c);
	ok(put_text(t.k.store, "pack/readme", "no pack", e));
	for (unsigned level = 0; level <= CHECK_LEVEL_MAX; level++) {
		run(&t.k, level, &s);
		assert_int_equal(s.result.problems, 0);
		assert_int_equal(s.result.unreferenced, 1);
		assert_true(s.result.unreferenced_bytes > FILES * BYTES);
		assert_int_equal(s.result.open_sessions, 1);
		assert_int_equal(s.result.foreign, 1);
		assert_int_equal(s.result.unknown_packs, 0);
	}
}

static void test_check_run__packs_of_an_unknown_domain_are_counted(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	struct kit_content c = first_content;

	(void)state;
	two_init(&t);
	c.n = 3;
	c.domain = "another";
	c.uncommitted = true;
	auto_kit_point struct point p = kit_backup(&t.k, &c);
	run(&t.k, 3, &s);
	assert_int_equal(s.result.problems, 0);
	assert_int_equal(s.result.unknown_segments, 1);
	assert_int_equal(s.result.unknown_packs, 2);
	assert_int_equal(s.result.unreferenced, 2);
}

static void test_check_run__point_without_index_is_told_and_hurts_no_file(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_content c = first_content;

	(void)state;
	c.unindexed = true;
	auto_kit_point struct point p = kit_backup(&k, &c);
	/* Everything is there; later backups do not know. */
	assert_found(&k, 0, "missing idx/: 0\n", "");
}

/* ---- trees of several levels, several domains ---- */

#define MANY 6000

static void test_check_run__damaged_leaf_hurts_its_own_range_of_names_only(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_said struct said s = SAID_INIT;
	struct kit_names names;
	struct kit_content c = {
		.volume = "big", .domain = "d", .n = 1, .files = MANY, .bytes = 64, .seed = 1
	};

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &c);
	c.n = 2;
	c.from = MANY;
	c.files = MANY + 1;
	c.previous = &a;
	auto_kit_point struct point b = kit_backup(&k, &c);
	assert_true(a.levels > 1);
	run(&k, 4, &s);
	assert_int_equal(s.result.problems, 0);
	assert_int_equal(s.result.chunks, MANY + 1);

	/* the first leaf, which both trees share: it is the first in the first pack of nodes */
	kit_list(&k, "meta/", &names);
	for (size_t i = 0; i < names.n; i++) {
		size_t n;

		free(kit_get(&k, names.keys[i], &n));
		if (n > 200 * KIB)
			kit_flip(&k, names.keys[i], DATA_START + 99);
	}
	run(&k, 0, &s);
	assert_int_equal(s.result.problems, 1);
	assert_int_equal(s.result.hurt_points, 2);
	assert_true(s.result.hurt_entries > 2 && s.result.hurt_entries < 2 * MANY);
	assert_int_equal(s.result.hurt_entries % 2, 0);
	assert_int_equal(strncmp(buf_cstr(&s.hurt), "2026-11-23 big /... ", 20), 0);
	assert_non_null(strstr(buf_cstr(&s.hurt), "\n2026-11-24 big /... "));
}

static void test_check_run__what_a_new_signer_has_put_is_no_damage(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_content c = {
		.volume = "v", .domain = "d", .n = 1, .files = 3, .bytes = 100000, .seed = 1
	};
	struct repo *before = kit_open(&k, "audit.key");
	struct repo *node = kit_add_agent(&k, "node-7");
	auto_kit_point struct point p = kit_backup_by(&k, node, &c);
	const struct check_params params = { .level = 3 };
	struct gc_params gc = { .fence_after_ns = 1 };
	struct check_result r;
	struct gc_result g;

	(void)state;
	fails_saying(ERR_BUSY, "keys of this repository have changed",
	             check_run(before, &params, &r, e));
	gc.dry_run = true;
	fails_saying(ERR_BUSY, "keys of this repository have changed", gc_run(before, &gc, &g, e));
	struct repo *now = kit_open(&k, "audit.key");
	ok(check_run(now, &params, &r, e));
	assert_int_equal(r.problems, 0);
	repo_free(now);
	repo_free(node);
	repo_free(before);
}

static void test_check_run__one_file_of_many_is_named(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_said struct said s = SAID_INIT;
	struct kit_names names;
	struct kit_content c = {
		.volume = "big", .domain = "d", .n = 1, .files = MANY, .bytes = 64, .seed = 1
	};

	(void)state;
	auto_kit_point struct point a = kit_backup(&k, &c);
	kit_list(&k, "pack/", &names);
	kit_flip(&k, names.keys[0], DATA_START + 4321 * (64 + 16) + 10);
	run(&k, 4, &s);
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-23 big /f04321 1\n");
}

static void test_check_run__domains_and_volumes_are_told_apart(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	struct kit_content c = first_content;
	struct kit_names names;

	(void)state;
	two_init(&t);
	c.volume = "w";
	c.domain = "another";
	auto_kit_point struct point p = kit_backup(&t.k, &c);
	assert_clean(&t.k, 4);
	kit_list(&t.k, "pack/", &names);
	for (size_t i = 0; i < names.n; i++) {
		if (strcmp(names.keys[i], t.data_of[0]) != 0 &&
		    strcmp(names.keys[i], t.data_of[1]) != 0)
			kit_flip(&t.k, names.keys[i], DATA_START + 1);
	}
	run(&t.k, 3, &s);
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-23 w /f00000 1\n");
}

/* ---- how it is told ---- */

static void test_check_run__same_words_whatever_the_threads(void **state)
{
	auto_two struct two t;
	auto_said struct said a = SAID_INIT;
	auto_said struct said b = SAID_INIT;

	(void)state;
	two_init(&t);
	for (unsigned i = 0; i < 10; i++)
		kit_flip(&t.k, t.data_of[i % 2], DATA_START + i * (BYTES + 16) + 1);
	kit_remove(&t.k, t.meta_of[0]);
	kit_cut(&t.k, t.idx.keys[0], 3);
	run_with(t.k.recovery, 4, 1, &a);
	for (unsigned threads = 1; threads <= 4; threads++) {
		run_with(t.k.recovery, 4, threads, &b);
		assert_string_equal(buf_cstr(&a.texts), buf_cstr(&b.texts));
		assert_string_equal(buf_cstr(&a.hurt), buf_cstr(&b.hurt));
		assert_int_equal(a.result.bytes_read, b.result.bytes_read);
	}
}

static void test_check_run__tells_no_more_files_than_wanted_and_counts_all(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	const struct check_params p = { .hurt_max = 3, .hurt = on_hurt, .arg = &s };

	(void)state;
	two_init(&t);
	kit_remove(&t.k, t.data_of[0]);
	ok(check_run(t.k.audit, &p, &s.result, e));
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-23 v /f00000 1\n"
	                                       "2026-11-23 v /f00001 1\n"
	                                       "2026-11-23 v /f00002 1\n");
	assert_int_equal(s.result.hurt_entries, 2 * FILES);
	assert_int_equal(s.result.problems, 1);
}

static int refuse_problem(void *arg, const struct check_problem *p, struct err *e)
{
	(void)arg;
	return err_set(e, ERR_BUSY, "the test does not want '%s'", p->object);
}

static int refuse_hurt(void *arg, const struct check_hurt *h, struct err *e)
{
	(void)arg;
	return err_set(e, ERR_BUSY, "the test does not want '%s'", h->path);
}

static void test_check_run__callbacks_can_end_it(void **state)
{
	auto_two struct two t;
	struct check_result result;
	struct check_params p = { .problem = refuse_problem };

	(void)state;
	two_init(&t);
	kit_remove(&t.k, t.data_of[0]);
	fails_saying(ERR_BUSY, "does not want 'pack/", check_run(t.k.audit, &p, &result, e));
	p = (struct check_params){ .hurt = refuse_hurt };
	fails_saying(ERR_BUSY, "does not want 'f00000'", check_run(t.k.audit, &p, &result, e));
}

static void test_check_run__counts_progress(void **state)
{
	auto_two struct two t;
	struct progress_counts counts = { 0 };
	struct check_result result;
	const struct check_params p = { .level = 3, .counts = &counts };

	(void)state;
	two_init(&t);
	ok(check_run(t.k.audit, &p, &result, e));
	assert_int_equal(counts.files_total, 4);
	assert_int_equal(counts.files_done, 4);
	assert_int_equal(counts.bytes_total, result.pack_bytes);
	assert_true(counts.bytes_done >= (FILES + 20) * BYTES);
	assert_int_equal(counts.errors, 0);
	kit_remove(&t.k, t.data_of[0]);
	ok(check_run(t.k.audit, &p, &result, e));
	assert_true(counts.errors > 0);
}

/* ---- the store does not work ---- */

struct fault_plan {
	enum store_fault fault;
	enum store_call call;
	const char *prefix;
};

static enum store_fault decide(void *arg, uint64_t n, enum store_call call, const char *key)
{
	const struct fault_plan *plan = arg;

	(void)n;
	if (call == plan->call && strncmp(key, plan->prefix, strlen(plan->prefix)) == 0)
		return plan->fault;
	return FAULT_NONE;
}

static void put_faults(struct kit *k, struct fault_plan *plan)
{
	struct err e = ERR_INIT;

	k->store = store_fault_new(k->store, decide, plan, &e);
	assert_non_null(k->store);
	k->recovery->store = k->agent->store = k->audit->store = k->store;
}

static void test_check_run__store_that_is_away_ends_it_and_blames_no_object(void **state)
{
	static const char *const prefixes[] = { "commit/", "idx/", "sess/", "pack/", "meta/" };
	auto_two struct two t;
	struct check_result result;
	struct fault_plan plan = { .fault = FAULT_NONE, .call = CALL_GET, .prefix = "" };

	(void)state;
	two_init(&t);
	put_faults(&t.k, &plan);
	plan.fault = FAULT_FAIL;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		const struct check_params p = { .level = 4 };

		plan.call = CALL_GET;
		plan.prefix = prefixes[i];
		fails(ERR_RETRY, check_run(t.k.recovery, &p, &result, e));
		plan.call = CALL_LIST;
		fails(ERR_RETRY, check_run(t.k.recovery, &p, &result, e));
	}
	plan.call = CALL_HEAD;
	const struct check_params p = { .level = 1 };
	plan.prefix = "pack/";
	fails(ERR_RETRY, check_run(t.k.recovery, &p, &result, e));
}

static void test_check_run__listed_pack_that_is_not_there_is_found_at_level_1(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	struct fault_plan plan = { .fault = FAULT_NONE, .call = CALL_HEAD, .prefix = "" };
	char problem[256];

	(void)state;
	two_init(&t);
	put_faults(&t.k, &plan);
	plan.fault = FAULT_GONE;
	plan.prefix = t.data_of[1];
	assert_clean(&t.k, 0);
	run(&t.k, 1, &s);
	format(problem, sizeof(problem), "missing %s: 20\n", t.data_of[1]);
	assert_string_equal(buf_cstr(&s.problems), problem);
	assert_int_equal(s.result.hurt_entries, 20);
}

/* A collection takes things away: what is gone may be meant to be. */
static void test_check_run__what_vanishes_beside_a_collection_is_not_told_as_lost(void **state)
{
	auto_two struct two t;
	const struct collection_list none = { 0 };
	struct fault_plan plan = { .fault = FAULT_NONE, .call = CALL_HEAD, .prefix = "" };
	const struct check_params p = { .level = 1 };
	struct check_result result;
	struct err err = ERR_INIT;

	(void)state;
	two_init(&t);
	put_faults(&t.k, &plan);
	assert_int_equal(collection_put(t.k.agent, 1, COLLECTION_CONDEMN, &none, NULL, &err), 0);
	plan.fault = FAULT_GONE;
	plan.prefix = t.data_of[1];
	fails_saying(ERR_BUSY, "objects were taken away during each of",
	             check_run(t.k.audit, &p, &result, e));
}

static void test_check_run__pack_that_vanishes_while_it_is_read_is_told(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	struct fault_plan plan = { .fault = FAULT_NONE, .call = CALL_GET, .prefix = "" };

	(void)state;
	two_init(&t);
	put_faults(&t.k, &plan);
	plan.fault = FAULT_GONE;
	plan.prefix = t.data_of[1];
	for (unsigned level = 2; level <= CHECK_LEVEL_MAX; level++) {
		run(&t.k, level, &s);
		assert_int_equal(s.result.problems, 1);
		assert_int_equal(s.result.hurt_entries, 20);
	}
	plan.prefix = t.meta_of[1];
	run(&t.k, 0, &s);
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-24 v /... 61\n");
}

/* Says once that an object is gone, and counts reads of another one. */
struct gone_plan {
	const char *gone, *counted; /* NULL: none */
	_Atomic bool told;
	_Atomic unsigned reads;
};

static enum store_fault gone_once(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct gone_plan *plan = arg;

	(void)n;
	if (call == CALL_GET && plan->counted && strcmp(key, plan->counted) == 0)
		plan->reads++;
	return call == CALL_HEAD && plan->gone && strcmp(key, plan->gone) == 0 &&
	                       !atomic_exchange(&plan->told, true)
	               ? FAULT_GONE
	               : FAULT_NONE;
}

static void test_check_run__what_was_verified_before_a_repetition_is_not_read_again(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	struct gone_plan plan = { 0 };
	unsigned reads[2]; /* at levels 2 and 3 */

	(void)state;
	two_init(&t);
	struct err err = ERR_INIT;
	t.k.store = store_fault_new(t.k.store, gone_once, &plan, &err);
	assert_non_null(t.k.store);
	t.k.recovery->store = t.k.store;
	plan.counted = t.data_of[0];
	for (unsigned i = 0; i < 2; i++) {
		plan.reads = 0;
		run(&t.k, 2 + i, &s);
		reads[i] = plan.reads;
	}
	assert_true(reads[1] > reads[0]);
	plan.reads = 0;
	plan.gone = t.data_of[1];
	run(&t.k, 3, &s);
	assert_true(plan.told);
	assert_int_equal(s.result.problems, 0);
	assert_int_equal(s.result.packs_verified, 4);
	assert_int_equal(plan.reads, reads[1] + reads[0]);
}

/* Cuts reads of one object short, from the nth on, for so many. */
struct cut_plan {
	const char *key; /* NULL: none yet */
	_Atomic unsigned seen;
	unsigned first, count;
};

static enum store_fault cut_some(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct cut_plan *plan = arg;

	(void)n;
	if (call != CALL_GET || !plan->key || strcmp(key, plan->key) != 0)
		return FAULT_NONE;
	unsigned at = plan->seen++;
	return at >= plan->first && at - plan->first < plan->count ? FAULT_TRUNCATE : FAULT_NONE;
}

static void test_check_run__range_that_cannot_be_read_is_narrowed_down(void **state)
{
	auto_two struct two t;
	auto_said struct said s = SAID_INIT;
	struct cut_plan plan = { .key = NULL };

	(void)state;
	two_init(&t);
	ok((t.k.store = store_fault_new(t.k.store, cut_some, &plan, e)) ? 0 : -1);
	t.k.recovery->store = t.k.agent->store = t.k.audit->store = t.k.store;
	/* at level 3 a pack is read in three: its end, its header, its chunks in one */
	plan.key = t.data_of[1];
	plan.first = 2;
	plan.count = 1;
	run(&t.k, 3, &s);
	assert_string_equal(buf_cstr(&s.texts), "");
	assert_int_equal(plan.seen, 3 + 20);
	/* of the chunks, read one by one then, three fail again */
	plan.seen = 0;
	plan.count = 4;
	run(&t.k, 3, &s);
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-24 v /f00040 1\n"
	                                       "2026-11-24 v /f00041 1\n"
	                                       "2026-11-24 v /f00042 1\n");
	/* of a pack of nodes its header is read, and the nodes */
	plan.key = t.meta_of[1];
	plan.seen = 0;
	plan.first = 1;
	run(&t.k, 0, &s);
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-24 v /... 61\n");
}

static void test_check_run__names_are_told_in_printable_form(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_said struct said s = SAID_INIT;
	struct kit_content c = first_content;
	struct kit_names names;

	(void)state;
	c.prefix = "a\n\\\xff ";
	auto_kit_point struct point p = kit_backup(&k, &c);
	kit_list(&k, "pack/", &names);
	kit_flip(&k, names.keys[0], DATA_START + 5);
	run(&k, 3, &s);
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-23 v /a\\x0a\\x5c\\xff 00000 1\n");
}

static void test_check_run__can_be_cancelled(void **state)
{
	auto_two struct two t;
	struct check_result result;
	struct cancel cancel;
	const struct check_params p = { .level = 3 };

	(void)state;
	two_init(&t);
	assert_int_equal(cancel_init(&cancel), 0);
	cancel_request(&cancel);
	t.k.audit->cancel = &cancel;
	struct err e = ERR_INIT;
	assert_int_equal(check_run(t.k.audit, &p, &result, &e), -1);
	assert_int_equal(e.class, ERR_CANCELLED);
	cancel_clear(&cancel);
}

/* ---- choosing what is read in full ---- */

/* Eight points with a data pack each. */
static void eight(const struct kit *k)
{
	for (unsigned i = 1; i <= 8; i++) {
		char name[8];

		format(name, sizeof(name), "v%u", i);
		const struct kit_content c = { .volume = name,
			                       .domain = "d",
			                       .n = i,
			                       .files = 5,
			                       .bytes = 20000,
			                       .seed = 100 * i };
		auto_kit_point struct point p = kit_backup(k, &c);
	}
}

static struct check_result run_chosen(const struct kit *k, struct check_params p)
{
	struct check_result r;

	p.level = 3;
	p.threads = 2;
	ok(check_run(k->agent, &p, &r, e));
	return r;
}

static void test_check_run__budget_gets_around_the_whole_repository(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct check_params p = { .budget = 250000, .record = true };
	uint64_t left = 16;
	unsigned runs = 0;

	(void)state;
	eight(&k);
	for (;; runs++) {
		struct check_result r = run_chosen(&k, p);

		assert_int_equal(r.packs, 8);
		assert_int_equal(r.node_packs, 8);
		assert_int_equal(r.never_verified, left);
		if (left == 0)
			break;
		assert_true(r.bytes_verified <= 250000);
		assert_int_equal(r.packs_verified, r.packs_chosen);
		left -= r.packs_verified < left ? r.packs_verified : left;
	}
	assert_true(runs >= 3 && runs <= 6);

	/* One that is larger than the budget is read all the same. */
	struct check_result r = run_chosen(&k, (struct check_params){ .budget = 1 });
	assert_int_equal(r.packs_verified, 1);
}

static void test_check_run__damaged_packs_are_looked_at_again_first(void **state)
{
	auto_kit struct kit k = kit_new();
	struct kit_names names;
	const struct check_params p = { .max_age_ns = KIT_DAY_NS, .record = true };

	(void)state;
	eight(&k);
	kit_list(&k, "pack/", &names);
	kit_flip(&k, names.keys[3], DATA_START + 500);
	struct check_result r = run_chosen(&k, p);
	assert_int_equal(r.packs_chosen, 16);
	assert_int_equal(r.packs_verified, 15);
	assert_int_equal(r.problems, 1);
	r = run_chosen(&k, p);
	assert_int_equal(r.packs_chosen, 1);
	assert_int_equal(r.packs_verified, 0);
	assert_int_equal(r.problems, 1);
}

static enum store_fault away_for_packs(void *arg, uint64_t n, enum store_call call, const char *key)
{
	_Atomic uint64_t *gets = arg; /* asked by the threads of the check */

	(void)n;
	if (call != CALL_GET || strncmp(key, "pack/", 5) != 0)
		return FAULT_NONE;
	uint64_t left = atomic_load(gets);
	while (left > 0)
		if (atomic_compare_exchange_weak(gets, &left, left - 1))
			return FAULT_NONE;
	return FAULT_FAIL;
}

static void test_check_run__goes_on_where_it_was_interrupted(void **state)
{
	_Atomic uint64_t gets = UINT64_MAX;
	struct store *store = NULL;
	const struct check_params p = { .record = true, .resume = true };
	struct check_params cut = { .level = 3, .threads = 1, .record = true };
	struct check_result r;

	(void)state;
	ok((store = store_mem_new(e)) ? 0 : -1);
	ok((store = store_fault_new(store, away_for_packs, &gets, e)) ? 0 : -1);
	auto_kit struct kit k = kit_new_in(store);
	eight(&k);
	gets = 12; /* trailer, header and body of each */
	fails(ERR_RETRY, check_run(k.agent, &cut, &r, e));
	gets = UINT64_MAX;
	r = run_chosen(&k, p);
	assert_true(r.packs_chosen < 16 && r.packs_chosen > 8);
	/* That one ended: there is nothing to be gone on with. */
	r = run_chosen(&k, p);
	assert_int_equal(r.packs_chosen, 16);
}

static void test_check_run__sample_takes_its_share(void **state)
{
	auto_kit struct kit k = kit_new();
	uint64_t chosen = 0;

	(void)state;
	eight(&k);
	for (unsigned i = 0; i < 40; i++) {
		struct check_result r = run_chosen(&k,
		                                   (struct check_params){ .sample_percent = 50 });

		chosen += r.packs_chosen;
		assert_int_equal(r.packs_verified, r.packs_chosen);
	}
	/* 640 throws of a coin: seven standard deviations. */
	assert_true(chosen > 320 - 90 && chosen < 320 + 90);
}

static void test_check_run__refuses_choices_that_make_no_sense(void **state)
{
	auto_kit struct kit k = kit_new();
	struct check_params p = { .level = 2, .budget = 1 };
	struct check_result r;

	(void)state;
	fails_saying(ERR_INVALID, "3 and 4", check_run(k.agent, &p, &r, e));
	p = (struct check_params){ .level = 3, .sample_percent = 101 };
	fails_saying(ERR_INVALID, "percent", check_run(k.agent, &p, &r, e));
	p = (struct check_params){ .level = 3, .record = true };
	fails_saying(ERR_DENIED, "sign", check_run(k.audit, &p, &r, e));
}

/* ---- what was marked ---- */

static void test_check_run__marked_damage_that_was_stored_again_is_sound(void **state)
{
	auto_kit struct kit k = kit_new();
	auto_said struct said s = SAID_INIT;
	struct kit_content c = first_content;
	struct kit_names names;
	struct place place = { .pack = { .kind = CHUNK_DATA }, .off = DATA_START };

	(void)state;
	auto_kit_point struct point first = kit_backup(&k, &c);
	kit_list(&k, "pack/", &names);
	uint8_t kind;
	assert_int_equal(pack_key_parse(names.keys[0], place.pack.id, &kind), 0);
	kit_flip(&k, names.keys[0], DATA_START + 5);
	run(&k, 3, &s);
	assert_int_equal(s.result.problems, 1);

	/* Its id follows from its content: file 0 is the first chunk in the pack. */
	struct domain_keys *d = NULL;
	struct crypt_hasher h;
	auto_free uint8_t *plain = malloc(c.bytes);
	assert_non_null(plain);
	fill_random(c.seed, plain, c.bytes);
	ok(keys_domain(k.agent->keys, "d", &d, e));
	crypt_hasher_init(&h, d->id);
	crypt_chunk_id(&h, plain, c.bytes, place.id, NULL);
	secret_free(d);
	ok(damage_put(k.agent, &place, 1, e));
	run(&k, 3, &s);
	assert_int_equal(s.result.problems, 1);
	assert_string_equal(buf_cstr(&s.hurt), "2026-11-23 v /f00000 1\n");
	assert_non_null(strstr(buf_cstr(&s.texts), "marked as damaged"));

	/* The next backup stores it again, in another pack. */
	c.n = 2;
	c.files = 1;
	c.previous = &first;
	auto_kit_point struct point second = kit_backup(&k, &c);
	assert_clean(&k, 4);
	run(&k, 3, &s);
	assert_int_equal(s.result.known_damaged, 1);
}

/* ---- what a repair goes by ---- */

struct sunk {
	char text[4000];
	const char *refuse; /* this callback fails */
};

static int sink(struct sunk *s, const char *what, const char *text, struct err *e)
{
	size_t n = strlen(s->text);

	if (s->refuse && strcmp(s->refuse, what) == 0)
		return err_set(e, ERR_BUSY, "the test does not want to hear of a %s", what);
	(void)snprintf(s->text + n, sizeof(s->text) - n, "%s %s\n", what, text);
	return 0;
}

static int sink_domain(void *arg, const char *name, struct err *e)
{
	return sink(arg, "domain", name, e);
}

static int sink_segment(void *arg, const char *key, struct err *e)
{
	return sink(arg, "segment", key, e);
}

static int sink_unindexed(void *arg, const struct pack_name *pack, uint64_t len, struct err *e)
{
	char name[PACK_KEY_MAX];

	assert_true(len > 0);
	pack_key_name(name, pack->id, pack->kind);
	return sink(arg, "unindexed", name, e);
}

static int sink_place(void *arg, const struct place *p, struct err *e)
{
	char name[PACK_KEY_MAX];
	char text[100];

	pack_key_name(name, p->pack.id, p->pack.kind);
	(void)snprintf(text, sizeof(text), "%s at %u", name, p->off);
	return sink(arg, "place", text, e);
}

static int run_sink(const struct kit *k, unsigned level, struct sunk *s, struct err *e)
{
	const struct check_sink to = {
		.domain = sink_domain,
		.segment = sink_segment,
		.unindexed = sink_unindexed,
		.place = sink_place,
		.arg = s,
	};
	const struct check_params p = { .level = level, .threads = 2, .sink = &to };
	struct check_result result;

	s->text[0] = '\0';
	return check_run(k->recovery, &p, &result, e);
}

static void assert_sunk(const struct kit *k, unsigned level, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
static void assert_sunk(const struct kit *k, unsigned level, const char *fmt, ...)
{
	struct sunk s = { .refuse = NULL };
	char wanted[2000];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(wanted, sizeof(wanted), fmt, ap);
	va_end(ap);
	ok(run_sink(k, level, &s, e));
	assert_string_equal(s.text, wanted);
}

static void test_check_sink__of_a_whole_repository_gets_the_domains(void **state)
{
	auto_two struct two t;
	struct sunk s = { .refuse = NULL };

	(void)state;
	two_init(&t);
	for (unsigned level = 2; level <= CHECK_LEVEL_MAX; level++)
		assert_sunk(&t.k, level, "domain d\n");
	fails(ERR_INVALID, run_sink(&t.k, 1, &s, e));
}

static void test_check_sink__is_told_of_segments_that_do_not_open(void **state)
{
	auto_two struct two t;

	(void)state;
	two_init(&t);
	kit_flip(&t.k, t.idx.keys[0], 70);
	kit_flip(&t.k, t.idx.keys[1], -70);
	assert_sunk(&t.k, 2,
	            "domain d\nsegment %s\nsegment %s\nunindexed %s\nunindexed %s\n"
	            "unindexed %s\nunindexed %s\n",
	            t.idx.keys[0], t.idx.keys[1], t.data.keys[0], t.data.keys[1], t.meta.keys[0],
	            t.meta.keys[1]);
}

static void test_check_sink__is_not_told_of_unindexed_packs_that_do_not_open(void **state)
{
	auto_two struct two t;

	(void)state;
	two_init(&t);
	kit_remove(&t.k, t.idx.keys[0]);
	kit_remove(&t.k, t.idx.keys[1]);
	kit_flip(&t.k, t.data.keys[0], -50);
	assert_sunk(&t.k, 2, "domain d\nunindexed %s\nunindexed %s\nunindexed %s\n", t.data.keys[1],
	            t.meta.keys[0], t.meta.keys[1]);
}

static void test_check_sink__is_told_of_places_once(void **state)
{
	auto_two struct two t;
	uint32_t off = 0;

	(void)state;
	two_init(&t);
	/* The first chunk, of both points and of the index. */
	kit_flip(&t.k, t.data_of[0], 400);
	struct sunk s = { .refuse = NULL };
	ok(run_sink(&t.k, 2, &s, e));
	assert_null(strstr(s.text, "place"));
	ok(run_sink(&t.k, 3, &s, e));
	const char *at = strstr(s.text, " at ");
	assert_non_null(at);
	assert_int_equal(sscanf(at, " at %u", &off), 1);
	assert_true(off < 400);
	assert_sunk(&t.k, 3, "domain d\nplace %s at %u\n", t.data_of[0], off);
	assert_sunk(&t.k, 4, "domain d\nplace %s at %u\n", t.data_of[0], off);
	/* Once it is marked nobody is told any more. */
	struct place place = { .pack.kind = CHUNK_DATA, .off = off };
	uint8_t kind;
	assert_int_equal(pack_key_parse(t.data_of[0], place.pack.id, &kind), 0);
	ok(damage_put(t.k.agent, &place, 1, e));
	assert_sunk(&t.k, 3, "domain d\n");
}

static void test_check_sink__is_told_of_all_places_of_a_pack_that_is_gone(void **state)
{
	auto_two struct two t;
	struct sunk s = { .refuse = NULL };
	unsigned n = 0;

	(void)state;
	two_init(&t);
	kit_remove(&t.k, t.data_of[0]);
	ok(run_sink(&t.k, 2, &s, e));
	for (const char *p = s.text; (p = strstr(p, "place ")); p++)
		n++;
	assert_int_equal(n, FILES);
}

static void test_check_sink__can_end_the_check(void **state)
{
	static const char *const each[] = { "domain", "segment", "unindexed", "place" };
	auto_two struct two t;

	(void)state;
	two_init(&t);
	kit_flip(&t.k, t.idx.keys[0], 70);
	kit_remove(&t.k, t.idx.keys[1]);
	kit_flip(&t.k, t.data_of[0], 400);
	for (size_t i = 0; i < ARRAY_LEN(each); i++) {
		struct sunk s = { .refuse = each[i] };

		fails_saying(ERR_BUSY, each[i], run_sink(&t.k, 3, &s, e));
	}
}

/* ---- records that cannot be put ---- */

static void test_check_run__that_cannot_be_recorded_ends_well_and_says_so(void **state)
{
	static const enum store_fault faults[] = { FAULT_DENIED, FAULT_QUOTA, FAULT_FAIL };
	auto_two struct two t;
	struct fault_plan plan = { .call = CALL_PUT, .prefix = "check/" };
	const struct check_params p = { .level = 3, .threads = 2, .record = true };
	struct check_result result;

	(void)state;
	two_init(&t);
	put_faults(&t.k, &plan);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		plan.fault = faults[i];
		ok(check_run(t.k.agent, &p, &result, e));
		assert_int_equal(result.problems, 0);
		assert_int_equal(result.packs_verified, 4);
		assert_false(result.recorded);
		assert_true(result.unrecorded.class != ERR_NONE);
		assert_true(strlen(result.unrecorded.msg) > 20);
		assert_int_equal(kit_count(&t.k, "check/"), 0);
	}
	plan.fault = FAULT_NONE;
	ok(check_run(t.k.agent, &p, &result, e));
	assert_true(result.recorded);
	assert_int_equal(result.unrecorded.class, ERR_NONE);
	assert_int_equal(kit_count(&t.k, "check/"), 1);
	/* What is damaged has a record of its own; one of the two is not enough. */
	kit_flip(&t.k, t.data_of[0], 400);
	plan.fault = FAULT_DENIED;
	ok(check_run(t.k.agent, &p, &result, e));
	assert_int_equal(result.problems, 1);
	assert_false(result.recorded);
	assert_int_equal(result.unrecorded.class, ERR_DENIED);
}

static void test_check_run__records_of_chains_that_are_gone_or_damaged_are_told(void **state)
{
	static const char *const kinds[] = { "begin", "step", "step", "end" };
	auto_kit struct kit k = kit_new();
	auto_said struct said s = SAID_INIT;
	struct chain c;

	(void)state;
	for (unsigned run = 0; run < 2; run++) {
		ok(run_log_open(run ? RUN_B : RUN_A, &c, e));
		for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
			ok(run_log_add(k.agent, &c, "drill", "shop", kinds[i], NULL, e));
	}
	assert_clean(&k, CHECK_LEVEL_MAX);
	kit_flip(&k, "ctl/run/" RUN_A "/00000003", -1);
	run(&k, 2, &s);
	assert_string_equal(buf_cstr(&s.problems), "damaged ctl/run/" RUN_A "/00000003: 0\n");
	kit_flip(&k, "ctl/run/" RUN_A "/00000003", -1);
	kit_remove(&k, "ctl/run/" RUN_A "/00000002");
	kit_remove(&k, "ctl/run/" RUN_A "/00000003");
	kit_remove(&k, "ctl/run/" RUN_B "/00000001");
	run(&k, 0, &s);
	assert_string_equal(buf_cstr(&s.problems), "missing ctl/run/" RUN_A "/00000002: 0\n"
	                                           "missing ctl/run/" RUN_B "/00000001: 0\n");
	assert_non_null(strstr(buf_cstr(&s.texts), "2 records are gone"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check_sink__of_a_whole_repository_gets_the_domains),
		cmocka_unit_test(test_check_sink__is_told_of_segments_that_do_not_open),
		cmocka_unit_test(test_check_sink__is_not_told_of_unindexed_packs_that_do_not_open),
		cmocka_unit_test(test_check_sink__is_told_of_places_once),
		cmocka_unit_test(test_check_sink__is_told_of_all_places_of_a_pack_that_is_gone),
		cmocka_unit_test(test_check_sink__can_end_the_check),
		cmocka_unit_test(test_check_run__that_cannot_be_recorded_ends_well_and_says_so),
		cmocka_unit_test(test_check_run__whole_repository_has_no_problem_at_any_level),
		cmocka_unit_test(test_check_run__empty_repository_has_no_problem),
		cmocka_unit_test(test_check_run__any_key_reaches_level_3_and_only_recovery_level_4),
		cmocka_unit_test(
			test_check_run__missing_data_pack_is_found_at_level_0_with_its_files),
		cmocka_unit_test(test_check_run__missing_pack_that_two_points_share_hurts_both),
		cmocka_unit_test(
			test_check_run__missing_node_pack_is_found_at_level_0_with_the_whole_tree),
		cmocka_unit_test(test_check_run__missing_index_segment_hurts_no_file),
		cmocka_unit_test(
			test_check_run__missing_pack_that_only_the_index_names_hurts_no_file),
		cmocka_unit_test(test_check_run__packs_that_moved_are_found_through_the_index),
		cmocka_unit_test(test_check_run__chunks_that_moved_nowhere_are_lost),
		cmocka_unit_test(test_check_run__truncated_pack_is_found_at_level_0),
		cmocka_unit_test(
			test_check_run__pack_with_bytes_behind_its_end_is_found_at_level_0),
		cmocka_unit_test(test_check_run__stump_of_a_pack_is_told),
		cmocka_unit_test(test_check_run__stump_of_a_node_pack_is_told),
		cmocka_unit_test(
			test_check_run__flipped_bit_in_a_chunk_is_found_at_level_3_with_its_file),
		cmocka_unit_test(test_check_run__flipped_bit_in_a_tag_is_found_at_level_3),
		cmocka_unit_test(test_check_run__flipped_bit_in_a_node_is_found_at_level_0),
		cmocka_unit_test(test_check_run__flipped_bit_in_a_sealed_key_is_found_at_level_2),
		cmocka_unit_test(test_check_run__damaged_magic_takes_the_whole_pack),
		cmocka_unit_test(test_check_run__damaged_footer_or_trailer_is_found_at_level_2),
		cmocka_unit_test(
			test_check_run__damaged_footer_does_not_hide_a_damaged_chunk_at_level_4),
		cmocka_unit_test(test_check_run__padding_does_not_count),
		cmocka_unit_test(test_check_run__damaged_commit_is_found_at_level_0),
		cmocka_unit_test(test_check_run__object_that_is_no_commit_is_told),
		cmocka_unit_test(test_check_run__damaged_index_segment_is_found_at_level_0),
		cmocka_unit_test(test_check_run__damaged_session_marker_is_found_at_level_2),
		cmocka_unit_test(test_check_run__swapped_packs_are_found_at_level_2),
		cmocka_unit_test(test_check_run__swapped_small_objects_are_found),
		cmocka_unit_test(test_check_run__index_that_tells_wrong_places_is_found_at_level_2),
		cmocka_unit_test(test_check_run__tree_that_tells_wrong_lengths_is_found_at_level_2),
		cmocka_unit_test(test_check_run__intact_nodes_that_lie_are_found_at_level_0),
		cmocka_unit_test(
			test_check_run__intact_chunk_with_another_content_is_found_at_level_4),
		cmocka_unit_test(
			test_check_run__pack_under_a_name_of_another_kind_is_found_at_level_2),
		cmocka_unit_test(test_check_run__leftovers_are_counted_and_no_problem),
		cmocka_unit_test(test_check_run__packs_of_an_unknown_domain_are_counted),
		cmocka_unit_test(test_check_run__point_without_index_is_told_and_hurts_no_file),
		cmocka_unit_test(test_check_run__damaged_leaf_hurts_its_own_range_of_names_only),
		cmocka_unit_test(test_check_run__what_a_new_signer_has_put_is_no_damage),
		cmocka_unit_test(test_check_run__one_file_of_many_is_named),
		cmocka_unit_test(test_check_run__domains_and_volumes_are_told_apart),
		cmocka_unit_test(test_check_run__same_words_whatever_the_threads),
		cmocka_unit_test(test_check_run__tells_no_more_files_than_wanted_and_counts_all),
		cmocka_unit_test(test_check_run__callbacks_can_end_it),
		cmocka_unit_test(test_check_run__counts_progress),
		cmocka_unit_test(test_check_run__store_that_is_away_ends_it_and_blames_no_object),
		cmocka_unit_test(test_check_run__listed_pack_that_is_not_there_is_found_at_level_1),
		cmocka_unit_test(
			test_check_run__what_vanishes_beside_a_collection_is_not_told_as_lost),
		cmocka_unit_test(test_check_run__pack_that_vanishes_while_it_is_read_is_told),
		cmocka_unit_test(
			test_check_run__what_was_verified_before_a_repetition_is_not_read_again),
		cmocka_unit_test(test_check_run__range_that_cannot_be_read_is_narrowed_down),
		cmocka_unit_test(test_check_run__names_are_told_in_printable_form),
		cmocka_unit_test(test_check_run__can_be_cancelled),
		cmocka_unit_test(test_check_run__marked_damage_that_was_stored_again_is_sound),
		cmocka_unit_test(test_check_run__refuses_choices_that_make_no_sense),
		cmocka_unit_test(test_check_run__sample_takes_its_share),
		cmocka_unit_test(test_check_run__goes_on_where_it_was_interrupted),
		cmocka_unit_test(test_check_run__damaged_packs_are_looked_at_again_first),
		cmocka_unit_test(test_check_run__budget_gets_around_the_whole_repository),
		cmocka_unit_test(
			test_check_run__records_of_chains_that_are_gone_or_damaged_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
