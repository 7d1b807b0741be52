/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit that backup and restore of a folder cannot go below on this machine: the CPU seconds of
 * the primitives that every deduplicating, compressing and encrypting program needs, over the same
 * bytes, with nothing around them.
 *
 *   limits [--level N] [--work DIR] [--keep] [--against OLD] FOLDER
 *
 * The files are put one after another into pieces of 1 MiB: a large file makes many, many small
 * files share one, holes are skipped. Each piece goes through all steps before the next is read, so
 * that it is in the processor's cache as in a good pipeline, in one thread, with the process's CPU
 * clock read between the steps:
 *
 *   walk      list every folder, stat every entry
 *   read      open, pread what is data, close
 *   cut       keyed Gear table, normalised, 256 KiB / 1 MiB / 4 MiB
 *   hash      keyed SHA-256 of each 4 KiB page, and of those together
 *   compress  zstd; kept where it gains 3 %
 *   verify    decompress and compare
 *   encrypt   AES-256-GCM over what compress left
 *   write     into a file below DIR, 32 MiB a time
 *
 * and back from that file: reread, decrypt, decompress, and rewrite (make folders, files and links
 * below DIR, write, set owners and times, close).
 *
 * With --against, FOLDER holds what changed in OLD: all of it is read, cut and hashed, but only
 * pages that differ from the same place in OLD's file of that name go on, and nothing is restored.
 * kept_bytes is then what the changed pages compress to.
 *
 * One JSON object with the seconds of each step goes to stdout. Nothing of the product is linked
 * in: a slow product cannot slow its own yardstick. Any error ends the program: the limit of half a
 * folder is none.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* deprecated in OpenSSL 3, and the fastest way in it to hash many short pages */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <zstd.h>

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * KIB)

#define PIECE_BYTES MIB
#define PACK_BYTES (32 * MIB)
#define PAGE_BYTES (4 * KIB)
#define TAG_BYTES 16

#define CUT_MIN_BYTES (256 * KIB)
#define CUT_AVG_BYTES (1 * MIB)
#define CUT_MAX_BYTES (4 * MIB)
#define CUT_WINDOW_BYTES 64

enum step {
	STEP_WALK,
	STEP_READ,
	STEP_CUT,
	STEP_HASH,
	STEP_COMPRESS,
	STEP_VERIFY,
	STEP_ENCRYPT,
	STEP_WRITE,
	STEP_REREAD,
	STEP_DECRYPT,
	STEP_DECOMPRESS,
	STEP_REWRITE,
	STEP_COUNT,
};

static const char *const step_names[STEP_COUNT] = {
	[STEP_WALK] = "walk",
	[STEP_READ] = "read",
	[STEP_CUT] = "cut",
	[STEP_HASH] = "hash",
	[STEP_COMPRESS] = "compress",
	[STEP_VERIFY] = "verify",
	[STEP_ENCRYPT] = "encrypt",
	[STEP_WRITE] = "write",
	[STEP_REREAD] = "reread",
	[STEP_DECRYPT] = "decrypt",
	[STEP_DECOMPRESS] = "decompress",
	[STEP_REWRITE] = "rewrite",
};

