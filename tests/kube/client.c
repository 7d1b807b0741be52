/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of Kubernetes at the hands of a script (client.sh): one verb, one thing done with the
 * server that KUBECONFIG names, what came of it on standard output, an error as "CLASS: TEXT" on
 * standard error. What goes on for a while ends with a q on standard input.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clean.h"
#include "common/now.h"
#include "common/num.h"
#include "kube/event.h"
#include "kube/exec.h"
#include "kube/lease.h"
#include "kube/review.h"
#include "kube/watch.h"

static struct kube *kube;

static int told(const struct err *e)
{
	(void)fprintf(stderr, "%s: %s\n", err_class_name(e->class), e->msg);
	return 1;
}

/* Ends the program when something that must work does not. */
#define must(call)                             \
	do {                                   \
		struct err e_ = ERR_INIT;      \
		struct err *e = &e_;           \
		if ((call) < 0) {              \
			printf("%s: ", #call); \
			exit(told(e));         \
		}                              \
	} while (0)

#define fails(wanted, call)                                                       \
	do {                                                                      \
		struct err e_ = ERR_INIT;                                         \
		struct err *e = &e_;                                              \
		if ((call) == 0 || e_.class != (wanted)) {                        \
			printf("%s: not %s but ", #call, err_class_name(wanted)); \
			exit(told(e));                                            \
		}                                                                 \
	} while (0)

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	printf("does not hold: %s\n", what);
	exit(1);
}

/* ---- all kinds ---- */

static const struct sample {
	const struct kube_kind *kind;
	const char *body; /* without kind and metadata */
} samples[] = {
	{ &kube_pod, "'spec': {'containers': [{'name': 'a', 'image': 'b'}]}" },
	{ &kube_node, "'spec': {}" },
	{ &kube_namespace_kind, "'spec': {}" },
	{ &kube_pvc, "'spec': {'accessModes': ['ReadWriteOnce'], 'resources': {'requests': "
	             "{'storage': '1Mi'}}, 'storageClassName': 'x'}" },
	{ &kube_pv, "'spec': {'capacity': {'storage': '1Mi'}, 'accessModes': ['ReadWriteOnce'], "
	            "'hostPath': {'path': '/x'}}" },
	{ &kube_secret, "'stringData': {'a': 'b'}" },
	{ &kube_storage_class, "'provisioner': 'a.b'" },
	{ &kube_csi_driver, "'spec': {'attachRequired': false}" },
	{ &kube_volume_attachment, "'spec': {'attacher': 'a.b', 'nodeName': 'n', 'source': "
	                           "{'persistentVolumeName': 'v'}}" },
	{ &kube_lease, "'spec': {'holderIdentity': 'a'}" },
	{ &kube_event, "'eventTime': '2026-11-22T10:04:05.000000Z', 'reportingController': 'a/b', "
	               "'reportingInstance': 'c', 'action': 'A', 'reason': 'R', 'type': 'Normal', "
	               "'regarding': {'namespace': 'default', 'name': 'x'}" },
	{ &kube_snapshot, "'spec': {'source': {'persistentVolumeClaimName': 'x'}}" },
	{ &kube_snapshot_content,
	  "'spec': {'deletionPolicy': 'Retain', 'driver': 'd', 'source': {'snapshotHandle': 'h'}, "
	  "'volumeSnapshotRef': {'name': 'a', 'namespace': 'default'}}" },
	{ &kube_snapshot_class, "'driver': 'd', 'deletionPolicy': 'Delete'" },
};

static json_t *object_of(const struct sample *s, const char *name)
{
	struct err e;
	char text[2048];

	int n = snprintf(text, sizeof(text),
	                 "{'apiVersion': '%s%s%s', 'kind': '%s', 'metadata': {'name': '%s'}, %s}",
	                 s->kind->group, *s->kind->group ? "/" : "", s->kind->version,
	                 s->kind->kind, name, s->body);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_t *o = json_parse("sample", text, (size_t)n, &e);
	check(o, e.msg);
	return o;
}

static void crud(const struct sample *s)
{
	const struct kube_kind *kind = s->kind;
	const char *ns = kind->cluster ? NULL : "default";
	auto_json json_t *o = object_of(s, "one");
	auto_json json_t *made = NULL;
	auto_json json_t *read = NULL;
	auto_json json_t *changed = NULL;
	auto_json json_t *patch = json_pack("{s:{s:{s:s}}}", "metadata", "annotations",
	                                    "aksdr.io/x", "1");
	auto_json json_t *json_patch = json_pack("[{s:s, s:s, s:s}, {s:s, s:s}]", "op", "test",
	                                         "path", "/metadata/annotations/aksdr.io~1x",
	                                         "value", "1", "op", "remove", "path",
	                                         "/metadata/annotations/aksdr.io~1x");

	must(kube_create(kube, kind, ns, o, &made, e));
	fails(ERR_EXISTS, kube_create(kube, kind, ns, o, NULL, e));
	must(kube_get(kube, kind, ns, "one", &read, e));
	check(strcmp(kube_text_at(read, "metadata.uid"), kube_text_at(made, "metadata.uid")) == 0,
	      "what was made is what is read");
	must(kube_patch(kube, kind, ns, "one", NULL, KUBE_MERGE, patch, NULL, e));
	/* Events may only be written by merging, and they have no place for a version. */
	if (kind != &kube_event) {
		fails(ERR_BUSY, kube_replace(kube, kind, ns, "one", read, NULL, e));
		must(kube_get(kube, kind, ns, "one", &changed, e));
		must(kube_replace(kube, kind, ns, "one", changed, NULL, e));
	}
	must(kube_patch(kube, kind, ns, "one", NULL, KUBE_JSON, json_patch, NULL, e));
	fails(ERR_INVALID, kube_patch(kube, kind, ns, "one", NULL, KUBE_JSON, json_patch, NULL, e));
	if (kind != &kube_event)
		must(kube_patch(kube, kind, ns, "two", NULL, KUBE_APPLY, object_of(s, "two"), NULL,
		                e));
	must(kube_delete(kube, kind, ns, "one", "00000000-0000-0000-0000-000000000000", e));
	must(kube_get(kube, kind, ns, "one", NULL, e));
	must(kube_delete(kube, kind, ns, "one", kube_text_at(made, "metadata.uid"), e));
	must(kube_delete(kube, kind, ns, "two", NULL, e));
	must(kube_delete(kube, kind, ns, "three", NULL, e));
	printf("%s\n", kind->kind);
}

static int cmd_crud(void)
{
	for (size_t i = 0; i < ARRAY_LEN(samples); i++)
		crud(&samples[i]);
	return 0;
}

/* ---- lists ---- */

static int count(void *arg, const json_t *object, struct err *e)
{
	unsigned *n = arg;

	(void)object;
	(void)e;
	++*n;
	return 0;
}

static int cmd_fill(const char *text)
{
	static const struct sample secret = { &kube_secret, "'stringData': {'a': 'b'}" };

	uint64_t n = 0;

	must(num_u64("N", text, 0, 10000, &n, e));
	for (unsigned i = 0; i < n; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "s%u", i);
		auto_json json_t *o = object_of(&secret, name);
		must(kube_create(kube, &kube_secret, "default", o, NULL, e));
	}
	return 0;
}

