/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-restore show: everything about one restore point. */
#include <errno.h>
#include <string.h>

#include "common/hex.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"
#include "common/text.h"
#include "repo/claim.h"
#include "restore/cmd.h"

static const struct table_column columns[] = {
	{ "point", "POINT", TABLE_TEXT },
	{ "session", "SESSION", TABLE_TEXT },
	{ "set", "SET", TABLE_TEXT },
	{ "cluster", "CLUSTER", TABLE_TEXT },
	{ "namespace", "NAMESPACE", TABLE_TEXT },
	{ "volume", "VOLUME", TABLE_TEXT },
	{ "volume_uid", "VOLUME UID", TABLE_TEXT },
	{ "kind", "KIND", TABLE_TEXT },
	{ "domain", "DEDUP DOMAIN", TABLE_TEXT },
	{ "sequence", "SEQUENCE", TABLE_NUMBER },
	{ "previous", "PREVIOUS", TABLE_TEXT },
	{ "started", "STARTED", TABLE_TIME },
	{ "frozen", "FROZEN", TABLE_TIME },
	{ "finished", "FINISHED", TABLE_TIME },
	{ "received", "RECEIVED", TABLE_TIME },
	{ "consistency", "CONSISTENCY", TABLE_TEXT },
	{ "driver", "DRIVER", TABLE_TEXT },
	{ "fallback", "BETTER DRIVER NOT USED", TABLE_TEXT },
	{ "freeze_ms", "STOOD STILL, MS", TABLE_NUMBER },
	{ "moment", "MOMENT OF THE SET", TABLE_TEXT },
	{ "base", "CHANGES SINCE", TABLE_TEXT },
	{ "skipped_bytes", "TAKEN UNREAD", TABLE_BYTES },
	{ "compared_bytes", "COMPARED", TABLE_BYTES },
	{ "wrong_bytes", "CHANGED UNTOLD", TABLE_BYTES },
	{ "files", "FILES", TABLE_NUMBER },
	{ "directories", "DIRECTORIES", TABLE_NUMBER },
	{ "others", "OTHERS", TABLE_NUMBER },
	{ "logical_bytes", "SIZE", TABLE_BYTES },
	{ "read_bytes", "READ", TABLE_BYTES },
	{ "new_bytes", "NEW", TABLE_BYTES },
	{ "stored_bytes", "STORED", TABLE_BYTES },
	{ "unreadable", "UNREADABLE", TABLE_NUMBER },
	{ "changed", "CHANGED WHILE READ", TABLE_NUMBER },
	{ "gone", "GONE WHILE READ", TABLE_NUMBER },
	{ "host", "HOST", TABLE_TEXT },
	{ "agent", "AGENT", TABLE_TEXT },
	{ "signer", "SIGNER", TABLE_TEXT },
	{ "epoch", "EPOCH", TABLE_NUMBER },
	{ "tree_levels", "TREE LEVELS", TABLE_NUMBER },
	{ "commit_sha256", "COMMIT SHA-256", TABLE_TEXT },
};

/* One cell after the other, into a row, or as lines of name and value for people. */
struct sheet {
	struct table *t;
	size_t at;
	bool lines;
};

static void put_text(struct sheet *s, const char *text)
{
	const struct table_column *c = &columns[s->at++];

	if (s->lines) {
		if (!*text)
			return;
		table_row(s->t);
		table_text(s->t, c->title);
	}
	if (*text)
		table_text(s->t, text);
	else
		table_null(s->t);
}

static void put_number(struct sheet *s, int64_t v)
{
	const struct table_column *c = &columns[s->at];
	char text[32];

	if (!s->lines) {
		s->at++;
		table_number(s->t, v);
		return;
	}
	(void)snprintf(text, sizeof(text), "%lld", (long long)v);
	if (c->kind == TABLE_TIME)
		put_text(s, v ? now_rfc3339(v).s : "");
	else if (c->kind == TABLE_BYTES)
		put_text(s, num_bytes_text((uint64_t)v).s);
	else
		put_text(s, text);
}

/* A number that there may be none of. */
static void put_number_if(struct sheet *s, bool known, uint64_t v)
{
	if (known)
		put_number(s, (int64_t)v);
	else
		put_text(s, "");
}

