/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a freeze. Nothing here logs, opens or allocates from a freeze to its thaw. */
#include "freezer/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "common/now.h"

#define MS ((int64_t)1000000)
#define SECOND ((int64_t)1000000000)

enum fs_state {
	FS_LEFT_ALONE,
	FS_FREEZING, /* FIFREEZE is under way, or its process died in it: nobody knows */
	FS_FROZEN,
	FS_THAWED
};

/* Shared by the three processes. Any of them may be killed between any two instructions. */
struct shared {
	atomic_int why; /* enum hold_why: once it is set nothing more is frozen */
	atomic_int at, os, thaw_os;
	atomic_bool others;
	struct {
		atomic_int state; /* enum fs_state */
		_Atomic int64_t frozen_ns, thawed_ns;
	} fs[FREEZER_FDS_MAX];
};

struct hold {
	struct shared *s;
	int64_t asked_ns;
	size_t n;
	int fds[FREEZER_FDS_MAX];
	int holder, guard;         /* our ends of the connections with them */
	int deadline, last_moment; /* timers of the holder and the guard; nobody reads them */
	pid_t holder_pid, guard_pid;
	enum hold_state state;
};

/* ---- what all three do ---- */

static void end(struct shared *s, enum hold_why why)
{
	int on = HOLD_ON;

	atomic_compare_exchange_strong(&s->why, &on, (int)why);
}

static void thaw_one(struct hold *h, size_t i, bool settled)
{
	struct shared *s = h->s;
	int state = atomic_load(&s->fs[i].state);

	if (state != FS_FREEZING && state != FS_FROZEN)
		return;
	if (ioctl(h->fds[i], FITHAW, 0) == 0) {
		atomic_store(&s->fs[i].thawed_ns, now_wall_ns());
		atomic_store(&s->fs[i].state, FS_THAWED);
		return;
	}
	if (errno != EINVAL) {
		atomic_store(&s->at, (int)i);
		atomic_store(&s->thaw_os, errno);
		return;
	}
	/* It is not frozen: not yet, perhaps, while somebody is in FIFREEZE. */
	if (state == FS_FREEZING && !settled)
		return;
	if (atomic_compare_exchange_strong(&s->fs[i].state, &state, FS_THAWED)) {
		atomic_store(&s->fs[i].thawed_ns, now_wall_ns());
		if (state == FS_FROZEN)
			atomic_store(&s->others, true);
	}
}

/*
 * settled: no FIFREEZE of ours is under way. A why must be set before. In the reverse order: a file
 * system may lie in a file of another, and its thaw writes to that one.
 */
static void thaw_all(struct hold *h, bool settled)
{
	for (size_t i = h->n; i-- > 0;)
		thaw_one(h, i, settled);
}

/* ---- the two processes ---- */

/* Waits for news of the main process, of the other one, and of the timer; the last comes first. */
static enum hold_why wait_for(int boss, int other, int timer, int patience)
{
	struct pollfd p[3] = { { .fd = boss, .events = POLLIN },
		               { .fd = other, .events = POLLIN },
		               { .fd = timer, .events = POLLIN } };
	char byte;

	while (poll(p, 3, patience) < 0)
		if (errno != EINTR && errno != EAGAIN && errno != ENOMEM)
			return HOLD_DEATH;
	if (p[2].revents)
		return HOLD_DEADLINE;
	if (p[1].revents)
		return HOLD_DEATH;
	if (p[0].revents)
		return recv(boss, &byte, 1, MSG_DONTWAIT) > 0 ? HOLD_ASKED : HOLD_DEATH;
	return HOLD_ON;
}

