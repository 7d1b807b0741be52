/* SPDX-License-Identifier: Apache-2.0 */
/* A line is the first 16 digits of the SHA-256 of a record's text, a blank, and that text. */
#include "repo/audit_spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/json.h"
#include "repo/audit_record.h"
#include "repo/crypt.h"
#include "repo/note.h"

#define DIR_NAME "audit"
#define LOCK_NAME "lock"
#define PREFIX "records-"
#define SUM_LEN 16
#define FILE_MAX (AUDIT_SPOOL_FILE_BYTES + AUDIT_RECORD_MAX + KIB)

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

void audit_spool_close(struct audit_spool *s)
{
	close_fd(&s->dir);
	close_fd(&s->lock);
}

int audit_spool_open(const char *state, struct audit_spool *ret, struct err *e)
{
	auto_audit_spool struct audit_spool s = AUDIT_SPOOL_NONE;
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/" DIR_NAME, state) >= (int)sizeof(path))
		return err_set(e, ERR_INVALID, "the name of the state directory is too long");
	if (fd_make_dirs(path) < 0)
		return err_sys(e, errno, "creating '%s'", path);
	s.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s.dir < 0)
		return err_sys(e, errno, "opening '%s'", path);
	s.lock = openat(s.dir, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s.lock < 0)
		return err_sys(e, errno, "opening '%s/" LOCK_NAME "'", path);
	*ret = s;
	s = AUDIT_SPOOL_NONE;
	return 0;
}

void audit_spool_file_clear(struct audit_spool_file *f)
{
	json_decref(f->records);
	*f = (struct audit_spool_file){ .number = 0 };
}

/* ---- files ---- */

struct name {
	char s[32];
};

static struct name name_of(uint64_t number)
{
	struct name n;

	(void)snprintf(n.s, sizeof(n.s), PREFIX "%08llu", (unsigned long long)number);
	return n;
}

struct files {
	uint64_t oldest, newest; /* numbers; 0: there are none */
	size_t n;
};

static int look(const struct audit_spool *s, struct files *ret, struct err *e)
{
	struct files f = { .n = 0 };
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *x;

	if (!d) {
		(void)err_sys(e, errno, "listing the records that wait");
		if (fd >= 0)
			(void)close(fd);
		return -1;
	}
	while ((x = readdir(d))) {
		uint64_t n;

		if (strncmp(x->d_name, PREFIX, strlen(PREFIX)) != 0 ||
		    !note_number(x->d_name + strlen(PREFIX), &n))
			continue;
		f.oldest = f.n == 0 || n < f.oldest ? n : f.oldest;
		f.newest = n > f.newest ? n : f.newest;
		f.n++;
	}
	(void)closedir(d);
	*ret = f;
	return 0;
}

static int make(const struct audit_spool *s, uint64_t number, int *ret_fd, struct err *e)
{
	int fd = openat(s->dir, name_of(number).s,
	                O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(e, errno, "creating a file for records of the audit trail");
	if (fsync(s->dir) < 0) {
		int os = errno;

		(void)close(fd);
		return err_sys(e, os, "syncing the directory of the audit trail");
	}
	*ret_fd = fd;
	return 0;
}

static int read_file(const struct audit_spool *s, uint64_t number, struct buf *b, struct err *e)
{
	return fd_read_file(s->dir, name_of(number).s, b, e);
}

/* ---- adding ---- */

/* Where the lines of a file end; what is behind them was never acknowledged. */
static int whole_bytes(const struct audit_spool *s, uint64_t number, size_t *ret_bytes,
                       size_t *ret_lines, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FILE_MAX);
	size_t lines = 0;
	size_t end = 0;

	if (read_file(s, number, &b, e) < 0)
		return -1;
	for (size_t i = 0; i < b.len; i++) {
		if (b.data[i] == '\n') {
			lines++;
			end = i + 1;
		}
	}
	*ret_bytes = end;
	*ret_lines = lines;
	return 0;
}

