/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pass goes through the tree by an ordinary walk (or the one entry of an
 * image) and meets each inode once, whatever its names. Passes before the
 * freeze share the work among threads; the last one, which also notes the
 * entries, is a single thread behind the walk's own, since it finds little to do.
 */
#include "snapshot/precopy.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "common/now.h"
#include "common/team.h"
#include "snapshot/block.h"
#include "snapshot/content.h"
#include "snapshot/copies.h"
#include "snapshot/mount.h"
#include "snapshot/patches.h"
#include "snapshot/record.h"
#include "snapshot/view.h"

#define PASSES_MAX 5
#define PASS_SHORT_NS \
	1000000000 /* what changes while a pass is that short is left for the freeze */
#define THREADS_MAX 4

/*
 * Times of files have the granularity of a tick of the kernel, 10 ms at most. A direct write may
 * have set them and still be under way: cloning waits for it, reading does not.
 */
#define MARGIN_CLONE_NS 20000000
#define MARGIN_BYTES_NS 1000000000

#define TAG_NAME "CACHEDIR.TAG"
static const char tag_text[] =
	"Signature: 8a477f597d28d172789f06886806bc55"; /* bford.info/cachedir */

/* A directory on the way from the root to the entry at hand. */
struct above {
	size_t path_len;
	uint64_t ino;
};

struct precopy {
	struct snapshot *s;
	enum precopy_way way;
	bool block;
	uint64_t max_bytes;
	struct copies copies;
	struct patches patches;
	struct record record; /* its details: guarded by lock */
	struct inodes inodes; /* guarded by lock until captured */
	pthread_mutex_t lock;
	uint16_t pass;
	bool last; /* the pass while frozen */
	struct copies_limit limit;
	struct precopy_stats stats;
	uint64_t block_bytes; /* size of the image */

	pthread_mutex_t next_lock; /* one thread asks the source at a time */

	struct above *above;
	size_t nabove, above_cap;
};

/* ---- the tree as it is ---- */

static struct source *open_origin(const struct precopy *p, struct err *e)
{
	const struct walk_params params = { .scratch_dir = p->s->env->scratch_dir };
	char path[64];

	/* the very directory that the snapshot is of, whatever has its name by now */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", p->s->origin_fd);
	struct source *s = p->block ? block_open(path, false, e) : walk_open(path, &params, e);
	if (!s)
		err_wrap(e, "reading '%s'", p->s->origin);
	return s;
}

/* Some errors are of the machine, not of a file. */
static bool is_fatal(const struct err *e)
{
	return e->class == ERR_NOMEM || e->os == EMFILE || e->os == ENFILE;
}

static uint16_t errno_of(const struct err *e)
{
	return (uint16_t)(e->os ? e->os : EIO);
}

/* Notes the details of n in ret. */
static int note_detail(struct precopy *p, struct source *s, struct entry *n, struct inode *ret,
                       struct err *e)
{
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	struct err why = ERR_INIT;
	uint32_t len = 0;

	ret->detail_off = 0;
	ret->detail_len = 0;
	if (s->ops->load(s, n, &d, &why) < 0) {
		ret->os = errno_of(&why);
		if (is_fatal(&why)) {
			*e = why;
			return -1;
		}
		return 0;
	}
	pthread_mutex_lock(&p->lock);
	int rc = record_detail(&p->record, &d, &ret->detail_off, &len, e);
	pthread_mutex_unlock(&p->lock);
	ret->detail_len = len;
	return rc;
}

static int keep_changes(struct precopy *p, const struct entry *n, int fd, struct inode *ret,
                        struct err *e)
{
	auto_close int clone = -1;

	if (ret->flags & INODE_COPY) {
		clone = copies_open(&p->copies, n->st.ino, O_RDONLY);
		if (clone < 0)
			return err_sys(e, errno, "opening the copy of '%s'", n->path);
	}
	uint64_t before = p->patches.kept.len;
	if (patches_note(&p->patches, n->st.ino, fd, clone, n->st.size, n->path, e) < 0)
		return -1;
	p->stats.changed++;
	p->stats.changed_bytes += p->patches.kept.len - before;
	ret->flags |= INODE_COPY;
	return 0;
}

/* Copies the content of n, which is open at fd. */
static int keep_content(struct precopy *p, const struct entry *n, int fd, struct inode *ret,
                        struct err *e)
{
	if (p->way == PRECOPY_CLONE && p->last && !p->block)
		return keep_changes(p, n, fd, ret, e);
	if (p->way == PRECOPY_CLONE) {
		int rc = copies_clone(&p->copies, n->st.ino, fd, n->path, e);

		if (rc < 0)
			return -1;
		if (rc == 0 && p->block)
			return err_set(e, ERR_UNSUPPORTED, "'%s' cannot be cloned", p->s->origin);
		/* what cannot be cloned is copied while frozen, where that is little */
		ret->flags = (uint16_t)((ret->flags & ~(unsigned)INODE_COPY) |
		                        (rc ? INODE_COPY : 0U));
		return 0;
	}
	uint64_t before = p->limit.left_bytes;
	if (copies_bytes(&p->copies, n->st.ino, fd, n->st.size, n->path, &p->limit, e) < 0)
		return -1;
	ret->flags |= INODE_COPY;
	if (p->last) {
		p->stats.changed++;
		p->stats.changed_bytes += before - p->limit.left_bytes;
	}
	return 0;
}

