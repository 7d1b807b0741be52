/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of snapshots that freeze need: a file system of its own on a loop device,
 * a freeze that ends whatever becomes of the test, writers that go on meanwhile, and a source
 * as text, with contents, so that a view and the frozen original can be compared.
 */
#ifndef AKSDR_TESTS_UNIT_SNAPSHOT_FROZEN_H
#define AKSDR_TESTS_UNIT_SNAPSHOT_FROZEN_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <cmocka.h>

#include "common/crc64.h"
#include "snapshot/snapshot.h"
#include "tests/harness/harness.h"
#include "tests/unit/snapshot/mounts.h"

/* ---- a place ---- */

struct frozen_world {
	char *dir;     /* has all the rest */
	char *volume;  /* the root of the mount */
	char *scratch; /* on another file system */
	struct journal *journal;
	struct snapshot_env env;
};

/* false: this file system cannot be made here. frozen_close() in any case. */
static inline bool frozen_open(struct frozen_world *w, const char *mkfs)
{
	struct err e = ERR_INIT;

	memset(w, 0, sizeof(*w));
	w->dir = tmpdir_new();
	w->volume = path_join(w->dir, "mnt");
	w->scratch = path_join(w->dir, "scratch");
	auto_free char *notes = path_join(w->dir, "journal");
	if (mkdir(w->scratch, 0700) < 0)
		harness_die("creating '%s'", w->scratch);
	w->journal = journal_open(notes, &e);
	if (!w->journal)
		harness_die("%s", e.msg);
	w->env = (struct snapshot_env){ .journal = w->journal, .scratch_dir = w->scratch };
	return mounts_loop(w->dir, mkfs, NULL, NULL);
}

/* Empties the volume. */
static inline void frozen_empty(struct frozen_world *w)
{
	const char *const argv[] = { "find", w->volume, "-mindepth", "1", "-delete", NULL };

	if (mounts_command(argv) != 0)
		harness_die("emptying '%s'", w->volume);
	w->env = (struct snapshot_env){ .journal = w->journal, .scratch_dir = w->scratch };
}

static inline void frozen_close(struct frozen_world *w)
{
	journal_close(w->journal);
	mounts_undo(w->dir, "mnt");
	free(w->volume);
	free(w->scratch);
	tmpdir_remove(w->dir);
}

/* Names in the root of a volume that a snapshot made. */
static inline size_t frozen_left_over(const char *dir)
{
	auto_free char *pattern = path_join(dir, ".aksdr-view-");
	char command[512];
	size_t n = 0;

	(void)snprintf(command, sizeof(command), "ls -d %s* 2>/dev/null | wc -l", pattern);
	FILE *f = popen(command, "r"); /* lint: allow popen: a test's own words */
	if (!f || fscanf(f, "%zu", &n) != 1)
		harness_die("counting what is left over");
	(void)pclose(f);
	return n;
}

/* ---- a freeze ---- */

struct freeze {
	int fd;
	int pipe;
	pid_t guard;
};

/* A child thaws after a minute, or at once when this process ends. */
static inline struct freeze freeze_begin(const char *path)
{
	struct freeze f = { .fd = open(path, O_RDONLY | O_CLOEXEC) };
	int ends[2];

	if (f.fd < 0 || pipe2(ends, O_CLOEXEC) < 0)
		harness_die("opening '%s'", path);
	f.pipe = ends[1];
	f.guard = fork();
	if (f.guard < 0)
		harness_die("starting a child");
	if (f.guard == 0) {
		struct pollfd p = { .fd = ends[0], .events = POLLIN };

		/* locks on notes of a journal, among others, are not the guard's to keep */
		for (int fd = 3; fd < 1024; fd++)
			if (fd != f.fd && fd != ends[0])
				(void)close(fd);
		(void)poll(&p, 1, 60000);
		(void)ioctl(f.fd, FITHAW, 0);
		_exit(0);
	}
	(void)close(ends[0]);
	if (ioctl(f.fd, FIFREEZE, 0) < 0)
		harness_die("freezing '%s': %m", path);
	return f;
}

