/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of a container image, taken apart: which registry, which repository there, and which
 * digest or tag. As Docker and Kubernetes read it: "redis" is docker.io/library/redis:latest. Pure.
 * Grammar: https://pkg.go.dev/github.com/distribution/reference
 */
#ifndef AKSDR_RESTORE_IMAGE_H
#define AKSDR_RESTORE_IMAGE_H

#include <stdbool.h>

#include "common/err.h"

#define IMAGE_MAX 1024 /* bytes of a name that is looked at */

struct image {
	char host[256];       /* "docker.io", "shopne.azurecr.io", "127.0.0.1:5000" */
	char repository[256]; /* "library/redis" */
	char reference[140];  /* "sha256:..." or a tag */
	bool digest;          /* which of them */
};

/* ERR_INVALID: it is none; says why. */
MUST_CHECK int image_parse(const char *text, struct image *ret, struct err *e);

/* True for sha256: and sha512: with as many lower-case hexadecimal digits as they have. */
bool image_is_digest(const char *text);

#endif
