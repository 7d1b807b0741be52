/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore points: what can be restored. */
#include <string.h>

#include "common/log.h"
#include "restore/cmd.h"

static const struct table_column columns[] = {
	{ "point", "POINT", TABLE_TEXT },
	{ "cluster", NULL, TABLE_TEXT },
	{ "namespace", "NAMESPACE", TABLE_TEXT },
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "kind", "KIND", TABLE_TEXT },
	{ "sequence", "SEQ", TABLE_NUMBER },
	{ "frozen", "TIME", TABLE_TIME },
	{ "consistency", "CONSISTENCY", TABLE_TEXT },
	{ "files", "FILES", TABLE_NUMBER },
	{ "logical_bytes", "SIZE", TABLE_BYTES },
	{ "new_bytes", "NEW", TABLE_BYTES },
	{ "stored_bytes", "STORED", TABLE_BYTES },
	{ "unreadable", NULL, TABLE_NUMBER },
	{ "changed", NULL, TABLE_NUMBER },
	{ "set", NULL, TABLE_TEXT },
	{ "session", NULL, TABLE_TEXT },
};

/* What a row shows. Points are sorted before they are shown, so this is all that is kept of one. */
struct row {
	char id[33], set[33], session[96];
	char *cluster, *namespace, *volume;
	char consistency[16];
	bool block;
	uint64_t sequence, files, logical, fresh, stored, unreadable, changed;
	int64_t frozen_ns;
};

struct rows {
	const char *name; /* NULL: all */
	struct row *rows;
	size_t n, cap;
	uint64_t bad;
};

static void rows_clear(struct rows *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->rows[i].cluster);
		free(l->rows[i].namespace);
		free(l->rows[i].volume);
	}
	free(l->rows);
}

/* "NAME", "namespace/NAME" or "cluster/namespace/NAME". */
static bool is_named(const struct point_volume *v, const char *name)
{
	char full[3 * POINT_NAME_MAX + 3];

	if (!name)
		return true;
	(void)snprintf(full, sizeof(full), "%s/%s/%s", v->cluster, v->namespace, v->name);
	size_t full_len = strlen(full);
	size_t len = strlen(name);
	return len <= full_len && strcmp(full + full_len - len, name) == 0 &&
	       (len == full_len || full[full_len - len - 1] == '/');
}

static int add(void *arg, const struct point *p, struct err *e)
{
	struct rows *l = arg;

	if (!is_named(&p->volume, l->name))
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct row *rows = reallocarray(l->rows, cap, sizeof(*rows));

		if (!rows)
			return err_set(e, ERR_NOMEM, "no memory for %zu restore points", cap);
		l->rows = rows;
		l->cap = cap;
	}
	struct row *r = &l->rows[l->n++];
	*r = (struct row){
		.cluster = strdup(p->volume.cluster),
		.namespace = strdup(p->volume.namespace),
		.volume = strdup(p->volume.name),
		.block = p->volume.block,
		.sequence = p->sequence,
		.files = p->files + p->directories + p->others,
		.logical = p->bytes_logical,
		.fresh = p->bytes_new,
		.stored = p->bytes_stored,
		.unreadable = p->unreadable,
		.changed = p->changed,
		.frozen_ns = p->frozen_ns,
	};
	memcpy(r->id, p->id, sizeof(r->id));
	memcpy(r->set, p->set, sizeof(r->set));
	(void)snprintf(r->session, sizeof(r->session), "%s", p->session);
	memcpy(r->consistency, p->consistency, sizeof(r->consistency));
	if (!r->cluster || !r->namespace || !r->volume)
		return err_set(e, ERR_NOMEM, "no memory for %zu restore points", l->n);
	return 0;
}

static int bad(void *arg, const char *key, const struct err *why, struct err *e)
{
	struct rows *l = arg;

	(void)e;
	l->bad++;
	log_warn("restore point cannot be read", LOG_S("object", key), LOG_S("why", why->msg));
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct row *x = a;
	const struct row *y = b;

	if (x->frozen_ns != y->frozen_ns)
		return x->frozen_ns < y->frozen_ns ? -1 : 1;
	return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static int print(const struct rows *l, enum output output, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/points/v1", columns, ARRAY_LEN(columns),
	                                       output, e);

	if (!t)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		const struct row *r = &l->rows[i];
		char id[33];

		/* For people as long as is unique in practice; it can be given back as it is. */
		(void)snprintf(id, output == OUTPUT_TABLE ? 9 : sizeof(id), "%s", r->id);
		table_row(t);
		table_text(t, id);
		table_text(t, r->cluster);
		table_text(t, r->namespace);
		table_text(t, r->volume);
		table_text(t, r->block ? "block" : "filesystem");
		table_number(t, (int64_t)r->sequence);
		table_number(t, r->frozen_ns);
		table_text(t, r->consistency);
		table_number(t, (int64_t)r->files);
		table_number(t, (int64_t)r->logical);
		table_number(t, (int64_t)r->fresh);
		table_number(t, (int64_t)r->stored);
		table_number(t, (int64_t)r->unreadable);
		table_number(t, (int64_t)r->changed);
		table_text(t, r->set);
		table_text(t, r->session);
	}
	return table_print(t, stdout, NULL, e);
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	auto_repo struct repo *r = NULL;
	CLEANUP(rows_clear) struct rows l = { .name = argc > 0 ? argv[0] : NULL };

	(void)state;
	if (cmd_open(common, &r, e) < 0 || repo_points(r, NULL, add, bad, &l, e) < 0)
		return -1;
	if (l.n == 0 && l.name && l.bad == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no restore point of a volume '%s'",
		               l.name);
	if (l.n > 0)
		qsort(l.rows, l.n, sizeof(*l.rows), by_time);
	if (print(&l, common->output, e) < 0)
		return -1;
	if (l.bad > 0)
		return err_set(e, ERR_PARTIAL, "%llu restore points cannot be read",
		               (unsigned long long)l.bad);
	return 0;
}

const struct verb cmd_points = {
	.name = "points",
	.args = "[NAME]",
	.summary = "list restore points, the newest last",
	.text = "NAME is a volume's name, or namespace/name, or cluster/namespace/name; "
		"without it all volumes are listed. A point is named to the other verbs as "
		"NAME@POINT, with the digits of the first column, `latest`, or a time: the "
		"newest point at or before it.",
	.examples = "aksdr-restore points\n"
		    "aksdr-restore points shop/orders --output json",
	.flags = VERB_STORE | VERB_KEY,
	.max_args = 1,
	.run = run,
};
