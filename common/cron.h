/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cron expressions, and when they fire: "30 2 * * mon-fri" is minute, hour,
 * day of month, month, day of week. The rules are those of crontab(5) of
 * Debian's cron 3.0pl1 (vixie cron) and, where that page is silent, of its
 * entry.c and cron.c. Times are of UTC, or of a zone that is given. Pure, and
 * safe for threads.
 */
#ifndef AKSDR_COMMON_CRON_H
#define AKSDR_COMMON_CRON_H

#include <stdint.h>

#include "common/err.h"

struct zone;

#define CRON_TEXT_MAX 255 /* bytes of an expression */

/* Sets of bits by value; filled by cron_parse() alone. */
struct cron {
	uint64_t minutes; /* 0 to 59 */
	uint32_t hours;   /* 0 to 23 */
	uint32_t days;    /* 1 to 31 */
	uint16_t months;  /* 1 to 12 */
	uint8_t weekdays; /* 0 (Sunday) to 6 */
	bool either;      /* a day fits that is in one of days and weekdays; false: in both */
};

/*
 * Five fields with blanks or tabs between them, or one of @hourly @daily
 * @midnight @weekly @monthly @yearly @annually.
 *
 * A field is a list, with commas, of: a value; a range a-b, a <= b; '*' for
 * the whole range; the last two with a step: a-b/n is a, a+n, ... up to b.
 * Months may be called jan to dec and days of the week sun to sat, in any case
 * of letters, in lists and ranges too. 0 and 7 are Sunday.
 *
 * A day fits when both of its fields fit; but when both are restricted, one is
 * enough: "0 4 1,15 * 5" fires on the 1st, on the 15th, and on every Friday.
 * Restricted is a field that does not begin with '*', so one that is '*' and a
 * step is not: with it, both must fit.
 *
 * Refused, where vixie cron does something that is hardly meant: a step larger
 * than the field (every 90 minutes), and one after a single value (5/15).
 *
 *   ERR_INVALID  names the field, and what is allowed there
 */
MUST_CHECK int cron_parse(struct cron *ret, const char *text, struct err *e);

/*
 * Seconds since 1970 of the first firing after after_s, never at it; or -1
 * when there is none before the year 10000, as for 30 February. Never before
 * 1970. Takes as long as looking at each month until then, at most 400 years
 * of them: that is when the calendar repeats itself.
 */
int64_t cron_next(const struct cron *c, int64_t after_s);

/*
 * The same with the expression in local time of a zone; NULL: UTC. Where clocks are put forward or
 * back, as cron(8) does it:
 *  - what would fire in the gap fires once, at its end, together with what fires there anyway;
 *  - what fires in the time that comes twice fires in the first one only;
 *  - an expression that fires in every hour goes by what the clock shows: not in the gap, and both
 *    times in the time that comes twice. (cron(8) looks for '*' in the field; "0-23" is the same
 *    here.)
 */
int64_t cron_next_in(const struct cron *c, const struct zone *z, int64_t after_s);

#endif
