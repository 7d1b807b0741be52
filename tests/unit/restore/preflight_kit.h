/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of a cluster as text, and what judges find in them. */
#ifndef AKSDR_TESTS_PREFLIGHT_KIT_H
#define AKSDR_TESTS_PREFLIGHT_KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "restore/preflight_judge.h"
#include "restore/preflight_room.h"
#include "tests/harness/store_kit.h"

#define TEXTS(...) ((const char *const[]){ __VA_ARGS__ })

static struct {
	struct preflight_params p;
	struct preflight_facts f;
	struct findings l;
	const char *namespaces[8];
} pre;

static inline int pre_setup(void **state)
{
	(void)state;
	memset(&pre, 0, sizeof(pre));
	pre.p.ns = "aksdr";
	return 0;
}

static inline int pre_teardown(void **state)
{
	(void)state;
	pre.f.namespaces = NULL;
	preflight_facts_clear(&pre.f);
	finding_clear(&pre.l);
	return 0;
}

/* The list of a kind, as JSON with ' for ". */
static inline void pre_fact(enum preflight_kind kind, const char *text)
{
	auto_free char *copy = strdup(text);
	struct err e = ERR_INIT;

	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_decref(pre.f.lists[kind]);
	pre.f.lists[kind] = json_parse("facts", copy, strlen(copy), &e);
	if (!pre.f.lists[kind])
		fail_msg("%s", e.msg);
}

static inline void pre_volumes(const struct preflight_volume *v, size_t n)
{
	pre.p.volumes = v;
	pre.p.n = n;
	pre.f.namespaces = pre.namespaces;
	pre.f.nnamespaces = 0;
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < pre.f.nnamespaces && strcmp(pre.namespaces[k], v[i].ns) != 0)
			k++;
		if (k == pre.f.nnamespaces)
			pre.namespaces[pre.f.nnamespaces++] = v[i].ns;
	}
}

/* What the judge finds: "SEVERITY CODE OBJECT" in each line, in order. And texts that are in it. */
static inline void pre_expect(preflight_judge_fn *judge, const char *wanted)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);

	finding_clear(&pre.l);
	judge(&pre.p, &pre.f, &pre.l);
	finding_sort(&pre.l);
	ok(finding_check(&pre.l, e));
	for (size_t i = 0; i < pre.l.n; i++) {
		const struct finding *f = &pre.l.list[i];

		assert_true(strlen(f->what) > 10);
		(void)buf_printf(&b, "%s %s %s\n", finding_severity_name(f->severity), f->code,
		                 f->object);
	}
	assert_string_equal(buf_cstr(&b), wanted);
}

static inline void pre_says(size_t i, const char *text)
{
	assert_true(i < pre.l.n);
	if (!strstr(pre.l.list[i].what, text) && !strstr(pre.l.list[i].remedy, text))
		fail_msg("'%s' is not in '%s' => '%s'", text, pre.l.list[i].what,
		         pre.l.list[i].remedy);
}

#define PRE_CASE(f) cmocka_unit_test_setup_teardown(f, pre_setup, pre_teardown)

#endif
