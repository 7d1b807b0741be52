/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-agent backup: backs volumes up once. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/claim_job.h"
#include "agent/claim_leases.h"
#include "agent/cmd.h"
#include "agent/given.h"
#include "agent/job.h"
#include "agent/mover.h"
#include "agent/pod_hook.h"
#include "agent/tell.h"
#include "agent/workplace.h"
#include "common/fd.h"
#include "common/hex.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "common/table.h"
#include "repo/protect.h"
#include "snapshot/azure_arm.h"
#include "snapshot/csi_azure.h"
#include "store/traffic.h"

#define EXCLUDES_MAX 256
#define VOLUMES_MAX 64

enum {
	OPT_DRIVER = 256,
	OPT_SET,
	OPT_DOMAIN,
	OPT_CLUSTER,
	OPT_NAMESPACE,
	OPT_UID,
	OPT_EXCLUDE,
	OPT_SKIP_CACHES,
	OPT_CROSS_MOUNTS,
	OPT_ALLOW_EMPTY,
	OPT_DROP_CACHE,
	OPT_IGNORE_CTIME,
	OPT_FORCE,
	OPT_TAKE_OVER,
	OPT_NO_VERIFY,
	OPT_LEVEL,
	OPT_THREADS,
	OPT_PAGE_CACHE,
	OPT_METRICS,
	OPT_EXTEND_LOCKS,
	OPT_PRE,
	OPT_POST,
	OPT_HOOK_TIMEOUT,
	OPT_ON_HOOK_ERROR,
	OPT_FREEZE_TIMEOUT,
	OPT_FREEZER,
	OPT_COPY_MAX,
	OPT_REQUIRE_MOUNT,
	OPT_CHANGED_BLOCKS,
	OPT_FULL_EVERY,
	OPT_POLICY,
	OPT_SLOT,
	OPT_NODE,
	OPT_AGENT_NAMESPACE,
	OPT_MOVER_TEMPLATE,
	OPT_KUBELET_DIR,
	OPT_READER,
	OPT_SNAPSHOT_CLASS,
	OPT_AZURE_DISKS,
	OPT_VIEW,
	OPT_RESULT
};

static const char *excludes[EXCLUDES_MAX];
static struct hook hooks[MOMENT_HOOKS_MAX];
static struct snapshot_env env;
static struct moment_params moment_params = { .env = &env, .driver = "auto", .hooks = hooks };
static struct job_params job = {
	.excludes = excludes,
	.verify_encode = true,
	.full_every = 10,
};
static const char *domain, *cluster = "", *namespace = "", *uid = "", *metrics;

/* Of claims of a cluster. */
static struct claim_leases_params claim_options = { .slot_s = SCHED_NONE };
static struct claim_job claim_job;
static const char *policy_file, *mover_file, *driver;
static const char *azure_disks; /* NULL: not said */
/* Of a mover, which is given its view. */
static const char *given_view, *given_result;

