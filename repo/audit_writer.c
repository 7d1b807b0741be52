/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `head` in the spool's directory says where the chain of this state directory is, which file was
 * put last, and which one is about to be. It is written before the PUT and after it, so that after
 * a crash the same batch is tried again under the same name: what stands there then is our own, or
 * somebody has a copy of this directory. Then a new chain begins, which names the old one.
 */
#include "repo/audit_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "repo/audit_spool.h"
#include "repo/crypt.h"

#define HEAD_NAME "head"
#define HEAD_SCHEMA "aksdr/audit-state/v1"
#define HEAD_MAX (4 * KIB)
#define PUT_LOCK "put.lock"
#define FORKS_MAX 3

struct state {
	struct audit_head head;      /* of our chain; all zero: there is none yet */
	struct audit_head continues; /* of its first batch */
	uint8_t done[32];            /* hash of the file that was put last */
	uint8_t putting[32];         /* of the one that may have been put; zero: none */
};

struct writer {
	const struct repo *r;
	struct audit_spool spool;
	int put_lock;
	struct state s;
};

static void writer_close(struct writer *w)
{
	audit_spool_close(&w->spool);
	clean_close(&w->put_lock);
}

/* ---- where it is ---- */

static int state_read(const json_t *o, struct state *ret, struct err *e)
{
	static const char what[] = "the state of the audit trail";
	const json_t *continues = json_object_get(o, "continues");

	return note_schema(o, what, HEAD_SCHEMA, e) < 0 ||
	                       audit_batch_head_read(json_object_get(o, "head"), what, &ret->head,
	                                             e) < 0 ||
	                       (continues &&
	                        audit_batch_head_read(continues, what, &ret->continues, e) < 0) ||
	                       json_get_hex(o, what, "done", ret->done, sizeof(ret->done), e) < 0 ||
	                       json_get_hex(o, what, "putting", ret->putting, sizeof(ret->putting),
	                                    e) < 0
	               ? -1
	               : 0;
}

/* One that is damaged counts as none: a new chain begins. */
static void state_load(struct writer *w)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(HEAD_MAX);
	struct err ignored = ERR_INIT;
	struct state s = { .head.number = 0 };

	w->s = s;
	if (fd_read_file(w->spool.dir, HEAD_NAME, &b, &ignored) < 0)
		return;
	auto_json json_t *o = json_parse("the state of the audit trail", b.data, b.len, &ignored);
	if (o && state_read(o, &s, &ignored) == 0)
		w->s = s;
}

static int state_save(const struct writer *w, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(HEAD_MAX);
	const struct state *s = &w->s;
	auto_json json_t *o = json_pack("{ss so ss ss}", "schema", HEAD_SCHEMA, "head",
	                                audit_batch_head_json(&s->head), "done",
	                                hex_of32(s->done).s, "putting", hex_of32(s->putting).s);

	if (!o || (s->continues.writer[0] &&
	           json_object_set_new(o, "continues", audit_batch_head_json(&s->continues)) < 0))
		return err_set(e, ERR_NOMEM, "no memory for the state of the audit trail");
	if (json_write(o, &b, e) < 0)
		return -1;
	return fd_create_file(w->spool.dir, HEAD_NAME, b.data, b.len, 0600, FD_REPLACE, e);
}

static void begin(struct state *s)
{
	char writer[AUDIT_WRITER_LEN + 1];

	/* One that has no batch yet is not named by anybody. */
	if (s->head.number > 0)
		s->continues = s->head;
	audit_batch_writer_new(now_wall_ns(), writer);
	audit_batch_begin(writer, &s->continues, &s->head);
}

/* A chain is of one day, so that who looks for new ones need not list the old ones. */
static bool is_of_today(const struct state *s)
{
	const struct now_text day = now_day(now_wall_ns());

	return strncmp(s->head.writer, day.s, strlen(day.s)) == 0 &&
	       s->head.number < NOTE_NUMBER_MAX;
}

/* ---- putting ---- */

