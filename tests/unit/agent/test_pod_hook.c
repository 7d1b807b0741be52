/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks of a policy in the pods that use a claim: which pods, in which order, and what comes of a
 * command there. The pods are a scripted server's, the commands are played; real ones are in
 * tests/kube.
 */
#include "agent/pod_hook.h"

#include "common/json.h"
#include "common/yaml.h"
#include "kube/exec.h"
#include "tests/harness/kube_kit.h"

/* ---- the command that is played ---- */

static struct {
	char seen[4096]; /* "NS POD CONTAINER TIMEOUT: ARGUMENT|ARGUMENT|\n" */
	const char *out, *err;
	int status;
	enum err_class fails;
} play;

int __wrap_exec_run(struct kube *k, const struct exec_params *params, int *ret_status,
                    struct err *e);
int __wrap_exec_run(struct kube *k, const struct exec_params *params, int *ret_status,
                    struct err *e)
{
	size_t n = strlen(play.seen);

	assert_ptr_equal(k, kit.kube);
	n += (size_t)snprintf(play.seen + n, sizeof(play.seen) - n, "%s %s %s %d: ", params->ns,
	                      params->pod, params->container ? params->container : "-",
	                      (int)params->timeout_ms);
	for (size_t i = 0; params->argv[i]; i++)
		n += (size_t)snprintf(play.seen + n, sizeof(play.seen) - n, "%s|", params->argv[i]);
	(void)snprintf(play.seen + n, sizeof(play.seen) - n, "\n");
	if (play.out)
		params->output(params->arg, false, play.out, strlen(play.out));
	if (play.err)
		params->output(params->arg, true, play.err, strlen(play.err));
	if (play.fails != ERR_NONE)
		return err_set(e, play.fails, "it broke");
	*ret_status = play.status;
	return 0;
}

/* ---- policies and pods ---- */

#define HEAD                                                            \
	"apiVersion: aksdr.io/v1alpha1\nkind: BackupPolicy\n"           \
	"metadata: {name: p, namespace: shop}\nspec:\n  selector: {}\n" \
	"  schedule: {cron: '@hourly'}\n  hooks:\n"

#define TWO                                                                               \
	HEAD "  - {phase: pre, command: [sync-all, --now], container: db, timeout: 5s}\n" \
	     "  - {phase: post, command: [go-on], onError: continue,\n"                   \
	     "     podSelector: {matchLabels: {app: db}}}\n"

static struct policy *policy_of(const char *text)
{
	struct err err = ERR_INIT;
	struct policy *p = NULL;
	auto_json json_t *document = yaml_parse("test", text, strlen(text), &err);

