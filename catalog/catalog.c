/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and checking the file, and what everything here uses of SQLite. */
#include "catalog/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "catalog/migrate.h"
#include "catalog/sql.gen.h"
#include "common/buf.h"
#include "common/fd.h"
#include "common/hex.h"
#include "common/now.h"
#include "common/secret.h"
#include "repo/format.h"

#define BUSY_MS 10000
#define STEPS_BETWEEN_LOOKS 10000 /* of SQLite's machine, some tens of microseconds */
#define KEY_FILE_MAX (64 * KIB)
#define PATH_TEXT_MAX (8 * KIB)
#define CHECK_WHOLE_MAX (4 * MIB) /* of a file that is opened for reading: some milliseconds */

/* ---- SQL ---- */

static bool is_full(int os)
{
	return os == ENOSPC || os == EDQUOT;
}

int catalog_error(struct catalog *c, int rc, const char *what, struct err *e)
{
	const char *text = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);

	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return err_set(e, ERR_CORRUPT,
		               "%s the catalog '%s': %s; run 'aksdr-catalog rebuild' to make it "
		               "again "
		               "from the store",
		               what, c->path, text);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(e, ERR_BUSY, "%s the catalog '%s': another program is writing to it",
		               what, c->path);
	case SQLITE_FULL:
		return err_set(e, ERR_QUOTA, "%s the catalog '%s': no space left", what, c->path);
	case SQLITE_NOMEM:
		return err_set(e, ERR_NOMEM, "%s the catalog '%s': no memory", what, c->path);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return err_set(e, ERR_DENIED, "%s the catalog '%s': %s", what, c->path, text);
	case SQLITE_INTERRUPT:
		if (c->late)
			return err_set(e, ERR_TOO_BIG, "%s the catalog '%s' takes too long", what,
			               c->path);
		return err_set(e, ERR_CANCELLED, "%s the catalog '%s': cancelled", what, c->path);
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		/* what is shared with other programs has no place on a full disk */
		if (c->db && is_full(sqlite3_system_errno(c->db)))
			return err_set(e, ERR_QUOTA, "%s the catalog '%s': no space left", what,
			               c->path);
		return err_set(e, ERR_IO, "%s the catalog '%s': %s", what, c->path, text);
	case SQLITE_TOOBIG:
		return err_set(e, ERR_TOO_BIG, "%s the catalog '%s': %s", what, c->path, text);
	default:
		return err_set(e, ERR_BUG, "%s the catalog '%s': %s", what, c->path, text);
	}
}

static int look(void *arg)
{
	struct catalog *c = arg;

	if (c->until_ns && now_mono_ns() > c->until_ns)
		c->late = true;
	return c->late || cancel_requested(c->cancel);
}

void catalog_limit(struct catalog *c, const struct cancel *cancel, int64_t until_ns)
{
	const bool any = cancel || until_ns;

	c->cancel = cancel;
	c->until_ns = until_ns;
	c->late = false;
	sqlite3_progress_handler(c->db, any ? STEPS_BETWEEN_LOOKS : 0, any ? look : NULL, c);
}

int catalog_exec(struct catalog *c, const char *sql, struct err *e)
{
	int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : catalog_error(c, rc, "writing to", e);
}

sqlite3_stmt *catalog_prepare(struct catalog *c, const char *sql, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);

	if (rc == SQLITE_OK)
		return s;
	(void)catalog_error(c, rc, "reading", e);
	return NULL;
}

sqlite3_stmt *catalog_keep(struct catalog *c, const char *sql, struct err *e)
{
	struct catalog_kept *k = c->kept;

	while (k < c->kept + CATALOG_KEPT_MAX && k->sql && k->sql != sql)
		k++;
	if (k == c->kept + CATALOG_KEPT_MAX) {
		(void)err_set(e, ERR_BUG, "too many statements are kept");
		return NULL;
	}
	if (!k->sql) {
		k->s = catalog_prepare(c, sql, e);
		if (!k->s)
			return NULL;
		k->sql = sql;
	}
	(void)sqlite3_reset(k->s);
	(void)sqlite3_clear_bindings(k->s);
	return k->s;
}

int catalog_step(struct catalog *c, sqlite3_stmt *s, struct err *e)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	return catalog_error(c, rc, sqlite3_stmt_readonly(s) ? "reading" : "writing to", e);
}

int catalog_run(struct catalog *c, sqlite3_stmt *s, struct err *e)
{
	int rc = catalog_step(c, s, e);

	(void)sqlite3_reset(s);
	return rc < 0 ? -1 : 0;
}

