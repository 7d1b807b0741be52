/* SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers, sizes and durations: the whole text counts, or it is an error. */
#ifndef AKSDR_COMMON_NUM_H
#define AKSDR_COMMON_NUM_H

#include <stdint.h>

#include "common/err.h"

/* Decimal digits only, min <= value <= max. ERR_INVALID names what, the text and the range. */
MUST_CHECK int num_u64(const char *what, const char *text, uint64_t min, uint64_t max,
                       uint64_t *ret, struct err *e);

/* Digits with an optional K M G T P (1000) or Ki Mi Gi Ti Pi (1024) and an optional B. */
MUST_CHECK int num_size(const char *what, const char *text, uint64_t max, uint64_t *ret_bytes,
                        struct err *e);

/* Sums of number and unit: s m h d w, as in "1h30m". */
MUST_CHECK int num_duration(const char *what, const char *text, int64_t *ret_s, struct err *e);

/* "1.4 GiB", "812 B". For people; at most 15 characters and the NUL. */
struct num_text {
	char s[24];
};
struct num_text num_bytes_text(uint64_t bytes);
struct num_text num_duration_text(int64_t s); /* "2h05m", "41s" */

#endif
