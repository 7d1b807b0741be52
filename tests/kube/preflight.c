/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a preflight at the hands of scripts:
 *
 *   preflight images [--auths FILE] IMAGE...
 *          a line for each: what its registry says, and the image
 *   preflight plan FILE
 *          findings of the plan in the file (JSON), with the cluster that KUBECONFIG names, as
 *          "SEVERITY CODE OBJECT: WHAT"
 *   preflight gate FILE RUN STAGE
 *          waits at the gates, and then the hooks, of a stage of the RestorePlan in the file: "open
 *          STAGE/GATE" for each
 */
#include <stdio.h>
#include <string.h>

#include "common/fd.h"
#include "common/json.h"
#include "common/secret.h"
#include "restore/gate.h"
#include "restore/preflight.h"
#include "restore/registry.h"

#include <fcntl.h>

static int told(const struct err *e)
{
	(void)fprintf(stderr, "%s: %s\n", err_class_name(e->class), e->msg);
	return 1;
}

static int images(int argc, char **argv)
{
	static const char *const answers[] = { "there", "missing", "other", "denied", "unknown" };
	struct err e = ERR_INIT;
	auto_auths struct auths *auths = auths_new(&e);
	const char *file = argc > 1 && strcmp(argv[0], "--auths") == 0 ? argv[1] : NULL;
	const char *const *names = (const char *const *)(argv + (file ? 2 : 0));
	size_t n = (size_t)argc - (file ? 2 : 0);
	auto_free struct registry_result *ret = calloc(n + 1, sizeof(*ret));
	const struct registry_params p = { .auths = auths, .budget_ms = 3000 };

	if (!auths || !ret || (file && auths_load(auths, file, &e) < 0) ||
	    registry_look(&p, names, n, ret, &e) < 0)
		return told(&e);
	for (size_t i = 0; i < n; i++)
		printf("%s %s%s%s\n", answers[ret[i].answer], names[i], ret[i].why[0] ? ": " : "",
		       ret[i].why);
	return 0;
}

#define VOLUMES_MAX 16
#define TEXTS_MAX 8

/* A list of texts of an object, borrowed. */
static size_t texts(const json_t *o, const char *key, const char *ret[TEXTS_MAX])
{
	size_t i, n = 0;
	json_t *t;

	json_array_foreach(json_object_get(o, key), i, t) {
		if (n < TEXTS_MAX)
			ret[n++] = json_string_value(t);
	}
	return n;
}

static int plan(const char *file)
{
	static struct {
		struct preflight_volume v[VOLUMES_MAX];
		const char *modes[VOLUMES_MAX][TEXTS_MAX], *zones[VOLUMES_MAX][TEXTS_MAX],
			*images[VOLUMES_MAX][TEXTS_MAX];
	} a;
	CLEANUP(buf_clear) struct buf text = BUF_INIT(MIB);
	auto_findings struct findings l = FINDINGS_INIT;
	struct err e = ERR_INIT;
	size_t i;
	json_t *o;

	if (fd_read_file(AT_FDCWD, file, &text, &e) < 0)
		return told(&e);
	auto_json json_t *j = json_parse(file, text.data, text.len, &e);
	auto_kube struct kube *k = j ? kube_open(&(struct kube_params){ .budget_ms = 10000 }, &e)
	                             : NULL;
	if (!k)
		return told(&e);
	struct preflight_params p = { .volumes = a.v,
		                      .kube = k,
		                      .ns = kube_text_at(j, "ns"),
		                      .account = json_string_value(json_object_get(j, "account")),
		                      .images = kube_true_at(j, "images") };
	json_array_foreach(json_object_get(j, "volumes"), i, o) {
		if (i == VOLUMES_MAX)
			break;
		a.v[i] = (struct preflight_volume){
			.ns = kube_text_at(o, "ns"),
			.name = kube_text_at(o, "name"),
			.storage_class = kube_text_at(o, "class"),
			.size_bytes = (uint64_t)kube_number_at(o, "bytes", 0),
			.block = kube_true_at(o, "block"),
			.access_modes = a.modes[i],
			.naccess_modes = texts(o, "modes", a.modes[i]),
			.zones = a.zones[i],
			.nzones = texts(o, "zones", a.zones[i]),
			.images = a.images[i],
			.nimages = texts(o, "images", a.images[i]),
		};
		p.n = i + 1;
	}
	if (preflight_run(&p, &l, &e) < 0)
		return told(&e);
	for (size_t n = 0; n < l.n; n++)
		printf("%s %s %s: %s\n", finding_severity_name(l.list[n].severity), l.list[n].code,
		       l.list[n].object, l.list[n].what);
	return 0;
}

static int wait_at(const struct gate_params *p, const struct recipe_gates *gates)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; i < gates->n; i++) {
		if (gate_wait(p, &gates->v[i], &e) < 0)
			return told(&e);
		printf("open %s/%s\n", p->stage, gates->v[i].name);
		(void)fflush(stdout);
	}
	return 0;
}

static int gate(const char *file, const char *run, const char *stage)
{
	const struct kube_params params = { .budget_ms = 10000 };
	auto_recipe struct recipe *r = NULL;
	struct err e = ERR_INIT;

	auto_kube struct kube *k = kube_open(&params, &e);
	if (!k || recipe_load(file, NULL, "aksdr", &r, &e) < 0)
		return told(&e);
	const struct gate_params p = { .kube = k,
		                       .ns = "aksdr",
		                       .run = run,
		                       .plan_ns = r->ns,
		                       .plan = r->name,
		                       .stage = stage,
		                       .every_ms = 200 };
	for (size_t i = 0; i < r->nstages; i++) {
		if (strcmp(r->stages[i].name, stage) != 0)
			continue;
		return wait_at(&p, &r->stages[i].gates) || wait_at(&p, &r->stages[i].hooks);
	}
	return 2;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	if (secret_init(&e) < 0)
		return told(&e);
	if (argc > 2 && strcmp(argv[1], "images") == 0)
		return images(argc - 2, argv + 2);
	if (argc == 3 && strcmp(argv[1], "plan") == 0)
		return plan(argv[2]);
	if (argc == 5 && strcmp(argv[1], "gate") == 0)
		return gate(argv[2], argv[3], argv[4]);
	return 2;
}
