/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims that wait are tasks in one list; threads take what is due. What becomes of a claim is
 * asked of the cluster each time, and never kept: a task is a name, and when to look at it next.
 */
#include "restore/populate.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/metric.h"
#include "common/now.h"
#include "common/team.h"
#include "kube/watch.h"
#include "restore/plan.h"
#include "snapshot/csi_objects.h"

#define SELECTED_NODE "volume.kubernetes.io/selected-node"
#define ZONE "topology.kubernetes.io/zone"
#define NS_PER_S INT64_C(1000000000)
#define LOOK_AGAIN_S 60 /* at a claim that waits for something else */
#define FIRST_S 10      /* after a failure; doubled up to */
#define LONGEST_S 600
#define MODES_MAX 4

/* ---- one claim ---- */

static const char *note(const json_t *o, const char *key)
{
	const char *v = json_string_value(json_object_get(kube_at(o, "metadata.annotations"), key));

	return v ? v : "";
}

static bool is_request(const json_t *source)
{
	return strcmp(kube_text_at(source, "apiGroup"), REQUEST_GROUP) == 0 &&
	       strcmp(kube_text_at(source, "kind"), REQUEST_KIND) == 0;
}

enum populate_state populate_state_of(const json_t *claim)
{
	if (!is_request(kube_at(claim, "spec.dataSourceRef")) ||
	    *kube_text_at(claim, "metadata.deletionTimestamp") || *note(claim, FILLER_POINT))
		return POPULATE_NONE;
	return *kube_text_at(claim, "spec.volumeName") ? POPULATE_FINISH : POPULATE_DUE;
}

/* What a claim becomes for the filler. Texts are borrowed from it. */
struct target {
	struct filler filler;
	struct filler_claim claim;
	char run[33]; /* its uid without dashes */
	const char *modes[MODES_MAX];
	json_t *zones; /* owned */
};

static void clean_target(struct target *t)
{
	json_decref(t->zones);
}

static int target_of(const struct populate_params *p, const json_t *claim, struct target *t,
                     struct err *e)
{
	const char *uid = kube_text_at(claim, "metadata.uid");
	const int64_t bytes = csi_objects_bytes(
		kube_text_at(claim, "spec.resources.requests.storage"));
	size_t n = 0, i;
	json_t *mode;

	for (const char *c = uid; *c && n < sizeof(t->run) - 1; c++)
		if (*c != '-')
			t->run[n++] = *c;
	if (n != 32 || strspn(t->run, "0123456789abcdef") != 32)
		return err_set(e, ERR_FORMAT, "the claim has a uid that is none: '%.64s'", uid);
	if (bytes <= 0)
		return err_set(e, ERR_INVALID, "the claim asks for no size");
	t->filler = (struct filler){ .kube = p->kube,
		                     .ns = p->ns,
		                     .run = t->run,
		                     .role = POPULATE_ROLE,
		                     .template = p->template,
		                     .env = p->env,
		                     .stuck_ms = p->stuck_ms,
		                     .cancel = p->cancel };
	t->claim = (struct filler_claim){
		.ns = kube_text_at(claim, "metadata.namespace"),
		.name = kube_text_at(claim, "metadata.name"),
		.uid = uid,
		.storage_class = kube_text_at(claim, "spec.storageClassName"),
		.size_bytes = (uint64_t)bytes,
		.modes = t->modes,
		.block = strcmp(kube_text_at(claim, "spec.volumeMode"), "Block") == 0,
		.point = "",
		.volume = "",
	};
	json_array_foreach(kube_at(claim, "spec.accessModes"), i, mode) {
		if (i < MODES_MAX && json_is_string(mode))
			t->modes[t->claim.nmodes++] = json_string_value(mode);
	}
	return 0;
}

