/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repairs of a repository in which a test knows every object; with and without
 * a second store, and while others work in it.
 */
#include "tests/harness/repo_kit.h"

#include <errno.h>

#include "common/cancel.h"
#include "repo/collection.h"
#include "repo/expiry.h"
#include "repo/repair.h"
#include "tests/harness/fault_kit.h"
#include "tests/harness/keys_kit.h"

#define FILES 12
#define BYTES 3000

static const struct kit_content content = {
	.volume = "v", .domain = "d", .n = 1, .files = FILES, .bytes = BYTES, .seed = 1000
};

/* A repository with one point, and a copy of it from when it was whole. */
struct pair {
	struct kit k;
	struct point point;
	struct store *second;
	struct repo *from; /* of the second store */
	char data[PACK_KEY_MAX], meta[PACK_KEY_MAX], idx[160];
};

struct copying {
	struct store *from, *to;
};

static int copy_object(void *arg, const struct store_item *item, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * MIB);
	const struct copying *c = arg;

	return store_get_all(c->from, item->key, &b, e) < 0
	               ? -1
	               : put_bytes(c->to, item->key, b.data, b.len, e);
}

static void copy_store(struct store *from, struct store *to)
{
	struct copying c = { .from = from, .to = to };

	ok(store_list(from, "", NULL, copy_object, &c, e));
}

static void only_key(const struct kit *k, const char *prefix, char *ret, size_t max)
{
	static struct kit_names names;

	kit_list(k, prefix, &names);
	assert_int_equal(names.n, 1);
	assert_true(strlen(names.keys[0]) < max);
	memcpy(ret, names.keys[0], strlen(names.keys[0]) + 1);
}

static struct repo *open_in(const struct kit *k, struct store *s, const char *name)
{
	auto_free char *dir = path_join(k->dir, "keys");
	auto_free char *path = path_join(dir, name);
	struct keys *keys = NULL;
	struct repo *r = NULL;

	ok(keys_load(path, NULL, &keys, e));
	ok(repo_open(s, keys, NULL, NULL, &r, e));
	return r;
}

static void pair_init(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	p->k = kit_new();
	p->point = kit_backup(&p->k, &content);
	only_key(&p->k, "pack/", p->data, sizeof(p->data));
	only_key(&p->k, "meta/", p->meta, sizeof(p->meta));
	only_key(&p->k, "idx/", p->idx, sizeof(p->idx));
	ok((p->second = store_mem_new(e)) ? 0 : -1);
	copy_store(p->k.store, p->second);
	p->from = open_in(&p->k, p->second, "agent.key");
}

static void pair_clear(struct pair *p)
{
	repo_free(p->from);
	store_free(p->second);
	point_clear(&p->point);
	kit_clear(&p->k);
}
#define auto_pair CLEANUP(pair_clear)

/* Of two packs of data the one that was not there at first. */
static void other_pack(const struct pair *p, char ret[PACK_KEY_MAX])
{
	static struct kit_names names;

	kit_list(&p->k, "pack/", &names);
	assert_int_equal(names.n, 2);
	const char *key = names.keys[strcmp(names.keys[0], p->data) ? 0 : 1];
	assert_true(strlen(key) < PACK_KEY_MAX);
	memcpy(ret, key, strlen(key) + 1);
}

/* In the second store, with the helpers of a kit. */
static struct kit second_kit(const struct pair *p)
{
	struct kit k = p->k;

	k.store = p->second;
	return k;
}

/* ---- runs ---- */

struct told {
	char acts[8000], left[8000];
};

static int take_act(void *arg, const struct repair_act *a, struct err *e)
{
	struct told *t = arg;
	size_t n = strlen(t->acts);

	(void)e;
	(void)snprintf(t->acts + n, sizeof(t->acts) - n, "%s %s %llu%s%s\n",
	               repair_what_name(a->what), a->object, (unsigned long long)a->chunks,
	               a->text[0] ? ": " : "", a->text);
	return 0;
}

static int take_left(void *arg, const struct check_problem *p, struct err *e)
{
	struct told *t = arg;
	size_t n = strlen(t->left);

	(void)e;
	(void)snprintf(t->left + n, sizeof(t->left) - n, "%s %s\n", check_what_name(p->what),
	               p->object);
	return 0;
}