static void holder(struct hold *h, int boss, int guard)
{
	struct shared *s = h->s;

	for (size_t i = 0; i < h->n; i++) {
		/* A reason that came by message has been written to the page before. */
		enum hold_why why = wait_for(boss, guard, h->deadline, 0);
		if (why != HOLD_ON)
			end(s, why);
		if (atomic_load(&s->why) != HOLD_ON)
			break;
		atomic_store(&s->fs[i].state, FS_FREEZING);
		if (ioctl(h->fds[i], FIFREEZE, 0) < 0) {
			int os = errno;

			atomic_store(&s->fs[i].state, FS_LEFT_ALONE);
			atomic_store(&s->at, (int)i);
			atomic_store(&s->os, os);
			end(s, HOLD_REFUSED);
			break;
		}
		int freezing = FS_FREEZING;
		atomic_store(&s->fs[i].frozen_ns, now_wall_ns());
		atomic_compare_exchange_strong(&s->fs[i].state, &freezing, FS_FROZEN);
	}
	if (atomic_load(&s->why) == HOLD_ON) {
		(void)send(boss, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		end(s, wait_for(boss, guard, h->deadline, -1));
	}
	thaw_all(h, true);
}

/*
 * Each file system by a process of its own: whatever one thaw waits for, and be it the
 * thaw of another one, it keeps none from being tried.
 */
static void thaw_each(struct hold *h, bool settled)
{
	for (size_t i = h->n; i-- > 0;) {
		int state = atomic_load(&h->s->fs[i].state);

		if (state != FS_FREEZING && state != FS_FROZEN)
			continue;
		pid_t pid = fork();
		if (pid > 0)
			continue;
		thaw_one(h, i, settled);
		if (pid == 0)
			_exit(0);
	}
	while (settled && (waitpid(-1, NULL, 0) > 0 || errno == EINTR))
		;
}

static void guard(struct hold *h, int boss, int other)
{
	const struct sigaction no_zombies = { .sa_handler = SIG_IGN };
	int timer = h->last_moment;

	(void)sigaction(SIGCHLD, &no_zombies, NULL);
	for (;;) {
		enum hold_why why = wait_for(boss, other, timer, -1);

		if (why == HOLD_DEATH) {
			struct pollfd p = { .fd = other, .events = POLLIN };

			if (poll(&p, 1, 0) > 0)
				break;
			/* the main process: the holder goes on to its end, we wait for that */
			boss = -1;
		} else if (why == HOLD_DEADLINE) {
			timer = -1;
		}
		end(h->s, why);
		thaw_each(h, false);
	}
	/* The holder is gone, and with it the last FIFREEZE. */
	end(h->s, HOLD_DEATH);
	thaw_each(h, true);
}

/* Closes those from from on and below to. */
static void close_span(unsigned from, unsigned to)
{
	if (from >= to || close_range(from, to - 1, 0) == 0)
		return;
	/* a kernel before 5.9 */
	long max = sysconf(_SC_OPEN_MAX);
	for (unsigned fd = from; fd < to && (long)fd < max; fd++)
		(void)close((int)fd);
}

/* Closes all descriptors but these, so that no process keeps another one's connections alive. */
static void close_others(int *keep, size_t n)
{
	unsigned next = 3;

	for (size_t i = 1; i < n; i++) /* few, and in order mostly */
		for (size_t j = i; j > 0 && keep[j - 1] > keep[j]; j--) {
			int t = keep[j];

			keep[j] = keep[j - 1];
			keep[j - 1] = t;
		}
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < (int)next)
			continue;
		close_span(next, (unsigned)keep[i]);
		next = (unsigned)keep[i] + 1;
	}
	close_span(next, ~0U);
}

/* A process that is to run fn. Its pid, or -1 with errno. Signals are blocked. */
static pid_t start(struct hold *h, const char *name,
                   void (*fn)(struct hold *h, int boss, int other), int boss, int other, int lock)
{
	int keep[FREEZER_FDS_MAX + 5];
	size_t n = 0;

	pid_t pid = fork();
	if (pid != 0)
		return pid;
	/* A session of its own: what is sent to the main process's group is not for us. */
	(void)setsid();
	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
	for (size_t i = 0; i < h->n; i++)
		keep[n++] = h->fds[i];
	keep[n++] = boss;
	keep[n++] = other;
	keep[n++] = h->deadline;
	keep[n++] = h->last_moment;
	if (lock >= 0)
		keep[n++] = lock;
	close_others(keep, n);
	fn(h, boss, other);
	_exit(0);
}

/* ---- the main process ---- */

static int timer_at(int64_t mono_ns)
{
	const struct itimerspec at = { .it_value = { .tv_sec = mono_ns / SECOND,
		                                     .tv_nsec = mono_ns % SECOND } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd >= 0 && timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL) < 0) {
		int os = errno;

		(void)close(fd);
		errno = os;
		return -1;
	}
	return fd;
}

