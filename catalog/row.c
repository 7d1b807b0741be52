/* SPDX-License-Identifier: Apache-2.0 */
/* The rows that are written. What is there already stays as it is. */
#include "catalog/row.h"

#include <string.h>

#include "common/hex.h"

static int add_signers(struct catalog *c, const struct keys *k, struct err *e)
{
	auto_stmt sqlite3_stmt *s =
		catalog_prepare(c,
	                        "INSERT INTO signers (signer, public, name) VALUES (?1, ?2, ?3)"
	                        " ON CONFLICT DO NOTHING",
	                        e);
	uint8_t admin[8];

	if (!s)
		return -1;
	for (size_t i = 0; i < k->nsigners; i++) {
		catalog_bind_hex(s, 1, k->signers[i].id, sizeof(k->signers[i].id));
		catalog_bind_hex(s, 2, k->signers[i].public, sizeof(k->signers[i].public));
		catalog_bind_text(s, 3, k->signers[i].name);
		if (catalog_run(c, s, e) < 0)
			return -1;
	}
	key_signer_id(admin, k->admin_public);
	catalog_bind_hex(s, 1, admin, sizeof(admin));
	catalog_bind_hex(s, 2, k->admin_public, sizeof(k->admin_public));
	catalog_bind_text(s, 3, "admin");
	return catalog_run(c, s, e);
}

