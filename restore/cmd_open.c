/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what the verbs of aksdr-restore work on. */
#include <string.h>

#include "common/act.h"
#include "common/cancel.h"
#include "repo/expiry.h"
#include "restore/choose.h"
#include "restore/cmd.h"

int cmd_open(const struct verb_common *common, struct repo **ret, struct err *e)
{
	return repo_open_url(common->store, STORE_READONLY | STORE_FAIL_OVER, common->key,
	                     common->passphrase_file, common->state, cancel_on_signals(), ret, e);
}

int cmd_open_point(const struct verb_common *common, const char *text, struct repo **ret,
                   struct point *ret_point, struct err *e)
{
	auto_repo struct repo *r = NULL;

	if (cmd_open(common, &r, e) < 0 || repo_find(r, text, ret_point, e) < 0 ||
	    choose_complete(r, text, ret_point, e) < 0)
		return -1;
	act_object("%s@%s", ret_point->volume.name, ret_point->id);
	*ret = STEAL(&r);
	return 0;
}

int cmd_find_other(const struct repo *r, const char *name, const char *other,
                   struct point *ret_point, struct err *e)
{
	const char *at = strrchr(name, '@');
	auto_free char *text = NULL;

	if (strchr(other, '@'))
		return repo_find(r, other, ret_point, e);
	if (asprintf(&text, "%.*s@%s", at ? (int)(at - name) : (int)strlen(name), name, other) <
	    0) {
		text = NULL;
		return err_set(e, ERR_NOMEM, "no memory for a name");
	}
	return repo_find(r, text, ret_point, e);
}

int cmd_open_contents(const struct verb_common *common, struct repo **ret, struct err *e)
{
	auto_repo struct repo *r = NULL;

	if (repo_open_url(common->store, STORE_FAIL_OVER, common->key, common->passphrase_file,
	                  common->state, cancel_on_signals(), &r, e) < 0)
		return -1;
	if (!r->keys->has_recovery)
		return err_set(e, ERR_DENIED,
		               "'%s' is no recovery key: contents can only be read with that one",
		               common->key);
	*ret = STEAL(&r);
	return 0;
}

int cmd_open_data(const struct verb_common *common, const char *text, struct repo **ret,
                  struct point *ret_point, struct err *e)
{
	auto_repo struct repo *r = NULL;

	if (cmd_open_contents(common, &r, e) < 0 || repo_find(r, text, ret_point, e) < 0 ||
	    choose_complete(r, text, ret_point, e) < 0)
		return -1;
	act_object("%s@%s", ret_point->volume.name, ret_point->id);
	*ret = STEAL(&r);
	return 0;
}

void cmd_pin(const struct verb_common *common, const struct repo *r, const struct point *p,
             struct cmd_pin *ret)
{
	struct err why = ERR_INIT;

	*ret = (struct cmd_pin){ .repo = r };
	if (common->dry_run || !r->keys->has_sign || !(r->store->caps & STORE_CAP_WRITE))
		return;
	if (expiry_pin(r, p->session, ret->key, &why) == 0)
		return;
	ret->key[0] = '\0';
	if (why.class == ERR_NOT_FOUND)
		log_warn("the restore point may be taken away while it is read",
		         LOG_S("why", why.msg));
	else
		log_debug("the restore point is not pinned", LOG_S("why", why.msg));
}

void cmd_unpin(struct cmd_pin *p)
{
	struct err why = ERR_INIT;

	/* One that stays counts for seven days. */
	if (p->key[0] && expiry_unpin(p->repo, p->key, &why) < 0)
		log_debug("the pin of the restore point stays", LOG_S("why", why.msg));
	p->key[0] = '\0';
}
