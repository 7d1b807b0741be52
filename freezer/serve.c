/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients by SOCK_SEQPACKET, one packet a request. Who breaks the protocol is
 * disconnected, and a client that is gone has its freeze ended. Answers go out without
 * waiting: a client that does not read them is one that is gone.
 *
 * A freeze has a note in the journal from before its first FIFREEZE until all of it is thawed
 * and its processes are gone; as long as it has, the file systems count as taken.
 */
#include "freezer/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/now.h"
#include "freezer/hold.h"
#include "freezer/note.h"
#include "snapshot/freezer_wire.h"

#define NO_FS SIZE_MAX
/* What the freezes get to end when the freezer does; their processes need no main process. */
#define STOP_MS 2000
#define MS ((int64_t)1000000)
#define FORBIDDEN_MAX 12

struct client {
	int fd;                      /* -1: the place is free */
	struct freeze *freeze;       /* until its result is told */
	enum freezer_wire_verb owed; /* freeze, thaw: an answer; 0: none */
};

struct freeze {
	struct hold *hold;         /* NULL: the place is free */
	struct client *client;     /* NULL: it is gone, or was answered for good */
	struct journal_note *note; /* NULL: it has ended */
	struct mount_fs fs[FREEZER_FDS_MAX];
	size_t nfs;
	uint8_t map[FREEZER_FDS_MAX]; /* of each descriptor of the client: which fs */
	size_t n;
	uint32_t deadline_ms;
};

struct server {
	const struct serve_params *p;
	char boot[NOTE_BOOT_MAX + 1];
	struct {
		struct mount_fs fs;
		const char *why;
	} forbidden[FORBIDDEN_MAX];
	size_t nforbidden;
	struct client clients[SERVE_CLIENTS_MAX];
	struct freeze freezes[SERVE_FREEZES_MAX];
	size_t early;       /* freezes that ended before their time and were not logged yet */
	struct err trouble; /* the last error that was not logged yet */
	bool stopping;
};

/* ---- answers ---- */

static struct freezer_wire_answer answer(enum freezer_wire_verb verb)
{
	return (struct freezer_wire_answer){ .verb = verb, .at = FREEZER_WIRE_NONE };
}

static void refuse(struct freezer_wire_answer *a, enum freezer_wire_result result, size_t at,
                   int os, const char *fmt, ...) PRINTF_LIKE(5, 6);