/* Where the pod is that waits for the claim: movers run in its zone, and so the volume is there. */
static int find_zone(const struct populate_params *p, const json_t *claim, struct target *t,
                     char waits[POPULATE_WHY_MAX], struct err *e)
{
	const char *node_name = note(claim, SELECTED_NODE);
	auto_json json_t *class = NULL;
	auto_json json_t *node = NULL;

	if (!*t->claim.storage_class)
		return err_set(e, ERR_INVALID, "the claim has no storage class");
	if (kube_get(p->kube, &kube_storage_class, NULL, t->claim.storage_class, &class, e) < 0)
		return -1;
	if (strcmp(kube_text_at(class, "volumeBindingMode"), "WaitForFirstConsumer") != 0)
		return 0;
	if (!*node_name) {
		(void)snprintf(waits, POPULATE_WHY_MAX, "a pod that uses it");
		return 0;
	}
	if (kube_get(p->kube, &kube_node, NULL, node_name, &node, e) < 0)
		return -1;
	const char *zone = json_string_value(
		json_object_get(kube_at(node, "metadata.labels"), ZONE));
	if (zone && *zone) {
		t->zones = json_pack("[s]", zone);
		t->claim.zones = t->zones;
		if (!t->zones)
			return err_set(e, ERR_NOMEM, "no memory for a zone");
	}
	return 0;
}

static int find_point(const struct populate_params *p, const json_t *claim,
                      struct populate_point *ret, char waits[POPULATE_WHY_MAX], struct err *e)
{
	const char *ns = kube_text_at(claim, "metadata.namespace");
	const char *name = kube_text_at(claim, "spec.dataSourceRef.name");
	const char *of = kube_text_at(claim, "spec.dataSourceRef.namespace");
	auto_json json_t *o = NULL;
	struct err why = ERR_INIT;
	struct request r;

	/* Whose points may be read is said by who may make VolumeRestores in this namespace. */
	if (*of && strcmp(of, ns) != 0)
		return err_set(e, ERR_DENIED, "it names a " REQUEST_KIND " of another namespace");
	if (kube_get(p->kube, &request_kind, ns, name, &o, &why) < 0) {
		if (why.class != ERR_NOT_FOUND || why.os != 0) {
			*e = why;
			return -1;
		}
		(void)snprintf(waits, POPULATE_WHY_MAX, "the " REQUEST_KIND " '%.200s'", name);
		return 0;
	}
	return request_read(o, &r, e) < 0 ? err_wrap(e, REQUEST_KIND " '%s/%s'", ns, name)
	                                  : p->find(p->arg, &r, ret, e);
}

static void tell(const struct populate_params *p, const struct target *t, bool warning,
                 const char *reason, const char *text)
{
	const struct event_about about = {
		.kind = &kube_pvc, .ns = t->claim.ns, .name = t->claim.name, .uid = t->claim.uid
	};
	struct err why = ERR_INIT;

	if (p->events &&
	    events_tell(p->events, &about, warning, reason, "Populate", text, &why) < 0)
		log_warn("an event was not told", LOG_S("why", why.msg));
}

/* The claim says which point it got, and is of no concern any more. */
static int mark(const struct populate_params *p, const struct target *t, const char *point,
                struct err *e)
{
	auto_json json_t *patch = json_pack("{s:{s:s, s:{s:s}}}", "metadata", "uid", t->claim.uid,
	                                    "annotations", FILLER_POINT, point);

	if (!patch)
		return err_set(e, ERR_NOMEM, "no memory for a change of a claim");
	return kube_patch(p->kube, &kube_pvc, t->claim.ns, t->claim.name, NULL, KUBE_MERGE, patch,
	                  NULL, e);
}

/* One that has its volume: from us, or not. */
static int finish(const struct populate_params *p, const json_t *claim, struct target *t,
                  struct err *e)
{
	auto_json json_t *volume = NULL;

	if (kube_get(p->kube, &kube_pv, NULL, kube_text_at(claim, "spec.volumeName"), &volume, e) <
	    0)
		return -1;
	const char *point = note(volume, FILLER_POINT);
	if (!*point)
		return err_set(
			e, ERR_EXISTS,
			"somebody else has given it the volume '%s', which is not filled: is "
			"there another populator, or a driver that passes dataSourceRef over?",
			kube_text_at(volume, "metadata.name"));
	return filler_hand_over(&t->filler, &t->claim, e) < 0 || mark(p, t, point, e) < 0 ? -1 : 1;
}

