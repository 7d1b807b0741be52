/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of this process that may still come again are remembered, the oldest is forgotten first;
 * the server itself keeps an event for an hour.
 * https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
 */
#include "kube/event.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/hex.h"
#include "common/now.h"
#include "common/secret.h"
#include "kube/call.h"

#define REMEMBERED 64
#define SERIES_NS (600 * (int64_t)1000000000)

struct told {
	char *key; /* all that makes it the same one; NULL: free */
	char ns[KUBE_NAME_MAX + 1];
	char name[KUBE_NAME_MAX + 1];
	int64_t last_ns; /* as now_mono_ns() */
	int64_t count;
};

struct events {
	struct kube *kube;
	char *instance;
	pthread_mutex_t lock; /* of told; held during a request: a series is counted right */
	struct told told[REMEMBERED];
};

struct events *events_new(struct kube *k, const char *instance, struct err *e)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (!ev || !(ev->instance = strdup(instance))) {
		free(ev);
		(void)err_set(e, ERR_NOMEM, "no memory for events");
		return NULL;
	}
	ev->kube = k;
	pthread_mutex_init(&ev->lock, NULL);
	return ev;
}

void events_free(struct events *ev)
{
	if (!ev)
		return;
	for (size_t i = 0; i < REMEMBERED; i++)
		free(ev->told[i].key);
	free(ev->instance);
	pthread_mutex_destroy(&ev->lock);
	free(ev);
}

/* MicroTime: six digits behind the second, no more and no less. */
static struct now_text micro(int64_t wall_ns)
{
	struct now_text t = now_rfc3339(wall_ns);
	size_t n = strlen(t.s);

	memcpy(t.s + n - 1, "000Z", 5);
	return t;
}

/* The one of that key, or the place of the one that is the longest not told again. */
static struct told *find(struct events *ev, const char *key)
{
	struct told *oldest = &ev->told[0];

	for (size_t i = 0; i < REMEMBERED; i++) {
		struct told *t = &ev->told[i];

		if (t->key && strcmp(t->key, key) == 0)
			return t;
		if (!t->key || (oldest->key && t->last_ns < oldest->last_ns))
			oldest = t;
	}
	return oldest;
}

static int count_up(struct events *ev, struct told *t, struct err *e)
{
	auto_json json_t *patch = json_pack("{s:{s:I, s:s}}", "series", "count",
	                                    (json_int_t)(t->count + 1), "lastObservedTime",
	                                    micro(now_wall_ns()).s);

	if (!patch)
		return err_set(e, ERR_NOMEM, "no memory for an event");
	if (kube_patch(ev->kube, &kube_event, t->ns, t->name, NULL, KUBE_MERGE, patch, NULL, e) < 0)
		return -1;
	t->count++;
	t->last_ns = now_mono_ns();
	return 0;
}

struct what {
	const struct event_about *about;
	const char *type, *reason, *action;
	json_t *note;
};

static int make(struct events *ev, const struct what *w, struct told *t, struct err *e)
{
	const struct event_about *a = w->about;
	const char *group = a->kind->group;
	uint8_t random[8];
	char mark[17];
	char version[200];

	(void)snprintf(version, sizeof(version), "%s%s%s", group, *group ? "/" : "",
	               a->kind->version);
	(void)snprintf(t->ns, sizeof(t->ns), "%s", a->ns && *a->ns ? a->ns : "default");
	secret_random(random, sizeof(random));
	hex_encode(mark, random, sizeof(random));
	(void)snprintf(t->name, sizeof(t->name), "%.200s.%s", a->name, mark);
	auto_json json_t *o =
		json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:s, s:s, s:s, s:s, s:O,"
	                  " s:{s:s, s:s, s:s*, s:s, s:s*, s:s*}}",
	                  "apiVersion", "events.k8s.io/v1", "kind", "Event", "metadata", "name",
	                  t->name, "namespace", t->ns, "eventTime", micro(now_wall_ns()).s,
	                  "reportingController", "aksdr.io/agent", "reportingInstance",
	                  ev->instance, "type", w->type, "reason", w->reason, "action", w->action,
	                  "note", w->note, "regarding", "apiVersion", version, "kind",
	                  a->kind->kind, "namespace", a->ns && *a->ns ? a->ns : NULL, "name",
	                  a->name, "uid", a->uid, "resourceVersion", a->version);
	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for an event");
	if (kube_create(ev->kube, &kube_event, t->ns, o, NULL, e) < 0)
		return -1;
	t->count = 1;
	t->last_ns = now_mono_ns();
	return 0;
}

static int tell_locked(struct events *ev, const struct what *w, const char *key, struct err *e)
{
	struct told *t = find(ev, key);

	if (t->key && strcmp(t->key, key) == 0 && now_mono_ns() - t->last_ns < SERIES_NS) {
		struct err why;

		if (count_up(ev, t, &why) == 0)
			return 0;
		/* The server has forgotten it: another one. */
		if (why.class != ERR_NOT_FOUND) {
			*e = why;
			return -1;
		}
	}
	free(STEAL(&t->key));
	if (make(ev, w, t, e) < 0)
		return -1;
	/* Without memory it is not counted up, and that is all. */
	t->key = strdup(key);
	return 0;
}

int events_tell(struct events *ev, const struct event_about *about, bool warning,
                const char *reason, const char *action, const char *note, struct err *e)
{
	struct what w = { about, warning ? "Warning" : "Normal", reason, action, NULL };
	auto_json json_t *text = json_text(note, EVENT_NOTE_MAX);
	auto_free char *key = NULL;

	w.note = text;
	if (!text || asprintf(&key, "%s/%s/%s/%s\n%s\n%s\n%s\n%s", about->kind->kind,
	                      about->ns ? about->ns : "", about->name, about->uid ? about->uid : "",
	                      w.type, reason, action, json_string_value(text)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for an event");
	pthread_mutex_lock(&ev->lock);
	int rc = tell_locked(ev, &w, key, e);
	pthread_mutex_unlock(&ev->lock);
	if (rc < 0)
		return err_wrap(e, "the event %s of %s", reason,
		                call_name(about->kind, about->ns, about->name).s);
	return 0;
}
