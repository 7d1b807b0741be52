/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog file: an SQLite database that answers questions about restore
 * points. The store is the truth; the file can be deleted, and made again.
 * docs/CATALOG.md describes its tables and views.
 *
 * Opening looks whether the file is whole and of a version known here. SQLite
 * itself lets several programs read while one writes.
 */
#ifndef AKSDR_CATALOG_CATALOG_H
#define AKSDR_CATALOG_CATALOG_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/cancel.h"
#include "common/err.h"

#define CATALOG_APPLICATION_ID 0x414b5344 /* "AKSD" */
#define CATALOG_FILE "catalog.db"

#define CATALOG_KEPT_MAX 16

struct catalog {
	sqlite3 *db;
	char *path; /* owned */
	bool writable;
	const struct cancel *cancel; /* of catalog_limit() */
	int64_t until_ns;
	bool late; /* a statement was ended by the time */
	struct catalog_kept {
		const char *sql; /* borrowed; NULL: the end of what is kept */
		sqlite3_stmt *s;
	} kept[CATALOG_KEPT_MAX];
};

enum catalog_mode {
	CATALOG_READ, /* must exist; one of an older version is migrated first */
	CATALOG_WRITE /* made when missing, directories too; migrated */
};

/*
 * Opens the file.
 *   ERR_NOT_FOUND  there is none (READ)
 *   ERR_CORRUPT    it is damaged, or no database: the message says to rebuild
 *   ERR_FORMAT     it is another program's database, or of a later version
 *   ERR_BUSY       another program is writing for a long time
 *   ERR_DENIED, ERR_QUOTA, ERR_IO, ERR_NOMEM
 */
MUST_CHECK int catalog_open(const char *path, enum catalog_mode mode, struct catalog **ret,
                            struct err *e);
void catalog_free(struct catalog *c);
static inline void clean_catalog(struct catalog *const *c)
{
	catalog_free(*c);
}
#define auto_catalog CLEANUP(clean_catalog)

/*
 * Copies the database, as it is now, into a new file for its owner only. ERR_EXISTS when there is
 * one; else as catalog_open(), and then nothing is left of it.
 */
MUST_CHECK int catalog_copy(struct catalog *c, const char *path, struct err *e);

/* The version that this program writes: its newest migration. */
int catalog_version(void);

/*
 * Where the catalog of a repository is: option when given; else beneath the
 * state directory, by the repository's id in the key file (no secret is read);
 * else the only one there. Caller frees.
 *   ERR_NOT_FOUND  there is none, or several
 *   ERR_INVALID    the state directory is "" (none is wanted), and no option
 */
MUST_CHECK int catalog_path(const char *option, const char *state, const char *key_path, char **ret,
                            struct err *e);

/* Makes the directories that the file will be in, for its owner only. */
MUST_CHECK int catalog_make_dir(const char *path, struct err *e);

/* ---- SQL, for this folder and for reports ---- */

/* Statements that return nothing, one or more. */
MUST_CHECK int catalog_exec(struct catalog *c, const char *sql, struct err *e);

/*
 * From now on statements of this handle end with ERR_CANCELLED when cancel (may be NULL) is
 * requested, and with ERR_TOO_BIG at until_ns (as now_mono_ns(); 0: never). NULL and 0 take it
 * back.
 */
void catalog_limit(struct catalog *c, const struct cancel *cancel, int64_t until_ns);

/* NULL with e. Finalize with sqlite3_finalize(), or declare with auto_stmt. */
MUST_CHECK sqlite3_stmt *catalog_prepare(struct catalog *c, const char *sql, struct err *e);

/*
 * The same of a statement that is run for each of many rows: it is the catalog's, is prepared once,
 * and is handed out reset and without values. sql lives as long as the catalog, and is known by its
 * address; at most CATALOG_KEPT_MAX are used in a program.
 */
MUST_CHECK sqlite3_stmt *catalog_keep(struct catalog *c, const char *sql, struct err *e);
static inline void clean_stmt(sqlite3_stmt *const *s)
{
	(void)sqlite3_finalize(*s);
}
#define auto_stmt CLEANUP(clean_stmt)

/* 1: a row; 0: the end; -1 with e. */
MUST_CHECK int catalog_step(struct catalog *c, sqlite3_stmt *s, struct err *e);

/* Runs a statement without rows and resets it, keeping what is bound. */
MUST_CHECK int catalog_run(struct catalog *c, sqlite3_stmt *s, struct err *e);

/*
 * Binds; NULL and "" of _or_null are NULL. The text is copied. Memory that is
 * short shows in the next step.
 */
void catalog_bind_text(sqlite3_stmt *s, int at, const char *text);
void catalog_bind_text_or_null(sqlite3_stmt *s, int at, const char *text);
void catalog_bind_hex(sqlite3_stmt *s, int at, const uint8_t *p, size_t n); /* n <= 32 */
void catalog_bind_u64(sqlite3_stmt *s, int at, uint64_t v); /* what is over 2^63-1 becomes that */

/* The text of a column, "" for NULL; valid until the next step. */
const char *catalog_text(sqlite3_stmt *s, int column);

/* What SQLite says of the last call, as our error. what: "reading", "migrating". */
int catalog_error(struct catalog *c, int rc, const char *what, struct err *e);

/*
 * A transaction that ends with its scope, unless it was committed:
 *     CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
 */
struct catalog_tx {
	struct catalog *c;
};
MUST_CHECK int catalog_tx_begin(struct catalog_tx *tx, struct catalog *c, struct err *e);
MUST_CHECK int catalog_tx_commit(struct catalog_tx *tx, struct err *e);
void catalog_tx_end(struct catalog_tx *tx);

#endif
