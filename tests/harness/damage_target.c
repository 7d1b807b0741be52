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
#include "repo/reader.h"
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

static int memory_enter(struct target *t, struct target_worker *w, const struct target_place *at,
                        bool *ret_existing, struct err *e)
{
	(void)t;
	(void)w;
	(void)at;
	(void)e;
	*ret_existing = false;
	return 0;
}

static int memory_leave(struct target *t, struct target_worker *w, const struct target_parent *dir,
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

static int memory_names(struct target *t, struct target_worker *w, const struct target_parent *dir,
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

static int memory_remove(struct target *t, struct target_worker *w, const struct target_place *at,
                         struct err *e)
{
	(void)t;
	(void)w;
	(void)at;
	(void)e;
	return 0;
}

static int memory_make(struct target *t, struct target_worker *w, const struct target_place *at,
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

static int memory_link(struct target *t, struct target_worker *w, const struct target_place *at,
                       const struct target_place *to, struct err *e)
{
	(void)t;
	(void)w;
	(void)at;
	(void)to;
	return err_set(e, ERR_UNSUPPORTED, "there are no hard links in these trees");
}

static int memory_open(struct target *t, struct target_worker *w, const struct target_place *at,
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

static int memory_finish(struct target *t, const struct target_place *at, const struct record *r,
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

static void memory_discard(struct target *t, struct target_worker *w, const struct target_place *at,
                           struct target_file *f)
{
	(void)t;
	(void)w;
	(void)at;
	clean_close(&f->fd);
	f->fd = -1;
}

static int memory_pin(struct target *t, struct target_worker *w, const struct target_place *at,
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

/* ---- many points, read ---- */

/* A chunk of the leaf at hand. */
struct piece {
	uint8_t *plain; /* owned */
	size_t n;
	struct err err;
};

static int take_piece(void *ctx, struct reader_want *want, const uint8_t *plain, size_t n,
                      const struct err *why, struct err *e)
{
	struct piece *p = want->arg;

	(void)ctx;
	(void)e;
	if (why)
		p->err = *why;
	if (!plain)
		return 0;
	p->plain = malloc(n + 1);
	if (!p->plain)
		harness_die("no memory for a chunk");
	memcpy(p->plain, plain, n);
	p->n = n;
	return 0;
}

static int read_record(const struct record *r, const struct piece *pieces, struct damage_digest *d,
                       struct err *e)
{
	auto_free uint8_t *content = NULL;
	struct entry_hash h;
	uint64_t at = 0;

	begin_record(&h, r);
	if (S_ISLNK(r->st.mode))
		hash_bytes(&h, r->link, r->link_len);
	if (S_ISREG(r->st.mode)) {
		content = calloc(1, r->st.size + 1);
		if (!content)
			harness_die("no memory for a file");
		for (size_t i = 0; i < r->nextents; at += r->extents[i++].len) {
			const struct extent *x = &r->extents[i];
			const struct piece *p = x->chunk >= 0 ? &pieces[x->chunk] : NULL;

			if (p && p->err.class != ERR_NONE) {
				*e = p->err;
				return -1;
			}
			if (p && (x->off + x->len > p->n || at + x->len > r->st.size))
				return err_set(e, ERR_CORRUPT, "an extent that leads out");
			if (p)
				memcpy(content + at, p->plain + x->off, x->len);
		}
		hash_bytes(&h, content, r->st.size);
	}
	hash_end(&h, d);
	return 0;
}

/* All records of a leaf, whose chunks are fetched at once. */
static int read_leaf(struct reader *reader, const struct domain_keys *domain,
                     const struct leaf *leaf, struct damage_digest *d, struct err *e)
{
	auto_free struct piece *pieces = calloc(leaf->nchunks + 1, sizeof(*pieces));
	auto_free struct reader_want *wants = calloc(leaf->nchunks + 1, sizeof(*wants));
	int rc = 0;

	if (!pieces || !wants)
		harness_die("no memory for a leaf");
	for (size_t i = 0; i < leaf->nchunks; i++)
		wants[i] = (struct reader_want){ .ref = leaf->chunks[i], .arg = &pieces[i] };
	rc = reader_submit(reader, domain, wants, leaf->nchunks, e);
	if (rc == 0)
		rc = reader_drain(reader, e);
	for (size_t i = 0; rc == 0 && i < leaf->nrecords; i++)
		rc = read_record(&leaf->records[i], pieces, d, e);
	for (size_t i = 0; i < leaf->nchunks; i++)
		free(pieces[i].plain);
	return rc;
}

static int read_point(const struct repo *r, struct reader *reader, const struct point *p,
                      struct damage_digest *ret, struct err *e)
{
	const struct leaf *last = NULL;
	struct domain_keys *domain = NULL;
	auto_tree struct tree *tree = NULL;
	int rc;

	if (keys_domain(r->keys, p->domain, &domain, e) < 0)
		return -1;
	rc = tree_open(r, p, &tree, e);
	while (rc == 0) {
		const struct record *record = NULL;
		struct leaf *leaf = NULL;

		rc = tree_next(tree, &record, &leaf, e);
		if (rc < 0 || !record)
			break;
		if (leaf != last)
			rc = read_leaf(reader, domain, leaf, ret, e);
		last = leaf;
	}
	secret_free(domain);
	return rc;
}

int damage_read_all(const struct repo *r, const struct point *points, size_t n,
                    struct damage_digest *rets, struct err *errs, struct err *e)
{
	const struct reader_params params = { .threads = 1, .inflight = 1, .rehash = true };
	struct reader *reader = NULL;

	if (reader_open(r, &params, take_piece, NULL, &reader, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		rets[i] = (struct damage_digest){ 0 };
		if (points[i].session[0])
			(void)!read_point(r, reader, &points[i], &rets[i], &errs[i]);
	}
	reader_free(reader);
	return 0;
}
