/* SPDX-License-Identifier: Apache-2.0 */
/* Image files and block devices as sources of one entry. */
#include "snapshot/block.h"

#include <errno.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <cmocka.h>

#include "common/fd.h"
#include "tests/harness/syshook.h"
#include "tests/unit/snapshot/mounts.h"

static struct source *must_open(const char *path)
{
	struct err e = ERR_INIT;
	struct source *s = block_open(path, false, &e);

	if (!s)
		fail_msg("%s", e.msg);
	return s;
}

static struct batch *only_batch(struct source *s)
{
	struct err e = ERR_INIT;
	struct batch *b = NULL, *end = (void *)&e;

	assert_int_equal(s->ops->next(s, &b, &e), 0);
	assert_non_null(b);
	assert_int_equal(b->n, 1);
	assert_ptr_equal(b->source, s);
	assert_int_equal(s->ops->next(s, &end, &e), 0);
	assert_null(end);
	return b;
}

static void make_image(const char *dir)
{
	auto_free char *path = path_join(dir, "image");
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8 * MIB), 0);
	assert_int_equal(fd_pwrite_full(fd, "begin", 5, 0), 0);
	assert_int_equal(fd_pwrite_full(fd, "middle", 6, 4 * MIB), 0);
}

static void test_block_open__an_image_is_one_entry_with_holes(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "image");
	struct err e = ERR_INIT;
	struct content *c = NULL;
	uint64_t start, end;
	struct entry_stat st;
	struct stat ref;
	bool changed = true;
	char p[6];

	(void)state;
	make_image(dir);
	assert_int_equal(stat(path, &ref), 0);
	struct source *s = must_open(path);
	struct batch *b = only_batch(s);
	struct entry *n = &b->entries[0];
	assert_string_equal(n->path, "");
	assert_string_equal(n->name, "");
	assert_int_equal(n->path_len, 0);
	assert_true(n->block);
	assert_int_equal(n->state, ENTRY_OK);
	assert_int_equal(n->st.mode, S_IFREG | 0640);
	assert_int_equal(n->st.size, 8 * MIB);
	assert_int_equal(n->st.mtime.s, ref.st_mtim.tv_sec);
	assert_int_equal(n->st.mtime.ns, ref.st_mtim.tv_nsec);

	assert_int_equal(s->ops->open(s, n, &c, &e), 0);
	assert_int_equal(s->ops->data(c, 0, &start, &end, &e), 0);
	assert_int_equal(start, 0);
	assert_true(end < 4 * MIB);
	assert_int_equal(s->ops->data(c, end, &start, &end, &e), 0);
	assert_int_equal(start, 4 * MIB);
	assert_int_equal(s->ops->read(c, p, 6, 4 * MIB, &e), 6);
	assert_memory_equal(p, "middle", 6);
	assert_int_equal(s->ops->data(c, end, &start, &end, &e), 0);
	assert_int_equal(start, 8 * MIB);
	assert_int_equal(s->ops->close(c, &st, &changed, &e), 0);
	assert_false(changed);
	s->ops->batch_free(s, b);
	s->ops->free(s);
}

static void test_block_open__keeps_to_the_file_whatever_its_name_becomes(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "image");
	auto_free char *other = path_join(dir, "other");
	struct err e = ERR_INIT;
	struct content *c = NULL;
	struct entry_stat st;
	bool changed = false;
	char p[5];

	(void)state;
	make_image(dir);
	write_text(dir, "other", "something else");
	struct source *s = must_open(path);
	struct batch *b = only_batch(s);
	assert_int_equal(rename(other, path), 0);
	assert_int_equal(s->ops->open(s, &b->entries[0], &c, &e), 0);
	assert_int_equal(s->ops->read(c, p, 5, 0, &e), 5);
	assert_memory_equal(p, "begin", 5);
	assert_int_equal(s->ops->close(c, &st, &changed, &e), 0);
	s->ops->batch_free(s, b);
	s->ops->free(s);
}

