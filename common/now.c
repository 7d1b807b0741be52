/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and its texts. Calendar arithmetic is done here, on the proleptic
 * Gregorian calendar in UTC: no time zone, no locale, no hidden state.
 */
#include "common/now.h"

#include <string.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts); /* cannot fail for these two clocks */
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t now_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t now_mono_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

/* Whole seconds at or before ns. */
static time_t floor_s(int64_t ns)
{
	return ns / NS_PER_S - (ns % NS_PER_S < 0 ? 1 : 0);
}

struct now_text now_rfc3339(int64_t wall_ns)
{
	time_t s = floor_s(wall_ns);
	int ms = (int)((wall_ns % NS_PER_S + NS_PER_S) % NS_PER_S / 1000000);
	struct now_text t;
	struct tm tm;

	(void)gmtime_r(&s, &tm);
	size_t n = strftime(t.s, sizeof(t.s), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(t.s + n, sizeof(t.s) - n, ".%03dZ", ms);
	return t;
}

struct now_text now_day(int64_t wall_ns)
{
	time_t s = floor_s(wall_ns);
	struct now_text t;
	struct tm tm;

	(void)gmtime_r(&s, &tm);
	(void)strftime(t.s, sizeof(t.s), "%Y-%m-%d", &tm);
	return t;
}

static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
	                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

/* Without strftime: its names follow the locale. */
struct now_text now_http(int64_t wall_ns)
{
	time_t s = floor_s(wall_ns);
	struct now_text t;
	struct tm tm;

	(void)gmtime_r(&s, &tm);
	(void)snprintf(t.s, sizeof(t.s), "%s, %02u %s %04u %02u:%02u:%02u GMT",
	               day_names[(unsigned)tm.tm_wday % 7], (unsigned)tm.tm_mday % 32,
	               month_names[(unsigned)tm.tm_mon % 12], (unsigned)(tm.tm_year + 1900) % 10000,
	               (unsigned)tm.tm_hour % 24, (unsigned)tm.tm_min % 60,
	               (unsigned)tm.tm_sec % 61);
	return t;
}

/* n decimal digits at *s, which moves behind them; -1 when they are not there. */
static int field(const char **s, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		char c = (*s)[0];

		if (c < '0' || c > '9')
			return -1;
		v = v * 10 + (c - '0');
		(*s)++;
	}
	return v;
}

/* The character at *s when it is one of set; 0 when not. */
static char one_of(const char **s, const char *set)
{
	char c = **s;

	if (c == '\0' || !strchr(set, c))
		return 0;
	(*s)++;
	return c;
}

static bool leap(int y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Days from 1970-01-01 to the date, or false for a day that does not exist. */
static bool days_of(int y, int m, int d, int64_t *ret)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };

	if (y < 1 || m < 1 || m > 12 || d < 1)
		return false;
	bool leap_day = m == 2 && leap(y);
	if (d > before[m] - before[m - 1] + leap_day)
		return false;
	int64_t past = y - 1;
	int64_t days = past * 365 + past / 4 - past / 100 + past / 400;
	days += before[m - 1] + (m > 2 && leap(y)) + d - 1;
	*ret = days - 719162; /* 1970-01-01 counted in the same way */
	return true;
}

/* A fraction of a second; digits after the ninth do not count. */
static bool fraction(const char **s, int64_t *ret_ns)
{
	int64_t unit = NS_PER_S / 10;
	const char *start = *s;

	*ret_ns = 0;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		*ret_ns += (**s - '0') * unit;
		unit /= 10;
	}
	return *s > start;
}

/* "Z" or "+02:00": seconds east of UTC. */
static bool zone(const char **s, int64_t *ret_s)
{
	char sign = one_of(s, "Zz+-");

	*ret_s = 0;
	if (sign == 'Z' || sign == 'z')
		return true;
	if (!sign)
		return false;
	int h = field(s, 2);
	if (h < 0 || h > 23 || !one_of(s, ":"))
		return false;
	int m = field(s, 2);
	if (m < 0 || m > 59)
		return false;
	*ret_s = (sign == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return true;
}

/* Seconds of the day and the fraction; a leap second is the first of the next minute. */
static bool time_of(const char **s, int64_t *ret_s, int64_t *ret_ns)
{
	int h = field(s, 2);
	if (h < 0 || h > 23 || !one_of(s, ":"))
		return false;
	int m = field(s, 2);
	if (m < 0 || m > 59)
		return false;
	*ret_s = h * 3600 + m * 60;
	*ret_ns = 0;
	if (!one_of(s, ":"))
		return true; /* seconds may be left out */
	int sec = field(s, 2);
	if (sec < 0 || sec > 60)
		return false;
	*ret_s += sec;
	return !one_of(s, ".") || fraction(s, ret_ns);
}

static bool parse(const char *s, int64_t *ret)
{
	int64_t days;
	int64_t of_day = 0;
	int64_t ns = 0;
	int64_t east = 0;
	int64_t wall;

	int y = field(&s, 4);
	if (y < 0 || !one_of(&s, "-"))
		return false;
	int m = field(&s, 2);
	if (m < 0 || !one_of(&s, "-"))
		return false;
	int d = field(&s, 2);
	if (d < 0 || !days_of(y, m, d, &days))
		return false;
	if (*s && (!one_of(&s, "Tt ") || !time_of(&s, &of_day, &ns) || !zone(&s, &east)))
		return false;
	if (*s || __builtin_mul_overflow(days * 86400 + of_day - east, NS_PER_S, &wall) ||
	    __builtin_add_overflow(wall, ns, &wall))
		return false;
	*ret = wall;
	return true;
}

int now_parse(const char *text, int64_t *ret_wall_ns, struct err *e)
{
	if (!parse(text, ret_wall_ns))
		return err_set(e, ERR_INVALID,
		               "'%s' is not a time; write 2026-11-22T10:04:05Z or 2026-11-22",
		               text);
	return 0;
}

/* Which of n names of three letters is at *s, which moves behind it; -1: none. */
static int name_at(const char **s, const char (*names)[4], int n)
{
	for (int i = 0; i < n; i++) {
		if (strncmp(*s, names[i], 3) == 0) {
			*s += 3;
			return i;
		}
	}
	return -1;
}

static bool literal(const char **s, const char *text)
{
	size_t n = strlen(text);

	if (strncmp(*s, text, n) != 0)
		return false;
	*s += n;
	return true;
}

static bool parse_http(const char *s, int64_t *ret)
{
	int64_t past;
	int64_t of_day;
	int64_t ns;

	if (name_at(&s, day_names, 7) < 0 || !literal(&s, ", "))
		return false;
	int d = field(&s, 2);
	if (d < 0 || !literal(&s, " "))
		return false;
	int m = name_at(&s, month_names, 12) + 1;
	if (m < 1 || !literal(&s, " "))
		return false;
	int y = field(&s, 4);
	if (y < 0 || !days_of(y, m, d, &past) || !literal(&s, " "))
		return false;
	if (strlen(s) != strlen("10:04:05 GMT") || !time_of(&s, &of_day, &ns) ||
	    strcmp(s, " GMT") != 0)
		return false;
	return !__builtin_mul_overflow(past * 86400 + of_day, NS_PER_S, ret);
}

int now_http_parse(const char *text, int64_t *ret_wall_ns, struct err *e)
{
	int64_t ns;

	if (!parse_http(text, &ns))
		return err_set(e, ERR_INVALID,
		               "'%.60s' is no date of HTTP as in 'Sun, 22 Nov 2026 10:04:05 GMT'",
		               text);
	*ret_wall_ns = ns;
	return 0;
}
