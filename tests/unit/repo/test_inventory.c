/* SPDX-License-Identifier: Apache-2.0 */
/* Inventories: what goes in comes out, joined and in order, and bounded. */
#include "repo/inventory.h"

#include "common/json.h"
#include "tests/harness/repo_kit.h"

static void add(struct inventory *v, enum inventory_kind kind, enum inventory_state state,
                const char *ns, const char *name, const char *owner)
{
	const struct inventory_item item = {
		.kind = kind,
		.state = state,
		.reason = state == INVENTORY_PROTECTED ? INVENTORY_BY_POLICY : INVENTORY_NO_POLICY,
		.bytes = 1024,
		.count = 1,
		.texts = { [INVENTORY_NS] = ns,
		           [INVENTORY_NAME] = name,
		           [INVENTORY_OWNER] = owner,
		           [INVENTORY_WHY] = "because" },
	};

	ok(inventory_add(v, &item, e));
}

struct reading {
	const struct repo *r;
	struct inventory *to; /* the one that was read last */
	unsigned listed, bad;
};

static int read_one(void *arg, const char *key, int64_t received_ns, struct err *e)
{
	struct reading *x = arg;
	struct inventory v = { .n = 0 };
	struct err why = ERR_INIT;

	(void)e;
	x->listed++;
	assert_int_equal(strncmp(key, "ctl/inventory/20", 16), 0);
	if (inventory_get(x->r, key, received_ns, &v, &why) < 0) {
		assert_true(note_is_bad(&why));
		inventory_clear(&v);
		x->bad++;
		return 0;
	}
	inventory_clear(x->to);
	*x->to = v;
	return 0;
}

/* Reads all there are; how many of them are bad. */
static unsigned read_all(const struct repo *r, unsigned listed, struct inventory *to)
{
	struct reading x = { .r = r, .to = to };

	ok(inventory_list(r, read_one, &x, e));
	assert_int_equal(x.listed, listed);
	return x.bad;
}

static void test_inventory_put__comes_back_in_order(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(inventory_clear) struct inventory v = { .at_ns = 42, .cluster = "c1" };
	CLEANUP(inventory_clear) struct inventory back = { .n = 0 };

	(void)state;
	add(&v, INVENTORY_EMPTY_DIR, INVENTORY_EXPOSED, "shop", "tmp", "Deployment/web");
	add(&v, INVENTORY_CLAIM, INVENTORY_PROTECTED, "shop", "orders", "StatefulSet/db");
	add(&v, INVENTORY_CLAIM, INVENTORY_EXCLUDED, "dev", "orders", NULL);
	ok(inventory_settle(&v, INVENTORY_ITEMS_MAX, e));
	ok(inventory_put(k.agent, &v, e));
	assert_int_equal(read_all(k.audit, 1, &back), 0);
	assert_int_equal(back.n, 3);
	assert_string_equal(back.cluster, "c1");
	assert_int_equal(back.at_ns, 42);
	assert_string_equal(back.digest, v.digest);
	assert_true(back.received_ns > 0);
	assert_true(*back.by.host != '\0');
	assert_string_equal(back.v[0].texts[INVENTORY_NS], "dev");
	assert_string_equal(back.v[0].texts[INVENTORY_OWNER], "");
	assert_int_equal(back.v[0].state, INVENTORY_EXCLUDED);
	assert_string_equal(back.v[1].texts[INVENTORY_OWNER], "StatefulSet/db");
	assert_int_equal(back.v[1].reason, INVENTORY_BY_POLICY);
	assert_int_equal(back.v[1].bytes, 1024);
	assert_int_equal(back.v[2].kind, INVENTORY_EMPTY_DIR);
	assert_string_equal(back.v[2].texts[INVENTORY_WHY], "because");
}

