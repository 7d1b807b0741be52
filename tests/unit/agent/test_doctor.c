/* SPDX-License-Identifier: Apache-2.0 */
/* What measurements of a store mean, sentence by sentence. */
#include "agent/doctor.h"

#include "tests/harness/store_kit.h"

#define S INT64_C(1000000000)
#define MS INT64_C(1000000)
#define URL "azure://acct1/data"

static void assert_verdict(struct doctor_verdict v, enum doctor_result result, const char *detail,
                           const char *remedy)
{
	assert_string_equal(v.detail, detail);
	assert_string_equal(v.remedy, remedy);
	assert_int_equal(v.result, result);
}

static struct err error_of(enum err_class class, const char *text)
{
	struct err e = ERR_INIT;

	(void)err_set(&e, class, "storing object 'probe/x' in '" URL "': %s", text);
	return e;
}

static void test_doctor_cause__what_the_store_said(void **state)
{
	(void)state;
	assert_string_equal(doctor_cause("reading object 'x' of '" URL "': no: really", URL),
	                    "no: really");
	assert_string_equal(doctor_cause("asking '" URL
	                                 "' for the state of its second region: away",
	                                 URL),
	                    "away");
	assert_string_equal(doctor_cause("no memory", URL), "no memory");
	assert_string_equal(doctor_cause("'" URL "' is none", URL), "'" URL "' is none");
}

static void test_doctor_judge_answer__tells_both_times_of_a_service(void **state)
{
	(void)state;
	assert_verdict(doctor_judge_answer(180 * MS, 12 * MS, true), DOCTOR_OK,
	               "in 12 ms; the first in 180 ms (name, TLS, token)", "");
	assert_verdict(doctor_judge_answer(180 * MS, 12 * MS, false), DOCTOR_OK, "it is there", "");
}

static void test_doctor_judge_end__warns_a_week_before(void **state)
{
	const int64_t day_ns = (int64_t)86400 * 1000000000;
	const int64_t end_ns = 20000 * day_ns;

	(void)state;
	assert_verdict(doctor_judge_end(0, end_ns), DOCTOR_OK, "accepted", "");
	assert_verdict(doctor_judge_end(end_ns, end_ns - 7 * day_ns), DOCTOR_OK,
	               "accepted; they end at 2024-10-04T00:00:00.000Z", "");
	assert_verdict(doctor_judge_end(end_ns, end_ns - 7 * day_ns + 1), DOCTOR_WARNING,
	               "accepted; they end at 2024-10-04T00:00:00.000Z",
	               "make new ones in time, or use an identity that does not end");
}

static void test_doctor_judge_right__names_what_is_missing(void **state)
{
	const struct err none = ERR_INIT;
	const struct err denied = error_of(ERR_DENIED, "not for you");
	const struct err away = error_of(ERR_RETRY, "no answer");

	(void)state;
	assert_verdict(doctor_judge_right(RIGHT_CREATE, &none, "a role", URL), DOCTOR_OK, "allowed",
	               "");
	assert_verdict(doctor_judge_right(RIGHT_CREATE, &denied, "s3:PutObject", URL),
	               DOCTOR_FAILED, "not for you",
	               "to create it needs s3:PutObject (backups, and notes of restores)");
	assert_verdict(doctor_judge_right(RIGHT_LIST, &denied, NULL, URL), DOCTOR_FAILED,
	               "not for you", "");
	assert_verdict(doctor_judge_right(RIGHT_READ, &away, "s3:GetObject", URL), DOCTOR_FAILED,
	               "no answer", "");
}