static const struct verb_option options[] = {
	{ "driver", "auto|csi|claim|btrfs|lvm-thin|reflink|freeze|live",
	  "how a view of one moment is made; default: the best that the volume supports",
	  OPT_DRIVER },
	{ "pre", "COMMAND", "run before the moment, by /bin/sh -c; may be repeated", OPT_PRE },
	{ "post", "COMMAND", "run behind the moment, whatever happened; may be repeated",
	  OPT_POST },
	{ "hook-timeout", "TIME", "longest that one command may take; default 30s",
	  OPT_HOOK_TIMEOUT },
	{ "on-hook-error", "fail|continue",
	  "whether a command that fails ends the backup; default fail", OPT_ON_HOOK_ERROR },
	{ "freeze-timeout", "TIME",
	  "longest that a file system is frozen; default 10s, at most 60s", OPT_FREEZE_TIMEOUT },
	{ "freezer", "SOCKET", "of an aksdr-freezer that runs; default: one is started when needed",
	  OPT_FREEZER },
	{ "copy-max", "SIZE",
	  "largest volume that 'freeze' copies, and the most that may change while 'reflink' "
	  "clones; default 256MiB",
	  OPT_COPY_MAX },
	{ "require-mount", NULL, "refuse a PATH that is not where a file system is mounted",
	  OPT_REQUIRE_MOUNT },
	{ "set", "ID", "32 hexadecimal digits shared by points that belong together", OPT_SET },
	{ "domain", "NAME", "volumes of one domain share chunks (default: cluster/namespace)",
	  OPT_DOMAIN },
	{ "cluster", "ID", "the cluster that the volumes are of", OPT_CLUSTER },
	{ "namespace", "NAME", "the namespace that the volumes are of", OPT_NAMESPACE },
	{ "uid", "UID", "the volume's own id, such as a PVC's uid", OPT_UID },
	{ "exclude", "PATTERN", "leave out what matches, as in .gitignore; may be repeated",
	  OPT_EXCLUDE },
	{ "skip-caches", NULL, "of directories with a CACHEDIR.TAG take only the tag",
	  OPT_SKIP_CACHES },
	{ "cross-mounts", NULL, "take file systems that are mounted below the path too",
	  OPT_CROSS_MOUNTS },
	{ "allow-empty", NULL, "an empty volume is no error", OPT_ALLOW_EMPTY },
	{ "drop-cache", NULL, "large files leave the page cache after reading", OPT_DROP_CACHE },
	{ "ignore-ctime", NULL, "a change of ctime alone is none (for clones of snapshots)",
	  OPT_IGNORE_CTIME },
	{ "force", NULL, "read every file, whatever the previous point says", OPT_FORCE },
	{ "take-over", NULL,
	  "single-writer repository: end other sessions that are open, which must be dead",
	  OPT_TAKE_OVER },
	{ "no-verify-encode", NULL, "do not decode each chunk again before it is uploaded",
	  OPT_NO_VERIFY },
	{ "level", "N", "compression, 1 (fast) to 19 (small); default 3", OPT_LEVEL },
	{ "threads", "N", "threads that compress and encrypt; default: the CPUs, at most 8",
	  OPT_THREADS },
	{ "page-cache", "SIZE", "local fingerprints of pages that may change; default 2GiB",
	  OPT_PAGE_CACHE },
	{ "metrics", "FILE", "write what was asked of the store for Prometheus' textfile collector",
	  OPT_METRICS },
	{ "extend-locks", NULL,
	  "lock all that the new points use, as 'aksdr-catalog lock' does for every point",
	  OPT_EXTEND_LOCKS },
	{ "changed-blocks", NULL,
	  "keep each view until the next, so that of large files only what changed is read "
	  "(btrfs, lvm-thin)",
	  OPT_CHANGED_BLOCKS },
	{ "full-every", "N",
	  "with --changed-blocks: read all and compare at every Nth backup; default 10",
	  OPT_FULL_EVERY },
	{ "policy", "FILE",
	  "a BackupPolicy, JSON or YAML ('-': standard input), for what no option says",
	  OPT_POLICY },
	{ "slot", "TIME", "the firing of its schedule that the run of a claim is for; default now",
	  OPT_SLOT },
	{ "node", "NAME", "the node that this runs on, for the names of what is made", OPT_NODE },
	{ "agent-namespace", "NAME",
	  "where views of claims are held; default: the namespace that this runs in",
	  OPT_AGENT_NAMESPACE },
	{ "mover-template", "FILE", "the pod that reads the view of a claim, JSON or YAML",
	  OPT_MOVER_TEMPLATE },
	{ "kubelet-dir", "DIR",
	  "with --reader node: the kubelet's directory; default /var/lib/kubelet",
	  OPT_KUBELET_DIR },
	{ "reader", "auto|mover|node", "who reads the view of a claim; default auto", OPT_READER },
	{ "snapshot-class", "NAME", "VolumeSnapshotClass of claims; default: found by the driver",
	  OPT_SNAPSHOT_CLASS },
	{ "azure-disks", "off|block|raw",
	  "read claims of disk.csi.azure.com from their incremental snapshots, only what changed: "
	  "those without a file system (block), or all, as images (raw); default: "
	  "AKSDR_AZURE_DISKS for policies with changedBlocks, else off",
	  OPT_AZURE_DISKS },
	{ "view", "JSON", "in a mover: what is known of the view that PATH is", OPT_VIEW },
	{ "result", "FILE", "in a mover: where to tell what came of it", OPT_RESULT },
	{ NULL, NULL, NULL, 0 },
};

static bool extend_locks;

static int set_exclude(const char *value, struct err *e)
{
	if (job.nexcludes == EXCLUDES_MAX)
		return err_set(e, ERR_INVALID,
		               "there are more than %d patterns of what to leave out",
		               EXCLUDES_MAX);
	excludes[job.nexcludes++] = value;
	return 0;
}

static int set_set(const char *value, struct err *e)
{
	uint8_t id[16];

	if (strlen(value) != 32 || hex_decode(id, sizeof(id), value) < 0)
		return err_set(e, ERR_INVALID, "--set '%s' is not of 32 hexadecimal digits", value);
	job.set = value;
	return 0;
}

static int set_hook(enum hook_phase phase, const char *line, struct err *e)
{
	if (moment_params.nhooks == MOMENT_HOOKS_MAX)
		return err_set(e, ERR_INVALID,
		               "there are more than %d commands by --pre and --post",
		               MOMENT_HOOKS_MAX);
	hooks[moment_params.nhooks++] = (struct hook){ .phase = phase, .line = line };
	return 0;
}

static int set_seconds(const char *what, const char *value, int64_t most_s, unsigned *ret_ms,
                       struct err *e)
{
	int64_t s;

	if (num_duration(what, value, &s, e) < 0)
		return -1;
	if (s < 1 || s > most_s)
		return err_set(e, ERR_INVALID, "%s '%s' is not between 1s and %llds", what, value,
		               (long long)most_s);
	*ret_ms = (unsigned)(s * 1000);
	return 0;
}

static int set_slot(const char *value, struct err *e)
{
	int64_t ns;

	if (now_parse(value, &ns, e) < 0)
		return err_wrap(e, "--slot");
	claim_options.slot_s = ns / 1000000000;
	return 0;
}

static void set_reader(const char *value)
{
	claim_job.reader = strcmp(value, "mover") == 0  ? POLICY_READ_MOVER
	                   : strcmp(value, "node") == 0 ? POLICY_READ_NODE
	                                                : POLICY_READ_AUTO;
}

static unsigned hook_timeout_ms;
static enum hook_on_error on_hook_error = HOOK_FAIL;

