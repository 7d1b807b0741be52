/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A managed disk of 64 MiB that is backed up from its snapshots, twice, with 192 KiB changed
 * between: what the service counts is what changed, and the disk that is restored has the bytes of
 * the snapshot. And again with each fault that such a service has.
 */
#include "snapshot/azure_disk.h"

#include "common/fd.h"
#include "repo/writer.h"
#include "restore/report.h"
#include "restore/restore.h"
#include "restore/target.h"
#include "tests/harness/azure_kit.h"
#include "tests/harness/repo_kit.h"

#define SIZE (64 * MIB)
#define CHANGED (192 * KIB)

static struct kit kit;
static struct azure_arm *arm;
static struct azure_kit_snapshot *one, *two;

static int setup(void **state)
{
	(void)state;
	kit = kit_new();
	azure_kit_start();
	one = azure_kit_add("one", SIZE, NULL);
	fill_random(1, one->bytes + 3 * MIB, 40 * MIB);
	two = azure_kit_add("two", SIZE, one);
	fill_random(2, two->bytes + 5 * MIB + 4096, 64 * KIB);
	fill_random(3, two->bytes + 20 * MIB, 64 * KIB);
	fill_random(4, two->bytes + 60 * MIB, 64 * KIB);
	memset(two->bytes + 30 * MIB, 0, MIB);
	arm = azure_kit_arm();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	azure_arm_free(arm);
	azure_kit_stop();
	kit_clear(&kit);
	return 0;
}

/* What a point came to. */
struct made {
	struct point point;
	bool based; /* there was a list of what changed */
	uint64_t read_bytes;
};

static void made_clear(struct made *m)
{
	point_clear(&m->point);
}
#define auto_made CLEANUP(made_clear)

/* Backs the snapshot up, compared with base where there is one and that can be. */
static struct made backed_up(const char *name, const char *base, const struct point *previous,
                             bool compare)
{
	static const struct point_volume volume = { .name = "disk", .block = true };
	struct point_capture capture = { 0 };
	struct err e = ERR_INIT;
	struct made m = { .based = false };

	(void)snprintf(capture.token, sizeof(capture.token), "%s", azure_kit_id(name));
	azure_kit.read_bytes = 0;
	struct azure_disk *d = azure_disk_open(arm, NULL, azure_kit_id(name), &e);
	if (!d)
		fail_msg("%s", e.msg);
	if (base)
		m.based = azure_disk_compare(d, azure_kit_id(base), &e) == 0;
	struct source *source = azure_disk_source(d, &e);
	assert_non_null(source);
	const struct writer_params p = {
		.volume = &volume,
		.domain = "d",
		.consistency = "crash",
		.driver = "azure-disk",
		.capture = &capture,
		.frozen_ns = azure_disk_created_ns(d),
		.verify_encode = true,
		.still = true,
		.base_session = m.based ? previous->session : NULL,
		.compare = compare,
		.threads = 2,
	};
	if (writer_backup(kit.agent, source, &p, &m.point, &e) < 0)
		fail_msg("%s", e.msg);
	source->ops->free(source);
	assert_int_equal(azure_disk_close(d, &e), 0);
	m.read_bytes = azure_kit.read_bytes;
	assert_false(one->open || two->open);
	return m;
}

static void assert_restored(const struct point *p, const struct azure_kit_snapshot *s)
{
	const struct restore_params params = { .rehash = true, .threads = 2 };
	auto_free char *path = path_join(kit.dir, "image");
	auto_free uint8_t *bytes = malloc(SIZE);
	auto_target struct target *target = NULL;
	struct report report;

	assert_non_null(bytes);
	(void)unlink(path);
	report_init(&report);
	ok(target_block_open(path, SIZE, 0, &report.losses, &target, e));
	ok(restore_run(kit.recovery, p, target, &params, &report, e));
	ok(report_verdict(&report, e));
	report_clear(&report);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_pread_full(fd, bytes, SIZE, 0), SIZE);
	assert_memory_equal(bytes, s->bytes, SIZE);
}

static void test_backup__reads_what_changed_and_nothing_else(void **state)
{
	(void)state;
	auto_made struct made first = backed_up("one", NULL, NULL, false);
	assert_int_equal(first.read_bytes, 40 * MIB);
	assert_int_equal(first.point.unreadable, 0);
	assert_restored(&first.point, one);

	auto_made struct made second = backed_up("two", "one", &first.point, false);
	assert_true(second.based);
	assert_int_equal(second.read_bytes, CHANGED);
	assert_int_equal(second.point.bytes_read, CHANGED);
	assert_int_equal(second.point.unreadable, 0);
	assert_restored(&second.point, two);
	assert_restored(&first.point, one);
}

