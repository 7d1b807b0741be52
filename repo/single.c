/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See single.h. This cannot be safe against two that begin at the same
 * moment on such a store; it keeps the usual mistakes out: two cron jobs, two
 * machines with one configuration.
 */
#include "repo/single.h"

#include <string.h>

#include "common/now.h"
#include "repo/commits.h"
#include "repo/session.h"

static int refuse(const struct repo *r, const char *session, int64_t received_ns, struct err *e)
{
	struct session_info info;
	struct err why = ERR_INIT;

	if (session_info(r, session, &info, &why) < 0)
		info = (struct session_info){ .host = "?", .started_ns = received_ns };
	return err_set(e, ERR_BUSY,
	               "session '%s' of host '%s' is open since %s, and this repository has a "
	               "single writer at a time; let it end, or, when it is dead, go on with "
	               "--take-over",
	               session, info.host[0] ? info.host : "?", now_rfc3339(info.started_ns).s);
}

int single_fence(const struct repo *r, const char *session, const char *why, struct err *e)
{
	enum session_end end;

	if (session_look(r, session, &end, e) < 0)
		return -1;
	return end == SESSION_OPEN ? session_abort(r, session, why, &end, e) : 0;
}

int single_check(const struct repo *r, const char *own, bool take_over, struct err *e)
{
	CLEANUP(marker_list_clear) struct marker_list markers = { 0 };
	CLEANUP(commit_list_clear) struct commit_list commits = { 0 };

	/* One that ends between the lists is in the second. */
	if (marker_list_load(r->store, &markers, e) < 0 ||
	    commit_list_load(r->store, &commits, e) < 0)
		return -1;
	for (size_t i = 0; i < markers.n; i++) {
		const struct marker_item *m = &markers.v[i];

		if ((own && strcmp(m->session, own) == 0) || commit_list_find(&commits, m->session))
			continue;
		if (!take_over)
			return refuse(r, m->session, m->received_ns, e);
		if (single_fence(r, m->session, "taken over", e) < 0)
			return -1;
	}
	return 0;
}
