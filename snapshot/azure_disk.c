/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of pages are got once, at the beginning; the bytes are read as they are asked for, in
 * larger pieces where a range goes on, so that a request is worth its way. A piece never reaches
 * beyond a range: what did not change is not read.
 *
 * What is behind the disk in the blob (the footer of a VHD) is no part of it.
 */
#include "snapshot/azure_disk.h"

#include <string.h>
#include <strings.h>

#include "common/crc64.h"
#include "snapshot/azure_blob.h"
#include "snapshot/batch.h"
#include "snapshot/content.h"
#include "snapshot/ranges.h"

#define AHEAD_BYTES (4 * MIB)          /* of one request */
#define EDGE_BYTES (UINT64_C(4) << 40) /* no ranges are told across a resize over it */

struct azure_disk {
	struct azure_arm *arm;   /* borrowed */
	struct journal *journal; /* borrowed; NULL: none */
	struct azure_blob *blob;
	char *id;
	struct azure_snapshot is;
	struct ranges *data;    /* all else is empty */
	struct ranges *changed; /* since the base; NULL: not known */
};

/* The bytes that were read ahead, besides what every content has. */
struct disk_content {
	struct content c;
	struct azure_disk *disk;
	uint8_t *ahead; /* AHEAD_BYTES */
	uint64_t off;   /* of them in the disk */
	size_t n;
};

struct disk_source {
	struct source source;
	struct azure_disk *disk;
	bool given; /* the entry has been handed out */
};

/* ---- opening ---- */

static int check_kind(const struct azure_snapshot *s, struct err *e)
{
	if (!s->incremental)
		return err_set(e, ERR_UNSUPPORTED,
		               "the snapshot is not an incremental one; set 'incremental' to "
		               "\"true\" in the VolumeSnapshotClass");
	if (s->sector_bytes != 512)
		return err_set(e, ERR_UNSUPPORTED,
		               "the disk has sectors of %u bytes, and only those of 512 can be "
		               "read from their snapshots",
		               (unsigned)s->sector_bytes);
	if (!s->complete)
		return err_set(e, ERR_BUSY, "the snapshot is still being copied");
	return 0;
}

int azure_disk_close(struct azure_disk *d, struct err *e)
{
	if (!d)
		return 0;
	int rc = azure_blob_close(d->blob, e);
	ranges_free(d->data);
	ranges_free(d->changed);
	free(d->id);
	free(d);
	return rc;
}

static void clean_disk(struct azure_disk *const *d)
{
	struct err ignored = ERR_INIT;

	(void)!azure_disk_close(*d, &ignored);
}

struct azure_disk *azure_disk_open(struct azure_arm *a, struct journal *j, const char *id,
                                   struct err *e)
{
	auto_azure_pages struct azure_pages *pages = NULL;
	CLEANUP(clean_disk) struct azure_disk *d = calloc(1, sizeof(*d));

	if (!d || !(d->id = strdup(id))) {
		err_set(e, ERR_NOMEM, "no memory for the snapshot '%s'", id);
		return NULL;
	}
	d->arm = a;
	d->journal = j;
	if (azure_arm_snapshot(a, id, &d->is, e) < 0 || check_kind(&d->is, e) < 0)
		return NULL;
	d->blob = azure_blob_open(a, j, id, e);
	if (!d->blob || azure_blob_pages(d->blob, NULL, &pages, e) < 0 ||
	    azure_pages_ranges(pages, d->is.bytes, false, &d->data, e) < 0)
		return NULL;
	return STEAL(&d);
}

uint64_t azure_disk_bytes(const struct azure_disk *d)
{
	return d->is.bytes;
}

int64_t azure_disk_created_ns(const struct azure_disk *d)
{
	return d->is.created_ns;
}

/* ---- a base ---- */

int azure_disk_check_base(const struct azure_snapshot *now, const struct azure_snapshot *base,
                          struct err *e)
{
	bool family = now->family[0] && base->family[0];
	bool disk = now->disk[0] && base->disk[0];