static int populate(const struct populate_params *p, const json_t *claim, struct target *t,
                    char waits[POPULATE_WHY_MAX], struct err *e)
{
	struct populate_point point = { .block = false };
	struct filled filled;
	char text[300];

	if (find_zone(p, claim, t, waits, e) < 0 ||
	    (!*waits && find_point(p, claim, &point, waits, e) < 0))
		return -1;
	if (*waits)
		return 0;
	if (point.block != t->claim.block)
		return err_set(e, ERR_INVALID,
		               "the point is of a volume %s a file system, and the "
		               "claim asks for one %s",
		               point.block ? "without" : "with",
		               point.block ? "with one" : "without");
	t->claim.point = point.id;
	t->claim.volume = point.volume;
	(void)snprintf(text, sizeof(text), "the point %.8s of a volume is restored for it",
	               point.id);
	tell(p, t, false, "Populating", text);
	if (filler_fill(&t->filler, &t->claim, &filled, e) < 0)
		return -1;
	if (filled.gaps > 0)
		return err_set(e, ERR_CORRUPT,
		               "%llu ranges of the point %.8s are missing in the "
		               "store: it is not handed over",
		               (unsigned long long)filled.gaps, point.id);
	if (filler_hand_over(&t->filler, &t->claim, e) < 0 || mark(p, t, point.id, e) < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "it has the point %.8s", point.id);
	tell(p, t, false, "Populated", text);
	return 1;
}

int populate_one(const struct populate_params *p, const char *ns, const char *name,
                 char ret_waits[POPULATE_WHY_MAX], struct err *e)
{
	CLEANUP(clean_target) struct target t = { .zones = NULL };
	auto_json json_t *claim = NULL;
	struct err why = ERR_INIT;

	ret_waits[0] = '\0';
	if (kube_get(p->kube, &kube_pvc, ns, name, &claim, &why) < 0) {
		if (why.class == ERR_NOT_FOUND)
			return 0;
		*e = why;
		return -1;
	}
	const enum populate_state state = populate_state_of(claim);
	if (state == POPULATE_NONE)
		return 0;
	if (target_of(p, claim, &t, e) < 0)
		return -1;
	const int rc = state == POPULATE_FINISH ? finish(p, claim, &t, e)
	                                        : populate(p, claim, &t, ret_waits, e);
	if (rc < 0 && e->class != ERR_CANCELLED)
		tell(p, &t, true, "PopulateFailed", e->msg);
	return rc;
}

/* ---- many of them ---- */

struct task {
	char ns[KUBE_NAME_MAX + 1], name[KUBE_NAME_MAX + 1];
	int64_t due_ns; /* monotonic */
	unsigned failed;
	bool busy, tried;
	bool again; /* it changed while it was busy */
	bool gone;  /* of no concern any more, when it is not busy */
};

struct populate {
	struct populate_params p;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct task *tasks; /* owned; guarded by lock, as all below */
	size_t n, cap;
	bool synced, once, ended, full;
	uint64_t done, failures;
	struct err unseen; /* once: why claims cannot be seen at all */
};

int populate_new(const struct populate_params *params, struct populate **ret, struct err *e)
{
	struct populate *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;

	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for a populator");
	p->p = *params;
	/* On Linux none of these fails. */
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&p->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	*ret = p;
	return 0;
}

void populate_free(struct populate *p)
{
	if (!p)
		return;
	(void)pthread_cond_destroy(&p->changed);
	(void)pthread_mutex_destroy(&p->lock);
	free(p->tasks);
	free(p);
}

static struct task *find_locked(struct populate *p, const char *ns, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->tasks[i].name, name) == 0 && strcmp(p->tasks[i].ns, ns) == 0)
			return &p->tasks[i];
	return NULL;
}

static void remove_locked(struct populate *p, struct task *t)
{
	*t = p->tasks[--p->n];
}

static void add_locked(struct populate *p, const char *ns, const char *name)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 64;
		struct task *tasks = p->n < POPULATE_CLAIMS_MAX
		                             ? reallocarray(p->tasks, cap, sizeof(*tasks))
		                             : NULL;

		if (!tasks) {
			if (!p->full)
				log_warn("there is no room for more claims that wait");
			p->full = true;
			return;
		}
		p->tasks = tasks;
		p->cap = cap;
	}
	struct task *t = &p->tasks[p->n++];
	*t = (struct task){ .due_ns = now_mono_ns() };
	(void)snprintf(t->ns, sizeof(t->ns), "%s", ns);
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
}

