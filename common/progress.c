/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress. One thread wakes at fixed intervals, reads the counters and
 * draws; the pipeline never waits for it. Stopping wakes it at once.
 */
#include "common/progress.h"

#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "common/clean.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/now.h"
#include "common/num.h"
#include "common/thread.h"

#define DRAW_MS 250
#define LOG_MS 30000
#define LINE_BYTES 512
#define NS_PER_MS 1000000
#define CLEAR_LINE "\r\033[K"
#define COLUMNS_NONE 80 /* where stderr does not tell its width */

struct progress {
	char *verb;
	const struct progress_counts *counts;
	int64_t start_ns;
	int64_t every_ms;
	bool line; /* draws a line; else logs */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop; /* guarded by lock */
};

/* One piece of the line; the less important are left out when it is narrow. */
struct piece {
	char s[64];
	int importance;
};

enum { PIECES = 7 };

static uint64_t get(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

/* Bytes a second, of bytes done in elapsed_ms. */
static uint64_t rate_of(uint64_t done, int64_t elapsed_ms)
{
	double rate = (double)done * 1000.0 / (double)elapsed_ms;

	return rate < 0x1p63 ? (uint64_t)rate : UINT64_MAX;
}

/* Fills the pieces in the order they are shown; returns how many there are. */
static size_t fill(struct piece *p, const struct progress_counts *c, int64_t elapsed_ms)
{
	uint64_t total = get(&c->bytes_total);
	uint64_t done = get(&c->bytes_done);
	uint64_t files_total = get(&c->files_total);
	uint64_t files = get(&c->files_done);
	uint64_t stored = get(&c->bytes_stored);
	uint64_t errors = get(&c->errors);
	uint64_t rate = rate_of(done, elapsed_ms);
	size_t n = 0;

	/* The total is an estimate: a volume may grow while it is read. */
	if (total > 0 && done > total)
		total = done;
	if (total > 0) {
		(void)snprintf(p[n].s, sizeof(p[n].s), "%u %%",
		               (unsigned)((double)done * 100.0 / (double)total));
		p[n++].importance = 7;
		(void)snprintf(p[n].s, sizeof(p[n].s), "%s of %s", num_bytes_text(done).s,
		               num_bytes_text(total).s);
	} else {
		(void)snprintf(p[n].s, sizeof(p[n].s), "%s", num_bytes_text(done).s);
	}
	p[n++].importance = 5;
	(void)snprintf(p[n].s, sizeof(p[n].s), "%s/s", num_bytes_text(rate).s);
	p[n++].importance = 3;
	if (total > done && rate > 0) {
		(void)snprintf(p[n].s, sizeof(p[n].s), "%s left",
		               num_duration_text((int64_t)((total - done) / rate)).s);
		p[n++].importance = 6;
	}
	if (files_total > 0)
		(void)snprintf(p[n].s, sizeof(p[n].s), "%llu of %llu files",
		               (unsigned long long)files, (unsigned long long)files_total);
	else
		(void)snprintf(p[n].s, sizeof(p[n].s), "%llu files", (unsigned long long)files);
	p[n++].importance = 2;
	if (stored > 0) {
		(void)snprintf(p[n].s, sizeof(p[n].s), "%s stored", num_bytes_text(stored).s);
		p[n++].importance = 1;
	}
	if (errors > 0) {
		(void)snprintf(p[n].s, sizeof(p[n].s), "%llu error%s", (unsigned long long)errors,
		               errors == 1 ? "" : "s");
		p[n++].importance = 4;
	}
	return n;
}

/* Columns that a UTF-8 text takes, near enough: its characters. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((uint8_t)*s & 0xc0) != 0x80;
	return n;
}

/* Appends at most columns characters of s to ret; control characters become '?'. */
static void append(char *ret, size_t ret_max, const char *s, size_t columns)
{
	size_t at = strlen(ret);

	for (; *s && at + 1 < ret_max; s++) {
		bool first = ((uint8_t)*s & 0xc0) != 0x80;

		if (first && columns-- == 0)
			break;
		ret[at++] = (uint8_t)*s < 0x20 || *s == 0x7f ? '?' : *s;
	}
	ret[at] = '\0';
}

void progress_line(char *ret, size_t ret_max, const char *verb, const struct progress_counts *c,
                   int64_t elapsed_ms, unsigned columns)
{
	struct piece pieces[PIECES];
	size_t n = fill(pieces, c, elapsed_ms);
	size_t used = width(verb);
	int least = 8; /* pieces of this importance and more fit */

	for (int importance = 7; importance >= 1; importance--) {
		for (size_t i = 0; i < n; i++) {
			if (pieces[i].importance == importance)
				used += 2 + width(pieces[i].s);
		}
		if (used > columns)
			break;
		least = importance;
	}
	ret[0] = '\0';
	append(ret, ret_max, verb, columns);
	for (size_t i = 0; i < n; i++) {
		if (pieces[i].importance < least)
			continue;
		append(ret, ret_max, "  ", 2);
		append(ret, ret_max, pieces[i].s, sizeof(pieces[i].s));
	}
}

static unsigned columns_of(int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return COLUMNS_NONE;
	return size.ws_col;
}

static int64_t elapsed_ms(const struct progress *p)
{
	int64_t ms = (now_mono_ns() - p->start_ns) / NS_PER_MS;

	return ms > 0 ? ms : 1;
}

static void draw(const struct progress *p)
{
	char line[LINE_BYTES];
	char text[LINE_BYTES + sizeof(CLEAR_LINE)];

	/* The last column stays free: some terminals wrap when it is written. */
	progress_line(line, sizeof(line), p->verb, p->counts, elapsed_ms(p),
	              columns_of(STDERR_FILENO) - 1);
	int n = snprintf(text, sizeof(text), "\r%s\033[K", line);
	(void)fd_write_full(STDERR_FILENO, text, (size_t)n);
}

static void tell(const struct progress *p)
{
	const struct progress_counts *c = p->counts;

	log_info("progress", LOG_S("what", p->verb), LOG_U("bytes_done", get(&c->bytes_done)),
	         LOG_U("bytes_total", get(&c->bytes_total)),
	         LOG_U("files_done", get(&c->files_done)),
	         LOG_U("files_total", get(&c->files_total)),
	         LOG_U("bytes_stored", get(&c->bytes_stored)), LOG_U("errors", get(&c->errors)),
	         LOG_I("took_ms", elapsed_ms(p)));
}

static struct timespec later(int64_t ms)
{
	int64_t at = now_mono_ns() + ms * NS_PER_MS;

	return (struct timespec){ .tv_sec = at / 1000000000, .tv_nsec = at % 1000000000 };
}

static void *progress_main(void *arg)
{
	struct progress *p = arg;

	(void)pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		struct timespec until = later(p->every_ms);
		int r = 0;

		while (!p->stop && r == 0)
			r = pthread_cond_timedwait(&p->changed, &p->lock, &until);
		if (p->stop)
			break;
		(void)pthread_mutex_unlock(&p->lock);
		if (p->line)
			draw(p);
		else
			tell(p);
		(void)pthread_mutex_lock(&p->lock);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void progress_free(struct progress *p)
{
	(void)pthread_cond_destroy(&p->changed);
	(void)pthread_mutex_destroy(&p->lock);
	free(p->verb);
	free(p);
}

struct progress *progress_start(const char *verb, enum progress_mode mode,
                                const struct progress_counts *counts)
{
	return progress_start_every(verb, mode, counts, 0);
}

struct progress *progress_start_every(const char *verb, enum progress_mode mode,
                                      const struct progress_counts *counts, int64_t every_ms)
{
	pthread_condattr_t attr;

	if (mode == PROGRESS_NEVER)
		return NULL;
	struct progress *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->counts = counts;
	p->start_ns = now_mono_ns();
	p->line = mode == PROGRESS_ALWAYS || (isatty(STDERR_FILENO) && !log_is_json());
	p->every_ms = every_ms > 0 ? every_ms : p->line ? DRAW_MS : LOG_MS;
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&p->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	p->verb = strdup(verb);
	struct err none; /* one that cannot show itself is none */
	if (!p->verb || thread_start(&p->thread, progress_main, p, "progress", &none) < 0) {
		progress_free(p);
		return NULL;
	}
	if (p->line)
		log_line_prefix(CLEAR_LINE);
	return p;
}

void progress_stop(struct progress *take_p)
{
	struct progress *p = take_p;

	if (!p)
		return;
	(void)pthread_mutex_lock(&p->lock);
	p->stop = true;
	(void)pthread_cond_signal(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
	(void)pthread_join(p->thread, NULL);
	if (p->line) {
		log_line_prefix(NULL);
		(void)fd_write_full(STDERR_FILENO, CLEAR_LINE, strlen(CLEAR_LINE));
	}
	progress_free(p);
}
