/* SPDX-License-Identifier: Apache-2.0 */
/* See standing.h. */
#include "catalog/standing.h"

#include <stdarg.h>
#include <string.h>

#include "common/json.h"
#include "common/num.h"
#include "common/text.h"

#define NS INT64_C(1000000000)

const char *const standing_levels[] = {
	[STANDING_OK] = "ok",
	[STANDING_ATTENTION] = "attention",
	[STANDING_DAMAGE] = "damage",
};

/* ---- reading ---- */

/* ?1: the time; ?2: when points without a target are late. Columns as take_counts() has them. */
static const char counts_sql[] =
	"WITH newest AS MATERIALIZED (SELECT v.voltag, v.volume, v.cluster, v.namespace, v.name,"
	" (SELECT session FROM points WHERE voltag = v.voltag AND expired_ns IS NULL"
	"  AND gone_at_ns IS NULL"
	"  ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1) AS session,"
	" coalesce((SELECT nullif(i.rpo_s, 0) FROM inventory i WHERE i.until_ns IS NULL"
	"  AND i.kind = 'claim' AND i.cluster = v.cluster AND i.namespace = v.namespace"
	"  AND i.name = v.name LIMIT 1), ?2) AS target_s FROM volumes v),"
	" ages AS MATERIALIZED (SELECT n.volume, n.target_s, "
	"(?1 - p.frozen_ns) / 1000000000 AS age_s,"
	" p.unreadable > 0 AS partial, p.consistency = 'fuzzy' AS fuzzy"
	" FROM newest n JOIN points p ON p.session = n.session)"
	" SELECT (SELECT coalesce(max(synced_ns), 0) FROM repository),"
	" count(*), coalesce(sum(age_s > target_s), 0), coalesce(sum(partial), 0),"
	" coalesce(sum(fuzzy), 0),"
	" (SELECT volume FROM ages ORDER BY age_s DESC, volume LIMIT 1), max(age_s),"
	" (SELECT volume FROM ages WHERE age_s > target_s ORDER BY age_s DESC, volume LIMIT 1),"
	" (SELECT max(age_s) FROM ages WHERE age_s > target_s) FROM ages";

static const char others_sql[] =
	"SELECT (SELECT coalesce(min(t), 0) FROM (SELECT max(received_ns) AS t FROM inventories"
	"  GROUP BY cluster)),"
	" (SELECT count(DISTINCT cluster) FROM inventories),"
	" (SELECT coalesce(sum(count), 0) FROM inventory WHERE until_ns IS NULL"
	"  AND state = 'protected'),"
	" (SELECT coalesce(sum(count), 0) FROM inventory WHERE until_ns IS NULL"
	"  AND state = 'exposed' AND kind IN ('claim', 'volume', 'template')),"
	" (SELECT coalesce(sum(count), 0) FROM inventory WHERE until_ns IS NULL"
	"  AND state = 'exposed' AND kind NOT IN ('claim', 'volume', 'template')),"
	" (SELECT coalesce(sum(count), 0) FROM inventory WHERE until_ns IS NULL"
	"  AND state = 'excluded'),"
	" (SELECT min(namespace || '/' || name) FROM inventory WHERE until_ns IS NULL"
	"  AND state = 'exposed' AND kind = 'claim'),"
	" (SELECT count(*) FROM inventory i WHERE i.until_ns IS NULL AND i.kind = 'claim'"
	"  AND i.state = 'protected' AND i.from_ns < ?1 - 86400000000000 AND NOT EXISTS"
	"  (SELECT 1 FROM volumes v JOIN points p ON p.voltag = v.voltag WHERE"
	"   v.cluster = i.cluster AND v.namespace = i.namespace AND v.name = i.name"
	"   AND p.ended_ns IS NULL)),"
	" (SELECT coalesce(max(started_ns), 0) FROM checks WHERE level >= 3 AND all_packs"
	"  AND problems = 0),"
	" (SELECT problems FROM checks ORDER BY finished_ns DESC, id DESC LIMIT 1),"
	" coalesce((SELECT level FROM checks ORDER BY finished_ns DESC, id DESC LIMIT 1), -1),"
	" (SELECT count(*) FROM anomalies WHERE resolved_ns IS NULL),"
	" (SELECT count(*) FROM points WHERE gone_at_ns IS NOT NULL AND expired_ns IS NULL"
	"  AND revoked_ns IS NULL AND loss IS NULL),"
	" (SELECT count(*) FROM holds WHERE released IS NULL),"
	" (SELECT count(*) FROM recipients WHERE gone_ns IS NULL),"
	" (SELECT count(*) FROM signers WHERE revoked_ns IS NULL),"
	" (SELECT count(*) FROM signers WHERE revoked_ns IS NOT NULL),"
	" (SELECT count(*) > 0 FROM cuts),"
	" coalesce((SELECT kind <> 'unknown' FROM cuts ORDER BY id DESC LIMIT 1), 0),"
	" (SELECT volume FROM v_geo WHERE geo_frozen_ns IS NOT NULL ORDER BY geo_frozen_ns, volume"
	"  LIMIT 1),"
	" (SELECT (?1 - min(geo_frozen_ns)) / 1000000000 FROM v_geo),"
	" (SELECT count(*) FROM v_geo WHERE geo_frozen_ns IS NULL AND newest_session IS NOT NULL),"
	" (SELECT points - locked - over FROM lock_looks WHERE all_points"
	"  ORDER BY id DESC LIMIT 1),"
	" (SELECT max(observed_ns) FROM lock_looks WHERE all_points),"
	" (SELECT count(*) FROM fences WHERE lifted_epoch IS NULL),"
	" (SELECT at_ns FROM fences WHERE lifted_epoch IS NULL ORDER BY epoch DESC LIMIT 1),"
	" (SELECT scope FROM fences WHERE lifted_epoch IS NULL ORDER BY epoch DESC LIMIT 1)";

