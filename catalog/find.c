/* SPDX-License-Identifier: Apache-2.0 */
/* Names to rows. A volume's name may hold an '@', so the whole text is tried first. */
#include "catalog/find.h"

#include <string.h>

#include "common/buf.h"
#include "common/now.h"

#define ID_LEAST 4
#define LISTED_MAX 8 /* names in a message */

/* The texts of the first column of all rows, at most LISTED_MAX and "...". */
static int list_rows(struct catalog *c, sqlite3_stmt *s, struct buf *b, struct err *e)
{
	size_t n = 0;
	int rc;

	while ((rc = catalog_step(c, s, e)) > 0) {
		if (n <= LISTED_MAX)
			(void)buf_printf(b, "%s%s", n ? ", " : "",
			                 n == LISTED_MAX ? "..." : catalog_text(s, 0));
		n++;
	}
	(void)sqlite3_reset(s);
	return rc;
}

/* 1: found; 0: none; -1 with e: several, or worse. */
static int match_volume(struct catalog *c, const char *text, char ret[17], struct err *e)
{
	CLEANUP(buf_clear) struct buf names = BUF_INIT(4 * KIB);
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c,
		"SELECT volume, voltag FROM volumes WHERE volume = ?1"
		" OR substr(volume, -length(?1) - 1) = '/' || ?1 ORDER BY volume = ?1 DESC, volume",
		e);
	int n = 0;
	int rc;

	if (!s)
		return -1;
	catalog_bind_text(s, 1, text);
	while ((rc = catalog_step(c, s, e)) > 0) {
		bool whole = strcmp(catalog_text(s, 0), text) == 0;

		if (n++ == 0)
			(void)snprintf(ret, 17, "%.16s", catalog_text(s, 1));
		if (whole)
			return 1;
	}
	if (rc < 0)
		return -1;
	if (n <= 1)
		return n;
	(void)sqlite3_reset(s);
	if (list_rows(c, s, &names, e) < 0)
		return -1;
	return err_set(e, ERR_NOT_FOUND, "'%s' is ambiguous: there are %s; name one of them", text,
	               buf_cstr(&names));
}

static int no_volume(struct catalog *c, const char *text, struct err *e)
{
	CLEANUP(buf_clear) struct buf names = BUF_INIT(4 * KIB);
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, "SELECT volume FROM volumes ORDER BY volume",
	                                            e);

	if (!s || list_rows(c, s, &names, e) < 0)
		return -1;
	if (names.len == 0)
		return err_set(e, ERR_NOT_FOUND, "the catalog '%s' knows no restore point yet",
		               c->path);
	return err_set(e, ERR_NOT_FOUND, "there is no volume '%s' in the catalog; there are: %s",
	               text, buf_cstr(&names));
}

int find_volume(struct catalog *c, const char *text, char ret_voltag[17], struct err *e)
{
	int rc = match_volume(c, text, ret_voltag, e);

	if (rc == 0)
		return no_volume(c, text, e);
	return rc < 0 ? -1 : 0;
}

/* Runs a statement that gives sessions; takes the first. 1, or 0: none. */
static int first_session(struct catalog *c, sqlite3_stmt *s, char *ret, struct err *e)
{
	int rc = catalog_step(c, s, e);

	if (rc > 0)
		(void)snprintf(ret, POINT_SESSION_LEN + 1, "%.*s", POINT_SESSION_LEN,
		               catalog_text(s, 0));
	return rc;
}

static bool is_id(const char *text)
{
	size_t n = strlen(text);

	return n >= ID_LEAST && n <= 32 && strspn(text, "0123456789abcdefABCDEF") == n;
}

