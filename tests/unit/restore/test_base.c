/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one point to another by what differs alone: the target is exactly the new one, what is the
 * same is not looked at, and a target that is not the old one is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <linux/capability.h>
#include <sys/syscall.h>

#include "tests/unit/restore/world.h"

#define BASED (TARGET_IN_PLACE | TARGET_DELETE | TARGET_KNOWN)

static int try_based(struct world *w, const struct point *from, const struct point *to,
                     struct err *e)
{
	const struct restore_params params = { .threads = 2, .base = from };

	return world_try(w, to, w->out, BASED, &params, e);
}

/* w->out, which is from, becomes to. */
static void go(struct world *w, const struct point *from, const struct point *to)
{
	ok(try_based(w, from, to, e));
	ok(report_verdict(&w->report, e));
}

static int try_once(struct world *w, const struct point *from, const struct point *to,
                    struct err *e)
{
	int rc = try_based(w, from, to, e);

	if (rc == 0)
		fail_msg("a target that is not the base was taken");
	assert_int_equal(e->class, ERR_CORRUPT);
	assert_non_null(strstr(e->msg, "run again without --base"));
	/* And that is what makes it right. */
	world_restore(w, to, TARGET_IN_PLACE | TARGET_DELETE);
	assert_same_tree(w->src, w->out);
	return rc;
}

/* Restoring from's difference to `to` fails, and says what of the path is not so. */
static void assert_not_so(struct world *w, const struct point *from, const struct point *to,
                          const char *path, const char *why)
{
	struct err e = ERR_INIT;

	(void)try_once(w, from, to, &e);
	if (!strstr(e.msg, path) || !strstr(e.msg, why))
		fail_msg("'%s' of '%s' is not in: %s", why, path, e.msg);
}

static void set_time(const char *dir, const char *name, time_t s)
{
	auto_free char *path = path_join(dir, name);
	const struct timespec times[2] = { { .tv_sec = s }, { .tv_sec = s } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void drop(struct world *w, const char *name)
{
	auto_free char *path = world_at(w, name);

	world_remove(path);
}

static void join(struct world *w, const char *old, const char *new)
{
	auto_free char *from = world_at(w, old);
	auto_free char *to = world_at(w, new);

	assert_int_equal(link(from, to), 0);
}

static void move(struct world *w, const char *old, const char *new)
{
	auto_free char *from = world_at(w, old);
	auto_free char *to = world_at(w, new);

	assert_int_equal(rename(from, to), 0);
}

/* ---- what differs ---- */

static void test_base_run__only_what_differs_is_looked_at(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "d%u/small%u", i / 50, i);
		world_file(&w, name, 100 + i, 3000);
	}
	world_file(&w, "large", 1, 20 * MIB);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	world_poke(w.src, "large", 5 * (off_t)MIB);
	world_file(&w, "d1/small77", 9, 3001);
	world_file(&w, "d2/new", 10, 500);
	drop(&w, "d3/small170");
	CLEANUP(point_clear) struct point q = world_backup(&w);

	/* Of what is the same in both, other content in the target is not seen, so not read. */
	world_poke(w.out, "d0/small3", 1);
	world_poke(w.out, "large", 15 * (off_t)MIB);
	go(&w, &p, &q);
	assert_int_equal(w.report.deleted, 1);
	assert_int_equal(atomic_load(&w.report.files), 3);
	assert_true(atomic_load(&w.report.written) <= 3001 + 500 + 4096);
	assert_true(atomic_load(&w.report.fetched) < 5 * MIB);
	world_poke(w.out, "d0/small3", 1);
	world_poke(w.out, "large", 15 * (off_t)MIB);
	assert_same_tree(w.src, w.out);

	/* And back. */
	go(&w, &q, &p);
	world_file(&w, "d1/small77", 100 + 77, 3000);
	auto_free char *text = world_text(w.out);
	assert_null(strstr(text, "d2/new"));
	assert_non_null(strstr(text, "d3/small170"));
}

