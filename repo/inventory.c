/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See inventory.h. A record is a note with a list: lines of JSON, as a zstd frame where that is
 * shorter. Items are in the order of what names them, so that the same ones give the same bytes.
 */
#include "repo/inventory.h"

#include <string.h>

#include "common/hex.h"
#include "common/json.h"
#include "repo/compress.h"
#include "repo/crypt.h"

#define PREFIX "ctl/inventory/"
#define SCHEMA "aksdr/inventory/v1"
#define LEVEL 6

const char *const inventory_kinds[INVENTORY_KINDS] = {
	[INVENTORY_CLAIM] = "claim",        [INVENTORY_VOLUME] = "volume",
	[INVENTORY_TEMPLATE] = "template",  [INVENTORY_EMPTY_DIR] = "emptyDir",
	[INVENTORY_HOST_PATH] = "hostPath", [INVENTORY_INLINE] = "inline",
};
const char *const inventory_states[INVENTORY_STATES] = {
	[INVENTORY_EXPOSED] = "exposed",
	[INVENTORY_EXCLUDED] = "excluded",
	[INVENTORY_PROTECTED] = "protected",
};
const char *const inventory_reasons[INVENTORY_REASONS] = {
	[INVENTORY_BY_POLICY] = "policy",   [INVENTORY_BY_OPT_OUT] = "opt-out",
	[INVENTORY_BY_NATURE] = "nature",   [INVENTORY_NO_POLICY] = "no-policy",
	[INVENTORY_PAUSED] = "paused",      [INVENTORY_INVALID] = "invalid-policy",
	[INVENTORY_UNPROTECTABLE] = "kind", [INVENTORY_UNCLAIMED] = "no-claim",
};
static const char *const text_names[INVENTORY_TEXTS] = {
	[INVENTORY_NS] = "namespace", [INVENTORY_NAME] = "name",     [INVENTORY_OWNER] = "owner",
	[INVENTORY_CLASS] = "class",  [INVENTORY_DRIVER] = "driver", [INVENTORY_POLICY] = "policy",
	[INVENTORY_WHY] = "why",
};

/* ---- items ---- */

static void item_clear(struct inventory_item *i)
{
	for (size_t t = 0; t < INVENTORY_TEXTS; t++)
		free((void *)(uintptr_t)i->texts[t]);
}

void inventory_clear(struct inventory *v)
{
	for (size_t i = 0; i < v->n; i++)
		item_clear(&v->v[i]);
	free(v->v);
	*v = (struct inventory){ .n = 0 };
}

/* Room for one more, which is not counted yet. */
static struct inventory_item *room(struct inventory *v)
{
	if (v->n == v->cap) {
		const size_t cap = v->cap ? 2 * v->cap : 64;
		struct inventory_item *items = reallocarray(v->v, cap, sizeof(*items));

		if (!items)
			return NULL;
		v->v = items;
		v->cap = cap;
	}
	v->v[v->n] = (struct inventory_item){ .count = 0 };
	return &v->v[v->n];
}

