/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of aksdr-freezer. Whatever goes wrong on the way (no answer in
 * time, one that makes no sense, the end of the connection) has one remedy: the connection is
 * closed, upon which the freezer thaws, and every later call says so.
 *
 * A program that is started for us gets a process group of its own, so that
 * a signal to ours does not end the freezer together with those that it must outlive.
 */
#include "snapshot/freezer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/now.h"
#include "common/spawn.h"
#include "snapshot/freezer_wire.h"

#define PROGRAM "aksdr-freezer"
#define CHILD_FD 3
/* What the freezer may take for itself: for a start that thaws what an earlier one left, too. */
#define PATIENCE_MS 10000
#define MS ((int64_t)1000000)

struct freezer {
	int fd;    /* -1: the freezer is gone */
	pid_t pid; /* of the program that was started for us, or 0 */
	bool held; /* a freeze was asked for and no thaw since */
	size_t n;  /* descriptors in it */
};

/* Ends the connection, upon which the freezer thaws; waits for the end of one of our own. */
static void hang_up(struct freezer *f)
{
	clean_close(&f->fd);
	f->fd = -1;
	f->held = false;
	if (f->pid > 0)
		while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
			;
	f->pid = 0;
}

/* One packet of the freezer into p. The number of its bytes, or -1 with e. */
static ssize_t receive(const struct freezer *f, uint8_t *p, size_t max, int64_t patience_ms,
                       struct err *e)
{
	int64_t until = now_mono_ns() + patience_ms * MS;

	for (;;) {
		struct pollfd pfd = { .fd = f->fd, .events = POLLIN };
		int64_t left = (until - now_mono_ns()) / MS;

		int rc = poll(&pfd, 1, left > 0 ? (int)left : 0);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return err_sys(e, errno, "waiting for the freezer");
		if (rc == 0)
			return err_set(e, ERR_IO, "the freezer does not answer");
		ssize_t got = recv(f->fd, p, max, MSG_DONTWAIT | MSG_TRUNC);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got == 0 || (got < 0 && errno == ECONNRESET))
			return err_set(e, ERR_IO, "the freezer is gone");
		if (got < 0)
			return err_sys(e, errno, "hearing from the freezer");
		return got;
	}
}

/* The next answer, which must be to this verb. Where that fails the connection is at its end. */
static int hear(struct freezer *f, enum freezer_wire_verb verb, int64_t patience_ms,
                struct freezer_wire_answer *ret, struct err *e)
{
	uint8_t packet[FREEZER_WIRE_ANSWER_MAX];
	struct freezer_wire_answer a;

	ssize_t n = receive(f, packet, sizeof(packet), patience_ms, e);
	if (n > (ssize_t)sizeof(packet))
		n = err_set(e, ERR_FORMAT, "an answer of the freezer is out of its limits");
	if (n < 0 || freezer_wire_answer(packet, (size_t)n, &a, e) < 0) {
		hang_up(f);
		return -1;
	}
	if (a.verb != verb) {
		hang_up(f);
		return err_set(e, ERR_FORMAT, "the freezer answers what it was not asked");
	}
	*ret = a;
	return 0;
}

static int say(struct freezer *f, const struct freezer_wire_request *r, const int *fds,
               struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FREEZER_WIRE_REQUEST_BYTES);
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * FREEZER_FDS_MAX)];
	} control = { 0 };

	freezer_wire_put_request(&b, r);
	if (buf_check(&b, "a request to the freezer", e) < 0)
		return -1;
	struct iovec iov = { .iov_base = b.data, .iov_len = b.len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (r->n > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * r->n);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * r->n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * r->n);
	}
	ssize_t sent;
	do
		sent = sendmsg(f->fd, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return 0;
	int os = errno;
	if (os == EBADF) /* one of the caller's: the connection is as it was */
		return err_sys(e, os, "handing descriptors to the freezer");
	hang_up(f);
	if (os == EPIPE || os == ECONNRESET)
		return err_set(e, ERR_IO, "the freezer is gone");
	return err_sys(e, os, "talking to the freezer");
}

static int dial(const char *path, struct err *e)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = strlen(path);

	if (n >= sizeof(to.sun_path))
		return err_set(e, ERR_INVALID,
		               "the freezer's socket '%s' has a name of over %zu bytes", path,
		               sizeof(to.sun_path) - 1);
	memcpy(to.sun_path, path, n);
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, errno, "making a socket for the freezer");
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return steal_fd(&fd);
	if (errno == ECONNREFUSED)
		return err_set(e, ERR_NOT_FOUND,
		               "there is a socket '%s' but no freezer at it; start " PROGRAM, path);
	return err_sys(e, errno, "connecting to the freezer at '%s'", path);
}

/* Where the program is, in allocated memory: beside the running one, or where the user says. */
static char *program_path(struct err *e)
{
	const char *named = getenv("AKSDR_FREEZER");
	char self[4096];
	char *path;

	if (named && *named) {
		path = strdup(named);
	} else {
		ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
		if (n < 0) {
			err_sys(e, errno, "finding the program " PROGRAM);
			return NULL;
		}
		self[n] = '\0';
		char *slash = strrchr(self, '/');
		if (asprintf(&path, "%.*s/" PROGRAM, slash ? (int)(slash - self) : 0, self) < 0)
			path = NULL;
	}
	if (!path)
		err_set(e, ERR_NOMEM, "no memory for the path of " PROGRAM);
	return path;
}

