/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each system call and each allocation of the stores fails once, each with
 * several errnos, in every way that the file driver has to write. Whatever
 * fails: the error has the class of its cause, an object is whole or absent,
 * what was there before is unharmed, no descriptor and no temporary file
 * stays behind, and the same call works when nothing fails any more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store/file.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"
#include "tests/harness/syshook.h"

#define NEW_BYTES 300000

static uint8_t new_bytes[NEW_BYTES];

enum mode { MODE_TMPFILE, MODE_LINK, MODE_RENAME, MODES, MODE_NO_TYPES };

/* One try of one operation, and what the hook is to do to it. */
struct world {
	char *dir;
	struct store *s;
	enum mode mode;
	enum syshook_call call; /* that fails */
	unsigned nth;
	bool on; /* and all further ones */
	int os;
	unsigned count;
	bool fired;
};

static int hook(void *arg, enum syshook_call call, int flags)
{
	struct world *w = arg;

	if (call == w->call && (w->on ? w->count++ >= w->nth : w->count++ == w->nth)) {
		w->fired = true;
		return w->os;
	}
	if ((w->mode == MODE_LINK || w->mode == MODE_RENAME) && call == HOOK_OPENAT &&
	    (flags & O_TMPFILE) == O_TMPFILE)
		return EOPNOTSUPP;
	/* What reaches the disk is the crash tests' matter; here it would cost minutes. */
	if (call == HOOK_FSYNC || call == HOOK_FDATASYNC)
		return SYSHOOK_SHORT;
	if (w->mode == MODE_NO_TYPES && call == HOOK_READDIR)
		return SYSHOOK_SHORT;
	return w->mode == MODE_RENAME && call == HOOK_LINKAT ? EPERM : 0;
}

/* ---- operations ---- */

static struct iovec *new_iov(void)
{
	static struct iovec iov[3];

	iov[0] = (struct iovec){ new_bytes, 100000 };
	iov[1] = (struct iovec){ new_bytes + 100000, 0 };
	iov[2] = (struct iovec){ new_bytes + 100000, NEW_BYTES - 100000 };
	return iov;
}

static int op_put_in_new_folders(struct world *w, struct err *e)
{
	return store_put(w->s, "p/q/new", new_iov(), 3, e);
}

static int op_put_beside(struct world *w, struct err *e)
{
	return store_put(w->s, "old/new", new_iov(), 3, e);
}

static int op_put_at_the_top(struct world *w, struct err *e)
{
	return store_put(w->s, "new", new_iov(), 3, e);
}

static int op_put_over(struct world *w, struct err *e)
{
	return store_put(w->s, "old/one", new_iov(), 3, e);
}

static int op_get(struct world *w, struct err *e)
{
	char got[4] = { 0 };

	if (store_get(w->s, "old/one", 0, got, 3, e) < 0)
		return -1;
	assert_string_equal(got, "one");
	return 0;
}

static int op_get_all(struct world *w, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(100);

	if (store_get_all(w->s, "old/two", &b, e) < 0) {
		assert_int_equal(b.len, 0);
		return -1;
	}
	assert_string_equal(buf_cstr(&b), "two!");
	return 0;
}

static int op_head(struct world *w, struct err *e)
{
	struct store_stat st;

	if (store_head(w->s, "old/two", &st, e) < 0)
		return -1;
	assert_int_equal(st.size, 4);
	return 0;
}

static int note(void *arg, const struct store_item *item, struct err *e)
{
	char *text = arg;
	size_t n = strlen(text);

	(void)e;
	(void)snprintf(text + n, 200 - n, "%s=%llu ", item->key, (unsigned long long)item->st.size);
	return 0;
}

static int op_list(struct world *w, struct err *e)
{
	char text[200] = "";

	if (store_list(w->s, "", NULL, note, text, e) < 0)
		return -1;
	assert_string_equal(text, "old/one=3 old/two=4 top=3 ");
	return 0;
}

static int op_list_below(struct world *w, struct err *e)
{
	char text[200] = "";

	if (store_list(w->s, "old/t", "old/a", note, text, e) < 0)
		return -1;
	assert_string_equal(text, "old/two=4 ");
	return 0;
}

static int op_delete(struct world *w, struct err *e)
{
	return store_delete(w->s, "old/one", e);
}

static int reopen(struct world *w, const char *below, unsigned flags, struct err *e)
{
	char url[400];

	(void)snprintf(url, sizeof(url), "file://%s%s", w->dir, below);
	auto_store struct store *s = store_open(url, flags, e);
	return s ? 0 : -1;
}

