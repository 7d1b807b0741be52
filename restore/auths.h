/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are at registries of images: the member `auths` of docker's config.json, which Kubernetes
 * keeps in secrets of the type kubernetes.io/dockerconfigjson too. Helpers that the file names
 * (credsStore, credHelpers) are not run.
 * https://kubernetes.io/docs/concepts/containers/images/#config-json
 */
#ifndef AKSDR_RESTORE_AUTHS_H
#define AKSDR_RESTORE_AUTHS_H

#include <stddef.h>

#include "common/clean.h"
#include "common/err.h"

#define AUTHS_MAX 256               /* hosts, of all that are added */
#define AUTHS_BYTES_MAX MIB         /* of one text */
#define AUTHS_SECRET_MAX (16 * KIB) /* bytes of one secret */

struct auths;

struct auths_entry {
	const char *basic; /* base64 of USER:PASSWORD; "": none */
	const char *token; /* a refresh token, as `az acr login` leaves it; "": none */
};

struct auths *auths_new(struct err *e);
void auths_free(struct auths *a); /* wipes */
static inline void clean_auths(struct auths *const *a)
{
	auths_free(*a);
}
#define auto_auths CLEANUP(clean_auths)

/*
 * Adds what a text has; of a host that is known already the first entry stays. what names it in
 * messages, which repeat no value. What is empty (a host that a helper is for) is left out.
 *   ERR_FORMAT   no JSON, or an entry that is no user and password; nothing of the text was added
 *   ERR_TOO_BIG  over the limits
 */
MUST_CHECK int auths_add(struct auths *a, const char *what, const void *text, size_t n,
                         struct err *e);

/*
 * Adds what a file has. NULL: the one of docker, $DOCKER_CONFIG/config.json or
 * ~/.docker/config.json, and that this is not there is no error.
 */
MUST_CHECK int auths_load(struct auths *a, const char *path, struct err *e);

/* The entry of a host, as struct image has it. NULL: there is none. Borrowed. */
const struct auths_entry *auths_find(const struct auths *a, const char *host);

#endif
