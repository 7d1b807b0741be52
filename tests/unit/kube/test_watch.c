/* SPDX-License-Identifier: Apache-2.0 */
/* A watch of a server that cuts, forgets and answers with garbage: what is told, in order. */
#include "kube/watch.h"

#include <pthread.h>

#include "kube/watch_impl.h"
#include "tests/harness/kube_kit.h"

#define OBJECT(name, version)                                                       \
	"{\"metadata\":{\"namespace\":\"n\",\"name\":\"" name "\",\"uid\":\"u" name \
	"\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"
#define LIST(version, items) \
	"{\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[" items "]}"
#define BOOKMARK(version) \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" version "\"}}}\n"
#define GONE_EVENT "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n"

/* ---- what is told, as one text ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static struct buf told;

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void say(const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	pthread_mutex_lock(&lock);
	(void)buf_str(&told, text);
	pthread_cond_broadcast(&more);
	pthread_mutex_unlock(&lock);
}

static void put(void *arg, const json_t *object)
{
	(void)arg;
	say("+%s ", kube_text_at(object, "metadata.name"));
}

static void gone(void *arg, const char *ns, const char *name, const char *uid)
{
	(void)arg;
	say("-%s/%s:%s ", ns, name, uid);
}

static void synced(void *arg)
{
	(void)arg;
	say("synced ");
}

static void trouble(void *arg, const struct err *e)
{
	(void)arg;
	say("%s ", e ? err_class_name(e->class) : "works");
}

/* Runs it until all that is expected was told. */
static void tells(const char *expected)
{
	const struct watch_params params = { .kube = kit.kube,
		                             .kind = &kube_pod,
		                             .select = { .ns = "n" },
		                             .put = put,
		                             .gone = gone,
		                             .synced = synced,
		                             .trouble = trouble };
	struct err e;

	told = BUF_INIT(MIB);
	struct watch *w = watch_start(&params, &e);
	assert_non_null(w);
	pthread_mutex_lock(&lock);
	while (told.len < strlen(expected))
		pthread_cond_wait(&more, &lock);
	pthread_mutex_unlock(&lock);
	watch_stop(w);
	assert_string_equal(buf_cstr(&told), expected);
	buf_clear(&told);
}

static void test_watch__tells_a_list_and_what_changes(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = LIST("5", OBJECT("a", "3") "," OBJECT("b", "4")) },
		{ .how = KIT_OPEN,
		  .body = EVENT("ADDED", "c", "6") EVENT("MODIFIED", "a", "7")
		          EVENT("DELETED", "b", "8") BOOKMARK("9") },
	};

	(void)state;
	PLAY(script);
	tells("+a +b synced +c +a -n/b:ub ");
	assert_non_null(strstr(kit_log(), "GET /api/v1/namespaces/n/pods?limit=250\n"
	                                  "GET /api/v1/namespaces/n/pods?watch=true&"
	                                  "allowWatchBookmarks=true&resourceVersion=5&"));
}

static void test_watch__goes_on_behind_a_cut_in_the_middle_of_a_line(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = LIST("5", OBJECT("a", "3")) },
		{ .how = KIT_CUT, .body = EVENT("ADDED", "b", "6") "{\"type\":\"ADDED\",\"obj" },
		{ .how = KIT_OPEN, .body = EVENT("ADDED", "c", "7") },
	};

	(void)state;
	PLAY(script);
	tells("+a synced +b retry works +c ");
	assert_non_null(strstr(kit_log(), "resourceVersion=6&"));
}

static void test_watch__takes_up_from_a_bookmark_when_a_stream_ends(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = LIST("5", "") },
		{ .how = KIT_ENDS, .body = BOOKMARK("77") },
		{ .how = KIT_OPEN, .body = EVENT("ADDED", "c", "78") },
	};

	(void)state;
	PLAY(script);
	tells("synced +c ");
	assert_non_null(strstr(kit_log(), "resourceVersion=77&"));
}

static void test_watch__lists_again_when_the_version_is_forgotten(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = LIST("5", OBJECT("a", "3") "," OBJECT("b", "4")) },
		{ .how = KIT_OPEN, .body = EVENT("ADDED", "c", "6") GONE_EVENT },
		{ .body = LIST("9", OBJECT("b", "8")) },
		{ .status = 410 },
		{ .body = LIST("11", "") },
		{ .how = KIT_OPEN, .body = EVENT("ADDED", "d", "12") },
	};

	(void)state;
	PLAY(script);
	/* In which order the gone ones are told is open; here it is that of a table. */
	tells("+a +b synced +c +b -n/a:ua -n/c:uc synced -n/b:ub synced +d ");
}

