/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the independent reader do to a repository beside backups:
 * statements of expiry, a session that dies, a mark of damage, collections.
 *
 *   act STORE-URL KEY-FILE tomb SESSION...
 *   act … hold SESSION | hold-volume NAME | release NUMBER | pin SESSION
 *   act … dead DOMAIN               begins a session, beats, uploads a pack, names it, and ends
 *   act … damage KIND PACK OFFSET CHUNK     KIND is P or M, ids are hexadecimal
 *   act … collect FENCE-SECONDS     one call; prints what came of it
 */
#include <stdio.h>
#include <string.h>

#include "common/hex.h"
#include "common/num.h"
#include "common/secret.h"
#include "repo/collection.h"
#include "repo/expiry.h"
#include "repo/gc.h"
#include "repo/segment.h"
#include "repo/session.h"

#define SECOND_NS ((int64_t)1000000000)
#define GARBAGE_BYTES 100000
#define REPACK_PERCENT 20

static int tomb(const struct repo *r, int argc, char **argv, struct err *e)
{
	struct expiry_point points[16];
	uint64_t number;

	if (argc < 1 || argc > (int)ARRAY_LEN(points))
		return err_set(e, ERR_INVALID, "tomb takes up to %zu sessions", ARRAY_LEN(points));
	for (int i = 0; i < argc; i++)
		points[i] = (struct expiry_point){ .session = argv[i], .why = "a test" };
	return expiry_put_tomb(r, "test", points, (size_t)argc, &number, e);
}

static int hold(const struct repo *r, int argc, char **argv, struct err *e)
{
	uint64_t number;

	(void)argc;
	return expiry_put_hold(r, argv[0], NULL, "a test", "somebody", &number, e);
}

static int hold_volume(const struct repo *r, int argc, char **argv, struct err *e)
{
	struct point_volume v = { 0 };
	uint64_t number;

	(void)argc;
	(void)snprintf(v.name, sizeof(v.name), "%s", argv[0]);
	return expiry_put_hold(r, NULL, &v, "a test", "somebody", &number, e);
}

static int release(const struct repo *r, int argc, char **argv, struct err *e)
{
	uint64_t hold;
	uint64_t number;

	(void)argc;
	return num_u64("hold", argv[0], 1, UINT32_MAX, &hold, e) < 0
	               ? -1
	               : expiry_put_release(r, hold, "it is over", "somebody", &number, e);
}

static int pin(const struct repo *r, int argc, char **argv, struct err *e)
{
	char key[NOTE_KEY_MAX];

	(void)argc;
	if (expiry_pin(r, argv[0], key, e) < 0)
		return -1;
	(void)puts(key);
	return 0;
}

/* One chunk of random bytes into a pack of its own. */
static int build(const struct repo *r, const struct domain_keys *d, struct pack_build *b,
                 struct chunk_ref *ref, struct err *e)
{
	static uint8_t plain[GARBAGE_BYTES];
	struct crypt_hasher h;
	struct crypt_box *box = crypt_box_new(r->params.cipher);
	struct crypt_scrub *scrub = crypt_scrub_new(r->params.cipher, d->scrub, b->id);
	int rc = box && scrub ? 0 : err_set(e, ERR_NOMEM, "no memory for a cipher");

	secret_random(plain, sizeof(plain));
	*ref = (struct chunk_ref){ .kind = CHUNK_DATA, .plain = sizeof(plain) };
	crypt_hasher_init(&h, d->id);
	crypt_chunk_id(&h, plain, sizeof(plain), ref->id, NULL);
	if (rc == 0) {
		crypt_box_key(box, b->dek);
		size_t at = pack_build_reserve(b, ref, sizeof(plain) + FORMAT_TAG_BYTES);
		if (pack_build_seal(b, box, scrub, at, ref, plain, sizeof(plain)) < 0)
			rc = err_set(e, ERR_BUG, "sealing a chunk failed");
	}
	crypt_box_free(box);
	crypt_scrub_free(scrub);
	return rc == 0 ? pack_build_finish(b, e) : -1;
}

