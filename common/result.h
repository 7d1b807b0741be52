/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came of a process, for the one that started it: one text of JSON in a file, small enough to
 * be the termination message of a container. What it says of a success is its writer's; why there
 * is none are the members `class` and `error`, here.
 */
#ifndef AKSDR_COMMON_RESULT_H
#define AKSDR_COMMON_RESULT_H

#include "common/json.h"

#define RESULT_MAX 4096 /* bytes; the kubelet cuts longer ones */

/* Adds why to an object, at most half of RESULT_MAX. ERR_NOMEM. */
MUST_CHECK int result_put_why(json_t *o, const struct err *why, struct err *e);

/*
 * True: the object says why, and that is in *ret_why, fit for one line whatever was in it;
 * ERR_FORMAT when it is of a class that is unknown.
 */
bool result_says_why(const json_t *o, struct err *ret_why);

/* Writes the text to a file, which is made when it is missing; never another in its place. */
MUST_CHECK int result_save(const char *path, const struct buf *text, struct err *e);

#endif
