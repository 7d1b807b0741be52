/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision walks once from the newest point to the oldest, with a counter
 * for each rule: a point in another day than the one before it is the newest
 * of its day, and so on. What a point is in is so known from its place in the
 * order alone, and what goes was never the first of anything counted; this is
 * why a second run finds nothing more.
 */
#include "catalog/retain.h"

#include <fnmatch.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/num.h"

#define NS_PER_S INT64_C(1000000000)
#define DAY_S 86400

/* ---- the decision ---- */

static const struct retain_policy nothing_goes = { .last = RETAIN_ALL };

enum { HOUR, DAY, WEEK, MONTH, YEAR, SPANS };

static const uint32_t span_rules[SPANS] = {
	[HOUR] = RETAIN_HOURLY,   [DAY] = RETAIN_DAILY,   [WEEK] = RETAIN_WEEKLY,
	[MONTH] = RETAIN_MONTHLY, [YEAR] = RETAIN_YEARLY,
};

/* Where the walk is: numbers of the spans that it is in, and what is left of the counts. */
struct walk {
	const struct retain_policy *p;
	const struct retain_point *newest, *latest;
	uint32_t points, verified; /* seen so far */
	int64_t spans[SPANS];
	uint32_t left[SPANS];
};

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Moves the spans to those of a time. A day's date is worked out once. */
static void enter_spans(int64_t spans[SPANS], int64_t received_ns)
{
	const int64_t day = floor_div(received_ns, DAY_S * NS_PER_S);
	const time_t s = day * DAY_S;
	struct tm tm;

	spans[HOUR] = floor_div(received_ns, 3600 * NS_PER_S);
	if (spans[DAY] == day)
		return;
	(void)gmtime_r(&s, &tm);
	spans[DAY] = day;
	spans[WEEK] = floor_div(day + 3, 7); /* from Monday; 1970-01-01 was a Thursday */
	spans[MONTH] = (int64_t)tm.tm_year * 12 + tm.tm_mon;
	spans[YEAR] = tm.tm_year;
}

/* The rules whose span begins with this point, when their counts are not used up. */
static uint32_t span_bits(struct walk *w, int64_t received_ns)
{
	int64_t before[SPANS];
	uint32_t bits = 0;

	memcpy(before, w->spans, sizeof(before));
	enter_spans(w->spans, received_ns);
	for (size_t i = 0; i < SPANS; i++) {
		if (w->left[i] == 0 || w->spans[i] == before[i])
			continue;
		bits |= span_rules[i];
		if (w->left[i] != RETAIN_ALL)
			w->left[i]--;
	}
	return bits;
}

/* True when the point is at most s older than the newest one. */
static bool is_within(const struct walk *w, const struct retain_point *pt, int64_t s)
{
	const uint64_t age_ns = (uint64_t)w->newest->received_ns - (uint64_t)pt->received_ns;
	const uint64_t unit = (uint64_t)NS_PER_S;

	return s > 0 && age_ns / unit + (age_ns % unit > 0) <= (uint64_t)s;
}

static uint32_t floor_of(const struct retain_policy *p)
{
	return p->floor_points > 0 ? p->floor_points : 1;
}

/* The rules that keep the next point. */
static uint32_t step(struct walk *w, const struct retain_point *pt)
{
	const struct retain_policy *p = w->p;
	uint32_t bits = span_bits(w, pt->received_ns);

	if (p->last == RETAIN_ALL)
		bits |= RETAIN_EVERYTHING;
	else if (w->points < p->last)
		bits |= RETAIN_LAST;
	if (is_within(w, pt, p->within_s))
		bits |= RETAIN_WITHIN;
	if (w->points < floor_of(p))
		bits |= RETAIN_FLOOR_POINTS;
	if (pt->verified && w->verified < floor_of(p))
		bits |= RETAIN_FLOOR_VERIFIED;
	if (is_within(w, pt, p->floor_s))
		bits |= RETAIN_FLOOR_AGE;
	if (pt == w->latest)
		bits |= RETAIN_FLOOR_LATEST;
	if (pt->held)
		bits |= RETAIN_HELD;
	if (pt->pinned)
		bits |= RETAIN_PINNED;
	w->points += w->points < UINT32_MAX;
	w->verified += pt->verified && w->verified < UINT32_MAX;
	return bits;
}

