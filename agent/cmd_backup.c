/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-agent backup: backs volumes up once. */
#include <string.h>

#include "agent/backup.h"
#include "agent/cmd.h"
#include "common/act.h"
#include "common/hex.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"

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

static struct backup_options o = BACKUP_OPTIONS(o);
static const char *policy_file;

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
	  "the kubelet's directory: claims in use at this node are read there; default "
	  "/var/lib/kubelet, with --reader node",
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
	{ "result", "FILE",
	  "in a mover: where to tell what came of it; of claims: what was asked of the store, and "
	  "why there is no point, when nothing of them is held that it could be told to",
	  OPT_RESULT },
	{ NULL, NULL, NULL, 0 },
};

static int set_set(const char *value, struct err *e)
{
	uint8_t id[16];

	if (strlen(value) != 32 || hex_decode(id, sizeof(id), value) < 0)
		return err_set(e, ERR_INVALID, "--set '%s' is not of 32 hexadecimal digits", value);
	o.job.set = value;
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
	o.leases.slot_s = ns / 1000000000;
	return 0;
}

static void set_reader(const char *value)
{
	o.reader = strcmp(value, "mover") == 0  ? POLICY_READ_MOVER
	           : strcmp(value, "node") == 0 ? POLICY_READ_NODE
	                                        : POLICY_READ_AUTO;
}

static int set(void *state, int key, const char *value, struct err *e)
{
	uint64_t n;

	(void)state;
	switch (key) {
	case OPT_METRICS:
		o.metrics = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--metrics needs the name of a file");
	case OPT_DRIVER:
		o.driver = value;
		return 0;
	case OPT_POLICY:
		policy_file = value;
		return 0;
	case OPT_SLOT:
		return set_slot(value, e);
	case OPT_NODE:
		o.leases.node = value;
		return 0;
	case OPT_AGENT_NAMESPACE:
		o.leases.agent_ns = value;
		return 0;
	case OPT_MOVER_TEMPLATE:
		o.mover_file = value;
		return 0;
	case OPT_KUBELET_DIR:
		o.kubelet_dir = value;
		return 0;
	case OPT_READER:
		set_reader(value);
		return 0;
	case OPT_SNAPSHOT_CLASS:
		o.leases.class = value;
		return 0;
	case OPT_AZURE_DISKS:
		o.azure_disks = value;
		return 0;
	case OPT_VIEW:
		o.given_view = value;
		return 0;
	case OPT_RESULT:
		o.given_result = value;
		return 0;
	case OPT_SET:
		return set_set(value, e);
	case OPT_DOMAIN:
		o.place.domain = value;
		return 0;
	case OPT_CLUSTER:
		o.place.cluster = value;
		return 0;
	case OPT_NAMESPACE:
		o.place.namespace = value;
		return 0;
	case OPT_UID:
		o.place.uid = value;
		return 0;
	case OPT_EXCLUDE:
		return backup_options_exclude(&o, value, e);
	case OPT_SKIP_CACHES:
		o.job.skip_caches = true;
		return 0;
	case OPT_CROSS_MOUNTS:
		o.job.cross_mounts = true;
		return 0;
	case OPT_ALLOW_EMPTY:
		o.job.allow_empty = true;
		return 0;
	case OPT_DROP_CACHE:
		o.job.drop_cache = true;
		return 0;
	case OPT_IGNORE_CTIME:
		o.job.ignore_ctime = true;
		return 0;
	case OPT_FORCE:
		o.job.force = true;
		return 0;
	case OPT_TAKE_OVER:
		o.job.take_over = true;
		return 0;
	case OPT_NO_VERIFY:
		o.job.verify_encode = false;
		return 0;
	case OPT_LEVEL:
		if (num_u64("--level", value, 1, 19, &n, e) < 0)
			return -1;
		o.job.level = (int)n;
		return 0;
	case OPT_THREADS:
		if (num_u64("--threads", value, 1, 64, &n, e) < 0)
			return -1;
		o.job.threads = (unsigned)n;
		return 0;
	case OPT_EXTEND_LOCKS:
		o.extend_locks = true;
		return 0;
	case OPT_PRE:
		return backup_options_hook(&o, HOOK_PRE, value, e);
	case OPT_POST:
		return backup_options_hook(&o, HOOK_POST, value, e);
	case OPT_HOOK_TIMEOUT:
		return set_seconds("--hook-timeout", value, HOOK_TIMEOUT_MAX_MS / 1000,
		                   &o.hook_timeout_ms, e);
	case OPT_ON_HOOK_ERROR:
		o.on_hook_error = strcmp(value, "fail") == 0 ? HOOK_FAIL : HOOK_CONTINUE;
		return 0;
	case OPT_FREEZE_TIMEOUT:
		return set_seconds("--freeze-timeout", value, FREEZER_DEADLINE_MAX_MS / 1000,
		                   &o.env.freeze_max_ms, e);
	case OPT_FREEZER:
		o.env.freezer = value;
		return 0;
	case OPT_COPY_MAX:
		return num_size("--copy-max", value, (uint64_t)1 << 50, &o.env.copy_max_bytes, e);
	case OPT_REQUIRE_MOUNT:
		o.moment.require_mount = true;
		return 0;
	case OPT_CHANGED_BLOCKS:
		o.job.changed_blocks = true;
		return 0;
	case OPT_FULL_EVERY:
		return num_u64("--full-every", value, 1, 1000000, &o.job.full_every, e);
	default:
		return num_size("--page-cache", value, (uint64_t)1 << 44, &o.job.page_cache_bytes,
		                e);
	}
}

