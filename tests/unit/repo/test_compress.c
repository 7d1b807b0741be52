/* SPDX-License-Identifier: Apache-2.0 */
/* Frames come back exactly, nothing is lost to the look for noise, and damage is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <zstd.h>

#include "repo/compress.h"
#include "repo/format.h"
#include "tests/harness/harness.h"

struct fix {
	struct compress *z;
	uint8_t *in, *out, *back;
	size_t cap;
};

static struct fix fix_new(size_t n)
{
	struct fix f = { .z = compress_new(), .cap = compress_bound(n) };

	f.in = malloc(n ? n : 1);
	f.out = malloc(f.cap);
	f.back = malloc(n ? n : 1);
	if (!f.z || !f.in || !f.out || !f.back)
		harness_die("no memory");
	return f;
}

static void fix_clear(struct fix *f)
{
	compress_free(f->z);
	free(f->in);
	free(f->out);
	free(f->back);
}
#define auto_fix CLEANUP(fix_clear)

/* Words from a small vocabulary: what a log looks like. */
static void fill_text(uint64_t seed, uint8_t *p, size_t n)
{
	static const char *const words[] = { "request ", "served ", "in ",     "timeout ",
		                             "user ",    "cache ",  "missed ", "retry\n" };
	uint8_t pick[64];

	for (size_t at = 0; at < n; seed++) {
		fill_random(seed, pick, sizeof(pick));
		for (size_t i = 0; i < sizeof(pick) && at < n; i++) {
			const char *w = words[pick[i] % 8];
			size_t len = strlen(w) < n - at ? strlen(w) : n - at;

			memcpy(p + at, w, len);
			at += len;
		}
	}
}

/* Length of the frame, checked to come back; 0: stored plain. */
static size_t round_trip(struct fix *f, int level, size_t n)
{
	size_t len = compress_chunk(f->z, level, f->in, n, f->out, f->cap);

	if (len == 0)
		return 0;
	assert_true(len <= n - n * 3 / 100);
	memset(f->back, 0xa5, n);
	assert_int_equal(compress_expand(f->z, f->out, len, f->back, n), 0);
	assert_memory_equal(f->in, f->back, n);
	return len;
}

static void test_compress_chunk__text_shrinks_at_every_level(void **state)
{
	auto_fix struct fix f = fix_new(300000);

	(void)state;
	fill_text(1, f.in, 300000);
	for (int level = -1; level <= 20; level++) {
		size_t len = round_trip(&f, level, 300000);

		assert_true(len > 0 && len < 100000);
	}
}

/* Lines with counters and ids, as a log has them. */
static void fill_log(uint64_t seed, uint8_t *p, size_t n)
{
	char line[160];
	uint64_t id[2];

	for (size_t at = 0; at < n; seed++) {
		fill_random(seed, id, sizeof(id));
		int len = snprintf(line, sizeof(line),
		                   "{\"n\":%llu,\"trace\":\"%016llx\",\"status\":%d,\"ms\":%d}\n",
		                   (unsigned long long)seed, (unsigned long long)id[0],
		                   id[1] & 7 ? 200 : 500, (int)(id[1] >> 40 & 1023));
		size_t take = (size_t)len < n - at ? (size_t)len : n - at;

		memcpy(p + at, line, take);
		at += take;
	}
}

static void test_compress_chunk__all_kinds_in_turn_come_back(void **state)
{
	auto_fix struct fix f = fix_new(300000);

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		size_t n = 60000 + i * 800;

		switch (i / 30 % 3) {
		case 0:
			fill_log(i * 10000, f.in, n);
			break;
		case 1:
			fill_text(i, f.in, n);
			break;
		default:
			fill_random(i, f.in, n);
			memset(f.in + n / 3, 0, n / 3);
			break;
		}
		assert_true(round_trip(&f, 3, n) > 0);
	}
}

