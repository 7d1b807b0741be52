/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics as text, in the form that Prometheus' textfile collector reads
 * (https://prometheus.io/docs/instrumenting/exposition_formats/): families,
 * each with its help and type, and samples below them. The file is replaced
 * as a whole, so that who reads it never sees half of one.
 */
#ifndef AKSDR_COMMON_METRIC_H
#define AKSDR_COMMON_METRIC_H

#include "common/buf.h"
#include "common/err.h"

#define METRIC_TEXT_MAX (16 * MIB)
#define METRIC_VALUE_MAX 256 /* bytes of a label's value; more are cut off */

struct metric_label {
	const char *name;
	const char *value; /* any bytes */
};

enum metric_kind { METRIC_GAUGE, METRIC_COUNTER };

/*
 * Begins a family. name: [a-z_][a-z0-9_]*; help: one line. Appended to b, whose failure is sticky.
 */
void metric_family(struct buf *b, const char *name, enum metric_kind kind, const char *help);

/* A sample of the family that was begun last. labels may be NULL when n is 0. */
void metric_sample(struct buf *b, const char *name, const struct metric_label *labels, size_t n,
                   double value);

/* The family aksdr_build_info, whose label is the version of this program. */
void metric_build_info(struct buf *b);

/*
 * Replaces the file, for all to read. ERR_TOO_BIG when b's text had no room, else as
 * fd_create_file().
 */
MUST_CHECK int metric_write(const struct buf *b, const char *path, struct err *e);

#endif