static void test_doctor_judge_right__to_delete_is_fine_both_ways(void **state)
{
	const struct err none = ERR_INIT;
	const struct err denied = error_of(ERR_DENIED, "not for you");
	const struct err kept = error_of(ERR_BUSY, "a policy keeps it");
	const struct err away = error_of(ERR_RETRY, "no answer");

	(void)state;
	assert_verdict(doctor_judge_right(RIGHT_DELETE, &none, "d", URL), DOCTOR_OK,
	               "allowed; collections need it, backups do not", "");
	assert_verdict(doctor_judge_right(RIGHT_DELETE, &denied, "d", URL), DOCTOR_OK,
	               "refused, which is right for a machine that only backs up; collections "
	               "(aksdr-catalog gc) run elsewhere",
	               "only if collections shall run here: it needs d");
	assert_verdict(doctor_judge_right(RIGHT_DELETE, &kept, "d", URL), DOCTOR_OK,
	               "refused, which is right for a machine that only backs up; collections "
	               "(aksdr-catalog gc) run elsewhere",
	               "");
	assert_verdict(doctor_judge_right(RIGHT_DELETE, &away, "d", URL), DOCTOR_WARNING,
	               "no answer", "");
}

static void test_doctor_judge_race__one_winner_each_time(void **state)
{
	const struct doctor_race good = { .racers = 16, .rounds = 4, .single = 4 };
	const struct doctor_race many = { .racers = 16, .rounds = 4, .single = 1, .many = 3 };
	const struct doctor_race lost = { .racers = 16, .rounds = 4, .single = 3, .other = 1 };

	(void)state;
	assert_verdict(doctor_judge_race(&good, false), DOCTOR_OK,
	               "16 writers of one name at once: one wins (4 races)", "");
	assert_verdict(doctor_judge_race(&many, false), DOCTOR_FAILED,
	               "in 3 of 4 races several of 16 writers of one name won: they would destroy "
	               "each other's work",
	               "use a store with conditional writes (If-None-Match: *), or aksdr-agent "
	               "init --single-writer");
	assert_verdict(doctor_judge_race(&many, true), DOCTOR_WARNING,
	               "in 3 of 4 races several of 16 writers of one name won: they would destroy "
	               "each other's work",
	               "the repository is in single-writer mode: one backup at a time, of all "
	               "machines together");
	assert_verdict(doctor_judge_race(&lost, true), DOCTOR_FAILED,
	               "in 1 of 4 races of 16 writers no object was the one that won", "");
}

static void test_doctor_judge_list__complete_and_in_order(void **state)
{
	const struct doctor_list all = { .wanted = 8, .found = 8 };
	const struct doctor_list half = { .wanted = 4, .found = 4 };
	const struct doctor_list less = { .wanted = 8, .found = 5 };
	const struct doctor_list half_less = { .wanted = 4, .found = 3 };
	const struct doctor_list mixed = { .wanted = 8, .found = 8, .disorder = true };
	const struct doctor_list more = { .wanted = 4, .found = 4, .foreign = 1 };
	static const char cache[] = "no cache or proxy may stand before the store; writers would "
				    "miss what others wrote";

	(void)state;
	assert_verdict(doctor_judge_list(&all, &half), DOCTOR_OK,
	               "all 8 objects are listed at once, and in order", "");
	assert_verdict(doctor_judge_list(&less, &half), DOCTOR_FAILED,
	               "of 8 objects just written, 3 are not in the list", cache);
	assert_verdict(
		doctor_judge_list(&all, &half_less), DOCTOR_FAILED,
		"of 4 objects just written, 1 are not in the list that begins after the first half",
		cache);
	assert_int_equal(doctor_judge_list(&mixed, &half).result, DOCTOR_FAILED);
	assert_int_equal(doctor_judge_list(&all, &more).result, DOCTOR_FAILED);
}

static void test_doctor_judge_gone__what_lingers_is_a_warning(void **state)
{
	const struct doctor_list none = { 0 };
	const struct doctor_list some = { .foreign = 2 };

	(void)state;
	assert_verdict(doctor_judge_gone(&none, 0, 12), DOCTOR_OK,
	               "what was deleted is gone at once (12 objects)", "");
	assert_verdict(doctor_judge_gone(&some, 1, 12), DOCTOR_WARNING,
	               "of 12 objects just deleted, 2 are still listed and 1 still read",
	               "collections wait long enough for this; no cache may stand before the "
	               "store");
}

