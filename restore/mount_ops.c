/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to the kernel's requests. What is damaged is EIO to who asked, and a
 * line in the log that says which file, why, and what to do; all else goes on.
 */
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/source.h"
#include "common/text.h"
#include "restore/ahead.h"
#include "restore/mount_impl.h"

#define KEEP_S (30.0 * 86400) /* names and attributes never change */
#define READ_MAX (4 * MIB)
#define PATH_SHOWN (8 * KIB)

/* An open file. */
struct handle {
	struct mount_opened opened;
	pthread_mutex_t lock;
	struct ahead ahead; /* guarded by lock */
	bool told;          /* guarded by lock: of its damage */
};

/* An open directory. */
struct dir_handle {
	struct mount_opened opened;
	atomic_bool damaged; /* some of it cannot be read */
};

static struct mount_session *session_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static const struct mount_params *params_of(fuse_req_t req)
{
	return session_of(req)->params;
}

static struct mount_tree *tree_of(fuse_req_t req)
{
	return params_of(req)->tree;
}

/* ---- what is open ---- */

static void add_opened(struct mount_session *m, struct mount_opened *o)
{
	(void)pthread_mutex_lock(&m->lock);
	o->next = m->opened;
	o->at = &m->opened;
	if (o->next)
		o->next->at = &o->next;
	m->opened = o;
	(void)pthread_mutex_unlock(&m->lock);
}

static void free_opened(struct mount_session *m, struct mount_opened *take_o)
{
	(void)pthread_mutex_lock(&m->lock);
	*take_o->at = take_o->next;
	if (take_o->next)
		take_o->next->at = take_o->at;
	(void)pthread_mutex_unlock(&m->lock);
	free(take_o);
}

/* The kernel tells of a close() later, and where a mount ends in between, never. */
void mount_ops_close(struct mount_session *m)
{
	while (m->opened)
		free_opened(m, m->opened);
}

/* ---- errors ---- */

static int errno_of(const struct err *e)
{
	switch (e->class) {
	case ERR_NOMEM:
		return ENOMEM;
	case ERR_CANCELLED:
		return EINTR;
	case ERR_INVALID:
		return EINVAL;
	case ERR_DENIED:
		return EACCES;
	default:
		return EIO;
	}
}

/* What is to be said of an entry, in the log. */
static void tell(fuse_req_t req, uint64_t id, const char *what, const struct err *why)
{
	CLEANUP(buf_clear) struct buf path = BUF_INIT(PATH_SHOWN);
	CLEANUP(buf_clear) struct buf shown = BUF_INIT(4 * PATH_SHOWN + 1);

	if (why->class == ERR_CANCELLED || why->class == ERR_INVALID)
		return;
	mount_tree_path(tree_of(req), id, &path);
	(void)text_put(&shown, buf_cstr(&path), TEXT_LINE);
	log_warn(what, LOG_S("path", buf_cstr(&shown)), LOG_S("why", why->msg),
	         LOG_S("help", "try an older point; aksdr-catalog check tells what else is hurt, "
	                       "repair mends what a second copy has"));
}

/* Answers that the entry cannot be had. */
static void refuse(fuse_req_t req, uint64_t id, const struct err *why)
{
	tell(req, id, "an entry cannot be read", why);
	(void)fuse_reply_err(req, errno_of(why));
}

/* ---- names and attributes ---- */

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want |= conn->capable & FUSE_CAP_CACHE_SYMLINKS;
	conn->time_gran = 1;
	conn->max_background = 32; /* reads of the kernel's own, ahead of somebody's */
}

static void on_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct fuse_entry_param p = { .attr_timeout = KEEP_S, .entry_timeout = KEEP_S };
	struct err e = ERR_INIT;
	bool found;

	if (mount_tree_lookup(tree_of(req), dir, name, &found, &p.attr, &e) < 0) {
		refuse(req, dir, &e);
		return;
	}
	/* Number 0: the kernel may keep that there is none. */
	p.ino = found ? p.attr.st_ino : 0;
	(void)fuse_reply_entry(req, &p);
}

