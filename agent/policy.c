/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each part of the spec has a reader of its own. The selector is read first: with it a policy that
 * has a mistake further on still has its claims, which can be told.
 */
#include "agent/policy.h"

#include <string.h>

#include "agent/hook.h"
#include "common/num.h"
#include "snapshot/freezer.h"

static const char *const consistencies[] = { "fuzzy", "crash", "filesystem", "application", NULL };
static const char *const drivers[] = { "auto",    "csi",    "btrfs", "lvm-thin",
	                               "reflink", "freeze", "live",  NULL };

void policy_free(struct policy *p)
{
	if (!p)
		return;
	fields_texts_clear(&p->select.namespaces);
	fields_texts_clear(&p->select.claims);
	fields_texts_clear(&p->select.classes);
	fields_texts_clear(&p->select.not_namespaces);
	fields_texts_clear(&p->select.not_claims);
	fields_texts_clear(&p->select.not_classes);
	selector_clear(&p->select.namespace_labels);
	selector_clear(&p->select.claim_labels);
	for (size_t i = 0; i < p->nhooks; i++) {
		selector_clear(&p->hooks[i].pods);
		fields_texts_clear(&p->hooks[i].command);
	}
	free(p->hooks);
	for (size_t i = 0; i < p->nsets; i++)
		fields_texts_clear(&p->sets[i]);
	free(p->sets);
	fields_texts_clear(&p->exclude);
	zone_free(p->zone);
	json_decref(p->document);
	free(p);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for a policy");
}

static int read_selector(const struct fields *spec, struct policy *p, struct err *e)
{
	static const char *const known[] = {
		"namespaces",     "excludeNamespaces",     "namespaceSelector",
		"claims",         "excludeClaims",         "claimSelector",
		"storageClasses", "excludeStorageClasses", NULL
	};
	struct policy_select *s = &p->select;
	struct fields f;

	if (fields_need(spec, "selector", e) < 0 || fields_in(&f, spec, "selector", known, e) < 0)
		return -1;
	const struct {
		const char *key;
		struct fields_texts *to;
	} lists[] = {
		{ "namespaces", &s->namespaces },  { "excludeNamespaces", &s->not_namespaces },
		{ "claims", &s->claims },          { "excludeClaims", &s->not_claims },
		{ "storageClasses", &s->classes }, { "excludeStorageClasses", &s->not_classes },
	};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (fields_texts(&f, lists[i].key, POLICY_LIST_MAX, POLICY_NAME_MAX, lists[i].to,
		                 e) < 0)
			return -1;
	}
	if (selector_in(&f, "namespaceSelector", &s->namespace_labels, e) < 0 ||
	    selector_in(&f, "claimSelector", &s->claim_labels, e) < 0)
		return -1;
	p->selects = true;
	return 0;
}

static int read_schedule(const struct fields *spec, const char *zones, struct policy *p,
                         struct err *e)
{
	static const char *const known[] = { "cron", "timeZone", "jitter", NULL };
	const char *zone = NULL;
	struct err why = ERR_INIT;
	struct fields f;

	if (fields_need(spec, "schedule", e) < 0 || fields_in(&f, spec, "schedule", known, e) < 0 ||
	    fields_need(&f, "cron", e) < 0 ||
	    fields_text(&f, "cron", 1, CRON_TEXT_MAX, &p->cron_text, e) < 0 ||
	    fields_text(&f, "timeZone", 1, ZONE_NAME_MAX, &zone, e) < 0 ||
	    fields_duration(&f, "jitter", 0, POLICY_JITTER_MAX_S, &p->jitter_s, e) < 0)
		return -1;
	if (cron_parse(&p->cron, p->cron_text, &why) < 0)
		return fields_bad(&f, "cron", e, "%s", why.msg);
	if (zone && zone_open(zones, zone, &p->zone, &why) < 0)
		return fields_bad(&f, "timeZone", e, "%s", why.msg);
	if (cron_next_in(&p->cron, p->zone, 0) < 0)
		return fields_bad(&f, "cron", e, "'%s' is a day that never comes", p->cron_text);
	return 0;
}

static int read_count(const struct fields *f, const char *key, uint32_t *ret, struct err *e)
{
	int64_t n = *ret;

	if (fields_number(f, key, 0, RETAIN_COUNT_MAX, &n, e) < 0)
		return -1;
	*ret = (uint32_t)n;
	return 0;
}