static const char drills_sql[] =
	"SELECT plan, max(began_ns), passed, damaged FROM drills GROUP BY plan ORDER BY plan";
static const char open_sql[] =
	"SELECT coalesce(plan, ''), began_ns, 1, 0 FROM v_runs WHERE state = 'open'"
	" AND kind IN ('failover', 'failback') ORDER BY began_ns DESC";

static void take_name(sqlite3_stmt *s, int at, char ret[STANDING_NAME_MAX])
{
	(void)snprintf(ret, STANDING_NAME_MAX, "%.*s", STANDING_NAME_MAX - 1, catalog_text(s, at));
}

static void take_counts(sqlite3_stmt *s, struct standing *r)
{
	r->synced_ns = sqlite3_column_int64(s, 0);
	r->volumes = sqlite3_column_int64(s, 1);
	r->late = sqlite3_column_int64(s, 2);
	r->partial = sqlite3_column_int64(s, 3);
	r->fuzzy = sqlite3_column_int64(s, 4);
	take_name(s, 5, r->oldest.name);
	r->oldest.age_s = sqlite3_column_int64(s, 6);
	take_name(s, 7, r->oldest_late.name);
	r->oldest_late.age_s = sqlite3_column_int64(s, 8);
}

static void take_others(sqlite3_stmt *s, struct standing *r)
{
	int64_t *const first[] = { &r->inventory_ns, &r->clusters,      &r->protected_,
		                   &r->exposed,      &r->exposed_other, &r->excluded };
	int64_t *const then[] = { &r->without_points, &r->verified_ns, &r->problems,
		                  &r->check_level,    &r->anomalies,   &r->lost,
		                  &r->holds,          &r->recipients,  &r->signers,
		                  &r->revoked };
	int at = 0;

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		*first[i] = sqlite3_column_int64(s, at++);
	take_name(s, at++, r->exposed_name);
	for (size_t i = 0; i < ARRAY_LEN(then); i++)
		*then[i] = sqlite3_column_int64(s, at++);
	r->geo = sqlite3_column_int(s, at++);
	r->geo_known = sqlite3_column_int(s, at++);
	take_name(s, at++, r->geo_oldest.name);
	r->geo_oldest.age_s = sqlite3_column_int64(s, at++);
	r->geo_missing = sqlite3_column_int64(s, at++);
	r->unlocked = sqlite3_column_int64(s, at++);
	r->looked_ns = sqlite3_column_int64(s, at++);
	r->fences = sqlite3_column_int64(s, at++);
	r->fenced_ns = sqlite3_column_int64(s, at++);
	take_name(s, at, r->fenced_name);
}

