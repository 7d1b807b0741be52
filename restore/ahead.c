/* SPDX-License-Identifier: Apache-2.0 */
/* See ahead.h. */
#include "restore/ahead.h"

#define SLACK AHEAD_FIRST /* reads of a run that overtake each other */

bool ahead_next(struct ahead *a, uint64_t off, uint64_t n, uint64_t max, uint64_t *ret_from,
                uint64_t *ret_n)
{
	uint64_t end = off + n;
	bool run = off <= a->next + SLACK && end + SLACK >= a->next;

	/* The first read of all counts as a run when it is at the beginning. */
	if (!run) {
		*a = (struct ahead){ .next = end, .end = end };
		return false;
	}
	if (end > a->next)
		a->next = end;
	if (a->end < a->next)
		a->end = a->next;
	/* Half of the window is still to come: that is enough for now. */
	if (a->window > 0 && a->end - a->next > a->window / 2)
		return false;
	a->window = a->window == 0 ? AHEAD_FIRST : 2 * a->window;
	if (a->window > max)
		a->window = max;
	*ret_from = a->end;
	*ret_n = a->next + a->window - a->end;
	a->end += *ret_n;
	return *ret_n > 0;
}
