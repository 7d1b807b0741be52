/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore diff: what two points of a volume have different. */
#include <errno.h>
#include <string.h>

#include "common/num.h"
#include "common/text.h"
#include "restore/cmd.h"
#include "restore/compare.h"
#include "restore/differ.h"

#define LINE_BYTES MIB
#define CACHE_BYTES (64 * MIB)
#define NODES_BYTES (16 * MIB)
#define READER_MEMORY (48 * MIB)

static struct options {
	bool stat;
} options;

static const struct verb_option option_table[] = {
	{ "stat", NULL, "only how many entries and bytes differ", 's' },
	{ NULL, NULL, NULL, 0 },
};

static int set(void *state, int key, const char *value, struct err *e)
{
	(void)key;
	(void)value;
	(void)e;
	((struct options *)state)->stat = true;
	return 0;
}

static const char *const kind_names[DIFFER_KINDS] = { "added", "removed", "type", "content",
	                                              "metadata" };
static const char kind_letters[DIFFER_KINDS] = { '+', '-', 'T', 'M', 'm' };

struct showing {
	const struct repo *repo;
	enum output output;
	bool quiet; /* items are only counted */
	uint64_t n; /* items shown */
	uint64_t count[DIFFER_KINDS];
	uint64_t bytes[DIFFER_KINDS];
	struct buf line;
};

/* ---- one item ---- */

static void put_text(struct buf *b, const void *p, size_t n, enum text_mode mode)
{
	auto_free char *text = strndup(n > 0 ? p : "", n);

	(void)text_put(b, text ? text : "", mode);
}

static void put_fields(struct buf *b, unsigned fields, const char *before, const char *between)
{
	for (unsigned i = 0; i < DIFFER_FIELDS; i++) {
		if (!(fields & 1u << i))
			continue;
		(void)buf_printf(b, "%s%s", before, differ_field_names[i]);
		before = between;
	}
}

static void put_line(struct buf *b, const struct differ_item *n)
{
	const struct record *r = n->new ? n->new : n->old;

	(void)buf_printf(b, "%c ", kind_letters[n->kind]);
	put_text(b, r->path_len > 0 ? r->path : ".", r->path_len > 0 ? r->path_len : 1, TEXT_LINE);
	if (n->kind == DIFFER_META) {
		put_fields(b, n->fields, " (", ", ");
		(void)buf_str(b, ")");
	}
	(void)buf_str(b, "\n");
}

static void put_json(struct buf *b, const struct differ_item *n)
{
	const struct record *r = n->new ? n->new : n->old;

	(void)buf_printf(b, "{\"change\": \"%s\", \"path\": \"", kind_names[n->kind]);
	put_text(b, r->path, r->path_len, TEXT_JSON_EXACT);
	(void)buf_str(b, "\", \"fields\": [");
	put_fields(b, n->fields, "\"", "\", \"");
	(void)buf_str(b, n->fields ? "\"]" : "]");
	if (n->old)
		(void)buf_printf(b, ", \"old_mode\": \"%07o\", \"old_size_bytes\": %llu",
		                 n->old->st.mode, (unsigned long long)n->old->st.size);
	if (n->new)
		(void)buf_printf(b, ", \"new_mode\": \"%07o\", \"new_size_bytes\": %llu",
		                 n->new->st.mode, (unsigned long long)n->new->st.size);
	(void)buf_printf(b, ", \"bytes\": %llu}", (unsigned long long)n->bytes);
}

static void put_csv(struct buf *b, const struct differ_item *n)
{
	const struct record *r = n->new ? n->new : n->old;
	auto_free char *path = strndup(r->path, r->path_len);
	const char *s = path ? path : "";
	char step[TEXT_STEP_MAX];
	size_t len;

	(void)buf_printf(b, "%s,\"", kind_names[n->kind]);
	while ((len = text_step(&s, TEXT_CSV_EXACT, step)) > 0) {
		if (step[0] == '"')
			(void)buf_str(b, "\"");
		(void)buf_put(b, step, len);
	}
	(void)buf_str(b, "\",");
	put_fields(b, n->fields, "", " ");
	(void)buf_printf(b, ",%llu\r\n", (unsigned long long)n->bytes);
}

