/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A merge of two listings, and the cut that follows from it.
 *
 * Why the cut holds. Let C be a commit that was in the primary before the
 * comparison began. The listing of the primary shows C and then, since
 * "commit/" is before "idx/", "meta/" and "pack/", all that C names, for that
 * was there before C was. Each of these objects that the copy does not show
 * moves the cut below its own time of receipt, which is not after that of C.
 * Objects do not leave a copy while somebody needs them, so when the copy's
 * listing passed a key, before or after the primary's did, does not matter.
 *
 * An object that arrives while the listings are under way may be passed over.
 * So the cut is never above the newest commit that was there before they
 * began: what comes later is received at that time or later. Where times are
 * whole seconds, "at that time" has to be left out as long as that second may
 * still last.
 */
#include "store/compare.h"

#include <string.h>

#include "common/now.h"
#include "store/pull.h"

#define NS_PER_S 1000000000
/* A whole second is over when our clock says so by this much, which it may be wrong by. */
#define CLOCKS_NS ((int64_t)5 * 60 * NS_PER_S)

struct side {
	struct store *store;
	struct store_pull *pull;
	const struct store_item *item; /* NULL: the end */
};

static int advance(struct side *s, struct err *e)
{
	int rc = store_pull_next(s->pull, &s->item, e);

	if (rc < 0)
		return err_wrap(e, "listing '%s'", s->store->url);
	if (rc == 0)
		s->item = NULL;
	return 0;
}

static void count(struct store_compared *c, const struct store_pair *p)
{
	if (p->side != SIDE_RIGHT && p->left.received_ns > c->newest_ns)
		c->newest_ns = p->left.received_ns;
	switch (p->side) {
	case SIDE_BOTH:
		if (p->left.size != p->right.size) {
			c->differ++;
			break;
		}
		c->both++;
		c->both_bytes += p->left.size;
		break;
	case SIDE_LEFT:
		c->left++;
		c->left_bytes += p->left.size;
		break;
	case SIDE_RIGHT:
		c->right++;
		c->right_bytes += p->right.size;
		break;
	}
}

/* The pair at the lower key of the two. false: both are at their end. */
static bool pair_of(const struct side *l, const struct side *r, struct store_pair *ret)
{
	if (!l->item && !r->item)
		return false;
	int d = !l->item ? 1 : !r->item ? -1 : strcmp(l->item->key, r->item->key);

	*ret = (struct store_pair){ .side = d == 0  ? SIDE_BOTH
		                            : d < 0 ? SIDE_LEFT
		                                    : SIDE_RIGHT,
		                    .key = d <= 0 ? l->item->key : r->item->key };
	if (d <= 0)
		ret->left = l->item->st;
	if (d >= 0)
		ret->right = r->item->st;
	return true;
}

int store_compare(struct store *left, struct store *right, const char *prefix,
                  int (*each)(void *arg, const struct store_pair *pair, struct err *e), void *arg,
                  struct store_compared *ret, struct err *e)
{
	auto_store_pull struct store_pull *lp = store_pull_new(left, prefix, e);
	auto_store_pull struct store_pull *rp = lp ? store_pull_new(right, prefix, e) : NULL;
	struct side l = { .store = left, .pull = lp };
	struct side r = { .store = right, .pull = rp };
	struct store_compared c = { 0 };
	struct store_pair pair;
	int rc = 0;

	if (!rp || advance(&l, e) < 0 || advance(&r, e) < 0)
		return -1;
	while (rc == 0 && pair_of(&l, &r, &pair)) {
		count(&c, &pair);
		rc = each ? each(arg, &pair, e) : 0;
		if (rc < 0 || (rc == 0 && pair.side != SIDE_RIGHT && advance(&l, e) < 0) ||
		    (rc == 0 && pair.side != SIDE_LEFT && advance(&r, e) < 0))
			return -1;
	}
	if (ret)
		*ret = c;
	return 0;
}

