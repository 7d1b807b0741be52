/* SPDX-License-Identifier: Apache-2.0 */
/* Which points are expired: tombstones, what stands against them, and statements that lie. */
#include "repo/expiry.h"

#include "common/json.h"
#include "repo/collection.h"
#include "repo/session.h"
#include "tests/unit/repo/note_kit.h"

#define auto_expiry CLEANUP(expiry_clear)
#define POINTS 8

static const struct point_volume volume = { .name = "data",
	                                    .cluster = "west",
	                                    .namespace = "shop" };
static const struct point_volume other_volume = { .name = "other" };

/* Points 0 .. POINTS of the volume, by their sessions. */
struct world {
	struct kit k;
	char points[POINTS][96];
};

static void use_signatures(struct world *w, unsigned n)
{
	w->k.agent->params.signatures = n;
	w->k.recovery->params.signatures = n;
	w->k.audit->params.signatures = n;
}

static struct world world_new(void)
{
	struct world w = { .k = kit_new() };

	for (unsigned i = 0; i < POINTS; i++) {
		auto_kit_point struct point p = kit_commit_as(&w.k, &volume, i, i + 1, NULL);

		memcpy(w.points[i], p.session, sizeof(w.points[i]));
	}
	return w;
}

static void world_clear(struct world *w)
{
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

/* Who signs: the agent, or the admin by the recovery key. */
static const struct repo *signer(const struct world *w, unsigned who)
{
	return who == 0 ? w->k.agent : w->k.recovery;
}

static uint64_t put_tomb(const struct world *w, unsigned who, unsigned point)
{
	const struct expiry_point p = { .session = w->points[point], .why = "too old" };
	uint64_t n = 0;

	ok(expiry_put_tomb(signer(w, who), "keep-7-daily", &p, 1, &n, e));
	return n;
}

static uint64_t put_hold(const struct world *w, unsigned point)
{
	uint64_t n = 0;

	ok(expiry_put_hold(w->k.agent, w->points[point], NULL, "a reason", "a name", &n, e));
	return n;
}

static uint64_t put_volume_hold(const struct world *w, const struct point_volume *v)
{
	uint64_t n = 0;

	ok(expiry_put_hold(w->k.agent, NULL, v, "a reason", "a name", &n, e));
	return n;
}

static void release(const struct world *w, unsigned who, uint64_t hold)
{
	uint64_t n = 0;

	ok(expiry_put_release(signer(w, who), hold, "no more need", "somebody", &n, e));
	assert_true(n > hold);
}

static struct expiry load(const struct world *w)
{
	struct expiry x;

	memset(&x, 0xff, sizeof(x));
	ok(expiry_load(w->k.audit, 0, &x, e));
	return x;
}

static enum expiry_state state_of(const struct world *w, unsigned point)
{
	auto_expiry struct expiry x = load(w);

	return expiry_of(&x, w->points[point]);
}

/* ---- tombstones ---- */

static void test_expiry_state_name__each_has_one(void **state)
{
	(void)state;
	assert_string_equal(expiry_state_name(EXPIRY_LIVE), "live");
	assert_string_equal(expiry_state_name(EXPIRY_PROPOSED), "proposed");
	assert_string_equal(expiry_state_name(EXPIRY_HELD), "held");
	assert_string_equal(expiry_state_name(EXPIRY_PINNED), "pinned");
	assert_string_equal(expiry_state_name(EXPIRY_EXPIRED), "expired");
}

static void test_expiry_load__of_nothing(void **state)
{
	auto_world struct world w = world_new();
	auto_expiry struct expiry x = load(&w);
	size_t n = 7;

	(void)state;
	assert_int_equal(x.signatures, 1);
	assert_int_equal(x.ntombs + x.nacts + x.nholds + x.npins, 0);
	assert_int_equal(x.first_tomb, 1);
	assert_int_equal(x.last_tomb, 0);
	assert_int_equal(x.last_hold, 0);
	assert_int_equal(x.missing + x.bad, 0);
	assert_int_equal(expiry_of(&x, w.points[0]), EXPIRY_LIVE);
	assert_null(expiry_tombs(&x, w.points[0], &n));
	assert_int_equal(n, 0);
	assert_null(expiry_held_by(&x, w.points[0]));
}

static void test_expiry_put_tomb__expires_what_it_names(void **state)
{
	auto_world struct world w = world_new();
	const struct expiry_point points[] = {
		{ .session = w.points[3], .why = "older than 7 days" },
		{ .session = w.points[1], .why = "superseded" },
	};
	int64_t before = now_wall_ns();
	uint64_t number = 0;
	size_t n = 0;

	(void)state;
	ok(expiry_put_tomb(w.k.agent, "keep-7", points, 2, &number, e));
	assert_int_equal(number, 1);
	auto_expiry struct expiry x = load(&w);
	for (unsigned i = 0; i < POINTS; i++) {
		bool gone = i == 1 || i == 3;

		assert_int_equal(expiry_of(&x, w.points[i]), gone ? EXPIRY_EXPIRED : EXPIRY_LIVE);
		assert_int_equal(expiry_is_gone(&x, w.points[i]), gone);
	}
	const struct expiry_tomb *t = expiry_tombs(&x, w.points[3], &n);
	assert_int_equal(n, 1);
	assert_string_equal(t->session, w.points[3]);
	assert_string_equal(t->why, "older than 7 days");
	assert_int_equal(t->number, 1);
	assert_memory_equal(t->signer, w.k.agent->keys->signer_id, 8);
	/* and for records */
	assert_int_equal(x.nacts, 1);
	assert_int_equal(x.acts[0].number, 1);
	assert_int_equal(x.acts[0].points, 2);
	assert_string_equal(x.acts[0].policy, "keep-7");
	assert_true(x.acts[0].at_ns >= before && x.acts[0].received_ns >= before);
	assert_true(x.acts[0].by.user[0] && x.acts[0].by.host[0]);
	assert_memory_equal(x.acts[0].signer, w.k.agent->keys->signer_id, 8);
	assert_int_equal(x.first_tomb, 1);
	assert_int_equal(x.last_tomb, 1);
}

static void test_expiry_put_tomb__who_cannot_sign_is_denied(void **state)
{
	auto_world struct world w = world_new();
	const struct expiry_point p = { .session = w.points[0], .why = "x" };
	uint64_t n = 7;

	(void)state;
	fails(ERR_DENIED, expiry_put_tomb(w.k.audit, "p", &p, 1, &n, e));
	assert_int_equal(n, 7);
	assert_int_equal(note_kit_count(&w.k, "tomb/"), 0);
}

static void test_expiry_put_tomb__numbers_go_on(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(put_tomb(&w, i % 2, i), i + 1);
	/* one that was lost is not filled in: it shows */
	kit_remove(&w.k, "tomb/00000002");
	assert_int_equal(put_tomb(&w, 0, 4), 4);
	auto_expiry struct expiry x = load(&w);
	assert_int_equal(x.missing, 1);
	assert_int_equal(x.last_tomb, 4);
	assert_int_equal(x.nacts, 3);
	assert_int_equal(expiry_of(&x, w.points[1]), EXPIRY_LIVE);
	assert_int_equal(expiry_of(&x, w.points[2]), EXPIRY_EXPIRED);
}

static void test_expiry_put_tomb__many_points_take_several_objects(void **state)
{
	static const size_t n = EXPIRY_POINTS_MAX + 1;
	/* reasons so long that the points of one object are fewer than the limit */
	char why[301];
	auto_world struct world w = world_new();
	auto_free struct expiry_point *points = calloc(n, sizeof(*points));
	auto_free char(*names)[96] = calloc(n, sizeof(*names));

	(void)state;
	assert_non_null(points);
	assert_non_null(names);
	memset(why, 'w', sizeof(why));
	why[300] = '\0';
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "2026-11-22/03fa41b2c19de077-%032x", i);
		points[i] = (struct expiry_point){ .session = names[i], .why = "old" };
	}
	for (int how = 0; how < 2; how++) {
		uint64_t number = 0;
		size_t expired = 0;

		for (size_t i = 0; how == 1 && i < n; i++)
			points[i].why = why;
		ok(expiry_put_tomb(w.k.agent, "p", points, n, &number, e));
		assert_int_equal(number, 2);
		auto_expiry struct expiry x = load(&w);
		assert_int_equal(x.bad + x.missing, 0);
		assert_int_equal(x.nacts, number);
		assert_int_equal(x.last_tomb, number);
		for (size_t i = 0; i < n; i++)
			expired += expiry_is_gone(&x, names[i]);
		assert_int_equal(expired, n);
		for (uint64_t i = 1; i <= number; i++) {
			char key[NOTE_KEY_MAX];

			note_number_key("tomb", i, key);
			kit_remove(&w.k, key);
		}
	}
}

