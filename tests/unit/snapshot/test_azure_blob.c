/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a snapshot, with access that ends, and a service that fails. */
#include "snapshot/azure_blob.h"

#include <dirent.h>

#include "tests/harness/azure_kit.h"

static char *dir;
static struct azure_arm *arm;

static int setup(void **state)
{
	(void)state;
	azure_kit_start();
	struct azure_kit_snapshot *one = azure_kit_add("one", 64 * KIB, NULL);
	memset(one->bytes + 4096, 'a', 8192);
	memset(one->bytes + 32768, 'b', 512);
	struct azure_kit_snapshot *two = azure_kit_add("two", 64 * KIB, one);
	memset(two->bytes + 4096, 'c', 512);
	memset(two->bytes + 8192, 0, 1024);
	dir = tmpdir_new();
	arm = azure_kit_arm();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	azure_arm_free(arm);
	azure_kit_stop();
	tmpdir_remove(dir);
	return 0;
}

static struct azure_blob *opened(const char *name)
{
	struct err e = ERR_INIT;
	struct azure_blob *b = azure_blob_open(arm, NULL, azure_kit_id(name), &e);

	if (!b)
		fail_msg("%s", e.msg);
	return b;
}

static void assert_ranges(struct azure_blob *b, struct azure_blob *since, const char *expected)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(4096);
	auto_azure_pages struct azure_pages *pages = NULL;
	auto_ranges struct ranges *r = NULL;

	ok(azure_blob_pages(b, since, &pages, e));
	ok(azure_pages_ranges(pages, 64 * KIB, true, &r, e));
	for (size_t i = 0; i < r->n; i++)
		(void)buf_printf(&text, "%s%llu-%llu", i ? " " : "",
		                 (unsigned long long)r->v[i].start,
		                 (unsigned long long)r->v[i].end);
	assert_string_equal(buf_cstr(&text), expected);
}

static void pages_fail(struct azure_blob *b, struct azure_blob *since, enum err_class class,
                       const char *text)
{
	struct azure_pages *pages = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(azure_blob_pages(b, since, &pages, &e), -1);
	assert_null(pages);
	azure_kit_refused(&e, class, text);
}

static unsigned notes(void)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	unsigned n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)))
		n += entry->d_name[0] != '.';
	(void)closedir(d);
	return n;
}

static void test_pages__what_is_there_and_what_changed(void **state)
{
	auto_azure_blob struct azure_blob *one = opened("one");
	auto_azure_blob struct azure_blob *two = opened("two");

	(void)state;
	assert_ranges(one, NULL, "4096-12288 32768-33280");
	assert_ranges(two, one, "4096-4608 8192-9216");
	assert_int_equal(azure_kit.lists, 1);
	assert_int_equal(azure_kit.diffs, 1);
}

static void test_pages__a_list_in_parts_is_one(void **state)
{
	auto_azure_blob struct azure_blob *one = opened("one");

	(void)state;
	azure_kit.list_max = 1;
	assert_ranges(one, NULL, "4096-12288 32768-33280");
	assert_int_equal(azure_kit.lists, 3);
}

static void test_pages__a_service_that_is_busy_is_asked_again(void **state)
{
	auto_azure_blob struct azure_blob *one = opened("one");

	(void)state;
	azure_kit.busy = 2;
	assert_ranges(one, NULL, "4096-12288 32768-33280");
}

static void test_pages__refusals_have_their_class(void **state)
{
	auto_azure_blob struct azure_blob *one = opened("one");
	auto_azure_blob struct azure_blob *two = opened("two");

	(void)state;
	azure_kit.diff_status = 409;
	pages_fail(two, one, ERR_UNSUPPORTED, "finding what changed: the snapshot's service");
	azure_kit.blob_status = 404;
	pages_fail(two, NULL, ERR_NOT_FOUND, "are gone");
	azure_kit.blob_status = 403;
	pages_fail(two, NULL, ERR_DENIED, "status 403 TheCode; look at its network access");
	azure_kit.blob_status = 0;
	azure_kit.list = "<PageList><PageRange><Start>0</Start>";
	pages_fail(two, NULL, ERR_FORMAT, "no whole XML");
	azure_kit.list = "<PageList><NextMarker>x</NextMarker></PageList>";
	pages_fail(two, NULL, ERR_FORMAT, "goes on where it went on before");
}

