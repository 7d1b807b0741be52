/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each field becomes a set of bits. The next firing is found month by month:
 * the days of a month that fit are one set more, made by laying the days of
 * the week over it; within a day, hour and minute are the lowest bits left.
 */
#include "common/cron.h"

#include <string.h>
#include <time.h>

#include "common/num.h"
#include "common/zone.h"

#define DAY_MINUTES 1440
#define END_S INT64_C(253402300800) /* 10000-01-01 */
#define CYCLE_MONTHS (400 * 12)     /* the Gregorian calendar, days of the week included */
#define HOURS_ALL UINT32_C(0xffffff)

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

struct field {
	const char *name;
	const char *values; /* for messages */
	const char *words;  /* names of the values from low, three letters each; or "" */
	unsigned low, high;
	unsigned step_max;
};

static const struct field fields[FIELDS] = {
	[MINUTE] = { "minute", "0 to 59", "", 0, 59, 60 },
	[HOUR] = { "hour", "0 to 23", "", 0, 23, 24 },
	[DAY] = { "day of month", "1 to 31", "", 1, 31, 31 },
	[MONTH] = { "month", "1 to 12 or jan to dec", "janfebmaraprmayjunjulaugsepoctnovdec", 1, 12,
	            12 },
	[WEEKDAY] = { "day of week", "0 to 7 (0 and 7 are Sunday) or sun to sat",
	              "sunmontuewedthufrisat", 0, 7, 7 },
};

static const struct {
	const char *name;
	const char *text;
} nicknames[] = { { "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },
	          { "@midnight", "0 0 * * *" }, { "@weekly", "0 0 * * 0" },
	          { "@monthly", "0 0 1 * *" },  { "@yearly", "0 0 1 1 *" },
	          { "@annually", "0 0 1 1 *" } };

static bool value(const struct field *f, const char *text, unsigned *ret)
{
	struct err ignored = ERR_INIT;
	uint64_t v;

	if (num_u64(f->name, text, f->low, f->high, &v, &ignored) == 0) {
		*ret = (unsigned)v;
		return true;
	}
	for (unsigned i = 0; strlen(text) == 3 && f->words[3 * (size_t)i]; i++) {
		if (strncasecmp(f->words + 3 * (size_t)i, text, 3) == 0) {
			*ret = f->low + i;
			return true;
		}
	}
	return false;
}

/* The ends of "*", "5" or "1-5", which is taken apart; item: where it is in. */
static int range(const struct field *f, const char *item, char *text, unsigned *ret_from,
                 unsigned *ret_to, struct err *e)
{
	if (strcmp(text, "*") == 0) {
		*ret_from = f->low;
		*ret_to = f->high;
		return 0;
	}
	const char *from = strsep(&text, "-");
	const char *to = text ? text : from;
	if (!value(f, from, ret_from) || !value(f, to, ret_to))
		return err_set(e, ERR_INVALID,
		               "%s '%s': allowed are %s, lists (1,5), ranges (1-5), * and steps "
		               "(*/2, 1-5/2)",
		               f->name, item, f->values);
	if (*ret_from > *ret_to)
		return err_set(e, ERR_INVALID, "%s '%s': a range goes upwards; allowed are %s",
		               f->name, item, f->values);
	return 0;
}

/* Adds one item of a list to the set. text is taken apart. */
static int add(const struct field *f, char *text, uint64_t *bits, struct err *e)
{
	char item[CRON_TEXT_MAX + 1];
	struct err ignored = ERR_INIT;
	uint64_t step = 1;
	unsigned from = 0;
	unsigned to = 0;

	(void)snprintf(item, sizeof(item), "%s", text);
	char *values = strsep(&text, "/");
	bool single = !strpbrk(values, "*-");
	if (range(f, item, values, &from, &to, e) < 0)
		return -1;
	if (text && single)
		return err_set(e, ERR_INVALID,
		               "%s '%s': a step needs a range or * before it, as in 1-5/2", f->name,
		               item);
	if (text && num_u64("step", text, 1, f->step_max, &step, &ignored) < 0)
		return err_set(e, ERR_INVALID, "%s '%s': a step is a number from 1 to %u", f->name,
		               item, f->step_max);
	for (unsigned v = from; v <= to; v += (unsigned)step)
		*bits |= UINT64_C(1) << v;
	return 0;
}

static int nickname(struct cron *ret, const char *name, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(nicknames); i++) {
		if (strcmp(name, nicknames[i].name) == 0)
			return cron_parse(ret, nicknames[i].text, e);
	}
	return err_set(e, ERR_INVALID,
	               "cron expression '%s': names that are known are @hourly @daily @midnight "
	               "@weekly @monthly @yearly @annually",
	               name);
}