/* Nothing is kept for the kernel's sake. */
static void on_forget(fuse_req_t req, fuse_ino_t id, uint64_t n)
{
	(void)id;
	(void)n;
	fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *list)
{
	(void)n;
	(void)list;
	fuse_reply_none(req);
}

static void on_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct err e = ERR_INIT;
	struct stat st;

	(void)fi;
	if (mount_tree_stat(tree_of(req), id, &st, &e) < 0)
		refuse(req, id, &e);
	else
		(void)fuse_reply_attr(req, &st, KEEP_S);
}

static void on_readlink(fuse_req_t req, fuse_ino_t id)
{
	CLEANUP(buf_clear) struct buf to = BUF_INIT(FORMAT_PATH_MAX + 1);
	struct err e = ERR_INIT;

	if (mount_tree_link(tree_of(req), id, &to, &e) < 0)
		refuse(req, id, &e);
	else
		(void)fuse_reply_readlink(req, buf_cstr(&to));
}

static void on_statfs(fuse_req_t req, fuse_ino_t id)
{
	const struct mount_params *p = params_of(req);
	const struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = (p->bytes + 4095) / 4096,
		.f_files = p->files,
		.f_namemax = 255,
		.f_flag = ST_RDONLY | ST_NOSUID,
	};

	(void)id;
	(void)fuse_reply_statfs(req, &st);
}

/* ---- attributes ---- */

/* A value, or its length only when the caller has no room yet. */
static void reply_value(fuse_req_t req, const struct buf *b, size_t size)
{
	if (size == 0)
		(void)fuse_reply_xattr(req, b->len);
	else if (b->len > size)
		(void)fuse_reply_err(req, ERANGE);
	else
		(void)fuse_reply_buf(req, (const char *)b->data, b->len);
}

static void on_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size)
{
	CLEANUP(buf_clear) struct buf value = BUF_INIT(SOURCE_XATTRS_MAX);
	struct err e = ERR_INIT;
	bool found = false;
	uint64_t number;
	struct browse *b;

	if (mount_tree_entry(tree_of(req), id, &b, &number, &e) < 0 ||
	    (b && browse_xattr(b, number, name, &value, &found, &e) < 0))
		refuse(req, id, &e);
	else if (!found)
		(void)fuse_reply_err(req, ENODATA);
	else
		reply_value(req, &value, size);
}

static void on_listxattr(fuse_req_t req, fuse_ino_t id, size_t size)
{
	CLEANUP(buf_clear) struct buf names = BUF_INIT(SOURCE_XATTRS_MAX);
	struct err e = ERR_INIT;
	uint64_t number;
	struct browse *b;

	if (mount_tree_entry(tree_of(req), id, &b, &number, &e) < 0 ||
	    (b && browse_xattrs(b, number, &names, &e) < 0))
		refuse(req, id, &e);
	else
		reply_value(req, &names, size);
}

/* File flags as FS_IOC_FSGETXATTR has them, of those that FS_IOC_GETFLAGS has. */
static uint32_t xflags_of(uint32_t flags)
{
	static const struct {
		uint32_t flag, xflag;
	} pairs[] = {
		{ FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE },
		{ FS_APPEND_FL, FS_XFLAG_APPEND },
		{ FS_SYNC_FL, FS_XFLAG_SYNC },
		{ FS_NOATIME_FL, FS_XFLAG_NOATIME },
		{ FS_NODUMP_FL, FS_XFLAG_NODUMP },
		{ FS_PROJINHERIT_FL, FS_XFLAG_PROJINHERIT },
	};
	uint32_t x = 0;

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		x |= flags & pairs[i].flag ? pairs[i].xflag : 0;
	return x;
}