static int cmd_list(void)
{
	const struct kube_select select = { .ns = "default", .fields = "metadata.name!=s0" };
	auto_free char *version = NULL;
	unsigned n = 0;

	must(kube_list(kube, &kube_secret, &select, count, &n, &version, e));
	printf("%u in %" PRIu64 " requests\n", n, kube_counted(kube).requests);
	return 0;
}

/* ---- watch ---- */

static void put(void *arg, const json_t *object)
{
	(void)arg;
	printf("put %s %s\n", kube_text_at(object, "metadata.name"),
	       kube_text_at(object, "metadata.labels.v"));
}

static void gone(void *arg, const char *ns, const char *name, const char *uid)
{
	(void)arg;
	check(*uid, "what is gone has a uid");
	printf("gone %s/%s\n", ns, name);
}

static void synced(void *arg)
{
	(void)arg;
	printf("synced\n");
}

static void trouble(void *arg, const struct err *e)
{
	(void)arg;
	if (e)
		(void)told(e);
	else
		printf("works\n");
}

static bool next(void)
{
	char c;

	return read(0, &c, 1) == 1 && c != 'q';
}

static int cmd_watch(void)
{
	const struct watch_params params = {
		.kube = kube,
		.kind = &kube_secret,
		.select = { .ns = "default" },
		.put = put,
		.gone = gone,
		.synced = synced,
		.trouble = trouble,
	};
	struct err e;
	struct watch *w = watch_start(&params, &e);

	check(w, "a watch starts");
	while (next())
		;
	int64_t start_ns = now_mono_ns();
	watch_stop(w);
	printf("stopped within %d s\n", (int)((now_mono_ns() - start_ns) / 1000000000) + 1);
	return 0;
}

/* ---- leases ---- */

static int cmd_lease(const char *holder, bool wait)
{
	auto_json json_t *note = json_pack("{s:s}", "aksdr.io/by", holder);
	struct cancel loss;
	struct err why = ERR_INIT;
	auto_free char *by = NULL;

	check(cancel_init(&loss) == 0, "a cancel");
	const struct lease_params params = { .kube = kube,
		                             .ns = "default",
		                             .name = "one",
		                             .holder = holder,
		                             .wait = wait,
		                             .on_loss = &loss };
	struct lease *l = lease_take(&params, &by, &why);
	if (!l) {
		printf("by %s\n", by ? by : "nobody");
		return told(&why);
	}
	const char *before = json_string_value(json_object_get(lease_notes(l), "aksdr.io/by"));
	printf("held after %s\n", before ? before : "nobody");
	must(lease_note(l, note, e));
	printf("noted\n");
	struct pollfd fds[] = { { .fd = 0, .events = POLLIN },
		                { .fd = loss.fd, .events = POLLIN } };
	(void)poll(fds, 2, -1);
	printf("%s\n", lease_held(l) ? "released" : "lost");
	lease_release(l);
	return 0;
}

