/* SPDX-License-Identifier: Apache-2.0 */
/* A store in memory, good or with a fault, is examined: what is told, and what stays behind. */
#include "agent/examine.h"

#include "tests/harness/store_kit.h"

struct told {
	char *text; /* "create ok\nread FAILED\n..." */
	size_t n;
	FILE *f;
};

static void tell(void *arg, const char *group, const char *check, const struct doctor_verdict *v)
{
	struct told *t = arg;

	(void)group;
	assert_true(v->detail[0] != '\0');
	(void)fprintf(t->f, "%s %s\n", check, doctor_result_name(v->result));
}

struct setting {
	struct store *s;
	struct told told;
	struct examine x;
	struct examine_figures f;
	enum store_fault fault; /* of these calls */
	enum store_call call;
	unsigned skip; /* so many of them are not hit */
};

static enum store_fault decide(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct setting *t = arg;

	(void)n;
	(void)key;
	if (call != t->call)
		return FAULT_NONE;
	if (t->skip > 0) {
		t->skip--;
		return FAULT_NONE;
	}
	return t->fault;
}

static int setup(void **state)
{
	struct setting *t = calloc(1, sizeof(*t));
	struct err e;

	assert_non_null(t);
	struct store *inner = store_mem_new(&e);
	assert_non_null(inner);
	t->s = store_fault_new(inner, decide, t, &e);
	assert_non_null(t->s);
	t->told.f = open_memstream(&t->told.text, &t->told.n);
	assert_non_null(t->told.f);
	t->x = (struct examine){ .store = t->s,
		                 .sweep = t->s,
		                 .quick = true,
		                 .progress = PROGRESS_NEVER,
		                 .tell = tell,
		                 .arg = &t->told };
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct setting *t = *state;

	store_free(t->s);
	(void)fclose(t->told.f);
	free(t->told.text);
	free(t);
	return 0;
}

static int count(void *arg, const struct store_item *item, struct err *e)
{
	(void)item;
	(void)e;
	++*(unsigned *)arg;
	return 0;
}

static unsigned objects(struct setting *t)
{
	unsigned n = 0;

	t->fault = FAULT_NONE;
	ok(store_list(t->s, "", NULL, count, &n, e));
	return n;
}

static void assert_told(struct setting *t, const char *wanted)
{
	(void)fflush(t->told.f);
	assert_string_equal(t->told.text, wanted);
}

static void test_examine_store__a_good_store(void **state)
{
	struct setting *t = *state;

	ok(examine_store(&t->x, &t->f, e));
	assert_told(t, "answer ok\ncreate ok\nread ok\nlist ok\ndelete ok\ncreate-only ok\n"
	               "one of 16 creates ok\nread after write ok\nlist after write ok\n"
	               "range reads ok\ngone after delete ok\nclock ok\nsecond region -\n"
	               "latency ok\nupload ok\ndownload ok\nleft behind ok\n");
	assert_int_equal(objects(t), 0);
	assert_int_equal(t->f.left, 0);
	assert_int_equal(t->f.clock.samples, 8);
	assert_true(t->f.up_many.bytes > 0 && t->f.down_many.bytes > 0);
	assert_true(t->f.up_one.bytes + t->f.up_many.bytes <= 8 * MIB);
	assert_int_equal(t->f.lag_ns, -1);
}

static void test_examine_store__without_the_right_to_delete_little_stays(void **state)
{
	struct setting *t = *state;

	t->call = CALL_DELETE;
	t->fault = FAULT_DENIED;
	ok(examine_store(&t->x, &t->f, e));
	assert_told(t, "answer ok\ncreate ok\nread ok\nlist ok\ndelete ok\ncreate-only ok\n"
	               "one of 16 creates ok\nread after write ok\nlist after write ok\n"
	               "range reads ok\nclock ok\nsecond region -\n"
	               "latency ok\nupload ok\ndownload ok\nleft behind ok\n");
	assert_true(t->f.left_bytes <= 3 * MIB);
	assert_int_equal(objects(t), t->f.left);
}

