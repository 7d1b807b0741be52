/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of a file is kept as times at which the offset changes; changes that leave it the same
 * (of the name, or of what counts as summer) are left out. Behind the table the rule, a TZ string
 * of POSIX with the longer times of RFC 8536 3.3.1, is laid out for the years around the time that
 * is asked for.
 */
#include "common/zone.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/fd.h"
#include "common/rd.h"

#define DIR_USUAL "/usr/share/zoneinfo"
#define DAY_S 86400
#define HOUR_S 3600
#define FAR_S (INT64_C(1) << 55) /* over a billion years: nothing that is added overflows */
#define CHANGES_YEARS 3          /* of the rule: the year before, the year, the one after */

struct change {
	int64_t at_s;
	int32_t offset_s;
};

/* When summer begins or ends in a year: "M3.5.0/2", "J60", "59". */
struct rule_day {
	char kind; /* 'M', 'J', or 0: days from 0, 29 February counts */
	int month, week, day;
	int32_t time_s; /* local, from midnight; may be of other days */
};

struct rule {
	bool given;  /* there is a rule; else the last offset of the table stays */
	bool summer; /* it has two offsets */
	int32_t offset_s, summer_s;
	struct rule_day begin, end;
};

struct zone {
	char name[ZONE_NAME_MAX + 1];
	int32_t first_s; /* before the first change */
	struct rule rule;
	size_t n;
	struct change changes[]; /* by time; each differs from what was before it */
};

/* ---- the rule ---- */

static bool number(const char **s, int low, int high, int *ret)
{
	const char *at = *s;
	int v = 0;

	while (isdigit((unsigned char)*at) && v <= high)
		v = v * 10 + (*at++ - '0');
	if (at == *s || v < low || v > high)
		return false;
	*s = at;
	*ret = v;
	return true;
}

/* "[+-]h[h[h]][:mm[:ss]]" */
static bool clock_time(const char **s, int hours_max, int32_t *ret)
{
	bool minus = **s == '-';
	int h;
	int m = 0;
	int sec = 0;

	if (**s == '-' || **s == '+')
		(*s)++;
	if (!number(s, 0, hours_max, &h))
		return false;
	if (**s == ':' && (*s)++ && !number(s, 0, 59, &m))
		return false;
	if (m >= 0 && **s == ':' && (*s)++ && !number(s, 0, 59, &sec))
		return false;
	*ret = (minus ? -1 : 1) * (h * HOUR_S + m * 60 + sec);
	return true;
}

/* At least three letters, or anything of letters, digits and signs within <>. */
static bool skip_name(const char **s)
{
	const char *at = *s;
	bool quoted = *at == '<';

	at += quoted;
	const char *from = at;
	while (quoted ? isalnum((unsigned char)*at) || *at == '+' || *at == '-'
	              : isalpha((unsigned char)*at))
		at++;
	if (at - from < 3 || (quoted && *at != '>'))
		return false;
	*s = at + quoted;
	return true;
}

static bool rule_day(const char **s, struct rule_day *ret)
{
	struct rule_day d = { .kind = '\0', .time_s = 2 * HOUR_S };

	if (**s == 'M') {
		d.kind = 'M';
		(*s)++;
		if (!number(s, 1, 12, &d.month) || *(*s)++ != '.' || !number(s, 1, 5, &d.week) ||
		    *(*s)++ != '.' || !number(s, 0, 6, &d.day))
			return false;
	} else {
		if (**s == 'J') {
			d.kind = 'J';
			(*s)++;
		}
		if (!number(s, d.kind == 'J', 365, &d.day))
			return false;
	}
	if (**s == '/' && (*s)++ && !clock_time(s, 167, &d.time_s))
		return false;
	*ret = d;
	return true;
}

static bool rule_parse(const char *s, struct rule *ret)
{
	struct rule r = { .given = true };
	int32_t west;

	if (!skip_name(&s) || !clock_time(&s, 24, &west))
		return false;
	r.offset_s = -west; /* POSIX counts to the west */
	if (*s) {
		if (!skip_name(&s))
			return false;
		r.summer = true;
		r.summer_s = r.offset_s + HOUR_S;
		if (*s && *s != ',') {
			if (!clock_time(&s, 24, &west))
				return false;
			r.summer_s = -west;
		}
		if (*s != ',' || !rule_day((s++, &s), &r.begin) || *s != ',' ||
		    !rule_day((s++, &s), &r.end) || *s)
			return false;
	}
	*ret = r;
	return true;
}

static bool leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days from 1970-01-01 to the first of January of a year, which may be before 1970. */
static int64_t year_days(int64_t year)
{
	const int64_t y = year - 1;

	return y * 365 + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) - 719162;
}

