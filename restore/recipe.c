/* SPDX-License-Identifier: Apache-2.0 */
/* See recipe.h. Each part of the spec has a reader of its own. */
#include "restore/recipe.h"

#include <fcntl.h>
#include <string.h>

#include "common/http.h"
#include "common/fd.h"
#include "common/now.h"
#include "common/num.h"
#include "common/yaml.h"

#define AGE_MAX_S (INT64_C(100) * 366 * 86400)
#define SIZE_MAX_BYTES (UINT64_C(1) << 60)

static const char *const modes[] = { "hot/hot", "hot/warm", "hot/cold", NULL };
static const char *const consistencies[] = { "fuzzy", "crash", "filesystem", "application", NULL };
static const char *const access_modes[] = { "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany",
	                                    "ReadWriteOncePod", NULL };

const char *recipe_mode_name(enum recipe_mode m)
{
	return modes[m];
}

static void select_clear(struct recipe_select *s)
{
	fields_texts_clear(&s->namespaces);
	fields_texts_clear(&s->not_namespaces);
	fields_texts_clear(&s->volumes);
	fields_texts_clear(&s->not_volumes);
	selector_clear(&s->labels);
}

static void gates_clear(struct recipe_gates *g)
{
	for (size_t i = 0; i < g->n; i++)
		fields_texts_clear(&g->v[i].command);
	free(g->v);
}

void recipe_free(struct recipe *r)
{
	if (!r)
		return;
	select_clear(&r->select);
	for (size_t i = 0; i < RECIPE_MAPS; i++)
		free(r->maps[i].v);
	for (size_t i = 0; i < r->nsizes; i++)
		fields_texts_clear(&r->sizes[i].volumes);
	free(r->sizes);
	for (size_t i = 0; i < r->nstages; i++) {
		struct recipe_stage *s = &r->stages[i];

		select_clear(&s->select);
		gates_clear(&s->gates);
		gates_clear(&s->hooks);
	}
	free(r->stages);
	fields_texts_clear(&r->drill.command);
	json_decref(r->document);
	free(r);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for a restore plan");
}

/* Item i of a list, with its path: "spec.stages[2]". */
static int item_of(struct fields *ret, const struct fields *f, const char *key, const json_t *list,
                   size_t i, const char *const *known, struct err *e)
{
	char path[sizeof(f->path)];

	(void)snprintf(path, sizeof(path), "%.100s.%.60s[%zu]", f->path, key, i);
	return fields_of(ret, json_array_get(list, i), path, known, e);
}

/* The items of a list, and room for what is read of them: zeros, owned. NULL: there are none. */
static int list_of(const struct fields *f, const char *key, size_t max, size_t bytes,
                   const json_t **ret_list, void **ret_v, struct err *e)
{
	if (fields_list(f, key, max, ret_list, e) < 0)
		return -1;
	*ret_v = NULL;
	if (json_array_size(*ret_list) == 0)
		return 0;
	*ret_v = calloc(json_array_size(*ret_list), bytes);
	return *ret_v ? 0 : no_memory(e);
}

/* ---- parts ---- */

static int read_side(const struct fields *spec, const char *key, struct recipe_side *ret,
                     struct err *e)
{
	static const char *const known[] = { "cluster", "region", NULL };
	struct fields f;

	*ret = (struct recipe_side){ "", "" };
	if (fields_in(&f, spec, key, known, e) < 0)
		return -1;
	if (!f.o)
		return 0;
	if (fields_need(&f, "cluster", e) < 0 ||
	    fields_text(&f, "cluster", 1, RECIPE_NAME_MAX, &ret->cluster, e) < 0)
		return -1;
	return fields_text(&f, "region", 1, 63, &ret->region, e);
}