int inventory_add(struct inventory *v, const struct inventory_item *item, struct err *e)
{
	struct inventory_item *to = room(v);
	struct inventory_item copy = *item;
	bool whole = to != NULL;

	for (size_t t = 0; t < INVENTORY_TEXTS; t++) {
		const char *text = item->texts[t] ? item->texts[t] : "";
		/* Cut between two characters. */
		size_t n = strnlen(text, INVENTORY_TEXT_MAX);
		while (n == INVENTORY_TEXT_MAX && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
		copy.texts[t] = whole ? strndup(text, n) : NULL;
		whole = whole && copy.texts[t];
	}
	if (!whole) {
		item_clear(&copy);
		return err_set(e, ERR_NOMEM, "no memory for an inventory of %zu items", v->n);
	}
	*to = copy;
	v->n++;
	return 0;
}

static int item_cmp(const void *va, const void *vb)
{
	static const enum inventory_text names[] = { INVENTORY_NS, INVENTORY_NAME,
		                                     INVENTORY_OWNER };
	const struct inventory_item *a = va;
	const struct inventory_item *b = vb;
	int by = (int)a->kind - (int)b->kind;

	for (size_t i = 0; by == 0 && i < ARRAY_LEN(names); i++)
		by = strcmp(a->texts[names[i]], b->texts[names[i]]);
	return by;
}

/* What matters most is first. */
static int state_cmp(const void *va, const void *vb)
{
	const struct inventory_item *a = va;
	const struct inventory_item *b = vb;

	return a->state != b->state ? (int)a->state - (int)b->state : item_cmp(va, vb);
}

static void sort(struct inventory *v, int (*cmp)(const void *, const void *))
{
	if (v->n > 1)
		qsort(v->v, v->n, sizeof(*v->v), cmp);
}

static void join_same(struct inventory *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++) {
		struct inventory_item *last = n > 0 ? &v->v[n - 1] : NULL;

		if (last && item_cmp(last, &v->v[i]) == 0) {
			last->count += v->v[i].count;
			if (v->v[i].bytes > last->bytes)
				last->bytes = v->v[i].bytes;
			item_clear(&v->v[i]);
		} else {
			v->v[n++] = v->v[i];
		}
	}
	v->n = n;
}

int inventory_settle(struct inventory *v, size_t max, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(INVENTORY_PLAIN_MAX);
	uint8_t hash[32];

	sort(v, item_cmp);
	join_same(v);
	if (v->n > max) {
		sort(v, state_cmp);
		v->omitted += v->n - max;
		while (v->n > max)
			item_clear(&v->v[--v->n]);
		sort(v, item_cmp);
	}
	if (inventory_encode(v, &b, e) < 0)
		return -1;
	crypt_sha256(hash, b.data, b.len);
	hex_encode(v->digest, hash, sizeof(hash));
	return 0;
}

/* ---- text ---- */

static int encode_item(const struct inventory_item *i, struct buf *b, struct err *e)
{
	auto_json json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I}", "kind",
	                                inventory_kinds[i->kind], "state",
	                                inventory_states[i->state], "reason",
	                                inventory_reasons[i->reason], "bytes", (json_int_t)i->bytes,
	                                "count", (json_int_t)i->count);
	bool whole = o != NULL;

	if (whole && i->rpo_s > 0)
		whole = json_object_set_new(o, "rpo_s", json_integer((json_int_t)i->rpo_s)) == 0;
	for (size_t t = 0; whole && t < INVENTORY_TEXTS; t++) {
		/* Most items lack some. */
		if (*i->texts[t])
			whole = json_object_set_new(o, text_names[t],
			                            json_text(i->texts[t], INVENTORY_TEXT_MAX)) ==
			        0;
	}
	if (!whole)
		return err_set(e, ERR_NOMEM, "no memory for an inventory");
	return json_write(o, b, e) < 0 || buf_str(b, "\n") < 0 ? -1 : 0;
}

int inventory_encode(const struct inventory *v, struct buf *b, struct err *e)
{
	struct err why = ERR_INIT;

	for (size_t i = 0; i < v->n; i++) {
		if (encode_item(&v->v[i], b, &why) < 0)
			break;
	}
	if (buf_check(b, "an inventory", e) < 0)
		return -1;
	if (why.class == ERR_NONE)
		return 0;
	*e = why;
	return -1;
}

/* One of the words. */
static int get_word(const json_t *o, const char *what, const char *name, const char *const *words,
                    size_t n, unsigned *ret, struct err *e)
{
	const char *text;

	if (json_get_str(o, what, name, &text, e) < 0)
		return -1;
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(words[i], text) == 0) {
			*ret = i;
			return 0;
		}
	}
	return err_set(e, ERR_FORMAT, "%s.%s '%.40s' is unknown here; use a newer program", what,
	               name, text);
}

