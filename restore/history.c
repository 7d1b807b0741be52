/* SPDX-License-Identifier: Apache-2.0 */
/* See history.h. */
#include "restore/history.h"

#include <string.h>

#include "restore/filler.h"

#define ROLE "journal"
#define NUMBER "aksdr.io/number"
#define RECORDS_MAX 10000

bool history_fits_repository(const struct repo *r)
{
	return r->keys->has_sign && key_signer_is_admin(r->keys, r->keys->signer_id) &&
	       (r->store->caps & STORE_CAP_WRITE) && !store_away(r->store);
}

int history_open(const struct repo *r, struct kube *k, const char *ns, const char *run,
                 struct history *ret, struct err *e)
{
	*ret = (struct history){ .repo = r, .kube = k, .next = 1 };
	if (run_log_open(run, &ret->chain, e) < 0)
		return -1;
	memcpy(ret->run, run, sizeof(ret->run));
	(void)snprintf(ret->ns, sizeof(ret->ns), "%s", ns ? ns : "");
	return 0;
}

/* ---- in the repository ---- */

struct reading {
	const struct history *j;
	int (*each)(void *arg, uint64_t n, const struct run_entry *entry, const json_t *record,
	            struct err *e);
	void *arg;
};

static int take_note(void *arg, uint64_t n, const json_t *record,
                     const uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	const struct reading *x = arg;
	struct run_entry entry;

	/* Agents can sign, too; how a site is restored they do not say. */
	if (!key_signer_is_admin(x->j->repo->keys, signer))
		return 0;
	if (run_log_entry(record, x->j->chain.prefix, &entry, e) < 0)
		return -1;
	return x->each(x->arg, n, &entry, record, e);
}

/* ---- in the cluster ---- */

struct maps {
	json_t **v; /* records by number, from 1; owned */
	uint64_t n, after;
};

static void clean_maps(struct maps *m)
{
	for (uint64_t i = 0; i < m->n; i++)
		json_decref(m->v[i]);
	free(m->v);
}

static uint64_t number_of(const json_t *map)
{
	const json_t *labels = kube_at(map, "metadata.labels");
	const char *text = json_string_value(json_object_get(labels, NUMBER));
	char *end = NULL;
	const unsigned long long n = text ? strtoull(text, &end, 10) : 0;

	return end && !*end && n <= RECORDS_MAX ? n : 0;
}

static json_t *record_of(const json_t *map, struct err *e)
{
	const char *text = json_string_value(
		json_object_get(json_object_get(map, "data"), "record"));

	return json_parse("journal of a run", text ? text : "", text ? strlen(text) : 0, e);
}

static int take_map(void *arg, const json_t *map, struct err *e)
{
	struct maps *m = arg;
	const uint64_t n = number_of(map);

	if (n <= m->after)
		return 0;
	if (n > m->n) {
		json_t **v = reallocarray(m->v, n, sizeof(json_t *));

		if (!v)
			return err_set(e, ERR_NOMEM, "no memory for a journal");
		memset(v + m->n, 0, (n - m->n) * sizeof(json_t *));
		m->v = v;
		m->n = n;
	}
	json_decref(m->v[n - 1]);
	m->v[n - 1] = record_of(map, e);
	return m->v[n - 1] ? 0 : -1;
}

static int read_maps(struct history *j, const struct reading *x, struct err *e)
{
	CLEANUP(clean_maps) struct maps m = { .after = j->next - 1 };
	char labels[160];
	const struct kube_select select = { .ns = j->ns, .labels = labels };

	(void)snprintf(labels, sizeof(labels), FILLER_LABEL_RUN "=%s," FILLER_LABEL_ROLE "=" ROLE,
	               j->run);
	if (kube_list(j->kube, &kube_config_map, &select, take_map, &m, NULL, e) < 0)
		return -1;
	for (; j->next <= m.n; j->next++) {
		struct run_entry entry;

		if (!m.v[j->next - 1])
			return err_set(e, ERR_CORRUPT,
			               "the journal of the run '%s' has a gap at %llu", j->run,
			               (unsigned long long)j->next);
		if (run_log_entry(m.v[j->next - 1], "journal of a run", &entry, e) < 0 ||
		    x->each(x->arg, j->next, &entry, m.v[j->next - 1], e) < 0)
			return -1;
	}
	return 0;
}

