/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many processes work in one repository, on a store in bad weather, with clocks
 * of their own; they are killed and suspended at random. In between, and at the
 * end, everybody comes to an end, and it is judged what is there
 * (tests/harness/storm_judge.h). What happens follows from TEST_SEED as far as
 * the scheduler lets it.
 *
 *   TEST_SEED=N        the seed; else 1: other ones are for `make torture`
 *   STORM_SECONDS=N    how long; else 60, and 10 when TEST_SIZE is small
 *   STORM_KEEP=DIR     where the world is kept when something is found
 *   STORM_TRACE=1      with every call to the store
 *   STORM_DOUBLE=1     objects of several kinds come late at the same time
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "tests/harness/harness.h"
#include "tests/harness/storm_judge.h"
#include "tests/harness/storm_role.h"

#define AGAIN "make check-storm TEST=storm/test_storm"
#define MS_NS ((int64_t)1000000)
#define S_NS (1000 * MS_NS)
#define FILES 150 /* of a tree */
#define FILES_SMALL 60
#define JUDGE_EVERY_S 15      /* at first */
#define END_S 180             /* until everybody has come to an end, on a busy machine too */
#define SUSPENDED_MS_MAX 8000 /* longer than any delay of a collector */
#define DEAD_MS_MAX 1500

struct sailor {
	struct storm_role role;
	pid_t pid;        /* 0: not alive */
	int64_t start_ns; /* when it is started again */
	int64_t wake_ns;  /* when it goes on; 0: it is not suspended */
};

struct storm {
	struct storm_world w;
	struct storm_shared *shared;
	struct sailor crew[16];
	size_t n;
	uint64_t numbers;
	unsigned kills, stops;
	bool bad;
};

static uint64_t draw(struct storm *s)
{
	return storm_mix(s->w.seed ^ storm_mix(s->numbers++));
}

static uint64_t env_u64(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	struct err e = ERR_INIT;
	uint64_t n;

	if (!text || !*text)
		return otherwise;
	if (num_u64(name, text, 0, UINT64_MAX, &n, &e) < 0)
		harness_die("%s", e.msg);
	return n;
}

static void tick(void)
{
	const struct timespec t = { .tv_nsec = 3 * MS_NS };

	(void)nanosleep(&t, NULL); /* lint: allow nanosleep: the rhythm of the storm */
}

/* ---- processes ---- */

struct call {
	struct storm *s;
	struct sailor *sailor; /* NULL: the judge */
	unsigned flags;
};

static int judge(struct storm *s, unsigned flags)
{
	struct storm_verdict v = storm_judge(&s->w, flags);

	(void)printf(
		"%u attempts, %u acknowledged, %u not and there; %u points, %u of them expired\n",
		v.tried, v.acknowledged, v.unknown, v.points, v.expired);
	return 0;
}

static pid_t start(const struct call *c)
{
	static const int fatal[] = { SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS };
	const struct sigaction usual = { .sa_handler = SIG_DFL };

	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid < 0)
		harness_die("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* cmocka catches what ends a process. */
	for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
		(void)sigaction(fatal[i], &usual, NULL);
	int status = c->sailor ? storm_role_run(&c->s->w, &c->sailor->role) : judge(c->s, c->flags);
	(void)fflush(NULL);
	_exit(status);
}

static void ended(struct storm *s, const char *who, int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (WIFEXITED(status))
		print_error("%s ends with status %d\n", who, WEXITSTATUS(status));
	else
		print_error("%s ends by signal %d\n", who, WTERMSIG(status));
	s->bad = true;
}

/* Takes note of who has died; he comes back some time later. */
static void reap(struct storm *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct sailor *x = &s->crew[i];
		char who[32];
		int status;

		if (x->pid == 0 || waitpid(x->pid, &status, WNOHANG) != x->pid)
			continue;
		(void)snprintf(who, sizeof(who), "process %zu, life %u", i, x->role.life);
		ended(s, who, status);
		x->pid = 0;
		x->wake_ns = 0;
		x->role.life++;
		x->start_ns = now_mono_ns() + (int64_t)(draw(s) % DEAD_MS_MAX) * MS_NS;
	}
}

