/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "restore/report.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "common/num.h"
#include "common/text.h"

static const char *const gap_names[] = {
	[GAP_RANGE] = "range",
	[GAP_ENTRY] = "entry",
	[GAP_TREE] = "tree",
	[GAP_DIFFERS] = "differs",
};

void report_init(struct report *r)
{
	memset(r, 0, sizeof(*r));
	(void)pthread_mutex_init(&r->lock, NULL);
	losses_init(&r->losses);
}

void report_clear(struct report *r)
{
	for (size_t i = 0; i < r->ngaps; i++) {
		free(r->gaps[i].path);
		free(r->gaps[i].until);
		free(r->gaps[i].why);
	}
	free(r->gaps);
	free(r->changed_first);
	losses_clear(&r->losses);
	(void)pthread_mutex_destroy(&r->lock);
}

/* Keeps it when there is room; without memory it is counted only. */
static void keep_locked(struct report *r, const struct gap *g)
{
	if (!r->gaps)
		r->gaps = calloc(REPORT_LISTED, sizeof(*r->gaps));
	if (!r->gaps || r->ngaps == REPORT_LISTED)
		return;
	struct gap copy = *g;
	copy.path = strdup(g->path);
	copy.until = g->until ? strdup(g->until) : NULL;
	copy.why = strdup(g->why);
	if (copy.path && copy.why && (copy.until || !g->until)) {
		r->gaps[r->ngaps++] = copy;
		return;
	}
	free(copy.path);
	free(copy.until);
	free(copy.why);
}

static void log_gap(const struct gap *g)
{
	switch (g->kind) {
	case GAP_RANGE:
		log_warn("bytes missing, left as a hole", LOG_S("path", g->path),
		         LOG_U("offset", g->off), LOG_U("bytes", g->len), LOG_S("why", g->why));
		break;
	case GAP_ENTRY:
		log_warn("entry missing", LOG_S("path", g->path), LOG_S("why", g->why));
		break;
	case GAP_TREE:
		log_warn("entries missing", LOG_S("after", g->path), LOG_S("before", g->until),
		         LOG_S("why", g->why));
		break;
	case GAP_DIFFERS:
		log_warn("differs from the restore point", LOG_S("path", g->path),
		         LOG_S("why", g->why));
		break;
	}
}

void report_gap(struct report *r, enum gap_kind kind, const char *path, size_t path_len,
                const char *until, size_t until_len, uint64_t off, uint64_t len, const char *why)
{
	auto_free char *path_copy = strndup(path, path_len);
	auto_free char *until_copy = until ? strndup(until, until_len) : NULL;
	auto_free char *why_copy = strdup(why);
	char none[] = "";
	const struct gap g = {
		.kind = kind,
		.path = path_copy ? path_copy : none,
		.until = until ? (until_copy ? until_copy : none) : NULL,
		.off = off,
		.len = len,
		.why = why_copy ? why_copy : none,
	};

	if (!r->quiet)
		log_gap(&g);
	(void)pthread_mutex_lock(&r->lock);
	if (kind == GAP_DIFFERS) {
		r->differ_count++;
	} else {
		r->gap_count++;
		r->gap_bytes += len;
	}
	keep_locked(r, &g);
	(void)pthread_mutex_unlock(&r->lock);
}

void report_changed(struct report *r, const char *path, size_t path_len)
{
	if (r->changed++ == 0)
		r->changed_first = strndup(path, path_len);
}

/* ---- for people ---- */

/* "3 files, " */
static void put_count(struct buf *b, uint64_t n, const char *one, const char *many)
{
	if (n > 0)
		(void)buf_printf(b, "%s%llu %s", b->len > 0 ? ", " : "", (unsigned long long)n,
		                 n == 1 ? one : many);
}

static int print_losses(const struct report *r, FILE *f, struct err *e)
{
	for (int i = 0; i < LOSS_KINDS; i++) {
		const struct loss *l = &r->losses.of[i];
		CLEANUP(buf_clear) struct buf b = BUF_INIT(16 * KIB);

		if (l->count == 0)
			continue;
		(void)text_put(&b, *l->first ? l->first : ".", TEXT_LINE);
		if (fprintf(f, "  %s: %llu (first '%s': %s)\n", loss_text((enum loss_kind)i),
		            (unsigned long long)l->count, buf_cstr(&b), strerror(l->os)) < 0)
			return err_sys(e, errno, "writing the output");
	}
	return 0;
}

