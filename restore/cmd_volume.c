/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore volume and get: a whole point, or some of its files, into a target. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "restore/cmd.h"
#include "restore/filled.h"
#include "restore/restore.h"

enum {
	OPT_TARGET = 256,
	OPT_IN_PLACE,
	OPT_DELETE,
	OPT_ON_CORRUPT,
	OPT_VERIFY,
	OPT_NO_OWNER,
	OPT_FORCE,
	OPT_SYNC,
	OPT_THREADS,
	OPT_MEMORY,
	OPT_ONLY,
	OPT_RESULT,
	OPT_BASE
};

static struct job {
	const char *target;
	unsigned flags; /* target_flags */
	bool verify, sync;
	const char *base;   /* point that the target is */
	const char *result; /* file that is told what came of it */
	bool told;          /* it was */
	const char **only;  /* paths and patterns of --only */
	size_t nonly;
	struct restore_params params;
	struct progress_counts totals;
} job;

/*
 * In the order of the table for `volume`; `get` leaves out what makes sense for whole volumes
 * only.
 */
static const struct verb_option volume_options[] = {
	{ "target", "PATH", "directory, image file or block device to restore into", OPT_TARGET },
	{ "only", "PATH",
	  "of the point only this entry, with all below it; may be repeated, and a "
	  "pattern",
	  OPT_ONLY },
	{ "in-place", NULL, "make what is there like the point; write only what differs",
	  OPT_IN_PLACE },
	{ "delete", NULL, "with --in-place: remove what the point does not have", OPT_DELETE },
	{ "base", "POINT",
	  "with these: the target is exactly this point of the volume, and only what differs from "
	  "it is looked at",
	  OPT_BASE },
	{ "on-corrupt", "fail|skip", "at damaged data stop (default), or leave holes and list them",
	  OPT_ON_CORRUPT },
	{ "verify", NULL, "read everything back and compare it with the point", OPT_VERIFY },
	{ "no-owner", NULL, "leave owners and groups as the system gives them", OPT_NO_OWNER },
	{ "force", NULL, "overwrite a block device that is not empty", OPT_FORCE },
	{ "sync", NULL, "wait until everything is on the medium", OPT_SYNC },
	{ "threads", "N", "threads that decrypt and write; default: the CPUs, at most 8",
	  OPT_THREADS },
	{ "memory", "SIZE", "for data on its way; default 64MiB, from a distant store up to 176MiB",
	  OPT_MEMORY },
	{ "result", "FILE", "write what came of it as JSON of at most 4096 bytes", OPT_RESULT },
	{ NULL, NULL, NULL, 0 },
};

static const struct verb_option get_options[] = {
	{ "target", "DIR", "directory to restore into; made when it is missing", OPT_TARGET },
	{ "in-place", NULL, "files that are there are made like the point's", OPT_IN_PLACE },
	{ "on-corrupt", "fail|skip", "at damaged data stop (default), or leave holes and list them",
	  OPT_ON_CORRUPT },
	{ "verify", NULL, "read everything back and compare it with the point", OPT_VERIFY },
	{ "no-owner", NULL, "leave owners and groups as the system gives them", OPT_NO_OWNER },
	{ "sync", NULL, "wait until everything is on the medium", OPT_SYNC },
	{ "threads", "N", "threads that decrypt and write; default: the CPUs, at most 8",
	  OPT_THREADS },
	{ "memory", "SIZE", "for data on its way; default 64MiB, from a distant store up to 176MiB",
	  OPT_MEMORY },
	{ NULL, NULL, NULL, 0 },
};

static int add_only(struct job *j, const char *value, struct err *e)
{
	const char **only = reallocarray(j->only, j->nonly + 1, sizeof(*only));

	if (!only)
		return err_set(e, ERR_NOMEM, "no memory for %zu paths", j->nonly + 1);
	j->only = only;
	j->only[j->nonly++] = value;
	return 0;
}