int cron_parse(struct cron *ret, const char *text, struct err *e)
{
	char copy[CRON_TEXT_MAX + 1];
	char *words[FIELDS];
	uint64_t sets[FIELDS] = { 0 };
	size_t n = 0;

	if (strlen(text) > CRON_TEXT_MAX)
		return err_set(e, ERR_INVALID, "a cron expression has at most %d bytes, not %zu",
		               CRON_TEXT_MAX, strlen(text));
	(void)snprintf(copy, sizeof(copy), "%s", text);
	char *rest = copy;
	for (char *word; (word = strsep(&rest, " \t"));) {
		if (*word && n++ < FIELDS)
			words[n - 1] = word;
	}
	if (n == 1 && words[0][0] == '@')
		return nickname(ret, words[0], e);
	if (n != FIELDS)
		return err_set(e, ERR_INVALID,
		               "cron expression '%s' has %zu fields instead of 5: minute, hour, "
		               "day of month, month, day of week",
		               text, n);
	bool star = *words[DAY] == '*' || *words[WEEKDAY] == '*';
	for (size_t i = 0; i < FIELDS; i++) {
		for (char *item; (item = strsep(&words[i], ","));) {
			if (add(&fields[i], item, &sets[i], e) < 0)
				return err_wrap(e, "cron expression '%s'", text);
		}
	}
	*ret = (struct cron){
		.minutes = sets[MINUTE],
		.hours = (uint32_t)sets[HOUR],
		.days = (uint32_t)sets[DAY],
		.months = (uint16_t)sets[MONTH],
		.weekdays = (uint8_t)((sets[WEEKDAY] | sets[WEEKDAY] >> 7) & 0x7f),
		.either = !star,
	};
	return 0;
}

/* The lowest bit of set at or above from, which is below 64; -1: none. */
static int lowest(uint64_t set, int from)
{
	set = set >> from << from;
	return set ? __builtin_ctzll(set) : -1;
}

/* The first minute of a day at or after from; -1: none. */
static int minute_from(const struct cron *c, int from)
{
	int hour = lowest(c->hours, from / 60);
	int minute = lowest(c->minutes, hour == from / 60 ? from % 60 : 0);

	if (minute < 0) { /* none is left in this hour */
		hour = lowest(c->hours, hour + 1);
		minute = lowest(c->minutes, 0);
	}
	return hour < 0 ? -1 : hour * 60 + minute;
}

static int month_days(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* The days of a month of n days that fit; first: its first, in days since 1970. */
static uint64_t days_of(const struct cron *c, int64_t first, int n)
{
	const unsigned weekday = (unsigned)((first + 4) % 7); /* 1970-01-01 was a Thursday */
	uint64_t by_week = 0;

	for (unsigned week = 0; week < 6; week++)
		by_week |= (uint64_t)c->weekdays << 7 * week;
	by_week = by_week >> weekday << 1;
	uint64_t all = (UINT64_C(2) << n) - 2;
	return (c->either ? c->days | by_week : c->days & by_week) & all;
}

int64_t cron_next(const struct cron *c, int64_t after_s)
{
	struct tm tm;

	if (after_s >= END_S)
		return -1;
	int64_t at = after_s < 0 ? 0 : after_s / 60 + 1; /* the first minute that counts */
	const time_t at_s = at * 60;
	(void)gmtime_r(&at_s, &tm);
	int year = tm.tm_year + 1900;
	int month = tm.tm_mon + 1;
	int day = tm.tm_mday;
	int64_t first = at / DAY_MINUTES - (day - 1);
	int minute = minute_from(c, (int)(at % DAY_MINUTES));

	if (minute < 0) /* none is left in this day */
		day++;
	for (int i = 0; i <= CYCLE_MONTHS && year < 10000; i++) {
		const int n = month_days(year, month);
		const uint64_t days = c->months >> month & 1 ? days_of(c, first, n) : 0;
		const int found = lowest(days, day);

		if (found > 0) {
			if (i > 0 || found != tm.tm_mday)
				minute = minute_from(c, 0);
			return ((first + found - 1) * DAY_MINUTES + minute) * 60;
		}
		first += n;
		day = 1;
		year += month == 12;
		month = month % 12 + 1;
	}
	return -1;
}

int64_t cron_next_in(const struct cron *c, const struct zone *z, int64_t after_s)
{
	const bool hourly = c->hours == HOURS_ALL;
	struct zone_span span;

	if (after_s < -2 * DAY_MINUTES * 60) /* 1970 begins at most a day earlier elsewhere */
		after_s = INT64_C(-2) * DAY_MINUTES * 60;
	for (int64_t from_s = after_s; from_s < END_S; from_s = span.to_s) {
		span = zone_at(z, from_s);
		/* Behind from_s; but at it, when a span begins there that was not looked at. */
		int64_t local_s = from_s + span.offset_s - (from_s > after_s);
		const int64_t shown_s = span.from_s == INT64_MIN ? INT64_MIN
		                                                 : span.from_s + span.before_s;
		if (!hourly && span.offset_s < span.before_s && local_s < shown_s - 1)
			local_s = shown_s - 1; /* up to here local time comes for the second time */
		const int64_t found_s = cron_next(c, local_s);
		if (found_s < 0)
			return -1;
		if (span.to_s == INT64_MAX || found_s - span.offset_s < span.to_s)
			return found_s - span.offset_s;
		const int32_t then_s = zone_at(z, span.to_s).offset_s;
		if (!hourly && found_s < span.to_s + then_s)
			return span.to_s; /* it would have been in the gap */
	}
	return -1;
}