static void test_watch__a_list_that_begins_anew_forgets_what_it_had_seen(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = "{\"metadata\":{\"resourceVersion\":\"5\",\"continue\":\"x\"},"
		          "\"items\":[" OBJECT("a", "3") "]}" },
		{ .status = 410 },
		{ .body = LIST("9", OBJECT("b", "8")) },
		{ .how = KIT_OPEN, .body = EVENT("ADDED", "d", "12") },
	};

	(void)state;
	PLAY(script);
	tells("+a +b -n/a:ua synced +d ");
}

static void test_watch__garbage_leads_to_a_list(void **state)
{
	static const struct kit_answer script[] = {
		{ .body = LIST("5", OBJECT("a", "3")) },
		{ .how = KIT_OPEN, .body = "<html>\n" },
		{ .body = LIST("6", OBJECT("a", "3")) },
		{ .how = KIT_OPEN, .body = EVENT("ADDED", "d", "12") },
	};

	(void)state;
	PLAY(script);
	tells("+a synced format +a works synced +d ");
}

static void test_watch__a_list_that_is_refused_is_trouble_until_it_is_not(void **state)
{
	static const struct kit_answer script[] = {
		{ .status = 403 },
		{ .status = 500 },
		{ .body = LIST("5", OBJECT("a", "3")) },
		{ .how = KIT_OPEN, .body = "" },
	};

	(void)state;
	PLAY(script);
	tells("denied retry +a works synced ");
}

/* ---- lines ---- */

static int event(void *arg, enum watch_type type, const json_t *object, struct err *e)
{
	struct buf *b = arg;

	(void)e;
	(void)buf_printf(b, "%d%s ", (int)type, kube_text_at(object, "metadata.name"));
	return 0;
}

static void test_feed__it_does_not_matter_where_bytes_end(void **state)
{
	static const char text[] = EVENT("ADDED", "a", "1") "\r\n\n" EVENT("DELETED", "b", "2")
		BOOKMARK("3");

	(void)state;
	for (size_t step = 1; step <= strlen(text); step++) {
		CLEANUP(buf_clear) struct buf rest = BUF_INIT(WATCH_LINE_MAX);
		CLEANUP(buf_clear) struct buf b = BUF_INIT(100);

		for (size_t at = 0; at < strlen(text); at += step) {
			size_t n = strlen(text) - at < step ? strlen(text) - at : step;

			ok(watch_feed(&rest, text + at, n, event, &b, e));
		}
		assert_string_equal(buf_cstr(&b), "0a 1b 2 ");
	}
}

static void test_feed__bounds_a_line_and_refuses_what_is_no_event(void **state)
{
	CLEANUP(buf_clear) struct buf rest = BUF_INIT(8);

	(void)state;
	fails(ERR_TOO_BIG, watch_feed(&rest, "123456789", 9, event, NULL, e));
	buf_reset(&rest);
	fails(ERR_FORMAT, watch_feed(&rest, "{}\n", 3, event, NULL, e));
	fails(ERR_FORMAT,
	      watch_feed(&rest, "{\"type\":\"NEW\",\"object\":{}}\n", 27, event, NULL, e));
	fails(ERR_FORMAT, watch_feed(&rest, "x\n", 2, event, NULL, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_CASE(test_watch__tells_a_list_and_what_changes),
		KIT_CASE(test_watch__goes_on_behind_a_cut_in_the_middle_of_a_line),
		KIT_CASE(test_watch__takes_up_from_a_bookmark_when_a_stream_ends),
		KIT_CASE(test_watch__lists_again_when_the_version_is_forgotten),
		KIT_CASE(test_watch__a_list_that_begins_anew_forgets_what_it_had_seen),
		KIT_CASE(test_watch__garbage_leads_to_a_list),
		KIT_CASE(test_watch__a_list_that_is_refused_is_trouble_until_it_is_not),
		cmocka_unit_test(test_feed__it_does_not_matter_where_bytes_end),
		cmocka_unit_test(test_feed__bounds_a_line_and_refuses_what_is_no_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