static void refuse(struct freezer_wire_answer *a, enum freezer_wire_result result, size_t at,
                   int os, const char *fmt, ...)
{
	va_list ap;

	a->result = result;
	a->at = at < FREEZER_FDS_MAX ? (uint16_t)at : FREEZER_WIRE_NONE;
	a->os = os;
	va_start(ap, fmt);
	(void)vsnprintf(a->text, sizeof(a->text), fmt, ap);
	va_end(ap);
	/* What the client does not take is not sent: file names may have any bytes. */
	for (char *c = a->text; *c; c++)
		if ((uint8_t)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

static int send_answer(int fd, const struct freezer_wire_answer *a)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FREEZER_WIRE_ANSWER_MAX);

	freezer_wire_put_answer(&b, a);
	if (b.failed)
		return -1;
	return send(fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

void serve_refuse(int take_client, const struct err *why)
{
	struct freezer_wire_answer a = answer(FREEZER_WIRE_HELLO);

	refuse(&a,
	       why->class == ERR_DENIED ? FREEZER_WIRE_DENIED
	       : why->class == ERR_BUSY ? FREEZER_WIRE_BUSY
	                                : FREEZER_WIRE_FAILED,
	       NO_FS, 0, "%s", why->msg);
	(void)send_answer(take_client, &a);
	(void)close(take_client);
}

static void trouble(struct server *s, const struct err *e)
{
	s->trouble = *e;
}

/* Nothing is logged as long as anything is frozen: whoever reads the log may wait for that. */
static void tell(struct server *s)
{
	for (size_t i = 0; i < SERVE_FREEZES_MAX; i++)
		if (s->freezes[i].note)
			return;
	if (s->early > 0)
		log_warn("freezes ended before they were told to", LOG_U("freezes", s->early));
	s->early = 0;
	if (s->trouble.class != ERR_NONE)
		log_error("trouble with a freeze", LOG_S("error", s->trouble.msg));
	s->trouble.class = ERR_NONE;
}

/* ---- which file systems ---- */

static void forbid_fd(struct server *s, const struct mount_table *t, int fd, const char *why)
{
	struct err ignored = ERR_INIT;
	struct stat st;

	if (s->nforbidden == FORBIDDEN_MAX || fd < 0 || fstat(fd, &st) < 0 ||
	    (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) ||
	    mount_fs_of(t, fd, &s->forbidden[s->nforbidden].fs, &ignored) < 0)
		return;
	s->forbidden[s->nforbidden++].why = why;
}

static void forbid_path(struct server *s, const struct mount_table *t, const char *path,
                        const char *why)
{
	auto_close int fd = open(path, O_PATH | O_CLOEXEC);

	forbid_fd(s, t, fd, why);
}

/* The directory of the socket, which may be relative. */
static void forbid_parent(struct server *s, const struct mount_table *t, const char *path)
{
	auto_free char *dir = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (slash)
		slash[slash == dir ? 1 : 0] = '\0';
	if (dir)
		forbid_path(s, t, slash ? dir : ".", "it holds the freezer's socket");
}

static int find_forbidden(struct server *s, struct err *e)
{
	auto_mounts struct mount_table t = { 0 };

	if (mount_read(&t, e) < 0)
		return -1;
	forbid_path(s, &t, "/", "it is the root file system");
	forbid_path(s, &t, s->p->notes, "the freezer keeps its notes on it");
	forbid_path(s, &t, "/proc/self/exe", "the freezer's program lies on it");
	if (s->p->socket)
		forbid_parent(s, &t, s->p->socket);
	forbid_fd(s, &t, STDIN_FILENO, "the freezer's input comes from it");
	forbid_fd(s, &t, STDOUT_FILENO, "the freezer's output goes to it");
	forbid_fd(s, &t, STDERR_FILENO, "the freezer's log goes to it");
	/* in a container: files of the node, on the disk that everything on it lives on */
	forbid_path(s, &t, "/etc/hosts", "the system's own files lie on it ('/etc/hosts')");
	forbid_path(s, &t, "/etc/resolv.conf",
	            "the system's own files lie on it ('/etc/resolv.conf')");
	forbid_path(s, &t, "/dev/termination-log", "the node's own files lie on it");
	return 0;
}

static bool is_taken(const struct server *s, const struct mount_fs *fs)
{
	for (size_t i = 0; i < SERVE_FREEZES_MAX; i++)
		for (size_t j = 0; s->freezes[i].note && j < s->freezes[i].nfs; j++)
			if (mount_fs_equal(&s->freezes[i].fs[j], fs))
				return true;
	return false;
}

/* Looks at descriptor i of a client, and enters its file system unless it is there. */
static int add_fs(const struct server *s, const struct mount_table *t, int fd, size_t i,
                  struct freeze *f, int *ret_fds, struct freezer_wire_answer *a)
{
	struct err e = ERR_INIT;
	struct mount_fs fs;
	struct stat st;
	size_t j = 0;

	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || flags & O_PATH || fstat(fd, &st) < 0 ||
	    (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))) {
		refuse(a, FREEZER_WIRE_INVALID, i, 0,
		       "it is no directory or file that is open for reading");
		return -1;
	}
	if (mount_fs_of(t, fd, &fs, &e) < 0) {
		refuse(a, FREEZER_WIRE_FAILED, i, e.os, "%s", e.msg);
		return -1;
	}
	for (j = 0; j < s->nforbidden; j++) {
		if (!mount_fs_equal(&s->forbidden[j].fs, &fs))
			continue;
		refuse(a, FREEZER_WIRE_INVALID, i, 0, "this must not be frozen: %s",
		       s->forbidden[j].why);
		return -1;
	}
	if (is_taken(s, &fs)) {
		refuse(a, FREEZER_WIRE_BUSY, i, EBUSY, "it is frozen for another client");
		return -1;
	}
	for (j = 0; j < f->nfs && !mount_fs_equal(&f->fs[j], &fs); j++)
		;
	if (j == f->nfs) {
		f->fs[f->nfs] = fs;
		ret_fds[f->nfs++] = fd;
	}
	f->map[i] = (uint8_t)j;
	f->n = i + 1;
	return 0;
}