static struct repair_params params_of(struct told *t, const struct repo *from)
{
	*t = (struct told){ 0 };
	return (struct repair_params){
		.level = 3,
		.threads = 2,
		.from = from,
		.act = take_act,
		.problem = take_left,
		.arg = t,
	};
}

static struct repair_result run(const struct repo *r, const struct repo *from, struct told *t)
{
	const struct repair_params p = params_of(t, from);
	struct repair_result result;

	ok(repair_run(r, &p, &result, e));
	return result;
}

static struct repair_result dry_run(const struct repo *r, const struct repo *from, struct told *t)
{
	struct repair_params p = params_of(t, from);
	struct repair_result result;

	p.dry_run = true;
	ok(repair_run(r, &p, &result, e));
	return result;
}

static void assert_acts(const struct told *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void assert_acts(const struct told *t, const char *fmt, ...)
{
	char wanted[1000];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(wanted, sizeof(wanted), fmt, ap);
	va_end(ap);
	assert_string_equal(t->acts, wanted);
}

/* What lies in the store, as one text. */
static char *listing(struct store *s)
{
	struct seen l = SEEN_INIT;

	ok(store_list(s, "", NULL, see, &l, e));
	char *text = strdup(buf_cstr(&l.text));
	seen_clear(&l);
	assert_non_null(text);
	return text;
}

/* ---- nothing to do ---- */

static void test_repair_run__whole_repository_is_left_as_it_is(void **state)
{
	auto_pair struct pair p;
	struct told t;

	(void)state;
	pair_init(&p);
	auto_free char *before = listing(p.k.store);
	struct repair_result r = run(p.k.agent, p.from, &t);
	auto_free char *after = listing(p.k.store);
	assert_string_equal(before, after);
	assert_acts(&t, "%s", "");
	assert_int_equal(r.before.problems + r.after.problems, 0);
	assert_int_equal(r.replaced + r.indexed + r.segments + r.dropped + r.marked + r.failed, 0);
}

static void test_repair_run__needs_a_key_that_signs_and_a_level_that_there_is(void **state)
{
	auto_pair struct pair p;
	struct told t;
	struct repair_params params;
	struct repair_result r;

	(void)state;
	pair_init(&p);
	params = params_of(&t, NULL);
	fails(ERR_DENIED, repair_run(p.k.audit, &params, &r, e));
	params.level = 4;
	fails(ERR_DENIED, repair_run(p.k.agent, &params, &r, e));
	params.level = 9;
	fails(ERR_INVALID, repair_run(p.k.agent, &params, &r, e));
	params.level = 1;
	fails(ERR_INVALID, repair_run(p.k.agent, &params, &r, e));
	/* Who only asks needs no right to sign. */
	(void)dry_run(p.k.audit, NULL, &t);
}

static void test_repair_what_name__names_each(void **state)
{
	(void)state;
	assert_string_equal(repair_what_name(REPAIR_REPLACED), "replaced");
	assert_string_equal(repair_what_name(REPAIR_INDEXED), "indexed");
	assert_string_equal(repair_what_name(REPAIR_DROPPED), "dropped");
	assert_string_equal(repair_what_name(REPAIR_MARKED), "marked");
	assert_string_equal(repair_what_name(REPAIR_FAILED), "failed");
}

/* ---- the second store ---- */

static void test_repair_copy__puts_back_packs_that_are_damaged_or_gone(void **state)
{
	auto_pair struct pair p;
	struct told t;

	(void)state;
	pair_init(&p);
	kit_flip(&p.k, p.data, 400);
	kit_remove(&p.k, p.meta);
	struct repair_result r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 2);
	assert_true(r.replaced_bytes > FILES * BYTES);
	assert_int_equal(r.marked + r.failed, 0);
	assert_true(r.before.problems > 0);
	assert_int_equal(r.after.problems, 0);
	assert_string_equal(t.left, "");
	kit_check(p.k.recovery, 4, NULL);
	kit_assert_readable(p.k.recovery, &p.point, &content);
}

