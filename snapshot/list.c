/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading by getdents64() with a large buffer, sorting by multikey quicksort:
 * eight bytes of each name are kept beside its place, compared as one number,
 * and only names that agree in all eight are looked at again, eight bytes
 * further on. So names with a long common start ("image-0001.png") cost no more
 * than others, and the order of the names given cannot make it quadratic: pivots
 * are drawn.
 */
#include "snapshot/list.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"

#define SLACK 8      /* readable bytes after the last name, for whole-word loads */
#define INSERTION 12 /* ranges up to this many names are sorted by insertion */

_Static_assert(sizeof(struct list_item) == 12, "the index is 12 bytes a name");

static void run_free(struct list_run *r)
{
	if (r->mapped)
		(void)munmap(r->p, r->cap);
	else
		free(r->p);
	*r = (struct list_run){ 0 };
}

/* Makes room for n more bytes. 0, or -1 with errno. */
static int run_reserve(struct list_run *r, size_t n, const char *scratch_dir)
{
	if (r->cap - r->len >= n)
		return 0;

	size_t cap = r->cap ? r->cap : 4 * KIB;
	while (cap - r->len < n)
		cap *= 2;
	if (cap <= LIST_HEAP_MAX) {
		void *p = realloc(r->p, cap);
		if (!p)
			return -1;
		r->p = p;
		r->cap = cap;
		return 0;
	}

	void *p = fd_map_scratch(scratch_dir, cap);
	if (!p && scratch_dir)
		p = fd_map_scratch(NULL, cap);
	if (!p)
		return -1;
	if (r->len > 0)
		memcpy(p, r->p, r->len);
	size_t len = r->len;
	run_free(r);
	*r = (struct list_run){ .p = p, .len = len, .cap = cap, .mapped = true };
	return 0;
}

/* The eight bytes at p, big-endian, with zeros from the end of the name on. */
static uint64_t key_of(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	v = le64toh(v);
	uint64_t zeros = (v - 0x0101010101010101) & ~v & 0x8080808080808080;
	if (zeros) {
		unsigned first = (unsigned)__builtin_ctzll(zeros) / 8;

		v &= first ? ~(uint64_t)0 >> (64 - 8 * first) : 0;
	}
	return __builtin_bswap64(v);
}

static inline uint64_t key_get(const struct list_item *i)
{
	return (uint64_t)i->key[0] << 32 | i->key[1];
}

static inline void key_set(struct list_item *i, uint64_t key)
{
	i->key[0] = (uint32_t)(key >> 32);
	i->key[1] = (uint32_t)key;
}

/* True when the key holds the name's end: equal keys are equal names. */
static inline bool key_ends(uint64_t key)
{
	return (key & 0xff) == 0;
}

struct sorter {
	const char *names;
	uint64_t seed; /* of the pivots */
	bool twins;    /* a name was there twice */
};

static size_t draw(struct sorter *s, size_t n)
{
	s->seed ^= s->seed << 13;
	s->seed ^= s->seed >> 7;
	s->seed ^= s->seed << 17;
	return (size_t)(s->seed % n);
}

static inline void swap(struct list_item *a, struct list_item *b)
{
	struct list_item t = *a;

	*a = *b;
	*b = t;
}

/* Names agree in their first depth bytes; keys hold the next eight. */
static bool less(struct sorter *s, const struct list_item *a, const struct list_item *b,
                 size_t depth)
{
	uint64_t x = key_get(a);
	uint64_t y = key_get(b);

	if (x != y)
		return x < y;
	int c = key_ends(x) ? 0
	                    : strcmp(s->names + a->at + depth + 8, s->names + b->at + depth + 8);
	if (c == 0)
		s->twins = true;
	return c < 0;
}

static void insertion(struct sorter *s, struct list_item *v, size_t n, size_t depth)
{
	for (size_t i = 1; i < n; i++) {
		struct list_item x = v[i];
		size_t at = i;

		while (at > 0 && less(s, &x, &v[at - 1], depth)) {
			v[at] = v[at - 1];
			at--;
		}
		v[at] = x;
	}
}

static uint64_t pivot(struct sorter *s, const struct list_item *v, size_t n)
{
	uint64_t a = key_get(&v[draw(s, n)]);
	uint64_t b = key_get(&v[draw(s, n)]);
	uint64_t c = key_get(&v[draw(s, n)]);

	if (a > b) {
		uint64_t t = a;
		a = b;
		b = t;
	}
	return c <= a ? a : c < b ? c : b;
}

/*
 * Sorts by the keys, then what is equal in them by the next eight bytes. The
 * two smaller of the three parts are done by recursion: each is at most half
 * of the range, so the stack stays within the logarithm of n.
 */