/* Local seconds since 1970 at which the rule's day of this year has come. */
static int64_t rule_time(const struct rule_day *d, int64_t year)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };
	int64_t day = year_days(year);

	if (d->kind == 'J') { /* 1 to 365, 29 February is never counted */
		day += d->day - 1 + (leap(year) && d->day >= 60);
	} else if (d->kind == '\0') {
		day += d->day;
	} else {
		const int64_t first = day + before[d->month - 1] + (leap(year) && d->month > 2);
		const int length = before[d->month] - before[d->month - 1] +
		                   (leap(year) && d->month == 2);
		/* 1970-01-01 was a Thursday */
		const int weekday = (int)(first + 4 - floor_div(first + 4, 7) * 7);
		int in_month = (d->day - weekday + 7) % 7 + (d->week - 1) * 7;

		while (in_month >= length)
			in_month -= 7;
		day = first + in_month;
	}
	return day * DAY_S + d->time_s;
}

static int64_t year_of(int64_t at_s)
{
	const int64_t day = floor_div(at_s, DAY_S);
	int64_t year = 1970 +
	               floor_div(day * 400, 146097); /* days of 400 years; off by one at most */

	while (year_days(year + 1) <= day)
		year++;
	while (year_days(year) > day)
		year--;
	return year;
}

/* ---- the spans ---- */

static void narrow(struct zone_span *span, const struct change *c, int64_t at_s)
{
	if (c->at_s > at_s) {
		if (c->at_s < span->to_s)
			span->to_s = c->at_s;
	} else {
		span->before_s = span->offset_s;
		span->offset_s = c->offset_s;
		span->from_s = c->at_s;
	}
}

/* The changes of the rule around a year, by time, and only those that change something. */
static size_t lay_out(const struct rule *r, int64_t year, int64_t after_s, int32_t offset_s,
                      struct change ret[2 * CHANGES_YEARS])
{
	struct change all[2 * CHANGES_YEARS];
	size_t n = 0;
	size_t kept = 0;

	for (int64_t y = year - 1; y <= year + 1; y++) {
		const struct change begin = { rule_time(&r->begin, y) - r->offset_s, r->summer_s };
		const struct change end = { rule_time(&r->end, y) - r->summer_s, r->offset_s };
		/* of both at one second the end of this year comes first: summer goes on */
		const bool south = end.at_s <= begin.at_s;

		all[n++] = south ? end : begin;
		all[n++] = south ? begin : end;
	}
	for (size_t i = 1; i < n; i++) { /* a year's last may lie behind the next one's first */
		for (size_t j = i; j > 0 && all[j].at_s < all[j - 1].at_s; j--) {
			const struct change swap = all[j];

			all[j] = all[j - 1];
			all[j - 1] = swap;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (all[i].at_s <= after_s)
			continue;
		/* What is taken back in the same second has not happened. */
		if (i + 1 < n && all[i + 1].at_s == all[i].at_s)
			continue;
		if (all[i].offset_s == offset_s)
			continue;
		offset_s = all[i].offset_s;
		ret[kept++] = all[i];
	}
	return kept;
}

struct zone_span zone_at(const struct zone *z, int64_t at_s)
{
	struct zone_span span = { .from_s = INT64_MIN, .to_s = INT64_MAX };
	struct change ruled[2 * CHANGES_YEARS];

	if (!z)
		return span;
	if (at_s > FAR_S || at_s < -FAR_S)
		at_s = at_s > 0 ? FAR_S : -FAR_S;
	span.offset_s = span.before_s = z->first_s;
	/* Those before `low` have come, those from `high` on have not. */
	size_t low = 0;
	size_t high = z->n;
	while (low < high) {
		const size_t mid = low + (high - low) / 2;

		if (z->changes[mid].at_s <= at_s)
			low = mid + 1;
		else
			high = mid;
	}
	if (low > 1)
		span.offset_s = z->changes[low - 2].offset_s;
	if (low > 0)
		narrow(&span, &z->changes[low - 1], at_s);
	if (low < z->n)
		narrow(&span, &z->changes[low], at_s);
	if (!z->rule.summer || low < z->n) /* the rule begins behind the table's last change */
		return span;
	const int64_t last_s = z->n > 0 ? z->changes[z->n - 1].at_s : INT64_MIN;
	int32_t before_rule_s = span.offset_s;
	if (last_s == INT64_MIN) { /* the rule holds always: what was before the years laid out */
		const int64_t y = year_of(at_s) - 1;
		const bool south = rule_time(&z->rule.end, y) - z->rule.summer_s <=
		                   rule_time(&z->rule.begin, y) - z->rule.offset_s;

		before_rule_s = south ? z->rule.summer_s : z->rule.offset_s;
		span.offset_s = span.before_s = before_rule_s;
	}
	const size_t n = lay_out(&z->rule, year_of(at_s), last_s, before_rule_s, ruled);
	for (size_t i = 0; i < n; i++)
		narrow(&span, &ruled[i], at_s);
	return span;
}

struct zone_text zone_text(const struct zone *z, int64_t at_s)
{
	const int32_t offset_s = zone_at(z, at_s).offset_s;
	const time_t local = at_s + offset_s;
	const int off = offset_s < 0 ? -offset_s : offset_s;
	struct zone_text t;
	struct tm tm;

