/* SPDX-License-Identifier: Apache-2.0 */
/* See doctor.h. Every sentence that people read about a store is made here. */
#include "agent/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/now.h"
#include "common/num.h"
#include "common/text.h"

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

#define END_WARN_NS (7 * 86400 * (int64_t)1000000000)
#define SKEW_WARN_NS (5 * NS_PER_S)
#define LAG_WARN_NS (3600 * NS_PER_S) /* usual is a quarter of an hour */
#define LATENCY_WARN_NS (500 * NS_PER_MS)
#define RATE_WARN_BYTES_S (2 * MIB)
#define EXAMPLE_BYTES (100 * GIB) /* how long a volume of that size takes */
#define SHARE_LEAST_BYTES (64 * KIB)
#define TICK_NS (20 * NS_PER_MS) /* times of files are of the kernel's last tick */

#define CHECK_COLUMNS 18
#define RESULT_COLUMNS 7
#define DETAIL_AT (CHECK_COLUMNS + 2 + RESULT_COLUMNS + 2)
#define COLUMNS_LEAST 50

const char *doctor_result_name(enum doctor_result r)
{
	static const char *const names[] = { "ok", "warning", "FAILED", "-" };

	return names[r];
}

struct doctor_verdict doctor_say(enum doctor_result result, const char *fmt, ...)
{
	struct doctor_verdict v = { .result = result };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(v.detail, sizeof(v.detail), fmt, ap);
	va_end(ap);
	return v;
}

