/* SPDX-License-Identifier: Apache-2.0 */
/* See revision.h. The newest revision is authentic; of those before it the numbers are noted. */
#include "catalog/revision.h"

#include <string.h>

#include "repo/note.h"

struct revisions {
	struct catalog *c;
	const struct repo *r;
	sqlite3_stmt *add;
};

static int note_revision(void *arg, const struct store_item *item, struct err *e)
{
	struct revisions *x = arg;
	uint64_t n = 1;

	if (cancel_check(x->r->cancel, e) < 0)
		return -1;
	if (strcmp(item->key, CONFIG_KEY) != 0 &&
	    (strncmp(item->key, CONFIG_REVISIONS "/", strlen(CONFIG_REVISIONS "/")) != 0 ||
	     !note_number(item->key + strlen(CONFIG_REVISIONS "/"), &n)))
		return 0;
	/* What is beside them does not count. */
	if (n > x->r->params.revision)
		return 0;
	catalog_bind_u64(x->add, 1, n);
	(void)sqlite3_bind_int64(x->add, 2, item->st.received_ns);
	return catalog_run(x->c, x->add, e);
}

static int note_newest(struct catalog *c, const struct repo *r, struct err *e)
{
	size_t signers = 0;
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c,
	                        "UPDATE configs SET hash = ?2, signatures = ?3, signers = ?4,"
	                        " recipients = ?5 WHERE revision = ?1 AND hash IS NULL",
	                        e);

	if (!s)
		return -1;
	for (size_t i = 0; i < r->keys->nsigners; i++)
		signers += !r->keys->signers[i].revoked;
	catalog_bind_u64(s, 1, r->params.revision);
	catalog_bind_hex(s, 2, r->config.hash, sizeof(r->config.hash));
	catalog_bind_u64(s, 3, r->params.signatures ? r->params.signatures : 1);
	catalog_bind_u64(s, 4, signers);
	catalog_bind_u64(s, 5, r->keys->nrecipients);
	return catalog_run(c, s, e);
}

static int note_revoked(struct catalog *c, const struct keys *k, struct err *e)
{
	auto_stmt sqlite3_stmt *s = catalog_prepare(
		c, "UPDATE signers SET revoked_ns = ?2 WHERE signer = ?1 AND revoked_ns IS NOT ?2",
		e);

	if (!s)
		return -1;
	for (size_t i = 0; i < k->nsigners; i++) {
		if (!k->signers[i].revoked)
			continue;
		catalog_bind_hex(s, 1, k->signers[i].id, sizeof(k->signers[i].id));
		(void)sqlite3_bind_int64(s, 2, k->signers[i].revoked_ns);
		if (catalog_run(c, s, e) < 0)
			return -1;
	}
	return 0;
}

static int note_recipients(struct catalog *c, const struct keys *k, int64_t now_ns, struct err *e)
{
	auto_stmt sqlite3_stmt *gone =
		catalog_prepare(c, "UPDATE recipients SET gone_ns = ?1 WHERE gone_ns IS NULL", e);
	auto_stmt sqlite3_stmt *add = catalog_prepare(
		c,
		"INSERT INTO recipients (recipient, public, name, seen_ns) VALUES (?1, ?2, ?3, ?4)"
		" ON CONFLICT (recipient) DO UPDATE SET name = excluded.name, gone_ns = NULL",
		e);

	if (!gone || !add)
		return -1;
	(void)sqlite3_bind_int64(gone, 1, now_ns);
	if (catalog_run(c, gone, e) < 0)
		return -1;
	for (size_t i = 0; i < k->nrecipients; i++) {
		catalog_bind_hex(add, 1, k->recipients[i].id, sizeof(k->recipients[i].id));
		catalog_bind_hex(add, 2, k->recipients[i].public, sizeof(k->recipients[i].public));
		catalog_bind_text(add, 3, k->recipients[i].name);
		(void)sqlite3_bind_int64(add, 4, now_ns);
		if (catalog_run(c, add, e) < 0)
			return -1;
	}
	return 0;
}

int revision_sync(struct catalog *c, const struct repo *r, int64_t now_ns, struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
	struct revisions x = { .c = c, .r = r };
	struct store_stat first;
	auto_stmt sqlite3_stmt *add =
		catalog_prepare(c,
	                        "INSERT INTO configs (revision, received_ns) VALUES (?1, ?2)"
	                        " ON CONFLICT DO NOTHING",
	                        e);

	if (!add || store_head(r->store, CONFIG_KEY, &first, e) < 0)
		return -1;
	const struct store_item item = { .key = CONFIG_KEY, .st = first };
	x.add = add;
	if (note_revision(&x, &item, e) < 0 ||
	    store_list(r->store, CONFIG_REVISIONS "/", NULL, note_revision, &x, e) < 0 ||
	    catalog_tx_begin(&tx, c, e) < 0 || note_newest(c, r, e) < 0 ||
	    note_revoked(c, r->keys, e) < 0 || note_recipients(c, r->keys, now_ns, e) < 0)
		return err_wrap(e, "noting what the config says of keys");
	return catalog_tx_commit(&tx, e);
}