/* In the place of lines that are lost; the same text whenever it is made of the same file. */
static int add_damage(const struct writer *w, struct audit_spool_file *f, struct err *e)
{
	char signer[2 * FORMAT_SIGNER_BYTES + 1];
	char error[128];
	struct audit_record r = {
		.at_ns = f->changed_ns,
		.act = "audit-spool",
		.why = "",
		.result = AUDIT_FAILED,
		.status = EXIT_INTEGRITY,
		.error = error,
		.signer = signer,
	};

	if (f->damaged == 0)
		return 0;
	(void)snprintf(error, sizeof(error),
	               "%llu records that waited in the state directory were damaged and are lost",
	               (unsigned long long)f->damaged);
	hex_encode(r.id, f->hash, sizeof(r.id) / 2);
	hex_encode(signer, w->r->keys->signer_id, FORMAT_SIGNER_BYTES);
	json_t *o = audit_record_json(&r, e);
	if (!o)
		return -1;
	if (json_array_append_new(f->records, o) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a record of the audit trail");
	f->damaged = 0;
	return 0;
}

/* What stands under the name of ours. 1: it is ours; 0: another one; -1: e */
static int is_ours(const struct repo *r, const char *key, const struct audit_head *after,
                   struct err *e)
{
	struct audit_batch there;
	auto_json json_t *o = NULL;
	struct err why = ERR_INIT;

	if (note_get(r, FORMAT_KIND_AUDIT, key, &o, NULL, &why) < 0 ||
	    audit_batch_read(o, key, &there, &why) < 0) {
		if (note_is_bad(&why))
			return 0;
		*e = why;
		return -1;
	}
	return memcmp(there.after.hash, after->hash, sizeof(after->hash)) == 0;
}

/* 1: it is there; 0: somebody else's is; -1: e */
static int put_once(const struct repo *r, const struct state *s, const json_t *records,
                    struct audit_head *ret_after, struct err *e)
{
	char key[NOTE_KEY_MAX];
	struct err why = ERR_INIT;

	auto_json json_t *batch = audit_batch_json(&s->head, &s->continues, records, ret_after, e);
	if (!batch)
		return -1;
	audit_batch_key(ret_after->writer, ret_after->number, key);
	if (note_put(r, FORMAT_KIND_AUDIT, key, batch, NULL, &why) == 0)
		return 1;
	if (why.class == ERR_EXISTS)
		return is_ours(r, key, ret_after, e);
	*e = why;
	return err_wrap(e, "putting '%s'", key);
}

static int put_file(struct writer *w, struct audit_spool_file *f, struct err *e)
{
	static const uint8_t none[32];
	struct audit_head after;
	struct state *s = &w->s;
	int rc = 0;

	if (add_damage(w, f, e) < 0)
		return -1;
	/* One that may have been put already is tried under the same name, whatever day it is. */
	if (memcmp(s->putting, f->hash, sizeof(f->hash)) != 0 && !is_of_today(s))
		begin(s);
	memcpy(s->putting, f->hash, sizeof(s->putting));
	for (unsigned i = 0; i < FORKS_MAX; i++) {
		if (state_save(w, e) < 0)
			return -1;
		rc = put_once(w->r, s, f->records, &after, e);
		if (rc != 0)
			break;
		begin(s);
	}
	if (rc <= 0)
		return rc < 0 ? -1
		              : err_set(e, ERR_BUSY,
		                        "batches of the audit trail are put by somebody else under "
		                        "the names of ours");
	s->head = after;
	memcpy(s->done, f->hash, sizeof(s->done));
	memcpy(s->putting, none, sizeof(none));
	if (state_save(w, e) < 0)
		return -1;
	audit_spool_drop(&w->spool, f->number);
	return 0;
}

static int put_all(struct writer *w, struct err *e)
{
	for (;;) {
		CLEANUP(audit_spool_file_clear) struct audit_spool_file f = { .number = 0 };

		if (audit_spool_take(&w->spool, w->s.done, &f, e) < 0)
			return -1;
		if (f.number == 0)
			return 0;
		if (put_file(w, &f, e) < 0)
			return -1;
	}
}

/* ---- for the others ---- */

static int open_spool(const struct repo *r, struct audit_spool *ret, struct err *e)
{
	return r->state[0] ? audit_spool_open(r->state, ret, e)
	                   : err_set(e, ERR_UNSUPPORTED,
	                             "without a state directory there is no place for records of "
	                             "the audit trail");
}

static int can_sign(const struct repo *r, struct err *e)
{
	return r->keys->has_sign
	               ? 0
	               : err_set(e, ERR_DENIED, "this key cannot sign records of the audit trail");
}

int audit_writer_spool(const struct repo *r, const json_t *record, struct err *e)
{
	auto_audit_spool struct audit_spool s = AUDIT_SPOOL_NONE;

	return open_spool(r, &s, e) < 0 ? -1 : audit_spool_add(&s, record, e);
}

int audit_writer_flush(const struct repo *r, struct err *e)
{
	CLEANUP(writer_close)
	struct writer w = { .r = r, .spool = AUDIT_SPOOL_NONE, .put_lock = -1 };

	if (can_sign(r, e) < 0 || open_spool(r, &w.spool, e) < 0)
		return -1;
	w.put_lock = openat(w.spool.dir, PUT_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (w.put_lock < 0)
		return err_sys(e, errno, "opening the lock of the audit trail");
	while (flock(w.put_lock, LOCK_EX) < 0) {
		if (errno != EINTR)
			return err_sys(e, errno, "locking the audit trail");
		if (cancel_check(r->cancel, e) < 0)
			return -1;
	}
	state_load(&w);
	return put_all(&w, e);
}

int audit_writer_due(const struct repo *r, int64_t max_age_s, struct err *e)
{
	auto_audit_spool struct audit_spool s = AUDIT_SPOOL_NONE;
	int64_t oldest_ns;
	bool full;

	if (open_spool(r, &s, e) < 0 || audit_spool_look(&s, &oldest_ns, &full, e) < 0)
		return -1;
	return oldest_ns > 0 && (full || now_wall_ns() - oldest_ns >= max_age_s * 1000000000LL);
}

int audit_writer_put_alone(const struct repo *r, const json_t *record, struct err *e)
{
	auto_json json_t *records = json_array();
	struct state s = { .head.number = 0 };
	struct audit_head after;

	if (can_sign(r, e) < 0)
		return -1;
	if (!records || json_array_append(records, (json_t *)(uintptr_t)record) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a record of the audit trail");
	begin(&s);
	int rc = put_once(r, &s, records, &after, e);
	if (rc == 0)
		return err_set(e, ERR_BUSY, "the name of a new chain is taken");
	return rc < 0 ? -1 : 0;
}
