/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aksdr-restore export: a point as a tar archive (pax) on stdout, with
 * attributes, ACLs, holes and hard links. Content goes out in order, so chunks
 * are fetched one at a time; the last few are kept, because parts of a file
 * that changed in place lie in other chunks than what is around them.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <string.h>

#include "common/cancel.h"
#include "common/log.h"
#include "common/rd.h"
#include "repo/reader.h"
#include "restore/cmd.h"
#include "restore/restore.h"

#define CHUNKS_KEPT 8
#define RANGES_MAX ((size_t)1 << 20) /* a file with more pieces is written without holes */
#define OUT_BLOCK (64 * KIB)

struct kept {
	uint8_t id[FORMAT_ID_BYTES];
	uint8_t *data;
	size_t n, cap;
	uint64_t used; /* 0: empty */
};

/* Where a file has data. */
struct ranges {
	struct range {
		uint64_t off, len;
	} * at;
	size_t n, cap;
	bool too_many;
};

struct export
{
	const struct repo *repo;
	const struct point *point;
	const char *root;
	struct domain_keys *domain;
	struct reader *reader;
	struct tree *aux;
	struct archive *out;
	struct kept kept[CHUNKS_KEPT];
	uint64_t clock;
	uint64_t left; /* bytes of the open file that are still to come */
	uint64_t skipped;
};

static void export_clear(struct export *x)
{
	if (x->out)
		(void)archive_write_free(x->out);
	reader_free(x->reader);
	tree_free(x->aux);
	secret_free(x->domain);
	for (size_t i = 0; i < CHUNKS_KEPT; i++)
		free(x->kept[i].data);
}

static void clean_entry(struct archive_entry *const *n)
{
	archive_entry_free(*n);
}

static int out_failed(struct export *x, struct err *e)
{
	int os = archive_errno(x->out);
	const char *text = archive_error_string(x->out);

	if (os > 0)
		return err_sys(e, os, "writing the archive");
	return err_set(e, ERR_IO, "writing the archive: %s", text ? text : "unknown reason");
}

/* ---- content ---- */

static int chunk(struct export *x, const struct chunk_ref *ref, const uint8_t **ret, struct err *e)
{
	struct kept *k = &x->kept[0];

	for (size_t i = 0; i < CHUNKS_KEPT; i++) {
		struct kept *at = &x->kept[i];

		if (at->used && at->n == ref->plain &&
		    memcmp(at->id, ref->id, sizeof(at->id)) == 0) {
			at->used = ++x->clock;
			*ret = at->data;
			return 0;
		}
		if (at->used < k->used)
			k = at;
	}
	k->used = 0;
	if (k->cap < ref->plain) {
		free(k->data);
		k->cap = 0;
		k->data = malloc(ref->plain);
		if (!k->data)
			return err_set(e, ERR_NOMEM, "no memory for a chunk of %u bytes",
			               ref->plain);
		k->cap = ref->plain;
	}
	if (reader_chunk(x->reader, x->domain, ref, k->data, e) < 0)
		return -1;
	memcpy(k->id, ref->id, sizeof(k->id));
	k->n = ref->plain;
	k->used = ++x->clock;
	*ret = k->data;
	return 0;
}

