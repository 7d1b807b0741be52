/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics as text: the form, what is escaped, and the file that takes the place of the old one. */
#include "common/metric.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

static void test_metric_sample__is_in_the_form_of_prometheus(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);
	const struct metric_label labels[] = { { "volume", "shop/orders" },
		                               { "kind", "compared" } };

	(void)state;
	metric_family(&b, "aksdr_lag_seconds", METRIC_GAUGE, "How far behind it is.");
	metric_sample(&b, "aksdr_lag_seconds", NULL, 0, 12);
	metric_family(&b, "aksdr_total", METRIC_COUNTER, "Things.");
	metric_sample(&b, "aksdr_total", labels, 2, 0.5);
	metric_sample(&b, "aksdr_total", labels, 1, 1795305600);
	metric_sample(&b, "aksdr_total", labels, 1, -3);
	assert_string_equal(buf_cstr(&b),
	                    "# HELP aksdr_lag_seconds How far behind it is.\n"
	                    "# TYPE aksdr_lag_seconds gauge\n"
	                    "aksdr_lag_seconds 12\n"
	                    "# HELP aksdr_total Things.\n"
	                    "# TYPE aksdr_total counter\n"
	                    "aksdr_total{volume=\"shop/orders\",kind=\"compared\"} 0.5\n"
	                    "aksdr_total{volume=\"shop/orders\"} 1795305600\n"
	                    "aksdr_total{volume=\"shop/orders\"} -3\n");
}

static void test_metric_sample__escapes_what_would_end_a_value(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);
	const struct metric_label label = { "v", "a\"b\\c\nx\xff\xc3\xa9" };

	(void)state;
	metric_sample(&b, "m", &label, 1, 1);
	assert_string_equal(buf_cstr(&b), "m{v=\"a\\\"b\\\\c\\\\x0ax\\\\xff\xc3\xa9\"} 1\n");
}

static void test_metric_sample__cuts_a_long_value_between_characters(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);
	char text[600];
	struct metric_label label = { "v", text };

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	text[sizeof(text) - 2] = '\0';
	metric_sample(&b, "m", &label, 1, 1);
	assert_int_equal(b.len, strlen("m{v=\"\"} 1\n") + METRIC_VALUE_MAX);
}

static void test_metric_write__replaces_the_file_as_a_whole(void **state)
{
	char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "aksdr.prom");
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);
	CLEANUP(buf_clear) struct buf got = BUF_INIT(1024);
	struct stat st;

	(void)state;
	ok(fd_create_file(AT_FDCWD, path, "old", 3, 0600, FD_REPLACE, e));
	metric_sample(&b, "m", NULL, 0, 1);
	ok(metric_write(&b, path, e));
	ok(fd_read_file(AT_FDCWD, path, &got, e));
	assert_int_equal(got.len, 4);
	assert_memory_equal(got.data, "m 1\n", 4);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	tmpdir_remove(dir);
}

static void test_metric_write__says_what_it_could_not_write(void **state)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);
	CLEANUP(buf_clear) struct buf small = BUF_INIT(3);

	(void)state;
	metric_sample(&b, "m", NULL, 0, 1);
	fails_saying(ERR_NOT_FOUND, "writing metrics to '/nowhere/x'",
	             metric_write(&b, "/nowhere/x", e));
	metric_sample(&small, "m", NULL, 0, 1);
	fails_saying(ERR_TOO_BIG, "writing metrics", metric_write(&small, "/nowhere/x", e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metric_sample__is_in_the_form_of_prometheus),
		cmocka_unit_test(test_metric_sample__escapes_what_would_end_a_value),
		cmocka_unit_test(test_metric_sample__cuts_a_long_value_between_characters),
		cmocka_unit_test(test_metric_write__replaces_the_file_as_a_whole),
		cmocka_unit_test(test_metric_write__says_what_it_could_not_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