/* The file that takes the next record, and how many bytes of it count. */
static int open_newest(const struct audit_spool *s, int *ret_fd, size_t *ret_bytes, struct err *e)
{
	struct files f;
	size_t lines;

	*ret_bytes = 0;
	if (look(s, &f, e) < 0)
		return -1;
	if (f.n == 0)
		return make(s, 1, ret_fd, e);
	if (whole_bytes(s, f.newest, ret_bytes, &lines, e) < 0)
		return -1;
	if (*ret_bytes >= AUDIT_SPOOL_FILE_BYTES || lines >= AUDIT_SPOOL_FILE_RECORDS) {
		if (f.n >= AUDIT_SPOOL_FILES_MAX)
			return err_set(e, ERR_QUOTA,
			               "%zu files of records of the audit trail wait for a store "
			               "that takes them",
			               f.n);
		*ret_bytes = 0;
		return make(s, f.newest + 1, ret_fd, e);
	}
	*ret_fd = openat(s->dir, name_of(f.newest).s, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	return *ret_fd < 0 ? err_sys(e, errno, "opening the records that wait") : 0;
}

static int add_locked(const struct audit_spool *s, const struct buf *line, struct err *e)
{
	auto_close int fd = -1;
	size_t bytes;

	if (open_newest(s, &fd, &bytes, e) < 0)
		return -1;
	/* A line that was cut short by a crash goes first. */
	if (ftruncate(fd, (off_t)bytes) == 0 && fd_write_full(fd, line->data, line->len) == 0 &&
	    fsync(fd) == 0)
		return 0;
	(void)err_sys(e, errno, "writing a record of the audit trail");
	/* What is left of it has no end, or else it would count. */
	if (ftruncate(fd, (off_t)bytes) < 0)
		return err_wrap(e, "a part of it may be left");
	return -1;
}

static int lock(const struct audit_spool *s, struct err *e)
{
	int rc;

	do {
		rc = flock(s->lock, LOCK_EX);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? err_sys(e, errno, "locking the records of the audit trail") : 0;
}

static void unlock(const struct audit_spool *s)
{
	(void)flock(s->lock, LOCK_UN);
}

int audit_spool_add(struct audit_spool *s, const json_t *record, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(AUDIT_RECORD_MAX);
	CLEANUP(buf_clear) struct buf line = BUF_INIT(AUDIT_RECORD_MAX + SUM_LEN + 2);
	uint8_t sum[32];

	if (json_write(record, &text, e) < 0)
		return -1;
	crypt_sha256(sum, text.data, text.len);
	(void)buf_printf(&line, "%.*s ", SUM_LEN, hex_of32(sum).s);
	(void)buf_put(&line, text.data, text.len);
	(void)buf_u8(&line, '\n');
	if (buf_check(&line, "a record of the audit trail", e) < 0 || lock(s, e) < 0)
		return -1;
	int rc = add_locked(s, &line, e);
	unlock(s);
	return rc;
}

/* ---- taking ---- */

static json_t *parse_line(const uint8_t *p, size_t n)
{
	struct audit_record r;
	struct err ignored = ERR_INIT;
	uint8_t sum[32];

	if (n <= SUM_LEN + 1 || p[SUM_LEN] != ' ' || n > AUDIT_RECORD_MAX + SUM_LEN + 1)
		return NULL;
	crypt_sha256(sum, p + SUM_LEN + 1, n - SUM_LEN - 1);
	if (memcmp(hex_of32(sum).s, p, SUM_LEN) != 0)
		return NULL;
	json_t *o = json_parse("a record that waits", p + SUM_LEN + 1, n - SUM_LEN - 1, &ignored);
	if (o && audit_record_read(o, "a record that waits", &r, &ignored) == 0)
		return o;
	json_decref(o);
	return NULL;
}

int audit_spool_parse(const uint8_t *p, size_t n, json_t **ret_records, uint64_t *ret_damaged,
                      struct err *e)
{
	auto_json json_t *records = json_array();
	uint64_t damaged = 0;

	while (n > 0) {
		const uint8_t *end = memchr(p, '\n', n);
		if (!end)
			break;
		json_t *o = parse_line(p, (size_t)(end - p));
		n -= (size_t)(end + 1 - p);
		p = end + 1;
		if (!o)
			damaged++;
		else if (json_array_append_new(records, o) < 0)
			break;
	}
	if (!records || (n > 0 && memchr(p, '\n', n)))
		return err_set(e, ERR_NOMEM, "no memory for the records that wait");
	*ret_records = STEAL(&records);
	*ret_damaged = damaged;
	return 0;
}

static int read_whole(const struct audit_spool *s, uint64_t number, struct audit_spool_file *ret,
                      struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FILE_MAX);
	CLEANUP(audit_spool_file_clear) struct audit_spool_file f = { .number = number };
	struct stat st;

	if (read_file(s, number, &b, e) < 0 ||
	    audit_spool_parse(b.data, b.len, &f.records, &f.damaged, e) < 0)
		return -1;
	if (fstatat(s->dir, name_of(number).s, &st, AT_SYMLINK_NOFOLLOW) == 0)
		f.changed_ns = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
	crypt_sha256(f.hash, b.data, b.len);
	*ret = f;
	f = (struct audit_spool_file){ .number = 0 };
	return 0;
}

/* The oldest file that is to be put. It is not added to from now on. */
static int take_locked(struct audit_spool *s, const uint8_t done[32], struct audit_spool_file *ret,
                       struct err *e)
{
	struct files f;

	for (;;) {
		CLEANUP(audit_spool_file_clear) struct audit_spool_file x = { .number = 0 };
		auto_close int next = -1;

		if (look(s, &f, e) < 0 || (f.n > 0 && read_whole(s, f.oldest, &x, e) < 0))
			return -1;
		const bool empty = json_array_size(x.records) + x.damaged == 0;
		if (f.n == 0 || (empty && f.oldest == f.newest))
			return 0;
		if (f.oldest == f.newest && make(s, f.newest + 1, &next, e) < 0)
			return -1;
		if (empty || memcmp(x.hash, done, sizeof(x.hash)) == 0) {
			audit_spool_drop(s, f.oldest);
			continue;
		}
		*ret = x;
		x = (struct audit_spool_file){ .number = 0 };
		return 0;
	}
}

int audit_spool_take(struct audit_spool *s, const uint8_t done[32], struct audit_spool_file *ret,
                     struct err *e)
{
	*ret = (struct audit_spool_file){ .number = 0 };
	if (lock(s, e) < 0)
		return -1;
	int rc = take_locked(s, done, ret, e);
	unlock(s);
	return rc;
}

void audit_spool_drop(struct audit_spool *s, uint64_t number)
{
	(void)unlinkat(s->dir, name_of(number).s, 0);
	(void)fsync(s->dir);
}

int audit_spool_look(struct audit_spool *s, int64_t *ret_oldest_ns, bool *ret_full, struct err *e)
{
	struct audit_record r;
	struct files f;
	json_t *records = NULL;
	uint64_t damaged = 0;

	*ret_oldest_ns = 0;
	*ret_full = false;
	if (lock(s, e) < 0)
		return -1;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FILE_MAX);
	int rc = look(s, &f, e);
	if (rc == 0 && f.n > 0)
		rc = read_file(s, f.oldest, &b, e);
	unlock(s);
	if (rc < 0 || f.n == 0)
		return rc;
	if (audit_spool_parse(b.data, b.len, &records, &damaged, e) < 0)
		return -1;
	if (json_array_size(records) > 0 &&
	    audit_record_read(json_array_get(records, 0), "a record that waits", &r, e) == 0)
		*ret_oldest_ns = r.at_ns;
	else if (damaged > 0)
		*ret_oldest_ns = 1;
	*ret_full = f.n > 1 || b.len >= AUDIT_SPOOL_FILE_BYTES / 2 ||
	            json_array_size(records) >= AUDIT_SPOOL_FILE_RECORDS / 2;
	json_decref(records);
	return 0;
}
