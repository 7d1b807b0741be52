/* SPDX-License-Identifier: Apache-2.0 */
/* A growing array with a limit; which findings it keeps does not depend on their order. */
#include "restore/finding.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

const char *finding_severity_name(enum finding_severity s)
{
	static const char *const names[FINDING_SEVERITIES] = { "block", "warning", "note" };

	return names[s];
}

void finding_clear(struct findings *l)
{
	free(l->list);
	*l = FINDINGS_INIT;
}

int finding_check(const struct findings *l, struct err *e)
{
	return l->nomem ? err_set(e, ERR_NOMEM, "no memory for what was found") : 0;
}

static int compare(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;
	int c = (x->severity > y->severity) - (x->severity < y->severity);

	if (c == 0)
		c = strcmp(x->code, y->code);
	if (c == 0)
		c = strcmp(x->object, y->object);
	if (c == 0)
		c = strcmp(x->what, y->what);
	return c != 0 ? c : strcmp(x->remedy, y->remedy);
}

void finding_sort(struct findings *l)
{
	if (l->n > 1)
		qsort(l->list, l->n, sizeof(*l->list), compare);
}

/* What servers and objects say goes to terminals: without characters that these obey. */
static void format(char *ret, size_t max, const char *fmt, va_list ap)
{
	(void)vsnprintf(ret, max, fmt, ap);
	for (uint8_t *c = (uint8_t *)ret; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
		else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			c[0] = c[1] = '?';
	}
}

/* A place for a finding of that severity, or NULL. */
static struct finding *place(struct findings *l, enum finding_severity severity)
{
	if (l->n == FINDINGS_MAX) {
		struct finding *least = &l->list[0];

		l->left_out++;
		for (size_t i = 1; i < l->n; i++)
			least = l->list[i].severity > least->severity ? &l->list[i] : least;
		return least->severity > severity ? least : NULL;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct finding *list = reallocarray(l->list, cap, sizeof(*list));

		if (!list) {
			l->nomem = true;
			return NULL;
		}
		l->list = list;
		l->cap = cap;
	}
	return &l->list[l->n++];
}

struct finding *finding_add(struct findings *l, enum finding_severity severity, const char *code,
                            const char *object, ...)
{
	struct finding *f = place(l, severity);
	va_list ap;

	l->counts[severity]++;
	if (!f)
		return NULL;
	*f = (struct finding){ .severity = severity };
	(void)snprintf(f->code, sizeof(f->code), "%s", code);
	va_start(ap, object);
	format(f->object, sizeof(f->object), object, ap);
	va_end(ap);
	return f;
}

bool finding_has(const struct findings *l, const char *code)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->list[i].code, code) == 0)
			return true;
	}
	return false;
}

void finding_what(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	if (!f)
		return;
	va_start(ap, fmt);
	format(f->what, sizeof(f->what), fmt, ap);
	va_end(ap);
}

void finding_remedy(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	if (!f)
		return;
	va_start(ap, fmt);
	format(f->remedy, sizeof(f->remedy), fmt, ap);
	va_end(ap);
}

json_t *finding_json(const struct findings *l)
{
	auto_json json_t *all = json_array();

	for (size_t i = 0; all && i < l->n; i++) {
		const struct finding *f = &l->list[i];
		json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:o}", "severity",
		                      finding_severity_name(f->severity), "code", f->code, "object",
		                      json_text(f->object, sizeof(f->object)), "what",
		                      json_text(f->what, sizeof(f->what)), "remedy",
		                      f->remedy[0] ? json_text(f->remedy, sizeof(f->remedy))
		                                   : json_null());

		if (json_array_append_new(all, o) < 0)
			return NULL;
	}
	return STEAL(&all);
}