static struct policy_list policies;
static struct backup b = { .options = &o };
static bool told; /* how it ended, to the claims themselves */

/* The one policy of a file says what no option says. */
static int apply_policy(struct err *e)
{
	const char *path = strcmp(policy_file, "-") == 0 ? "/dev/stdin" : policy_file;

	if (policy_load_file(path, NULL, "default", &policies, e) < 0)
		return -1;
	if (policies.n != 1)
		return err_set(e, ERR_INVALID, "--policy '%s' has %zu policies, not one",
		               policy_file, policies.n);
	return backup_options_policy(&o, policies.items[0], e);
}

static void choose_set(char *id)
{
	uint8_t random[16];

	if (o.job.set)
		return;
	secret_random(random, sizeof(random));
	hex_encode(id, random, sizeof(random));
	o.job.set = id;
}

static int back_up_claims(const struct verb_common *c, struct err *e)
{
	CLEANUP(backup_claims_close) struct backup_claims claims = BACKUP_CLAIMS_NONE;
	struct err lost = ERR_INIT;

	if (c->dry_run)
		return err_set(e, ERR_UNSUPPORTED,
		               "--dry-run is not for claims: reading one makes "
		               "a snapshot and a pod");
	int rc = backup_claims_open(&claims, &o, b.paths, b.n, b.volumes, e);
	told = claims.held;
	if (rc < 0)
		return -1;
	b.claims = &claims;
	rc = backup_run(&b, e);
	/* A Lease that was lost ended it then, and not somebody who had us end. */
	if (backup_claims_end_all(&claims, e, &lost) < 0 && rc < 0)
		*e = lost;
	b.claims = NULL;
	return rc;
}

static int back_up_paths(const char *const *args, struct err *e)
{
	char own_domain[VOLUME_DOMAIN_MAX];

	if (volume_name_parse(args, b.n, &o.place, b.volumes, b.paths, e) < 0 ||
	    volume_name_domain(&b.volumes[0], &o.place, own_domain, &o.job.domain, e) < 0)
		return -1;
	return backup_run(&b, e);
}

static int back_up(const struct verb_common *c, int argc, char **argv, struct err *e)
{
	const char *const *args = (const char *const *)argv;
	static char set_id[33];
	bool claims;

	b.n = (size_t)argc;
	b.common = c;
	if ((policy_file && apply_policy(e) < 0) ||
	    volume_name_are_claims(args, b.n, BACKUP_VOLUMES_MAX, &claims, e) < 0)
		return -1;
	/* A mover: what it keeps locally may go with its pod. */
	if (o.given_view)
		act_hurry();
	if (o.given_view && (claims || b.n != 1))
		return err_set(e, ERR_INVALID, "--view is of one volume NAME=PATH");
	choose_set(set_id);
	o.job.progress = c->progress;
	o.moment.cancel = cancel_on_signals();
	o.leases.cancel = o.moment.cancel;
	backup_options_end(&o, c->dry_run);
	if (!claims)
		return back_up_paths(args, e);
	for (size_t i = 0; i < b.n; i++)
		b.paths[i] = args[i];
	return back_up_claims(c, e);
}

static int run(void *state, const struct verb_common *c, int argc, char **argv, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = back_up(c, argc, argv, &why);

	(void)state;
	if (rc < 0)
		*e = why;
	if (o.given_result && backup_tell_result(&b, told ? NULL : &why, e) < 0)
		return -1;
	return rc;
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
