/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what the verbs of aksdr-restore work on. */
#include "common/cancel.h"
#include "restore/cmd.h"

int cmd_open(const struct verb_common *common, struct repo **ret, struct err *e)
{
	return repo_open_url(common->store, STORE_READONLY, common->key, common->passphrase_file,
	                     common->state, cancel_on_signals(), ret, e);
}

int cmd_open_point(const struct verb_common *common, const char *text, struct repo **ret,
                   struct point *ret_point, struct err *e)
{
	auto_repo struct repo *r = NULL;

	if (cmd_open(common, &r, e) < 0 || repo_find(r, text, ret_point, e) < 0)
		return -1;
	*ret = STEAL(&r);
	return 0;
}

int cmd_open_data(const struct verb_common *common, const char *text, struct repo **ret,
                  struct point *ret_point, struct err *e)
{
	auto_repo struct repo *r = NULL;

	if (cmd_open(common, &r, e) < 0)
		return -1;
	if (!r->keys->has_recovery)
		return err_set(e, ERR_DENIED,
		               "'%s' is no recovery key: contents can only be read with that one",
		               common->key);
	if (repo_find(r, text, ret_point, e) < 0)
		return -1;
	*ret = STEAL(&r);
	return 0;
}
