/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_report.h. */
#include "restore/drill_report.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/num.h"

#define NS_S ((int64_t)1000000000)
#define SECONDS_MAX 1e9 /* of anything in a report */

void drill_report_clear(struct drill_report *r)
{
	free(r->volumes);
	free(r->checks);
	json_decref(r->document);
	*r = (struct drill_report){ .document = NULL };
}

/* ---- judging ---- */

static void say(struct drill_report *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct drill_report *r, const char *fmt, ...)
{
	va_list ap;

	r->passed = false;
	if (r->nwhys == DRILL_WHYS_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(r->whys[r->nwhys++], DRILL_WHY_MAX, fmt, ap);
	va_end(ap);
}

static void judge_volumes(struct drill_report *r)
{
	size_t missing = 0;
	size_t damaged = 0;
	size_t unread = 0;
	const char *first = "";

	for (size_t i = 0; i < r->nvolumes; i++) {
		const struct drill_volume *v = &r->volumes[i];

		if (v->restored && v->verified && !v->damaged)
			continue;
		if (!*first)
			first = v->volume;
		damaged += v->damaged;
		missing += !v->restored;
		unread += v->restored && !v->verified && !v->damaged;
	}
	r->damaged = damaged > 0;
	if (damaged > 0)
		say(r, "data of %zu volumes are missing or damaged, first '%.200s'", damaged,
		    first);
	if (missing > 0)
		say(r, "%zu of %zu volumes were not restored, first '%.200s'", missing, r->nvolumes,
		    first);
	if (unread > 0)
		say(r, "%zu volumes were not read back, first '%.200s'", unread, first);
	if (r->nvolumes == 0)
		say(r, "no volume was restored");
	if (r->left_out > 0)
		say(r, "%zu volumes are too many for this report, and are not judged", r->left_out);
}

static void judge_checks(struct drill_report *r)
{
	if (r->check_wanted && r->nchecks == 0)
		say(r, "the check was not run");
	for (size_t i = 0; i < r->nchecks; i++) {
		if (!r->checks[i].passed)
			say(r, "the check in '%.100s' did not pass: %.200s", r->checks[i].ns,
			    r->checks[i].why);
	}
}

void drill_report_judge(struct drill_report *r)
{
	r->passed = true;
	r->nwhys = 0;
	r->bytes = 0;
	r->age_s = -1;
	for (size_t i = 0; i < r->nvolumes; i++) {
		const struct drill_volume *v = &r->volumes[i];
		const int64_t age_s = (r->began_ns - v->frozen_ns) / NS_S;

		r->bytes += v->bytes;
		if (v->frozen_ns != 0 && age_s > r->age_s)
			r->age_s = age_s;
	}
	r->took_s = (double)(r->ended_ns - r->began_ns) / (double)NS_S;
	if (r->broken && *r->broken)
		say(r, "%.380s", r->broken);
	judge_volumes(r);
	judge_checks(r);
	if (r->rpo_s > 0 && r->age_s > r->rpo_s)
		say(r, "the oldest point was %s old, and the plan allows %s",
		    num_duration_text(r->age_s).s, num_duration_text(r->rpo_s).s);
	if (r->rto_s > 0 && r->took_s > (double)r->rto_s)
		say(r, "it took %s, and the plan allows %s",
		    num_duration_text((int64_t)r->took_s).s, num_duration_text(r->rto_s).s);
}

/* ---- as JSON ---- */

static json_t *phase_json(const struct drill_phase *p)
{
	return json_pack("{s:s, s:I, s:f}", "name", p->name, "began_ns", (json_int_t)p->began_ns,
	                 "seconds", p->seconds);
}

static json_t *volume_json(const struct drill_volume *v)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:f, s:b, s:b, s:b}",
	                 "volume", v->volume, "claim", v->claim, "point", v->point, "why",
	                 json_text(v->why, DRILL_TEXT_MAX), "frozen_ns", (json_int_t)v->frozen_ns,
	                 "bytes", (json_int_t)v->bytes, "files", (json_int_t)v->files,
	                 "fetched_bytes", (json_int_t)v->fetched_bytes, "gaps", (json_int_t)v->gaps,
	                 "seconds", v->seconds, "restored", v->restored, "verified", v->verified,
	                 "damaged", v->damaged);
}

static json_t *check_json(const struct drill_check *c)
{
	return json_pack("{s:s, s:s, s:s, s:f, s:b}", "namespace", c->ns, "why", c->why, "said",
	                 c->said, "seconds", c->seconds, "passed", c->passed);
}