static void test_block_load__details_of_an_image_are_those_of_its_file(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "image");
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	make_image(dir);
	bool has = setxattr(path, "user.k", "v", 1, 0) == 0;
	struct source *s = must_open(path);
	struct batch *b = only_batch(s);
	assert_int_equal(s->ops->load(s, &b->entries[0], &d, &e), 0);
	assert_int_equal(d.xattrs_len > 0, has);
	assert_null(d.link);
	s->ops->batch_free(s, b);
	s->ops->free(s);
}

static void test_block_open__refuses_what_is_no_volume(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *none = path_join(dir, "none");
	auto_free char *fifo = path_join(dir, "fifo");
	const struct {
		const char *path;
		enum err_class class;
	} cases[] = {
		{ none, ERR_NOT_FOUND },      { fifo, ERR_INVALID },     { dir, ERR_INVALID },
		{ "/dev/null", ERR_INVALID }, { "/dev/null/x", ERR_IO },
	};

	(void)state;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;

		assert_null(block_open(cases[i].path, false, &e));
		assert_int_equal(e.class, cases[i].class);
		assert_non_null(strstr(e.msg, cases[i].path));
	}
}

static void test_block_size__needs_a_descriptor_of_the_right_kind(void **state)
{
	uint64_t bytes;
	auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(block_size(-1, &bytes), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(block_size(fd, &bytes), -1);
	assert_int_equal(errno, ENOTTY);
}

/* A loop device for the image, that goes away with the last descriptor. -1: not here. */
static int loop_of(const char *dir, char *ret_path, size_t max)
{
	auto_free char *path = path_join(dir, "image");
	auto_close int image = open(path, O_RDWR | O_CLOEXEC);
	auto_close int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	for (int i = 0; control >= 0 && i < 16; i++) {
		struct loop_config config = { .fd = (unsigned)image,
			                      .info.lo_flags = LO_FLAGS_AUTOCLEAR };
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		if (n < 0)
			return -1;
		(void)snprintf(ret_path, max, "/dev/loop%d", n);
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

static const char *block_open__a_device_has_its_size_and_always_looks_changed(void)
{
	auto_tmpdir char *dir = tmpdir_new();
	struct err e = ERR_INIT;
	struct content *c = NULL;
	uint64_t start, end;
	struct entry_stat st;
	bool changed = true;
	char path[64], p[6];

	make_image(dir);
	auto_close int loop = loop_of(dir, path, sizeof(path));
	if (loop < 0)
		return "no loop device here";
	struct source *first = must_open(path);
	struct source *s = must_open(path);
	struct batch *a = only_batch(first);
	struct batch *b = only_batch(s);
	struct entry *n = &b->entries[0];
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	assert_true(n->block);
	assert_int_equal(n->st.mode & S_IFMT, S_IFREG);
	assert_int_equal(n->st.size, 8 * MIB);
	assert_int_equal(n->st.rdev_major, 0);
	assert_int_equal(n->st.nlink, 1);
	assert_true(n->st.mtime.s != a->entries[0].st.mtime.s ||
	            n->st.mtime.ns != a->entries[0].st.mtime.ns);
	assert_int_equal(s->ops->load(s, n, &d, &e), 0);
	assert_null(d.xattrs);

	assert_int_equal(s->ops->open(s, n, &c, &e), 0);
	assert_int_equal(s->ops->data(c, 0, &start, &end, &e), 0);
	assert_int_equal(start, 0);
	assert_int_equal(end, 8 * MIB);
	assert_int_equal(s->ops->read(c, p, 6, 4 * MIB, &e), 6);
	assert_memory_equal(p, "middle", 6);
	assert_int_equal(s->ops->read(c, p, 6, 8 * MIB - 2, &e), 2);
	assert_int_equal(s->ops->close(c, &st, &changed, &e), 0);
	assert_false(changed);
	s->ops->batch_free(s, b);
	s->ops->free(s);
	first->ops->batch_free(first, a);
	first->ops->free(first);
	return NULL;
}

static void test_block_open__a_device_has_its_size_and_always_looks_changed(void **state)
{
	(void)state;
	left_out(block_open__a_device_has_its_size_and_always_looks_changed());
}

struct failing {
	unsigned calls, at;
};

static int fail_at(void *arg, enum syshook_call call, int flags)
{
	struct failing *f = arg;

	(void)flags;
	return call == HOOK_ALLOC && f->calls++ == f->at ? ENOMEM : 0;
}

static void read_whole(const char *path, struct err *e)
{
	struct source *s = block_open(path, true, e);
	struct batch *b;
	struct content *c;
	struct entry_stat st;
	bool changed;

	if (!s)
		return;
	if (s->ops->next(s, &b, e) == 0) {
		CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };

		if (s->ops->open(s, &b->entries[0], &c, e) == 0)
			assert_int_equal(s->ops->close(c, &st, &changed, e), 0);
		(void)!s->ops->load(s, &b->entries[0], &d, e);
		s->ops->batch_free(s, b);
	}
	s->ops->free(s);
}

static void test_block_open_changed__tells_the_ranges_that_it_was_given(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "image");
	auto_free char *none = path_join(dir, "none");
	struct ranges *r = ranges_new();
	struct err e = ERR_INIT;
	struct batch *b;
	struct content *c;
	struct entry_stat st;
	uint64_t start, end;
	bool known = false, torn;

	(void)state;
	write_text(dir, "image", "0123456789");
	assert_int_equal(ranges_add(r, 3, 5), 0);
	assert_int_equal(ranges_add(r, 8, 4096), 0);
	struct source *s = block_open_changed(path, false, r, &e);
	assert_non_null(s);
	assert_int_equal(s->ops->next(s, &b, &e), 0);
	assert_int_equal(s->ops->open(s, &b->entries[0], &c, &e), 0);
	assert_int_equal(s->ops->changed(c, 0, &known, &start, &end, &e), 0);
	assert_true(known && start == 3 && end == 5);
	assert_int_equal(s->ops->changed(c, 5, &known, &start, &end, &e), 0);
	assert_true(known && start == 8 && end == 10);
	assert_int_equal(s->ops->close(c, &st, &torn, &e), 0);
	s->ops->batch_free(s, b);
	s->ops->free(s);

	s = block_open(path, false, &e);
	assert_null(s->ops->changed);
	s->ops->free(s);
	assert_null(block_open_changed(none, false, ranges_new(), &e));
}

static void test_block__each_failing_allocation_is_a_clean_error(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "image");
	unsigned failures = 0;

	(void)state;
	make_image(dir);
	(void)setxattr(path, "user.k", "v", 1, 0);
	for (struct failing f = { .at = 0 };; f.at++) {
		struct err e = ERR_INIT;

		f.calls = 0;
		syshook_set(fail_at, &f);
		read_whole(path, &e);
		syshook_set(NULL, NULL);
		if (f.calls <= f.at)
			break;
		if (e.class == ERR_NONE) /* it could do without */
			continue;
		assert_int_equal(e.class, ERR_NOMEM);
		failures++;
	}
	assert_true(failures >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block_open__an_image_is_one_entry_with_holes),
		cmocka_unit_test(test_block_open__keeps_to_the_file_whatever_its_name_becomes),
		cmocka_unit_test(test_block_load__details_of_an_image_are_those_of_its_file),
		cmocka_unit_test(test_block_open__refuses_what_is_no_volume),
		cmocka_unit_test(test_block_size__needs_a_descriptor_of_the_right_kind),
		cmocka_unit_test(test_block_open__a_device_has_its_size_and_always_looks_changed),
		cmocka_unit_test(test_block_open_changed__tells_the_ranges_that_it_was_given),
		cmocka_unit_test(test_block__each_failing_allocation_is_a_clean_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