static int read_select(const struct fields *in, struct recipe_select *s, struct err *e)
{
	static const char *const known[] = { "namespaces", "excludeNamespaces", "claimSelector",
		                             "volumes",    "excludeVolumes",    NULL };
	const size_t volume_max = 2 * RECIPE_NAME_MAX;
	struct fields f;

	if (fields_need(in, "selector", e) < 0 || fields_in(&f, in, "selector", known, e) < 0 ||
	    fields_texts(&f, "namespaces", RECIPE_LIST_MAX, RECIPE_NAME_MAX, &s->namespaces, e) <
	            0 ||
	    fields_texts(&f, "excludeNamespaces", RECIPE_LIST_MAX, RECIPE_NAME_MAX,
	                 &s->not_namespaces, e) < 0 ||
	    fields_texts(&f, "volumes", RECIPE_VOLUMES_MAX, volume_max, &s->volumes, e) < 0 ||
	    fields_texts(&f, "excludeVolumes", RECIPE_VOLUMES_MAX, volume_max, &s->not_volumes, e) <
	            0)
		return -1;
	return selector_in(&f, "claimSelector", &s->labels, e);
}

static int read_point(const struct fields *spec, struct recipe *r, struct err *e)
{
	static const char *const known[] = { "asOf", "geoDurable", "consistency", NULL };
	const char *as_of = NULL;
	struct err why = ERR_INIT;
	struct fields f;

	r->geo = true;
	if (fields_in(&f, spec, "point", known, e) < 0 ||
	    fields_text(&f, "asOf", 1, 64, &as_of, e) < 0 ||
	    fields_bool(&f, "geoDurable", &r->geo, e) < 0 ||
	    fields_choice(&f, "consistency", consistencies, &r->consistency, e) < 0)
		return -1;
	if (as_of && now_parse(as_of, &r->as_of_ns, &why) < 0)
		return fields_bad(&f, "asOf", e, "%s", why.msg);
	return 0;
}

static int read_pair(const struct fields *f, bool is_mode, struct recipe_pair *ret, struct err *e)
{
	unsigned n = 0;

	if (fields_need(f, "from", e) < 0 || fields_need(f, "to", e) < 0 ||
	    fields_text(f, "from", 1, RECIPE_NAME_MAX, &ret->from, e) < 0 ||
	    fields_text(f, "to", 1, RECIPE_NAME_MAX, &ret->to, e) < 0)
		return -1;
	if (is_mode && (fields_choice(f, "from", access_modes, &n, e) < 0 ||
	                fields_choice(f, "to", access_modes, &n, e) < 0))
		return -1;
	return 0;
}

static int read_pairs(const struct fields *f, const char *key, bool is_mode,
                      struct recipe_pairs *ret, struct err *e)
{
	static const char *const known[] = { "from", "to", NULL };
	const json_t *list;
	struct fields item;
	void *v;

	if (list_of(f, key, RECIPE_MAPS_MAX, sizeof(*ret->v), &list, &v, e) < 0)
		return -1;
	ret->v = v;
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct recipe_pair *p = &ret->v[ret->n++];

		if (item_of(&item, f, key, list, i, known, e) < 0 ||
		    read_pair(&item, is_mode, p, e) < 0)
			return -1;
		for (size_t j = 0; j < i; j++) {
			if (strcmp(ret->v[j].from, p->from) == 0)
				return fields_bad(&item, "from", e, "'%s' is there twice", p->from);
		}
	}
	return 0;
}

static int read_size(const struct fields *f, struct recipe_size *s, struct err *e)
{
	const char *least = NULL;
	struct err why = ERR_INIT;

	if (fields_texts(f, "volumes", RECIPE_VOLUMES_MAX, 2 * RECIPE_NAME_MAX, &s->volumes, e) <
	            0 ||
	    fields_text(f, "least", 1, 32, &least, e) < 0 ||
	    fields_number(f, "percent", 100, 1000, &s->percent, e) < 0)
		return -1;
	if (!least && !s->percent)
		return fields_bad(f, "least", e, "give least or percent");
	if (least && num_size("a size", least, SIZE_MAX_BYTES, &s->least, &why) < 0)
		return fields_bad(f, "least", e, "%s", why.msg);
	return 0;
}