static void test_repair_copy__puts_back_what_was_cut_and_what_is_empty(void **state)
{
	auto_pair struct pair p;
	struct told t;

	(void)state;
	pair_init(&p);
	kit_cut(&p.k, p.data, 100);
	kit_replace(&p.k, p.meta, (const uint8_t *)"", 0);
	struct repair_result r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 2);
	assert_int_equal(r.after.problems, 0);
	kit_assert_readable(p.k.recovery, &p.point, &content);
}

static void test_repair_copy__puts_back_commits_and_statements(void **state)
{
	auto_pair struct pair p;
	struct told t;
	char commit[160];
	char marker[160];
	uint64_t n;

	(void)state;
	pair_init(&p);
	ok(expiry_put_hold(p.k.agent, p.point.session, NULL, "a reason", "a name", &n, e));
	struct copying c = { .from = p.k.store, .to = p.second };
	ok(store_list(p.k.store, "hold/", NULL, copy_object, &c, e));
	(void)snprintf(commit, sizeof(commit), "commit/%s", p.point.session);
	(void)snprintf(marker, sizeof(marker), "sess/%s", p.point.session);
	kit_flip(&p.k, commit, 200);
	kit_flip(&p.k, marker, 50);
	kit_flip(&p.k, "hold/00000001", -5);
	struct repair_result r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 3);
	assert_int_equal(r.failed, 0);
	assert_int_equal(r.after.problems, 0);
	kit_assert_readable(p.k.recovery, &p.point, &content);
}

static void test_repair_copy__what_a_node_hid_is_put_back_as_well(void **state)
{
	auto_pair struct pair p;
	struct told t;

	(void)state;
	pair_init(&p);
	kit_remove(&p.k, p.idx);
	kit_remove(&p.k, p.meta);
	kit_remove(&p.k, p.data);
	struct repair_result r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 2);
	assert_int_equal(r.indexed, 2);
	assert_int_equal(r.after.problems, 0);
	kit_assert_readable(p.k.recovery, &p.point, &content);
}

static void test_repair_copy__refuses_a_copy_that_is_damaged(void **state)
{
	static const int64_t places[] = { 0, 20, 60, 400, -8, -100, -200 };
	auto_pair struct pair p;
	struct told t;

	(void)state;
	pair_init(&p);
	struct kit second = second_kit(&p);
	kit_remove(&p.k, p.data);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		kit_flip(&second, p.data, places[i]);
		struct repair_result r = dry_run(p.k.agent, p.from, &t);
		assert_int_equal(r.replaced, 0);
		assert_int_equal(r.failed, 1);
		assert_non_null(strstr(t.acts, "the copy in the second store"));
		kit_flip(&second, p.data, places[i]);
	}
	kit_flip(&second, p.data, 400);
	struct repair_result r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 0);
	assert_int_equal(r.failed, 1);
	assert_int_equal(r.marked, FILES);
	assert_true(r.after.problems > 0);
	assert_int_equal(r.after.hurt_entries, FILES);
	assert_absent(p.k.store, p.data);
}

static void test_repair_copy__refuses_a_copy_of_another_pack(void **state)
{
	auto_pair struct pair p;
	struct kit_content c = content;
	struct told t;
	char other[PACK_KEY_MAX];

	(void)state;
	pair_init(&p);
	c.volume = "w";
	c.seed = 9000;
	auto_kit_point struct point more = kit_backup(&p.k, &c);
	other_pack(&p, other);
	size_t n;
	auto_free uint8_t *bytes = kit_get(&p.k, other, &n);
	struct kit second = second_kit(&p);
	kit_replace(&second, p.data, bytes, n);
	kit_flip(&p.k, p.data, 400);
	struct repair_result r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 0);
	assert_int_equal(r.failed, 1);
	/* Of the damaged one only one chunk is lost. */
	assert_int_equal(r.marked, 1);
}

static void test_repair_copy__refuses_a_pack_as_one_of_another_kind(void **state)
{
	auto_pair struct pair p;
	struct told t;

	(void)state;
	pair_init(&p);
	struct kit second = second_kit(&p);
	kit_swap(&second, p.data, p.meta);
	kit_remove(&p.k, p.meta);
	struct repair_result r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 0);
	assert_int_equal(r.failed, 1);
	assert_absent(p.k.store, p.meta);
}