/* ---- a freeze ---- */

static void drop_client(struct server *s, struct client *c)
{
	if (c->freeze) {
		c->freeze->client = NULL;
		hold_end(c->freeze->hold, s->stopping ? HOLD_STOP : HOLD_CLIENT);
	}
	(void)close(c->fd);
	*c = (struct client){ .fd = -1 };
}

static void say(struct server *s, struct client *c, const struct freezer_wire_answer *a)
{
	c->owed = 0;
	if (send_answer(c->fd, a) < 0)
		drop_client(s, c);
}

/* Both sides forget a freeze that has nothing more to tell. */
static void part(struct freeze *f)
{
	if (f->client)
		f->client->freeze = NULL;
	f->client = NULL;
}

static void put_times(const struct freeze *f, struct freezer_wire_answer *a)
{
	a->n = (uint16_t)f->n;
	for (size_t i = 0; i < f->n; i++)
		a->times[i] = hold_times(f->hold, f->map[i]);
}

/* The client's descriptor of file system number `at`. */
static size_t of_client(const struct freeze *f, size_t at)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->map[i] == at)
			return i;
	return NO_FS;
}

/* Why the kernel does not freeze a file system. */
static void put_refusal(const struct freeze *f, const struct hold_result *r,
                        struct freezer_wire_answer *a)
{
	size_t at = of_client(f, r->at);

	switch (r->os) {
	case EOPNOTSUPP:
	case ENOTTY:
		refuse(a, FREEZER_WIRE_UNSUPPORTED, at, r->os,
		       "this kind of file system cannot "
		       "be frozen");
		break;
	case EBUSY:
		refuse(a, FREEZER_WIRE_BUSY, at, r->os, "it is frozen already, by somebody else");
		break;
	case EPERM:
	case EACCES:
		refuse(a, FREEZER_WIRE_DENIED, at, r->os,
		       "the freezer has not the right to freeze it (CAP_SYS_ADMIN)");
		break;
	default:
		refuse(a, FREEZER_WIRE_FAILED, at, r->os, "the kernel does not freeze it: %s",
		       strerror(r->os));
	}
}

/* Why a freeze came to an end that was not asked for; a is of either verb. */
static void put_end(const struct freeze *f, const struct hold_result *r,
                    struct freezer_wire_answer *a)
{
	if (r->thaw_os != 0)
		refuse(a, FREEZER_WIRE_FAILED, of_client(f, r->at), r->thaw_os,
		       "the kernel does not thaw it: %s; try fsfreeze -u on its mount point",
		       strerror(r->thaw_os));
	else if (r->why == HOLD_REFUSED)
		put_refusal(f, r, a);
	else if (r->why == HOLD_DEADLINE)
		refuse(a, FREEZER_WIRE_EARLY, NO_FS, 0, "the deadline of %u ms has passed",
		       f->deadline_ms);
	else if (r->why == HOLD_DEATH)
		refuse(a, FREEZER_WIRE_EARLY, NO_FS, 0,
		       "a process of the freezer was killed, upon which all was thawed");
	else if (r->why == HOLD_STOP)
		refuse(a, FREEZER_WIRE_EARLY, NO_FS, 0, "the freezer ends");
	else if (r->others)
		refuse(a, FREEZER_WIRE_EARLY, NO_FS, 0, "somebody else has thawed it");
}

