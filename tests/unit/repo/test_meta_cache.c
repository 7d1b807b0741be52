/* SPDX-License-Identifier: Apache-2.0 */
/* Local copies of tree packs: fetched once, made anew when they are no pack, and never needed. */
#include "repo/meta_cache.h"

#include "common/fd.h"
#include "common/hex.h"
#include "tests/unit/repo/note_kit.h"

#define PACK_BYTES ((size_t)20000)

/* A repository with tree packs, and a state directory for its agent. */
struct world {
	struct kit k;
	char *dir;
	char *meta; /* of the copies */
	struct trouble gets;
	uint8_t ids[3][FORMAT_PACK_ID_BYTES];
};

static void content_of(unsigned i, uint8_t ret[PACK_BYTES])
{
	fill_random(100 + i, ret, PACK_BYTES);
}

/* In place, since the store points here. */
static void world_init(struct world *w)
{
	uint8_t bytes[PACK_BYTES];
	char name[PACK_KEY_MAX];

	memset(w, 0, sizeof(*w));
	w->k = kit_new();
	w->dir = tmpdir_new();
	w->meta = path_join(w->dir, "meta");
	(void)snprintf(w->k.agent->state, sizeof(w->k.agent->state), "%s", w->dir);
	for (unsigned i = 0; i < ARRAY_LEN(w->ids); i++) {
		fill_random(i, w->ids[i], sizeof(w->ids[i]));
		content_of(i, bytes);
		pack_key_name(name, w->ids[i], CHUNK_NODE);
		ok(put_bytes(w->k.store, name, bytes, sizeof(bytes), e));
	}
	w->gets.call = CALL_GET;
	kit_trouble(&w->k, &w->gets);
	w->gets.calls = 0;
}

static void world_clear(struct world *w)
{
	kit_clear(&w->k);
	tmpdir_remove(w->dir);
	free(w->meta);
}
#define auto_world CLEANUP(world_clear)

static void hex_of(const struct world *w, unsigned i, char ret[33])
{
	hex_encode(ret, w->ids[i], FORMAT_PACK_ID_BYTES);
}

/* Opens the copy of pack i and compares. */
static void assert_copy(struct world *w, unsigned i)
{
	uint8_t want[PACK_BYTES];
	uint8_t got[PACK_BYTES + 1];
	auto_close int fd = meta_cache_open(w->k.agent, w->ids[i]);

	assert_true(fd >= 0);
	content_of(i, want);
	assert_int_equal(fd_pread_full(fd, got, sizeof(got), 0), PACK_BYTES);
	assert_memory_equal(got, want, PACK_BYTES);
}

static void assert_none(const struct world *w, unsigned i)
{
	assert_int_equal(meta_cache_open(w->k.agent, w->ids[i]), -1);
}

static void test_meta_cache_open__fetches_each_pack_once(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < ARRAY_LEN(w.ids); i++)
			assert_copy(&w, i);
		assert_int_equal(w.gets.calls, 3);
	}
	assert_int_equal(count_files(w.meta), 3);
}

static void test_meta_cache_open__the_copy_stays_when_the_pack_is_gone(void **state)
{
	auto_world struct world w;
	char name[PACK_KEY_MAX];

	(void)state;
	world_init(&w);
	assert_copy(&w, 0);
	pack_key_name(name, w.ids[0], CHUNK_NODE);
	kit_remove(&w.k, name);
	assert_copy(&w, 0);
	meta_cache_forget(w.k.agent, w.ids[0]);
	assert_none(&w, 0);
	assert_copy(&w, 1);
}

static void test_meta_cache_keep__saves_the_fetch(void **state)
{
	auto_world struct world w;
	uint8_t bytes[PACK_BYTES];

	(void)state;
	world_init(&w);
	content_of(1, bytes);
	meta_cache_keep(w.k.agent, w.ids[1], bytes, sizeof(bytes));
	assert_copy(&w, 1);
	assert_int_equal(w.gets.calls, 0);
	/* Near by there is nothing to save. */
	w.k.store->caps |= STORE_CAP_LOCAL;
	meta_cache_keep(w.k.agent, w.ids[2], bytes, sizeof(bytes));
	assert_int_equal(count_files(w.meta), 1);
}

static void test_meta_cache_forget__it_is_fetched_again(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	meta_cache_forget(w.k.agent, w.ids[0]); /* there is none yet */
	assert_copy(&w, 0);
	assert_copy(&w, 1);
	meta_cache_forget(w.k.agent, w.ids[0]);
	assert_int_equal(count_files(w.meta), 1);
	w.gets.calls = 0;
	assert_copy(&w, 1);
	assert_int_equal(w.gets.calls, 0);
	assert_copy(&w, 0);
	assert_int_equal(w.gets.calls, 1);
}

static void test_meta_cache_forget__who_reads_goes_on(void **state)
{
	auto_world struct world w;
	uint8_t want[PACK_BYTES];
	uint8_t got[PACK_BYTES];

	(void)state;
	world_init(&w);
	auto_close int fd = meta_cache_open(w.k.agent, w.ids[0]);
	meta_cache_forget(w.k.agent, w.ids[0]);
	content_of(0, want);
	assert_int_equal(fd_pread_full(fd, got, sizeof(got), 0), PACK_BYTES);
	assert_memory_equal(got, want, PACK_BYTES);
}