static void fill_capture(struct sheet *s, const struct point_capture *c)
{
	const struct capture_changes *x = &c->changes;
	bool based = x->base_session[0] != '\0';
	bool frozen = c->frozen_ns > 0 && c->thawed_ns >= c->frozen_ns;

	put_text(s, c->fallback ? c->fallback : "");
	put_number_if(s, frozen, frozen ? (uint64_t)(c->thawed_ns - c->frozen_ns) / 1000000 : 0);
	put_text(s, c->moment);
	put_text(s, x->base_session);
	put_number_if(s, based, x->skipped_bytes);
	put_number_if(s, based && x->compared, x->compared_bytes);
	put_number_if(s, based && x->compared, x->wrong_bytes);
}

static void fill(struct sheet *s, const struct point *p)
{
	char signer[2 * sizeof(p->signer) + 1];

	hex_encode(signer, p->signer, sizeof(p->signer));
	put_text(s, p->id);
	put_text(s, p->session);
	put_text(s, p->set);
	put_text(s, p->volume.cluster);
	put_text(s, p->volume.namespace);
	put_text(s, p->volume.name);
	put_text(s, p->volume.uid);
	put_text(s, p->volume.block ? "block" : "filesystem");
	put_text(s, p->domain);
	put_number(s, (int64_t)p->sequence);
	put_text(s, p->previous_session);
	put_number(s, p->started_ns);
	put_number(s, p->frozen_ns);
	put_number(s, p->finished_ns);
	put_number(s, p->received_ns);
	put_text(s, p->consistency);
	put_text(s, p->driver);
	fill_capture(s, &p->capture);
	put_number(s, (int64_t)p->files);
	put_number(s, (int64_t)p->directories);
	put_number(s, (int64_t)p->others);
	put_number(s, (int64_t)p->bytes_logical);
	put_number(s, (int64_t)p->bytes_read);
	put_number(s, (int64_t)p->bytes_new);
	put_number(s, (int64_t)p->bytes_stored);
	put_number(s, (int64_t)p->unreadable);
	put_number(s, (int64_t)p->changed);
	put_number(s, (int64_t)p->gone);
	put_text(s, p->host);
	put_text(s, p->agent);
	put_text(s, signer);
	put_number(s, (int64_t)p->epoch);
	put_number(s, p->levels);
	put_text(s, hex_of32(p->hash).s);
}

