/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drill from its begin to its end, against an API server in memory: what controllers, movers and
 * the kubelet of a cluster would do, the test does.
 */
#include "restore/drill.h"

#include "common/now.h"
#include "common/secret.h"
#include "repo/session.h"
#include "restore/drill_list.h"
#include "restore/filler.h"
#include "tests/harness/kube_cluster.h"

#define POINT "5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define NS_S INT64_C(1000000000)

/* ---- the repository ---- */

static struct {
	char *keys;
	struct store *store;
	struct repo *recovery, *agent;
} made;

static struct repo *open_with(const char *name)
{
	auto_free char *path = path_join(made.keys, name);
	struct keys *keys = NULL;
	struct repo *r = NULL;

	ok(keys_load(path, NULL, &keys, e));
	ok(repo_open(made.store, keys, NULL, NULL, &r, e));
	return r;
}

/* A point of a claim, so many seconds old. */
static void commit(const char *name, int64_t age_s)
{
	struct point p = { .sequence = 1, .levels = 1, .files = 3, .bytes_logical = 5000 };
	char voltag[17];

	(void)snprintf(p.volume.cluster, sizeof(p.volume.cluster), "we");
	(void)snprintf(p.volume.namespace, sizeof(p.volume.namespace), "shop");
	(void)snprintf(p.volume.name, sizeof(p.volume.name), "%s", name);
	ok(point_voltag(made.agent->keys, &p.volume, voltag, e));
	p.frozen_ns = p.started_ns = p.finished_ns = now_wall_ns() - age_s * NS_S;
	(void)snprintf(p.session, sizeof(p.session), "%s/%s-%s", now_day(p.frozen_ns).s, voltag,
	               POINT);
	memcpy(p.id, p.session + POINT_SESSION_RANDOM, sizeof(p.id));
	(void)snprintf(p.domain, sizeof(p.domain), "d");
	(void)snprintf(p.consistency, sizeof(p.consistency), "crash");
	(void)snprintf(p.driver, sizeof(p.driver), "test");
	p.root = (struct chunk_ref){ .stored = 17, .plain = 1, .kind = CHUNK_NODE };
	ok(session_commit(made.agent, &p, e));
	point_clear(&p);
}

/* ---- the cluster ---- */

static unsigned gaps;            /* that movers tell */
static const char *check_status; /* of the pod of the check */
static unsigned volumes;

static void bind_claim(const char *key, json_t *claim)
{
	char name[32], pv[64];
	const bool is_new = !*kube_text_at(claim, "spec.volumeName");

	(void)json_object_set_new(claim, "status", json_pack("{s:s}", "phase", "Bound"));
	if (!is_new)
		return;
	(void)snprintf(name, sizeof(name), "pv-%u", ++volumes);
	(void)snprintf(pv, sizeof(pv), "persistentvolumes/%s", name);
	(void)json_object_set_new(json_object_get(claim, "spec"), "volumeName", json_string(name));
	(void)json_object_set_new(cluster.objects, pv,
	                          json_pack("{s:{s:s}, s:{s:s, s:s, s:{s:s, s:s}}, s:{s:s}}",
	                                    "metadata", "name", name, "spec",
	                                    "persistentVolumeReclaimPolicy", "Retain",
	                                    "storageClassName", "fast", "claimRef", "namespace",
	                                    kube_text_at(claim, "metadata.namespace"), "name",
	                                    strrchr(key, '/') + 1, "status", "phase", "Bound"));
}

static void end_mover(json_t *pod)
{
	char text[640];

	(void)snprintf(text, sizeof(text),
	               "{\"schema\":\"aksdr/filled/v1\",\"point\":\"" POINT "\","
	               "\"session\":\"2026-11-22/0123456789abcdef-" POINT "\","
	               "\"base\":\"\",\"bytes\":5000,\"files\":3,\"written\":5000,\"fetched\":2000,"
	               "\"requests\":9,\"verified\":%s,\"ms\":1500,\"partial\":%s,\"gaps\":%u%s,"
	               "\"paths\":[%s]}",
	               gaps ? "false" : "true", gaps ? "true" : "false", gaps,
	               gaps ? ",\"class\":\"partial\",\"error\":\"some places are missing\"" : "",
	               gaps ? "\"etc/app.conf\"" : "");
	text[sizeof(text) - 1] = '\0';
	(void)json_object_set_new(pod, "status",
	                          json_pack("{s:s, s:[{s:s, s:{s:{s:i, s:s}}}]}", "phase",
	                                    "Succeeded", "containerStatuses", "name", "mover",
	                                    "state", "terminated", "exitCode", 0, "message", text));
}

static void remove_below(const char *ns)
{
	char part[128];
	const char *key;
	json_t *o;
	void *next;

	(void)snprintf(part, sizeof(part), "/%s/", ns);
	json_object_foreach_safe(cluster.objects, next, key, o) {
		if (strstr(key, part))
			cluster_remove(key);
	}
}

