/* SPDX-License-Identifier: Apache-2.0 */
/* See pages.h. Block: id(32) u32 plain u32 n checksum(16), n fingerprints, n marks. */
#include "repo/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/fd.h"

#define HEAD_BYTES 56
#define PAGE_COST (CRYPT_FP_BYTES + 4)
#define BLOCK_TYPICAL (HEAD_BYTES + 256 * PAGE_COST)
#define OFF_BITS 48
#define OFF_MASK ((UINT64_C(1) << OFF_BITS) - 1)

struct generation {
	int fd; /* blocks */
	int table_fd;
	/* offset + 1, and 16 bits of the id above; behind the slots, how many are used */
	uint64_t *table;
	uint64_t len; /* bytes of blocks */
};

struct pages {
	pthread_mutex_t lock;
	int dir;
	int lock_fd;
	uint8_t key[32];
	uint64_t nslots;          /* per generation, power of two */
	uint64_t gen_bytes;       /* a generation is full at this size */
	struct generation gen[2]; /* guarded by lock; [0] is the newer */
	unsigned newer;           /* 0 or 1: which file names are gen[0]'s */
};

static void gen_close(struct pages *p, struct generation *g)
{
	if (g->table)
		(void)munmap(g->table, (p->nslots + 1) * sizeof(uint64_t));
	if (g->fd >= 0)
		(void)close(g->fd);
	if (g->table_fd >= 0)
		(void)close(g->table_fd);
	*g = (struct generation){ .fd = -1, .table_fd = -1 };
}

/* Opens one of the two pairs of files; empty: starts it anew. */
static bool gen_open(struct pages *p, struct generation *g, unsigned which, bool empty)
{
	char name[32];
	struct stat st;
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (empty ? O_TRUNC : 0);
	off_t table_bytes = (off_t)((p->nslots + 1) * sizeof(uint64_t));

	*g = (struct generation){ .fd = -1, .table_fd = -1 };
	(void)snprintf(name, sizeof(name), "pages.%u", which);
	g->fd = openat(p->dir, name, flags, 0600);
	(void)snprintf(name, sizeof(name), "pages.%u.table", which);
	g->table_fd = openat(p->dir, name, flags, 0600);
	if (g->fd < 0 || g->table_fd < 0 || fstat(g->table_fd, &st) < 0)
		return false;
	/* Another size of table is another layout: begin again. */
	if (st.st_size != table_bytes &&
	    (ftruncate(g->table_fd, 0) < 0 || ftruncate(g->fd, 0) < 0 ||
	     ftruncate(g->table_fd, table_bytes) < 0))
		return false;
	/* Reserved now, so that a full disk is no cache here, and not a SIGBUS later. */
	if (fallocate(g->table_fd, 0, 0, table_bytes) < 0 && errno != EOPNOTSUPP)
		return false;
	void *m = mmap(NULL, (size_t)table_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g->table_fd,
	               0);
	if (m == MAP_FAILED)
		return false;
	g->table = m;
	if (fstat(g->fd, &st) < 0)
		return false;
	g->len = (uint64_t)st.st_size;
	return true;
}

/* Which pair is the newer is in the file "newer": one digit. */
static unsigned read_newer(const struct pages *p)
{
	char c = '0';

	auto_close int fd = openat(p->dir, "newer", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && fd_read_full(fd, &c, 1) < 0)
		c = '0';
	return c == '1';
}

static void write_newer(const struct pages *p)
{
	char c = p->newer ? '1' : '0';

	auto_close int fd = openat(p->dir, "newer", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
	                           0600);
	if (fd >= 0)
		(void)fd_pwrite_full(fd, &c, 1, 0);
}

struct pages *pages_open(const char *dir, const uint8_t key[32], uint64_t cap_bytes)
{
	struct pages *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	(void)pthread_mutex_init(&p->lock, NULL);
	p->dir = p->lock_fd = -1;
	p->gen[0] = p->gen[1] = (struct generation){ .fd = -1, .table_fd = -1 };
	memcpy(p->key, key, sizeof(p->key));
	p->gen_bytes = cap_bytes / 2;
	p->nslots = 1024;
	while (p->nslots < 2 * p->gen_bytes / BLOCK_TYPICAL)
		p->nslots *= 2;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		goto none;
	p->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir < 0)
		goto none;
	p->lock_fd = openat(p->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->lock_fd < 0 || flock(p->lock_fd, LOCK_EX | LOCK_NB) < 0)
		goto none;
	p->newer = read_newer(p);
	if (!gen_open(p, &p->gen[0], p->newer, false) || !gen_open(p, &p->gen[1], !p->newer, false))
		goto none;
	return p;
none:
	pages_close(p);
	return NULL;
}

void pages_close(struct pages *p)
{
	if (!p)
		return;
	gen_close(p, &p->gen[0]);
	gen_close(p, &p->gen[1]);
	if (p->lock_fd >= 0)
		(void)close(p->lock_fd);
	if (p->dir >= 0)
		(void)close(p->dir);
	(void)pthread_mutex_destroy(&p->lock);
	secret_wipe(p->key, sizeof(p->key));
	free(p);
}

static uint64_t tag_of(const uint8_t id[32])
{
	return (uint64_t)id[8] << 48 | (uint64_t)id[9] << 56;
}