	if (!gmtime_r(&local, &tm)) /* a year that int cannot hold */
		(void)snprintf(t.s, sizeof(t.s), "%" PRId64, at_s);
	else
		(void)snprintf(t.s, sizeof(t.s), "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d",
		               tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		               tm.tm_sec, offset_s < 0 ? '-' : '+', off / HOUR_S, off / 60 % 60);
	return t;
}

const char *zone_name(const struct zone *z)
{
	return z ? z->name : "UTC";
}

void zone_free(struct zone *z)
{
	free(z);
}

/* ---- the file ---- */

struct header {
	uint8_t version;
	uint32_t isut, isstd, leaps, times, types, chars;
};

static uint64_t big(struct rd *rd, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++) {
		const uint8_t byte = rd_u8(rd);

		v = v << 8 | byte;
	}
	return v;
}

static bool read_header(struct rd *rd, struct header *ret)
{
	const uint8_t *magic = rd_take(rd, 4);

	ret->version = rd_u8(rd);
	(void)rd_take(rd, 15);
	ret->isut = (uint32_t)big(rd, 4);
	ret->isstd = (uint32_t)big(rd, 4);
	ret->leaps = (uint32_t)big(rd, 4);
	ret->times = (uint32_t)big(rd, 4);
	ret->types = (uint32_t)big(rd, 4);
	ret->chars = (uint32_t)big(rd, 4);
	return rd_ok(rd) && memcmp(magic, "TZif", 4) == 0 && ret->times <= ZONE_FILE_MAX &&
	       ret->types <= 256 && ret->chars <= ZONE_FILE_MAX && ret->leaps <= ZONE_FILE_MAX &&
	       ret->isut <= 256 && ret->isstd <= 256;
}

static int bad(const char *name, const char *why, struct err *e)
{
	return err_set(e, ERR_FORMAT, "time zone '%s': its file %s; install tzdata anew", name,
	               why);
}

/* Fills z, which has room for all changes of the header. */
static int read_table(struct zone *z, const struct header *h, struct rd *rd, struct err *e)
{
	const uint8_t *times = rd_take(rd, (size_t)h->times * 8);
	const uint8_t *kinds = rd_take(rd, h->times);
	const uint8_t *types = rd_take(rd, (size_t)h->types * 6);

	(void)rd_take(rd, (size_t)h->chars + h->isstd + h->isut);
	if (!rd_ok(rd))
		return bad(z->name, "is cut off", e);
	int32_t offsets[256];
	for (size_t i = 0; i < h->types; i++) {
		struct rd one = rd_of(types + 6 * i, 4);

		offsets[i] = (int32_t)(uint32_t)big(&one, 4);
		if (offsets[i] > ZONE_OFFSET_MAX || offsets[i] < -ZONE_OFFSET_MAX)
			return bad(z->name, "has an offset of more than a day", e);
	}
	z->first_s = offsets[0];
	struct rd at = rd_of(times, (size_t)h->times * 8);
	int32_t now_s = z->first_s;
	int64_t last_s = INT64_MIN;
	for (size_t i = 0; i < h->times; i++) {
		struct change c = { .at_s = (int64_t)big(&at, 8) };

		if (kinds[i] >= h->types)
			return bad(z->name, "names an offset that it does not have", e);
		if (c.at_s <= last_s || c.at_s > FAR_S)
			return bad(z->name, "has times that do not ascend", e);
		last_s = c.at_s;
		c.offset_s = offsets[kinds[i]];
		if (c.offset_s == now_s)
			continue;
		now_s = c.offset_s;
		z->changes[z->n++] = c;
	}
	return 0;
}

static int read_footer(struct zone *z, struct rd *rd, struct err *e)
{
	char text[128];
	const size_t n = rd_left(rd);
	const uint8_t *p = rd_take(rd, n);

	if (n < 2 || n - 2 >= sizeof(text) || p[0] != '\n' || p[n - 1] != '\n' ||
	    memchr(p + 1, '\n', n - 2) || memchr(p, '\0', n))
		return bad(z->name, "does not end in one line with a rule", e);
	memcpy(text, p + 1, n - 2);
	text[n - 2] = '\0';
	if (text[0] && !rule_parse(text, &z->rule))
		return bad(z->name, "ends in a rule that is none", e);
	return 0;
}

