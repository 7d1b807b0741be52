/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a point says of its view: literal JSON both ways, texts of any bytes that become bounded
 * text, and what makes no sense refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "repo/capture.h"
#include "repo/format.h"
#include "tests/harness/harness.h"

#define BASE "2026-11-21/03fa41b2c19de077-00112233445566778899aabbccddeeff"

/* All members, in the order of their names. */
static const char everything[] =
	"{\"capture\":{"
	"\"changes\":{\"base_session\":\"" BASE "\",\"claimed_bytes\":4096,\"compared\":true,"
	"\"compared_bytes\":65536,\"distrusted\":true,\"skipped_bytes\":0,\"unread_points\":5,"
	"\"wrong_bytes\":8192},"
	"\"claim\":{\"later\":[1],\"size_bytes\":5,\"zones\":[\"we-1\",\"we-2\"]},"
	"\"facts\":[{\"name\":\"pg.lsn\",\"value\":\"0/3000148\"}],"
	"\"fallback\":\"reflink: the file system has none\","
	"\"hooks\":[{\"command\":\"/bin/quiesce now\",\"exit\":3,\"ms\":1500,"
	"\"output\":\"one\\ntwo\",\"phase\":\"pre\","
	"\"signal\":0,\"started_ns\":1795341845000000000,\"timed_out\":false},"
	"{\"command\":\"/bin/resume\",\"cut_bytes\":17,\"exit\":0,\"ms\":30000,\"output\":\"\","
	"\"phase\":\"post\",\"signal\":9,\"started_ns\":1795341847000000000,\"timed_out\":true}],"
	"\"moment\":\"window\","
	"\"notes\":[\"the subvolume 'cache' is not in it\"],"
	"\"token\":\"uuid 5:17\","
	"\"window\":{\"asked_ns\":1795341846000000001,\"frozen_ns\":1795341846000000002,"
	"\"thawed_ns\":1795341846000000003}}}";

static int from_text(const char *text, struct point_capture *ret, struct err *e)
{
	auto_json json_t *o = json_parse("test", text, strlen(text), e);

	if (!o)
		harness_die("%s", e->msg);
	return capture_get(o, ret, e);
}

static char *to_text(const struct point_capture *c)
{
	struct buf b = BUF_INIT(FORMAT_POINT_MAX);
	struct err e = ERR_INIT;
	auto_json json_t *o = json_object();
	size_t n;

	if (capture_put(c, o) < 0 || json_write(o, &b, &e) < 0)
		harness_die("not written: %s", e.msg);
	(void)buf_u8(&b, 0);
	return (char *)buf_steal(&b, &n);
}

static void test_capture_get__reads_every_member(void **state)
{
	CLEANUP(capture_clear) struct point_capture c = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(from_text(everything, &c, &e), 0);
	assert_int_equal(c.asked_ns, 1795341846000000001);
	assert_int_equal(c.frozen_ns, 1795341846000000002);
	assert_int_equal(c.thawed_ns, 1795341846000000003);
	assert_string_equal(c.moment, "window");
	assert_string_equal(c.token, "uuid 5:17");
	assert_string_equal(c.fallback, "reflink: the file system has none");
	assert_int_equal(c.nhooks, 2);
	assert_false(c.hooks[0].post);
	assert_string_equal(c.hooks[0].command, "/bin/quiesce now");
	assert_int_equal(c.hooks[0].exit, 3);
	assert_int_equal(c.hooks[0].ms, 1500);
	assert_int_equal(c.hooks[0].started_ns, 1795341845000000000);
	assert_string_equal(c.hooks[0].output, "one\ntwo");
	assert_true(c.hooks[1].post);
	assert_true(c.hooks[1].timed_out);
	assert_int_equal(c.hooks[1].signal, 9);
	assert_int_equal(c.hooks[1].cut_bytes, 17);
	assert_int_equal(c.nfacts, 1);
	assert_string_equal(c.facts[0].name, "pg.lsn");
	assert_string_equal(c.facts[0].value, "0/3000148");
	assert_int_equal(c.nnotes, 1);
	assert_string_equal(c.notes[0], "the subvolume 'cache' is not in it");
	assert_string_equal(c.changes.base_session, BASE);
	assert_int_equal(c.changes.claimed_bytes, 4096);
	assert_int_equal(c.changes.skipped_bytes, 0);
	assert_true(c.changes.compared);
	assert_int_equal(c.changes.compared_bytes, 65536);
	assert_int_equal(c.changes.wrong_bytes, 8192);
	assert_int_equal(c.changes.unread_points, 5);
	assert_true(c.changes.distrusted);
}

