/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of drivers, and what all of them have in common. */
#include "snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "snapshot/block.h"

static const struct snapshot_ops *const drivers[] = { &snapshot_live, NULL };

const struct snapshot_ops *const *snapshot_drivers(void)
{
	return drivers;
}

const char *snapshot_consistency_name(enum snapshot_consistency c)
{
	static const char *const names[] = {
		[SNAP_FUZZY] = "fuzzy",
		[SNAP_CRASH] = "crash",
		[SNAP_FILESYSTEM] = "filesystem",
		[SNAP_APPLICATION] = "application",
	};

	return names[c];
}

/* A volume is a directory, a block device or a file: all else is refused here once. */
static int check_volume(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno == ENOENT)
			return err_set(e, ERR_NOT_FOUND,
			               "the source '%s' does not exist; check its path", path);
		return err_sys(e, errno, "looking at the source '%s'", path);
	}
	if (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) || S_ISREG(st.st_mode))
		return 0;
	return err_set(e, ERR_INVALID,
	               "the source '%s' is no directory, block device or image file; "
	               "nothing else can be backed up",
	               path);
}

static const struct snapshot_ops *choose_best(const char *path, struct err *e)
{
	for (size_t i = 0; drivers[i]; i++) {
		int rc = drivers[i]->supports(path, e);

		if (rc != 0)
			return rc > 0 ? drivers[i] : NULL;
	}
	err_set(e, ERR_UNSUPPORTED, "there is no way to read the source '%s' here", path);
	return NULL;
}

const struct snapshot_ops *snapshot_choose(const char *name, const char *path, struct err *e)
{
	if (check_volume(path, e) < 0)
		return NULL;
	if (!name || strcmp(name, "auto") == 0)
		return choose_best(path, e);
	for (size_t i = 0; drivers[i]; i++) {
		if (strcmp(name, drivers[i]->name) != 0)
			continue;
		int rc = drivers[i]->supports(path, e);
		if (rc > 0)
			return drivers[i];
		if (rc == 0)
			err_set(e, ERR_UNSUPPORTED,
			        "the snapshot driver '%s' does not work for '%s'; use auto or live",
			        name, path);
		return NULL;
	}
	err_set(e, ERR_INVALID, "there is no snapshot driver '%s'; use auto or live", name);
	return NULL;
}

static void destroy(struct snapshot *s)
{
	clean_close(&s->fd);
	free(s->path);
	free(s);
}

struct snapshot *snapshot_take(const struct snapshot_ops *driver, const char *path, struct err *e)
{
	if (check_volume(path, e) < 0)
		return NULL;
	struct snapshot *s = calloc(1, sizeof(*s));
	if (!s) {
		err_set(e, ERR_NOMEM, "no memory for a snapshot of '%s'", path);
		return NULL;
	}
	s->ops = driver;
	s->fd = -1;
	s->consistency = driver->consistency;
	if (driver->take(s, path, e) < 0) {
		err_wrap(e, "taking a %s snapshot", driver->name);
		destroy(s);
		return NULL;
	}
	return s;
}

struct source *snapshot_source(const struct snapshot *s, const struct walk_params *params,
                               struct err *e)
{
	if (s->block)
		return block_open(s->path, params && params->drop_cache, e);
	return walk_open(s->path, params, e);
}

int snapshot_is_empty(const struct snapshot *s, bool *ret_empty, struct err *e)
{
	uint64_t bytes;

	if (!s->block)
		return walk_is_empty(s->path, ret_empty, e);
	auto_close int fd = open(s->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || block_size(fd, &bytes) < 0)
		return err_sys(e, errno, "finding the size of '%s'", s->path);
	*ret_empty = bytes == 0;
	return 0;
}

int snapshot_release(struct snapshot *take_s, struct err *e)
{
	if (!take_s)
		return 0;
	int rc = take_s->ops->release(take_s, e);
	if (rc < 0)
		err_wrap(e, "releasing the %s snapshot of '%s'", take_s->ops->name, take_s->path);
	destroy(take_s);
	return rc;
}
