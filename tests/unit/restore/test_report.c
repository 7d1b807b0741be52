/* SPDX-License-Identifier: Apache-2.0 */
/* Reports and losses: what is listed, how it is written, and what the verdict is. */
#include "restore/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>

#include "tests/harness/harness.h"

static void clean_report(struct report *r)
{
	report_clear(r);
}
#define auto_report CLEANUP(clean_report)

static void begin(struct report *r)
{
	report_init(r);
	r->quiet = true;
}

static const struct report_head head = {
	.verb = "restored",
	.volume = "vol",
	.point = "0123456789abcdef0123456789abcdef",
	.session = "2026-11-22/aa-bb",
	.target = "/mnt/a\nb",
};

/* What is printed; the caller frees. */
static char *printed(const struct report *r, enum output output)
{
	char *text = NULL;
	size_t n = 0;
	struct err e = ERR_INIT;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	assert_int_equal(report_print(r, &head, output, f, &e), 0);
	fclose(f);
	return text;
}

static void test_report_verdict__nothing_lost_is_success(void **state)
{
	auto_report struct report r;
	struct err e = ERR_INIT;

	(void)state;
	begin(&r);
	r.changed = 3; /* a note, and no failure of the restore */
	assert_int_equal(report_verdict(&r, &e), 0);
	assert_int_equal(e.class, ERR_NONE);
}

static void test_report_verdict__gaps_and_losses_are_partial(void **state)
{
	auto_report struct report r;
	auto_report struct report s;
	struct err e = ERR_INIT;

	(void)state;
	begin(&r);
	report_gap(&r, GAP_RANGE, "file", 4, NULL, 0, 5, 1536, "why");
	assert_int_equal(report_verdict(&r, &e), -1);
	assert_int_equal(e.class, ERR_PARTIAL);
	assert_non_null(strstr(e.msg, "1 place"));
	assert_non_null(strstr(e.msg, "1.5 KiB"));
	begin(&s);
	loss_add(&s.losses, LOSS_OWNER, "some/file", 9, EPERM);
	loss_add(&s.losses, LOSS_OWNER, "other", 5, EINVAL);
	assert_int_equal(report_verdict(&s, &e), -1);
	assert_int_equal(e.class, ERR_PARTIAL);
	assert_non_null(strstr(e.msg, "owners could not be set: 2"));
	assert_non_null(strstr(e.msg, "'some/file': Operation not permitted"));
	assert_non_null(strstr(e.msg, "--no-owner"));
}

static void test_report_verdict__differences_after_verifying_are_integrity(void **state)
{
	auto_report struct report r;
	struct err e = ERR_INIT;

	(void)state;
	begin(&r);
	report_gap(&r, GAP_DIFFERS, "file", 4, NULL, 0, 0, 0, "the content differs");
	/* of a dry run they are what it was to find out */
	assert_int_equal(report_verdict(&r, &e), 0);
	r.verified = true;
	assert_int_equal(report_verdict(&r, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
}

static void test_report_gap__counts_all_and_lists_a_thousand(void **state)
{
	auto_report struct report r;

	(void)state;
	begin(&r);
	for (unsigned i = 0; i < REPORT_LISTED + 500; i++)
		report_gap(&r, GAP_RANGE, "abcdef", 3, NULL, 0, i, 2, "why");
	assert_int_equal(r.gap_count, REPORT_LISTED + 500);
	assert_int_equal(r.gap_bytes, 2 * (REPORT_LISTED + 500));
	assert_int_equal(r.ngaps, REPORT_LISTED);
	assert_string_equal(r.gaps[7].path, "abc");
	assert_int_equal(r.gaps[7].off, 7);
	assert_null(r.gaps[7].until);
}

static void test_report_print__json_has_everything(void **state)
{
	auto_report struct report r;

	(void)state;
	begin(&r);
	r.files = 3;
	r.bytes = 12345;
	r.took_ms = 1500;
	report_gap(&r, GAP_RANGE,
	           "bad\xff"
	           "name",
	           8, NULL, 0, 4096, 100, "chunk is damaged");
	report_gap(&r, GAP_TREE, "d/a", 3, "d/z", 3, 0, 0, "node is damaged");
	loss_add(&r.losses, LOSS_XATTR, "x\ny", 3, EOPNOTSUPP);
	auto_free char *text = printed(&r, OUTPUT_JSON);
	json_error_t error;
	json_t *j = json_loads(text, 0, &error);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "schema")), "aksdr/restore/v1");
	const json_t *item = json_array_get(json_object_get(j, "items"), 0);
	assert_int_equal(json_integer_value(json_object_get(item, "files")), 3);
	assert_int_equal(json_integer_value(json_object_get(item, "bytes")), 12345);
	assert_int_equal(json_integer_value(json_object_get(item, "missing_count")), 2);
	assert_int_equal(json_integer_value(json_object_get(item, "missing_bytes")), 100);
	const json_t *gap = json_array_get(json_object_get(j, "missing"), 0);
	assert_string_equal(json_string_value(json_object_get(gap, "kind")), "range");
	assert_string_equal(json_string_value(json_object_get(gap, "path")), "bad\\xffname");
	assert_int_equal(json_integer_value(json_object_get(gap, "offset")), 4096);
	gap = json_array_get(json_object_get(j, "missing"), 1);
	assert_string_equal(json_string_value(json_object_get(gap, "kind")), "tree");
	assert_string_equal(json_string_value(json_object_get(gap, "before")), "d/z");
	const json_t *loss = json_array_get(json_object_get(j, "losses"), 0);
	assert_string_equal(json_string_value(json_object_get(loss, "what")), "xattr");
	assert_string_equal(json_string_value(json_object_get(loss, "first")), "x\ny");
	assert_int_equal(json_array_size(json_object_get(j, "losses")), 1);
	json_decref(j);
}

