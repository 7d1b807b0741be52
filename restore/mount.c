/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See mount.h. The threads that answer are our own: those of libfuse are ended
 * by cancelling them, ours look at the token as everything here does. Each
 * waits on an epoll descriptor of its own, for requests (one of the threads is
 * woken for each) and for the token.
 */
#include "restore/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/log.h"
#include "common/team.h"
#include "restore/mount_impl.h"

#define ANSWERERS 8 /* each may wait for the store */

/* What libfuse has to say is about a mount that fails. */
static void on_log(enum fuse_log_level level, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
static void on_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[512];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	if (level <= FUSE_LOG_WARNING)
		log_warn("the mount", LOG_S("says", text));
	else
		log_debug("the mount", LOG_S("says", text));
}

struct serve {
	struct fuse_session *session;
	const struct cancel *cancel;
	struct cancel ended; /* one of the threads has left: all do */
};

static int watch(int ep, int fd, uint32_t events, struct err *e)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	if (fd >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		return err_sys(e, errno, "waiting for requests of the mount");
	return 0;
}

static void free_buf(struct fuse_buf *b)
{
	free(b->mem);
}

static int serve(struct serve *s, struct err *e)
{
	struct fuse_session *se = s->session;
	CLEANUP(free_buf) struct fuse_buf buf = { .mem = NULL };
	auto_close int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep < 0)
		return err_sys(e, errno, "waiting for requests of the mount");
	if (watch(ep, fuse_session_fd(se), EPOLLIN | EPOLLEXCLUSIVE, e) < 0 ||
	    watch(ep, s->ended.fd, EPOLLIN, e) < 0 ||
	    watch(ep, s->cancel ? s->cancel->fd : -1, EPOLLIN, e) < 0)
		return -1;
	while (!fuse_session_exited(se) && !cancel_requested(s->cancel) &&
	       !cancel_requested(&s->ended)) {
		int n = fuse_session_receive_buf(se, &buf);

		if (n > 0) {
			fuse_session_process_buf(se, &buf);
		} else if (n == -EAGAIN) {
			struct epoll_event ev;

			if (epoll_wait(ep, &ev, 1, -1) < 0 && errno != EINTR)
				return err_sys(e, errno, "waiting for requests of the mount");
		} else if (n < 0 && n != -EINTR) {
			return err_sys(e, -n, "reading requests of the mount");
		}
	}
	return 0;
}

/* Answers requests until the mount or the program ends. */
static int serve_main(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct serve *s = arg;
	int rc = serve(s, e);

	(void)i;
	(void)stop;
	cancel_request(&s->ended);
	return rc;
}

static int check_dir(const char *dir, struct err *e)
{
	struct stat st;

	if (stat(dir, &st) < 0)
		return err_sys(e, errno, "looking at '%s', where to mount", dir);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID, "'%s', where to mount, is no directory", dir);
	return 0;
}

static struct fuse_session *session_new(struct mount_session *m)
{
	const struct mount_params *params = m->params;
	char name[] = "aksdr-restore";
	char flag[] = "-o";
	char options[] = "ro,nodev,nosuid,fsname=aksdr,subtype=aksdr";
	char others[] = "allow_other,default_permissions";
	char *argv[] = { name, flag, options, flag, others };
	struct fuse_args args = FUSE_ARGS_INIT(params->allow_other ? 5 : 3, argv);

	fuse_set_log_func(on_log);
	struct fuse_session *se = fuse_session_new(&args, &mount_ops, sizeof(mount_ops), m);
	fuse_opt_free_args(&args);
	return se;
}

static int run(struct serve *s, const struct mount_params *params, struct err *e)
{
	int fd = fuse_session_fd(s->session);
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || cancel_init(&s->ended) < 0)
		return err_sys(e, errno, "waiting for requests of the mount");
	params->ready(params->arg);
	int rc = team_run(ANSWERERS, "mount", serve_main, s, e);
	cancel_clear(&s->ended);
	return rc;
}

int mount_run(const struct mount_params *params, struct err *e)
{
	if (check_dir(params->dir, e) < 0)
		return -1;
	struct mount_session m = { .params = params, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct serve s = { .session = session_new(&m), .cancel = params->cancel };
	int rc;

	if (!s.session)
		return err_set(e, ERR_NOMEM, "no memory for a mount");
	if (fuse_session_mount(s.session, params->dir) < 0) {
		rc = err_set(e, ERR_UNSUPPORTED,
		             "'%s' cannot be mounted: it takes /dev/fuse, and for others than "
		             "root the program fusermount3 (package fuse3)",
		             params->dir);
	} else {
		rc = run(&s, params, e);
		fuse_session_unmount(s.session);
	}
	fuse_session_destroy(s.session);
	mount_ops_close(&m);
	return rc;
}
