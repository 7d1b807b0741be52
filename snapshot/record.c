/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch is its length in 4 bytes, then the path of the directory that all of
 * its entries are in, then the entries. An entry's name is empty for the root alone.
 */
#include "snapshot/record.h"

#include <string.h>

#include "common/rd.h"

#define DETAIL_MAX (SOURCE_XATTRS_MAX + 64 * KIB)
#define LIST_MEMORY (4 * MIB)
#define DETAILS_MEMORY (2 * MIB)
#define BATCH_MAX (2 * MIB) /* one directory's path, 256 names of 255 bytes */

int record_open(struct record *ret, const char *scratch_dir, struct err *e)
{
	*ret = RECORD_NONE;
	ret->buf = BUF_INIT(BATCH_MAX);
	if (spill_open(&ret->list, scratch_dir, LIST_MEMORY, e) < 0 ||
	    spill_open(&ret->details, scratch_dir, DETAILS_MEMORY, e) < 0)
		return -1;
	return spill_add(&ret->details, "", 1, e); /* 0 is no place */
}

void record_close(struct record *r)
{
	spill_close(&r->list);
	spill_close(&r->details);
	buf_clear(&r->buf);
	*r = RECORD_NONE;
}

int record_flush(struct record *r, struct err *e)
{
	return spill_flush(&r->list, e) < 0 || spill_flush(&r->details, e) < 0 ? -1 : 0;
}

static int append(struct spill *to, struct buf *b, struct err *e)
{
	return buf_check(b, "a list of files", e) < 0 ? -1 : spill_add(to, b->data, b->len, e);
}

int record_detail(struct record *r, const struct entry_detail *d, uint64_t *ret_off,
                  uint32_t *ret_len, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(DETAIL_MAX);
	uint64_t off = r->details.len;

	if (!d->link_len && !d->xattrs_len && !d->fsflags && !d->projid) {
		*ret_off = 0;
		*ret_len = 0;
		return 0;
	}
	(void)buf_bytes(&b, d->link, d->link_len); /* a failure sticks */
	(void)buf_bytes(&b, d->xattrs, d->xattrs_len);
	(void)buf_u32(&b, d->fsflags);
	(void)buf_u32(&b, d->projid);
	if (append(&r->details, &b, e) < 0)
		return -1;
	*ret_off = off;
	*ret_len = (uint32_t)b.len;
	return 0;
}

static int damaged(struct err *e)
{
	return err_set(e, ERR_IO, "a scratch file does not have what was written to it");
}

/* A copy of n bytes, NULL for none. */
static bool keep_bytes(const uint8_t *p, size_t n, uint8_t **ret)
{
	*ret = n ? malloc(n) : NULL;
	if (*ret)
		memcpy(*ret, p, n);
	return n == 0 || *ret;
}

int record_load(const struct record *r, uint64_t off, uint32_t len, const char *name,
                struct entry_detail *ret, struct err *e)
{
	CLEANUP(entry_detail_clear) struct entry_detail d = { 0 };
	size_t link_len, xattrs_len;

	if (off == 0) {
		*ret = d;
		return 0;
	}
	auto_free uint8_t *p = malloc(len ? len : 1);
	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for the details of '%s'", name);
	if (spill_read(&r->details, p, len, off, e) < 0)
		return -1;
	struct rd rd = rd_of(p, len);
	const uint8_t *link = rd_bytes(&rd, DETAIL_MAX, &link_len);
	const uint8_t *xattrs = rd_bytes(&rd, DETAIL_MAX, &xattrs_len);
	d.fsflags = rd_u32(&rd);
	d.projid = rd_u32(&rd);
	if (!rd_done(&rd))
		return damaged(e);
	if (!keep_bytes(link, link_len, &d.link) || !keep_bytes(xattrs, xattrs_len, &d.xattrs))
		return err_set(e, ERR_NOMEM, "no memory for the details of '%s'", name);
	d.link_len = link_len;
	d.xattrs_len = xattrs_len;
	*ret = d;
	d = (struct entry_detail){ 0 };
	return 0;
}

static void put_entry(struct buf *b, const struct entry *n)
{
	const struct entry_stat *st = &n->st;

	(void)buf_bytes(b, n->name, n->path_len ? n->path_len - (size_t)(n->name - n->path) : 0);
	(void)buf_u8(b, (uint8_t)n->state);
	(void)buf_u8(b, n->block);
	(void)buf_uvar(b, (uint64_t)n->os);
	(void)buf_uvar(b, st->mode);
	(void)buf_uvar(b, st->uid);
	(void)buf_uvar(b, st->gid);
	(void)buf_uvar(b, st->nlink);
	(void)buf_uvar(b, st->rdev_major);
	(void)buf_uvar(b, st->rdev_minor);
	(void)buf_uvar(b, st->ino);
	(void)buf_uvar(b, st->size);
	(void)buf_svar(b, st->mtime.s);
	(void)buf_uvar(b, st->mtime.ns);
	(void)buf_svar(b, st->ctime.s);
	(void)buf_uvar(b, st->ctime.ns);
}