static int pair_of(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

/* The guard first: there is one before anything is frozen. 0, or -1 with errno. */
static int start_both(struct hold *h, int lock)
{
	int to_holder[2] = { -1, -1 }, to_guard[2] = { -1, -1 }, between[2] = { -1, -1 };
	sigset_t all, before;
	int os = 0;

	if (pair_of(to_holder) < 0 || pair_of(to_guard) < 0 || pair_of(between) < 0)
		os = errno;
	h->holder = to_holder[0];
	h->guard = to_guard[0];
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	if (os == 0) {
		pid_t pid = start(h, "freezer-guard", guard, to_guard[1], between[1], lock);
		os = pid < 0 ? errno : 0;
		h->guard_pid = pid > 0 ? pid : 0;
		clean_close(&between[1]);
		between[1] = -1;
	}
	if (os == 0) {
		pid_t pid = start(h, "freezer-holder", holder, to_holder[1], between[0], lock);
		os = pid < 0 ? errno : 0;
		h->holder_pid = pid > 0 ? pid : 0;
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	clean_close(&to_holder[1]);
	clean_close(&to_guard[1]);
	clean_close(&between[0]);
	clean_close(&between[1]);
	errno = os;
	return os == 0 ? 0 : -1;
}

struct hold *hold_start(const int *fds, size_t n, unsigned deadline_ms, int keep, struct err *e)
{
	int64_t until = now_mono_ns() + deadline_ms * MS;
	struct hold *h = calloc(1, sizeof(*h));

	if (!h) {
		err_set(e, ERR_NOMEM, "no memory for a freeze");
		return NULL;
	}
	h->asked_ns = now_wall_ns();
	h->holder = h->guard = h->deadline = h->last_moment = -1;
	/* As long as a process has one of these the file system cannot be unmounted: our own. */
	while (h->n < n && (h->fds[h->n] = fcntl(fds[h->n], F_DUPFD_CLOEXEC, 3)) >= 0)
		h->n++;
	void *page = mmap(NULL, sizeof(*h->s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	                  -1, 0);
	h->s = page == MAP_FAILED ? NULL : page;
	if (h->n < n || !h->s || (h->deadline = timer_at(until)) < 0 ||
	    (h->last_moment = timer_at(until + HOLD_GUARD_MS * MS)) < 0 ||
	    start_both(h, keep) < 0) {
		err_sys(e, errno, "starting the processes of a freeze");
		hold_free(h);
		return NULL;
	}
	return h;
}

static void reap(pid_t *pid, int *fd)
{
	clean_close(fd);
	*fd = -1;
	if (*pid > 0)
		while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
			;
	*pid = 0;
}

/* 1: a message; 0: nothing; -1: the process is gone, or there is none. */
static int look(int fd)
{
	char byte;

	if (fd < 0)
		return -1;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
	if (n > 0)
		return 1;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

enum hold_state hold_step(struct hold *h)
{
	if (h->state == HOLD_ENDED)
		return HOLD_ENDED;
	int news = look(h->holder);
	if (news > 0 && h->state == HOLD_FREEZING)
		h->state = HOLD_FROZEN;
	if (news < 0)
		reap(&h->holder_pid, &h->holder);
	if (look(h->guard) < 0) {
		reap(&h->guard_pid, &h->guard);
		hold_end(h, HOLD_DEATH);
	}
	if (h->holder_pid == 0 && h->guard_pid == 0) {
		/* Nothing is left to do unless both of them were killed. */
		end(h->s, HOLD_DEATH);
		thaw_all(h, true);
		for (size_t i = 0; i < h->n; i++)
			(void)close(h->fds[i]);
		h->state = HOLD_ENDED;
	}
	return h->state;
}

void hold_end(struct hold *h, enum hold_why why)
{
	if (h->state == HOLD_ENDED)
		return;
	end(h->s, why);
	if (h->holder >= 0)
		(void)send(h->holder, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void hold_leave(struct hold *take_h)
{
	struct hold *h = take_h;

	if (!h)
		return;
	clean_close(&h->holder);
	clean_close(&h->guard);
	clean_close(&h->deadline);
	clean_close(&h->last_moment);
	for (size_t i = 0; i < h->n && h->state != HOLD_ENDED; i++)
		(void)close(h->fds[i]);
	if (h->s)
		(void)munmap(h->s, sizeof(*h->s));
	free(h);
}

void hold_free(struct hold *take_h)
{
	struct hold *h = take_h;

	if (h && h->s) {
		hold_end(h, HOLD_STOP);
		reap(&h->holder_pid, &h->holder);
		reap(&h->guard_pid, &h->guard);
		(void)hold_step(h);
	}
	hold_leave(h);
}

struct hold_fds hold_fds(const struct hold *h)
{
	return (struct hold_fds){ .holder = h->holder, .guard = h->guard, .deadline = h->deadline };
}

bool hold_is_late(const struct hold *h)
{
	struct pollfd p = { .fd = h->deadline, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

struct hold_result hold_result(const struct hold *h)
{
	return (struct hold_result){
		.why = (enum hold_why)atomic_load(&h->s->why),
		.others = atomic_load(&h->s->others),
		.at = (size_t)atomic_load(&h->s->at),
		.os = atomic_load(&h->s->os),
		.thaw_os = atomic_load(&h->s->thaw_os),
	};
}

struct freezer_times hold_times(const struct hold *h, size_t i)
{
	return (struct freezer_times){
		.asked_ns = h->asked_ns,
		.frozen_ns = atomic_load(&h->s->fs[i].frozen_ns),
		.thawed_ns = atomic_load(&h->s->fs[i].thawed_ns),
	};
}
