/* SPDX-License-Identifier: Apache-2.0 */
/* Block volumes: image files, and block devices on loop devices where they can be had. */
#include "restore/target.h"

#include <linux/loop.h>
#include <sys/ioctl.h>

#include "tests/unit/restore/world.h"
#include "tests/unit/snapshot/mounts.h"

#define IMAGE_BYTES (40 * MIB)

static bool can_mount;

/* An image with data in three places and holes between them. */
static struct point make_image(struct world *w)
{
	struct point p = { 0 };
	auto_free uint8_t *data = malloc(5 * MIB);
	auto_free char *path = path_join(w->dir, "image");
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0 && data);
	fill_random(1, data, 5 * MIB);
	assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
	assert_int_equal(fd_pwrite_full(fd, data, 5 * MIB, 0), 0);
	assert_int_equal(fd_pwrite_full(fd, data, 3 * MIB, 20 * MIB), 0);
	assert_int_equal(fd_pwrite_full(fd, data + 7, 4096, IMAGE_BYTES - 4096), 0);
	world_backup_of(w, path, &p);
	assert_true(p.volume.block);
	return p;
}

static void assert_image(const struct world *w, const char *path)
{
	size_t n;
	auto_free char *want = read_file(w->dir, "image", &n);
	auto_free uint8_t *got = malloc(n);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(n, IMAGE_BYTES);
	assert_int_equal(fd_pread_full(fd, got, n, 0), (ssize_t)n);
	assert_memory_equal(got, want, n);
}

static void test_restore_run__an_image_comes_back_with_its_holes(void **state)
{
	auto_world struct world w = world_new();
	struct stat st;

	(void)state;
	CLEANUP(point_clear) struct point p = make_image(&w);
	ok(world_try(&w, &p, w.out, 0, NULL, e));
	assert_image(&w, w.out);
	assert_int_equal(stat(w.out, &st), 0);
	assert_int_equal(st.st_size, IMAGE_BYTES);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_in_range(st.st_blocks * 512, 8 * MIB, 9 * MIB);
	assert_int_equal(w.report.files, 1);
}

static void test_restore_run__an_image_that_exists_is_left_alone(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	CLEANUP(point_clear) struct point p = make_image(&w);
	write_text(w.dir, "out", "mine");
	fails_saying(ERR_EXISTS, "exists already", world_try(&w, &p, w.out, 0, NULL, e));
	auto_free char *text = read_file(w.dir, "out", NULL);
	assert_string_equal(text, "mine");
	fails_saying(ERR_INVALID, "neither a file nor a block device",
	             world_try(&w, &p, w.src, 0, NULL, e));
	auto_free char *below = path_join(w.dir, "no/such/directory");
	fails(ERR_NOT_FOUND, world_try(&w, &p, below, 0, NULL, e));
}

static void test_restore_run__in_place_an_image_gets_what_differs(void **state)
{
	auto_world struct world w = world_new();
	uint8_t one = 1;

	(void)state;
	CLEANUP(point_clear) struct point p = make_image(&w);
	ok(world_try(&w, &p, w.out, 0, NULL, e));
	ok(world_try(&w, &p, w.out, TARGET_IN_PLACE, NULL, e));
	assert_int_equal(w.report.written, 0);
	assert_int_equal(w.report.fetched, 0);

	/* a page of data, data in a hole, a longer file */
	world_poke(w.dir, "out", 21 * (off_t)MIB);
	auto_close int fd = open(w.out, O_WRONLY | O_CLOEXEC);
	assert_int_equal(fd_pwrite_full(fd, &one, 1, 10 * MIB), 0);
	assert_int_equal(ftruncate(fd, IMAGE_BYTES + 5000), 0);
	ok(world_try(&w, &p, w.out, TARGET_IN_PLACE, NULL, e));
	assert_int_equal(w.report.written, 4096);
	assert_image(&w, w.out);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, IMAGE_BYTES);
	/* and a shorter one */
	assert_int_equal(ftruncate(fd, 100), 0);
	ok(world_try(&w, &p, w.out, TARGET_IN_PLACE, NULL, e));
	assert_image(&w, w.out);
}

static void test_restore_run__comparing_an_image_changes_nothing(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	CLEANUP(point_clear) struct point p = make_image(&w);
	/* not there: all would be written, and it is not made */
	ok(world_try(&w, &p, w.out, TARGET_COMPARE, NULL, e));
	assert_int_equal(w.report.written, IMAGE_BYTES);
	assert_false(file_exists(w.dir, "out"));
	ok(world_try(&w, &p, w.out, 0, NULL, e));
	world_poke(w.dir, "out", 1000000);
	world_poke(w.dir, "out", 10000000);
	ok(world_try(&w, &p, w.out, TARGET_COMPARE | TARGET_IN_PLACE, NULL, e));
	assert_int_equal(w.report.differ_count, 1);
	assert_int_equal(w.report.written, 4096);
	fails_saying(ERR_EXISTS, "exists already",
	             world_try(&w, &p, w.out, TARGET_COMPARE, NULL, e));
}

static void test_restore_run__a_damaged_image_is_removed_or_has_a_hole(void **state)
{
	auto_world struct world w = world_new();
	const struct restore_params skip_it = { .on_corrupt = CORRUPT_SKIP };
	static struct kit_names names;

	(void)state;
	CLEANUP(point_clear) struct point p = make_image(&w);
	kit_list(&w.kit, "pack/", &names);
	/* The largest one: of a small pack it may be padding. */
	size_t largest = 0;
	struct store_stat st = { 0 }, most = { 0 };
	for (size_t i = 0; i < names.n; i++) {
		ok(store_head(w.kit.store, names.keys[i], &st, e));
		if (st.size <= most.size)
			continue;
		most = st;
		largest = i;
	}
	kit_flip(&w.kit, names.keys[largest], 200000);
	fails_saying(ERR_CORRUPT, "is damaged", world_try(&w, &p, w.out, 0, NULL, e));
	assert_false(file_exists(w.dir, "out"));
	ok(world_try(&w, &p, w.out, 0, &skip_it, e));
	assert_true(w.report.gap_bytes >= MIB);
	assert_true(file_exists(w.dir, "out"));
}

