/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of the freezer, with its client and real file systems on loop devices. */
#include "freezer/serve.h"

#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/log.h"
#include "snapshot/freezer.h"
#include "snapshot/freezer_wire.h"
#include "tests/unit/snapshot/mounts.h"

#define LONG_MS 60000

/* A freezer that listens, in a process of its own, with file systems at a/mnt and b/mnt. */
struct world {
	char *dir, *socket;
	int a, b; /* their directories */
	pid_t pid;
};

static const char *world_open(struct world *w)
{
	w->dir = tmpdir_new();
	w->socket = path_join(w->dir, "socket");
	w->a = w->b = -1;
	for (int i = 0; i < 2; i++) {
		auto_free char *at = path_join(w->dir, i == 0 ? "a" : "b");
		auto_free char *mnt = path_join(at, "mnt");

		assert_int_equal(mkdir(at, 0755), 0);
		if (!mounts_loop(at, "mkfs.ext4", NULL, NULL))
			return "no loop devices";
		int fd = open(mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(fd >= 0);
		*(i == 0 ? &w->a : &w->b) = fd;
	}
	return NULL;
}

static void world_start(struct world *w, bool has_allowed, uid_t allowed)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	auto_free char *notes = path_join(w->dir, "notes");
	struct err e = ERR_INIT;

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", w->socket);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(chmod(w->socket, 0666), 0);
	assert_int_equal(listen(fd, 8), 0);
	w->pid = fork();
	if (w->pid == 0) {
		struct serve_params p = { .listener = fd,
			                  .client = -1,
			                  .has_allowed = has_allowed,
			                  .allowed = allowed,
			                  .notes = notes,
			                  .socket = w->socket,
			                  .cancel = cancel_on_signals() };

		/* a test that fails leaves nobody behind */
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
		log_setup(LOG_SILENT, LOG_TEXT);
		p.journal = journal_open(notes, &e);
		_exit(p.journal && serve_run(&p, &e) == 0 ? 0 : 1);
	}
	(void)close(fd);
}

