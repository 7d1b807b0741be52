/* SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers: no sign, no space, no rounding; every digit is checked for overflow. */
#include "common/num.h"

#include <string.h>

/*
 * Decimal digits at *s, which moves behind them. False when there is none or
 * the value is over 64 bits.
 */
static bool digits(const char **s, uint64_t *ret)
{
	const char *at = *s;
	uint64_t v = 0;

	for (; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*at - '0'), &v))
			return false;
	}
	if (at == *s)
		return false;
	*s = at;
	*ret = v;
	return true;
}

int num_u64(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret,
            struct err *e)
{
	const char *s = text;
	uint64_t v;

	if (!digits(&s, &v) || *s || v < min || v > max)
		return err_set(e, ERR_INVALID, "%s '%s' is not a number from %llu to %llu", what,
		               text, (unsigned long long)min, (unsigned long long)max);
	*ret = v;
	return 0;
}

int num_size(const char *what, const char *text, uint64_t max, uint64_t *ret_bytes, struct err *e)
{
	static const char prefixes[] = "KMGTP";
	const char *s = text;
	const char *prefix;
	uint64_t unit = 1;
	uint64_t v;

	if (!digits(&s, &v))
		goto bad;
	prefix = *s ? strchr(prefixes, *s) : NULL;
	if (prefix) {
		uint64_t step = s[1] == 'i' ? 1024 : 1000;

		s += step == 1024 ? 2 : 1;
		for (const char *p = prefixes; p <= prefix; p++)
			unit *= step;
	}
	if (*s == 'B')
		s++;
	if (*s)
		goto bad;
	if (__builtin_mul_overflow(v, unit, &v) || v > max)
		return err_set(e, ERR_INVALID, "%s '%s' is over the limit of %s", what, text,
		               num_bytes_text(max).s);
	*ret_bytes = v;
	return 0;
bad:
	return err_set(e, ERR_INVALID,
	               "%s '%s' is not a size; write digits and a unit, as in 64MiB or 10G", what,
	               text);
}

/* Seconds of a unit's letter, or 0. */
static int64_t seconds_of(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	case 'w':
		return 604800;
	default:
		return 0;
	}
}

int num_duration(const char *what, const char *text, int64_t *ret_s, struct err *e)
{
	const char *s = text;
	int64_t sum = 0;

	do {
		uint64_t v;
		int64_t part;

		if (!digits(&s, &v))
			goto bad;
		int64_t unit = seconds_of(*s);
		if (unit == 0 || __builtin_mul_overflow(v, unit, &part) ||
		    __builtin_add_overflow(sum, part, &sum))
			goto bad;
		s++;
	} while (*s);
	*ret_s = sum;
	return 0;
bad:
	return err_set(e, ERR_INVALID,
	               "%s '%s' is not a duration; write numbers with units s m h d w, as in 1h30m",
	               what, text);
}

struct num_text num_bytes_text(uint64_t bytes)
{
	static const char prefixes[] = "KMGTPE";
	struct num_text t;
	uint64_t unit = 1024;
	size_t i = 0;

	if (bytes < unit) {
		(void)snprintf(t.s, sizeof(t.s), "%u B", (unsigned)bytes);
		return t;
	}
	for (;;) {
		uint64_t whole = bytes / unit;
		/* tenths, to the nearest; the rest is under 2^60, so nothing overflows */
		uint64_t tenths = (bytes % unit * 10 + unit / 2) / unit;

		if (tenths == 10) {
			whole++;
			tenths = 0;
		}
		if (whole < 1024 || i + 2 == sizeof(prefixes)) {
			(void)snprintf(t.s, sizeof(t.s), "%u.%u %ciB", (unsigned)whole,
			               (unsigned)tenths, prefixes[i]);
			return t;
		}
		unit *= 1024;
		i++;
	}
}

struct num_text num_duration_text(int64_t s)
{
	struct num_text t;

	if (s < 0)
		s = 0;
	long long d = s / 86400;
	int h = (int)(s / 3600 % 24);
	int m = (int)(s / 60 % 60);
	if (d > 0)
		(void)snprintf(t.s, sizeof(t.s), "%lldd%02dh", d, h);
	else if (h > 0)
		(void)snprintf(t.s, sizeof(t.s), "%dh%02dm", h, m);
	else if (m > 0)
		(void)snprintf(t.s, sizeof(t.s), "%dm%02ds", m, (int)(s % 60));
	else
		(void)snprintf(t.s, sizeof(t.s), "%ds", (int)s);
	return t;
}
