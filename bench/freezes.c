/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a file system stands still for a snapshot while others write to it.
 *
 *   freezes --driver NAME --volume DIR --scratch DIR [--state DIR] [--files N] [--bytes N]
 *           [--rounds N] [--writers N] [--rate N]
 *
 * Fills DIR with N files of N bytes in all (what is there already is kept), starts
 * writers that overwrite 4 KiB at random places of random files, `rate` times a second each
 * (0: as fast as they can), and takes and releases snapshots, one after the other. One JSON
 * object with the times, in milliseconds, goes to stdout:
 *
 *   freeze   from asking for the freeze until it is there: what is not yet on the disk is
 *            written out, by the kernel
 *   capture  frozen: the look at all files, and what changed is kept
 *   window   both, and the thaw: this long a writer stands still at most
 *   prepare  before, while everybody works
 *   finish   after
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "common/fd.h"
#include "common/num.h"
#include "common/now.h"
#include "snapshot/precopy.h"

#define ROUNDS_MAX 10000
#define WRITERS_MAX 64
#define FOLDER 1000 /* files in one */

static struct {
	const char *driver, *volume, *scratch, *state;
	uint64_t files, bytes, rounds, writers, rate;
} opt = { .files = 1000, .bytes = 64 * MIB, .rounds = 30, .writers = 2, .rate = 100 };

static double *times[5];
enum { FREEZE, CAPTURE, WINDOW, PREPARE, FINISH };
static const char *const time_names[] = { "freeze", "capture", "window", "prepare", "finish" };

static __attribute__((noreturn)) void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "freezes: %s: %s\n", what, why);
	exit(1);
}

static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static void name_of(uint64_t i, char *to, size_t max)
{
	(void)snprintf(to, max, "d%" PRIu64 "/f%" PRIu64, i / FOLDER, i);
}

/* Files of equal size; one that has its size stays as it is. */
static void fill(int dir)
{
	static uint8_t piece[MIB];
	uint64_t seed = 1, size = opt.bytes / opt.files;
	char name[64];
	struct stat st;

	for (size_t i = 0; i < sizeof(piece); i += sizeof(seed))
		memcpy(piece + i, &(uint64_t){ next_random(&seed) }, sizeof(seed));
	for (uint64_t i = 0; i < opt.files; i++) {
		if (i % FOLDER == 0) {
			(void)snprintf(name, sizeof(name), "d%" PRIu64, i / FOLDER);
			(void)mkdirat(dir, name, 0755);
		}
		name_of(i, name, sizeof(name));
		if (fstatat(dir, name, &st, 0) == 0 && (uint64_t)st.st_size == size)
			continue;
		auto_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		                           0644);
		for (uint64_t at = 0; fd >= 0 && at < size; at += sizeof(piece)) {
			size_t n = size - at < sizeof(piece) ? (size_t)(size - at) : sizeof(piece);

			if (fd_pwrite_full(fd, piece, n, at) < 0)
				die(name, strerrordesc_np(errno));
		}
		if (fd < 0)
			die(name, strerrordesc_np(errno));
	}
	if (syncfs(dir) < 0)
		die(opt.volume, strerrordesc_np(errno));
}

static __attribute__((noreturn)) void write_on(int dir, uint64_t seed)
{
	uint64_t size = opt.bytes / opt.files;
	struct timespec next;
	uint8_t page[4096];
	char name[64];

	(void)clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		memset(page, (int)next_random(&seed), sizeof(page));
		name_of(next_random(&seed) % opt.files, name, sizeof(name));
		uint64_t at = size > sizeof(page) ? next_random(&seed) % (size - sizeof(page)) : 0;
		auto_close int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || pwrite(fd, page, size < sizeof(page) ? size : sizeof(page),
		                     (off_t)(at / 512 * 512)) < 0)
			_exit(1);
		if (opt.rate == 0)
			continue;
		next.tv_nsec += (long)(1000000000 / opt.rate);
		next.tv_sec += next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}

static pid_t writers[WRITERS_MAX];

static void stop_writers(void)
{
	for (uint64_t i = 0; i < opt.writers; i++) {
		(void)kill(writers[i], SIGKILL);
		(void)waitpid(writers[i], NULL, 0);
	}
}

static void start_writers(int dir)
{
	for (uint64_t i = 0; i < opt.writers; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("starting a writer", strerrordesc_np(errno));
		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			write_on(dir, i);
		}
		writers[i] = pid;
	}
}

static double ms(int64_t ns)
{
	return (double)ns / 1e6;
}

static void take(const struct snapshot_env *env, const struct snapshot_ops *driver, size_t round,
                 struct precopy_stats *sum)
{
	struct err e = ERR_INIT;
	int64_t start = now_mono_ns();
	struct snapshot *s = snapshot_prepare(env, driver, opt.volume, &e);

