/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster first: without it nothing else makes sense. Then what is asked of others: registries,
 * who gives tokens, the store.
 */
#include "restore/preflight.h"

#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/now.h"
#include "common/secret.h"
#include "restore/auths.h"
#include "restore/identity.h"
#include "restore/needs.h"
#include "restore/preflight_judge.h"
#include "restore/preflight_room.h"
#include "restore/registry.h"

/* ---- images ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All images of the plan, each once; the caller frees. */
static int images_of(const struct preflight_params *p, const char ***ret, size_t *ret_n,
                     struct err *e)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->volumes[i].nimages;
	const char **all = calloc(n + 1, sizeof(*all));
	if (!all)
		return err_set(e, ERR_NOMEM, "no memory for %zu images", n);
	n = 0;
	for (size_t i = 0; i < p->n; i++)
		for (size_t j = 0; j < p->volumes[i].nimages; j++)
			all[n++] = p->volumes[i].images[j];
	qsort(all, n, sizeof(*all), by_text);
	for (size_t i = 0; i < n; i++)
		if (k == 0 || strcmp(all[k - 1], all[i]) != 0)
			all[k++] = all[i];
	*ret = all;
	*ret_n = k;
	return 0;
}

/* One secret of credentials. That it is not there, or not for us to read, is no matter here. */
static void add_secret(const struct preflight_params *p, const char *ns, const char *name,
                       struct auths *auths, struct findings *l)
{
	struct err why = ERR_INIT;
	auto_json json_t *o = NULL;
	char what[600];

	if (kube_get(p->kube, &kube_secret, ns, name, &o, &why) < 0)
		return;
	const char *text = json_string_value(
		json_object_get(json_object_get(o, "data"), ".dockerconfigjson"));
	size_t n = text ? base64_size(text) : SIZE_MAX;
	if (n == SIZE_MAX || n > AUTHS_BYTES_MAX)
		return;
	auto_secret char *plain = secret_new(n + 1);
	(void)snprintf(what, sizeof(what), "the secret '%s/%s'", ns, name);
	if (plain && base64_decode(plain, n, text) == 0 &&
	    auths_add(auths, what, plain, n, &why) < 0) {
		struct finding *f = finding_add(l, FINDING_WARNING, "PullSecretBad", "Secret %s/%s",
		                                ns, name);

		finding_what(f, "pods cannot pull with it: %.400s", why.msg);
		finding_remedy(f, "make it anew: kubectl create secret docker-registry");
	}
	secret_wipe((void *)(uintptr_t)text, strlen(text));
}

/* What pods of a namespace pull with, when they run as its default account. */
static void add_secrets(const struct preflight_params *p, const char *ns, struct auths *auths,
                        struct findings *l)
{
	struct err why = ERR_INIT;
	auto_json json_t *o = NULL;
	size_t i;
	json_t *x;

	if (kube_get(p->kube, &kube_service_account, ns, "default", &o, &why) < 0)
		return;
	json_array_foreach(json_object_get(o, "imagePullSecrets"), i, x) {
		if (i < 16)
			add_secret(p, ns, kube_text_at(x, "name"), auths, l);
	}
}

/* A file that was named must be there; the usual one is a help, and no more. */
static int load(const struct preflight_params *p, struct auths *auths, struct findings *l,
                struct err *e)
{
	struct err why = ERR_INIT;

	if (auths_load(auths, p->registry_file, &why) == 0)
		return 0;
	if (p->registry_file || why.class == ERR_NOMEM) {
		*e = why;
		return -1;
	}
	struct finding *f = finding_add(l, FINDING_WARNING, "RegistryConfigBad",
	                                "docker's config.json");
	finding_what(f, "registries are asked without it: %.450s", why.msg);
	finding_remedy(f, "put it right, or name another one by --registry-config");
	return 0;
}

static int look_at_images(const struct preflight_params *p, const struct preflight_facts *f,
                          struct findings *l, struct err *e)
{
	auto_free const char **images = NULL;
	size_t n = 0;

	if (!p->images || images_of(p, &images, &n, e) < 0)
		return p->images ? -1 : 0;
	auto_auths struct auths *auths = auths_new(e);
	auto_free struct registry_result *results = calloc(n + 1, sizeof(*results));
	struct registry_params params = { .auths = auths,
		                          .ca_file = p->registry_ca,
		                          .cancel = p->cancel };
	if (!auths || load(p, auths, l, e) < 0)
		return -1;
	if (!results)
		return err_set(e, ERR_NOMEM, "no memory for %zu images", n);
	for (size_t i = 0; i < f->nnamespaces && n > 0; i++)
		add_secrets(p, f->namespaces[i], auths, l);
	if (registry_look(&params, images, n, results, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		preflight_judge_image(images[i], &results[i], l);
	return 0;
}

/* ---- store, key, version ---- */

static int look_at_store(const struct preflight_params *p, struct findings *l, struct err *e)
{
	struct store_cut cut = { .kind = CUT_UNKNOWN };
	struct err why = ERR_INIT;

	if (!p->repo)
		return 0;
	preflight_judge_key(p->repo->keys, p->fences, l);
	if (store_cut(p->repo->store, 0, &cut, &why) < 0) {
		if (why.class == ERR_NOMEM || why.class == ERR_CANCELLED) {
			*e = why;
			return -1;
		}
		cut = (struct store_cut){ .kind = CUT_UNKNOWN };
	}
	preflight_judge_store(store_away(p->repo->store), &cut, now_wall_ns(), p->fences, l);
	return 0;
}

static void look_at_version(const struct preflight_params *p, struct findings *l)
{
	const char *newest = NULL;

	for (size_t i = 0; i < p->n; i++) {
		const char *agent = p->volumes[i].agent;

		if (agent && preflight_judge_is_later(agent, newest ? newest : AKSDR_VERSION))
			newest = agent + (strncmp(agent, "aksdr ", 6) == 0 ? 6 : 0);
	}
	if (!newest)
		return;
	struct finding *f = finding_add(l, FINDING_WARNING, "ToolOlder", "aksdr-restore");
	finding_what(f, "it has the version " AKSDR_VERSION ", and points are of the version %.60s",
	             newest);
	finding_remedy(f, "use aksdr-restore of that version or a later one");
}

/* ---- all ---- */

int preflight_run(const struct preflight_params *p, struct findings *ret, struct err *e)
{
	static preflight_judge_fn *const judges[] = {
		preflight_judge_classes, preflight_judge_zones, preflight_judge_snapshots,
		preflight_room_capacity, preflight_room_quotas, preflight_room_namespaces,
		preflight_room_names,
	};
	auto_facts struct preflight_facts f = { .namespaces = NULL };

	if (preflight_facts_gather(p, &f, ret, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(judges); i++)
		judges[i](p, &f, ret);
	if (needs_look(p->kube, p->ns, f.namespaces, f.nnamespaces, ret, e) < 0 ||
	    (p->plan && needs_gates(p->kube, p->plan, ret, e) < 0) ||
	    (p->account && identity_try(p->kube, p->ns, p->account, p->cancel, ret, e) < 0) ||
	    look_at_images(p, &f, ret, e) < 0 || look_at_store(p, ret, e) < 0)
		return err_wrap(e, "looking whether the plan could be run");
	look_at_version(p, ret);
	finding_sort(ret);
	return finding_check(ret, e);
}
