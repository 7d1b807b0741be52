/* SPDX-License-Identifier: Apache-2.0 */
/* Reading many tree nodes: good ones are visited once, bad ones are told, in few reads. */
#include "repo/nodes.h"

#include "repo/compress.h"
#include "tests/harness/repo_kit.h"

#define NODES 8
#define LEVEL 3

/* How a node is not what it should be. */
enum flaw {
	SOUND,
	COMPRESSED, /* that is none */
	FLAW_ID,    /* its content is not that of its id */
	FLAW_LEVEL, /* it is of another level */
	FLAW_BYTES, /* its ciphertext is damaged */
	FLAW_FRAME  /* intact, but no frame, although it should be one */
};

/* A pack of nodes in the store of a kit. */
struct node_pack {
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint64_t len;
	struct refset_item items[NODES];
	uint8_t *plain[NODES];
	uint8_t *object; /* what read() gives */
};

struct world {
	struct kit k;
	struct domain_keys *domain, *other;
	struct crypt_hasher node, other_node;
	struct node_pack packs[2];
	struct nodes *nodes;
	/* what happened */
	unsigned gets;
	uint64_t get_bytes;
	unsigned visits[NODES], bads[NODES];
	enum err_class why[NODES];
	size_t order[2 * NODES];
	size_t norder;
	/* what is to happen */
	const struct node_pack *reading;
	struct err fail_get; /* of the calls from get_from on, so many */
	unsigned get_from, get_fails;
	int visit_returns; /* of node 2 */
	int bad_returns;
};

static void world_clear(struct world *w)
{
	nodes_free(w->nodes);
	for (size_t p = 0; p < ARRAY_LEN(w->packs); p++) {
		for (size_t i = 0; i < NODES; i++)
			free(w->packs[p].plain[i]);
		free(w->packs[p].object);
	}
	secret_free(w->domain);
	secret_free(w->other);
	kit_clear(&w->k);
}
#define auto_world CLEANUP(world_clear)

static uint8_t *plain_of(uint64_t seed, size_t n, enum flaw flaw)
{
	uint8_t *plain = calloc(1, n);

	assert_non_null(plain);
	if (flaw != COMPRESSED)
		fill_random(seed, plain, n);
	plain[0] = 1;
	plain[1] = LEVEL + (flaw == FLAW_LEVEL);
	return plain;
}

static void seal_node(struct world *w, struct node_pack *p, struct pack_build *b,
                      struct crypt_box *box, struct crypt_scrub *scrub, unsigned i, enum flaw flaw)
{
	struct chunk_ref *r = &p->items[i].ref;
	uint8_t frame[1000];
	const uint8_t *in = p->plain[i];
	size_t n = r->plain;

	crypt_chunk_id(&w->node, p->plain[i], n, r->id, NULL);
	if (flaw == FLAW_ID)
		p->plain[i][n - 1] ^= 1;
	if (flaw == COMPRESSED) {
		struct compress *z = compress_new();

		assert_non_null(z);
		n = compress_chunk(z, 3, p->plain[i], r->plain, frame, sizeof(frame));
		assert_true(n > 0);
		in = frame;
		compress_free(z);
	}
	if (flaw == FLAW_FRAME)
		n--;
	r->compression = flaw == COMPRESSED || flaw == FLAW_FRAME ? COMPRESSION_ZSTD
	                                                          : COMPRESSION_NONE;
	assert_true(pack_build_fits(b, n + FORMAT_TAG_BYTES));
	size_t at = pack_build_reserve(b, r, n + FORMAT_TAG_BYTES);
	assert_int_equal(pack_build_seal(b, box, scrub, at, r, in, n), 0);
}

/* bytes: of each node; flaw: of node 2. */
static void make_pack(struct world *w, struct node_pack *p, uint64_t seed,
                      const size_t bytes[NODES], enum flaw flaw)
{
	const uint8_t cipher = w->k.agent->params.cipher;
	struct err err = ERR_INIT;
	struct pack_build *b = pack_build_new(w->k.agent->keys, w->domain, CHUNK_NODE, cipher,
	                                      16 * MIB, &err);
	struct crypt_box *box = crypt_box_new(cipher);

	assert_non_null(b);
	assert_non_null(box);
	struct crypt_scrub *scrub = crypt_scrub_new(cipher, w->domain->scrub, b->id);
	assert_non_null(scrub);
	crypt_box_key(box, b->dek);
	for (unsigned i = 0; i < NODES; i++) {
		p->plain[i] = plain_of(seed + i, bytes[i], i == 2 ? flaw : SOUND);
		p->items[i] = (struct refset_item){
			.ref = { .kind = CHUNK_NODE, .plain = (uint32_t)bytes[i] },
			.flags = (uint8_t)i, /* so that it is known again */
		};
		seal_node(w, p, b, box, scrub, i, i == 2 ? flaw : SOUND);
	}
	ok(pack_build_finish(b, e));
	memcpy(p->id, b->id, sizeof(p->id));
	p->len = b->len;
	p->object = malloc(b->len);
	assert_non_null(p->object);
	memcpy(p->object, b->data, b->len);
	if (flaw == FLAW_BYTES)
		p->object[p->items[2].ref.off + 5] ^= 1;
	crypt_scrub_free(scrub);
	crypt_box_free(box);
	pack_build_free(b);
}