static void test_compress_chunk__is_never_much_longer_than_zstd_alone(void **state)
{
	const size_t n = 300000;
	auto_fix struct fix f = fix_new(n);
	size_t ours = 0;
	size_t theirs = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		if (i < 50)
			fill_log(i * 10000, f.in, n);
		else
			fill_text(i, f.in, n);
		ours += round_trip(&f, 3, n);
		size_t len = ZSTD_compress(f.out, f.cap, f.in, n, 3);
		assert_false(ZSTD_isError(len));
		theirs += len;
	}
	assert_true(ours <= theirs + theirs / 50);
}

static void test_compress_chunk__every_small_length(void **state)
{
	auto_fix struct fix f = fix_new(5000);
	size_t saved = 0;

	(void)state;
	for (size_t n = 1; n < 300; n++) {
		fill_text(n, f.in, n);
		saved += round_trip(&f, 3, n) > 0;
	}
	assert_true(saved > 150);
	memset(f.in, 0, 5000);
	assert_true(round_trip(&f, 3, 5000) < 50);
}

static void test_compress_chunk__noise_of_any_length_is_stored_plain(void **state)
{
	static const size_t lengths[] = { 1, 17, 4096, 65536, MIB, 4 * MIB, FORMAT_CHUNK_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		auto_fix struct fix f = fix_new(lengths[i]);

		fill_random(i, f.in, lengths[i]);
		assert_int_equal(compress_chunk(f.z, 3, f.in, lengths[i], f.out, f.cap), 0);
	}
}

static void test_compress_chunk__a_small_gain_is_not_worth_a_frame(void **state)
{
	const size_t n = 100000;
	auto_fix struct fix f = fix_new(n);

	(void)state;
	fill_random(1, f.in, n);
	memset(f.in + 50000, 0, 2000); /* 2 % */
	assert_int_equal(round_trip(&f, 3, n), 0);
	memset(f.in + 50000, 0, 6000); /* 6 % */
	assert_true(round_trip(&f, 3, n) > 0);
}

/* What zstd alone makes of the input. */
static size_t plain_zstd(struct fix *f, size_t n)
{
	size_t len = ZSTD_compress(f->out, f->cap, f->in, n, 3);

	assert_false(ZSTD_isError(len));
	return len;
}

static void test_compress_chunk__islands_in_noise_are_found(void **state)
{
	const size_t n = MIB;
	auto_fix struct fix f = fix_new(n);

	(void)state;
	for (uint64_t seed = 0; seed < 40; seed++) {
		size_t len = 70000 + seed * 1000; /* of text: 6.6 % of the chunk or more */
		size_t at = (size_t)(seed * 2654435761u) % (n - len);

		fill_random(seed, f.in, n);
		fill_text(seed, f.in + at, len);
		size_t got = round_trip(&f, 3, n);
		if (got == 0)
			fail_msg("%zu bytes of text at %zu were not found", len, at);
		assert_true(got <= plain_zstd(&f, n) + n / 100);
	}
}

static void test_compress_chunk__skewed_bytes_are_found(void **state)
{
	const size_t n = MIB;
	auto_fix struct fix f = fix_new(n);

	(void)state;
	/* 7 bits of 8: as base-128 numbers or ASCII noise */
	fill_random(1, f.in, n);
	for (size_t i = 0; i < n; i++)
		f.in[i] &= 0x7f;
	assert_true(round_trip(&f, 3, n) > 0);
	/* one byte in eight is zero, as in tables of 56-bit numbers */
	fill_random(2, f.in, n);
	for (size_t i = 0; i < n; i += 8)
		f.in[i] = 0;
	assert_true(round_trip(&f, 3, n) > 0);
}

static void test_compress_chunk__repeated_pages_are_found(void **state)
{
	const size_t n = MIB;
	auto_fix struct fix f = fix_new(n);

	(void)state;
	fill_random(1, f.in, n);
	memcpy(f.in + n / 2, f.in, n / 2);
	size_t len = round_trip(&f, 3, n);
	assert_true(len > 0 && len < n * 3 / 4);
}

