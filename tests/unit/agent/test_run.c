/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon with an API server that gives it a policy and a claim: it tells how they stand, gives
 * the lead up at its end, and ends at once where its key opens nothing. Clusters are in tests/kube.
 */
#include "agent/run.h"

#include <pthread.h>

#include "repo/fence_change.h"
#include "repo/repo.h"
#include "store/store.h"
#include "tests/harness/kube_kit.h"

#define LIST(items) "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[" items "]}"
#define POLICY                                                                       \
	"{\"metadata\":{\"namespace\":\"aksdr\",\"name\":\"all\",\"generation\":1}," \
	"\"spec\":{\"selector\":{},\"schedule\":{\"cron\":\"0 0 1 1 *\"}}}"
#define CLAIM                                                                   \
	"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"db\",\"uid\":\"u\"}," \
	"\"spec\":{},\"status\":{\"phase\":\"Bound\"}}"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static char status[4096]; /* of the policy, as it was written */
static char lease[4096];  /* of the leader, as it was written last */
static char told[4096];   /* an event */
static struct cancel stop;
static char *keys;
static char store[512];

static void keep(char *to, const struct http_seen *q)
{
	pthread_mutex_lock(&lock);
	(void)snprintf(to, 4096, "%.*s", (int)q->body_len, (const char *)q->body);
	pthread_cond_broadcast(&more);
	pthread_mutex_unlock(&lock);
}

static int answer(void *arg, const struct http_seen *q, struct buf *reply)
{
	static const char open[] = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
	const char *body = LIST("");
	char echoed[4096];
	int code = 200;

	(void)arg;
	if (strstr(q->target, "watch=true")) {
		(void)buf_str(reply, open);
		return 0;
	}
	if (strstr(q->target, "/leases") && strcmp(q->method, "GET") != 0) {
		keep(lease, q);
		(void)snprintf(echoed, sizeof(echoed), "%.*s", (int)q->body_len,
		               (const char *)q->body);
		body = echoed;
	} else if (strstr(q->target, "/leases/aksdr-leader")) {
		code = 404;
		body = "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\",\"details\":"
		       "{\"name\":\"aksdr-leader\"}}";
	} else if (strstr(q->target, "/events")) {
		keep(told, q);
		body = "{}";
	} else if (strcmp(q->method, "PATCH") == 0) {
		keep(status, q);
		body = "{}";
	} else if (strstr(q->target, "/backuppolicies")) {
		body = LIST(POLICY);
	} else if (strstr(q->target, "/persistentvolumeclaims")) {
		body = LIST(CLAIM);
	}
	http_reply(reply, code, "", body, strlen(body));
	return 0;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)kit_setup(state);
	kit.own = answer;
	status[0] = '\0';
	lease[0] = '\0';
	told[0] = '\0';
	assert_int_equal(cancel_init(&stop), 0);
	auto_free char *config = path_join(kit.dir, "config");
	setenv("KUBECONFIG", config, 1);
	keys = path_join(kit.dir, "keys");
	(void)snprintf(store, sizeof(store), "file://%s/store", kit.dir);
	auto_store struct store *s = store_open(store, STORE_CREATE, &e);
	if (!s || repo_init(s, keys, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	return 0;
}

static int teardown(void **state)
{
	cancel_clear(&stop);
	free(keys);
	unsetenv("KUBECONFIG");
	return kit_teardown(state);
}

static struct run_params params(const char *key)
{
	return (struct run_params){ .node = "node1",
		                    .ns = "aksdr",
		                    .pod = "agent-1",
		                    .cluster = "test",
		                    .listen = "127.0.0.1:0",
		                    .concurrency = 2,
		                    .secondary = true, /* a run would be this program */
		                    .store = store,
		                    .key = key,
		                    .state = kit.dir,
		                    .cancel = &stop };
}

struct daemon {
	struct run_params p;
	struct err e;
	int rc;
};

static void *run(void *arg)
{
	struct daemon *d = arg;

	d->rc = run_daemon(&d->p, &d->e);
	return NULL;
}

static void test_run_daemon__tells_of_policies_and_gives_the_lead_up(void **state)
{
	auto_free char *key = path_join(keys, "agent.key");
	struct daemon d = { .p = params(key) };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, run, &d), 0);
	pthread_mutex_lock(&lock);
	while (!status[0] || !lease[0])
		pthread_cond_wait(&more, &lock);
	assert_non_null(strstr(status, "'shop/db': it has no restore point yet"));
	assert_non_null(strstr(lease, "agent-1"));
	pthread_mutex_unlock(&lock);
	cancel_request(&stop);
	(void)pthread_join(thread, NULL);
	if (d.rc < 0)
		fail_msg("%s", d.e.msg);
	assert_null(strstr(lease, "holderIdentity"));
}