int row_bind_repository(struct catalog *c, const struct keys *k, struct err *e)
{
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
	char id[33];

	hex_encode(id, k->repo, sizeof(k->repo));
	if (catalog_tx_begin(&tx, c, e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *add = catalog_prepare(
		c, "INSERT INTO repository (one, id) VALUES (1, ?1) ON CONFLICT DO NOTHING", e);
	auto_stmt sqlite3_stmt *get = catalog_prepare(c, "SELECT id FROM repository", e);
	if (!add || !get)
		return -1;
	catalog_bind_text(add, 1, id);
	if (catalog_run(c, add, e) < 0 || catalog_step(c, get, e) < 0)
		return -1;
	if (strcmp(catalog_text(get, 0), id) != 0)
		return err_set(
			e, ERR_INVALID,
			"the catalog '%s' is of repository %s, the store holds %s: name another "
			"file by --catalog",
			c->path, catalog_text(get, 0), id);
	(void)sqlite3_reset(get);
	return add_signers(c, k, e) < 0 ? -1 : catalog_tx_commit(&tx, e);
}

static const char insert_cluster[] =
	"INSERT INTO clusters (cluster) VALUES (?1) ON CONFLICT DO NOTHING";

static const char insert_volume[] =
	"INSERT INTO volumes (voltag, cluster, namespace, name) VALUES (?1, ?2, ?3, ?4)"
	" ON CONFLICT DO NOTHING";

static int add_volume(struct catalog *c, const struct point_volume *v, const char *voltag,
                      struct err *e)
{
	sqlite3_stmt *cluster = catalog_keep(c, insert_cluster, e);
	sqlite3_stmt *volume = catalog_keep(c, insert_volume, e);

	if (!cluster || !volume)
		return -1;
	catalog_bind_text(cluster, 1, v->cluster);
	catalog_bind_text(volume, 1, voltag);
	catalog_bind_text(volume, 2, v->cluster);
	catalog_bind_text(volume, 3, v->namespace);
	catalog_bind_text(volume, 4, v->name);
	return catalog_run(c, cluster, e) < 0 ? -1 : catalog_run(c, volume, e);
}

static const char insert_point[] =
	"INSERT INTO points (session, point, set_id, voltag, volume_uid, kind, domain, sequence,"
	" previous_session, previous_hash, started_ns, frozen_ns, finished_ns, received_ns,"
	" consistency, driver, root_id, root_pack, root_offset, root_stored, root_plain, "
	"root_counter,"
	" root_key, root_compression, levels, files, directories, others, bytes_logical, "
	"bytes_read,"
	" bytes_new, bytes_stored, unreadable, changed, vanished, host, agent, epoch, hash, "
	"signer, previous_missing, freeze_ms, moment, fallback, hooks_run, hooks_failed,"
	" base_session, bytes_claimed, bytes_skipped, bytes_compared, bytes_wrong)"
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, "
	"?18, ?19,"
	" ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37,"
	" ?38, ?39, ?40, ?41, ?42, ?43, ?44, ?45, ?46, ?47, ?48, ?49, ?50, ?51)"
	" ON CONFLICT (session) DO NOTHING";

static void bind_names(sqlite3_stmt *s, const struct point *p, const char *voltag)
{
	catalog_bind_text(s, 1, p->session);
	catalog_bind_text(s, 2, p->id);
	catalog_bind_text_or_null(s, 3, p->set);
	catalog_bind_text(s, 4, voltag);
	catalog_bind_text_or_null(s, 5, p->volume.uid);
	catalog_bind_text(s, 6, p->volume.block ? "block" : "filesystem");
	catalog_bind_text(s, 7, p->domain);
	catalog_bind_u64(s, 8, p->sequence);
	catalog_bind_text_or_null(s, 9, p->previous_session);
	if (p->previous_session[0])
		catalog_bind_hex(s, 10, p->previous_hash, sizeof(p->previous_hash));
	(void)sqlite3_bind_int64(s, 11, p->started_ns);
	(void)sqlite3_bind_int64(s, 12, p->frozen_ns);
	(void)sqlite3_bind_int64(s, 13, p->finished_ns);
	(void)sqlite3_bind_int64(s, 14, p->received_ns);
	catalog_bind_text(s, 15, p->consistency);
	catalog_bind_text_or_null(s, 16, p->driver);
}

static void bind_content(sqlite3_stmt *s, const struct point *p)
{
	const struct chunk_ref *r = &p->root;

	catalog_bind_hex(s, 17, r->id, sizeof(r->id));
	catalog_bind_hex(s, 18, r->pack, sizeof(r->pack));
	catalog_bind_u64(s, 19, r->off);
	catalog_bind_u64(s, 20, r->stored);
	catalog_bind_u64(s, 21, r->plain);
	catalog_bind_u64(s, 22, r->counter);
	catalog_bind_u64(s, 23, r->key);
	catalog_bind_u64(s, 24, r->compression);
	catalog_bind_u64(s, 25, p->levels);
	catalog_bind_u64(s, 26, p->files);
	catalog_bind_u64(s, 27, p->directories);
	catalog_bind_u64(s, 28, p->others);
	catalog_bind_u64(s, 29, p->bytes_logical);
	catalog_bind_u64(s, 30, p->bytes_read);
	catalog_bind_u64(s, 31, p->bytes_new);
	catalog_bind_u64(s, 32, p->bytes_stored);
	catalog_bind_u64(s, 33, p->unreadable);
	catalog_bind_u64(s, 34, p->changed);
	catalog_bind_u64(s, 35, p->gone);
	catalog_bind_text_or_null(s, 36, p->host);
	catalog_bind_text_or_null(s, 37, p->agent);
	catalog_bind_u64(s, 38, p->epoch);
	catalog_bind_hex(s, 39, p->hash, sizeof(p->hash));
	catalog_bind_hex(s, 40, p->signer, sizeof(p->signer));
	(void)sqlite3_bind_int(s, 41, p->previous_missing);
}

static bool hook_failed(const struct capture_hook *h)
{
	return h->timed_out || h->signal || h->exit;
}

/* What is not known stays NULL. */
static void bind_capture(sqlite3_stmt *s, const struct point_capture *x)
{
	const struct capture_changes *ch = &x->changes;
	int64_t ns;
	uint64_t failed = 0;

	for (size_t i = 0; i < x->nhooks; i++)
		failed += hook_failed(&x->hooks[i]);
	if (x->frozen_ns && x->thawed_ns &&
	    !__builtin_sub_overflow(x->thawed_ns, x->frozen_ns, &ns))
		catalog_bind_u64(s, 42, ns > 0 ? (uint64_t)ns / 1000000 : 0);
	catalog_bind_text_or_null(s, 43, x->moment);
	catalog_bind_text_or_null(s, 44, x->fallback ? x->fallback : "");
	catalog_bind_u64(s, 45, x->nhooks);
	catalog_bind_u64(s, 46, failed);
	if (!ch->base_session[0])
		return;
	catalog_bind_text(s, 47, ch->base_session);
	catalog_bind_u64(s, 48, ch->claimed_bytes);
	catalog_bind_u64(s, 49, ch->skipped_bytes);
	if (!ch->compared)
		return;
	catalog_bind_u64(s, 50, ch->compared_bytes);
	catalog_bind_u64(s, 51, ch->wrong_bytes);
}

static const char insert_hook[] =
	"INSERT INTO point_hooks (session, n, phase, command, exit, signal, timed_out, "
	"started_ns, ms, output, cut_bytes)"
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

static int add_hooks(struct catalog *c, const struct point *p, struct err *e)
{
	sqlite3_stmt *s = catalog_keep(c, insert_hook, e);

	if (!s)
		return -1;
	for (size_t i = 0; i < p->capture.nhooks; i++) {
		const struct capture_hook *h = &p->capture.hooks[i];

		catalog_bind_text(s, 1, p->session);
		catalog_bind_u64(s, 2, i);
		catalog_bind_text(s, 3, h->post ? "post" : "pre");
		catalog_bind_text(s, 4, h->command);
		(void)sqlite3_bind_int(s, 5, h->exit);
		(void)sqlite3_bind_int(s, 6, h->signal);
		(void)sqlite3_bind_int(s, 7, h->timed_out);
		(void)sqlite3_bind_int64(s, 8, h->started_ns);
		catalog_bind_u64(s, 9, h->ms);
		catalog_bind_text(s, 10, h->output);
		catalog_bind_u64(s, 11, h->cut_bytes);
		if (catalog_run(c, s, e) < 0)
			return -1;
	}
	return 0;
}

static const char insert_fact[] =
	"INSERT INTO point_facts (session, n, name, value) VALUES (?1, ?2, ?3, ?4)";

static const char insert_note[] = "INSERT INTO point_notes (session, n, note) VALUES (?1, ?2, ?3)";

static int add_told(struct catalog *c, const struct point *p, struct err *e)
{
	sqlite3_stmt *fact = catalog_keep(c, insert_fact, e);
	sqlite3_stmt *note = catalog_keep(c, insert_note, e);

	if (!fact || !note)
		return -1;
	for (size_t i = 0; i < p->capture.nfacts; i++) {
		catalog_bind_text(fact, 1, p->session);
		catalog_bind_u64(fact, 2, i);
		catalog_bind_text(fact, 3, p->capture.facts[i].name);
		catalog_bind_text(fact, 4, p->capture.facts[i].value);
		if (catalog_run(c, fact, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < p->capture.nnotes; i++) {
		catalog_bind_text(note, 1, p->session);
		catalog_bind_u64(note, 2, i);
		catalog_bind_text(note, 3, p->capture.notes[i]);
		if (catalog_run(c, note, e) < 0)
			return -1;
	}
	return 0;
}

static const char insert_segment[] =
	"INSERT INTO point_segments (session, n, key) VALUES (?1, ?2, ?3)";

static const char insert_problem[] =
	"INSERT INTO point_problems (session, n, path, why) VALUES (?1, ?2, ?3, ?4)";

static int add_lists(struct catalog *c, const struct point *p, struct err *e)
{
	sqlite3_stmt *segment = catalog_keep(c, insert_segment, e);
	sqlite3_stmt *problem = catalog_keep(c, insert_problem, e);

	if (!segment || !problem)
		return -1;
	for (size_t i = 0; i < p->nindex; i++) {
		catalog_bind_text(segment, 1, p->session);
		catalog_bind_u64(segment, 2, i);
		catalog_bind_text(segment, 3, p->index[i]);
		if (catalog_run(c, segment, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < p->nproblems; i++) {
		catalog_bind_text(problem, 1, p->session);
		catalog_bind_u64(problem, 2, i);
		catalog_bind_text(problem, 3, p->problems[i].path);
		catalog_bind_text(problem, 4, p->problems[i].why);
		if (catalog_run(c, problem, e) < 0)
			return -1;
	}
	return 0;
}

int row_add_point(struct catalog *c, const struct point *p, const char voltag[17], struct err *e)
{
	if (add_volume(c, &p->volume, voltag, e) < 0)
		return -1;
	sqlite3_stmt *s = catalog_keep(c, insert_point, e);
	if (!s)
		return -1;
	bind_names(s, p, voltag);
	bind_content(s, p);
	bind_capture(s, &p->capture);
	if (catalog_run(c, s, e) < 0)
		return -1;
	if (sqlite3_changes(c->db) == 0)
		return 0;
	if (add_lists(c, p, e) < 0 || add_hooks(c, p, e) < 0 || add_told(c, p, e) < 0)
		return -1;
	return 1;
}

static const char insert_check[] =
	"INSERT INTO checks (run, object, level, all_packs, started_ns, finished_ns, key_kind, "
	"signer, user, host, points, objects, bytes, packs_verified, bytes_verified, problems, "
	"hurt_points, hurt_entries)"
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
	" ON CONFLICT (run) DO ";

/* What a check was, whoever tells of it. */
struct counts {
	const char *run;
	unsigned level;
	bool all;
	int64_t started_ns, finished_ns;
	uint64_t points, objects, bytes_read, packs, bytes, problems, hurt_points, hurt_entries;
};

static void bind_counts(sqlite3_stmt *s, const struct counts *x)
{
	catalog_bind_text_or_null(s, 1, x->run);
	catalog_bind_u64(s, 3, x->level);
	(void)sqlite3_bind_int(s, 4, x->all);
	(void)sqlite3_bind_int64(s, 5, x->started_ns);
	(void)sqlite3_bind_int64(s, 6, x->finished_ns);
	catalog_bind_u64(s, 11, x->points);
	catalog_bind_u64(s, 12, x->objects);
	catalog_bind_u64(s, 13, x->bytes_read);
	catalog_bind_u64(s, 14, x->packs);
	catalog_bind_u64(s, 15, x->bytes);
	catalog_bind_u64(s, 16, x->problems);
	catalog_bind_u64(s, 17, x->hurt_points);
	catalog_bind_u64(s, 18, x->hurt_entries);
}

static int add_problems(struct catalog *c, sqlite3_int64 id, const struct row_check *check,
                        struct err *e)
{
	auto_stmt sqlite3_stmt *problem = catalog_prepare(
		c,
		"INSERT INTO check_problems (check_id, n, object, kind, detail, chunks)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		e);

	if (!problem)
		return -1;
	for (size_t i = 0; i < check->nproblems; i++) {
		const struct check_problem *p = &check->problems[i];

		(void)sqlite3_bind_int64(problem, 1, id);
		catalog_bind_u64(problem, 2, i);
		catalog_bind_text(problem, 3, p->object);
		catalog_bind_text(problem, 4, check_what_name(p->what));
		catalog_bind_text(problem, 5, p->text);
		catalog_bind_u64(problem, 6, p->chunks);
		if (catalog_run(c, problem, e) < 0)
			return -1;
	}
	return 0;
}

int row_add_check(struct catalog *c, const struct row_check *check, struct err *e)
{
	static const char *const kinds[] = {
		[KEY_RECOVERY] = "recovery", [KEY_AGENT] = "agent", [KEY_AUDIT] = "audit"
	};
	CLEANUP(catalog_tx_end) struct catalog_tx tx = { 0 };
	const struct check_result *r = check->result;
	const struct counts counts = {
		.run = r->run,
		.level = r->level,
		.all = r->all,
		.started_ns = r->started_ns,
		.finished_ns = r->finished_ns,
		.points = r->points,
		.objects = r->objects,
		.bytes_read = r->bytes_read,
		.packs = r->packs_verified,
		.bytes = r->bytes_verified,
		.problems = r->problems,
		.hurt_points = r->hurt_points,
		.hurt_entries = r->hurt_entries,
	};
	char sql[sizeof(insert_check) + 16];

	(void)snprintf(sql, sizeof(sql), "%sNOTHING", insert_check);
	if (catalog_tx_begin(&tx, c, e) < 0)
		return -1;
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, sql, e);
	if (!s)
		return -1;
	bind_counts(s, &counts);
	catalog_bind_text(s, 7, kinds[check->key_kind]);
	if (catalog_run(c, s, e) < 0)
		return -1;
	if (sqlite3_changes(c->db) > 0 &&
	    add_problems(c, sqlite3_last_insert_rowid(c->db), check, e) < 0)
		return -1;
	return catalog_tx_commit(&tx, e);
}

int row_add_record(struct catalog *c, const struct checked *x, struct err *e)
{
	const struct counts counts = {
		.run = x->run,
		/* a higher one, which a later program has, is all of those below it */
		.level = x->level < CHECK_LEVEL_MAX ? x->level : CHECK_LEVEL_MAX,
		.all = x->all,
		.started_ns = x->started_ns,
		.finished_ns = x->finished_ns,
		.points = x->points,
		.objects = x->objects,
		.bytes_read = x->bytes_read,
		.packs = x->packs_verified,
		.bytes = x->bytes_verified,
		.problems = x->problems,
		.hurt_points = x->hurt_points,
		.hurt_entries = x->hurt_entries,
	};
	char sql[sizeof(insert_check) + 160];

	/* One that ran with this catalog learns of its record. */
	(void)snprintf(sql, sizeof(sql),
	               "%sUPDATE SET object = excluded.object, signer = excluded.signer, "
	               "user = excluded.user, host = excluded.host WHERE object IS NULL",
	               insert_check);
	auto_stmt sqlite3_stmt *s = catalog_prepare(c, sql, e);
	if (!s)
		return -1;
	bind_counts(s, &counts);
	catalog_bind_text(s, 2, x->key);
	catalog_bind_hex(s, 8, x->signer, sizeof(x->signer));
	catalog_bind_text(s, 9, x->by.user);
	catalog_bind_text(s, 10, x->by.host);
	return catalog_run(c, s, e);
}

/* Ids of checks begin behind those that are there; what is known by its run is left out. */
static const char copy_findings[] =
	"BEGIN;"
	"CREATE TEMP TABLE copied AS"
	" SELECT id, id + (SELECT coalesce(max(id), 0) FROM main.checks) AS new_id FROM old.checks"
	" WHERE (SELECT id FROM old.repository) = (SELECT id FROM main.repository)"
	" AND CASE WHEN run IS NULL"
	" THEN (level, started_ns, finished_ns) NOT IN"
	" (SELECT level, started_ns, finished_ns FROM main.checks)"
	" ELSE run NOT IN (SELECT run FROM main.checks WHERE run IS NOT NULL) END;"
	"INSERT INTO main.checks (id, run, object, level, all_packs, started_ns, finished_ns, "
	"key_kind, signer, user, host, points, objects, bytes, packs_verified, bytes_verified, "
	"problems, hurt_points, hurt_entries)"
	" SELECT new_id, run, object, level, all_packs, started_ns, finished_ns, key_kind, signer, "
	"user, host, points, objects, bytes, packs_verified, bytes_verified, problems, "
	"hurt_points, hurt_entries FROM old.checks JOIN temp.copied USING (id);"
	"INSERT INTO main.check_problems (check_id, n, object, kind, detail, chunks)"
	" SELECT new_id, n, object, kind, detail, chunks FROM old.check_problems"
	" JOIN temp.copied ON id = check_id;"
	"DROP TABLE temp.copied;"
	"INSERT OR IGNORE INTO main.lock_looks SELECT * FROM old.lock_looks"
	" WHERE (SELECT id FROM old.repository) = (SELECT id FROM main.repository);"
	"INSERT OR IGNORE INTO main.locks SELECT * FROM old.locks"
	" WHERE look IN (SELECT id FROM main.lock_looks);"
	"COMMIT";

void row_copy_findings(struct catalog *c, const char *from_path)
{
	auto_catalog struct catalog *from = NULL;
	struct err ignored = ERR_INIT;

	/* opened on its own first, which looks whether it is whole */
	if (catalog_open(from_path, CATALOG_READ, &from, &ignored) < 0)
		return;
	auto_stmt sqlite3_stmt *attach = catalog_prepare(c, "ATTACH ?1 AS old", &ignored);
	if (!attach)
		return;
	catalog_bind_text(attach, 1, from->path);
	if (catalog_run(c, attach, &ignored) < 0)
		return;
	(void)sqlite3_exec(c->db, copy_findings, NULL, NULL, NULL);
	if (!sqlite3_get_autocommit(c->db))
		(void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	(void)sqlite3_exec(c->db, "DETACH old", NULL, NULL, NULL);
}
