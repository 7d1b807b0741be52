/* SPDX-License-Identifier: Apache-2.0 */
/* See comply.h. */
#include "catalog/comply.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/sql.gen.h"
#include "common/now.h"
#include "common/num.h"
#include "common/yaml.h"

#define NS_S ((int64_t)1000000000)
#define AGE_MAX_S ((int64_t)3000000000)
#define PATTERNS_MAX 256
#define PATTERN_BYTES_MAX 512
#define POINTS_MAX 1000000

const struct comply_kind comply_kinds[COMPLY_WHATS] = {
	[COMPLY_RPO] = { "rpo", "A.8.13", "A1.2", "CP-9", "", "164.308(a)(7)(ii)(A)", "32(1)(b)" },
	[COMPLY_GEO_RPO] = { "geoRpo", "A.8.13, A.8.14", "A1.2", "CP-6, CP-9(3), CP-9(5)", "",
	                     "164.308(a)(7)(ii)(B)", "32(1)(c)" },
	[COMPLY_VERIFIED] = { "verifiedWithin", "A.8.13", "A1.3", "CP-9(1)", "",
	                      "164.308(a)(7)(ii)(A)", "32(1)(d)" },
	[COMPLY_TESTED] = { "testedWithin", "A.8.13", "A1.3", "CP-4, CP-9(2), CP-10", "12.10.2",
	                    "164.308(a)(7)(ii)(D)", "32(1)(d)" },
	[COMPLY_KEEP_POINTS] = { "keepPoints", "A.8.13", "A1.2", "CP-9", "", "164.308(a)(7)(ii)(A)",
	                         "32(1)(c)" },
	[COMPLY_KEEP_FOR] = { "keepFor", "A.8.13", "A1.2", "CP-9", "", "164.308(a)(7)(ii)(A)",
	                      "5(1)(e)" },
	[COMPLY_LOCKED_FOR] = { "lockedFor", "A.5.33, A.8.13", "A1.2", "CP-9", "", "164.312(c)(1)",
	                        "32(1)(b)" },
	[COMPLY_CONSISTENCY] = { "consistency", "A.8.13", "A1.2", "CP-9, CP-10(2)", "",
	                         "164.308(a)(7)(ii)(A)", "32(1)(b)" },
	[COMPLY_ENCRYPTED] = { "encrypted", "A.8.24", "CC6.1", "CP-9(8), SC-28", "3.5",
	                       "164.312(a)(2)(iv)", "32(1)(a)" },
	[COMPLY_SIGNERS] = { "deletionSigners", "A.5.3", "CC6.3", "CP-9(7)", "", "", "32(1)(b)" },
	[COMPLY_KEY_AGE] = { "keyAge", "A.8.24", "CC6.1", "SC-12", "3.7.4", "", "32(1)(a)" },
};

static const char *const consistencies[] = { "any", "crash", "filesystem", "application", NULL };

/* ---- reading ---- */

void comply_rules_free(struct comply_rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nsets; i++) {
		fields_texts_clear(&r->sets[i].clusters);
		fields_texts_clear(&r->sets[i].namespaces);
		fields_texts_clear(&r->sets[i].volumes);
	}
	free(r->sets);
	free(r->exceptions);
	json_decref(r->document);
	free(r);
}

