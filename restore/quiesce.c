/* SPDX-License-Identifier: Apache-2.0 */
/* See quiesce.h. */
#include "restore/quiesce.h"

#include <stdio.h>
#include <string.h>

#include "kube/pod.h"
#include "restore/filler.h"

#define LEASES "aksdr-v-"
#define NAMED_MAX 8 /* pods in a message */

struct users {
	const struct quiesce *q;
	const struct picks *volumes;
	struct buf *text;
	size_t n;
};

/* ---- which claims there are ---- */

struct claims {
	const struct recipe_select *select;
	const char *cluster;
	struct picks *volumes;
	size_t known; /* of them, the first ones, which are sorted */
};

static int take_claim(void *arg, const json_t *claim, struct err *e)
{
	struct claims *c = arg;
	const char *ns = kube_text_at(claim, "metadata.namespace");
	const char *name = kube_text_at(claim, "metadata.name");
	const json_t *labels = kube_at(claim, "metadata.labels");
	const struct picks known = { .v = c->volumes->v, .n = c->known };

	if (json_object_get(labels, FILLER_LABEL_ROLE) ||
	    !recipe_selects(c->select, ns, name, labels) || picks_find(&known, ns, name))
		return 0;
	struct pick *v = reallocarray(c->volumes->v, c->volumes->n + 1, sizeof(*v));
	if (!v)
		return err_set(e, ERR_NOMEM, "no memory for %zu volumes", c->volumes->n + 1);
	c->volumes->v = v;
	v = &v[c->volumes->n++];
	*v = (struct pick){ .sequence = 0 };
	(void)snprintf(v->volume.cluster, sizeof(v->volume.cluster), "%s", c->cluster);
	(void)snprintf(v->volume.namespace, sizeof(v->volume.namespace), "%s", ns);
	(void)snprintf(v->volume.name, sizeof(v->volume.name), "%s", name);
	return 0;
}

int quiesce_add_claims(const struct quiesce *q, const struct recipe_select *select,
                       const char *cluster, struct picks *volumes, struct err *e)
{
	struct claims c = { select, cluster, volumes, volumes->n };
	const struct kube_select all = { .ns = NULL };
	size_t n = 0;

	if (kube_list(q->kube, &kube_pvc, &all, take_claim, &c, NULL, e) < 0)
		return err_wrap(e, "listing the claims of '%s'", cluster);
	picks_sort(volumes);
	/* A list that was begun anew tells some twice. */
	for (size_t i = 0; i < volumes->n; i++) {
		const struct point_volume *v = &volumes->v[i].volume;
		const struct point_volume *last = n > 0 ? &volumes->v[n - 1].volume : NULL;

		if (!last || strcmp(last->namespace, v->namespace) != 0 ||
		    strcmp(last->name, v->name) != 0)
			volumes->v[n++] = volumes->v[i];
	}
	volumes->n = n;
	return 0;
}

/* ---- who works with them ---- */

static int take_pod(void *arg, const json_t *pod, struct err *e)
{
	struct users *u = arg;
	const char *ns = kube_text_at(pod, "metadata.namespace");
	const json_t *list = kube_at(pod, "spec.volumes");
	char claim[KUBE_NAME_MAX + 1];

	(void)e;
	for (size_t i = 0; i < json_array_size(list) && !pod_is_over(pod); i++) {
		if (!pod_volume_claim(pod, json_array_get(list, i), claim) ||
		    !picks_find(u->volumes, ns, claim))
			continue;
		if (u->n++ < NAMED_MAX)
			(void)buf_printf(u->text, "%s%s/%s", u->text->len ? ", " : "", ns,
			                 kube_text_at(pod, "metadata.name"));
		break;
	}
	return 0;
}

static int take_lease(void *arg, const json_t *lease, struct err *e)
{
	struct users *u = arg;

	(void)e;
	if (strncmp(kube_text_at(lease, "metadata.name"), LEASES, strlen(LEASES)) == 0 &&
	    *kube_text_at(lease, "spec.holderIdentity"))
		u->n++;
	return 0;
}

int quiesce_check(const struct quiesce *q, const struct picks *volumes, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(8 * KIB);
	struct users u = { .q = q, .volumes = volumes, .text = &text };
	const struct kube_select own = { .ns = q->ns };

	/* Picks are in the order of their namespaces: each is asked for once. */
	for (size_t i = 0; i < volumes->n; i++) {
		const char *ns = volumes->v[i].volume.namespace;
		const struct kube_select in = { .ns = ns };

		if (i > 0 && strcmp(volumes->v[i - 1].volume.namespace, ns) == 0)
			continue;
		if (kube_list(q->kube, &kube_pod, &in, take_pod, &u, NULL, e) < 0)
			return err_wrap(e, "looking who uses the claims that go back");
	}
	if (u.n > 0)
		return err_set(e, ERR_BUSY,
		               "%zu pods still use claims that go back (%s%s): stop them first, "
		               "as by kubectl scale --replicas=0",
		               u.n, buf_cstr(&text), u.n > NAMED_MAX ? ", ..." : "");
	if (kube_list(q->kube, &kube_lease, &own, take_lease, &u, NULL, e) < 0)
		return err_wrap(e, "looking for backups that run");
	if (u.n > 0)
		return err_set(e, ERR_BUSY, "%zu backups still run there: wait until they are done",
		               u.n);
	return 0;
}

json_t *quiesce_note(const struct picks *volumes)
{
	json_t *note = json_object();

	for (size_t i = 0; i < volumes->n; i++) {
		const struct pick *k = &volumes->v[i];
		char name[2 * POINT_NAME_MAX + 2];

		(void)snprintf(name, sizeof(name), "%s/%s", k->volume.namespace, k->volume.name);
		if (json_object_set_new(note, name, json_integer((json_int_t)k->sequence)) < 0) {
			json_decref(note);
			return NULL;
		}
	}
	return note;
}

void quiesce_lacking(const json_t *note, const struct picks *now, char *ret, size_t max)
{
	const char *name;
	json_t *n;
	size_t len = 0;

	*ret = '\0';
	json_object_foreach((json_t *)(uintptr_t)note, name, n) {
		const char *slash = strchr(name, '/');
		char ns[POINT_NAME_MAX];
		const struct pick *k = NULL;

		if (slash) {
			(void)snprintf(ns, sizeof(ns), "%.*s", (int)(slash - name), name);
			k = picks_find(now, ns, slash + 1);
		}
		if ((!k || k->sequence <= (uint64_t)json_integer_value(n)) && len < max)
			len += (size_t)snprintf(ret + len, max - len, "%s%s", len ? ", " : "",
			                        name);
	}
}