/* Takes notice of what became of a freeze, and tells its client what it is owed. */
static void step(struct server *s, struct freeze *f)
{
	struct client *c = f->client;
	struct freezer_wire_answer a = answer(c ? c->owed : FREEZER_WIRE_THAW);
	struct err e = ERR_INIT;

	enum hold_state state = hold_step(f->hold);
	struct hold_result r = hold_result(f->hold);
	if (state == HOLD_ENDED && f->note) {
		/* What may be frozen still must be known to the next start. */
		if (r.thaw_os != 0)
			journal_leave(f->note);
		else if (journal_done(f->note, &e) < 0)
			trouble(s, &e);
		f->note = NULL;
		if (r.why == HOLD_DEADLINE || r.why == HOLD_DEATH || r.others)
			s->early++;
		if (r.thaw_os != 0) {
			(void)err_sys(&e, r.thaw_os,
			              "thawing a file system, which may be frozen "
			              "still; run fsfreeze --unfreeze on it");
			trouble(s, &e);
		}
	}
	if (c && c->owed == FREEZER_WIRE_FREEZE) {
		if (state == HOLD_FROZEN && r.why == HOLD_ON) {
			put_times(f, &a);
			say(s, c, &a);
		} else if (state == HOLD_ENDED || hold_is_late(f->hold)) {
			/* at the deadline, even if FIFREEZE is under way: nothing comes of it */
			if (state != HOLD_ENDED)
				r.why = HOLD_DEADLINE;
			hold_end(f->hold, HOLD_DEADLINE);
			put_end(f, &r, &a);
			part(f);
			say(s, c, &a);
		}
	} else if (c && c->owed == FREEZER_WIRE_THAW && state == HOLD_ENDED) {
		put_times(f, &a);
		put_end(f, &r, &a);
		part(f);
		say(s, c, &a);
	}
	if (state == HOLD_ENDED && !f->client) {
		hold_free(f->hold);
		*f = (struct freeze){ 0 };
	}
}

static int note_down(struct server *s, struct freeze *f, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(JOURNAL_TEXT_MAX);
	struct note n = { .n = f->nfs };

	memcpy(n.boot, s->boot, sizeof(n.boot));
	memcpy(n.fs, f->fs, f->nfs * sizeof(*f->fs));
	note_put(&b, &n);
	if (buf_check(&b, "the note of a freeze", e) < 0)
		return -1;
	f->note = journal_add(s->p->journal, NOTE_DRIVER, buf_cstr(&b), e);
	return f->note ? 0 : -1;
}

/* Fills f, whose hold runs then. -1 with the answer that tells why not. */
static int begin(struct server *s, struct freeze *f, const int *fds,
                 const struct freezer_wire_request *r, struct freezer_wire_answer *a)
{
	auto_mounts struct mount_table t = { 0 };
	int unique[FREEZER_FDS_MAX];
	struct err e = ERR_INIT;

	if (mount_read(&t, &e) < 0) {
		refuse(a, FREEZER_WIRE_FAILED, NO_FS, e.os, "%s", e.msg);
		return -1;
	}
	for (size_t i = 0; i < r->n; i++)
		if (add_fs(s, &t, fds[i], i, f, unique, a) < 0)
			return -1;
	f->deadline_ms = r->deadline_ms;
	if (note_down(s, f, &e) < 0) {
		refuse(a, FREEZER_WIRE_FAILED, NO_FS, e.os, "%s", e.msg);
		return -1;
	}
	f->hold = hold_start(unique, f->nfs, r->deadline_ms, journal_note_fd(f->note), &e);
	if (f->hold)
		return 0;
	refuse(a, FREEZER_WIRE_FAILED, NO_FS, e.os, "%s", e.msg);
	if (journal_done(f->note, &e) < 0)
		trouble(s, &e);
	return -1;
}

static void freeze(struct server *s, struct client *c, const int *fds,
                   const struct freezer_wire_request *r)
{
	struct freezer_wire_answer a = answer(FREEZER_WIRE_FREEZE);
	struct freeze *f = NULL;

	for (size_t i = 0; i < SERVE_FREEZES_MAX && !f; i++)
		if (!s->freezes[i].hold)
			f = &s->freezes[i];
	if (s->stopping) {
		refuse(&a, FREEZER_WIRE_FAILED, NO_FS, 0, "the freezer ends");
		say(s, c, &a);
	} else if (!f) {
		refuse(&a, FREEZER_WIRE_BUSY, NO_FS, 0, "there are %d freezes already",
		       SERVE_FREEZES_MAX);
		say(s, c, &a);
	} else if (begin(s, f, fds, r, &a) < 0) {
		*f = (struct freeze){ 0 };
		say(s, c, &a);
	} else {
		f->client = c;
		c->freeze = f;
		c->owed = FREEZER_WIRE_FREEZE;
	}
}