static const size_t small[NODES] = { 100, 200, 300, 400, 500, 2, 700, 800 };

static struct world world_with(const size_t bytes[NODES], enum flaw flaw)
{
	struct world w = { .k = kit_new() };

	ok(keys_domain(w.k.agent->keys, "d", &w.domain, e));
	ok(keys_domain(w.k.agent->keys, "other", &w.other, e));
	crypt_hasher_init(&w.node, w.domain->node);
	crypt_hasher_init(&w.other_node, w.other->node);
	make_pack(&w, &w.packs[0], 100, bytes, flaw);
	make_pack(&w, &w.packs[1], 200, bytes, SOUND);
	w.nodes = nodes_new();
	assert_non_null(w.nodes);
	return w;
}

/* ---- what nodes_read() calls ---- */

static struct nodes_domain domain_of(void *arg, uint16_t number)
{
	struct world *w = arg;

	return (struct nodes_domain){ .keys = number == 0 ? w->domain : w->other,
		                      .node = number == 0 ? &w->node : &w->other_node };
}

static int get(void *arg, const char *key, uint64_t off, void *p, size_t n, struct err *e)
{
	struct world *w = arg;
	char want[PACK_KEY_MAX];
	unsigned call = w->gets++;

	pack_key_name(want, w->reading->id, CHUNK_NODE);
	assert_string_equal(key, want);
	w->get_bytes += n;
	if (call >= w->get_from && call - w->get_from < w->get_fails) {
		*e = w->fail_get;
		return -1;
	}
	if (off + n > w->reading->len)
		return err_set(e, ERR_CORRUPT, "the object ends too early");
	memcpy(p, w->reading->object + off, n);
	return 0;
}

static int visit(void *arg, const struct refset_item *item, const uint8_t *plain, size_t n,
                 struct err *e)
{
	struct world *w = arg;
	size_t i = item->flags;

	assert_int_equal(n, w->reading->items[i].ref.plain);
	assert_memory_equal(plain, w->reading->plain[i], n);
	w->visits[i]++;
	w->order[w->norder++] = i;
	if (i != 2 || w->visit_returns == 0)
		return 0;
	(void)err_set(e, ERR_FORMAT, "the visitor does not like it");
	return w->visit_returns;
}

static int bad(void *arg, const struct refset_item *item, const struct err *why, struct err *e)
{
	struct world *w = arg;
	size_t i = item->flags;

	assert_true(strlen(why->msg) > 10);
	w->bads[i]++;
	w->why[i] = why->class;
	w->order[w->norder++] = i;
	return w->bad_returns < 0 ? err_set(e, ERR_BUSY, "no more of these are wanted") : 0;
}

static int read_len(struct world *w, unsigned pack, uint64_t len, const struct refset_item *items,
                    size_t n, struct err *ret_header, struct err *e)
{
	const struct nodes_call call = {
		.repo = w->k.audit,
		.domain = domain_of,
		.get = get,
		.visit = visit,
		.bad = bad,
		.arg = w,
		.level = LEVEL,
	};

	w->reading = &w->packs[pack];
	w->gets = 0;
	w->get_bytes = 0;
	w->norder = 0;
	memset(w->visits, 0, sizeof(w->visits));
	memset(w->bads, 0, sizeof(w->bads));
	memset(w->why, 0, sizeof(w->why));
	return nodes_read(w->nodes, &call, w->packs[pack].id, len, items, n, ret_header, e);
}

static int read_pack(struct world *w, unsigned pack, struct err *e)
{
	struct err header = ERR_INIT;
	int rc = read_len(w, pack, w->packs[pack].len, w->packs[pack].items, NODES, &header, e);

	assert_int_equal(header.class, ERR_NONE);
	return rc;
}