static void test_expiry_put_tomb__what_would_not_open_is_refused(void **state)
{
	static const char *const bad[] = { "", "x", "2026-11-22", "../../config" };
	auto_world struct world w = world_new();
	uint64_t n = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct expiry_point points[] = { { .session = w.points[0], .why = "x" },
			                               { .session = bad[i], .why = "x" } };

		fails(ERR_INVALID, expiry_put_tomb(w.k.agent, "p", points, 2, &n, e));
	}
	const struct expiry_point no_text = { .session = w.points[0], .why = "\xff\xfe" };
	fails(ERR_INVALID, expiry_put_tomb(w.k.agent, "p", &no_text, 1, &n, e));
	const struct expiry_point good = { .session = w.points[0], .why = "x" };
	fails(ERR_INVALID, expiry_put_tomb(w.k.agent, "\xff", &good, 1, &n, e));
	assert_int_equal(n, 7);
	assert_int_equal(note_kit_count(&w.k, "tomb/"), 0);
	ok(expiry_put_tomb(w.k.agent, "p", NULL, 0, &n, e)); /* nothing to say */
	assert_int_equal(note_kit_count(&w.k, "tomb/"), 0);
}

static void test_expiry_load__from_a_number_on(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		(void)put_tomb(&w, 0, i);
	(void)put_hold(&w, 5);
	for (uint64_t after = 0; after <= 6; after++) {
		auto_expiry struct expiry x;

		ok(expiry_load(w.k.audit, after, &x, e));
		assert_int_equal(x.first_tomb, after + 1);
		assert_int_equal(x.missing, 0);
		assert_int_equal(x.nacts, after < 4 ? 4 - after : 0);
		assert_int_equal(x.nholds, 1); /* holds are for ever */
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(expiry_is_gone(&x, w.points[i]), i >= after);
	}
	/* one that is missing before does not count any more */
	kit_remove(&w.k, "tomb/00000001");
	auto_expiry struct expiry all = load(&w);
	assert_int_equal(all.missing, 1);
	auto_expiry struct expiry later;
	ok(expiry_load(w.k.audit, 1, &later, e));
	assert_int_equal(later.missing, 0);
	kit_remove(&w.k, "tomb/00000002");
	auto_expiry struct expiry two;
	ok(expiry_load(w.k.audit, 1, &two, e));
	assert_int_equal(two.missing, 1);
}

static void test_expiry_tombs__all_that_name_a_point(void **state)
{
	auto_world struct world w = world_new();
	size_t n;

	(void)state;
	for (unsigned i = 0; i < 12; i++)
		(void)put_tomb(&w, i / 6, i % 3);
	auto_expiry struct expiry x = load(&w);
	for (unsigned i = 0; i < 3; i++) {
		const struct expiry_tomb *t = expiry_tombs(&x, w.points[i], &n);

		assert_int_equal(n, 4);
		for (size_t at = 0; at < n; at++)
			assert_string_equal(t[at].session, w.points[i]);
		for (size_t at = 1; at < n; at++) {
			int d = memcmp(t[at - 1].signer, t[at].signer, 8);

			assert_true(d < 0 || (d == 0 && t[at - 1].number < t[at].number));
		}
	}
	assert_null(expiry_tombs(&x, w.points[3], &n));
	assert_int_equal(n, 0);
}

/* ---- two signers ---- */