/* Statements have numbers, so that those of another repository lie under the same names. */
static void test_repair_copy__refuses_statements_of_another_repository(void **state)
{
	auto_pair struct pair p;
	auto_kit struct kit other = kit_new();
	struct told t;
	uint64_t n;

	(void)state;
	pair_init(&p);
	ok(expiry_put_hold(p.k.agent, p.point.session, NULL, "a reason", "a name", &n, e));
	ok(expiry_put_hold(other.agent, NULL, &p.point.volume, "another", "one", &n, e));
	kit_flip(&p.k, "hold/00000001", 60);
	size_t len;
	auto_free uint8_t *before = kit_get(&p.k, "hold/00000001", &len);
	const struct repair_params params = params_of(&t, other.agent);
	struct repair_result r;
	fails_saying(ERR_INVALID, "another repository", repair_run(p.k.agent, &params, &r, e));
	assert_content(p.k.store, "hold/00000001", before, len);
}

/* Gives an object right only at every second read. */
static enum store_fault flip_first(void *arg, uint64_t n, enum store_call call, const char *key)
{
	unsigned *reads = arg;

	(void)n;
	if (call != CALL_GET || strncmp(key, "hold/", 5) != 0)
		return FAULT_NONE;
	return (*reads)++ % 2 == 0 ? FAULT_FLIP : FAULT_NONE;
}

static void test_repair_copy__puts_the_bytes_that_it_looked_at(void **state)
{
	auto_pair struct pair p;
	struct told t;
	unsigned reads = 0;
	uint64_t n;
	struct err err = ERR_INIT;

	(void)state;
	pair_init(&p);
	ok(expiry_put_hold(p.k.agent, p.point.session, NULL, "a reason", "a name", &n, e));
	struct copying c = { .from = p.k.store, .to = p.second };
	ok(store_list(p.k.store, "hold/", NULL, copy_object, &c, e));
	p.second = store_fault_new(p.second, flip_first, &reads, &err);
	assert_non_null(p.second);
	p.from->store = p.second;
	kit_flip(&p.k, "hold/00000001", 60);
	struct repair_result r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 0);
	assert_int_equal(r.failed, 1);
}

static enum store_fault refuse_deletes(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)arg;
	(void)n;
	(void)key;
	return call == CALL_DELETE ? FAULT_DENIED : FAULT_NONE;
}

static void test_repair_copy__leaves_what_the_store_keeps(void **state)
{
	auto_pair struct pair p;
	struct told t;
	struct err err = ERR_INIT;

	(void)state;
	pair_init(&p);
	kit_flip(&p.k, p.data, 400);
	kit_flip(&p.k, p.idx, 50);
	p.k.store = store_fault_new(p.k.store, refuse_deletes, NULL, &err);
	assert_non_null(p.k.store);
	p.k.agent->store = p.k.recovery->store = p.k.audit->store = p.k.store;
	struct repair_result r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 0);
	assert_int_equal(r.dropped, 0);
	assert_int_equal(r.failed, 2);
	assert_int_equal(r.marked, 1);
	assert_int_equal(r.after.hurt_entries, 1);
	/* What is good in the pack is of use. */
	assert_int_equal(r.indexed, 2);
}

/* ---- the index ---- */

static void test_repair_index__names_packs_that_no_segment_names(void **state)
{
	auto_pair struct pair p;
	struct told t;

	(void)state;
	pair_init(&p);
	kit_remove(&p.k, p.idx);
	struct repair_result r = run(p.k.agent, NULL, &t);
	assert_int_equal(r.indexed, 2);
	assert_int_equal(r.segments, 1);
	assert_int_equal(r.dropped + r.marked + r.failed, 0);
	assert_int_equal(r.after.problems, 0);
	assert_acts(&t, "indexed %s %u\nindexed %s 1\n", p.data, FILES, p.meta);
	kit_check(p.k.recovery, 4, NULL);
	/* What is indexed is used: the next point of the same files stores nothing again. */
	struct kit_content c = content;
	c.n = 2;
	c.from = FILES;
	c.previous = &p.point;
	auto_kit_point struct point next = kit_backup(&p.k, &c);
	kit_assert_readable(p.k.recovery, &next, &c);
	/* Once is enough. */
	r = run(p.k.agent, NULL, &t);
	assert_acts(&t, "%s", "");
}