static int decode_item(const json_t *o, const char *what, struct inventory *v, struct err *e)
{
	struct inventory_item item = { .count = 0 };
	unsigned kind, state, reason;

	if (get_word(o, what, "kind", inventory_kinds, INVENTORY_KINDS, &kind, e) < 0 ||
	    get_word(o, what, "state", inventory_states, INVENTORY_STATES, &state, e) < 0 ||
	    get_word(o, what, "reason", inventory_reasons, INVENTORY_REASONS, &reason, e) < 0 ||
	    json_get_u64(o, what, "bytes", &item.bytes, e) < 0 ||
	    json_get_u64(o, what, "count", &item.count, e) < 0 ||
	    (json_object_get(o, "rpo_s") && json_get_u64(o, what, "rpo_s", &item.rpo_s, e) < 0))
		return -1;
	item.kind = (enum inventory_kind)kind;
	item.state = (enum inventory_state)state;
	item.reason = (enum inventory_reason)reason;
	for (size_t t = 0; t < INVENTORY_TEXTS; t++) {
		const char *text = "";

		if (json_object_get(o, text_names[t]) &&
		    json_get_str(o, what, text_names[t], &text, e) < 0)
			return -1;
		if (strlen(text) > INVENTORY_TEXT_MAX)
			return err_set(e, ERR_FORMAT, "%s.%s is too long", what, text_names[t]);
		item.texts[t] = text; /* is copied */
	}
	return inventory_add(v, &item, e);
}

int inventory_decode(const char *what, const uint8_t *p, size_t n, struct inventory *v,
                     struct err *e)
{
	while (n > 0) {
		const uint8_t *end = memchr(p, '\n', n);
		const size_t line = end ? (size_t)(end - p) : n;

		if (!end || v->n == INVENTORY_ITEMS_MAX)
			return err_set(e, ERR_FORMAT, "'%s': %s", what,
			               end ? "too many items" : "its last line is cut");
		auto_json json_t *o = json_parse(what, p, line, e);
		if (!o || decode_item(o, what, v, e) < 0)
			return -1;
		if (v->n > 1 && item_cmp(&v->v[v->n - 2], &v->v[v->n - 1]) >= 0)
			return err_set(e, ERR_FORMAT, "'%s': its items are not in their order",
			               what);
		p += line + 1;
		n -= line + 1;
	}
	return 0;
}

/* ---- records ---- */

static void clean_compress(struct compress *const *c)
{
	compress_free(*c);
}

/* As a frame where that is shorter. */
static int pack_text(const struct buf *plain, struct buf *ret, struct err *e)
{
	CLEANUP(clean_compress) struct compress *c = compress_new();
	const size_t bound = compress_bound(plain->len);
	auto_free uint8_t *out = malloc(bound);

	if (!c || !out)
		return err_set(e, ERR_NOMEM, "no memory for an inventory");
	const size_t n = plain->len > 0
	                         ? compress_chunk(c, LEVEL, plain->data, plain->len, out, bound)
	                         : 0;
	(void)buf_put(ret, n > 0 ? out : plain->data, n > 0 ? n : plain->len);
	return buf_check(ret, "an inventory", e);
}

int inventory_put(const struct repo *r, const struct inventory *v, struct err *e)
{
	CLEANUP(buf_clear) struct buf plain = BUF_INIT(INVENTORY_PLAIN_MAX);
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	struct note_actor by;
	char key[NOTE_KEY_MAX];

	note_actor(&by);
	if (inventory_encode(v, &plain, e) < 0 || pack_text(&plain, &list, e) < 0)
		return -1;
	auto_json json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:s}", "schema",
	                                SCHEMA, "cluster", v->cluster, "at_ns",
	                                (json_int_t)v->at_ns, "user", by.user, "host", by.host,
	                                "items", (json_int_t)v->n, "omitted",
	                                (json_int_t)v->omitted, "bytes", (json_int_t)plain.len,
	                                "digest", v->digest);
	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for an inventory");
	note_new_key("ctl/inventory", key);
	if (note_put_list(r, FORMAT_KIND_INVENTORY, key, o, &list, e) < 0)
		return err_wrap(e, "putting an inventory of cluster '%s'", v->cluster);
	return 0;
}