json_t *drill_report_json(const struct drill_report *r)
{
	auto_json json_t *o = json_pack(
		"{s:s, s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:s, s:I, s:I, s:{s:I, s:I}, s:{s:I, "
		"s:f}, "
		"s:I, s:I, s:b, s:b, s:b, s:[], s:[], s:[], s:[]}",
		"schema", DRILL_SCHEMA, "run", r->run, "plan", r->plan, "actor", "user", r->user,
		"host", r->host, "version", r->version, "from", r->from, "to", r->to, "began_ns",
		(json_int_t)r->began_ns, "ended_ns", (json_int_t)r->ended_ns, "targets", "rpo_s",
		(json_int_t)r->rpo_s, "rto_s", (json_int_t)r->rto_s, "achieved", "rpo_s",
		(json_int_t)r->age_s, "rto_s", r->took_s, "bytes", (json_int_t)r->bytes, "left_out",
		(json_int_t)r->left_out, "check_wanted", r->check_wanted, "passed", r->passed,
		"damaged", r->damaged, "why", "phases", "volumes", "checks");
	int bad = !o;

	for (size_t i = 0; i < r->nwhys && !bad; i++)
		bad = json_array_append_new(json_object_get(o, "why"),
		                            json_text(r->whys[i], DRILL_WHY_MAX - 1));
	for (size_t i = 0; i < r->nphases && !bad; i++)
		bad = json_array_append_new(json_object_get(o, "phases"),
		                            phase_json(&r->phases[i]));
	for (size_t i = 0; i < r->nvolumes && !bad; i++)
		bad = json_array_append_new(json_object_get(o, "volumes"),
		                            volume_json(&r->volumes[i]));
	for (size_t i = 0; i < r->nchecks && !bad; i++)
		bad = json_array_append_new(json_object_get(o, "checks"),
		                            check_json(&r->checks[i]));
	return bad ? NULL : STEAL(&o);
}

/* ---- reading ---- */

/* A member of a report; all of them are bounded, and times and sizes make sense. */
static int text_of(const json_t *o, const char *key, const char **ret, struct err *e)
{
	if (json_get_str(o, "drill", key, ret, e) < 0)
		return -1;
	return strlen(*ret) <= DRILL_TEXT_MAX ? 0
	                                      : err_set(e, ERR_FORMAT, "drill.%s is too long", key);
}

static int seconds_of(const json_t *o, const char *key, double *ret, struct err *e)
{
	const json_t *x = json_object_get(o, key);
	const double s = json_number_value(x);

	if (!json_is_number(x) || !isfinite(s) || s < 0 || s > SECONDS_MAX)
		return err_set(e, ERR_FORMAT, "drill.%s: expected seconds", key);
	*ret = s;
	return 0;
}

static int list_of(const json_t *o, const char *key, size_t max, const json_t **ret, size_t *ret_n,
                   struct err *e)
{
	const json_t *a = json_object_get(o, key);

	if (!json_is_array(a) || json_array_size(a) > max)
		return err_set(e, ERR_FORMAT, "drill.%s: expected an array of at most %zu", key,
		               max);
	*ret = a;
	*ret_n = json_array_size(a);
	return 0;
}

static int read_whys(struct drill_report *r, struct err *e)
{
	const json_t *a;
	size_t n;

	if (list_of(r->document, "why", DRILL_WHYS_MAX, &a, &n, e) < 0)
		return -1;
	for (; r->nwhys < n; r->nwhys++) {
		const char *text = json_string_value(json_array_get(a, r->nwhys));

		if (!text || strlen(text) >= DRILL_WHY_MAX)
			return err_set(e, ERR_FORMAT, "drill.why: expected short texts");
		(void)snprintf(r->whys[r->nwhys], DRILL_WHY_MAX, "%s", text);
	}
	return 0;
}

static int read_phases(struct drill_report *r, struct err *e)
{
	const json_t *a;
	size_t n;

	if (list_of(r->document, "phases", DRILL_PHASES_MAX, &a, &n, e) < 0)
		return -1;
	for (; r->nphases < n; r->nphases++) {
		const json_t *o = json_array_get(a, r->nphases);
		struct drill_phase *p = &r->phases[r->nphases];

		if (text_of(o, "name", &p->name, e) < 0 ||
		    json_get_i64(o, "drill", "began_ns", &p->began_ns, e) < 0 ||
		    seconds_of(o, "seconds", &p->seconds, e) < 0)
			return -1;
	}
	return 0;
}

static int read_volume(const json_t *o, struct drill_volume *v, struct err *e)
{
	return text_of(o, "volume", &v->volume, e) < 0 || text_of(o, "claim", &v->claim, e) < 0 ||
	                       text_of(o, "point", &v->point, e) < 0 ||
	                       text_of(o, "why", &v->why, e) < 0 ||
	                       json_get_i64(o, "drill", "frozen_ns", &v->frozen_ns, e) < 0 ||
	                       json_get_u64(o, "drill", "bytes", &v->bytes, e) < 0 ||
	                       json_get_u64(o, "drill", "files", &v->files, e) < 0 ||
	                       json_get_u64(o, "drill", "fetched_bytes", &v->fetched_bytes, e) <
	                               0 ||
	                       json_get_u64(o, "drill", "gaps", &v->gaps, e) < 0 ||
	                       seconds_of(o, "seconds", &v->seconds, e) < 0 ||
	                       json_get_bool(o, "drill", "restored", &v->restored, e) < 0 ||
	                       json_get_bool(o, "drill", "verified", &v->verified, e) < 0 ||
	                       json_get_bool(o, "drill", "damaged", &v->damaged, e) < 0
	               ? -1
	               : 0;
}

