/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes valid inputs for the fuzz targets, made by the real encoders:
 *
 *     make fuzz-seeds          into tests/fuzz/corpus/NAME/seed-WHAT
 *
 * It is run when a format changes. Objects hold the time of their making, so
 * a second run gives other bytes of the same use.
 */
#include <sys/stat.h>

#include "common/json.h"
#include "repo/checked.h"
#include "repo/collection.h"
#include "repo/expiry.h"
#include "repo/note.h"
#include "repo/session.h"
#include "repo/tree.h"
#include "tests/fuzz/fuzz_repo.h"

static const char *corpus;

static void save(const char *target, const char *what, const struct buf *b)
{
	char name[128];

	holds(!b->failed);
	(void)snprintf(name, sizeof(name), "%s/seed-%s", target, what);
	write_file(corpus, name, b->data, b->len);
}

/* Appends the plain text of an object that is in the store. */
static void plain_of(const struct repo *r, char kind, const char *key, struct buf *ret)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(64 * MIB);
	uint8_t signer[FORMAT_SIGNER_BYTES];
	uint8_t point_key[32];
	struct err e = ERR_INIT;

	works(keys_point_key(r->keys, point_key, &e));
	works(store_get_all(r->store, key, &object, &e));
	works(crypt_object_open(r->keys, kind, point_key, key, object.data, object.len, ret, signer,
	                        &e));
}

/* An input of one byte and the plain text of an object, or the object itself. */
static void save_object(const struct repo *r, const char *target, const char *what, uint8_t first,
                        char kind, const char *key, bool plain)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * MIB);
	struct err e = ERR_INIT;

	(void)buf_u8(&b, first);
	if (plain)
		plain_of(r, kind, key, &b);
	else
		works(store_get_all(r->store, key, &b, &e));
	save(target, what, &b);
}

struct last {
	char key[STORE_KEY_MAX + 1];
};

static int take_last(void *arg, const struct store_item *item, struct err *e)
{
	(void)e;
	memcpy(((struct last *)arg)->key, item->key, sizeof(item->key));
	return 0;
}

static const char *last_key(const struct repo *r, const char *prefix, struct last *l)
{
	struct err e = ERR_INIT;

	works(store_list(r->store, prefix, NULL, take_last, l, &e));
	return l->key;
}

static struct point point_of(const struct repo *r)
{
	static char *index[] = { (char *)(uintptr_t) "idx/8949e38b529034af/" FUZZ_SESSION "-0000" };
	struct point p = {
		.session = FUZZ_SESSION,
		.id = FUZZ_RANDOM,
		.volume = { .name = FUZZ_VOLUME },
		.domain = "d",
		.sequence = 2,
		.previous_session = "2026-11-21/" FUZZ_VOLTAG "-" FUZZ_RANDOM,
		.consistency = "crash",
		.driver = "live",
		.levels = 1,
		.index = index,
		.nindex = 1,
		.root = { .stored = 117, .plain = 101, .kind = CHUNK_NODE },
		.started_ns = INT64_C(1795305600000000000),
		.frozen_ns = INT64_C(1795305600000000000),
		.finished_ns = INT64_C(1795305601000000000),
	};

	(void)r;
	return p;
}

static void sessions(const struct repo *r)
{
	static const char *const names[] = { "idx/8949e38b529034af/" FUZZ_SESSION "-0000" };
	const struct point_volume v = { .name = FUZZ_VOLUME };
	struct point p = point_of(r);
	struct err e = ERR_INIT;
	enum session_end end;
	char session[96];
	char key[NOTE_KEY_MAX];

	works(session_begin(r, &v, "d", session, &e));
	(void)snprintf(key, sizeof(key), "sess/%s", session);
	save_object(r, "session", "marker", 0, FORMAT_KIND_SESSION, key, true);
	save_object(r, "session", "marker-object", 4, FORMAT_KIND_SESSION, key, false);
	works(session_abort(r, FUZZ_SESSION, "it was silent", &end, &e));
	save_object(r, "session", "abort", 1, FORMAT_KIND_ABORT, "commit/" FUZZ_SESSION, true);
	save_object(r, "session", "abort-object", 5, FORMAT_KIND_ABORT, "commit/" FUZZ_SESSION,
	            false);
	works(session_begin_maintenance(r, "index", session, &e));
	holds(session_commit_index(r, session, "index", (char *const *)(uintptr_t)names, 1, &e) ==
	      0);
	(void)snprintf(key, sizeof(key), "commit/%s", session);
	save_object(r, "session", "maintenance", 2, FORMAT_KIND_MAINTENANCE, key, true);
	works(store_delete(r->store, "commit/" FUZZ_SESSION, &e));
	works(session_commit(r, &p, &e));
	save_object(r, "session", "point", 3, FORMAT_KIND_POINT, "commit/" FUZZ_SESSION, true);
	save_object(r, "session", "point-object", 7, FORMAT_KIND_POINT, "commit/" FUZZ_SESSION,
	            false);
	fuzz_empty(r->store);
}

