/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-agent backup: backs volumes up once. */
#include <stdio.h>
#include <string.h>

#include "agent/cmd.h"
#include "agent/job.h"
#include "common/hex.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "common/table.h"
#include "repo/protect.h"
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
	OPT_EXTEND_LOCKS
};

static const char *excludes[EXCLUDES_MAX];
static struct job_params job = {
	.driver = "auto",
	.excludes = excludes,
	.verify_encode = true,
};
static const char *domain, *cluster = "", *namespace = "", *uid = "", *metrics;

static const struct verb_option options[] = {
	{ "driver", "auto|live", "how the volume is frozen for reading", OPT_DRIVER },
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
	{ NULL, NULL, NULL, 0 },
};

static bool extend_locks;

static int set_exclude(const char *value, struct err *e)
{
	if (job.nexcludes == EXCLUDES_MAX)
		return err_set(e, ERR_INVALID, "there are more than %d --exclude options",
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

static int set(void *state, int key, const char *value, struct err *e)
{
	uint64_t n;

	(void)state;
	switch (key) {
	case OPT_METRICS:
		metrics = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--metrics needs the name of a file");
	case OPT_DRIVER:
		job.driver = value;
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

/* All names are looked at before the first byte is read. */
static int parse_all(int argc, char **argv, struct point_volume *volumes, const char **paths,
                     struct err *e)
{
	if (argc > VOLUMES_MAX)
		return err_set(e, ERR_INVALID, "there are more than %d volumes in one call",
		               VOLUMES_MAX);
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

static int run(void *state, const struct verb_common *c, int argc, char **argv, struct err *e)
{
	static struct point_volume volumes[VOLUMES_MAX];
	static const char *paths[VOLUMES_MAX];
	static struct made made;
	char set_id[33], default_domain[128];
	uint8_t random[16];
	uint64_t unreadable = 0;
	int done = 0, rc = 0;

	(void)state;
	if (parse_all(argc, argv, volumes, paths, e) < 0)
		return -1;
	if (!domain) {
		int n = snprintf(default_domain, sizeof(default_domain), "%s%s%s", cluster,
		                 cluster[0] && namespace[0] ? "/" : "", namespace);

		if (n >= (int)sizeof(default_domain))
			return err_set(e, ERR_INVALID,
			               "cluster and namespace are too long for a domain's name; "
			               "pass --domain");
		domain = n ? default_domain : "default";
	}
	auto_repo struct repo *r = NULL;
	if (repo_open_url(c->store, c->dry_run ? STORE_READONLY : 0, c->key, c->passphrase_file,
	                  c->state, cancel_on_signals(), &r, e) < 0)
		return -1;
	if (may_lock(r, e) < 0)
		return -1;
	if (r->params.single_writer && !c->dry_run)
		log_warn("this repository has a single writer at a time: its store cannot keep "
		         "writers apart");
	if (!job.set) {
		secret_random(random, sizeof(random));
		hex_encode(set_id, random, sizeof(random));
		job.set = set_id;
	}
	auto_table struct table *t = table_new("aksdr/backup/v1", columns, ARRAY_LEN(columns),
	                                       c->output, e);
	if (!t)
		return -1;
	job.domain = domain;
	job.dry_run = c->dry_run;
	job.progress = c->progress;
	struct err first = ERR_INIT;
	for (int i = 0; i < argc; i++) {
		struct point p = { 0 };
		struct err why = ERR_INIT;
		/* The first one pays for opening the repository. */
		uint64_t before = i > 0 ? store_requests(r->store) : 0;

		job.volume = volumes[i];
		job.path = paths[i];
		if (job_backup(r, &job, &p, &why) < 0) {
			/*
			 * The other volumes are still worth saving, unless nobody wants them
			 * any more.
			 */
			if (rc == 0)
				first = why;
			rc = -1;
			if (why.class == ERR_CANCELLED)
				break;
			if (i + 1 < argc)
				log_error("volume not backed up", LOG_S("volume", volumes[i].name),
				          LOG_S("why", why.msg));
			continue;
		}
		tell_problems(&p);
		unreadable += p.unreadable;
		note_made(&made, &p);
		add_row(t, &p, store_requests(r->store) - before, c->output == OUTPUT_TABLE);
		point_clear(&p);
		done++;
	}
	struct err unlocked = ERR_INIT;
	bool locked = lock_made(r, &made, &unlocked) == 0;
	if (!locked && (rc < 0 || unreadable))
		log_warn("restore points not locked", LOG_S("why", unlocked.msg));
	if (metrics && write_metrics(r->store, e) < 0)
		return -1;
	if (done && !(c->quiet && c->output == OUTPUT_TABLE) && table_print(t, stdout, NULL, e) < 0)
		return -1;
	if (rc < 0) {
		*e = first;
		if (done && first.class != ERR_CANCELLED)
			e->class = ERR_PARTIAL;
		return -1;
	}
	if (unreadable)
		return err_set(e, ERR_PARTIAL,
		               "%llu entries could not be read and are not in the restore point",
		               (unsigned long long)unreadable);
	if (!locked) {
		*e = unlocked;
		return -1;
	}
	return 0;
}

const struct verb cmd_backup = {
	.name = "backup",
	.args = "NAME=PATH...",
	.summary = "back volumes up once",
	.text = "Makes one restore point of each volume. PATH is a directory, a block device or "
		"an image "
		"file; NAME is what the volume is called from then on. What has not changed since "
		"the "
		"volume's previous point is neither read nor stored again.\n\n"
		"Entries that cannot be read are listed and the rest is saved: then the exit "
		"status is 3. "
		"Volumes given together share a set id.",
	.examples =
		"aksdr-agent backup --store file:///srv/backup --key agent.key data=/var/lib/data\n"
		"aksdr-agent backup --store file:///srv/backup --key agent.key disk=/dev/vdb",
	.options = options,
	.flags = VERB_STORE | VERB_KEY | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = ~0u,
	.set = set,
	.run = run,
};
