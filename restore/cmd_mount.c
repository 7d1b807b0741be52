/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore mount: a point, or all of them, as a read-only file system. */
#include <limits.h>
#include <malloc.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "common/num.h"
#include "restore/cmd.h"
#include "restore/mount.h"

#define CACHE_DEFAULT (64 * MIB)
#define CACHE_LEAST (16 * MIB)
#define NODES_BYTES (24 * MIB)   /* decoded nodes of trees */
#define READER_MEMORY (48 * MIB) /* packs on their way */
#define ALONE_BYTES (256 * KIB)  /* longer blocks go back to the system when they are freed */

enum { OPT_ALLOW_OTHER = 256, OPT_CACHE, OPT_THREADS };

static struct job {
	bool allow_other;
	uint64_t cache;
	unsigned threads;
} job = { .cache = CACHE_DEFAULT };

static const struct verb_option option_table[] = {
	{ "allow-other", NULL, "other users too, each with the rights that modes and owners give",
	  OPT_ALLOW_OTHER },
	{ "cache", "SIZE", "for contents that were read; default 64MiB", OPT_CACHE },
	{ "threads", "N", "threads that decrypt; default: the CPUs, at most 4", OPT_THREADS },
	{ NULL, NULL, NULL, 0 },
};

static int set(void *state, int key, const char *value, struct err *e)
{
	struct job *j = state;
	uint64_t n;

	switch (key) {
	case OPT_ALLOW_OTHER:
		j->allow_other = true;
		return 0;
	case OPT_CACHE:
		if (num_size("--cache", value, (uint64_t)1 << 40, &n, e) < 0)
			return -1;
		if (n < CACHE_LEAST)
			return err_set(e, ERR_INVALID,
			               "--cache is below 16MiB, which some chunks need");
		j->cache = n;
		return 0;
	default:
		if (num_u64("--threads", value, 1, 4, &n, e) < 0)
			return -1;
		j->threads = (unsigned)n;
		return 0;
	}
}

/* ---- what is mounted ---- */

struct mounting {
	const struct verb_common *common;
	struct repo *repo;
	struct point point; /* when it is one alone */
	struct shelf shelf;
	struct cmd_pin *pins; /* one for each point; of those that were opened */
	size_t npins;
	uint64_t bad; /* points that do not open */
	struct browse_shared shared;
	struct mount_tree *tree;
	const char *dir;
};

static void mounting_clear(struct mounting *m)
{
	mount_tree_free(m->tree);
	browse_trees_free(m->shared.trees);
	chunks_free(m->shared.chunks);
	node_cache_free(m->shared.nodes);
	for (size_t i = 0; i < m->npins; i++)
		cmd_unpin(&m->pins[i]);
	free(m->pins);
	shelf_clear(&m->shelf);
	point_clear(&m->point);
	repo_free(m->repo);
}

static int on_point(void *arg, const struct point *p, struct err *e)
{
	struct mounting *m = arg;

	return shelf_add(&m->shelf, p, e);
}

static int on_bad(void *arg, const char *key, const struct err *why, struct err *e)
{
	struct mounting *m = arg;

	(void)e;
	m->bad++;
	log_warn("restore point cannot be read", LOG_S("object", key), LOG_S("why", why->msg));
	return 0;
}

/* Somebody goes into one of all points: it is to stay as long as the mount does. */
static int open_point(void *arg, const struct shelf_point *p, struct point *ret, struct err *e)
{
	struct mounting *m = arg;

	struct cmd_pin *pin = &m->pins[p - m->shelf.points];

	if (repo_point_at(m->repo, p->session, p->received_ns, ret, e) < 0)
		return -1;
	/* It may have been opened before, and what came then failed. */
	if (!pin->key[0])
		cmd_pin(m->common, m->repo, ret, pin);
	return 0;
}

static int find_points(struct mounting *m, const char *name, struct err *e)
{
	if (name) {
		m->pins = calloc(1, sizeof(*m->pins));
		if (!m->pins)
			return err_set(e, ERR_NOMEM, "no memory for a restore point");
		if (cmd_open_data(m->common, name, &m->repo, &m->point, e) < 0)
			return -1;
		m->npins = 1;
		cmd_pin(m->common, m->repo, &m->point, &m->pins[0]);
		return 0;
	}
	if (cmd_open_contents(m->common, &m->repo, e) < 0 ||
	    repo_points(m->repo, NULL, on_point, on_bad, m, e) < 0)
		return -1;
	shelf_finish(&m->shelf);
	m->pins = calloc(m->shelf.npoints + 1, sizeof(*m->pins));
	if (!m->pins)
		return err_set(e, ERR_NOMEM, "no memory for restore points");
	m->npins = m->shelf.npoints;
	return 0;
}

