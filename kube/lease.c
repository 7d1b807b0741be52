/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread writes the object from when it is ours: each write is the whole object with the
 * version that we know, so that a write of somebody else, who must have taken it, is a conflict.
 * What others want written (lease_note) is handed to that thread. Time runs on while the machine
 * sleeps (CLOCK_BOOTTIME): who wakes up late knows that it is late.
 */
#include "kube/lease.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "common/now.h"
#include "kube/call.h"
#include "kube/kube_impl.h"

#define SECOND_NS 1000000000LL
#define AGAIN_NS (1 * SECOND_NS) /* after a renewal that failed */
#define LOOK_MS 2000             /* between two looks at somebody else's, which seems to be free */
#define STALL_MS 4000
#define OTHERS_MAX_S 3600 /* no duration of somebody else's is longer */

struct lease {
	struct kube *kube;
	char *ns, *name, *holder;
	int64_t valid_ns; /* after a renewal; in a fifth of it there is the next one */
	struct cancel *on_loss;
	json_t *notes; /* as they were when it was taken */
	pthread_t thread;
	bool running;
	pthread_mutex_t noting; /* held by the one that waits for its notes to be written */
	pthread_mutex_t lock;   /* of what follows */
	pthread_cond_t changed;
	json_t *object;     /* as the server has it; the thread's alone once that runs */
	int64_t renewed_ns; /* when the last write that arrived was begun */
	bool held, ending;
	const json_t *wanted; /* notes to be written */
	bool written;
	struct err why; /* when not held */
};

static int64_t boot_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * SECOND_NS + t.tv_nsec;
}

/* MicroTime: six digits behind the second. */
static json_t *micro(void)
{
	struct now_text t = now_rfc3339(now_wall_ns());

	return json_sprintf("%.*s000Z", (int)strlen(t.s) - 1, t.s);
}

/* ---- the object ---- */

/* Merges: null removes. */
static int merge_notes(json_t *object, const json_t *wanted)
{
	json_t *meta = json_object_get(object, "metadata");
	json_t *notes = json_object_get(meta, "annotations");
	const char *key;
	json_t *value;

	if (!json_is_object(notes)) {
		notes = json_object();
		if (json_object_set_new(meta, "annotations", notes) < 0)
			return -1;
	}
	json_object_foreach((json_t *)(uintptr_t)wanted, key, value) {
		if (json_is_null(value))
			(void)json_object_del(notes, key);
		else if (json_object_set_new(notes, key, json_deep_copy(value)) < 0)
			return -1;
	}
	return 0;
}

/* What is written: object with us, or nobody, as its holder. */
static json_t *renewed(const struct lease *l, const json_t *object, const char *holder, bool take,
                       struct err *e)
{
	auto_json json_t *o = json_deep_copy(object);
	json_t *spec = json_object_get(o, "spec");

	if (!json_is_object(spec)) {
		spec = json_object();
		(void)json_object_set_new(o, "spec", spec);
	}
	int bad = json_object_set_new(spec, "renewTime", micro());
	if (holder)
		bad |= json_object_set_new(spec, "holderIdentity", json_string(holder));
	else
		(void)json_object_del(spec, "holderIdentity");
	bad |= json_object_set_new(spec, "leaseDurationSeconds",
	                           json_integer(l->valid_ns / SECOND_NS));
	if (take) {
		int64_t n = kube_number_at(object, "spec.leaseTransitions", 0);

		bad |= json_object_set_new(spec, "acquireTime", micro());
		bad |= json_object_set_new(spec, "leaseTransitions", json_integer(n + 1));
	}
	if (!o || bad) {
		(void)err_set(e, ERR_NOMEM, "no memory for a lease");
		return NULL;
	}
	return STEAL(&o);
}

/* One try, in time for another one. */
static int write_it(struct lease *l, const json_t *o, json_t **ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CALL_PATH_MAX);
	CLEANUP(buf_clear) struct buf text = BUF_INIT(MIB);
	struct call c = {
		.method = "PUT", .body = o, .into = &text, .stall_ms = STALL_MS, .once = true
	};

	call_path(&b, &kube_lease, l->ns, l->name, NULL);
	call_query(&b, "fieldManager", KUBE_MANAGER);
	if (buf_check(&b, "the path of a lease", e) < 0)
		return -1;
	c.path = buf_cstr(&b);
	if (call_do(l->kube, &c, e) < 0)
		return -1;
	*ret = json_parse("a lease", buf_cstr(&text), text.len, e);
	return *ret ? 0 : -1;
}