/* Paths and reasons of a point are escaped text already. */
static json_t *problems_json(const struct point *p)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < p->nproblems; i++) {
		json_t *o = json_pack("{s:s, s:s}", "path", p->problems[i].path, "why",
		                      p->problems[i].why);

		if (json_array_append_new(list, o) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *hooks_json(const struct point_capture *c)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < c->nhooks; i++) {
		const struct capture_hook *h = &c->hooks[i];
		json_t *o = json_pack("{s:s, s:s, s:i, s:i, s:b, s:I, s:I, s:s, s:I}", "phase",
		                      h->post ? "post" : "pre", "command", h->command, "exit",
		                      h->exit, "signal", h->signal, "timed_out", h->timed_out,
		                      "started_ns", (json_int_t)h->started_ns, "ms",
		                      (json_int_t)h->ms, "output", h->output, "cut_bytes",
		                      (json_int_t)h->cut_bytes);

		if (json_array_append_new(list, o) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *facts_json(const struct point_capture *c)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < c->nfacts; i++) {
		json_t *o = json_pack("{s:s, s:s}", "name", c->facts[i].name, "value",
		                      c->facts[i].value);

		if (json_array_append_new(list, o) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *notes_json(const struct point_capture *c)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < c->nnotes; i++) {
		if (json_array_append_new(list, json_string(c->notes[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static int print_rows(const struct point *p, enum output output, struct err *e)
{
	auto_table struct table *t = table_new("aksdr/point/v1", columns, ARRAY_LEN(columns),
	                                       output, e);

	if (!t)
		return -1;
	auto_json json_t *extra = json_object();
	if (!extra || json_object_set_new(extra, "problems", problems_json(p)) < 0 ||
	    json_object_set_new(extra, "hooks", hooks_json(&p->capture)) < 0 ||
	    json_object_set_new(extra, "facts", facts_json(&p->capture)) < 0 ||
	    json_object_set_new(extra, "notes", notes_json(&p->capture)) < 0 ||
	    (p->capture.claim &&
	     json_object_set_new(extra, "claim", json_deep_copy(p->capture.claim)) < 0))
		return err_set(e, ERR_NOMEM, "no memory to write JSON");
	struct sheet s = { .t = t };
	table_row(t);
	fill(&s, p);
	return table_print(t, stdout, extra, e);
}

/* A line of the sheet for people. */
static void put_line(struct table *t, const char *name, const char *text)
{
	table_row(t);
	table_text(t, name);
	table_text(t, text);
}

/* What a hook printed, a row a line. */
static void put_output(struct table *t, const char *output)
{
	char line[CAPTURE_OUTPUT_MAX + 1];

	while (*output) {
		size_t n = strcspn(output, "\n");

		(void)snprintf(line, sizeof(line), "%.*s", (int)n, output);
		put_line(t, "ITS OUTPUT", line);
		output += n + (output[n] == '\n');
	}
}

static void put_claim(struct table *t, const json_t *claim)
{
	static const struct {
		const char *title, *member;
	} lists[] = { { "ACCESS MODES", "access_modes" },
		      { "ZONES", "zones" },
		      { "IMAGES", "images" } };
	char text[4 * KIB];

	put_line(t, "STORAGE CLASS", claim_text(claim, "storage_class"));
	put_line(t, "CLAIM'S SIZE", claim_size(claim) ? num_bytes_text(claim_size(claim)).s : "");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		claim_join(claim, lists[i].member, text, sizeof(text));
		put_line(t, lists[i].title, text);
	}
}

static void put_told(struct table *t, const struct point_capture *c)
{
	if (c->claim)
		put_claim(t, c->claim);
	for (size_t i = 0; i < c->nhooks; i++) {
		const struct capture_hook *h = &c->hooks[i];
		char text[CAPTURE_COMMAND_MAX + 64];

		if (h->timed_out)
			(void)snprintf(text, sizeof(text), "%s: timed out", h->command);
		else if (h->signal)
			(void)snprintf(text, sizeof(text), "%s: signal %d", h->command, h->signal);
		else
			(void)snprintf(text, sizeof(text), "%s: status %d", h->command, h->exit);
		put_line(t, h->post ? "HOOK AFTER" : "HOOK BEFORE", text);
		put_output(t, h->output);
	}
	for (size_t i = 0; i < c->nfacts; i++)
		put_line(t, c->facts[i].name, c->facts[i].value);
	for (size_t i = 0; i < c->nnotes; i++)
		put_line(t, "NOTE", c->notes[i]);
}

static int print_lines(const struct point *p, struct err *e)
{
	static const struct table_column pair[] = {
		{ "field", "FIELD", TABLE_TEXT },
		{ "value", "VALUE", TABLE_TEXT },
	};
	static const struct table_column problem[] = {
		{ "path", "PATH", TABLE_TEXT },
		{ "why", "PROBLEM", TABLE_TEXT },
	};
	auto_table struct table *t = table_new("aksdr/point/v1", pair, ARRAY_LEN(pair),
	                                       OUTPUT_TABLE, e);

	if (!t)
		return -1;
	struct sheet s = { .t = t, .lines = true };
	fill(&s, p);
	put_told(t, &p->capture);
	if (table_print(t, stdout, NULL, e) < 0 || p->nproblems == 0)
		return p->nproblems == 0 ? 0 : -1;

	auto_table struct table *list = table_new("aksdr/problems/v1", problem, ARRAY_LEN(problem),
	                                          OUTPUT_TABLE, e);
	if (!list)
		return -1;
	for (size_t i = 0; i < p->nproblems; i++) {
		table_row(list);
		table_text(list, p->problems[i].path);
		table_text(list, p->problems[i].why);
	}
	if (fputs("\n", stdout) == EOF)
		return err_sys(e, errno, "writing the output");
	return table_print(list, stdout, NULL, e);
}

static int run(void *state, const struct verb_common *common, int argc, char **argv, struct err *e)
{
	auto_repo struct repo *r = NULL;
	CLEANUP(point_clear) struct point p = { 0 };

	(void)state;
	(void)argc;
	if (cmd_open_point(common, argv[0], &r, &p, e) < 0)
		return -1;
	return common->output == OUTPUT_TABLE ? print_lines(&p, e)
	                                      : print_rows(&p, common->output, e);
}

const struct verb cmd_show = {
	.name = "show",
	.args = "NAME[@POINT]",
	.summary = "show everything about a restore point",
	.text = "Shows all that is recorded about one point, with the files that could not "
		"be read or changed while they were.",
	.examples = "aksdr-restore show shop/orders@latest",
	.flags = VERB_STORE | VERB_KEY,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