static void advise(struct doctor_verdict *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void advise(struct doctor_verdict *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(v->remedy, sizeof(v->remedy), fmt, ap);
	va_end(ap);
}

const char *doctor_cause(const char *msg, const char *url)
{
	const char *at = strstr(msg, url);
	const char *colon = at ? strstr(at + strlen(url), ": ") : NULL;

	return colon ? colon + 2 : msg;
}

/* A time that people can compare: "350 ms", "4.2 s", "2h05m". */
struct span {
	char s[32];
};
static struct span span_of(int64_t ns)
{
	struct span t;

	if (ns == 0)
		(void)snprintf(t.s, sizeof(t.s), "0 s");
	else if (ns < NS_PER_MS / 10)
		(void)snprintf(t.s, sizeof(t.s), "%.3f ms", (double)ns / (double)NS_PER_MS);
	else if (ns < NS_PER_MS)
		(void)snprintf(t.s, sizeof(t.s), "%.2f ms", (double)ns / (double)NS_PER_MS);
	else if (ns < NS_PER_S)
		(void)snprintf(t.s, sizeof(t.s), "%lld ms", (long long)(ns / NS_PER_MS));
	else if (ns < 60 * NS_PER_S)
		(void)snprintf(t.s, sizeof(t.s), "%.1f s", (double)ns / (double)NS_PER_S);
	else
		(void)snprintf(t.s, sizeof(t.s), "%s", num_duration_text(ns / NS_PER_S).s);
	return t;
}

struct doctor_verdict doctor_judge_answer(int64_t first_ns, int64_t next_ns, bool remote)
{
	if (!remote)
		return doctor_say(DOCTOR_OK, "it is there");
	return doctor_say(DOCTOR_OK, "in %s; the first in %s (name, TLS, token)",
	                  span_of(next_ns).s, span_of(first_ns).s);
}

/* ---- rights ---- */

static const struct {
	const char *verb;
	const char *why;
} rights[STORE_RIGHTS] = {
	[RIGHT_CREATE] = { "create", "backups, and notes of restores" },
	[RIGHT_READ] = { "read", "every backup reads the config and the index" },
	[RIGHT_LIST] = { "list", "every backup looks for what others wrote" },
	[RIGHT_DELETE] = { "delete", "collections alone" },
	[RIGHT_LOCK] = { "lock", "the parameter 'lock' of the store's URL asks for it" },
};

struct doctor_verdict doctor_judge_end(int64_t end_ns, int64_t now_ns)
{
	if (end_ns == 0)
		return doctor_say(DOCTOR_OK, "accepted");
	const bool soon = end_ns - now_ns < END_WARN_NS;
	struct doctor_verdict v = doctor_say(soon ? DOCTOR_WARNING : DOCTOR_OK,
	                                     "accepted; they end at %s", now_rfc3339(end_ns).s);
	if (soon)
		advise(&v, "make new ones in time, or use an identity that does not end");
	return v;
}

struct doctor_verdict doctor_judge_right(enum store_right right, const struct err *why,
                                         const char *needs, const char *url)
{
	const char *cause = doctor_cause(why->msg, url);

	if (right == RIGHT_DELETE) {
		if (why->class == ERR_NONE)
			return doctor_say(DOCTOR_OK,
			                  "allowed; collections need it, backups do not");
		if (why->class == ERR_DENIED || why->class == ERR_BUSY) {
			struct doctor_verdict v =
				doctor_say(DOCTOR_OK,
			                   "refused, which is right for a machine that only backs "
			                   "up; collections (aksdr-catalog gc) run elsewhere");

			if (needs && why->class == ERR_DENIED)
				advise(&v, "only if collections shall run here: it needs %s",
				       needs);
			return v;
		}
	} else if (why->class == ERR_NONE) {
		return doctor_say(DOCTOR_OK, "allowed");
	}
	struct doctor_verdict v = doctor_say(right == RIGHT_DELETE ? DOCTOR_WARNING : DOCTOR_FAILED,
	                                     "%s", cause);
	if (why->class == ERR_DENIED && needs)
		advise(&v, "to %s it needs %s (%s)", rights[right].verb, needs, rights[right].why);
	return v;
}

/* ---- guarantees ---- */

struct doctor_verdict doctor_judge_race(const struct doctor_race *r, bool forgiven)
{
	if (r->rounds > 0 && r->single == r->rounds)
		return doctor_say(DOCTOR_OK, "%u writers of one name at once: one wins (%u races)",
		                  r->racers, r->rounds);
	if (r->many == 0 && r->other > 0)
		return doctor_say(DOCTOR_FAILED,
		                  "in %u of %u races of %u writers no object was the one that won",
		                  r->other, r->rounds, r->racers);
	struct doctor_verdict v = doctor_say(
		forgiven ? DOCTOR_WARNING : DOCTOR_FAILED,
		"in %u of %u races several of %u writers of one name won: they would destroy each "
		"other's work",
		r->many, r->rounds, r->racers);
	advise(&v, "%s",
	       forgiven ? "the repository is in single-writer mode: one backup at a time, of all "
	                  "machines together"
	                : "use a store with conditional writes (If-None-Match: *), or "
	                  "aksdr-agent init --single-writer");
	return v;
}

struct doctor_verdict doctor_judge_list(const struct doctor_list *after_write,
                                        const struct doctor_list *from_middle)
{
	if (after_write->found < after_write->wanted || from_middle->found < from_middle->wanted) {
		const struct doctor_list *l = after_write->found < after_write->wanted
		                                      ? after_write
		                                      : from_middle;
		struct doctor_verdict v =
			doctor_say(DOCTOR_FAILED,
		                   "of %u objects just written, %u are not in the list%s",
		                   l->wanted, l->wanted - l->found,
		                   l == after_write ? "" : " that begins after the first half");

		advise(&v, "no cache or proxy may stand before the store; writers would miss what "
		           "others wrote");
		return v;
	}
	if (after_write->disorder || from_middle->disorder || from_middle->foreign > 0)
		return doctor_say(DOCTOR_FAILED,
		                  "the list is not in order of bytes: what is read in pieces would "
		                  "miss objects");
	return doctor_say(DOCTOR_OK, "all %u objects are listed at once, and in order",
	                  after_write->wanted);
}

struct doctor_verdict doctor_judge_gone(const struct doctor_list *after_delete, unsigned still_read,
                                        unsigned deleted)
{
	if (after_delete->foreign == 0 && still_read == 0)
		return doctor_say(DOCTOR_OK, "what was deleted is gone at once (%u objects)",
		                  deleted);
	struct doctor_verdict v =
		doctor_say(DOCTOR_WARNING,
	                   "of %u objects just deleted, %u are still listed and %u still read",
	                   deleted, after_delete->foreign, still_read);
	advise(&v, "collections wait long enough for this; no cache may stand before the store");
	return v;
}

struct doctor_verdict doctor_judge_lock(const struct doctor_lock *l, const char *needs,
                                        const char *url)
{
	struct doctor_verdict v;

	if (l->put.class != ERR_NONE) {
		v = doctor_say(DOCTOR_FAILED, "an object cannot be locked: %s",
		               doctor_cause(l->put.msg, url));
		if (l->put.class == ERR_DENIED && needs)
			advise(&v, "to lock it needs %s", needs);
		else
			advise(&v, "versions and immutability (object lock) must be on for the "
			           "container (bucket)");
		return v;
	}
	if (l->del.class != ERR_NONE && l->locked_until_ns == 0)
		return doctor_say(l->del.class == ERR_BUSY ? DOCTOR_OK : DOCTOR_WARNING,
		                  l->del.class == ERR_BUSY
		                          ? "asked for %s: its delete is refused by a lock"
		                          : "asked for %s; the store does not tell until when it "
		                            "keeps an object, and nothing may be deleted anyway",
		                  l->asked);
	if (l->locked_until_ns != 0 && l->deleted)
		return doctor_say(DOCTOR_OK,
		                  "asked for %s: the store keeps it; a delete hides the object, "
		                  "and its version stays",
		                  l->asked);
	if (l->locked_until_ns != 0)
		return doctor_say(DOCTOR_OK,
		                  "asked for %s: the store keeps it, a delete is refused",
		                  l->asked);
	v = doctor_say(DOCTOR_FAILED,
	               "asked for %s, but the store does not keep locks: an object that was stored "
	               "with one could be deleted at once",
	               l->asked);
	advise(&v,
	       "switch versions and immutability (object lock) on for the container (bucket), or "
	       "take 'lock' out of the URL");
	return v;
}

/* ---- the clock ---- */

void doctor_clock_add(struct doctor_clock *c, int64_t sent_ns, int64_t done_ns, int64_t received_ns)
{
	/* What is told in whole seconds was received at some time within that second. */
	int64_t unit_ns = received_ns % NS_PER_S == 0 ? NS_PER_S : TICK_NS;
	int64_t lo_ns = received_ns - done_ns;
	int64_t hi_ns = received_ns + unit_ns - sent_ns;

	if (c->samples++ == 0) {
		c->lo_ns = lo_ns;
		c->hi_ns = hi_ns;
		return;
	}
	if (c->jumps || lo_ns > c->hi_ns || hi_ns < c->lo_ns) {
		c->jumps = true;
		if (lo_ns < c->lo_ns)
			c->lo_ns = lo_ns;
		if (hi_ns > c->hi_ns)
			c->hi_ns = hi_ns;
		return;
	}
	if (lo_ns > c->lo_ns)
		c->lo_ns = lo_ns;
	if (hi_ns < c->hi_ns)
		c->hi_ns = hi_ns;
}

struct doctor_verdict doctor_judge_clock(const struct doctor_clock *c)
{
	int64_t within_ns = c->hi_ns > -c->lo_ns ? c->hi_ns : -c->lo_ns;
	struct doctor_verdict v;

	if (c->samples == 0)
		return doctor_say(DOCTOR_NONE, "the store tells no time");
	if (c->jumps)
		v = doctor_say(DOCTOR_WARNING,
		               "the store's clock is not steady: between %s behind and %s before "
		               "this machine's",
		               span_of(c->lo_ns < 0 ? -c->lo_ns : 0).s,
		               span_of(c->hi_ns > 0 ? c->hi_ns : 0).s);
	else if (c->lo_ns <= 0 && c->hi_ns >= 0)
		return doctor_say(DOCTOR_OK, "as the store's, to within %s", span_of(within_ns).s);
	else if (c->lo_ns > 0)
		v = doctor_say(c->lo_ns >= SKEW_WARN_NS ? DOCTOR_WARNING : DOCTOR_OK,
		               "this machine's is %s behind the store's", span_of(c->lo_ns).s);
	else
		v = doctor_say(-c->hi_ns >= SKEW_WARN_NS ? DOCTOR_WARNING : DOCTOR_OK,
		               "this machine's is %s before the store's", span_of(-c->hi_ns).s);
	if (v.result == DOCTOR_WARNING)
		advise(&v,
		       "let chrony or systemd-timesyncd set it; requests that are 15 minutes off "
		       "are refused");
	return v;
}

/* ---- the second region ---- */

struct doctor_verdict doctor_judge_cut(const struct store_cut *cut, int64_t now_ns,
                                       int64_t *ret_lag_ns)
{
	const char *status = cut->status[0] ? cut->status : NULL;
	int64_t lag_ns = cut->at_ns > 0 ? cut->at_ns - cut->cut_ns : now_ns - cut->cut_ns;
	struct doctor_verdict v;

	*ret_lag_ns = -1;
	if (cut->kind == CUT_NONE)
		return doctor_say(DOCTOR_NONE,
		                  "there is none: what this store loses is lost (parameter "
		                  "'secondary', aksdr-catalog mirror)");
	if (cut->kind == CUT_UNKNOWN || (cut->cut_ns == 0 && cut->kind == CUT_LAST_SYNC)) {
		v = doctor_say(DOCTOR_WARNING, "there is one; how far it is, is not known%s%s%s",
		               status ? " (status: " : "", status ? status : "", status ? ")" : "");
		advise(&v, "after a change of the replication it takes hours; then ask again");
		return v;
	}
	if (lag_ns < 0)
		lag_ns = 0;
	if (cut->kind == CUT_LAST_SYNC) {
		bool live = !status || strcmp(status, "live") == 0;

		*ret_lag_ns = lag_ns;
		v = doctor_say(live && lag_ns < LAG_WARN_NS ? DOCTOR_OK : DOCTOR_WARNING,
		               "%s; it has everything up to %s ago (%s)", status ? status : "there",
		               span_of(lag_ns).s, now_rfc3339(cut->cut_ns).s);
		if (!live)
			advise(&v, "look at the account's geo-replication: it is not live");
		else if (v.result == DOCTOR_WARNING)
			advise(&v, "usual is below 15 minutes; ask again later");
		return v;
	}
	const char *how = cut->kind == CUT_COMPARED ? "compared" : "by replication status";
	if (cut->behind == 0) {
		*ret_lag_ns = 0;
		return doctor_say(DOCTOR_OK, "%s: it lacks nothing", how);
	}
	if (cut->cut_ns > 0)
		*ret_lag_ns = lag_ns;
	v = doctor_say(cut->cut_ns > 0 && lag_ns < LAG_WARN_NS ? DOCTOR_OK : DOCTOR_WARNING,
	               "%s: it lacks %llu object%s", how, (unsigned long long)cut->behind,
	               cut->behind == 1 ? "" : "s");
	size_t n = strlen(v.detail);
	if (cut->cut_ns > 0)
		(void)snprintf(v.detail + n, sizeof(v.detail) - n,
		               "; it has everything up to %s ago (%s)", span_of(lag_ns).s,
		               now_rfc3339(cut->cut_ns).s);
	if (v.result == DOCTOR_WARNING)
		advise(&v, "does the replication, or aksdr-catalog mirror, run?");
	return v;
}

struct doctor_verdict doctor_judge_no_cut(const struct err *why, const char *url)
{
	struct doctor_verdict v = doctor_say(DOCTOR_WARNING, "%s", doctor_cause(why->msg, url));

	if (why->class == ERR_DENIED)
		advise(&v, "how far it is can be asked by who may read the whole account, not one "
		           "container of it; backups and restores do without");
	else
		advise(&v, "if the store has no second region, say so in its URL: secondary=none");
	return v;
}

/* ---- speed ---- */

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

struct doctor_spread doctor_spread_of(int64_t *ns, size_t n)
{
	qsort(ns, n, sizeof(*ns), compare);
	return (struct doctor_spread){ .min_ns = ns[0],
		                       .median_ns = ns[(n - 1) / 2],
		                       .max_ns = ns[n - 1] };
}

struct doctor_verdict doctor_judge_latency(const struct doctor_spread *s, size_t n)
{
	bool slow = s->median_ns >= LATENCY_WARN_NS;
	struct doctor_verdict v = doctor_say(slow ? DOCTOR_WARNING : DOCTOR_OK,
	                                     "median %s, %s to %s (%zu reads)",
	                                     span_of(s->median_ns).s, span_of(s->min_ns).s,
	                                     span_of(s->max_ns).s, n);

	if (slow)
		advise(&v, "is the store in another part of the world, or behind a slow proxy?");
	return v;
}

uint64_t doctor_rate_of(struct doctor_rate r)
{
	return r.ns > 0 ? (uint64_t)((double)r.bytes * 1e9 / (double)r.ns) : 0;
}

struct doctor_verdict doctor_judge_rate(struct doctor_rate one, struct doctor_rate many,
                                        unsigned streams, bool up)
{
	uint64_t single = doctor_rate_of(one), rate = doctor_rate_of(many);
	uint64_t best = rate > single ? rate : single;

	if (best == 0)
		return doctor_say(DOCTOR_NONE, "not measured");
	bool slow = best < RATE_WARN_BYTES_S;
	struct doctor_verdict v =
		doctor_say(slow ? DOCTOR_WARNING : DOCTOR_OK,
	                   "%s/s with %u at once, %s/s with one; 100 GiB %s %s (%s measured)",
	                   num_bytes_text(rate).s, streams, num_bytes_text(single).s,
	                   up ? "go up in" : "come back in",
	                   num_duration_text((int64_t)(EXAMPLE_BYTES / best)).s,
	                   num_bytes_text(one.bytes + many.bytes).s);
	if (slow)
		advise(&v, "look at the network's limits, of this machine and on the way");
	return v;
}

size_t doctor_share(uint64_t one_bytes_s, unsigned streams, unsigned seconds, size_t max_bytes)
{
	uint64_t share = one_bytes_s * seconds / streams;

	if (share > max_bytes)
		share = max_bytes;
	return share < SHARE_LEAST_BYTES ? SHARE_LEAST_BYTES : (size_t)share;
}

/* ---- text ---- */

int doctor_url(const char *url, const char *lock, char **ret_url, char **ret_asked, struct err *e)
{
	static const char name[] = "lock=";
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);
	auto_free char *asked = NULL;
	const char *query = strchrnul(url, '?');
	char joint = '?';

	(void)buf_put(&b, url, (size_t)(query - url));
	for (const char *p = query; *p;) {
		const char *at = p + 1;

		p = strchrnul(at, '&');
		if (strncmp(at, name, sizeof(name) - 1) == 0) {
			free(asked);
			asked = strndup(at + sizeof(name) - 1, (size_t)(p - at) - sizeof(name) + 1);
			if (!asked)
				return err_set(e, ERR_NOMEM, "no memory for a URL");
			continue;
		}
		(void)buf_u8(&b, (uint8_t)joint);
		(void)buf_put(&b, at, (size_t)(p - at));
		joint = '&';
	}
	if (lock)
		(void)buf_printf(&b, "%c%s%s", joint, name, lock);
	if (buf_check(&b, "a URL", e) < 0)
		return -1;
	char *made = strdup(buf_cstr(&b));
	if (!made)
		return err_set(e, ERR_NOMEM, "no memory for a URL");
	*ret_url = made;
	*ret_asked = STEAL(&asked);
	return 0;
}