static int set(void *state, int key, const char *value, struct err *e)
{
	uint64_t n;

	(void)state;
	switch (key) {
	case OPT_METRICS:
		metrics = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--metrics needs the name of a file");
	case OPT_DRIVER:
		driver = value;
		return 0;
	case OPT_POLICY:
		policy_file = value;
		return 0;
	case OPT_SLOT:
		return set_slot(value, e);
	case OPT_NODE:
		claim_options.node = value;
		return 0;
	case OPT_AGENT_NAMESPACE:
		claim_options.agent_ns = value;
		return 0;
	case OPT_MOVER_TEMPLATE:
		mover_file = value;
		return 0;
	case OPT_KUBELET_DIR:
		claim_job.kubelet_dir = value;
		return 0;
	case OPT_READER:
		set_reader(value);
		return 0;
	case OPT_SNAPSHOT_CLASS:
		claim_options.class = value;
		return 0;
	case OPT_AZURE_DISKS:
		azure_disks = value;
		return 0;
	case OPT_VIEW:
		given_view = value;
		return 0;
	case OPT_RESULT:
		given_result = value;
		return 0;
	case OPT_SET:
		return set_set(value, e);
	case OPT_DOMAIN:
		domain = value;
		return 0;
	case OPT_CLUSTER:
		cluster = value;
		return 0;
	case OPT_NAMESPACE:
		namespace
		= value;
		return 0;
	case OPT_UID:
		uid = value;
		return 0;
	case OPT_EXCLUDE:
		return set_exclude(value, e);
	case OPT_SKIP_CACHES:
		job.skip_caches = true;
		return 0;
	case OPT_CROSS_MOUNTS:
		job.cross_mounts = true;
		return 0;
	case OPT_ALLOW_EMPTY:
		job.allow_empty = true;
		return 0;
	case OPT_DROP_CACHE:
		job.drop_cache = true;
		return 0;
	case OPT_IGNORE_CTIME:
		job.ignore_ctime = true;
		return 0;
	case OPT_FORCE:
		job.force = true;
		return 0;
	case OPT_TAKE_OVER:
		job.take_over = true;
		return 0;
	case OPT_NO_VERIFY:
		job.verify_encode = false;
		return 0;
	case OPT_LEVEL:
		if (num_u64("--level", value, 1, 19, &n, e) < 0)
			return -1;
		job.level = (int)n;
		return 0;
	case OPT_THREADS:
		if (num_u64("--threads", value, 1, 64, &n, e) < 0)
			return -1;
		job.threads = (unsigned)n;
		return 0;
	case OPT_EXTEND_LOCKS:
		extend_locks = true;
		return 0;
	case OPT_PRE:
		return set_hook(HOOK_PRE, value, e);
	case OPT_POST:
		return set_hook(HOOK_POST, value, e);
	case OPT_HOOK_TIMEOUT:
		return set_seconds("--hook-timeout", value, HOOK_TIMEOUT_MAX_MS / 1000,
		                   &hook_timeout_ms, e);
	case OPT_ON_HOOK_ERROR:
		on_hook_error = strcmp(value, "fail") == 0 ? HOOK_FAIL : HOOK_CONTINUE;
		return 0;
	case OPT_FREEZE_TIMEOUT:
		return set_seconds("--freeze-timeout", value, FREEZER_DEADLINE_MAX_MS / 1000,
		                   &env.freeze_max_ms, e);
	case OPT_FREEZER:
		env.freezer = value;
		return 0;
	case OPT_COPY_MAX:
		return num_size("--copy-max", value, (uint64_t)1 << 50, &env.copy_max_bytes, e);
	case OPT_REQUIRE_MOUNT:
		moment_params.require_mount = true;
		return 0;
	case OPT_CHANGED_BLOCKS:
		job.changed_blocks = true;
		return 0;
	case OPT_FULL_EVERY:
		return num_u64("--full-every", value, 1, 1000000, &job.full_every, e);
	default:
		return num_size("--page-cache", value, (uint64_t)1 << 44, &job.page_cache_bytes, e);
	}
}

static int copy_name(char *to, size_t max, const char *what, const char *text, size_t n,
                     struct err *e)
{
	if (n >= max)
		return err_set(e, ERR_INVALID, "the %s '%.40s...' is over %zu bytes long", what,
		               text, max - 1);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f || text[i] == '@')
			return err_set(e, ERR_INVALID,
			               "the %s '%.*s' has a control character or '@' in it", what,
			               (int)n, text);
	memcpy(to, text, n);
	to[n] = '\0';
	return 0;
}

/* NAME=PATH into a volume. */
static int parse_volume(const char *arg, struct point_volume *v, const char **ret_path,
                        struct err *e)
{
	const char *eq = strchr(arg, '=');

	memset(v, 0, sizeof(*v));
	if (!eq || eq == arg || !eq[1])
		return err_set(e, ERR_INVALID, "'%s' is not of the form NAME=PATH", arg);
	if (memchr(arg, '/', (size_t)(eq - arg)))
		return err_set(e, ERR_INVALID, "the volume name in '%s' has a '/' in it", arg);
	*ret_path = eq + 1;
	if (copy_name(v->name, sizeof(v->name), "volume name", arg, (size_t)(eq - arg), e) < 0 ||
	    copy_name(v->cluster, sizeof(v->cluster), "cluster", cluster, strlen(cluster), e) < 0 ||
	    copy_name(v->namespace, sizeof(v->namespace), "namespace", namespace, strlen(namespace),
	              e) < 0 ||
	    copy_name(v->uid, sizeof(v->uid), "uid", uid, strlen(uid), e) < 0)
		return -1;
	return 0;
}