static void test_report_print__people_read_sentences(void **state)
{
	auto_report struct report r;

	(void)state;
	begin(&r);
	r.files = 1;
	r.directories = 2;
	r.bytes = 2048;
	r.written = 2048;
	r.deleted = 1;
	r.took_ms = 1234;
	r.verified = true;
	report_changed(&r, "log/current", 11);
	report_changed(&r, "other", 5);
	loss_add(&r.losses, LOSS_OWNER, "x\ny", 3, EPERM);
	auto_free char *text = printed(&r, OUTPUT_TABLE);
	assert_string_equal(
		text, "restored 'vol' (point 01234567) to '/mnt/a\\x0ab' in 1.2 s\n"
		      "  1 file, 2 directories; 2.0 KiB of content; 0 B fetched, 2.0 KiB written\n"
		      "  1 entry not in the point, removed\n"
		      "  read back and compared: all as in the point\n"
		      "  note: 2 files changed while being backed up (first 'log/current')\n"
		      "  owners could not be set: 1 (first 'x\\x0ay': Operation not permitted)\n");
}

static void test_report_print__csv_is_one_line(void **state)
{
	auto_report struct report r;

	(void)state;
	begin(&r);
	auto_free char *text = printed(&r, OUTPUT_CSV);
	char *end = strstr(text, "\r\n");
	assert_non_null(end);
	assert_int_equal(strncmp(text, "volume,point,session,target,dry_run,files,", 42), 0);
	assert_int_equal(strncmp(end + 2, "vol,0123456789abcdef0123456789abcdef,", 37), 0);
}

static void test_loss_add__keeps_the_first_and_cuts_it(void **state)
{
	struct losses l;
	char path[2000];

	(void)state;
	losses_init(&l);
	assert_false(losses_any(&l));
	memset(path, 'p', sizeof(path));
	loss_add(&l, LOSS_TIMES, path, sizeof(path), EIO);
	loss_add(&l, LOSS_TIMES, "b", 1, EPERM);
	assert_true(losses_any(&l));
	assert_int_equal(l.of[LOSS_TIMES].count, 2);
	assert_int_equal(l.of[LOSS_TIMES].os, EIO);
	assert_int_equal(strlen(l.of[LOSS_TIMES].first), sizeof(l.of[LOSS_TIMES].first) - 1);
	for (int i = 0; i < LOSS_KINDS; i++) {
		assert_true(strlen(loss_name((enum loss_kind)i)) > 3);
		assert_non_null(strstr(loss_text((enum loss_kind)i), "could not be"));
	}
	losses_clear(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report_verdict__nothing_lost_is_success),
		cmocka_unit_test(test_report_verdict__gaps_and_losses_are_partial),
		cmocka_unit_test(test_report_verdict__differences_after_verifying_are_integrity),
		cmocka_unit_test(test_report_gap__counts_all_and_lists_a_thousand),
		cmocka_unit_test(test_report_print__json_has_everything),
		cmocka_unit_test(test_report_print__people_read_sentences),
		cmocka_unit_test(test_report_print__csv_is_one_line),
		cmocka_unit_test(test_loss_add__keeps_the_first_and_cuts_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