static int by_age(const void *va, const void *vb)
{
	const struct retain_point *a = *(const struct retain_point *const *)va;
	const struct retain_point *b = *(const struct retain_point *const *)vb;

	if (a->received_ns != b->received_ns)
		return a->received_ns < b->received_ns ? -1 : 1;
	if (a->sequence != b->sequence)
		return a->sequence < b->sequence ? -1 : 1;
	int d = strcmp(a->session, b->session);
	return d ? d : (a > b) - (a < b);
}

/* Oldest first. Most lists come so, and long ones are judged often in a simulation. */
static void put_in_order(const struct retain_point **order, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (by_age(&order[i - 1], &order[i]) > 0) {
			qsort(order, n, sizeof(*order), by_age);
			return;
		}
	}
}

static bool has_rule(const struct retain_policy *p)
{
	return (p->last | p->hourly | p->daily | p->weekly | p->monthly | p->yearly) > 0 ||
	       p->within_s > 0;
}

int retain_mark(const struct retain_policy *policy, const struct retain_point *pts, size_t n,
                struct retain_verdict *ret, struct err *e)
{
	const struct retain_policy *p = policy ? policy : &nothing_goes;
	struct walk w = {
		.p = p,
		.left = { p->hourly, p->daily, p->weekly, p->monthly, p->yearly },
	};
	size_t live = 0;

	if (!has_rule(p))
		return err_set(e, ERR_INVALID,
		               "retention policy '%s' has no rule, and would remove everything",
		               p->name);
	auto_free const struct retain_point **order = calloc(n ? n : 1, sizeof(*order));
	if (!order)
		return err_set(e, ERR_NOMEM, "no memory for %zu restore points", n);
	for (size_t i = 0; i < n; i++) {
		ret[i] = (struct retain_verdict){ .goes = false };
		if (!pts[i].expired)
			order[live++] = &pts[i];
	}
	put_in_order(order, live);
	for (size_t i = 0; i < live; i++) {
		if (!w.latest || order[i]->sequence >= w.latest->sequence)
			w.latest = order[i];
		w.newest = order[i];
	}
	for (size_t i = 0; i < SPANS; i++)
		w.spans[i] = INT64_MIN; /* in none */
	for (size_t i = live; i-- > 0;) {
		struct retain_verdict *v = &ret[order[i] - pts];

		v->rules = step(&w, order[i]);
		v->goes = v->rules == 0;
	}
	return 0;
}

static void say(struct retain_text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct retain_text *t, const char *fmt, ...)
{
	size_t n = strlen(t->s);
	va_list ap;

	if (n > 0) {
		memcpy(t->s + n, ", ", 3);
		n += 2;
	}
	va_start(ap, fmt);
	(void)vsnprintf(t->s + n, sizeof(t->s) - n, fmt, ap);
	va_end(ap);
}