static const struct table_column columns[] = {
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "point", "POINT", TABLE_TEXT },
	{ "sequence", "SEQ", TABLE_NUMBER },
	{ "frozen", NULL, TABLE_TIME },
	{ "consistency", "CONSISTENCY", TABLE_TEXT },
	{ "files", "FILES", TABLE_NUMBER },
	{ "logical_bytes", "SIZE", TABLE_BYTES },
	{ "read_bytes", "READ", TABLE_BYTES },
	{ "new_bytes", "NEW", TABLE_BYTES },
	{ "stored_bytes", "STORED", TABLE_BYTES },
	{ "duration_ms", "TOOK", TABLE_DURATION },
	{ "unreadable", "UNREADABLE", TABLE_NUMBER },
	{ "changed", "CHANGED", TABLE_NUMBER },
	{ "session", NULL, TABLE_TEXT },
	{ "set", NULL, TABLE_TEXT },
	{ "requests", NULL, TABLE_NUMBER },
	{ "driver", NULL, TABLE_TEXT },
	{ "frozen_ms", NULL, TABLE_NUMBER },
	{ "moment", NULL, TABLE_TEXT },
	{ "fallback", NULL, TABLE_TEXT },
};

static void add_row(struct table *t, const struct point *p, uint64_t requests, bool people)
{
	char id[33];

	(void)snprintf(id, people ? 9 : sizeof(id), "%s", p->id);
	table_row(t);
	table_text(t, p->volume.name);
	table_text(t, id);
	table_number(t, (int64_t)p->sequence);
	table_number(t, p->frozen_ns);
	table_text(t, p->consistency);
	table_number(t, (int64_t)(p->files + p->directories + p->others));
	table_number(t, (int64_t)p->bytes_logical);
	table_number(t, (int64_t)p->bytes_read);
	table_number(t, (int64_t)p->bytes_new);
	table_number(t, (int64_t)p->bytes_stored);
	table_number(t, (p->finished_ns - p->started_ns) / 1000000);
	table_number(t, (int64_t)p->unreadable);
	table_number(t, (int64_t)p->changed);
	table_text(t, p->session);
	table_text(t, p->set);
	table_number(t, (int64_t)requests);
	table_text(t, p->driver);
	table_number(t, (p->capture.thawed_ns - p->capture.frozen_ns) / 1000000);
	table_text(t, p->capture.moment);
	table_text(t, p->capture.fallback ? p->capture.fallback : "");
}

static void tell_problems(const struct point *p)
{
	for (size_t i = 0; i < p->nproblems; i++)
		log_warn("file not saved as it is", LOG_S("volume", p->volume.name),
		         LOG_S("path", p->problems[i].path), LOG_S("why", p->problems[i].why));
	if (p->unreadable + p->changed > p->nproblems)
		log_warn("more files not saved as they are", LOG_S("volume", p->volume.name),
		         LOG_U("count", p->unreadable + p->changed - p->nproblems));
}

/* The points that were made, one after the other. */
struct made {
	char sessions[VOLUMES_MAX][POINT_SESSION_LEN + 1];
	const char *names[VOLUMES_MAX];
	size_t n;
};

static void note_made(struct made *m, const struct point *p)
{
	memcpy(m->sessions[m->n], p->session, POINT_SESSION_LEN);
	m->names[m->n] = m->sessions[m->n];
	m->n++;
}

static int may_lock(const struct repo *r, struct err *e)
{
	if (!extend_locks || r->store->lock_s > 0)
		return 0;
	return err_set(e, ERR_INVALID,
	               "--extend-locks needs a store that locks what it gets: add lock=30d to its "
	               "URL");
}

/* The points are made; whatever fails here is done by the next `aksdr-catalog lock`. */
static int lock_made(const struct repo *r, const struct made *m, struct err *e)
{
	const struct protect_params params = {
		.sessions = m->names,
		.nsessions = m->n,
		.lock_s = r->store->lock_s,
		.margin_s = r->store->lock_s / 4,
		.threads = job.threads,
	};
	struct protect_result result;

	if (!extend_locks || job.dry_run || m->n == 0)
		return 0;
	if (protect_run(r, &params, &result, e) < 0) {
		err_wrap(e, "the restore points are made, and not locked");
		e->class = ERR_PARTIAL;
		return -1;
	}
	if (result.covered == result.points && result.unreadable == 0)
		return 0;
	return err_set(e, ERR_PARTIAL, "the restore points are made, and not locked: %.300s",
	               result.refusal.class == ERR_NONE ? "not all that they use can be read"
	                                                : result.refusal.msg);
}

/* A claim that was read into a volume. */
static int name_claim(const struct csi_claim *c, struct point_volume *v, struct err *e)
{
	memset(v, 0, sizeof(*v));
	if (copy_name(v->name, sizeof(v->name), "name", c->name, strlen(c->name), e) < 0 ||
	    copy_name(v->cluster, sizeof(v->cluster), "cluster", cluster, strlen(cluster), e) < 0 ||
	    copy_name(v->namespace, sizeof(v->namespace), "namespace", c->ns, strlen(c->ns), e) < 0)
		return -1;
	return copy_name(v->uid, sizeof(v->uid), "uid", c->uid, strlen(c->uid), e);
}