static int op_open(struct world *w, struct err *e)
{
	return reopen(w, "", 0, e);
}

static int op_open_readonly(struct world *w, struct err *e)
{
	return reopen(w, "", STORE_READONLY, e);
}

static int op_create(struct world *w, struct err *e)
{
	return reopen(w, "/deep/er", STORE_CREATE, e);
}

enum after { SAME, NEW_MAY_BE, OLD_MAY_GO };

static const struct op {
	const char *name;
	int (*run)(struct world *w, struct err *e);
	const char *key; /* that it makes or deletes */
	enum after after;
	enum err_class always; /* what it fails with when nothing is wrong */
} ops[] = {
	{ "put in new folders", op_put_in_new_folders, "p/q/new", NEW_MAY_BE, ERR_NONE },
	{ "put beside others", op_put_beside, "old/new", NEW_MAY_BE, ERR_NONE },
	{ "put at the top", op_put_at_the_top, "new", NEW_MAY_BE, ERR_NONE },
	{ "put over an object", op_put_over, NULL, SAME, ERR_EXISTS },
	{ "get", op_get, NULL, SAME, ERR_NONE },
	{ "get all", op_get_all, NULL, SAME, ERR_NONE },
	{ "head", op_head, NULL, SAME, ERR_NONE },
	{ "list", op_list, NULL, SAME, ERR_NONE },
	{ "list below", op_list_below, NULL, SAME, ERR_NONE },
	{ "delete", op_delete, "old/one", OLD_MAY_GO, ERR_NONE },
	{ "open", op_open, NULL, SAME, ERR_NONE },
	{ "open readonly", op_open_readonly, NULL, SAME, ERR_NONE },
	{ "create", op_create, NULL, SAME, ERR_NONE },
};

/* ---- one try ---- */

static void world_open(struct world *w)
{
	w->dir = tmpdir_new();
	write_text(w->dir, "old/one", "one");
	write_text(w->dir, "old/two", "two!");
	write_text(w->dir, "top", "top");
	write_text(w->dir, ".tmp/of-another-process", "x");
	struct err e = ERR_INIT;
	w->s = store_file_open(w->dir, 0, &e);
	assert_non_null(w->s);
}

static void world_close(struct world *w)
{
	store_free(w->s);
	tmpdir_remove(w->dir);
}

static enum err_class class_of(int os)
{
	switch (os) {
	case EACCES:
		return ERR_DENIED;
	case ENOSPC:
		return ERR_QUOTA;
	case ENOMEM:
		return ERR_NOMEM;
	default:
		return ERR_IO;
	}
}

static void assert_class(const struct world *w, const struct op *op, const struct err *e)
{
	bool right = e->class == class_of(w->os) || e->class == op->always ||
	             /* whether the root is there cannot be told: that is said, and not why */
	             (w->call == HOOK_FSTAT && e->class == ERR_IO);

	if (!right || strlen(e->msg) < 20)
		fail_msg("%s, %s no. %u, errno %d: %s: %s", op->name, syshook_name(w->call), w->nth,
		         w->os, err_class_name(e->class), e->msg);
}

/* The state after a try that succeeded (r 0) or not. */
static void assert_state(struct world *w, const struct op *op, int r)
{
	struct store_stat st;
	struct err why = ERR_INIT;
	bool there = false;

	if (op->key)
		there = store_head(w->s, op->key, &st, &why) == 0;
	if (op->after == NEW_MAY_BE) {
		assert_true(there || why.class == ERR_NOT_FOUND);
		assert_true(there || r < 0);
		if (there)
			assert_content(w->s, op->key, new_bytes, NEW_BYTES);
	} else if (op->after == OLD_MAY_GO) {
		assert_true(!there || r < 0);
	}
	if (op->after != OLD_MAY_GO || there)
		assert_text(w->s, "old/one", "one");
	assert_text(w->s, "old/two", "two!");
	assert_text(w->s, "top", "top");
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;
	ok(store_list(w->s, "", NULL, see, &l, e));
	assert_int_equal(l.count, 2 + (op->after == OLD_MAY_GO ? there : 1) +
	                                  (op->after == NEW_MAY_BE ? there : 0));
}

static size_t tmp_files(const struct world *w)
{
	auto_free char *tmp = path_join(w->dir, ".tmp");

	return count_files(tmp);
}

