/* SPDX-License-Identifier: Apache-2.0 */
/* What of a cluster is protected, left out or exposed, by objects as an API server has them. */
#include "agent/coverage.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/yaml.h"
#include "tests/harness/harness.h"

static struct world *w;
static struct coverage *c;
static struct inventory inv;

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	w = world_new("aksdr", NULL, &e);
	c = coverage_new();
	return w && c ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	inventory_clear(&inv);
	coverage_free(c);
	world_free(w);
	return 0;
}

static json_t *parse(const char *text)
{
	struct err e = ERR_INIT;
	json_t *j = yaml_parse("test", text, strlen(text), &e);

	if (!j)
		fail_msg("%s", e.msg);
	return j;
}

static void known(enum world_kind kind, const char *text)
{
	auto_json json_t *j = parse(text);

	world_put(w, kind, j, 1000);
}

static void put(enum coverage_kind kind, const char *text)
{
	auto_json json_t *j = parse(text);

	coverage_put(c, kind, j);
}

/* A line an item: kind namespace/name owner class driver bytes*count state reason policy */
static void assert_items(const char *expected)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	struct err e = ERR_INIT;

	if (coverage_make(c, w, &inv, &e) < 0)
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < inv.n; i++) {
		const struct inventory_item *x = &inv.v[i];

		(void)buf_printf(&b, "%s %s/%s %s %s %s %llu*%llu %s %s %s\n",
		                 inventory_kinds[x->kind], x->texts[INVENTORY_NS],
		                 x->texts[INVENTORY_NAME], x->texts[INVENTORY_OWNER],
		                 x->texts[INVENTORY_CLASS], x->texts[INVENTORY_DRIVER],
		                 (unsigned long long)x->bytes, (unsigned long long)x->count,
		                 inventory_states[x->state], inventory_reasons[x->reason],
		                 x->texts[INVENTORY_POLICY]);
	}
	assert_string_equal(buf_cstr(&b), expected);
}

#define POLICY                                                                         \
	"{metadata: {namespace: aksdr, name: gold}, spec: {selector: {claimSelector: " \
	"{matchLabels: {tier: gold}}}, schedule: {cron: '@daily'}}}"
#define DB                                                                                  \
	"{metadata: {namespace: shop, name: data-db-0, labels: {tier: gold}}, spec: "       \
	"{storageClassName: fast, resources: {requests: {storage: 1Gi}}}, status: {phase: " \
	"Bound}}"

static void test_coverage_make__a_claim_has_its_volume_its_workload_and_its_policy(void **state)
{
	(void)state;
	known(WORLD_POLICIES, POLICY);
	known(WORLD_CLAIMS, DB);
	put(COVERAGE_VOLUME,
	    "{metadata: {name: pv-1}, spec: {capacity: {storage: 2Gi}, claimRef: {namespace: shop, "
	    "name: data-db-0}, csi: {driver: disk.csi.azure.com}}, status: {phase: Bound}}");
	put(COVERAGE_POD,
	    "{metadata: {namespace: shop, name: db-0, ownerReferences: [{kind: StatefulSet, name: "
	    "db, controller: true}]}, spec: {volumes: [{name: data, persistentVolumeClaim: "
	    "{claimName: data-db-0}}]}}");
	assert_items("claim shop/data-db-0 StatefulSet/db fast disk.csi.azure.com 2147483648*1 "
	             "protected policy aksdr/gold\n");
	assert_string_equal(inv.v[0].texts[INVENTORY_WHY], "protected by policy 'aksdr/gold'");
}