static void test_capture_put__writes_what_was_read(void **state)
{
	CLEANUP(capture_clear) struct point_capture c = { 0 };
	CLEANUP(capture_clear) struct point_capture copy = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(from_text(everything, &c, &e), 0);
	auto_free char *once = to_text(&c);
	assert_string_equal(once, everything);
	assert_int_equal(capture_copy(&c, &copy, &e), 0);
	auto_free char *twice = to_text(&copy);
	assert_string_equal(twice, everything);
}

static void test_capture_put__nothing_known_is_no_member(void **state)
{
	CLEANUP(capture_clear) struct point_capture c = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	auto_free char *text = to_text(&c);
	assert_string_equal(text, "{}");
	assert_int_equal(from_text("{}", &c, &e), 0);
	assert_int_equal(from_text("{\"capture\":null}", &c, &e), 0);
	assert_int_equal(from_text("{\"capture\":{\"hooks\":[],\"later\":{\"x\":1}}}", &c, &e), 0);
	assert_int_equal(c.nhooks, 0);
	assert_string_equal(c.token, "");
	assert_null(c.fallback);
}

static void test_capture_get__refuses_what_makes_no_sense(void **state)
{
	static const struct {
		const char *json, *says;
	} bad[] = {
		{ "[]", ".capture: expected an object" },
		{ "{\"moment\":\"two\"}", ".capture.moment" },
		{ "{\"moment\":1}", "moment" },
		{ "{\"token\":\"a\\u0007\"}", ".capture.token" },
		{ "{\"token\":\"\\u00e4\"}", ".capture.token" },
		{ "{\"window\":[]}", ".capture.window" },
		{ "{\"window\":{\"asked_ns\":\"1\"}}", "asked_ns" },
		{ "{\"hooks\":{}}", ".capture.hooks" },
		{ "{\"hooks\":[1]}", ".capture.hooks" },
		{ "{\"hooks\":[{\"phase\":\"while\"}]}", ".capture.hooks.phase" },
		{ "{\"hooks\":[{\"phase\":\"pre\",\"exit\":256}]}", ".capture.hooks.exit" },
		{ "{\"hooks\":[{\"phase\":\"pre\",\"signal\":-1}]}", ".capture.hooks.signal" },
		{ "{\"hooks\":[{\"phase\":\"pre\",\"ms\":-1}]}", ".capture.hooks.ms" },
		{ "{\"hooks\":[{\"phase\":\"pre\",\"timed_out\":1}]}", "timed_out" },
		{ "{\"facts\":[{\"name\":\"A\",\"value\":\"\"}]}", ".capture.facts.name" },
		{ "{\"facts\":[{\"name\":\"\",\"value\":\"\"}]}", ".capture.facts.name" },
		{ "{\"facts\":[{\"value\":\"\"}]}", ".capture.facts.name" },
		{ "{\"notes\":[1]}", ".capture.notes" },
		{ "{\"notes\":\"x\"}", ".capture.notes" },
		{ "{\"changes\":[]}", ".capture.changes" },
		{ "{\"changes\":{\"distrusted\":1}}", ".capture.changes.distrusted" },
		{ "{\"changes\":{\"base_session\":\"x\"}}", ".capture.changes.base_session" },
		{ "{\"changes\":{\"base_session\":\"" BASE "\",\"wrong_bytes\":-1}}",
		  ".capture.changes.wrong_bytes" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(capture_clear) struct point_capture c = { 0 };
		struct err e = ERR_INIT;
		char text[512];

		(void)snprintf(text, sizeof(text), "{\"capture\":%s}", bad[i].json);
		assert_int_equal(from_text(text, &c, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
		if (!strstr(e.msg, bad[i].says))
			fail_msg("'%s' does not name '%s'", e.msg, bad[i].says);
	}
}

/* {"capture":{KEY:[ITEM, n times]}}; the caller frees. */
static char *many(const char *key, const char *item, size_t n)
{
	struct buf b = BUF_INIT(FORMAT_POINT_MAX);
	size_t len;

	(void)buf_printf(&b, "{\"capture\":{\"%s\":[", key);
	for (size_t i = 0; i < n; i++)
		(void)buf_printf(&b, "%s%s", i ? "," : "", item);
	(void)buf_printf(&b, "]}}");
	(void)buf_u8(&b, 0);
	return (char *)buf_steal(&b, &len);
}

static void test_capture_get__lists_are_bounded(void **state)
{
	static const struct {
		const char *key, *item;
		size_t max;
	} lists[] = {
		{ "hooks", "{\"phase\":\"pre\"}", 64 },
		{ "facts", "{\"name\":\"a\",\"value\":\"\"}", 64 },
		{ "notes", "\"\"", 256 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		CLEANUP(capture_clear) struct point_capture c = { 0 };
		CLEANUP(capture_clear) struct point_capture d = { 0 };
		struct err e = ERR_INIT;
		auto_free char *good = many(lists[i].key, lists[i].item, lists[i].max);
		auto_free char *bad = many(lists[i].key, lists[i].item, lists[i].max + 1);

		assert_int_equal(from_text(good, &c, &e), 0);
		assert_int_equal(from_text(bad, &d, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
	}
}

static void test_capture_get__texts_are_bounded(void **state)
{
	static const struct {
		const char *form;
		size_t max;
	} texts[] = {
		{ "{\"capture\":{\"token\":\"%.*s\"}}", 255 },
		{ "{\"capture\":{\"fallback\":\"%.*s\"}}", 1024 },
		{ "{\"capture\":{\"notes\":[\"%.*s\"]}}", 1024 },
		{ "{\"capture\":{\"facts\":[{\"name\":\"%.*s\"}]}}", 64 },
		{ "{\"capture\":{\"facts\":[{\"name\":\"a\",\"value\":\"%.*s\"}]}}", 256 },
		{ "{\"capture\":{\"hooks\":[{\"phase\":\"pre\",\"command\":\"%.*s\"}]}}", 1024 },
		{ "{\"capture\":{\"hooks\":[{\"phase\":\"pre\",\"output\":\"%.*s\"}]}}", 8192 },
	};
	char fill[8200];
	char text[9000];

	(void)state;
	memset(fill, 'x', sizeof(fill));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(capture_clear) struct point_capture c = { 0 };
		CLEANUP(capture_clear) struct point_capture d = { 0 };
		struct err e = ERR_INIT;

		for (size_t over = 0; over < 2; over++) {
			const char *at = strchr(texts[i].form, '%');

			(void)snprintf(text, sizeof(text), "%.*s%.*s%s", (int)(at - texts[i].form),
			               texts[i].form, (int)(texts[i].max + over), fill, at + 4);
			assert_int_equal(from_text(text, over ? &d : &c, &e), over ? -1 : 0);
		}
		assert_int_equal(e.class, ERR_FORMAT);
	}
}

static void test_capture_add_hook__keeps_the_end_of_the_output(void **state)
{
	CLEANUP(capture_clear) struct point_capture c = { 0 };
	char output[CAPTURE_OUTPUT_MAX + 11];
	char command[2000];
	struct err e = ERR_INIT;

	(void)state;
	memset(output, 'a', sizeof(output));
	(void)snprintf(output + CAPTURE_OUTPUT_MAX, 11, "\n\t9876\xff%c", 0);
	memset(command, 'c', sizeof(command) - 1);
	command[sizeof(command) - 1] = '\0';
	const struct capture_hook h = { .command = command, .output = output, .cut_bytes = 100 };
	assert_int_equal(capture_add_hook(&c, &h, &e), 0);
	/* ten bytes of text more than there is room for: the last byte takes four */
	assert_int_equal(strlen(c.hooks[0].output), 8192);
	assert_string_equal(c.hooks[0].output + 8192 - 11, "a\n\t9876\\xff");
	assert_int_equal(c.hooks[0].cut_bytes, 110);
	assert_int_equal(strlen(c.hooks[0].command), 1024);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(capture_add_hook(&c, &h, &e), 0);
	assert_int_equal(c.nhooks, 64);
}

static void test_capture_add_fact__same_name_replaces_and_odd_names_are_left_out(void **state)
{
	CLEANUP(capture_clear) struct point_capture c = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(capture_add_fact(&c, "lsn", "1", &e), 0);
	assert_int_equal(capture_add_fact(&c, "", "x", &e), 0);
	assert_int_equal(capture_add_fact(&c, "LSN", "x", &e), 0);
	assert_int_equal(capture_add_fact(&c, "a b", "x", &e), 0);
	assert_int_equal(capture_add_fact(&c, "gtid-set.0", "a\nb", &e), 0);
	assert_int_equal(capture_add_fact(&c, "lsn", "2", &e), 0);
	assert_int_equal(c.nfacts, 2);
	assert_string_equal(c.facts[0].value, "2");
	assert_string_equal(c.facts[1].name, "gtid-set.0");
	assert_string_equal(c.facts[1].value, "a\\x0ab");
}

static void test_capture_add_note__bounds_number_and_length(void **state)
{
	CLEANUP(capture_clear) struct point_capture c = { 0 };
	struct err e = ERR_INIT;
	char note[3000];

	(void)state;
	memset(note, 0xfe, sizeof(note) - 1);
	note[sizeof(note) - 1] = '\0';
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(capture_add_note(&c, note, &e), 0);
	assert_int_equal(c.nnotes, 256);
	assert_int_equal(strlen(c.notes[255]), 1024);
}

static void test_capture_copy__shortens_outputs_until_it_fits(void **state)
{
	CLEANUP(capture_clear) struct point_capture c = { 0 };
	CLEANUP(capture_clear) struct point_capture d = { 0 };
	struct err e = ERR_INIT;
	char output[CAPTURE_OUTPUT_MAX + 1];
	char note[CAPTURE_NOTE_MAX + 1];

	(void)state;
	memset(output, '"', sizeof(output) - 1);
	output[sizeof(output) - 1] = '\0';
	memset(note, '"', sizeof(note) - 1);
	note[sizeof(note) - 1] = '\0';
	const struct capture_hook h = { .command = note, .output = output };
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(capture_add_hook(&c, &h, &e), 0);
	for (size_t i = 0; i < 256; i++)
		assert_int_equal(capture_add_note(&c, note, &e), 0);
	assert_int_equal(capture_copy(&c, &d, &e), 0);
	assert_int_equal(strlen(d.hooks[63].output), 2048);
	assert_int_equal(d.hooks[63].cut_bytes, 8192 - 2048);
	assert_int_equal(d.nnotes, 256);
	auto_free char *text = to_text(&d);
	assert_true(strlen(text) <= FORMAT_POINT_MAX / 4);
}

static void test_capture_copy__refuses_odd_tokens_and_moments(void **state)
{
	struct point_capture c = { .token = "a\n" };
	struct point_capture d;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(capture_copy(&c, &d, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_non_null(strstr(e.msg, "token"));
	c = (struct point_capture){ .moment = "some" };
	assert_int_equal(capture_copy(&c, &d, &e), -1);
	assert_non_null(strstr(e.msg, "moment"));
}

static void test_capture_fact_name_valid__form(void **state)
{
	char name[66];

	(void)state;
	memset(name, 'a', 65);
	name[65] = '\0';
	assert_false(capture_fact_name_valid(name));
	name[64] = '\0';
	assert_true(capture_fact_name_valid(name));
	assert_true(capture_fact_name_valid("pg.lsn-2"));
	assert_false(capture_fact_name_valid(""));
	assert_false(capture_fact_name_valid("a_b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capture_get__reads_every_member),
		cmocka_unit_test(test_capture_put__writes_what_was_read),
		cmocka_unit_test(test_capture_put__nothing_known_is_no_member),
		cmocka_unit_test(test_capture_get__refuses_what_makes_no_sense),
		cmocka_unit_test(test_capture_get__lists_are_bounded),
		cmocka_unit_test(test_capture_get__texts_are_bounded),
		cmocka_unit_test(test_capture_add_hook__keeps_the_end_of_the_output),
		cmocka_unit_test(
			test_capture_add_fact__same_name_replaces_and_odd_names_are_left_out),
		cmocka_unit_test(test_capture_add_note__bounds_number_and_length),
		cmocka_unit_test(test_capture_copy__shortens_outputs_until_it_fits),
		cmocka_unit_test(test_capture_copy__refuses_odd_tokens_and_moments),
		cmocka_unit_test(test_capture_fact_name_valid__form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