static inline void freeze_end(struct freeze *f)
{
	if (ioctl(f->fd, FITHAW, 0) < 0)
		harness_die("it was thawed before: %m");
	(void)close(f->pipe);
	(void)close(f->fd);
	(void)waitpid(f->guard, NULL, 0);
}

/* ---- a source as text ---- */

/* File systems differ in the size of their blocks, and what is zero may be a hole or not. */
#define HOLE_UNIT 65536

static inline void show_content(FILE *out, struct source *s, struct entry *n, bool ranges)
{
	struct err e = ERR_INIT;
	struct content *c;
	struct entry_stat st;
	uint64_t off = 0, start, end, crc = 0, shown = 0;
	static uint8_t piece[65536];
	bool changed = true;

	if (s->ops->open(s, n, &c, &e) < 0) {
		(void)fprintf(out, " content-error %d", e.os);
		return;
	}
	while (ranges && s->ops->data(c, off, &start, &end, &e) == 0 && start < n->st.size) {
		uint64_t from = start / HOLE_UNIT, to = (end + HOLE_UNIT - 1) / HOLE_UNIT;

		if (from > shown || (from == 0 && off == 0))
			(void)fprintf(out, " to %" PRIu64 ", data from %" PRIu64, shown, from);
		shown = to > shown ? to : shown;
		off = end;
	}
	if (ranges)
		(void)fprintf(out, " to %" PRIu64, shown);
	for (off = 0; off < n->st.size && n->st.size <= 64 * MIB;) {
		int64_t got = s->ops->read(c, piece, sizeof(piece), off, &e);

		if (got <= 0)
			harness_die("reading '%s': %s", n->path, e.msg);
		crc = crc64_update(crc, piece, (size_t)got);
		off += (uint64_t)got;
	}
	(void)fprintf(out, " crc %016" PRIx64, crc);
	if (s->ops->close(c, &st, &changed, &e) < 0 || changed)
		(void)fprintf(out, " changed");
}

static inline void show_entry(FILE *out, struct source *s, struct entry *n, bool ranges)
{
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	const struct entry_stat *st = &n->st;
	struct err e = ERR_INIT;

	(void)fprintf(out,
	              "%s: state %d %d mode %o %u:%u nlink %u rdev %u:%u ino %" PRIu64
	              " size %" PRIu64 " m %" PRId64 ".%u c %" PRId64 ".%u block %d",
	              n->path, n->state, n->os, st->mode, st->uid, st->gid, st->nlink,
	              st->rdev_major, st->rdev_minor, st->ino, st->size, st->mtime.s, st->mtime.ns,
	              st->ctime.s, st->ctime.ns, n->block);
	if (n->state == ENTRY_OK) {
		if (s->ops->load(s, n, &d, &e) < 0)
			(void)fprintf(out, " load-error %d", e.os);
		(void)fprintf(out, " link %.*s xattrs %zu %016" PRIx64 " flags %x proj %u",
		              (int)d.link_len, d.link ? (const char *)d.link : "", d.xattrs_len,
		              crc64_update(0, d.xattrs, d.xattrs_len), d.fsflags, d.projid);
		if (S_ISREG(st->mode))
			show_content(out, s, n, ranges);
	}
	(void)fputc('\n', out);
}

/* Everything that a reader sees of s, which is freed. ranges: also where there are holes. */
static inline char *show_source(struct source *s, bool ranges)
{
	struct err e = ERR_INIT;
	struct batch *b;
	static char *text; /* where the stream may still write to it, as far as compilers see */
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!s || !out)
		harness_die("reading a source");
	for (;;) {
		if (s->ops->next(s, &b, &e) < 0)
			harness_die("%s", e.msg);
		if (!b)
			break;
		for (size_t i = 0; i < b->n; i++)
			show_entry(out, s, &b->entries[i], ranges);
		s->ops->batch_free(s, b);
	}
	s->ops->free(s);
	if (fclose(out) != 0)
		harness_die("no memory");
	return STEAL(&text);
}