bool store_compare_is_local(const char *key)
{
	static const char *const prefixes[] = { "check/", "pin/", "probe/", "sess/" };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	/* What a collection that runs here is about to decide. */
	const char *part = strrchr(key, '/');
	return strncmp(key, "ctl/gc/", strlen("ctl/gc/")) == 0 &&
	       (strcmp(part, "/condemn") == 0 || strcmp(part, "/sessions") == 0);
}

/* ---- the cut ---- */

struct cut {
	struct store *primary, *copy;
	int64_t oldest_ns; /* of what lacks; INT64_MAX: nothing does */
	uint64_t behind;
};

/*
 * Whether the copy lacks the object still, and the primary has it: the listings may have passed it
 * at different times.
 */
static int still_lacks(const struct cut *x, const struct store_pair *p, bool *ret, struct err *e)
{
	struct store_stat st;
	struct err why = ERR_INIT;

	*ret = false;
	if (store_head(x->primary, p->key, &st, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return 0;
		*e = why;
		return -1;
	}
	if (store_head(x->copy, p->key, &st, &why) == 0) {
		*ret = st.size != p->left.size;
		return 0;
	}
	*ret = true;
	if (why.class == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

static int take_lacking(void *arg, const struct store_pair *p, struct err *e)
{
	struct cut *x = arg;
	bool lacks = true;

	if (p->side == SIDE_RIGHT || store_compare_is_local(p->key) ||
	    (p->side == SIDE_BOTH && p->left.size == p->right.size))
		return 0;
	/* Only those that move the cut are asked for again: of many that lack, a few. */
	if (p->left.received_ns < x->oldest_ns && still_lacks(x, p, &lacks, e) < 0)
		return -1;
	if (!lacks)
		return 0;
	x->behind++;
	if (p->left.received_ns < x->oldest_ns)
		x->oldest_ns = p->left.received_ns;
	return 0;
}

static int take_newest(void *arg, const struct store_item *item, struct err *e)
{
	int64_t *newest_ns = arg;

	(void)e;
	if (!store_compare_is_local(item->key) && item->st.received_ns > *newest_ns)
		*newest_ns = item->st.received_ns;
	return 0;
}

/* The latest time that a cut can be at: nothing that is received from now on is at or before it. */
static int latest_cut(struct store *primary, int64_t *ret, struct err *e)
{
	int64_t newest_ns = 0;

	/* A store that is no repository has no commits. */
	if (store_list(primary, "commit/", NULL, take_newest, &newest_ns, e) < 0 ||
	    (newest_ns == 0 && store_list(primary, "", NULL, take_newest, &newest_ns, e) < 0))
		return -1;
	bool lasts = newest_ns % NS_PER_S == 0 && newest_ns > now_wall_ns() - CLOCKS_NS;
	*ret = newest_ns > 0 && lasts ? newest_ns - 1 : newest_ns;
	return 0;
}

int store_compare_cut(struct store *primary, struct store *copy, int64_t since_ns,
                      struct store_cut *ret, struct err *e)
{
	struct cut x = { .primary = primary, .copy = copy, .oldest_ns = INT64_MAX };
	struct store_compared c;
	int64_t latest_ns = 0;

	if (latest_cut(primary, &latest_ns, e) < 0 ||
	    store_compare(primary, copy, "", take_lacking, &x, &c, e) < 0)
		return err_wrap(e, "comparing '%s' with its copy '%s'", primary->url, copy->url);
	struct store_cut cut = { .kind = CUT_COMPARED,
		                 .cut_ns = latest_ns > since_ns ? latest_ns : since_ns,
		                 .at_ns = c.newest_ns > latest_ns ? c.newest_ns : latest_ns,
		                 .behind = x.behind };
	if (x.behind > 0 && x.oldest_ns - 1 < cut.cut_ns)
		cut.cut_ns = x.oldest_ns > 0 ? x.oldest_ns - 1 : 0;
	*ret = cut;
	return 0;
}