void catalog_bind_text(sqlite3_stmt *s, int at, const char *text)
{
	(void)sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT);
}

void catalog_bind_text_or_null(sqlite3_stmt *s, int at, const char *text)
{
	if (text && *text)
		catalog_bind_text(s, at, text);
	else
		(void)sqlite3_bind_null(s, at);
}

void catalog_bind_hex(sqlite3_stmt *s, int at, const uint8_t *p, size_t n)
{
	char hex[65];

	hex_encode(hex, p, n <= 32 ? n : 32);
	catalog_bind_text(s, at, hex);
}

void catalog_bind_u64(sqlite3_stmt *s, int at, uint64_t v)
{
	(void)sqlite3_bind_int64(s, at, v > INT64_MAX ? INT64_MAX : (sqlite3_int64)v);
}

const char *catalog_text(sqlite3_stmt *s, int column)
{
	const unsigned char *text = sqlite3_column_text(s, column);

	return text ? (const char *)text : "";
}

int catalog_tx_begin(struct catalog_tx *tx, struct catalog *c, struct err *e)
{
	if (catalog_exec(c, "BEGIN IMMEDIATE", e) < 0)
		return -1;
	tx->c = c;
	return 0;
}

int catalog_tx_commit(struct catalog_tx *tx, struct err *e)
{
	if (catalog_exec(tx->c, "COMMIT", e) < 0)
		return -1;
	tx->c = NULL;
	return 0;
}

void catalog_tx_end(struct catalog_tx *tx)
{
	if (tx->c)
		(void)sqlite3_exec(tx->c->db, "ROLLBACK", NULL, NULL, NULL);
	tx->c = NULL;
}

/* ---- the place ---- */

/* The repository's id from a key file's text; false: no such line. */
static bool find_repository(const char *text, char ret[33])
{
	uint8_t id[FORMAT_REPO_ID_BYTES];
	static const char name[] = "repository: ";

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, strlen(name)) != 0)
			continue;
		line += strlen(name);
		if (strcspn(line, "\r\n") != 32)
			return false;
		memcpy(ret, line, 32);
		ret[32] = '\0';
		return hex_decode(id, sizeof(id), ret) == 0;
	}
	return false;
}

static int path_by_key(const char *state, const char *key_path, char **ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KEY_FILE_MAX);
	char id[33];

	if (fd_read_file(AT_FDCWD, key_path, &b, e) < 0)
		return err_wrap(e, "reading the key file '%s'", key_path);
	bool found = find_repository(buf_cstr(&b), id);
	secret_wipe(b.data, b.cap);
	if (!found)
		return err_set(e, ERR_FORMAT, "'%s' is no key file: it names no repository",
		               key_path);
	if (asprintf(ret, "%s/%s/%s", state, id, CATALOG_FILE) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a path");
	return 0;
}

static int path_by_state(const char *state, char **ret, struct err *e)
{
	auto_free char *found = NULL;
	size_t n = 0;
	DIR *d = opendir(state);

	for (const struct dirent *x; d && (x = readdir(d));) {
		char *path = NULL;

		if (x->d_name[0] == '.')
			continue;
		if (asprintf(&path, "%s/%s/%s", state, x->d_name, CATALOG_FILE) < 0) {
			(void)closedir(d);
			return err_set(e, ERR_NOMEM, "no memory for a path");
		}
		if (access(path, F_OK) == 0) {
			free(found);
			found = path;
			n++;
		} else {
			free(path);
		}
	}
	if (d)
		(void)closedir(d);
	if (n == 0)
		return err_set(
			e, ERR_NOT_FOUND,
			"there is no catalog beneath '%s' yet: run 'aksdr-catalog sync', or name "
			"one by --catalog",
			state);
	if (n > 1)
		return err_set(
			e, ERR_NOT_FOUND,
			"there are catalogs of %zu repositories beneath '%s': choose one by --key "
			"or --catalog",
			n, state);
	*ret = STEAL(&found);
	return 0;
}

int catalog_path(const char *option, const char *state, const char *key_path, char **ret,
                 struct err *e)
{
	if (option) {
		*ret = strdup(option);
		return *ret ? 0 : err_set(e, ERR_NOMEM, "no memory for a path");
	}
	if (!*state)
		return err_set(e, ERR_INVALID,
		               "without a state directory there is no place for the catalog: "
		               "name one by --catalog");
	return key_path ? path_by_key(state, key_path, ret, e) : path_by_state(state, ret, e);
}