static void test_coverage_make__says_why_a_claim_is_not_protected(void **state)
{
	(void)state;
	known(WORLD_POLICIES, POLICY);
	known(WORLD_POLICIES, "{metadata: {namespace: bad, name: bad}, spec: {selector: {}, "
	                      "schedule: {cron: never}}}");
	known(WORLD_NAMESPACES,
	      "{metadata: {name: dev, annotations: {aksdr.io/protect: 'false'}}}");
	known(WORLD_CLAIMS, "{metadata: {namespace: bad, name: x}}");
	known(WORLD_CLAIMS, "{metadata: {namespace: dev, name: x, labels: {tier: gold}}}");
	known(WORLD_CLAIMS, "{metadata: {namespace: shop, name: none}}");
	known(WORLD_CLAIMS, "{metadata: {namespace: shop, name: stopped, labels: {tier: gold}, "
	                    "annotations: {aksdr.io/paused: 'true'}}}");
	/* What a run of ours has made is no claim of anybody's. */
	known(WORLD_CLAIMS, "{metadata: {namespace: aksdr, name: clone, labels: "
	                    "{app.kubernetes.io/managed-by: aksdr, aksdr.io/run: r}}}");
	assert_items("claim bad/x    0*1 exposed invalid-policy bad/bad\n"
	             "claim dev/x    0*1 excluded opt-out \n"
	             "claim shop/none    0*1 exposed no-policy \n"
	             "claim shop/stopped    0*1 exposed paused aksdr/gold\n");
	assert_string_equal(inv.v[2].texts[INVENTORY_WHY],
	                    "no policy selects it; it has no volume yet");
}

static void test_coverage_make__a_claim_without_pods_is_of_the_set_that_made_it(void **state)
{
	(void)state;
	known(WORLD_CLAIMS,
	      "{metadata: {namespace: shop, name: data-db-1}, status: {phase: Bound}}");
	known(WORLD_CLAIMS,
	      "{metadata: {namespace: shop, name: data-db-x}, status: {phase: Bound}}");
	known(WORLD_CLAIMS,
	      "{metadata: {namespace: dev, name: data-db-1}, status: {phase: Bound}}");
	put(COVERAGE_SET,
	    "{metadata: {namespace: shop, name: db}, spec: {replicas: 0, volumeClaimTemplates: "
	    "[{metadata: {name: data}}]}}");
	assert_items("claim dev/data-db-1    0*1 exposed no-policy \n"
	             "claim shop/data-db-1 StatefulSet/db   0*1 exposed no-policy \n"
	             "claim shop/data-db-x    0*1 exposed no-policy \n");
}

static void test_coverage_make__a_template_stands_for_claims_that_are_to_come(void **state)
{
	(void)state;
	known(WORLD_POLICIES, POLICY);
	known(WORLD_CLAIMS, "{metadata: {namespace: shop, name: data-db-5, labels: {tier: gold}}, "
	                    "status: {phase: Bound}}");
	put(COVERAGE_SET,
	    "{metadata: {namespace: shop, name: db}, spec: {replicas: 3, ordinals: {start: 4}, "
	    "selector: {matchLabels: {tier: gold}}, volumeClaimTemplates: [{metadata: {name: "
	    "data}, spec: {storageClassName: fast, resources: {requests: {storage: 1Ki}}}}]}}");
	assert_items(
		"claim shop/data-db-5 StatefulSet/db   0*1 protected policy aksdr/gold\n"
		"template shop/data StatefulSet/db fast  1024*2 protected policy aksdr/gold\n");
}

static void test_coverage_make__a_volume_without_a_claim_is_exposed(void **state)
{
	(void)state;
	put(COVERAGE_VOLUME,
	    "{metadata: {name: old}, spec: {capacity: {storage: 1Ki}, storageClassName: fast, "
	    "claimRef: {namespace: shop, name: db}, nfs: {server: s}}, status: {phase: Released}}");
	put(COVERAGE_VOLUME,
	    "{metadata: {name: free}, spec: {local: {path: /d}, nodeAffinity: {}}, "
	    "status: {phase: Available}}");
	put(COVERAGE_VOLUME,
	    "{metadata: {name: twin, labels: {app.kubernetes.io/managed-by: aksdr, "
	    "aksdr.io/run: r}}, spec: {}, status: {phase: Released}}");
	assert_items("volume /free   local 0*1 exposed no-claim \n"
	             "volume /old  fast nfs 1024*1 exposed no-claim \n");
	assert_string_equal(inv.v[1].texts[INVENTORY_WHY],
	                    "it was of the claim 'shop/db', and is of none now (Released)");
}

#define WEB(name)                                                                             \
	"{metadata: {namespace: shop, name: " name ", labels: {pod-template-hash: 7d4b9}, "   \
	"ownerReferences: [{kind: ReplicaSet, name: web-7d4b9, controller: true}]}, spec: "   \
	"{volumes: [{name: tmp, emptyDir: {sizeLimit: 1Ki}}, {name: shm, emptyDir: {medium: " \
	"Memory}}, {name: cfg, configMap: {name: x}}, {name: tok, projected: {}}]}}"

