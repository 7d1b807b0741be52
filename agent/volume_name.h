/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the volumes of a backup are called: by NAME=PATH as a person says it, or by the claim of a
 * cluster that they are; and the domain that each is of. Pure.
 */
#ifndef AKSDR_AGENT_VOLUME_NAME_H
#define AKSDR_AGENT_VOLUME_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "repo/point.h"
#include "snapshot/csi.h"

/* Where the volumes of a call are; texts are "" where nothing is said. */
struct volume_place {
	const char *cluster;
	const char *namespace, *uid; /* of paths; claims have their own */
	const char *domain;          /* NULL: cluster/namespace */
};

#define VOLUME_DOMAIN_MAX 128 /* bytes of a domain that is made, with the NUL */

/*
 * Whether the origins are claims, all of them or none. n is at least 1. ERR_INVALID: some are, or
 * there are more than max.
 */
MUST_CHECK int volume_name_are_claims(const char *const *origins, size_t n, size_t max, bool *ret,
                                      struct err *e);

/*
 * NAME=PATH, n times, into volumes and the paths, which point into the arguments. ERR_INVALID: the
 * form, a name that is too long or has '/', '@' or a control character, or comes twice.
 */
MUST_CHECK int volume_name_parse(const char *const *args, size_t n, const struct volume_place *at,
                                 struct point_volume *ret, const char **ret_paths, struct err *e);

/* A claim that was read. ERR_INVALID: one of its names is too long or odd. */
MUST_CHECK int volume_name_claim(const struct csi_claim *c, const struct volume_place *at,
                                 struct point_volume *ret, struct err *e);

/*
 * The domain of a volume: the one that is named, or its place; "default" where it has none. *ret is
 * at->domain, a constant, or buffer. ERR_INVALID: the place is too long for a name.
 */
MUST_CHECK int volume_name_domain(const struct point_volume *v, const struct volume_place *at,
                                  char buffer[VOLUME_DOMAIN_MAX], const char **ret, struct err *e);

#endif
