/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power fails while the file driver stores an object, on ext4, XFS and
 * btrfs. The file system lies on a loop device; a copy of the image at some
 * moment is what a disk would hold after a power cut at that moment: what the
 * kernel has not written yet is not in it. Copies are made right before each
 * system call of a put and after its return, mounted, and looked at: before,
 * the object is absent or whole; after, it is there.
 *
 * Needs root and loop devices. Everything is mounted in a namespace of a
 * child, so nothing stays mounted whatever happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/store.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"
#include "tests/harness/syshook.h"

#define BYTES_MAX 300000
#define CUTS_MAX 40

extern char **environ;

static uint8_t bytes[BYTES_MAX];

static const struct file_system {
	const char *name;
	const char *size; /* about the least that its mkfs takes */
	const char *options;
} file_systems[] = {
	{ "ext4", "64M", "loop" },
	{ "xfs", "310M", "loop,nouuid" },
	{ "btrfs", "128M", "loop" },
};

struct cut_test {
	const struct file_system *fs;
	size_t n;      /* bytes of the object */
	bool named;    /* by way of .tmp */
	bool no_syncs; /* every sync does nothing: what the test is worth */
	char dir[300];
	unsigned cuts;
};

/* Runs a program without a word. True: it succeeded. */
static bool run(const char *const argv[])
{
	posix_spawn_file_actions_t quiet;
	int status;
	pid_t pid;

	if (posix_spawn_file_actions_init(&quiet) != 0)
		return false;
	bool good = posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0) == 0 &&
	            posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0) == 0 &&
	            posix_spawnp(&pid, argv[0], &quiet, NULL, (char *const *)(uintptr_t)argv,
	                         environ) == 0;
	(void)posix_spawn_file_actions_destroy(&quiet);
	if (!good || waitpid(pid, &status, 0) != pid)
		return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

/* The image as it is now. */
static void cut(struct cut_test *t)
{
	char name[32];

	if (t->cuts == CUTS_MAX)
		harness_die("a put makes more calls than this test can copy");
	(void)snprintf(name, sizeof(name), "cut.%u", t->cuts++);
	if (!RUN("cp", "--sparse=always", "image", name))
		harness_die("copying the image failed");
}

static int cut_before(void *arg, enum syshook_call call, int flags)
{
	struct cut_test *t = arg;

	switch (call) {
	case HOOK_MKDIRAT:
	case HOOK_WRITEV:
	case HOOK_FDATASYNC:
	case HOOK_FSYNC:
	case HOOK_LINKAT:
	case HOOK_UNLINKAT:
		if (!t->no_syncs)
			cut(t);
		break;
	default:
		break;
	}
	if (t->no_syncs && (call == HOOK_FSYNC || call == HOOK_FDATASYNC))
		return SYSHOOK_SHORT;
	return t->named && call == HOOK_OPENAT && (flags & O_TMPFILE) == O_TMPFILE ? EOPNOTSUPP : 0;
}