static void test_read__gets_exactly_what_is_asked_for(void **state)
{
	auto_azure_blob struct azure_blob *one = opened("one");
	char p[1024];

	(void)state;
	ok(azure_blob_read(one, p, 1024, 12288 - 512, e));
	assert_int_equal(p[511], 'a');
	assert_int_equal(p[512], 0);
	ok(azure_blob_read(one, p, 0, 0, e));
	assert_int_equal(azure_kit.reads, 1);
	assert_int_equal(azure_kit.read_bytes, 1024);
}

static void test_read__an_answer_that_breaks_off_is_got_again(void **state)
{
	auto_azure_blob struct azure_blob *one = opened("one");
	char p[8192];

	(void)state;
	azure_kit.cut_reads = 2;
	ok(azure_blob_read(one, p, 8192, 4096, e));
	for (size_t i = 0; i < sizeof(p); i++)
		assert_int_equal(p[i], 'a');
}

static void test_read__an_url_whose_time_is_up_is_replaced(void **state)
{
	auto_azure_blob struct azure_blob *one = opened("one");
	char p[512];

	(void)state;
	azure_kit.serves = 2;
	for (unsigned i = 0; i < 5; i++)
		ok(azure_blob_read(one, p, 512, 4096, e));
	assert_int_equal(azure_kit.snapshots[0].begins, 3);
	assert_int_equal(azure_kit.snapshots[0].ends, 2);
}

static void test_read__one_that_never_served_is_not_replaced_for_ever(void **state)
{
	auto_azure_blob struct azure_blob *one = opened("one");
	struct err e = ERR_INIT;
	char p[512];

	(void)state;
	assert_int_equal(azure_blob_read(one, p, 512, 4096, &e), 0);
	azure_kit.blob_status = 403;
	assert_int_equal(azure_blob_read(one, p, 512, 4096, &e), -1);
	azure_kit_refused(&e, ERR_DENIED, "may not be read from here");
	assert_int_equal(azure_kit.snapshots[0].begins, 2);
}

static void test_read__beyond_the_end_is_an_error(void **state)
{
	auto_azure_blob struct azure_blob *one = opened("one");
	struct err e = ERR_INIT;
	char p[512];

	(void)state;
	assert_int_equal(azure_blob_read(one, p, 512, 128 * KIB, &e), -1);
	azure_kit_refused(&e, ERR_IO, "status 416");
}

static void test_open__access_is_noted_until_it_ends(void **state)
{
	struct err e = ERR_INIT;
	auto_journal struct journal *j = journal_open(dir, &e);

	(void)state;
	assert_non_null(j);
	struct azure_blob *one = azure_blob_open(arm, j, azure_kit_id("one"), &e);
	assert_non_null(one);
	assert_int_equal(notes(), 1);
	assert_int_equal(azure_blob_close(one, &e), 0);
	assert_int_equal(notes(), 0);
	assert_int_equal(azure_kit.snapshots[0].ends, 1);
}

static void test_open__what_was_begun_and_failed_is_ended(void **state)
{
	struct err e = ERR_INIT;
	auto_journal struct journal *j = journal_open(dir, &e);

	(void)state;
	assert_non_null(j);
	azure_kit.arm_status = 409;
	assert_null(azure_blob_open(arm, j, azure_kit_id("one"), &e));
	azure_kit_refused(&e, ERR_BUSY, "refuses for now");
	assert_int_equal(azure_kit.snapshots[0].ends, 1);
	assert_int_equal(notes(), 0);
}

static void test_close__access_that_cannot_be_ended_stays_noted(void **state)
{
	struct err e = ERR_INIT;
	auto_journal struct journal *j = journal_open(dir, &e);

	(void)state;
	assert_non_null(j);
	struct azure_blob *one = azure_blob_open(arm, j, azure_kit_id("one"), &e);
	assert_non_null(one);
	azure_kit.failure = "Failed";
	assert_int_equal(azure_blob_close(one, &e), -1);
	azure_kit_refused(&e, ERR_IO, "ending access to the snapshot");
	assert_int_equal(notes(), 1);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(test_pages__what_is_there_and_what_changed),
		in_world(test_pages__a_list_in_parts_is_one),
		in_world(test_pages__a_service_that_is_busy_is_asked_again),
		in_world(test_pages__refusals_have_their_class),
		in_world(test_read__gets_exactly_what_is_asked_for),
		in_world(test_read__an_answer_that_breaks_off_is_got_again),
		in_world(test_read__an_url_whose_time_is_up_is_replaced),
		in_world(test_read__one_that_never_served_is_not_replaced_for_ever),
		in_world(test_read__beyond_the_end_is_an_error),
		in_world(test_open__access_is_noted_until_it_ends),
		in_world(test_open__what_was_begun_and_failed_is_ended),
		in_world(test_close__access_that_cannot_be_ended_stays_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