int zone_parse(const char *name, const void *p, size_t n, struct zone **ret, struct err *e)
{
	struct rd rd = rd_of(p, n);
	struct header h;

	if (n > ZONE_FILE_MAX || !read_header(&rd, &h))
		return bad(name, "is none of a time zone", e);
	if (h.version < '2')
		return bad(name, "is of version 1, which ends in the year 2037", e);
	/* The old block, with times of four bytes, is there for old programs. */
	(void)rd_take(&rd, (size_t)h.times * 5 + (size_t)h.types * 6 + h.chars +
	                           (size_t)h.leaps * 8 + h.isstd + h.isut);
	if (!read_header(&rd, &h) || h.types == 0)
		return bad(name, "has no table", e);
	if (h.leaps > 0)
		return bad(name, "counts leap seconds, as those of 'right/' do", e);
	if (h.times > rd_left(&rd))
		return bad(name, "is cut off", e);
	auto_zone struct zone *z = calloc(1, sizeof(*z) + h.times * sizeof(z->changes[0]));
	if (!z)
		return err_set(e, ERR_NOMEM, "no memory for time zone '%s'", name);
	(void)snprintf(z->name, sizeof(z->name), "%s", name);
	if (read_table(z, &h, &rd, e) < 0 || read_footer(z, &rd, e) < 0)
		return -1;
	/* Summer that ends when the next one begins is how a rule says that it is always there. */
	if (z->rule.summer && rule_time(&z->rule.end, 2001) - z->rule.summer_s >=
	                              rule_time(&z->rule.begin, 2002) - z->rule.offset_s) {
		z->rule.summer = false;
		z->rule.offset_s = z->rule.summer_s;
	}
	/* A rule of one offset is the last change, where the table has not made it. */
	if (z->rule.given && !z->rule.summer && z->n == 0)
		z->first_s = z->rule.offset_s;
	*ret = STEAL(&z);
	return 0;
}

/* Letters, digits, "_+-", and '/' between parts: no part is "..", none is empty. */
static bool name_ok(const char *name)
{
	if (!isalpha((unsigned char)name[0]) || strlen(name) > ZONE_NAME_MAX ||
	    strcmp(name, "localtime") == 0) /* of the machine: another on each node */
		return false;
	for (const char *s = name; *s; s++) {
		if (*s == '/' ? s[1] == '/' || !s[1]
		              : !isalnum((unsigned char)*s) && !strchr("_+-", *s))
			return false;
	}
	return true;
}

int zone_open(const char *dir, const char *name, struct zone **ret, struct err *e)
{
	uint8_t bytes[512];
	CLEANUP(buf_clear) struct buf b = BUF_INIT(ZONE_FILE_MAX);
	ssize_t got;

	if (!name_ok(name))
		return err_set(e, ERR_INVALID,
		               "'%.80s' is no name of a time zone; write it as in Europe/Berlin",
		               name);
	if (!dir)
		dir = getenv("TZDIR");
	if (!dir || !*dir)
		dir = DIR_USUAL;
	auto_close int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int fd = at < 0 ? -1 : openat(at, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 && strcmp(name, "UTC") == 0) {
		*ret = calloc(1, sizeof(**ret));
		if (!*ret)
			return err_set(e, ERR_NOMEM, "no memory for a time zone");
		(void)snprintf((*ret)->name, sizeof((*ret)->name), "UTC");
		return 0;
	}
	if (at < 0)
		return err_sys(e, errno,
		               "time zone '%s': opening '%s' (is the package tzdata installed?)",
		               name, dir);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND,
		               "there is no time zone '%s' in '%s'; write it as in Europe/Berlin",
		               name, dir);
	if (fd < 0)
		return err_sys(e, errno, "time zone '%s': opening its file in '%s'", name, dir);
	while ((got = fd_read_full(fd, bytes, sizeof(bytes))) > 0) {
		if (buf_put(&b, bytes, (size_t)got) < 0)
			return bad(name, "is too large", e);
	}
	if (got < 0)
		return errno == EISDIR ? err_set(e, ERR_INVALID,
		                                 "'%s' is a group of time zones; write one as in "
		                                 "Europe/Berlin",
		                                 name)
		                       : err_sys(e, errno, "reading time zone '%s'", name);
	return zone_parse(name, b.data, b.len, ret, e);
}
