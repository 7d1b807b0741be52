/* SPDX-License-Identifier: Apache-2.0 */
/* See commits.h. Lists come in the order of keys, which is the order of sessions. */
#include "repo/commits.h"

#include <string.h>

#include "common/num.h"
#include "repo/session.h"

#define COMMITS "commit/"
#define MARKERS "sess/"

/* Room for one more of `size` bytes. 0, or -1: no memory. */
static int grow(void **v, size_t n, size_t *cap, size_t size, struct err *e)
{
	if (n < *cap)
		return 0;
	size_t more = *cap ? 2 * *cap : 64;
	void *p = reallocarray(*v, more, size);
	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for a list of %zu sessions", more);
	*v = p;
	*cap = more;
	return 0;
}

enum commit_kind commit_kind_of(const char *session, uint64_t size)
{
	if (size == FORMAT_ABORT_BYTES)
		return COMMIT_ABORT;
	return session_is_maintenance(session) ? COMMIT_MAINTENANCE : COMMIT_POINT;
}

static int take_commit(void *arg, const struct store_item *item, struct err *e)
{
	struct commit_list *l = arg;
	const char *session = item->key + strlen(COMMITS);
	void *v = l->v;

	if (!point_session_valid(session)) {
		l->foreign++;
		return 0;
	}
	if (grow(&v, l->n, &l->cap, sizeof(*l->v), e) < 0)
		return -1;
	l->v = v;
	struct commit_item *x = &l->v[l->n++];
	*x = (struct commit_item){ .size = item->st.size, .received_ns = item->st.received_ns };
	memcpy(x->session, session, POINT_SESSION_LEN + 1);
	x->kind = (uint8_t)commit_kind_of(session, item->st.size);
	return 0;
}

int commit_list_load(struct store *store, struct commit_list *l, struct err *e)
{
	if (store_list(store, COMMITS, NULL, take_commit, l, e) < 0)
		return err_wrap(e, "listing restore points");
	return 0;
}

void commit_list_clear(struct commit_list *l)
{
	free(l->v);
	*l = (struct commit_list){ 0 };
}

static int by_name(const void *key, const void *item)
{
	return strcmp(key, ((const struct commit_item *)item)->session);
}

const struct commit_item *commit_list_find(const struct commit_list *l, const char *session)
{
	return l->n ? bsearch(session, l->v, l->n, sizeof(*l->v), by_name) : NULL;
}

static unsigned beat_number(const char *text, unsigned before)
{
	struct err ignored = ERR_INIT;
	uint64_t n;

	return num_u64("beat", text, 1, 9999, &n, &ignored) == 0 && n > before ? (unsigned)n
	                                                                       : before;
}

static int take_marker(void *arg, const struct store_item *item, struct err *e)
{
	struct marker_list *l = arg;
	const char *name = item->key + strlen(MARKERS);
	char session[POINT_SESSION_LEN + 1];
	void *v = l->v;

	(void)snprintf(session, sizeof(session), "%s", name);
	if (!point_session_valid(session) ||
	    (name[POINT_SESSION_LEN] && name[POINT_SESSION_LEN] != '-'))
		return 0;
	/* Beats follow their marker; the marker itself may be gone. */
	struct marker_item *last = l->n ? &l->v[l->n - 1] : NULL;
	if (name[POINT_SESSION_LEN] == '-') {
		if (!last || strcmp(last->session, session) != 0)
			return 0;
		last->last_beat = beat_number(name + POINT_SESSION_LEN + 1, last->last_beat);
		if (item->st.received_ns > last->alive_ns)
			last->alive_ns = item->st.received_ns;
		return 0;
	}
	if (grow(&v, l->n, &l->cap, sizeof(*l->v), e) < 0)
		return -1;
	l->v = v;
	last = &l->v[l->n++];
	*last = (struct marker_item){ .received_ns = item->st.received_ns,
		                      .alive_ns = item->st.received_ns };
	memcpy(last->session, session, sizeof(session));
	return 0;
}

int marker_list_load(struct store *store, struct marker_list *l, struct err *e)
{
	if (store_list(store, MARKERS, NULL, take_marker, l, e) < 0)
		return err_wrap(e, "listing sessions");
	return 0;
}

void marker_list_clear(struct marker_list *l)
{
	free(l->v);
	*l = (struct marker_list){ 0 };
}

static int marker_by_name(const void *key, const void *item)
{
	return strcmp(key, ((const struct marker_item *)item)->session);
}

const struct marker_item *marker_list_find(const struct marker_list *l, const char *session)
{
	return l->n ? bsearch(session, l->v, l->n, sizeof(*l->v), marker_by_name) : NULL;
}