static void test_base_run__two_points_that_are_the_same_touch_nothing(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	world_file(&w, "d/f", 1, 70000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	CLEANUP(point_clear) struct point q = world_backup(&w);
	go(&w, &p, &q);
	assert_int_equal(atomic_load(&w.report.files), 0);
	assert_int_equal(atomic_load(&w.report.fetched), 0);
	assert_same_tree(w.src, w.out);
}

static void test_base_run__times_of_directories_stay_where_entries_move(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	world_file(&w, "a/b/one", 1, 100);
	world_file(&w, "a/b/two", 2, 100);
	world_file(&w, "a/c/three", 3, 100);
	set_time(w.src, "a/b", 1000000);
	set_time(w.src, "a/c", 1000000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	/* Their own records are the same in both points. */
	drop(&w, "a/b/one");
	world_file(&w, "a/c/four", 4, 100);
	set_time(w.src, "a/b", 1000000);
	set_time(w.src, "a/c", 1000000);
	CLEANUP(point_clear) struct point q = world_backup(&w);
	go(&w, &p, &q);
	assert_same_tree(w.src, w.out);
}

static void test_base_run__types_change(void **state)
{
	static const char *const names[] = { "file", "dir", "link", "fifo" };
	auto_world struct world w = world_new();

	(void)state;
	/* Every type becomes every other one. */
	for (int round = 0; round < 2; round++) {
		for (int from = 0; from < 4; from++) {
			for (int to = 0; to < 4; to++) {
				char name[32], below[48];
				auto_free char *path = NULL;

				(void)snprintf(name, sizeof(name), "%s-%s", names[from], names[to]);
				(void)snprintf(below, sizeof(below), "%s/x/y", name);
				path = world_at(&w, name);
				if (round > 0)
					world_remove(path);
				switch (round ? to : from) {
				case 0:
					world_file(&w, name, 10 + (uint64_t)round, 5000);
					break;
				case 1:
					world_file(&w, below, 20 + (uint64_t)round, 500);
					break;
				case 2:
					assert_int_equal(symlink(round ? "there" : "here", path),
					                 0);
					break;
				default:
					assert_int_equal(mkfifo(path, round ? 0600 : 0644), 0);
				}
			}
		}
		if (round > 0)
			break;
		CLEANUP(point_clear) struct point p = world_backup(&w);
		world_restore(&w, &p, 0);
		assert_same_tree(w.src, w.out);
		point_clear(&p);
	}
	CLEANUP(point_clear) struct point q = world_backup(&w);
	CLEANUP(point_clear) struct point p = { 0 };
	ok(repo_point(w.kit.recovery, q.previous_session, &p, e));
	go(&w, &p, &q);
	assert_same_tree(w.src, w.out);
}

static void test_base_run__names_of_files_join_and_part(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	world_file(&w, "changed/a", 1, 3000);
	join(&w, "changed/a", "changed/b");
	join(&w, "changed/a", "changed/c");
	world_file(&w, "parted/a", 2, 3000);
	join(&w, "parted/a", "parted/b");
	world_file(&w, "joined/a", 3, 3000);
	world_file(&w, "joined/b", 4, 3000);
	world_file(&w, "first/a", 5, 3000);
	join(&w, "first/a", "first/b");
	join(&w, "first/a", "first/c");
	world_file(&w, "second/a", 6, 3000);
	join(&w, "second/a", "second/b");
	world_file(&w, "more/a", 7, 3000);
	world_file(&w, "renamed/a", 8, 3000);
	join(&w, "renamed/a", "renamed/b");
	world_file(&w, "swapped/a", 9, 3000);
	join(&w, "swapped/a", "swapped/b");
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);

	world_poke(w.src, "changed/b", 17); /* all of its names have it */
	drop(&w, "parted/b");
	world_file(&w, "parted/b", 2, 3000); /* the same content, another file */
	drop(&w, "joined/b");
	join(&w, "joined/a", "joined/b");
	drop(&w, "first/a"); /* the others go on without it */
	drop(&w, "second/b");
	join(&w, "more/a", "more/b");
	move(&w, "renamed/a", "renamed/0");
	/* Another type under all names: the further one says the same as before, but for that. */
	drop(&w, "swapped/a");
	drop(&w, "swapped/b");
	auto_free char *fifo = world_at(&w, "swapped/a");
	assert_int_equal(mkfifo(fifo, 0644), 0);
	join(&w, "swapped/a", "swapped/b");
	CLEANUP(point_clear) struct point q = world_backup(&w);
	go(&w, &p, &q);
	assert_same_tree(w.src, w.out);
}

static void test_base_run__trees_that_were_renamed_come_along(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "old/d%u/f", i);
		world_file(&w, name, i + 1, 2000);
	}
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	move(&w, "old/d3", "old/d3x");
	move(&w, "old", "new");
	CLEANUP(point_clear) struct point q = world_backup(&w);
	go(&w, &p, &q);
	assert_int_equal(w.report.deleted, 1);
	assert_same_tree(w.src, w.out);
}

