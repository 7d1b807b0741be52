/* SPDX-License-Identifier: Apache-2.0 */
/* A report of a drill that passed, for tests of what judges, keeps and shows it. */
#ifndef AKSDR_TESTS_UNIT_RESTORE_DRILL_KIT_H
#define AKSDR_TESTS_UNIT_RESTORE_DRILL_KIT_H

#include "restore/drill_report.h"
#include "tests/harness/store_kit.h"

#define DRILL_NS_S INT64_C(1000000000)
#define DRILL_BEGAN_NS (INT64_C(1795305600) * DRILL_NS_S) /* 2026-11-22 */
#define DRILL_RUN "aaaa0000000000000000000000000001"

/* Two volumes that are whole, ten and twenty minutes old, and a check; 90 s. */
static inline void drill_kit(struct drill_report *r)
{
	*r = (struct drill_report){
		.run = DRILL_RUN,
		.plan = "shop",
		.user = "root",
		.host = "tool",
		.version = "1.2.3",
		.from = "we",
		.to = "ne",
		.began_ns = DRILL_BEGAN_NS,
		.ended_ns = DRILL_BEGAN_NS + 90 * DRILL_NS_S,
		.rpo_s = 1200,
		.rto_s = 90,
		.phases = { { "choose", DRILL_BEGAN_NS, 1.5 },
		            { "restore", DRILL_BEGAN_NS + DRILL_NS_S, 80 } },
		.nphases = 2,
		.nvolumes = 2,
		.nchecks = 1,
		.check_wanted = true,
	};
	r->volumes = calloc(2, sizeof(*r->volumes));
	r->checks = calloc(1, sizeof(*r->checks));
	assert_non_null(r->volumes);
	assert_non_null(r->checks);
	for (int64_t i = 0; i < 2; i++)
		r->volumes[i] = (struct drill_volume){
			.volume = i ? "we/shop/orders" : "we/shop/db",
			.claim = i ? "drill-shop/orders" : "drill-shop/db",
			.point = "5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c",
			.why = "",
			.frozen_ns = DRILL_BEGAN_NS - (i + 1) * 600 * DRILL_NS_S,
			.bytes = 1000,
			.files = 7,
			.fetched_bytes = 500,
			.seconds = 12.5,
			.restored = true,
			.verified = true,
		};
	r->checks[0] = (struct drill_check){
		.ns = "drill-shop", .why = "", .said = "all is well\n", .seconds = 2, .passed = true
	};
}

#endif
