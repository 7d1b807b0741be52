/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short words for tests about stores: put a text, see what is there. All of
 * them fail the running cmocka test.
 */
#ifndef AKSDR_TESTS_STORE_KIT_H
#define AKSDR_TESTS_STORE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"

/*
 * Runs a call that takes `e`, and fails the test with the error's text when it
 * fails. On success the error must be untouched.
 */
#define ok(call)                                           \
	do {                                               \
		struct err e_ = ERR_INIT;                  \
		struct err *e = &e_;                       \
		if ((call) < 0)                            \
			fail_msg("%s: %s", #call, e_.msg); \
		assert_int_equal(e_.class, ERR_NONE);      \
		assert_string_equal(e_.msg, "");           \
	} while (0)

/* Fails the test when the call, which takes `e`, does not fail with that class and a sentence. */
#define fails(wanted, call) fails_saying(wanted, "", call)

/* And with that text in its message. */
#define fails_saying(wanted, text, call)                                                   \
	do {                                                                               \
		struct err e_ = ERR_INIT;                                                  \
		struct err *e = &e_;                                                       \
		if ((call) != -1)                                                          \
			fail_msg("%s: did not fail", #call);                               \
		if (e_.class != (wanted) || strlen(e_.msg) <= 20 || !strstr(e_.msg, text)) \
			fail_msg("%s: %s: %s", #call, err_class_name(e_.class), e_.msg);   \
	} while (0)

static inline int put_bytes(struct store *s, const char *key, const void *p, size_t n,
                            struct err *e)
{
	uint8_t *copy = malloc(n + 1);
	struct iovec one = { .iov_base = copy, .iov_len = n };

	assert_non_null(copy);
	memcpy(copy, p, n);
	int r = store_put(s, key, &one, 1, e);
	free(copy);
	return r;
}

static inline int put_text(struct store *s, const char *key, const char *text, struct err *e)
{
	return put_bytes(s, key, text, strlen(text), e);
}

static inline void assert_content(struct store *s, const char *key, const void *p, size_t n)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * MIB);
	struct store_stat st;

	ok(store_head(s, key, &st, e));
	assert_int_equal(st.size, n);
	ok(store_get_all(s, key, &b, e));
	assert_int_equal(b.len, n);
	if (n > 0)
		assert_memory_equal(b.data, p, n);
}

static inline void assert_text(struct store *s, const char *key, const char *text)
{
	assert_content(s, key, text, strlen(text));
}

static inline void assert_absent(struct store *s, const char *key)
{
	struct store_stat st;
	char c;

	fails(ERR_NOT_FOUND, store_head(s, key, &st, e));
	fails(ERR_NOT_FOUND, store_get(s, key, 0, &c, 1, e));
}

/* A listing as one text: "key=size key=size". */
struct seen {
	struct buf text;
	size_t count;
	size_t stop_at;  /* end after so many items, 0: never */
	size_t fail_at;  /* fail at this item, 0: never */
	struct store *s; /* delete each item from it, when not NULL */
};

#define SEEN_INIT                         \
	{                                 \
		.text = BUF_INIT(8 * MIB) \
	}

static inline void seen_clear(struct seen *l)
{
	buf_clear(&l->text);
}

static inline int see(void *arg, const struct store_item *item, struct err *e)
{
	struct seen *l = arg;

	l->count++;
	if (l->count == l->fail_at)
		return err_set(e, ERR_BUSY, "this item is not wanted by the test");
	assert_int_equal(buf_printf(&l->text, "%s%s=%llu", l->text.len ? " " : "", item->key,
	                            (unsigned long long)item->st.size),
	                 0);
	if (l->s && store_delete(l->s, item->key, e) < 0)
		return -1;
	return l->count == l->stop_at ? 1 : 0;
}

static inline void assert_list(struct store *s, const char *prefix, const char *after,
                               const char *expected)
{
	CLEANUP(seen_clear) struct seen l = SEEN_INIT;

	ok(store_list(s, prefix, after, see, &l, e));
	assert_string_equal(buf_cstr(&l.text), expected);
}

#endif
