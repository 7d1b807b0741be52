/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restore of what differs from a known point (--base) is killed, or a call of it fails, at every
 * call that makes, opens or removes something. What it leaves is neither point; the same without a
 * base makes it the new one exactly, and one that said success has made it so already.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/harness/syshook.h"
#include "tests/unit/restore/world.h"

#define ENDED 0
#define REFUSED 1
#define DONE 2 /* though a call failed */

struct attempt {
	struct world *w;
	const struct point *from, *to;
	unsigned nth; /* call of those that count */
	int os;       /* that it fails with; 0: the process dies */
	atomic_uint count;
};

static int at_call(void *arg, enum syshook_call call, int flags)
{
	struct attempt *a = arg;

	(void)flags;
	if (call != HOOK_OPENAT && call != HOOK_MKDIRAT && call != HOOK_LINKAT &&
	    call != HOOK_UNLINKAT)
		return 0;
	if (atomic_fetch_add(&a->count, 1) != a->nth)
		return 0;
	if (!a->os)
		(void)kill(getpid(), SIGKILL);
	return a->os;
}

/* In a process of its own. */
static int run(void *arg)
{
	struct attempt *a = arg;
	const struct restore_params params = { .threads = 2, .base = a->from };
	struct err e = ERR_INIT;

	syshook_set(at_call, a);
	int rc = world_try(a->w, a->to, a->w->out, TARGET_IN_PLACE | TARGET_DELETE | TARGET_KNOWN,
	                   &params, &e);
	if (rc == 0)
		rc = report_verdict(&a->w->report, &e);
	syshook_set(NULL, NULL);
	/* The call was never reached. */
	if (rc == 0 && atomic_load(&a->count) <= a->nth)
		return ENDED;
	return rc == 0 ? DONE : REFUSED;
}

static void change(struct world *w, const char *command)
{
	auto_free char *text = NULL;

	assert_true(asprintf(&text, "cd '%s' && { %s; }", w->src, command) > 0);
	assert_int_equal(system(text), 0);
}

static void test_base__stopped_anywhere_it_is_made_right_without(void **state)
{
	auto_world struct world w = world_new();
	const unsigned step = getenv("TEST_SIZE") && !strcmp(getenv("TEST_SIZE"), "full") ? 1 : 9;
	unsigned stopped = 0;

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "d%u/f%u", i % 3, i);
		world_file(&w, name, i + 1, 2000);
	}
	world_file(&w, "large", 1, 12 * MIB);
	change(&w, "ln d0/f0 d0/also; ln d1/f1 z; mkdir -p gone/x; echo y >gone/x/y; ln -s a l");
	CLEANUP(point_clear) struct point p = world_backup(&w);
	world_poke(w.src, "large", 7 * (off_t)MIB);
	change(&w, "rm -r gone; mv d2 e2; echo new >d0/f0; rm d1/f4; mkdir d1/f4; echo x >d1/f4/x; "
	           "ln -sf b l; rm z; echo z >z; ln d1/f7 d1/also; touch d0/f3; chmod 600 d0/f6");
	CLEANUP(point_clear) struct point q = world_backup(&w);

	for (int os = 0; os <= EIO; os += EIO) {
		bool ended = false;

		for (unsigned nth = 0; !ended; nth += step) {
			struct attempt a = { .w = &w, .from = &p, .to = &q, .nth = nth, .os = os };

			world_restore(&w, &p, TARGET_IN_PLACE | TARGET_DELETE);
			auto_run struct harness_run r = harness_run(run, &a);
			const bool killed = r.status == 128 + SIGKILL;
			ended = r.status == ENDED;
			stopped += !ended;
			if (!killed && r.status > DONE)
				fail_msg("call %u: %s", nth, r.err);
			/* One that went well, whatever failed on its way, has done all of it. */
			if (!killed && r.status != REFUSED)
				assert_same_tree(w.src, w.out);
			world_restore(&w, &q, TARGET_IN_PLACE | TARGET_DELETE);
			assert_same_tree(w.src, w.out);
		}
	}
	assert_true(stopped >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base__stopped_anywhere_it_is_made_right_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
