/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog gc: takes away what no restore point needs. */
#include <jansson.h>
#include <poll.h>
#include <string.h>

#include "catalog/cmd.h"
#include "common/cancel.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"
#include "repo/gc.h"

#define YOUNG_DEFAULT_NS ((int64_t)24 * 3600 * 1000000000)
#define NS_PER_S 1000000000
#define ASK_AGAIN_MS 30000 /* while sessions are waited for */

enum {
	OPT_FENCE = 256,
	OPT_YOUNG,
	OPT_REPACK,
	OPT_REPACK_LIMIT,
	OPT_MAX_SHARE,
	OPT_ACCEPT_LOSS,
	OPT_THREADS,
	OPT_WAIT
};

static const struct verb_option options[] = {
	{ "fence-after", "DURATION",
	  "end sessions that showed no sign of life for so long (default 6h)", OPT_FENCE },
	{ "keep-young", "DURATION",
	  "leave packs alone that nothing names yet and that are so young (default 24h)",
	  OPT_YOUNG },
	{ "repack", "PERCENT",
	  "copy what is left of packs with so much garbage (default 30; 0: none)", OPT_REPACK },
	{ "repack-limit", "SIZE", "copy at most so much in one run (default: no limit)",
	  OPT_REPACK_LIMIT },
	{ "max-share", "PERCENT",
	  "refuse to take away more of all bytes at once (default 20; 100: anything goes)",
	  OPT_MAX_SHARE },
	{ "accept-loss", NULL,
	  "go on although restore points, tombstones or holds are missing that were there",
	  OPT_ACCEPT_LOSS },
	{ "threads", "N", "at once (default: two a CPU, at most 16)", OPT_THREADS },
	{ "wait", NULL, "wait for sessions at work instead of leaving them to the next run",
	  OPT_WAIT },
	{ NULL, NULL, NULL, 0 },
};

static struct gc_params params = {
	.fence_after_ns = GC_FENCE_DEFAULT_NS,
	.young_ns = YOUNG_DEFAULT_NS,
	.repack_percent = GC_REPACK_DEFAULT,
	.share_percent = GC_SHARE_DEFAULT,
};
static bool wait_for_all;

static int set_duration(const char *what, const char *value, int64_t *ret_ns, struct err *e)
{
	int64_t s;

	if (num_duration(what, value, &s, e) < 0)
		return -1;
	if (s < 0 || s > INT64_MAX / NS_PER_S / 2)
		return err_set(e, ERR_INVALID, "%s '%s' is too long", what, value);
	*ret_ns = s * NS_PER_S;
	return 0;
}

static int set(void *state, int key, const char *value, struct err *e)
{
	uint64_t n = 0;
	int rc = 0;

	(void)state;
	switch (key) {
	case OPT_FENCE:
		return set_duration("--fence-after", value, &params.fence_after_ns, e);
	case OPT_YOUNG:
		return set_duration("--keep-young", value, &params.young_ns, e);
	case OPT_REPACK:
		rc = num_u64("--repack", value, 0, 100, &n, e);
		params.repack_percent = (unsigned)n;
		return rc;
	case OPT_REPACK_LIMIT:
		return num_size("--repack-limit", value, INT64_MAX, &params.repack_bytes, e);
	case OPT_MAX_SHARE:
		rc = num_u64("--max-share", value, 1, 100, &n, e);
		params.share_percent = (unsigned)n;
		return rc;
	case OPT_ACCEPT_LOSS:
		params.accept_loss = true;
		return 0;
	case OPT_THREADS:
		rc = num_u64("--threads", value, 1, 16, &n, e);
		params.threads = (unsigned)n;
		return rc;
	case OPT_WAIT:
		wait_for_all = true;
		return 0;
	default:
		return err_set(e, ERR_BUG, "option %d has no meaning", key);
	}
}

/* ---- telling ---- */

