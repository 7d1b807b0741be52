/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays inputs through a fuzz target in ordinary builds.
 *
 * A target defines LLVMFuzzerTestOneInput(); under libFuzzer that library brings main(). Everywhere
 * else this file does: it runs the target once over no bytes, then over every regular file named on
 * the command line and in the directories named there, in order of name, so that the corpus is a
 * regression test with any compiler and any sanitizer. A defect ends the process: the target
 * aborts, or a sanitizer does. The name of an input is on stderr before it runs if V is set.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static unsigned long passed;
static unsigned long failed;

static void replay_fail(const char *path)
{
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	failed++;
}

/* The copy has exactly the input's size, so that a read past its end is seen. */
static void replay_bytes(const uint8_t *p, size_t n)
{
	uint8_t *exact = malloc(n ? n : 1);

	if (!exact)
		abort();
	if (n)
		memcpy(exact, p, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	passed++;
}

static void replay_file(const char *path, int fd, size_t size)
{
	uint8_t *bytes = malloc(size ? size : 1);
	size_t have = 0;
	ssize_t got = 0;

	if (!bytes)
		abort();
	while (have < size && (got = read(fd, bytes + have, size - have)) > 0)
		have += (size_t)got;
	if (got < 0)
		replay_fail(path);
	else
		replay_bytes(bytes, have);
	free(bytes);
}

static void replay(const char *path)
{
	struct dirent **names = NULL;
	struct stat st;
	int fd, n;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		replay_fail(path);
		if (fd >= 0)
			close(fd);
		return;
	}
	if (S_ISREG(st.st_mode)) {
		if (getenv("V"))
			fprintf(stderr, "%s\n", path);
		replay_file(path, fd, (size_t)st.st_size);
	}
	close(fd);
	if (!S_ISDIR(st.st_mode))
		return;

	n = scandir(path, &names, NULL, alphasort);
	if (n < 0) {
		replay_fail(path);
		return;
	}
	for (int i = 0; i < n; i++) {
		char *child = NULL;

		if (names[i]->d_name[0] != '.') {
			if (asprintf(&child, "%s/%s", path, names[i]->d_name) < 0)
				abort();
			replay(child);
			free(child);
		}
		free(names[i]);
	}
	free(names);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE|DIRECTORY...\n", program_invocation_short_name);
		return 2;
	}
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (passed + failed == 0) {
		fprintf(stderr, "%s: no inputs\n", program_invocation_short_name);
		return 1;
	}
	replay_bytes(NULL, 0);
	printf("%s: %lu passed, %lu failed\n", program_invocation_short_name, passed, failed);
	return failed ? 1 : 0;
}
