/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The retry schedule. The ceiling doubles by shifting, with a check against
 * the longest wait before each step, so that no count of failures overflows.
 */
#include "common/backoff.h"

#include <assert.h>

int64_t backoff_wait_ms(const struct backoff *b, unsigned failed, int64_t elapsed_ms,
                        uint64_t random)
{
	int64_t ceiling = b->first_ms < b->longest_ms ? b->first_ms : b->longest_ms;

	assert(failed > 0);
	if (elapsed_ms >= b->budget_ms)
		return -1;
	for (unsigned i = 1; i < failed && ceiling < b->longest_ms; i++)
		ceiling = ceiling > b->longest_ms / 2 ? b->longest_ms : ceiling * 2;
	if (ceiling < 1)
		ceiling = 1;
	int64_t wait = 1 + (int64_t)(random % (uint64_t)ceiling);
	int64_t left = b->budget_ms - elapsed_ms;
	return wait < left ? wait : left;
}