static void act(const char *key, json_t *o)
{
	auto_free char *name = strdup(key);

	if (*kube_text_at(o, "metadata.deletionTimestamp")) {
		cluster_remove(name);
		if (strncmp(name, "namespaces/", 11) == 0)
			remove_below(name + 11);
	} else if (strncmp(key, "persistentvolumeclaims/", 23) == 0 && !kube_at(o, "status")) {
		bind_claim(key, o);
	} else if (strncmp(key, "pods/aksdr/", 11) == 0 && !kube_at(o, "status")) {
		end_mover(o);
	} else if (strncmp(key, "pods/drill-", 11) == 0 && !kube_at(o, "status")) {
		(void)json_object_set_new(o, "status", json_loads(check_status, 0, NULL));
	}
}

/* ---- a drill ---- */

static const char plan[] =
	"apiVersion: aksdr.io/v1alpha1\n"
	"kind: RestorePlan\n"
	"metadata: {name: shop, namespace: aksdr}\n"
	"spec:\n"
	"  mode: hot/cold\n"
	"  primary: {cluster: we, region: westeurope}\n"
	"  secondary: {cluster: ne, region: northeurope}\n"
	"  selector: {namespaces: [shop]}\n"
	"  point: {geoDurable: false}\n"
	"  rpo: 1h\n"
	"  rto: 1h\n"
	"  drill:\n"
	"    cron: '0 4 * * 6'\n"
	"    check: {image: check.example/it, command: [sh, -c, 'test -e /volumes/db/x']}\n";

static const char template[] =
	"{\"metadata\":{},\"spec\":{\"containers\":[{\"name\":\"mover\",\"image\":\"m\"}]}}";

struct tried {
	struct scope scope;
	struct drill *drill;
	struct err left;
	int rc;
	struct err why;
};

static void tried_clear(struct tried *t)
{
	scope_close(&t->scope);
	drill_free(t->drill);
}

static struct tried try(bool keep)
{
	auto_free char *config = path_join(kit.dir, "config");
	auto_free char *path = path_join(kit.dir, "plan.yaml");
	auto_free char *mover = path_join(kit.dir, "mover.json");
	struct tried t = { .scope = { .kubeconfig = config, .ns = "aksdr" },
		           .left = ERR_INIT,
		           .why = ERR_INIT };

	write_text(kit.dir, "plan.yaml", plan);
	write_text(kit.dir, "mover.json", template);
	ok(scope_open(&t.scope, path, true, NULL, e));
	const struct drill_params p = {
		.scope = &t.scope,
		.repo = made.recovery,
		.store = "mem:",
		.key = "not looked at",
		.movers.template = mover,
		.keep = keep,
		.progress = PROGRESS_NEVER,
	};
	t.rc = drill_run(&p, &t.drill, &t.left, &t.why);
	t.scope.kubeconfig = NULL;
	return t;
}

static size_t objects(const char *prefix)
{
	const char *key;
	json_t *o;
	size_t n = 0;

	json_object_foreach(cluster.objects, key, o) {
		n += strncmp(key, prefix, strlen(prefix)) == 0;
	}
	return n;
}

static int setup(void **state)
{
	(void)cluster_setup(state);
	made.keys = path_join(kit.dir, "keys");
	ok(secret_init(e));
	ok((made.store = store_mem_new(e)) ? 0 : -1);
	ok(repo_init(made.store, made.keys, NULL, e));
	made.recovery = open_with("recovery.key");
	made.agent = open_with("agent.key");
	cluster.act = act;
	gaps = 0;
	volumes = 0;
	check_status = "{\"phase\":\"Succeeded\"}";
	(void)snprintf(cluster.log, sizeof(cluster.log), "all rows are there\n");
	return 0;
}

static int teardown(void **state)
{
	repo_free(made.recovery);
	repo_free(made.agent);
	store_free(made.store);
	free(made.keys);
	return cluster_teardown(state);
}

static void test_run__restores_verifies_checks_reports_and_leaves_nothing(void **state)
{
	CLEANUP(drill_list_clear) struct drill_list l = { .n = 0 };
	auto_drill_report struct drill_report kept = { .nwhys = 0 };

	(void)state;
	commit("db", 600);
	commit("orders", 900);
	CLEANUP(tried_clear) struct tried t = try(false);
	if (t.rc < 0)
		fail_msg("%s", t.why.msg);
	const struct drill_report *r = drill_result(t.drill);
	if (!r->passed)
		fail_msg("%s", r->whys[0]);
	assert_int_equal(r->nvolumes, 2);
	assert_string_equal(r->volumes[0].volume, "we/shop/db");
	assert_string_equal(r->volumes[0].claim, "drill-shop/db");
	assert_true(r->volumes[0].verified);
	assert_in_range(r->age_s, 900, 960);
	assert_int_equal(r->nchecks, 1);
	assert_string_equal(r->checks[0].ns, "drill-shop");
	assert_string_equal(r->checks[0].said, "all rows are there\n");
	assert_int_equal(r->nphases, 4);
	assert_int_equal(t.left.class, ERR_NONE);
	/* Closed before anything was in it. */
	const char *log = kit_log();
	const char *closed = strstr(log, "POST /apis/networking.k8s.io/v1/namespaces/drill-shop/");
	const char *claim = strstr(log,
	                           "POST /api/v1/namespaces/drill-shop/persistentvolumeclaims");
	assert_non_null(closed);
	assert_non_null(claim);
	assert_true(closed < claim);
	/* Nothing is left but the lease, and volumes that go with their claims. */
	assert_int_equal(objects("namespaces/"), 0);
	assert_int_equal(objects("persistentvolumeclaims/"), 0);
	assert_int_equal(objects("pods/"), 0);
	assert_string_equal(kube_text_at(cluster_get("persistentvolumes/pv-1"),
	                                 "spec.persistentVolumeReclaimPolicy"),
	                    "Delete");
	/* Its report is in the repository, as it was told. */
	ok(drill_list_load(made.recovery, "shop", NULL, &l, e));
	assert_int_equal(l.n, 1);
	ok(drill_report_read(l.v[0].report, &kept, e));
	assert_true(kept.passed);
	assert_string_equal(kept.run, r->run);
}