static void test_compress_chunk__too_little_room_is_no_frame(void **state)
{
	auto_fix struct fix f = fix_new(100000);

	(void)state;
	fill_text(1, f.in, 100000);
	assert_int_equal(compress_chunk(f.z, 3, f.in, 100000, f.out, 100), 0);
	assert_true(round_trip(&f, 3, 100000) > 0); /* the context still works */
}

static void test_compress_chunk__frames_have_checksum_and_size(void **state)
{
	auto_fix struct fix f = fix_new(100000);

	(void)state;
	fill_text(1, f.in, 100000);
	size_t len = round_trip(&f, 3, 100000);
	assert_true(len > 6);
	assert_memory_equal(f.out, "\x28\xb5\x2f\xfd", 4); /* RFC 8878, 3.1.1 */
	assert_int_equal(f.out[4] & 0x04, 0x04);           /* Content_Checksum_flag */
	assert_int_equal(f.out[4] & 0x03, 0);              /* no dictionary id */
	assert_int_equal(ZSTD_getFrameContentSize(f.out, len), 100000);
}

static void test_compress_expand__refuses_every_damage(void **state)
{
	auto_fix struct fix f = fix_new(3000);

	(void)state;
	fill_text(1, f.in, 3000);
	size_t len = round_trip(&f, 3, 3000);
	assert_true(len > 0);
	for (size_t i = 0; i < len * 8; i++) {
		f.out[i / 8] ^= (uint8_t)(1 << i % 8);
		/* a bit that means nothing may go unseen, wrong bytes may not */
		if (compress_expand(f.z, f.out, len, f.back, 3000) == 0)
			assert_memory_equal(f.in, f.back, 3000);
		f.out[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t n = 0; n < len; n++)
		assert_int_equal(compress_expand(f.z, f.out, n, f.back, 3000), -1);
	assert_int_equal(compress_expand(f.z, f.out, len, f.back, 2999), -1);
	assert_int_equal(compress_expand(f.z, f.out, len, f.back, 3001), -1);
	assert_int_equal(compress_expand(f.z, f.out, len + 1, f.back, 3000), -1);
	assert_int_equal(compress_expand(f.z, f.out, len, f.back, 3000), 0);
}

static void test_compress_expand__refuses_two_frames(void **state)
{
	auto_fix struct fix f = fix_new(3000);
	uint8_t both[6000];

	(void)state;
	fill_text(1, f.in, 3000);
	size_t len = round_trip(&f, 3, 3000);
	size_t empty = ZSTD_compress(both, sizeof(both), "", 0, 3);
	assert_false(ZSTD_isError(empty));
	memcpy(both, f.out, len);
	assert_false(ZSTD_isError(ZSTD_compress(both + len, sizeof(both) - len, "", 0, 3)));
	assert_int_equal(compress_expand(f.z, both, len + empty, f.back, 3000), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compress_chunk__text_shrinks_at_every_level),
		cmocka_unit_test(test_compress_chunk__all_kinds_in_turn_come_back),
		cmocka_unit_test(test_compress_chunk__is_never_much_longer_than_zstd_alone),
		cmocka_unit_test(test_compress_chunk__every_small_length),
		cmocka_unit_test(test_compress_chunk__noise_of_any_length_is_stored_plain),
		cmocka_unit_test(test_compress_chunk__a_small_gain_is_not_worth_a_frame),
		cmocka_unit_test(test_compress_chunk__islands_in_noise_are_found),
		cmocka_unit_test(test_compress_chunk__skewed_bytes_are_found),
		cmocka_unit_test(test_compress_chunk__repeated_pages_are_found),
		cmocka_unit_test(test_compress_chunk__too_little_room_is_no_frame),
		cmocka_unit_test(test_compress_chunk__frames_have_checksum_and_size),
		cmocka_unit_test(test_compress_expand__refuses_every_damage),
		cmocka_unit_test(test_compress_expand__refuses_two_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
