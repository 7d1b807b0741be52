/* SPDX-License-Identifier: Apache-2.0 */
/* See damage_mutate.h. */
#include "tests/harness/damage_mutate.h"

#include <string.h>

#include "tests/harness/harness.h"
#include "tests/harness/storm_store.h"

const char *const damage_how_names[DAMAGE_HOWS] = {
	[DAMAGE_FLIP] = "flip",
	[DAMAGE_CUT] = "cut",
	[DAMAGE_APPEND] = "append",
	[DAMAGE_ZEROS] = "zeros",
	[DAMAGE_DELETE] = "delete",
	[DAMAGE_SWAP_SAME] = "swap",
	[DAMAGE_SWAP_OTHER] = "swap-other",
	[DAMAGE_REPLAY] = "replay",
	[DAMAGE_FOREIGN] = "foreign",
};

/* Of these places, and then at random: head, version, features, signer, and from the end. */
static const int flips[] = { 0, 4, 5, 6, 8, 15, 16, 24, 40, 41, 60, -1, -8, -9, -40, -72, -160 };
static const int cuts[] = { 0, 1, 8, 40, -1, -8, -16, -64, -160 };
static const unsigned appends[] = { 1, 16, 4096 };

unsigned damage_args(enum damage_how how)
{
	switch (how) {
	case DAMAGE_FLIP:
		return ARRAY_LEN(flips) + 7;
	case DAMAGE_CUT:
		return ARRAY_LEN(cuts) + 3;
	case DAMAGE_APPEND:
		return ARRAY_LEN(appends);
	case DAMAGE_SWAP_SAME:
	case DAMAGE_REPLAY:
		return 3;
	case DAMAGE_SWAP_OTHER:
		return 2;
	default:
		return 1;
	}
}

/* A place in n bytes. */
static size_t place_of(const int *list, size_t len, uint64_t arg, size_t n)
{
	if (arg < len) {
		size_t back = list[arg] < 0 ? (size_t)-list[arg] : 0;

		return back ? (back > n ? 0 : n - back) : (size_t)list[arg] % n;
	}
	return storm_mix(arg) % n;
}

static size_t prefix_len(const char *key)
{
	static const char *const prefixes[] = { "ctl/gc/", "ctl/damage/", "ctl/revoked/" };
	const char *slash = strchr(key, '/');

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
			return strlen(prefixes[i]);
	}
	return slash ? (size_t)(slash - key) + 1 : strlen(key);
}

/* The revisions of the config are of one kind with it. */
static bool is_config(const char *key)
{
	return strcmp(key, "config") == 0 || strncmp(key, "ctl/config/", 11) == 0;
}

static bool same_prefix(const char *a, const char *b)
{
	size_t n = prefix_len(a);

	if (is_config(a) || is_config(b))
		return is_config(a) && is_config(b);
	return prefix_len(b) == n && strncmp(a, b, n) == 0;
}

/* Another object, by number; NULL: there is none. */
static const struct damage_object *other_of(const struct damage_store *s, const char *key,
                                            bool same, uint64_t number)
{
	size_t n = 0;

	for (unsigned pass = 0; pass < 2; pass++) {
		size_t at = 0;

		for (size_t i = 0; i < s->n; i++) {
			const struct damage_object *o = &s->v[i];

			if (strcmp(o->key, key) == 0 || same_prefix(o->key, key) != same)
				continue;
			if (pass == 1 && at++ == number % n)
				return o;
			n += pass == 0;
		}
		if (n == 0)
			return NULL;
	}
	return NULL;
}

static void change_bytes(const struct damage_case *c, const struct damage_object *o,
                         struct damage_store *s, struct damage_done *ret)
{
	size_t n = o->bytes->n;
	size_t more = c->how == DAMAGE_APPEND ? appends[c->arg % ARRAY_LEN(appends)] : 0;
	auto_free uint8_t *p = malloc(n + more);
	unsigned bit = (unsigned)(storm_mix(c->arg + 77) % 8);

	if (!p)
		harness_die("no memory for an object");
	memcpy(p, o->bytes->data, n);
	switch (c->how) {
	case DAMAGE_FLIP:
		ret->off = place_of(flips, ARRAY_LEN(flips), c->arg, n);
		p[ret->off] ^= (uint8_t)(1u << bit);
		(void)snprintf(ret->text, sizeof(ret->text), "bit %u of byte %zu of %zu", bit,
		               (size_t)ret->off, n);
		break;
	case DAMAGE_CUT:
		ret->off = n = place_of(cuts, ARRAY_LEN(cuts), c->arg, n);
		(void)snprintf(ret->text, sizeof(ret->text), "cut to %zu", n);
		break;
	case DAMAGE_APPEND:
		fill_random(c->arg, p + n, more);
		(void)snprintf(ret->text, sizeof(ret->text), "%zu more", more);
		break;
	default:
		memset(p, 0, n);
		(void)snprintf(ret->text, sizeof(ret->text), "%zu zeros", n);
	}
	damage_store_set(s, o->key, p, n + more);
}

static bool exchange(const struct damage_world *w, const struct damage_world *foreign,
                     const struct damage_case *c, const struct damage_object *o,
                     struct damage_store *s, struct damage_done *ret)
{
	const struct damage_object *other = NULL;

	if (c->how != DAMAGE_FOREIGN) {
		other = other_of(w->now, o->key, c->how != DAMAGE_SWAP_OTHER, storm_mix(c->arg));
	} else {
		/* Under the same name, or one of the same kind. */
		other = damage_store_find(foreign->now, o->key);
		if (!other)
			other = other_of(foreign->now, o->key, true, storm_mix(c->arg));
	}
	if (!other)
		return false;
	(void)snprintf(ret->other, sizeof(ret->other), "%s", other->key);
	ret->with = damage_world_kind(c->how == DAMAGE_FOREIGN ? foreign : w, other->key);
	(void)snprintf(ret->text, sizeof(ret->text), "with '%s' (%s)", other->key,
	               damage_kind_names[ret->with]);
	if (c->how == DAMAGE_SWAP_SAME || c->how == DAMAGE_SWAP_OTHER)
		damage_store_swap(s, o->key, other->key);
	else
		damage_store_set(s, o->key, other->bytes->data, other->bytes->n);
	return true;
}

bool damage_apply(const struct damage_world *w, const struct damage_world *foreign,
                  const struct damage_case *c, struct damage_store *s, struct damage_done *ret)
{
	const struct damage_object *o = &w->now->v[c->object];

	*ret = (struct damage_done){ 0 };
	switch (c->how) {
	case DAMAGE_DELETE:
		damage_store_remove(s, o->key);
		return true;
	case DAMAGE_FLIP:
	case DAMAGE_CUT:
	case DAMAGE_APPEND:
	case DAMAGE_ZEROS:
		change_bytes(c, o, s, ret);
		return true;
	default:
		return exchange(w, foreign, c, o, s, ret);
	}
}
