/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking, noting, losing and giving up a lease, over a server that keeps one object by the rules of
 * versions. That time makes one free is seen with a real server (tests/kube/client.sh).
 */
#include "kube/lease.h"

#include "tests/harness/kube_kit.h"

/* The object, NULL when there is none; touched in answers, which come one at a time. */
static json_t *object;
static unsigned version;
static bool steal;       /* the next write finds that another one has it */
static bool lose_answer; /* the next write is done, and its answer lost */

static void keep(const struct http_seen *q)
{
	struct err e;
	char text[16];

	json_decref(object);
	object = json_parse("body", q->body, q->body_len, &e);
	(void)snprintf(text, sizeof(text), "%u", ++version);
	json_object_set_new(json_object_get(object, "metadata"), "resourceVersion",
	                    json_string(text));
}

static void set_holder(const char *holder)
{
	json_object_set_new(json_object_get(object, "spec"), "holderIdentity", json_string(holder));
	version++;
}

static bool is_newest(const struct http_seen *q)
{
	struct err e;
	auto_json json_t *o = json_parse("body", q->body, q->body_len, &e);

	return strcmp(kube_text_at(o, "metadata.resourceVersion"),
	              kube_text_at(object, "metadata.resourceVersion")) == 0;
}

static void refuse(struct buf *reply, int code, const char *reason)
{
	char text[200];
	int n = snprintf(text, sizeof(text),
	                 "{\"kind\":\"Status\",\"code\":%d,\"reason\":\"%s\",\"details\":{\"name\":"
	                 "\"l\"}}",
	                 code, reason);

	http_reply(reply, code, "", text, (size_t)n);
}

static int serve(void *arg, const struct http_seen *q, struct buf *reply)
{
	(void)arg;
	bool read = strcmp(q->method, "GET") == 0;

	if (steal && !read) {
		steal = false;
		set_holder("thief");
		json_object_set_new(json_object_get(object, "metadata"), "resourceVersion",
		                    json_string("stolen"));
	}
	if (strcmp(q->method, "POST") == 0) {
		if (object) {
			refuse(reply, 409, "AlreadyExists");
			return 0;
		}
		keep(q);
	} else if (!object) {
		refuse(reply, 404, "NotFound");
		return 0;
	} else if (!read) {
		if (!is_newest(q)) {
			refuse(reply, 409, "Conflict");
			return 0;
		}
		keep(q);
		if (lose_answer) {
			lose_answer = false;
			return -1;
		}
	}
	char *text = json_dumps(object, JSON_COMPACT);
	http_reply(reply, 200, "", text, strlen(text));
	free(text);
	return 0;
}

static int setup(void **state)
{
	object = NULL;
	version = 0;
	steal = lose_answer = false;
	(void)kit_setup(state);
	kit.own = serve;
	return 0;
}

static int teardown(void **state)
{
	(void)kit_teardown(state);
	json_decref(object);
	return 0;
}

static struct lease *take(const char *holder, struct cancel *loss, char **by, struct err *e)
{
	const struct lease_params params = {
		.kube = kit.kube, .ns = "n", .name = "l", .holder = holder, .on_loss = loss
	};

	return lease_take(&params, by, e);
}

static void test_take__makes_notes_and_gives_up(void **state)
{
	auto_json json_t *note = json_pack("{s:s, s:n}", "a", "1", "b");
	struct err why;

	(void)state;
	struct lease *l = take("me", NULL, NULL, &why);
	assert_non_null(l);
	assert_true(lease_held(l));
	ok(lease_note(l, note, e));
	assert_string_equal(kube_text_at(object, "metadata.annotations.a"), "1");
	assert_string_equal(kube_text_at(object, "spec.holderIdentity"), "me");
	assert_int_equal(strlen(kube_text_at(object, "spec.renewTime")), 27);
	lease_release(l);
	assert_string_equal(kube_text_at(object, "spec.holderIdentity"), "");
	assert_int_equal(kube_number_at(object, "spec.leaseTransitions", 0), 1);
	l = take("you", NULL, NULL, &why);
	assert_non_null(l);
	assert_string_equal(kube_text_at(lease_notes(l), "a"), "1");
	assert_int_equal(kube_number_at(object, "spec.leaseTransitions", 0), 2);
	lease_release(l);
}

static void test_take__says_for_how_long(void **state)
{
	struct lease_params params = { .kube = kit.kube, .ns = "n", .name = "l", .holder = "me" };
	struct err why;

	(void)state;
	struct lease *l = lease_take(&params, NULL, &why);
	assert_non_null(l);
	assert_int_equal(kube_number_at(object, "spec.leaseDurationSeconds", 0), LEASE_SECONDS);
	lease_release(l);
	params.seconds = 60;
	l = lease_take(&params, NULL, &why);
	assert_non_null(l);
	assert_int_equal(kube_number_at(object, "spec.leaseDurationSeconds", 0), 60);
	lease_release(l);
}

static void test_take__of_somebody_else_is_busy_at_once(void **state)
{
	struct err why;
	char *by = NULL;

	(void)state;
	struct lease *l = take("me", NULL, NULL, &why);
	assert_non_null(l);
	assert_null(take("you", NULL, &by, &why));
	assert_int_equal(why.class, ERR_BUSY);
	assert_string_equal(by, "me");
	assert_non_null(strstr(why.msg, "Lease 'n/l': it is held by 'me'"));
	free(by);
	lease_release(l);
}

static void test_note__an_answer_that_was_lost_is_no_loss(void **state)
{
	auto_json json_t *note = json_pack("{s:s}", "a", "1");
	struct err why;

	(void)state;
	struct lease *l = take("me", NULL, NULL, &why);
	assert_non_null(l);
	lose_answer = true;
	ok(lease_note(l, note, e));
	assert_true(lease_held(l));
	assert_string_equal(kube_text_at(object, "metadata.annotations.a"), "1");
	lease_release(l);
}

static void test_note__a_thief_is_found(void **state)
{
	auto_json json_t *note = json_pack("{s:s}", "a", "1");
	struct cancel loss;
	struct err why;

	(void)state;
	assert_int_equal(cancel_init(&loss), 0);
	struct lease *l = take("me", &loss, NULL, &why);
	assert_non_null(l);
	steal = true;
	fails_saying(ERR_BUSY, "'thief'", lease_note(l, note, e));
	assert_true(cancel_requested(&loss));
	assert_false(lease_held(l));
	lease_release(l);
	assert_string_equal(kube_text_at(object, "spec.holderIdentity"), "thief");
	cancel_clear(&loss);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_take__makes_notes_and_gives_up),
		CASE(test_take__says_for_how_long),
		CASE(test_take__of_somebody_else_is_busy_at_once),
		CASE(test_note__an_answer_that_was_lost_is_no_loss),
		CASE(test_note__a_thief_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
