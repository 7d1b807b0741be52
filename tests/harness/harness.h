/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every test program needs around the thing it tests: a directory of its
 * own, files in it, and a look at what a function prints and exits with. A
 * helper that fails has found a broken machine, not a broken program: it says
 * so on stderr and aborts, so tests need not check it.
 */
#ifndef AKSDR_TESTS_HARNESS_H
#define AKSDR_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clean.h"

/* Ends the program after a message: the machine cannot run this test. */
void harness_die(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));

/* A new empty directory below $TMPDIR (or /tmp), mode 0700; give it to tmpdir_remove(). */
char *tmpdir_new(void);

/* Removes the directory and all below it, follows no link, and frees the name. NULL is fine. */
void tmpdir_remove(char *take_dir);
static inline void clean_tmpdir(char *const *dir)
{
	tmpdir_remove(*dir);
}
#define auto_tmpdir CLEANUP(clean_tmpdir) __attribute__((unused))

/* "DIR/NAME" in allocated memory; the caller frees. */
char *path_join(const char *dir, const char *name);

/* Creates or replaces DIR/NAME with these bytes; folders in NAME are created. Mode 0644. */
void write_file(const char *dir, const char *name, const void *p, size_t n);

/* The same for a text without its NUL. */
void write_text(const char *dir, const char *name, const char *text);

/* All bytes of DIR/NAME and a NUL after them; the caller frees. ret_n may be NULL. */
char *read_file(const char *dir, const char *name, size_t *ret_n);

/* True when DIR/NAME exists, whatever it is; a symbolic link counts itself. */
bool file_exists(const char *dir, const char *name);

/* Names in a directory except "." and "..". */
size_t count_files(const char *dir);

/* Fills with reproducible bytes: the same seed gives the same ones (SplitMix64). */
void fill_random(uint64_t seed, void *p, size_t n);

/* What a function did in a process of its own. */
struct harness_run {
	int status; /* its exit status, or 128 + the signal that ended it */
	char *out;  /* stdout, NUL-terminated */
	size_t out_len;
	char *err; /* stderr, NUL-terminated */
	size_t err_len;
};

/*
 * Runs fn(arg) in a forked child with its standard input from /dev/null and
 * its output caught; the child exits with what fn returns. Threads of the
 * caller do not exist in the child.
 */
struct harness_run harness_run(int (*fn)(void *arg), void *arg);
void harness_run_clear(struct harness_run *r);
#define auto_run CLEANUP(harness_run_clear)

#endif
