/* SPDX-License-Identifier: Apache-2.0 */
/* See metric.h. */
#include "common/metric.h"

#include <assert.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>

#include "common/fd.h"
#include "common/text.h"

void metric_family(struct buf *b, const char *name, enum metric_kind kind, const char *help)
{
	assert(!strpbrk(help, "\\\n"));
	(void)buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
	                 kind == METRIC_COUNTER ? "counter" : "gauge");
}

/*
 * Between quotes: control characters and what is not UTF-8 as \xNN, and then a backslash and a
 * quote with a backslash before it, as the format wants it.
 */
static void put_value(struct buf *b, const char *value)
{
	char step[TEXT_STEP_MAX];
	size_t room = METRIC_VALUE_MAX;
	size_t n;

	while ((n = text_step(&value, TEXT_LINE, step)) > 0 && n <= room) {
		for (size_t i = 0; i < n; i++) {
			if (step[i] == '\\' || step[i] == '"')
				(void)buf_str(b, "\\");
			(void)buf_put(b, &step[i], 1);
		}
		room -= n;
	}
}

void metric_sample(struct buf *b, const char *name, const struct metric_label *labels, size_t n,
                   double value)
{
	(void)buf_str(b, name);
	for (size_t i = 0; i < n; i++) {
		(void)buf_printf(b, "%s%s=\"", i == 0 ? "{" : ",", labels[i].name);
		put_value(b, labels[i].value);
		(void)buf_str(b, "\"");
	}
	/* Whole numbers up to 2^53 as such; no locale has a say in these programs. */
	if (fabs(value) < 9e15 && value == floor(value))
		(void)buf_printf(b, "%s %.0f\n", n > 0 ? "}" : "", value);
	else
		(void)buf_printf(b, "%s %.17g\n", n > 0 ? "}" : "", value);
}

void metric_build_info(struct buf *b)
{
	const struct metric_label version = { "version", AKSDR_VERSION };

	metric_family(b, "aksdr_build_info", METRIC_GAUGE, "Always 1: the version of the program.");
	metric_sample(b, "aksdr_build_info", &version, 1, 1);
}

int metric_write(const struct buf *b, const char *path, struct err *e)
{
	if (buf_check(b, "the text of the metrics", e) < 0 ||
	    fd_create_file(AT_FDCWD, path, b->data, b->len, 0644, FD_REPLACE, e) < 0)
		return err_wrap(e, "writing metrics to '%s'", path);
	return 0;
}