static void test_doctor_judge_lock__kept_hidden_or_not(void **state)
{
	struct doctor_lock l = { .asked = "30d", .put = ERR_INIT, .del = ERR_INIT };

	(void)state;
	l.deleted = true;
	assert_verdict(doctor_judge_lock(&l, "a role", URL), DOCTOR_FAILED,
	               "asked for 30d, but the store does not keep locks: an object that was "
	               "stored with one could be deleted at once",
	               "switch versions and immutability (object lock) on for the container "
	               "(bucket), or take 'lock' out of the URL");
	l.locked_until_ns = 100 * S;
	assert_verdict(doctor_judge_lock(&l, "a role", URL), DOCTOR_OK,
	               "asked for 30d: the store keeps it; a delete hides the object, and its "
	               "version stays",
	               "");
	l.deleted = false;
	l.del = error_of(ERR_BUSY, "kept");
	assert_verdict(doctor_judge_lock(&l, "a role", URL), DOCTOR_OK,
	               "asked for 30d: the store keeps it, a delete is refused", "");
	l.locked_until_ns = 0;
	assert_verdict(doctor_judge_lock(&l, "a role", URL), DOCTOR_OK,
	               "asked for 30d: its delete is refused by a lock", "");
	l.del = error_of(ERR_DENIED, "not for you");
	assert_int_equal(doctor_judge_lock(&l, "a role", URL).result, DOCTOR_WARNING);
}

static void test_doctor_judge_lock__cannot_be_stored(void **state)
{
	struct doctor_lock l = { .asked = "30d", .del = ERR_INIT };

	(void)state;
	l.put = error_of(ERR_DENIED, "not for you");
	assert_verdict(doctor_judge_lock(&l, "a role", URL), DOCTOR_FAILED,
	               "an object cannot be locked: not for you", "to lock it needs a role");
	l.put = error_of(ERR_IO, "status 400");
	assert_verdict(doctor_judge_lock(&l, "a role", URL), DOCTOR_FAILED,
	               "an object cannot be locked: status 400",
	               "versions and immutability (object lock) must be on for the container "
	               "(bucket)");
}

static void test_doctor_clock_add__whole_seconds_narrow_each_other(void **state)
{
	struct doctor_clock c = { 0 };

	(void)state;
	/* The store is 0.3 s ahead and tells seconds. */
	doctor_clock_add(&c, 1000 * S, 1000 * S + 100 * MS, 1000 * S);
	assert_int_equal(c.lo_ns, -100 * MS);
	assert_int_equal(c.hi_ns, 1000 * MS);
	doctor_clock_add(&c, 1000 * S + 700 * MS, 1000 * S + 800 * MS, 1001 * S);
	assert_int_equal(c.lo_ns, 200 * MS);
	assert_int_equal(c.hi_ns, 1000 * MS);
	doctor_clock_add(&c, 1000 * S + 650 * MS, 1000 * S + 660 * MS, 1000 * S);
	assert_int_equal(c.lo_ns, 200 * MS);
	assert_int_equal(c.hi_ns, 350 * MS);
	assert_false(c.jumps);
	assert_int_equal(c.samples, 3);
}

static void test_doctor_judge_clock__near_behind_and_before(void **state)
{
	const struct doctor_clock none = { 0 };
	const struct doctor_clock near = { .lo_ns = -400 * MS, .hi_ns = 300 * MS, .samples = 8 };
	const struct doctor_clock behind = { .lo_ns = 7 * S, .hi_ns = 8 * S, .samples = 8 };
	const struct doctor_clock little = { .lo_ns = 2 * S, .hi_ns = 3 * S, .samples = 8 };
	const struct doctor_clock before = { .lo_ns = -3601 * S, .hi_ns = -3600 * S, .samples = 8 };
	static const char set[] = "let chrony or systemd-timesyncd set it; requests that are 15 "
				  "minutes off are refused";

	(void)state;
	assert_verdict(doctor_judge_clock(&none), DOCTOR_NONE, "the store tells no time", "");
	assert_verdict(doctor_judge_clock(&near), DOCTOR_OK, "as the store's, to within 400 ms",
	               "");
	assert_verdict(doctor_judge_clock(&little), DOCTOR_OK,
	               "this machine's is 2.0 s behind the store's", "");
	assert_verdict(doctor_judge_clock(&behind), DOCTOR_WARNING,
	               "this machine's is 7.0 s behind the store's", set);
	assert_verdict(doctor_judge_clock(&before), DOCTOR_WARNING,
	               "this machine's is 1h00m before the store's", set);
}