/* One try with one fault. False: the operation has no such call. */
static bool try_fault(const struct op *op, struct world w)
{
	size_t fds = count_files("/proc/self/fd");
	enum syshook_call call = w.call;
	struct err e = ERR_INIT;

	world_open(&w);
	syshook_set(hook, &w);
	int r = op->run(&w, &e);
	syshook_set(NULL, NULL);
	if (w.fired) {
		if (r < 0)
			assert_class(&w, op, &e);
		else
			assert_int_equal(e.class, ERR_NONE);
		assert_state(&w, op, r);
		/* A temporary file that cannot be removed stays, and is removed by a later open. */
		if (w.call != HOOK_UNLINKAT)
			assert_int_equal(tmp_files(&w), 1);
		/* and now without a fault */
		w.call = HOOK_CALLS;
		e = (struct err)ERR_INIT;
		syshook_set(hook, &w);
		r = op->run(&w, &e);
		syshook_set(NULL, NULL);
		if (r < 0 && e.class != op->always &&
		    !(op->after == NEW_MAY_BE && e.class == ERR_EXISTS))
			fail_msg("%s after %s no. %u, errno %d: %s", op->name, syshook_name(call),
			         w.nth, w.os, e.msg);
		assert_state(&w, op, 0);
	}
	world_close(&w);
	assert_int_equal(count_files("/proc/self/fd"), fds);
	return w.fired;
}

static void fail_each(const struct op *op, enum mode mode, bool on)
{
	static const int errnos[] = { EIO, ENOSPC, EACCES };
	unsigned fired = 0;

	for (enum syshook_call call = 0; call < HOOK_CALLS; call++) {
		for (size_t i = 0; i < ARRAY_LEN(errnos); i++) {
			struct world w = { .mode = mode, .on = on, .call = call, .os = errnos[i] };

			if (call == HOOK_ALLOC)
				w.os = ENOMEM;
			while (try_fault(op, w)) {
				w.nth++;
				fired++;
			}
			if (call == HOOK_ALLOC)
				break;
		}
	}
	/* The least that any of them does: three system calls, or one call and an allocation. */
	assert_true(fired >= 3);
}

static void test_file__any_call_may_fail(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		fail_each(&ops[i], MODE_TMPFILE, false);
}

static void test_file__any_call_and_all_after_it_may_fail(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		fail_each(&ops[i], MODE_TMPFILE, true);
}

static void test_file__any_call_may_fail_without_d_type(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (strncmp(ops[i].name, "list", 4) == 0)
			fail_each(&ops[i], MODE_NO_TYPES, false);
}

static void test_file__any_call_may_fail_with_names_in_tmp(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (ops[i].after == NEW_MAY_BE || ops[i].always == ERR_EXISTS)
			fail_each(&ops[i], MODE_LINK, false);
}

static void test_file__any_call_may_fail_with_renames(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (ops[i].after == NEW_MAY_BE || ops[i].always == ERR_EXISTS)
			fail_each(&ops[i], MODE_RENAME, false);
}

/* Every write moves less than it was given, and then the disk is full. */
static int short_then_full(void *arg, enum syshook_call call, int flags)
{
	struct world *w = arg;

	(void)flags;
	if (call != HOOK_WRITEV)
		return 0;
	return w->count++ < w->nth ? SYSHOOK_SHORT : ENOSPC;
}

static void test_file__a_disk_that_fills_up_within_a_write_leaves_nothing(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		struct world w = { .nth = n };

		world_open(&w);
		syshook_set(short_then_full, &w);
		fails_saying(ERR_QUOTA, "no space is left", op_put_beside(&w, e));
		syshook_set(NULL, NULL);
		assert_absent(w.s, "old/new");
		assert_int_equal(tmp_files(&w), 1);
		ok(op_put_beside(&w, e));
		world_close(&w);
	}
}

/* The folder of the key is removed right before each call of a put. */
static int remove_folder(void *arg, enum syshook_call call, int flags)
{
	struct world *w = arg;

	if (w->count++ == w->nth) {
		w->fired = true;
		syshook_set(NULL, NULL);
		(void)unlinkat(file_of(w->s)->root, "p/q", AT_REMOVEDIR);
		(void)unlinkat(file_of(w->s)->root, "p", AT_REMOVEDIR);
	}
	return hook(w, call, flags);
}

static void test_file__a_folder_that_is_removed_under_a_put_is_worth_a_retry(void **state)
{
	unsigned retries = 0;

	(void)state;
	for (enum mode mode = 0; mode < MODES; mode++) {
		struct world w = { .mode = mode, .call = HOOK_CALLS };

		for (w.nth = 0;; w.nth++) {
			struct err why = ERR_INIT;

			w.count = 0;
			w.fired = false;
			world_open(&w);
			ok(put_text(w.s, "p/q/other", "x", e));
			ok(store_delete(w.s, "p/q/other", e));
			syshook_set(remove_folder, &w);
			int r = op_put_in_new_folders(&w, &why);
			syshook_set(NULL, NULL);
			if (r < 0) {
				retries++;
				if (why.class != ERR_RETRY)
					fail_msg("call no. %u of way %d: %s", w.nth, mode, why.msg);
				assert_absent(w.s, "p/q/new");
				ok(op_put_in_new_folders(&w, e));
			}
			assert_content(w.s, "p/q/new", new_bytes, NEW_BYTES);
			world_close(&w);
			if (!w.fired)
				break;
		}
	}
	assert_true(retries >= 3);
}

