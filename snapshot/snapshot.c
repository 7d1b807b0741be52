/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of drivers, and what all of them have in common. */
#include "snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot/block.h"
#include "snapshot/csi.h"
#include "snapshot/mount.h"

#define BUSY_WAIT_MS 5000U /* for somebody else's freeze to end; applications are held meanwhile */
#define BUSY_STEP_MS 20U

/* First those that are of one moment by themselves, then by a freeze, then not at all. */
static const struct snapshot_ops *const drivers[] = { &snapshot_btrfs,   &snapshot_lvm_thin,
	                                              &snapshot_reflink, &snapshot_freeze,
	                                              &snapshot_live,    NULL };

static const struct snapshot_ops *const claim_drivers[] = { &snapshot_csi, &snapshot_claim, NULL };

const struct snapshot_ops *const *snapshot_drivers(void)
{
	return drivers;
}

const struct snapshot_ops *const *snapshot_claim_drivers(void)
{
	return claim_drivers;
}

static const struct snapshot_ops *const *drivers_of(const char *path)
{
	return csi_is_origin(path) ? claim_drivers : drivers;
}

const struct snapshot_ops *snapshot_fallback(const char *path)
{
	return csi_is_origin(path) ? &snapshot_claim : &snapshot_live;
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

/*
 * A volume is a directory, a block device or a file, or a claim that its driver looks at: all else
 * is refused here once.
 */
static int check_volume(const char *path, struct err *e)
{
	struct stat st;

	if (csi_is_origin(path))
		return 0;
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

/*
 * supports(), and whether a tree can be frozen by whoever we are, which is better known before
 * all of it is copied. An image file is cloned without a freeze.
 */
static int works(const struct snapshot_env *env, const struct snapshot_ops *driver,
                 const char *path, struct err *e)
{
	struct stat st;
	int rc = driver->supports(env, path, e);

	if (rc <= 0 || !(driver->caps & SNAP_CAP_FREEZE) || stat(path, &st) < 0 ||
	    !S_ISDIR(st.st_mode))
		return rc;
	auto_freezer struct freezer *f = freezer_open(env->freezer, e);
	return f ? 1 : 0;
}

const struct snapshot_ops *snapshot_choose_best(const struct snapshot_env *env, const char *path,
                                                char *refusals, size_t max, struct err *e)
{
	const struct snapshot_ops *const *of = drivers_of(path);
	size_t at = 0;

	if (max > 0)
		refusals[0] = '\0';
	if (check_volume(path, e) < 0)
		return NULL;
	for (size_t i = 0; of[i]; i++) {
		struct err why = ERR_INIT;
		int rc = works(env, of[i], path, &why);

		if (rc > 0)
			return of[i];
		if (rc < 0) {
			*e = why;
			return NULL;
		}
		if (at < max)
			at += (size_t)snprintf(refusals + at, max - at, "%snot %s: %s",
			                       at ? "; " : "", of[i]->name, why.msg);
	}
	err_set(e, ERR_UNSUPPORTED, "there is no way to read the source '%s' here", path);
	return NULL;
}

/* The names of drivers, as a sentence has them. */
static void list_names(const struct snapshot_ops *const *of, char *to, size_t max)
{
	size_t at = 0;

	to[0] = '\0';
	for (size_t i = 0; of[i] && at < max; i++)
		at += (size_t)snprintf(to + at, max - at, ", %s", of[i]->name);
}

const struct snapshot_ops *snapshot_choose(const struct snapshot_env *env, const char *name,
                                           const char *path, struct err *e)
{
	const struct snapshot_ops *const *of = drivers_of(path);
	struct err why = ERR_INIT;
	char names[128];

	if (!name || strcmp(name, "auto") == 0)
		return snapshot_choose_best(env, path, NULL, 0, e);
	if (check_volume(path, e) < 0)
		return NULL;
	for (size_t i = 0; of[i]; i++) {
		if (strcmp(name, of[i]->name) != 0)
			continue;
		int rc = works(env, of[i], path, &why);
		if (rc > 0)
			return of[i];
		if (rc < 0)
			*e = why;
		else
			err_set(e, ERR_UNSUPPORTED,
			        "the snapshot driver '%s' does not work for '%s': %.400s", name,
			        path, why.msg);
		return NULL;
	}
	list_names(of, names, sizeof(names));
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
	if (!csi_is_origin(path))
		s->origin_fd = open(path, O_PATH | O_CLOEXEC);
	if (!csi_is_origin(path) && s->origin_fd < 0)
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

static void capture_one(struct snapshot *s, struct err *e)
{
	if (e->class != ERR_NONE)
		return;
	if (s->ops->capture(s, e) < 0)
		err_wrap(e, "taking a %s snapshot", s->ops->name);
}

/* What is frozen together: for each place, whose it is, and its descriptor. */
struct freeze {
	size_t of[SNAPSHOT_SET_MAX];
	int fds[SNAPSHOT_SET_MAX];
	size_t n;
	struct freezer_times times[SNAPSHOT_SET_MAX];
};

static void freeze_clear(struct freeze *z)
{
	for (size_t i = 0; i < z->n; i++)
		(void)close(z->fds[i]);
}

/* A descriptor that can be frozen by: an O_PATH one cannot. */
static void want_freeze(struct freeze *z, size_t i, const struct snapshot *s, struct err *e)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", s->origin_fd);
	int fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		err_sys(e, errno, "opening '%s' to freeze its file system", s->origin);
		return;
	}
	z->fds[z->n] = fd;
	z->of[z->n++] = i;
}

/* Whether the snapshot would wait for the thaw of what others want frozen. */
static bool would_wait(const struct freeze *z, const struct snapshot *s)
{
	struct err ignored = ERR_INIT;
	bool same;

	for (size_t i = 0; i < z->n; i++)
		if (mount_same_fs(z->fds[i], s->origin_fd, &same, &ignored) < 0 || same)
			return true;
	return false;
}

/* All of the freeze share its failure. */
static void freeze_failed(const struct freeze *z, struct err *errs, const struct err *why)
{
	for (size_t i = 0; i < z->n; i++)
		if (errs[z->of[i]].class == ERR_NONE)
			errs[z->of[i]] = *why;
}

/*
 * After a failure: should all processes of a freezer that was started for us have died at once,
 * another one thaws at its start what they noted. One at a socket is started again by whoever did.
 */
static void rescue(struct freezer **f, const struct snapshot_env *env)
{
	struct err ignored = ERR_INIT;

	if (!*f || env->freezer)
		return;
	freezer_close(*f);
	*f = freezer_open(NULL, &ignored);
}

/*
 * What is dirty is written while everybody works, so that the freeze has little left to write.
 * Another backup of the same file system has it frozen for milliseconds: that is waited for.
 */
static int freeze_all(struct freeze *z, struct freezer *f, unsigned max_ms, struct err *e)
{
	for (size_t i = 0; i < z->n; i++)
		(void)syncfs(z->fds[i]);
	for (unsigned waited_ms = 0;; waited_ms += BUSY_STEP_MS) {
		struct err why = ERR_INIT;

		if (freezer_freeze(f, z->fds, z->n, max_ms, z->times, &why) == 0)
			return 0;
		if (why.class != ERR_BUSY || waited_ms >= BUSY_WAIT_MS) {
			*e = why;
			return -1;
		}
		(void)poll(NULL, 0, BUSY_STEP_MS);
	}
}

int snapshot_capture(struct snapshot *const *set, size_t n, struct err *errs)
{
	CLEANUP(freeze_clear) struct freeze z = { .n = 0 };
	auto_freezer struct freezer *f = NULL;
	bool early[SNAPSHOT_SET_MAX];
	struct err why = ERR_INIT;

	for (size_t i = 0; i < n; i++)
		if (set[i]->freeze)
			want_freeze(&z, i, set[i], &errs[i]);
	for (size_t i = 0; i < n; i++) {
		early[i] = !set[i]->freeze && would_wait(&z, set[i]);
		if (early[i])
			capture_one(set[i], &errs[i]);
	}
	if (z.n > 0) {
		f = freezer_open(set[0]->env->freezer, &why);
		if (!f || freeze_all(&z, f, set[0]->env->freeze_max_ms, &why) < 0) {
			rescue(&f, set[0]->env);
			freeze_failed(&z, errs, &why);
		}
	}
	for (size_t i = 0; i < n; i++)
		if (!early[i])
			capture_one(set[i], &errs[i]);
	if (z.n > 0 && why.class == ERR_NONE && freezer_thaw(f, z.times, &why) < 0) {
		rescue(&f, set[0]->env);
		freeze_failed(&z, errs, &why);
	}
	for (size_t i = 0; i < z.n && why.class == ERR_NONE; i++) {
		struct snapshot *s = set[z.of[i]];

		s->window = (struct snapshot_window){ z.times[i].asked_ns, z.times[i].frozen_ns,
			                              z.times[i].thawed_ns };
		s->freeze_ns = z.times[i].frozen_ns;
	}
	for (size_t i = 0; i < n; i++)
		if (errs[i].class != ERR_NONE)
			return -1;
	return 0;
}

/* When all that were frozen stood still: from the last freeze to the first thaw. */
static struct snapshot_window common_window(const struct snapshot *const *set, size_t n)
{
	struct snapshot_window w = { .thawed_ns = INT64_MAX };

	for (size_t i = 0; i < n; i++) {
		if (!set[i]->freeze)
			continue;
		if (set[i]->window.frozen_ns > w.frozen_ns)
			w.frozen_ns = set[i]->window.frozen_ns;
		if (set[i]->window.thawed_ns < w.thawed_ns)
			w.thawed_ns = set[i]->window.thawed_ns;
	}
	return w;
}

bool snapshot_one_moment(const struct snapshot *const *set, size_t n)
{
	const struct snapshot_window w = common_window(set, n);
	size_t alone = 0;

	if (w.frozen_ns >= w.thawed_ns)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct snapshot *s = set[i];

		if (s->freeze)
			continue;
		if (!(s->ops->caps & SNAP_CAP_ATOMIC) || s->freeze_ns < w.frozen_ns ||
		    s->freeze_ns > w.thawed_ns)
			return false;
		alone++;
	}
	return alone <= 1;
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
	struct err why = ERR_INIT, ignored = ERR_INIT;

	if (!s)
		return NULL;
	if (snapshot_capture(&s, 1, &why) == 0 && snapshot_finish(s, &why) == 0)
		return s;
	*e = why;
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
	struct walk_params p = params ? *params : (struct walk_params){ 0 };
	p.live = !(s->ops->caps & SNAP_CAP_ATOMIC);
	return walk_open(s->path, &p, e);
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

static const struct snapshot_ops *find_cleaner(const struct snapshot_ops *const *of,
                                               const char *name)
{
	for (size_t i = 0; of[i]; i++)
		if (of[i]->clean && strcmp(of[i]->name, name) == 0)
			return of[i];
	return NULL;
}

static int clean(void *arg, const char *driver, const char *text, struct err *e)
{
	const struct snapshot_ops *ops = find_cleaner(drivers, driver);

	(void)arg;
	if (!ops)
		ops = find_cleaner(claim_drivers, driver);
	if (ops)
		return ops->clean(text, e);
	return err_set(e, ERR_UNSUPPORTED,
	               "the journal names the snapshot driver '%.32s', which this program does not "
	               "have; use the version that made the note",
	               driver);
}

int snapshot_reconcile(struct journal *j, size_t *ret_removed, struct err *e)
{
	return journal_each(j, clean, NULL, ret_removed, e);
}