static int flush_line(struct showing *s, struct err *e)
{
	if (buf_check(&s->line, "a line of the comparison", e) < 0)
		return -1;
	if (fwrite(s->line.data, 1, s->line.len, stdout) != s->line.len)
		return err_sys(e, errno, "writing the output");
	s->n++;
	return 0;
}

static int on_item(void *arg, const struct differ_item *n, struct err *e)
{
	struct showing *s = arg;

	s->count[n->kind]++;
	s->bytes[n->kind] += n->bytes;
	if (s->quiet)
		return 0;
	buf_reset(&s->line);
	if (s->output == OUTPUT_JSON) {
		(void)buf_str(&s->line, s->n > 0 ? ",\n  " : "\n  ");
		put_json(&s->line, n);
	} else if (s->output == OUTPUT_CSV) {
		put_csv(&s->line, n);
	} else {
		put_line(&s->line, n);
	}
	return flush_line(s, e);
}

/* A range of a block volume or image. */
static int on_range(void *arg, uint64_t off, uint64_t len, struct err *e)
{
	struct showing *s = arg;
	unsigned long long from = off;
	unsigned long long n = len;

	s->count[DIFFER_CONTENT]++;
	s->bytes[DIFFER_CONTENT] += len;
	if (s->quiet)
		return 0;
	buf_reset(&s->line);
	if (s->output == OUTPUT_JSON)
		(void)buf_printf(&s->line,
		                 "%s{\"change\": \"content\", \"offset\": %llu, \"bytes\": %llu}",
		                 s->n > 0 ? ",\n  " : "\n  ", from, n);
	else if (s->output == OUTPUT_CSV)
		(void)buf_printf(&s->line, "content,%llu,%llu\r\n", from, n);
	else
		(void)buf_printf(&s->line, "M %llu+%llu\n", from, n);
	return flush_line(s, e);
}

/* ---- all of it ---- */

static void put_totals(const struct showing *s, bool block)
{
	if (s->output == OUTPUT_JSON) {
		(void)fputs("],\n \"totals\": {", stdout);
		for (size_t i = 0; i < DIFFER_KINDS; i++)
			(void)printf("%s\"%s\": %llu", i > 0 ? ", " : "", kind_names[i],
			             (unsigned long long)s->count[i]);
		(void)printf(", \"added_bytes\": %llu, \"removed_bytes\": %llu, "
		             "\"changed_bytes\": %llu}}\n",
		             (unsigned long long)s->bytes[DIFFER_ADDED],
		             (unsigned long long)s->bytes[DIFFER_REMOVED],
		             (unsigned long long)s->bytes[DIFFER_CONTENT]);
	} else if (s->output == OUTPUT_TABLE && block) {
		(void)printf("%llu ranges, %s\n", (unsigned long long)s->count[DIFFER_CONTENT],
		             num_bytes_text(s->bytes[DIFFER_CONTENT]).s);
	} else if (s->output == OUTPUT_TABLE) {
		(void)printf("%llu added (%s), %llu removed (%s), %llu changed (%s), "
		             "%llu with other metadata, %llu of another type\n",
		             (unsigned long long)s->count[DIFFER_ADDED],
		             num_bytes_text(s->bytes[DIFFER_ADDED]).s,
		             (unsigned long long)s->count[DIFFER_REMOVED],
		             num_bytes_text(s->bytes[DIFFER_REMOVED]).s,
		             (unsigned long long)s->count[DIFFER_CONTENT],
		             num_bytes_text(s->bytes[DIFFER_CONTENT]).s,
		             (unsigned long long)s->count[DIFFER_META],
		             (unsigned long long)s->count[DIFFER_TYPE]);
	}
}

struct sides {
	struct browse_shared shared;
	struct browse *old, *new;
};

static void sides_clear(struct sides *s)
{
	browse_free(s->old);
	browse_free(s->new);
	browse_trees_free(s->shared.trees);
	chunks_free(s->shared.chunks);
	node_cache_free(s->shared.nodes);
}