static void test_base_run__metadata_alone(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *file = world_at(&w, "d/file");
	auto_free char *dir = world_at(&w, "d");
	auto_free char *other = world_at(&w, "other");

	(void)state;
	world_file(&w, "d/file", 1, 3000);
	world_file(&w, "other", 2, 3000);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	assert_int_equal(chmod(file, 04711), 0);
	assert_int_equal(chmod(dir, 0710), 0);
	set_time(w.src, "d/file", 77);
	(void)setxattr(file, "user.word", "x", 1, 0);
	CLEANUP(point_clear) struct point q = world_backup(&w);
	go(&w, &p, &q);
	assert_int_equal(atomic_load(&w.report.written), 0);
	assert_same_tree(w.src, w.out);
	assert_int_equal(chmod(other, 0600), 0);
	(void)removexattr(file, "user.word");
	CLEANUP(point_clear) struct point s = world_backup(&w);
	go(&w, &q, &s);
	assert_same_tree(w.src, w.out);
}

struct based {
	struct world *w;
	const struct point *from, *to;
};

/* In a process of its own, as a user or as a root that may not keep set-id bits when it writes. */
static int go_unprivileged(void *arg)
{
	const struct based *b = arg;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &head, caps) < 0)
		return 1;
	caps[0].effective &= ~(UINT32_C(1) << CAP_FSETID);
	if (syscall(SYS_capset, &head, caps) < 0)
		return 1;
	go(b->w, b->from, b->to);
	return 0;
}

static void test_base_run__set_id_bits_outlive_what_is_written(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *file = world_at(&w, "file");

	(void)state;
	world_file(&w, "file", 1, 3000);
	assert_int_equal(chmod(file, 06755), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);
	world_poke(w.src, "file", 5);
	assert_int_equal(chmod(file, 06755), 0);
	CLEANUP(point_clear) struct point q = world_backup(&w);
	struct based b = { &w, &p, &q };
	auto_run struct harness_run r = harness_run(go_unprivileged, &b);
	if (r.status != 0)
		fail_msg("%s", r.err);
	assert_same_tree(w.src, w.out);
}

/* ---- large files ---- */