static int read_mappings(const struct fields *spec, struct recipe *r, struct err *e)
{
	static const char *const keys[RECIPE_MAPS] = {
		"namespaces", "storageClasses", "regions", "zones", "registries", "accessModes"
	};
	static const char *const known[] = { "namespaces", "storageClasses", "regions", "zones",
		                             "registries", "accessModes",    "sizes",   NULL };
	static const char *const of_size[] = { "volumes", "least", "percent", NULL };
	const json_t *sizes;
	struct fields f, item;
	void *v;

	if (fields_in(&f, spec, "mappings", known, e) < 0)
		return -1;
	for (size_t i = 0; i < RECIPE_MAPS; i++) {
		if (read_pairs(&f, keys[i], i == RECIPE_MODES, &r->maps[i], e) < 0)
			return -1;
	}
	if (list_of(&f, "sizes", RECIPE_SIZES_MAX, sizeof(*r->sizes), &sizes, &v, e) < 0)
		return -1;
	r->sizes = v;
	for (size_t i = 0; i < json_array_size(sizes); i++) {
		if (item_of(&item, &f, "sizes", sizes, i, of_size, e) < 0 ||
		    read_size(&item, &r->sizes[r->nsizes++], e) < 0)
			return -1;
	}
	return 0;
}

/* ---- gates ---- */

/* The command, and the pod that it is run in. */
static int read_command(const struct fields *f, struct recipe_gate *g, struct err *e)
{
	static const char *const known[] = { "namespace", "selector", "container", NULL };
	CLEANUP(selector_clear) struct selector s = { .n = 0 };
	struct err why = ERR_INIT;
	struct fields pod;

	if (fields_words(f, "command", RECIPE_WORDS_MAX, &g->command, e) < 0 ||
	    fields_in(&pod, f, "pod", known, e) < 0 || fields_need(&pod, "namespace", e) < 0 ||
	    fields_text(&pod, "namespace", 1, 63, &g->ns, e) < 0 ||
	    fields_need(&pod, "selector", e) < 0 ||
	    fields_text(&pod, "selector", 1, 1024, &g->selector, e) < 0 ||
	    fields_text(&pod, "container", 1, 63, &g->container, e) < 0)
		return -1;
	return selector_parse("it", g->selector, &s, &why) < 0
	               ? fields_bad(&pod, "selector", e, "%s", why.msg)
	               : 0;
}

static int read_job(const struct fields *f, struct recipe_gate *g, struct err *e)
{
	static const char *const known[] = { "namespace", "name", NULL };
	struct fields job;

	if (fields_in(&job, f, "job", known, e) < 0 || fields_need(&job, "namespace", e) < 0 ||
	    fields_text(&job, "namespace", 1, 63, &g->ns, e) < 0 ||
	    fields_need(&job, "name", e) < 0)
		return -1;
	return fields_text(&job, "name", 1, 63, &g->job, e);
}

static int read_http(const struct fields *f, struct recipe_gate *g, struct err *e)
{
	static const char *const known[] = { "url", "codes", NULL };
	const json_t *codes;
	struct fields http;
	size_t i;
	json_t *code;

	if (fields_in(&http, f, "http", known, e) < 0 || fields_need(&http, "url", e) < 0 ||
	    fields_text(&http, "url", 1, 2048, &g->url, e) < 0 ||
	    fields_list(&http, "codes", RECIPE_CODES_MAX, &codes, e) < 0)
		return -1;
	/* The services of clouds that give identities to machines are no gate. */
	if (!http_url_allowed(g->url) || strncmp(g->url, "http://169.254.", 15) == 0)
		return fields_bad(&http, "url", e, "is asked by https, or of this machine");
	json_array_foreach(codes, i, code) {
		const json_int_t v = json_integer_value(code);

		if (v < 100 || v > 599)
			return fields_bad(&http, "codes", e,
			                  "has something that is no status code");
		g->codes[g->ncodes++] = (int)v;
	}
	if (g->ncodes == 0)
		g->codes[g->ncodes++] = 200;
	return 0;
}