static void test_repair_index__replaces_segments_that_do_not_open(void **state)
{
	auto_pair struct pair p;
	struct told t;

	(void)state;
	pair_init(&p);
	kit_flip(&p.k, p.idx, 60);
	struct repair_result r = run(p.k.agent, NULL, &t);
	assert_int_equal(r.indexed, 2);
	assert_int_equal(r.dropped, 1);
	assert_int_equal(r.after.problems, 0);
	assert_acts(&t, "indexed %s %u\nindexed %s 1\ndropped %s 0\n", p.data, FILES, p.meta,
	            p.idx);
	assert_absent(p.k.store, p.idx);
	kit_check(p.k.recovery, 4, NULL);
}

static void test_repair_index__leaves_out_what_a_collection_takes_away(void **state)
{
	auto_pair struct pair p;
	CLEANUP(collection_list_clear) struct collection_list l = { 0 };
	struct kit_content c = content;
	struct told t;
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t kind;
	char garbage[PACK_KEY_MAX];

	(void)state;
	pair_init(&p);
	/* Packs of a session that did not come to its end. */
	c.volume = "w";
	c.seed = 9000;
	c.unfinished = true;
	auto_kit_point struct point never = kit_backup(&p.k, &c);
	other_pack(&p, garbage);
	assert_int_equal(pack_key_parse(garbage, id, &kind), 0);
	ok(pack_list_add(&l.packs, kind, id, e));
	ok(collection_put(p.k.agent, 1, COLLECTION_CONDEMN, &l, NULL, e));
	struct repair_result r = run(p.k.agent, NULL, &t);
	assert_int_equal(r.indexed, 0);
	assert_acts(&t, "%s", "");
}

static void test_repair_index__tells_of_packs_that_do_not_open(void **state)
{
	auto_pair struct pair p;
	struct told t;

	(void)state;
	pair_init(&p);
	kit_remove(&p.k, p.idx);
	kit_flip(&p.k, p.data, -30);
	struct repair_result r = run(p.k.agent, NULL, &t);
	/* Of a pack without a footer nobody can tell what is in it; its data is still there. */
	assert_int_equal(r.indexed, 1);
	assert_true(r.after.problems > 0);
	kit_assert_readable(p.k.recovery, &p.point, &content);
}

/* ---- others at work ---- */

struct fencing {
	const struct repo *by;
	unsigned fenced;
};

/* As soon as the repair writes its segment, its session is fenced. */
static enum store_fault fence_it(void *arg, uint64_t n, enum store_call call, const char *key)
{
	struct fencing *f = arg;
	char session[96];
	enum session_end end;

	(void)n;
	if (call != CALL_PUT || strncmp(key, "idx/", 4) != 0)
		return FAULT_NONE;
	assert_true(segment_session(strchr(key + 4, '/') + 1, session));
	ok(session_abort(f->by, session, "a test", &end, e));
	assert_int_equal(end, SESSION_ABORTED);
	f->fenced++;
	return FAULT_NONE;
}

static void test_repair_run__that_was_fenced_is_told_and_can_be_run_again(void **state)
{
	auto_pair struct pair p;
	struct told t;
	struct repair_params params;
	struct repair_result r;
	struct err err = ERR_INIT;
	struct fencing f = { 0 };

	(void)state;
	pair_init(&p);
	kit_flip(&p.k, p.idx, 60);
	struct repo *other = open_in(&p.k, p.k.store, "agent.key");
	f.by = other;
	struct store *watched = store_fault_new(fault_store(p.k.store, UINT64_MAX, FAULT_NONE,
	                                                    FAULT_NONE, NULL),
	                                        fence_it, &f, &err);
	assert_non_null(watched);
	p.k.agent->store = watched;
	params = params_of(&t, NULL);
	fails_saying(ERR_BUSY, "fenced", repair_run(p.k.agent, &params, &r, e));
	assert_int_equal(f.fenced, 1);
	p.k.agent->store = p.k.store;
	/* What does not open was not taken away: its packs would have had no name. */
	struct store_stat st;
	ok(store_head(p.k.store, p.idx, &st, e));
	r = run(p.k.agent, NULL, &t);
	assert_int_equal(r.indexed, 2);
	assert_int_equal(r.after.problems, 0);
	kit_assert_readable(p.k.recovery, &p.point, &content);
	repo_free(other);
	store_free(watched);
}

