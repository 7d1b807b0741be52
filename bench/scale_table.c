/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of the local index with any number of entries, none of which is kept anywhere: a page
 * of it is made when a search first touches it (userfaultfd). So a table of a petabyte's chunks,
 * 62 GB, can be searched as it would be in a file, and the pages that a search needs are counted.
 *
 * Ids are spread as a sorted sample of random numbers is, since that is what a search by
 * interpolation meets: the interval of all numbers is halved again and again, each time about where
 * the middle one of so many would be.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "bench/scale.h"
#include "repo/index_impl.h"

#define PAGE_BYTES 4096
#define ENTRY_BYTES 64
#define MAC_AT FORMAT_INDEX_ENTRY_BYTES
#define LOOKUPS 20000

struct made {
	struct index_table table;
	struct index_keys keys;
	size_t packs_len;
	int fd;      /* userfaultfd */
	int stop[2]; /* a pipe */
	uint64_t pages;
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static void put(uint8_t *at, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static void pack_id(uint64_t pack, uint8_t ret[FORMAT_PACK_ID_BYTES])
{
	put(ret, mix(2 * pack), 8);
	put(ret + 8, mix(2 * pack + 1), 8);
}

/* About normally distributed, with a variance of 1. */
static double deviate(uint64_t seed)
{
	return ((double)__builtin_popcountll(mix(seed)) - 32) / 4;
}

/* The first bytes of the id of entry i as a number. */
static uint64_t lead_of(uint64_t n, uint64_t i)
{
	uint64_t lo = 0;
	uint64_t hi = n;
	uint64_t least = 0;
	uint64_t most = UINT64_MAX;

	while (hi - lo > 1) {
		uint64_t mid = lo + (hi - lo) / 2;
		double part = (double)(mid - lo) / (double)(hi - lo);
		double at = part +
		            deviate(lo * 31 + hi) * sqrt(part * (1 - part) / (double)(hi - lo + 1));

		at = at < 0.01 ? 0.01 : at > 0.99 ? 0.99 : at;
		uint64_t cut = least + (uint64_t)((double)(most - least) * at);
		if (i < mid) {
			hi = mid;
			most = cut;
		} else {
			lo = mid;
			least = cut;
		}
	}
	return least + (most - least) / 2;
}

/* miss: an id beside that of the entry, which no entry has. */
static void entry_id(const struct made *m, uint64_t i, bool miss, uint8_t ret[FORMAT_ID_BYTES])
{
	uint64_t lead = lead_of(m->table.nentries, i);

	for (size_t k = 0; k < 8; k++)
		ret[k] = (uint8_t)(lead >> (56 - 8 * k));
	put(ret + 8, mix(i + 1) ^ miss, 8);
	put(ret + 16, mix(i + 2), 8);
	put(ret + 24, mix(i + 3), 8);
}

/* As index_table.c writes it. */
static void entry_put(const struct made *m, uint64_t i, uint8_t *at)
{
	uint64_t pack = mix(i + 4) % m->table.npacks;
	uint8_t message[FORMAT_PACK_ID_BYTES + FORMAT_INDEX_ENTRY_BYTES - 4];

	entry_id(m, i, false, at);
	put(at + 32, pack, 4);
	put(at + 36, 4096 + mix(i + 5) % (8 * MIB), 4);
	put(at + 40, MIB + FORMAT_TAG_BYTES, 4);
	put(at + 44, MIB, 4);
	put(at + 48, i % SCALE_PER_PACK, 4);
	put(at + 52, 0, 4);
	pack_id(pack, message);
	memcpy(message + FORMAT_PACK_ID_BYTES, at, FORMAT_ID_BYTES);
	memcpy(message + FORMAT_PACK_ID_BYTES + FORMAT_ID_BYTES, at + 36,
	       FORMAT_INDEX_ENTRY_BYTES - 36);
	(void)crypto_shorthash(at + MAC_AT, message, sizeof(message), m->keys.entry);
}

static void make_page(const struct made *m, size_t off, uint8_t page[PAGE_BYTES])
{
	memset(page, 0, PAGE_BYTES);
	if (off < m->packs_len) {
		for (size_t i = 0; i < PAGE_BYTES / FORMAT_PACK_ID_BYTES; i++)
			pack_id(off / FORMAT_PACK_ID_BYTES + i, page + i * FORMAT_PACK_ID_BYTES);
		return;
	}
	uint64_t first = (off - m->packs_len) / ENTRY_BYTES;
	for (size_t i = 0; i < PAGE_BYTES / ENTRY_BYTES && first + i < m->table.nentries; i++)
		entry_put(m, first + i, page + i * ENTRY_BYTES);
}

static void *make_pages(void *arg)
{
	struct made *m = arg;
	uint8_t page[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
	struct pollfd fds[] = { { .fd = m->fd, .events = POLLIN },
		                { .fd = m->stop[0], .events = POLLIN } };

	while (poll(fds, ARRAY_LEN(fds), -1) > 0 && !fds[1].revents) {
		struct uffd_msg msg;

		if (read(m->fd, &msg, sizeof(msg)) != sizeof(msg) ||
		    msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		uint64_t at = msg.arg.pagefault.address / PAGE_BYTES * PAGE_BYTES;
		make_page(m, (size_t)(at - (uint64_t)(uintptr_t)m->table.map), page);
		struct uffdio_copy copy = { .dst = at,
			                    .src = (uint64_t)(uintptr_t)page,
			                    .len = PAGE_BYTES };
		if (ioctl(m->fd, UFFDIO_COPY, &copy) == 0)
			m->pages++;
	}
	return NULL;
}

/* Address space for the table, whose pages come from make_pages(). */
static int map_table(struct made *m, uint64_t entries, struct err *e)
{
	struct index_table *t = &m->table;
	struct uffdio_api api = { .api = UFFD_API };

	t->nentries = (uint32_t)entries;
	t->npacks = (uint32_t)(entries / SCALE_PER_PACK + 1);
	m->packs_len = ((size_t)t->npacks * FORMAT_PACK_ID_BYTES / PAGE_BYTES + 1) * PAGE_BYTES;
	t->len = m->packs_len + (entries * ENTRY_BYTES / PAGE_BYTES + 1) * PAGE_BYTES;
	t->dir = -1;
	m->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (m->fd < 0 || ioctl(m->fd, UFFDIO_API, &api) < 0 || pipe2(m->stop, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pages on demand (userfaultfd)");
	t->map = mmap(NULL, t->len, PROT_READ | PROT_WRITE,
	              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t->map == MAP_FAILED)
		return err_sys(e, errno, "address space of %zu bytes", t->len);
	(void)madvise(t->map, t->len, MADV_NOHUGEPAGE);
	struct uffdio_register reg = {
		.range = { .start = (uint64_t)(uintptr_t)t->map, .len = t->len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	if (ioctl(m->fd, UFFDIO_REGISTER, &reg) < 0)
		return err_sys(e, errno, "pages on demand (userfaultfd)");
	t->packs = t->map;
	t->entries = t->map + m->packs_len;
	return 0;
}

static bool note_found(void *arg, const struct chunk_ref *ref)
{
	(void)ref;
	++*(uint64_t *)arg;
	return true;
}

/* CPU nanoseconds of a search. */
static double search(const struct made *m, bool miss, uint64_t *ret_found)
{
	static uint8_t ids[LOOKUPS][FORMAT_ID_BYTES];
	struct timespec a;
	struct timespec b;

	*ret_found = 0;
	for (uint64_t i = 0; i < LOOKUPS; i++)
		entry_id(m, mix(i) % m->table.nentries, miss, ids[i]);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	for (uint64_t i = 0; i < LOOKUPS; i++)
		index_table_find(&m->table, &m->keys, ids[i], note_found, ret_found);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / LOOKUPS;
}

int scale_table(uint64_t entries, char *note, size_t note_max, struct err *e)
{
	static struct made m;
	pthread_t maker;
	uint64_t found[4];
	double hit;
	double miss;

	if (map_table(&m, entries, e) < 0)
		return -1;
	int os = pthread_create(&maker, NULL, make_pages, &m);
	if (os != 0)
		return err_sys(e, os, "starting a thread");
	(void)search(&m, false, &found[0]);
	uint64_t hit_pages = m.pages;
	hit = search(&m, false, &found[1]);
	(void)madvise(m.table.map, m.table.len, MADV_DONTNEED);
	m.pages = 0;
	(void)search(&m, true, &found[2]);
	uint64_t miss_pages = m.pages;
	miss = search(&m, true, &found[3]);
	(void)!write(m.stop[1], "", 1);
	(void)pthread_join(maker, NULL);
	(void)snprintf(note, note_max,
	               "%.1f GB; hit %.2f pages, %.0f ns CPU once they are there; miss %.2f, %.0f",
	               (double)m.table.len / 1e9, (double)hit_pages / LOOKUPS, hit,
	               (double)miss_pages / LOOKUPS, miss);
	(void)munmap(m.table.map, m.table.len);
	if (found[0] != LOOKUPS || found[1] != LOOKUPS || found[2] != 0 || found[3] != 0)
		return err_set(e, ERR_BUG, "a table of %llu entries does not find what it has",
		               (unsigned long long)entries);
	return 0;
}
