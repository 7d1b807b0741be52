/* SPDX-License-Identifier: Apache-2.0 */
/* Directories, files and child processes for tests; see harness.h. */
#include "tests/harness/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

void harness_die(const char *fmt, ...)
{
	va_list ap;

	fputs("harness: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

char *tmpdir_new(void)
{
	const char *base = getenv("TMPDIR");
	char *dir = path_join(base && *base ? base : "/tmp", "aksdr-test.XXXXXX");

	if (!mkdtemp(dir))
		harness_die("creating '%s': %s", dir, strerror(errno));
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	if (remove(path) < 0 && errno != ENOENT)
		harness_die("removing '%s': %s", path, strerror(errno));
	return 0;
}

void tmpdir_remove(char *take_dir)
{
	if (!take_dir)
		return;
	if (nftw(take_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0)
		harness_die("removing '%s': %s", take_dir, strerror(errno));
	free(take_dir);
}

char *path_join(const char *dir, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		harness_die("no memory");
	return path;
}

void write_file(const char *dir, const char *name, const void *p, size_t n)
{
	auto_free char *path = path_join(dir, name);

	for (char *s = path + strlen(dir) + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			harness_die("creating '%s': %s", path, strerror(errno));
		*s = '/';
	}
	FILE *f = fopen(path, "we");
	if (!f || (n > 0 && fwrite(p, 1, n, f) != n) || fclose(f) != 0)
		harness_die("writing '%s': %s", path, strerror(errno));
}

void write_text(const char *dir, const char *name, const char *text)
{
	write_file(dir, name, text, strlen(text));
}

/* All of f from its start, and a NUL. */
static char *slurp(FILE *f, const char *what, size_t *ret_n)
{
	size_t n = 0;
	size_t cap = 4096;
	char *text = malloc(cap);

	rewind(f);
	while (text) {
		n += fread(text + n, 1, cap - n - 1, f);
		if (n < cap - 1)
			break;
		cap *= 2;
		text = realloc(text, cap);
	}
	if (!text || ferror(f))
		harness_die("reading '%s': %s", what, strerror(errno));
	text[n] = '\0';
	if (ret_n)
		*ret_n = n;
	return text;
}

char *read_file(const char *dir, const char *name, size_t *ret_n)
{
	auto_free char *path = path_join(dir, name);
	auto_fclose FILE *f = fopen(path, "re");

	if (!f)
		harness_die("opening '%s': %s", path, strerror(errno));
	return slurp(f, path, ret_n);
}

bool file_exists(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);
	struct stat st;

	return lstat(path, &st) == 0;
}

size_t count_files(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	if (!d)
		harness_die("opening '%s': %s", dir, strerror(errno));
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 2;
}

void fill_random(uint64_t seed, void *p, size_t n)
{
	uint8_t *at = p;

	while (n > 0) {
		/* https://doi.org/10.1145/2660193.2660195, figure 17 */
		uint64_t z = seed += 0x9e3779b97f4a7c15;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		z ^= z >> 31;
		size_t len = n < sizeof(z) ? n : sizeof(z);
		memcpy(at, &z, len);
		at += len;
		n -= len;
	}
}

/* Writes the counts of a coverage build; there is none in other builds. */
extern void __gcov_exit(void) __attribute__((weak));

struct harness_run harness_run(int (*fn)(void *arg), void *arg)
{
	struct harness_run r = { 0 };
	auto_fclose FILE *out = tmpfile();
	auto_fclose FILE *err = tmpfile();
	int status;

	if (!out || !err)
		harness_die("creating a temporary file: %s", strerror(errno));
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid < 0)
		harness_die("fork: %s", strerror(errno));
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (null < 0 || dup2(null, 0) < 0 || dup2(fileno(out), 1) < 0 ||
		    dup2(fileno(err), 2) < 0)
			_exit(125);
		/* Not exit(): what the parent holds would count as leaks of the child. */
		status = fn(arg);
		(void)fflush(NULL);
		if (__gcov_exit) {
			(void)dup2(null, 2); /* it may have things to say that the test did not */
			__gcov_exit();
		}
		_exit(status);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			harness_die("waiting for a child: %s", strerror(errno));
	}
	r.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	r.out = slurp(out, "stdout", &r.out_len);
	r.err = slurp(err, "stderr", &r.err_len);
	return r;
}

void harness_run_clear(struct harness_run *r)
{
	free(r->out);
	free(r->err);
	*r = (struct harness_run){ 0 };
}