static void test_doctor_judge_clock__contradictions_are_told(void **state)
{
	struct doctor_clock c = { 0 };

	(void)state;
	doctor_clock_add(&c, 1000 * S, 1000 * S + MS, 1000 * S + MS);
	doctor_clock_add(&c, 1001 * S, 1001 * S + MS, 1011 * S + MS);
	doctor_clock_add(&c, 1002 * S, 1002 * S + MS, 1002 * S + MS);
	assert_true(c.jumps);
	assert_int_equal(c.lo_ns, 0);
	assert_int_equal(c.hi_ns, 10 * S + 21 * MS);
	assert_int_equal(doctor_judge_clock(&c).result, DOCTOR_WARNING);
}

static void test_doctor_judge_cut__of_each_kind(void **state)
{
	struct store_cut c = { .kind = CUT_NONE };
	int64_t lag_ns;

	(void)state;
	assert_int_equal(doctor_judge_cut(&c, 5000 * S, &lag_ns).result, DOCTOR_NONE);
	assert_int_equal(lag_ns, -1);
	c = (struct store_cut){ .kind = CUT_UNKNOWN, .status = "bootstrap" };
	assert_verdict(doctor_judge_cut(&c, 5000 * S, &lag_ns), DOCTOR_WARNING,
	               "there is one; how far it is, is not known (status: bootstrap)",
	               "after a change of the replication it takes hours; then ask again");
	assert_int_equal(lag_ns, -1);
	c = (struct store_cut){
		.kind = CUT_LAST_SYNC, .cut_ns = 4748 * S, .at_ns = 5000 * S, .status = "live"
	};
	assert_verdict(doctor_judge_cut(&c, 9000 * S, &lag_ns), DOCTOR_OK,
	               "live; it has everything up to 4m12s ago (1970-01-01T01:19:08.000Z)", "");
	assert_int_equal(lag_ns, 252 * S);
	c.at_ns = 0;
	assert_verdict(doctor_judge_cut(&c, 8348 * S, &lag_ns), DOCTOR_WARNING,
	               "live; it has everything up to 1h00m ago (1970-01-01T01:19:08.000Z)",
	               "usual is below 15 minutes; ask again later");
	c = (struct store_cut){
		.kind = CUT_LAST_SYNC, .cut_ns = 1, .at_ns = 2, .status = "unavailable"
	};
	assert_int_equal(doctor_judge_cut(&c, 2, &lag_ns).result, DOCTOR_WARNING);
	c = (struct store_cut){ .kind = CUT_COMPARED, .cut_ns = 5000 * S, .at_ns = 5000 * S };
	assert_verdict(doctor_judge_cut(&c, 5000 * S, &lag_ns), DOCTOR_OK,
	               "compared: it lacks nothing", "");
	assert_int_equal(lag_ns, 0);
	c = (struct store_cut){ .kind = CUT_REPLICATION, .behind = 1 };
	assert_verdict(doctor_judge_cut(&c, 5000 * S, &lag_ns), DOCTOR_WARNING,
	               "by replication status: it lacks 1 object",
	               "does the replication, or aksdr-catalog mirror, run?");
	assert_int_equal(lag_ns, -1);
	c = (struct store_cut){
		.kind = CUT_COMPARED, .behind = 3, .cut_ns = 4940 * S, .at_ns = 5000 * S
	};
	assert_verdict(doctor_judge_cut(&c, 5000 * S, &lag_ns), DOCTOR_OK,
	               "compared: it lacks 3 objects; it has everything up to 1m00s ago "
	               "(1970-01-01T01:22:20.000Z)",
	               "");
}

