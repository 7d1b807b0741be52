/* SPDX-License-Identifier: Apache-2.0 */
/* Retention policies: what decodes is within its limits, and never removes the newest point. */
#include "catalog/retain.h"

#include "tests/fuzz/fuzz.h"

#define POINTS 50

static void check(const struct retain_entry *x)
{
	const struct retain_policy *p = &x->policy;
	struct retain_point pts[POINTS];
	struct retain_verdict v[POINTS];
	struct err e = ERR_INIT;

	holds(*p->name && strnlen(p->name, sizeof(p->name)) < sizeof(p->name));
	holds(p->floor_points > 0 && p->floor_points <= RETAIN_COUNT_MAX);
	holds(p->within_s >= 0 && p->floor_s >= 0);
	holds(x->npatterns > 0 && x->npatterns <= RETAIN_PATTERNS_MAX);
	for (size_t i = 0; i < POINTS; i++) {
		pts[i] = (struct retain_point){ .session = "s",
			                        .sequence = i + 1,
			                        .received_ns = (int64_t)(i * i) * 10000000000000,
			                        .held = i == 7 };
	}
	works(retain_mark(p, pts, POINTS, v, &e));
	holds(!v[POINTS - 1].goes && !v[7].goes);
	for (size_t i = 0; i < POINTS; i++) {
		holds(v[i].goes == (v[i].rules == 0) && *retain_why(p, &pts[i], &v[i]).s);
		pts[i].expired = v[i].goes;
	}
	works(retain_mark(p, pts, POINTS, v, &e));
	for (size_t i = 0; i < POINTS; i++)
		holds(!v[i].goes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const volumes[] = { "", "data", "cluster/shop/orders", "a/b/c/d" };
	CLEANUP(retain_policies_clear) struct retain_policies set = { .n = 0 };
	struct err e = ERR_INIT;

	if (retain_policies_parse("retention", data, size, &set, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID) | FUZZ_CLASS(ERR_TOO_BIG));
		holds(set.n == 0);
		return 0;
	}
	holds(set.n <= RETAIN_POLICIES_MAX);
	for (size_t i = 0; i < set.n; i++)
		check(&set.items[i]);
	for (size_t i = 0; i < ARRAY_LEN(volumes); i++) {
		const struct retain_policy *p = retain_policy_for(&set, volumes[i]);

		holds(!p || *p->name);
	}
	return 0;
}
