/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No snapshot at all: the volume is read as it is while others write to it.
 * It works everywhere, and is labelled fuzzy: whoever reads looks at each
 * file again afterwards, but no two files need be of one moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/now.h"
#include "snapshot/snapshot.h"

static int live_supports(const struct snapshot_env *env, const char *path, struct err *e)
{
	(void)env;
	(void)path;
	(void)e;
	return 1;
}

static int live_capture(struct snapshot *s, struct err *e)
{
	(void)e;
	s->freeze_ns = now_wall_ns();
	return 0;
}

static int live_finish(struct snapshot *s, struct err *e)
{
	struct stat st;

	s->path = strdup(s->origin);
	if (!s->path)
		return err_set(e, ERR_NOMEM, "no memory for the path '%s'", s->origin);
	s->fd = fcntl(s->origin_fd, F_DUPFD_CLOEXEC, 3);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return err_sys(e, errno, "opening '%s'", s->origin);
	s->block = !S_ISDIR(st.st_mode);
	return 0;
}

/* Nothing was made; the descriptors and paths belong to all snapshots alike. */
static int live_release(struct snapshot *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

const struct snapshot_ops snapshot_live = {
	.name = "live",
	.caps = 0,
	.consistency = SNAP_FUZZY,
	.supports = live_supports,
	.capture = live_capture,
	.finish = live_finish,
	.release = live_release,
};