/* Notes the details and content of regular file n. */
static int note_file(struct precopy *p, struct source *s, struct entry *n, struct inode *ret,
                     struct err *e)
{
	struct err why = ERR_INIT, ignored = ERR_INIT;
	struct entry_stat st;
	struct content *c;
	bool changed;

	if (s->ops->open(s, n, &c, &why) < 0) {
		ret->os = errno_of(&why);
		if (!is_fatal(&why))
			return 0;
		*e = why;
		return -1;
	}
	int rc = note_detail(p, s, n, ret, e);
	if (rc == 0)
		rc = keep_content(p, n, c->fd, ret, e);
	(void)!s->ops->close(c, &st, &changed, &ignored);
	return rc;
}

/* ---- one inode ---- */

/* Whether n has to be looked at in this pass; then *ret is what was known of it. */
static int claim(struct precopy *p, const struct entry *n, struct inode *ret, struct err *e)
{
	bool todo = false;

	pthread_mutex_lock(&p->lock);
	struct inode *i = inodes_place(&p->inodes, n->st.ino);
	int os = errno;
	if (i && i->pass != p->pass) {
		todo = !inodes_same(i, &n->st) || i->os != 0 ||
		       (S_ISREG(n->st.mode) && !(i->flags & INODE_COPY));
		*ret = *i;
		if (todo) /* what is unchanged is only read: a page that is written may wait */
			i->pass = p->pass;
	}
	pthread_mutex_unlock(&p->lock);
	if (!i)
		return err_sys(e, os, "noting the files of '%s'", p->s->origin);
	return todo;
}

static int meet(struct precopy *p, struct source *s, struct entry *n, struct err *e)
{
	struct inode known;
	int64_t margin = p->way == PRECOPY_CLONE ? MARGIN_CLONE_NS : MARGIN_BYTES_NS;

	if (n->state != ENTRY_OK)
		return 0;
	int todo = claim(p, n, &known, e);
	if (todo <= 0)
		return todo;
	int64_t wall_ns = now_wall_ns();
	known.os = 0;
	if ((S_ISREG(n->st.mode) ? note_file(p, s, n, &known, e)
	                         : note_detail(p, s, n, &known, e)) < 0)
		return -1;
	inodes_note(&known, &n->st, wall_ns, margin);
	pthread_mutex_lock(&p->lock);
	/* opening may have met another inode than stat did */
	struct inode *i = inodes_place(&p->inodes, n->st.ino);
	int os = errno;
	if (i) {
		known.ino = n->st.ino;
		known.pass = p->pass;
		*i = known;
	}
	pthread_mutex_unlock(&p->lock);
	return i ? 0 : err_sys(e, os, "noting the files of '%s'", p->s->origin);
}

/* ---- before the freeze ---- */

struct pass {
	struct precopy *p;
	struct source *source;
};