static void test_coverage_make__volumes_of_the_pods_of_a_workload_are_one_item(void **state)
{
	(void)state;
	put(COVERAGE_POD, WEB("web-7d4b9-aaaaa"));
	put(COVERAGE_POD, WEB("web-7d4b9-bbbbb"));
	assert_items("emptyDir shop/shm Deployment/web   0*2 excluded nature \n"
	             "emptyDir shop/tmp Deployment/web   1024*2 exposed kind \n");
}

static void test_coverage_make__what_else_pods_name(void **state)
{
	(void)state;
	known(WORLD_NAMESPACES,
	      "{metadata: {name: dev, annotations: {aksdr.io/protect: 'false'}}}");
	put(COVERAGE_POD,
	    "{metadata: {namespace: shop, name: one}, spec: {volumes: [{name: a, hostPath: {path: "
	    "/srv/data}}, {name: b, hostPath: {path: /run/x}}, {name: b2, hostPath: {path: "
	    "/runner}}, {name: c, csi: {driver: file.csi.azure.com}}, {name: d, nfs: {server: s}}, "
	    "{name: e, hostPath: {path: /x, type: Socket}}]}}");
	put(COVERAGE_POD, "{metadata: {namespace: dev, name: one}, spec: {volumes: [{name: a, "
	                  "emptyDir: {}}]}}");
	put(COVERAGE_POD, "{metadata: {namespace: shop, name: two, annotations: {aksdr.io/protect: "
	                  "'false'}}, spec: {volumes: [{name: a, emptyDir: {}}]}}");
	put(COVERAGE_POD, "{metadata: {namespace: shop, name: nightly-29000000-abc, "
	                  "ownerReferences: [{kind: Job, name: nightly-29000000, controller: "
	                  "true}]}, spec: {volumes: [{name: a, emptyDir: {}}]}}");
	/* One that is over has none any more. */
	put(COVERAGE_POD, "{metadata: {namespace: shop, name: over}, spec: {volumes: [{name: a, "
	                  "emptyDir: {}}]}, status: {phase: Succeeded}}");
	assert_items("emptyDir dev/a Pod/one   0*1 excluded opt-out \n"
	             "emptyDir shop/a CronJob/nightly   0*1 exposed kind \n"
	             "emptyDir shop/a Pod/two   0*1 excluded opt-out \n"
	             "hostPath shop/a Pod/one   0*1 exposed kind \n"
	             "hostPath shop/b Pod/one   0*1 excluded nature \n"
	             "hostPath shop/b2 Pod/one   0*1 exposed kind \n"
	             "hostPath shop/e Pod/one   0*1 excluded nature \n"
	             "inline shop/c Pod/one  file.csi.azure.com 0*1 exposed kind \n"
	             "inline shop/d Pod/one  nfs 0*1 exposed kind \n");
}

static void test_coverage_make__the_same_cluster_gives_the_same_digest(void **state)
{
	char digest[65];

	(void)state;
	put(COVERAGE_POD, WEB("web-7d4b9-aaaaa"));
	put(COVERAGE_POD, WEB("web-7d4b9-bbbbb"));
	assert_items("emptyDir shop/shm Deployment/web   0*2 excluded nature \n"
	             "emptyDir shop/tmp Deployment/web   1024*2 exposed kind \n");
	memcpy(digest, inv.digest, sizeof(digest));
	inventory_clear(&inv);
	coverage_free(c);
	c = coverage_new();
	put(COVERAGE_POD, WEB("web-7d4b9-ccccc"));
	put(COVERAGE_POD, WEB("web-7d4b9-ddddd"));
	assert_items("emptyDir shop/shm Deployment/web   0*2 excluded nature \n"
	             "emptyDir shop/tmp Deployment/web   1024*2 exposed kind \n");
	assert_string_equal(inv.digest, digest);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_coverage_make__##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_claim_has_its_volume_its_workload_and_its_policy),
		T(says_why_a_claim_is_not_protected),
		T(a_claim_without_pods_is_of_the_set_that_made_it),
		T(a_template_stands_for_claims_that_are_to_come),
		T(a_volume_without_a_claim_is_exposed),
		T(volumes_of_the_pods_of_a_workload_are_one_item),
		T(what_else_pods_name),
		T(the_same_cluster_gives_the_same_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
