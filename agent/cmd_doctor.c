/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aksdr-agent doctor: proves what a backup will need, before it needs it.
 * People get each check as soon as it is done, since some take a while;
 * programs get all of them at the end.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/cluster.h"
#include "agent/cmd.h"
#include "agent/doctor.h"
#include "agent/examine.h"
#include "agent/preview.h"
#include "agent/workplace.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/secret.h"
#include "repo/crypt.h"
#include "repo/repo.h"

/* Doctors are not patient: what does not work within seconds is told. */
#define PATIENCE_MS 10000
#define LONGEST_MS 2000
/* Long enough to be there when its object is deleted, short enough to be gone with the coffee. */
#define SHORT_LOCK "2m"
#define COLUMNS_USUAL 80
#define COLUMNS_MOST 120

enum { OPT_QUICK = 256, OPT_CLUSTER, OPT_HOOKS, OPT_PAGE };

static bool quick, in_cluster;
static const char *hooks[CLUSTER_HOOKS_MAX];
static size_t nhooks;
static bool page;

static const struct verb_option options[] = {
	{ "quick", NULL, "move 8 MiB each way instead of up to 64, and repeat less", OPT_QUICK },
	{ "cluster", NULL, "look at the cluster too, by a kubeconfig; in a pod that is done anyway",
	  OPT_CLUSTER },
	{ "hooks", "NAMESPACE", "pods of it run hooks; all: of any. May be repeated", OPT_HOOKS },
	{ "page", NULL, "there is a page for people: ask for its rights, too", OPT_PAGE },
	{ NULL, NULL, NULL, 0 },
};

static int set(void *state, int key, const char *value, struct err *e)
{
	(void)state;
	if (key == OPT_QUICK) {
		quick = true;
	} else if (key == OPT_CLUSTER) {
		in_cluster = true;
	} else if (key == OPT_PAGE) {
		page = true;
	} else {
		if (nhooks == CLUSTER_HOOKS_MAX)
			return err_set(e, ERR_INVALID, "--hooks names at most %d namespaces",
			               CLUSTER_HOOKS_MAX);
		hooks[nhooks++] = value;
	}
	return 0;
}

static const struct table_column columns[] = {
	{ "group", "GROUP", TABLE_TEXT },   { "check", "CHECK", TABLE_TEXT },
	{ "result", "RESULT", TABLE_TEXT }, { "detail", "DETAIL", TABLE_TEXT },
	{ "remedy", "REMEDY", TABLE_TEXT },
};

struct doctor {
	const struct verb_common *common;
	struct table *t;   /* programs' output */
	const char *group; /* of the last check that people were told */
	unsigned width;
	unsigned counts[4]; /* by enum doctor_result */
	char failed[256];   /* names of what failed */
};

static void tell(void *arg, const char *group, const char *check, const struct doctor_verdict *v)
{
	struct doctor *d = arg;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(16 * KIB);
	size_t n = strlen(d->failed);

	d->counts[v->result]++;
	if (v->result == DOCTOR_FAILED)
		(void)snprintf(d->failed + n, sizeof(d->failed) - n, "%s%s", n > 0 ? ", " : "",
		               check);
	table_row(d->t);
	table_text(d->t, group);
	table_text(d->t, check);
	table_text(d->t, doctor_result_name(v->result));
	table_text(d->t, v->detail);
	table_text(d->t, v->remedy[0] ? v->remedy : NULL);
	if (d->common->output != OUTPUT_TABLE)
		return;
	if (d->common->quiet && v->result != DOCTOR_WARNING && v->result != DOCTOR_FAILED)
		return;
	if (d->group && strcmp(d->group, group) != 0 && !d->common->quiet)
		(void)putchar('\n');
	d->group = group;
	if (doctor_lines(&b, check, v, d->width) == 0)
		(void)fwrite(b.data, 1, b.len, stdout);
	(void)fflush(stdout);
}

static unsigned width_of_stdout(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 ||
	    size.ws_col == 0)
		return COLUMNS_USUAL;
	return size.ws_col < COLUMNS_MOST ? size.ws_col : COLUMNS_MOST;
}

