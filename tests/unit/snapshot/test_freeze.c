/* SPDX-License-Identifier: Apache-2.0 */
/* The driver that copies bytes: where it works and up to which size. */
#include "snapshot/precopy.h"

#include "tests/unit/snapshot/frozen.h"

static bool can_mount;

static void assert_refused(const struct snapshot_env *env, const char *path, const char *why)
{
	struct err e = ERR_INIT;

	assert_int_equal(snapshot_freeze.supports(env, path, &e), 0);
	if (!strstr(e.msg, why))
		fail_msg("'%s' does not say '%s'", e.msg, why);
}

static const char *in_ext4(void (*body)(struct frozen_world *w))
{
	struct frozen_world w;

	if (!can_mount)
		return "this process may not mount";
	bool there = frozen_open(&w, "mkfs.ext4");
	if (there)
		body(&w);
	frozen_close(&w);
	return there ? NULL : "no ext4 here";
}

static void refusals(struct frozen_world *w)
{
	auto_free char *inside = path_join(w->volume, "scratch");
	auto_free char *file = path_join(w->volume, "file");
	auto_free char *other = path_join(w->dir, "tmpfs");
	struct snapshot_env env = w->env;
	struct err e = ERR_INIT;

	write_text(w->volume, "file", "x");
	assert_int_equal(snapshot_freeze.supports(&env, w->volume, &e), 1);
	env.journal = NULL;
	assert_refused(&env, w->volume, "needs a state directory");
	env = w->env;
	assert_int_equal(mkdir(inside, 0700), 0);
	env.scratch_dir = inside;
	assert_refused(&env, w->volume, "is on the same file system");
	env = w->env;
	assert_refused(&env, file, "not devices and images");
	assert_refused(&env, "/", "frozen");
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(mount("none", other, "tmpfs", 0, NULL), 0);
	assert_refused(&env, other, "its file system cannot be frozen");
	assert_int_equal(umount2(other, MNT_DETACH), 0);
	assert_int_equal(mount(NULL, w->volume, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_refused(&env, w->volume, "is mounted read-only");
}

static void test_freeze_supports__says_what_is_missing(void **state)
{
	(void)state;
	left_out(in_ext4(refusals));
}

static void sizes(struct frozen_world *w)
{
	static uint8_t bytes[MIB];
	auto_free char *sparse = path_join(w->volume, "sparse");
	struct err e = ERR_INIT;

	write_file(w->volume, "a", bytes, sizeof(bytes));
	write_file(w->volume, "sub/b", bytes, sizeof(bytes));
	auto_close int fd = open(sparse, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 500 * (off_t)MIB), 0); /* holes are not copied */
	w->env.copy_max_bytes = 2 * MIB;
	assert_refused(&w->env, w->volume, "it is larger than the 2.0 MiB that are copied at most");
	w->env.copy_max_bytes = 3 * MIB;
	assert_int_equal(snapshot_freeze.supports(&w->env, w->volume, &e), 1);

	/* it grew between the two */
	w->env.copy_max_bytes = MIB;
	assert_null(snapshot_prepare(&w->env, &snapshot_freeze, w->volume, &e));
	assert_int_equal(e.class, ERR_TOO_BIG);
	assert_int_equal(frozen_left_over(w->scratch), 0);
}

static void test_freeze__is_for_volumes_up_to_a_size(void **state)
{
	(void)state;
	left_out(in_ext4(sizes));
}

static void scratch_full(struct frozen_world *w)
{
	static uint8_t bytes[MIB];
	auto_free char *small = path_join(w->dir, "small");
	struct err e = ERR_INIT;

	assert_int_equal(mkdir(small, 0700), 0);
	assert_int_equal(mount("none", small, "tmpfs", 0, "size=700k"), 0);
	fill_random(1, bytes, sizeof(bytes));
	write_file(w->volume, "a", bytes, sizeof(bytes));
	w->env.scratch_dir = small;
	assert_null(snapshot_prepare(&w->env, &snapshot_freeze, w->volume, &e));
	assert_int_equal(e.class, ERR_QUOTA);
	assert_int_equal(count_files(small), 0);
	assert_int_equal(umount2(small, MNT_DETACH), 0);
}

static void test_freeze__a_full_scratch_directory_is_told_and_nothing_stays(void **state)
{
	(void)state;
	left_out(in_ext4(scratch_full));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freeze_supports__says_what_is_missing),
		cmocka_unit_test(test_freeze__is_for_volumes_up_to_a_size),
		cmocka_unit_test(test_freeze__a_full_scratch_directory_is_told_and_nothing_stays),
	};

	can_mount = mounts_private();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