static void get_entry(struct rd *rd, struct entry *n)
{
	struct entry_stat *st = &n->st;

	n->state = (enum entry_state)rd_u8(rd);
	n->block = rd_u8(rd);
	n->os = (int)rd_uvar(rd);
	st->mode = (uint32_t)rd_uvar(rd);
	st->uid = (uint32_t)rd_uvar(rd);
	st->gid = (uint32_t)rd_uvar(rd);
	st->nlink = (uint32_t)rd_uvar(rd);
	st->rdev_major = (uint32_t)rd_uvar(rd);
	st->rdev_minor = (uint32_t)rd_uvar(rd);
	st->ino = rd_uvar(rd);
	st->size = rd_uvar(rd);
	st->mtime.s = rd_svar(rd);
	st->mtime.ns = (uint32_t)rd_uvar(rd);
	st->ctime.s = rd_svar(rd);
	st->ctime.ns = (uint32_t)rd_uvar(rd);
}

int record_batch(struct record *r, const struct batch *b, struct err *e)
{
	if (b->n == 0)
		return 0;
	const struct entry *first = &b->entries[0];
	size_t dir_len = first->path_len ? (size_t)(first->name - first->path) : 0;

	buf_reset(&r->buf);
	(void)buf_u32(&r->buf, 0); /* a failure of any sticks */
	(void)buf_bytes(&r->buf, first->path, dir_len > 0 ? dir_len - 1 : 0);
	for (size_t i = 0; i < b->n; i++)
		put_entry(&r->buf, &b->entries[i]);
	uint32_t len = (uint32_t)(r->buf.len - sizeof(len));
	if (!r->buf.failed)
		memcpy(r->buf.data, &len, sizeof(len));
	return append(&r->list, &r->buf, e);
}

void record_reader_init(struct record_reader *rr, const struct record *r)
{
	*rr = (struct record_reader){ .r = r, .buf = BUF_INIT(BATCH_MAX) };
}

void record_reader_clear(struct record_reader *rr)
{
	buf_clear(&rr->buf);
}

/* The bytes of the next batch, into rr->buf. */
static int read_batch(struct record_reader *rr, struct err *e)
{
	uint32_t len;

	buf_reset(&rr->buf);
	if (spill_read(&rr->r->list, &len, sizeof(len), rr->at, e) < 0)
		return -1;
	if (len > BATCH_MAX)
		return damaged(e);
	if (buf_zero(&rr->buf, len) < 0)
		return buf_check(&rr->buf, "a list of files", e);
	if (spill_read(&rr->r->list, rr->buf.data, len, rr->at + sizeof(len), e) < 0)
		return -1;
	rr->at += sizeof(len) + len;
	return 0;
}

int record_next(struct record_reader *rr, struct batch_pool *pool, record_keep *keep, void *arg,
                struct walk_batch **ret, struct err *e)
{
	size_t dir_len, name_len;

	if (rr->at >= rr->r->list.len) {
		*ret = NULL;
		return 0;
	}
	if (read_batch(rr, e) < 0)
		return -1;
	struct rd rd = rd_of(rr->buf.data, rr->buf.len);
	const char *dir = (const char *)rd_bytes(&rd, BATCH_MAX, &dir_len);
	struct walk_batch *b = batch_new(pool, NULL);
	while (b && rd_ok(&rd) && !rd_done(&rd)) {
		struct entry read = { 0 };
		const char *name = (const char *)rd_bytes(&rd, BATCH_MAX, &name_len);

		get_entry(&rd, &read);
		if (!rd_ok(&rd) || !keep(arg, dir, dir_len, name, name_len, &read.st))
			continue;
		struct entry *n = batch_add(b, dir, dir_len, name, name_len);
		if (!n) {
			batch_unref(b);
			b = NULL;
			break;
		}
		n->st = read.st;
		n->state = read.state;
		n->os = read.os;
		n->block = read.block;
	}
	if (!b)
		return err_set(e, ERR_NOMEM, "no memory for the list of files");
	if (!rd_done(&rd)) {
		batch_unref(b);
		return damaged(e);
	}
	*ret = b;
	return 0;
}
