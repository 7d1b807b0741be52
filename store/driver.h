/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What drivers and wrappers of this folder share. Nothing outside store/
 * includes it.
 *
 * The functions of store.h check their arguments once and add once to a
 * message which object of which store it is about; then they call the
 * operations. Wrappers call the operations of the inner store directly. So an
 * operation may rely on this:
 *   key     well-formed (store_key_valid)
 *   iov     niov >= 0 pieces, at most STORE_OBJECT_MAX bytes in all
 *   prefix  only characters of keys, at most STORE_KEY_MAX of them
 *   after   never NULL
 * and its messages say what failed and why, without key and store.
 */
#ifndef AKSDR_STORE_DRIVER_H
#define AKSDR_STORE_DRIVER_H

#include "store/store.h"

/* Fills the base of an instance; its URL is scheme and place, one after the other. ERR_NOMEM. */
MUST_CHECK int store_base_init(struct store *s, const struct store_ops *ops, unsigned caps,
                               const char *scheme, const char *place, struct err *e);

/* Frees what store_base_init made, not the instance. */
void store_base_clear(struct store *s);

/* Sum of the pieces. The caller knows that it does not overflow. */
size_t store_iov_bytes(const struct iovec *iov, int niov);

/* Copies n bytes at off of the pieces; they have that many. */
void store_iov_copy(const struct iovec *iov, int niov, size_t off, void *ret, size_t n);

/*
 * The n bytes at off of the pieces (they have that many) as pieces of ret, which has room for
 * niov. How many that are.
 */
int store_iov_slice(const struct iovec *iov, int niov, uint64_t off, uint64_t n, struct iovec *ret);

/* The operation lock, also of stores without one. */
MUST_CHECK int store_base_lock(struct store *s, const char *key, int64_t until_ns, struct err *e);

/* The operation get_all, also of stores without one. On failure b->len may have grown. */
MUST_CHECK int store_base_get_all(struct store *s, const char *key, struct buf *b, struct err *e);

/* The same by a head and a get. */
MUST_CHECK int store_base_head_get(struct store *s, const char *key, struct buf *b, struct err *e);

/* First member of every wrapper. */
struct store_wrap {
	struct store base;
	struct store *inner; /* owned */
};

/*
 * A zeroed wrapper of `size` bytes around take_inner, with its URL. Consumes
 * take_inner also on failure: NULL with ERR_NOMEM.
 */
MUST_CHECK void *store_wrap_new(size_t size, const struct store_ops *ops, struct store *take_inner,
                                unsigned caps, struct err *e);

/* Operations that hand the call on. */
static inline struct store *store_inner(struct store *s)
{
	return ((struct store_wrap *)s)->inner;
}
int store_wrap_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                   struct err *e);
int store_wrap_head(struct store *s, const char *key, struct store_stat *ret, struct err *e);
int store_wrap_list(struct store *s, const char *prefix, const char *after,
                    int (*each)(void *arg, const struct store_item *item, struct err *e), void *arg,
                    struct err *e);
int store_wrap_get_all(struct store *s, const char *key, struct buf *b, struct err *e);
int store_wrap_lock(struct store *s, const char *key, int64_t until_ns, struct err *e);
int store_wrap_cut(struct store *s, int64_t since_ns, struct store_cut *ret, struct err *e);
bool store_wrap_away(struct store *s);
const char *store_wrap_right(struct store *s, enum store_right right);
int64_t store_wrap_ends(struct store *s);
void store_wrap_traffic(struct store *s, struct store_traffic *ret);
void store_wrap_free(struct store *s);

/* The driver of a URL, without retry. */
MUST_CHECK struct store *store_open_driver(const char *url, unsigned flags,
                                           const struct cancel *cancel, struct err *e);

/* A handle to the memory store of that name, which is made at its first use and kept until exit. */
MUST_CHECK struct store *store_mem_named(const char *name, struct err *e);

#endif