static void test_inventory_put__nothing_at_all_is_an_inventory_too(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(inventory_clear) struct inventory v = { .at_ns = 1 };
	CLEANUP(inventory_clear) struct inventory back = { .n = 1 };

	(void)state;
	back.n = 0;
	ok(inventory_settle(&v, INVENTORY_ITEMS_MAX, e));
	ok(inventory_put(k.agent, &v, e));
	assert_int_equal(read_all(k.audit, 1, &back), 0);
	assert_int_equal(back.n, 0);
	assert_int_equal(back.at_ns, 1);
	/* SHA-256 of no bytes */
	assert_string_equal(back.digest,
	                    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_inventory_put__a_large_one_takes_little_room(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(inventory_clear) struct inventory v = { .at_ns = 1 };
	CLEANUP(inventory_clear) struct inventory back = { .n = 0 };
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(name, sizeof(name), "data-db-%u", i);
		add(&v, INVENTORY_CLAIM, INVENTORY_PROTECTED, "shop", name, "StatefulSet/db");
	}
	ok(inventory_settle(&v, INVENTORY_ITEMS_MAX, e));
	ok(inventory_put(k.agent, &v, e));
	assert_int_equal(read_all(k.audit, 1, &back), 0);
	assert_int_equal(back.n, 10000);
	assert_string_equal(back.digest, v.digest);
}

static void test_inventory_put__an_auditor_cannot(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(inventory_clear) struct inventory v = { .at_ns = 1 };
	struct err why = ERR_INIT;

	(void)state;
	ok(inventory_settle(&v, 1, e));
	assert_int_equal(inventory_put(k.audit, &v, &why), -1);
	assert_int_equal(why.class, ERR_DENIED);
}

static void test_inventory_settle__joins_what_has_the_same_name(void **state)
{
	CLEANUP(inventory_clear) struct inventory v = { .n = 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		add(&v, INVENTORY_EMPTY_DIR, INVENTORY_EXPOSED, "shop", "tmp", "Deployment/web");
	add(&v, INVENTORY_EMPTY_DIR, INVENTORY_EXPOSED, "shop", "tmp", "Deployment/api");
	ok(inventory_settle(&v, INVENTORY_ITEMS_MAX, e));
	assert_int_equal(v.n, 2);
	assert_string_equal(v.v[0].texts[INVENTORY_OWNER], "Deployment/api");
	assert_int_equal(v.v[0].count, 1);
	assert_int_equal(v.v[1].count, 3);
}

static void test_inventory_settle__leaves_out_what_is_protected_first(void **state)
{
	CLEANUP(inventory_clear) struct inventory v = { .n = 0 };

	(void)state;
	add(&v, INVENTORY_CLAIM, INVENTORY_PROTECTED, "a", "a", NULL);
	add(&v, INVENTORY_CLAIM, INVENTORY_EXPOSED, "z", "z", NULL);
	add(&v, INVENTORY_CLAIM, INVENTORY_EXCLUDED, "m", "m", NULL);
	ok(inventory_settle(&v, 2, e));
	assert_int_equal(v.n, 2);
	assert_int_equal(v.omitted, 1);
	assert_string_equal(v.v[0].texts[INVENTORY_NAME], "m");
	assert_string_equal(v.v[1].texts[INVENTORY_NAME], "z");
}

static void test_inventory_add__cuts_a_long_text_between_characters(void **state)
{
	CLEANUP(inventory_clear) struct inventory v = { .n = 0 };
	char text[INVENTORY_TEXT_MAX + 8];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text + INVENTORY_TEXT_MAX - 1, "\xc3\xbc", 2); /* of one character */
	text[sizeof(text) - 1] = '\0';
	add(&v, INVENTORY_CLAIM, INVENTORY_EXPOSED, "a", text, NULL);
	assert_int_equal(strlen(v.v[0].texts[INVENTORY_NAME]), INVENTORY_TEXT_MAX - 1);
}

/* What decoding a text says, "" when it is good. */
static struct err decode(const char *text)
{
	CLEANUP(inventory_clear) struct inventory v = { .n = 0 };
	struct err e = ERR_INIT;

	if (inventory_decode("x", (const uint8_t *)text, strlen(text), &v, &e) == 0)
		assert_int_equal(e.class, ERR_NONE);
	return e;
}

#define ITEM(kind, name)                                                  \
	"{\"bytes\":1,\"count\":1,\"kind\":\"" kind "\",\"name\":\"" name \
	"\",\"reason\":\"no-policy\",\"state\":\"exposed\"}\n"

static void test_inventory_decode__refuses_what_it_does_not_know(void **state)
{
	(void)state;
	assert_string_equal(decode(ITEM("claim", "a") ITEM("claim", "b")).msg, "");
	assert_int_equal(decode(ITEM("claim", "b") ITEM("claim", "a")).class, ERR_FORMAT);
	assert_int_equal(decode(ITEM("claim", "a") ITEM("claim", "a")).class, ERR_FORMAT);
	assert_non_null(strstr(decode(ITEM("cloud", "a")).msg, "'cloud' is unknown here"));
	assert_non_null(strstr(decode("{}").msg, "its last line is cut"));
	assert_int_equal(decode("{}\n").class, ERR_FORMAT);
	assert_int_equal(decode("x\n").class, ERR_FORMAT);
}

static void damage(const struct kit *k, const char *json, const char *list)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	auto_json json_t *o = json_loads(json, 0, NULL);
	char key[NOTE_KEY_MAX];

	assert_non_null(o);
	(void)buf_str(&b, list);
	note_new_key("ctl/inventory", key);
	ok(note_put_list(k->agent, FORMAT_KIND_INVENTORY, key, o, &b, e));
}

static void test_inventory_get__refuses_what_does_not_add_up(void **state)
{
	auto_kit struct kit k = kit_new();
	CLEANUP(inventory_clear) struct inventory v = { .at_ns = 7 };
	CLEANUP(inventory_clear) struct inventory back = { .n = 0 };

	(void)state;
#define HEAD(items, bytes)                                                                    \
	"{\"schema\":\"aksdr/inventory/v1\",\"cluster\":\"c\",\"user\":\"u\",\"host\":\"h\"," \
	"\"at_ns\":1,\"items\":" items ",\"omitted\":0,\"bytes\":" bytes ",\"digest\":\""     \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}"
	ok(put_text(k.store, "ctl/inventory/readme", "hello", e));
	damage(&k, "{\"schema\":\"aksdr/inventory/v2\"}", "");
	damage(&k, HEAD("1", "0"), "");
	damage(&k, HEAD("0", "40000000"), "");
	damage(&k, HEAD("0", "10"), "no frame");
	damage(&k, HEAD("1", "3"), "{}\n");
	assert_int_equal(read_all(k.audit, 5, &back), 5);
	assert_int_equal(back.at_ns, 0);
	ok(inventory_settle(&v, 1, e));
	ok(inventory_put(k.agent, &v, e));
	assert_int_equal(read_all(k.audit, 6, &back), 5);
	assert_int_equal(back.at_ns, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inventory_put__comes_back_in_order),
		cmocka_unit_test(test_inventory_put__nothing_at_all_is_an_inventory_too),
		cmocka_unit_test(test_inventory_put__a_large_one_takes_little_room),
		cmocka_unit_test(test_inventory_put__an_auditor_cannot),
		cmocka_unit_test(test_inventory_settle__joins_what_has_the_same_name),
		cmocka_unit_test(test_inventory_settle__leaves_out_what_is_protected_first),
		cmocka_unit_test(test_inventory_add__cuts_a_long_text_between_characters),
		cmocka_unit_test(test_inventory_decode__refuses_what_it_does_not_know),
		cmocka_unit_test(test_inventory_get__refuses_what_does_not_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