static void test_base_run__parts_of_a_large_file(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	/* Four windows of 64 MiB, each of which is a part; a file before and after it. */
	world_sparse(&w, "large", 200 * (off_t)MIB, 5 * (off_t)MIB, 70000);
	auto_free char *path = world_at(&w, "large");
	for (off_t at = 70; at < 200; at += 50) {
		auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

		assert_true(fd >= 0);
		assert_int_equal(fd_pwrite_full(fd, path, strlen(path), (uint64_t)at * MIB), 0);
	}
	world_file(&w, "a", 1, 10);
	world_file(&w, "z", 2, 10);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_restore(&w, &p, 0);

	/* Only in the middle, and the time stays: its first part is the same. */
	world_poke(w.src, "large", 120 * (off_t)MIB);
	CLEANUP(point_clear) struct point q = world_backup(&w);
	go(&w, &p, &q);
	assert_int_equal(atomic_load(&w.report.files), 1);
	assert_true(atomic_load(&w.report.written) <= 4096);
	assert_same_tree(w.src, w.out);

	/* Data where a hole was and a hole where data was; and the end is another. */
	auto_close int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fd_pwrite_full(fd, path, strlen(path), 100 * (uint64_t)MIB), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 64 * MIB), 0);
	assert_int_equal(ftruncate(fd, 150 * (off_t)MIB), 0);
	CLEANUP(point_clear) struct point shorter = world_backup(&w);
	go(&w, &q, &shorter);
	assert_same_tree(w.src, w.out);

	assert_int_equal(ftruncate(fd, 300 * (off_t)MIB), 0);
	assert_int_equal(fd_pwrite_full(fd, path, strlen(path), 299 * (uint64_t)MIB), 0);
	CLEANUP(point_clear) struct point longer = world_backup(&w);
	go(&w, &shorter, &longer);
	assert_same_tree(w.src, w.out);

	/* Small, with the name of a large one, and large again. */
	assert_int_equal(ftruncate(fd, 1000), 0);
	CLEANUP(point_clear) struct point small = world_backup(&w);
	go(&w, &longer, &small);
	assert_same_tree(w.src, w.out);
	assert_int_equal(ftruncate(fd, 200 * (off_t)MIB), 0);
	assert_int_equal(fd_pwrite_full(fd, path, strlen(path), 180 * (uint64_t)MIB), 0);
	CLEANUP(point_clear) struct point again = world_backup(&w);
	go(&w, &small, &again);
	assert_same_tree(w.src, w.out);
	go(&w, &again, &longer);
	go(&w, &longer, &p);
	go(&w, &p, &again);
	assert_same_tree(w.src, w.out);
}

static void assert_same_image(const char *a, const char *b)
{
	auto_free char *command = NULL;

	assert_true(asprintf(&command, "cmp '%s' '%s'", a, b) > 0);
	assert_int_equal(system(command), 0);
}

static void test_base_run__an_image(void **state)
{
	auto_world struct world w = world_new();
	auto_free char *image = path_join(w.dir, "image");

	(void)state;
	auto_close int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 150 * (off_t)MIB), 0);
	for (uint64_t at = 0; at < 150; at += 3) {
		uint8_t page[8192];

		fill_random(at, page, sizeof(page));
		assert_int_equal(fd_pwrite_full(fd, page, sizeof(page), at * MIB), 0);
	}
	CLEANUP(point_clear) struct point p = { 0 };
	world_backup_of(&w, image, &p);
	world_restore(&w, &p, 0);
	world_poke(w.dir, "image", 90 * (off_t)MIB);
	assert_int_equal(fd_pwrite_full(fd, image, strlen(image), 100 * (uint64_t)MIB), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192), 0);
	CLEANUP(point_clear) struct point q = { 0 };
	world_backup_of(&w, image, &q);
	go(&w, &p, &q);
	assert_true(atomic_load(&w.report.written) <= 2 * 4096);
	assert_same_image(image, w.out);
	go(&w, &q, &q);
	assert_int_equal(atomic_load(&w.report.files), 0);

	/* A larger one. */
	assert_int_equal(ftruncate(fd, 170 * (off_t)MIB), 0);
	assert_int_equal(fd_pwrite_full(fd, image, strlen(image), 169 * (uint64_t)MIB), 0);
	CLEANUP(point_clear) struct point longer = { 0 };
	world_backup_of(&w, image, &longer);
	go(&w, &q, &longer);
	assert_same_image(image, w.out);
	/* It is not there. */
	assert_int_equal(unlink(w.out), 0);
	struct err e = ERR_INIT;
	assert_int_equal(try_based(&w, &q, &longer, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "run again without --base"));
	assert_int_equal(access(w.out, F_OK), -1);
}