static void tell_simply(struct doctor *d, const char *check, bool good, const char *detail)
{
	struct doctor_verdict v = doctor_say(good ? DOCTOR_OK : DOCTOR_FAILED, "%s", detail);

	tell(d, "repository", check, &v);
}

/* What the key is good for here, and where it is used. */
static void tell_repository(struct doctor *d, const struct repo *r)
{
	static const char *const kinds[] = { "recovery", "agent", "audit" };
	char hex[33], text[128];
	struct doctor_verdict v;

	hex_encode(hex, r->keys->repo, 16);
	(void)snprintf(text, sizeof(text), "%s key of repository %s", kinds[r->keys->kind], hex);
	tell_simply(d, "repository and key", true, text);
	tell_simply(d, "may write", r->keys->has_sign && r->keys->kind == KEY_AGENT,
	            r->keys->kind == KEY_AGENT ? "the agent key signs"
	                                       : "only an agent key makes restore points");
	tell_simply(d, "writers", true,
	            r->params.single_writer ? "one at a time, of all machines together"
	                                    : "any number");
	if (r->params.cipher != CIPHER_AES256GCM) {
		v = doctor_say(DOCTOR_OK, "XChaCha20-Poly1305");
	} else if (crypt_best_cipher() == CIPHER_AES256GCM) {
		v = doctor_say(DOCTOR_OK, "AES-256-GCM, in hardware");
	} else {
		v = doctor_say(DOCTOR_WARNING,
		               "AES-256-GCM, which this CPU has no instructions for: slow");
	}
	tell(d, "repository", "cipher", &v);
	bool writable = r->state[0] && access(r->state, W_OK) == 0;
	tell_simply(d, "local state", writable,
	            writable ? r->state
	                     : "no directory for the cache (--state): every backup starts cold");
}

/* Without a key nothing is known of the repository, which is fine before there is one. */
static struct repo *open_repository(const struct verb_common *c, struct store *s, struct err *e)
{
	struct keys *k = NULL;
	struct repo *r = NULL;

	if (keys_load(c->key, c->passphrase_file, &k, e) < 0 ||
	    repo_open(s, k, c->state, cancel_on_signals(), &r, e) < 0)
		return NULL;
	return r;
}

struct handles {
	char *plain, *short_lock; /* URLs */
	char *asked;              /* the parameter `lock` */
	struct store *store, *sweep, *locking, *second;
};

static void handles_close(struct handles *h)
{
	store_free(h->store);
	store_free(h->sweep);
	store_free(h->locking);
	store_free(h->second);
	free(h->plain);
	free(h->short_lock);
	free(h->asked);
}

static struct store *open_patiently(const char *url, unsigned flags, const struct cancel *cancel,
                                    struct err *e)
{
	const struct store_retry_params params = { .budget_ms = PATIENCE_MS,
		                                   .longest_ms = LONGEST_MS,
		                                   .cancel = cancel };

	return store_open_retry(url, flags, &params, e);
}

/* No probe shall be kept as long as backups are: the lock is shortened, or left out. */
static int handles_open(struct handles *h, const char *url, struct err *e)
{
	struct cancel *cancel = cancel_on_signals();
	char *again = NULL;
	struct err why;

	if (doctor_url(url, NULL, &h->plain, &h->asked, e) < 0)
		return -1;
	h->store = open_patiently(h->plain, 0, cancel, e);
	if (!h->store)
		return -1;
	h->sweep = open_patiently(h->plain, 0, NULL, e);
	if (!h->sweep)
		return -1;
	if (h->asked) {
		int rc = doctor_url(url, SHORT_LOCK, &h->short_lock, &again, e);

		free(again);
		if (rc < 0)
			return -1;
		h->locking = open_patiently(h->short_lock, 0, cancel, e);
		if (!h->locking)
			return -1;
		/* The lock that is meant must make sense as well. */
		struct store *earnest = store_open(url, 0, e);
		if (!earnest)
			return -1;
		store_free(earnest);
	}
	h->second = open_patiently(h->plain, STORE_SECOND, cancel, &why);
	return 0;
}

