/* SPDX-License-Identifier: Apache-2.0 */
/* Header and footer of packs, read from where they are. */
#include "repo/frame.h"

#include "tests/harness/repo_kit.h"

#define FILES 3

/* A pack with some chunks, and who reads how much of it. */
struct shelf {
	struct kit k;
	struct point point;
	char key[PACK_KEY_MAX];
	uint8_t id[FORMAT_PACK_ID_BYTES];
	uint8_t *object;
	size_t len;
	unsigned gets;
	unsigned fail_at; /* this get fails, from 1; 0: none */
};

static void shelf_init(struct shelf *s, unsigned files)
{
	const struct kit_content c = {
		.volume = "v", .domain = "d", .n = 1, .files = files, .bytes = 300, .seed = 3
	};
	static struct kit_names names;
	uint8_t kind;

	memset(s, 0, sizeof(*s));
	s->k = kit_new();
	s->point = kit_backup(&s->k, &c);
	kit_list(&s->k, "pack/", &names);
	assert_int_equal(names.n, 1);
	assert_int_equal(pack_key_parse(names.keys[0], s->id, &kind), 0);
	pack_key_name(s->key, s->id, kind);
	s->object = kit_get(&s->k, s->key, &s->len);
}

static void shelf_clear(struct shelf *s)
{
	free(s->object);
	point_clear(&s->point);
	kit_clear(&s->k);
}
#define auto_shelf CLEANUP(shelf_clear)

static int get(void *arg, const char *name, uint64_t off, void *p, size_t n, struct err *e)
{
	struct shelf *s = arg;

	assert_string_equal(name, s->key);
	if (++s->gets == s->fail_at)
		return err_set(e, ERR_RETRY, "the store does not answer, says the test");
	assert_true(off <= s->len && n <= s->len - off);
	memcpy(p, s->object + off, n);
	return 0;
}

static struct frame frame_of(struct shelf *s)
{
	s->gets = 0;
	return (struct frame){ .get = get, .arg = s, .name = s->key, .id = s->id, .len = s->len };
}

static int read_header(struct shelf *s, struct pack_header *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf head = BUF_INIT(FORMAT_PACK_MAX);
	const struct frame f = frame_of(s);

	return frame_header(&f, &head, ret, e);
}

static int read_footer(struct shelf *s, struct pack_trailer *ret, size_t *ret_entries,
                       struct err *e)
{
	CLEANUP(buf_clear) struct buf tail = BUF_INIT(FORMAT_PACK_MAX);
	auto_free struct pack_entry *entries = NULL;
	struct domain_keys *domain = NULL;
	const struct frame f = frame_of(s);
	const uint8_t *footer = NULL;

	*ret_entries = 0;
	if (frame_footer(&f, s->k.audit->keys, &tail, ret, &footer, e) < 0)
		return -1;
	if (keys_domain(s->k.audit->keys, "d", &domain, e) < 0)
		return -1;
	int rc = pack_footer_decode(footer, ret->footer_len, ret, s->id, s->k.audit->keys, domain,
	                            &entries, ret_entries, e);
	secret_free(domain);
	return rc;
}

static void test_frame_header__is_read_at_once(void **state)
{
	auto_shelf struct shelf s;
	struct pack_header h;

	(void)state;
	shelf_init(&s, FILES);
	ok(read_header(&s, &h, e));
	assert_int_equal(h.kind, CHUNK_DATA);
	assert_true(h.len < s.len);
	assert_int_equal(s.gets, 1);
}

static void test_frame_footer__of_a_small_pack_comes_with_its_trailer(void **state)
{
	auto_shelf struct shelf s;
	struct pack_trailer t;
	size_t n;

	(void)state;
	shelf_init(&s, FILES);
	ok(read_footer(&s, &t, &n, e));
	assert_int_equal(n, FILES);
	assert_int_equal(s.gets, 1);
	assert_true(t.vouched);
}

/* 68 bytes for each entry: those of 600 do not fit into what is read first. */
static void test_frame_footer__of_many_chunks_takes_a_second_read(void **state)
{
	auto_shelf struct shelf s;
	struct pack_trailer t;
	size_t n;

	(void)state;
	shelf_init(&s, 600);
	ok(read_footer(&s, &t, &n, e));
	assert_int_equal(n, 600);
	assert_int_equal(s.gets, 2);
	s.fail_at = 2;
	fails(ERR_RETRY, read_footer(&s, &t, &n, e));
	s.fail_at = 1;
	fails(ERR_RETRY, read_footer(&s, &t, &n, e));
}

static void test_frame__what_the_store_says_is_passed_on(void **state)
{
	auto_shelf struct shelf s;
	struct pack_header h;

	(void)state;
	shelf_init(&s, FILES);
	s.fail_at = 1;
	fails(ERR_RETRY, read_header(&s, &h, e));
}

static void test_frame__stumps_are_damaged_at_any_length(void **state)
{
	auto_shelf struct shelf s;
	struct pack_header h;
	struct pack_trailer t;
	size_t n;

	(void)state;
	shelf_init(&s, FILES);
	ok(read_header(&s, &h, e));
	size_t whole = s.len;
	for (s.len = 0; s.len < whole; s.len += s.len < 700 ? 1 : 97) {
		struct err e = ERR_INIT;

		assert_int_equal(read_footer(&s, &t, &n, &e), -1);
		assert_true(e.class == ERR_CORRUPT || e.class == ERR_FORMAT);
		e = (struct err)ERR_INIT;
		if (s.len < h.len) {
			struct pack_header ignored;

			assert_int_equal(read_header(&s, &ignored, &e), -1);
			assert_true(e.class == ERR_CORRUPT || e.class == ERR_FORMAT);
		}
	}
}

static void test_frame__any_flipped_bit_of_the_trailer_is_found(void **state)
{
	auto_shelf struct shelf s;
	struct pack_trailer t;
	size_t n;

	(void)state;
	shelf_init(&s, FILES);
	ok(read_footer(&s, &t, &n, e));
	for (size_t off = (size_t)t.footer_off; off < s.len; off++) {
		struct err e = ERR_INIT;

		s.object[off] ^= 0x20;
		assert_int_equal(read_footer(&s, &t, &n, &e), -1);
		assert_true(e.class == ERR_CORRUPT || e.class == ERR_FORMAT ||
		            e.class == ERR_DENIED);
		s.object[off] ^= 0x20;
	}
}

static void test_frame__belongs_to_the_pack_that_is_asked_for(void **state)
{
	auto_shelf struct shelf s;
	struct pack_header h;
	struct pack_trailer t;
	size_t n;

	(void)state;
	shelf_init(&s, FILES);
	s.id[3] ^= 1;
	struct err e = ERR_INIT;
	assert_int_equal(read_header(&s, &h, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
	e = (struct err)ERR_INIT;
	assert_int_equal(read_footer(&s, &t, &n, &e), -1);
	assert_int_equal(e.class, ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_header__is_read_at_once),
		cmocka_unit_test(test_frame_footer__of_a_small_pack_comes_with_its_trailer),
		cmocka_unit_test(test_frame_footer__of_many_chunks_takes_a_second_read),
		cmocka_unit_test(test_frame__what_the_store_says_is_passed_on),
		cmocka_unit_test(test_frame__stumps_are_damaged_at_any_length),
		cmocka_unit_test(test_frame__any_flipped_bit_of_the_trailer_is_found),
		cmocka_unit_test(test_frame__belongs_to_the_pack_that_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