static void collections(const struct repo *r)
{
	static const char *const names[] = { "condemn", "sessions", "final",
		                             "finals",  "live",     "done" };
	CLEANUP(collection_list_clear) struct collection_list packs = { 0 };
	CLEANUP(collection_list_clear) struct collection_list both = { 0 };
	struct place place = { .pack = { .kind = CHUNK_NODE, .id = "a pack of nodes" },
		               .off = 158 };
	struct checked record = { .level = 3, .all = true, .ended = true, .started_ns = 1 };
	struct err e = ERR_INIT;
	struct last l;
	char key[64];

	auto_json json_t *what = json_pack("{s:i, s:i}", "tombs", 1, "points", 2);
	for (unsigned i = 0; i < 3; i++) {
		const uint8_t *id = (const uint8_t *)"condemned packs, by name" + i;

		works(pack_list_add(&packs.packs, i & 1, id, &e));
		works(pack_list_add(&both.packs, 0, id, &e));
	}
	pack_list_sort(&packs.packs);
	works(session_names_add(&both.sessions, FUZZ_SESSION, &e));
	for (unsigned part = 0; part < COLLECTION_PARTS; part++) {
		CLEANUP(buf_clear) struct buf plain = BUF_INIT(MIB);
		CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

		works(collection_put(r, 1, part, part & 1 ? &both : &packs,
		                     part == COLLECTION_DONE ? what : NULL, &e));
		collection_key(1, part, key);
		plain_of(r, FORMAT_KIND_COLLECT, key, &plain);
		uint32_t json = plain.data[0] + ((uint32_t)plain.data[1] << 8);
		(void)buf_u8(&b, (uint8_t)part);
		(void)buf_put(&b, plain.data + 4, json);
		(void)buf_u8(&b, 0);
		(void)buf_put(&b, plain.data + 4 + json, plain.len - 4 - json);
		save("collection", names[part], &b);
	}
	save_object(r, "collection", "whole", 8, FORMAT_KIND_COLLECT, "ctl/gc/00000001/condemn",
	            true);
	save_object(r, "collection", "object", 16, FORMAT_KIND_COLLECT, "ctl/gc/00000001/condemn",
	            false);
	works(damage_put(r, &place, 1, &e));
	save_object(r, "collection", "damage", 8 + 6, FORMAT_KIND_DAMAGE,
	            last_key(r, "ctl/damage/", &l), true);
	checked_new_run(record.run);
	works(checked_put(r, &record, &packs.packs, &e));
	save_object(r, "collection", "record", 8 + 7, FORMAT_KIND_CHECKED,
	            last_key(r, "check/", &l), true);
	fuzz_empty(r->store);
}

/* A letter, a number, the JSON, 0xff. */
static void add_piece(const struct repo *r, const char *name, char kind, const char *key,
                      struct buf *b)
{
	(void)buf_str(b, name);
	plain_of(r, kind, key, b);
	(void)buf_u8(b, 0xff);
}