/* Something happens to somebody. */
static void strike(struct storm *s)
{
	struct sailor *x = &s->crew[draw(s) % s->n];
	uint64_t r = draw(s);

	if (x->pid == 0)
		return;
	if (r % 8 < 5) {
		(void)kill(x->pid, SIGKILL);
		s->kills++;
	} else if (x->wake_ns == 0) {
		/* Mostly short, else nobody would get anything done. */
		int64_t most = r % 3 ? SUSPENDED_MS_MAX / 8 : SUSPENDED_MS_MAX;

		(void)kill(x->pid, SIGSTOP);
		x->wake_ns = now_mono_ns() + (int64_t)((r >> 8) % (uint64_t)most) * MS_NS;
		s->stops++;
	}
}

static void wake(struct sailor *x)
{
	if (x->pid > 0)
		(void)kill(x->pid, SIGCONT);
	x->wake_ns = 0;
}

static void go_on(struct storm *s)
{
	int64_t now_ns = now_mono_ns();

	for (size_t i = 0; i < s->n; i++) {
		struct sailor *x = &s->crew[i];

		if (x->pid > 0 && x->wake_ns > 0 && x->wake_ns <= now_ns)
			wake(x);
		if (x->pid == 0 && x->start_ns <= now_ns)
			x->pid = start(&(struct call){ .s = s, .sailor = x });
	}
}

/*
 * Everybody comes to an end; some of those that are suspended stay so, and go on
 * afterwards as if nothing had been.
 */
static void calm(struct storm *s, bool all)
{
	int64_t until_ns = now_mono_ns() + END_S * S_NS;
	bool any = true;

	atomic_store(&s->shared->stop, true);
	for (size_t i = 0; i < s->n; i++) {
		if (s->crew[i].wake_ns > 0 && (all || draw(s) % 2))
			wake(&s->crew[i]);
	}
	while (any) {
		reap(s);
		any = false;
		for (size_t i = 0; i < s->n; i++) {
			struct sailor *x = &s->crew[i];

			if (x->pid == 0 || x->wake_ns > 0)
				continue;
			any = true;
			if (now_mono_ns() > until_ns) {
				print_error("process %zu does not come to an end\n", i);
				s->bad = true;
				(void)kill(x->pid, SIGKILL);
			}
		}
		tick();
	}
	atomic_store(&s->shared->stop, false);
}

static void judge_all(struct storm *s, unsigned flags)
{
	int status;
	pid_t pid = start(&(struct call){ .s = s, .flags = flags });

	if (waitpid(pid, &status, 0) != pid)
		harness_die("waiting for the judge: %s", strerror(errno));
	ended(s, "the judge", status);
}

static void arrive(struct storm *s)
{
	auto_free char *path = path_join(s->w.dir, "store");
	auto_free char *late = path_join(s->w.dir, "late");
	struct err e = ERR_INIT;

	auto_store struct store *store = store_file_open(path, 0, &e);
	if (!store)
		harness_die("%s", e.msg);
	(void)printf("%zu late calls arrive\n", storm_late_apply(store, late, true, -1));
}

/* ---- a storm ---- */

static void add(struct storm *s, enum storm_kind kind, unsigned number, unsigned volume)
{
	s->crew[s->n++].role =
		(struct storm_role){ .kind = kind, .number = number, .volume = volume };
}