/* Makes the file system and stores the object. 0, 77: not possible here, 1: failed. */
static int put_and_cut(struct cut_test *t)
{
	char mkfs[32];
	struct err e = ERR_INIT;
	struct iovec one = { .iov_base = bytes, .iov_len = t->n };
	char old[] = "old";
	struct iovec before = { .iov_base = old, .iov_len = 3 };

	(void)snprintf(mkfs, sizeof(mkfs), "mkfs.%s", t->fs->name);
	if (!RUN("truncate", "-s", t->fs->size, "image") || mkdir("mnt", 0700) < 0 ||
	    !RUN(mkfs, "-q", "image") || !RUN("mount", "-o", t->fs->options, "image", "mnt"))
		return 77;
	auto_store struct store *s = store_file_open("mnt/store", STORE_CREATE, &e);
	if (!s || store_put(s, "pack/old", &before, 1, &e) < 0 || !RUN("sync", "-f", "mnt")) {
		(void)fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	syshook_set(cut_before, t);
	int r = store_put(s, "pack/aa/new", &one, 1, &e);
	syshook_set(NULL, NULL);
	cut(t);
	store_free(STEAL(&s));
	if (r < 0)
		(void)fprintf(stderr, "%s\n", e.msg);
	return r < 0 || !RUN("umount", "mnt") ? 1 : 0;
}

/* Whether the object is there in a copy: 1 whole, 0 absent, -1 neither. */
static int look(const struct cut_test *t, const char *image)
{
	static uint8_t got[BYTES_MAX];
	struct store_stat st;
	struct err e = ERR_INIT;

	if (!RUN("mount", "-o", t->fs->options, image, "mnt"))
		harness_die("%s: '%s' does not mount", t->fs->name, image);
	struct store *s = store_file_open("mnt/store", 0, &e);
	int r = -1;
	if (!s || store_head(s, "pack/old", &st, &e) < 0 || st.size != 3)
		harness_die("%s: what was there before is gone: %s", t->fs->name, e.msg);
	if (store_head(s, "pack/aa/new", &st, &e) < 0)
		r = e.class == ERR_NOT_FOUND ? 0 : -1;
	else if (st.size == t->n && store_get(s, "pack/aa/new", 0, got, t->n, &e) == 0 &&
	         memcmp(got, bytes, t->n) == 0)
		r = 1;
	store_free(s);
	if (!RUN("umount", "mnt"))
		harness_die("unmounting failed");
	return r;
}

static int put_cut_and_look(void *arg)
{
	struct cut_test *t = arg;
	char image[32];

	/* In memory: a slow copy is of several moments, as the kernel goes on writing. */
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", t->dir, "tmpfs", 0, "mode=0700") < 0 || chdir(t->dir) < 0)
		return 77;
	int r = put_and_cut(t);
	if (r != 0)
		return r;
	for (unsigned i = 0; i < t->cuts; i++) {
		(void)snprintf(image, sizeof(image), "cut.%u", i);
		int found = look(t, image);
		bool last = i + 1 == t->cuts;

		if (t->no_syncs ? found == 1 : found < 0 || (last && found == 0)) {
			(void)fprintf(stderr, "%s, %zu bytes, cut %u of %u: the object is %s\n",
			              t->fs->name, t->n, i, t->cuts,
			              found < 0 ? "damaged"
			              : found   ? "whole"
			                        : "absent");
			return 1;
		}
		(void)unlink(image);
	}
	return t->cuts < (t->no_syncs ? 1 : 9) ? 2 : 0;
}

/* One put on each of the file systems; at full size, a small object too. */
static void on_each(bool named, bool no_syncs)
{
	static const size_t sizes[] = { BYTES_MAX, 100 }; /* btrfs keeps small files in its tree */
	const char *size = getenv("TEST_SIZE");
	size_t nsizes = size && strcmp(size, "full") == 0 ? 2 : 1;
	unsigned done = 0;

	for (size_t i = 0; i < ARRAY_LEN(file_systems); i++) {
		for (size_t j = 0; j < nsizes; j++) {
			auto_tmpdir char *dir = tmpdir_new();
			struct cut_test t = { .fs = &file_systems[i],
				              .n = sizes[j],
				              .named = named,
				              .no_syncs = no_syncs };

			(void)snprintf(t.dir, sizeof(t.dir), "%s", dir);
			CLEANUP(harness_run_clear)
			struct harness_run r = harness_run(put_cut_and_look, &t);
			if (r.status == 77)
				continue;
			assert_string_equal(r.err, "");
			assert_int_equal(r.status, 0);
			done++;
		}
	}
	if (done == 0)
		skip(); /* no right to mount, no loop device, or none of the file systems */
}

static void test_put__power_cut_before_each_call(void **state)
{
	(void)state;
	on_each(false, false);
}

static void test_put__power_cut_before_each_call_by_way_of_tmp(void **state)
{
	(void)state;
	on_each(true, false);
}

static void test_put__without_its_syncs_would_lose_the_object(void **state)
{
	(void)state;
	on_each(false, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put__power_cut_before_each_call),
		cmocka_unit_test(test_put__power_cut_before_each_call_by_way_of_tmp),
		cmocka_unit_test(test_put__without_its_syncs_would_lose_the_object),
	};

	fill_random(7, bytes, sizeof(bytes));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