	if (!s)
		die("prepare", e.msg);
	int64_t prepared = now_mono_ns();
	if (snapshot_capture(&s, 1, &e) < 0)
		die("capture", e.msg);
	int64_t captured = now_mono_ns();
	if (snapshot_finish(s, &e) < 0)
		die("finish", e.msg);
	times[PREPARE][round] = ms(prepared - start);
	times[FINISH][round] = ms(now_mono_ns() - captured);
	times[FREEZE][round] = ms(s->window.frozen_ns - s->window.asked_ns);
	times[CAPTURE][round] = ms(s->window.thawed_ns - s->window.frozen_ns);
	times[WINDOW][round] = ms(s->window.thawed_ns - s->window.asked_ns);
	if (s->ops->capture == precopy_capture) {
		struct precopy_stats got = precopy_stats(s);

		sum->entries = got.entries;
		sum->changed += got.changed;
		sum->changed_bytes += got.changed_bytes;
		sum->passes += got.passes;
	}
	if (snapshot_release(s, &e) < 0)
		die("release", e.msg);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The smallest value that so many percent are not above. */
static double percentile(const double *sorted, size_t n, size_t percent)
{
	size_t i = (n * percent + 99) / 100;

	return sorted[i > 0 ? i - 1 : 0];
}

static void tell(const struct precopy_stats *sum)
{
	size_t n = (size_t)opt.rounds;

	(void)printf("{\"driver\":\"%s\",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64
	             ",\"rounds\":%zu,\"writers\":%" PRIu64 ",\"rate\":%" PRIu64,
	             opt.driver, opt.files, opt.bytes, n, opt.writers, opt.rate);
	(void)printf(",\"changed_files\":%.1f,\"changed_bytes\":%.0f,\"passes\":%.1f",
	             (double)sum->changed / (double)n, (double)sum->changed_bytes / (double)n,
	             (double)sum->passes / (double)n);
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		qsort(times[i], n, sizeof(double), by_size);
		(void)printf(",\"%s_ms\":{\"p50\":%.2f,\"p99\":%.2f,\"max\":%.2f}", time_names[i],
		             percentile(times[i], n, 50), percentile(times[i], n, 99),
		             times[i][n - 1]);
	}
	(void)printf("}\n");
}

static uint64_t number(const char *name, const char *text)
{
	struct err e = ERR_INIT;
	uint64_t v;

	if (num_size(name, text, (uint64_t)1 << 50, &v, &e) < 0)
		die(name, e.msg);
	return v;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "driver", 1, NULL, 'd' },  { "volume", 1, NULL, 'v' },
		{ "scratch", 1, NULL, 's' }, { "state", 1, NULL, 't' },
		{ "files", 1, NULL, 'f' },   { "bytes", 1, NULL, 'b' },
		{ "rounds", 1, NULL, 'r' },  { "writers", 1, NULL, 'w' },
		{ "rate", 1, NULL, 'h' },    { NULL, 0, NULL, 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'd':
			opt.driver = optarg;
			break;
		case 'v':
			opt.volume = optarg;
			break;
		case 's':
			opt.scratch = optarg;
			break;
		case 't':
			opt.state = optarg;
			break;
		case 'f':
			opt.files = number("--files", optarg);
			break;
		case 'b':
			opt.bytes = number("--bytes", optarg);
			break;
		case 'r':
			opt.rounds = number("--rounds", optarg);
			break;
		case 'w':
			opt.writers = number("--writers", optarg);
			break;
		case 'h':
			opt.rate = number("--rate", optarg);
			break;
		default:
			exit(2);
		}
	}
	if (!opt.driver || !opt.volume || !opt.scratch || opt.files == 0 || opt.rounds == 0 ||
	    opt.rounds > ROUNDS_MAX || opt.writers > WRITERS_MAX || optind != argc)
		die("usage",
		    "freezes --driver NAME --volume DIR --scratch DIR; see bench/freezes.c");
}

int main(int argc, char **argv)
{
	struct precopy_stats sum = { 0 };
	struct err e = ERR_INIT;
	char notes[4096];

	parse(argc, argv);
	(void)snprintf(notes, sizeof(notes), "%s/journal", opt.state ? opt.state : opt.scratch);
	auto_journal struct journal *j = journal_open(notes, &e);
	if (!j)
		die(notes, e.msg);
	const struct snapshot_env env = { .journal = j,
		                          .scratch_dir = opt.scratch,
		                          .copy_max_bytes = opt.bytes + opt.bytes / 4 };
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		times[i] = calloc((size_t)opt.rounds, sizeof(double));
		if (!times[i])
			die("memory", "none left");
	}
	auto_close int dir = open(opt.volume, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		die(opt.volume, strerrordesc_np(errno));
	fill(dir);
	const struct snapshot_ops *driver = snapshot_choose(&env, opt.driver, opt.volume, &e);
	if (!driver)
		die(opt.driver, e.msg);
	start_writers(dir);
	for (size_t i = 0; i < opt.rounds; i++)
		take(&env, driver, i, &sum);
	stop_writers();
	tell(&sum);
	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		free(times[i]);
	return 0;
}