/* Two writers of one volume, two collectors, and one of everything else. */
static void hire(struct storm *s)
{
	add(s, STORM_WRITER, 0, 0);
	add(s, STORM_WRITER, 1, 0);
	add(s, STORM_WRITER, 2, 1);
	add(s, STORM_WRITER, 3, 2);
	add(s, STORM_COLLECTOR, 0, 0);
	add(s, STORM_COLLECTOR, 1, 0);
	add(s, STORM_EXPIRER, 0, 0);
	add(s, STORM_RESTORER, 0, 0);
	add(s, STORM_CHECKER, 0, 0);
	add(s, STORM_APPLIER, 0, 0);
}

static void blow(struct storm *s, int64_t seconds)
{
	int64_t end_ns = now_mono_ns() + seconds * S_NS;
	int64_t judge_ns = now_mono_ns() + JUDGE_EVERY_S * S_NS;
	int64_t strike_ns = 0;

	while (!s->bad && now_mono_ns() < end_ns) {
		int64_t now_ns = now_mono_ns();

		reap(s);
		go_on(s);
		if (now_ns >= strike_ns) {
			strike(s);
			strike_ns = now_ns + (int64_t)(draw(s) % 400) * MS_NS;
		}
		if (now_ns >= judge_ns && end_ns - now_ns > 5 * S_NS) {
			calm(s, false);
			if (!s->bad)
				judge_all(s, 0);
			judge_ns = now_mono_ns() + 2 * JUDGE_EVERY_S * S_NS;
		}
		tick();
	}
}

static void print_counts(const struct storm *s)
{
	struct storm_shared *c = s->shared;

	(void)printf("%u commits, %u fenced, %u failed; %u collections, %u that wait; "
	             "%u tombstones, %u holds; %u restores, %u checks; %u kills, %u suspensions\n",
	             c->commits, c->fenced, c->failed, c->collections, c->waits, c->tombs, c->holds,
	             c->restores, c->checks, s->kills, s->stops);
}

/* The world of a storm that found something is kept where it is wanted. */
static void keep(const struct storm *s)
{
	const char *dir = getenv("STORM_KEEP");
	char command[2048];

	if (!s->bad || !dir)
		return;
	(void)snprintf(command, sizeof(command), "mkdir -p '%s' && cp -a '%s' '%s/%" PRIu64 "'",
	               dir, s->w.dir, dir, s->w.seed);
	(void)!system(command);
	print_error("kept in '%s/%" PRIu64 "'\n", dir, s->w.seed);
}

static void test_storm__loses_nothing(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	const char *size = getenv("TEST_SIZE");
	const bool small = size && strcmp(size, "small") == 0;
	struct storm s = { .w = { .dir = dir,
		                  .files = small ? FILES_SMALL : FILES,
		                  .trace = getenv("STORM_TRACE") } };

	(void)state;
	s.w.seed = env_u64("TEST_SEED", 1);
	uint64_t seconds = env_u64("STORM_SECONDS", small ? 10 : 60);
	(void)printf("TEST_SEED=%" PRIu64 ", %" PRIu64 " seconds\n", s.w.seed, seconds);
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	                -1, 0);
	assert_true(s.shared != MAP_FAILED);
	s.w.shared = s.shared;
	storm_world_make(&s.w);
	hire(&s);
	blow(&s, (int64_t)seconds);
	calm(&s, true);
	if (!s.bad)
		judge_all(&s, small ? 0 : STORM_JUDGE_ALL);
	/* Whatever was still on its way arrives. */
	if (!s.bad)
		arrive(&s);
	if (!s.bad)
		judge_all(&s, STORM_JUDGE_ALL | STORM_JUDGE_QUIET);
	print_counts(&s);
	keep(&s);
	(void)munmap(s.shared, sizeof(*s.shared));
	if (s.bad)
		fail_msg("again: TEST_SEED=%" PRIu64 " STORM_SECONDS=%" PRIu64
		         " TEST_SIZE=%s STORM_TRACE=1 STORM_KEEP=/tmp/storm %s",
		         s.w.seed, seconds, small ? "small" : "full", AGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_storm__loses_nothing),
	};
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