static inline char *show_walk(const char *path, const struct walk_params *params, bool ranges)
{
	struct err e = ERR_INIT;

	return show_source(walk_open(path, params, &e), ranges);
}

static inline char *show_view(const struct snapshot *s, const struct walk_params *params,
                              bool ranges)
{
	struct err e = ERR_INIT;

	return show_source(snapshot_source(s, params, NULL, &e), ranges);
}

/* As assert_string_equal(), but tells the first line that differs, not all of them. */
static inline void assert_same_text(const char *a, const char *b)
{
	while (*a && strcmp(a, b) != 0) {
		size_t n = strcspn(a, "\n") + 1, m = strcspn(b, "\n") + 1;

		if (n != m || memcmp(a, b, n) != 0)
			fail_msg("\n%.*s%.*s", (int)n, a, (int)m, b);
		a += n;
		b += n;
	}
	assert_string_equal(a, b);
}

/* ---- writers ---- */

static inline pid_t writer_start(void (*fn)(const char *dir, uint64_t seed), const char *dir,
                                 uint64_t seed)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		harness_die("starting a writer");
	if (pid > 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || chdir(dir) < 0)
		_exit(1);
	fn(dir, seed);
	_exit(0);
}

static inline void writer_stop(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static inline uint64_t writer_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

#define RECORD_FILES 8

/*
 * Appends the numbers from 1 on, the Nth to file N % 8, each before the next one; with synced
 * each is on the disk before the next one is written.
 */
static inline void write_records(bool synced)
{
	int fds[RECORD_FILES];

	for (int i = 0; i < RECORD_FILES; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "rec%d", i);
		fds[i] = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	}
	for (uint64_t n = 1;; n++) {
		int fd = fds[n % RECORD_FILES];

		if (write(fd, &n, sizeof(n)) != (ssize_t)sizeof(n) || (synced && fdatasync(fd) < 0))
			_exit(1);
	}
}

static inline void writer_records(const char *dir, uint64_t seed)
{
	(void)dir;
	(void)seed;
	write_records(false);
}

static inline void writer_synced_records(const char *dir, uint64_t seed)
{
	(void)dir;
	(void)seed;
	write_records(true);
}

/* The records of a file of the view: how many, each checked. */
static inline uint64_t count_records(struct source *s, struct entry *n)
{
	struct err e = ERR_INIT;
	struct content *c;
	struct entry_stat st;
	bool changed;
	uint64_t i = (uint64_t)(n->name[3] - '0'), k = 0, got;

	if (s->ops->open(s, n, &c, &e) < 0)
		harness_die("%s", e.msg);
	for (uint64_t off = 0; off < n->st.size; off += sizeof(got), k++) {
		uint64_t expected = i == 0 ? (k + 1) * RECORD_FILES : k * RECORD_FILES + i;

		if (s->ops->read(c, &got, sizeof(got), off, &e) != (int64_t)sizeof(got))
			harness_die("'%s' ends within a record", n->path);
		assert_int_equal(got, expected);
	}
	assert_int_equal(s->ops->close(c, &st, &changed, &e), 0);
	return k;
}

/* That no record is in the view without all before it; how many there are. */
static inline uint64_t assert_records_prefix(const struct snapshot *snap)
{
	struct err e = ERR_INIT;
	uint64_t counts[RECORD_FILES] = { 0 }, sum = 0;
	struct batch *b;
	struct source *s = snapshot_source(snap, NULL, NULL, &e);

	if (!s)
		harness_die("%s", e.msg);
	while (s->ops->next(s, &b, &e) == 0 && b) {
		for (size_t i = 0; i < b->n; i++)
			if (strncmp(b->entries[i].name, "rec", 3) == 0) {
				uint64_t k = count_records(s, &b->entries[i]);

				counts[b->entries[i].name[3] - '0'] = k;
				sum += k;
			}
		s->ops->batch_free(s, b);
	}
	s->ops->free(s);
	/* numbers 1 .. sum lie in the files in turn */
	for (uint64_t i = 0; i < RECORD_FILES; i++)
		assert_int_equal(counts[i],
		                 (sum + RECORD_FILES - (i ? i : RECORD_FILES)) / RECORD_FILES);
	return sum;
}

