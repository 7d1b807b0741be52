/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether registries have images, by the protocol that pulls use: HEAD of a manifest, and before it
 * what the registry asks for (nothing, Basic, or a token of its service). Nothing is pulled.
 * https://github.com/opencontainers/distribution-spec/blob/main/spec.md ("Checking if content
 * exists in the registry")
 * https://distribution.github.io/distribution/spec/auth/token/
 */
#ifndef AKSDR_RESTORE_REGISTRY_H
#define AKSDR_RESTORE_REGISTRY_H

#include <stddef.h>

#include "common/cancel.h"
#include "common/err.h"
#include "restore/auths.h"

enum registry_answer {
	REGISTRY_THERE,
	REGISTRY_MISSING, /* the registry answers, and has no such repository or manifest */
	REGISTRY_OTHER,   /* it answers with another digest */
	REGISTRY_DENIED,  /* it does not tell us: credentials are missing, wrong, or not enough */
	REGISTRY_UNKNOWN  /* it could not be asked */
};

struct registry_result {
	enum registry_answer answer;
	char why[512]; /* all but THERE: for people, no full stop */
};

struct registry_params {
	const struct auths *auths;   /* borrowed; NULL: none */
	const char *ca_file;         /* PEM; NULL: the system's certificates */
	int64_t budget_ms;           /* how long one image is tried; 0: 20000 */
	const struct cancel *cancel; /* may be NULL */
};

#define REGISTRY_AT_ONCE 8

/*
 * Looks for n images, whose names may be any text, REGISTRY_AT_ONCE at a time; ret has one result
 * for each. Registries at loopback addresses are asked by HTTP, as runtimes do, all others by
 * HTTPS. Blocks.
 *   ERR_CANCELLED, ERR_NOMEM, ERR_INVALID (ca_file)
 */
MUST_CHECK int registry_look(const struct registry_params *p, const char *const *images, size_t n,
                             struct registry_result *ret, struct err *e);

#endif