static uint64_t slot_of(const struct pages *p, const uint8_t id[32])
{
	uint64_t h;

	memcpy(&h, id, sizeof(h));
	return h & (p->nslots - 1);
}

static void checksum(const struct pages *p, const uint8_t head[40], const struct page_set *set,
                     uint8_t ret[16])
{
	crypto_generichash_state st;

	(void)crypto_generichash_init(&st, p->key, sizeof(p->key), 16);
	(void)crypto_generichash_update(&st, head, 40);
	(void)crypto_generichash_update(&st, (const uint8_t *)set->fps,
	                                (size_t)set->n * CRYPT_FP_BYTES);
	(void)crypto_generichash_update(&st, (const uint8_t *)set->marks, (size_t)set->n * 4);
	(void)crypto_generichash_final(&st, ret, 16);
}

/* Offset of the block of an id, or UINT64_MAX. Caller holds the lock. */
static uint64_t find_locked(const struct pages *p, const struct generation *g, const uint8_t id[32],
                            uint8_t head[HEAD_BYTES])
{
	uint64_t at = slot_of(p, id);

	for (uint64_t i = 0; i < p->nslots && g->table[at]; i++, at = (at + 1) & (p->nslots - 1)) {
		uint64_t off = (g->table[at] & OFF_MASK) - 1;

		if ((g->table[at] & ~OFF_MASK) != tag_of(id) || off + HEAD_BYTES > g->len)
			continue;
		if (fd_pread_full(g->fd, head, HEAD_BYTES, off) == HEAD_BYTES &&
		    memcmp(head, id, 32) == 0)
			return off;
	}
	return UINT64_MAX;
}

static bool read_block(const struct pages *p, const struct generation *g, uint64_t off,
                       const uint8_t head[HEAD_BYTES], uint32_t plain, struct page_set *ret)
{
	uint32_t have_plain, n;
	uint8_t sum[16];

	memcpy(&have_plain, head + 32, 4);
	memcpy(&n, head + 36, 4);
	if (have_plain != plain || n > PAGES_CHUNK_MAX ||
	    n != (plain + FORMAT_PAGE_BYTES - 1) / FORMAT_PAGE_BYTES)
		return false;
	struct iovec iov[2] = {
		{ ret->fps, (size_t)n * CRYPT_FP_BYTES },
		{ ret->marks, (size_t)n * 4 },
	};
	if (preadv(g->fd, iov, 2, (off_t)(off + HEAD_BYTES)) != (ssize_t)n * PAGE_COST)
		return false;
	memcpy(ret->id, head, 32);
	ret->plain = plain;
	ret->n = n;
	checksum(p, head, ret, sum);
	return memcmp(sum, head + 40, sizeof(sum)) == 0;
}

/* Caller holds the lock. */
static void append_locked(struct pages *p, const struct page_set *set)
{
	struct generation *g = &p->gen[0];
	uint8_t head[HEAD_BYTES];
	uint64_t len = HEAD_BYTES + (uint64_t)set->n * PAGE_COST;

	if (!g->table)
		return;
	if (g->len + len > p->gen_bytes || 10 * (g->table[p->nslots] + 1) > 9 * p->nslots) {
		struct generation old = p->gen[1];

		gen_close(p, &old);
		p->gen[1] = p->gen[0];
		p->newer = !p->newer;
		if (!gen_open(p, &p->gen[0], p->newer, true)) {
			gen_close(p, &p->gen[0]);
			return;
		}
		write_newer(p);
	}
	memcpy(head, set->id, 32);
	memcpy(head + 32, &set->plain, 4);
	memcpy(head + 36, &set->n, 4);
	checksum(p, head, set, head + 40);
	struct iovec iov[3] = {
		{ head, sizeof(head) },
		{ set->fps, (size_t)set->n * CRYPT_FP_BYTES },
		{ set->marks, (size_t)set->n * 4 },
	};
	if (pwritev(g->fd, iov, 3, (off_t)g->len) != (ssize_t)len)
		return;
	uint64_t at = slot_of(p, set->id);
	for (uint64_t i = 0; g->table[at]; i++, at = (at + 1) & (p->nslots - 1))
		if (i == p->nslots)
			return;
	g->table[at] = (g->len + 1) | tag_of(set->id);
	g->table[p->nslots]++;
	g->len += len;
}

bool pages_get(struct pages *p, const uint8_t id[32], uint32_t plain, struct page_set *ret)
{
	uint8_t head[HEAD_BYTES];
	bool found = false;

	if (!p)
		return false;
	(void)pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < 2 && !found; i++) {
		struct generation *g = &p->gen[i];

		if (!g->table)
			continue;
		uint64_t off = find_locked(p, g, id, head);
		found = off != UINT64_MAX && read_block(p, g, off, head, plain, ret);
		if (found && i == 1)
			append_locked(p, ret);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return found;
}

void pages_put(struct pages *p, const struct page_set *set)
{
	uint8_t head[HEAD_BYTES];

	if (!p)
		return;
	(void)pthread_mutex_lock(&p->lock);
	if (p->gen[0].table && find_locked(p, &p->gen[0], set->id, head) == UINT64_MAX)
		append_locked(p, set);
	(void)pthread_mutex_unlock(&p->lock);
}