static void test_doctor_judge_no_cut__rights_or_no_second_region(void **state)
{
	const struct err denied = error_of(ERR_DENIED, "not for you");
	const struct err away = error_of(ERR_RETRY, "no such name");

	(void)state;
	assert_verdict(doctor_judge_no_cut(&denied, URL), DOCTOR_WARNING, "not for you",
	               "how far it is can be asked by who may read the whole account, not one "
	               "container of it; backups and restores do without");
	assert_verdict(doctor_judge_no_cut(&away, URL), DOCTOR_WARNING, "no such name",
	               "if the store has no second region, say so in its URL: secondary=none");
}

static void test_doctor_spread_of__least_middle_most(void **state)
{
	int64_t odd[] = { 9 * MS, 1 * MS, 5 * MS };
	int64_t even[] = { 4, 1, 3, 2 };
	int64_t one[] = { 700 * MS };

	(void)state;
	struct doctor_spread s = doctor_spread_of(odd, 3);
	assert_verdict(doctor_judge_latency(&s, 3), DOCTOR_OK,
	               "median 5 ms, 1 ms to 9 ms (3 reads)", "");
	s = doctor_spread_of(even, 4);
	assert_int_equal(s.median_ns, 2);
	assert_int_equal(s.max_ns, 4);
	s = doctor_spread_of(one, 1);
	assert_verdict(doctor_judge_latency(&s, 1), DOCTOR_WARNING,
	               "median 700 ms, 700 ms to 700 ms (1 reads)",
	               "is the store in another part of the world, or behind a slow proxy?");
}

static void test_doctor_judge_rate__says_how_long_a_volume_takes(void **state)
{
	const struct doctor_rate none = { 0 };
	const struct doctor_rate one = { 16 * MIB, 2 * S };
	const struct doctor_rate many = { 48 * MIB, S };
	const struct doctor_rate slow = { 1 * MIB, S };

	(void)state;
	assert_int_equal(doctor_rate_of(one), 8388608);
	assert_int_equal(doctor_rate_of(none), 0);
	assert_verdict(doctor_judge_rate(one, many, 16, true), DOCTOR_OK,
	               "48.0 MiB/s with 16 at once, 8.0 MiB/s with one; 100 GiB go up in 35m33s "
	               "(64.0 MiB measured)",
	               "");
	assert_verdict(doctor_judge_rate(slow, slow, 16, false), DOCTOR_WARNING,
	               "1.0 MiB/s with 16 at once, 1.0 MiB/s with one; 100 GiB come back in "
	               "1d04h (2.0 MiB measured)",
	               "look at the network's limits, of this machine and on the way");
	assert_verdict(doctor_judge_rate(none, none, 16, true), DOCTOR_NONE, "not measured", "");
}

static void test_doctor_share__by_the_rate_of_one_stream(void **state)
{
	(void)state;
	assert_int_equal(doctor_share(16 * MIB, 16, 5, 3 * MIB), 3 * MIB);
	assert_int_equal(doctor_share(1 * MIB, 16, 5, 3 * MIB), 327680);
	assert_int_equal(doctor_share(0, 16, 5, 3 * MIB), 65536);
}

static void check_url(const char *url, const char *lock, const char *wanted, const char *asked)
{
	char *made = NULL, *was = NULL;

	ok(doctor_url(url, lock, &made, &was, e));
	assert_string_equal(made, wanted);
	if (asked)
		assert_string_equal(was, asked);
	else
		assert_null(was);
	free(made);
	free(was);
}