/* ---- clients ---- */

/* A request with its descriptors, of which the caller owns *ret_n. -1: the client breaks rules. */
static int receive(int fd, uint8_t *packet, size_t max, int *fds, size_t *ret_n, ssize_t *ret_len)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * FREEZER_FDS_MAX)];
	} control;
	struct iovec iov = { .iov_base = packet, .iov_len = max };
	struct msghdr m = { .msg_iov = &iov,
		            .msg_iovlen = 1,
		            .msg_control = control.bytes,
		            .msg_controllen = sizeof(control.bytes) };

	*ret_n = 0;
	*ret_len = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (*ret_len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		/* the kernel gives no more than there is room for */
		memcpy(fds + *ret_n, CMSG_DATA(c), n * sizeof(int));
		*ret_n += n;
	}
	return *ret_len == 0 || m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -1 : 0;
}

/* What a request wants. -1: the client breaks the protocol. */
static int obey(struct server *s, struct client *c, const uint8_t *packet, size_t n, const int *fds,
                size_t nfds)
{
	struct freezer_wire_request r;
	struct err ignored = ERR_INIT;

	if (c->owed != 0 || freezer_wire_request(packet, n, &r, &ignored) < 0 || r.n != nfds)
		return -1;
	if ((r.verb == FREEZER_WIRE_FREEZE) != (c->freeze == NULL))
		return -1;
	if (r.verb == FREEZER_WIRE_FREEZE) {
		freeze(s, c, fds, &r);
	} else {
		struct freeze *f = c->freeze;

		c->owed = FREEZER_WIRE_THAW;
		hold_end(f->hold, HOLD_ASKED);
		step(s, f);
	}
	return 0;
}

static void serve(struct server *s, struct client *c)
{
	uint8_t packet[FREEZER_WIRE_REQUEST_BYTES];
	int fds[FREEZER_FDS_MAX];
	size_t nfds;
	ssize_t n;

	int rc = receive(c->fd, packet, sizeof(packet), fds, &nfds, &n);
	if (rc == 0 && n > 0)
		rc = obey(s, c, packet, (size_t)n, fds, nfds);
	for (size_t i = 0; i < nfds; i++)
		(void)close(fds[i]);
	if (rc < 0 && c->fd >= 0)
		drop_client(s, c);
}

/* Takes a connected client, or tells it why not. */
static void meet(struct server *s, int take_fd, bool trusted)
{
	struct freezer_wire_answer hello = answer(FREEZER_WIRE_HELLO);
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(who);
	struct err e = ERR_INIT;

	if (!trusted && (getsockopt(take_fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ||
	                 (who.uid != 0 && who.uid != geteuid() &&
	                  !(s->p->has_allowed && who.uid == s->p->allowed)))) {
		(void)err_set(&e, ERR_DENIED,
		              "the freezer does not serve the user %u; name it with --allow-uid",
		              who.uid);
		serve_refuse(take_fd, &e);
		return;
	}
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		if (c->fd >= 0)
			continue;
		*c = (struct client){ .fd = take_fd };
		say(s, c, &hello);
		return;
	}
	(void)err_set(&e, ERR_BUSY, "the freezer has %d clients already", SERVE_CLIENTS_MAX);
	serve_refuse(take_fd, &e);
}

/* ---- the loop ---- */

/* Everything to wait for. The entries of clients and freezes know whose they are. */
struct watch {
	struct pollfd v[3 * SERVE_FREEZES_MAX + SERVE_CLIENTS_MAX + 2];
	void *whose[3 * SERVE_FREEZES_MAX + SERVE_CLIENTS_MAX + 2];
	size_t n;
};

static void watch(struct watch *w, int fd, void *whose)
{
	if (fd < 0)
		return;
	w->v[w->n] = (struct pollfd){ .fd = fd, .events = POLLIN };
	w->whose[w->n++] = whose;
}