static int read_row(struct catalog *c, const char *sql, int64_t now_ns,
                    void (*take)(sqlite3_stmt *s, struct standing *r), struct standing *r,
                    struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, sql, e);

	if (!s)
		return -1;
	(void)sqlite3_bind_int64(s, 1, now_ns);
	if (sqlite3_bind_parameter_count(s) > 1)
		(void)sqlite3_bind_int64(s, 2, STANDING_AGE_S);
	if (catalog_step(c, s, e) < 0)
		return -1;
	take(s, r);
	return 0;
}

static int read_plans(struct catalog *c, const char *sql, struct standing_plan *v, size_t *n,
                      struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, sql, e);
	int rc = 0;

	while (s && *n < STANDING_PLANS_MAX && (rc = catalog_step(c, s, e)) > 0) {
		struct standing_plan *p = &v[(*n)++];

		take_name(s, 0, p->plan);
		p->began_ns = sqlite3_column_int64(s, 1);
		p->passed = sqlite3_column_int(s, 2);
		p->damaged = sqlite3_column_int(s, 3);
	}
	return s ? rc : -1;
}

int standing_read(struct catalog *c, int64_t now_ns, struct standing *ret, struct err *e)
{
	*ret = (struct standing){ .check_level = -1 };
	if (read_row(c, counts_sql, now_ns, take_counts, ret, e) < 0 ||
	    read_row(c, others_sql, now_ns, take_others, ret, e) < 0 ||
	    read_plans(c, drills_sql, ret->drills, &ret->ndrills, e) < 0 ||
	    read_plans(c, open_sql, ret->open, &ret->nopen, e) < 0)
		return err_wrap(e, "reading how it stands");
	return 0;
}

/* ---- judging ---- */

PRINTF_LIKE(4, 5)
static void find(struct standing_answer *a, enum standing_level level, const char *area,
                 const char *format, ...)
{
	struct standing_finding *f = &a->v[a->n];
	va_list args;

	if (a->n == STANDING_FINDINGS_MAX)
		return;
	a->n++;
	f->level = level;
	f->area = area;
	va_start(args, format);
	(void)vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	if (level > a->level)
		a->level = level;
}

static struct num_text ago(int64_t at_ns, int64_t now_ns)
{
	return num_duration_text(now_ns > at_ns ? (now_ns - at_ns) / NS : 0);
}

static void judge_backups(const struct standing *s, struct standing_answer *a)
{
	if (s->volumes == 0)
		find(a, STANDING_ATTENTION, "backups", "there is no restore point at all");
	else if (s->late > 0)
		find(a, STANDING_ATTENTION, "backups",
		     "%lld of %lld volumes are late; the newest point of %s is %s old",
		     (long long)s->late, (long long)s->volumes, s->oldest_late.name,
		     num_duration_text(s->oldest_late.age_s).s);
	else
		find(a, STANDING_OK, "backups",
		     "%lld volume%s; the worst is %s, whose newest point is %s old",
		     (long long)s->volumes, s->volumes == 1 ? "" : "s", s->oldest.name,
		     num_duration_text(s->oldest.age_s).s);
	if (s->without_points > 0)
		find(a, STANDING_ATTENTION, "backups",
		     "%lld claims have had a policy for a day, and no restore point",
		     (long long)s->without_points);
	if (s->partial > 0)
		find(a, STANDING_ATTENTION, "backups",
		     "the newest points of %lld volumes lack files that could not be read",
		     (long long)s->partial);
	/* Who backs up without snapshots has no others: told, and nothing to be done each day. */
	if (s->fuzzy > 0)
		find(a, STANDING_OK, "backups",
		     "the newest points of %lld of them are of no single moment",
		     (long long)s->fuzzy);
}