/* Characters of UTF-8, which is what columns are here. */
static size_t width(const char *s, size_t n)
{
	size_t w = 0;

	for (size_t i = 0; i < n; i++)
		w += ((uint8_t)s[i] & 0xc0) != 0x80;
	return w;
}

/* Words of text from column `at` on; further lines begin at column `indent`. */
static void put_words(struct buf *b, const char *text, size_t at, size_t indent, size_t columns)
{
	bool first = true;

	while (*text) {
		size_t n = strcspn(text, " ");
		size_t w = width(text, n);

		if (!first && at + 1 + w > columns) {
			(void)buf_printf(b, "\n%*s", (int)indent, "");
			at = indent;
		} else if (!first) {
			(void)buf_u8(b, ' ');
			at++;
		}
		(void)buf_put(b, text, n);
		at += w;
		first = false;
		text += n;
		text += strspn(text, " ");
	}
	(void)buf_u8(b, '\n');
}

int doctor_lines(struct buf *b, const char *check, const struct doctor_verdict *v, unsigned columns)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(8 * KIB);
	size_t wide = columns < COLUMNS_LEAST ? COLUMNS_LEAST : columns;

	/* Messages hold what servers say. */
	(void)text_put(&plain, v->detail, TEXT_LINE);
	(void)buf_printf(b, "%-*s  %-*s  ", CHECK_COLUMNS, check, RESULT_COLUMNS,
	                 doctor_result_name(v->result));
	put_words(b, buf_cstr(&plain), DETAIL_AT, DETAIL_AT, wide);
	if (v->remedy[0]) {
		buf_reset(&plain);
		(void)text_put(&plain, v->remedy, TEXT_LINE);
		(void)buf_printf(b, "%*s=> ", DETAIL_AT, "");
		put_words(b, buf_cstr(&plain), DETAIL_AT + 3, DETAIL_AT + 3, wide);
	}
	return b->failed || plain.failed ? -1 : 0;
}