/* Whether the volumes are claims: all of them or none. */
static int are_claims(int argc, char **argv, bool *ret, struct err *e)
{
	*ret = csi_is_origin(argv[0]);
	for (int i = 1; i < argc; i++)
		if (csi_is_origin(argv[i]) != *ret)
			return err_set(e, ERR_INVALID,
			               "claims and paths are not backed up in one call: '%.200s' "
			               "and '%.200s'",
			               argv[0], argv[i]);
	if (argc > VOLUMES_MAX)
		return err_set(e, ERR_INVALID, "there are more than %d volumes in one call",
		               VOLUMES_MAX);
	return 0;
}

/* All names are looked at before the first byte is read. */
static int parse_all(int argc, char **argv, struct point_volume *volumes, const char **paths,
                     struct err *e)
{
	for (int i = 0; i < argc; i++) {
		if (parse_volume(argv[i], &volumes[i], &paths[i], e) < 0)
			return -1;
		for (int k = 0; k < i; k++)
			if (strcmp(volumes[k].name, volumes[i].name) == 0)
				return err_set(
					e, ERR_INVALID,
					"two volumes are called '%s'; a name stands for one volume",
					volumes[i].name);
	}
	return 0;
}

static int write_metrics(struct store *s, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(METRIC_TEXT_MAX);
	struct store_traffic t = store_traffic(s);

	traffic_put(&t, &b);
	return metric_write(&b, metrics, e);
}

/* The domain that a volume is of: the one that is named, or its place. */
static int choose_domain(const struct point_volume *v, char *buffer, size_t max, const char **ret,
                         struct err *e)
{
	int n = snprintf(buffer, max, "%s%s%s", v->cluster,
	                 v->cluster[0] && v->namespace[0] ? "/" : "", v->namespace);

	if (!domain && n >= (int)max)
		return err_set(e, ERR_INVALID,
		               "cluster and namespace are too long for a domain's name; "
		               "pass --domain");
	*ret = domain ? domain : n ? buffer : "default";
	return 0;
}

/* One call of the verb. */
struct call {
	const struct verb_common *c;
	struct repo *r;
	struct table *t;
	struct made made;
	uint64_t unreadable;
	int done;
	bool failed;
	struct err first;            /* failure */
	struct claim_leases *claims; /* NULL: volumes are paths */
	bool told[VOLUMES_MAX];      /* of each claim: how its run ended */
	struct events *events;       /* of the claims */
	const char *unhooked;        /* of the claims: hooks without a pod; NULL: none */
	/* For whoever gave the view: texts and numbers of the point, no lists. */
	struct point last;
	uint64_t last_requests;
};

static void note_failure(struct call *x, const char *name, const struct err *why, bool last)
{
	if (!x->failed)
		x->first = *why;
	x->failed = true;
	if (!last && why->class != ERR_CANCELLED)
		log_error("volume not backed up", LOG_S("volume", name), LOG_S("why", why->msg));
}

/* Reads the view of volume i to the commit. */
static int back_up_one(struct call *x, size_t i, struct moment *m, struct point *p,
                       uint64_t *ret_requests, struct err *e)
{
	/* The first one pays for opening the repository. */
	uint64_t before = i > 0 ? store_requests(x->r->store) : 0;
	char own_domain[128];

	if (!x->claims) {
		int rc = job_backup(x->r, &job, p, e);
		*ret_requests = store_requests(x->r->store) - before;
		return rc;
	}
	if (claim_leases_check(x->claims, e) < 0 ||
	    choose_domain(&job.volume, own_domain, sizeof(own_domain), &job.domain, e) < 0)
		return -1;
	claim_job.run = &x->claims->run;
	claim_job.claim = &x->claims->run.claims[i];
	claim_job.view = &m->volumes[i];
	claim_job.job = &job;
	/* A disk that can be read from its snapshot needs no pod. */
	if (claim_job.claim->azure) {
		int rc = claim_job_check(&claim_job, e) < 0 ? -1 : job_backup(x->r, &job, p, e);
		*ret_requests = store_requests(x->r->store) - before;
		return rc;
	}
	claim_job.repo = x->r;
	claim_job.node = claim_options.node;
	claim_job.pod = getenv("POD_NAME");
	if (claim_job_run(&claim_job, p, ret_requests, e) < 0)
		return err_wrap(e, "claim '%s/%s'", claim_job.claim->ns, claim_job.claim->name);
	p->volume = job.volume;
	free(p->capture.fallback);
	p->capture.fallback = STEAL(&m->volumes[i].capture.fallback);
	p->capture.frozen_ns = m->volumes[i].capture.frozen_ns;
	p->capture.thawed_ns = m->volumes[i].capture.thawed_ns;
	memcpy(p->capture.moment, m->volumes[i].capture.moment, sizeof(p->capture.moment));
	return 0;
}

/* On its claim: a restore point, or why there is none. */
static void announce(const struct call *x, const struct csi_claim *c, const struct point *p,
                     const struct err *why)
{
	struct err e = ERR_INIT;
	struct tell t = { .outcome = TELL_FAILED, .why = why->msg };
	char text[64];

	if (p)
		tell_of_point(p, p->capture.fallback, text, &t);
	else if (why->class == ERR_CANCELLED)
		t.outcome = TELL_SKIPPED;
	t.ns = c->ns;
	t.name = c->name;
	t.uid = c->uid;
	if (tell_claim(x->claims->kube, x->events, &t, &e) < 0)
		log_warn("what came of a backup is not told on its claim", LOG_S("volume", c->name),
		         LOG_S("why", e.msg));
}