static bool is_hot(const struct watch *w, const void *whose)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->whose[i] == whose && w->v[i].revents)
			return true;
	return false;
}

static void gather(struct server *s, struct watch *w)
{
	w->n = 0;
	if (!s->stopping) {
		watch(w, s->p->cancel->fd, &s->stopping);
		watch(w, s->p->listener, s);
	}
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		watch(w, s->clients[i].fd, &s->clients[i]);
	for (size_t i = 0; i < SERVE_FREEZES_MAX; i++) {
		struct freeze *f = &s->freezes[i];

		if (!f->hold)
			continue;
		struct hold_fds fds = hold_fds(f->hold);
		watch(w, fds.holder, f);
		watch(w, fds.guard, f);
		/* later on the deadline is the holder's business, and would be told for ever */
		if (f->client && f->client->owed == FREEZER_WIRE_FREEZE)
			watch(w, fds.deadline, f);
	}
}

static bool is_idle(const struct server *s)
{
	for (size_t i = 0; i < SERVE_FREEZES_MAX; i++)
		if (s->freezes[i].note)
			return false;
	return true;
}

static bool has_clients(const struct server *s)
{
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0)
			return true;
	return false;
}

/* All freezes end; their clients hear it when they ask, or see the connection end. */
static void stop(struct server *s)
{
	s->stopping = true;
	for (size_t i = 0; i < SERVE_FREEZES_MAX; i++)
		if (s->freezes[i].hold)
			hold_end(s->freezes[i].hold, HOLD_STOP);
}

static void turn(struct server *s, const struct watch *w)
{
	for (size_t i = 0; i < SERVE_FREEZES_MAX; i++)
		if (s->freezes[i].hold && is_hot(w, &s->freezes[i]))
			step(s, &s->freezes[i]);
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0 && is_hot(w, &s->clients[i]))
			serve(s, &s->clients[i]);
	/* what has ended and lost its client is to be forgotten */
	for (size_t i = 0; i < SERVE_FREEZES_MAX; i++)
		if (s->freezes[i].hold && !s->freezes[i].client)
			step(s, &s->freezes[i]);
	if (is_hot(w, s)) {
		int fd = accept4(s->p->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			meet(s, fd, false);
	}
	tell(s);
}

static int loop(struct server *s, struct err *e)
{
	int64_t until = 0;
	struct watch w;

	for (;;) {
		if (!s->stopping &&
		    (cancel_requested(s->p->cancel) || (s->p->listener < 0 && !has_clients(s)))) {
			stop(s);
			until = now_mono_ns() + STOP_MS * MS;
		}
		if (s->stopping && (is_idle(s) || now_mono_ns() >= until))
			return 0;
		gather(s, &w);
		int patience = s->stopping ? (int)((until - now_mono_ns()) / MS) + 1 : -1;
		if (poll(w.v, w.n, patience) < 0) {
			if (errno == EINTR || errno == EAGAIN || errno == ENOMEM)
				continue;
			return err_sys(e, errno, "waiting for clients");
		}
		turn(s, &w);
	}
}

/* What is still under way is left to its own processes, which notice our end. */
static void finish(struct server *s)
{
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0)
			drop_client(s, &s->clients[i]);
	for (size_t i = 0; i < SERVE_FREEZES_MAX; i++) {
		struct freeze *f = &s->freezes[i];

		if (f->hold && !f->note) {
			hold_free(f->hold);
		} else if (f->hold) {
			hold_leave(f->hold);
			journal_leave(f->note);
		}
	}
	tell(s);
}

int serve_run(const struct serve_params *p, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s) {
		if (p->client >= 0)
			(void)close(p->client);
		return err_set(e, ERR_NOMEM, "no memory for clients");
	}
	s->p = p;
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		s->clients[i].fd = -1;
	int rc = note_boot(s->boot, e);
	if (rc == 0)
		rc = find_forbidden(s, e);
	if (rc == 0) {
		if (p->client >= 0)
			meet(s, p->client, true);
		rc = loop(s, e);
		finish(s);
	} else if (p->client >= 0) {
		serve_refuse(p->client, e);
	}
	free(s);
	return rc;
}