/* By the first digits of an id; voltag NULL: of any volume. 1, 0, or -1: several. */
static int by_id(struct catalog *c, const char *voltag, const char *id, char *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf ids = BUF_INIT(4 * KIB);
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c,
		"SELECT point, session FROM points WHERE substr(point, 1, length(?1)) = lower(?1)"
		" AND (?2 IS NULL OR voltag = ?2) ORDER BY session",
		e);
	int n = 0;
	int rc;

	if (!s)
		return -1;
	catalog_bind_text(s, 1, id);
	catalog_bind_text_or_null(s, 2, voltag);
	while ((rc = catalog_step(c, s, e)) > 0) {
		if (n++ == 0)
			(void)snprintf(ret, POINT_SESSION_LEN + 1, "%.*s", POINT_SESSION_LEN,
			               catalog_text(s, 1));
	}
	if (rc < 0)
		return -1;
	if (n <= 1)
		return n;
	(void)sqlite3_reset(s);
	if (list_rows(c, s, &ids, e) < 0)
		return -1;
	return err_set(e, ERR_NOT_FOUND, "'%s' is ambiguous: there are %s; give more digits", id,
	               buf_cstr(&ids));
}

/* The newest of the volume that is in the store and not frozen after until_ns. 1, or 0: none. */
static int newest(struct catalog *c, const char *voltag, int64_t until_ns, char *ret, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c,
		until_ns == INT64_MAX
			? "SELECT session FROM points WHERE voltag = ?1 AND gone_at_ns IS NULL"
			  " ORDER BY sequence DESC, received_ns DESC, session DESC LIMIT 1"
			: "SELECT session FROM points WHERE voltag = ?1 AND gone_at_ns IS NULL"
			  " AND frozen_ns <= ?2"
			  " ORDER BY frozen_ns DESC, sequence DESC, received_ns DESC, session "
			  "DESC LIMIT 1",
		e);

	if (!s)
		return -1;
	catalog_bind_text(s, 1, voltag);
	(void)sqlite3_bind_int64(s, 2, until_ns); /* where the statement has it */
	return first_session(c, s, ret, e);
}

/* The point `which` of a volume. */
static int in_volume(struct catalog *c, const char *voltag, const char *name, const char *which,
                     char *ret, struct err *e)
{
	int64_t time_ns = INT64_MAX;
	struct err ignored = ERR_INIT;
	int rc;

	if (strcmp(which, "latest") == 0) {
		rc = newest(c, voltag, INT64_MAX, ret, e);
	} else if (is_id(which)) {
		rc = by_id(c, voltag, which, ret, e);
	} else {
		if (now_parse(which, &time_ns, &ignored) < 0)
			return err_set(
				e, ERR_INVALID,
				"'%s' names no restore point of '%s': use 'latest', an id of at "
				"least %d digits, or a time such as 2026-11-22T10:04Z",
				which, name, ID_LEAST);
		rc = newest(c, voltag, time_ns, ret, e);
	}
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	return err_set(e, ERR_NOT_FOUND,
	               "volume '%s' has no restore point '%s'; 'aksdr-catalog list --volume %s' "
	               "shows "
	               "what it has",
	               name, which, name);
}

int find_point(struct catalog *c, const char *text, char ret_session[POINT_SESSION_LEN + 1],
               struct err *e)
{
	const char *at = strrchr(text, '@');
	char session[POINT_SESSION_LEN + 1];
	char voltag[17];
	auto_free char *name = strndup(text, at ? (size_t)(at - text) : strlen(text));

	if (!name)
		return err_set(e, ERR_NOMEM, "no memory for a name");
	if (point_session_valid(text)) {
		auto_stmt sqlite3_stmt *s =
			catalog_prepare(c, "SELECT session FROM points WHERE session = ?1", e);

		if (!s)
			return -1;
		catalog_bind_text(s, 1, text);
		int rc = first_session(c, s, ret_session, e);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
		return err_set(e, ERR_NOT_FOUND, "there is no restore point '%s' in the catalog",
		               text);
	}
	const char *which = "latest";
	int found = match_volume(c, text, voltag, e);
	if (found == 0 && at) {
		found = match_volume(c, name, voltag, e);
		which = at + 1;
	}
	if (found == 0 && is_id(text)) {
		int rc = by_id(c, NULL, text, ret_session, e);

		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
	if (found < 0)
		return -1;
	if (found == 0)
		return no_volume(c, name, e);
	if (in_volume(c, voltag, name, which, session, e) < 0)
		return -1;
	memcpy(ret_session, session, sizeof(session));
	return 0;
}