/* How the run of a claim ended, to its Lease, once its view is gone. */
static void end_claim(struct call *x, size_t i, const struct point *p, const struct err *why)
{
	if (!x->claims || x->told[i])
		return;
	x->told[i] = true;
	claim_leases_end(x->claims, i, p, why, p ? p->capture.fallback : NULL);
	if (x->events && (p || why->class != ERR_BUSY)) /* whoever holds the Lease tells */
		announce(x, &x->claims->run.claims[i], p, why);
}

/* One after the other. What is not wanted any more is not read. */
static void back_up(struct call *x, const struct point_volume *volumes, struct moment *m)
{
	job.moment = m;
	for (size_t i = 0; i < m->n; i++) {
		struct moment_volume *v = &m->volumes[i];
		struct point p = { 0 };
		struct err why = v->why;
		uint64_t requests = 0;

		job.volume = volumes[i];
		job.view = i;
		job.last = true;
		for (size_t k = i + 1; k < m->n; k++)
			job.last = job.last && !m->volumes[k].snapshot;
		/* The other volumes are still worth saving. */
		bool made = v->snapshot && back_up_one(x, i, m, &p, &requests, &why) == 0;
		moment_release(v, made);
		end_claim(x, i, made ? &p : NULL, &why);
		if (!made) {
			if (!v->snapshot && why.class != ERR_NONE)
				err_wrap(&why, "volume '%s'", v->name);
			note_failure(x, v->name, &why, i + 1 == m->n);
			if (why.class == ERR_CANCELLED)
				return;
			continue;
		}
		tell_problems(&p);
		x->unreadable += p.unreadable;
		note_made(&x->made, &p);
		add_row(x->t, &p, requests, x->c->output == OUTPUT_TABLE);
		x->last = p;
		x->last_requests = requests;
		point_clear(&p);
		x->done++;
	}
}

static int conclude(struct call *x, struct err *e)
{
	struct err unlocked = ERR_INIT;
	bool locked = lock_made(x->r, &x->made, &unlocked) == 0;

	if (!locked && (x->failed || x->unreadable))
		log_warn("restore points not locked", LOG_S("why", unlocked.msg));
	if (metrics && write_metrics(x->r->store, e) < 0)
		return -1;
	if (x->done && !(x->c->quiet && x->c->output == OUTPUT_TABLE) &&
	    table_print(x->t, stdout, NULL, e) < 0)
		return -1;
	if (x->failed) {
		*e = x->first;
		if (x->done && e->class != ERR_CANCELLED)
			e->class = ERR_PARTIAL;
		return -1;
	}
	if (x->unreadable)
		return err_set(e, ERR_PARTIAL,
		               "%llu %s could not be read and %s not in the restore point",
		               (unsigned long long)x->unreadable,
		               x->unreadable == 1 ? "entry" : "entries",
		               x->unreadable == 1 ? "is" : "are");
	if (!locked) {
		*e = unlocked;
		return -1;
	}
	return 0;
}

/* Where snapshots are noted; what earlier runs left is removed. Without it: live reads. */
static void open_workplace(const char *state, struct workplace *w)
{
	struct err why = ERR_INIT;
	size_t removed = 0;

	if (workplace_open(state, w, &why) < 0) {
		log_warn("no snapshots can be made", LOG_S("why", why.msg));
		return;
	}
	env.keep_no_base = !job.changed_blocks;
	env.journal = w->journal;
	env.scratch_dir = w->scratch;
	if (workplace_tidy(w, &removed, &why) < 0)
		log_warn("what an earlier run left could not be removed", LOG_S("why", why.msg));
	if (removed > 0)
		log_info("removed what earlier runs left", LOG_U("count", removed));
}

static void set_hooks(bool dry_run)
{
	for (size_t i = 0; i < moment_params.nhooks; i++) {
		hooks[i].timeout_ms = hook_timeout_ms;
		hooks[i].on_error = on_hook_error;
	}
	/* Nothing is made or run: the volume is looked at as it is. */
	if (dry_run) {
		moment_params.nhooks = 0;
		moment_params.driver = "live";
	}
}

/* ---- policies ---- */

static struct policy_list policies;

/* The one policy of a file says what no option says. */
static int apply_policy(struct err *e)
{
	const char *path = strcmp(policy_file, "-") == 0 ? "/dev/stdin" : policy_file;
	char rate[32];

	if (policy_load_file(path, NULL, "default", &policies, e) < 0)
		return -1;
	if (policies.n != 1)
		return err_set(e, ERR_INVALID, "--policy '%s' has %zu policies, not one",
		               policy_file, policies.n);
	const struct policy *p = policies.items[0];
	if (policy_check(p, e) < 0)
		return -1;
	if (!driver)
		driver = p->driver;
	if (!claim_options.class)
		claim_options.class = p->snapshot_class;
	if (!domain && *p->domain)
		domain = p->domain;
	if (claim_job.reader == POLICY_READ_AUTO)
		claim_job.reader = p->reader;
	if (!env.freeze_max_ms)
		env.freeze_max_ms = (unsigned)(p->freeze_timeout_s * 1000);
	for (size_t i = 0; i < p->exclude.n; i++)
		if (set_exclude(p->exclude.v[i], e) < 0)
			return -1;
	job.skip_caches |= p->skip_caches;
	job.allow_empty |= p->allow_empty;
	job.changed_blocks |= p->changed_blocks;
	if (p->changed_blocks)
		job.full_every = (uint64_t)p->full_every;
	claim_job.want = p->want;
	claim_job.strict = p->on_less == POLICY_LESS_FAIL;
	(void)snprintf(rate, sizeof(rate), "%llu", (unsigned long long)p->bandwidth_bytes_s);
	/* A limit that is set already is the node's share, which knows of the policy's. */
	if (p->bandwidth_bytes_s && (setenv("AKSDR_LIMIT_UPLOAD", rate, 0) < 0 ||
	                             setenv("AKSDR_LIMIT_DOWNLOAD", rate, 0) < 0))
		return err_set(e, ERR_NOMEM, "no memory for the bandwidth of a policy");
	return 0;
}

