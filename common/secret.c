/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for keys, by libsodium's guarded allocator. Sizes are rounded up to
 * 16 bytes: the allocator puts the end of the block against a guard page, and
 * only a rounded size leaves its start aligned for key schedules.
 */
#include "common/secret.h"

#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int secret_init(struct err *e)
{
	const struct rlimit none = { 0, 0 };

	/* LCOV_EXCL_START: no kernel is without */
	if (sodium_init() < 0)
		return err_set(e, ERR_BUG, "libsodium does not start: no random numbers");
	/* LCOV_EXCL_STOP */
	/* Best effort: a container may forbid either, and a core may still be wanted by root. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
	return 0;
}

void *secret_new(size_t n)
{
	if (sodium_init() < 0 || n > SIZE_MAX / 2)
		return NULL;
	n = (n + 15) & ~(size_t)15;
	void *p = sodium_malloc(n);
	if (p)
		memset(p, 0, n);
	return p;
}

void secret_free(void *p)
{
	sodium_free(p);
}

void secret_wipe(void *p, size_t n)
{
	if (n > 0)
		sodium_memzero(p, n);
}

void secret_random(void *p, size_t n)
{
	randombytes_buf(p, n);
}