static void test_expiry_of__needs_as_many_signers_as_the_config_says(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	use_signatures(&w, 2);
	(void)put_tomb(&w, 0, 0);
	assert_int_equal(state_of(&w, 0), EXPIRY_PROPOSED);
	(void)put_tomb(&w, 0, 0); /* the same one again */
	assert_int_equal(state_of(&w, 0), EXPIRY_PROPOSED);
	(void)put_tomb(&w, 1, 1); /* another point */
	assert_int_equal(state_of(&w, 0), EXPIRY_PROPOSED);
	assert_int_equal(state_of(&w, 1), EXPIRY_PROPOSED);
	(void)put_tomb(&w, 1, 0);
	assert_int_equal(state_of(&w, 0), EXPIRY_EXPIRED);
	assert_int_equal(state_of(&w, 1), EXPIRY_PROPOSED);
	/* where one is enough, all of them were */
	use_signatures(&w, 1);
	assert_int_equal(state_of(&w, 1), EXPIRY_EXPIRED);
	use_signatures(&w, 0); /* a config of before */
	assert_int_equal(state_of(&w, 1), EXPIRY_EXPIRED);
}

static void test_expiry_of__a_hold_or_pin_of_what_is_only_proposed(void **state)
{
	auto_world struct world w = world_new();
	char key[NOTE_KEY_MAX];

	(void)state;
	use_signatures(&w, 2);
	(void)put_tomb(&w, 0, 0);
	(void)put_hold(&w, 0); /* it lives, so it comes in time */
	ok(expiry_pin(w.k.agent, w.points[0], key, e));
	assert_int_equal(state_of(&w, 0), EXPIRY_PROPOSED);
	(void)put_tomb(&w, 1, 0);
	assert_int_equal(state_of(&w, 0), EXPIRY_HELD);
}

static void test_expiry_put_release__needs_two_signers_as_well(void **state)
{
	auto_world struct world w = world_new();
	uint64_t hold;
	uint64_t n;

	(void)state;
	use_signatures(&w, 2);
	hold = put_hold(&w, 0);
	(void)put_tomb(&w, 0, 0);
	(void)put_tomb(&w, 1, 0);
	assert_int_equal(state_of(&w, 0), EXPIRY_HELD);
	release(&w, 1, hold);
	assert_int_equal(state_of(&w, 0), EXPIRY_HELD);
	release(&w, 1, hold); /* twice by one is once */
	assert_int_equal(state_of(&w, 0), EXPIRY_HELD);
	{
		auto_expiry struct expiry x = load(&w);

		assert_int_equal(x.holds[0].releases, 1);
		assert_int_equal(x.holds[0].released, 0);
		assert_memory_equal(x.holds[0].release_signer, w.k.recovery->keys->signer_id, 8);
	}
	release(&w, 0, hold);
	assert_int_equal(state_of(&w, 0), EXPIRY_EXPIRED);
	auto_expiry struct expiry x = load(&w);
	assert_int_equal(x.holds[0].released, 4);
	assert_string_equal(x.holds[0].release_reason, "no more need");
	assert_string_equal(x.holds[0].release_name, "somebody");
	fails_saying(ERR_NOT_FOUND, "already",
	             expiry_put_release(w.k.agent, hold, "reason", "name", &n, e));
}

/* ---- holds ---- */

static void test_expiry_put_hold__keeps_a_point(void **state)
{
	auto_world struct world w = world_new();
	int64_t before = now_wall_ns();

	(void)state;
	assert_int_equal(put_hold(&w, 0), 1);
	assert_int_equal(state_of(&w, 0), EXPIRY_LIVE);
	(void)put_tomb(&w, 0, 0);
	(void)put_tomb(&w, 0, 1);
	assert_int_equal(state_of(&w, 0), EXPIRY_HELD);
	assert_int_equal(state_of(&w, 1), EXPIRY_EXPIRED);
	auto_expiry struct expiry x = load(&w);
	const struct expiry_hold *h = expiry_held_by(&x, w.points[0]);
	assert_non_null(h);
	assert_int_equal(h->number, 1);
	assert_string_equal(h->session, w.points[0]);
	assert_string_equal(h->reason, "a reason");
	assert_string_equal(h->name, "a name");
	assert_string_equal(h->volume.name, "");
	assert_true(h->by.user[0] && h->by.host[0]);
	assert_true(h->at_ns >= before && h->received_ns >= before);
	assert_memory_equal(h->signer, w.k.agent->keys->signer_id, 8);
	assert_int_equal(h->released, 0);
	assert_null(expiry_held_by(&x, w.points[1]));
	assert_false(expiry_is_gone(&x, w.points[0]));
}

static void test_expiry_put_hold__keeps_all_points_of_a_volume(void **state)
{
	auto_world struct world w = world_new();
	char other[96];
	struct point_volume near = volume;
	uint64_t hold;

	(void)state;
	hold = put_volume_hold(&w, &volume);
	kit_session(&w.k, &other_volume, 1, other);
	const struct expiry_point points[] = { { .session = w.points[0], .why = "x" },
		                               { .session = other, .why = "x" } };
	uint64_t n;
	ok(expiry_put_tomb(w.k.agent, "", points, 2, &n, e));
	(void)put_tomb(&w, 0, 1);
	{
		auto_expiry struct expiry x = load(&w);

		assert_int_equal(expiry_of(&x, w.points[0]), EXPIRY_HELD);
		assert_int_equal(expiry_of(&x, w.points[1]), EXPIRY_HELD);
		assert_int_equal(expiry_of(&x, other), EXPIRY_EXPIRED);
		assert_string_equal(x.holds[0].session, "");
		assert_string_equal(x.holds[0].volume.name, "data");
		assert_string_equal(x.holds[0].volume.namespace, "shop");
		assert_string_equal(x.holds[0].volume.cluster, "west");
		assert_ptr_equal(expiry_held_by(&x, w.points[5]), &x.holds[0]);
		assert_string_equal(x.acts[0].policy, "");
	}
	/* a volume of the same name elsewhere is another one */
	release(&w, 0, hold);
	(void)snprintf(near.namespace, sizeof(near.namespace), "shop2");
	(void)put_volume_hold(&w, &near);
	assert_int_equal(state_of(&w, 0), EXPIRY_EXPIRED);
}

static void test_expiry_put_hold__comes_too_late(void **state)
{
	auto_world struct world w = world_new();
	uint64_t n = 0;

	(void)state;
	(void)put_tomb(&w, 0, 0);
	fails_saying(ERR_NOT_FOUND, "expired",
	             expiry_put_hold(w.k.agent, w.points[0], NULL, "reason", "name", &n, e));
	/* it stands all the same, and a collection that is not that far sees it */
	assert_int_equal(n, 1);
	assert_int_equal(state_of(&w, 0), EXPIRY_HELD);
}