/* ---- devices ---- */

/* A loop device over DIR/disk, of n bytes; it goes away with the descriptor. -1: not here. */
static int loop_new(const struct world *w, size_t n, char *ret_path, size_t max)
{
	auto_free char *path = path_join(w->dir, "disk");
	auto_close int image = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	auto_close int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	assert_true(image >= 0);
	assert_int_equal(ftruncate(image, (off_t)n), 0);
	for (int i = 0; control >= 0 && i < 16; i++) {
		struct loop_config config = { .fd = (unsigned)image,
			                      .info.lo_flags = LO_FLAGS_AUTOCLEAR };
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0)
			return -1;
		(void)snprintf(ret_path, max, "/dev/loop%d", number);
		auto_close int fd = open(ret_path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -1;
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return steal_fd(&fd);
		if (errno != EBUSY) /* else somebody else was quicker */
			return -1;
	}
	return -1;
}

static const char *device(struct world *w)
{
	char path[64];
	auto_close int loop = loop_new(w, IMAGE_BYTES + 2 * MIB, path, sizeof(path));
	uint8_t junk[8192];

	if (loop < 0)
		return "no loop devices here";
	CLEANUP(point_clear) struct point p = make_image(w);
	ok(world_try(w, &p, path, 0, NULL, e));
	assert_image(w, path);

	/* not empty any more */
	fails_saying(ERR_EXISTS, "is not empty", world_try(w, &p, path, 0, NULL, e));

	/* what shines through the holes goes; what is behind the volume stays */
	memset(junk, 'j', sizeof(junk));
	assert_int_equal(fd_pwrite_full(loop, junk, sizeof(junk), 12 * MIB + 512), 0);
	assert_int_equal(fd_pwrite_full(loop, junk, sizeof(junk), IMAGE_BYTES), 0);
	ok(world_try(w, &p, path, TARGET_FORCE, NULL, e));
	assert_image(w, path);
	uint8_t behind[8192];
	assert_int_equal(fd_pread_full(loop, behind, sizeof(behind), IMAGE_BYTES),
	                 (ssize_t)sizeof(behind));
	assert_memory_equal(behind, junk, sizeof(junk));

	/* in place */
	assert_int_equal(fd_pwrite_full(loop, junk, 100, 4 * MIB), 0);
	assert_int_equal(fd_pwrite_full(loop, junk, 100, 30 * MIB), 0);
	ok(world_try(w, &p, path, TARGET_IN_PLACE, NULL, e));
	assert_int_equal(w->report.written, 4096);
	assert_image(w, path);
	ok(world_try(w, &p, path, TARGET_IN_PLACE | TARGET_COMPARE, NULL, e));
	assert_int_equal(w->report.differ_count, 0);
	return NULL;
}

static void test_restore_run__a_device_holds_the_volume_and_nothing_old(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	left_out(device(&w));
}

static const char *small_device(struct world *w)
{
	char path[64];
	auto_close int loop = loop_new(w, IMAGE_BYTES - 512, path, sizeof(path));

	if (loop < 0)
		return "no loop devices here";
	CLEANUP(point_clear) struct point p = make_image(w);
	fails_saying(ERR_TOO_BIG, "only", world_try(w, &p, path, 0, NULL, e));
	fails_saying(ERR_TOO_BIG, "only", world_try(w, &p, path, TARGET_FORCE, NULL, e));
	return NULL;
}

static void test_target_block_open__a_device_must_be_large_enough(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	left_out(small_device(&w));
}

static const char *mounted_device(struct world *w)
{
	char path[64];
	auto_free char *at = path_join(w->dir, "mnt");
	const char *mkfs[] = { "mkfs.ext4", "-q", path, NULL };
	auto_close int loop = loop_new(w, IMAGE_BYTES, path, sizeof(path));

	if (loop < 0 || !can_mount || mounts_command(mkfs) != 0)
		return "no loop devices here";
	assert_int_equal(mkdir(at, 0755), 0);
	if (mount(path, at, "ext4", 0, NULL) < 0)
		return "no ext4 on a loop device here";
	CLEANUP(point_clear) struct point p = make_image(w);
	struct err err = ERR_INIT;
	int rc = world_try(w, &p, path, TARGET_FORCE, NULL, &err);
	mounts_undo(w->dir, "mnt");
	assert_int_equal(rc, -1);
	assert_int_equal(err.class, ERR_BUSY);
	assert_non_null(strstr(err.msg, "is mounted or in use"));
	return NULL;
}

static void test_target_block_open__a_mounted_device_is_refused_whatever_is_asked(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	left_out(mounted_device(&w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restore_run__an_image_comes_back_with_its_holes),
		cmocka_unit_test(test_restore_run__an_image_that_exists_is_left_alone),
		cmocka_unit_test(test_restore_run__in_place_an_image_gets_what_differs),
		cmocka_unit_test(test_restore_run__comparing_an_image_changes_nothing),
		cmocka_unit_test(test_restore_run__a_damaged_image_is_removed_or_has_a_hole),
		cmocka_unit_test(test_restore_run__a_device_holds_the_volume_and_nothing_old),
		cmocka_unit_test(test_target_block_open__a_device_must_be_large_enough),
		cmocka_unit_test(
			test_target_block_open__a_mounted_device_is_refused_whatever_is_asked),
	};

	can_mount = mounts_private();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