static void test_repair_run__dry_run_puts_and_takes_nothing(void **state)
{
	auto_pair struct pair p;
	struct told t;
	char commit[160];

	(void)state;
	pair_init(&p);
	(void)snprintf(commit, sizeof(commit), "commit/%s", p.point.session);
	kit_flip(&p.k, p.idx, 60);
	kit_flip(&p.k, p.data, 400);
	auto_free char *before = listing(p.k.store);
	struct repair_result r = dry_run(p.k.agent, NULL, &t);
	auto_free char *after = listing(p.k.store);
	assert_string_equal(before, after);
	assert_acts(&t, "indexed %s %u\nindexed %s 1\ndropped %s 0\nmarked %s 1\n", p.data, FILES,
	            p.meta, p.idx, p.data);
	assert_int_equal(r.indexed, 2);
	assert_int_equal(r.marked, 1);
	assert_int_equal(r.after.problems, r.before.problems);
	assert_non_null(strstr(t.left, p.data));
	/* With a second store it would be put back, and not be marked. */
	r = dry_run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 1);
	assert_int_equal(r.marked, 0);
	auto_free char *again = listing(p.k.store);
	assert_string_equal(before, again);
}

static void test_repair_run__can_be_cancelled(void **state)
{
	auto_pair struct pair p;
	struct told t;
	struct cancel cancel;
	struct repair_params params;
	struct repair_result r;

	(void)state;
	pair_init(&p);
	kit_remove(&p.k, p.data);
	assert_int_equal(cancel_init(&cancel), 0);
	cancel_request(&cancel);
	p.k.agent->cancel = &cancel;
	auto_free char *before = listing(p.k.store);
	params = params_of(&t, p.from);
	struct err err = ERR_INIT;
	assert_int_equal(repair_run(p.k.agent, &params, &r, &err), -1);
	assert_int_equal(err.class, ERR_CANCELLED);
	auto_free char *after = listing(p.k.store);
	assert_string_equal(before, after);
	p.k.agent->cancel = NULL;
	cancel_clear(&cancel);
}

static int refuse_act(void *arg, const struct repair_act *a, struct err *e)
{
	(void)arg;
	return err_set(e, ERR_BUSY, "the test does not want to hear of '%s'", a->object);
}

static void test_repair_run__callbacks_can_end_it(void **state)
{
	auto_pair struct pair p;
	struct told t;
	struct repair_params params;
	struct repair_result r;

	(void)state;
	pair_init(&p);
	kit_remove(&p.k, p.data);
	params = params_of(&t, NULL);
	params.act = refuse_act;
	fails(ERR_BUSY, repair_run(p.k.agent, &params, &r, e));
}

/* ---- marks ---- */

static void test_repair_run__what_is_marked_is_stored_again_by_the_next_backup(void **state)
{
	auto_pair struct pair p;
	struct told t;
	struct kit_content c = content;

	(void)state;
	pair_init(&p);
	kit_flip(&p.k, p.data, 400);
	struct repair_result r = run(p.k.agent, NULL, &t);
	assert_int_equal(r.marked, 1);
	assert_int_equal(r.after.hurt_entries, 1);
	assert_acts(&t, "marked %s 1\n", p.data);
	/* A second run has nothing to add. */
	r = run(p.k.agent, NULL, &t);
	assert_int_equal(r.marked, 0);
	assert_acts(&t, "%s", "");
	/* The first file is the one at the beginning of the pack: it is stored again. */
	c.n = 2;
	c.volume = "w";
	c.files = 1;
	c.previous = NULL;
	auto_kit_point struct point next = kit_backup(&p.k, &c);
	kit_assert_readable(p.k.recovery, &next, &c);
	kit_assert_readable(p.k.recovery, &p.point, &content);
	kit_check(p.k.recovery, 4, NULL);
}