static void test_expiry_put_hold__a_late_one_helps_no_other(void **state)
{
	auto_world struct world w = world_new();
	char key[NOTE_KEY_MAX];
	uint64_t n = 0;

	(void)state;
	(void)put_tomb(&w, 0, 0);
	fails(ERR_NOT_FOUND,
	      expiry_put_hold(w.k.agent, w.points[0], NULL, "reason", "name", &n, e));
	/* a collection that looked before the first hold takes the point under all of these */
	fails(ERR_NOT_FOUND,
	      expiry_put_hold(w.k.agent, w.points[0], NULL, "reason", "name", &n, e));
	fails(ERR_NOT_FOUND, expiry_put_hold(w.k.agent, NULL, &volume, "reason", "name", &n, e));
	fails(ERR_NOT_FOUND, expiry_pin(w.k.agent, w.points[0], key, e));
}

static void test_expiry_put_hold__one_that_stood_before_helps_others(void **state)
{
	auto_world struct world w = world_new();
	char key[NOTE_KEY_MAX];
	uint64_t hold;

	(void)state;
	hold = put_hold(&w, 0);
	(void)put_tomb(&w, 0, 0);
	(void)put_hold(&w, 0);
	(void)put_volume_hold(&w, &volume);
	ok(expiry_pin(w.k.agent, w.points[0], key, e));
	release(&w, 0, hold);
	/* now only such are left that came after the tombstone */
	uint64_t n = 0;
	fails(ERR_NOT_FOUND,
	      expiry_put_hold(w.k.agent, w.points[0], NULL, "reason", "name", &n, e));
}

/* A tombstone that comes between the hold and the look. */
struct late {
	const struct world *w;
	bool done;
};

static enum store_fault expire_meanwhile(void *arg, uint64_t n, enum store_call call,
                                         const char *key)
{
	struct late *l = arg;

	(void)n;
	if (call == CALL_PUT && (strncmp(key, "hold/", 5) == 0 || strncmp(key, "pin/", 4) == 0) &&
	    !l->done) {
		l->done = true;
		(void)put_tomb(l->w, 1, 0);
	}
	return FAULT_NONE;
}

static void test_expiry_put_hold__is_expired_while_it_runs(void **state)
{
	auto_world struct world w = world_new();
	struct late l = { .w = &w };
	struct err err = ERR_INIT;
	uint64_t n = 0;
	char key[NOTE_KEY_MAX];

	(void)state;
	kit_use_store(&w.k, store_fault_new(w.k.store, expire_meanwhile, &l, &err));
	fails(ERR_NOT_FOUND,
	      expiry_put_hold(w.k.agent, w.points[0], NULL, "reason", "name", &n, e));
	assert_true(l.done);
	l.done = false;
	release(&w, 0, n);
	fails(ERR_NOT_FOUND, expiry_pin(w.k.agent, w.points[0], key, e));
}

static void test_expiry_put_hold__needs_a_reason_and_a_name(void **state)
{
	static const struct {
		const char *reason, *name;
	} bad[] = { { NULL, "n" }, { "r", NULL },   { "", "n" },
		    { "r", "" },   { "\xff", "n" }, { "r", "\xc3" } };
	auto_world struct world w = world_new();
	char longest[EXPIRY_TEXT_MAX + 1];
	uint64_t n = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		fails(ERR_INVALID, expiry_put_hold(w.k.agent, w.points[0], NULL, bad[i].reason,
		                                   bad[i].name, &n, e));
	memset(longest, 'x', sizeof(longest));
	longest[EXPIRY_TEXT_MAX] = '\0';
	fails(ERR_INVALID, expiry_put_hold(w.k.agent, w.points[0], NULL, longest, "n", &n, e));
	fails(ERR_INVALID, expiry_put_hold(w.k.agent, w.points[0], NULL, "r", longest, &n, e));
	assert_int_equal(n, 7);
	assert_int_equal(note_kit_count(&w.k, "hold/"), 0);
	longest[EXPIRY_TEXT_MAX - 1] = '\0';
	ok(expiry_put_hold(w.k.agent, w.points[0], NULL, longest, longest, &n, e));
	auto_expiry struct expiry x = load(&w);
	assert_string_equal(x.holds[0].reason, longest);
	assert_string_equal(x.holds[0].name, longest);
	fails(ERR_INVALID, expiry_put_release(w.k.agent, 1, "", "n", &n, e));
	fails(ERR_INVALID, expiry_put_release(w.k.agent, 1, "r", NULL, &n, e));
}

static void test_expiry_put_hold__what_would_not_open_is_refused(void **state)
{
	auto_world struct world w = world_new();
	struct point_volume no_text = { .name = "\xff" };
	uint64_t n = 7;

	(void)state;
	/* a statement that does not open would stop all collections */
	fails(ERR_INVALID, expiry_put_hold(w.k.agent, "x", NULL, "reason", "name", &n, e));
	fails(ERR_INVALID, expiry_put_hold(w.k.agent, "", NULL, "reason", "name", &n, e));
	fails(ERR_INVALID, expiry_put_hold(w.k.agent, NULL, &no_text, "reason", "name", &n, e));
	fails(ERR_DENIED, expiry_put_hold(w.k.audit, w.points[0], NULL, "reason", "name", &n, e));
	assert_int_equal(n, 7);
	assert_int_equal(note_kit_count(&w.k, "hold/"), 0);
}