/* The pack into the store, and into a segment of the session. */
static int upload(const struct repo *r, const struct domain_keys *d, const char *session,
                  struct pack_build *b, const struct chunk_ref *ref, struct err *e)
{
	const struct segment_writer_params p = {
		.store = r->store, .keys = r->keys, .domain = d, .session = session
	};
	struct segment_pack pack = { .kind = CHUNK_DATA, .len = b->len };
	struct iovec iov = { .iov_base = b->data, .iov_len = b->len };
	auto_segment_writer struct segment_writer *w = NULL;
	char name[PACK_KEY_MAX];

	memcpy(pack.id, b->id, sizeof(pack.id));
	pack_key_name(name, b->id, CHUNK_DATA);
	if (store_put(r->store, name, &iov, 1, e) < 0 || segment_writer_new(&p, &w, e) < 0 ||
	    segment_add(w, &pack, ref, 1, e) < 0)
		return -1;
	return segment_flush(w, e);
}

static int dead(const struct repo *r, int argc, char **argv, struct err *e)
{
	const struct point_volume v = { .name = "gone" };
	struct domain_keys *d = NULL;
	struct chunk_ref ref;
	char session[96];

	(void)argc;
	if (session_begin(r, &v, argv[0], session, e) < 0 || session_beat(r, session, 1, e) < 0 ||
	    session_beat(r, session, 2, e) < 0 || keys_domain(r->keys, argv[0], &d, e) < 0)
		return -1;
	struct pack_build *b = pack_build_new(r->keys, d, CHUNK_DATA, r->params.cipher, 4 * MIB, e);
	int rc = b && build(r, d, b, &ref, e) == 0 ? upload(r, d, session, b, &ref, e) : -1;
	pack_build_free(b);
	secret_free(d);
	if (rc == 0)
		(void)puts(session);
	return rc;
}

static int damage(const struct repo *r, int argc, char **argv, struct err *e)
{
	struct place p = { .pack.kind = argv[0][0] == 'M' ? CHUNK_NODE : CHUNK_DATA };
	uint64_t off;

	(void)argc;
	if (num_u64("offset", argv[2], 0, UINT32_MAX, &off, e) < 0)
		return -1;
	p.off = (uint32_t)off;
	if (hex_decode(p.pack.id, sizeof(p.pack.id), argv[1]) < 0 ||
	    hex_decode(p.id, sizeof(p.id), argv[3]) < 0)
		return err_set(e, ERR_INVALID, "an id is no hexadecimal text");
	return damage_put(r, &p, 1, e);
}

static int collect(const struct repo *r, int argc, char **argv, struct err *e)
{
	struct gc_params params = { .repack_percent = REPACK_PERCENT, .threads = 2 };
	struct gc_result result;
	uint64_t fence_s;

	(void)argc;
	if (num_u64("seconds", argv[0], 0, UINT32_MAX, &fence_s, e) < 0)
		return -1;
	params.fence_after_ns = (int64_t)fence_s * SECOND_NS;
	if (gc_run(r, &params, &result, e) < 0)
		return -1;
	(void)printf("%s fenced %llu repacked %llu deleted %llu\n", gc_outcome_name(result.outcome),
	             (unsigned long long)result.sessions_fenced,
	             (unsigned long long)result.repacked.packs,
	             (unsigned long long)result.deleted.packs);
	return 0;
}

static const struct {
	const char *verb;
	int args;
	int (*run)(const struct repo *r, int argc, char **argv, struct err *e);
} verbs[] = {
	{ "tomb", -1, tomb },      { "hold", 1, hold },       { "hold-volume", 1, hold_volume },
	{ "release", 1, release }, { "pin", 1, pin },         { "dead", 1, dead },
	{ "damage", 4, damage },   { "collect", 1, collect },
};

static int act(int argc, char **argv, struct err *e)
{
	auto_repo struct repo *r = NULL;

	if (argc < 4)
		return err_set(e, ERR_INVALID, "act STORE-URL KEY-FILE VERB ...");
	if (secret_init(e) < 0 || repo_open_url(argv[1], 0, argv[2], NULL, NULL, NULL, &r, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[3], verbs[i].verb) == 0 &&
		    (verbs[i].args < 0 || verbs[i].args == argc - 4))
			return verbs[i].run(r, argc - 4, argv + 4, e);
	}
	return err_set(e, ERR_INVALID, "no verb '%s' of %d arguments", argv[3], argc - 4);
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	if (act(argc, argv, &e) == 0)
		return 0;
	(void)fprintf(stderr, "act: %s\n", e.msg);
	return 1;
}
