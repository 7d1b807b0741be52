/* SPDX-License-Identifier: Apache-2.0 */
/* See hook_said.h: a ring of the last bytes, and the line that is being written. */
#include "agent/hook_said.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"

#define FACT_WORD "aksdr-fact "

void hook_said_one_line(char *ret, size_t max, const char *s)
{
	char step[TEXT_STEP_MAX];
	size_t len = 0;
	size_t n;

	while ((n = text_step(&s, TEXT_LINE, step)) > 0 && len + n < max) {
		memcpy(ret + len, step, n);
		len += n;
	}
	ret[len] = '\0';
}

static bool fact_name_ok(const char *name, size_t n)
{
	return n > 0 && n <= HOOK_FACT_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") >= n;
}

/* Of UTF-8, without control characters, so that nothing in it needs an escape. */
static bool fact_value_ok(const char *value)
{
	char step[TEXT_STEP_MAX];

	for (const char *at = value; *at;) {
		const char *from = at;
		size_t n = text_step(&at, TEXT_LINE, step);

		if (n != (size_t)(at - from) || memcmp(step, from, n) != 0)
			return false;
	}
	return strlen(value) <= HOOK_FACT_VALUE_MAX;
}

static bool add_fact(struct hook_result *r, const char *name, size_t n, const char *value)
{
	size_t i = 0;

	while (i < r->nfacts &&
	       (strlen(r->facts[i].name) != n || memcmp(r->facts[i].name, name, n)))
		i++;
	if (i == HOOK_FACTS_MAX)
		return false;
	if (i == r->nfacts) {
		memcpy(r->facts[i].name, name, n);
		r->facts[i].name[n] = '\0';
		r->nfacts++;
	}
	(void)snprintf(r->facts[i].value, sizeof(r->facts[i].value), "%s", value);
	return true;
}

/* A line of standard output is complete. */
static void end_line(struct hook_said *u)
{
	const size_t word = sizeof(FACT_WORD) - 1;

	u->line[u->line_len] = '\0';
	if (u->line_len >= word && memcmp(u->line, FACT_WORD, word) == 0) {
		const char *name = u->line + word;
		size_t n = strcspn(name, " ");
		const char *value = name[n] ? name + n + 1 : name + n;

		/* A NUL in the line would hide what comes after it. */
		if (u->line_long || strlen(u->line) != u->line_len || !fact_name_ok(name, n) ||
		    !fact_value_ok(value) || !add_fact(u->ret, name, n, value))
			u->ret->facts_lost++;
	}
	u->line_len = 0;
	u->line_long = false;
}

static void take_lines(struct hook_said *u, const uint8_t *p, size_t n)
{
	while (n > 0) {
		const uint8_t *end = memchr(p, '\n', n);
		size_t len = end ? (size_t)(end - p) : n;
		size_t room = HOOK_SAID_LINE_MAX - u->line_len;
		size_t part = len < room ? len : room;

		memcpy(u->line + u->line_len, p, part);
		u->line_len += part;
		u->line_long = u->line_long || part < len;
		if (!end)
			return;
		end_line(u);
		p += len + 1;
		n -= len + 1;
	}
}

static void take_tail(struct hook_said *u, const uint8_t *p, size_t n)
{
	uint64_t at = u->ret->written;

	u->ret->written += n;
	if (n > HOOK_OUTPUT_MAX) {
		at += n - HOOK_OUTPUT_MAX;
		p += n - HOOK_OUTPUT_MAX;
		n = HOOK_OUTPUT_MAX;
	}
	while (n > 0) {
		size_t from = (size_t)(at % HOOK_OUTPUT_MAX);
		size_t part = HOOK_OUTPUT_MAX - from < n ? HOOK_OUTPUT_MAX - from : n;

		memcpy(u->tail + from, p, part);
		at += part;
		p += part;
		n -= part;
	}
}

void hook_said_take(struct hook_said *u, bool out, const void *p, size_t n)
{
	take_tail(u, p, n);
	if (out)
		take_lines(u, p, n);
}

/* One step of the output; *s moves. text ends with a NUL at end. */
static size_t output_step(const char **s, const char *end, char step[TEXT_STEP_MAX])
{
	if (*s == end)
		return 0;
	if (**s == '\n' || **s == '\t') {
		step[0] = *(*s)++;
		return 1;
	}
	if (**s == '\0') {
		(*s)++;
		memcpy(step, "\\x00", 4);
		return 4;
	}
	return text_step(s, TEXT_LINE, step);
}

int hook_said_end(struct hook_said *u, struct err *e)
{
	struct hook_result *r = u->ret;
	bool cut = r->written > HOOK_OUTPUT_MAX;
	size_t n = cut ? HOOK_OUTPUT_MAX : (size_t)r->written;
	size_t from = cut ? (size_t)(r->written % HOOK_OUTPUT_MAX) : 0;
	auto_free char *raw = malloc(n + 1);
	char step[TEXT_STEP_MAX];
	size_t total = 0;
	size_t len;

	if (u->line_len > 0)
		end_line(u);
	if (!raw)
		return err_set(e, ERR_NOMEM, "no memory for the output of a hook");
	memcpy(raw, u->tail + from, n - from);
	memcpy(raw + n - from, u->tail, from);
	raw[n] = '\0';
	const char *start = raw;
	/* The beginning may lie in the middle of a character. */
	for (int i = 0; cut && i < 3 && (*start & 0xc0) == 0x80; i++)
		start++;
	for (const char *s = start; (len = output_step(&s, raw + n, step)) > 0;)
		total += len;
	for (const char *s = start; (len = output_step(&s, raw + n, step)) > 0; total -= len) {
		if (total > HOOK_OUTPUT_MAX)
			continue;
		memcpy(r->output + r->output_len, step, len);
		r->output_len += len;
	}
	r->output[r->output_len] = '\0';
	return 0;
}

void hook_said_last_line(const struct hook_result *r, char ret[HOOK_SAID_SHOWN])
{
	char line[HOOK_OUTPUT_MAX + 1];
	size_t len = r->output_len;

	ret[0] = '\0';
	while (len > 0 && strchr("\n\t ", r->output[len - 1]))
		len--;
	memcpy(line, r->output, len);
	line[len] = '\0';
	const char *start = strrchr(line, '\n');
	start = start ? start + 1 : line;
	if (*start) {
		memcpy(ret, ": ", 2);
		hook_said_one_line(ret + 2, HOOK_SAID_SHOWN - 2, start);
	}
}
