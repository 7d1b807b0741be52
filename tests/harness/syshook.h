/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at, and a hand in, the system calls and allocations of the code
 * under test: a function of the test is asked before each one and lets it
 * pass, makes it fail, or ends the process there and then.
 *
 * The linker puts the hooks in place: the .ldflags file of a test that wants
 * them has the line "@tests/harness/syshook.ldflags". Only calls out of this
 * project's objects are seen, not those inside of libraries.
 */
#ifndef AKSDR_TESTS_SYSHOOK_H
#define AKSDR_TESTS_SYSHOOK_H

enum syshook_call {
	HOOK_OPENAT,
	HOOK_MKDIRAT,
	HOOK_WRITEV,
	HOOK_FDATASYNC,
	HOOK_FSYNC,
	HOOK_LINKAT,
	HOOK_RENAMEAT2,
	HOOK_UNLINKAT,
	HOOK_PREAD,
	HOOK_FSTAT,
	HOOK_FSTATAT,
	HOOK_FDOPENDIR,
	HOOK_READDIR,
	HOOK_ALLOC, /* malloc, calloc, realloc, reallocarray, strdup, asprintf */
	HOOK_CALLS
};

/*
 * Only a part: writev and pread move one byte less than they could, readdir
 * tells no d_type, fsync and fdatasync succeed and do nothing.
 */
enum { SYSHOOK_SHORT = -1 };

/*
 * Asked before each call; flags are those of openat, linkat, unlinkat and
 * renameat2, else 0. 0: the call is made. An errno: it fails with that and is
 * not made. May be asked by several threads at once.
 */
typedef int syshook_fn(void *arg, enum syshook_call call, int flags);

/* NULL ends it. Set it while no other thread runs. */
void syshook_set(syshook_fn *fn, void *arg);

const char *syshook_name(enum syshook_call call);

#endif