/* ---- the rest ---- */

static int cmd_event(int times)
{
	struct err why;
	struct events *ev = events_new(kube, "client-1", &why);
	const struct event_about about = { &kube_secret, "default", "s1", "u-1", NULL };

	check(ev, "events");
	for (int i = 0; i < times; i++)
		must(events_tell(ev, &about, true, "BackupFailed", "Backup", "the store is\nfull",
		                 e));
	events_free(ev);
	return 0;
}

static int cmd_may(const char *user, const char *verb, const char *resource)
{
	const struct review what = {
		.verb = verb, .group = "", .resource = resource, .ns = "default"
	};
	static const char *const groups[] = { "system:authenticated", NULL };
	auto_free char *why = NULL;
	bool allowed = false;

	if (strcmp(user, "self") == 0)
		must(review_self(kube, &what, &allowed, &why, e));
	else
		must(review_other(kube, user, groups, &what, &allowed, NULL, e));
	printf("%s\n", allowed ? "yes" : "no");
	return 0;
}

static int cmd_token(const char *account, const char *audience, int64_t seconds)
{
	auto_free char *token = NULL;
	int64_t expires_s = 0;
	struct err e;

	if (review_token(kube, "default", account, audience, seconds, &token, &expires_s, &e) < 0)
		return told(&e);
	check(expires_s > now_wall_ns() / 1000000000, "it is good for a while");
	printf("%s\n", token);
	return 0;
}

static int cmd_get(const char *name)
{
	auto_json json_t *o = NULL;
	struct err e;

	if (kube_get(kube, &kube_secret, "default", name, &o, &e) < 0)
		return told(&e);
	printf("%s\n", kube_text_at(o, "metadata.name"));
	return 0;
}

/* Once for each line of standard input, with the same client. */
static int cmd_gets(const char *name)
{
	while (next())
		(void)cmd_get(name);
	return 0;
}

static int cmd_unknown(void)
{
	struct err e;

	return kube_get(kube, &kube_policy, "default", "x", NULL, &e) < 0 ? told(&e) : 0;
}

static void output(void *arg, bool err, const void *p, size_t n)
{
	(void)arg;
	(void)fwrite(p, 1, n, err ? stderr : stdout);
}

static int cmd_exec(const char *pod, const char *const *argv, int64_t timeout_ms)
{
	const struct exec_params params = { .ns = "default",
		                            .pod = pod,
		                            .argv = argv,
		                            .timeout_ms = timeout_ms,
		                            .output = output };
	struct err e;
	int status = -1;

	if (exec_run(kube, &params, &status, &e) < 0)
		return told(&e);
	printf("status %d\n", status);
	return 0;
}

int main(int argc, char **argv)
{
	const struct kube_params params = { .budget_ms = 20000 };
	const char *verb = argc > 1 ? argv[1] : "";
	struct err e;

	setvbuf(stdout, NULL, _IOLBF, 0);
	kube = kube_open(&params, &e);
	if (!kube)
		return told(&e);
	int rc = 2;
	if (strcmp(verb, "crud") == 0)
		rc = cmd_crud();
	else if (strcmp(verb, "fill") == 0 && argc > 2)
		rc = cmd_fill(argv[2]);
	else if (strcmp(verb, "list") == 0)
		rc = cmd_list();
	else if (strcmp(verb, "watch") == 0)
		rc = cmd_watch();
	else if (strcmp(verb, "lease") == 0 && argc > 3)
		rc = cmd_lease(argv[2], strcmp(argv[3], "wait") == 0);
	else if (strcmp(verb, "event") == 0)
		rc = cmd_event(3);
	else if (strcmp(verb, "may") == 0 && argc > 4)
		rc = cmd_may(argv[2], argv[3], argv[4]);
	else if (strcmp(verb, "token") == 0 && argc > 3)
		rc = cmd_token(argv[2], argv[3], 600);
	else if (strcmp(verb, "get") == 0 && argc > 2)
		rc = cmd_get(argv[2]);
	else if (strcmp(verb, "gets") == 0 && argc > 2)
		rc = cmd_gets(argv[2]);
	else if (strcmp(verb, "unknown") == 0)
		rc = cmd_unknown();
	else if (strcmp(verb, "exec") == 0 && argc > 3)
		rc = cmd_exec(argv[2], (const char *const *)argv + 3, 20000);
	kube_close(kube);
	return rc;
}