static int set(void *state, int key, const char *value, struct err *e)
{
	struct job *j = state;
	uint64_t n;

	switch (key) {
	case OPT_TARGET:
		if (!*value)
			return err_set(e, ERR_INVALID, "--target is empty");
		j->target = value;
		return 0;
	case OPT_ONLY:
		return add_only(j, value, e);
	case OPT_IN_PLACE:
		j->flags |= TARGET_IN_PLACE;
		return 0;
	case OPT_DELETE:
		j->flags |= TARGET_DELETE;
		return 0;
	case OPT_ON_CORRUPT:
		j->params.on_corrupt = strcmp(value, "skip") == 0 ? CORRUPT_SKIP : CORRUPT_FAIL;
		return 0;
	case OPT_VERIFY:
		j->verify = j->params.rehash = true;
		return 0;
	case OPT_NO_OWNER:
		j->flags |= TARGET_NO_OWNER;
		return 0;
	case OPT_FORCE:
		j->flags |= TARGET_FORCE;
		return 0;
	case OPT_SYNC:
		j->sync = true;
		return 0;
	case OPT_BASE:
		j->base = value;
		j->flags |= TARGET_KNOWN;
		return 0;
	case OPT_RESULT:
		j->result = value;
		return 0;
	case OPT_THREADS:
		if (num_u64("--threads", value, 1, 64, &n, e) < 0)
			return -1;
		j->params.threads = (unsigned)n;
		return 0;
	default:
		if (num_size("--memory", value, (uint64_t)1 << 40, &n, e) < 0)
			return -1;
		if (n < 16 * MIB)
			return err_set(e, ERR_INVALID,
			               "--memory is below 16MiB, which some chunks need");
		j->params.memory = n;
		return 0;
	}
}

static int check_options(const struct job *j, struct err *e)
{
	if (!j->target)
		return err_set(e, ERR_INVALID,
		               "--target is missing: it says where the restore goes");
	if (j->flags & TARGET_DELETE && !(j->flags & TARGET_IN_PLACE))
		return err_set(e, ERR_INVALID, "--delete makes sense with --in-place only");
	if (j->flags & TARGET_DELETE && j->nonly > 0)
		return err_set(e, ERR_INVALID,
		               "--delete would remove what --only leaves out; give one of them");
	if (j->base && !(j->flags & TARGET_DELETE))
		return err_set(e, ERR_INVALID,
		               "--base makes sense with --in-place and --delete only");
	return 0;
}

static int open_target(const struct job *j, const struct point *p, unsigned flags,
                       struct report *report, struct target **ret, struct err *e)
{
	if (p->volume.block)
		return target_block_open(j->target, p->bytes_logical, flags, &report->losses, ret,
		                         e);
	return target_dir_open(j->target, flags, &report->losses, ret, e);
}

/* Reads everything back from the medium and compares. */
static int verify(const struct repo *r, const struct point *p, struct target *t,
                  const struct job *j, struct report *report, struct err *e)
{
	struct restore_params params = j->params;
	struct report second;

	if (t->ops->sync(t, e) < 0)
		return -1;
	report_init(&second);
	second.quiet = true;
	params.counts = NULL;
	params.base = NULL;
	const unsigned how = TARGET_COMPARE | TARGET_REREAD;
	t->flags |= how;
	int rc = restore_run(r, p, t, &params, &second, e);
	t->flags &= ~how;
	report->took_ms += second.took_ms;
	atomic_fetch_add(&report->fetched, atomic_load(&second.fetched));
	for (size_t i = 0; rc == 0 && i < second.ngaps; i++) {
		const struct gap *g = &second.gaps[i];

		if (g->kind == GAP_DIFFERS)
			report_gap(report, GAP_DIFFERS, g->path, strlen(g->path), NULL, 0, 0, 0,
			           g->why);
	}
	/* Only where all of it was compared before are they gone for certain. */
	if (rc == 0 && second.deleted > 0)
		report_gap(report, GAP_DIFFERS, ".", 1, NULL, 0, 0, 0,
		           "entries are there that the point does not have");
	report_clear(&second);
	if (rc < 0)
		return err_wrap(e, "reading back what was restored");
	report->verified = true;
	return 0;
}