static int put_data(struct export *x, const void *p, size_t n, struct err *e)
{
	const uint8_t *at = p;

	while (n > 0) {
		la_ssize_t put = archive_write_data(x->out, at, n);

		if (put <= 0)
			return out_failed(x, e);
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

static int put_extents(struct export *x, const struct record *r, const struct leaf *leaf,
                       struct err *e)
{
	static const uint8_t zeros[64 * KIB];

	for (size_t i = 0; i < r->nextents; i++) {
		const struct extent *n = &r->extents[i];
		const uint8_t *data = NULL;

		if (n->len > x->left)
			return err_set(e, ERR_FORMAT, "'%.*s' has more content than its size says",
			               (int)r->path_len, r->path);
		x->left -= n->len;
		if (n->chunk >= 0) {
			if (chunk(x, &leaf->chunks[n->chunk], &data, e) < 0)
				return err_wrap(e, "exporting '%.*s'", (int)r->path_len, r->path);
			if (put_data(x, data + n->off, (size_t)n->len, e) < 0)
				return -1;
			continue;
		}
		/*
		 * Of a hole the archive keeps only the length; it wants to see the zeros all
		 * the same.
		 */
		for (uint64_t done = 0; done < n->len;) {
			size_t len = n->len - done < sizeof(zeros) ? (size_t)(n->len - done)
			                                           : sizeof(zeros);

			if (put_data(x, zeros, len, e) < 0)
				return -1;
			done += len;
		}
	}
	return 0;
}

/* ---- headers ---- */

static int add_range(struct ranges *l, uint64_t off, uint64_t len, struct err *e)
{
	struct range *last = l->n > 0 ? &l->at[l->n - 1] : NULL;

	if (last && last->off + last->len == off) {
		last->len += len;
		return 0;
	}
	if (l->n == RANGES_MAX) {
		l->too_many = true;
		return 0;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct range *at = reallocarray(l->at, cap, sizeof(*at));

		if (!at)
			return err_set(e, ERR_NOMEM, "no memory for the holes of a file");
		l->at = at;
		l->cap = cap;
	}
	l->at[l->n++] = (struct range){ .off = off, .len = len };
	return 0;
}

static int add_ranges(struct ranges *l, const struct record *r, uint64_t *off, struct err *e)
{
	for (size_t i = 0; i < r->nextents; i++) {
		const struct extent *n = &r->extents[i];

		if (n->chunk != EXTENT_HOLE && add_range(l, *off, n->len, e) < 0)
			return -1;
		*off += n->len;
	}
	return 0;
}

/* The header of a sparse file names all its pieces, so those of later parts are collected first. */
static int add_holes(struct export *x, struct archive_entry *n, const struct record *r,
                     const char *content, struct err *e)
{
	struct ranges l = { 0 };
	uint64_t off = 0;
	const struct record *part = r;
	struct leaf *leaf;
	int rc = add_ranges(&l, r, &off, e);

	if (rc == 0 && r->flags & RECORD_CONTINUED) {
		rc = tree_lookup(x->aux, content, strlen(content), &part, &leaf, e);
		while (rc == 0) {
			rc = tree_next(x->aux, &part, &leaf, e);
			if (rc < 0 || !part || part->position == 0)
				break;
			rc = add_ranges(&l, part, &off, e);
		}
	}
	bool whole = l.n == 1 && l.at[0].off == 0 && l.at[0].len == off;
	for (size_t i = 0; rc == 0 && !l.too_many && !whole && i < l.n; i++)
		archive_entry_sparse_add_entry(n, (la_int64_t)l.at[i].off, (la_int64_t)l.at[i].len);
	if (rc == 0 && l.n == 0 && off > 0)
		archive_entry_sparse_add_entry(n, (la_int64_t)off, 0);
	free(l.at);
	return rc;
}

/* A POSIX ACL as the kernel has it in an attribute (linux/posix_acl_xattr.h). */
static bool add_acl(struct archive_entry *n, int type, const uint8_t *p, size_t len)
{
	static const struct {
		uint16_t kernel;
		int tag;
	} tags[] = {
		{ 0x01, ARCHIVE_ENTRY_ACL_USER_OBJ },  { 0x02, ARCHIVE_ENTRY_ACL_USER },
		{ 0x04, ARCHIVE_ENTRY_ACL_GROUP_OBJ }, { 0x08, ARCHIVE_ENTRY_ACL_GROUP },
		{ 0x10, ARCHIVE_ENTRY_ACL_MASK },      { 0x20, ARCHIVE_ENTRY_ACL_OTHER },
	};
	struct rd r = rd_of(p, len);

	if (rd_u32(&r) != 2)
		return false;
	while (rd_left(&r) > 0) {
		uint16_t tag = rd_u16(&r);
		uint16_t perm = rd_u16(&r);
		uint32_t id = rd_u32(&r);

		if (!rd_ok(&r))
			return false;
		for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
			if (tags[i].kernel != tag)
				continue;
			bool named = tag == 0x02 || tag == 0x08;
			(void)archive_entry_acl_add_entry(n, type, perm & 7, tags[i].tag,
			                                  named ? (int)id : -1, NULL);
		}
	}
	return true;
}

static void add_xattrs(struct archive_entry *n, const struct record *r)
{
	size_t pos = 0;
	const char *at;
	const uint8_t *value;
	size_t at_len;
	size_t value_len;
	bool bad;

	while (source_xattr_next(r->xattrs, r->xattrs_len, &pos, &at, &at_len, &value, &value_len,
	                         &bad)) {
		auto_free char *name = strndup(at, at_len);

		if (!name)
			return;
		if (strcmp(name, "system.posix_acl_access") == 0 &&
		    add_acl(n, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, value, value_len))
			continue;
		if (strcmp(name, "system.posix_acl_default") == 0 &&
		    add_acl(n, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, value, value_len))
			continue;
		archive_entry_xattr_add_entry(n, name, value, value_len);
	}
}

static bool is_within(const char *path, size_t len, const char *root)
{
	size_t n = strlen(root);

	return len >= n && memcmp(path, root, n) == 0 && (n == 0 || len == n || path[n] == '/');
}

/* The header of r under its own name; link: as a hard link to its first name, else with content. */
static int put_header(struct export *x, const struct record *r, bool link, struct err *e)
{
	CLEANUP(clean_entry) struct archive_entry *n = archive_entry_new();
	auto_free char *path = strndup(r->path, r->path_len);
	auto_free char *to = strndup(r->link ? (const char *)r->link : "", r->link_len);
	auto_free char *first = strndup(r->hardlink ? r->hardlink : "", r->hardlink_len);

	if (!n || !path || !to || !first)
		return err_set(e, ERR_NOMEM, "no memory for an entry of the archive");
	if (*path || !x->point->volume.block)
		archive_entry_copy_pathname(n, *path ? path : ".");
	else
		archive_entry_copy_pathname(n, x->point->volume.name);
	archive_entry_set_mode(n, (mode_t)(r->st.mode ? r->st.mode : S_IFREG | 0600));
	archive_entry_set_uid(n, r->st.uid);
	archive_entry_set_gid(n, r->st.gid);
	archive_entry_set_mtime(n, (time_t)r->st.mtime.s, (long)r->st.mtime.ns);
	archive_entry_set_nlink(n, r->st.nlink);
	if (S_ISLNK(r->st.mode))
		archive_entry_copy_symlink(n, to);
	if (S_ISCHR(r->st.mode) || S_ISBLK(r->st.mode)) {
		archive_entry_set_rdevmajor(n, r->st.rdev_major);
		archive_entry_set_rdevminor(n, r->st.rdev_minor);
	}
	x->left = 0;
	if (link) {
		archive_entry_copy_hardlink(n, first);
		archive_entry_set_size(n, 0);
	} else {
		x->left = S_ISREG(r->st.mode) ? r->st.size : 0;
		archive_entry_set_size(n, (la_int64_t)x->left);
		add_xattrs(n, r);
		if (r->fsflags)
			archive_entry_set_fflags(n, r->fsflags, 0);
		/* A copy of a linked file has its parts under the first name. */
		if (S_ISREG(r->st.mode) &&
		    add_holes(x, n, r, r->flags & RECORD_HARDLINK ? first : path, e) < 0)
			return -1;
	}
	int rc = archive_write_header(x->out, n);
	if (rc == ARCHIVE_WARN)
		log_debug("archive header", LOG_S("path", path),
		          LOG_S("note", archive_error_string(x->out)));
	return rc == ARCHIVE_OK || rc == ARCHIVE_WARN ? 0 : out_failed(x, e);
}

static int end_file(struct export *x, struct err *e)
{
	if (x->left > 0)
		return err_set(e, ERR_CORRUPT, "the list of a file's parts ends early");
	return 0;
}

/* The first name of a linked file is not exported: this one has the content, again if need be. */
static int put_copy(struct export *x, const struct record *r, struct err *e)
{
	const struct record *first;
	struct leaf *leaf;

	if (tree_lookup(x->aux, r->hardlink, r->hardlink_len, &first, &leaf, e) < 0)
		return -1;
	struct record copy = *first;
	copy.path = r->path;
	copy.path_len = r->path_len;
	copy.flags |= RECORD_HARDLINK;
	copy.hardlink = r->hardlink;
	copy.hardlink_len = r->hardlink_len;
	/* Looking for holes moves the tree, so the first part is looked up again behind it. */
	leaf_ref(leaf);
	int rc = put_header(x, &copy, false, e);
	leaf_unref(leaf);
	if (rc < 0 || tree_lookup(x->aux, r->hardlink, r->hardlink_len, &first, &leaf, e) < 0)
		return -1;
	do {
		if (put_extents(x, first, leaf, e) < 0 || tree_next(x->aux, &first, &leaf, e) < 0)
			return -1;
	} while (first && first->position > 0);
	return end_file(x, e);
}

static int put_record(struct export *x, const struct record *r, const struct leaf *leaf,
                      struct err *e)
{
	if (r->position > 0)
		return put_extents(x, r, leaf, e);
	if (end_file(x, e) < 0)
		return -1;
	if (S_ISSOCK(r->st.mode)) {
		x->skipped++;
		return 0;
	}
	if (r->flags & RECORD_HARDLINK && !is_within(r->hardlink, r->hardlink_len, x->root))
		return put_copy(x, r, e);
	bool link = r->flags & RECORD_HARDLINK;
	if (put_header(x, r, link, e) < 0)
		return -1;
	return link ? 0 : put_extents(x, r, leaf, e);
}

static int put_all(struct export *x, struct tree *t, struct err *e)
{
	size_t len = strlen(x->root);
	const struct record *r;
	struct leaf *leaf;

	if (tree_lookup(t, x->root, len, &r, &leaf, e) < 0)
		return -1;
	while (r && is_within(r->path, r->path_len, x->root)) {
		if (cancel_check(x->repo->cancel, e) < 0 || put_record(x, r, leaf, e) < 0 ||
		    tree_next(t, &r, &leaf, e) < 0)
			return -1;
	}
	return end_file(x, e);
}

static int open_out(struct export *x, struct err *e)
{
	/* Names that are UTF-8 are written as such, others as the bytes they are. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	x->out = archive_write_new();
	if (!x->out)
		return err_set(e, ERR_NOMEM, "no memory for an archive");
	/* attributes in the form that GNU tar and others read */
	if (archive_write_set_format_pax(x->out) != ARCHIVE_OK ||
	    archive_write_set_format_option(x->out, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(x->out, OUT_BLOCK) != ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(x->out, 1) != ARCHIVE_OK ||
	    archive_write_open_fd(x->out, STDOUT_FILENO) != ARCHIVE_OK)
		return out_failed(x, e);
	return 0;
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	auto_repo struct repo *r = NULL;
	auto_tree struct tree *t = NULL;
	CLEANUP(point_clear) struct point p = { 0 };
	CLEANUP(export_clear) struct export x = { 0 };
	const struct reader_params params = { .threads = 1 };
	char none[] = "";
	char *root = argc > 1 ? argv[1] : none;

	(void)state;
	if (isatty(STDOUT_FILENO))
		return err_set(e, ERR_INVALID,
		               "an archive is not for a terminal: send it to a file or a program");
	if (restore_path(root, e) < 0 || cmd_open_data(common, argv[0], &r, &p, e) < 0)
		return -1;
	auto_unpin struct cmd_pin pin;
	cmd_pin(common, r, &p, &pin);
	x.repo = r;
	x.point = &p;
	x.root = root;
	if (tree_open(r, &p, &t, e) < 0 || tree_open(r, &p, &x.aux, e) < 0 ||
	    keys_domain(r->keys, p.domain, &x.domain, e) < 0 ||
	    reader_open(r, &params, NULL, NULL, &x.reader, e) < 0 || open_out(&x, e) < 0)
		return -1;
	if (put_all(&x, t, e) < 0)
		return err_wrap(e, "the archive is incomplete");
	if (archive_write_close(x.out) != ARCHIVE_OK)
		return out_failed(&x, e);
	if (x.skipped > 0)
		log_warn("sockets left out, an archive cannot hold them",
		         LOG_U("count", x.skipped));
	return 0;
}

const struct verb cmd_export = {
	.name = "export",
	.args = "NAME[@POINT] [PATH]",
	.summary = "write a point as a tar archive to stdout",
	.text = "Writes the point, or what is at and below PATH, in the pax format, with "
		"extended attributes, ACLs, holes and hard links. Damaged data ends the "
		"archive with an error and exit status 5.",
	.examples = "aksdr-restore export shop/orders | zstd >orders.tar.zst\n"
		    "aksdr-restore export shop/orders etc | tar -tv",
	.flags = VERB_STORE | VERB_KEY,
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