/* Each node was visited or found bad, once, in order; bad ones: a bit each. */
static void assert_seen(const struct world *w, unsigned bad_ones)
{
	assert_int_equal(w->norder, NODES);
	for (size_t i = 0; i < NODES; i++) {
		bool is_bad = bad_ones & 1U << i;

		assert_int_equal(w->visits[i], !is_bad);
		assert_int_equal(w->bads[i], is_bad);
		assert_int_equal(w->order[i], i);
	}
}

/* ---- good ones ---- */

static void test_nodes_read__neighbours_in_one_read(void **state)
{
	auto_world struct world w = world_with(small, SOUND);

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		ok(read_pack(&w, round % 2, e));
		assert_seen(&w, 0);
		assert_int_equal(w.gets, 2); /* the header, and all nodes */
	}
}

static void test_nodes_read__none_at_all(void **state)
{
	auto_world struct world w = world_with(small, SOUND);
	struct err header = ERR_INIT;

	(void)state;
	ok(read_len(&w, 0, w.packs[0].len, w.packs[0].items, 0, &header, e));
	assert_int_equal(w.norder, 0);
	assert_int_equal(header.class, ERR_NONE);
	nodes_free(NULL);
}

static void test_nodes_read__some_of_a_pack(void **state)
{
	/* nodes 0 and 3 are far apart, 3 and 5 are near, 7 is far again */
	static const size_t bytes[NODES] = { 100, 50000, 60000, 100, 200, 100, 100000, 100 };
	static const size_t wanted[] = { 0, 3, 5, 7 };
	auto_world struct world w = world_with(bytes, SOUND);
	struct refset_item items[ARRAY_LEN(wanted)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		items[i] = w.packs[0].items[wanted[i]];
	ok(read_len(&w, 0, w.packs[0].len, items, ARRAY_LEN(items), NULL, e));
	assert_int_equal(w.norder, ARRAY_LEN(wanted));
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		assert_int_equal(w.order[i], wanted[i]);
		assert_int_equal(w.visits[wanted[i]], 1);
	}
	assert_int_equal(w.gets, 1 + 3);
	assert_true(w.get_bytes < 10000); /* what lies between is not fetched */
	/* all of it is one stretch */
	ok(read_pack(&w, 0, e));
	assert_seen(&w, 0);
	assert_int_equal(w.gets, 2);
}

static void test_nodes_read__a_long_stretch_in_several_reads(void **state)
{
	static const size_t bytes[NODES] = { 900000, 900000, 900000,  900000,
		                             900000, 100,    5000000, 200 };
	auto_world struct world w = world_with(bytes, SOUND);

	(void)state;
	ok(read_pack(&w, 0, e));
	assert_seen(&w, 0);
	/* the header; four; the fifth and a small one; one longer than a read; the last */
	assert_int_equal(w.gets, 5);
}

static void test_nodes_read__compressed_ones(void **state)
{
	auto_world struct world w = world_with(small, COMPRESSED);

	(void)state;
	assert_true(w.packs[0].items[2].ref.stored < 100);
	ok(read_pack(&w, 0, e));
	assert_seen(&w, 0);
}

/* ---- bad ones ---- */

static void test_nodes_read__one_bad_node_does_not_hide_the_others(void **state)
{
	static const struct {
		enum flaw flaw;
		enum err_class class;
	} cases[] = { { FLAW_ID, ERR_CORRUPT },
		      { FLAW_LEVEL, ERR_FORMAT },
		      { FLAW_BYTES, ERR_CORRUPT },
		      { FLAW_FRAME, ERR_CORRUPT } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_world struct world w = world_with(small, cases[i].flaw);

		ok(read_pack(&w, 0, e));
		assert_seen(&w, 1U << 2);
		assert_int_equal(w.why[2], cases[i].class);
		ok(read_pack(&w, 1, e));
		assert_seen(&w, 0);
	}
}