/* One random change among a few names below the present directory. */
static inline void writer_change(uint64_t *seed)
{
	static uint8_t bytes[32768];
	char a[64], b[64];
	uint64_t r = writer_random(seed);
	off_t at = (off_t)(writer_random(seed) % 200000);
	size_t n = 1 + (size_t)(writer_random(seed) % sizeof(bytes));

	(void)snprintf(a, sizeof(a), "d%u/f%u", (unsigned)(r >> 8 & 3), (unsigned)(r >> 16 & 15));
	(void)snprintf(b, sizeof(b), "d%u/f%u", (unsigned)(r >> 24 & 3), (unsigned)(r >> 32 & 15));
	(void)mkdir("d0", 0755);
	(void)mkdir("d1", 0755);
	(void)mkdir("d2", 0700);
	(void)mkdir("d3", 0750);
	memset(bytes, (int)(r >> 40 & 255), n);
	auto_close int fd = r % 16 < 9 ? open(a, O_RDWR | O_CREAT | O_CLOEXEC, 0644) : -1;
	switch (r % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
		(void)!pwrite(fd, bytes, n, at);
		break;
	case 4:
		(void)!ftruncate(fd, at);
		break;
	case 5:
		(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at & ~4095, 8192);
		break;
	case 6:
		(void)fallocate(fd, 0, at, (off_t)n);
		break;
	case 7: {
		(void)!ftruncate(fd, 65536);
		uint8_t *m = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		if (m == MAP_FAILED)
			break;
		for (size_t i = 0; i < 65536; i += 5000)
			m[i] = (uint8_t)r;
		(void)munmap(m, 65536);
		break;
	}
	case 8:
		(void)fsetxattr(fd, "user.a", bytes, n % 200, 0);
		break;
	case 9:
		(void)unlink(a);
		break;
	case 10:
		(void)rename(a, b);
		break;
	case 11:
		(void)!link(a, b);
		break;
	case 12:
		(void)!symlink(a, b);
		break;
	case 13:
		(void)chmod(a, 0600 | (mode_t)(r >> 44 & 0077));
		break;
	case 14:
		(void)rename("d1", "e1");
		(void)rename("d2", "d1");
		(void)rename("e1", "d2");
		break;
	default:
		(void)mkfifo(b, 0600);
		break;
	}
}

static inline void writer_chaos(const char *dir, uint64_t seed)
{
	(void)dir;
	for (;;)
		writer_change(&seed);
}

/* Writes to a mapping that stays, in which no system call takes part. */
static inline void writer_mapped(const char *dir, uint64_t seed)
{
	int fd = open("mapped", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	(void)dir;
	if (fd < 0 || ftruncate(fd, (off_t)MIB) < 0)
		_exit(1);
	volatile uint8_t *m = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		_exit(1);
	for (uint64_t i = 0;; i++)
		m[writer_random(&seed) % MIB] = (uint8_t)i;
}

/* ---- the three steps, with a freeze of our own ---- */

/*
 * Captures s and looks at the original while it is frozen: its text as show_source(), or NULL
 * when capture failed, with e.
 */
static inline char *frozen_capture(struct snapshot *s, const char *mount, bool ranges,
                                   struct err *e)
{
	const struct walk_params none = { 0 };
	char *text = NULL;
	struct freeze f = freeze_begin(mount);
	int rc = s->ops->capture(s, e);

	if (rc == 0)
		text = show_walk(s->origin, &none, ranges);
	freeze_end(&f);
	return text;
}

#endif