static void fence_site(const char *cluster)
{
	struct fence_target t = { .depth = FENCE_CLUSTER };
	const struct fence_order order = { .targets = &t, .n = 1, .reason = "region down" };
	auto_free char *key = path_join(keys, "recovery.key");
	auto_repo struct repo *r = NULL;
	struct fence_result result;
	struct err e = ERR_INIT;

	(void)snprintf(t.volume.cluster, sizeof(t.volume.cluster), "%s", cluster);
	if (repo_open_url(store, 0, key, NULL, NULL, NULL, &r, &e) < 0 ||
	    fence_raise(r, &order, &result, &e) < 0)
		fail_msg("%s", e.msg);
}

static void test_run_daemon__says_that_its_cluster_is_fenced(void **state)
{
	auto_free char *key = path_join(keys, "agent.key");
	struct daemon d = { .p = params(key) };
	pthread_t thread;

	(void)state;
	fence_site("test");
	assert_int_equal(pthread_create(&thread, NULL, run, &d), 0);
	pthread_mutex_lock(&lock);
	while (!strstr(told, "ClusterFenced"))
		pthread_cond_wait(&more, &lock);
	assert_non_null(strstr(told, "cluster 'test' is fenced since"));
	assert_non_null(strstr(told, "region down"));
	pthread_mutex_unlock(&lock);
	/* It stays, to see when it is given back. */
	cancel_request(&stop);
	(void)pthread_join(thread, NULL);
	if (d.rc < 0)
		fail_msg("%s", d.e.msg);
}

static void test_run_daemon__ends_where_its_key_is_of_another_repository(void **state)
{
	auto_free char *other = path_join(kit.dir, "others");
	auto_free char *key = path_join(other, "agent.key");
	struct err e = ERR_INIT;
	char url[512];

	(void)state;
	(void)snprintf(url, sizeof(url), "file://%s/other", kit.dir);
	auto_store struct store *s = store_open(url, STORE_CREATE, &e);
	if (!s || repo_init(s, other, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	struct daemon d = { .p = params(key) };
	(void)run(&d);
	assert_int_equal(d.rc, -1);
	assert_non_null(strstr(d.e.msg, "repository"));
}

static void test_run_daemon__ends_without_a_key_and_without_a_cluster(void **state)
{
	auto_free char *key = path_join(kit.dir, "none");
	struct daemon d = { .p = params(key) };

	(void)state;
	(void)run(&d);
	assert_int_equal(d.rc, -1);
	assert_int_equal(d.e.class, ERR_NOT_FOUND);
	setenv("KUBECONFIG", key, 1);
	(void)run(&d);
	assert_non_null(strstr(d.e.msg, "'run' needs a cluster"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return EXIT_FAILED;
	const struct CMUnitTest tests[] = {
		T(test_run_daemon__tells_of_policies_and_gives_the_lead_up),
		T(test_run_daemon__says_that_its_cluster_is_fenced),
		T(test_run_daemon__ends_where_its_key_is_of_another_repository),
		T(test_run_daemon__ends_without_a_key_and_without_a_cluster),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