static int work(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	const struct pass *pass = arg;
	struct precopy *p = pass->p;
	struct source *s = pass->source;
	struct batch *b;

	(void)i;
	while (!atomic_load_explicit(stop, memory_order_relaxed)) {
		int rc = 0;

		pthread_mutex_lock(&p->next_lock);
		int got = s->ops->next(s, &b, e);
		pthread_mutex_unlock(&p->next_lock);
		if (got < 0)
			return -1;
		if (!b)
			return 0;
		for (size_t k = 0; rc == 0 && k < b->n; k++)
			rc = meet(p, s, &b->entries[k], e);
		s->ops->batch_free(s, b);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int copy_pass(struct precopy *p, struct err *e)
{
	unsigned threads = p->way == PRECOPY_CLONE ? team_size(0, THREADS_MAX) : 1;
	struct pass pass = { .p = p, .source = open_origin(p, e) };

	if (!pass.source)
		return -1;
	p->pass++;
	p->stats.passes++;
	p->limit = (struct copies_limit){ .left_bytes = p->max_bytes, .until_ns = INT64_MAX };
	int rc = team_run(threads, "pre-copy", work, &pass, e);
	pass.source->ops->free(pass.source);
	return rc;
}

/* Copies everything, and again what changed. */
static int copy_all(struct precopy *p, struct err *e)
{
	int64_t last_ns = INT64_MAX;

	if (p->block && p->way == PRECOPY_CLONE)
		return 0;
	for (unsigned i = 0; i < PASSES_MAX; i++) {
		int64_t start_ns = now_mono_ns();

		if (copy_pass(p, e) < 0)
			return err_wrap(e, "copying '%s' before its freeze", p->s->origin);
		int64_t took_ns = now_mono_ns() - start_ns;
		if (took_ns < PASS_SHORT_NS || took_ns > last_ns / 2)
			break;
		last_ns = took_ns;
	}
	if (record_flush(&p->record, e) < 0)
		return -1;
	/* what is written out now is not written out by the freeze, which writers wait for */
	auto_close int fd = openat(p->s->origin_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		(void)syncfs(fd);
	return 0;
}

/* ---- while frozen ---- */

static bool name_is(const struct entry *n, const char *name)
{
	size_t len = n->path_len - (size_t)(n->name - n->path);

	return len == strlen(name) && memcmp(n->name, name, len) == 0;
}

static bool is_tag(struct source *s, struct entry *n)
{
	struct err ignored = ERR_INIT;
	char text[sizeof(tag_text) - 1];
	struct entry_stat st;
	struct content *c;
	bool changed;

	if (n->path_len == 0 || !name_is(n, TAG_NAME) || n->state != ENTRY_OK ||
	    !S_ISREG(n->st.mode) || s->ops->open(s, n, &c, &ignored) < 0)
		return false;
	int64_t got = s->ops->read(c, text, sizeof(text), 0, &ignored);
	(void)!s->ops->close(c, &st, &changed, &ignored);
	return got == (int64_t)sizeof(text) && memcmp(text, tag_text, sizeof(text)) == 0;
}

static int push_above(struct precopy *p, const struct entry *n, struct err *e)
{
	if (p->nabove == p->above_cap) {
		size_t cap = 2 * p->above_cap + 16;
		struct above *v = reallocarray(p->above, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for the way to '%s'", n->path);
		p->above = v;
		p->above_cap = cap;
	}
	p->above[p->nabove++] = (struct above){ .path_len = n->path_len, .ino = n->st.ino };
	return 0;
}

/* Keeps track of the directories above n, and marks the one that n is the tag of. */
static int track(struct precopy *p, struct source *s, struct entry *n, struct err *e)
{
	size_t dir_len = n->path_len ? (size_t)(n->name - n->path) : 0;

	if (dir_len > 0)
		dir_len--;
	while (p->nabove > 0 && p->above[p->nabove - 1].path_len > dir_len)
		p->nabove--;
	if (is_tag(s, n) && p->nabove > 0) {
		struct inode *dir = inodes_place(&p->inodes, p->above[p->nabove - 1].ino);

		if (!dir)
			return err_sys(e, errno, "noting the files of '%s'", p->s->origin);
		dir->flags |= INODE_CACHE;
	}
	return S_ISDIR(n->st.mode) ? push_above(p, n, e) : 0;
}

static int note_batch(struct precopy *p, struct source *s, struct batch *b, struct err *e)
{
	for (size_t i = 0; i < b->n; i++) {
		if (meet(p, s, &b->entries[i], e) < 0 || track(p, s, &b->entries[i], e) < 0)
			return -1;
	}
	p->stats.entries += b->n;
	if (now_mono_ns() >= p->limit.until_ns)
		return err_set(e, ERR_RETRY,
		               "looking at all files again takes longer than the file system may "
		               "be frozen; %llu were looked at",
		               (unsigned long long)p->stats.entries);
	return record_batch(&p->record, b, e);
}

static void note_mounts(struct precopy *p, struct source *s)
{
	const char *const *paths;
	size_t total;
	size_t n = walk_mounts(s, &paths, &total);

	for (size_t i = 0; i < n; i++)
		snapshot_note(p->s, "another file system is mounted on '%s'; it is not in the view",
		              paths[i] ? paths[i] : "?");
}

/* Longest time that a capture may take, of the freeze that env allows. */
static int64_t time_ns(const struct snapshot_env *env)
{
	unsigned ms = env->freeze_max_ms ? env->freeze_max_ms : FREEZER_DEADLINE_MS;

	return (int64_t)ms * 1000000 / 4 * 3;
}

int precopy_capture(struct snapshot *snap, struct err *e)
{
	struct precopy *p = snap->priv;
	struct batch *b;
	int rc;

	snap->freeze_ns = now_wall_ns();
	p->pass++;
	p->last = true;
	p->limit.left_bytes = p->max_bytes;
	p->limit.until_ns = snap->freeze ? now_mono_ns() + time_ns(snap->env) : INT64_MAX;
	p->patches.until_ns = p->limit.until_ns;
	struct source *s = open_origin(p, e);
	if (!s)
		return -1;
	while ((rc = s->ops->next(s, &b, e)) == 0 && b) {
		if (p->block)
			p->block_bytes = b->entries[0].st.size;
		rc = note_batch(p, s, b, e);
		s->ops->batch_free(s, b);
		if (rc < 0)
			break;
	}
	if (rc == 0)
		note_mounts(p, s);
	s->ops->free(s);
	return rc;
}

/* ---- afterwards ---- */

int precopy_finish(struct snapshot *s, struct err *e)
{
	struct precopy *p = s->priv;

	if (p->way == PRECOPY_CLONE && patches_apply(&p->patches, &p->copies, e) < 0)
		return err_wrap(e, "completing the copies of '%s'", s->origin);
	/* what cannot be written out is an error now, not other bytes later */
	if (syncfs(p->copies.fd) < 0)
		return err_sys(e, errno, "writing out the copies of '%s'", s->origin);
	patches_close(&p->patches);
	s->path = strdup(p->copies.path);
	if (!s->path)
		return err_set(e, ERR_NOMEM, "no memory for the path of a view");
	s->fd = openat(p->copies.fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		return err_sys(e, errno, "opening '%s'", s->path);
	s->block = p->block;
	return 0;
}

struct source *precopy_source(const struct snapshot *s, const struct walk_params *params,
                              const char *base, struct err *e)
{
	const struct precopy *p = s->priv;
	const struct view_parts parts = { .record = &p->record,
		                          .inodes = &p->inodes,
		                          .copies = &p->copies };

	(void)base;
	return view_open(&parts, params, e);
}

int precopy_is_empty(const struct snapshot *s, bool *ret_empty, struct err *e)
{
	const struct precopy *p = s->priv;

	(void)e;
	*ret_empty = p->block ? p->block_bytes == 0 : p->stats.entries <= 1;
	return 0;
}

struct precopy_stats precopy_stats(const struct snapshot *s)
{
	const struct precopy *p = s->priv;

	return p->stats;
}

/* ---- beginning and end ---- */

static int start(struct precopy *p, int parent, struct err *e)
{
	const struct snapshot_env *env = p->s->env;
	struct stat st;

	if (fstat(p->s->origin_fd, &st) < 0)
		return err_sys(e, errno, "looking at '%s'", p->s->origin);
	p->block = !S_ISDIR(st.st_mode);
	if (record_open(&p->record, env->scratch_dir, e) < 0)
		return -1;
	if (p->way == PRECOPY_CLONE &&
	    patches_open(&p->patches, env->scratch_dir, p->max_bytes, e) < 0)
		return -1;
	return copies_make(&p->copies, parent, env->journal, p->s->ops->name, e);
}

int precopy_prepare(struct snapshot *s, enum precopy_way way, int parent, uint64_t max_bytes,
                    struct err *e)
{
	struct precopy *p = malloc(sizeof(*p));

	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for a snapshot of '%s'", s->origin);
	*p = (struct precopy){
		.s = s,
		.way = way,
		.max_bytes = max_bytes,
		.copies = COPIES_NONE,
		.patches = PATCHES_NONE,
		.record = RECORD_NONE,
		.inodes = { .scratch_dir = s->env->scratch_dir },
		.pass = 1, /* of places that no pass has met */
	};
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_mutex_init(&p->next_lock, NULL);
	s->priv = p;
	return start(p, parent, e) < 0 ? -1 : copy_all(p, e);
}

int precopy_release(struct snapshot *s, struct err *e)
{
	struct precopy *p = s->priv;

	if (!p)
		return 0;
	s->priv = NULL;
	int rc = copies_remove(&p->copies, e);
	patches_close(&p->patches);
	record_close(&p->record);
	inodes_clear(&p->inodes);
	free(p->above);
	(void)pthread_mutex_destroy(&p->lock);
	(void)pthread_mutex_destroy(&p->next_lock);
	free(p);
	return rc;
}

/* ---- what is possible ---- */

int precopy_env(const struct snapshot_env *env, struct err *e)
{
	if (!env->journal)
		(void)err_set(e, ERR_UNSUPPORTED,
		              "it needs a state directory, to note what it makes");
	else if (!env->scratch_dir)
		(void)err_set(e, ERR_UNSUPPORTED,
		              "it needs a directory for scratch files on another file system");
	else
		return 1;
	return 0;
}

int precopy_scratch(const struct snapshot_env *env, int fd, struct err *e)
{
	bool same;

	auto_close int dir = open(env->scratch_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, errno, "opening the directory for scratch files '%s'",
		               env->scratch_dir);
	if (mount_same_fs(dir, fd, &same, e) < 0)
		return -1;
	if (!same)
		return 1;
	(void)err_set(e, ERR_UNSUPPORTED,
	              "the directory for scratch files '%s' is on the same file system, and could "
	              "not be written to while that is frozen",
	              env->scratch_dir);
	return 0;
}