/* ---- the verb ---- */

static struct point_volume volumes[VOLUMES_MAX];
static struct moment_volume views[VOLUMES_MAX];
static struct call x;

static void choose_set(char *id)
{
	uint8_t random[16];

	if (job.set)
		return;
	secret_random(random, sizeof(random));
	hex_encode(id, random, sizeof(random));
	job.set = id;
}

/* The views of all volumes, and what is read of them. paths: of volumes. */
static int back_up_all(const struct verb_common *c, int n, const char *const *paths, struct err *e)
{
	auto_repo struct repo *r = NULL;

	if (repo_open_url(c->store, c->dry_run ? STORE_READONLY : 0, c->key, c->passphrase_file,
	                  c->state, cancel_on_signals(), &r, e) < 0)
		return -1;
	if (may_lock(r, e) < 0)
		return -1;
	if (r->params.single_writer && !c->dry_run)
		log_warn("this repository has a single writer at a time: its store cannot keep "
		         "writers apart");
	auto_table struct table *t = table_new("aksdr/backup/v1", columns, ARRAY_LEN(columns),
	                                       c->output, e);
	if (!t)
		return -1;
	CLEANUP(workplace_close) struct workplace w = { NULL, NULL };
	if (!c->dry_run)
		open_workplace(c->state, &w);
	for (int i = 0; i < n; i++)
		views[i] = (struct moment_volume){ .name = volumes[i].name, .path = paths[i] };
	for (int i = 0; x.unhooked && i < n; i++)
		if (capture_add_note(&views[i].capture, x.unhooked, e) < 0)
			return -1;
	x.r = r;
	x.t = t;
	CLEANUP(moment_end) struct moment m = { .n = 0 };
	if (given_view) {
		m = (struct moment){ .params = &moment_params, .volumes = views, .n = 1 };
		if (given_read(given_view, &env, &views[0], e) < 0)
			return -1;
	} else {
		moment_take(&m, &moment_params, views, (size_t)n);
	}
	back_up(&x, volumes, &m);
	return conclude(&x, e);
}

/* Who is asked for snapshots of managed disks; NULL: nobody, they are read as all others. */
static struct azure_arm *ask_azure(struct csi_run *run)
{
	const struct azure_arm_params params = { .cancel = run->cancel };
	struct err why = ERR_INIT;
	bool any = false;

	/* A policy has it where this installation has: reading takes memory that a mover has. */
	if (!azure_disks)
		azure_disks = job.changed_blocks ? getenv("AKSDR_AZURE_DISKS") : NULL;
	if (!azure_disks)
		return NULL;
	for (size_t i = 0; i < run->n; i++)
		any |= csi_azure_is(&run->claims[i]);
	run->azure_raw = strcmp(azure_disks, "raw") == 0;
	bool on = run->azure_raw || strcmp(azure_disks, "block") == 0;
	if (!on && *azure_disks && strcmp(azure_disks, "off") != 0)
		log_warn("AKSDR_AZURE_DISKS is none of off, block, raw, and counts as off",
		         LOG_S("value", azure_disks));
	if (!any || !on)
		return NULL;
	job.changed_blocks = true;
	struct azure_arm *a = azure_arm_new(&params, &why);
	if (!a)
		log_warn("changed ranges of managed disks are not used", LOG_S("why", why.msg));
	return a;
}

static void clean_events(struct events *const *ev)
{
	events_free(*ev);
}

/* In a pod the host has the pod's name. */
static struct events *open_events(struct kube *k, struct err *e)
{
	char host[HOST_NAME_MAX + 1] = "aksdr-agent";

	(void)gethostname(host, sizeof(host) - 1);
	return events_new(k, host, e);
}

/* The hooks of the policy, as more of ours. */
static int find_hooks(const struct claim_leases *claims, struct pod_hooks *ret, struct err *e)
{
	const struct csi_claim *c = claims->run.claims;
	const char *names[VOLUMES_MAX];
	size_t n = moment_params.nhooks;

	if (policies.n == 0 || policies.items[0]->nhooks == 0)
		return 0;
	for (size_t i = 0; i < claims->run.n; i++) {
		if (strcmp(c[i].ns, c[0].ns) != 0)
			return err_set(e, ERR_INVALID,
			               "the hooks of a policy are for claims of one namespace: "
			               "back '%s/%s' and '%s/%s' up by themselves",
			               c[0].ns, c[0].name, c[i].ns, c[i].name);
		names[i] = c[i].name;
	}
	if (pod_hook_find(claims->kube, policies.items[0], c[0].ns, names, claims->run.n,
	                  POD_HOOKS_MAX, ret, e) < 0)
		return -1;
	for (size_t i = 0; i < ret->n; i++) {
		if (n == MOMENT_HOOKS_MAX)
			return err_set(e, ERR_TOO_BIG, "there are more than %d hooks",
			               MOMENT_HOOKS_MAX);
		hooks[n++] = ret->hooks[i];
	}
	moment_params.nhooks = n;
	x.unhooked = ret->unused;
	return 0;
}