/* ---- the thread ---- */

static void lose_locked(struct lease *l, const struct err *e)
{
	l->held = false;
	l->why = *e;
	if (l->on_loss)
		cancel_request(l->on_loss);
	pthread_cond_broadcast(&l->changed);
}

/*
 * Our write met another version: an answer that was lost, or somebody changed a label. True: it is
 * ours still, and the object is what is there now.
 */
static bool still_ours(struct lease *l, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CALL_PATH_MAX);
	CLEANUP(buf_clear) struct buf text = BUF_INIT(MIB);
	struct call c = { .method = "GET", .into = &text, .stall_ms = STALL_MS, .once = true };

	call_path(&b, &kube_lease, l->ns, l->name, NULL);
	c.path = buf_cstr(&b);
	if (call_do(l->kube, &c, e) < 0)
		return false;
	auto_json json_t *o = json_parse("a lease", buf_cstr(&text), text.len, e);
	if (!o)
		return false;
	const char *holder = kube_text_at(o, "spec.holderIdentity");
	if (strcmp(holder, l->holder) != 0) {
		(void)err_set(e, ERR_BUSY, "it is held by '%.200s' now", holder);
		return false;
	}
	json_decref(l->object);
	l->object = STEAL(&o);
	return true;
}

/* One renewal, with the notes that wait. 0, or -1: *ret_lost tells whether it is over. */
static int renew(struct lease *l, const json_t *wanted, bool *ret_lost, struct err *e)
{
	json_t *answer = NULL;

	*ret_lost = false;
	for (int round = 0; round < 2; round++) {
		auto_json json_t *o = renewed(l, l->object, l->holder, false, e);

		if (!o)
			return -1;
		if (wanted && merge_notes(o, wanted) < 0)
			return err_set(e, ERR_NOMEM, "no memory for a lease");
		if (write_it(l, o, &answer, e) == 0) {
			json_decref(l->object);
			l->object = answer;
			return 0;
		}
		if (e->class == ERR_NOT_FOUND) {
			*ret_lost = true;
			return -1;
		}
		if (e->class != ERR_BUSY || round > 0)
			return -1;
		if (!still_ours(l, e)) {
			*ret_lost = e->class == ERR_BUSY || e->class == ERR_NOT_FOUND;
			return -1;
		}
	}
	return -1;
}

static struct timespec after(int64_t ns)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	ns += t.tv_nsec;
	t.tv_sec += ns / SECOND_NS;
	t.tv_nsec = ns % SECOND_NS;
	return t;
}

