/* SPDX-License-Identifier: Apache-2.0 */
/* Real mounts, by this process, of what was backed up. Skipped where nothing can be mounted. */
#include "restore/mount.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <linux/fs.h>

#include "common/log.h"
#include "tests/unit/restore/browse_kit.h"

struct mounted {
	struct mount_params params;
	struct cancel cancel;
	struct mount_tree *tree;
	pthread_t thread;
	sem_t ready;
	char *dir;
	atomic_bool up;
	int rc; /* once the thread has ended, or it is not up */
	struct err err;
};

static void on_ready(void *arg)
{
	struct mounted *m = arg;

	atomic_store(&m->up, true);
	(void)sem_post(&m->ready);
}

static void *run(void *arg)
{
	struct mounted *m = arg;

	m->rc = mount_run(&m->params, &m->err);
	(void)sem_post(&m->ready);
	return NULL;
}

/* false: this machine mounts nothing. */
static bool mounted_begin(struct mounted *m, struct world *w, const struct browse_shared *s,
                          const struct point *p)
{
	const struct mount_tree_params tree = { .shared = s, .point = p };

	*m = (struct mounted){ .dir = path_join(w->dir, "mnt") };
	assert_int_equal(mkdir(m->dir, 0755), 0);
	assert_int_equal(cancel_init(&m->cancel), 0);
	ok(mount_tree_new(&tree, &m->tree, e));
	m->params = (struct mount_params){
		.dir = m->dir,
		.tree = m->tree,
		.chunks = s->chunks,
		.files = 5,
		.bytes = 8192,
		.cancel = &m->cancel,
		.ready = on_ready,
		.arg = m,
	};
	(void)sem_init(&m->ready, 0, 0);
	assert_int_equal(pthread_create(&m->thread, NULL, run, m), 0);
	(void)sem_wait(&m->ready);
	if (atomic_load(&m->up))
		return true;
	assert_int_equal(m->err.class, ERR_UNSUPPORTED);
	return false;
}

static void mounted_end(struct mounted *m, bool cancel)
{
	if (cancel)
		cancel_request(&m->cancel);
	(void)pthread_join(m->thread, NULL);
	(void)sem_destroy(&m->ready);
	mount_tree_free(m->tree);
	cancel_clear(&m->cancel);
	free(m->dir);
}

static void test_mount_run__shows_what_was_backed_up(void **state)
{
	auto_world struct world w = world_new();
	struct mounted m;
	char command[500];

	(void)state;
	world_file(&w, "dir/deep/file", 1, 100000);
	world_file(&w, "large", 2, 20 * MIB);
	world_file(&w, "empty", 2, 0);
	world_file(&w, "odd\n\377name", 2, 10);
	world_sparse(&w, "sparse", 50 * 1024 * 1024, 10 * 1024 * 1024, 5000);
	(void)snprintf(command, sizeof(command),
	               "cd '%s' && ln large dir/hard && ln -s ../x dir/link && mkfifo ff && "
	               "chmod 2750 dir && touch -d 2001-01-01T01:01:01.5Z dir/deep && "
	               "chmod 4711 empty",
	               w.src);
	assert_int_equal(system(command), 0);
	for (unsigned i = 0; i < 2000; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "many/f%04u", i);
		world_file(&w, name, i, i % 50);
	}
	CLEANUP(point_clear) struct point p = world_backup(&w);
	auto_shared struct browse_shared s = shared_new(&w);
	bool here = mounted_begin(&m, &w, &s, &p);
	if (here) {
		assert_same_tree(w.src, m.dir);
		/* and once more, from what the kernel keeps */
		assert_same_tree(w.src, m.dir);
	}
	mounted_end(&m, true);
	if (!here)
		skip();
	assert_int_equal(m.rc, 0);
}

