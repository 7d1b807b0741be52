/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot as a source, alone and compared with an earlier one. */
#include "snapshot/azure_disk.h"

#include "snapshot/azure_blob.h"
#include "tests/harness/azure_kit.h"

#define SIZE (16 * MIB)

static struct azure_arm *arm;
static struct azure_kit_snapshot *one, *two;

static int setup(void **state)
{
	(void)state;
	azure_kit_start();
	one = azure_kit_add("one", SIZE, NULL);
	memset(one->bytes + MIB, 'a', 6 * MIB);
	two = azure_kit_add("two", SIZE, one);
	memset(two->bytes + 2 * MIB, 'b', 64 * KIB);
	memset(two->bytes + 5 * MIB, 0, 64 * KIB);
	memset(two->bytes + 9 * MIB, 'c', 512);
	arm = azure_kit_arm();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	azure_arm_free(arm);
	azure_kit_stop();
	return 0;
}

static void clean_disk(struct azure_disk *const *d)
{
	ok(azure_disk_close(*d, e));
}
#define auto_disk CLEANUP(clean_disk)

static struct azure_disk *opened(const char *name)
{
	struct err e = ERR_INIT;
	struct azure_disk *d = azure_disk_open(arm, NULL, azure_kit_id(name), &e);

	if (!d)
		fail_msg("%s", e.msg);
	return d;
}

static void not_opened(const char *name, enum err_class class, const char *text)
{
	struct err e = ERR_INIT;

	assert_null(azure_disk_open(arm, NULL, azure_kit_id(name), &e));
	azure_kit_refused(&e, class, text);
}

static void not_compared(enum err_class class, const char *text)
{
	auto_disk struct azure_disk *d = opened("two");
	struct err e = ERR_INIT;

	assert_int_equal(azure_disk_compare(d, azure_kit_id("one"), &e), -1);
	azure_kit_refused(&e, class, text);
	assert_int_equal(azure_disk_changed_bytes(d), azure_disk_bytes(d));
}

/* The one entry of a source, open. */
struct reading {
	struct source *source;
	struct batch *batch;
	struct content *content;
};

static struct reading reading_of(struct azure_disk *d)
{
	struct reading r = { 0 };
	struct batch *end;

	ok((r.source = azure_disk_source(d, e)) ? 0 : -1);
	ok(r.source->ops->next(r.source, &r.batch, e));
	assert_non_null(r.batch);
	ok(r.source->ops->next(r.source, &end, e));
	assert_null(end);
	ok(r.source->ops->open(r.source, &r.batch->entries[0], &r.content, e));
	return r;
}

static void reading_clear(struct reading *r)
{
	struct entry_stat st;
	bool changed = true;

	ok(r->source->ops->close(r->content, &st, &changed, e));
	assert_false(changed);
	r->source->ops->batch_free(r->source, r->batch);
	r->source->ops->free(r->source);
}

static void assert_bytes(const struct reading *r, const struct azure_kit_snapshot *s, uint64_t off,
                         size_t n, int64_t expected)
{
	auto_free uint8_t *p = malloc(n);
	struct err e = ERR_INIT;

	assert_non_null(p);
	assert_int_equal(r->source->ops->read(r->content, p, n, off, &e), expected);
	assert_memory_equal(p, s->bytes + off, (size_t)expected);
}

static void test_source__is_one_block_entry_with_holes(void **state)
{
	auto_disk struct azure_disk *d = opened("two");
	CLEANUP(reading_clear) struct reading r = reading_of(d);
	const struct entry *n = &r.batch->entries[0];
	uint64_t start = 0, end = 0;
	bool known = true;

	(void)state;
	assert_string_equal(n->path, "");
	assert_true(n->block);
	assert_true(S_ISREG(n->st.mode));
	assert_int_equal(n->st.size, SIZE);
	assert_int_equal(n->st.mtime.s * 1000000000, azure_disk_created_ns(d));
	ok(r.source->ops->data(r.content, 0, &start, &end, e));
	assert_int_equal(start, MIB);
	assert_int_equal(end, 5 * MIB);
	ok(r.source->ops->data(r.content, 7 * MIB, &start, &end, e));
	assert_int_equal(start, 9 * MIB);
	/* what is behind the disk is no part of it */
	ok(r.source->ops->data(r.content, end, &start, &end, e));
	assert_int_equal(start, SIZE);
	ok(r.source->ops->changed(r.content, 0, &known, &start, &end, e));
	assert_false(known);
}

static void test_source__two_snapshots_are_never_taken_for_each_other(void **state)
{
	auto_disk struct azure_disk *a = opened("one");
	auto_disk struct azure_disk *b = opened("two");
	CLEANUP(reading_clear) struct reading x = reading_of(a);
	CLEANUP(reading_clear) struct reading y = reading_of(b);

	(void)state;
	assert_int_not_equal(x.batch->entries[0].st.ino, y.batch->entries[0].st.ino);
}

static void test_read__reads_ahead_to_the_end_of_what_is_there(void **state)
{
	auto_disk struct azure_disk *d = opened("one");
	CLEANUP(reading_clear) struct reading r = reading_of(d);

	(void)state;
	for (uint64_t off = MIB; off < 7 * MIB; off += 256 * KIB)
		assert_bytes(&r, one, off, 256 * KIB, 256 * KIB);
	assert_int_equal(azure_kit.read_bytes, 6 * MIB);
	assert_int_equal(azure_kit.reads, 2);
	/* and there is nothing that is not got, wherever it lies */
	assert_bytes(&r, one, MIB - 100, 300, 300);
	assert_bytes(&r, one, 7 * MIB - 100, 5 * MIB, 5 * MIB);
	assert_bytes(&r, one, SIZE - 512, 4096, 512);
	assert_bytes(&r, one, SIZE, 1, 0);
}

