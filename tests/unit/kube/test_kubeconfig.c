/* SPDX-License-Identifier: Apache-2.0 */
/* What a kubeconfig means, and what is refused instead of passed over. */
#include "kube/kubeconfig.h"

#include <stdio.h>
#include <string.h>

#include "tests/harness/store_kit.h"

static const char base[] = "apiVersion: v1\nkind: Config\ncurrent-context: one\n"
			   "contexts:\n"
			   "- {name: one, context: {cluster: c, user: u, namespace: n}}\n"
			   "- {name: two, context: {cluster: c}}\n"
			   "- {name: lost, context: {cluster: nowhere, user: u}}\n";

static int parse(const char *context, const char *cluster, const char *user, struct kubeconfig *ret,
                 struct err *e)
{
	char text[2048];
	int n = snprintf(text, sizeof(text),
	                 "%sclusters: [{name: c, cluster: {%s}}]\nusers: [{name: u, user: {%s}}]\n",
	                 base, cluster, user);

	return kubeconfig_parse("config", text, (size_t)n, "/dir", context, ret, e);
}

#define SERVER "server: 'https://a:6443//'"

static void test_parse__takes_cluster_and_user_of_the_current_context(void **state)
{
	CLEANUP(kubeconfig_clear) struct kubeconfig c = { 0 };

	(void)state;
	ok(parse(NULL, SERVER ", certificate-authority: pki/ca, proxy-url: 'http://p:1'",
	         "tokenFile: /t, client-certificate-data: \"Q0VS\\n VA==\", client-key: k", &c, e));
	assert_string_equal(c.server, "https://a:6443");
	assert_string_equal(c.ns, "n");
	assert_string_equal(c.ca_file, "/dir/pki/ca");
	assert_string_equal(c.proxy, "http://p:1");
	assert_string_equal(c.token_file, "/t");
	assert_string_equal(c.cert, "CERT");
	assert_string_equal(c.key_file, "/dir/k");
	assert_null(c.token);
	assert_null(c.ca);
}

static void test_parse__a_context_may_be_named_and_have_no_user(void **state)
{
	CLEANUP(kubeconfig_clear) struct kubeconfig c = { 0 };

	(void)state;
	ok(parse("two", SERVER, "token: x", &c, e));
	assert_null(c.token);
	assert_null(c.ns);
}

static void test_parse__takes_a_plugin(void **state)
{
	CLEANUP(kubeconfig_clear) struct kubeconfig c = { 0 };

	(void)state;
	ok(parse(NULL, SERVER, "exec: {command: kubelogin, args: [get-token]}", &c, e));
	assert_string_equal(json_string_value(json_object_get(c.exec, "command")), "kubelogin");
}

static void test_parse__refuses_what_it_cannot_do_or_should_not(void **state)
{
	CLEANUP(kubeconfig_clear) struct kubeconfig c = { 0 };

	(void)state;
	fails_saying(ERR_UNSUPPORTED, "insecure-skip-tls-verify",
	             parse(NULL, SERVER ", insecure-skip-tls-verify: true", "", &c, e));
	fails_saying(ERR_UNSUPPORTED, "tls-server-name",
	             parse(NULL, SERVER ", tls-server-name: x", "", &c, e));
	fails_saying(ERR_UNSUPPORTED, "password", parse(NULL, SERVER, "password: x", &c, e));
	fails_saying(ERR_UNSUPPORTED, "'as'", parse(NULL, SERVER, "as: x", &c, e));
	fails_saying(ERR_NOT_FOUND, "'three'", parse("three", SERVER, "", &c, e));
	fails_saying(ERR_NOT_FOUND, "'nowhere'", parse("lost", SERVER, "", &c, e));
	fails_saying(ERR_FORMAT, "no server", parse(NULL, "x: 1", "", &c, e));
	fails_saying(ERR_FORMAT, "no server", parse(NULL, "server: 'https://a b'", "", &c, e));
	fails_saying(ERR_FORMAT, "go together",
	             parse(NULL, SERVER, "client-certificate: x", &c, e));
	fails_saying(ERR_FORMAT, "quotes", parse(NULL, SERVER, "token: 12", &c, e));
	fails_saying(ERR_FORMAT, "blanks", parse(NULL, SERVER, "token: \"a\\r\\nb\"", &c, e));
	fails_saying(ERR_FORMAT, "base64",
	             parse(NULL, SERVER ", certificate-authority-data: 'a?=='", "", &c, e));
	fails_saying(ERR_FORMAT, "base64",
	             parse(NULL, SERVER ", certificate-authority-data: 'AAA='", "", &c, e));
	fails_saying(ERR_FORMAT, "command", parse(NULL, SERVER, "exec: {}", &c, e));
	fails_saying(ERR_NOT_FOUND, "no current context",
	             kubeconfig_parse("config", "{}", 2, "/", NULL, &c, e));
}

static void test_in_pod__takes_the_files_and_brackets_an_ipv6_address(void **state)
{
	CLEANUP(kubeconfig_clear) struct kubeconfig c = { 0 };

	(void)state;
	ok(kubeconfig_in_pod("/sa", "fd00::1", "443", &c, e));
	assert_string_equal(c.server, "https://[fd00::1]:443");
	assert_string_equal(c.token_file, "/sa/token");
	assert_string_equal(c.ca_file, "/sa/ca.crt");
	kubeconfig_clear(&c);
	ok(kubeconfig_in_pod("/sa", "10.0.0.1", "6443", &c, e));
	assert_string_equal(c.server, "https://10.0.0.1:6443");
	fails(ERR_INVALID, kubeconfig_in_pod("/sa", "a b", "1", &c, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__takes_cluster_and_user_of_the_current_context),
		cmocka_unit_test(test_parse__a_context_may_be_named_and_have_no_user),
		cmocka_unit_test(test_parse__takes_a_plugin),
		cmocka_unit_test(test_parse__refuses_what_it_cannot_do_or_should_not),
		cmocka_unit_test(test_in_pod__takes_the_files_and_brackets_an_ipv6_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