struct retain_text retain_why(const struct retain_policy *policy, const struct retain_point *pt,
                              const struct retain_verdict *v)
{
	const struct retain_policy *p = policy ? policy : &nothing_goes;
	const time_t s = floor_div(pt->received_ns, NS_PER_S);
	struct retain_text t = { "" };
	char hour[32];
	char week[32];
	struct tm tm;

	(void)gmtime_r(&s, &tm);
	(void)strftime(hour, sizeof(hour), "%Y-%m-%dT%H", &tm);
	(void)strftime(week, sizeof(week), "%G-W%V", &tm);
	if (v->rules & RETAIN_EVERYTHING)
		say(&t, "everything");
	if (v->rules & RETAIN_LAST)
		say(&t, "last %u", p->last);
	if (v->rules & RETAIN_HOURLY)
		say(&t, "hourly %s", hour);
	if (v->rules & RETAIN_DAILY)
		say(&t, "daily %.10s", hour);
	if (v->rules & RETAIN_WEEKLY)
		say(&t, "weekly %s", week);
	if (v->rules & RETAIN_MONTHLY)
		say(&t, "monthly %.7s", hour);
	if (v->rules & RETAIN_YEARLY)
		say(&t, "yearly %.4s", hour);
	if (v->rules & RETAIN_WITHIN)
		say(&t, "within %s", num_duration_text(p->within_s).s);
	if (v->rules & RETAIN_FLOOR_POINTS)
		say(&t, "floor %u", floor_of(p));
	if (v->rules & RETAIN_FLOOR_VERIFIED)
		say(&t, "floor %u verified", floor_of(p));
	if (v->rules & RETAIN_FLOOR_AGE)
		say(&t, "floor %s", num_duration_text(p->floor_s).s);
	if (v->rules & RETAIN_FLOOR_LATEST)
		say(&t, "latest");
	if (v->rules & RETAIN_HELD)
		say(&t, "hold");
	if (v->rules & RETAIN_PINNED)
		say(&t, "pin");
	if (v->rules == 0)
		say(&t, "%s", v->goes ? "no rule keeps it" : "expired already");
	return t;
}

/* ---- the file ---- */

/* An object of the document, for messages. */
struct place {
	const char *what;
	char path[64]; /* "" for the document itself */
};

static int refuse(const struct place *at, enum err_class class, const char *key, const char *why,
                  struct err *e)
{
	return err_set(e, class, "%s: %s.%s: %s", at->what, at->path, key, why);
}

/* Looks that o is an object, and has no members but those. */
static int members(const struct place *at, json_t *o, const char *const *known, size_t n,
                   struct err *e)
{
	const char *key;
	json_t *value;

	if (!json_is_object(o))
		return err_set(e, ERR_INVALID, "%s%s%s: expected an object", at->what,
		               at->path[0] ? ": " : "", at->path);
	json_object_foreach(o, key, value) {
		size_t i = 0;

		while (i < n && strcmp(key, known[i]) != 0)
			i++;
		if (i == n)
			return refuse(at, ERR_INVALID, key, "there is no such member", e);
	}
	return 0;
}

static int get_text(const struct place *at, const json_t *o, const char *key, const char **ret,
                    struct err *e)
{
	const json_t *v = json_object_get(o, key);

	if (!v)
		return refuse(at, ERR_INVALID, key, "missing", e);
	if (!json_is_string(v))
		return refuse(at, ERR_INVALID, key, "expected a string", e);
	*ret = json_string_value(v);
	return 0;
}

/* An array of min to max items. */
static int get_array(const struct place *at, const json_t *o, const char *key, size_t min,
                     size_t max, const json_t **ret, struct err *e)
{
	const json_t *v = json_object_get(o, key);
	char why[64];

	if (!v)
		return refuse(at, ERR_INVALID, key, "missing", e);
	if (!json_is_array(v) || json_array_size(v) < min)
		return refuse(at, ERR_INVALID, key,
		              min > 0 ? "expected an array that is not empty" : "expected an array",
		              e);
	if (json_array_size(v) > max) {
		(void)snprintf(why, sizeof(why), "has %zu items; the limit is %zu",
		               json_array_size(v), max);
		return refuse(at, ERR_TOO_BIG, key, why, e);
	}
	*ret = v;
	return 0;
}