/* What the result says, in the order in which it is told. */
static const struct field {
	const char *name;
	enum table_kind kind;
	size_t at; /* in struct gc_result */
} fields[] = {
#define FIELD(name, kind, member)                              \
	{                                                      \
		name, kind, offsetof(struct gc_result, member) \
	}
	FIELD("generation", TABLE_NUMBER, generation),
	FIELD("points", TABLE_NUMBER, points),
	FIELD("points_expired", TABLE_NUMBER, points_expired),
	FIELD("bytes_logical", TABLE_BYTES, logical_bytes),
	FIELD("packs_stored", TABLE_NUMBER, stored.packs),
	FIELD("bytes_stored", TABLE_BYTES, stored.bytes),
	FIELD("packs_live", TABLE_NUMBER, live.packs),
	FIELD("bytes_live", TABLE_BYTES, live.bytes),
	FIELD("chunks", TABLE_NUMBER, chunks),
	FIELD("packs_garbage", TABLE_NUMBER, garbage.packs),
	FIELD("bytes_garbage", TABLE_BYTES, garbage.bytes),
	FIELD("packs_young", TABLE_NUMBER, young.packs),
	FIELD("bytes_young", TABLE_BYTES, young.bytes),
	FIELD("young_until", TABLE_TIME, young_until_ns),
	FIELD("packs_sparse", TABLE_NUMBER, sparse.packs),
	FIELD("bytes_sparse", TABLE_BYTES, sparse.bytes),
	FIELD("chunks_damaged", TABLE_NUMBER, damaged.packs),
	FIELD("packs_repacked", TABLE_NUMBER, repacked.packs),
	FIELD("bytes_repacked", TABLE_BYTES, repacked.bytes),
	FIELD("packs_condemned", TABLE_NUMBER, condemned.packs),
	FIELD("bytes_condemned", TABLE_BYTES, condemned.bytes),
	FIELD("packs_released", TABLE_NUMBER, released.packs),
	FIELD("packs_deleted", TABLE_NUMBER, deleted.packs),
	FIELD("bytes_deleted", TABLE_BYTES, deleted.bytes),
	FIELD("packs_locked", TABLE_NUMBER, left.packs),
	FIELD("bytes_locked", TABLE_BYTES, left.bytes),
	FIELD("locked_until", TABLE_TIME, left_until_ns),
	FIELD("points_deleted", TABLE_NUMBER, points_deleted),
	FIELD("segments_before", TABLE_NUMBER, segments_before),
	FIELD("segments_written", TABLE_NUMBER, segments_written),
	FIELD("segments_deleted", TABLE_NUMBER, segments_deleted),
	FIELD("sessions_waiting", TABLE_NUMBER, sessions_waiting),
	FIELD("sessions_fenced", TABLE_NUMBER, sessions_fenced),
	FIELD("wait_until", TABLE_TIME, wait_until_ns),
};

static const char *outcome_name(const struct gc_result *r, bool dry_run)
{
	return dry_run ? "dry-run" : gc_outcome_name(r->outcome);
}

/* One row with everything, for JSON and CSV. */
static int print_row(const struct gc_result *r, bool dry_run, enum output output, struct err *e)
{
	struct table_column columns[1 + ARRAY_LEN(fields)] = { { "outcome", NULL, TABLE_TEXT } };

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		columns[1 + i] = (struct table_column){ fields[i].name, NULL, fields[i].kind };
	auto_table struct table *t = table_new("aksdr/gc/v1", columns, ARRAY_LEN(columns), output,
	                                       e);
	if (!t)
		return -1;
	table_row(t);
	table_text(t, outcome_name(r, dry_run));
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		int64_t v;

		memcpy(&v, (const char *)r + fields[i].at, sizeof(v));
		table_number(t, v);
	}
	return table_print(t, stdout, NULL, e);
}

static void line(const char *name, const struct gc_amount *a, const char *what)
{
	printf("%-10s %10s in %llu packs%s%s\n", name, num_bytes_text(a->bytes).s,
	       (unsigned long long)a->packs, *what ? ", " : "", what);
}

/* What there is, and when it will be free. */
static void print_state(const struct gc_result *r, bool dry_run)
{
	char text[160] = "";

	printf("%-10s %10s in %llu restore points", "logical", num_bytes_text(r->logical_bytes).s,
	       (unsigned long long)r->points);
	if (r->points_expired > 0)
		printf("; %llu more are expired", (unsigned long long)r->points_expired);
	putchar('\n');
	line("stored", &r->stored, "");
	line("needed", &r->live, "");
	if (r->young.packs > 0)
		(void)snprintf(text, sizeof(text),
		               "%s of it may be of backups under way, until %.19sZ at the latest",
		               num_bytes_text(r->young.bytes).s, now_rfc3339(r->young_until_ns).s);
	line("garbage", &r->garbage, text);
	if (r->sparse.packs > 0)
		line("sparse", &r->sparse,
		     dry_run ? "which would be copied without their garbage"
		             : "garbage beside what is needed");
	if (r->left_until_ns > 0)
		(void)snprintf(text, sizeof(text), "kept by locks of the store until %.19sZ",
		               now_rfc3339(r->left_until_ns).s);
	if (r->left.packs > 0)
		line("locked", &r->left,
		     r->left_until_ns > 0 ? text : "which the store refuses to delete yet");
	if (r->damaged.packs > 0)
		printf("%-10s %10llu chunks are known to be lost\n", "damaged",
		       (unsigned long long)r->damaged.packs);
}