static void judge_coverage(const struct standing *s, int64_t now_ns, struct standing_answer *a)
{
	if (s->clusters == 0)
		return; /* no agent of a cluster has ever told */
	if (s->exposed > 0)
		find(a, STANDING_ATTENTION, "coverage",
		     "%lld claims or volumes are exposed%s%s; %lld are protected, %lld left out: "
		     "'list coverage' says why",
		     (long long)s->exposed, *s->exposed_name ? ", as " : "", s->exposed_name,
		     (long long)s->protected_, (long long)s->excluded);
	else
		find(a, STANDING_OK, "coverage",
		     "%lld claims are protected, %lld left out, none is exposed; %lld volumes of "
		     "pods cannot be protected",
		     (long long)s->protected_, (long long)s->excluded, (long long)s->exposed_other);
	if (now_ns - s->inventory_ns > STANDING_INVENTORY_S * NS)
		find(a, STANDING_ATTENTION, "coverage",
		     "the inventory of a cluster is %s old, so this may be wrong",
		     ago(s->inventory_ns, now_ns).s);
}

static void judge_geo(const struct standing *s, struct standing_answer *a)
{
	if (!s->geo)
		find(a, STANDING_OK, "geo", "no second region was ever seen");
	else if (!s->geo_known)
		find(a, STANDING_ATTENTION, "geo",
		     "how far the second region is could not be learnt: 'list cuts' says why");
	else if (s->geo_missing > 0)
		find(a, STANDING_ATTENTION, "geo",
		     "of %lld volumes nothing is known to be in the second region",
		     (long long)s->geo_missing);
	else
		find(a, s->geo_oldest.age_s > STANDING_GEO_S ? STANDING_ATTENTION : STANDING_OK,
		     "geo", "a failover now would cost at most %s (%s)",
		     num_duration_text(s->geo_oldest.age_s).s, s->geo_oldest.name);
}

static void judge_checks(const struct standing *s, int64_t now_ns, struct standing_answer *a)
{
	if (s->check_level >= 0 && s->problems > 0)
		find(a, STANDING_DAMAGE, "verified",
		     "the last check, of level %lld, found %lld problems: see Repair in the manual",
		     (long long)s->check_level, (long long)s->problems);
	if (s->verified_ns == 0)
		find(a, STANDING_ATTENTION, "verified",
		     "no check has ever read everything: 'check --level 3'");
	else
		find(a,
		     now_ns - s->verified_ns > STANDING_VERIFIED_S * NS ? STANDING_ATTENTION
		                                                        : STANDING_OK,
		     "verified", "everything was read back and found good %s ago",
		     ago(s->verified_ns, now_ns).s);
	if (s->lost > 0)
		find(a, STANDING_DAMAGE, "store",
		     "%lld restore points are gone that nobody has expired", (long long)s->lost);
	if (s->anomalies > 0)
		find(a, STANDING_ATTENTION, "store",
		     "%lld anomalies are not resolved: 'list anomalies'", (long long)s->anomalies);
	if (s->unlocked > 0)
		find(a, STANDING_ATTENTION, "store",
		     "%lld restore points, or parts of them, could be deleted before their time "
		     "when 'lock' looked, %s ago",
		     (long long)s->unlocked, ago(s->looked_ns, now_ns).s);
}

static void judge_plans(const struct standing *s, int64_t now_ns, struct standing_answer *a)
{
	for (size_t i = 0; i < s->nopen; i++)
		find(a, STANDING_ATTENTION, "failover",
		     "a failover or failback of the plan %s began %s ago and has not ended",
		     s->open[i].plan, ago(s->open[i].began_ns, now_ns).s);
	/* Somebody has decided that. */
	if (s->fences > 0)
		find(a, STANDING_OK, "fences",
		     "%lld fences stand; the newest, since %s ago, is of %s: points made there do "
		     "not count",
		     (long long)s->fences, ago(s->fenced_ns, now_ns).s,
		     *s->fenced_name ? s->fenced_name : "a site that is not named any more");
	for (size_t i = 0; i < s->ndrills; i++) {
		const struct standing_plan *p = &s->drills[i];
		const bool old = now_ns - p->began_ns > STANDING_DRILL_S * NS;

		if (p->damaged)
			find(a, STANDING_DAMAGE, "drills",
			     "the last drill of the plan %s, %s ago, found damage", p->plan,
			     ago(p->began_ns, now_ns).s);
		else
			find(a, p->passed && !old ? STANDING_OK : STANDING_ATTENTION, "drills",
			     "the last drill of the plan %s, %s ago, %s", p->plan,
			     ago(p->began_ns, now_ns).s, p->passed ? "passed" : "did not pass");
	}
	if (s->ndrills == 0)
		find(a, STANDING_OK, "drills", "no drill was ever run");
}

