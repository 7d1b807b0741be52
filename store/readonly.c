/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that cannot be written through this handle, whatever the rights of
 * the process: restores, audits and dry runs use it, so that a mistake in them
 * changes nothing.
 */
#include "store/store.h"

#include "store/driver.h"

static int refuse(struct err *e)
{
	return err_set(e, ERR_DENIED, "the store was opened for reading only");
}

static int readonly_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                        struct err *e)
{
	(void)s;
	(void)key;
	(void)iov;
	(void)niov;
	return refuse(e);
}

static int readonly_del(struct store *s, const char *key, struct err *e)
{
	(void)s;
	(void)key;
	return refuse(e);
}

static int readonly_lock(struct store *s, const char *key, int64_t until_ns, struct err *e)
{
	(void)s;
	(void)key;
	(void)until_ns;
	return refuse(e);
}

static const struct store_ops readonly_ops = {
	.name = "readonly",
	.put = readonly_put,
	.get = store_wrap_get,
	.head = store_wrap_head,
	.list = store_wrap_list,
	.del = readonly_del,
	.get_all = store_wrap_get_all,
	.lock = readonly_lock,
	.cut = store_wrap_cut,
	.away = store_wrap_away,
	.right = store_wrap_right,
	.ends = store_wrap_ends,
	.traffic = store_wrap_traffic,
	.free = store_wrap_free,
};

struct store *store_readonly_new(struct store *take_inner, struct err *e)
{
	unsigned caps = take_inner->caps & ~(unsigned)STORE_CAP_WRITE;

	return store_wrap_new(sizeof(struct store_wrap), &readonly_ops, take_inner, caps, e);
}
