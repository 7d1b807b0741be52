/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process dies by SIGKILL right before each system call on the way of a
 * record of the audit trail into the store. What was acknowledged is in the
 * store after the next process, once, in one chain without a gap.
 */
#include <signal.h>
#include <sys/wait.h>

#include "repo/audit_writer.h"
#include "tests/harness/syshook.h"
#include "tests/unit/repo/audit_kit.h"

struct step {
	unsigned nth; /* call that is not reached */
	unsigned count;
};

static int kill_self(void *arg, enum syshook_call call, int flags)
{
	struct step *s = arg;

	(void)flags;
	if (call != HOOK_ALLOC && call != HOOK_READDIR && s->count++ == s->nth)
		(void)kill(getpid(), SIGKILL);
	return 0;
}

static struct repo with_state(const struct kit *k, unsigned n)
{
	struct repo r = *k->agent;

	(void)snprintf(r.state, sizeof(r.state), "%s/state-%u", k->dir, n);
	return r;
}

static void spool(const struct repo *r, unsigned n)
{
	auto_json json_t *o = audit_kit_record(r, "backup", n);

	ok(audit_writer_spool(r, o, e));
}

/* In a process of its own: a record before the danger, one in it, and a flush. */
static void act(const struct repo *r, unsigned nth, int said)
{
	struct step s = { .nth = nth };

	spool(r, 1);
	assert_int_equal(write(said, "1", 1), 1);
	syshook_set(kill_self, &s);
	spool(r, 2);
	assert_int_equal(write(said, "2", 1), 1);
	ok(audit_writer_flush(r, e));
	syshook_set(NULL, NULL);
	_exit(0);
}

/* Records with the ids 1 to 3 of chains that are not in `before`; how many of each. */
struct found {
	unsigned id[4];
	size_t chains;
};

static int take(void *arg, const struct store_item *item, struct err *e)
{
	struct found *f = ((void **)arg)[0];
	const struct repo *r = ((void **)arg)[1];
	auto_json json_t *o = NULL;
	struct audit_batch b;

	if (note_get(r, FORMAT_KIND_AUDIT, item->key, &o, NULL, e) < 0 ||
	    audit_batch_read(o, item->key, &b, e) < 0)
		return -1;
	f->chains += b.after.number == 1;
	for (size_t i = 0; i < b.n; i++) {
		struct audit_record x;

		assert_int_equal(audit_record_read(json_array_get(b.records, i), "it", &x, e), 0);
		f->id[(x.at_ns - KIT_EPOCH_NS) & 3]++;
	}
	return 0;
}

static int remove_one(void *arg, const struct store_item *item, struct err *e)
{
	return store_delete(arg, item->key, e);
}

static void test_audit_writer__loses_no_record_and_puts_none_twice(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *url = NULL;
	struct store *store = NULL;
	bool died = true;
	unsigned nth = 0;

	(void)state;
	assert_true(asprintf(&url, "file://%s/store", dir) > 0);
	ok((store = store_open(url, STORE_CREATE, e)) ? 0 : -1);
	auto_kit struct kit k = kit_new_in(store);
	for (; died; nth++) {
		struct repo r = with_state(&k, nth);
		struct found f = { .chains = 0 };
		void *ctx[] = { &f, &r };
		char said[3] = "";
		int pipes[2];
		int status;

		assert_int_equal(pipe(pipes), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			act(&r, nth, pipes[1]);
		assert_true(waitpid(pid, &status, 0) == pid);
		(void)close(pipes[1]);
		assert_true(read(pipes[0], said, 2) >= 0);
		(void)close(pipes[0]);
		died = WIFSIGNALED(status);
		assert_true(died || status == 0);
		/* The next process: another record, and all that waits. */
		spool(&r, 3);
		ok(audit_writer_flush(&r, e));
		ok(store_list(store, AUDIT_PREFIX, NULL, take, ctx, e));
		assert_int_equal(f.id[1], 1);
		assert_int_equal(f.id[3], 1);
		assert_int_equal(f.chains, 1);
		/* One that was not acknowledged may be there all the same. */
		assert_in_range(f.id[2], said[1] == '2' ? 1 : 0, 1);
		(void)audit_kit_read(k.audit);
		ok(store_list(store, AUDIT_PREFIX, NULL, remove_one, store, e));
	}
	assert_true(nth > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit_writer__loses_no_record_and_puts_none_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