/* ---- a target that is not the base ---- */

/* Two points, and w->out is the first one. */
static void two_points(struct world *w, struct point *p, struct point *q)
{
	world_file(w, "d/file", 1, 3000);
	world_file(w, "d/single", 2, 3000);
	*p = world_backup(w);
	world_restore(w, p, 0);
	world_poke(w->src, "d/file", 1);
	set_time(w->src, "d/file", 5);
	world_file(w, "new/file", 3, 10);
	*q = world_backup(w);
}

static void test_base_run__a_file_of_another_size_or_time_is_told(void **state)
{
	auto_world struct world w = world_new();
	CLEANUP(point_clear) struct point p = { 0 };
	CLEANUP(point_clear) struct point q = { 0 };

	(void)state;
	two_points(&w, &p, &q);
	auto_free char *file = path_join(w.out, "d/file");
	set_time(w.out, "d/file", 9);
	assert_not_so(&w, &p, &q, "d/file", "changed at another time");
	world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
	assert_int_equal(truncate(file, 3), 0);
	assert_not_so(&w, &p, &q, "d/file", "size");
	world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
	auto_free char *elsewhere = path_join(w.dir, "elsewhere");
	assert_int_equal(link(file, elsewhere), 0);
	assert_not_so(&w, &p, &q, "d/file", "more names");
}

static void test_base_run__what_is_missing_or_in_the_way_is_told(void **state)
{
	auto_world struct world w = world_new();
	CLEANUP(point_clear) struct point p = { 0 };
	CLEANUP(point_clear) struct point q = { 0 };

	(void)state;
	two_points(&w, &p, &q);
	auto_free char *file = path_join(w.out, "d/file");
	auto_free char *dir = path_join(w.out, "d");
	auto_free char *new = path_join(w.out, "new");
	assert_int_equal(unlink(file), 0);
	assert_not_so(&w, &p, &q, "d/file", "not there");
	world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(symlink("single", file), 0);
	assert_not_so(&w, &p, &q, "d/file", "not there");
	world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
	world_remove(dir);
	assert_not_so(&w, &p, &q, "d", "directory was not there");
	world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
	assert_int_equal(mkdir(new, 0755), 0);
	assert_not_so(&w, &p, &q, "new", "directory already");
	/* What was done already is noticed as well. */
	assert_not_so(&w, &p, &q, "file", "");
}

static void test_base_run__damage_is_told_and_the_base_need_not_be_whole(void **state)
{
	auto_world struct world w = world_new();
	CLEANUP(point_clear) struct point p = { 0 };
	CLEANUP(point_clear) struct point q = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	two_points(&w, &p, &q);
	p.root.id[0] ^= 1;
	assert_int_equal(try_based(&w, &p, &q, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "without --base it is not needed"));
	world_restore(&w, &q, TARGET_IN_PLACE | TARGET_DELETE);
	assert_same_tree(w.src, w.out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base_run__only_what_differs_is_looked_at),
		cmocka_unit_test(test_base_run__two_points_that_are_the_same_touch_nothing),
		cmocka_unit_test(test_base_run__times_of_directories_stay_where_entries_move),
		cmocka_unit_test(test_base_run__types_change),
		cmocka_unit_test(test_base_run__names_of_files_join_and_part),
		cmocka_unit_test(test_base_run__trees_that_were_renamed_come_along),
		cmocka_unit_test(test_base_run__metadata_alone),
		cmocka_unit_test(test_base_run__set_id_bits_outlive_what_is_written),
		cmocka_unit_test(test_base_run__parts_of_a_large_file),
		cmocka_unit_test(test_base_run__an_image),
		cmocka_unit_test(test_base_run__a_file_of_another_size_or_time_is_told),
		cmocka_unit_test(test_base_run__what_is_missing_or_in_the_way_is_told),
		cmocka_unit_test(test_base_run__damage_is_told_and_the_base_need_not_be_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