static void test_nodes_read__places_that_lie(void **state)
{
	auto_world struct world w = world_with(small, SOUND);
	const struct refset_item good = w.packs[0].items[2];
	struct refset_item *item = &w.packs[0].items[2];

	(void)state;
	for (int lie = 0; lie < 9; lie++) {
		*item = good;
		if (lie == 0)
			item->ref.key = 1; /* there is no such key */
		if (lie == 1)
			item->ref.counter++;
		if (lie == 2)
			item->ref.plain++;
		if (lie == 3)
			item->ref.stored--;
		if (lie == 4)
			item->ref.stored = item->ref.plain = 5000; /* across all that follow */
		if (lie == 5)
			item->ref.id[0] ^= 1;
		if (lie == 6)
			item->ref.compression = COMPRESSION_ZSTD;
		if (lie == 7)
			item->ref.compression = 9;
		if (lie == 8)
			item->domain = 1; /* a tree of another domain names it */
		ok(read_pack(&w, 0, e));
		assert_seen(&w, 1U << 2);
		assert_int_equal(w.why[2], ERR_CORRUPT);
	}
	/* behind the end: the others are read one by one */
	*item = good;
	item->ref.off = 0x7fffffff;
	struct refset_item swapped[NODES];
	memcpy(swapped, w.packs[0].items, sizeof(swapped));
	swapped[2] = w.packs[0].items[7];
	swapped[7] = *item; /* sorted by offset */
	ok(read_len(&w, 0, w.packs[0].len, swapped, NODES, NULL, e));
	assert_int_equal(w.norder, NODES);
	assert_int_equal(w.bads[2], 1);
	assert_int_equal(w.why[2], ERR_CORRUPT);
	assert_int_equal(w.visits[7], 1);
	/* so near the end that one read would have had both */
	item->ref.off = (uint32_t)w.packs[0].len - 10;
	swapped[7] = *item;
	ok(read_len(&w, 0, w.packs[0].len, swapped, NODES, NULL, e));
	assert_int_equal(w.norder, NODES);
	assert_int_equal(w.bads[2], 1);
	assert_int_equal(w.visits[7], 1);
	*item = good;
	ok(read_pack(&w, 0, e));
	assert_seen(&w, 0);
}

static void test_nodes_read__the_other_domain_comes_first(void **state)
{
	auto_world struct world w = world_with(small, SOUND);

	(void)state;
	w.packs[0].items[0].domain = 1;
	ok(read_pack(&w, 0, e));
	assert_seen(&w, 1U << 0);
	assert_int_equal(w.why[0], ERR_CORRUPT);
}

static void test_nodes_read__a_header_that_does_not_open_hides_all(void **state)
{
	auto_world struct world w = world_with(small, SOUND);
	struct node_pack *p = &w.packs[0];
	const struct {
		size_t at;
		enum err_class class;
	} cases[] = { { 0, ERR_FORMAT }, { 5, ERR_FORMAT }, { 9, ERR_CORRUPT } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err header = ERR_INIT;

		ok(read_pack(&w, 1, e)); /* what was read before does not serve */
		p->object[cases[i].at] ^= 0x10;
		ok(read_len(&w, 0, p->len, p->items, NODES, &header, e));
		assert_seen(&w, 0xff);
		assert_int_equal(header.class, cases[i].class);
		assert_int_equal(w.why[5], cases[i].class);
		assert_int_equal(w.gets, 1);
		ok(read_len(&w, 0, p->len, p->items, NODES, NULL, e));
		assert_seen(&w, 0xff);
		p->object[cases[i].at] ^= 0x10;
		ok(read_pack(&w, 0, e));
		assert_seen(&w, 0);
	}
	/* a wrapped key that is damaged: the header is one, its nodes do not open */
	p->object[100] ^= 1;
	ok(read_pack(&w, 0, e));
	assert_seen(&w, 0xff);
	assert_int_equal(w.why[0], ERR_CORRUPT);
}

static void test_nodes_read__an_object_too_short_for_a_header(void **state)
{
	static const uint64_t lens[] = { 0, 1, 35, 36, 100, 157 };
	auto_world struct world w = world_with(small, SOUND);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct err header = ERR_INIT;

		/* although there is a copy somewhere that is longer, and another pack was read */
		if (i % 2 == 0)
			ok(read_pack(&w, 1, e));
		ok(read_len(&w, 0, lens[i], w.packs[0].items, NODES, &header, e));
		assert_seen(&w, 0xff);
		assert_int_equal(header.class, ERR_CORRUPT);
	}
	ok(read_pack(&w, 0, e));
	assert_seen(&w, 0);
}

/* ---- the way to them ---- */

static void test_nodes_read__a_stretch_that_cannot_be_read_is_tried_one_by_one(void **state)
{
	static const enum err_class classes[] = { ERR_CORRUPT, ERR_NOT_FOUND, ERR_IO };
	auto_world struct world w = world_with(small, SOUND);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		(void)err_set(&w.fail_get, classes[i], "a test's failure");
		w.get_from = 1;
		w.get_fails = 1;
		ok(read_pack(&w, 0, e));
		assert_seen(&w, 0);
		assert_int_equal(w.gets, 2 + NODES);
		w.get_fails = 3; /* and the first two of them */
		ok(read_pack(&w, 0, e));
		assert_seen(&w, 3);
		assert_int_equal(w.why[0], classes[i]);
		w.get_fails = 1000;
		ok(read_pack(&w, 0, e));
		assert_seen(&w, 0xff);
	}
}

