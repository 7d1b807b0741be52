/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines: words with NULs between them, for a program that has verbs
 * and options of every shape. It ends with a status that there is; when that is
 * not 0, it says why, in one line.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/common/verb_sample.h"

#define WORDS_MAX 24
#define TOLD_MAX (64 * KIB)

/* Where reports go while standard error is not ours to write to. */
__attribute__((weak)) void __sanitizer_set_report_fd(void *fd);

struct outputs {
	int out, err; /* as they were */
	int told;     /* takes the place of standard error */
};

static void outputs_take(struct outputs *o)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)fflush(stdout);
	(void)fflush(stderr);
	o->out = dup(STDOUT_FILENO);
	o->err = dup(STDERR_FILENO);
	o->told = memfd_create("told", MFD_CLOEXEC);
	holds(null >= 0 && o->out >= 0 && o->err >= 0 && o->told >= 0);
	if (__sanitizer_set_report_fd)
		__sanitizer_set_report_fd((void *)(uintptr_t)o->err);
	holds(dup2(null, STDOUT_FILENO) >= 0 && dup2(o->told, STDERR_FILENO) >= 0);
	(void)close(null);
}

/* Gives them back; ret gets what was told, as a text. */
static void outputs_give(struct outputs *o, char ret[TOLD_MAX])
{
	holds(dup2(o->out, STDOUT_FILENO) >= 0 && dup2(o->err, STDERR_FILENO) >= 0);
	if (__sanitizer_set_report_fd)
		__sanitizer_set_report_fd((void *)(uintptr_t)STDERR_FILENO);
	ssize_t n = pread(o->told, ret, TOLD_MAX - 1, 0);
	holds(n >= 0);
	ret[n] = '\0';
	(void)close(o->out);
	(void)close(o->err);
	(void)close(o->told);
}

/* Each line is whole, and has no control characters. */
static void check_lines(const char *told)
{
	size_t n = strlen(told);

	holds(n == 0 || told[n - 1] == '\n');
	for (size_t i = 0; i < n; i++)
		holds((uint8_t)told[i] >= 0x20 || told[i] == '\n');
}

static void words(char **argv, int argc)
{
	char given[TOLD_MAX];
	struct outputs o;

	outputs_take(&o);
	int status = verb_main(&sample, argc, argv);
	outputs_give(&o, given);
	holds(status == EXIT_OK || status == EXIT_FAILED || status == EXIT_USAGE ||
	      status == EXIT_INTEGRITY);
	check_lines(given);
	if (status == EXIT_USAGE)
		holds(strstr(given, "aksdr-agent"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char name[] = "aksdr-agent";
	char *argv[WORDS_MAX + 2] = { name };
	const uint8_t *word;
	size_t n;
	int argc = 1;

	if (size > 4 * KIB)
		return 0;
	while (argc <= WORDS_MAX && fuzz_piece(&data, &size, 0, &word, &n))
		argv[argc++] = fuzz_text(word, n);
	char *mine[WORDS_MAX + 2];
	memcpy(mine, argv, sizeof(mine));
	words(argv, argc);
	for (int i = 1; i < argc; i++)
		free(mine[i]);
	return 0;
}