static void test_expiry_put_release__ends_one_hold(void **state)
{
	auto_world struct world w = world_new();
	uint64_t first;
	uint64_t second;
	uint64_t n = 7;

	(void)state;
	first = put_hold(&w, 0);
	second = put_volume_hold(&w, &volume);
	(void)put_tomb(&w, 0, 0);
	release(&w, 0, first);
	assert_int_equal(state_of(&w, 0), EXPIRY_HELD); /* by the other one */
	{
		auto_expiry struct expiry x = load(&w);

		assert_int_equal(x.nholds, 2); /* a release is none */
		assert_int_equal(x.last_hold, 3);
		assert_int_equal(x.holds[0].released, 3);
		assert_int_equal(expiry_held_by(&x, w.points[0])->number, second);
	}
	release(&w, 0, second);
	assert_int_equal(state_of(&w, 0), EXPIRY_EXPIRED);
	fails_saying(ERR_NOT_FOUND, "already",
	             expiry_put_release(w.k.agent, first, "reason", "name", &n, e));
	/* a release cannot be released */
	static const uint64_t none[] = { 0, 3, 99 };
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(expiry_put_release(w.k.agent, none[i], "reason", "name", &n, &err),
		                 -1);
		assert_int_equal(err.class, ERR_NOT_FOUND);
		assert_non_null(strstr(err.msg, "no hold"));
	}
	assert_int_equal(n, 7);
	/* one of the volume comes too late for that point, says so, and stands for the others */
	uint64_t third = 0;
	fails_saying(ERR_NOT_FOUND, "others",
	             expiry_put_hold(w.k.agent, NULL, &volume, "reason", "name", &third, e));
	assert_int_equal(state_of(&w, 0), EXPIRY_HELD);
	fails(ERR_DENIED, expiry_put_release(w.k.audit, third, "reason", "name", &n, e));
}

/* ---- pins ---- */

static void test_expiry_pin__keeps_a_point_while_it_is_read(void **state)
{
	auto_world struct world w = world_new();
	char key[NOTE_KEY_MAX];
	char other[NOTE_KEY_MAX];

	(void)state;
	ok(expiry_pin(w.k.agent, w.points[0], key, e));
	assert_int_equal(strncmp(key, "pin/", 4), 0);
	assert_int_equal(state_of(&w, 0), EXPIRY_LIVE);
	(void)put_tomb(&w, 0, 0);
	(void)put_tomb(&w, 0, 1);
	assert_int_equal(state_of(&w, 0), EXPIRY_PINNED);
	assert_int_equal(state_of(&w, 1), EXPIRY_EXPIRED);
	auto_expiry struct expiry x = load(&w);
	assert_int_equal(x.npins, 1);
	assert_string_equal(x.pins[0].key, key);
	assert_string_equal(x.pins[0].session, w.points[0]);
	/* too late for the next one */
	fails_saying(ERR_NOT_FOUND, "expired", expiry_pin(w.k.agent, w.points[0], other, e));
	ok(expiry_unpin(w.k.agent, other, e));
	ok(expiry_unpin(w.k.agent, key, e));
	assert_int_equal(state_of(&w, 0), EXPIRY_EXPIRED);
	ok(expiry_unpin(w.k.agent, key, e)); /* it is gone already */
	assert_int_equal(note_kit_count(&w.k, "pin/"), 0);
	fails(ERR_DENIED, expiry_pin(w.k.audit, w.points[0], key, e));
}

static void test_expiry_pin__what_is_held_can_be_read(void **state)
{
	auto_world struct world w = world_new();
	char key[NOTE_KEY_MAX];

	(void)state;
	(void)put_hold(&w, 0);
	(void)put_tomb(&w, 0, 0);
	ok(expiry_pin(w.k.agent, w.points[0], key, e));
	assert_int_equal(state_of(&w, 0), EXPIRY_HELD);
}

static void test_expiry_of__pins_age(void **state)
{
	auto_world struct world w = world_new();
	char key[NOTE_KEY_MAX];

	(void)state;
	ok(expiry_pin(w.k.agent, w.points[0], key, e));
	(void)put_tomb(&w, 0, 0);
	auto_expiry struct expiry x = load(&w);
	int64_t received_ns = x.pins[0].received_ns;
	assert_int_equal(x.now_ns, 0); /* whoever does not say the time lets all count */
	x.now_ns = received_ns;
	assert_int_equal(expiry_of(&x, w.points[0]), EXPIRY_PINNED);
	x.now_ns = received_ns + EXPIRY_PIN_NS - 1;
	assert_int_equal(expiry_of(&x, w.points[0]), EXPIRY_PINNED);
	x.now_ns = received_ns + EXPIRY_PIN_NS;
	assert_int_equal(expiry_of(&x, w.points[0]), EXPIRY_EXPIRED);
	x.now_ns = received_ns - 1; /* the store's clock went back */
	assert_int_equal(expiry_of(&x, w.points[0]), EXPIRY_PINNED);
}

/* ---- what a collection has settled ---- */

static void put_done(const struct world *w, uint64_t generation, uint64_t tombs)
{
	const struct collection_list none = { 0 };
	struct kit_names holds;

	kit_list(&w->k, "hold/", &holds);
	auto_json json_t *what = json_pack("{s:I, s:I}", "tombs", (json_int_t)tombs, "holds",
	                                   (json_int_t)holds.n);

	ok(collection_put(w->k.agent, generation, COLLECTION_DONE, &none, what, e));
}

static void test_expiry_settled__is_what_the_newest_done_says(void **state)
{
	auto_world struct world w = world_new();
	struct expiry_settled settled = { .tombs = 7 };

	(void)state;
	ok(expiry_settled(w.k.audit, &settled, e));
	assert_int_equal(settled.tombs, 0);
	for (unsigned i = 0; i < 3; i++)
		(void)put_tomb(&w, 0, i);
	put_done(&w, 1, 1);
	put_done(&w, 2, 2);
	ok(expiry_settled(w.k.audit, &settled, e));
	assert_int_equal(settled.tombs, 2);
	auto_expiry struct expiry x;
	ok(expiry_now(w.k.audit, &x, e));
	assert_int_equal(x.nacts, 1);
	assert_int_equal(x.first_tomb, 3);
	assert_int_equal(expiry_of(&x, w.points[2]), EXPIRY_EXPIRED);
	/* one that is under way says nothing yet */
	const struct collection_list none = { 0 };
	ok(collection_put(w.k.agent, 3, COLLECTION_CONDEMN, &none, NULL, e));
	ok(expiry_settled(w.k.audit, &settled, e));
	assert_int_equal(settled.tombs, 2);
}