static void test_nodes_read__what_is_no_finding_ends_it(void **state)
{
	static const enum err_class classes[] = { ERR_RETRY, ERR_CANCELLED, ERR_NOMEM };
	auto_world struct world w = world_with(small, SOUND);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		struct err header = ERR_INIT;

		(void)err_set(&w.fail_get, classes[i], "a failure that the test makes");
		for (w.get_from = 0; w.get_from < 2; w.get_from++) {
			w.get_fails = 1;
			fails(classes[i],
			      read_len(&w, 0, w.packs[0].len, w.packs[0].items, NODES, &header, e));
			assert_int_equal(w.norder, 0);
			assert_int_equal(header.class, ERR_NONE);
		}
	}
	w.get_fails = 0;
	ok(read_pack(&w, 0, e));
	assert_seen(&w, 0);
}

static void test_nodes_read__the_visitor_may_refuse_or_end_it(void **state)
{
	auto_world struct world w = world_with(small, SOUND);

	(void)state;
	w.visit_returns = 1;
	ok(read_pack(&w, 0, e));
	assert_int_equal(w.norder, NODES + 1);
	assert_int_equal(w.visits[2], 1);
	assert_int_equal(w.bads[2], 1);
	assert_int_equal(w.why[2], ERR_FORMAT);
	assert_int_equal(w.visits[7], 1);
	w.visit_returns = -1;
	fails_saying(ERR_FORMAT, "the visitor", read_pack(&w, 0, e));
	assert_int_equal(w.norder, 3);
	assert_int_equal(w.bads[2], 0);
}

static void test_nodes_read__who_is_told_of_bad_ones_may_end_it(void **state)
{
	auto_world struct world w = world_with(small, FLAW_BYTES);
	struct err header = ERR_INIT;

	(void)state;
	w.bad_returns = -1;
	fails(ERR_BUSY, read_pack(&w, 0, e));
	assert_int_equal(w.norder, 3);
	/* a single one that cannot be read */
	(void)err_set(&w.fail_get, ERR_CORRUPT, "a test's failure");
	w.get_from = 1;
	w.get_fails = 2;
	fails(ERR_BUSY, read_pack(&w, 0, e));
	assert_int_equal(w.norder, 1);
	/* a header that does not open */
	w.get_from = 0;
	fails(ERR_BUSY, read_len(&w, 0, w.packs[0].len, w.packs[0].items, NODES, &header, e));
	assert_int_equal(w.norder, 1);
	assert_int_equal(header.class, ERR_CORRUPT);
}

static void test_nodes_is_finding__is_about_one_object(void **state)
{
	static const enum err_class findings[] = { ERR_NOT_FOUND,  ERR_CORRUPT, ERR_FORMAT,
		                                   ERR_DENIED,     ERR_TOO_BIG, ERR_IO,
		                                   ERR_UNSUPPORTED };

	(void)state;
	for (int class = 0; class < ERR_CLASSES; class ++) {
		struct err e = { .class = (enum err_class) class };
		bool want = false;

		for (size_t i = 0; i < ARRAY_LEN(findings); i++)
			want |= findings[i] == e.class;
		assert_int_equal(nodes_is_finding(&e), want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes_read__neighbours_in_one_read),
		cmocka_unit_test(test_nodes_read__none_at_all),
		cmocka_unit_test(test_nodes_read__some_of_a_pack),
		cmocka_unit_test(test_nodes_read__a_long_stretch_in_several_reads),
		cmocka_unit_test(test_nodes_read__compressed_ones),
		cmocka_unit_test(test_nodes_read__one_bad_node_does_not_hide_the_others),
		cmocka_unit_test(test_nodes_read__places_that_lie),
		cmocka_unit_test(test_nodes_read__the_other_domain_comes_first),
		cmocka_unit_test(test_nodes_read__a_header_that_does_not_open_hides_all),
		cmocka_unit_test(test_nodes_read__an_object_too_short_for_a_header),
		cmocka_unit_test(
			test_nodes_read__a_stretch_that_cannot_be_read_is_tried_one_by_one),
		cmocka_unit_test(test_nodes_read__what_is_no_finding_ends_it),
		cmocka_unit_test(test_nodes_read__the_visitor_may_refuse_or_end_it),
		cmocka_unit_test(test_nodes_read__who_is_told_of_bad_ones_may_end_it),
		cmocka_unit_test(test_nodes_is_finding__is_about_one_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
