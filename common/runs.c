/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records are appended to the last run; a full run is sorted and freed of
 * doubles, and what then is still more than half full is left alone and
 * followed by a new one. Reading merges the runs by a heap. What is not at hand
 * is taken out of the process's memory at once: the kernel has it in the files.
 */
#include "common/runs.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "common/fd.h"

#define FIRST_BYTES (128 * KIB) /* of the first run, which is in memory */
#define RUN_BYTES (16 * MIB)    /* of the others */
#define AHEAD_BYTES (64 * KIB)  /* of a run that are read at a time, and dropped again */

struct run {
	uint8_t *v;
	size_t bytes;   /* that are mapped */
	size_t n, cap;  /* records */
	size_t at;      /* next to read */
	size_t dropped; /* bytes that were read and are no longer in this process's memory */
	bool file;      /* it is mapped from one */
};

struct runs {
	const struct runs_type *type;
	pthread_mutex_t lock;
	char *dir;
	struct run *runs; /* guarded by lock while filling */
	size_t nruns, cap;
	/* reading */
	struct run **heap; /* runs that are not at their end; the least record first */
	size_t nheap;
	uint8_t *next; /* joined; valid while have_next */
	bool have_next;
	uint8_t *given; /* what runs_next() gave */
};

struct runs *runs_new(const struct runs_type *type, const char *scratch_dir)
{
	struct runs *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->type = type;
	(void)pthread_mutex_init(&r->lock, NULL);
	r->next = malloc(2 * type->size);
	r->given = r->next ? r->next + type->size : NULL;
	if (scratch_dir)
		r->dir = strdup(scratch_dir);
	if (r->next && (r->dir || !scratch_dir))
		return r;
	runs_free(r);
	return NULL;
}

void runs_free(struct runs *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nruns; i++)
		(void)munmap(r->runs[i].v, r->runs[i].bytes);
	free(r->runs);
	free(r->heap);
	free(r->next < r->given ? r->next : r->given);
	free(r->dir);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

static uint8_t *record(const struct runs *r, const struct run *run, size_t i)
{
	return run->v + i * r->type->size;
}

static void join(const struct runs *r, void *kept, const void *same)
{
	if (r->type->join)
		r->type->join(kept, same);
}

/*
 * Takes bytes of a run out of this process's memory. They stay in the file, so that who needs them
 * all the same finds them.
 */
static void drop(const struct run *run, size_t from, size_t to)
{
	if (run->file && from < to)
		(void)madvise(run->v + from, to - from, MADV_DONTNEED);
}

/* Sorts, and joins doubles. */
static void settle(const struct runs *r, struct run *run)
{
	size_t kept = 0;

	if (run->n == 0)
		return;
	qsort(run->v, run->n, r->type->size, r->type->cmp);
	for (size_t i = 1; i < run->n; i++) {
		if (r->type->cmp(record(r, run, kept), record(r, run, i)) == 0)
			join(r, record(r, run, kept), record(r, run, i));
		else if (++kept != i)
			memcpy(record(r, run, kept), record(r, run, i), r->type->size);
	}
	run->n = kept + 1;
}

/* A run with room for at least one record, or NULL with errno. */
static struct run *open_run_locked(struct runs *r)
{
	struct run *last = r->nruns ? &r->runs[r->nruns - 1] : NULL;

	if (last && last->n == last->cap) {
		settle(r, last);
		if (last->n > last->cap / 2) {
			drop(last, 0, last->bytes);
			last = NULL;
		}
	}
	if (last)
		return last;
	if (r->nruns == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 8;
		struct run *runs = reallocarray(r->runs, cap, sizeof(*runs));

		if (!runs)
			return NULL;
		r->runs = runs;
		r->cap = cap;
	}
	last = r->runs + r->nruns;
	*last = (struct run){ .bytes = r->nruns ? RUN_BYTES : FIRST_BYTES };
	last->cap = last->bytes / r->type->size;
	last->file = r->nruns > 0 && r->dir;
	last->v = fd_map_scratch(last->file ? r->dir : NULL, last->bytes);
	if (!last->v)
		return NULL;
	r->nruns++;
	return last;
}

