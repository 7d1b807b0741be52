/* SPDX-License-Identifier: Apache-2.0 */
/* A clock of one's own; for programs that are linked with -Wl,--wrap=clock_gettime. */
#ifndef AKSDR_TESTS_STORM_CLOCK_H
#define AKSDR_TESTS_STORM_CLOCK_H

#include <stdint.h>

/* From now on the wall clock is so far off, and runs at this rate: -1 is backwards. */
void storm_clock_set(int64_t offset_ns, int rate);

#endif