void standing_judge(const struct standing *s, int64_t now_ns, struct standing_answer *ret)
{
	size_t bad = 0;

	*ret = (struct standing_answer){ .level = STANDING_OK };
	if (s->synced_ns == 0)
		find(ret, STANDING_ATTENTION, "catalog", "it was never synchronised");
	else if (now_ns - s->synced_ns > STANDING_SYNC_S * NS)
		find(ret, STANDING_ATTENTION, "catalog",
		     "it was synchronised %s ago: all of this may be wrong; run 'sync'",
		     ago(s->synced_ns, now_ns).s);
	else
		find(ret, STANDING_OK, "catalog", "synchronised %s ago",
		     ago(s->synced_ns, now_ns).s);
	judge_backups(s, ret);
	judge_coverage(s, now_ns, ret);
	judge_geo(s, ret);
	judge_checks(s, now_ns, ret);
	judge_plans(s, now_ns, ret);
	find(ret, STANDING_OK, "keys",
	     "%lld keys can read, %lld sign, %lld are revoked; %lld holds are in force",
	     (long long)s->recipients, (long long)s->signers, (long long)s->revoked,
	     (long long)s->holds);
	for (size_t i = 0; i < ret->n; i++)
		bad += ret->v[i].level != STANDING_OK;
	if (ret->level == STANDING_OK)
		(void)snprintf(ret->verdict, sizeof(ret->verdict), "SAFE: nothing needs attention");
	else
		(void)snprintf(ret->verdict, sizeof(ret->verdict), "%s: %zu thing%s need%s you",
		               ret->level == STANDING_DAMAGE ? "DAMAGE" : "ATTENTION", bad,
		               bad == 1 ? "" : "s", bad == 1 ? "s" : "");
}

/* ---- telling ---- */

json_t *standing_json(const struct standing_answer *a, int64_t now_ns)
{
	json_t *o = json_pack("{s:s, s:I, s:s, s:s, s:[]}", "schema", "aksdr/status/v1", "at_ns",
	                      (json_int_t)now_ns, "level", standing_levels[a->level], "verdict",
	                      a->verdict, "findings");
	json_t *list = json_object_get(o, "findings");

	for (size_t i = 0; o && i < a->n; i++) {
		const struct standing_finding *f = &a->v[i];

		if (json_array_append_new(list,
		                          json_pack("{s:s, s:s, s:o}", "level",
		                                    standing_levels[f->level], "area", f->area,
		                                    "text", json_text(f->text, sizeof(f->text)))) <
		    0) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

void standing_print(const struct standing_answer *a, bool colour, struct buf *b)
{
	static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };
	const char *end = colour ? "\033[0m" : "";

	(void)buf_printf(b, "%s%s%s\n", colour ? colours[a->level] : "", a->verdict, end);
	for (size_t i = 0; i < a->n; i++) {
		const struct standing_finding *f = &a->v[i];

		(void)buf_printf(b, "  %s%-9s%s  %-9s ", colour ? colours[f->level] : "",
		                 standing_levels[f->level], end, f->area);
		/* Names in it are anybody's: nothing of them reaches a terminal as a command. */
		(void)text_put(b, f->text, TEXT_LINE);
		(void)buf_str(b, "\n");
	}
}

void standing_line(const struct standing_answer *a, struct buf *b)
{
	(void)buf_str(b, a->verdict);
	for (size_t i = 0; i < a->n; i++) {
		if (a->v[i].level == STANDING_OK)
			continue;
		(void)buf_printf(b, "; %s: ", a->v[i].area);
		(void)text_put(b, a->v[i].text, TEXT_LINE);
	}
	(void)buf_str(b, "\n");
}

bool standing_changed(const struct standing_answer *a, const struct standing_answer *before)
{
	if (!before || a->n != before->n)
		return true;
	for (size_t i = 0; i < a->n; i++) {
		if (a->v[i].level != before->v[i].level || a->v[i].area != before->v[i].area)
			return true;
	}
	return false;
}

int standing_status(const struct standing_answer *a, struct err *e)
{
	if (a->level == STANDING_OK)
		return 0;
	return err_set(e, a->level == STANDING_DAMAGE ? ERR_CORRUPT : ERR_PARTIAL, "%s",
	               a->verdict);
}