struct dir {
	size_t path; /* offset in names: path below the folder, "." for itself */
	struct timespec times[2];
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

struct file {
	size_t dir;  /* index in dirs; the files of a folder are together */
	size_t name; /* offset in names */
	size_t link; /* offset in names of what a symbolic link says; 0 for a regular file */
	off_t size_bytes;
	struct timespec times[2];
	mode_t mode;
	uid_t uid;
	gid_t gid;
	bool sparse;
};

/* A range of a file; its bytes follow the last range in the piece. An empty file has one too. */
struct range {
	size_t file;
	off_t off;
	size_t len;
};

struct piece {
	size_t first_range; /* its ranges end where the next piece's begin */
	size_t raw_bytes;
	size_t kept_bytes; /* compressed, or raw_bytes where that gained too little */
	off_t at;          /* in the work file; the tag follows the bytes */
};

struct list {
	void *items;
	size_t len;
	size_t cap;
};

struct cutter {
	uint64_t gear[256];
	uint64_t hash;
	size_t len; /* bytes since the last cut */
	uint64_t cuts;
};

struct run {
	int src;
	int work;
	int pack;
	int against; /* -1 without --against */
	int level;
	struct list dirs;
	struct list files;
	struct list ranges;
	struct list pieces;
	struct list names;
	uint64_t bytes;
	uint64_t data_bytes;
	uint64_t changed_bytes; /* with --against: in pages that differ */
	uint64_t kept_bytes;
	uint64_t others; /* devices, fifos, sockets: counted, not made again */
	uint64_t cpu_ns[STEP_COUNT];
	uint64_t mark_ns;
	struct cutter cutter;
	SHA256_CTX keyed; /* the key's block is hashed once */
	uint8_t digest[SHA256_DIGEST_LENGTH];
	EVP_CIPHER_CTX *seal;
	EVP_CIPHER_CTX *open;
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
	uint8_t *raw;
	uint8_t *packed;
	uint8_t *back;
	uint8_t *sealed;
	size_t sealed_len;
	off_t sealed_at;  /* end of the work file, what is in sealed counted */
	uint8_t *old;     /* with --against: what was where the bytes in raw are */
	uint8_t *changed; /* with --against: pages that differ, waiting for a full piece */
	size_t changed_len;
};

static _Noreturn void die(int errnum, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void die(int errnum, const char *fmt, ...)
{
	va_list args;

	fputs("limits: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	if (errnum)
		fprintf(stderr, ": %s", strerror(errnum));
	fputc('\n', stderr);
	exit(1);
}

/* Memory that was touched, so that no step pays for another's first use of it. */
static void *take(size_t n)
{
	void *p = malloc(n);

	if (!p)
		die(ENOMEM, "%zu bytes", n);
	return memset(p, 1, n);
}

static void *list_add(struct list *list, size_t item_bytes, size_t n)
{
	void *ret;

	if (list->len + n > list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 1024;

		while (cap < list->len + n)
			cap *= 2;
		list->items = reallocarray(list->items, cap, item_bytes);
		if (!list->items)
			die(ENOMEM, "a list of %zu items", cap);
		list->cap = cap;
	}
	ret = (char *)list->items + list->len * item_bytes;
	memset(ret, 0, n * item_bytes);
	list->len += n;
	return ret;
}

static struct dir *dir_at(const struct run *r, size_t i)
{
	return (struct dir *)r->dirs.items + i;
}

static struct file *file_at(const struct run *r, size_t i)
{
	return (struct file *)r->files.items + i;
}

static struct range *range_at(const struct run *r, size_t i)
{
	return (struct range *)r->ranges.items + i;
}

static struct piece *piece_at(const struct run *r, size_t i)
{
	return (struct piece *)r->pieces.items + i;
}

static const char *name_at(const struct run *r, size_t off)
{
	return (const char *)r->names.items + off;
}

static size_t name_add(struct run *r, const char *name, size_t len)
{
	size_t ret = r->names.len;

	memcpy(list_add(&r->names, 1, len + 1), name, len);
	return ret;
}

static uint64_t cpu_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void clock_start(struct run *r)
{
	r->mark_ns = cpu_now_ns();
}

/* The time since the last call of this or of clock_start() belongs to step. */
static void clock_to(struct run *r, enum step step)
{
	uint64_t now = cpu_now_ns();

	r->cpu_ns[step] += now - r->mark_ns;
	r->mark_ns = now;
}

/* ---- walk ---- */

static void walk_entry(struct run *r, int fd, size_t dir, const char *name)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		die(errno, "stat of '%s'", name);
	if (S_ISDIR(st.st_mode)) {
		size_t path = r->names.len;
		bool top = dir == 0;
		size_t above = top ? 0 : strlen(name_at(r, dir_at(r, dir)->path)) + 1;
		size_t len = strlen(name);
		char *to = list_add(&r->names, 1, above + len + 1);
		struct dir *d;

		if (!top) {
			memcpy(to, name_at(r, dir_at(r, dir)->path), above - 1);
			to[above - 1] = '/';
		}
		memcpy(to + above, name, len);
		d = list_add(&r->dirs, sizeof(*d), 1);
		*d = (struct dir){
			.path = path, .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid
		};
		d->times[0] = st.st_atim;
		d->times[1] = st.st_mtim;
	} else if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) {
		struct file f = {
			.dir = dir,
			.size_bytes = st.st_size,
			.mode = st.st_mode,
			.uid = st.st_uid,
			.gid = st.st_gid,
			.sparse = st.st_blocks * 512 < st.st_size,
		};

		f.times[0] = st.st_atim;
		f.times[1] = st.st_mtim;
		f.name = name_add(r, name, strlen(name));
		if (S_ISLNK(st.st_mode)) {
			char target[4096];
			ssize_t n = readlinkat(fd, name, target, sizeof(target));

			if (n < 0)
				die(errno, "reading the link '%s'", name);
			f.link = name_add(r, target, (size_t)n);
		} else {
			r->bytes += (uint64_t)st.st_size;
		}
		*(struct file *)list_add(&r->files, sizeof(f), 1) = f;
	} else {
		r->others++;
	}
}

/* Breadth first: the list of folders is its own queue. */
static void walk(struct run *r)
{
	struct stat st;
	struct dir *top;
	size_t dot;

	if (fstat(r->src, &st) < 0)
		die(errno, "stat of the folder");
	name_add(r, "", 0); /* so that offset 0 means none */
	dot = name_add(r, ".", 1);
	top = list_add(&r->dirs, sizeof(*top), 1);
	*top = (struct dir){ .path = dot, .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid };
	top->times[0] = st.st_atim;
	top->times[1] = st.st_mtim;
	for (size_t i = 0; i < r->dirs.len; i++) {
		const char *path = name_at(r, dir_at(r, i)->path);
		int fd = openat(r->src, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		DIR *stream = fd < 0 ? NULL : fdopendir(fd);

		if (!stream)
			die(errno, "opening the folder '%s'", path);
		for (;;) {
			struct dirent *entry;

			errno = 0;
			entry = readdir(stream);
			if (!entry)
				break;
			if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
				walk_entry(r, fd, i, entry->d_name);
		}
		if (errno)
			die(errno, "listing the folder '%s'", name_at(r, dir_at(r, i)->path));
		closedir(stream);
	}
}

/* ---- the steps of a backup ---- */

static void cut_init(struct cutter *c)
{
	uint64_t x = 0x243f6a8885a308d3u; /* any constant stands for the key */

	for (size_t i = 0; i < 256; i++) {
		uint64_t z = x += 0x9e3779b97f4a7c15u;

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		c->gear[i] = z ^ (z >> 31);
	}
}

/* As far as the next cut or the end of the bytes; returns how many bytes that was. */
static size_t cut_next(struct cutter *c, const uint8_t *p, size_t n)
{
	const uint64_t strict = ~(uint64_t)0 << (64 - 22);
	const uint64_t loose = ~(uint64_t)0 << (64 - 18);
	const size_t blind = CUT_MIN_BYTES -
	                     CUT_WINDOW_BYTES; /* nothing before it can be in the window of a cut */
	uint64_t hash = c->hash;
	size_t i = 0;

	while (i < n) {
		size_t len = c->len + i;
		uint64_t mask = len < CUT_AVG_BYTES ? strict : loose;
		size_t stop = len < CUT_AVG_BYTES ? CUT_AVG_BYTES : CUT_MAX_BYTES;
		size_t end;

		if (len < blind) {
			size_t skip = blind - len;

			i += skip < n - i ? skip : n - i;
			continue;
		}
		if (len < CUT_MIN_BYTES) {
			hash = (hash << 1) + c->gear[p[i++]];
			continue;
		}
		if (len == CUT_MAX_BYTES)
			break;
		end = stop - len < n - i ? i + (stop - len) : n;
		while (i < end) {
			hash = (hash << 1) + c->gear[p[i++]];
			if (!(hash & mask))
				goto cut;
		}
	}
	c->hash = hash;
	c->len += i;
	if (c->len < CUT_MAX_BYTES)
		return i;
cut:
	c->hash = 0;
	c->len = 0;
	c->cuts++;
	return i;
}

static void cut(struct cutter *c, const uint8_t *p, size_t n)
{
	for (size_t done = 0; done < n;)
		done += cut_next(c, p + done, n - done);
}

/* Pages, then their digests: a chunk's id and the fingerprints of its pages in one pass. */
static void hash(struct run *r, const uint8_t *p, size_t n)
{
	SHA256_CTX root = r->keyed;
	SHA256_CTX page;
	uint8_t digest[SHA256_DIGEST_LENGTH];

	for (size_t at = 0; at < n; at += PAGE_BYTES) {
		page = r->keyed;
		SHA256_Update(&page, p + at, n - at < PAGE_BYTES ? n - at : PAGE_BYTES);
		SHA256_Final(digest, &page);
		SHA256_Update(&root, digest, sizeof(digest));
	}
	SHA256_Final(digest, &root);
	for (size_t i = 0; i < sizeof(digest); i++)
		r->digest[i] ^= digest[i];
}

static void compress(struct run *r, struct piece *p, const uint8_t *raw)
{
	size_t n = ZSTD_compress2(r->cctx, r->packed, ZSTD_compressBound(PIECE_BYTES), raw,
	                          p->raw_bytes);

	if (ZSTD_isError(n))
		die(0, "compressing: %s", ZSTD_getErrorName(n));
	p->kept_bytes = n < p->raw_bytes - p->raw_bytes * 3 / 100 ? n : p->raw_bytes;
}

static void decompress(struct run *r, const struct piece *p)
{
	size_t n = ZSTD_decompressDCtx(r->dctx, r->back, PIECE_BYTES, r->packed, p->kept_bytes);

	if (n != p->raw_bytes)
		die(0, "decompressing gave other bytes than went in");
}

static void nonce_of(const struct piece *p, uint8_t ret_nonce[12])
{
	uint64_t at = (uint64_t)p->at;

	memset(ret_nonce, 0, 12);
	memcpy(ret_nonce, &at, sizeof(at));
}

static void encrypt(struct run *r, struct piece *p, const uint8_t *raw)
{
	const uint8_t *from = p->kept_bytes < p->raw_bytes ? r->packed : raw;
	uint8_t *to = r->sealed + r->sealed_len;
	uint8_t nonce[12];
	int n = 0;

	p->at = r->sealed_at;
	nonce_of(p, nonce);
	if (EVP_EncryptInit_ex(r->seal, NULL, NULL, NULL, nonce) != 1 ||
	    EVP_EncryptUpdate(r->seal, to, &n, from, (int)p->kept_bytes) != 1 ||
	    EVP_EncryptFinal_ex(r->seal, to + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(r->seal, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, to + p->kept_bytes) != 1)
		die(0, "AES-256-GCM does not work here");
	r->sealed_len += p->kept_bytes + TAG_BYTES;
	r->sealed_at += (off_t)(p->kept_bytes + TAG_BYTES);
}

static void decrypt(struct run *r, const struct piece *p)
{
	uint8_t *to = p->kept_bytes < p->raw_bytes ? r->packed : r->back;
	uint8_t nonce[12];
	int n = 0;

	nonce_of(p, nonce);
	if (EVP_DecryptInit_ex(r->open, NULL, NULL, NULL, nonce) != 1 ||
	    EVP_DecryptUpdate(r->open, to, &n, r->sealed, (int)p->kept_bytes) != 1 ||
	    EVP_CIPHER_CTX_ctrl(r->open, EVP_CTRL_GCM_SET_TAG, TAG_BYTES,
	                        r->sealed + p->kept_bytes) != 1 ||
	    EVP_DecryptFinal_ex(r->open, to + n, &n) != 1)
		die(0, "the work file did not come back as it was written");
}

static void write_pack(struct run *r)
{
	size_t done = 0;

	while (done < r->sealed_len) {
		ssize_t n = write(r->pack, r->sealed + done, r->sealed_len - done);

		if (n < 0)
			die(errno, "writing to the work folder");
		done += (size_t)n;
	}
	r->sealed_len = 0;
}

/* ---- backup ---- */

static void piece_begin(struct run *r)
{
	struct piece *p = list_add(&r->pieces, sizeof(*p), 1);

	p->first_range = r->ranges.len;
}

/* All that is left to do with bytes that are to be stored. */
static void store(struct run *r, struct piece *p, const uint8_t *raw)
{
	clock_start(r);
	compress(r, p, raw);
	clock_to(r, STEP_COMPRESS);
	if (p->kept_bytes < p->raw_bytes) {
		decompress(r, p);
		if (memcmp(raw, r->back, p->raw_bytes) != 0)
			die(0, "decompressing gave other bytes than went in");
	}
	clock_to(r, STEP_VERIFY);
	encrypt(r, p, raw);
	clock_to(r, STEP_ENCRYPT);
	r->kept_bytes += p->kept_bytes;
	if (r->sealed_len >= PACK_BYTES) {
		write_pack(r);
		clock_to(r, STEP_WRITE);
	}
}

static void store_changed(struct run *r)
{
	struct piece p = { .raw_bytes = r->changed_len };

	if (p.raw_bytes)
		store(r, &p, r->changed);
	r->changed_bytes += p.raw_bytes;
	r->changed_len = 0;
}

/* A piece of the new file holds whole pages of it, but for its ends. */
static void keep_changed(struct run *r, const struct piece *p)
{
	size_t at = 0;

	for (size_t i = p->first_range; i < r->ranges.len; i++) {
		const struct range *range = range_at(r, i);
		size_t end = at + range->len;
		size_t page = PAGE_BYTES - (size_t)range->off % PAGE_BYTES;

		while (at < end) {
			size_t n = page < end - at ? page : end - at;

			if (memcmp(r->raw + at, r->old + at, n) != 0) {
				if (r->changed_len + n > PIECE_BYTES)
					store_changed(r);
				memcpy(r->changed + r->changed_len, r->raw + at, n);
				r->changed_len += n;
			}
			at += n;
			page = PAGE_BYTES;
		}
	}
}

/* Reading the piece has just ended. */
static void piece_end(struct run *r)
{
	struct piece *p = piece_at(r, r->pieces.len - 1);

	clock_to(r, STEP_READ);
	cut(&r->cutter, r->raw, p->raw_bytes);
	clock_to(r, STEP_CUT);
	hash(r, r->raw, p->raw_bytes);
	clock_to(r, STEP_HASH);
	r->data_bytes += p->raw_bytes;
	if (r->against < 0)
		store(r, p, r->raw);
	else
		keep_changed(r, p);
	clock_start(r);
}

/* What OLD has where these bytes of a file are; other bytes where it has none. Not on the clock. */
static void read_old(struct run *r, const struct file *f, const uint8_t *new, size_t n, off_t off)
{
	uint8_t *to = r->old + (new - r->raw);
	char path[8192];
	int fd;

	clock_to(r, STEP_READ);
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t) ~new[i];
	snprintf(path, sizeof(path), "%s/%s", name_at(r, dir_at(r, f->dir)->path),
	         name_at(r, f->name));
	fd = openat(r->against, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		if (pread(fd, to, n, off) < 0)
			die(errno, "reading the old '%s'", path);
		close(fd);
	} else if (errno != ENOENT) {
		die(errno, "opening the old '%s'", path);
	}
	clock_start(r);
}

static void read_range(struct run *r, int fd, size_t file, off_t off, off_t end)
{
	do {
		struct piece *p = piece_at(r, r->pieces.len - 1);
		struct range *range;
		size_t want = PIECE_BYTES - p->raw_bytes;
		size_t have = 0;

		if ((off_t)want > end - off)
			want = (size_t)(end - off);
		while (have < want) {
			ssize_t n = pread(fd, r->raw + p->raw_bytes + have, want - have,
			                  off + (off_t)have);

			if (n <= 0)
				die(n < 0 ? errno : 0, "reading '%s', which may have shrunk",
				    name_at(r, file_at(r, file)->name));
			have += (size_t)n;
		}
		if (r->against >= 0)
			read_old(r, file_at(r, file), r->raw + p->raw_bytes, have, off);
		range = list_add(&r->ranges, sizeof(*range), 1);
		*range = (struct range){ .file = file, .off = off, .len = have };
		off += (off_t)have;
		p->raw_bytes += have;
		if (p->raw_bytes == PIECE_BYTES) {
			piece_end(r);
			piece_begin(r);
		}
	} while (off < end);
}

static void read_file(struct run *r, int dir_fd, size_t i)
{
	struct file *f = file_at(r, i);
	const char *name = name_at(r, f->name);
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		die(errno, "opening '%s'", name);
	if (!f->sparse) {
		read_range(r, fd, i, 0, f->size_bytes);
	} else {
		off_t at = 0;

		for (;;) {
			off_t data = lseek(fd, at, SEEK_DATA);

			if (data < 0 && errno != ENXIO)
				die(errno, "looking for data in '%s'", name);
			if (data < 0 || data >= f->size_bytes)
				break;
			at = lseek(fd, data, SEEK_HOLE);
			if (at < 0)
				die(errno, "looking for a hole in '%s'", name);
			read_range(r, fd, i, data, at < f->size_bytes ? at : f->size_bytes);
		}
		if (at == 0)
			read_range(r, fd, i, 0, 0);
	}
	close(fd);
}

static void backup(struct run *r)
{
	size_t dir = SIZE_MAX;
	int dir_fd = -1;

	clock_start(r);
	walk(r);
	clock_to(r, STEP_WALK);
	piece_begin(r);
	for (size_t i = 0; i < r->files.len; i++) {
		const struct file *f = file_at(r, i);

		if (f->link)
			continue;
		if (f->dir != dir) {
			if (dir_fd >= 0)
				close(dir_fd);
			dir = f->dir;
			dir_fd = openat(r->src, name_at(r, dir_at(r, dir)->path),
			                O_PATH | O_DIRECTORY | O_CLOEXEC);
			if (dir_fd < 0)
				die(errno, "opening the folder '%s'",
				    name_at(r, dir_at(r, dir)->path));
		}
		read_file(r, dir_fd, i);
	}
	if (dir_fd >= 0)
		close(dir_fd);
	if (piece_at(r, r->pieces.len - 1)->raw_bytes)
		piece_end(r);
	if (r->against >= 0)
		store_changed(r);
	clock_start(r);
	write_pack(r);
	clock_to(r, STEP_WRITE);
}

/* ---- restore ---- */

static void set_owner(int fd, uid_t uid, gid_t gid)
{
	if ((uid != geteuid() || gid != getegid()) && fchown(fd, uid, gid) < 0 && errno != EPERM)
		die(errno, "setting an owner");
}

static void file_close(const struct run *r, int fd, const struct file *f)
{
	set_owner(fd, f->uid, f->gid);
	if ((f->mode & 07000) && fchmod(fd, f->mode & 07777) < 0)
		die(errno, "setting the mode of '%s'", name_at(r, f->name));
	if (futimens(fd, f->times) < 0)
		die(errno, "setting the times of '%s'", name_at(r, f->name));
	if (close(fd) < 0)
		die(errno, "closing '%s'", name_at(r, f->name));
}

/* Where restored files go: the folder and the file that are open, -1 for none. */
struct target {
	int top;
	int dir_fd;
	size_t dir;
	int fd;
	size_t file;
};

static void target_dir(const struct run *r, struct target *t, size_t dir)
{
	const char *path = name_at(r, dir_at(r, dir)->path);

	if (t->dir_fd >= 0 && t->dir == dir)
		return;
	if (t->dir_fd >= 0)
		close(t->dir_fd);
	t->dir = dir;
	t->dir_fd = openat(t->top, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->dir_fd < 0)
		die(errno, "opening the restored folder '%s'", path);
}

static void target_file(const struct run *r, struct target *t, size_t file)
{
	const struct file *f = file_at(r, file);

	if (t->fd >= 0 && t->file == file)
		return;
	if (t->fd >= 0)
		file_close(r, t->fd, file_at(r, t->file));
	target_dir(r, t, f->dir);
	t->file = file;
	t->fd = openat(t->dir_fd, name_at(r, f->name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	               f->mode & 0777);
	if (t->fd < 0)
		die(errno, "making '%s'", name_at(r, f->name));
	if (f->sparse && ftruncate(t->fd, f->size_bytes) < 0)
		die(errno, "sizing '%s'", name_at(r, f->name));
}

static void write_ranges(const struct run *r, struct target *t, size_t piece, const uint8_t *from)
{
	size_t last = piece + 1 < r->pieces.len ? piece_at(r, piece + 1)->first_range
	                                        : r->ranges.len;

	for (size_t i = piece_at(r, piece)->first_range; i < last; i++) {
		const struct range *range = range_at(r, i);
		size_t done = 0;

		target_file(r, t, range->file);
		while (done < range->len) {
			ssize_t n = pwrite(t->fd, from + done, range->len - done,
			                   range->off + (off_t)done);

			if (n < 0)
				die(errno, "writing '%s'",
				    name_at(r, file_at(r, range->file)->name));
			done += (size_t)n;
		}
		from += range->len;
	}
}

static void make_dirs(const struct run *r, int top)
{
	for (size_t i = 1; i < r->dirs.len; i++) {
		if (mkdirat(top, name_at(r, dir_at(r, i)->path), 0700) < 0)
			die(errno, "making the folder '%s'", name_at(r, dir_at(r, i)->path));
	}
}

static void make_links(const struct run *r, struct target *t)
{
	for (size_t i = 0; i < r->files.len; i++) {
		const struct file *f = file_at(r, i);
		const char *name = name_at(r, f->name);

		if (!f->link)
			continue;
		target_dir(r, t, f->dir);
		if (symlinkat(name_at(r, f->link), t->dir_fd, name) < 0 ||
		    utimensat(t->dir_fd, name, f->times, AT_SYMLINK_NOFOLLOW) < 0)
			die(errno, "making the link '%s'", name);
	}
}

/* Deepest first: making something in a folder changes its time. */
static void finish_dirs(const struct run *r, int top)
{
	for (size_t i = r->dirs.len; i-- > 0;) {
		const struct dir *d = dir_at(r, i);
		int fd = openat(top, name_at(r, d->path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			die(errno, "opening the restored folder '%s'", name_at(r, d->path));
		set_owner(fd, d->uid, d->gid);
		if (fchmod(fd, d->mode & 07777) < 0 || futimens(fd, d->times) < 0)
			die(errno, "finishing the folder '%s'", name_at(r, d->path));
		close(fd);
	}
}

static void restore(struct run *r, int top)
{
	struct target t = { .top = top, .dir_fd = -1, .fd = -1 };

	clock_start(r);
	make_dirs(r, top);
	clock_to(r, STEP_REWRITE);
	for (size_t i = 0; i < r->pieces.len; i++) {
		const struct piece *p = piece_at(r, i);
		size_t want = p->raw_bytes ? p->kept_bytes + TAG_BYTES : 0;

		clock_start(r);
		if (pread(r->pack, r->sealed, want, p->at) != (ssize_t)want)
			die(errno, "reading back from the work folder");
		clock_to(r, STEP_REREAD);
		if (want)
			decrypt(r, p);
		clock_to(r, STEP_DECRYPT);
		if (p->kept_bytes < p->raw_bytes)
			decompress(r, p);
		clock_to(r, STEP_DECOMPRESS);
		write_ranges(r, &t, i, r->back);
		clock_to(r, STEP_REWRITE);
	}
	if (t.fd >= 0)
		file_close(r, t.fd, file_at(r, t.file));
	make_links(r, &t);
	if (t.dir_fd >= 0)
		close(t.dir_fd);
	finish_dirs(r, top);
	clock_to(r, STEP_REWRITE);
}

/* ---- the program ---- */

static void run_init(struct run *r)
{
	uint8_t key[32];
	uint8_t block[SHA256_CBLOCK] = { 0 };

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 37 + 1);
	memcpy(block, key, sizeof(key));
	SHA256_Init(&r->keyed);
	SHA256_Update(&r->keyed, block, sizeof(block));
	cut_init(&r->cutter);
	r->seal = EVP_CIPHER_CTX_new();
	r->open = EVP_CIPHER_CTX_new();
	r->cctx = ZSTD_createCCtx();
	r->dctx = ZSTD_createDCtx();
	if (!r->seal || !r->open || !r->cctx || !r->dctx)
		die(ENOMEM, "ciphers and compressors");
	if (EVP_EncryptInit_ex(r->seal, EVP_aes_256_gcm(), NULL, key, NULL) != 1 ||
	    EVP_DecryptInit_ex(r->open, EVP_aes_256_gcm(), NULL, key, NULL) != 1)
		die(0, "AES-256-GCM does not work here");
	if (ZSTD_isError(ZSTD_CCtx_setParameter(r->cctx, ZSTD_c_compressionLevel, r->level)))
		die(0, "zstd has no level %d", r->level);
	r->raw = take(PIECE_BYTES);
	r->packed = take(ZSTD_compressBound(PIECE_BYTES));
	r->back = take(PIECE_BYTES);
	r->sealed = take(PACK_BYTES + PIECE_BYTES + TAG_BYTES);
	r->old = take(PIECE_BYTES);
	r->changed = take(PIECE_BYTES);
}

static void run_clear(struct run *r)
{
	EVP_CIPHER_CTX_free(r->seal);
	EVP_CIPHER_CTX_free(r->open);
	ZSTD_freeCCtx(r->cctx);
	ZSTD_freeDCtx(r->dctx);
	free(r->raw);
	free(r->packed);
	free(r->back);
	free(r->sealed);
	free(r->old);
	free(r->changed);
	free(r->dirs.items);
	free(r->files.items);
	free(r->ranges.items);
	free(r->pieces.items);
	free(r->names.items);
}

/* Takes away what restore() made; the lists say what that is. */
static void remove_restored(const struct run *r, int top)
{
	struct target t = { .top = top, .dir_fd = -1, .fd = -1 };

	for (size_t i = 0; i < r->files.len; i++) {
		const struct file *f = file_at(r, i);

		target_dir(r, &t, f->dir);
		if (unlinkat(t.dir_fd, name_at(r, f->name), 0) < 0)
			die(errno, "removing '%s'", name_at(r, f->name));
	}
	if (t.dir_fd >= 0)
		close(t.dir_fd);
	for (size_t i = r->dirs.len; i-- > 1;) {
		if (unlinkat(top, name_at(r, dir_at(r, i)->path), AT_REMOVEDIR) < 0)
			die(errno, "removing '%s'", name_at(r, dir_at(r, i)->path));
	}
}

static void print(const struct run *r)
{
	uint64_t backup_ns = 0;
	uint64_t restore_ns = 0;
	uint64_t check_ns;
	struct rusage usage;

	for (int i = STEP_WALK; i <= STEP_WRITE; i++)
		backup_ns += i == STEP_VERIFY ? 0 : r->cpu_ns[i];
	for (int i = STEP_REREAD; i <= STEP_REWRITE; i++)
		restore_ns += r->cpu_ns[i];
	check_ns = restore_ns - r->cpu_ns[STEP_REWRITE] + r->cpu_ns[STEP_HASH];
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"schema\":\"aksdr-limits/1\",\"level\":%d,\"folders\":%zu,\"files\":%zu,",
	       r->level, r->dirs.len, r->files.len);
	printf("\"others\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"data_bytes\":%" PRIu64 ",",
	       r->others, r->bytes, r->data_bytes);
	printf("\"changed_bytes\":%" PRIu64 ",\"kept_bytes\":%" PRIu64 ",", r->changed_bytes,
	       r->kept_bytes);
	printf("\"pieces\":%zu,\"cuts\":%" PRIu64 ",\"digest\":\"", r->pieces.len, r->cutter.cuts);
	for (size_t i = 0; i < sizeof(r->digest); i++)
		printf("%02x", r->digest[i]);
	printf("\",\"cpu_s\":{");
	for (int i = 0; i < STEP_COUNT; i++)
		printf("%s\"%s\":%.6f", i ? "," : "", step_names[i], (double)r->cpu_ns[i] / 1e9);
	printf("},\"backup_s\":%.6f,\"backup_verified_s\":%.6f,", (double)backup_ns / 1e9,
	       (double)(backup_ns + r->cpu_ns[STEP_VERIFY]) / 1e9);
	printf("\"restore_s\":%.6f,\"check_s\":%.6f,\"rss_kib\":%ld}\n", (double)restore_ns / 1e9,
	       (double)check_ns / 1e9, usage.ru_maxrss);
}

/* A number of at most two digits; -1 for anything else. */
static int level_of(const char *text)
{
	int ret = 0;

	for (size_t i = 0; text[i]; i++) {
		if (text[i] < '0' || text[i] > '9' || i >= 2)
			return -1;
		ret = ret * 10 + (text[i] - '0');
	}
	return text[0] ? ret : -1;
}

struct arguments {
	const char *folder;
	const char *work;
	const char *against;
	int level;
	bool keep;
};

static bool arguments_of(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {
		{ "level", required_argument, NULL, 'l' },
		{ "work", required_argument, NULL, 'w' },
		{ "keep", no_argument, NULL, 'k' },
		{ "against", required_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*ret = (struct arguments){ .work = "/dev/shm", .level = 3 };
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'l':
			ret->level = level_of(optarg);
			break;
		case 'w':
			ret->work = optarg;
			break;
		case 'k':
			ret->keep = true;
			break;
		case 'a':
			ret->against = optarg;
			break;
		default:
			return false;
		}
	}
	ret->folder = argv[optind];
	return optind + 1 == argc && ret->level >= 1 && ret->level <= ZSTD_maxCLevel();
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die(errno, "opening the folder '%s'", path);
	return fd;
}

int main(int argc, char **argv)
{
	struct run r = { .against = -1 };
	struct arguments args;
	char name[40];
	int restored;

	if (!arguments_of(argc, argv, &args)) {
		fputs("usage: limits [--level 1-22] [--work DIR] [--keep] [--against OLD] FOLDER\n",
		      stderr);
		return 2;
	}
	umask(0);
	r.level = args.level;
	r.src = open_dir(args.folder);
	r.work = open_dir(args.work);
	if (args.against)
		r.against = open_dir(args.against);
	r.pack = openat(r.work, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (r.pack < 0)
		die(errno, "making a file without a name in '%s'", args.work);
	run_init(&r);
	backup(&r);
	if (r.against < 0) {
		snprintf(name, sizeof(name), "aksdr-limits-%ld", (long)getpid());
		if (mkdirat(r.work, name, 0700) < 0)
			die(errno, "making '%s' in '%s'", name, args.work);
		restored = openat(r.work, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (restored < 0)
			die(errno, "opening '%s' in '%s'", name, args.work);
		restore(&r, restored);
		if (!args.keep)
			remove_restored(&r, restored);
		if (!args.keep && unlinkat(r.work, name, AT_REMOVEDIR) < 0)
			die(errno, "removing '%s'", name);
		close(restored);
	} else {
		close(r.against);
	}
	print(&r);
	close(r.pack);
	close(r.work);
	close(r.src);
	run_clear(&r);
	return fflush(stdout) != 0 || ferror(stdout);
}
