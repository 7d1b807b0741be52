/* SPDX-License-Identifier: Apache-2.0 */
/* See damage_target.h. Files are in memory while they are open. */
#include "tests/harness/damage_target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "restore/restore.h"
#include "tests/harness/harness.h"

/* ---- digests ---- */

struct entry_hash {
	crypto_generichash_state state;
};

static void hash_bytes(struct entry_hash *h, const void *p, size_t n)
{
	const uint64_t len = n;

	(void)crypto_generichash_update(&h->state, (const uint8_t *)&len, sizeof(len));
	(void)crypto_generichash_update(&h->state, p, n);
}

static void hash_begin(struct entry_hash *h, const char *path, size_t len, uint32_t mode,
                       uint32_t uid, uint32_t gid, int64_t mtime_s, uint64_t mtime_ns)
{
	const uint64_t of[5] = { mode, uid, gid, (uint64_t)mtime_s, mtime_ns };

	(void)crypto_generichash_init(&h->state, NULL, 0, 32);
	hash_bytes(h, path, len);
	hash_bytes(h, of, sizeof(of));
}

static void hash_end(struct entry_hash *h, struct damage_digest *d)
{
	uint64_t sum[4];

	(void)crypto_generichash_final(&h->state, (uint8_t *)sum, sizeof(sum));
	d->entries++;
	for (unsigned i = 0; i < 4; i++)
		d->sum[i] += sum[i];
}

/* Content of an open file. */
static int hash_file(struct entry_hash *h, int fd, uint64_t size)
{
	auto_free uint8_t *p = malloc(size + 1);

	if (!p || fd_pread_full(fd, p, size + 1, 0) != (ssize_t)size)
		return -1;
	hash_bytes(h, p, size);
	return 0;
}

static void digest_entry(const char *path, const char *name, const struct stat *st,
                         struct damage_digest *d)
{
	struct entry_hash h;
	char link[4096];

	hash_begin(&h, name, strlen(name), st->st_mode, st->st_uid, st->st_gid, st->st_mtim.tv_sec,
	           (uint64_t)st->st_mtim.tv_nsec);
	if (S_ISREG(st->st_mode)) {
		auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

		if (fd < 0 || hash_file(&h, fd, (uint64_t)st->st_size) < 0)
			harness_die("reading '%s'", path);
	} else if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlink(path, link, sizeof(link));

		if (n < 0)
			harness_die("reading '%s'", path);
		hash_bytes(&h, link, (size_t)n);
	}
	hash_end(&h, d);
}

static void digest_below(const char *path, const char *name, struct damage_digest *d)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		harness_die("looking at '%s': %s", path, strerror(errno));
	digest_entry(path, name, &st, d);
	if (!S_ISDIR(st.st_mode))
		return;
	DIR *dir = opendir(path);
	if (!dir)
		harness_die("opening '%s': %s", path, strerror(errno));
	for (const struct dirent *x; (x = readdir(dir));) {
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
			continue;
		auto_free char *below = path_join(path, x->d_name);
		auto_free char *inside = *name ? path_join(name, x->d_name) : strdup(x->d_name);
		digest_below(below, inside, d);
	}
	(void)closedir(dir);
}

struct damage_digest damage_digest_of(const char *dir)
{
	struct damage_digest d = { 0 };

	digest_below(dir, "", &d);
	return d;
}

/* ---- the target ---- */

struct memory_target {
	struct target base;
	pthread_mutex_t lock;
	struct damage_digest digest; /* guarded by lock */
};

static void begin_record(struct entry_hash *h, const struct record *r)
{
	hash_begin(h, r->path, r->path_len, r->st.mode, r->st.uid, r->st.gid, r->st.mtime.s,
	           r->st.mtime.ns);
}

static void end_record(struct target *t, struct entry_hash *h)
{
	struct memory_target *m = (struct memory_target *)t;

	(void)pthread_mutex_lock(&m->lock);
	hash_end(h, &m->digest);
	(void)pthread_mutex_unlock(&m->lock);
}

static int memory_enter(struct target *t, struct target_worker *w, const struct place *at,
                        bool *ret_existing, struct err *e)
{
	(void)t;
	(void)w;
	(void)at;
	(void)e;
	*ret_existing = false;
	return 0;
}

static int memory_leave(struct target *t, struct target_worker *w, const struct place_dir *dir,
                        const struct record *r, bool existing, struct err *e)
{
	struct entry_hash h;

	(void)w;
	(void)dir;
	(void)existing;
	(void)e;
	begin_record(&h, r);
	end_record(t, &h);
	return 0;
}