static json_t *figures_json(const struct doctor *d, const struct examine_figures *f)
{
	return json_pack("{s{sI sI sI} s{sI sI sI sI sI sI sI sI sI sI sI sI}}", "checks", "ok",
	                 (json_int_t)d->counts[DOCTOR_OK], "warnings",
	                 (json_int_t)d->counts[DOCTOR_WARNING], "failed",
	                 (json_int_t)d->counts[DOCTOR_FAILED], "measured", "first_answer_us",
	                 (json_int_t)(f->first_ns / 1000), "clock_ahead_min_ms",
	                 (json_int_t)(f->clock.lo_ns / 1000000), "clock_ahead_max_ms",
	                 (json_int_t)(f->clock.hi_ns / 1000000), "latency_min_us",
	                 (json_int_t)(f->latency.min_ns / 1000), "latency_median_us",
	                 (json_int_t)(f->latency.median_ns / 1000), "latency_max_us",
	                 (json_int_t)(f->latency.max_ns / 1000), "second_region_lag_ms",
	                 (json_int_t)(f->lag_ns < 0 ? -1 : f->lag_ns / 1000000),
	                 "upload_bytes_s_one", (json_int_t)doctor_rate_of(f->up_one),
	                 "upload_bytes_s_many", (json_int_t)doctor_rate_of(f->up_many),
	                 "download_bytes_s_one", (json_int_t)doctor_rate_of(f->down_one),
	                 "download_bytes_s_many", (json_int_t)doctor_rate_of(f->down_many),
	                 "objects_left", (json_int_t)f->left);
}

static int finish(struct doctor *d, const struct examine_figures *f, struct err *e)
{
	const unsigned *n = d->counts;

	if (d->common->output != OUTPUT_TABLE) {
		auto_json json_t *extra = figures_json(d, f);

		if (!extra)
			return err_set(e, ERR_NOMEM, "no memory for the answer");
		if (table_print(d->t, stdout, extra, e) < 0)
			return -1;
	} else if (!d->common->quiet) {
		(void)printf("\n%u checks: %u ok, %u warning%s, %u FAILED\n",
		             n[DOCTOR_OK] + n[DOCTOR_WARNING] + n[DOCTOR_FAILED], n[DOCTOR_OK],
		             n[DOCTOR_WARNING], n[DOCTOR_WARNING] == 1 ? "" : "s",
		             n[DOCTOR_FAILED]);
	}
	if (n[DOCTOR_FAILED] > 0)
		return err_set(e, ERR_IO, "%u of the checks failed: %s", n[DOCTOR_FAILED],
		               d->failed);
	return 0;
}

static void tell_volumes(struct doctor *d, const struct verb_common *c, int n, char **paths)
{
	CLEANUP(workplace_close) struct workplace w = { NULL, NULL };
	struct err why = ERR_INIT;
	struct snapshot_env env = { .journal = NULL };

	if (n == 0)
		return;
	if (workplace_open(c->state, &w, &why) == 0) {
		env.journal = w.journal;
		env.scratch_dir = w.scratch;
	}
	struct doctor_verdict v = preview_freezer(&env);
	tell(d, "snapshots", "freezer", &v);
	for (int i = 0; i < n; i++) {
		v = preview_volume(&env, paths[i]);
		tell(d, "snapshots", "volume", &v);
	}
}

/* Of a cluster that we are in, or that was asked for; anywhere else nothing is said. */
static int tell_cluster(struct doctor *d, struct err *e)
{
	const struct kube_params params = { .budget_ms = PATIENCE_MS,
		                            .cancel = cancel_on_signals() };
	struct err why = ERR_INIT;

	if (!in_cluster && !getenv("KUBERNETES_SERVICE_HOST"))
		return 0;
	auto_kube struct kube *k = kube_open(&params, &why);
	if (!k) {
		struct doctor_verdict v = doctor_say(DOCTOR_FAILED, "%s", why.msg);

		tell(d, CLUSTER_GROUP, "API server", &v);
		return 0;
	}
	const struct cluster_examine x = { .kube = k,
		                           .ns = kube_namespace(k),
		                           .hooks = hooks,
		                           .nhooks = nhooks,
		                           .page = page,
		                           .tell = tell,
		                           .arg = d };
	return cluster_examine(&x, e);
}

