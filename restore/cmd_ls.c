/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aksdr-restore ls: what is in a point. Entries are written as they come from
 * the tree, so that a listing of millions needs no memory for them.
 */
#include <errno.h>
#include <string.h>

#include "common/cancel.h"
#include "common/now.h"
#include "common/num.h"
#include "common/source.h"
#include "common/text.h"
#include "restore/cmd.h"
#include "restore/restore.h"

#define LINE_BYTES (MIB) /* of one entry */

static struct options {
	bool is_long, recursive;
} options;

static const struct verb_option option_table[] = {
	{ "long", NULL, "mode, owner, size and time as well", 'l' },
	{ "recursive", NULL, "all that is below, at any depth", 'R' },
	{ NULL, NULL, NULL, 0 },
};

static int set(void *state, int key, const char *value, struct err *e)
{
	struct options *o = state;

	(void)value;
	(void)e;
	if (key == 'l')
		o->is_long = true;
	else
		o->recursive = true;
	return 0;
}

/* ---- one entry ---- */

static const char *type_name(const struct record *r)
{
	switch (r->st.mode & S_IFMT) {
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "char_device";
	case S_IFBLK:
		return "block_device";
	default:
		return "file";
	}
}

static void put_mode(struct buf *b, uint32_t mode)
{
	static const char types[] = "?pc?d?b?-?l?s???";
	char s[11] = "?rwxrwxrwx";

	s[0] = types[mode >> 12 & 15];
	for (int i = 0; i < 9; i++) {
		if (!(mode & 0400u >> i))
			s[1 + i] = '-';
	}
	if (mode & S_ISUID)
		s[3] = s[3] == 'x' ? 's' : 'S';
	if (mode & S_ISGID)
		s[6] = s[6] == 'x' ? 's' : 'S';
	if (mode & S_ISVTX)
		s[9] = s[9] == 'x' ? 't' : 'T';
	(void)buf_str(b, s);
}

static int64_t time_ns(const struct timestamp *t)
{
	int64_t ns;

	if (__builtin_mul_overflow(t->s, (int64_t)1000000000, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)t->ns, &ns))
		return 0;
	return ns;
}

/* Copies what need not end in a NUL. */
static char *text_copy(const void *p, size_t n)
{
	return strndup(p ? p : "", n);
}

static void put_line(struct buf *b, const struct record *r, const char *path, bool is_long)
{
	if (is_long) {
		put_mode(b, r->st.mode);
		(void)buf_printf(b, " %3u %8u %8u ", r->st.nlink, r->st.uid, r->st.gid);
		if (r->flags & RECORD_DEVICE)
			(void)buf_printf(b, "%5u, %5u", r->st.rdev_major, r->st.rdev_minor);
		else
			(void)buf_printf(b, "%12llu", (unsigned long long)r->st.size);
		(void)buf_printf(b, " %s ", now_rfc3339(time_ns(&r->st.mtime)).s);
	}
	(void)text_put(b, *path ? path : ".", TEXT_LINE);
	if (is_long && r->flags & RECORD_LINK) {
		auto_free char *to = text_copy(r->link, r->link_len);

		(void)buf_str(b, " -> ");
		(void)text_put(b, to ? to : "", TEXT_LINE);
	}
	(void)buf_str(b, "\n");
}

static void put_member(struct buf *b, const char *name, const void *p, size_t n)
{
	auto_free char *text = text_copy(p, n);

	(void)buf_printf(b, ", \"%s\": \"", name);
	(void)text_put(b, text ? text : "", TEXT_JSON_EXACT);
	(void)buf_str(b, "\"");
}

static void put_json(struct buf *b, const struct record *r, const char *path)
{
	(void)buf_printf(b, "{\"type\": \"%s\"", type_name(r));
	put_member(b, "path", path, strlen(path));
	(void)buf_printf(b,
	                 ", \"mode\": \"%04o\", \"uid\": %u, \"gid\": %u, \"nlink\": %u, "
	                 "\"size_bytes\": %llu",
	                 r->st.mode & 07777, r->st.uid, r->st.gid, r->st.nlink,
	                 (unsigned long long)r->st.size);
	(void)buf_printf(b, ", \"mtime\": \"%s\"", now_rfc3339(time_ns(&r->st.mtime)).s);
	(void)buf_printf(b, ", \"mtime_s\": %lld, \"mtime_ns\": %u", (long long)r->st.mtime.s,
	                 r->st.mtime.ns);
	if (r->flags & RECORD_LINK)
		put_member(b, "link", r->link, r->link_len);
	if (r->flags & RECORD_HARDLINK)
		put_member(b, "hardlink", r->hardlink, r->hardlink_len);
	if (r->flags & RECORD_DEVICE)
		(void)buf_printf(b, ", \"major\": %u, \"minor\": %u", r->st.rdev_major,
		                 r->st.rdev_minor);
	(void)buf_printf(b, ", \"changed_while_read\": %s}",
	                 r->flags & RECORD_CHANGED ? "true" : "false");
}

static void put_csv_text(struct buf *b, const char *s)
{
	char step[TEXT_STEP_MAX];
	size_t n;

	(void)buf_str(b, "\"");
	while ((n = text_step(&s, TEXT_CSV_EXACT, step)) > 0) {
		if (step[0] == '"')
			(void)buf_str(b, "\"");
		(void)buf_put(b, step, n);
	}
	(void)buf_str(b, "\"");
}

