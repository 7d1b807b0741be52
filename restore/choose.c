/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was received at or before the cut is there (docs/STORES.md); where no
 * cut is known, and for later points, listing and tree tell. Points are tried
 * from the newest on.
 */
#include "restore/choose.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/now.h"
#include "common/num.h"
#include "repo/whole.h"

static int is_complete(const struct repo *r, const struct point *p, const struct store_cut *cut,
                       bool *ret, struct err *e)
{
	*ret = cut->kind == CUT_LAST_SYNC && p->received_ns > 0 && p->received_ns <= cut->cut_ns;
	return *ret ? 0 : whole_look(r, p, ret, e);
}

/* "NAME@ID": somebody wants this one. */
static bool names_one(const char *text, const struct point *p)
{
	const char *at = strrchr(text, '@');

	return at && strlen(at + 1) >= 4 && strncasecmp(at + 1, p->id, strlen(at + 1)) == 0;
}

/* The newest point of the volume before p takes its place. */
static int step_back(const struct repo *r, const char *text, struct point *p, struct err *e)
{
	const char *at = strrchr(text, '@');
	CLEANUP(point_clear) struct point older = { 0 };
	char name[1024];

	(void)snprintf(name, sizeof(name), "%.*s@%s", at ? (int)(at - text) : (int)strlen(text),
	               text, now_rfc3339(p->frozen_ns - 1000000).s);
	if (repo_find(r, name, &older, e) < 0)
		return -1;
	point_clear(p);
	*p = older;
	older = (struct point){ 0 };
	return 0;
}

static int64_t gap_s(int64_t from_ns, int64_t to_ns)
{
	return to_ns > from_ns ? (to_ns - from_ns) / 1000000000 : 0;
}

int choose_complete(const struct repo *r, const char *text, struct point *p, struct err *e)
{
	struct store_cut cut = { 0 };
	struct err why = ERR_INIT;
	int64_t newest_ns = p->frozen_ns;
	bool complete = false;
	unsigned passed = 0;

	if (!store_away(r->store))
		return 0;
	if (store_cut(r->store, 0, &cut, &why) < 0)
		cut = (struct store_cut){ .kind = CUT_UNKNOWN };
	for (;;) {
		if (is_complete(r, p, &cut, &complete, e) < 0)
			return -1;
		if (complete || names_one(text, p))
			break;
		passed++;
		if (step_back(r, text, p, &why) == 0)
			continue;
		if (why.class != ERR_NOT_FOUND) {
			*e = why;
			return -1;
		}
		return err_set(e, ERR_NOT_FOUND,
		               "the first region does not answer, and no restore point of '%s' is "
		               "complete in the second one",
		               p->volume.name);
	}
	if (!complete) {
		log_warn("the first region does not answer, and this point is not complete in the "
		         "second: what is missing will be told",
		         LOG_S("volume", p->volume.name), LOG_S("point", p->id));
		return 0;
	}
	log_warn("the first region does not answer: restoring what the second has",
	         LOG_S("volume", p->volume.name), LOG_S("point", p->id),
	         LOG_S("state_of", now_rfc3339(p->frozen_ns).s),
	         LOG_S("synchronised",
	               cut.kind == CUT_LAST_SYNC ? now_rfc3339(cut.cut_ns).s : "unknown"));
	if (passed > 0)
		log_warn("newer points are not complete there: their data is missing",
		         LOG_S("volume", p->volume.name), LOG_U("points", passed),
		         LOG_S("from", now_rfc3339(p->frozen_ns).s),
		         LOG_S("to", now_rfc3339(newest_ns).s),
		         LOG_S("interval", num_duration_text(gap_s(p->frozen_ns, newest_ns)).s));
	return 0;
}
