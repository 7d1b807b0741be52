/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of data keys: what it keeps, what it asks the store for, and who it refuses. */
#include "repo/keyring.h"

#include "tests/unit/repo/shelf.h"

static void get(struct shelf *s, struct keyring *k, unsigned i, uint8_t *dek)
{
	uint8_t cipher = 0;
	bool vouched;

	ok(keyring_get(k, s->domain, &s->refs[i], NULL, 0, dek, &cipher, &vouched, e));
	assert_int_equal(cipher, s->kit.agent->params.cipher);
}

static void test_keyring_get__reads_a_header_once(void **state)
{
	auto_shelf struct shelf s;
	auto_secret uint8_t *first = secret_new(32);
	auto_secret uint8_t *second = secret_new(32);

	(void)state;
	shelf_init(&s, 4, 2);
	struct keyring *k = keyring_new(&s.reading, 8, false);
	assert_non_null(k);
	assert_false(keyring_has(k, &s.refs[0]));
	get(&s, k, 0, first);
	assert_true(keyring_has(k, &s.refs[0]));
	assert_true(keyring_has(k, &s.refs[1]));
	assert_false(keyring_has(k, &s.refs[2]));
	get(&s, k, 1, second);
	assert_memory_equal(first, second, 32);
	assert_int_equal(atomic_load(&s.gets), 1);
	get(&s, k, 2, second);
	assert_memory_not_equal(first, second, 32);
	assert_int_equal(atomic_load(&s.gets), 2);
	keyring_free(k);
	keyring_free(NULL);
}

static void test_keyring_get__the_key_unused_for_longest_makes_room(void **state)
{
	auto_shelf struct shelf s;
	auto_secret uint8_t *dek = secret_new(32);

	(void)state;
	shelf_init(&s, 3, 1);
	struct keyring *k = keyring_new(&s.reading, 2, false);
	assert_non_null(k);
	get(&s, k, 0, dek);
	get(&s, k, 1, dek);
	get(&s, k, 0, dek);
	get(&s, k, 2, dek); /* 1 goes */
	assert_true(keyring_has(k, &s.refs[0]));
	assert_false(keyring_has(k, &s.refs[1]));
	assert_true(keyring_has(k, &s.refs[2]));
	assert_int_equal(atomic_load(&s.gets), 3);
	keyring_free(k);
}

static void test_keyring_get__uses_a_header_that_is_at_hand(void **state)
{
	auto_shelf struct shelf s;
	auto_secret uint8_t *dek = secret_new(32);
	char name[PACK_KEY_MAX];
	uint8_t cipher;
	bool vouched;
	size_t n;

	(void)state;
	shelf_init(&s, 2, 1);
	struct keyring *k = keyring_new(&s.reading, 2, false);
	assert_non_null(k);
	pack_key_name(name, s.refs[0].pack, CHUNK_DATA);
	auto_free uint8_t *object = kit_get(&s.kit, name, &n);
	ok(keyring_get(k, s.domain, &s.refs[0], object, n, dek, &cipher, &vouched, e));
	assert_int_equal(atomic_load(&s.gets), 0);
	/* too little of it does not count */
	pack_key_name(name, s.refs[1].pack, CHUNK_DATA);
	auto_free uint8_t *other = kit_get(&s.kit, name, &n);
	ok(keyring_get(k, s.domain, &s.refs[1], other, 100, dek, &cipher, &vouched, e));
	assert_int_equal(atomic_load(&s.gets), 1);
	keyring_free(k);
}

static void test_keyring_get__keeps_nothing_of_a_failure(void **state)
{
	auto_shelf struct shelf s;
	auto_secret uint8_t *dek = secret_new(32);
	uint8_t cipher;
	bool vouched;

	(void)state;
	shelf_init(&s, 1, 1);
	struct keyring *k = keyring_new(&s.reading, 1, false);
	assert_non_null(k);
	shelf_disturb(&s, FAULT_GONE, 1, NULL);
	fails(ERR_NOT_FOUND,
	      keyring_get(k, s.domain, &s.refs[0], NULL, 0, dek, &cipher, &vouched, e));
	assert_false(keyring_has(k, &s.refs[0]));
	get(&s, k, 0, dek);
	keyring_free(k);
}

