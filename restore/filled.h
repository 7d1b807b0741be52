/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came of filling a volume, told by the process that did it to the one that started it
 * (`aksdr-restore volume --result`), in common/result.h's form: schema aksdr/filled/v1, or class
 * and error of a failure. What was restored but for something listed has both.
 */
#ifndef AKSDR_RESTORE_FILLED_H
#define AKSDR_RESTORE_FILLED_H

#include "common/result.h"
#include "restore/report.h"

#define FILLED_PATHS 8
#define FILLED_PATH_MAX 128 /* bytes, escaped */

struct filled {
	char point[33], session[96];
	char base[33]; /* the point that the volume held before; "": it was not relied on */
	uint64_t bytes, files;
	uint64_t written; /* bytes of content */
	uint64_t fetched; /* bytes from the store */
	uint64_t requests;
	bool verified; /* read back from the medium, and as in the point */
	uint64_t ms;
	bool partial;          /* something is missing, or metadata could not be set */
	char why[ERR_MSG_MAX]; /* partial: what */
	uint64_t gaps;         /* places that are missing */
	size_t npaths;         /* of them, as many as were told; made fit for one line, cut */
	char paths[FILLED_PATHS][FILLED_PATH_MAX + 1];
};

/*
 * At most RESULT_MAX bytes, to b. verdict: how it ended (ERR_NONE or ERR_PARTIAL: the report tells;
 * else r and head are not looked at, and may be NULL).
 */
MUST_CHECK int filled_write(const struct report *r, const struct report_head *head,
                            const struct err *verdict, struct buf *b, struct err *e);

/*
 * 0: *ret has what is told; -1: e is why nothing was filled, or ERR_FORMAT when the text is none of
 * filled_write().
 */
MUST_CHECK int filled_read(const char *text, struct filled *ret, struct err *e);

#endif
