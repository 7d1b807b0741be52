/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that the config names by their hash, and their copies in the state directory. */
#include "repo/named.h"

#include "common/json.h"
#include "repo/config.h"
#include "repo/note.h"
#include "tests/harness/fence_kit.h"

static struct repo *open_with_state(struct kit *k, const char *state)
{
	auto_free char *path = kit_key_path(k, "recovery.key");
	struct keys *keys = NULL;
	struct repo *r = NULL;

	ok(keys_load(path, NULL, &keys, e));
	ok(repo_open(k->store, keys, state, NULL, &r, e));
	return r;
}

static void test_named_get__what_was_put_comes_back_by_its_hash(void **state)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(100);
	CLEANUP(buf_clear) struct buf got = BUF_INIT(1000);
	auto_kit struct kit k = kit_new();
	auto_free char *dir = path_join(k.dir, "state");
	auto_json json_t *names = json_array();
	auto_json json_t *o = json_pack("{s:s}", "schema", "test");
	auto_json json_t *config = json_pack("{s:O}", "accepted", names);
	auto_free struct key_list *v = NULL;
	bool closing = true;
	bool news = false;
	size_t n;

	(void)state;
	struct repo *r = open_with_state(&k, dir);
	assert_int_equal(buf_put(&list, "0123456789abcdef", 16), 0);
	ok(named_put(r, FORMAT_KIND_FENCE, FENCE_PREFIX, o, &list, names, e));
	ok(config_accepted(config, "test", &v, &n, &closing, e));
	assert_int_equal(n, 1);
	assert_false(closing);

	/* A local store needs no copy. */
	unsigned caps = k.store->caps;
	k.store->caps |= STORE_CAP_LOCAL;
	ok(named_get(r, &v[0], "test-", &got, &news, e));
	assert_false(news);
	k.store->caps &= ~(unsigned)STORE_CAP_LOCAL;
	buf_reset(&got);
	ok(named_get(r, &v[0], "test-", &got, &news, e));
	assert_true(news);
	size_t len = got.len;
	kit_flip(&k, v[0].object, 20);
	buf_reset(&got);
	ok(named_get(r, &v[0], "test-", &got, NULL, e));
	assert_int_equal(got.len, len);

	/* Without it the store's object is looked at, and is another one now. */
	buf_reset(&got);
	fails_saying(ERR_CORRUPT, "is not the object that the config names",
	             named_get(k.recovery, &v[0], "test-", &got, NULL, e));
	ok(store_delete(k.store, v[0].object, e));
	buf_reset(&got);
	fails(ERR_NOT_FOUND, named_get(k.recovery, &v[0], "test-", &got, NULL, e));
	k.store->caps = caps;
	repo_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_named_get__what_was_put_comes_back_by_its_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
