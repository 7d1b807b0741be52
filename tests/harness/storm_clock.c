/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The linker's --wrap=clock_gettime sends the product's clock here, so that a
 * process of a test can live in another year, or backwards. The monotonic clock is
 * left alone: it cannot be set.
 */
#include "tests/harness/storm_clock.h"

#include <time.h>

static int64_t offset_ns;
static int rate = 1;
static struct timespec since;

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);

static int64_t ns_of(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

void storm_clock_set(int64_t ns, int run_rate)
{
	(void)__real_clock_gettime(CLOCK_REALTIME, &since);
	offset_ns = ns;
	rate = run_rate;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	int rc = __real_clock_gettime(id, ret);

	if (rc < 0 || id != CLOCK_REALTIME || (offset_ns == 0 && rate == 1))
		return rc;
	int64_t ns = ns_of(&since) + offset_ns + rate * (ns_of(ret) - ns_of(&since));
	*ret = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	return 0;
}