static int add_map(struct history *j, json_t *take_record, struct err *e)
{
	auto_json json_t *record = take_record;
	CLEANUP(buf_clear) struct buf text = BUF_INIT(MIB);
	struct err why = ERR_INIT;

	if (json_write(record, &text, e) < 0)
		return -1;
	auto_json json_t *o =
		json_pack("{s:s, s:s, s:b, s:{s:o, s:s, s:{s:s, s:s, s:s, s:o}}, s:{s:s}}",
	                  "apiVersion", "v1", "kind", "ConfigMap", "immutable", 1, "metadata",
	                  "name",
	                  json_sprintf("aksdr-run-%.16s-%llu", j->run, (unsigned long long)j->next),
	                  "namespace", j->ns, "labels", "app.kubernetes.io/managed-by", "aksdr",
	                  FILLER_LABEL_RUN, j->run, FILLER_LABEL_ROLE, ROLE, NUMBER,
	                  json_sprintf("%llu", (unsigned long long)j->next), "data", "record",
	                  buf_cstr(&text));
	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for a journal");
	if (kube_create(j->kube, &kube_config_map, j->ns, o, NULL, &why) == 0) {
		j->next++;
		return 0;
	}
	*e = why;
	if (why.class == ERR_EXISTS)
		return err_set(e, ERR_BUSY,
		               "somebody else goes on with the run '%s': see what it does before "
		               "anything else",
		               j->run);
	return -1;
}

/* ---- both ---- */

int history_read(struct history *j,
                 int (*each)(void *arg, uint64_t n, const struct run_entry *entry,
                             const json_t *record, struct err *e),
                 void *arg, struct err *e)
{
	struct reading x = { j, each, arg };

	return j->kube ? read_maps(j, &x, e) : chain_read(j->repo, &j->chain, take_note, &x, e);
}

int history_add(struct history *j, const char *kind, const char *plan, const char *step,
                const json_t *more, struct err *e)
{
	if (!j->kube)
		return run_log_add(j->repo, &j->chain, kind, plan, step, more, e);
	json_t *record = run_log_record(kind, plan, step, more, e);
	if (!record || add_map(j, record, e) < 0)
		return err_wrap(e, "writing step '%s' into the journal of the run", step);
	return 0;
}

struct listing {
	int (*each)(void *arg, const char *run, bool in_cluster, const struct run_entry *first,
	            struct err *e);
	void *arg;
	bool done;
};

static int take_run(void *arg, const char run[RUN_LOG_ID], const struct run_entry *first,
                    const json_t *record, struct err *e)
{
	struct listing *l = arg;

	(void)record;
	if (!first->by_admin)
		return 0;
	const int rc = l->each(l->arg, run, false, first, e);
	l->done = rc > 0;
	return rc;
}

static int take_first(void *arg, const json_t *map, struct err *e)
{
	const json_t *labels = kube_at(map, "metadata.labels");
	const char *run = json_string_value(json_object_get(labels, FILLER_LABEL_RUN));
	auto_json json_t *record = NULL;
	struct listing *l = arg;
	struct run_entry first;
	struct err why = ERR_INIT;

	if (l->done || !run || number_of(map) != 1)
		return 0;
	record = record_of(map, &why);
	if (!record || run_log_entry(record, "journal of a run", &first, &why) < 0)
		return 0;
	const int rc = l->each(l->arg, run, true, &first, e);
	l->done = rc > 0;
	return rc < 0 ? -1 : 0;
}

int history_list(const struct repo *r, struct kube *k, const char *ns,
                 int (*each)(void *arg, const char *run, bool in_cluster,
                             const struct run_entry *first, struct err *e),
                 void *arg, struct err *e)
{
	struct listing l = { each, arg, false };
	const struct kube_select select = { .ns = ns, .labels = FILLER_LABEL_ROLE "=" ROLE };

	if (run_log_list(r, take_run, &l, e) < 0)
		return -1;
	if (!k || l.done)
		return 0;
	return kube_list(k, &kube_config_map, &select, take_first, &l, NULL, e);
}