static int read_volumes(struct drill_report *r, struct err *e)
{
	const json_t *a;
	size_t n;

	if (list_of(r->document, "volumes", DRILL_VOLUMES_MAX, &a, &n, e) < 0)
		return -1;
	r->volumes = calloc(n + 1, sizeof(*r->volumes));
	if (!r->volumes)
		return err_set(e, ERR_NOMEM, "no memory for the report of a drill");
	for (; r->nvolumes < n; r->nvolumes++) {
		if (read_volume(json_array_get(a, r->nvolumes), &r->volumes[r->nvolumes], e) < 0)
			return -1;
	}
	return 0;
}

static int read_checks(struct drill_report *r, struct err *e)
{
	const json_t *a;
	size_t n;

	if (list_of(r->document, "checks", DRILL_CHECKS_MAX, &a, &n, e) < 0)
		return -1;
	r->checks = calloc(n + 1, sizeof(*r->checks));
	if (!r->checks)
		return err_set(e, ERR_NOMEM, "no memory for the report of a drill");
	for (; r->nchecks < n; r->nchecks++) {
		const json_t *o = json_array_get(a, r->nchecks);
		struct drill_check *c = &r->checks[r->nchecks];

		if (text_of(o, "namespace", &c->ns, e) < 0 || text_of(o, "why", &c->why, e) < 0 ||
		    text_of(o, "said", &c->said, e) < 0 ||
		    seconds_of(o, "seconds", &c->seconds, e) < 0 ||
		    json_get_bool(o, "drill", "passed", &c->passed, e) < 0)
			return -1;
	}
	return 0;
}

static int read_head(struct drill_report *r, struct err *e)
{
	const json_t *o = r->document;
	const json_t *actor = json_object_get(o, "actor");
	const json_t *targets = json_object_get(o, "targets");
	const json_t *achieved = json_object_get(o, "achieved");
	const char *schema;
	uint64_t left_out;

	if (json_get_str(o, "drill", "schema", &schema, e) < 0)
		return -1;
	if (strcmp(schema, DRILL_SCHEMA) != 0)
		return err_set(e, ERR_FORMAT,
		               "drill: schema '%.64s' is unknown here; use a newer program",
		               schema);
	if (text_of(o, "run", &r->run, e) < 0 || text_of(o, "plan", &r->plan, e) < 0 ||
	    text_of(actor, "user", &r->user, e) < 0 || text_of(actor, "host", &r->host, e) < 0 ||
	    text_of(o, "version", &r->version, e) < 0 || text_of(o, "from", &r->from, e) < 0 ||
	    text_of(o, "to", &r->to, e) < 0 ||
	    json_get_i64(o, "drill", "began_ns", &r->began_ns, e) < 0 ||
	    json_get_i64(o, "drill", "ended_ns", &r->ended_ns, e) < 0 ||
	    json_get_i64(targets, "drill", "rpo_s", &r->rpo_s, e) < 0 ||
	    json_get_i64(targets, "drill", "rto_s", &r->rto_s, e) < 0 ||
	    json_get_i64(achieved, "drill", "rpo_s", &r->age_s, e) < 0 ||
	    seconds_of(achieved, "rto_s", &r->took_s, e) < 0 ||
	    json_get_u64(o, "drill", "bytes", &r->bytes, e) < 0 ||
	    json_get_u64(o, "drill", "left_out", &left_out, e) < 0 ||
	    json_get_bool(o, "drill", "check_wanted", &r->check_wanted, e) < 0 ||
	    json_get_bool(o, "drill", "passed", &r->passed, e) < 0 ||
	    json_get_bool(o, "drill", "damaged", &r->damaged, e) < 0)
		return -1;
	r->left_out = (size_t)left_out;
	return 0;
}

int drill_report_read(const json_t *document, struct drill_report *ret, struct err *e)
{
	auto_drill_report struct drill_report r = { .document = json_incref(
							    (json_t *)(uintptr_t)document) };

	if (read_head(&r, e) < 0 || read_whys(&r, e) < 0 || read_phases(&r, e) < 0 ||
	    read_volumes(&r, e) < 0 || read_checks(&r, e) < 0)
		return -1;
	*ret = r;
	r = (struct drill_report){ .document = NULL };
	return 0;
}