static int back_up_claims(const struct verb_common *c, int n, const char *const *origins,
                          struct err *e)
{
	CLEANUP(claim_leases_close) struct claim_leases claims = CLAIM_LEASES_NONE;
	auto_json json_t *template = mover_file ? mover_template(mover_file, e) : NULL;
	struct err lost = ERR_INIT;

	if (mover_file && !template)
		return -1;
	if (c->dry_run)
		return err_set(e, ERR_UNSUPPORTED,
		               "--dry-run is not for claims: reading one makes "
		               "a snapshot and a pod");
	claim_options.cancel = cancel_on_signals();
	if (claim_leases_open(&claims, &claim_options, origins, (size_t)n, e) < 0)
		return -1;
	for (int i = 0; i < n; i++)
		if (name_claim(&claims.run.claims[i], &volumes[i], e) < 0)
			return -1;
	auto_azure_arm struct azure_arm *azure = ask_azure(&claims.run);
	claims.run.azure = azure;
	CLEANUP(pod_hook_clear) struct pod_hooks in_pods = { .n = 0 };
	CLEANUP(clean_events) struct events *events = open_events(claims.kube, e);
	x.events = events;
	if (!events || find_hooks(&claims, &in_pods, e) < 0) {
		for (int i = 0; i < n; i++)
			end_claim(&x, (size_t)i, NULL, e);
		return -1;
	}
	env.cluster = &claims.run;
	x.claims = &claims;
	claim_job.template = template;
	int rc = back_up_all(c, n, origins, e);
	for (int i = 0; i < n; i++)
		end_claim(&x, (size_t)i, NULL, e);
	/* Then it was not somebody who had us end. */
	if (rc < 0 && claim_leases_check(&claims, &lost) < 0)
		*e = lost;
	return rc;
}

static int tell_result(int rc, const struct err *why, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(GIVEN_RESULT_MAX);

	if (given_result_write(x.done ? &x.last : NULL, why, x.last_requests, &b, e) < 0)
		return -1;
	auto_close int fd = open(given_result, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_full(fd, b.data, b.len) < 0)
		return err_sys(e, errno, "telling the result to '%s'", given_result);
	return rc;
}

static int run(void *state, const struct verb_common *c, int argc, char **argv, struct err *e)
{
	static const char *paths[VOLUMES_MAX];
	char set_id[33], default_domain[128];
	struct err why = ERR_INIT;
	bool claims;
	int rc;

	(void)state;
	if ((policy_file && apply_policy(e) < 0) || are_claims(argc, argv, &claims, e) < 0)
		return -1;
	if (given_view && (claims || argc != 1))
		return err_set(e, ERR_INVALID, "--view is of one volume NAME=PATH");
	moment_params.driver = driver ? driver : "auto";
	choose_set(set_id);
	job.dry_run = c->dry_run;
	job.progress = c->progress;
	moment_params.set = job.set;
	moment_params.cancel = cancel_on_signals();
	x = (struct call){ .c = c };
	set_hooks(c->dry_run);
	if (claims) {
		for (int i = 0; i < argc; i++)
			paths[i] = argv[i];
		return back_up_claims(c, argc, paths, e);
	}
	if (parse_all(argc, argv, volumes, paths, e) < 0 ||
	    choose_domain(&volumes[0], default_domain, sizeof(default_domain), &job.domain, e) < 0)
		return -1;
	rc = back_up_all(c, argc, paths, &why);
	if (rc < 0)
		*e = why;
	return given_result ? tell_result(rc, &why, e) : rc;
}

const struct verb cmd_backup = {
	.name = "backup",
	.args = "NAME=PATH...|pvc:NAMESPACE/CLAIM...",
	.summary = "back volumes up once",
	.text = "Makes one restore point of each volume. PATH is a directory, a block device or "
		"an image "
		"file; NAME is what the volume is called from then on. What has not changed since "
		"the "
		"volume's previous point is neither read nor stored again.\n\n"
		"Entries that cannot be read are listed and the rest is saved: then the exit "
		"status is 3. "
		"Volumes given together share a set id.\n\n"
		"Of claims of a cluster (PersistentVolumeClaims) snapshots are taken, and each is "
		"read by a pod from the template of movers. A claim whose volume can have none is "
		"read as it is: its point is labelled fuzzy and says why. The cluster is the one "
		"that this runs in, or that of KUBECONFIG. While a claim is backed up its Lease is "
		"held; when somebody else holds it the exit status is 6.",
	.examples =
		"aksdr-agent backup --store file:///srv/backup --key agent.key data=/var/lib/data\n"
		"aksdr-agent backup --store file:///srv/backup --key agent.key disk=/dev/vdb\n"
		"aksdr-agent backup --mover-template mover.yaml pvc:shop/data pvc:shop/log",
	.options = options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = ~0u,
	.set = set,
	.run = run,
};