static void test_keyring_get__refuses_what_does_not_belong(void **state)
{
	auto_shelf struct shelf s;
	auto_secret uint8_t *dek = secret_new(32);
	struct domain_keys *other = NULL;
	uint8_t cipher;
	bool vouched;

	(void)state;
	shelf_init(&s, 1, 1);
	struct keyring *k = keyring_new(&s.reading, 4, false);
	assert_non_null(k);
	ok(keys_domain(s.kit.recovery->keys, "another", &other, e));
	fails_saying(ERR_CORRUPT, "another dedup domain",
	             keyring_get(k, other, &s.refs[0], NULL, 0, dek, &cipher, &vouched, e));
	struct chunk_ref beyond = s.refs[0];
	beyond.key = 1;
	fails_saying(ERR_CORRUPT, "no data key 1",
	             keyring_get(k, s.domain, &beyond, NULL, 0, dek, &cipher, &vouched, e));
	s.reading.keys = s.kit.audit->keys;
	fails(ERR_DENIED, keyring_get(k, s.domain, &s.refs[0], NULL, 0, dek, &cipher, &vouched, e));
	keyring_free(k);
	secret_free(other);
}

static void test_keyring_get__who_vouches_for_a_key(void **state)
{
	auto_shelf struct shelf s;
	auto_secret uint8_t *dek = secret_new(32);
	uint8_t cipher;
	bool vouched = false;

	(void)state;
	shelf_init(&s, 1, 1);
	struct keyring *k = keyring_new(&s.reading, 1, true);
	ok(keyring_get(k, s.domain, &s.refs[0], NULL, 0, dek, &cipher, &vouched, e));
	assert_true(vouched);
	keyring_free(k);
	/* Its signer was revoked; whether that is settled makes no difference. */
	for (int closing = 0; closing < 2; closing++) {
		s.reading.keys->signers[0].revoked = true;
		s.reading.keys->signers[0].closing = closing;
		k = keyring_new(&s.reading, 1, true);
		vouched = true;
		ok(keyring_get(k, s.domain, &s.refs[0], NULL, 0, dek, &cipher, &vouched, e));
		assert_false(vouched);
		keyring_free(k);
	}
	/* Nobody looks. */
	s.reading.keys->signers[0].revoked = false;
	k = keyring_new(&s.reading, 1, false);
	ok(keyring_get(k, s.domain, &s.refs[0], NULL, 0, dek, &cipher, &vouched, e));
	assert_false(vouched);
	keyring_free(k);
}

struct racer {
	struct shelf *shelf;
	struct keyring *ring;
	unsigned start;
};

static void *race(void *arg)
{
	const struct racer *r = arg;
	auto_secret uint8_t *dek = secret_new(32);
	struct err e = ERR_INIT;
	uint8_t cipher;
	bool vouched;

	for (unsigned i = 0; i < 60; i++) {
		if (keyring_get(r->ring, r->shelf->domain, &r->shelf->refs[(r->start + i) % 6],
		                NULL, 0, dek, &cipher, &vouched, &e) < 0)
			return arg;
	}
	return NULL;
}

static void test_keyring_get__threads_share_a_ring_that_is_too_small(void **state)
{
	auto_shelf struct shelf s;
	pthread_t threads[4];
	struct racer racers[4];

	(void)state;
	shelf_init(&s, 6, 1);
	struct keyring *k = keyring_new(&s.reading, 2, false);
	assert_non_null(k);
	for (unsigned i = 0; i < 4; i++) {
		racers[i] = (struct racer){ .shelf = &s, .ring = k, .start = i };
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	keyring_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keyring_get__reads_a_header_once),
		cmocka_unit_test(test_keyring_get__the_key_unused_for_longest_makes_room),
		cmocka_unit_test(test_keyring_get__uses_a_header_that_is_at_hand),
		cmocka_unit_test(test_keyring_get__keeps_nothing_of_a_failure),
		cmocka_unit_test(test_keyring_get__refuses_what_does_not_belong),
		cmocka_unit_test(test_keyring_get__who_vouches_for_a_key),
		cmocka_unit_test(test_keyring_get__threads_share_a_ring_that_is_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