static void statements(const struct repo *r)
{
	CLEANUP(buf_clear) struct buf all = BUF_INIT(MIB);
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	const struct expiry_point points[] = {
		{ .session = FUZZ_SESSION, .why = "no rule keeps it" },
		{ .session = "2026-11-21/" FUZZ_VOLTAG "-" FUZZ_RANDOM, .why = "by hand" },
	};
	const struct point_volume v = { .name = FUZZ_VOLUME, .namespace = "shop", .cluster = "c" };
	struct err e = ERR_INIT;
	char key[NOTE_KEY_MAX];
	uint64_t n;

	/* Holds are for points that are there. */
	fuzz_put(r, "commit/" FUZZ_SESSION, "point", 5);
	works(expiry_put_hold(r, FUZZ_SESSION, NULL, "audit", "somebody", &n, &e));
	works(expiry_put_hold(r, NULL, &v, "audit", "somebody", &n, &e));
	works(expiry_pin(r, FUZZ_SESSION, key, &e));
	works(expiry_put_tomb(r, "gold", points, 2, &n, &e));
	add_piece(r, "t1", FORMAT_KIND_TOMB, "tomb/00000001", &all);
	add_piece(r, "h1", FORMAT_KIND_HOLD, "hold/00000001", &all);
	add_piece(r, "h2", FORMAT_KIND_HOLD, "hold/00000002", &all);
	add_piece(r, "p1", FORMAT_KIND_PIN, key, &all);
	add_piece(r, "t1", FORMAT_KIND_TOMB, "tomb/00000001", &b);
	while (b.len & 7) /* the target takes some lengths to the catalog */
		(void)buf_u8(&b, 0xff);
	save("expiry", "tomb", &b);
	works(expiry_put_release(r, 1, "it is over", "somebody", &n, &e));
	add_piece(r, "h3", FORMAT_KIND_HOLD, "hold/00000003", &all);
	(void)buf_str(&all, "d0{\"generation\":1,\"packs\":0,\"part\":\"done\",\"schema\":"
	                    "\"aksdr/collection/v1\",\"sessions\":0,\"what\":{\"tombs\":1}}\xff");
	while (all.len & 7)
		(void)buf_u8(&all, 0xff);
	save("expiry", "all", &all);
	fuzz_empty(r->store);
}

/* ---- tree nodes ---- */

struct nodes {
	struct buf leaf, inner; /* the first of each */
};

static void nodes_clear(struct nodes *n)
{
	buf_clear(&n->leaf);
	buf_clear(&n->inner);
}

static int put_node(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref, struct err *e)
{
	struct nodes *nodes = arg;
	struct buf *b = plain[1] > 0 ? &nodes->inner : &nodes->leaf;

	(void)e;
	ref->stored = (uint32_t)n + FORMAT_TAG_BYTES;
	if (b->len == 0)
		(void)buf_put(b, plain, n);
	return 0;
}

/* The first nodes of a tree of these records. */
static void build(const struct record *records, size_t n, struct nodes *nodes)
{
	static const struct chunk_ref chunks[] = {
		{ .id = "chunk 0", .stored = 8208, .plain = 8192, .off = 158 },
		{ .id = "chunk 1", .pack = "b", .stored = 800, .plain = 8192, .compression = 1 },
	};
	const struct tree_sink sink = { .put = put_node, .arg = nodes };
	struct keys *k = fuzz_reader();
	struct domain_keys *domain = fuzz_domain(k);
	struct tree_builder *b = tree_builder_new(domain, &sink);
	struct chunk_ref root;
	uint32_t levels;
	struct err e = ERR_INIT;

	holds(b);
	for (size_t i = 0; i < n; i++)
		works(tree_builder_add(b, &records[i], NULL, chunks, &e));
	works(tree_builder_finish(b, &root, &levels, &e));
	tree_builder_free(b);
	secret_free(domain);
	keys_free(k);
}

static void add_acl(struct buf *b)
{
	static const char acl[] = "\2\0\0\0\1\0\7\0\xff\xff\xff\xff\2\0\4\0\1\0\0\0"
				  "\4\0\5\0\xff\xff\xff\xff\x10\0\7\0\xff\xff\xff\xff"
				  "\x20\0\4\0\xff\xff\xff\xff";

	(void)source_xattr_put(b, "system.posix_acl_access", acl, sizeof(acl) - 1);
	(void)source_xattr_put(b, "user.note", "value", 5);
}

#define PATH(text) .path = (text), .path_len = sizeof(text) - 1
#define STAT(type, n) .st = { .mode = (type), .nlink = 1, .size = (n), .mtime = { 1795305600, 5 } }

