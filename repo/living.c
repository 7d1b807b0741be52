/* SPDX-License-Identifier: Apache-2.0 */
/* See living.h. */
#include "repo/living.h"

#include "repo/finals.h"
#include "repo/note.h"

int living_gone(const struct repo *r, const struct collection_state *s,
                const struct commit_list *commits, const struct marker_list *markers,
                struct session_names *ret, struct err *e)
{
	CLEANUP(collection_list_clear) struct collection_list live = { 0 };
	CLEANUP(session_names_clear) struct session_names doubtful = { 0 };
	struct err why = ERR_INIT;
	bool any = false;

	for (size_t i = 0; i < commits->n && !any; i++)
		any = commits->v[i].kind == COMMIT_POINT &&
		      !marker_list_find(markers, commits->v[i].session);
	if (!any || (s->done == 0 && !s->open))
		return 0;
	/* Without the list of what was live all are looked for. */
	if (s->done_live && collection_get(r, s->done, COLLECTION_LIVE, &live, NULL, &why) < 0 &&
	    !note_is_bad(&why)) {
		*e = why;
		return err_wrap(e, "reading what was live at the last collection");
	}
	for (size_t i = 0; i < commits->n; i++) {
		const struct commit_item *c = &commits->v[i];

		if (c->kind == COMMIT_POINT && !session_names_has(&live.sessions, c->session) &&
		    !marker_list_find(markers, c->session) &&
		    session_names_add(&doubtful, c->session, e) < 0)
			return -1;
	}
	return doubtful.n > 0 ? finals_sessions(r, s, &doubtful, ret, e) : 0;
}

int living_load(const struct repo *r, struct living *ret, struct err *e)
{
	CLEANUP(marker_list_clear) struct marker_list markers = { 0 };
	CLEANUP(living_clear) struct living l = { 0 };
	struct collection_state s;
	bool any;

	/*
	 * The state first: what a later collection takes was listed, and is expired by tombstones.
	 */
	if (collection_state(r, &s, e) < 0 || commit_list_load(r->store, &l.commits, e) < 0)
		return -1;
	/* Where nothing was ever collected, no commit is left of what was. */
	any = s.done > 0 || s.open;
	if ((any && marker_list_load(r->store, &markers, e) < 0) ||
	    expiry_for_readers(r, &s, NULL, &l.expiry, e) < 0 ||
	    (any && living_gone(r, &s, &l.commits, &markers, &l.gone, e) < 0))
		return -1;
	*ret = l;
	l = (struct living){ 0 };
	return 0;
}

void living_clear(struct living *l)
{
	commit_list_clear(&l->commits);
	expiry_clear(&l->expiry);
	session_names_clear(&l->gone);
}

bool living_is(const struct living *l, const char *session)
{
	return !session_names_has(&l->gone, session) && !expiry_is_gone(&l->expiry, session);
}
