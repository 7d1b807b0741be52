/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between a client and the freezer, byte by byte. */
#include "snapshot/freezer_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t freeze[] = { 'F', 'R', 'Z', '1', 2, 0, 3, 0, 0x10, 0x27, 0, 0 };
static const uint8_t thaw[] = { 'F', 'R', 'Z', '1', 3, 0, 0, 0, 0, 0, 0, 0 };
static const uint8_t frozen[] = {
	'F', 'R', 'Z', '1', 2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 0, /* one file system */
	1,   0,   0,   0,   0, 0, 0, 0, 2, 0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};
static const uint8_t refused[] = {
	'F', 'R', 'Z', '1', 2, 0, 2, 0, 16, 0, 0, 0, 1, 0, 0, 0, 't', 'a', 'k', 'e', 'n',
};

static void test_freezer_wire_put_request__is_these_bytes(void **state)
{
	const struct freezer_wire_request f = { FREEZER_WIRE_FREEZE, 10000, 3 };
	const struct freezer_wire_request t = { FREEZER_WIRE_THAW, 0, 0 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);

	(void)state;
	freezer_wire_put_request(&b, &f);
	assert_int_equal(b.len, FREEZER_WIRE_REQUEST_BYTES);
	assert_memory_equal(b.data, freeze, sizeof(freeze));
	buf_reset(&b);
	freezer_wire_put_request(&b, &t);
	assert_int_equal(b.len, FREEZER_WIRE_REQUEST_BYTES);
	assert_memory_equal(b.data, thaw, sizeof(thaw));
}

static void test_freezer_wire_request__reads_them_back(void **state)
{
	struct freezer_wire_request r;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(freezer_wire_request(freeze, sizeof(freeze), &r, &e), 0);
	assert_int_equal(r.verb, FREEZER_WIRE_FREEZE);
	assert_int_equal(r.deadline_ms, 10000);
	assert_int_equal(r.n, 3);
	assert_int_equal(freezer_wire_request(thaw, sizeof(thaw), &r, &e), 0);
	assert_int_equal(r.verb, FREEZER_WIRE_THAW);
}

/* The message with one byte set to another value. */
static int with_byte(const uint8_t *p, size_t n, size_t at, uint8_t v, bool is_request)
{
	uint8_t bytes[64];
	struct freezer_wire_request r;
	struct freezer_wire_answer a;
	struct err e = ERR_INIT;

	assert_true(n <= sizeof(bytes) && at < n);
	memcpy(bytes, p, n);
	bytes[at] = v;
	int rc = is_request ? freezer_wire_request(bytes, n, &r, &e)
	                    : freezer_wire_answer(bytes, n, &a, &e);
	assert_true(rc == 0 || e.class == ERR_FORMAT);
	return rc;
}

static void test_freezer_wire_request__refuses_what_breaks_a_limit(void **state)
{
	struct freezer_wire_request r;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t n = 0; n < sizeof(freeze); n++)
		assert_int_equal(freezer_wire_request(freeze, n, &r, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_int_equal(with_byte(freeze, 12, 3, '2', true), -1); /* another version */
	assert_int_equal(with_byte(freeze, 12, 4, 1, true), -1);   /* no verb of a client */
	assert_int_equal(with_byte(freeze, 12, 4, 4, true), -1);   /* none at all */
	assert_int_equal(with_byte(freeze, 12, 6, 0, true), -1);   /* no descriptors */
	assert_int_equal(with_byte(freeze, 12, 6, 64, true), 0);   /* the most */
	assert_int_equal(with_byte(freeze, 12, 6, 65, true), -1);  /* one more */
	assert_int_equal(with_byte(freeze, 12, 10, 1, true), -1);  /* over 60 s */
	assert_int_equal(with_byte(thaw, 12, 6, 1, true), -1);     /* a thaw names none */
	assert_int_equal(with_byte(thaw, 12, 8, 1, true), -1);     /* and has no deadline */
}

static void test_freezer_wire_put_answer__is_these_bytes(void **state)
{
	struct freezer_wire_answer a = { .verb = FREEZER_WIRE_FREEZE,
		                         .at = FREEZER_WIRE_NONE,
		                         .n = 1,
		                         .times = { { .asked_ns = 1, .frozen_ns = 2 } } };
	const struct freezer_wire_answer no = { .verb = FREEZER_WIRE_FREEZE,
		                                .result = FREEZER_WIRE_BUSY,
		                                .os = 16,
		                                .at = 1,
		                                .text = "taken" };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FREEZER_WIRE_ANSWER_MAX);

	(void)state;
	freezer_wire_put_answer(&b, &a);
	assert_int_equal(b.len, sizeof(frozen));
	assert_memory_equal(b.data, frozen, sizeof(frozen));
	buf_reset(&b);
	freezer_wire_put_answer(&b, &no);
	assert_int_equal(b.len, sizeof(refused));
	assert_memory_equal(b.data, refused, sizeof(refused));
}