int runs_add(struct runs *r, const void *records, size_t n, struct err *e)
{
	const uint8_t *p = records;
	int rc = 0;

	(void)pthread_mutex_lock(&r->lock);
	while (n > 0) {
		struct run *run = open_run_locked(r);

		if (!run) {
			rc = err_sys(e, errno, "making room for a list in '%s'",
			             r->dir ? r->dir : "memory");
			break;
		}
		size_t take = run->cap - run->n < n ? run->cap - run->n : n;
		memcpy(record(r, run, run->n), p, take * r->type->size);
		run->n += take;
		p += take * r->type->size;
		n -= take;
	}
	(void)pthread_mutex_unlock(&r->lock);
	return rc;
}

bool runs_empty(const struct runs *r)
{
	return r->nruns == 0;
}

uint64_t runs_bytes(const struct runs *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->nruns; i++)
		n += r->runs[i].bytes;
	return n;
}

/* ---- reading ---- */

static bool before(const struct runs *r, const struct run *a, const struct run *b)
{
	return r->type->cmp(record(r, a, a->at), record(r, b, b->at)) < 0;
}

static void sink(struct runs *r, size_t i)
{
	for (;;) {
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < r->nheap; child++) {
			if (before(r, r->heap[child], r->heap[least]))
				least = child;
		}
		if (least == i)
			return;
		struct run *swap = r->heap[i];
		r->heap[i] = r->heap[least];
		r->heap[least] = swap;
		i = least;
	}
}

/*
 * The reader has come to the end of a piece: it goes, and the one after the next is asked for. By
 * itself the kernel would read around each page, half of it for nothing, and of hundreds of runs
 * more than there is room for where memory is short.
 */
static void go_ahead(struct run *run)
{
	size_t next = run->dropped + 2 * AHEAD_BYTES;

	drop(run, run->dropped, run->dropped + AHEAD_BYTES);
	run->dropped += AHEAD_BYTES;
	if (run->file && next < run->bytes)
		(void)madvise(run->v + next, AHEAD_BYTES, MADV_WILLNEED);
}

/* The first run goes on by one record. */
static void step(struct runs *r)
{
	struct run *run = r->heap[0];

	if (++run->at == run->n)
		r->heap[0] = r->heap[--r->nheap];
	if (run->at == run->n)
		drop(run, run->dropped, run->bytes);
	else if (run->at * r->type->size >= run->dropped + AHEAD_BYTES)
		go_ahead(run);
	sink(r, 0);
}

static void fill_next(struct runs *r)
{
	r->have_next = r->nheap > 0;
	if (!r->have_next)
		return;
	memcpy(r->next, record(r, r->heap[0], r->heap[0]->at), r->type->size);
	step(r);
	while (r->nheap > 0) {
		const uint8_t *p = record(r, r->heap[0], r->heap[0]->at);

		if (r->type->cmp(r->next, p) != 0)
			return;
		join(r, r->next, p);
		step(r);
	}
}

int runs_rewind(struct runs *r, struct err *e)
{
	struct run **heap = reallocarray(r->heap, r->nruns + 1, sizeof(*heap));

	if (!heap)
		return err_set(e, ERR_NOMEM, "no memory to merge %zu runs", r->nruns);
	r->heap = heap;
	r->nheap = 0;
	for (size_t i = 0; i < r->nruns; i++) {
		struct run *run = &r->runs[i];

		/* Only the last one is not in order; sorting again what is costs little. */
		if (i + 1 == r->nruns)
			settle(r, run);
		run->at = 0;
		run->dropped = 0;
		if (run->file) {
			(void)madvise(run->v, run->bytes, MADV_RANDOM);
			(void)madvise(run->v, 2 * AHEAD_BYTES, MADV_WILLNEED);
		}
		if (run->n > 0)
			r->heap[r->nheap++] = run;
	}
	for (size_t i = r->nheap / 2; i > 0; i--)
		sink(r, i - 1);
	fill_next(r);
	return 0;
}

const void *runs_peek(struct runs *r)
{
	return r->have_next ? r->next : NULL;
}

const void *runs_next(struct runs *r)
{
	if (!r->have_next)
		return NULL;
	uint8_t *p = r->next;
	r->next = r->given;
	r->given = p;
	fill_next(r);
	return r->given;
}
