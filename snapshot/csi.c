/* SPDX-License-Identifier: Apache-2.0 */
/* See csi.h: the claims of a run, their names, and waiting. */
#include "snapshot/csi.h"

#include <string.h>

#include "common/hex.h"
#include "common/secret.h"
#include "kube/worker.h"

bool csi_is_origin(const char *origin)
{
	return strncmp(origin, CSI_ORIGIN, strlen(CSI_ORIGIN)) == 0;
}

/* Names of namespaces and claims: what the server takes; nothing has a meaning in a path. */
static bool name_valid(const char *name)
{
	const size_t n = strlen(name);

	return n > 0 && n <= KUBE_NAME_MAX && *name != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n;
}

int csi_parse(const char *origin, char **ret_ns, char **ret_name, struct err *e)
{
	const char *ns = csi_is_origin(origin) ? origin + strlen(CSI_ORIGIN) : origin;
	const char *slash = strchr(ns, '/');
	auto_free char *first = slash ? strndup(ns, (size_t)(slash - ns)) : NULL;
	auto_free char *second = slash ? strdup(slash + 1) : NULL;

	if (!csi_is_origin(origin) || !slash)
		return err_set(e, ERR_INVALID, "'%.300s' is not of the form pvc:NAMESPACE/NAME",
		               origin);
	if (!first || !second)
		return err_set(e, ERR_NOMEM, "no memory for '%.300s'", origin);
	if (!name_valid(first) || !name_valid(second))
		return err_set(e, ERR_INVALID,
		               "'%.300s' is no claim: namespace and name are of a-z, 0-9, '-', '.'",
		               origin);
	*ret_ns = STEAL(&first);
	*ret_name = STEAL(&second);
	return 0;
}

/* ---- the claims ---- */

static int load_one(struct csi_run *run, struct csi_claim *c, struct err *e)
{
	if (kube_get(run->kube, &kube_pvc, c->ns, c->name, &c->claim, e) < 0)
		return -1;
	c->uid = kube_text_at(c->claim, "metadata.uid");
	c->block = strcmp(kube_text_at(c->claim, "spec.volumeMode"), "Block") == 0;
	const char *volume = kube_text_at(c->claim, "spec.volumeName");
	if (!*volume)
		return 0;
	return kube_get(run->kube, &kube_pv, NULL, volume, &c->volume, e);
}

int csi_load(struct csi_run *run, const char *const *origins, size_t n, struct err *e)
{
	uint8_t random[8];

	secret_random(random, sizeof(random));
	hex_encode(run->id, random, sizeof(random));
	run->claims = calloc(n ? n : 1, sizeof(*run->claims));
	if (!run->claims)
		return err_set(e, ERR_NOMEM, "no memory for %zu claims", n);
	for (size_t i = 0; i < n; i++) {
		struct csi_claim *c = &run->claims[i];

		for (size_t k = 0; k < i; k++)
			if (strcmp(origins[k], origins[i]) == 0)
				return err_set(e, ERR_INVALID, "'%.300s' is named twice",
				               origins[i]);
		run->n = i + 1;
		(void)snprintf(c->base, sizeof(c->base), "aksdr-%s-%zu", run->id, i);
		if (csi_parse(origins[i], &c->ns, &c->name, e) < 0 || load_one(run, c, e) < 0)
			return -1;
	}
	return 0;
}

void csi_clear(struct csi_run *run)
{
	for (size_t i = 0; i < run->n; i++) {
		free(run->claims[i].ns);
		free(run->claims[i].name);
		json_decref(run->claims[i].claim);
		json_decref(run->claims[i].volume);
	}
	free(STEAL(&run->claims));
	run->n = 0;
}

int64_t csi_gone_ms(const struct csi_run *run)
{
	const int64_t ms = run->gone_ms ? run->gone_ms : CSI_GONE_MS;

	return run->cancel && cancel_requested(run->cancel) && ms > CSI_GONE_CANCELLED_MS
	               ? CSI_GONE_CANCELLED_MS
	               : ms;
}

struct csi_claim *csi_find(const struct csi_run *run, const char *origin)
{
	if (!csi_is_origin(origin))
		return NULL;
	origin += strlen(CSI_ORIGIN);
	for (size_t i = 0; i < run->n; i++) {
		struct csi_claim *c = &run->claims[i];
		const size_t n = strlen(c->ns);

		if (strncmp(origin, c->ns, n) == 0 && origin[n] == '/' &&
		    strcmp(origin + n + 1, c->name) == 0)
			return c;
	}
	return NULL;
}

/* ---- names ---- */

static int add_name(json_t *array, const struct kube_kind *kind, const char *ns, const char *name)
{
	return json_array_append_new(array, json_sprintf("%s/%s%s%s", kind->plural, ns ? ns : "",
	                                                 ns ? "/" : "", name));
}

int csi_names(const struct csi_run *run, const struct csi_claim *c, json_t *array, struct err *e)
{
	/* In the order in which they are removed: who uses something before what it uses. */
	int bad = add_name(array, &kube_pod, run->ns, c->base);
	bad |= add_name(array, &kube_pvc, run->ns, c->base);
	bad |= add_name(array, &kube_pv, NULL, c->base);
	bad |= add_name(array, &kube_snapshot, run->ns, c->base);
	bad |= add_name(array, &kube_snapshot_content, NULL, c->base);
	if (strcmp(c->ns, run->ns) != 0)
		bad |= add_name(array, &kube_snapshot, c->ns, c->base);
	return bad ? err_set(e, ERR_NOMEM, "no memory for names") : 0;
}

/* ---- waiting ---- */

int csi_until(const struct csi_run *run, int (*done)(void *arg, struct err *e), void *arg,
              struct err *e)
{
	return worker_until(run->cancel, done, arg, e);
}