static int world_stop(struct world *w)
{
	int status = 0;

	if (w->pid > 0) {
		(void)kill(w->pid, SIGTERM);
		assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	}
	w->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void world_close(struct world *w)
{
	(void)world_stop(w);
	for (int i = 0; i < 2; i++) {
		auto_free char *at = path_join(w->dir, i == 0 ? "a" : "b");
		int fd = i == 0 ? w->a : w->b;

		if (fd >= 0)
			(void)ioctl(fd, FITHAW, 0);
		clean_close(&fd);
		mounts_undo(at, "mnt");
	}
	free(w->socket);
	tmpdir_remove(w->dir);
}

/* Asks the kernel: a second freeze is refused. */
static bool is_frozen(int fd)
{
	if (ioctl(fd, FIFREEZE, 0) < 0)
		return errno == EBUSY;
	assert_int_equal(ioctl(fd, FITHAW, 0), 0);
	return false;
}

/* Waits for the thaw as everybody does: by writing. */
static void wait_for_thaw(int fd)
{
	int file = openat(fd, "probe", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(file >= 0);
	assert_int_equal(close(file), 0);
}

static struct freezer *meet(const struct world *w)
{
	struct err e = ERR_INIT;
	struct freezer *f = freezer_open(w->socket, &e);

	if (!f)
		print_error("%s\n", e.msg);
	assert_non_null(f);
	return f;
}

static const char *freezes(struct world *w)
{
	struct freezer_times t[3];
	struct err e = ERR_INIT;

	const char *why = world_open(w);
	if (why)
		return why;
	world_start(w, false, 0);
	auto_freezer struct freezer *f = meet(w);
	assert_int_equal(freezer_freeze(f, (int[]){ w->a, w->b, w->a }, 3, LONG_MS, t, &e), 0);
	assert_true(is_frozen(w->a) && is_frozen(w->b));
	assert_true(t[0].asked_ns > 0 && t[0].asked_ns <= t[0].frozen_ns);
	assert_true(t[1].frozen_ns >= t[0].frozen_ns && t[1].thawed_ns == 0);
	assert_int_equal(t[2].frozen_ns, t[0].frozen_ns);
	auto_free char *notes = path_join(w->dir, "notes");
	assert_int_equal(count_files(notes), 1);
	assert_int_equal(freezer_thaw(f, t, &e), 0);
	assert_true(!is_frozen(w->a) && !is_frozen(w->b));
	assert_true(t[1].thawed_ns >= t[1].frozen_ns && t[0].thawed_ns >= t[1].thawed_ns);
	assert_int_equal(t[2].thawed_ns, t[0].thawed_ns);
	assert_int_equal(count_files(notes), 0);

	assert_int_equal(freezer_freeze(f, &w->b, 1, 0, t, &e), 0);
	assert_true(is_frozen(w->b));
	assert_int_equal(freezer_thaw(f, t, &e), 0);
	return NULL;
}

static const char *deadline(struct world *w)
{
	struct freezer_times t;
	struct err e = ERR_INIT;

	const char *why = world_open(w);
	if (why)
		return why;
	world_start(w, false, 0);
	auto_freezer struct freezer *f = meet(w);
	/* a busy machine may be slower than any deadline: then it is the freeze that fails */
	unsigned ms = 100;
	while (freezer_freeze(f, &w->a, 1, ms, &t, &e) < 0) {
		assert_true(e.class == ERR_RETRY || e.class == ERR_BUSY);
		ms = ms < LONG_MS / 2 ? 2 * ms : LONG_MS;
	}
	wait_for_thaw(w->a);
	assert_int_equal(freezer_thaw(f, &t, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_non_null(strstr(e.msg, "the deadline of "));
	assert_non_null(strstr(e.msg, " ms has passed"));
	assert_true(t.thawed_ns >= t.frozen_ns && t.frozen_ns > 0);
	/* the connection can be used again */
	assert_int_equal(freezer_freeze(f, &w->a, 1, LONG_MS, &t, &e), 0);
	assert_int_equal(freezer_thaw(f, &t, &e), 0);
	return NULL;
}

static const char *others(struct world *w)
{
	struct freezer_times t;
	struct err e = ERR_INIT;

	const char *why = world_open(w);
	if (why)
		return why;
	world_start(w, false, 0);
	auto_freezer struct freezer *f = meet(w);
	auto_freezer struct freezer *g = meet(w);
	assert_int_equal(freezer_freeze(f, &w->a, 1, LONG_MS, &t, &e), 0);
	assert_int_equal(freezer_freeze(g, &w->a, 1, LONG_MS, &t, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	assert_non_null(strstr(e.msg, "it is frozen for another client"));
	assert_non_null(strstr(e.msg, "/a/mnt'"));
	assert_int_equal(freezer_freeze(g, &w->b, 1, LONG_MS, &t, &e), 0);
	assert_true(is_frozen(w->a) && is_frozen(w->b));

	/* somebody thaws behind our back */
	assert_int_equal(ioctl(w->a, FITHAW, 0), 0);
	assert_int_equal(freezer_thaw(f, &t, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_string_equal(e.msg, "somebody else has thawed it");

	/* and freezes before us: that freeze is not ours to thaw */
	assert_int_equal(ioctl(w->a, FIFREEZE, 0), 0);
	assert_int_equal(freezer_freeze(f, &w->a, 1, LONG_MS, &t, &e), -1);
	assert_int_equal(e.class, ERR_BUSY);
	assert_non_null(strstr(e.msg, "frozen already, by somebody else"));
	assert_true(is_frozen(w->a));
	assert_int_equal(ioctl(w->a, FITHAW, 0), 0);

	freezer_close(STEAL(&g));
	wait_for_thaw(w->b);
	return NULL;
}

static const char *refusals(struct world *w)
{
	struct freezer_times t[2];
	struct err e = ERR_INIT;

	const char *why = world_open(w);
	if (why)
		return why;
	world_start(w, false, 0);
	auto_freezer struct freezer *f = meet(w);
	auto_close int root = open("/", O_RDONLY | O_CLOEXEC);
	auto_close int notes = open(w->dir, O_RDONLY | O_CLOEXEC);
	auto_close int proc = open("/proc", O_RDONLY | O_CLOEXEC);
	auto_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	auto_close int weak = openat(w->a, ".", O_PATH | O_CLOEXEC);

	assert_int_equal(freezer_freeze(f, (int[]){ w->a, root }, 2, 0, t, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_string_equal(e.msg, "freezing the file system of '/': this must not be frozen: it "
	                           "is the root file system");
	assert_int_equal(freezer_freeze(f, &notes, 1, 0, t, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(freezer_freeze(f, &null, 1, 0, t, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(freezer_freeze(f, &weak, 1, 0, t, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_non_null(strstr(e.msg, "no directory or file that is open for reading"));
	/* all or none */
	assert_int_equal(freezer_freeze(f, (int[]){ w->a, proc }, 2, 0, t, &e), -1);
	assert_int_equal(e.class, ERR_UNSUPPORTED);
	assert_string_equal(e.msg, "freezing the file system of '/proc': this kind of file system "
	                           "cannot be frozen");
	assert_false(is_frozen(w->a));
	/* mistakes of the caller do not reach the freezer */
	assert_int_equal(freezer_freeze(f, NULL, 0, 0, t, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(freezer_freeze(f, &w->a, 1, 60001, t, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(freezer_freeze(f, (int[]){ -1 }, 1, 0, t, &e), -1);
	assert_int_equal(e.class, ERR_IO);
	assert_int_equal(freezer_freeze(f, &w->a, 1, 0, t, &e), 0);
	assert_int_equal(freezer_thaw(f, t, &e), 0);
	return NULL;
}

static const char *strangers(struct world *w)
{
	struct err e = ERR_INIT;
	int status;

	const char *why = world_open(w);
	if (why)
		return why;
	assert_int_equal(chmod(w->dir, 0711), 0);
	world_start(w, true, 4711);
	for (uid_t uid = 4711; uid < 4713; uid++) {
		pid_t pid = fork();

		if (pid == 0) {
			int class = ERR_NONE;

			if (setuid(uid) < 0)
				_exit(99);
			struct freezer *f = freezer_open(w->socket, &e);
			if (!f)
				class = (int)e.class;
			freezer_close(f);
			_exit(class);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), uid == 4711 ? ERR_NONE : ERR_DENIED);
	}
	return NULL;
}

static const char *end_of_the_freezer(struct world *w)
{
	struct freezer_times t;
	struct err e = ERR_INIT;

	const char *why = world_open(w);
	if (why)
		return why;
	world_start(w, false, 0);
	auto_freezer struct freezer *f = meet(w);
	assert_int_equal(freezer_freeze(f, &w->a, 1, LONG_MS, &t, &e), 0);
	assert_int_equal(world_stop(w), 0);
	assert_false(is_frozen(w->a));
	assert_int_equal(freezer_thaw(f, &t, &e), -1);
	assert_int_equal(e.class, ERR_IO);
	assert_string_equal(e.msg, "thawing: the freezer is gone");
	assert_int_equal(freezer_freeze(f, &w->a, 1, LONG_MS, &t, &e), -1);
	assert_int_equal(e.class, ERR_IO);
	auto_free char *notes = path_join(w->dir, "notes");
	assert_int_equal(count_files(notes), 0);
	assert_null(freezer_open(w->socket, &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
	return NULL;
}

/* A raw connection that has been greeted. */
static int dial(const struct world *w)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	uint8_t hello[FREEZER_WIRE_ANSWER_MAX];

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", w->socket);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(recv(fd, hello, sizeof(hello), 0), 16);
	return fd;
}

/* Sends bytes and n copies of fd, and waits for the freezer to hang up. */
static void breaks_the_protocol(const struct world *w, const void *p, size_t len, int fd, size_t n)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * 100)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	uint8_t more[FREEZER_WIRE_ANSWER_MAX];
	int fds[100];

	auto_close int sock = dial(w);
	for (size_t i = 0; i < n; i++)
		fds[i] = fd;
	if (n > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	assert_int_equal(sendmsg(sock, &m, 0), (int)len);
	assert_int_equal(recv(sock, more, sizeof(more), 0), 0);
}

static const char *nonsense(struct world *w)
{
	static const uint8_t freeze[] = { 'F', 'R', 'Z', '1', 2, 0, 1, 0, 100, 0, 0, 0, 0 };
	static const uint8_t thaw[] = { 'F', 'R', 'Z', '1', 3, 0, 0, 0, 0, 0, 0, 0 };

	const char *why = world_open(w);
	if (why)
		return why;
	world_start(w, false, 0);
	breaks_the_protocol(w, "x", 1, -1, 0);
	breaks_the_protocol(w, freeze, 12, -1, 0);     /* a descriptor is missing */
	breaks_the_protocol(w, freeze, 12, w->a, 2);   /* there is one too many */
	breaks_the_protocol(w, freeze, 12, w->a, 100); /* there are far too many */
	breaks_the_protocol(w, freeze, 13, w->a, 1);   /* it goes on */
	breaks_the_protocol(w, thaw, 12, -1, 0);       /* nothing is frozen */
	assert_false(is_frozen(w->a));

	/* asking again before there was an answer ends the freeze, and the connection */
	auto_close int sock = dial(w);
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)freeze, .iov_len = 12 };
	struct msghdr m = { .msg_iov = &iov,
		            .msg_iovlen = 1,
		            .msg_control = control.bytes,
		            .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &w->a, sizeof(int));
	assert_int_equal(sendmsg(sock, &m, 0), 12);
	assert_int_equal(sendmsg(sock, &m, 0), 12);
	uint8_t more[FREEZER_WIRE_ANSWER_MAX];
	while (recv(sock, more, sizeof(more), 0) > 0)
		;
	wait_for_thaw(w->a);
	return NULL;
}

/*
 * The upper file system lies in a file of the lower one, and has dirty data: frozen in this
 * order, the freeze of the upper waits for the lower, which waits for the deadline.
 */
static const char *a_freeze_that_hangs(struct world *w)
{
	struct freezer_times t[2];
	struct err e = ERR_INIT;

	const char *why = world_open(w);
	if (why)
		return why;
	auto_free char *lower = path_join(w->dir, "a/mnt");
	auto_free char *at = path_join(lower, "mnt");
	if (!mounts_loop(lower, "mkfs.ext4", "-b", "1024"))
		return "no file system of 1 KiB blocks, or no more loop devices";
	auto_close int upper = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(upper >= 0);
	write_text(at, "dirty", "data that the freeze has to write out first");
	world_start(w, false, 0);
	auto_freezer struct freezer *f = meet(w);
	auto_freezer struct freezer *g = meet(w);
	assert_int_equal(freezer_freeze(f, (int[]){ w->a, upper }, 2, 300, t, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_non_null(strstr(e.msg, "the deadline of 300 ms has passed"));
	/* others are served meanwhile */
	assert_int_equal(freezer_freeze(g, &w->b, 1, LONG_MS, t, &e), 0);
	assert_int_equal(freezer_thaw(g, t, &e), 0);
	wait_for_thaw(w->a);
	wait_for_thaw(upper);
	/* In the other order it works. */
	int rc;
	do
		rc = freezer_freeze(f, (int[]){ upper, w->a }, 2, LONG_MS, t, &e);
	while (rc < 0 && e.class == ERR_BUSY);
	assert_int_equal(rc, 0);
	assert_int_equal(freezer_thaw(f, t, &e), 0);
	clean_close(&upper);
	upper = -1;
	mounts_undo(lower, "mnt");
	return NULL;
}

static void run(const char *(*fn)(struct world *w))
{
	struct world w = { 0 };

	const char *why = fn(&w);
	world_close(&w);
	left_out(why);
}

static void test_serve__freezes_and_thaws_several_at_once_and_one_named_twice_once(void **state)
{
	(void)state;
	run(freezes);
}

static void test_serve__thaws_at_the_deadline_and_says_so(void **state)
{
	(void)state;
	run(deadline);
}

static void test_serve__keeps_clients_and_other_freezes_apart(void **state)
{
	(void)state;
	run(others);
}

static void test_serve__refuses_what_must_not_or_cannot_be_frozen_and_freezes_none(void **state)
{
	(void)state;
	run(refusals);
}

static void test_serve__serves_the_users_that_it_was_told_to(void **state)
{
	(void)state;
	run(strangers);
}

static void test_serve__thaws_when_it_is_told_to_end(void **state)
{
	(void)state;
	run(end_of_the_freezer);
}

static void test_serve__hangs_up_on_who_breaks_the_protocol(void **state)
{
	(void)state;
	run(nonsense);
}

static void test_serve__the_deadline_holds_for_a_freeze_that_hangs(void **state)
{
	(void)state;
	run(a_freeze_that_hangs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_serve__freezes_and_thaws_several_at_once_and_one_named_twice_once),
		cmocka_unit_test(test_serve__thaws_at_the_deadline_and_says_so),
		cmocka_unit_test(test_serve__keeps_clients_and_other_freezes_apart),
		cmocka_unit_test(
			test_serve__refuses_what_must_not_or_cannot_be_frozen_and_freezes_none),
		cmocka_unit_test(test_serve__serves_the_users_that_it_was_told_to),
		cmocka_unit_test(test_serve__thaws_when_it_is_told_to_end),
		cmocka_unit_test(test_serve__hangs_up_on_who_breaks_the_protocol),
		cmocka_unit_test(test_serve__the_deadline_holds_for_a_freeze_that_hangs),
	};

	if (!mounts_private()) {
		print_message("left out: no mounts here\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
