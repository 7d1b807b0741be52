/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML, as people write it for Kubernetes, into the same values that JSON gives (libyaml parses).
 * Scalars are those of the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema):
 * plain null, true, false and numbers have their type, and all else is a string: "no", "on" and
 * what is in quotes too. Refused, since they hide more than they say: anchors and aliases, tags
 * other than !!str, merge keys, keys that come twice, numbers with a leading zero.
 */
#ifndef AKSDR_COMMON_YAML_H
#define AKSDR_COMMON_YAML_H

#include "common/json.h"

#define YAML_BYTES_MAX MIB /* of a stream */
#define YAML_DEPTH_MAX 32  /* collections within each other */

/*
 * The only document of a stream; what names it in messages. The caller decrefs.
 *   ERR_FORMAT   with line and column; also none at all, and more than one
 *   ERR_TOO_BIG  over YAML_BYTES_MAX
 *   ERR_NOMEM
 */
MUST_CHECK json_t *yaml_parse(const char *what, const void *p, size_t n, struct err *e);

/* The same of a file, by its path. Also what fd_read_file() says. */
MUST_CHECK json_t *yaml_load(const char *path, struct err *e);

/*
 * Each document of a stream in order, borrowed, with the line where it begins; those that hold
 * nothing are left out. each may fail, which ends it. What comes before a mistake has been told.
 */
MUST_CHECK int yaml_each(const char *what, const void *p, size_t n,
                         int (*each)(void *arg, const json_t *document, size_t line, struct err *e),
                         void *arg, struct err *e);

#endif