/* A number from min on; or "all" when min is 0. Stays as it is when missing. */
static int get_count(const struct place *at, const json_t *o, const char *key, unsigned min,
                     uint32_t *ret, struct err *e)
{
	const json_t *v = json_object_get(o, key);
	const char *text = json_string_value(v);
	char why[64];

	if (!v)
		return 0;
	if (min == 0 && text && strcmp(text, "all") == 0) {
		*ret = RETAIN_ALL;
		return 0;
	}
	if (!json_is_integer(v) || json_integer_value(v) < min ||
	    json_integer_value(v) > RETAIN_COUNT_MAX) {
		(void)snprintf(why, sizeof(why), "expected a number from %u to %d%s", min,
		               RETAIN_COUNT_MAX, min == 0 ? ", or \"all\"" : "");
		return refuse(at, ERR_INVALID, key, why, e);
	}
	*ret = (uint32_t)json_integer_value(v);
	return 0;
}

static int get_age(const struct place *at, const json_t *o, const char *key, int64_t *ret_s,
                   struct err *e)
{
	const char *text = "";
	char path[96];

	if (!json_object_get(o, key))
		return 0;
	if (get_text(at, o, key, &text, e) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s.%s", at->path, key);
	if (num_duration(path, text, ret_s, e) < 0)
		return err_wrap(e, "%s", at->what);
	return 0;
}

static int parse_name(const struct place *at, const json_t *o, struct retain_policies *set,
                      struct retain_policy *ret, struct err *e)
{
	const char *name = "";

	if (get_text(at, o, "name", &name, e) < 0)
		return -1;
	if (!*name || strlen(name) >= sizeof(ret->name) ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")])
		return refuse(at, ERR_INVALID, "name",
		              "expected 1 to 63 letters, digits, '.', '_' and '-'", e);
	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->items[i].policy.name, name) == 0)
			return refuse(at, ERR_INVALID, "name",
			              "another policy before it has the same", e);
	}
	memcpy(ret->name, name, strlen(name) + 1);
	return 0;
}

static int parse_patterns(const struct place *at, const json_t *o, struct retain_entry *x,
                          struct err *e)
{
	const json_t *list = NULL;

	if (get_array(at, o, "volumes", 1, RETAIN_PATTERNS_MAX, &list, e) < 0)
		return -1;
	x->patterns = calloc(json_array_size(list), sizeof(*x->patterns));
	if (!x->patterns)
		return err_set(e, ERR_NOMEM, "no memory for retention policies");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		char key[32];

		(void)snprintf(key, sizeof(key), "volumes[%zu]", i);
		if (!text || !*text)
			return refuse(at, ERR_INVALID, key, "expected a pattern", e);
		if (strlen(text) > RETAIN_PATTERN_MAX)
			return refuse(at, ERR_TOO_BIG, key, "longer than the name of a volume", e);
		x->patterns[i] = strdup(text);
		if (!x->patterns[i])
			return err_set(e, ERR_NOMEM, "no memory for retention policies");
		x->npatterns++;
	}
	return 0;
}

static int parse_keep(const struct place *policy, const json_t *o, struct retain_policy *p,
                      struct err *e)
{
	static const char *const known[] = { "last",    "hourly", "daily", "weekly",
		                             "monthly", "yearly", "within" };
	uint32_t *const counts[] = { &p->last,   &p->hourly,  &p->daily,
		                     &p->weekly, &p->monthly, &p->yearly };
	struct place at = { .what = policy->what };
	json_t *keep = json_object_get(o, "keep");

	if (!keep)
		return refuse(policy, ERR_INVALID, "keep", "missing", e);
	(void)snprintf(at.path, sizeof(at.path), "%.50s.keep", policy->path);
	if (members(&at, keep, known, ARRAY_LEN(known), e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		if (get_count(&at, keep, known[i], 0, counts[i], e) < 0)
			return -1;
	}
	if (get_age(&at, keep, "within", &p->within_s, e) < 0)
		return -1;
	if (!has_rule(p))
		return refuse(policy, ERR_INVALID, "keep",
		              "a policy without a rule would remove everything", e);
	return 0;
}

static int parse_floor(const struct place *policy, const json_t *o, struct retain_policy *p,
                       struct err *e)
{
	static const char *const known[] = { "points", "age" };
	struct place at = { .what = policy->what };
	json_t *floor = json_object_get(o, "floor");