	if (!document || policy_read(document, NULL, "aksdr", &p, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(policy_check(p, &err), 0);
	return p;
}

#define RUNS "Running"
#define POD(name, labels, phase, more, volumes)                             \
	"{\"metadata\":{\"name\":\"" name "\",\"labels\":{" labels "}" more \
	"},\"status\":{\"phase\":\"" phase "\"},\"spec\":{\"volumes\":[" volumes "]}}"
#define CLAIM(name) "{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":\"" name "\"}}"
#define ENDS ",\"deletionTimestamp\":\"x\""
#define EPHEMERAL "{\"name\":\"tmp\",\"ephemeral\":{}}"

/* clang-format off */
static const char pods_json[] =
	"{\"items\":["
	POD("z", "\"app\":\"db\"", RUNS, "", CLAIM("data")) ","
	POD("a", "\"app\":\"web\"", RUNS, "", "{\"name\":\"w\"}," CLAIM("data")) ","
	POD("other", "", RUNS, "", CLAIM("data-2")) ","
	POD("ends", "", RUNS, ENDS, CLAIM("data")) ","
	POD("done", "", "Succeeded", "", CLAIM("data")) ","
	POD("e", "", RUNS, "", EPHEMERAL)
	"]}";
/* clang-format on */

static const struct kit_answer pods[] = { { .body = pods_json } };
static const char *const data[] = { "data", "e-tmp" };

static void find_all(const struct policy *p, struct pod_hooks *ret)
{
	PLAY(pods);
	play.seen[0] = '\0';
	ok(pod_hook_find(kit.kube, p, "shop", data, 2, 16, ret, e));
}

static struct hook_result *run_one(const struct hook *h, enum err_class class, const char *says)
{
	struct hook_result *r = calloc(1, sizeof(*r));
	struct err why = ERR_INIT;

	assert_non_null(r);
	int rc = hook_run(h, NULL, 0, NULL, r, &why);
	assert_int_equal(why.class, class);
	assert_int_equal(rc, class == ERR_NONE ? 0 : -1);
	if (says && !strstr(why.msg, says))
		fail_msg("'%s' does not say '%s'", why.msg, says);
	return r;
}

/* ---- the tests ---- */

static void test_pod_hook_find__pods_that_use_the_claims_by_name_hook_after_hook(void **state)
{
	struct policy *p = policy_of(TWO);
	struct pod_hooks h;

	(void)state;
	find_all(p, &h);
	assert_int_equal(h.n, 4); /* a, e, z; then of those with the label z */
	assert_string_equal(h.hooks[0].name, "shop/a: sync-all --now");
	assert_string_equal(h.hooks[1].name, "shop/e: sync-all --now");
	assert_string_equal(h.hooks[2].name, "shop/z: sync-all --now");
	assert_string_equal(h.hooks[3].name, "shop/z: go-on");
	assert_int_equal(h.hooks[0].phase, HOOK_PRE);
	assert_int_equal(h.hooks[0].on_error, HOOK_FAIL);
	assert_int_equal(h.hooks[3].phase, HOOK_POST);
	assert_int_equal(h.hooks[3].on_error, HOOK_CONTINUE);
	assert_null(h.unused);
	assert_string_equal(kit_log(), "GET /api/v1/namespaces/shop/pods?limit=250\n");
	pod_hook_clear(&h);
	policy_free(p);
}

static void test_pod_hook_find__without_hooks_nothing_is_asked(void **state)
{
	struct policy *p = policy_of("apiVersion: aksdr.io/v1alpha1\nkind: BackupPolicy\n"
	                             "metadata: {name: p, namespace: shop}\nspec:\n"
	                             "  selector: {}\n  schedule: {cron: '@hourly'}\n");
	struct pod_hooks h;

	(void)state;
	find_all(p, &h);
	assert_int_equal(h.n, 0);
	assert_int_equal(kit.log.len, 0);
	pod_hook_clear(&h);
	policy_free(p);
}

static void test_pod_hook_find__tells_of_hooks_that_no_pod_runs(void **state)
{
	static const struct kit_answer none[] = { { .body = "{\"items\":[]}" } };
	struct policy *p = policy_of(TWO);
	struct pod_hooks h;

	(void)state;
	PLAY(none);
	ok(pod_hook_find(kit.kube, p, "shop", data, 2, 16, &h, e));
	assert_int_equal(h.n, 0);
	assert_string_equal(h.unused, "2 of 2 hooks of policy shop/p had no running pod that uses "
	                              "the claim");
	pod_hook_clear(&h);
	policy_free(p);
}

static void test_pod_hook_find__refuses_more_than_it_is_let(void **state)
{
	struct policy *p = policy_of(TWO);
	struct pod_hooks h;

	(void)state;
	PLAY(pods);
	fails_saying(ERR_TOO_BIG, "podSelector",
	             pod_hook_find(kit.kube, p, "shop", data, 2, 3, &h, e));
	pod_hook_clear(&h);
	policy_free(p);
}

static void test_pod_hook_run__keeps_what_it_said_and_how_it_ended(void **state)
{
	struct policy *p = policy_of(TWO);
	struct pod_hooks h;

	(void)state;
	find_all(p, &h);
	play.out = "ready\naksdr-fact lsn 0/16B3748\n";
	play.err = "a warning\n";
	play.status = 0;
	auto_free struct hook_result *r = run_one(&h.hooks[0], ERR_NONE, NULL);
	assert_string_equal(play.seen, "shop a db 5000: sync-all|--now|\n");
	assert_int_equal(r->status, 0);
	assert_true(r->started);
	assert_string_equal(r->output, "ready\naksdr-fact lsn 0/16B3748\na warning\n");
	assert_int_equal(r->nfacts, 1);
	assert_string_equal(r->facts[0].name, "lsn");
	assert_string_equal(r->facts[0].value, "0/16B3748");

	play.status = 7;
	auto_free struct hook_result *bad =
		run_one(&h.hooks[3], ERR_IO,
	                "the post hook 'shop/z: go-on' ended with status 7: a warning");
	assert_int_equal(bad->status, 7);
	assert_non_null(strstr(play.seen, "shop z - 30000: go-on|\n"));
	pod_hook_clear(&h);
	policy_free(p);
	memset(&play, 0, sizeof(play));
}

static void test_pod_hook_run__a_broken_connection_and_a_late_end_are_failures(void **state)
{
	struct policy *p = policy_of(TWO);
	struct pod_hooks h;

	(void)state;
	find_all(p, &h);
	play.fails = ERR_RETRY;
	auto_free struct hook_result *r = run_one(&h.hooks[0], ERR_RETRY,
	                                          "the pre hook 'shop/a: sync-all --now'");
	assert_false(r->started);
	assert_false(r->timed_out);
	assert_int_equal(r->status, -1);
	play.fails = ERR_IO;
	auto_free struct hook_result *late = run_one(&h.hooks[0], ERR_IO, "it broke");
	assert_true(late->timed_out);
	play.fails = ERR_CANCELLED;
	auto_free struct hook_result *gone = run_one(&h.hooks[0], ERR_CANCELLED, NULL);
	assert_true(gone->cancelled);
	pod_hook_clear(&h);
	policy_free(p);
	memset(&play, 0, sizeof(play));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_CASE(test_pod_hook_find__pods_that_use_the_claims_by_name_hook_after_hook),
		KIT_CASE(test_pod_hook_find__without_hooks_nothing_is_asked),
		KIT_CASE(test_pod_hook_find__tells_of_hooks_that_no_pod_runs),
		KIT_CASE(test_pod_hook_find__refuses_more_than_it_is_let),
		KIT_CASE(test_pod_hook_run__keeps_what_it_said_and_how_it_ended),
		KIT_CASE(test_pod_hook_run__a_broken_connection_and_a_late_end_are_failures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