static int run(void *state, const struct verb_common *c, int argc, char **argv, struct err *e)
{
	struct examine_figures figures = { .lag_ns = -1 };
	CLEANUP(handles_close) struct handles h = { 0 };
	struct err why = ERR_INIT, no_repository = ERR_INIT;
	struct doctor_verdict v;

	(void)state;
	auto_table struct table *t = table_new("aksdr/doctor/v1", columns, ARRAY_LEN(columns),
	                                       c->output, e);
	if (!t)
		return -1;
	struct doctor d = { .common = c, .t = t, .width = width_of_stdout() };
	if (tell_cluster(&d, e) < 0)
		return -1;
	if (handles_open(&h, c->store, &why) < 0) {
		v = doctor_say(DOCTOR_FAILED, "%s", why.msg);
		tell(&d, "rights", "store", &v);
		return finish(&d, &figures, e);
	}
	v = doctor_say(DOCTOR_OK, "%s", h.store->url);
	tell(&d, "rights", "store", &v);
	auto_repo struct repo *r = c->key ? open_repository(c, h.store, &no_repository) : NULL;
	const struct examine x = {
		.store = h.store,
		.sweep = h.sweep,
		.locking = h.locking,
		.lock = h.asked,
		.second = h.second,
		.single_writer = r && r->params.single_writer,
		.quick = quick,
		.cancel = cancel_on_signals(),
		.progress = c->output == OUTPUT_TABLE ? c->progress : PROGRESS_NEVER,
		.tell = tell,
		.arg = &d,
	};
	if (examine_store(&x, &figures, e) < 0)
		return -1;
	if (r) {
		tell_repository(&d, r);
	} else {
		v = c->key ? doctor_say(DOCTOR_FAILED, "%s", no_repository.msg)
		           : doctor_say(DOCTOR_NONE,
		                        "not looked at: no key was given (--key FILE)");
		tell(&d, "repository", "repository and key", &v);
	}
	tell_volumes(&d, c, argc, argv);
	return finish(&d, &figures, e);
}

const struct verb cmd_doctor = {
	.name = "doctor",
	.args = "[PATH...]",
	.summary = "prove what backups need of a store, before they need it",
	.text = "Tries the store out on objects of its own under probe/, tells each check with its "
		"result and what to do about it, and takes the objects away again where that is "
		"allowed. With a key also the repository and the local state are looked at, and of "
		"each PATH how a view of it would be made; in a cluster, what the agent needs "
		"there.\n\n"
		"  cluster        the API server, each right of the agent, policies, and which\n"
		"                 class takes snapshots of each driver's volumes\n"
		"  rights         create, read, list, delete, lock: each by itself, and\n"
		"                 what is to be given where one is missing\n"
		"  guarantees     one name has one writer; what is written is there and\n"
		"                 listed at once, what is deleted is gone; parts of\n"
		"                 objects, checksums, the clock\n"
		"  second region  how far it is, and whether it answers\n"
		"  speed          latency, upload and download, one and 16 at once\n"
		"  snapshots      how a view of each PATH would be made, and why not better\n\n"
		"At most 64 MiB go each way; 8 with --quick, and where the URL has a lock; 2 where "
		"nothing can be deleted. A lock is tried with one small object that is kept for "
		"two minutes.\n\n"
		"The exit status is 1 when something failed that a backup needs, or that the "
		"store's URL asks for, as a lock; warnings leave it 0.",
	.examples = "aksdr-agent doctor --store azure://ACCOUNT/CONTAINER\n"
		    "aksdr-agent doctor --store file:///srv/backup --key agent.key /var/lib/data\n"
		    "kubectl -n aksdr exec daemonset/aksdr-agent -- /usr/bin/aksdr-agent doctor "
		    "--quick\n"
		    "aksdr-agent doctor --quick --quiet --store file:///srv/backup --key agent.key",
	.options = options,
	.flags = VERB_STORE,
	.max_args = ~0u,
	.set = set,
	.run = run,
};
