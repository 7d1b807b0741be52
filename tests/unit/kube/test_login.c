/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are: when files are read again, when the plugin is asked, and what it may answer. */
#include "kube/login.h"

#include <sys/stat.h>

#include "tests/harness/kube_kit.h"

#define UNKNOWN "{\"kind\":\"Status\",\"code\":401,\"reason\":\"Unauthorized\"}"

static void reopen(const char *user)
{
	kube_close(kit.kube);
	kit.kube = kit_open(user);
}

static int wants_second(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	(void)q;
	if (strcmp(kit.auth, "Bearer second") == 0)
		http_reply(reply, 200, "", "{}", 2);
	else
		http_reply(reply, 401, "", UNKNOWN, strlen(UNKNOWN));
	return 0;
}

static void test_refused__a_token_that_was_exchanged_is_read_at_once(void **state)
{
	(void)state;
	write_text(kit.dir, "token", "first\n");
	reopen("tokenFile: token");
	kit.own = wants_second;
	fails_saying(ERR_DENIED, "401 Unauthorized",
	             kube_get(kit.kube, &kube_pod, "a", "p", NULL, e));
	write_text(kit.dir, "token", "second\n");
	reopen("tokenFile: token");
	ok(kube_get(kit.kube, &kube_pod, "a", "p", NULL, e));
}

static void test_refused__one_that_was_exchanged_meanwhile_is_no_error(void **state)
{
	(void)state;
	write_text(kit.dir, "token", "first\n");
	reopen("tokenFile: token");
	kit.own = wants_second;
	write_text(kit.dir, "token", "second\n");
	ok(kube_get(kit.kube, &kube_pod, "a", "p", NULL, e));
	assert_int_equal(http_server_requests(kit.server), 2);
}

static void plugin(const char *answer)
{
	char text[1024];
	auto_free char *path = path_join(kit.dir, "plugin");

	(void)snprintf(
		text, sizeof(text),
		"#!/bin/sh\necho x >>%s/asked\necho \"$EXTRA $KUBERNETES_EXEC_INFO\" >%s/env\n%s\n",
		kit.dir, kit.dir, answer);
	write_text(kit.dir, "plugin", text);
	assert_int_equal(chmod(path, 0755), 0);
	reopen("exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, "
	       "env: [{name: EXTRA, value: e}]}");
}

static const struct kit_answer fine[] = { { .body = "{}" } };

static void test_header__the_plugin_is_asked_until_its_token_expires(void **state)
{
	(void)state;
	PLAY(fine);
	plugin("echo '{\"status\":{\"token\":\"t\",\"expirationTimestamp\":"
	       "\"2200-01-01T00:00:00Z\"}}'");
	for (int i = 0; i < 3; i++)
		ok(kube_get(kit.kube, &kube_pod, "a", "p", NULL, e));
	auto_free char *asked = read_file(kit.dir, "asked", NULL);
	assert_string_equal(asked, "x\n");
	assert_string_equal(kit.auth, "Bearer t");
	auto_free char *env = read_file(kit.dir, "env", NULL);
	assert_string_equal(env, "e {\"apiVersion\":\"client.authentication.k8s.io/v1\","
	                         "\"kind\":\"ExecCredential\",\"spec\":{\"interactive\":false}}\n");
}

static void test_header__a_token_that_has_expired_is_asked_for_again(void **state)
{
	(void)state;
	PLAY(fine);
	plugin("echo '{\"status\":{\"token\":\"t\",\"expirationTimestamp\":"
	       "\"2001-01-01T00:00:00Z\"}}'");
	for (int i = 0; i < 3; i++)
		ok(kube_get(kit.kube, &kube_pod, "a", "p", NULL, e));
	auto_free char *asked = read_file(kit.dir, "asked", NULL);
	assert_string_equal(asked, "x\nx\nx\n");
}

static void test_header__a_plugin_that_fails_is_told(void **state)
{
	(void)state;
	PLAY(fine);
	plugin("exit 7");
	fails_saying(ERR_DENIED, "status 7", kube_get(kit.kube, &kube_pod, "a", "p", NULL, e));
	plugin("echo nonsense");
	fails_saying(ERR_DENIED, "its answer", kube_get(kit.kube, &kube_pod, "a", "p", NULL, e));
	plugin("echo '{}'");
	fails_saying(ERR_DENIED, "neither a token",
	             kube_get(kit.kube, &kube_pod, "a", "p", NULL, e));
	plugin("echo '{\"status\":{\"token\":\"a b\"}}'");
	fails_saying(ERR_DENIED, "blanks", kube_get(kit.kube, &kube_pod, "a", "p", NULL, e));
	reopen("exec: {command: /no/such/plugin}");
	fails_saying(ERR_DENIED, "/no/such/plugin",
	             kube_get(kit.kube, &kube_pod, "a", "p", NULL, e));
	assert_int_equal(http_server_requests(kit.server), 0);
}

static int open_with(const char *config, struct err *e)
{
	auto_free char *path = path_join(kit.dir, "other");
	const struct kube_params params = { .kubeconfig = path };

	if (config)
		write_text(kit.dir, "other", config);
	auto_kube struct kube *k = kube_open(&params, e);
	return k ? 0 : -1;
}

static void test_new__says_which_file_is_missing(void **state)
{
	(void)state;
	fails_saying(ERR_NOT_FOUND, "kubeconfig", open_with(NULL, e));
	fails_saying(ERR_DENIED, "/no/token",
	             open_with("current-context: c\ncontexts: [{name: c, context: {cluster: c, "
	                       "user: u}}]\nclusters: [{name: c, cluster: {server: 'https://a'}}]\n"
	                       "users: [{name: u, user: {tokenFile: /no/token}}]\n",
	                       e));
	fails_saying(ERR_FORMAT, "line 2", open_with("a: [", e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_CASE(test_refused__a_token_that_was_exchanged_is_read_at_once),
		KIT_CASE(test_refused__one_that_was_exchanged_meanwhile_is_no_error),
		KIT_CASE(test_header__the_plugin_is_asked_until_its_token_expires),
		KIT_CASE(test_header__a_token_that_has_expired_is_asked_for_again),
		KIT_CASE(test_header__a_plugin_that_fails_is_told),
		KIT_CASE(test_new__says_which_file_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
