/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page of the agent that leads: the catalog that it keeps, as it was at the last look at the
 * store. Any other agent says who leads. The catalog is opened for reading, for each page, while
 * the keeper may be writing to it.
 */
#include <string.h>

#include "agent/page.h"
#include "agent/run_keep.h"
#include "common/now.h"

/* Of one question to the API server: two of them fit into the time that a client has. */
#define ASK_BUDGET_MS 4000
#define ASK_STALL_MS 4000

/* Who leads, for somebody who was let in. Always -1. */
static int name_leader(struct run *r, struct err *e)
{
	auto_json json_t *lease = NULL;
	const char *port = strrchr(r->p->page, ':');

	if (kube_get(r->page_kube, &kube_lease, r->p->ns, RUN_LEADER, &lease, e) < 0 &&
	    e->class != ERR_NOT_FOUND)
		return err_wrap(e, "this agent does not lead, and who does cannot be asked");
	const char *pod = kube_text_at(lease, "spec.holderIdentity");
	if (!*pod || strcmp(pod, r->p->pod) == 0)
		return err_set(e, ERR_BUSY, "no agent leads now; one will in a minute");
	port = port ? port + 1 : r->p->page;
	return err_set(e, ERR_BUSY,
	               "only the agent that leads has the catalog, and that is the pod '%.253s': "
	               "kubectl -n %.63s port-forward pod/%.253s %.5s",
	               pod, r->p->ns, pod, port);
}

static int make(void *arg, const struct site_request *q, int64_t until_ns, struct buf *b,
                struct err *e)
{
	struct run *r = arg;
	auto_free char *path = NULL;
	auto_catalog struct catalog *c = NULL;
	const struct site_params params = { .now_ns = now_wall_ns(),
		                            .until_ns = until_ns,
		                            .cancel = &r->stop };

	if (!atomic_load(&r->leads))
		return name_leader(r, e);
	if (catalog_path(NULL, r->p->state, r->p->key, &path, e) < 0 ||
	    catalog_open(path, CATALOG_READ, &c, e) < 0) {
		if (e->class != ERR_NOT_FOUND)
			return -1;
		return err_set(e, ERR_BUSY,
		               "this agent leads since a moment ago, and its catalog is not made "
		               "yet; try again in a minute");
	}
	return site_page(c, q, &params, b, e);
}

int run_page_start(struct run *r, struct err *e)
{
	const struct kube_params kube = { .budget_ms = ASK_BUDGET_MS,
		                          .stall_ms = ASK_STALL_MS,
		                          .cancel = &r->stop };

	if (!r->p->page)
		return 0;
	r->page_kube = kube_open(&kube, e);
	if (!r->page_kube)
		return -1;
	const struct page_params params = { .listen = r->p->page,
		                            .hosts = r->p->page_hosts,
		                            .audience = r->p->page_audience,
		                            .kube = r->page_kube,
		                            .make = make,
		                            .arg = r };
	return page_start(&params, &r->page, e);
}

void run_page_stop(struct run *r)
{
	page_stop(r->page);
	kube_close(r->page_kube);
	r->page = NULL;
	r->page_kube = NULL;
}