static int expand(const char *what, const struct buf *list, uint64_t bytes, uint8_t **ret,
                  struct err *e)
{
	CLEANUP(clean_compress) struct compress *c = compress_new();
	auto_free uint8_t *plain = malloc(bytes + 1);

	if (!c || !plain)
		return err_set(e, ERR_NOMEM, "no memory for an inventory of %llu bytes",
		               (unsigned long long)bytes);
	if (list->len == bytes) {
		if (bytes > 0)
			memcpy(plain, list->data, bytes);
	} else if (compress_expand(c, list->data, list->len, plain, bytes) < 0) {
		return err_set(e, ERR_FORMAT, "'%s' does not expand", what);
	}
	*ret = STEAL(&plain);
	return 0;
}

static int read_record(const struct repo *r, const char *key, struct inventory *v, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(NOTE_LIST_MAX);
	auto_free uint8_t *plain = NULL;
	auto_json json_t *o = NULL;
	uint64_t items, bytes;
	uint8_t hash[32], digest[32];

	if (note_get_list(r, FORMAT_KIND_INVENTORY, key, &o, &list, v->signer, e) < 0 ||
	    note_schema(o, key, SCHEMA, e) < 0 ||
	    json_get_text(o, key, "cluster", v->cluster, sizeof(v->cluster), e) < 0 ||
	    json_get_text(o, key, "user", v->by.user, sizeof(v->by.user), e) < 0 ||
	    json_get_text(o, key, "host", v->by.host, sizeof(v->by.host), e) < 0 ||
	    json_get_i64(o, key, "at_ns", &v->at_ns, e) < 0 ||
	    json_get_u64(o, key, "items", &items, e) < 0 ||
	    json_get_u64(o, key, "omitted", &v->omitted, e) < 0 ||
	    json_get_u64(o, key, "bytes", &bytes, e) < 0 ||
	    json_get_hex(o, key, "digest", digest, sizeof(digest), e) < 0)
		return -1;
	if (bytes > INVENTORY_PLAIN_MAX)
		return err_set(e, ERR_TOO_BIG, "'%s' has %llu bytes of items", key,
		               (unsigned long long)bytes);
	if (expand(key, &list, bytes, &plain, e) < 0 ||
	    inventory_decode(key, plain, bytes, v, e) < 0)
		return -1;
	crypt_sha256(hash, plain, bytes);
	if (v->n != items || memcmp(hash, digest, sizeof(hash)) != 0)
		return err_set(e, ERR_FORMAT, "'%s' does not add up", key);
	hex_encode(v->digest, digest, sizeof(digest));
	return 0;
}

int inventory_get(const struct repo *r, const char *key, int64_t received_ns, struct inventory *ret,
                  struct err *e)
{
	(void)snprintf(ret->key, sizeof(ret->key), "%.*s", NOTE_KEY_MAX - 1, key);
	ret->received_ns = received_ns;
	return read_record(r, key, ret, e) < 0 ? err_wrap(e, "reading an inventory") : 0;
}

struct listing {
	const struct repo *r;
	int (*each)(void *arg, const char *key, int64_t received_ns, struct err *e);
	void *arg;
};

static int take_name(void *arg, const struct store_item *item, struct err *e)
{
	const struct listing *l = arg;

	if (cancel_check(l->r->cancel, e) < 0)
		return -1;
	return note_name_valid(item->key + strlen(PREFIX))
	               ? l->each(l->arg, item->key, item->st.received_ns, e)
	               : 0;
}

int inventory_list(const struct repo *r,
                   int (*each)(void *arg, const char *key, int64_t received_ns, struct err *e),
                   void *arg, struct err *e)
{
	struct listing l = { .r = r, .each = each, .arg = arg };

	if (store_list(r->store, PREFIX, NULL, take_name, &l, e) < 0)
		return err_wrap(e, "listing the inventories");
	return 0;
}
