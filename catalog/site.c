/* SPDX-License-Identifier: Apache-2.0 */
/* See site.h. What is shown is what `status --html` and `report NAME --html` write. */
#include "catalog/site.h"

#include <string.h>

#include "catalog/report_html.h"
#include "catalog/standing_html.h"
#include "common/num.h"

#define REPORTS "/reports/"
#define TARGET_MAX_S ((int64_t)100 * 366 * 86400)

/* ---- which page ---- */

static bool is_served(const struct report *r)
{
	return !(r->uses & REPORT_USES_PRICES);
}

int site_path(const char *path, struct site_request *ret, struct err *e)
{
	*ret = (struct site_request){ .report = NULL };
	if (strcmp(path, "/") == 0)
		return 0;
	for (size_t i = 0; strncmp(path, REPORTS, strlen(REPORTS)) == 0 && i < report_count; i++) {
		if (strcmp(path + strlen(REPORTS), report_all[i].name) != 0)
			continue;
		if (!is_served(&report_all[i]))
			return err_set(e, ERR_NOT_FOUND,
			               "this report needs prices: 'aksdr-catalog report %s "
			               "--prices FILE' has it",
			               report_all[i].name);
		ret->report = &report_all[i];
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND,
	               "there is no such page; '/' leads to those that there are");
}

static int set_target(struct site_request *q, const char *value, struct err *e)
{
	if (!(q->report->uses & REPORT_USES_TARGET))
		return err_set(e, ERR_INVALID, "'target' has no meaning for this report");
	if (num_duration("target", value, &q->target_s, e) < 0)
		return -1;
	return q->target_s > 0 && q->target_s <= TARGET_MAX_S
	               ? 0
	               : err_set(e, ERR_INVALID, "the target of a report is an age, as 26h");
}

int site_argument(struct site_request *q, const char *name, const char *value, struct err *e)
{
	const struct {
		const char *name;
		char *to;
	} texts[] = { { "cluster", q->cluster },
		      { "namespace", q->namespace },
		      { "volume", q->volume } };

	if (!q->report)
		return err_set(e, ERR_INVALID, "this page has no arguments");
	if (!value || !*value)
		return 0;
	if (strcmp(name, "target") == 0)
		return set_target(q, value, e);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (strcmp(name, texts[i].name) != 0)
			continue;
		if (strlen(value) >= SITE_NAME_MAX)
			return err_set(e, ERR_INVALID, "the name of a %s is not that long",
			               texts[i].name);
		(void)snprintf(texts[i].to, SITE_NAME_MAX, "%s", value);
		return 0;
	}
	return err_set(e, ERR_INVALID,
	               "a report has the arguments cluster, namespace, volume and target");
}

/* ---- what is in it ---- */

/* A stream into a buffer, which ends where that is full. */
static ssize_t write_buf(void *cookie, const char *p, size_t n)
{
	return buf_put(cookie, p, n) < 0 ? 0 : (ssize_t)n;
}

static int as_of(struct catalog *c, int64_t now_ns, struct report_params *p, struct err *e)
{
	/* The clock of the store may be ahead of ours: what was received is not in the future. */
	if (report_newest(c, &p->as_of_ns, e) < 0)
		return -1;
	if (now_ns > p->as_of_ns)
		p->as_of_ns = now_ns;
	p->to_ns = p->as_of_ns;
	p->from_ns = p->to_ns > REPORT_PERIOD_NS ? p->to_ns - REPORT_PERIOD_NS : 0;
	return 0;
}

static const char *or_all(const char *text)
{
	return *text ? text : NULL;
}

static int put_report(struct catalog *c, const struct site_request *q, const struct site_params *p,
                      struct buf *b, struct err *e)
{
	static const cookie_io_functions_t into = { .write = write_buf };
	static const struct html_link up = { "/", "Am I safe?" };
	const struct report_html_how how = { .limit = REPORT_PAGE_ROWS, .up = &up };
	struct report_params params = { .target_s = q->target_s,
		                        .cluster = or_all(q->cluster),
		                        .namespace = or_all(q->namespace),
		                        .volume = or_all(q->volume),
		                        .cancel = p->cancel,
		                        .until_ns = p->until_ns };

	if (as_of(c, p->now_ns, &params, e) < 0)
		return -1;
	FILE *f = fopencookie(b, "w", into);
	if (!f)
		return err_set(e, ERR_NOMEM, "no memory for a page");
	struct err why = ERR_INIT;
	int rc = report_html_print(c, &q->report, 1, &params, &how, f, &why);
	rc = fclose(f) != 0 || rc < 0 ? -1 : 0;
	if (b->failed) /* the stream only knows that it could not write */
		rc = buf_check(b, "the page", &why);
	if (rc == 0)
		return 0;
	if (why.class != ERR_TOO_BIG) {
		*e = why;
		return -1;
	}
	return err_set(
		e, ERR_TOO_BIG,
		"%.400s; '?namespace=NAME' has less in it, and 'aksdr-catalog report %s' no such "
		"limit",
		why.msg, q->report->name);
}

static int put_standing(struct catalog *c, const struct site_params *p, struct buf *b,
                        struct err *e)
{
	auto_free struct standing *s = calloc(1, sizeof(*s));
	auto_free struct standing_answer *a = calloc(1, sizeof(*a));
	struct html_link links[REPORTS_MAX];
	char href[REPORTS_MAX][64];
	size_t n = 0;

	if (!s || !a)
		return err_set(e, ERR_NOMEM, "no memory for how it stands");
	catalog_limit(c, p->cancel, p->until_ns);
	int rc = standing_read(c, p->now_ns, s, e);
	catalog_limit(c, NULL, 0);
	if (rc < 0)
		return -1;
	standing_judge(s, p->now_ns, a);
	for (size_t i = 0; i < report_count && n < REPORTS_MAX; i++) {
		if (!is_served(&report_all[i]))
			continue;
		(void)snprintf(href[n], sizeof(href[n]), REPORTS "%s", report_all[i].name);
		links[n] = (struct html_link){ .href = href[n], .text = report_all[i].title };
		n++;
	}
	const struct standing_html_more more = { .synced_ns = s->synced_ns,
		                                 .links = links,
		                                 .nlinks = n };
	standing_html(a, p->now_ns, &more, b);
	return buf_check(b, "the page", e);
}

int site_page(struct catalog *c, const struct site_request *q, const struct site_params *p,
              struct buf *b, struct err *e)
{
	return q->report ? put_report(c, q, p, b, e) : put_standing(c, p, b, e);
}