/* What was done, in one sentence. */
static void print_outcome(const struct gc_result *r, bool dry_run)
{
	if (dry_run) {
		printf("would free %s: %llu packs, of which %llu would be copied first\n",
		       num_bytes_text(r->condemned.bytes).s, (unsigned long long)r->condemned.packs,
		       (unsigned long long)r->sparse.packs);
		return;
	}
	switch (r->outcome) {
	case GC_NOTHING:
		printf("nothing to collect%s", r->deleted.packs > 0 ? "; " : "");
		break;
	case GC_DONE:
		printf("collection %llu is done: ", (unsigned long long)r->generation);
		break;
	case GC_WAITING:
		printf("collection %llu waits for %llu session%s, until %.19sZ at the latest%s",
		       (unsigned long long)r->generation, (unsigned long long)r->sessions_waiting,
		       r->sessions_waiting == 1 ? "" : "s", now_rfc3339(r->wait_until_ns).s,
		       r->deleted.packs > 0 ? "; " : "");
		break;
	}
	if (r->outcome == GC_DONE || r->deleted.packs > 0)
		printf("%llu packs (%s) and %llu restore points deleted",
		       (unsigned long long)r->deleted.packs, num_bytes_text(r->deleted.bytes).s,
		       (unsigned long long)r->points_deleted);
	if (r->repacked.packs > 0)
		printf("; %s copied out of %llu packs", num_bytes_text(r->repacked.bytes).s,
		       (unsigned long long)r->repacked.packs);
	if (r->sessions_fenced > 0)
		printf("; %llu sessions without a sign of life ended",
		       (unsigned long long)r->sessions_fenced);
	putchar('\n');
}

static int tell(const struct verb_common *common, const struct gc_result *r, struct err *e)
{
	if (common->output != OUTPUT_TABLE)
		return print_row(r, common->dry_run, common->output, e);
	if (!common->quiet)
		print_state(r, common->dry_run);
	print_outcome(r, common->dry_run);
	return 0;
}

/* ---- running ---- */

/* Waits a while. -1: cancelled. */
static int pause_a_while(const struct repo *r, struct err *e)
{
	struct pollfd fd = { .fd = r->cancel ? r->cancel->fd : -1, .events = POLLIN };

	(void)poll(&fd, fd.fd >= 0, ASK_AGAIN_MS);
	return cancel_check(r->cancel, e);
}

static int collect(const struct repo *r, struct gc_result *ret, struct err *e)
{
	for (;;) {
		if (gc_run(r, &params, ret, e) < 0)
			return -1;
		if (ret->outcome != GC_WAITING || !wait_for_all)
			return 0;
		log_info("waiting for sessions at work", LOG_U("sessions", ret->sessions_waiting),
		         LOG_S("until", now_rfc3339(ret->wait_until_ns).s));
		if (pause_a_while(r, e) < 0)
			return -1;
	}
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	auto_repo struct repo *r = NULL;
	struct progress_counts counts = { 0 };
	struct gc_result result;

	(void)state;
	(void)argc;
	(void)argv;
	params.dry_run = common->dry_run;
	params.counts = &counts;
	if ((common->dry_run ? cmd_repo(common, &r, e) : cmd_repo_write(common, &r, e)) < 0)
		return -1;
	struct progress *p = progress_start("collecting", common->progress, &counts);
	int rc = collect(r, &result, e);
	progress_stop(p);
	return rc < 0 ? -1 : tell(common, &result, e);
}

const struct verb cmd_gc = {
	.name = "gc",
	.summary = "take away what no restore point needs",
	.text = "Looks through the trees of all restore points that are not expired, and deletes "
		"packs that none of them needs; where a pack holds mostly garbage, what is left "
		"of it is copied as it is, without a data key. Backups and restores go on "
		"meanwhile, and so may other collections. It can be stopped at any moment and run "
		"again.\n\n"
		"Backups that began before are waited for: the collection is gone on with by the "
		"next run, or by this one with --wait. One that showed no sign of life for "
		"--fence-after is ended; should it still be alive, it fails, is run again, and "
		"finds most of what it uploaded.\n"
		"\n"
		"It stops, and takes nothing away, when something that a restore point needs is "
		"missing or damaged, when the store hides restore points, tombstones or holds "
		"that were there, or when more would go at once than --max-share allows. "
		"--dry-run shows what there is and what would go.\n"
		"\n"
		"The key file must sign (the agent key), and the identity at the store must be "
		"allowed to delete. Give both to one place only.",
	.examples = "aksdr-catalog gc --store file:///backup --key agent.key --dry-run\n"
		    "aksdr-catalog gc --store file:///backup --key agent.key --wait",
	.options = options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.set = set,
	.run = run,
};