static int read_gate(const struct fields *f, struct recipe_gate *g, struct err *e)
{
	static const char *const kinds[] = { "approval", "command", "job", "http", NULL };
	static const struct {
		const char *member;
		enum recipe_gate_kind kind;
	} members[] = { { "command", RECIPE_COMMAND },
		        { "pod", RECIPE_COMMAND },
		        { "job", RECIPE_JOB },
		        { "http", RECIPE_HTTP } };
	unsigned kind = 0;

	if (fields_need(f, "name", e) < 0 || fields_text(f, "name", 1, 63, &g->name, e) < 0 ||
	    fields_need(f, "kind", e) < 0 || fields_choice(f, "kind", kinds, &kind, e) < 0 ||
	    fields_duration(f, "timeout", 1, 604800, &g->timeout_s, e) < 0)
		return -1;
	g->kind = (enum recipe_gate_kind)kind;
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (fields_has(f, members[i].member) != (g->kind == members[i].kind))
			return fields_bad(f, members[i].member, e,
			                  "the kind %s needs one, and no other has one",
			                  kinds[members[i].kind]);
	}
	switch (g->kind) {
	case RECIPE_COMMAND:
		return read_command(f, g, e);
	case RECIPE_JOB:
		return read_job(f, g, e);
	case RECIPE_HTTP:
		return read_http(f, g, e);
	case RECIPE_APPROVAL:
	default:
		return 0;
	}
}

static bool has_gate(const struct recipe_gates *g, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(g->v[i].name, name) == 0)
			return true;
	return false;
}

/* other: names that are taken, too. */
static int read_gates(const struct fields *f, const char *key, const struct recipe_gates *other,
                      struct recipe_gates *ret, struct err *e)
{
	static const char *const known[] = { "name", "kind", "command", "pod",
		                             "job",  "http", "timeout", NULL };
	const json_t *list;
	struct fields item;
	void *v;

	if (list_of(f, key, RECIPE_GATES_MAX, sizeof(*ret->v), &list, &v, e) < 0)
		return -1;
	ret->v = v;
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct recipe_gate *g = &ret->v[ret->n++];

		if (item_of(&item, f, key, list, i, known, e) < 0 || read_gate(&item, g, e) < 0)
			return -1;
		if (has_gate(ret, i, g->name) || (other && has_gate(other, other->n, g->name)))
			return fields_bad(&item, "name", e, "'%s' is there twice", g->name);
	}
	return 0;
}

static int read_stage(const struct fields *f, struct recipe_stage *s, struct err *e)
{
	if (fields_need(f, "name", e) < 0 || fields_text(f, "name", 1, 63, &s->name, e) < 0 ||
	    read_select(f, &s->select, e) < 0 || read_gates(f, "gates", NULL, &s->gates, e) < 0)
		return -1;
	return read_gates(f, "hooks", &s->gates, &s->hooks, e);
}

static int read_stages(const struct fields *spec, struct recipe *r, struct err *e)
{
	static const char *const known[] = { "name", "selector", "gates", "hooks", NULL };
	const json_t *list;
	struct fields item;
	void *v;

	if (list_of(spec, "stages", RECIPE_STAGES_MAX, sizeof(*r->stages), &list, &v, e) < 0)
		return -1;
	r->stages = v;
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct recipe_stage *s = &r->stages[r->nstages++];

		if (item_of(&item, spec, "stages", list, i, known, e) < 0 ||
		    read_stage(&item, s, e) < 0)
			return -1;
		for (size_t j = 0; j < i; j++) {
			if (strcmp(r->stages[j].name, s->name) == 0)
				return fields_bad(&item, "name", e, "'%s' is there twice", s->name);
		}
	}
	return 0;
}

static int read_check(const struct fields *drill, struct recipe_drill *d, struct err *e)
{
	static const char *const known[] = { "image", "command", "timeout", NULL };
	struct fields f;

	if (fields_in(&f, drill, "check", known, e) < 0)
		return -1;
	if (!f.o)
		return 0;
	if (fields_need(&f, "image", e) < 0 || fields_text(&f, "image", 1, 512, &d->image, e) < 0 ||
	    fields_words(&f, "command", RECIPE_WORDS_MAX, &d->command, e) < 0)
		return -1;
	return fields_duration(&f, "timeout", 1, 86400, &d->timeout_s, e);
}