static int memory_names(struct target *t, struct target_worker *w, const struct place_dir *dir,
                        int (*each)(void *arg, const char *name, struct err *e), void *arg,
                        struct err *e)
{
	(void)t;
	(void)w;
	(void)dir;
	(void)each;
	(void)arg;
	(void)e;
	return 0;
}

static int memory_remove(struct target *t, struct target_worker *w, const struct place *at,
                         struct err *e)
{
	(void)t;
	(void)w;
	(void)at;
	(void)e;
	return 0;
}

static int memory_make(struct target *t, struct target_worker *w, const struct place *at,
                       const struct record *r, bool *ret_made, struct err *e)
{
	struct entry_hash h;

	(void)w;
	(void)at;
	(void)e;
	begin_record(&h, r);
	if (S_ISLNK(r->st.mode))
		hash_bytes(&h, r->link, r->link_len);
	end_record(t, &h);
	*ret_made = true;
	return 0;
}

static int memory_link(struct target *t, struct target_worker *w, const struct place *at,
                       const struct place *to, struct err *e)
{
	(void)t;
	(void)w;
	(void)at;
	(void)to;
	return err_set(e, ERR_UNSUPPORTED, "there are no hard links in these trees");
}

static int memory_open(struct target *t, struct target_worker *w, const struct place *at,
                       const struct record *r, enum target_how how, struct target_file *ret,
                       struct err *e)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	(void)t;
	(void)w;
	(void)at;
	(void)r;
	(void)how;
	if (fd < 0)
		return err_sys(e, errno, "making a file in memory");
	*ret = (struct target_file){ .fd = fd, .have = { .fresh = true } };
	return 0;
}

static int memory_hole(struct target *t, const struct target_file *f, uint64_t off, uint64_t len,
                       struct err *e)
{
	struct stat st;

	(void)t;
	if (fstat(f->fd, &st) < 0 ||
	    ((uint64_t)st.st_size < off + len && ftruncate(f->fd, (off_t)(off + len)) < 0))
		return err_sys(e, errno, "making a hole");
	return 0;
}

static int memory_finish(struct target *t, const struct place *at, const struct record *r,
                         struct target_file *f, struct err *e)
{
	struct entry_hash h;

	(void)at;
	begin_record(&h, r);
	int rc = hash_file(&h, f->fd, r->st.size);
	clean_close(&f->fd);
	f->fd = -1;
	if (rc < 0)
		return err_set(e, ERR_BUG, "a file was finished that has another length");
	end_record(t, &h);
	return 0;
}

static void memory_discard(struct target *t, struct target_worker *w, const struct place *at,
                           struct target_file *f)
{
	(void)t;
	(void)w;
	(void)at;
	clean_close(&f->fd);
	f->fd = -1;
}

static int memory_pin(struct target *t, struct target_worker *w, const struct place *at,
                      const struct record *r, struct err *e)
{
	(void)t;
	(void)w;
	(void)at;
	(void)r;
	(void)e;
	return 0;
}

static int memory_sync(struct target *t, struct err *e)
{
	(void)t;
	(void)e;
	return 0;
}

static const struct target_ops memory_ops = {
	.name = "memory",
	.enter = memory_enter,
	.leave = memory_leave,
	.names = memory_names,
	.remove = memory_remove,
	.make = memory_make,
	.link = memory_link,
	.open = memory_open,
	.hole = memory_hole,
	.zeros = memory_hole,
	.finish = memory_finish,
	.discard = memory_discard,
	.pin = memory_pin,
	.sync = memory_sync,
};

int damage_restore(const struct repo *r, const struct point *p, struct damage_digest *ret,
                   struct err *e)
{
	const struct restore_params params = { .rehash = true, .threads = 1 };
	char path[] = "memory";
	struct report report;
	struct memory_target t = {
		.base = { .ops = &memory_ops, .path = path, .losses = &report.losses },
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};

	report_init(&report);
	report.quiet = true;
	int rc = restore_run(r, p, &t.base, &params, &report, e);
	if (rc == 0 && (report.gap_count > 0 || report.changed > 0))
		rc = err_set(e, ERR_CORRUPT, "there are gaps");
	report_clear(&report);
	(void)pthread_mutex_destroy(&t.lock);
	*ret = t.digest;
	return rc;
}