static void test_expiry_settled__a_done_that_does_not_say(void **state)
{
	const struct collection_list none = { 0 };
	auto_world struct world w = world_new();
	struct expiry_settled settled = { .tombs = 7 };

	(void)state;
	(void)put_tomb(&w, 0, 0);
	ok(collection_put(w.k.agent, 1, COLLECTION_DONE, &none, NULL, e));
	ok(expiry_settled(w.k.audit, &settled, e));
	assert_int_equal(settled.tombs, 0);
	kit_remove(&w.k, "ctl/gc/00000001/done");
	put_done(&w, 1, 1);
	kit_flip(&w.k, "ctl/gc/00000001/done", -1);
	ok(expiry_settled(w.k.audit, &settled, e));
	assert_int_equal(settled.tombs, 0);
	/* then all are read */
	auto_expiry struct expiry x;
	ok(expiry_now(w.k.audit, &x, e));
	assert_int_equal(x.nacts, 1);
}

static void test_expiry_now__notices_that_the_newest_holds_are_gone(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	(void)put_hold(&w, 0);
	(void)put_hold(&w, 1);
	put_done(&w, 1, 0);
	auto_expiry struct expiry x;
	ok(expiry_now(w.k.audit, &x, e));
	assert_int_equal(x.missing, 0);
	kit_remove(&w.k, "hold/00000002");
	auto_expiry struct expiry y;
	ok(expiry_now(w.k.audit, &y, e));
	assert_int_equal(y.missing, 1);
	assert_int_equal(y.missing_holds, 1);
}

/* ---- statements that are not right ---- */

#define TOMB_HEAD "{\"schema\":\"aksdr/tombstone/v1\",\"at_ns\":1,\"policy\":\"p\","
#define BY "\"by\":{\"user\":\"u\",\"host\":\"h\"},"
#define S0 "2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"

static void test_expiry_load__bad_tombstones_end_nothing(void **state)
{
	static const char *const bad[] = {
		"x",
		"{}",
		"[]",
		"{\"schema\":\"aksdr/tombstone/v2\",\"at_ns\":1,\"policy\":\"p\"," BY
		"\"points\":[]}",
		"{\"schema\":\"aksdr/tombstone/v1\",\"policy\":\"p\"," BY "\"points\":[]}",
		"{\"schema\":\"aksdr/tombstone/v1\",\"at_ns\":1," BY "\"points\":[]}",
		TOMB_HEAD "\"points\":[]}",
		TOMB_HEAD "\"by\":{\"user\":\"u\"},\"points\":[]}",
		TOMB_HEAD BY "\"points\":{}}",
		TOMB_HEAD BY "\"x\":1}",
		TOMB_HEAD BY "\"points\":[7]}",
		TOMB_HEAD BY "\"points\":[{\"session\":\"" S0 "\"}]}",
		TOMB_HEAD BY "\"points\":[{\"why\":\"x\"}]}",
		TOMB_HEAD BY "\"points\":[{\"session\":\"nonsense\",\"why\":\"x\"}]}",
		/* the first of them would be right: all or nothing */
		TOMB_HEAD BY "\"points\":[{\"session\":\"" S0
			     "\",\"why\":\"x\"},{\"session\":\"nonsense\",\"why\":\"x\"}]}",
	};
	auto_world struct world w = world_new();

	(void)state;
	(void)put_tomb(&w, 0, 1);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		note_kit_text(w.k.agent, 'T', "tomb/00000002", bad[i]);
		auto_expiry struct expiry x = load(&w);
		if (x.bad != 1 || x.nacts != 1 || x.ntombs != 1)
			fail_msg("case %zu was taken", i);
		assert_int_equal(x.missing, 0);
		assert_int_equal(x.last_tomb, 2);
		assert_int_equal(expiry_of(&x, S0), EXPIRY_LIVE);
		assert_int_equal(expiry_of(&x, w.points[1]), EXPIRY_EXPIRED);
	}
	note_kit_text(w.k.agent, 'T', "tomb/00000002",
	              TOMB_HEAD BY "\"points\":[{\"session\":\"" S0 "\",\"why\":\"x\"}]}");
	auto_expiry struct expiry x = load(&w);
	assert_int_equal(x.bad, 0);
	assert_int_equal(expiry_of(&x, S0), EXPIRY_EXPIRED);
}

static void test_expiry_load__more_points_than_a_tombstone_may_have(void **state)
{
	auto_world struct world w = world_new();
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * MIB);

	(void)state;
	for (unsigned n = EXPIRY_POINTS_MAX; n <= EXPIRY_POINTS_MAX + 1; n++) {
		buf_reset(&b);
		(void)buf_str(&b, TOMB_HEAD BY "\"points\":[");
		for (unsigned i = 0; i < n; i++)
			(void)buf_printf(&b, "%s{\"session\":\"" S0 "\",\"why\":\"\"}",
			                 i ? "," : "");
		(void)buf_str(&b, "]}");
		assert_false(b.failed);
		note_kit_put(w.k.agent, 'T', "tomb/00000001", b.data, b.len);
		auto_expiry struct expiry x = load(&w);
		assert_int_equal(x.bad, n > EXPIRY_POINTS_MAX);
		assert_int_equal(x.ntombs, n > EXPIRY_POINTS_MAX ? 0 : n);
	}
}

#define HOLD_HEAD "{\"schema\":\"aksdr/hold/v1\",\"at_ns\":1," BY

static void test_expiry_load__bad_holds_are_counted(void **state)
{
	static const char *const bad[] = {
		"x",
		"{}",
		HOLD_HEAD "\"reason\":\"r\",\"name\":\"n\"}",
		HOLD_HEAD "\"name\":\"n\",\"session\":\"" S0 "\"}",
		HOLD_HEAD "\"reason\":\"r\",\"session\":\"" S0 "\"}",
		HOLD_HEAD "\"reason\":\"r\",\"name\":\"n\",\"session\":\"x\"}",
		HOLD_HEAD "\"reason\":\"r\",\"name\":\"n\",\"session\":7}",
		HOLD_HEAD "\"reason\":\"r\",\"name\":\"n\",\"volume\":{}}",
		HOLD_HEAD "\"reason\":\"r\",\"name\":\"n\",\"volume\":{\"name\":\"a\"}}",
		HOLD_HEAD "\"reason\":\"r\",\"name\":\"n\",\"volume\":\"a\"}",
		HOLD_HEAD "\"reason\":\"r\",\"name\":\"n\",\"releases\":\"1\"}",
		HOLD_HEAD "\"reason\":\"r\",\"name\":\"n\",\"releases\":-1}",
		"{\"schema\":\"aksdr/hold/v1\",\"at_ns\":1,\"reason\":\"r\",\"name\":\"n\","
		"\"session\":\"" S0 "\"}",
		"{\"schema\":\"aksdr/hold/v9\",\"at_ns\":1," BY
		"\"reason\":\"r\",\"name\":\"n\",\"session\":\"" S0 "\"}",
	};
	auto_world struct world w = world_new();

	(void)state;
	(void)put_hold(&w, 0);
	(void)put_tomb(&w, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		note_kit_text(w.k.agent, 'H', "hold/00000002", bad[i]);
		auto_expiry struct expiry x = load(&w);
		if (x.bad != 1 || x.nholds != 1)
			fail_msg("case %zu was taken", i);
		assert_int_equal(x.missing, 0);
		assert_int_equal(x.last_hold, 2);
		assert_int_equal(expiry_of(&x, w.points[0]), EXPIRY_HELD);
	}
	/* a release of one that is not there is no damage */
	note_kit_text(w.k.agent, 'H', "hold/00000002",
	              HOLD_HEAD "\"reason\":\"r\",\"name\":\"n\",\"releases\":99}");
	auto_expiry struct expiry x = load(&w);
	assert_int_equal(x.bad, 0);
	assert_int_equal(expiry_of(&x, w.points[0]), EXPIRY_HELD);
}