	p->floor_points = RETAIN_FLOOR_DEFAULT;
	if (!floor)
		return 0;
	(void)snprintf(at.path, sizeof(at.path), "%.50s.floor", policy->path);
	if (members(&at, floor, known, ARRAY_LEN(known), e) < 0 ||
	    get_count(&at, floor, "points", 1, &p->floor_points, e) < 0)
		return -1;
	return get_age(&at, floor, "age", &p->floor_s, e);
}

/* Adds a policy to the set, which has room for it. */
static int parse_policy(const struct place *at, json_t *o, struct retain_policies *set,
                        struct err *e)
{
	static const char *const known[] = { "name", "volumes", "keep", "floor" };
	struct retain_entry *x = &set->items[set->n];

	if (members(at, o, known, ARRAY_LEN(known), e) < 0 ||
	    parse_name(at, o, set, &x->policy, e) < 0)
		return -1;
	set->n++;
	if (parse_patterns(at, o, x, e) < 0 || parse_keep(at, o, &x->policy, e) < 0)
		return -1;
	return parse_floor(at, o, &x->policy, e);
}

void retain_policies_clear(struct retain_policies *set)
{
	for (size_t i = 0; i < set->n; i++) {
		for (size_t j = 0; j < set->items[i].npatterns; j++)
			free(set->items[i].patterns[j]);
		free(set->items[i].patterns);
	}
	free(set->items);
	*set = (struct retain_policies){ .n = 0 };
}

int retain_policies_parse(const char *what, const uint8_t *text, size_t n,
                          struct retain_policies *ret, struct err *e)
{
	static const char *const known[] = { "schema", "policies" };
	CLEANUP(retain_policies_clear) struct retain_policies set = { .n = 0 };
	struct place at = { .what = what };
	const json_t *list = NULL;
	const char *schema = "";

	if (n > RETAIN_TEXT_MAX)
		return err_set(e, ERR_TOO_BIG, "%s: has %zu bytes; the limit is %zu", what, n,
		               RETAIN_TEXT_MAX);
	auto_json json_t *j = json_parse(what, text, n, e);
	if (!j) {
		if (e->class == ERR_FORMAT) /* a user's file, not damage */
			e->class = ERR_INVALID;
		return -1;
	}
	if (members(&at, j, known, ARRAY_LEN(known), e) < 0 ||
	    get_text(&at, j, "schema", &schema, e) < 0)
		return -1;
	if (strcmp(schema, "aksdr/retention/v1") != 0)
		return refuse(&at, ERR_INVALID, "schema", "expected \"aksdr/retention/v1\"", e);
	if (get_array(&at, j, "policies", 0, RETAIN_POLICIES_MAX, &list, e) < 0)
		return -1;
	set.items = calloc(json_array_size(list) + 1, sizeof(*set.items));
	if (!set.items)
		return err_set(e, ERR_NOMEM, "no memory for retention policies");
	for (size_t i = 0; i < json_array_size(list); i++) {
		(void)snprintf(at.path, sizeof(at.path), ".policies[%zu]", i);
		if (parse_policy(&at, json_array_get(list, i), &set, e) < 0)
			return -1;
	}
	*ret = set;
	set = (struct retain_policies){ .n = 0 };
	return 0;
}

/* True when the pattern fits the name, or its end after a '/'. */
static bool fits(const char *pattern, const char *volume)
{
	for (const char *s = volume;; s++) {
		if (fnmatch(pattern, s, 0) == 0)
			return true;
		s = strchr(s, '/');
		if (!s)
			return false;
	}
}

const struct retain_policy *retain_policy_for(const struct retain_policies *set, const char *volume)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct retain_entry *x = &set->items[i];

		for (size_t j = 0; j < x->npatterns; j++) {
			if (fits(x->patterns[j], volume))
				return &x->policy;
		}
	}
	return NULL;
}