static void test_meta_cache_open__what_is_no_pack_is_fetched_again(void **state)
{
	auto_world struct world w;
	char hex[33];

	(void)state;
	world_init(&w);
	hex_of(&w, 0, hex);
	auto_free char *path = path_join(w.meta, hex);
	assert_copy(&w, 0);
	uint8_t other[PACK_BYTES] = { 0 };
	write_file(w.dir, "elsewhere", other, sizeof(other));
	for (int how = 0; how < 5; how++) {
		assert_int_equal(unlink(path), 0);
		if (how == 0)
			write_file(w.meta, hex, "", 0);
		if (how == 1)
			write_file(w.meta, hex, "cut off", 7);
		if (how == 2)
			assert_int_equal(symlink("../elsewhere", path), 0);
		if (how == 3) {
			write_file(w.meta, hex, "", 0);
			assert_int_equal(truncate(path, FORMAT_PACK_MAX + 1), 0); /* a hole */
		}
		if (how == 4)
			assert_int_equal(mkfifo(path, 0600), 0);
		w.gets.calls = 0;
		assert_copy(&w, 0);
		assert_int_equal(w.gets.calls, 1);
	}
}

static void test_meta_cache_open__damage_is_for_the_reader_to_find(void **state)
{
	auto_world struct world w;
	uint8_t bytes[PACK_BYTES];
	uint8_t got[PACK_BYTES];
	char hex[33];

	(void)state;
	world_init(&w);
	hex_of(&w, 0, hex);
	content_of(0, bytes);
	bytes[PACK_BYTES / 2] ^= 1;
	assert_copy(&w, 1);
	write_file(w.meta, hex, bytes, sizeof(bytes));
	w.gets.calls = 0;
	auto_close int fd = meta_cache_open(w.k.agent, w.ids[0]);
	assert_true(fd >= 0);
	assert_int_equal(fd_pread_full(fd, got, sizeof(got), 0), PACK_BYTES);
	assert_memory_equal(got, bytes, PACK_BYTES);
	assert_int_equal(w.gets.calls, 0);
	meta_cache_forget(w.k.agent, w.ids[0]);
	assert_copy(&w, 0);
}

static void test_meta_cache_open__a_directory_is_no_copy(void **state)
{
	auto_world struct world w;
	char hex[33];

	(void)state;
	world_init(&w);
	assert_copy(&w, 1);
	hex_of(&w, 0, hex);
	auto_free char *path = path_join(w.meta, hex);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_none(&w, 0);
}

static void test_meta_cache_open__a_local_store_needs_none(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.k.store->caps |= STORE_CAP_LOCAL;
	assert_none(&w, 0);
	assert_int_equal(w.gets.calls, 0);
	assert_int_equal(count_files(w.dir), 0);
	meta_cache_forget(w.k.agent, w.ids[0]);
}

static void test_meta_cache_open__without_a_place_for_it(void **state)
{
	auto_world struct world w;

	(void)state;
	world_init(&w);
	w.k.agent->state[0] = '\0';
	assert_none(&w, 0);
	assert_int_equal(w.gets.calls, 0); /* what cannot be kept is not fetched as a whole */
	meta_cache_forget(w.k.agent, w.ids[0]);
	/* a directory that is gone, or a file */
	(void)snprintf(w.k.agent->state, sizeof(w.k.agent->state), "%s/missing", w.dir);
	assert_none(&w, 0);
	meta_cache_forget(w.k.agent, w.ids[0]);
	write_text(w.dir, "file", "x");
	(void)snprintf(w.k.agent->state, sizeof(w.k.agent->state), "%s/file", w.dir);
	assert_none(&w, 0);
	/* "meta" is something else */
	(void)snprintf(w.k.agent->state, sizeof(w.k.agent->state), "%s", w.dir);
	write_text(w.dir, "meta", "x");
	assert_none(&w, 0);
}

static void test_meta_cache_open__a_store_that_fails(void **state)
{
	static const enum store_fault faults[] = { FAULT_FAIL, FAULT_GONE, FAULT_DENIED,
		                                   FAULT_TRUNCATE };
	auto_world struct world w;

	(void)state;
	world_init(&w);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		w.gets = (struct trouble){ .call = CALL_GET, .fault = faults[i], .times = 1 };
		assert_none(&w, 0);
		assert_copy(&w, 0);
		meta_cache_forget(w.k.agent, w.ids[0]);
	}
	assert_int_equal(count_files(w.meta), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_meta_cache_open__fetches_each_pack_once),
		cmocka_unit_test(test_meta_cache_open__the_copy_stays_when_the_pack_is_gone),
		cmocka_unit_test(test_meta_cache_keep__saves_the_fetch),
		cmocka_unit_test(test_meta_cache_forget__it_is_fetched_again),
		cmocka_unit_test(test_meta_cache_forget__who_reads_goes_on),
		cmocka_unit_test(test_meta_cache_open__what_is_no_pack_is_fetched_again),
		cmocka_unit_test(test_meta_cache_open__damage_is_for_the_reader_to_find),
		cmocka_unit_test(test_meta_cache_open__a_directory_is_no_copy),
		cmocka_unit_test(test_meta_cache_open__a_local_store_needs_none),
		cmocka_unit_test(test_meta_cache_open__without_a_place_for_it),
		cmocka_unit_test(test_meta_cache_open__a_store_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