static int restore(const struct repo *r, const struct point *p, struct job *j, bool dry_run,
                   struct report *report, struct err *e)
{
	auto_target struct target *t = NULL;
	unsigned flags = j->flags;

	/* What would be done is told of what is really there. */
	if (dry_run) {
		flags = (flags | TARGET_COMPARE) & ~(unsigned)TARGET_KNOWN;
		j->params.base = NULL;
	}

	if (open_target(j, p, flags, report, &t, e) < 0)
		return -1;
	if (restore_run(r, p, t, &j->params, report, e) < 0)
		return -1;
	if (dry_run)
		return 0;
	if (j->verify)
		return verify(r, p, t, j, report, e);
	return j->sync ? t->ops->sync(t, e) : 0;
}

/* Tells the file of --result, if there is one. verdict: how it ended. */
static int tell_result(struct job *j, const struct report *report, const struct report_head *head,
                       const struct err *verdict, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(RESULT_MAX);

	if (!j->result || j->told)
		return 0;
	if (filled_write(report, head, verdict, &text, e) < 0 ||
	    result_save(j->result, &text, e) < 0)
		return -1;
	j->told = true;
	return 0;
}

static int run_job(struct job *j, const struct verb_common *common, const struct repo *r,
                   const struct point *p, struct err *e)
{
	struct report report;
	CLEANUP(buf_clear) struct buf text = BUF_INIT(4 * KIB);

	report_init(&report);
	report.quiet = common->dry_run;
	if (j->params.npaths == 0 && !j->params.base) {
		atomic_store(&j->totals.bytes_total, p->bytes_logical);
		atomic_store(&j->totals.files_total, p->files + p->directories + p->others);
	}
	j->params.counts = &j->totals;
	(void)buf_printf(&text, "restoring '%s'", p->volume.name);
	struct progress *progress =
		progress_start(buf_cstr(&text), common->quiet ? PROGRESS_NEVER : common->progress,
	                       &j->totals);
	int rc = restore(r, p, j, common->dry_run, &report, e);
	progress_stop(progress);
	const struct report_head head = {
		.verb = common->dry_run ? "would restore" : "restored",
		.volume = p->volume.name,
		.point = p->id,
		.session = p->session,
		.base = j->params.base ? j->params.base->id : NULL,
		.target = j->target,
		.dry_run = common->dry_run,
		.requests = store_requests(r->store),
		.matched = j->params.matched,
	};
	/* What was found missing is told of a restore that failed as well. */
	if ((rc == 0 && (!common->quiet || common->output != OUTPUT_TABLE)) ||
	    (rc < 0 && report.gap_count > 0 && common->output == OUTPUT_JSON)) {
		struct err why = ERR_INIT;

		if (report_print(&report, &head, common->output, stdout, &why) < 0 && rc == 0) {
			*e = why;
			rc = -1;
		}
	}
	if (rc == 0 && !common->dry_run) {
		struct err verdict = ERR_INIT;

		rc = report_verdict(&report, &verdict);
		if (rc < 0)
			*e = verdict;
		if (tell_result(j, &report, &head, &verdict, e) < 0)
			rc = -1;
	}
	report_clear(&report);
	return rc;
}

/* Before anything is made: are they all there? A damaged tree shows in the restore itself. */
static int check_paths(struct tree *t, const char *const *paths, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct record *found;
		struct leaf *leaf;
		struct err why = ERR_INIT;

		if (tree_lookup(t, paths[i], strlen(paths[i]), &found, &leaf, &why) < 0 &&
		    why.class == ERR_NOT_FOUND) {
			*e = why;
			return -1;
		}
	}
	return 0;
}

