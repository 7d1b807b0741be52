/* SPDX-License-Identifier: Apache-2.0 */
/* Notes of freezes, and what the next start makes of them. */
#include "freezer/note.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "tests/unit/snapshot/mounts.h"

static bool private; /* mounts are our own */

#define BOOT "0f6a2a9e-5d0c-4c3f-8e0e-6f3f5c1f0f00\n"

static void test_note_put__is_this_text(void **state)
{
	struct note n = { .boot = "0f6a2a9e-5d0c-4c3f-8e0e-6f3f5c1f0f00", .n = 2 };
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);

	(void)state;
	n.fs[0] = (struct mount_fs){ .st_dev = makedev(7, 1), .dev = makedev(7, 1) };
	n.fs[1] = (struct mount_fs){ .st_dev = makedev(0, 57),
		                     .has_uuid = true,
		                     .uuid = { 0x00, 0x11, [15] = 0xff } };
	note_put(&b, &n);
	assert_string_equal(buf_cstr(&b), BOOT "7:1 7:1 -\n"
	                                       "0:57 0:0 001100000000000000000000000000ff\n");
}

static void test_note_parse__reads_it_back(void **state)
{
	struct note n;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(note_parse(BOOT "7:1 7:2 -\n"
	                                 "0:57 0:0 001100000000000000000000000000ff\n",
	                            &n, &e),
	                 0);
	assert_int_equal(n.n, 2);
	assert_string_equal(n.boot, "0f6a2a9e-5d0c-4c3f-8e0e-6f3f5c1f0f00");
	assert_int_equal(n.fs[0].st_dev, makedev(7, 1));
	assert_int_equal(n.fs[0].dev, makedev(7, 2));
	assert_false(n.fs[0].has_uuid);
	assert_true(n.fs[1].has_uuid);
	assert_int_equal(n.fs[1].uuid[15], 0xff);
	assert_int_equal(note_parse(BOOT, &n, &e), 0);
	assert_int_equal(n.n, 0);
}

static void test_note_parse__refuses_what_is_none(void **state)
{
	static const char *const bad[] = {
		"",
		"boot",
		"\n",
		BOOT "7:1 7:1 -",
		BOOT "7:1 7:1\n",
		BOOT "7:1 -\n",
		BOOT "7 7:1 -\n",
		BOOT "7:1 7:4294967296 -\n",
		BOOT "7:1 7:1 0011\n",
		BOOT "7:1 7:1 0011000000000000000000000000zzff\n",
		BOOT "7:1 7:1 001100000000000000000000000000ff00\n",
		BOOT "\n",
	};
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * KIB);
	struct note n;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(note_parse(bad[i], &n, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
	}
	(void)buf_str(&b, BOOT);
	for (int i = 0; i < FREEZER_FDS_MAX; i++)
		(void)buf_str(&b, "7:1 7:1 -\n");
	assert_int_equal(note_parse(buf_cstr(&b), &n, &e), 0);
	assert_int_equal(n.n, FREEZER_FDS_MAX);
	(void)buf_str(&b, "7:1 7:1 -\n");
	assert_int_equal(note_parse(buf_cstr(&b), &n, &e), -1);
}

static void test_note_thaw__leaves_what_is_not_of_this_boot_or_not_its_own(void **state)
{
	struct note_thawed did = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(note_thaw(&did, "freeze", BOOT "7:1 7:1 -\n", &e), 0);
	assert_int_equal(did.n, 0);
	assert_int_equal(note_thaw(&did, "btrfs", BOOT "7:1 7:1 -\n", &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
	assert_int_equal(note_thaw(&did, "freeze", "x", &e), -1);
	assert_int_equal(e.class, ERR_FORMAT);
}

/* The text of a note of this boot about the file system of fd. */
static void note_of(const struct mount_table *t, int fd, struct buf *ret)
{
	struct note n = { .n = 1 };
	struct err e = ERR_INIT;

	assert_int_equal(note_boot(n.boot, &e), 0);
	assert_int_equal(mount_fs_of(t, fd, &n.fs[0], &e), 0);
	buf_reset(ret);
	note_put(ret, &n);
}

static const char *frozen(const char *dir, const char *mkfs)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KIB);
	auto_mounts struct mount_table t = { 0 };
	auto_free char *at = path_join(dir, "mnt");
	struct note_thawed did = { 0 };
	struct err e = ERR_INIT;

	if (!private || !mounts_loop(dir, mkfs, NULL, NULL)) {
		mounts_undo(dir, "mnt");
		return "no such file system or no loop devices here";
	}
	auto_close int fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(mount_read(&t, &e), 0);
	/* as seen by who has the mount, and by who got the descriptor from elsewhere */
	for (int i = 0; i < 2; i++) {
		note_of(i == 0 ? &t : NULL, fd, &b);
		assert_int_equal(ioctl(fd, FIFREEZE, 0), 0);
		int rc = note_thaw(&did, "freeze", buf_cstr(&b), &e);
		int again = ioctl(fd, FITHAW, 0);
		assert_int_equal(rc, 0);
		assert_true(again < 0 && errno == EINVAL);
		assert_int_equal(did.n, (size_t)i + 1);
		assert_string_equal(did.points[i], at);
	}
	/* not frozen is as good */
	assert_int_equal(note_thaw(&did, "freeze", buf_cstr(&b), &e), 0);
	assert_int_equal(did.n, 2);
	/* hidden by another mount, it cannot be reached */
	assert_int_equal(mount("top", at, "tmpfs", 0, NULL), 0);
	assert_int_equal(note_thaw(&did, "freeze", buf_cstr(&b), &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "is not mounted here"));
	mounts_undo(dir, "mnt");
	mounts_undo(dir, "mnt");
	return NULL;
}

static void test_note_thaw__finds_the_mount_and_thaws(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	left_out(frozen(dir, "mkfs.ext4"));
}

static void test_note_thaw__finds_a_btrfs_by_its_uuid(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();

	(void)state;
	left_out(frozen(dir, "mkfs.btrfs"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_note_put__is_this_text),
		cmocka_unit_test(test_note_parse__reads_it_back),
		cmocka_unit_test(test_note_parse__refuses_what_is_none),
		cmocka_unit_test(test_note_thaw__leaves_what_is_not_of_this_boot_or_not_its_own),
		cmocka_unit_test(test_note_thaw__finds_the_mount_and_thaws),
		cmocka_unit_test(test_note_thaw__finds_a_btrfs_by_its_uuid),
	};

	private = mounts_private();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