static void test_examine_store__without_the_right_to_create(void **state)
{
	struct setting *t = *state;

	t->call = CALL_PUT;
	t->fault = FAULT_DENIED;
	ok(examine_store(&t->x, &t->f, e));
	assert_told(t, "answer ok\ncreate FAILED\nread ok\nlist ok\ndelete ok\nguarantees -\n"
	               "second region -\nspeed -\n");
	assert_int_equal(objects(t), 0);
}

static void test_examine_store__without_the_right_to_list(void **state)
{
	struct setting *t = *state;

	t->call = CALL_LIST;
	t->fault = FAULT_DENIED;
	ok(examine_store(&t->x, &t->f, e));
	assert_told(t, "answer ok\ncreate ok\nread ok\nlist FAILED\ndelete ok\nguarantees -\n"
	               "second region -\nspeed -\nleft behind ok\n");
	assert_int_equal(objects(t), 0);
}

static void test_examine_store__no_answer_ends_it(void **state)
{
	struct setting *t = *state;

	t->call = CALL_HEAD; /* the first of a read of a whole object */
	t->fault = FAULT_FAIL;
	ok(examine_store(&t->x, &t->f, e));
	assert_told(t, "answer FAILED\nall else -\n");
}

static void test_examine_store__bytes_that_change_are_seen(void **state)
{
	struct setting *t = *state;

	t->call = CALL_PUT;
	t->fault = FAULT_FLIP;
	t->skip = 2; /* the trials of rights */
	ok(examine_store(&t->x, &t->f, e));
	(void)fflush(t->told.f);
	assert_non_null(strstr(t->told.text, "read after write FAILED\n"));
	assert_int_equal(objects(t), 0);
}

static void test_examine_store__a_lock_that_is_refused(void **state)
{
	struct setting *t = *state;

	t->x.locking = t->s;
	t->x.lock = "30d";
	t->call = CALL_LOCK;
	t->fault = FAULT_DENIED;
	ok(examine_store(&t->x, &t->f, e));
	(void)fflush(t->told.f);
	assert_non_null(strstr(t->told.text, "delete ok\nlock FAILED\ncreate-only ok\n"));
	assert_int_equal(objects(t), 0);
}

static void test_examine_store__a_lock_that_is_kept_leaves_one_object(void **state)
{
	struct setting *t = *state;

	t->x.locking = t->s;
	t->x.lock = "30d";
	ok(examine_store(&t->x, &t->f, e));
	(void)fflush(t->told.f);
	assert_non_null(strstr(t->told.text, "delete ok\nlock ok\ncreate-only ok\n"));
	assert_int_equal(t->f.left, 1);
	assert_int_equal(t->f.left_bytes, 1024);
	assert_int_equal(objects(t), 1);
}

/* The request comes after one of the checks. */
struct interrupting {
	struct told *told;
	struct cancel cancel;
};

static void tell_and_cancel(void *arg, const char *group, const char *check,
                            const struct doctor_verdict *v)
{
	struct interrupting *i = arg;

	tell(i->told, group, check, v);
	if (strcmp(check, "range reads") == 0)
		cancel_request(&i->cancel);
}

static void test_examine_store__a_cancelled_one_tidies_up(void **state)
{
	struct setting *t = *state;
	struct interrupting i = { .told = &t->told };

	assert_int_equal(cancel_init(&i.cancel), 0);
	t->x.cancel = &i.cancel;
	t->x.tell = tell_and_cancel;
	t->x.arg = &i;
	struct err why = ERR_INIT;
	assert_int_equal(examine_store(&t->x, &t->f, &why), -1);
	assert_int_equal(why.class, ERR_CANCELLED);
	assert_told(t, "answer ok\ncreate ok\nread ok\nlist ok\ndelete ok\ncreate-only ok\n"
	               "one of 16 creates ok\nread after write ok\nlist after write ok\n"
	               "range reads ok\n");
	assert_int_equal(objects(t), 0);
	cancel_clear(&i.cancel);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_examine_store__##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_good_store),
		TEST(without_the_right_to_delete_little_stays),
		TEST(without_the_right_to_create),
		TEST(without_the_right_to_list),
		TEST(no_answer_ends_it),
		TEST(bytes_that_change_are_seen),
		TEST(a_lock_that_is_refused),
		TEST(a_lock_that_is_kept_leaves_one_object),
		TEST(a_cancelled_one_tidies_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