static void test_mount_run__holes_flags_and_totals(void **state)
{
	auto_world struct world w = world_new();
	const struct extent x[] = { { EXTENT_HOLE, 0, 100000 },
		                    { EXTENT_ZERO, 0, 5000 },
		                    { EXTENT_HOLE, 0, 100000 } };
	struct record file = {
		.path = "f",
		.st = { .mode = S_IFREG | 0644, .size = 205000 },
		.flags = RECORD_FSFLAGS | RECORD_PROJID,
		.fsflags = FS_NODUMP_FL,
		.projid = 9,
		.extents = x,
		.nextents = 3,
	};
	struct mounted m;
	struct craft c;

	(void)state;
	craft_begin(&c, &w);
	craft_dir(&c, "");
	craft_add(&c, &file);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	auto_shared struct browse_shared s = shared_new(&w);
	bool here = mounted_begin(&m, &w, &s, &p);
	if (here) {
		auto_free char *path = path_join(m.dir, "f");
		auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
		struct fsxattr attr;
		struct stat st;
		int flags = 0;

		assert_true(fd >= 0);
		assert_int_equal(lseek(fd, 0, SEEK_DATA), 100000);
		assert_int_equal(lseek(fd, 100000, SEEK_HOLE), 105000);
		assert_int_equal(lseek(fd, 105000, SEEK_DATA), -1);
		assert_int_equal(errno, ENXIO);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_blocks, 10);
		assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
		assert_int_equal(flags, FS_NODUMP_FL);
		assert_int_equal(ioctl(fd, FS_IOC_FSGETXATTR, &attr), 0);
		assert_int_equal(attr.fsx_projid, 9);
		assert_int_equal(attr.fsx_xflags, FS_XFLAG_NODUMP);
		/* nothing can be changed */
		assert_int_equal(open(path, O_RDWR | O_CLOEXEC), -1);
		assert_int_equal(errno, EROFS);
		assert_int_equal(unlink(path), -1);
	}
	mounted_end(&m, true);
	if (!here)
		skip();
}

static void test_mount_run__damage_is_an_error_of_its_file_alone(void **state)
{
	auto_world struct world w = world_new();
	const struct record *r;
	struct leaf *leaf;
	auto_tree struct tree *t = NULL;
	char name[PACK_KEY_MAX];
	struct mounted m;

	(void)state;
	world_file(&w, "good", 1, 6 * MIB);
	world_file(&w, "hurt", 2, 6 * MIB);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	ok(tree_open(w.kit.recovery, &p, &t, e));
	ok(tree_lookup(t, "hurt", 4, &r, &leaf, e));
	const struct chunk_ref *ref = &leaf->chunks[r->extents[0].chunk];
	pack_key_name(name, ref->pack, CHUNK_DATA);
	kit_flip(&w.kit, name, ref->off + 5);
	auto_shared struct browse_shared s = shared_new(&w);
	log_setup(LOG_SILENT, LOG_TEXT);
	bool here = mounted_begin(&m, &w, &s, &p);
	if (here) {
		auto_free char *path = path_join(m.dir, "hurt");
		auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
		char byte;

		assert_int_equal(pread(fd, &byte, 1, 0), -1);
		assert_int_equal(errno, EIO);
		/* its last chunk is another one */
		assert_int_equal(pread(fd, &byte, 1, (off_t)(6 * MIB - 1)), 1);
		auto_free char *want = read_file(w.src, "good", NULL);
		auto_free char *got = read_file(m.dir, "good", NULL);
		assert_memory_equal(got, want, 6 * MIB);
	}
	mounted_end(&m, true);
	if (!here)
		skip();
	assert_int_equal(m.rc, 0);
}

static void test_mount_run__ends_when_somebody_unmounts(void **state)
{
	auto_world struct world w = world_new();
	struct mounted m;

	(void)state;
	world_file(&w, "f", 1, 100);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	auto_shared struct browse_shared s = shared_new(&w);
	bool here = mounted_begin(&m, &w, &s, &p) && is_root();
	if (here)
		assert_int_equal(umount2(m.dir, 0), 0);
	mounted_end(&m, !here);
	if (!here)
		skip();
	assert_int_equal(m.rc, 0);
}

static void test_mount_run__refuses_what_is_no_directory(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	write_text(w.dir, "file", "x");
	auto_free char *file = path_join(w.dir, "file");
	auto_free char *none = path_join(w.dir, "none");
	const struct mount_params on_file = { .dir = file };
	const struct mount_params on_none = { .dir = none };
	fails(ERR_INVALID, mount_run(&on_file, e));
	fails(ERR_NOT_FOUND, mount_run(&on_none, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mount_run__shows_what_was_backed_up),
		cmocka_unit_test(test_mount_run__holes_flags_and_totals),
		cmocka_unit_test(test_mount_run__damage_is_an_error_of_its_file_alone),
		cmocka_unit_test(test_mount_run__ends_when_somebody_unmounts),
		cmocka_unit_test(test_mount_run__refuses_what_is_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