static void put(void *arg, const json_t *object)
{
	struct populate *p = arg;
	const char *ns = kube_text_at(object, "metadata.namespace");
	const char *name = kube_text_at(object, "metadata.name");
	const bool wanted = populate_state_of(object) != POPULATE_NONE;

	(void)pthread_mutex_lock(&p->lock);
	struct task *t = find_locked(p, ns, name);
	if (!t && wanted) {
		add_locked(p, ns, name);
	} else if (t && t->busy) {
		t->again = true;
		t->gone = !wanted;
	} else if (t && wanted) {
		/* What failed has its time; what waits may have what it waits for. */
		t->due_ns = t->failed ? t->due_ns : now_mono_ns();
	} else if (t) {
		remove_locked(p, t);
	}
	(void)pthread_cond_broadcast(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
}

static void gone(void *arg, const char *ns, const char *name, const char *uid)
{
	struct populate *p = arg;

	(void)uid;
	(void)pthread_mutex_lock(&p->lock);
	struct task *t = find_locked(p, ns, name);
	if (t && t->busy)
		t->gone = true;
	else if (t)
		remove_locked(p, t);
	(void)pthread_cond_broadcast(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
}

static void synced(void *arg)
{
	struct populate *p = arg;

	(void)pthread_mutex_lock(&p->lock);
	p->synced = true;
	(void)pthread_cond_broadcast(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
}

static void trouble(void *arg, const struct err *e)
{
	struct populate *p = arg;

	if (!e)
		return;
	log_warn("claims cannot be watched", LOG_S("why", e->msg));
	(void)pthread_mutex_lock(&p->lock);
	if (p->once && !p->synced) {
		p->unseen = *e;
		p->ended = true;
	}
	(void)pthread_cond_broadcast(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
}

/* What is due first; NULL: nothing is now, and *ret_wait_ns is how long not. */
static struct task *next_locked(struct populate *p, int64_t *ret_wait_ns)
{
	const int64_t now_ns = now_mono_ns();
	struct task *best = NULL;

	for (size_t i = 0; i < p->n; i++) {
		struct task *t = &p->tasks[i];

		if (!t->busy && !(p->once && t->tried) && (!best || t->due_ns < best->due_ns))
			best = t;
	}
	/* It looks at its end now and then, too. */
	*ret_wait_ns = NS_PER_S / 2;
	if (best && best->due_ns > now_ns && best->due_ns - now_ns < *ret_wait_ns)
		*ret_wait_ns = best->due_ns - now_ns;
	return best && best->due_ns <= now_ns ? best : NULL;
}

/* All that there is was tried, and nothing is at work. */
static bool all_tried_locked(const struct populate *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->tasks[i].busy || !p->tasks[i].tried)
			return false;
	return p->synced;
}

static void wait_locked(struct populate *p, int64_t ns)
{
	const int64_t end_ns = now_mono_ns() + ns;
	const struct timespec end = { .tv_sec = end_ns / NS_PER_S, .tv_nsec = end_ns % NS_PER_S };

	(void)pthread_cond_timedwait(&p->changed, &p->lock, &end);
}

static void settle_locked(struct populate *p, const struct task *was, int rc, const char *waits)
{
	struct task *t = find_locked(p, was->ns, was->name);
	const int64_t now_ns = now_mono_ns();

	if (!t)
		return;
	t->busy = false;
	t->tried = true;
	if (rc < 0) {
		int64_t wait_s = FIRST_S;

		for (unsigned i = 0; i < t->failed && wait_s < LONGEST_S; i++)
			wait_s *= 2;
		t->failed++;
		p->failures++;
		t->due_ns = now_ns + (wait_s < LONGEST_S ? wait_s : LONGEST_S) * NS_PER_S;
	} else {
		t->failed = 0;
		t->due_ns = now_ns + (t->again ? 0 : LOOK_AGAIN_S * NS_PER_S);
	}
	t->again = false;
	if (t->gone || (rc >= 0 && !*waits)) {
		p->done += rc > 0;
		p->full = false;
		remove_locked(p, t);
	}
	(void)pthread_cond_broadcast(&p->changed);
}

static void work(struct populate *p, const struct task *t)
{
	char waits[POPULATE_WHY_MAX];
	struct err why = ERR_INIT;
	int rc = populate_one(&p->p, t->ns, t->name, waits, &why);

	if (rc < 0 && why.class != ERR_CANCELLED)
		log_warn("a claim is not filled", LOG_S("namespace", t->ns),
		         LOG_S("claim", t->name), LOG_S("why", why.msg));
	else if (rc == 0 && *waits)
		log_debug("a claim waits", LOG_S("namespace", t->ns), LOG_S("claim", t->name),
		          LOG_S("for", waits));
	(void)pthread_mutex_lock(&p->lock);
	settle_locked(p, t, rc, waits);
	(void)pthread_mutex_unlock(&p->lock);
}

static int fill(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct populate *p = arg;

	(void)i;
	(void)e;
	(void)pthread_mutex_lock(&p->lock);
	while (!p->ended && !cancel_requested(p->p.cancel) &&
	       !atomic_load_explicit(stop, memory_order_relaxed)) {
		int64_t wait_ns;
		struct task *t = next_locked(p, &wait_ns);

		if (p->once && all_tried_locked(p)) {
			p->ended = true;
			(void)pthread_cond_broadcast(&p->changed);
		} else if (t) {
			const struct task mine = *t;

			t->busy = true;
			t->again = false;
			(void)pthread_mutex_unlock(&p->lock);
			work(p, &mine);
			(void)pthread_mutex_lock(&p->lock);
		} else {
			wait_locked(p, wait_ns);
		}
	}
	(void)pthread_mutex_unlock(&p->lock);
	return 0;
}

int populate_run(struct populate *p, bool once, struct err *e)
{
	const struct watch_params w = { .kube = p->p.kube,
		                        .kind = &kube_pvc,
		                        .put = put,
		                        .gone = gone,
		                        .synced = synced,
		                        .trouble = trouble,
		                        .arg = p };
	const unsigned movers = p->p.movers ? p->p.movers : PLAN_MOVERS_DEFAULT;

	p->once = once;
	struct watch *watch = watch_start(&w, e);
	if (!watch)
		return -1;
	int rc = team_run(movers, "populate", fill, p, e);
	watch_stop(watch);
	if (rc < 0 || cancel_check(p->p.cancel, e) < 0)
		return -1;
	if (p->unseen.class != ERR_NONE) {
		*e = p->unseen;
		return -1;
	}
	return p->n > 0 ? err_set(e, ERR_PARTIAL, "%zu claims are not filled yet", p->n) : 0;
}

/* ---- what is told ---- */

struct populate_counts populate_counted(struct populate *p)
{
	struct populate_counts c = { .waiting = 0 };

	(void)pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n; i++) {
		c.busy += p->tasks[i].busy;
		c.failing += !p->tasks[i].busy && p->tasks[i].failed > 0;
		c.waiting += !p->tasks[i].busy && p->tasks[i].failed == 0;
	}
	c.done = p->done;
	c.failures = p->failures;
	(void)pthread_mutex_unlock(&p->lock);
	return c;
}

int populate_metrics(void *populate, struct buf *b, struct err *e)
{
	const struct populate_counts c = populate_counted(populate);
	const struct {
		const char *state;
		size_t n;
	} states[] = { { "waiting", c.waiting }, { "filling", c.busy }, { "failing", c.failing } };

	metric_family(b, "aksdr_populate_claims", METRIC_GAUGE,
	              "Claims that name a VolumeRestore and are not filled yet");
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		const struct metric_label l = { "state", states[i].state };

		metric_sample(b, "aksdr_populate_claims", &l, 1, (double)states[i].n);
	}
	metric_family(b, "aksdr_populate_filled_total", METRIC_COUNTER, "Claims that were filled");
	metric_sample(b, "aksdr_populate_filled_total", NULL, 0, (double)c.done);
	metric_family(b, "aksdr_populate_failures_total", METRIC_COUNTER, "Tries that failed");
	metric_sample(b, "aksdr_populate_failures_total", NULL, 0, (double)c.failures);
	return buf_check(b, "metrics", e);
}

int populate_ready(void *populate, struct err *e)
{
	struct populate *p = populate;

	(void)pthread_mutex_lock(&p->lock);
	const bool is = p->synced;
	(void)pthread_mutex_unlock(&p->lock);
	return is ? 0 : err_set(e, ERR_RETRY, "the cluster's claims are not known yet");
}