static void test_run__damage_and_a_check_that_fails_are_told(void **state)
{
	(void)state;
	commit("db", 600);
	gaps = 2;
	check_status = "{\"phase\":\"Failed\",\"containerStatuses\":[{\"state\":{\"terminated\":"
		       "{\"exitCode\":7,\"reason\":\"Error\"}}}]}";
	CLEANUP(tried_clear) struct tried t = try(false);
	if (t.rc < 0)
		fail_msg("%s", t.why.msg);
	const struct drill_report *r = drill_result(t.drill);
	assert_false(r->passed);
	assert_true(r->damaged);
	assert_int_equal(r->nwhys, 2);
	assert_non_null(strstr(r->whys[0], "missing or damaged, first 'we/shop/db'"));
	assert_non_null(strstr(r->whys[1], "it ended with status 7"));
	assert_int_equal(r->volumes[0].gaps, 2);
	assert_int_equal(objects("namespaces/"), 0);
}

static void test_run__old_points_miss_the_target(void **state)
{
	(void)state;
	commit("db", 7200);
	CLEANUP(tried_clear) struct tried t = try(false);
	const struct drill_report *r = drill_result(t.drill);
	assert_int_equal(t.rc, 0);
	assert_false(r->passed);
	assert_false(r->damaged);
	assert_non_null(strstr(r->whys[0], "and the plan allows 1h00m"));
}

static void test_run__never_touches_a_namespace_of_others(void **state)
{
	(void)state;
	commit("db", 600);
	cluster_put("namespaces/drill-shop", "{'metadata':{'name':'drill-shop'}}");
	CLEANUP(tried_clear) struct tried t = try(false);
	/* It is broken off, and says so in its report. */
	assert_int_equal(t.rc, 0);
	const struct drill_report *r = drill_result(t.drill);
	assert_false(r->passed);
	assert_non_null(strstr(r->whys[0], "give the plan another prefix"));
	assert_non_null(cluster_get("namespaces/drill-shop"));
	assert_int_equal(objects("persistentvolumeclaims/"), 0);
}

static void test_run__takes_away_what_a_dead_one_has_left(void **state)
{
	(void)state;
	commit("db", 600);
	cluster_put("namespaces/drill-old",
	            "{'metadata':{'name':'drill-old','labels':{'aksdr.io/role':'drill',"
	            "'aksdr.io/run':'bbbb0000000000000000000000000002'}}}");
	CLEANUP(tried_clear) struct tried t = try(true);
	assert_int_equal(t.rc, 0);
	assert_true(drill_result(t.drill)->passed);
	assert_null(cluster_get("namespaces/drill-old"));
	/* And itself leaves what it was told to. */
	assert_non_null(cluster_get("namespaces/drill-shop"));
	assert_non_null(cluster_get("persistentvolumeclaims/drill-shop/db"));
}

static void test_run__one_at_a_time(void **state)
{
	char text[512];

	(void)state;
	commit("db", 600);
	/* Somebody's, renewed a moment ago. */
	(void)snprintf(text, sizeof(text),
	               "{'metadata':{'name':'aksdr-drill','resourceVersion':'5'},'spec':{"
	               "'holderIdentity':'root@other/7','leaseDurationSeconds':60,"
	               "'renewTime':'%s'}}",
	               now_rfc3339(now_wall_ns()).s);
	cluster_put("leases/aksdr/aksdr-drill", text);
	CLEANUP(tried_clear) struct tried t = try(false);
	assert_int_equal(t.rc, -1);
	assert_int_equal(t.why.class, ERR_BUSY);
	assert_non_null(strstr(t.why.msg, "by 'root@other/7'"));
	assert_int_equal(objects("namespaces/"), 0);
}

#define DRILL_CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DRILL_CASE(test_run__restores_verifies_checks_reports_and_leaves_nothing),
		DRILL_CASE(test_run__damage_and_a_check_that_fails_are_told),
		DRILL_CASE(test_run__old_points_miss_the_target),
		DRILL_CASE(test_run__never_touches_a_namespace_of_others),
		DRILL_CASE(test_run__takes_away_what_a_dead_one_has_left),
		DRILL_CASE(test_run__one_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