static void on_ioctl(fuse_req_t req, fuse_ino_t id, unsigned cmd, void *arg,
                     struct fuse_file_info *fi, unsigned how, const void *in, size_t in_size,
                     size_t out_size)
{
	struct err e = ERR_INIT;
	struct fsxattr x = { 0 };
	uint32_t flags = 0;
	uint64_t number;
	struct browse *b;

	(void)arg;
	(void)fi;
	(void)how;
	(void)in;
	(void)in_size;
	if (cmd != FS_IOC_GETFLAGS && cmd != FS_IOC_FSGETXATTR) {
		(void)fuse_reply_err(req, ENOTTY);
		return;
	}
	if (mount_tree_entry(tree_of(req), id, &b, &number, &e) < 0 ||
	    (b && browse_flags(b, number, &flags, &x.fsx_projid, &e) < 0)) {
		refuse(req, id, &e);
		return;
	}
	x.fsx_xflags = xflags_of(flags);
	if (cmd == FS_IOC_GETFLAGS && out_size >= sizeof(flags))
		(void)fuse_reply_ioctl(req, 0, &flags, sizeof(flags));
	else if (cmd == FS_IOC_FSGETXATTR && out_size >= sizeof(x))
		(void)fuse_reply_ioctl(req, 0, &x, sizeof(x));
	else
		(void)fuse_reply_err(req, EINVAL);
}

/* ---- files ---- */

static struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

static void on_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct mount_session *m = session_of(req);
	struct handle *h = calloc(1, sizeof(*h));

	(void)id;
	if (!h) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	(void)pthread_mutex_init(&h->lock, NULL);
	fi->fh = (uintptr_t)h;
	fi->keep_cache = 1;
	add_opened(m, &h->opened);
	if (fuse_reply_open(req, fi) < 0)
		free_opened(m, &h->opened);
}

static void on_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	(void)id;
	free_opened(session_of(req), &handle_of(fi)->opened);
	(void)fuse_reply_err(req, 0);
}

/* The first damage of an open file is told; more of it would be a line for each page. */
static void refuse_read(fuse_req_t req, fuse_ino_t id, struct handle *h, const struct err *why)
{
	(void)pthread_mutex_lock(&h->lock);
	bool told = h->told;
	h->told = true;
	(void)pthread_mutex_unlock(&h->lock);
	if (!told)
		tell(req, id, "a file cannot be read", why);
	(void)fuse_reply_err(req, errno_of(why));
}

static void on_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	uint64_t max = chunks_ahead_max(params_of(req)->chunks) / 2;
	struct err e = ERR_INIT;
	uint64_t from;
	uint64_t ahead;
	uint64_t number;
	struct browse *b;
	size_t n = size < READ_MAX ? size : READ_MAX;
	size_t got = 0;

	auto_free char *p = malloc(n > 0 ? n : 1);
	if (!p) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	if (mount_tree_entry(tree_of(req), id, &b, &number, &e) < 0 ||
	    (b && browse_read(b, number, (uint64_t)off, p, n, &got, &e) < 0)) {
		refuse_read(req, id, h, &e);
		return;
	}
	(void)pthread_mutex_lock(&h->lock);
	bool more = b && ahead_next(&h->ahead, (uint64_t)off, got, max, &from, &ahead);
	(void)pthread_mutex_unlock(&h->lock);
	/* Once it has its answer, the file may be closed. */
	(void)fuse_reply_buf(req, p, got);
	if (more)
		browse_fetch(b, number, from, ahead);
}

static void on_lseek(fuse_req_t req, fuse_ino_t id, off_t off, int whence,
                     struct fuse_file_info *fi)
{
	struct err e = ERR_INIT;
	uint64_t number;
	uint64_t at = 0;
	struct browse *b;
	struct stat st;
	bool found = false;

	if (whence != SEEK_DATA && whence != SEEK_HOLE) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	if (mount_tree_stat(tree_of(req), id, &st, &e) < 0 ||
	    mount_tree_entry(tree_of(req), id, &b, &number, &e) < 0) {
		refuse_read(req, id, handle_of(fi), &e);
		return;
	}
	if (b && off >= 0 && off < st.st_size &&
	    browse_seek(b, number, (uint64_t)off, whence == SEEK_HOLE, &found, &at, &e) < 0) {
		refuse_read(req, id, handle_of(fi), &e);
		return;
	}
	if (found)
		(void)fuse_reply_lseek(req, (off_t)at);
	else
		(void)fuse_reply_err(req, ENXIO);
}

/* ---- directories ---- */