static void test_backup__a_full_comparison_finds_the_list_right(void **state)
{
	(void)state;
	auto_made struct made first = backed_up("one", NULL, NULL, false);
	auto_made struct made second = backed_up("two", "one", &first.point, true);
	assert_true(second.read_bytes >= 39 * MIB);
	assert_int_equal(second.point.capture.changes.wrong_bytes, 0);
	assert_restored(&second.point, two);
}

static void test_backup__with_lists_in_parts_and_a_service_that_fails_now_and_then(void **state)
{
	(void)state;
	azure_kit.polls = 2;
	azure_kit.list_max = 1;
	azure_kit.busy = 3;
	azure_kit.cut_reads = 3;
	auto_made struct made first = backed_up("one", NULL, NULL, false);
	azure_kit.busy = 3;
	azure_kit.cut_reads = 2;
	auto_made struct made second = backed_up("two", "one", &first.point, false);
	assert_true(second.based);
	assert_int_equal(second.read_bytes, CHANGED);
	assert_restored(&first.point, one);
	assert_restored(&second.point, two);
}

static void test_backup__access_that_ends_midway_is_got_again(void **state)
{
	(void)state;
	azure_kit.serves = 3;
	auto_made struct made first = backed_up("one", NULL, NULL, false);
	assert_true(one->begins > 3);
	assert_int_equal(one->begins, one->ends);
	assert_restored(&first.point, one);
}

static void test_backup__without_a_base_all_is_read(void **state)
{
	(void)state;
	auto_made struct made first = backed_up("one", NULL, NULL, false);
	one->gone = true;
	auto_made struct made second = backed_up("two", "one", &first.point, false);
	assert_false(second.based);
	assert_true(second.read_bytes >= 39 * MIB);
	assert_restored(&second.point, two);
}

static void test_backup__without_differences_all_is_read(void **state)
{
	static const int statuses[] = { 403, 409 };

	(void)state;
	auto_made struct made first = backed_up("one", NULL, NULL, false);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		azure_kit.diff_status = statuses[i];
		auto_made struct made next = backed_up("two", "one", &first.point, false);
		assert_false(next.based);
		assert_restored(&next.point, two);
	}
}

/* The disk is read from its snapshot to the end, or there is no point, and why. */
static void breaks_off(void (*then)(void), const char *why)
{
	static const struct point_volume volume = { .name = "disk", .block = true };
	const struct writer_params params = { .volume = &volume,
		                              .domain = "d",
		                              .consistency = "crash",
		                              .driver = "azure-disk",
		                              .still = true,
		                              .threads = 2 };
	struct err e = ERR_INIT;
	struct point p = { 0 };

	struct azure_disk *d = azure_disk_open(arm, NULL, azure_kit_id("one"), &e);
	assert_non_null(d);
	struct source *source = azure_disk_source(d, &e);
	assert_non_null(source);
	then();
	assert_int_equal(writer_backup(kit.agent, source, &params, &p, &e), -1);
	azure_kit_refused(&e, ERR_IO, why);
	source->ops->free(source);
	assert_int_equal(azure_disk_close(d, &e), 0);
	assert_false(one->open);
}

static void bytes_are_gone(void)
{
	azure_kit.blob_status = 404;
}

static void time_is_up_and_no_right_is_left(void)
{
	azure_kit.blob_status = 0;
	azure_kit.serves = 3;
	azure_kit.begins_max = one->begins;
}

static void test_backup__that_breaks_off_makes_no_point_and_says_why(void **state)
{
	(void)state;
	breaks_off(bytes_are_gone, "the bytes of the snapshot are gone");
	azure_kit.blob_status = 0;
	breaks_off(time_is_up_and_no_right_is_left, "lacks a right on the snapshot");
	azure_kit.serves = 0;
	azure_kit.begins_max = 0;
	auto_made struct made next = backed_up("one", NULL, NULL, false);
	assert_restored(&next.point, one);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(test_backup__reads_what_changed_and_nothing_else),
		in_world(test_backup__a_full_comparison_finds_the_list_right),
		in_world(test_backup__with_lists_in_parts_and_a_service_that_fails_now_and_then),
		in_world(test_backup__access_that_ends_midway_is_got_again),
		in_world(test_backup__without_a_base_all_is_read),
		in_world(test_backup__without_differences_all_is_read),
		in_world(test_backup__that_breaks_off_makes_no_point_and_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
