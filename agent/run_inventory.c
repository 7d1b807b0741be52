/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's inventory of the cluster, when something has changed, and once a day in any case. */
#include <string.h>

#include "agent/gather.h"
#include "agent/run_keep.h"
#include "catalog/stock.h"
#include "common/log.h"
#include "common/now.h"
#include "repo/repo.h"

#define LOOK_NS (3600 * INT64_C(1000000000)) /* between two looks at the cluster */
#define DAY_NS (86400 * INT64_C(1000000000))

bool run_inventory_wanted(const struct stock_newest *newest, const char *digest, int64_t now_ns)
{
	return !newest->is || strcmp(newest->digest, digest) != 0 ||
	       now_ns - newest->received_ns >= DAY_NS;
}

/* What there is, by the cluster's answers and what is known of its claims and policies. */
static int take_stock(struct run *r, struct inventory *v, struct err *e)
{
	auto_coverage struct coverage *c = coverage_new();

	if (!c)
		return err_set(e, ERR_NOMEM, "no memory for what holds data in the cluster");
	if (gather_coverage(r->kube, c, e) < 0)
		return -1;
	(void)snprintf(v->cluster, sizeof(v->cluster), "%s", r->p->cluster);
	v->at_ns = now_wall_ns();
	pthread_mutex_lock(&r->lock);
	const int rc = coverage_make(c, r->world, v, e);
	pthread_mutex_unlock(&r->lock);
	return rc;
}

static int put(struct run *r, struct catalog *c, const struct inventory *v, struct err *e)
{
	const struct run_params *p = r->p;
	auto_repo struct repo *repo = NULL;

	if (repo_open_url(p->store, 0, p->key, p->passphrase_file, p->state, &r->stop, &repo, e) <
	    0)
		return -1;
	const int rc = inventory_put(repo, v, e) < 0 ? -1 : stock_sync(c, repo, e);
	run_asked(r, repo->store);
	return rc;
}

static int inventory(struct run *r, struct catalog *c, struct err *e)
{
	CLEANUP(inventory_clear) struct inventory v = { .n = 0 };
	struct stock_newest newest;

	if (take_stock(r, &v, e) < 0 || stock_newest(c, r->p->cluster, &newest, e) < 0)
		return -1;
	if (!run_inventory_wanted(&newest, v.digest, v.at_ns))
		return 0;
	if (v.omitted > 0)
		log_warn("the inventory of the cluster is not complete: there are too many volumes",
		         LOG_U("omitted", v.omitted));
	return put(r, c, &v, e);
}

void run_inventory(struct run *r, struct catalog *c)
{
	const int64_t now_ns = now_mono_ns();
	struct err e = ERR_INIT;

	pthread_mutex_lock(&r->lock);
	const bool known = world_ready(r->world);
	pthread_mutex_unlock(&r->lock);
	if (!known || (r->inventoried_ns > 0 && now_ns - r->inventoried_ns < LOOK_NS))
		return;
	if (inventory(r, c, &e) < 0 && e.class != ERR_CANCELLED) {
		/* It keeps nobody from backing up; the next look at the store tries again. */
		if (!r->uninventoried)
			log_warn("no inventory of the cluster was made", LOG_S("why", e.msg));
		r->uninventoried = true;
		return;
	}
	r->uninventoried = false;
	r->inventoried_ns = now_ns;
}