static void test_read__of_a_disk_that_was_compared_only_what_changed(void **state)
{
	auto_disk struct azure_disk *d = opened("two");
	uint64_t start = 0, end = 0;
	bool known = false;

	(void)state;
	ok(azure_disk_compare(d, azure_kit_id("one"), e));
	assert_int_equal(azure_disk_changed_bytes(d), 128 * KIB + 512);
	assert_int_equal(one->ends, 1);
	assert_false(one->open);
	CLEANUP(reading_clear) struct reading r = reading_of(d);
	ok(r.source->ops->changed(r.content, 0, &known, &start, &end, e));
	assert_true(known);
	assert_int_equal(start, 2 * MIB);
	assert_int_equal(end, 2 * MIB + 64 * KIB);
	assert_bytes(&r, two, 2 * MIB, 4096, 4096);
	assert_bytes(&r, two, 2 * MIB + 60 * KIB, 4096, 4096);
	assert_int_equal(azure_kit.read_bytes, 64 * KIB);
	ok(r.source->ops->changed(r.content, end, &known, &start, &end, e));
	assert_int_equal(start, 5 * MIB);
	/* it was cleared: no byte of it is read */
	ok(r.source->ops->data(r.content, start, &start, &end, e));
	assert_int_equal(start, 5 * MIB + 64 * KIB);
	/* outside of what changed as much as is asked for */
	assert_bytes(&r, two, 6 * MIB, 4096, 4096);
	assert_int_equal(azure_kit.read_bytes, 68 * KIB);
}

static void test_compare__what_a_disk_grew_by_is_changed(void **state)
{
	struct azure_kit_snapshot *three = azure_kit_add("three", 2 * SIZE, two);
	auto_disk struct azure_disk *d = opened("three");

	(void)state;
	three->bytes[SIZE] = 1;
	ok(azure_disk_compare(d, azure_kit_id("two"), e));
	assert_int_equal(azure_disk_changed_bytes(d), SIZE);
}

static void test_compare__whatever_is_doubtful_counts_as_changed(void **state)
{
	(void)state;
	one->family = "another";
	not_compared(ERR_UNSUPPORTED, "of another disk");
	one->family = "";
	one->more = ",\"completionPercent\":3";
	not_compared(ERR_UNSUPPORTED, "not complete");
	one->more = NULL;
	one->created = "2027-01-01T00:00:00Z";
	not_compared(ERR_UNSUPPORTED, "is not earlier");
	one->created = "2026-01-01T00:00:00Z";
	azure_kit.diff_status = 403;
	not_compared(ERR_DENIED, "may not be read from here");
	azure_kit.diff_status = 400;
	not_compared(ERR_UNSUPPORTED, "status 400");
	azure_kit.diff_status = 0;
	assert_int_equal(one->begins, one->ends);
	one->gone = true;
	not_compared(ERR_NOT_FOUND, "no such snapshot");
}

static void test_check_base__a_resize_over_the_edge(void **state)
{
	const struct azure_snapshot base = { .bytes = UINT64_C(4) << 40,
		                             .created_ns = 1,
		                             .incremental = true,
		                             .complete = true,
		                             .sector_bytes = 512,
		                             .disk = "d" };
	struct azure_snapshot now = base;
	struct err e = ERR_INIT;

	(void)state;
	now.created_ns = 2;
	assert_int_equal(azure_disk_check_base(&now, &base, &e), 0);
	now.bytes += 512;
	assert_int_equal(azure_disk_check_base(&now, &base, &e), -1);
	now.bytes = base.bytes - 512;
	assert_int_equal(azure_disk_check_base(&now, &base, &e), -1);
	now.bytes = base.bytes;
	now.disk[0] = '\0';
	assert_int_equal(azure_disk_check_base(&now, &base, &e), -1);
}

static void test_open__what_cannot_be_read_is_told_before_there_is_access(void **state)
{
	(void)state;
	two->full = true;
	not_opened("two", ERR_UNSUPPORTED, "not an incremental one");
	two->full = false;
	two->more = ",\"completionPercent\":99.5";
	not_opened("two", ERR_BUSY, "still being copied");
	two->more = ",\"completionPercent\":100";
	ok(azure_disk_close(opened("two"), e));
	assert_int_equal(two->begins, 1);
	not_opened("none", ERR_NOT_FOUND, "no such snapshot");
	one->more = NULL;
	azure_kit.blob_status = 403;
	not_opened("one", ERR_DENIED, "network access");
	assert_int_equal(one->begins, one->ends);
}

static void test_clean__ends_access_and_nothing_else(void **state)
{
	char text[512];
	struct err e = ERR_INIT;

	(void)state;
	(void)snprintf(text, sizeof(text), AZURE_BLOB_NOTE "%s", azure_kit_id("one"));
	assert_int_equal(azure_disk_clean(arm, text, &e), 0);
	assert_int_equal(one->ends, 1);
	assert_int_equal(azure_disk_clean(arm, AZURE_BLOB_NOTE "/etc/passwd", &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_int_equal(azure_disk_clean(arm, "", &e), -1);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(test_source__is_one_block_entry_with_holes),
		in_world(test_source__two_snapshots_are_never_taken_for_each_other),
		in_world(test_read__reads_ahead_to_the_end_of_what_is_there),
		in_world(test_read__of_a_disk_that_was_compared_only_what_changed),
		in_world(test_compare__what_a_disk_grew_by_is_changed),
		in_world(test_compare__whatever_is_doubtful_counts_as_changed),
		in_world(test_check_base__a_resize_over_the_edge),
		in_world(test_open__what_cannot_be_read_is_told_before_there_is_access),
		in_world(test_clean__ends_access_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