static int open_tree(struct mounting *m, const struct job *j, bool one, struct err *e)
{
	const struct chunks_params chunks = {
		.bytes = (size_t)j->cache,
		.memory = READER_MEMORY,
		.threads = j->threads,
	};
	const struct mount_tree_params tree = {
		.shared = &m->shared,
		.point = one ? &m->point : NULL,
		.shelf = one ? NULL : &m->shelf,
		.open_point = open_point,
		.arg = m,
	};

	m->shared.repo = m->repo;
	m->shared.nodes = node_cache_new(NODES_BYTES);
	m->shared.trees = browse_trees_new();
	if (!m->shared.nodes || !m->shared.trees)
		return err_set(e, ERR_NOMEM, "no memory for a mount");
	return chunks_open(m->repo, &chunks, &m->shared.chunks, e) < 0
	               ? -1
	               : mount_tree_new(&tree, &m->tree, e);
}

/* For people, and for programs that wait for it. */
static void on_ready(void *arg)
{
	const struct mounting *m = arg;
	bool one = m->point.session[0] != '\0';

	if (m->common->output == OUTPUT_JSON) {
		auto_json json_t *o = json_pack("{s:s, s:[{s:o, s:s*, s:s*, s:I}]}", "schema",
		                                "aksdr/mount/v1", "items", "dir",
		                                json_text(m->dir, PATH_MAX), "volume",
		                                one ? m->point.volume.name : NULL, "point",
		                                one ? m->point.id : NULL, "points",
		                                (json_int_t)(one ? 1 : m->shelf.npoints));

		if (o)
			(void)json_dumpf(o, stdout, JSON_INDENT(1));
		(void)fputs("\n", stdout);
	} else if (one) {
		(void)printf("mounted '%s' (point %.8s) on '%s'", m->point.volume.name, m->point.id,
		             m->dir);
	} else {
		(void)printf("mounted %zu restore points of %zu volumes on '%s'", m->shelf.npoints,
		             m->shelf.nvolumes, m->dir);
	}
	if (m->common->output != OUTPUT_JSON)
		(void)puts("; it stays until Ctrl-C, or `umount` of it");
	(void)fflush(stdout);
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	const struct job *j = state;
	const char *name = argc > 1 ? argv[0] : NULL;
	CLEANUP(mounting_clear) struct mounting m = { .common = common, .dir = argv[argc - 1] };

	/* Chunks of all lengths come and go; what they had is not to be kept in pieces. */
	(void)mallopt(M_MMAP_THRESHOLD, ALONE_BYTES);
	if (find_points(&m, name, e) < 0 || open_tree(&m, j, name, e) < 0)
		return -1;
	const struct mount_params params = {
		.dir = m.dir,
		.tree = m.tree,
		.chunks = m.shared.chunks,
		.allow_other = j->allow_other,
		.files = m.point.files + m.point.directories + m.point.others,
		.bytes = m.point.bytes_logical,
		.cancel = m.repo->cancel,
		.ready = on_ready,
		.arg = &m,
	};
	if (mount_run(&params, e) < 0)
		return -1;
	if (m.bad > 0)
		return err_set(e, ERR_PARTIAL, "%llu restore points could not be read",
		               (unsigned long long)m.bad);
	return 0;
}

const struct verb cmd_mount = {
	.name = "mount",
	.args = "[NAME[@POINT]] DIR",
	.summary = "show a point, or all of them, as a read-only file system",
	.text = "Mounts one point on DIR; without NAME all points of all volumes, as "
		"DIR/VOLUME/TIME, with DIR/VOLUME/latest, and DIR/VOLUME/ID for the digits that "
		"`points` shows. A block volume is a directory with the file disk.img. Points "
		"that are made later are not in it.\n\n"
		"Only what is looked at is read from the store. Damaged data is an error of the "
		"file that it is in, and a line on stderr; everything else can be read.\n\n"
		"The program stays in the foreground, and ends when it gets SIGINT or SIGTERM or "
		"when DIR is unmounted. After it was killed, `umount DIR` or `fusermount3 -u DIR` "
		"takes away what is left. Only the user who mounts can look into it, without "
		"regard to modes; with --allow-other everybody can, as modes and owners say. "
		"Devices and set-id bits have no effect.",
	.examples = "aksdr-restore mount shop/orders@2026-11-22 /mnt/look\n"
		    "aksdr-restore mount /mnt/all",
	.options = option_table,
	.flags = VERB_STORE | VERB_KEY,
	.min_args = 1,
	.max_args = 2,
	.set = set,
	.run = run,
	.state = &job,
};