static int read_require(const struct fields *set, struct comply_set *s, struct err *e)
{
	static const char *const known[] = { "rpo",          "geoRpo",          "verifiedWithin",
		                             "testedWithin", "keepPoints",      "keepFor",
		                             "lockedFor",    "consistency",     "encrypted",
		                             "keyAge",       "deletionSigners", NULL };
	static const enum comply_what ages[] = { COMPLY_RPO,    COMPLY_GEO_RPO,  COMPLY_VERIFIED,
		                                 COMPLY_TESTED, COMPLY_KEEP_FOR, COMPLY_LOCKED_FOR,
		                                 COMPLY_KEY_AGE };
	unsigned rank = 0;
	bool encrypted = false;
	struct fields f;

	if (fields_need(set, "require", e) < 0 || fields_in(&f, set, "require", known, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(ages); i++) {
		if (fields_duration(&f, comply_kinds[ages[i]].name, 1, AGE_MAX_S,
		                    &s->wants[ages[i]], e) < 0)
			return -1;
	}
	if (fields_number(&f, "keepPoints", 1, POINTS_MAX, &s->wants[COMPLY_KEEP_POINTS], e) < 0 ||
	    fields_number(&f, "deletionSigners", 1, 2, &s->wants[COMPLY_SIGNERS], e) < 0 ||
	    fields_choice(&f, "consistency", consistencies, &rank, e) < 0 ||
	    fields_bool(&f, "encrypted", &encrypted, e) < 0)
		return -1;
	s->wants[COMPLY_CONSISTENCY] = rank;
	s->wants[COMPLY_ENCRYPTED] = encrypted;
	return 0;
}

static int read_set(const json_t *o, size_t i, struct comply_set *s, struct err *e)
{
	static const char *const known[] = { "name", "select", "require", NULL };
	static const char *const selects[] = { "clusters", "namespaces", "volumes", NULL };
	struct fields f;
	struct fields select;
	char path[64];

	(void)snprintf(path, sizeof(path), "spec.rules[%zu]", i);
	if (fields_of(&f, o, path, known, e) < 0 || fields_need(&f, "name", e) < 0 ||
	    fields_text(&f, "name", 1, 63, &s->name, e) < 0 ||
	    fields_in(&select, &f, "select", selects, e) < 0)
		return -1;
	if (select.o &&
	    (fields_texts(&select, "clusters", PATTERNS_MAX, PATTERN_BYTES_MAX, &s->clusters, e) <
	             0 ||
	     fields_texts(&select, "namespaces", PATTERNS_MAX, PATTERN_BYTES_MAX, &s->namespaces,
	                  e) < 0 ||
	     fields_texts(&select, "volumes", PATTERNS_MAX, PATTERN_BYTES_MAX, &s->volumes, e) < 0))
		return -1;
	return read_require(&f, s, e);
}

static int read_exception(const json_t *o, size_t i, struct comply_exception *x, struct err *e)
{
	static const char *const known[] = { "volume", "requirement", "until",
		                             "reason", "approver",    NULL };
	const char *until = NULL;
	struct fields f;
	struct err why = ERR_INIT;
	char path[64];
	bool is_known = false;

	(void)snprintf(path, sizeof(path), "spec.exceptions[%zu]", i);
	if (fields_of(&f, o, path, known, e) < 0)
		return -1;
	for (size_t k = 0; known[k]; k++) {
		if (fields_need(&f, known[k], e) < 0)
			return -1;
	}
	if (fields_text(&f, "volume", 1, PATTERN_BYTES_MAX, &x->volume, e) < 0 ||
	    fields_text(&f, "requirement", 1, 63, &x->what, e) < 0 ||
	    fields_text(&f, "until", 1, 63, &until, e) < 0 ||
	    fields_text(&f, "reason", 1, COMPLY_TEXT_MAX - 1, &x->reason, e) < 0 ||
	    fields_text(&f, "approver", 1, COMPLY_TEXT_MAX - 1, &x->approver, e) < 0)
		return -1;
	for (size_t k = 0; k < COMPLY_WHATS && !is_known; k++)
		is_known = strcmp(x->what, comply_kinds[k].name) == 0;
	if (!is_known && strcmp(x->what, "*") != 0)
		return fields_bad(&f, "requirement", e, "'%.63s' is no requirement, nor '*'",
		                  x->what);
	return now_parse(until, &x->until_ns, &why) < 0
	               ? fields_bad(&f, "until", e, "%.200s", why.msg)
	               : 0;
}

static int read_spec(const json_t *document, struct comply_rules *r, struct err *e)
{
	static const char *const known[] = { "rules", "exceptions", NULL };
	const json_t *rules = NULL;
	const json_t *exceptions = NULL;
	struct fields f;

	if (fields_of(&f, json_object_get(document, "spec"), "spec", known, e) < 0 ||
	    fields_need(&f, "rules", e) < 0 ||
	    fields_list(&f, "rules", COMPLY_SETS_MAX, &rules, e) < 0 ||
	    fields_list(&f, "exceptions", COMPLY_EXCEPTIONS_MAX, &exceptions, e) < 0)
		return -1;
	if (json_array_size(rules) == 0)
		return fields_bad(&f, "rules", e, "there is none");
	r->sets = calloc(json_array_size(rules), sizeof(*r->sets));
	r->exceptions = calloc(json_array_size(exceptions) + 1, sizeof(*r->exceptions));
	if (!r->sets || !r->exceptions)
		return err_set(e, ERR_NOMEM, "no memory for rules");
	for (size_t i = 0; i < json_array_size(rules); i++) {
		r->nsets = i + 1; /* what a half-read one owns is freed, too */
		if (read_set(json_array_get(rules, i), i, &r->sets[i], e) < 0)
			return -1;
	}
	for (; r->nexceptions < json_array_size(exceptions); r->nexceptions++) {
		if (read_exception(json_array_get(exceptions, r->nexceptions), r->nexceptions,
		                   &r->exceptions[r->nexceptions], e) < 0)
			return -1;
	}
	return 0;
}

int comply_read(const json_t *document, struct comply_rules **ret, struct err *e)
{
	static const char *const known[] = { "apiVersion", "kind", "metadata", "spec", NULL };
	auto_comply_rules struct comply_rules *r = calloc(1, sizeof(*r));
	const char *api = NULL;
	const char *kind = NULL;
	struct fields f;

	if (!r)
		return err_set(e, ERR_NOMEM, "no memory for rules");
	r->document = json_incref((json_t *)(uintptr_t)document);
	if (fields_of(&f, document, "", known, e) < 0 ||
	    fields_text(&f, "apiVersion", 1, 253, &api, e) < 0 ||
	    fields_text(&f, "kind", 1, 63, &kind, e) < 0)
		return -1;
	if (!api || strcmp(api, COMPLY_API) != 0 || !kind || strcmp(kind, COMPLY_KIND) != 0)
		return err_set(e, ERR_INVALID,
		               "it is no " COMPLY_KIND " of " COMPLY_API ", but %.63s of %.253s",
		               kind ? kind : "nothing", api ? api : "nothing");
	r->name = json_string_value(json_object_get(json_object_get(document, "metadata"), "name"));
	if (!r->name || !*r->name || strlen(r->name) > 63)
		return err_set(e, ERR_INVALID, "metadata.name: is missing, or too long");
	if (read_spec(document, r, e) < 0)
		return err_wrap(e, "rules '%s'", r->name);
	*ret = STEAL(&r);
	return 0;
}

int comply_load(const char *path, struct comply_rules **ret, struct err *e)
{
	auto_json json_t *o = yaml_load(path, e);

	if (!o)
		return err_wrap(e, "the rules '%s'", path);
	return comply_read(o, ret, e) < 0 ? err_wrap(e, "'%s'", path) : 0;
}

/* ---- judging ---- */

const char *comply_state_name(enum comply_state s)
{
	static const char *const names[] = { "pass", "fail", "unknown", "excepted" };

	return names[s];
}

bool comply_selects(const struct comply_set *s, const struct comply_facts *f)
{
	static const struct fields_texts none = { 0 };

	return fields_fit(&s->clusters, &none, f->cluster) &&
	       fields_fit(&s->namespaces, &none, f->namespace) &&
	       (s->volumes.n == 0 || fields_fit(&s->volumes, &none, f->volume) ||
	        fields_fit(&s->volumes, &none, f->name));
}

static void say(struct comply_row *x, enum comply_state state, const char *why)
{
	x->state = state;
	(void)snprintf(x->why, sizeof(x->why), "%s", why);
}

/* An age in ns (negative: a clock that is ahead) against what may be at most. */
static void judge_age(struct comply_row *x, int64_t wanted_s, int64_t age_ns, const char *why)
{
	(void)snprintf(x->wanted, sizeof(x->wanted), "at most %s", num_duration_text(wanted_s).s);
	(void)snprintf(x->got, sizeof(x->got), "%s",
	               num_duration_text(age_ns > 0 ? age_ns / NS_S : 0).s);
	if (age_ns > wanted_s * NS_S)
		say(x, COMPLY_FAIL, why);
}

static void judge_since(struct comply_row *x, int64_t wanted_s, int64_t since_ns, int64_t as_of_ns,
                        const char *never, const char *old)
{
	if (since_ns > 0) {
		judge_age(x, wanted_s, as_of_ns - since_ns, old);
		return;
	}
	(void)snprintf(x->wanted, sizeof(x->wanted), "at most %s", num_duration_text(wanted_s).s);
	(void)snprintf(x->got, sizeof(x->got), "never");
	say(x, COMPLY_FAIL, never);
}

static void judge_consistency(struct comply_row *x, int64_t wanted, const char *got)
{
	int64_t rank = 0;

	for (int64_t i = 1; consistencies[i]; i++) {
		if (strcmp(got, consistencies[i]) == 0)
			rank = i;
	}
	(void)snprintf(x->wanted, sizeof(x->wanted), "at least %s", consistencies[wanted]);
	(void)snprintf(x->got, sizeof(x->got), "%.63s", got);
	if (rank < wanted)
		say(x, COMPLY_FAIL, "the newest point is of a lesser consistency");
}

static void judge_count(struct comply_row *x, int64_t wanted, int64_t got, const char *why)
{
	(void)snprintf(x->wanted, sizeof(x->wanted), "at least %lld", (long long)wanted);
	(void)snprintf(x->got, sizeof(x->got), "%lld", (long long)got);
	if (got < wanted)
		say(x, COMPLY_FAIL, why);
}

static void judge_locks(struct comply_row *x, int64_t wanted_s, const struct comply_facts *f)
{
	const struct comply_locks *l = &f->locks;

	(void)snprintf(x->wanted, sizeof(x->wanted), "each for %s", num_duration_text(wanted_s).s);
	(void)snprintf(x->got, sizeof(x->got), "%lld of %lld points",
	               (long long)(l->points - l->short_ - l->unasked), (long long)l->points);
	(void)snprintf(x->evidence, sizeof(x->evidence), "%s%s",
	               f->looked_ns ? "look of " : "no look",
	               f->looked_ns ? now_rfc3339(f->looked_ns).s : "");
	if (l->short_ > 0)
		say(x, COMPLY_FAIL, "points can be deleted before that, or parts of them");
	else if (l->unasked > 0)
		say(x, COMPLY_UNKNOWN,
		    "nobody has asked the store for all of them: 'lock --dry-run --for' does");
}

static void judge(struct comply_row *x, int64_t want, const struct comply_facts *f,
                  int64_t as_of_ns)
{
	const int64_t age_ns = as_of_ns - f->frozen_ns;

	switch (x->what) {
	case COMPLY_RPO:
		judge_age(x, want, f->worst_ns > age_ns ? f->worst_ns : age_ns,
		          "the newest point was older at some time of the period");
		return;
	case COMPLY_GEO_RPO:
		judge_since(x, want, f->geo_frozen_ns, as_of_ns,
		            "no point is known to be in the second region",
		            "the newest point in the second region is older");
		if (!f->geo_known)
			say(x, COMPLY_UNKNOWN, "no second region was ever looked at");
		return;
	case COMPLY_VERIFIED:
		judge_since(x, want, f->verified_frozen_ns > 0 ? f->checked_ns : 0, as_of_ns,
		            "no check has read a point of it in full",
		            "the newest check of everything began before that");
		(void)snprintf(x->evidence, sizeof(x->evidence), "%s%.64s",
		               *f->check_run ? "check " : "", f->check_run);
		return;
	case COMPLY_TESTED:
		judge_since(x, want, f->tested_ns, as_of_ns,
		            "no drill has restored it and read it back",
		            "the newest drill that did began before that");
		(void)snprintf(x->evidence, sizeof(x->evidence), "%s%.64s",
		               *f->drill_run ? "run " : "", f->drill_run);
		return;
	case COMPLY_KEEP_POINTS:
		judge_count(x, want, f->points, "there are fewer points");
		return;
	case COMPLY_KEEP_FOR:
		(void)snprintf(x->wanted, sizeof(x->wanted), "since %s",
		               now_day(as_of_ns - want * NS_S).s);
		(void)snprintf(x->got, sizeof(x->got), "since %s", now_day(f->oldest_ns).s);
		if (f->oldest_ns > as_of_ns - want * NS_S)
			say(x, COMPLY_FAIL, "the oldest point is younger than that");
		return;
	case COMPLY_LOCKED_FOR:
		judge_locks(x, want, f);
		return;
	case COMPLY_CONSISTENCY:
		judge_consistency(x, want, f->consistency);
		return;
	case COMPLY_ENCRYPTED:
		(void)snprintf(x->wanted, sizeof(x->wanted), "encrypted");
		(void)snprintf(x->got, sizeof(x->got), "encrypted");
		return;
	case COMPLY_SIGNERS:
		judge_count(x, want, f->signers, "fewer signers are enough to expire a point");
		if (f->signers == 0)
			say(x, COMPLY_UNKNOWN, "the catalog knows no config of that time");
		(void)snprintf(x->evidence, sizeof(x->evidence), "config");
		return;
	default:
		judge_since(x, want, f->key_ns, as_of_ns, "the key has signed nothing",
		            "the key that signed the newest point is older");
		(void)snprintf(x->evidence, sizeof(x->evidence), "key %.64s", f->signer);
		return;
	}
}

void comply_judge(const struct comply_rules *r, const struct comply_set *s, enum comply_what what,
                  const struct comply_facts *f, int64_t as_of_ns, struct comply_row *ret)
{
	*ret = (struct comply_row){ .volume = f->volume, .set = s->name, .what = what };
	(void)snprintf(ret->evidence, sizeof(ret->evidence), "%s%.200s",
	               *f->session ? "point " : "", f->session);
	if (*f->session) {
		judge(ret, s->wants[what], f, as_of_ns);
	} else {
		(void)snprintf(ret->got, sizeof(ret->got), "no point");
		say(ret, COMPLY_FAIL, "there is no point that could be restored");
	}
	for (size_t i = 0; i < r->nexceptions && ret->state != COMPLY_PASS; i++) {
		const struct comply_exception *x = &r->exceptions[i];

		if (as_of_ns < x->until_ns && fnmatch(x->volume, f->volume, 0) == 0 &&
		    (strcmp(x->what, "*") == 0 || strcmp(x->what, comply_kinds[what].name) == 0)) {
			ret->state = COMPLY_EXCEPTED;
			ret->exception = x;
			return;
		}
	}
}

/* ---- all volumes ---- */

struct running {
	struct catalog *c;
	sqlite3_stmt *locks; /* owned; NULL: no rule asks for them */
	const struct comply_rules *r;
	const struct report_params *p;
	int (*each)(void *arg, const struct comply_row *row, struct err *e);
	void *arg;
	struct comply_result result;
};

static void running_clear(struct running *x)
{
	(void)sqlite3_finalize(x->locks);
}

/* Points of a volume (?1) that could be restored at ?2 and are younger than ?3, by their locks. */
static const char locks_sql[] =
	"SELECT count(*), coalesce(sum(until_ns < received_ns + ?3 AND NOT at_least), 0),"
	" coalesce(sum(until_ns IS NULL OR (until_ns < received_ns + ?3 AND at_least)), 0)"
	" FROM (SELECT p.received_ns, k.until_ns, k.at_least FROM points p"
	"  LEFT JOIN locks k ON k.session = p.session AND k.look ="
	"  (SELECT max(x.look) FROM locks x JOIN lock_looks l ON l.id = x.look"
	"   WHERE x.session = p.session AND l.observed_ns <= ?2)"
	"  WHERE p.voltag = ?1 AND p.received_ns <= ?2 AND p.received_ns > ?2 - ?3"
	"  AND (p.ended_ns IS NULL OR p.ended_ns > ?2))";

static int ask_locks(struct running *x, const char *voltag, int64_t want_s,
                     struct comply_locks *ret, struct err *e)
{
	if (!x->locks && !(x->locks = catalog_prepare(x->c, locks_sql, e)))
		return -1;
	catalog_bind_text(x->locks, 1, voltag);
	(void)sqlite3_bind_int64(x->locks, 2, x->p->as_of_ns);
	(void)sqlite3_bind_int64(x->locks, 3, want_s * NS_S);
	if (catalog_step(x->c, x->locks, e) < 0)
		return -1;
	ret->points = sqlite3_column_int64(x->locks, 0);
	ret->short_ = sqlite3_column_int64(x->locks, 1);
	ret->unasked = sqlite3_column_int64(x->locks, 2);
	(void)sqlite3_reset(x->locks);
	return 0;
}

static int take(void *arg, sqlite3_stmt *row, struct err *e)
{
	struct running *x = arg;
	struct comply_facts f = {
		.volume = catalog_text(row, 0),
		.cluster = catalog_text(row, 1),
		.namespace = catalog_text(row, 2),
		.name = catalog_text(row, 3),
		.session = catalog_text(row, 4),
		.consistency = catalog_text(row, 6),
		.frozen_ns = sqlite3_column_int64(row, 7),
		.worst_ns = sqlite3_column_int64(row, 8),
		.geo_frozen_ns = sqlite3_column_int64(row, 9),
		.geo_known = sqlite3_column_int(row, 10),
		.verified_frozen_ns = sqlite3_column_int64(row, 11),
		.checked_ns = sqlite3_column_int64(row, 12),
		.check_run = catalog_text(row, 13),
		.tested_ns = sqlite3_column_int64(row, 14),
		.drill_run = catalog_text(row, 15),
		.points = sqlite3_column_int64(row, 16),
		.oldest_ns = sqlite3_column_int64(row, 17),
		.signers = sqlite3_column_int64(row, 18),
		.key_ns = sqlite3_column_int64(row, 19),
		.signer = catalog_text(row, 20),
		.looked_ns = sqlite3_column_int64(row, 22),
	};
	bool selected = false;

	for (size_t i = 0; i < x->r->nsets; i++) {
		const struct comply_set *s = &x->r->sets[i];

		if (!comply_selects(s, &f))
			continue;
		selected = true;
		for (unsigned w = 0; w < COMPLY_WHATS; w++) {
			struct comply_row result;

			if (s->wants[w] == 0)
				continue;
			if (w == COMPLY_LOCKED_FOR &&
			    ask_locks(x, catalog_text(row, 21), s->wants[w], &f.locks, e) < 0)
				return -1;
			comply_judge(x->r, s, w, &f, x->p->as_of_ns, &result);
			x->result.states[result.state]++;
			if (x->each(x->arg, &result, e) < 0)
				return -1;
		}
	}
	x->result.volumes++;
	x->result.unselected += !selected;
	return 0;
}

int comply_run(struct catalog *c, const struct comply_rules *r, const struct report_params *p,
               int (*each)(void *arg, const struct comply_row *row, struct err *e), void *arg,
               struct comply_result *ret, struct err *e)
{
	CLEANUP(running_clear)
	struct running x = { .c = c, .r = r, .p = p, .each = each, .arg = arg };

	if (report_each(c, catalog_report_comply, p, take, &x, e) < 0)
		return err_wrap(e, "judging by the rules '%s'", r->name);
	*ret = x.result;
	return 0;
}
