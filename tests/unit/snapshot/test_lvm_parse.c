/* SPDX-License-Identifier: Apache-2.0 */
/* What the tools of LVM write, and what they do not. */
#include "snapshot/lvm_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <cmocka.h>

#define UUID_A "aKHe5v-Qzrk-8yqc-1QqB-kYxW-bKqe-sXO3Zv"
#define UUID_B "0RjQMm-3x4S-Ql0E-t1dV-7hZe-XKpd-QFbW0c"
#define LV(name, uuid, id, size, mode, tags)                                     \
	"{\"vg_name\":\"data\", \"vg_uuid\":\"" UUID_A "\", \"lv_name\":\"" name \
	"\", \"lv_uuid\":\"" uuid "\", \"pool_lv\":\"pool\", \"thin_id\":\"" id  \
	"\", \"lv_size\":\"" size "\", \"lv_permissions\":\"" mode               \
	"\", \"lv_dm_path\":\"/dev/mapper/data-" name "\", \"lv_tags\":\"" tags "\"}"
#define REPORT(lvs) "  {\n \"report\": [ { \"lv\": [ " lvs " ] } ]\n ,\n \"log\": [ ]\n }\n"

static int parse(const char *text, struct lvm_lv **ret, size_t *ret_n, struct err *e)
{
	return lvm_parse_lvs(text, strlen(text), ret, ret_n, e);
}

static void test_lvm_parse_lvs__volumes_of_a_report(void **state)
{
	auto_free struct lvm_lv *v = NULL;
	size_t n = 9;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(parse(REPORT(LV("b", UUID_B, "3", "67108864", "writeable", "")), &v, &n,
	                       &e),
	                 0);
	assert_int_equal(n, 1);
	assert_string_equal(v[0].vg_name, "data");
	assert_string_equal(v[0].lv_name, "b");
	assert_string_equal(v[0].lv_uuid, UUID_B);
	assert_string_equal(v[0].vg_uuid, UUID_A);
	assert_string_equal(v[0].pool, "pool");
	assert_string_equal(v[0].dm_path, "/dev/mapper/data-b");
	assert_int_equal(v[0].thin_id, 3);
	assert_int_equal(v[0].size, 67108864);
	assert_false(v[0].read_only);
	assert_false(lvm_parse_has_tag(&v[0], "aksdr.base"));
	free(STEAL(&v));

	assert_int_equal(parse(REPORT(LV("a", UUID_A, "", "4096", "read-only",
	                                 "aksdr.base,aksdr.of.x") "," LV("b", UUID_B, "4", "1",
	                                                                 "writeable", "base")),
	                       &v, &n, &e),
	                 0);
	assert_int_equal(n, 2);
	assert_int_equal(v[0].thin_id, 0);
	assert_true(v[0].read_only);
	assert_true(lvm_parse_has_tag(&v[0], "aksdr.base"));
	assert_true(lvm_parse_has_tag(&v[0], "aksdr.of.x"));
	assert_false(lvm_parse_has_tag(&v[0], "aksdr"));
	assert_false(lvm_parse_has_tag(&v[1], "aksdr.base"));
	free(STEAL(&v));

	assert_int_equal(parse(REPORT(""), &v, &n, &e), 0);
	assert_int_equal(n, 0);
}