static void test_expiry_load__a_release_says_nothing_of_later_holds(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	/* who could write one in advance would end holds before they are placed */
	note_kit_text(w.k.agent, 'H', "hold/00000001",
	              HOLD_HEAD "\"reason\":\"r\",\"name\":\"n\",\"releases\":2}");
	assert_int_equal(put_hold(&w, 0), 2);
	(void)put_tomb(&w, 0, 0);
	assert_int_equal(state_of(&w, 0), EXPIRY_HELD);
}

static void test_expiry_load__statements_of_strangers_do_not_count(void **state)
{
	auto_world struct world w = world_new();
	const struct expiry_point p = { .session = w.points[0], .why = "x" };
	struct stranger s;
	uint64_t n;
	char key[NOTE_KEY_MAX];

	(void)state;
	stranger_init(&s, w.k.agent);
	ok(expiry_put_tomb(&s.repo, "p", &p, 1, &n, e));
	assert_int_equal(state_of(&w, 0), EXPIRY_LIVE);
	(void)put_tomb(&w, 0, 0);
	assert_int_equal(state_of(&w, 0), EXPIRY_EXPIRED);
	note_kit_text(&s.repo, 'H', "hold/00000001",
	              HOLD_HEAD "\"reason\":\"r\",\"name\":\"n\",\"session\":\"" S0 "\"}");
	fails(ERR_NOT_FOUND, expiry_pin(&s.repo, w.points[0], key, e));
	auto_expiry struct expiry x = load(&w);
	assert_int_equal(x.bad, 2); /* pins are not evidence */
	assert_int_equal(x.nholds + x.npins, 0);
	assert_int_equal(expiry_of(&x, w.points[0]), EXPIRY_EXPIRED);
}

static void test_expiry_load__what_was_moved_or_damaged_does_not_count(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	(void)put_tomb(&w, 0, 0);
	(void)put_tomb(&w, 0, 1);
	kit_swap(&w.k, "tomb/00000001", "tomb/00000002");
	{
		auto_expiry struct expiry x = load(&w);

		assert_int_equal(x.bad, 2);
		assert_int_equal(x.ntombs, 0);
	}
	kit_swap(&w.k, "tomb/00000001", "tomb/00000002");
	kit_flip(&w.k, "tomb/00000001", 70);
	auto_expiry struct expiry x = load(&w);
	assert_int_equal(x.bad, 1);
	assert_int_equal(expiry_of(&x, w.points[0]), EXPIRY_LIVE);
	assert_int_equal(expiry_of(&x, w.points[1]), EXPIRY_EXPIRED);
}

static void test_expiry_load__pins_that_are_none(void **state)
{
	static const char *const texts[] = { "x", "{}", "{\"schema\":\"aksdr/pin/v1\"}",
		                             "{\"schema\":\"aksdr/pin/v2\",\"session\":\"" S0
		                             "\"}" };
	auto_world struct world w = world_new();
	char key[NOTE_KEY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		note_new_key("pin", key);
		note_kit_text(w.k.agent, 'L', key, texts[i]);
	}
	ok(put_text(w.k.store, "pin/readme", "x", e));
	ok(expiry_pin(w.k.agent, w.points[0], key, e));
	auto_expiry struct expiry x = load(&w);
	assert_int_equal(x.npins, 1);
	assert_int_equal(x.bad, 0);
}

static void test_expiry_load__gaps_and_other_names(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		(void)put_tomb(&w, 0, i);
		(void)put_hold(&w, 4 + i);
	}
	/* names that are no numbers are nobody's statements */
	ok(put_text(w.k.store, "tomb/readme", "x", e));
	ok(put_text(w.k.store, "tomb/0000009", "x", e));
	ok(put_text(w.k.store, "hold/00000009x", "x", e));
	{
		auto_expiry struct expiry x = load(&w);

		assert_int_equal(x.missing + x.bad, 0);
		assert_int_equal(x.last_tomb, 4);
		assert_int_equal(x.last_hold, 4);
	}
	kit_remove(&w.k, "tomb/00000001");
	kit_remove(&w.k, "tomb/00000003");
	kit_remove(&w.k, "hold/00000001");
	kit_remove(&w.k, "hold/00000002");
	auto_expiry struct expiry x = load(&w);
	assert_int_equal(x.missing, 4);
	assert_int_equal(x.last_tomb, 4);
	assert_int_equal(x.last_hold, 4);
}

/* ---- the way to the store ---- */

static enum store_fault count_order(void *arg, uint64_t n, enum store_call call, const char *key)
{
	(void)n;
	if (call == CALL_LIST)
		(void)buf_printf(arg, "%s ", key);
	return FAULT_NONE;
}

static void test_expiry_load__tombstones_are_listed_first(void **state)
{
	CLEANUP(buf_clear) struct buf order = BUF_INIT(KIB);
	auto_world struct world w = world_new();
	struct err err = ERR_INIT;

	(void)state;
	/* so a hold that was confirmed is seen by whoever sees the tombstone */
	kit_use_store(&w.k, store_fault_new(w.k.store, count_order, &order, &err));
	auto_expiry struct expiry x = load(&w);
	assert_string_equal(buf_cstr(&order), "tomb/ hold/ pin/ ");
	assert_int_equal(x.ntombs, 0);
}

