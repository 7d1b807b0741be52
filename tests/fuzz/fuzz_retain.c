/* SPDX-License-Identifier: Apache-2.0 */
/* Retention policies: what decodes is within its limits, and never removes the newest point. */
#include "catalog/retain.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"

#define POINTS 50

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct retain_entry *x)
{
	const struct retain_policy *p = &x->policy;
	struct retain_point pts[POINTS];
	struct retain_verdict v[POINTS];
	struct err e = ERR_INIT;

	if (!*p->name || strnlen(p->name, sizeof(p->name)) == sizeof(p->name) ||
	    p->floor_points == 0 || p->floor_points > RETAIN_COUNT_MAX || p->within_s < 0 ||
	    p->floor_s < 0 || x->npatterns == 0 || x->npatterns > RETAIN_PATTERNS_MAX)
		abort();
	for (size_t i = 0; i < POINTS; i++) {
		pts[i] = (struct retain_point){ .session = "s",
			                        .sequence = i + 1,
			                        .received_ns = (int64_t)(i * i) * 10000000000000,
			                        .held = i == 7 };
	}
	if (retain_mark(p, pts, POINTS, v, &e) < 0 || v[POINTS - 1].goes || v[7].goes)
		abort();
	for (size_t i = 0; i < POINTS; i++) {
		if (v[i].goes != (v[i].rules == 0) || !*retain_why(p, &pts[i], &v[i]).s)
			abort();
		pts[i].expired = v[i].goes;
	}
	if (retain_mark(p, pts, POINTS, v, &e) < 0)
		abort();
	for (size_t i = 0; i < POINTS; i++) {
		if (v[i].goes)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const volumes[] = { "", "data", "cluster/shop/orders", "a/b/c/d" };
	CLEANUP(retain_policies_clear) struct retain_policies set = { .n = 0 };
	struct err e = ERR_INIT;

	if (retain_policies_parse("retention", data, size, &set, &e) < 0) {
		if ((e.class != ERR_INVALID && e.class != ERR_TOO_BIG) || set.n != 0)
			abort();
		return 0;
	}
	if (set.n > RETAIN_POLICIES_MAX)
		abort();
	for (size_t i = 0; i < set.n; i++)
		check(&set.items[i]);
	for (size_t i = 0; i < ARRAY_LEN(volumes); i++) {
		const struct retain_policy *p = retain_policy_for(&set, volumes[i]);

		if (p && !*p->name)
			abort();
	}
	return 0;
}