static void test_doctor_url__the_lock_is_left_out_or_shortened(void **state)
{
	(void)state;
	check_url("s3://b", NULL, "s3://b", NULL);
	check_url("s3://b?lock=30d", NULL, "s3://b", "30d");
	check_url("s3://b?lock=30d&region=x", NULL, "s3://b?region=x", "30d");
	check_url("s3://b?region=x&lock=30d&lock-mode=governance", NULL,
	          "s3://b?region=x&lock-mode=governance", "30d");
	check_url("s3://b?region=x&lock=30d", "2m", "s3://b?region=x&lock=2m", "30d");
	check_url("s3://b", "2m", "s3://b?lock=2m", NULL);
	check_url("s3://b?lock=1d&lock=2d", NULL, "s3://b", "2d");
	check_url("s3://b?secondary=s3%3A%2F%2Fc%3Flock%3D1d", NULL,
	          "s3://b?secondary=s3%3A%2F%2Fc%3Flock%3D1d", NULL);
}

static void check_lines(const struct doctor_verdict *v, unsigned columns, const char *wanted)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4096);

	assert_int_equal(doctor_lines(&b, "create", v, columns), 0);
	assert_string_equal(buf_cstr(&b), wanted);
}

static void test_doctor_lines__words_are_wrapped_below_their_column(void **state)
{
	struct doctor_verdict v = doctor_say(DOCTOR_OK, "allowed");

	(void)state;
	check_lines(&v, 80, "create              ok       allowed\n");
	v = doctor_say(DOCTOR_FAILED, "one two three four five");
	(void)snprintf(v.remedy, sizeof(v.remedy), "alpha beta gamma delta");
	check_lines(&v, 50,
	            "create              FAILED   one two three four\n"
	            "                             five\n"
	            "                             => alpha beta gamma\n"
	            "                                delta\n");
	/* Narrower than that is read no more. */
	check_lines(&v, 10,
	            "create              FAILED   one two three four\n"
	            "                             five\n"
	            "                             => alpha beta gamma\n"
	            "                                delta\n");
}

static void test_doctor_lines__what_a_server_says_cannot_move_the_cursor(void **state)
{
	struct doctor_verdict v = doctor_say(DOCTOR_NONE, "a\033[2Jb \xc3\xa4");

	(void)state;
	check_lines(&v, 80, "create              -        a\\x1b[2Jb \xc3\xa4\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doctor_cause__what_the_store_said),
		cmocka_unit_test(test_doctor_judge_answer__tells_both_times_of_a_service),
		cmocka_unit_test(test_doctor_judge_end__warns_a_week_before),
		cmocka_unit_test(test_doctor_judge_right__names_what_is_missing),
		cmocka_unit_test(test_doctor_judge_right__to_delete_is_fine_both_ways),
		cmocka_unit_test(test_doctor_judge_race__one_winner_each_time),
		cmocka_unit_test(test_doctor_judge_list__complete_and_in_order),
		cmocka_unit_test(test_doctor_judge_gone__what_lingers_is_a_warning),
		cmocka_unit_test(test_doctor_judge_lock__kept_hidden_or_not),
		cmocka_unit_test(test_doctor_judge_lock__cannot_be_stored),
		cmocka_unit_test(test_doctor_clock_add__whole_seconds_narrow_each_other),
		cmocka_unit_test(test_doctor_judge_clock__near_behind_and_before),
		cmocka_unit_test(test_doctor_judge_clock__contradictions_are_told),
		cmocka_unit_test(test_doctor_judge_cut__of_each_kind),
		cmocka_unit_test(test_doctor_judge_no_cut__rights_or_no_second_region),
		cmocka_unit_test(test_doctor_spread_of__least_middle_most),
		cmocka_unit_test(test_doctor_judge_rate__says_how_long_a_volume_takes),
		cmocka_unit_test(test_doctor_share__by_the_rate_of_one_stream),
		cmocka_unit_test(test_doctor_url__the_lock_is_left_out_or_shortened),
		cmocka_unit_test(test_doctor_lines__words_are_wrapped_below_their_column),
		cmocka_unit_test(test_doctor_lines__what_a_server_says_cannot_move_the_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
