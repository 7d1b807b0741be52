/* SPDX-License-Identifier: Apache-2.0 */
/* Options that report, sample and comply have in common (cmd_report.c). */
#ifndef AKSDR_CATALOG_CMD_REPORT_H
#define AKSDR_CATALOG_CMD_REPORT_H

#include "catalog/cmd.h"
#include "catalog/report.h"

enum {
	OPT_CATALOG = 256,
	OPT_AS_OF,
	OPT_FROM,
	OPT_TO,
	OPT_TARGET,
	OPT_CLUSTER,
	OPT_NAMESPACE,
	OPT_VOLUME,
	OPT_POLICY,
	OPT_PRICES,
	OPT_HTML,
	OPT_RULES,
	OPT_SEED,
	OPT_N,
	OPT_LIMIT
};

/* clang-format off */
#define CMD_REPORT_OPTIONS                                                                     \
	{ "catalog", "FILE", "the catalog file (default: in the state directory)",             \
	  OPT_CATALOG },                                                                       \
	{ "as-of", "TIME", "what was known at this time (default: now)", OPT_AS_OF },          \
	{ "from", "TIME", "begin of the period (default: 30 days before its end)", OPT_FROM }, \
	{ "to", "TIME", "end of the period, which is outside of it (default: --as-of)",        \
	  OPT_TO },                                                                            \
	{ "cluster", "NAME", "only volumes of this cluster", OPT_CLUSTER },                    \
	{ "namespace", "NAME", "only volumes of this namespace", OPT_NAMESPACE },              \
	{ "volume", "PATTERN", "only volumes whose name fits, with * and ?", OPT_VOLUME },     \
	{ "html", "FILE", "write a page", OPT_HTML }
/* clang-format on */

struct cmd_report_options {
	struct cmd_options common;
	int64_t from_ns, to_ns, target_s; /* 0: not given */
	const char *cluster, *namespace, *volume, *policy, *prices, *html, *rules, *seed;
	uint64_t limit, n;
};

int cmd_report_set(void *state, int key, const char *value, struct err *e);

/* What the options say; prices are those that *ret has. */
MUST_CHECK int cmd_report_params(const struct cmd_report_options *o, struct catalog *c,
                                 struct report_params *ret, struct err *e);

#endif