static void sort(struct sorter *s, struct list_item *v, size_t n, size_t depth)
{
	while (n > INSERTION) {
		uint64_t p = pivot(s, v, n);
		size_t lo = 0, i = 0, hi = n;

		while (i < hi) {
			uint64_t k = key_get(&v[i]);

			if (k < p)
				swap(&v[lo++], &v[i++]);
			else if (k > p)
				swap(&v[i], &v[--hi]);
			else
				i++;
		}

		size_t equal = hi - lo;
		if (key_ends(p)) {
			if (equal > 1)
				s->twins = true;
			equal = 0; /* nothing left to compare */
		} else {
			for (size_t j = lo; j < hi; j++)
				key_set(&v[j], key_of(s->names + v[j].at + depth + 8));
		}

		struct {
			struct list_item *v;
			size_t n, depth;
		} part[3] = { { v, lo, depth },
			      { v + lo, equal, depth + 8 },
			      { v + hi, n - hi, depth } };
		unsigned big = part[1].n > part[0].n ? 1 : 0;
		if (part[2].n > part[big].n)
			big = 2;
		for (unsigned j = 0; j < 3; j++)
			if (j != big)
				sort(s, part[j].v, part[j].n, part[j].depth);
		v = part[big].v;
		n = part[big].n;
		depth = part[big].depth;
	}
	insertion(s, v, n, depth);
}

static void drop_twins(struct list *l)
{
	struct list_item *v = l->items.p;
	size_t kept = 1;

	for (size_t i = 1; i < l->n; i++)
		if (strcmp(list_name(l, i), list_name(l, kept - 1)) != 0)
			v[kept++] = v[i];
	l->n = kept;
}

static int add(struct list *l, const char *name, size_t len, unsigned char type,
               const char *scratch_dir)
{
	if (run_reserve(&l->names, 1 + len + 1 + SLACK, scratch_dir) < 0 ||
	    run_reserve(&l->items, sizeof(struct list_item), scratch_dir) < 0)
		return -1;
	if (l->names.len > UINT32_MAX - 1) {
		errno = EFBIG;
		return -1;
	}
	char *p = (char *)l->names.p + l->names.len;
	p[0] = (char)type;
	memcpy(p + 1, name, len + 1);
	struct list_item *item = (struct list_item *)l->items.p + l->n++;
	item->at = (uint32_t)(l->names.len + 1);
	l->names.len += 1 + len + 1;
	l->items.len += sizeof(*item);
	return 0;
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int read_all(struct list *l, int fd, const struct list_filter *filter, char *buffer,
                    const char *scratch_dir)
{
	for (;;) {
		ssize_t got = getdents64(fd, buffer, LIST_BUFFER);

		if (got <= 0)
			return got < 0 ? -1 : 0;
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *d = (const void *)(buffer + at);
			const char *name = d->d_name;

			at += d->d_reclen;
			if (is_dots(name))
				continue;
			size_t len = strlen(name);
			if (filter && !filter->keep(filter->arg, name, len, d->d_type))
				continue;
			if (add(l, name, len, d->d_type, scratch_dir) < 0)
				return -1;
		}
	}
}

int list_read(struct list *l, int fd, const struct list_filter *filter, void *buffer,
              const char *scratch_dir)
{
	list_reset(l, SIZE_MAX);
	if (read_all(l, fd, filter, buffer, scratch_dir) < 0) {
		int os = errno;

		list_reset(l, LIST_HEAP_MAX);
		errno = os;
		return -1;
	}
	if (l->n < 2)
		return 0;

	struct sorter s = { .names = l->names.p, .seed = 0x9e3779b97f4a7c15 ^ l->n };
	struct list_item *v = l->items.p;
	memset((char *)l->names.p + l->names.len, 0, SLACK);
	for (size_t i = 0; i < l->n; i++)
		key_set(&v[i], key_of(s.names + v[i].at));
	sort(&s, v, l->n, 0);
	if (s.twins)
		drop_twins(l);
	return 0;
}

size_t list_find(const struct list *l, const char *name)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(list_name(l, mid), name);

		if (c == 0)
			return mid;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return l->n;
}

void list_keep_one(struct list *l, size_t i)
{
	struct list_item *v = l->items.p;

	v[0] = v[i];
	l->n = 1;
}

void list_reset(struct list *l, size_t spare)
{
	l->n = 0;
	l->names.len = 0;
	l->items.len = 0;
	if (l->names.cap > spare)
		run_free(&l->names);
	if (l->items.cap > spare)
		run_free(&l->items);
}

void list_clear(struct list *l)
{
	list_reset(l, 0);
}