static int read_retention(const struct fields *spec, struct policy *p, struct err *e)
{
	static const char *const known[] = { "keepLast",   "keepHourly",  "keepDaily",
		                             "keepWeekly", "keepMonthly", "keepYearly",
		                             "keepWithin", "floor",       NULL };
	static const char *const of_floor[] = { "points", "age", NULL };
	struct retain_policy *r = &p->retention;
	int64_t points = RETAIN_FLOOR_DEFAULT;
	struct fields f, floor;

	if (!fields_has(spec, "retention"))
		return 0;
	if (fields_in(&f, spec, "retention", known, e) < 0 ||
	    read_count(&f, "keepLast", &r->last, e) < 0 ||
	    read_count(&f, "keepHourly", &r->hourly, e) < 0 ||
	    read_count(&f, "keepDaily", &r->daily, e) < 0 ||
	    read_count(&f, "keepWeekly", &r->weekly, e) < 0 ||
	    read_count(&f, "keepMonthly", &r->monthly, e) < 0 ||
	    read_count(&f, "keepYearly", &r->yearly, e) < 0 ||
	    fields_duration(&f, "keepWithin", 0, POLICY_AGE_MAX_S, &r->within_s, e) < 0 ||
	    fields_in(&floor, &f, "floor", of_floor, e) < 0 ||
	    fields_number(&floor, "points", 1, RETAIN_COUNT_MAX, &points, e) < 0 ||
	    fields_duration(&floor, "age", 0, POLICY_AGE_MAX_S, &r->floor_s, e) < 0)
		return -1;
	if (!r->last && !r->hourly && !r->daily && !r->weekly && !r->monthly && !r->yearly &&
	    !r->within_s)
		return fields_bad(spec, "retention", e,
		                  "keeps nothing: give one of keepLast, keepDaily, ... keepWithin");
	r->floor_points = (uint32_t)points;
	(void)snprintf(r->name, sizeof(r->name), "%s", p->name);
	p->retains = true;
	return 0;
}

static int read_consistency(const struct fields *spec, struct policy *p, struct err *e)
{
	static const char *const known[] = { "want", "onLess", NULL };
	static const char *const on_less[] = { "record", "fail", NULL };
	unsigned want = SNAP_CRASH;
	unsigned less = POLICY_LESS_RECORD;
	struct fields f;

	if (fields_in(&f, spec, "consistency", known, e) < 0 ||
	    fields_choice(&f, "want", consistencies, &want, e) < 0 ||
	    fields_choice(&f, "onLess", on_less, &less, e) < 0)
		return -1;
	p->want = (enum snapshot_consistency)want;
	p->on_less = (enum policy_on_less)less;
	return 0;
}

static int read_hook(const struct fields *f, struct policy_hook *h, struct err *e)
{
	static const char *const phases[] = { "pre", "post", NULL };
	static const char *const on_error[] = { "fail", "continue", NULL };
	unsigned phase = 0;
	unsigned error = 0;

	*h = (struct policy_hook){ .name = "",
		                   .container = "",
		                   .timeout_s = HOOK_TIMEOUT_MS / 1000 };
	if (fields_text(f, "name", 1, 63, &h->name, e) < 0 || fields_need(f, "phase", e) < 0 ||
	    fields_choice(f, "phase", phases, &phase, e) < 0 ||
	    selector_in(f, "podSelector", &h->pods, e) < 0 ||
	    fields_text(f, "container", 1, 63, &h->container, e) < 0 ||
	    fields_need(f, "command", e) < 0 ||
	    fields_duration(f, "timeout", 1, HOOK_TIMEOUT_MAX_MS / 1000, &h->timeout_s, e) < 0 ||
	    fields_choice(f, "onError", on_error, &error, e) < 0)
		return -1;
	h->post = phase == 1;
	h->go_on = error == 1;
	return 0;
}

static int read_hooks(const struct fields *spec, struct policy *p, struct err *e)
{
	static const char *const known[] = { "name",    "phase",   "podSelector", "container",
		                             "command", "timeout", "onError",     NULL };
	const json_t *list;
	struct fields f;

	if (fields_list(spec, "hooks", POLICY_HOOKS_MAX, &list, e) < 0)
		return -1;
	if (json_array_size(list) == 0)
		return 0;
	p->hooks = calloc(json_array_size(list), sizeof(*p->hooks));
	if (!p->hooks)
		return no_memory(e);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		char path[64];

		(void)snprintf(path, sizeof(path), "spec.hooks[%zu]", i);
		struct policy_hook *h = &p->hooks[p->nhooks++];
		if (fields_of(&f, one, path, known, e) < 0 || read_hook(&f, h, e) < 0 ||
		    fields_words(&f, "command", POLICY_WORDS_MAX, &h->command, e) < 0)
			return -1;
	}
	return 0;
}