static void leaves(void)
{
	static const struct extent pieces[] = { { 0, 0, 4096 },
		                                { EXTENT_HOLE, 0, 65536 },
		                                { 0, 4096, 100 },
		                                { EXTENT_ZERO, 0, 4096 },
		                                { 1, 0, 8192 } };
	static const struct extent window[] = { { EXTENT_HOLE, 0, 64 * MIB } };
	static const struct extent one[] = { { 0, 0, 8192 } };
	CLEANUP(nodes_clear) struct nodes nodes = { BUF_INIT(MIB), BUF_INIT(MIB) };
	CLEANUP(buf_clear) struct buf xattrs = BUF_INIT(KIB);
	const char *const targets[] = { "tree", "export", "restore" };

	add_acl(&xattrs);
	const struct record records[] = {
		{ PATH(""), STAT(S_IFDIR | 0755, 0) },
		{ PATH("a"), STAT(S_IFDIR | 0755, 0) },
		{ PATH("a/file"), STAT(S_IFREG | 04755, 82020), .extents = pieces, .nextents = 5,
		  .flags = RECORD_XATTRS | RECORD_PROJID | RECORD_CHANGED, .projid = 7,
		  .xattrs = xattrs.data, .xattrs_len = xattrs.len },
		{ PATH("a/link"), STAT(S_IFLNK | 0777, 0), .flags = RECORD_LINK,
		  .link = (const uint8_t *)"../x", .link_len = 4 },
		{ PATH("a/other"), STAT(S_IFREG | 0755, 82020), .flags = RECORD_HARDLINK,
		  .hardlink = "a/file", .hardlink_len = 6 },
		{ PATH("big"), STAT(S_IFREG | 0600, 64 * MIB + 8192), .extents = window,
		  .nextents = 1, .flags = RECORD_CONTINUED },
		{ PATH("big"), .position = 64 * MIB, .extents = one, .nextents = 1 },
		{ PATH("fifo"), STAT(S_IFIFO | 0600, 0), .flags = RECORD_FSFLAGS, .fsflags = 0x80 },
		{ PATH("null"),
		  .st = { .mode = S_IFCHR | 0666, .nlink = 1, .rdev_major = 1, .rdev_minor = 3 },
		  .flags = RECORD_DEVICE },
	};
	build(records, ARRAY_LEN(records), &nodes);
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

		for (uint8_t flags = 0; flags < (i == 2 ? 4 : 1); flags++) {
			char what[16];

			buf_reset(&b);
			if (i == 2)
				(void)buf_u8(&b, flags);
			(void)buf_put(&b, nodes.leaf.data, nodes.leaf.len);
			(void)snprintf(what, sizeof(what), "leaf-%u", flags);
			save(targets[i], what, &b);
		}
	}
}

static void inner_node(void)
{
	static struct record records[600];
	static char paths[ARRAY_LEN(records)][64];
	CLEANUP(nodes_clear) struct nodes nodes = { BUF_INIT(MIB), BUF_INIT(MIB) };

	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		int n = snprintf(paths[i], sizeof(paths[i]), "%08zu-%.40s", i,
		                 "a name that makes the leaves full at some time");
		records[i] = (struct record){ .path = paths[i],
			                      .path_len = (size_t)n,
			                      STAT(S_IFDIR | 0700, 0) };
	}
	build(records, ARRAY_LEN(records), &nodes);
	holds(nodes.inner.len > 0);
	save("tree", "inner", &nodes.inner);
}

/* JSON, a NUL, and a list. */
static void save_list(const char *what, uint8_t first, const char *json, const struct buf *list)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	(void)buf_u8(&b, first);
	(void)buf_put(&b, json, strlen(json) + 1);
	(void)buf_put(&b, list->data, list->len);
	save("rekeyed", what, &b);
}

static void rekeyed(void)
{
	CLEANUP(buf_clear) struct buf hashes = BUF_INIT(MIB);
	CLEANUP(buf_clear) struct buf entries = BUF_INIT(MIB);

	for (uint8_t i = 0x10; i < 0x14; i++) {
		for (unsigned n = 0; n < 32; n++)
			(void)buf_u8(&hashes, i);
		for (unsigned n = 0; n < FORMAT_RESEAL_BYTES; n++)
			(void)buf_u8(&entries, i);
	}
	save_list("revoked", 0,
	          "{\"schema\":\"aksdr/revoked/v1\",\"signer\":\"0102030405060708\",\"objects\":4}",
	          &hashes);
	save_list("fenced", 8, "{\"schema\":\"aksdr/fence/v1\",\"points\":8}", &hashes);
	save_list("resealed", 1, "{\"schema\":\"aksdr/reseal/v1\"}", &entries);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		(void)fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
		return 2;
	}
	corpus = argv[1];
	struct repo r = fuzz_repo_new();
	sessions(&r);
	collections(&r);
	statements(&r);
	leaves();
	inner_node();
	rekeyed();
	store_free(r.store);
	keys_free(r.keys);
	return 0;
}