static void test_lvm_parse_lvs__what_is_no_report(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{\"report\": []}",
		"{\"report\": [{\"vg\": []}]}",
		REPORT("7"),
		REPORT("{}"),
		REPORT(LV("../b", UUID_B, "3", "1", "writeable", "")),
		REPORT(LV("-b", UUID_B, "3", "1", "writeable", "")),
		REPORT(LV("b", "short", "3", "1", "writeable", "")),
		REPORT(LV("b", UUID_B, "-3", "1", "writeable", "")),
		REPORT(LV("b", UUID_B, "3", "1.5m", "writeable", "")),
		REPORT(LV("b", UUID_B, "3", "99999999999999999999", "writeable", "")),
	};
	struct lvm_lv *v = NULL;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(parse(bad[i], &v, &n, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
	}
	assert_null(v);
}

static void test_lvm_parse_is_name__names_and_uuids_of_lvm(void **state)
{
	(void)state;
	assert_true(lvm_parse_is_name("vg_data-01.x+y"));
	assert_false(lvm_parse_is_name(""));
	assert_false(lvm_parse_is_name("a/b"));
	assert_false(lvm_parse_is_name("--force"));
	assert_false(lvm_parse_is_name(".."));
	assert_false(lvm_parse_is_name("a b"));
	assert_true(lvm_parse_is_uuid(UUID_A));
	assert_false(lvm_parse_is_uuid("aKHe5v-Qzrk-8yqc-1QqB-kYxW-bKqe-sXO3Z"));
	assert_false(lvm_parse_is_uuid("aKHe5vXQzrk-8yqc-1QqB-kYxW-bKqe-sXO3Zv"));
	assert_false(lvm_parse_is_uuid("aKHe5v-Qz\"k-8yqc-1QqB-kYxW-bKqe-sXO3Zv"));
}

static void test_lvm_parse_thin_table__pool_and_number(void **state)
{
	dev_t dev;
	uint64_t id;

	(void)state;
	assert_true(lvm_parse_thin_table("253:2 5", &dev, &id));
	assert_int_equal(dev, makedev(253, 2));
	assert_int_equal(id, 5);
	assert_true(lvm_parse_thin_table("253:2 16777215 253:9", &dev, &id));
	assert_int_equal(id, 16777215);
	assert_false(lvm_parse_thin_table("253:2", &dev, &id));
	assert_false(lvm_parse_thin_table("253:2 16777216", &dev, &id));
	assert_false(lvm_parse_thin_table("253 2 5", &dev, &id));
	assert_false(lvm_parse_thin_table("/dev/dm-2 5", &dev, &id));
	assert_false(lvm_parse_thin_table("", &dev, &id));
}

static void test_lvm_parse_pool_table__where_metadata_are(void **state)
{
	dev_t dev;

	(void)state;
	assert_true(lvm_parse_pool_table("253:0 253:1 128 0 1 skip_block_zeroing", &dev));
	assert_int_equal(dev, makedev(253, 0));
	assert_false(lvm_parse_pool_table("253:0", &dev));
}

static void test_lvm_parse_pool_status__room_and_state(void **state)
{
	struct lvm_pool p;

	(void)state;
	assert_true(lvm_parse_pool_status("7 20/1024 1843/14400 - rw discard_passdown "
	                                  "queue_if_no_space - 1024 ",
	                                  &p));
	assert_int_equal(p.metadata_used, 20);
	assert_int_equal(p.metadata_blocks, 1024);
	assert_int_equal(p.data_used, 1843);
	assert_int_equal(p.data_blocks, 14400);
	assert_false(p.held);
	assert_true(p.writable);
	assert_true(lvm_parse_pool_status("7 20/1024 1843/14400 35 out_of_data_space x", &p));
	assert_true(p.held);
	assert_false(p.writable);
	assert_true(lvm_parse_pool_status("7 20/1024 1843/14400 - ro", &p));
	assert_false(p.writable);
	assert_false(lvm_parse_pool_status("Fail", &p));
	assert_false(lvm_parse_pool_status("7 20/1024 1843 - rw", &p));
	assert_false(lvm_parse_pool_status("7 20/1024 1843/14400 ", &p));
}

/* Fed in pieces of so many bytes. */
static struct ranges *delta(const char *text, size_t piece, struct err *e)
{
	struct lvm_delta *d = lvm_parse_delta_new(e);
	struct ranges *r = NULL;
	int rc = 0;

	assert_non_null(d);
	for (size_t at = 0, n = strlen(text); at < n && rc == 0; at += piece)
		rc = lvm_parse_delta_feed(d, text + at, n - at < piece ? n - at : piece, e);
	if (rc == 0)
		rc = lvm_parse_delta_end(d, 3, 4, &r, e);
	assert_true(rc == 0 ? r != NULL : r == NULL);
	lvm_parse_delta_free(d);
	return r;
}

#define HEAD                                                                          \
	"<superblock uuid=\"\" time=\"2\" transaction=\"7\" data_block_size=\"128\" " \
	"nr_data_blocks=\"0\">\n"
#define DIFF "  <diff left=\"3\" right=\"4\">\n"
#define TAIL "  </diff>\n</superblock>\n"

static void test_lvm_parse_delta__all_that_is_not_the_same(void **state)
{
	static const char text[] = HEAD DIFF "    <same begin=\"0\" length=\"3\"/>\n"
					     "    <different begin=\"3\" length=\"1\"/>\n"
					     "    <left_only begin=\"4\" length=\"2\"/>\n"
					     "    <same begin=\"6\" length=\"10\"/>\n"
					     "    <right_only begin=\"100\" length=\"1\"/>\n" TAIL;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t piece = 1; piece < sizeof(text); piece += 7) {
		auto_ranges struct ranges *r = delta(text, piece, &e);

		assert_non_null(r);
		assert_int_equal(r->n, 2);
		assert_int_equal(r->v[0].start, 196608);
		assert_int_equal(r->v[0].end, 393216);
		assert_int_equal(r->v[1].start, 6553600);
		assert_int_equal(r->v[1].end, 6619136);
	}
	auto_ranges struct ranges *none = delta(HEAD DIFF TAIL, 1000, &e);
	assert_non_null(none);
	assert_int_equal(none->n, 0);
}