static int read_snapshot(const struct fields *spec, struct policy *p, struct err *e)
{
	static const char *const known[] = { "driver", "class",         "freezeTimeout",
		                             "reader", "changedBlocks", "fullEvery",
		                             NULL };
	static const char *const readers[] = { "auto", "mover", "node", NULL };
	unsigned driver = 0;
	unsigned reader = 0;
	struct fields f;

	p->full_every = 10;
	if (fields_in(&f, spec, "snapshot", known, e) < 0 ||
	    fields_choice(&f, "driver", drivers, &driver, e) < 0 ||
	    fields_text(&f, "class", 1, POLICY_NAME_MAX, &p->snapshot_class, e) < 0 ||
	    fields_duration(&f, "freezeTimeout", 1, FREEZER_DEADLINE_MAX_MS / 1000,
	                    &p->freeze_timeout_s, e) < 0 ||
	    fields_choice(&f, "reader", readers, &reader, e) < 0 ||
	    fields_bool(&f, "changedBlocks", &p->changed_blocks, e) < 0 ||
	    fields_number(&f, "fullEvery", 1, 1000000, &p->full_every, e) < 0)
		return -1;
	p->driver = drivers[driver];
	p->reader = (enum policy_reader)reader;
	if (*p->snapshot_class && driver > 1)
		return fields_bad(&f, "class", e, "the driver '%s' has no classes", p->driver);
	return 0;
}

static int read_bandwidth(const struct fields *spec, struct policy *p, struct err *e)
{
	const char *text = NULL;
	struct err why = ERR_INIT;

	if (fields_text(spec, "bandwidth", 1, 32, &text, e) < 0)
		return -1;
	if (!text)
		return 0;
	if (num_size("bytes a second", text, UINT64_C(1) << 50, &p->bandwidth_bytes_s, &why) < 0)
		return fields_bad(spec, "bandwidth", e, "%s", why.msg);
	if (p->bandwidth_bytes_s < 64 * KIB)
		return fields_bad(spec, "bandwidth", e, "'%s' is less than 64Ki a second", text);
	return 0;
}

/* A claim is in one set at most: what is of one moment with two others is of one with both. */
static int check_sets(const struct fields *spec, const struct policy *p, struct err *e)
{
	for (size_t i = 0; i < p->nsets; i++) {
		for (size_t j = 0; j < p->sets[i].n; j++) {
			for (size_t k = 0; k < i; k++) {
				for (size_t l = 0; l < p->sets[k].n; l++) {
					if (strcmp(p->sets[i].v[j], p->sets[k].v[l]) == 0)
						return fields_bad(spec, "sets", e,
						                  "'%s' is in two of them",
						                  p->sets[i].v[j]);
				}
			}
		}
	}
	return 0;
}

static int read_sets(const struct fields *spec, struct policy *p, struct err *e)
{
	const json_t *list;

	if (fields_text(spec, "setBy", 1, SELECTOR_KEY_MAX, &p->set_label, e) < 0 ||
	    fields_list(spec, "sets", POLICY_SETS_MAX, &list, e) < 0)
		return -1;
	if (*p->set_label && !selector_key_ok(p->set_label))
		return fields_bad(spec, "setBy", e, "'%.80s' is no key of a label", p->set_label);
	if (json_array_size(list) == 0)
		return 0;
	if (*p->set_label)
		return fields_bad(spec, "setBy", e, "give either sets or setBy");
	p->sets = calloc(json_array_size(list), sizeof(*p->sets));
	if (!p->sets)
		return no_memory(e);
	for (size_t i = 0; i < json_array_size(list); i++) {
		/* An item has no key of its own; as the only member of an object it gets one. */
		char at[32];
		const struct fields f = { .path = "spec" };
		struct fields one = f;

		(void)snprintf(at, sizeof(at), "sets[%zu]", i);
		auto_json json_t *holder = json_pack("{s:O}", at, json_array_get(list, i));
		if (!holder)
			return no_memory(e);
		one.o = holder;
		if (fields_texts(&one, at, POLICY_SET_MAX, POLICY_NAME_MAX, &p->sets[p->nsets++],
		                 e) < 0)
			return -1;
		if (p->sets[i].n < 2)
			return fields_bad(&f, at, e, "a set has two claims at least");
	}
	return check_sets(spec, p, e);
}

