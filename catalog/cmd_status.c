/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-catalog status, watch: "am I safe?", once or for as long as somebody looks. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog/cmd.h"
#include "catalog/standing_html.h"
#include "common/cancel.h"
#include "common/fd.h"
#include "common/json.h"
#include "common/now.h"
#include "common/num.h"

enum { OPT_CATALOG = 256, OPT_EVERY, OPT_HTML };

#define EVERY_S 5
#define EVERY_MAX_S 86400
#define TEXT_MAX (256 * KIB)

static struct cmd_options options;
static int64_t every_s = EVERY_S;
static const char *page; /* file, or NULL */

static const struct verb_option status_options[] = {
	{ "catalog", "FILE", "the catalog file (default: in the state directory)", OPT_CATALOG },
	{ "html", "FILE", "write one page that needs nothing else", OPT_HTML },
	{ 0 },
};
static const struct verb_option watch_options[] = {
	{ "catalog", "FILE", "the catalog file (default: in the state directory)", OPT_CATALOG },
	{ "every", "DURATION", "look again after this time (default 5s)", OPT_EVERY },
	{ 0 },
};

static int set(void *state, int key, const char *value, struct err *e)
{
	(void)state;
	if (key == OPT_CATALOG) {
		options.catalog = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--catalog needs the name of a file");
	}
	if (key == OPT_HTML) {
		page = value;
		return *value ? 0 : err_set(e, ERR_INVALID, "--html needs the name of a file");
	}
	if (num_duration("--every", value, &every_s, e) < 0)
		return -1;
	return every_s >= 1 && every_s <= EVERY_MAX_S
	               ? 0
	               : err_set(e, ERR_INVALID, "--every is from 1s to 1d");
}

/* A terminal that shows colours, and nobody has said that he wants none: https://no-color.org */
static bool colours(void)
{
	const char *none = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(none && *none) && !(term && strcmp(term, "dumb") == 0);
}

static int look(const struct verb_common *common, struct standing_answer *ret, int64_t *ret_now_ns,
                struct err *e)
{
	auto_catalog struct catalog *c = NULL;
	auto_free struct standing *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, ERR_NOMEM, "no memory for how it stands");
	*ret_now_ns = now_wall_ns();
	if (cmd_catalog(&options, common, &c, e) < 0 || standing_read(c, *ret_now_ns, s, e) < 0)
		return -1;
	standing_judge(s, *ret_now_ns, ret);
	return 0;
}

static int put(const struct buf *b, struct err *e)
{
	if (buf_check(b, "how it stands", e) < 0)
		return -1;
	if (fwrite(b->data, 1, b->len, stdout) != b->len || fflush(stdout) != 0)
		return err_set(e, ERR_IO, "writing to standard output failed");
	return 0;
}

static int put_json(const struct standing_answer *a, int64_t now_ns, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(TEXT_MAX);
	auto_json json_t *o = standing_json(a, now_ns);

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory for how it stands");
	if (json_write(o, &b, e) < 0)
		return -1;
	(void)buf_str(&b, "\n");
	return put(&b, e);
}

static int put_page(const struct standing_answer *a, int64_t now_ns, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(TEXT_MAX);

	standing_html(a, now_ns, NULL, &b);
	if (buf_check(&b, "the page", e) < 0)
		return -1;
	return fd_create_file(AT_FDCWD, page, b.data, b.len, 0644, FD_REPLACE, e);
}

static int status(void *state, const struct verb_common *common, int argc, char **argv,
                  struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(TEXT_MAX);
	auto_free struct standing_answer *a = calloc(1, sizeof(*a));
	int64_t now_ns;
	int rc;

	(void)state;
	(void)argc;
	(void)argv;
	if (!a)
		return err_set(e, ERR_NOMEM, "no memory for how it stands");
	if (common->output == OUTPUT_CSV)
		return err_set(e, ERR_INVALID, "'status' is no table: --output is table or json");
	if (look(common, a, &now_ns, e) < 0)
		return -1;
	if (page) {
		rc = put_page(a, now_ns, e);
	} else if (common->output == OUTPUT_JSON) {
		rc = put_json(a, now_ns, e);
	} else {
		standing_print(a, colours(), &b);
		rc = common->quiet ? 0 : put(&b, e);
	}
	return rc < 0 ? -1 : standing_status(a, e);
}

/* ---- watch ---- */

/* On a terminal the screen anew; else a line for each finding that was not there before. */
static int show(const struct standing_answer *a, const struct standing_answer *before,
                int64_t now_ns, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(TEXT_MAX);

	if (isatty(STDOUT_FILENO)) {
		(void)buf_printf(&b, "\033[H\033[J%s\n", now_rfc3339(now_ns).s);
		standing_print(a, colours(), &b);
	} else if (standing_changed(a, before)) {
		(void)buf_printf(&b, "%s ", now_rfc3339(now_ns).s);
		standing_line(a, &b);
	}
	return put(&b, e);
}

static int watch(void *state, const struct verb_common *common, int argc, char **argv,
                 struct err *e)
{
	struct cancel *stop = cancel_on_signals();
	auto_free struct standing_answer *two = calloc(2, sizeof(*two));
	struct standing_answer *a = two;
	struct standing_answer *before = NULL;

	(void)state;
	(void)argc;
	(void)argv;
	if (!two)
		return err_set(e, ERR_NOMEM, "no memory for how it stands");
	if (common->output != OUTPUT_TABLE)
		return err_set(e, ERR_INVALID, "'watch' is for people: use 'status --output json'");
	while (!cancel_requested(stop)) {
		int64_t now_ns;
		struct err end = ERR_INIT;

		if (look(common, a, &now_ns, e) < 0 || show(a, before, now_ns, e) < 0)
			return -1;
		before = a;
		a = a == two ? two + 1 : two;
		if (cancel_wait(stop, NULL, every_s * 1000, &end) < 0)
			break;
	}
	return 0; /* that somebody has seen enough is no failure */
}

const struct verb cmd_status = {
	.name = "status",
	.summary = "am I safe? the answer in a line, and why",
	.text = "Reads the catalog only: 'sync' first. "
		"The first line is the verdict: SAFE, ATTENTION "
		"or DAMAGE. Below it stands what it follows from: how old restore points are, what "
		"of clusters is not protected, the second region, what checks and drills have "
		"found, open failovers, anomalies and keys. docs/OPERATIONS.md has the limits.\n"
		"\n"
		"The exit status is 0 (safe), 3 (something needs attention) or 5 (damage).",
	.examples = "aksdr-catalog status\n"
		    "aksdr-catalog status --output json --quiet\n"
		    "aksdr-catalog status --html status.html",
	.options = status_options,
	.set = set,
	.run = status,
};

const struct verb cmd_watch = {
	.name = "watch",
	.summary = "the status for as long as somebody looks",
	.text = "On a terminal the screen is refreshed; elsewhere a line is written when the level "
		"of something changes. SIGINT ends it. Reads the catalog only: somebody else has "
		"to 'sync'.",
	.examples = "aksdr-catalog watch --every 30s",
	.options = watch_options,
	.set = set,
	.run = watch,
};