static void put_csv(struct buf *b, const struct record *r, const char *path)
{
	auto_free char *to = text_copy(r->link, r->link_len);

	(void)buf_printf(b, "%s,", type_name(r));
	put_csv_text(b, path);
	(void)buf_printf(b, ",%04o,%u,%u,%u,%llu,%s,", r->st.mode & 07777, r->st.uid, r->st.gid,
	                 r->st.nlink, (unsigned long long)r->st.size,
	                 now_rfc3339(time_ns(&r->st.mtime)).s);
	if (r->flags & RECORD_LINK)
		put_csv_text(b, to ? to : "");
	(void)buf_str(b, "\r\n");
}

/* ---- the listing ---- */

struct listing {
	const struct cancel *cancel;
	enum output output;
	uint64_t n;
	struct buf line;
};

static int put_entry(struct listing *l, const struct record *r, struct err *e)
{
	auto_free char *path = text_copy(r->path, r->path_len);

	if (!path)
		return err_set(e, ERR_NOMEM, "no memory for a path");
	buf_reset(&l->line);
	switch (l->output) {
	case OUTPUT_TABLE:
		put_line(&l->line, r, path, options.is_long);
		break;
	case OUTPUT_JSON:
		(void)buf_str(&l->line, l->n > 0 ? ",\n  " : "\n  ");
		put_json(&l->line, r, path);
		break;
	case OUTPUT_CSV:
		put_csv(&l->line, r, path);
		break;
	}
	l->n++;
	if (buf_check(&l->line, "an entry of the listing", e) < 0)
		return -1;
	if (fwrite(l->line.data, 1, l->line.len, stdout) != l->line.len)
		return err_sys(e, errno, "writing the output");
	return cancel_check(l->cancel, e);
}

static bool is_below(const struct record *r, const char *root, size_t len)
{
	return r->path_len >= len && memcmp(r->path, root, len) == 0 &&
	       (len == 0 || r->path_len == len || r->path[len] == '/');
}

/*
 * All below root; without -R only what is in it. What is deeper is skipped by
 * seeking behind the directory it is in.
 */
static int list(struct tree *t, struct listing *l, const char *root, struct err *e)
{
	size_t len = strlen(root);
	const struct record *r;
	struct leaf *leaf;
	auto_free char *behind = NULL;

	if (tree_lookup(t, root, len, &r, &leaf, e) < 0)
		return -1;
	if (!S_ISDIR(r->st.mode))
		return put_entry(l, r, e);
	for (;;) {
		if (tree_next(t, &r, &leaf, e) < 0)
			return -1;
		if (!r || !is_below(r, root, len))
			return 0;
		if (r->position > 0)
			continue;
		const char *rest = r->path + len + (len > 0);
		size_t rest_len = r->path_len - len - (len > 0);
		const char *slash = memchr(rest, '/', rest_len);
		if (options.recursive || !slash) {
			if (put_entry(l, r, e) < 0)
				return -1;
			continue;
		}
		/*
		 * The smallest path behind "dir/...": '/' is the lowest byte, so "dir" and a 1
		 * byte.
		 */
		size_t n = (size_t)(slash - r->path);
		free(behind);
		behind = malloc(n + 2);
		if (!behind)
			return err_set(e, ERR_NOMEM, "no memory for a path");
		memcpy(behind, r->path, n);
		behind[n] = '\1';
		behind[n + 1] = '\0';
		if (tree_seek(t, behind, n + 1, e) < 0)
			return -1;
	}
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	auto_repo struct repo *r = NULL;
	auto_tree struct tree *t = NULL;
	CLEANUP(point_clear) struct point p = { 0 };
	char none[] = "";
	char *root = argc > 1 ? argv[1] : none;
	struct listing l = { .output = common->output, .line = BUF_INIT(LINE_BYTES) };

	(void)state;
	if (restore_path(root, e) < 0 || cmd_open_point(common, argv[0], &r, &p, e) < 0 ||
	    tree_open(r, &p, &t, e) < 0)
		return -1;
	l.cancel = r->cancel;
	if (common->output == OUTPUT_JSON)
		(void)fputs("{\"schema\": \"aksdr/ls/v1\",\n \"items\": [", stdout);
	else if (common->output == OUTPUT_CSV)
		(void)fputs("type,path,mode,uid,gid,nlink,size_bytes,mtime,link\r\n", stdout);
	int rc = list(t, &l, root, e);
	buf_clear(&l.line);
	if (rc == 0 && common->output == OUTPUT_JSON)
		(void)fputs("]}\n", stdout);
	return rc;
}

const struct verb cmd_ls = {
	.name = "ls",
	.args = "NAME[@POINT] [PATH]",
	.summary = "list what is in a restore point",
	.text = "Lists the entries of the directory PATH (the volume's root without it), by "
		"their paths in the volume. Control characters in names are written as "
		"\\xNN; JSON and CSV have every name exactly.",
	.examples = "aksdr-restore ls shop/orders var/lib -l\n"
		    "aksdr-restore ls shop/orders -R --output json",
	.options = option_table,
	.flags = VERB_STORE | VERB_KEY,
	.min_args = 1,
	.max_args = 2,
	.set = set,
	.run = run,
	.state = &options,
};