static void test_repair_run__marks_are_lifted_where_a_pack_is_put_back(void **state)
{
	auto_pair struct pair p;
	struct told t;

	(void)state;
	pair_init(&p);
	kit_flip(&p.k, p.data, 400);
	struct repair_result r = run(p.k.agent, NULL, &t);
	assert_int_equal(r.marked, 1);
	assert_int_equal(kit_count(&p.k, "ctl/damage/"), 1);
	r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 1);
	assert_int_equal(r.after.problems, 0);
	assert_int_equal(kit_count(&p.k, "ctl/damage/"), 0);
	kit_check(p.k.recovery, 4, NULL);
	kit_assert_readable(p.k.recovery, &p.point, &content);
}

static void test_repair_run__marks_of_other_packs_stay(void **state)
{
	auto_pair struct pair p;
	struct told t;
	struct place places[2] = { { .pack.kind = CHUNK_NODE }, { .pack.kind = CHUNK_NODE } };

	(void)state;
	pair_init(&p);
	struct kit second = second_kit(&p);
	/* One mark for a place in the pack, and one in a pack that nobody has. */
	memcpy(places[0].pack.id, p.point.root.pack, sizeof(places[0].pack.id));
	memcpy(places[0].id, p.point.root.id, sizeof(places[0].id));
	places[0].off = p.point.root.off;
	memset(places[1].pack.id, 7, sizeof(places[1].pack.id));
	ok(damage_put(p.k.agent, places, 2, e));
	kit_flip(&p.k, p.meta, 170);
	struct repair_result r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 1);
	assert_string_equal(t.left, "");
	assert_int_equal(kit_count(&p.k, "ctl/damage/"), 1);
	CLEANUP(absent_clear) struct absent left = { 0 };
	ok(damage_load(p.k.agent, &left, NULL, NULL, e));
	assert_int_equal(left.nplaces, 1);
	assert_memory_equal(left.places[0].pack.id, places[1].pack.id, sizeof(places[1].pack.id));
	kit_assert_readable(p.k.recovery, &p.point, &content);
	/* Nothing is touched where nothing is put back. */
	kit_flip(&second, p.meta, 170);
	r = run(p.k.agent, p.from, &t);
	assert_int_equal(r.replaced, 0);
	assert_int_equal(kit_count(&p.k, "ctl/damage/"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repair_run__whole_repository_is_left_as_it_is),
		cmocka_unit_test(test_repair_run__needs_a_key_that_signs_and_a_level_that_there_is),
		cmocka_unit_test(test_repair_what_name__names_each),
		cmocka_unit_test(test_repair_copy__puts_back_packs_that_are_damaged_or_gone),
		cmocka_unit_test(test_repair_copy__puts_back_what_was_cut_and_what_is_empty),
		cmocka_unit_test(test_repair_copy__puts_back_commits_and_statements),
		cmocka_unit_test(test_repair_copy__what_a_node_hid_is_put_back_as_well),
		cmocka_unit_test(test_repair_copy__refuses_a_copy_that_is_damaged),
		cmocka_unit_test(test_repair_copy__refuses_a_copy_of_another_pack),
		cmocka_unit_test(test_repair_copy__refuses_a_pack_as_one_of_another_kind),
		cmocka_unit_test(test_repair_copy__refuses_statements_of_another_repository),
		cmocka_unit_test(test_repair_copy__puts_the_bytes_that_it_looked_at),
		cmocka_unit_test(test_repair_copy__leaves_what_the_store_keeps),
		cmocka_unit_test(test_repair_index__names_packs_that_no_segment_names),
		cmocka_unit_test(test_repair_index__replaces_segments_that_do_not_open),
		cmocka_unit_test(test_repair_index__leaves_out_what_a_collection_takes_away),
		cmocka_unit_test(test_repair_index__tells_of_packs_that_do_not_open),
		cmocka_unit_test(test_repair_run__that_was_fenced_is_told_and_can_be_run_again),
		cmocka_unit_test(test_repair_run__dry_run_puts_and_takes_nothing),
		cmocka_unit_test(test_repair_run__can_be_cancelled),
		cmocka_unit_test(test_repair_run__callbacks_can_end_it),
		cmocka_unit_test(
			test_repair_run__what_is_marked_is_stored_again_by_the_next_backup),
		cmocka_unit_test(test_repair_run__marks_are_lifted_where_a_pack_is_put_back),
		cmocka_unit_test(test_repair_run__marks_of_other_packs_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
