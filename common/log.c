/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines. A line is put together on the stack and leaves in one write, so
 * logging needs no memory and no lock, and lines of several threads do not
 * mix. What does not fit is cut (texts) or left out (fields), and the line
 * stays well-formed: each append leaves room for the line's end.
 */
#include "common/log.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "common/fd.h"
#include "common/now.h"
#include "common/text.h"

#define LINE_MAX_BYTES 8192
#define TEXT_MAX_BYTES 2048 /* of one value, escaped */
#define RESERVE 64          /* room kept for the end of the line */

static atomic_int least_level = LOG_INFO;
static atomic_int line_format = LOG_TEXT;
static _Atomic(const char *) line_prefix;

struct line {
	char s[LINE_MAX_BYTES];
	size_t n;
};

void log_setup(enum log_level least, enum log_format format)
{
	atomic_store(&least_level, (int)least);
	atomic_store(&line_format, (int)format);
}

bool log_is_json(void)
{
	return atomic_load(&line_format) == LOG_JSON;
}

void log_line_prefix(const char *prefix)
{
	atomic_store(&line_prefix, prefix);
}

static const char *level_name(enum log_level level)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };

	return (size_t)level < ARRAY_LEN(names) ? names[level] : "error";
}

/* Appends n bytes when limit allows; false when not. */
static bool add_bytes(struct line *l, size_t limit, const char *s, size_t n)
{
	if (l->n > limit || n > limit - l->n)
		return false;
	memcpy(l->s + l->n, s, n);
	l->n += n;
	return true;
}

static bool add(struct line *l, const char *s)
{
	return add_bytes(l, sizeof(l->s) - RESERVE, s, strlen(s));
}

/* Appends text escaped; what is too long ends in "...". */
static void add_escaped(struct line *l, const char *text, enum text_mode mode)
{
	size_t limit = l->n + TEXT_MAX_BYTES;
	char step[TEXT_STEP_MAX];
	size_t n;

	if (limit > sizeof(l->s) - RESERVE)
		limit = sizeof(l->s) - RESERVE;
	while ((n = text_step(&text, mode, step)) > 0) {
		if (!add_bytes(l, limit, step, n)) {
			(void)add_bytes(l, sizeof(l->s), "...", 3);
			return;
		}
	}
}

/* True when a text value of the text format can stand without quotes. */
static bool is_plain(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++) {
		if ((uint8_t)*s <= ' ' || (uint8_t)*s >= 0x7f || strchr("\"\\=", *s))
			return false;
	}
	return true;
}

static void add_value(struct line *l, const struct log_field *f, bool json)
{
	char number[32];

	switch (f->type) {
	case LOG_T_STR:
		if (!f->s) {
			(void)add(l, json ? "null" : "-");
		} else if (!json && is_plain(f->s)) {
			add_escaped(l, f->s, TEXT_LINE);
		} else {
			(void)add(l, "\"");
			add_escaped(l, f->s, json ? TEXT_JSON : TEXT_QUOTED);
			(void)add_bytes(l, sizeof(l->s), "\"", 1);
		}
		return;
	case LOG_T_U64:
		(void)snprintf(number, sizeof(number), "%llu", (unsigned long long)f->u);
		(void)add(l, number);
		return;
	case LOG_T_I64:
		(void)snprintf(number, sizeof(number), "%lld", (long long)f->i);
		(void)add(l, number);
		return;
	case LOG_T_BOOL:
	case LOG_T_END:
		(void)add(l, f->b ? "true" : "false");
		return;
	}
}

static void add_field(struct line *l, const struct log_field *f, bool json)
{
	/* a name and the longest number fit, or the field is left out */
	if (strlen(f->name) + 2 * RESERVE > sizeof(l->s) - l->n)
		return;
	if (json) {
		(void)add(l, ",\"");
		add_escaped(l, f->name, TEXT_JSON);
		(void)add(l, "\":");
	} else {
		(void)add(l, " ");
		(void)add(l, f->name);
		(void)add(l, "=");
	}
	add_value(l, f, json);
}

static void begin_text(struct line *l, enum log_level level, const char *event)
{
	time_t now = now_wall_ns() / 1000000000;
	struct tm tm;

	(void)localtime_r(&now, &tm);
	l->n += strftime(l->s + l->n, 16, "%H:%M:%S ", &tm);
	(void)add(l, level_name(level));
	(void)add(l, " ");
	add_escaped(l, event, TEXT_LINE);
}

static void begin_json(struct line *l, enum log_level level, const char *event)
{
	(void)add(l, "{\"time\":\"");
	(void)add(l, now_rfc3339(now_wall_ns()).s);
	(void)add(l, "\",\"level\":\"");
	(void)add(l, level_name(level));
	(void)add(l, "\",\"event\":\"");
	add_escaped(l, event, TEXT_JSON);
	(void)add(l, "\"");
}

void log_event(enum log_level level, const char *event, const struct log_field *fields)
{
	struct line l;

	l.n = 0; /* the rest is written before it is read */
	if ((int)level < atomic_load(&least_level) || level >= LOG_SILENT)
		return;
	bool json = log_is_json();
	const char *prefix = atomic_load(&line_prefix);
	if (prefix)
		(void)add(&l, prefix);
	if (json)
		begin_json(&l, level, event);
	else
		begin_text(&l, level, event);
	for (const struct log_field *f = fields; f->type != LOG_T_END; f++)
		add_field(&l, f, json);
	(void)add_bytes(&l, sizeof(l.s), json ? "}\n" : "\n", json ? 2 : 1);
	(void)fd_write_full(STDERR_FILENO, l.s, l.n);
}