/* ---- the other stores: memory is all they need ---- */

static int stack_run(const char *url, struct err *e)
{
	char text[200] = "";
	char data[] = "12345678";
	struct iovec one = { .iov_base = data, .iov_len = 8 };
	struct store_stat st;

	auto_store struct store *s = store_open(url, 0, e);
	if (!s)
		return -1;
	s = store_limit_new(STEAL(&s), 0, 0, 0, e);
	if (!s)
		return -1;
	s = store_readonly_new(STEAL(&s), e);
	if (!s)
		return -1;
	auto_store struct store *w = store_mem_new(e);
	if (!w || store_put(w, "a", &one, 1, e) < 0)
		return -1;
	if (store_head(w, "a", &st, e) < 0 || store_list(w, "", NULL, note, text, e) < 0)
		return -1;
	return store_delete(w, "a", e);
}

static void test_memory__any_allocation_may_fail(void **state)
{
	unsigned fired = 0;

	(void)state;
	for (;; fired++) {
		struct world w = { .call = HOOK_ALLOC, .nth = fired, .os = ENOMEM };
		struct err e = ERR_INIT;
		char url[40];

		(void)snprintf(url, sizeof(url), "mem:alloc-%u", fired);
		syshook_set(hook, &w);
		int r = stack_run(url, &e);
		syshook_set(NULL, NULL);
		if (!w.fired) {
			assert_int_equal(r, 0);
			break;
		}
		assert_int_equal(r, -1);
		assert_int_equal(e.class, ERR_NOMEM);
	}
	assert_true(fired >= 10);
}

static enum store_fault flip_or_lose(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)arg;
	(void)key;
	return call == CALL_PUT && n == 0 ? FAULT_APPLIED_LOST : FAULT_NONE;
}

static enum store_fault flip(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)arg;
	(void)n;
	(void)call;
	(void)key;
	return FAULT_FLIP;
}

static void no_wait(void *arg, int64_t ms)
{
	(void)arg;
	(void)ms;
}

static int retried_put(store_fault_fn *plan, struct err *e)
{
	const struct store_retry_params params = { .wait_ms = no_wait };
	char data[] = "12345678";
	struct iovec one = { .iov_base = data, .iov_len = 8 };

	auto_store struct store *s = store_mem_new(e);
	if (!s)
		return -1;
	s = store_fault_new(STEAL(&s), plan, NULL, e);
	if (!s)
		return -1;
	s = store_retry_new(STEAL(&s), &params, e);
	return s ? store_put(s, "a", &one, 1, e) : -1;
}

static void test_wrappers__any_allocation_may_fail(void **state)
{
	static store_fault_fn *const plans[] = { flip_or_lose, flip };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		unsigned fired = 0;

		for (;; fired++) {
			struct world w = { .call = HOOK_ALLOC, .nth = fired, .os = ENOMEM };
			struct err e = ERR_INIT;

			syshook_set(hook, &w);
			int r = retried_put(plans[i], &e);
			syshook_set(NULL, NULL);
			if (!w.fired) {
				assert_int_equal(r, 0);
				break;
			}
			assert_int_equal(r, -1);
			assert_int_equal(e.class, ERR_NOMEM);
		}
		assert_true(fired >= 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file__any_call_may_fail),
		cmocka_unit_test(test_file__any_call_and_all_after_it_may_fail),
		cmocka_unit_test(test_file__any_call_may_fail_without_d_type),
		cmocka_unit_test(test_file__any_call_may_fail_with_names_in_tmp),
		cmocka_unit_test(test_file__any_call_may_fail_with_renames),
		cmocka_unit_test(test_file__a_disk_that_fills_up_within_a_write_leaves_nothing),
		cmocka_unit_test(test_file__a_folder_that_is_removed_under_a_put_is_worth_a_retry),
		cmocka_unit_test(test_memory__any_allocation_may_fail),
		cmocka_unit_test(test_wrappers__any_allocation_may_fail),
	};

	fill_random(42, new_bytes, sizeof(new_bytes));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