static struct dir_handle *dir_handle_of(const struct fuse_file_info *fi)
{
	return (struct dir_handle *)(uintptr_t)fi->fh;
}

static void on_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct mount_session *m = session_of(req);
	struct dir_handle *h = calloc(1, sizeof(*h));

	(void)id;
	if (!h) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	fi->fh = (uintptr_t)h;
	fi->keep_cache = 1;
	fi->cache_readdir = 1;
	add_opened(m, &h->opened);
	if (fuse_reply_open(req, fi) < 0)
		free_opened(m, &h->opened);
}

static void on_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	(void)id;
	free_opened(session_of(req), &dir_handle_of(fi)->opened);
	(void)fuse_reply_err(req, 0);
}

/* Where to go on: 1 is behind ".", 2 behind "..", then what mount_tree_list() says and 2. */
#define DOTS 2

struct dir_page {
	fuse_req_t req;
	char *data;
	size_t cap, len;
	bool plus; /* with attributes */
};

/* false: the page is full. */
static bool page_add(struct dir_page *p, const char *name, const struct stat *st, bool full,
                     uint64_t next)
{
	const struct fuse_entry_param n = {
		.ino = full ? st->st_ino : 0,
		.attr = *st,
		.attr_timeout = KEEP_S,
		.entry_timeout = KEEP_S,
	};
	size_t left = p->cap - p->len;
	char *to = p->data + p->len;
	size_t need = p->plus ? fuse_add_direntry_plus(p->req, to, left, name, &n, (off_t)next)
	                      : fuse_add_direntry(p->req, to, left, name, st, (off_t)next);

	if (need > left)
		return false;
	p->len += need;
	return true;
}

static bool page_each(void *arg, const char *name, size_t len, const struct stat *st, bool full,
                      uint64_t next)
{
	char text[NAME_MAX + 1];

	if (len > NAME_MAX)
		return true; /* the decoder of trees has refused it */
	memcpy(text, name, len);
	text[len] = '\0';
	return page_add(arg, text, st, full, next + DOTS);
}

static void list_dir(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
                     struct fuse_file_info *fi, bool plus)
{
	static const char *const dots[DOTS] = { ".", ".." };
	struct dir_handle *h = dir_handle_of(fi);
	struct dir_page page = { .req = req, .cap = size < READ_MAX ? size : READ_MAX };
	const struct stat dot = { .st_ino = id, .st_mode = S_IFDIR };
	struct err why = ERR_INIT;
	struct err e = ERR_INIT;
	uint64_t from = (uint64_t)off;
	bool damaged = false;

	auto_free char *data = malloc(page.cap);
	if (!data) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	page.data = data;
	page.plus = plus;
	for (; from < DOTS; from++) {
		if (!page_add(&page, dots[from], &dot, false, from + 1))
			break;
	}
	if (from >= DOTS && mount_tree_list(tree_of(req), id, from - DOTS, page_each, &page,
	                                    &damaged, &why, &e) < 0) {
		refuse(req, id, &e);
		return;
	}
	if (damaged && !atomic_exchange(&h->damaged, true))
		tell(req, id, "part of a directory cannot be read", &why);
	/* All that there is was given; now that it is not all there was. */
	if (page.len == 0 && atomic_load(&h->damaged))
		(void)fuse_reply_err(req, EIO);
	else
		(void)fuse_reply_buf(req, page.data, page.len);
}

static void on_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
	list_dir(req, id, size, off, fi, false);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
                           struct fuse_file_info *fi)
{
	list_dir(req, id, size, off, fi, true);
}

const struct fuse_lowlevel_ops mount_ops = {
	.init = on_init,
	.lookup = on_lookup,
	.forget = on_forget,
	.forget_multi = on_forget_multi,
	.getattr = on_getattr,
	.readlink = on_readlink,
	.statfs = on_statfs,
	.getxattr = on_getxattr,
	.listxattr = on_listxattr,
	.ioctl = on_ioctl,
	.open = on_open,
	.release = on_release,
	.read = on_read,
	.lseek = on_lseek,
	.opendir = on_opendir,
	.releasedir = on_releasedir,
	.readdir = on_readdir,
	.readdirplus = on_readdirplus,
};