static int read_drill(const struct fields *spec, struct recipe_drill *d, struct err *e)
{
	static const char *const known[] = { "cron", "timeZone", "namespacePrefix", "check", NULL };
	struct err why = ERR_INIT;
	struct cron cron;
	struct fields f;

	*d = (struct recipe_drill){ .cron = "", .zone = "", .prefix = "drill-", .image = "" };
	if (fields_in(&f, spec, "drill", known, e) < 0)
		return -1;
	if (!f.o)
		return 0;
	if (fields_need(&f, "cron", e) < 0 ||
	    fields_text(&f, "cron", 1, CRON_TEXT_MAX, &d->cron, e) < 0 ||
	    fields_text(&f, "timeZone", 1, ZONE_NAME_MAX, &d->zone, e) < 0 ||
	    fields_text(&f, "namespacePrefix", 1, 20, &d->prefix, e) < 0 ||
	    read_check(&f, d, e) < 0)
		return -1;
	return cron_parse(&cron, d->cron, &why) == 0 ? 0 : fields_bad(&f, "cron", e, "%s", why.msg);
}

static int read_standby(const struct fields *spec, unsigned *ret_copies, struct err *e)
{
	static const char *const known[] = { "copies", NULL };
	int64_t copies = 1;
	struct fields f;

	if (fields_in(&f, spec, "standby", known, e) < 0 ||
	    (f.o && fields_number(&f, "copies", 1, RECIPE_COPIES_MAX, &copies, e) < 0))
		return -1;
	*ret_copies = (unsigned)copies;
	return 0;
}

static int read_spec(const struct fields *f, struct recipe *r, struct err *e)
{
	static const char *const known[] = { "mode",  "primary",  "secondary", "selector",
		                             "point", "mappings", "stages",    "rpo",
		                             "rto",   "standby",  "drill",     NULL };
	unsigned mode = 0;
	struct fields spec;

	if (fields_need(f, "spec", e) < 0 || fields_in(&spec, f, "spec", known, e) < 0 ||
	    fields_need(&spec, "mode", e) < 0 ||
	    fields_choice(&spec, "mode", modes, &mode, e) < 0 ||
	    fields_need(&spec, "primary", e) < 0 ||
	    read_side(&spec, "primary", &r->primary, e) < 0 ||
	    read_side(&spec, "secondary", &r->secondary, e) < 0 ||
	    read_select(&spec, &r->select, e) < 0 || read_point(&spec, r, e) < 0 ||
	    read_mappings(&spec, r, e) < 0 || read_stages(&spec, r, e) < 0 ||
	    fields_duration(&spec, "rpo", 60, AGE_MAX_S, &r->rpo_s, e) < 0 ||
	    fields_duration(&spec, "rto", 60, AGE_MAX_S, &r->rto_s, e) < 0 ||
	    read_standby(&spec, &r->copies, e) < 0 || read_drill(&spec, &r->drill, e) < 0)
		return -1;
	r->mode = (enum recipe_mode)mode;
	if (r->mode == RECIPE_HOT_HOT && !*r->secondary.cluster)
		return fields_bad(&spec, "secondary", e, "hot/hot names both sides");
	if (strcmp(r->secondary.cluster, r->primary.cluster) == 0)
		return fields_bad(&spec, "secondary.cluster", e, "is the primary itself");
	return 0;
}

static int read_head(const struct fields *f, struct recipe *r, struct err *e)
{
	const json_t *meta = json_object_get(f->o, "metadata");
	const char *name = json_string_value(json_object_get(meta, "name"));
	const char *ns = json_string_value(json_object_get(meta, "namespace"));
	const char *api = NULL;
	const char *kind = NULL;

	if (fields_text(f, "apiVersion", 1, 253, &api, e) < 0 ||
	    fields_text(f, "kind", 1, 63, &kind, e) < 0)
		return -1;
	if (!api || strcmp(api, RECIPE_API) != 0 || !kind || strcmp(kind, RECIPE_KIND) != 0)
		return err_set(e, ERR_INVALID,
		               "it is no " RECIPE_KIND " of " RECIPE_API ", but %.63s of %.253s",
		               kind ? kind : "nothing", api ? api : "nothing");
	if (!name || !*name || strlen(name) > RECIPE_NAME_MAX)
		return err_set(e, ERR_INVALID, "metadata.name: is missing, or too long");
	r->name = name;
	if (ns && *ns)
		r->ns = ns;
	return 0;
}