static void test_expiry_load__the_stores_failure_is_told(void **state)
{
	static const struct trouble plans[] = {
		{ .call = CALL_LIST, .prefix = "tomb/", .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_LIST, .prefix = "hold/", .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_LIST, .prefix = "pin/", .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_GET, .prefix = "tomb/", .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_GET, .prefix = "hold/", .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_GET, .prefix = "pin/", .fault = FAULT_FAIL, .times = 1 },
	};
	struct trouble t = { 0 };
	auto_world struct world w = world_new();
	char key[NOTE_KEY_MAX];

	(void)state;
	(void)put_tomb(&w, 0, 0);
	(void)put_hold(&w, 1);
	ok(expiry_pin(w.k.agent, w.points[2], key, e));
	kit_trouble(&w.k, &t);
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		struct expiry x = { 0 };

		t = plans[i];
		fails(ERR_RETRY, expiry_load(w.k.audit, 0, &x, e));
		assert_int_equal(x.ntombs + x.nholds + x.npins, 0);
		ok(expiry_load(w.k.audit, 0, &x, e));
		assert_int_equal(x.ntombs, 1);
		expiry_clear(&x);
	}
}

static void test_expiry_put__the_stores_failure_is_told(void **state)
{
	static const struct trouble plans[] = {
		{ .call = CALL_LIST, .fault = FAULT_FAIL, .times = 1 },
		{ .call = CALL_PUT, .fault = FAULT_QUOTA, .times = 1 },
	};
	struct trouble t = { 0 };
	auto_world struct world w = world_new();
	const struct expiry_point p = { .session = w.points[0], .why = "x" };
	uint64_t hold;
	uint64_t n = 7;
	char key[NOTE_KEY_MAX];

	(void)state;
	hold = put_hold(&w, 1);
	kit_trouble(&w.k, &t);
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		enum err_class class = i == 0 ? ERR_RETRY : ERR_QUOTA;

		t = plans[i];
		fails(class, expiry_put_tomb(w.k.agent, "p", &p, 1, &n, e));
		t = plans[i];
		fails(class, expiry_put_hold(w.k.agent, w.points[0], NULL, "r", "n", &n, e));
		t = plans[i];
		fails(class, expiry_put_release(w.k.agent, hold, "r", "n", &n, e));
		assert_int_equal(n, 7);
		t = plans[i];
		fails(class, expiry_pin(w.k.agent, w.points[0], key, e));
	}
	/* a hold that was put and not confirmed is no success */
	t = (struct trouble){ .call = CALL_LIST, .fault = FAULT_FAIL, .skip = 1, .times = 1 };
	fails(ERR_RETRY, expiry_put_hold(w.k.agent, w.points[0], NULL, "r", "n", &n, e));
	t = (struct trouble){ .call = CALL_DELETE, .fault = FAULT_DENIED, .times = 1 };
	fails(ERR_DENIED, expiry_unpin(w.k.agent, key, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expiry_state_name__each_has_one),
		cmocka_unit_test(test_expiry_load__of_nothing),
		cmocka_unit_test(test_expiry_put_tomb__expires_what_it_names),
		cmocka_unit_test(test_expiry_put_tomb__who_cannot_sign_is_denied),
		cmocka_unit_test(test_expiry_put_tomb__numbers_go_on),
		cmocka_unit_test(test_expiry_put_tomb__many_points_take_several_objects),
		cmocka_unit_test(test_expiry_put_tomb__what_would_not_open_is_refused),
		cmocka_unit_test(test_expiry_load__from_a_number_on),
		cmocka_unit_test(test_expiry_tombs__all_that_name_a_point),
		cmocka_unit_test(test_expiry_of__needs_as_many_signers_as_the_config_says),
		cmocka_unit_test(test_expiry_of__a_hold_or_pin_of_what_is_only_proposed),
		cmocka_unit_test(test_expiry_put_release__needs_two_signers_as_well),
		cmocka_unit_test(test_expiry_put_hold__keeps_a_point),
		cmocka_unit_test(test_expiry_put_hold__keeps_all_points_of_a_volume),
		cmocka_unit_test(test_expiry_put_hold__comes_too_late),
		cmocka_unit_test(test_expiry_put_hold__a_late_one_helps_no_other),
		cmocka_unit_test(test_expiry_put_hold__one_that_stood_before_helps_others),
		cmocka_unit_test(test_expiry_put_hold__is_expired_while_it_runs),
		cmocka_unit_test(test_expiry_put_hold__needs_a_reason_and_a_name),
		cmocka_unit_test(test_expiry_put_hold__what_would_not_open_is_refused),
		cmocka_unit_test(test_expiry_put_release__ends_one_hold),
		cmocka_unit_test(test_expiry_pin__keeps_a_point_while_it_is_read),
		cmocka_unit_test(test_expiry_pin__what_is_held_can_be_read),
		cmocka_unit_test(test_expiry_of__pins_age),
		cmocka_unit_test(test_expiry_settled__is_what_the_newest_done_says),
		cmocka_unit_test(test_expiry_settled__a_done_that_does_not_say),
		cmocka_unit_test(test_expiry_now__notices_that_the_newest_holds_are_gone),
		cmocka_unit_test(test_expiry_load__bad_tombstones_end_nothing),
		cmocka_unit_test(test_expiry_load__more_points_than_a_tombstone_may_have),
		cmocka_unit_test(test_expiry_load__bad_holds_are_counted),
		cmocka_unit_test(test_expiry_load__a_release_says_nothing_of_later_holds),
		cmocka_unit_test(test_expiry_load__statements_of_strangers_do_not_count),
		cmocka_unit_test(test_expiry_load__what_was_moved_or_damaged_does_not_count),
		cmocka_unit_test(test_expiry_load__pins_that_are_none),
		cmocka_unit_test(test_expiry_load__gaps_and_other_names),
		cmocka_unit_test(test_expiry_load__tombstones_are_listed_first),
		cmocka_unit_test(test_expiry_load__the_stores_failure_is_told),
		cmocka_unit_test(test_expiry_put__the_stores_failure_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
