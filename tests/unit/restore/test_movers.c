/* SPDX-License-Identifier: Apache-2.0 */
/* What movers of restores are made from, and that their Secrets go. */
#include "restore/movers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/yaml.h"
#include "kube/worker.h"
#include "tests/harness/kube_cluster.h"

#define RUN "0123456789abcdef0123456789abcdef"
#define CHART                                                                            \
	"metadata: {labels: {a: b}}\n"                                                   \
	"spec:\n"                                                                        \
	"  serviceAccountName: mover\n"                                                  \
	"  containers:\n"                                                                \
	"  - name: mover\n"                                                              \
	"    image: i\n"                                                                 \
	"    env: [{name: AKSDR_KEY, value: /agent.key}]\n"                              \
	"    securityContext: {capabilities: {drop: [ALL], add: [DAC_OVERRIDE]}}\n"      \
	"    volumeMounts: [{name: key, mountPath: /k}, {name: state, mountPath: /s}]\n" \
	"  volumes: [{name: key, secret: {secretName: agent}}, {name: state, emptyDir: {}}]\n"

static json_t *parsed(const char *text)
{
	struct err e = ERR_INIT;
	json_t *j = yaml_parse("template", text, strlen(text), &e);

	if (!j)
		fail_msg("%s", e.msg);
	return j;
}

static bool has_word(const json_t *list, const char *word)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s && strcmp(s, word) == 0)
			return true;
	}
	return false;
}

static void test_movers_adapt__the_chart_s_template_restores(void **state)
{
	auto_json json_t *t = parsed(CHART);
	struct err e = ERR_INIT;
	const json_t *spec = json_object_get(t, "spec");

	(void)state;
	assert_int_equal(movers_adapt(t, "secret", NULL, "restorer", &e), 0);
	const json_t *c = worker_container(json_object_get(t, "spec"));
	assert_string_equal(kube_text_at(spec, "serviceAccountName"), "restorer");
	assert_true(has_word(kube_at(c, "command"), "/usr/bin/aksdr-restore"));
	assert_true(has_word(kube_at(c, "securityContext.capabilities.add"), "CHOWN"));
	assert_true(has_word(kube_at(c, "securityContext.capabilities.drop"), "ALL"));
	/* the agent's key is not there, ours is, and what comes later counts */
	assert_int_equal(json_array_size(kube_at(spec, "volumes")), 2);
	assert_string_equal(kube_text_at(json_array_get(kube_at(spec, "volumes"), 0), "name"),
	                    "state");
	assert_string_equal(kube_text_at(json_array_get(kube_at(spec, "volumes"), 1),
	                                 "secret.secretName"),
	                    "secret");
	assert_string_equal(kube_text_at(json_array_get(kube_at(c, "env"), 1), "value"),
	                    "/etc/aksdr-restore/recovery.key");
}

static void test_movers_adapt__who_is_nobody_stays_so(void **state)
{
	auto_json json_t *t = parsed("spec: {securityContext: {runAsNonRoot: true}, "
	                             "containers: [{name: mover}]}\n");
	auto_json json_t *other = parsed("spec: {containers: [{name: x}]}\n");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(movers_adapt(t, "secret", "env", NULL, &e), 0);
	const json_t *c = worker_container(json_object_get(t, "spec"));
	assert_null(kube_at(c, "securityContext"));
	assert_string_equal(kube_text_at(json_array_get(kube_at(c, "envFrom"), 0),
	                                 "secretRef.name"),
	                    "env");
	assert_int_equal(movers_adapt(other, NULL, NULL, NULL, &e), -1);
	assert_int_equal(e.class, ERR_INVALID);
}

static void test_movers_open__by_image_by_chart_or_not_at_all(void **state)
{
	auto_free char *key = path_join(kit.dir, "recovery.key");
	struct movers_params p = {
		.kube = kit.kube, .ns = "aksdr", .run = RUN, .store = "azure://a/c", .key = key
	};
	CLEANUP(movers_close) struct movers none = { .template = NULL };
	CLEANUP(movers_close) struct movers chart = { .template = NULL };
	CLEANUP(movers_close) struct movers image = { .template = NULL };
	struct err e = ERR_INIT;

	(void)state;
	write_text(kit.dir, "recovery.key", "the key");
	assert_int_equal(movers_open(&p, &none, &e), -1);
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "--image"));
	assert_int_equal(json_object_size(cluster.objects), 0);

	auto_json json_t *map = json_pack("{s:{s:s, s:{s:s, s:s}}, s:{s:s}}", "metadata", "name",
	                                  "m", "labels", "app.kubernetes.io/part-of", "aksdr",
	                                  "app.kubernetes.io/component", "mover", "data",
	                                  "mover.yaml", CHART);
	(void)json_object_set(cluster.objects, "configmaps/aksdr/m", map);
	e = ERR_INIT;
	if (movers_open(&p, &chart, &e) < 0)
		fail_msg("%s", e.msg);
	const json_t *secret = cluster_get("secrets/aksdr/aksdr-key-0123456789abcdef");
	assert_string_equal(json_string_value(
				    json_object_get(kube_at(secret, "stringData"), "recovery.key")),
	                    "the key");
	assert_string_equal(chart.env_secret, "");
	/* again, after a kill: what is there is ours */
	movers_close(&chart);
	assert_int_equal(movers_open(&p, &chart, &e), 0);
	assert_int_equal(movers_drop(kit.kube, "aksdr", RUN, &e), 0);
	assert_null(cluster_get("secrets/aksdr/aksdr-key-0123456789abcdef"));

	p.how.image = "r.example.com/aksdr:1";
	assert_int_equal(setenv("AZURE_STORAGE_KEY", "secret", 1), 0);
	assert_int_equal(movers_open(&p, &image, &e), 0);
	const json_t *env = cluster_get("secrets/aksdr/aksdr-env-0123456789abcdef");
	assert_string_equal(json_string_value(json_object_get(kube_at(env, "stringData"),
	                                                      "AZURE_STORAGE_KEY")),
	                    "secret");
	const json_t *c = worker_container(json_object_get(image.template, "spec"));
	assert_string_equal(kube_text_at(c, "image"), "r.example.com/aksdr:1");
	assert_true(kube_true_at(c, "securityContext.readOnlyRootFilesystem"));
	assert_int_equal(movers_drop(kit.kube, "aksdr", RUN, &e), 0);
	assert_int_equal(json_object_size(cluster.objects), 1);
	assert_int_equal(movers_drop(kit.kube, "aksdr", RUN, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_movers_adapt__the_chart_s_template_restores),
		cmocka_unit_test(test_movers_adapt__who_is_nobody_stays_so),
		CLUSTER_CASE(test_movers_open__by_image_by_chart_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