/* Starts program with sock as its descriptor 3. 0 or an errno. */
static int spawn(const char *program, int sock, pid_t *ret_pid)
{
	const char *const argv[] = { PROGRAM, "serve", "--fd", "3", NULL };
	const struct spawn s = {
		.program = program, .argv = argv, .out = -1, .err = -1, .third = sock
	};

	return spawn_start(&s, ret_pid);
}

/* A program for us alone: f->fd and f->pid. */
static int start(struct freezer *f, struct err *e)
{
	auto_free char *program = program_path(e);
	int pair[2];

	if (!program)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "making a socket for the freezer");
	f->fd = pair[0];
	/* dup2 of a descriptor to itself would leave it closed on exec */
	auto_close int theirs = pair[1] == CHILD_FD ? fcntl(pair[1], F_DUPFD_CLOEXEC, CHILD_FD + 1)
	                                            : pair[1];
	if (pair[1] == CHILD_FD)
		(void)close(pair[1]);
	if (theirs < 0)
		return err_sys(e, errno, "making a socket for the freezer");
	int os = spawn(program, theirs, &f->pid);
	if (os != 0) {
		f->pid = 0;
		return err_sys(e, os, "starting the freezer '%s'", program);
	}
	return 0;
}

struct freezer *freezer_open(const char *socket, struct err *e)
{
	struct freezer *f = calloc(1, sizeof(*f));
	struct freezer_wire_answer hello;

	if (!f) {
		err_set(e, ERR_NOMEM, "no memory for a connection to the freezer");
		return NULL;
	}
	f->fd = -1;
	int rc = 0;
	if (!socket)
		rc = start(f, e);
	else
		rc = (f->fd = dial(socket, e)) < 0 ? -1 : 0;
	if (rc == 0 && hear(f, FREEZER_WIRE_HELLO, PATIENCE_MS, &hello, e) < 0)
		rc = err_wrap(e, "meeting the freezer%s%s%s", socket ? " at '" : "",
		              socket ? socket : "", socket ? "'" : "");
	else if (rc == 0 && hello.result != FREEZER_WIRE_OK)
		rc = err_set(e, freezer_wire_class(hello.result), "%s", hello.text);
	if (rc < 0) {
		freezer_close(f);
		return NULL;
	}
	return f;
}

void freezer_close(struct freezer *take_f)
{
	if (!take_f)
		return;
	hang_up(take_f);
	free(take_f);
}

/* The name by which people know what fd is open on, for a message. */
static const char *name_of(int fd, char *to, size_t max)
{
	char link[64];

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, to, max - 1);
	if (n < 0)
		return "?";
	to[n] = '\0';
	return to;
}

static int gone(struct err *e)
{
	return err_set(e, ERR_IO, "the freezer is gone, and has thawed what it froze");
}

int freezer_freeze(struct freezer *f, const int *fds, size_t n, unsigned deadline_ms,
                   struct freezer_times *times, struct err *e)
{
	struct freezer_wire_request r = { .verb = FREEZER_WIRE_FREEZE };
	struct freezer_wire_answer a;
	char name[256];

	assert(!f->held);
	if (n == 0 || n > FREEZER_FDS_MAX)
		return err_set(e, ERR_INVALID, "%zu file systems cannot be frozen at once, but %d",
		               n, FREEZER_FDS_MAX);
	if (deadline_ms > FREEZER_DEADLINE_MAX_MS)
		return err_set(e, ERR_INVALID, "a freeze of %u ms is too long: at most %u ms",
		               deadline_ms, FREEZER_DEADLINE_MAX_MS);
	if (f->fd < 0)
		return gone(e);
	r.n = (uint16_t)n;
	r.deadline_ms = deadline_ms > 0 ? deadline_ms : FREEZER_DEADLINE_MS;
	if (say(f, &r, fds, e) < 0 ||
	    hear(f, FREEZER_WIRE_FREEZE, (int64_t)r.deadline_ms + PATIENCE_MS, &a, e) < 0)
		return err_wrap(e, "freezing the file system of '%s'",
		                name_of(fds[0], name, sizeof(name)));
	if (a.result != FREEZER_WIRE_OK) {
		err_set(e, freezer_wire_class(a.result), "%s", a.text);
		e->os = a.os;
		return err_wrap(e, "freezing the file system of '%s'",
		                name_of(fds[a.at < n ? a.at : 0], name, sizeof(name)));
	}
	if (a.n != n) {
		hang_up(f);
		return err_set(e, ERR_FORMAT,
		               "the freezer tells the times of %u file systems instead of %zu", a.n,
		               n);
	}
	memcpy(times, a.times, n * sizeof(*times));
	f->held = true;
	f->n = n;
	return 0;
}

int freezer_thaw(struct freezer *f, struct freezer_times *times, struct err *e)
{
	const struct freezer_wire_request r = { .verb = FREEZER_WIRE_THAW };
	struct freezer_wire_answer a;

	if (f->fd < 0)
		return gone(e);
	assert(f->held);
	if (say(f, &r, NULL, e) < 0 || hear(f, FREEZER_WIRE_THAW, PATIENCE_MS, &a, e) < 0)
		return err_wrap(e, "thawing");
	f->held = false;
	if (a.n == f->n)
		memcpy(times, a.times, a.n * sizeof(*times));
	else
		memset(times, 0, f->n * sizeof(*times));
	if (a.result == FREEZER_WIRE_OK && a.n == f->n)
		return 0;
	if (a.result == FREEZER_WIRE_OK)
		return err_set(e, ERR_FORMAT,
		               "the freezer tells the times of %u file systems instead of %zu", a.n,
		               f->n);
	err_set(e, freezer_wire_class(a.result), "%s", a.text);
	e->os = a.os;
	return -1;
}