	if (!base->incremental || !base->complete || base->sector_bytes != 512)
		return err_set(e, ERR_UNSUPPORTED,
		               "the earlier snapshot is not incremental, or not complete");
	if ((!family && !disk) || (family && strcasecmp(now->family, base->family) != 0) ||
	    (disk && strcasecmp(now->disk, base->disk) != 0))
		return err_set(e, ERR_UNSUPPORTED, "the earlier snapshot is of another disk");
	if (base->created_ns >= now->created_ns)
		return err_set(e, ERR_UNSUPPORTED, "the earlier snapshot is not earlier");
	if (base->bytes > now->bytes || (base->bytes <= EDGE_BYTES && now->bytes > EDGE_BYTES))
		return err_set(e, ERR_UNSUPPORTED,
		               "the disk was resized in a way that ranges are not told across");
	return 0;
}

/* Both lists hold what either has. */
static int unite(struct ranges **to, const struct ranges *with, uint64_t size, struct err *e)
{
	auto_ranges struct ranges *all = ranges_new();
	size_t i = 0, k = 0;
	bool full = !all;

	while (!full && (i < (*to)->n || k < with->n)) {
		bool first = k == with->n ||
		             (i < (*to)->n && (*to)->v[i].start <= with->v[k].start);
		const struct range *r = first ? &(*to)->v[i++] : &with->v[k++];

		full = ranges_add(all, r->start, r->end < size ? r->end : size) < 0;
	}
	if (full)
		return err_set(e, ERR_NOMEM, "no memory for a list of ranges");
	ranges_free(*to);
	*to = STEAL(&all);
	return 0;
}

int azure_disk_compare(struct azure_disk *d, const char *base, struct err *e)
{
	auto_azure_pages struct azure_pages *pages = NULL;
	auto_ranges struct ranges *changed = NULL;
	auto_ranges struct ranges *written = NULL;
	struct azure_snapshot was;

	if (azure_arm_snapshot(d->arm, base, &was, e) < 0 ||
	    azure_disk_check_base(&d->is, &was, e) < 0)
		return -1;
	auto_azure_blob struct azure_blob *since = azure_blob_open(d->arm, d->journal, base, e);
	if (!since || azure_blob_pages(d->blob, since, &pages, e) < 0 ||
	    azure_pages_ranges(pages, d->is.bytes, true, &changed, e) < 0 ||
	    azure_pages_ranges(pages, d->is.bytes, false, &written, e) < 0 ||
	    unite(&d->data, written, d->is.bytes, e) < 0)
		return -1;
	/* What the disk grew by is not in the base. */
	if (was.bytes < d->is.bytes && ranges_add_tail(changed, was.bytes, d->is.bytes) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a list of ranges");
	ranges_free(d->changed);
	d->changed = STEAL(&changed);
	return 0;
}

uint64_t azure_disk_changed_bytes(const struct azure_disk *d)
{
	return d->changed ? ranges_bytes(d->changed) : d->is.bytes;
}

/* ---- the source ---- */

static int disk_next(struct source *s, struct batch **ret, struct err *e)
{
	struct disk_source *k = (struct disk_source *)s;
	const struct azure_snapshot *is = &k->disk->is;

	if (k->given) {
		*ret = NULL;
		return 0;
	}
	struct batch *b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, ERR_NOMEM, "no memory for the list of files");
	b->source = s;
	b->n = 1;
	struct entry *n = &b->entries[0];
	*n = (struct entry){ .path = "", .name = "", .block = true };
	n->st.mode = S_IFREG | 0600;
	n->st.nlink = 1;
	/* A snapshot does not change: it is known by its name and its time. */
	n->st.ino = crc64_update(0, k->disk->id, strlen(k->disk->id));
	n->st.size = is->bytes;
	n->st.mtime.s = is->created_ns / 1000000000;
	n->st.mtime.ns = (uint32_t)(is->created_ns % 1000000000);
	n->st.ctime = n->st.mtime;
	k->given = true;
	*ret = b;
	return 0;
}

static void disk_batch_free(struct source *s, struct batch *b)
{
	(void)s;
	free(b);
}

static int disk_load(struct source *s, struct entry *n, struct entry_detail *ret, struct err *e)
{
	(void)s;
	(void)n;
	(void)e;
	*ret = (struct entry_detail){ 0 };
	return 0;
}

static int disk_open(struct source *s, struct entry *n, struct content **ret, struct err *e)
{
	struct disk_source *k = (struct disk_source *)s;
	struct disk_content *c = calloc(1, sizeof(*c));

	if (!c || !(c->ahead = malloc(AHEAD_BYTES))) {
		free(c);
		return err_set(e, ERR_NOMEM, "no memory to read a snapshot");
	}
	c->c.fd = -1;
	c->c.name = k->disk->id;
	c->c.st = n->st;
	c->disk = k->disk;
	*ret = &c->c;
	return 0;
}

