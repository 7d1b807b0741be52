/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: what is taken is within its limits and can be used; what is not says its field. */
#include "agent/policy.h"
#include "agent/sched.h"
#include "common/yaml.h"
#include "tests/fuzz/fuzz.h"

static void check_valid(const struct policy *p)
{
	const struct sched_rule rule = { &p->cron, p->zone, p->jitter_s, p->name };
	const struct sched_record last = { .since_s = 1795305600, .done_s = SCHED_NONE };
	const struct sched_verdict v = sched_due(&rule, &last,
	                                         1795305600 + 2 * POLICY_JITTER_MAX_S);

	holds(v.due && v.slot_s >= last.since_s);
	holds(p->selects && p->jitter_s >= 0 && p->jitter_s <= POLICY_JITTER_MAX_S);
	holds(p->nhooks <= POLICY_HOOKS_MAX && p->nsets <= POLICY_SETS_MAX);
	for (size_t i = 0; i < p->nhooks; i++)
		holds(p->hooks[i].command.n > 0 && p->hooks[i].timeout_s > 0);
	for (size_t i = 0; i < p->nsets; i++)
		holds(p->sets[i].n >= 2 && p->sets[i].n <= POLICY_SET_MAX);
	holds(!p->retains || p->retention.floor_points > 0);
}

static void check(struct policy *p)
{
	struct policy_list l = { .items = &p, .n = 1 };
	const json_t *meta = json_object_get(p->document, "metadata");
	const json_t *labels = json_object_get(meta, "labels");
	const struct policy_claim c = { .ns = "shop",
		                        .name = "data",
		                        .labels = labels,
		                        .ns_labels = labels,
		                        .annotations = json_object_get(meta, "annotations") };
	const struct policy_choice choice = policy_choose(&l, "shop", &c);

	holds(choice.why[0] != '\0');
	holds(choice.verdict != POLICY_PROTECTED || (choice.policy == p && !p->invalid[0]));
	(void)policy_set_of(p, &c);
	if (p->invalid[0])
		holds(strchr(p->invalid, ':') != NULL);
	else
		check_valid(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct policy *p = NULL;

	if (size > 16 * KIB)
		return 0;
	auto_json json_t *document = yaml_parse("fuzz", data, size, &e);
	if (!document)
		return 0;
	if (policy_read(document, NULL, "shop", &p, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
		return 0;
	}
	check(p);
	policy_free(p);
	return 0;
}