static int print_text(const struct report *r, const struct report_head *h, FILE *f, struct err *e)
{
	CLEANUP(buf_clear) struct buf counts = BUF_INIT(4 * KIB);
	CLEANUP(buf_clear) struct buf line = BUF_INIT(16 * KIB);
	uint64_t bytes = atomic_load(&r->bytes);

	put_count(&counts, atomic_load(&r->files), "file", "files");
	put_count(&counts, atomic_load(&r->directories), "directory", "directories");
	put_count(&counts, atomic_load(&r->symlinks), "symbolic link", "symbolic links");
	put_count(&counts, atomic_load(&r->hardlinks), "hard link", "hard links");
	put_count(&counts, atomic_load(&r->others), "other entry", "other entries");
	if (counts.len == 0)
		(void)buf_str(&counts, "nothing");
	(void)buf_printf(&line, "%s '%s' (point %.8s) to '", h->verb, h->volume, h->point);
	(void)text_put(&line, h->target, TEXT_LINE);
	(void)buf_printf(&line, "' in %lld.%lld s\n  %s; %s of content",
	                 (long long)(r->took_ms / 1000), (long long)(r->took_ms % 1000 / 100),
	                 buf_cstr(&counts), num_bytes_text(bytes).s);
	(void)buf_printf(&line, "; %s fetched", num_bytes_text(atomic_load(&r->fetched)).s);
	(void)buf_printf(&line, h->dry_run ? ", %s to be written" : ", %s written",
	                 num_bytes_text(atomic_load(&r->written)).s);
	if (atomic_load(&r->same) > 0)
		(void)buf_printf(&line, ", %s were there already",
		                 num_bytes_text(atomic_load(&r->same)).s);
	(void)buf_str(&line, "\n");
	if (h->matched > 0)
		(void)buf_printf(&line, "  %llu %s what was asked for\n",
		                 (unsigned long long)h->matched,
		                 h->matched == 1 ? "entry fits" : "entries fit");
	if (r->deleted > 0)
		(void)buf_printf(&line,
		                 h->dry_run ? "  %llu %s not in the point, to be removed\n"
		                            : "  %llu %s not in the point, removed\n",
		                 (unsigned long long)r->deleted,
		                 r->deleted == 1 ? "entry" : "entries");
	if (r->verified)
		(void)buf_str(&line, r->differ_count == 0
		                             ? "  read back and compared: all as in the point\n"
		                             : "  read back and compared: differences found\n");
	if (h->dry_run && r->differ_count > 0)
		(void)buf_printf(&line, "  %llu %s missing in the target or not as in the point\n",
		                 (unsigned long long)r->differ_count,
		                 r->differ_count == 1 ? "file is" : "files are");
	if (r->gap_count > 0)
		(void)buf_printf(&line, "  missing: %llu %s, %s; see the warnings above\n",
		                 (unsigned long long)r->gap_count,
		                 r->gap_count == 1 ? "place" : "places",
		                 num_bytes_text(r->gap_bytes).s);
	if (r->changed > 0) {
		(void)buf_printf(&line, "  note: %llu %s while being backed up (first '",
		                 (unsigned long long)r->changed,
		                 r->changed == 1 ? "file changed" : "files changed");
		(void)text_put(&line, r->changed_first ? r->changed_first : "", TEXT_LINE);
		(void)buf_str(&line, "')\n");
	}
	if (buf_check(&line, "the summary", e) < 0)
		return -1;
	if (fwrite(line.data, 1, line.len, f) != line.len)
		return err_sys(e, errno, "writing the output");
	return print_losses(r, f, e);
}

/* ---- for programs ---- */

static const struct table_column columns[] = {
	{ "volume", NULL, TABLE_TEXT },          { "point", NULL, TABLE_TEXT },
	{ "session", NULL, TABLE_TEXT },         { "target", NULL, TABLE_TEXT },
	{ "dry_run", NULL, TABLE_BOOL },         { "files", NULL, TABLE_NUMBER },
	{ "directories", NULL, TABLE_NUMBER },   { "symlinks", NULL, TABLE_NUMBER },
	{ "hardlinks", NULL, TABLE_NUMBER },     { "others", NULL, TABLE_NUMBER },
	{ "bytes", NULL, TABLE_BYTES },          { "written_bytes", NULL, TABLE_BYTES },
	{ "same_bytes", NULL, TABLE_BYTES },     { "fetched_bytes", NULL, TABLE_BYTES },
	{ "deleted", NULL, TABLE_NUMBER },       { "changed_while_read", NULL, TABLE_NUMBER },
	{ "verified", NULL, TABLE_BOOL },        { "missing_count", NULL, TABLE_NUMBER },
	{ "missing_bytes", NULL, TABLE_BYTES },  { "differ_count", NULL, TABLE_NUMBER },
	{ "duration_ms", NULL, TABLE_DURATION }, { "requests", NULL, TABLE_NUMBER },
	{ "matched", NULL, TABLE_NUMBER },
};

