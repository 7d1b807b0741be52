/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of drivers, and what all of them have in common. */
#include "snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "snapshot/block.h"

static const struct snapshot_ops *const drivers[] = {
	&snapshot_reflink,
	&snapshot_freeze,
	&snapshot_live,
	NULL,
};

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

static const struct snapshot_ops *choose_best(const struct snapshot_env *env, const char *path,
                                              struct err *e)
{
	for (size_t i = 0; drivers[i]; i++) {
		struct err why = ERR_INIT;
		int rc = drivers[i]->supports(env, path, &why);

		if (rc > 0)
			return drivers[i];
		if (rc < 0) {
			*e = why;
			return NULL;
		}
	}
	err_set(e, ERR_UNSUPPORTED, "there is no way to read the source '%s' here", path);
	return NULL;
}

/* The names of all drivers, as a sentence has them. */
static void list_names(char *to, size_t max)
{
	size_t at = 0;

	to[0] = '\0';
	for (size_t i = 0; drivers[i] && at < max; i++)
		at += (size_t)snprintf(to + at, max - at, ", %s", drivers[i]->name);
}

const struct snapshot_ops *snapshot_choose(const struct snapshot_env *env, const char *name,
                                           const char *path, struct err *e)
{
	struct err why = ERR_INIT;
	char names[128];

	if (check_volume(path, e) < 0)
		return NULL;
	if (!name || strcmp(name, "auto") == 0)
		return choose_best(env, path, e);
	for (size_t i = 0; drivers[i]; i++) {
		if (strcmp(name, drivers[i]->name) != 0)
			continue;
		int rc = drivers[i]->supports(env, path, &why);
		if (rc > 0)
			return drivers[i];
		if (rc < 0)
			*e = why;
		else
			err_set(e, ERR_UNSUPPORTED,
			        "the snapshot driver '%s' does not work for '%s': %.400s", name,
			        path, why.msg);
		return NULL;
	}
	list_names(names, sizeof(names));
	err_set(e, ERR_INVALID, "there is no snapshot driver '%s'; use auto%s", name, names);
	return NULL;
}

static void destroy(struct snapshot *s)
{
	clean_close(&s->fd);
	clean_close(&s->origin_fd);
	for (size_t i = 0; i < s->nnotes; i++)
		free(s->notes[i]);
	free(s->origin);
	free(s->path);
	free(s);
}

/* Fills s, and whatever was made so far is released by the caller. */
static int start(struct snapshot *s, const char *path, struct err *e)
{
	s->origin = strdup(path);
	if (!s->origin)
		return err_set(e, ERR_NOMEM, "no memory for the path '%s'", path);
	s->origin_fd = open(path, O_PATH | O_CLOEXEC);
	if (s->origin_fd < 0)
		return err_sys(e, errno, "opening '%s'", path);
	return s->ops->prepare ? s->ops->prepare(s, e) : 0;
}

struct snapshot *snapshot_prepare(const struct snapshot_env *env, const struct snapshot_ops *driver,
                                  const char *path, struct err *e)
{
	struct err ignored = ERR_INIT;

	if (check_volume(path, e) < 0)
		return NULL;
	struct snapshot *s = calloc(1, sizeof(*s));
	if (!s) {
		err_set(e, ERR_NOMEM, "no memory for a snapshot of '%s'", path);
		return NULL;
	}
	s->ops = driver;
	s->env = env;
	s->fd = s->origin_fd = -1;
	s->consistency = driver->consistency;
	s->freeze = driver->caps & SNAP_CAP_FREEZE;
	if (start(s, path, e) < 0) {
		err_wrap(e, "taking a %s snapshot", driver->name);
		(void)!snapshot_release(s, &ignored);
		return NULL;
	}
	return s;
}

int snapshot_capture(struct snapshot *const *set, size_t n, struct err *errs)
{
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		if (set[i]->ops->capture(set[i], &errs[i]) < 0) {
			err_wrap(&errs[i], "taking a %s snapshot", set[i]->ops->name);
			rc = -1;
		}
	}
	return rc;
}

int snapshot_finish(struct snapshot *s, struct err *e)
{
	if (s->ops->finish(s, e) < 0)
		return err_wrap(e, "taking a %s snapshot", s->ops->name);
	return 0;
}

struct snapshot *snapshot_take(const struct snapshot_env *env, const struct snapshot_ops *driver,
                               const char *path, struct err *e)
{
	struct snapshot *s = snapshot_prepare(env, driver, path, e);
	struct err ignored = ERR_INIT;

	if (!s)
		return NULL;
	if (snapshot_capture(&s, 1, e) == 0 && snapshot_finish(s, e) == 0)
		return s;
	(void)!snapshot_release(s, &ignored);
	return NULL;
}

struct source *snapshot_source(const struct snapshot *s, const struct walk_params *params,
                               const char *base, struct err *e)
{
	if (s->ops->source)
		return s->ops->source(s, params, base, e);
	if (s->block)
		return block_open(s->path, params && params->drop_cache, e);
	return walk_open(s->path, params, e);
}

int snapshot_is_empty(const struct snapshot *s, bool *ret_empty, struct err *e)
{
	uint64_t bytes;

	if (s->ops->is_empty)
		return s->ops->is_empty(s, ret_empty, e);
	if (!s->block)
		return walk_is_empty(s->path, ret_empty, e);
	auto_close int fd = open(s->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || block_size(fd, &bytes) < 0)
		return err_sys(e, errno, "finding the size of '%s'", s->path);
	*ret_empty = bytes == 0;
	return 0;
}

void snapshot_note(struct snapshot *s, const char *format, ...)
{
	va_list ap;
	char *text;

	s->notes_total++;
	if (s->nnotes == SNAPSHOT_NOTES_MAX)
		return;
	va_start(ap, format);
	if (vasprintf(&text, format, ap) >= 0)
		s->notes[s->nnotes++] = text;
	va_end(ap);
}

int snapshot_release(struct snapshot *take_s, struct err *e)
{
	if (!take_s)
		return 0;
	int rc = take_s->ops->release(take_s, e);
	if (rc < 0)
		err_wrap(e, "releasing the %s snapshot of '%s'", take_s->ops->name, take_s->origin);
	destroy(take_s);
	return rc;
}

static int clean(void *arg, const char *driver, const char *text, struct err *e)
{
	(void)arg;
	for (size_t i = 0; drivers[i]; i++)
		if (drivers[i]->clean && strcmp(drivers[i]->name, driver) == 0)
			return drivers[i]->clean(text, e);
	return err_set(e, ERR_UNSUPPORTED,
	               "the journal names the snapshot driver '%.32s', which this program does not "
	               "have; use the version that made the note",
	               driver);
}

int snapshot_reconcile(struct journal *j, size_t *ret_removed, struct err *e)
{
	return journal_each(j, clean, NULL, ret_removed, e);
}