static void *run(void *arg)
{
	struct lease *l = arg;
	int64_t pause_ns = l->valid_ns / 5;

	pthread_mutex_lock(&l->lock);
	while (l->held && !l->ending) {
		struct timespec until = after(pause_ns);
		struct err e = ERR_INIT;
		bool lost;
		int os = 0;

		while (!l->ending && !l->wanted && os == 0)
			os = pthread_cond_timedwait(&l->changed, &l->lock, &until);
		if (l->ending)
			break;
		const json_t *wanted = l->wanted;
		pthread_mutex_unlock(&l->lock);
		int64_t start_ns = boot_ns();
		int rc = renew(l, wanted, &lost, &e);
		pthread_mutex_lock(&l->lock);
		if (rc == 0) {
			l->renewed_ns = start_ns;
			if (wanted) {
				l->wanted = NULL;
				l->written = true;
			}
			pthread_cond_broadcast(&l->changed);
		} else if (!l->ending &&
		           (lost || boot_ns() - l->renewed_ns > l->valid_ns / 3 * 2)) {
			lose_locked(l, &e);
		} else if (!l->ending && wanted) {
			/* Without a pause it would be asked in a circle. */
			struct timespec again = after(AGAIN_NS);

			while (!l->ending &&
			       pthread_cond_timedwait(&l->changed, &l->lock, &again) == 0)
				;
		}
		pause_ns = rc == 0 ? l->valid_ns / 5 : AGAIN_NS;
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* ---- taking it ---- */

/* What is watched of somebody else's. */
struct seen {
	char version[64];
	int64_t since_ns; /* when this version was first seen */
};

static int make_it(struct lease *l, const struct lease_params *p, struct err *e)
{
	auto_json json_t *bare = json_pack("{s:s, s:s, s:{s:s, s:s, s:O*}}", "apiVersion",
	                                   "coordination.k8s.io/v1", "kind", "Lease", "metadata",
	                                   "name", p->name, "namespace", p->ns, "labels",
	                                   p->labels);

	if (!bare)
		return err_set(e, ERR_NOMEM, "no memory for a lease");
	auto_json json_t *o = renewed(l, bare, p->holder, true, e);
	if (!o)
		return -1;
	int64_t start_ns = boot_ns();
	if (kube_create(p->kube, &kube_lease, p->ns, o, &l->object, e) < 0)
		return -1;
	l->renewed_ns = start_ns;
	return 0;
}

/* Whether who holds it has renewed it a moment ago, as far as clocks can be believed: a hint. */
static bool looks_alive(const json_t *o, int64_t duration_s)
{
	int64_t renewed_ns;
	struct err e;

	if (now_parse(kube_text_at(o, "spec.renewTime"), &renewed_ns, &e) < 0)
		return false;
	int64_t age_ns = now_wall_ns() - renewed_ns;
	return age_ns < duration_s * SECOND_NS && age_ns > -duration_s * SECOND_NS;
}

/* Free now? Else 0, and where we must not wait ERR_BUSY. */
static int look(const json_t *o, const struct lease_params *p, struct seen *s, struct err *e)
{
	const char *holder = kube_text_at(o, "spec.holderIdentity");
	const char *version = kube_text_at(o, "metadata.resourceVersion");
	int64_t duration_s = kube_number_at(o, "spec.leaseDurationSeconds", LEASE_SECONDS);
	bool changed = strcmp(s->version, version) != 0;

	if (!*holder || strcmp(holder, p->holder) == 0)
		return 1;
	if (duration_s < 1 || duration_s > OTHERS_MAX_S)
		duration_s = LEASE_SECONDS;
	if (!p->wait && ((changed && *s->version) || (!*s->version && looks_alive(o, duration_s))))
		return err_set(e, ERR_BUSY, "it is held by '%.200s'", holder);
	if (changed) {
		(void)snprintf(s->version, sizeof(s->version), "%s", version);
		s->since_ns = boot_ns();
	}
	return boot_ns() - s->since_ns > duration_s * SECOND_NS ? 1 : 0;
}

/* Makes what is free ours. */
static int seize(struct lease *l, const struct lease_params *p, const json_t *there, struct err *e)
{
	auto_json json_t *o = renewed(l, there, p->holder, true, e);

	if (!o)
		return -1;
	int64_t start_ns = boot_ns();
	if (kube_replace(p->kube, &kube_lease, p->ns, p->name, o, &l->object, e) < 0)
		return -1;
	l->renewed_ns = start_ns;
	return 0;
}

/* 1: taken. 0: again, after a while or (*ret_now) at once. */
static int try_take(struct lease *l, const struct lease_params *p, struct seen *s, bool *ret_now,
                    char **ret_held_by, struct err *e)
{
	auto_json json_t *there = NULL;
	struct err why;
	int rc;

	*ret_now = true;
	if (kube_get(p->kube, &kube_lease, p->ns, p->name, &there, &why) < 0) {
		/* Unless the server does not know leases at all. */
		if (why.class == ERR_NOT_FOUND && !why.os) {
			if (make_it(l, p, &why) == 0)
				return 1;
			if (why.class == ERR_EXISTS)
				return 0;
		}
		*e = why;
		return -1;
	}
	rc = look(there, p, s, e);
	if (rc < 0 && ret_held_by)
		*ret_held_by = strdup(kube_text_at(there, "spec.holderIdentity"));
	if (rc <= 0) {
		*ret_now = false;
		return rc;
	}
	if (seize(l, p, there, &why) == 0)
		return 1;
	/* Somebody was first, or our own write was done though its answer was lost. */
	if (why.class == ERR_BUSY || why.class == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

static int take(struct lease *l, const struct lease_params *p, char **ret_held_by, struct err *e)
{
	struct seen s = { .version = "" };
	bool now;

	for (;;) {
		int rc = try_take(l, p, &s, &now, ret_held_by, e);

		if (rc != 0)
			return rc < 0 ? -1 : 0;
		if (!now && cancel_wait(p->cancel, p->kube->cancel,
		                        p->wait ? l->valid_ns / 2000000 : LOOK_MS, e) < 0)
			return -1;
		if (cancel_check(p->cancel, e) < 0)
			return -1;
	}
}

static void lease_free(struct lease *l)
{
	free(l->ns);
	free(l->name);
	free(l->holder);
	json_decref(l->notes);
	json_decref(l->object);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->noting);
	free(l);
}

static struct lease *lease_new(const struct lease_params *p)
{
	struct lease *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;

	if (!l)
		return NULL;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->noting, NULL);
	l->kube = p->kube;
	l->on_loss = p->on_loss;
	l->valid_ns = (p->seconds ? p->seconds : LEASE_SECONDS) * SECOND_NS;
	l->ns = strdup(p->ns);
	l->name = strdup(p->name);
	l->holder = strdup(p->holder);
	if (l->ns && l->name && l->holder)
		return l;
	lease_free(l);
	return NULL;
}

struct lease *lease_take(const struct lease_params *p, char **ret_held_by, struct err *e)
{
	struct lease *l = lease_new(p);

	if (!l) {
		(void)err_set(e, ERR_NOMEM, "no memory for a lease");
		return NULL;
	}
	if (take(l, p, ret_held_by, e) == 0) {
		const json_t *notes = kube_at(l->object, "metadata.annotations");

		l->held = true;
		l->notes = notes ? json_deep_copy(notes) : json_object();
		int os = l->notes ? pthread_create(&l->thread, NULL, run, l) : ENOMEM;
		if (os == 0) {
			(void)pthread_setname_np(l->thread, "lease");
			l->running = true;
			return l;
		}
		(void)err_sys(e, os, "starting a thread that renews it");
		lease_release(l);
	} else {
		lease_free(l);
	}
	(void)err_wrap(e, "taking %s", call_name(&kube_lease, p->ns, p->name).s);
	return NULL;
}

/* ---- holding it ---- */

bool lease_held(const struct lease *l)
{
	struct lease *mine = (struct lease *)(uintptr_t)l;

	pthread_mutex_lock(&mine->lock);
	bool held = l->held && boot_ns() - l->renewed_ns < l->valid_ns;
	pthread_mutex_unlock(&mine->lock);
	return held;
}

const json_t *lease_notes(const struct lease *l)
{
	return l->notes;
}

int lease_note(struct lease *l, const json_t *annotations, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&l->noting);
	pthread_mutex_lock(&l->lock);
	l->wanted = annotations;
	l->written = false;
	pthread_cond_broadcast(&l->changed);
	while (l->held && !l->written)
		pthread_cond_wait(&l->changed, &l->lock);
	l->wanted = NULL;
	if (!l->written) {
		*e = l->why;
		e->class = ERR_BUSY;
		rc = err_wrap(e, "%s was lost", call_name(&kube_lease, l->ns, l->name).s);
	}
	pthread_mutex_unlock(&l->lock);
	pthread_mutex_unlock(&l->noting);
	return rc;
}

void lease_release(struct lease *l)
{
	struct err e;

	if (!l)
		return;
	if (l->running) {
		pthread_mutex_lock(&l->lock);
		l->ending = true;
		pthread_cond_broadcast(&l->changed);
		pthread_mutex_unlock(&l->lock);
		(void)pthread_join(l->thread, NULL);
	}
	if (l->held) {
		auto_json json_t *o = renewed(l, l->object, NULL, false, &e);
		json_t *answer = NULL;

		/* Where this does not arrive, it is free when its time is over. */
		if (o && write_it(l, o, &answer, &e) == 0)
			json_decref(answer);
	}
	lease_free(l);
}