/* A text with any bytes as a JSON string, escaped as tables do. */
static json_t *exact_json(const char *s)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	if (text_put(&b, s, TEXT_CSV_EXACT) < 0)
		return NULL;
	return json_string(buf_cstr(&b));
}

static json_t *json_gaps(const struct report *r)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < r->ngaps; i++) {
		const struct gap *g = &r->gaps[i];
		json_t *o = json_object();

		(void)json_object_set_new(o, "kind", json_string(gap_names[g->kind]));
		(void)json_object_set_new(o, "path", exact_json(g->path));
		if (g->until)
			(void)json_object_set_new(o, "before", exact_json(g->until));
		if (g->kind == GAP_RANGE) {
			(void)json_object_set_new(o, "offset", json_integer((json_int_t)g->off));
			(void)json_object_set_new(o, "bytes", json_integer((json_int_t)g->len));
		}
		(void)json_object_set_new(o, "why", exact_json(g->why));
		(void)json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_losses(const struct report *r)
{
	json_t *list = json_array();

	for (int i = 0; list && i < LOSS_KINDS; i++) {
		const struct loss *l = &r->losses.of[i];
		json_t *o = l->count > 0 ? json_object() : NULL;

		if (!o)
			continue;
		(void)json_object_set_new(o, "what", json_string(loss_name((enum loss_kind)i)));
		(void)json_object_set_new(o, "count", json_integer((json_int_t)l->count));
		(void)json_object_set_new(o, "first", exact_json(l->first));
		(void)json_object_set_new(o, "why", json_string(strerror(l->os)));
		(void)json_array_append_new(list, o);
	}
	return list;
}

int report_print(const struct report *r, const struct report_head *h, enum output output, FILE *f,
                 struct err *e)
{
	if (output == OUTPUT_TABLE)
		return print_text(r, h, f, e);

	auto_table struct table *t = table_new("aksdr/restore/v1", columns, ARRAY_LEN(columns),
	                                       output, e);
	if (!t)
		return -1;
	table_row(t);
	table_text(t, h->volume);
	table_text(t, h->point);
	table_text(t, h->session);
	table_text(t, h->target);
	table_number(t, h->dry_run);
	table_number(t, (int64_t)atomic_load(&r->files));
	table_number(t, (int64_t)atomic_load(&r->directories));
	table_number(t, (int64_t)atomic_load(&r->symlinks));
	table_number(t, (int64_t)atomic_load(&r->hardlinks));
	table_number(t, (int64_t)atomic_load(&r->others));
	table_number(t, (int64_t)atomic_load(&r->bytes));
	table_number(t, (int64_t)atomic_load(&r->written));
	table_number(t, (int64_t)atomic_load(&r->same));
	table_number(t, (int64_t)atomic_load(&r->fetched));
	table_number(t, (int64_t)r->deleted);
	table_number(t, (int64_t)r->changed);
	table_number(t, r->verified);
	table_number(t, (int64_t)r->gap_count);
	table_number(t, (int64_t)r->gap_bytes);
	table_number(t, (int64_t)r->differ_count);
	table_number(t, r->took_ms);
	table_number(t, (int64_t)h->requests);
	table_number(t, (int64_t)h->matched);

	auto_json json_t *extra = json_object();
	(void)json_object_set_new(extra, "missing", json_gaps(r));
	(void)json_object_set_new(extra, "losses", json_losses(r));
	if (json_object_size(extra) != 2)
		return err_set(e, ERR_NOMEM, "no memory to write JSON");
	return table_print(t, f, extra, e);
}

int report_verdict(const struct report *r, struct err *e)
{
	if (r->differ_count > 0 && r->verified)
		return err_set(e, ERR_CORRUPT,
		               "%llu files differ from the restore point after they were written",
		               (unsigned long long)r->differ_count);
	if (r->gap_count > 0)
		return err_set(e, ERR_PARTIAL,
		               "restored but for %llu %s (%s) that the repository has lost",
		               (unsigned long long)r->gap_count,
		               r->gap_count == 1 ? "place" : "places",
		               num_bytes_text(r->gap_bytes).s);
	if (!losses_any(&r->losses))
		return 0;
	for (int i = 0; i < LOSS_KINDS; i++) {
		const struct loss *l = &r->losses.of[i];

		if (l->count == 0)
			continue;
		return err_set(e, ERR_PARTIAL,
		               "all content is restored, but %s: %llu (first '%s': %s)%s",
		               loss_text((enum loss_kind)i), (unsigned long long)l->count,
		               *l->first ? l->first : ".", strerror(l->os),
		               i == LOSS_OWNER ? "; run as root, or use --no-owner" : "");
	}
	return 0;
}