static int show(struct showing *s, const struct point *old, const struct point *new, struct err *e)
{
	CLEANUP(sides_clear) struct sides x = { .shared.repo = s->repo };
	const struct chunks_params params = { .bytes = CACHE_BYTES, .memory = READER_MEMORY };

	x.shared.nodes = node_cache_new(NODES_BYTES);
	x.shared.trees = browse_trees_new();
	if (!x.shared.nodes || !x.shared.trees)
		return err_set(e, ERR_NOMEM, "no memory for comparing");
	/* Without the right to read contents, what is stored in other places counts as changed. */
	if (s->repo->keys->has_recovery && chunks_open(s->repo, &params, &x.shared.chunks, e) < 0)
		return -1;
	if (browse_open(&x.shared, old, &x.old, e) < 0 ||
	    browse_open(&x.shared, new, &x.new, e) < 0)
		return -1;
	const struct differ_side a = { x.old, old };
	const struct differ_side b = { x.new, new };
	const struct compare_file f = { x.old, 0 };
	const struct compare_file g = { x.new, 0 };
	uint64_t bytes;
	int rc = old->volume.block ? compare_files(&f, &g, on_range, s, &bytes, e)
	                           : differ_run(s->repo, &a, &b, on_item, s, e);
	/* The points are there; an object of them is not. */
	if (rc < 0 && e->class == ERR_NOT_FOUND)
		e->class = ERR_CORRUPT;
	return rc;
}

static int find_both(const struct repo *r, int argc, char **argv, struct point *old,
                     struct point *new, struct err *e)
{
	if (argc > 1 || strchr(argv[0], '@')) {
		if (repo_find(r, argv[0], old, e) < 0)
			return -1;
		return cmd_find_other(r, argv[0], argc > 1 ? argv[1] : "latest", new, e);
	}
	if (repo_find(r, argv[0], new, e) < 0)
		return -1;
	if (!new->previous_session[0])
		return err_set(e, ERR_NOT_FOUND, "'%s' has only one restore point", argv[0]);
	return repo_point(r, new->previous_session, old, e) < 0
	               ? err_wrap(e, "the restore point before the newest of '%s'", argv[0])
	               : 0;
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	const struct options *o = state;
	auto_repo struct repo *r = NULL;
	CLEANUP(point_clear) struct point old = { 0 };
	CLEANUP(point_clear) struct point new = { 0 };
	struct showing s = { .output = common->output, .line = BUF_INIT(LINE_BYTES) };

	if (cmd_open(common, &r, e) < 0 || find_both(r, argc, argv, &old, &new, e) < 0)
		return -1;
	if (old.volume.block != new.volume.block)
		return err_set(e, ERR_INVALID,
		               "one point is of a block volume and the other is not: there is "
		               "nothing to compare");
	s.repo = r;
	s.quiet = o->stat;
	if (s.output == OUTPUT_JSON)
		(void)printf("{\"schema\": \"aksdr/diff/v1\", \"old\": \"%s\", \"new\": \"%s\",\n "
		             "\"items\": [",
		             old.id, new.id);
	else if (s.output == OUTPUT_CSV)
		(void)fputs(old.volume.block ? "change,offset,bytes\r\n"
		                             : "change,path,fields,bytes\r\n",
		            stdout);
	int rc = show(&s, &old, &new, e);
	buf_clear(&s.line);
	if (rc == 0 && (o->stat || s.output == OUTPUT_JSON))
		put_totals(&s, old.volume.block);
	return rc;
}

const struct verb cmd_diff = {
	.name = "diff",
	.args = "NAME[@OLD] [NEW]",
	.summary = "show what two points of a volume have different",
	.text = "Compares the point OLD with the point NEW, by default the newest one; without "
		"@OLD the newest one with the one before it. A line is + for what was added, - "
		"for what was removed, M for other content, T for another type, m for other "
		"metadata alone, with which. Of a block volume the ranges that differ are shown, "
		"as offset+length.\n\n"
		"What the points share is not read. Content that was stored anew is compared, "
		"which takes the recovery key; with another key it counts as changed. A further "
		"name of a file (hard link) is not compared by its content: its first name is.",
	.examples = "aksdr-restore diff shop/orders\n"
		    "aksdr-restore diff shop/orders@2026-11-22 latest --stat\n"
		    "aksdr-restore diff orders@4f21aa03 81c0de77 --output json",
	.options = option_table,
	.flags = VERB_STORE | VERB_KEY,
	.min_args = 1,
	.max_args = 2,
	.set = set,
	.run = run,
	.state = &options,
};