int recipe_read(const json_t *document, const char *default_ns, struct recipe **ret, struct err *e)
{
	static const char *const known[] = { "apiVersion", "kind",   "metadata",
		                             "spec",       "status", NULL };
	auto_recipe struct recipe *r = calloc(1, sizeof(*r));
	struct fields f;

	if (!r)
		return no_memory(e);
	r->document = json_incref((json_t *)(uintptr_t)document);
	r->ns = default_ns;
	if (fields_of(&f, document, "", known, e) < 0 || read_head(&f, r, e) < 0)
		return -1;
	if (read_spec(&f, r, e) < 0)
		return err_wrap(e, "restore plan '%.63s/%.253s'", r->ns, r->name);
	*ret = STEAL(&r);
	return 0;
}

/* ---- files ---- */

struct load {
	const char *path, *name, *default_ns;
	struct recipe *found; /* owned */
	size_t n;             /* plans that would do */
};

static void clean_load(struct load *l)
{
	recipe_free(l->found);
}

static int load_document(void *arg, const json_t *document, size_t line, struct err *e)
{
	const char *kind = json_string_value(json_object_get(document, "kind"));
	const json_t *meta = json_object_get(document, "metadata");
	const char *name = json_string_value(json_object_get(meta, "name"));
	struct load *l = arg;

	if (!kind || strcmp(kind, RECIPE_KIND) != 0 ||
	    (l->name && (!name || strcmp(name, l->name) != 0)))
		return 0;
	recipe_free(STEAL(&l->found));
	l->n++;
	if (recipe_read(document, l->default_ns, &l->found, e) < 0)
		return err_wrap(e, "%s: document at line %zu", l->path, line);
	return 0;
}

int recipe_load(const char *path, const char *name, const char *default_ns, struct recipe **ret,
                struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(YAML_BYTES_MAX);
	CLEANUP(clean_load) struct load l = { path, name, default_ns, NULL, 0 };

	if (fd_read_file(AT_FDCWD, path, &b, e) < 0 ||
	    yaml_each(path, b.data, b.len, load_document, &l, e) < 0)
		return -1;
	if (l.n == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no " RECIPE_KIND " %s%s%sin '%s'",
		               name ? "'" : "", name ? name : "", name ? "' " : "", path);
	if (l.n > 1)
		return err_set(e, ERR_NOT_FOUND,
		               "there are %zu " RECIPE_KIND "s in '%s': say which one by its name",
		               l.n, path);
	*ret = STEAL(&l.found);
	return 0;
}

/* ---- what it says of a volume ---- */

bool recipe_selects(const struct recipe_select *s, const char *ns, const char *name,
                    const json_t *labels)
{
	char full[2 * RECIPE_NAME_MAX + 2];

	(void)snprintf(full, sizeof(full), "%s/%s", ns, name);
	return fields_fit(&s->namespaces, &s->not_namespaces, ns) &&
	       fields_fit(&s->volumes, &s->not_volumes, full) && selector_fits(&s->labels, labels);
}

const char *recipe_mapped(const struct recipe *r, enum recipe_map map, const char *from)
{
	const struct recipe_pairs *pairs = &r->maps[map];

	for (size_t i = 0; i < pairs->n; i++) {
		if (strcmp(pairs->v[i].from, from) == 0)
			return pairs->v[i].to;
	}
	return from;
}

uint64_t recipe_size_of(const struct recipe *r, const char *ns, const char *name, uint64_t bytes)
{
	static const struct fields_texts none = { .n = 0 };
	char full[2 * RECIPE_NAME_MAX + 2];

	(void)snprintf(full, sizeof(full), "%s/%s", ns, name);
	for (size_t i = 0; i < r->nsizes; i++) {
		const struct recipe_size *s = &r->sizes[i];

		if (!fields_fit(&s->volumes, &none, full))
			continue;
		if (s->percent && bytes < SIZE_MAX_BYTES)
			bytes += bytes / 100 * ((uint64_t)s->percent - 100) +
			         bytes % 100 * ((uint64_t)s->percent - 100) / 100;
		return bytes > s->least ? bytes : s->least;
	}
	return bytes;
}

size_t recipe_stage_of(const struct recipe *r, const char *ns, const char *name,
                       const json_t *labels)
{
	for (size_t i = 0; i < r->nstages; i++) {
		if (recipe_selects(&r->stages[i].select, ns, name, labels))
			return i;
	}
	return r->nstages;
}