/* True when the point has an entry of exactly this name, whatever characters are in it. */
static bool is_entry(struct tree *t, const char *text)
{
	struct err ignored = ERR_INIT;
	const struct record *r;
	struct leaf *leaf;

	auto_free char *path = strdup(text);
	return path && restore_path(path, &ignored) == 0 &&
	       tree_lookup(t, path, strlen(path), &r, &leaf, &ignored) == 0;
}

static int select_add(struct select *s, struct tree *t, const char *text, bool *ret_pattern,
                      struct err *e)
{
	if (select_is_pattern(text) && !is_entry(t, text)) {
		*ret_pattern = true;
		return select_add_pattern(s, text, e);
	}
	auto_free char *path = strdup(text);
	if (!path)
		return err_set(e, ERR_NOMEM, "no memory for a path");
	return restore_path(path, e) < 0 ? -1 : select_add_path(s, path, e);
}

/* What of the point is wanted, into the job's parameters. s outlives them. */
static int choose_parts(struct job *j, const struct repo *r, const struct point *p,
                        const char *const *texts, size_t n, struct select *s, struct err *e)
{
	auto_tree struct tree *t = NULL;
	struct select_counts counts;
	bool patterns = false;

	if (p->volume.block)
		return err_set(e, ERR_INVALID,
		               "'%s' is a block volume, which has no files to choose from",
		               p->volume.name);
	if (tree_open(r, p, &t, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (select_add(s, t, texts[i], &patterns, e) < 0)
			return -1;
	}
	if (select_finish(s, e) < 0)
		return -1;
	j->params.paths = select_roots(s, &j->params.npaths);
	if (!patterns)
		return check_paths(t, j->params.paths, j->params.npaths, e);
	if (select_scan(s, t, r->cancel, &counts, e) < 0)
		return -1;
	j->params.select = s;
	j->params.matched = counts.matched;
	atomic_store(&j->totals.bytes_total, counts.bytes);
	atomic_store(&j->totals.files_total, counts.entries);
	return 0;
}

static void clean_select(struct select *const *s)
{
	select_free(*s);
}

/* The point that the target is, into the job's parameters. base outlives them. */
static int find_base(struct job *j, const struct repo *r, const char *name, const struct point *p,
                     struct point *base, struct err *e)
{
	if (cmd_find_other(r, name, j->base, base, e) < 0)
		return err_wrap(e, "--base");
	if (base->volume.block != p->volume.block)
		return err_set(e, ERR_INVALID,
		               "--base: one point is of a block volume and the other is not");
	j->params.base = base;
	return 0;
}

static int run_parts(struct job *j, const struct verb_common *common, const char *name,
                     const char *const *texts, size_t n, struct err *e)
{
	CLEANUP(clean_select) struct select *s = select_new();
	auto_repo struct repo *r = NULL;
	CLEANUP(point_clear) struct point p = { 0 };

	if (!s)
		return err_set(e, ERR_NOMEM, "no memory for %zu paths", n);
	if (check_options(j, e) < 0 || cmd_open_data(common, name, &r, &p, e) < 0)
		return -1;
	auto_unpin struct cmd_pin pin;
	cmd_pin(common, r, &p, &pin);
	auto_unpin struct cmd_pin base_pin = { .key = "" };
	CLEANUP(point_clear) struct point base = { 0 };
	if (j->base) {
		if (find_base(j, r, name, &p, &base, e) < 0)
			return -1;
		cmd_pin(common, r, &base, &base_pin);
	}
	return n > 0 && choose_parts(j, r, &p, texts, n, s, e) < 0 ? -1
	                                                           : run_job(j, common, r, &p, e);
}

static int run_volume(void *state, const struct verb_common *common, int argc, char **argv,
                      struct err *e)
{
	struct job *j = state;

	(void)argc;
	j->params.root = j->nonly > 0;
	if (j->result && common->dry_run)
		return err_set(e, ERR_INVALID,
		               "--result tells what was restored, which --dry-run does not do");
	struct err why = ERR_INIT;
	int rc = run_parts(j, common, argv[0], j->only, j->nonly, &why);
	free(j->only);
	if (rc < 0)
		*e = why;
	return rc < 0 && tell_result(j, NULL, NULL, &why, e) < 0 ? -1 : rc;
}

static int run_get(void *state, const struct verb_common *common, int argc, char **argv,
                   struct err *e)
{
	struct job *j = state;

	/* Wrong paths are told before the store is asked for anything. */
	for (int i = 1; i < argc; i++) {
		auto_free char *path = strdup(argv[i]);

		if (!path)
			return err_set(e, ERR_NOMEM, "no memory for %d paths", argc);
		if (restore_path(path, e) < 0)
			return -1;
	}
	if (!(j->flags & TARGET_IN_PLACE))
		j->flags |= TARGET_MERGE;
	return run_parts(j, common, argv[0], (const char *const *)argv + 1, (size_t)argc - 1, e);
}

const struct verb cmd_volume = {
	.name = "volume",
	.args = "NAME[@POINT]",
	.summary = "restore a point into a directory, image file or block device",
	.text = "The target of a filesystem volume is a directory that is empty or missing; "
		"that of a block volume is an image file that is missing, or an empty block "
		"device.\n\n"
		"With --in-place the target may hold an earlier or later state: it is read "
		"and compared, and only what differs is fetched and written. Entries that "
		"the point does not have stay, unless --delete is given.\n\n"
		"With --base the target must be exactly that point, restored before, and nothing "
		"may have written to it since: then the two points are compared, and the target "
		"is looked at only where they differ. What is not as it should be there ends the "
		"restore with exit status 5, and the same without --base makes the target right "
		"whatever is in it.\n\n"
		"With --only, parts of the point are restored as if they were all of it: the "
		"directories above them come with their metadata, the rest is left out. A PATH "
		"may be a pattern, as in `get`.\n\n"
		"Damaged or missing data never becomes silently wrong data. With "
		"--on-corrupt fail the restore stops and the file that is hurt is removed. "
		"With --on-corrupt skip the rest is restored, each missing range is left as "
		"a hole and listed, and the exit status is 3.\n\n"
		"Owners, devices and some attributes need root's rights; what could not be "
		"set is counted and the exit status is 3.\n\n"
		"With --result a program that started this one learns what came of it, also of "
		"a failure: class and sentence. FILE may be the termination log of a container.",
	.examples =
		"aksdr-restore volume shop/orders --target /mnt/orders\n"
		"aksdr-restore volume orders --target /mnt/conf --only etc --only '**/*.conf'\n"
		"aksdr-restore volume orders@2026-11-22 --target /mnt/orders --in-place --delete\n"
		"aksdr-restore volume orders --target /mnt/orders --in-place --delete "
		"--base 4f21aa03\n"
		"aksdr-restore volume disk0 --target /dev/vdb --verify",
	.options = volume_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.set = set,
	.run = run_volume,
	.state = &job,
};

const struct verb cmd_get = {
	.name = "get",
	.args = "NAME[@POINT] PATH...",
	.summary = "restore single files or directories of a point",
	.text = "Each PATH, with all below it, comes to the same path below the target "
		"directory, which may hold other files. Directories above it are made with "
		"their metadata when they are missing. A file that is there already is an "
		"error, unless --in-place is given.\n\n"
		"A PATH with * ? or [ is a pattern, unless there is an entry of that very name: "
		"* stands for any part of a name, ** for any number of directories. One without "
		"a slash fits names at any depth, one with a slash, which may be the first "
		"character, is for a path from the root. A backslash takes the next character as "
		"it is. Nothing that fits is exit status 4.",
	.examples = "aksdr-restore get shop/orders etc/app.conf var/lib/app --target /tmp/look\n"
		    "aksdr-restore get shop/orders 'etc/**/*.conf' --target /tmp/look",
	.options = get_options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 2,
	.max_args = ~0U,
	.set = set,
	.run = run_get,
	.state = &job,
};