/* ---- opening ---- */

int catalog_version(void)
{
	return catalog_migrations[ARRAY_LEN(catalog_migrations) - 1].version;
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < CATALOG_KEPT_MAX; i++)
		(void)sqlite3_finalize(c->kept[i].s);
	(void)sqlite3_close(c->db);
	free(c->path);
	free(c);
}

int catalog_make_dir(const char *path, struct err *e)
{
	auto_free char *dir = strdup(path);

	if (!dir)
		return err_set(e, ERR_NOMEM, "no memory for a path");
	for (char *s = dir + 1; *s && (s = strchr(s, '/')); s++) {
		*s = '\0';
		if (mkdir(dir, 0700) < 0 && errno != EEXIST)
			return err_sys(e, errno, "creating the directory '%s'", dir);
		*s = '/';
	}
	return 0;
}

/* The file with its directories, readable by its owner only: it holds names of files. */
static int make_file(const char *path, struct err *e)
{
	if (catalog_make_dir(path, e) < 0)
		return -1;
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "opening the catalog '%s'", path);
	return 0;
}

/* "file:PATH?immutable=1" with what has a meaning in it escaped. */
static int immutable_uri(const char *path, struct buf *b, struct err *e)
{
	(void)buf_str(b, "file:");
	for (; *path; path++) {
		if (*path == '%' || *path == '?' || *path == '#')
			(void)buf_printf(b, "%%%02x", (unsigned)(uint8_t)*path);
		else
			(void)buf_u8(b, (uint8_t)*path);
	}
	(void)buf_str(b, "?immutable=1");
	return buf_check(b, "the path of the catalog", e);
}