static void test_lvm_parse_delta__what_makes_no_sense(void **state)
{
	static const char *const bad[] = {
		"",
		HEAD,
		HEAD DIFF,
		HEAD "</superblock>",
		HEAD "<diff left=\"4\" right=\"3\">" TAIL,
		HEAD DIFF "<other begin=\"0\" length=\"3\"/>" TAIL,
		HEAD DIFF "<same begin=\"0\"/>" TAIL,
		HEAD DIFF "<same begin=\"0\" length=\"0\"/>" TAIL,
		HEAD DIFF "<different begin=\"-1\" length=\"1\"/>" TAIL,
		HEAD DIFF
		"<different begin=\"5\" length=\"1\"/><same begin=\"5\" length=\"1\"/>" TAIL,
		HEAD DIFF "<different begin=\"18446744073709551615\" length=\"1\"/>" TAIL,
		HEAD DIFF "<different begin=\"1\" length=\"18446744073709551615\"/>" TAIL,
		"<superblock data_block_size=\"0\">" DIFF TAIL,
		"<superblock>" DIFF TAIL,
		"<!DOCTYPE superblock>" HEAD DIFF TAIL,
		"<diff left=\"3\" right=\"4\"/>",
		HEAD DIFF
		"<same begin=\"0\" length=\"3\"><same begin=\"3\" length=\"3\"/></same>" TAIL,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;

		assert_null(delta(bad[i], 1000, &e));
		assert_int_equal(e.class, ERR_FORMAT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lvm_parse_lvs__volumes_of_a_report),
		cmocka_unit_test(test_lvm_parse_lvs__what_is_no_report),
		cmocka_unit_test(test_lvm_parse_is_name__names_and_uuids_of_lvm),
		cmocka_unit_test(test_lvm_parse_thin_table__pool_and_number),
		cmocka_unit_test(test_lvm_parse_pool_table__where_metadata_are),
		cmocka_unit_test(test_lvm_parse_pool_status__room_and_state),
		cmocka_unit_test(test_lvm_parse_delta__all_that_is_not_the_same),
		cmocka_unit_test(test_lvm_parse_delta__what_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
