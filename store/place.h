/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a store is: scheme://HOST/REST?parameters, taken apart, and the
 * settings that go with it. A setting comes from the file that the parameter
 * `credentials` names (lines NAME=VALUE), else from the environment. Secrets
 * do not stand in URLs; a URL that has one is refused without repeating it.
 */
#ifndef AKSDR_STORE_PLACE_H
#define AKSDR_STORE_PLACE_H

#include <stdbool.h>

#include "common/clean.h"
#include "common/err.h"

#define PLACE_PARAMS 16

struct place {
	char *plain; /* "scheme://host/rest", for messages */
	char *host;  /* azure: the account; s3: the bucket */
	char *rest;  /* without slashes at its ends; "" */
	/* what follows belongs to place.c */
	struct {
		char *name;
		char *value;
	} params[PLACE_PARAMS];
	unsigned nparams;
	char *settings; /* locked memory: "NAME=VALUE\0"..., an empty one ends them; NULL */
};

/*
 * known: names of parameters, NULL ends them. ERR_INVALID, ERR_NOMEM; of the
 * credentials file ERR_NOT_FOUND, ERR_DENIED (others may read it), ERR_FORMAT.
 */
MUST_CHECK int place_parse(const char *url, const char *const *known, struct place *ret,
                           struct err *e);
void place_clear(struct place *p);
#define auto_place CLEANUP(place_clear)

/* The value of a parameter, or NULL. */
const char *place_param(const struct place *p, const char *name);

/* The value of a setting: file first, then environment; NULL or not empty. Not for messages. */
const char *place_setting(const struct place *p, const char *name);

/* Decodes %XX in place; false: a bad escape or a NUL. Pure. */
bool place_unescape(char *text);

#endif