static int open_db(struct catalog *c, const char *name, int flags, struct err *e)
{
	int rc = sqlite3_open_v2(name, &c->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
	                         NULL);

	if (rc != SQLITE_OK)
		return catalog_error(c, rc, "opening", e);
	(void)sqlite3_busy_timeout(c->db, BUSY_MS);
	(void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	(void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	/* a page that is damaged is told when it is read, and not taken for another */
	return catalog_exec(c, "PRAGMA cell_size_check = ON", e);
}

/*
 * Opens for reading; where the journal cannot be made (a read-only medium, a
 * full disk), as a file that does not change.
 */
static int open_read(struct catalog *c, struct err *e)
{
	CLEANUP(buf_clear) struct buf uri = BUF_INIT(PATH_TEXT_MAX);
	CLEANUP(buf_clear) struct buf wal = BUF_INIT(PATH_TEXT_MAX);
	int ignored;
	struct err first = ERR_INIT;
	struct stat st;
	struct stat wal_st;

	if (stat(c->path, &st) < 0 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND,
		               "there is no catalog '%s' yet: run 'aksdr-catalog sync'", c->path);
	if (open_db(c, c->path, SQLITE_OPEN_READONLY, e) < 0)
		return -1;
	if (migrate_pragma(c, "user_version", &ignored, &first) == 0)
		return 0;
	(void)buf_printf(&wal, "%s-wal", c->path);
	if ((first.class != ERR_IO && first.class != ERR_DENIED && first.class != ERR_QUOTA) ||
	    stat(c->path, &st) < 0 || (stat(buf_cstr(&wal), &wal_st) == 0 && wal_st.st_size > 0)) {
		*e = first;
		return -1;
	}
	(void)sqlite3_close(c->db);
	c->db = NULL;
	if (immutable_uri(c->path, &uri, e) < 0)
		return -1;
	return open_db(c, buf_cstr(&uri), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, e);
}

/* Ours, and of which version? */
static int examine(struct catalog *c, int *ret_version, bool *ret_empty, struct err *e)
{
	int application;
	int version;
	int tables = 0;

	if (migrate_pragma(c, "application_id", &application, e) < 0 ||
	    migrate_pragma(c, "user_version", &version, e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, "SELECT count(*) FROM sqlite_schema", e);
	if (!s)
		return -1;
	int rc = catalog_step(c, s, e);
	if (rc < 0)
		return -1;
	if (rc > 0)
		tables = sqlite3_column_int(s, 0);
	*ret_version = version;
	*ret_empty = version == 0 && tables == 0;
	if (application == 0 && *ret_empty)
		return 0;
	if (application != CATALOG_APPLICATION_ID)
		return err_set(e, ERR_FORMAT, "'%s' is a database of another program", c->path);
	if (version > catalog_version())
		return err_set(
			e, ERR_FORMAT,
			"the catalog '%s' is of version %d, this program knows versions up to %d: "
			"use the newer program, or another file",
			c->path, version, catalog_version());
	return 0;
}

static int quick_check(struct catalog *c, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, "PRAGMA quick_check(1)", e);

	if (!s)
		return -1;
	int rc = catalog_step(c, s, e);
	if (rc < 0)
		return -1;
	if (rc > 0 && strcmp(catalog_text(s, 0), "ok") != 0)
		return err_set(
			e, ERR_CORRUPT,
			"the catalog '%s' is damaged (%s): run 'aksdr-catalog rebuild' to make it "
			"again from the store",
			c->path, catalog_text(s, 0));
	return 0;
}

/*
 * Who writes wants the whole file to be sound. Who reads a large one is told of damage by the pages
 * that he reads: to look at all of a gigabyte first takes seconds, for an answer of milliseconds.
 */
static int check_to_read(struct catalog *c, struct err *e)
{
	int pages;
	int page_bytes;

	if (migrate_pragma(c, "page_count", &pages, e) < 0 ||
	    migrate_pragma(c, "page_size", &page_bytes, e) < 0)
		return -1;
	return (int64_t)pages * page_bytes <= (int64_t)CHECK_WHOLE_MAX ? quick_check(c, e) : 0;
}

static int open_write(struct catalog *c, struct err *e)
{
	struct migrate_step steps[ARRAY_LEN(catalog_migrations)];
	int version;
	bool empty;

	if (make_file(c->path, e) < 0 || open_db(c, c->path, SQLITE_OPEN_READWRITE, e) < 0 ||
	    examine(c, &version, &empty, e) < 0 || quick_check(c, e) < 0 ||
	    catalog_exec(c,
	                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
	                 "PRAGMA foreign_keys = ON",
	                 e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		steps[i].version = catalog_migrations[i].version;
		steps[i].sql = catalog_migrations[i].sql;
	}
	c->writable = true;
	return migrate_run(c, steps, ARRAY_LEN(steps), e);
}

int catalog_open(const char *path, enum catalog_mode mode, struct catalog **ret, struct err *e)
{
	auto_catalog struct catalog *c = calloc(1, sizeof(*c));
	int version = 0;
	bool empty = true;

	/* so that no name means anything to SQLite, as ":memory:" does */
	if (!c || asprintf(&c->path, "%s%s", path[0] == '/' ? "" : "./", path) < 0) {
		if (c)
			c->path = NULL;
		return err_set(e, ERR_NOMEM, "no memory to open a catalog");
	}
	if (mode == CATALOG_WRITE) {
		if (open_write(c, e) < 0)
			return -1;
		*ret = STEAL(&c);
		return 0;
	}
	if (open_read(c, e) < 0 || examine(c, &version, &empty, e) < 0 || check_to_read(c, e) < 0)
		return -1;
	if (empty)
		return err_set(e, ERR_NOT_FOUND,
		               "the catalog '%s' is empty: run 'aksdr-catalog sync'", c->path);
	if (version < catalog_version()) {
		auto_catalog struct catalog *old = NULL;

		if (catalog_open(path, CATALOG_WRITE, &old, e) < 0)
			return -1;
	}
	*ret = STEAL(&c);
	return 0;
}

static int copy_pages(struct catalog *from, struct catalog *to, struct err *e)
{
	sqlite3_backup *b = sqlite3_backup_init(to->db, "main", from->db, "main");

	if (!b)
		return catalog_error(to, sqlite3_errcode(to->db), "copying into", e);
	(void)sqlite3_backup_step(b, -1);
	int rc = sqlite3_backup_finish(b);
	return rc == SQLITE_OK ? 0 : catalog_error(to, rc, "copying into", e);
}

int catalog_copy(struct catalog *c, const char *path, struct err *e)
{
	auto_catalog struct catalog *to = calloc(1, sizeof(*to));
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(e, errno, "creating '%s'", path);
	if (to)
		to->path = strdup(path);
	if (!to || !to->path) {
		(void)unlink(path);
		return err_set(e, ERR_NOMEM, "no memory to copy a catalog");
	}
	if (open_db(to, path, SQLITE_OPEN_READWRITE, e) == 0 && copy_pages(c, to, e) == 0)
		return 0;
	(void)unlink(path);
	return -1;
}
