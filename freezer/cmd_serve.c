/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aksdr-freezer serve. The order of the start is the point: what needs rights
 * (the directory, the socket) comes first, then all capabilities go but the one to freeze and,
 * for finding what an earlier freezer left frozen, the one to search directories;
 * then that goes too, and only then somebody is listened to.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/num.h"
#include "freezer/cmd.h"
#include "freezer/note.h"
#include "freezer/rights.h"
#include "freezer/serve.h"

#define NOTES_DIR "/run/aksdr-freezer"
#define BACKLOG 16
#define NO_UID UINT64_MAX

enum { KEY_SOCKET = 256, KEY_FD, KEY_NOTES, KEY_ALLOW };

static struct {
	const char *socket, *notes;
	uint64_t fd, allowed;
	bool has_fd;
} options = { .notes = NOTES_DIR, .allowed = NO_UID };

static const struct verb_option table[] = {
	{ "socket", "PATH", "listen at this unix socket", KEY_SOCKET },
	{ "fd", "N", "serve the one client at this inherited socket, and end with it", KEY_FD },
	{ "notes", "DIR", "where freezes are noted for the next start (" NOTES_DIR ")", KEY_NOTES },
	{ "allow-uid", "N", "serve this user too, beside root and the freezer's own", KEY_ALLOW },
	{ NULL, NULL, NULL, 0 },
};

static int set(void *state, int key, const char *value, struct err *e)
{
	(void)state;
	switch (key) {
	case KEY_SOCKET:
		options.socket = value;
		return 0;
	case KEY_FD:
		options.has_fd = true;
		return num_u64("--fd", value, 3, INT32_MAX, &options.fd, e);
	case KEY_NOTES:
		options.notes = value;
		return 0;
	default:
		return num_u64("--allow-uid", value, 0, UINT32_MAX - 1, &options.allowed, e);
	}
}

/* A bound socket that does not listen yet; what a dead freezer left at its path goes. */
static int bind_socket(const char *path, struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	struct stat st;

	if (n == 0 || n >= sizeof(at.sun_path))
		return err_set(e, ERR_INVALID, "a socket's path has 1 to %zu bytes, not %zu",
		               sizeof(at.sun_path) - 1, n);
	memcpy(at.sun_path, path, n);
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "making a socket");
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return err_set(e, ERR_EXISTS, "'%s' is there and no socket", path);
		if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
			return err_set(e, ERR_BUSY, "a freezer listens at '%s' already", path);
		if (errno != ECONNREFUSED || unlink(path) < 0)
			return err_sys(e, errno, "replacing the socket '%s'", path);
	}
	/* nobody can connect before it listens; by then it has its owner and mode */
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		return err_sys(e, errno, "making the socket '%s'", path);
	bool others = options.allowed != NO_UID;
	if (chmod(path, others ? 0660 : 0600) < 0 ||
	    (others && lchown(path, (uid_t)options.allowed, (gid_t)-1) < 0)) {
		err_sys(e, errno, "giving the socket '%s' its owner and mode", path);
		(void)unlink(path);
		return -1;
	}
	return steal_fd(&fd);
}

/* Thaws what an earlier freezer left. It is told, and keeps nobody from the service. */
static void recover(struct journal *j)
{
	struct note_thawed did = { 0 };
	struct err e = ERR_INIT;
	size_t notes;

	if (journal_each(j, note_thaw, &did, &notes, &e) < 0)
		log_error("cannot thaw what an earlier freezer left", LOG_S("error", e.msg));
	for (size_t i = 0; i < did.n && i < ARRAY_LEN(did.points); i++)
		log_warn("thawed what an earlier freezer left frozen",
		         LOG_S("mount", did.points[i]));
	if (did.n > ARRAY_LEN(did.points))
		log_warn("thawed what an earlier freezer left frozen",
		         LOG_U("file_systems", did.n));
}

/* From here on without rights but one. */
static int give_up_rights(const struct serve_params *p, struct err *e)
{
	rights_outlive();
	if (rights_keep(true, e) < 0)
		return -1;
	recover(p->journal);
	return rights_keep(false, e);
}

static int prepare(struct serve_params *p, struct err *e)
{
	/* said first: who lacks it lacks other rights as well, which would not help */
	if (rights_check(e) < 0)
		return -1;
	p->journal = journal_open(p->notes, e);
	if (!p->journal)
		return -1;
	if (p->socket && (p->listener = bind_socket(p->socket, e)) < 0)
		return -1;
	if (give_up_rights(p, e) < 0)
		return -1;
	if (!p->socket)
		return 0;
	if (listen(p->listener, BACKLOG) < 0)
		return err_sys(e, errno, "listening at '%s'", p->socket);
	log_info("listening", LOG_S("socket", p->socket));
	return 0;
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	struct serve_params p = {
		.listener = -1,
		.client = options.has_fd ? (int)options.fd : -1,
		.allowed = (uid_t)options.allowed,
		.has_allowed = options.allowed != NO_UID,
		.notes = options.notes,
		.socket = options.socket,
		.cancel = cancel_on_signals(),
	};
	int type = 0;
	socklen_t len = sizeof(type);

	(void)state;
	(void)common;
	(void)argc;
	(void)argv;
	if (options.has_fd == (options.socket != NULL))
		return err_set(e, ERR_INVALID, "name either --socket or --fd");
	if (options.has_fd && (getsockopt(p.client, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	                       type != SOCK_SEQPACKET || fcntl(p.client, F_SETFD, FD_CLOEXEC) < 0))
		return err_set(e, ERR_INVALID, "--fd %d is no socket of packets", p.client);
	int rc = prepare(&p, e);
	if (rc == 0) {
		rc = serve_run(&p, e);
	} else if (p.client >= 0) {
		/* who started us tells it: once is enough */
		serve_refuse(p.client, e);
		rc = 0;
	}
	journal_close(p.journal);
	if (p.listener >= 0) {
		(void)close(p.listener);
		(void)unlink(p.socket);
	}
	return rc;
}

const struct verb cmd_serve = {
	.name = "serve",
	.args = "",
	.summary = "freeze for whoever asks and may",
	.text = "Serves clients at a socket, or the one that started it (--fd). A client passes "
		"descriptors of directories on the file systems that it wants frozen; all are "
		"frozen or none. A file system is thawed when its client says so or is gone, at "
		"the deadline that the client set (60 s at most), and when this program ends or "
		"is killed.\n\n"
		"It needs CAP_SYS_ADMIN, and gives up everything else before it listens; at its "
		"start CAP_DAC_READ_SEARCH as well, to find the mount points of what an earlier "
		"one left frozen. The root file system and the one that holds its notes are never "
		"frozen. Only root, the user that it runs as, and the one of --allow-uid are "
		"served.",
	.examples = "aksdr-freezer serve --socket /run/aksdr-freezer/socket",
	.options = table,
	.flags = VERB_LOCAL,
	.max_args = 0,
	.set = set,
	.run = run,
};