static void test_freezer_wire_answer__the_longest_fits(void **state)
{
	struct freezer_wire_answer a = { .verb = FREEZER_WIRE_THAW,
		                         .result = FREEZER_WIRE_EARLY,
		                         .at = 63,
		                         .n = FREEZER_FDS_MAX };
	struct freezer_wire_answer back;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FREEZER_WIRE_ANSWER_MAX);
	struct err e = ERR_INIT;

	(void)state;
	memset(a.text, 'x', FREEZER_WIRE_TEXT_MAX);
	a.times[63].thawed_ns = INT64_MAX;
	freezer_wire_put_answer(&b, &a);
	assert_int_equal(b.len, FREEZER_WIRE_ANSWER_MAX);
	assert_int_equal(freezer_wire_answer(b.data, b.len, &back, &e), 0);
	assert_string_equal(back.text, a.text);
	assert_int_equal(back.at, 63);
	assert_int_equal(back.times[63].thawed_ns, INT64_MAX);
	(void)buf_u8(&b, 'x');
	uint8_t longer[FREEZER_WIRE_ANSWER_MAX + 1];
	memcpy(longer, b.data, FREEZER_WIRE_ANSWER_MAX);
	longer[FREEZER_WIRE_ANSWER_MAX] = 'x';
	assert_int_equal(freezer_wire_answer(longer, sizeof(longer), &back, &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
}

static void test_freezer_wire_answer__refuses_what_breaks_a_limit(void **state)
{
	struct freezer_wire_answer a;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(freezer_wire_answer(frozen, sizeof(frozen), &a, &e), 0);
	assert_int_equal(a.times[0].frozen_ns, 2);
	assert_int_equal(freezer_wire_answer(refused, sizeof(refused), &a, &e), 0);
	assert_int_equal(a.os, 16);
	assert_int_equal(a.at, 1);
	for (size_t n = 0; n < sizeof(frozen); n++)
		assert_int_equal(freezer_wire_answer(frozen, n, &a, &e), -1);
	assert_int_equal(with_byte(frozen, 40, 0, 'f', false), -1);   /* not ours */
	assert_int_equal(with_byte(frozen, 40, 4, 0, false), -1);     /* no verb */
	assert_int_equal(with_byte(frozen, 40, 4, 1, false), -1);     /* a greeting with times */
	assert_int_equal(with_byte(frozen, 40, 6, 1, false), -1);     /* refused without a reason */
	assert_int_equal(with_byte(frozen, 40, 14, 2, false), -1);    /* times are missing */
	assert_int_equal(with_byte(frozen, 40, 14, 65, false), -1);   /* too many */
	assert_int_equal(with_byte(frozen, 40, 39, 0x80, false), -1); /* before 1970 */
	assert_int_equal(with_byte(refused, 21, 6, 0, false), -1);    /* granted, with a reason */
	assert_int_equal(with_byte(refused, 21, 6, 7, false), -1);    /* no result */
	assert_int_equal(with_byte(refused, 21, 9, 0x10, false), -1); /* no errno */
	assert_int_equal(with_byte(refused, 21, 12, 64, false), -1);  /* a descriptor too far */
	assert_int_equal(with_byte(refused, 21, 17, 27, false), -1);  /* no text for people */
	assert_int_equal(with_byte(refused, 21, 17, 0x7f, false), -1);
	assert_int_equal(with_byte(refused, 21, 17, 0, false), -1);
}

static void test_freezer_wire_class__of_each_result(void **state)
{
	(void)state;
	assert_int_equal(freezer_wire_class(FREEZER_WIRE_OK), ERR_NONE);
	assert_int_equal(freezer_wire_class(FREEZER_WIRE_UNSUPPORTED), ERR_UNSUPPORTED);
	assert_int_equal(freezer_wire_class(FREEZER_WIRE_BUSY), ERR_BUSY);
	assert_int_equal(freezer_wire_class(FREEZER_WIRE_INVALID), ERR_INVALID);
	assert_int_equal(freezer_wire_class(FREEZER_WIRE_DENIED), ERR_DENIED);
	assert_int_equal(freezer_wire_class(FREEZER_WIRE_EARLY), ERR_RETRY);
	assert_int_equal(freezer_wire_class(FREEZER_WIRE_FAILED), ERR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freezer_wire_put_request__is_these_bytes),
		cmocka_unit_test(test_freezer_wire_request__reads_them_back),
		cmocka_unit_test(test_freezer_wire_request__refuses_what_breaks_a_limit),
		cmocka_unit_test(test_freezer_wire_put_answer__is_these_bytes),
		cmocka_unit_test(test_freezer_wire_answer__the_longest_fits),
		cmocka_unit_test(test_freezer_wire_answer__refuses_what_breaks_a_limit),
		cmocka_unit_test(test_freezer_wire_class__of_each_result),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
