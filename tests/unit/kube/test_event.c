/* SPDX-License-Identifier: Apache-2.0 */
/* What an event says, and when it counts up instead of being another one. */
#include "kube/event.h"

#include "tests/harness/kube_kit.h"

static const struct kit_answer fine[] = { { .body = "{}" } };
static const struct event_about pvc = { &kube_pvc, "n", "data", "u-1", NULL };

static struct events *open_events(void)
{
	struct err e;
	struct events *ev = events_new(kit.kube, "agent-1", &e);

	assert_non_null(ev);
	return ev;
}

static json_t *body(void)
{
	struct err e;

	(void)http_server_requests(kit.server);
	return json_parse("body", kit.body, strlen(kit.body), &e);
}

static void test_tell__says_what_happened_to_which_object(void **state)
{
	struct events *ev = open_events();
	char note[2 * EVENT_NOTE_MAX];

	(void)state;
	PLAY(fine);
	memset(note, 'x', sizeof(note) - 1);
	note[sizeof(note) - 1] = '\0';
	ok(events_tell(ev, &pvc, true, "BackupFailed", "Backup", note, e));
	auto_json json_t *o = body();
	assert_string_equal(kube_text_at(o, "regarding.kind"), "PersistentVolumeClaim");
	assert_string_equal(kube_text_at(o, "regarding.apiVersion"), "v1");
	assert_string_equal(kube_text_at(o, "regarding.uid"), "u-1");
	assert_string_equal(kube_text_at(o, "type"), "Warning");
	assert_string_equal(kube_text_at(o, "reportingInstance"), "agent-1");
	assert_int_equal(strlen(kube_text_at(o, "note")), EVENT_NOTE_MAX);
	assert_int_equal(strlen(kube_text_at(o, "eventTime")), 27);
	assert_memory_equal(kit_log(), "POST /apis/events.k8s.io/v1/namespaces/n/events?", 48);
	events_free(ev);
}

static void test_tell__the_same_one_counts_up(void **state)
{
	struct events *ev = open_events();

	(void)state;
	PLAY(fine);
	for (int i = 0; i < 3; i++)
		ok(events_tell(ev, &pvc, false, "A", "B", "same", e));
	auto_json json_t *o = body();
	assert_int_equal(kube_number_at(o, "series.count", 0), 3);
	ok(events_tell(ev, &pvc, false, "A", "B", "another", e));
	auto_json json_t *other = body();
	assert_int_equal(kube_number_at(other, "series.count", 0), 0);
	events_free(ev);
}

static void test_tell__one_that_the_server_has_forgotten_is_made_again(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = "{}" },
		{ .status = 404,
		  .body = "{\"kind\":\"Status\",\"code\":404,\"details\":{\"name\":\"x\"}}" },
		{ .body = "{}" },
	};
	struct events *ev = open_events();

	(void)state;
	PLAY(script);
	ok(events_tell(ev, &pvc, false, "A", "B", "same", e));
	ok(events_tell(ev, &pvc, false, "A", "B", "same", e));
	assert_int_equal(http_server_requests(kit.server), 3);
	events_free(ev);
}

static void test_tell__an_object_of_the_cluster_is_told_in_the_default_namespace(void **state)
{
	static const struct event_about node = { &kube_node, NULL, "node1", NULL, NULL };
	struct events *ev = open_events();

	(void)state;
	PLAY(fine);
	ok(events_tell(ev, &node, false, "A", "B", "x", e));
	assert_non_null(strstr(kit_log(), "/namespaces/default/events"));
	events_free(ev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_CASE(test_tell__says_what_happened_to_which_object),
		KIT_CASE(test_tell__the_same_one_counts_up),
		KIT_CASE(test_tell__one_that_the_server_has_forgotten_is_made_again),
		KIT_CASE(test_tell__an_object_of_the_cluster_is_told_in_the_default_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