static int disk_data(struct content *c, uint64_t off, uint64_t *ret_start, uint64_t *ret_end,
                     struct err *e)
{
	const struct disk_content *k = (struct disk_content *)c;

	(void)e;
	ranges_next(k->disk->data, off, c->st.size, ret_start, ret_end);
	return 0;
}

static int disk_changed(struct content *c, uint64_t off, bool *ret_known, uint64_t *ret_start,
                        uint64_t *ret_end, struct err *e)
{
	const struct disk_content *k = (struct disk_content *)c;

	(void)e;
	*ret_known = k->disk->changed != NULL;
	*ret_start = off;
	*ret_end = c->st.size;
	if (*ret_known)
		ranges_next(k->disk->changed, off, c->st.size, ret_start, ret_end);
	return 0;
}

/* How many bytes at off are to be read at once, n of which are wanted. */
static size_t piece(const struct azure_disk *d, uint64_t off, size_t n)
{
	uint64_t start, end, left;

	ranges_next(d->data, off, d->is.bytes, &start, &end);
	left = start == off ? end - off : 0;
	if (d->changed) {
		ranges_next(d->changed, off, d->is.bytes, &start, &end);
		left = start != off ? 0 : end - off < left ? end - off : left;
	}
	left = left < AHEAD_BYTES ? left : AHEAD_BYTES;
	return left > n ? (size_t)left : n;
}

static int64_t disk_read(struct content *c, void *p, size_t n, uint64_t off, struct err *e)
{
	struct disk_content *k = (struct disk_content *)c;
	uint8_t *to = p;

	if (off >= c->st.size)
		return 0;
	if (n > c->st.size - off)
		n = (size_t)(c->st.size - off);
	for (size_t done = 0; done < n;) {
		uint64_t at = off + done;
		size_t want = n - done;

		if (at < k->off || at >= k->off + k->n) {
			size_t all = piece(k->disk, at, want);
			bool direct = all == want;

			k->n = 0;
			if (azure_blob_read(k->disk->blob, direct ? to + done : k->ahead, all, at,
			                    e) < 0) {
				/* Of a source it would mean a file that has gone. */
				if (e->class == ERR_NOT_FOUND)
					e->class = ERR_IO;
				return err_wrap(e, "reading the snapshot '%s'", k->disk->id);
			}
			if (direct)
				break;
			k->off = at;
			k->n = all;
		}
		size_t there = (size_t)(k->off + k->n - at);
		there = there < want ? there : want;
		memcpy(to + done, k->ahead + (at - k->off), there);
		done += there;
	}
	return (int64_t)n;
}

static int disk_close(struct content *c, struct entry_stat *ret_st, bool *ret_changed,
                      struct err *e)
{
	struct disk_content *k = (struct disk_content *)c;

	(void)e;
	*ret_st = c->st;
	*ret_changed = false;
	free(k->ahead);
	free(k);
	return 0;
}

static void disk_free(struct source *s)
{
	free(s);
}

static const struct source_ops disk_ops = {
	.name = "azure-disk",
	.next = disk_next,
	.batch_free = disk_batch_free,
	.load = disk_load,
	.open = disk_open,
	.data = disk_data,
	.changed = disk_changed,
	.read = disk_read,
	.close = disk_close,
	.free = disk_free,
};

struct source *azure_disk_source(struct azure_disk *d, struct err *e)
{
	struct disk_source *k = calloc(1, sizeof(*k));

	if (!k) {
		err_set(e, ERR_NOMEM, "no memory to read a snapshot");
		return NULL;
	}
	k->source.ops = &disk_ops;
	k->disk = d;
	return &k->source;
}

/* ---- what is left ---- */

int azure_disk_clean(struct azure_arm *a, const char *text, struct err *e)
{
	const char *id = text + strlen(AZURE_BLOB_NOTE);

	if (strncmp(text, AZURE_BLOB_NOTE, strlen(AZURE_BLOB_NOTE)) != 0 ||
	    !azure_arm_is_snapshot(id))
		return err_set(e, ERR_FORMAT, "a note of access to a snapshot names none");
	return azure_arm_end_access(a, id, e);
}