/* All of the spec but its selector. */
static int read_rest(const struct fields *spec, const char *zones, struct policy *p, struct err *e)
{
	if (fields_bool(spec, "paused", &p->paused, e) < 0 ||
	    read_schedule(spec, zones, p, e) < 0 ||
	    fields_duration(spec, "rpo", 60, POLICY_AGE_MAX_S, &p->rpo_s, e) < 0 ||
	    read_retention(spec, p, e) < 0 || read_consistency(spec, p, e) < 0 ||
	    read_hooks(spec, p, e) < 0 || read_snapshot(spec, p, e) < 0 ||
	    read_bandwidth(spec, p, e) < 0 ||
	    fields_text(spec, "domain", 1, 127, &p->domain, e) < 0 || read_sets(spec, p, e) < 0 ||
	    fields_texts(spec, "exclude", 256, 4095, &p->exclude, e) < 0 ||
	    fields_bool(spec, "skipCaches", &p->skip_caches, e) < 0 ||
	    fields_bool(spec, "allowEmpty", &p->allow_empty, e) < 0)
		return -1;
	for (size_t i = 0; p->want == SNAP_APPLICATION && i < p->nhooks; i++) {
		if (!p->hooks[i].post)
			return 0;
	}
	if (p->want == SNAP_APPLICATION)
		return err_set(e, ERR_INVALID,
		               "spec.consistency.want: 'application' needs a hook of the phase "
		               "pre, which has the application write out its state");
	return 0;
}

static int read_spec(const json_t *document, const char *zones, struct policy *p, struct err *e)
{
	static const char *const known[] = { "paused",   "priority",  "selector",    "schedule",
		                             "rpo",      "retention", "consistency", "hooks",
		                             "snapshot", "bandwidth", "domain",      "sets",
		                             "setBy",    "exclude",   "skipCaches",  "allowEmpty",
		                             NULL };
	static const char *const top[] = {
		"apiVersion", "kind", "metadata", "spec", "status", NULL
	};
	struct fields all, spec;

	/* A selector that is right counts even where something unknown stands beside it. */
	const struct fields loose = { .o = json_object_get(document, "spec"), .path = "spec" };
	if (!json_is_object(loose.o))
		return err_set(e, ERR_INVALID,
		               loose.o ? "spec: expected an object" : "spec: is missing");
	if (fields_number(&loose, "priority", -POLICY_PRIORITY_MAX, POLICY_PRIORITY_MAX,
	                  &p->priority, e) < 0 ||
	    read_selector(&loose, p, e) < 0 || fields_of(&all, document, "", top, e) < 0 ||
	    fields_in(&spec, &all, "spec", known, e) < 0)
		return -1;
	return read_rest(&spec, zones, p, e);
}

/* metadata has what the server puts there; only the names are ours. */
static int read_names(const json_t *document, const char *default_ns, struct policy *p,
                      struct err *e)
{
	const struct fields meta = { .o = json_object_get(document, "metadata"),
		                     .path = "metadata" };

	p->ns = default_ns;
	if (!json_is_object(meta.o))
		return err_set(e, ERR_INVALID, "metadata: is missing, or no object");
	if (fields_need(&meta, "name", e) < 0 ||
	    fields_text(&meta, "name", 1, POLICY_NAME_MAX, &p->name, e) < 0)
		return -1;
	return fields_text(&meta, "namespace", 1, 63, &p->ns, e);
}

int policy_read(const json_t *document, const char *zones, const char *default_ns,
                struct policy **ret, struct err *e)
{
	const char *api = json_string_value(json_object_get(document, "apiVersion"));
	const char *kind = json_string_value(json_object_get(document, "kind"));
	struct err why = ERR_INIT;

	if (!kind || strcmp(kind, POLICY_KIND) != 0)
		return err_set(e, ERR_INVALID, "kind: '%.80s' is no " POLICY_KIND,
		               kind ? kind : "");
	if (!api || strcmp(api, POLICY_API) != 0)
		return err_set(e, ERR_INVALID, "apiVersion: '%.80s' is not " POLICY_API,
		               api ? api : "");
	auto_policy struct policy *p = calloc(1, sizeof(*p));
	if (!p)
		return no_memory(e);
	p->document = json_incref((json_t *)(uintptr_t)document);
	p->name = p->cron_text = p->snapshot_class = p->domain = p->set_label = "";
	p->driver = drivers[0];
	if (read_names(document, default_ns, p, e) < 0)
		return -1;
	if (read_spec(document, zones, p, &why) < 0) {
		if (why.class == ERR_NOMEM) {
			*e = why;
			return -1;
		}
		(void)snprintf(p->invalid, sizeof(p->invalid), "%s", why.msg);
	}
	*ret = STEAL(&p);
	return 0;
}

int policy_check(const struct policy *p, struct err *e)
{
	if (!p->invalid[0])
		return 0;
	return err_set(e, ERR_INVALID, "policy '%s/%s': %s", p->ns, p->name, p->invalid);
}
