/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a registry asks for: the header WWW-Authenticate, RFC 9110 11.6.1, and the parameters of
 * https://distribution.github.io/distribution/spec/auth/token/. Pure.
 */
#ifndef AKSDR_RESTORE_CHALLENGE_H
#define AKSDR_RESTORE_CHALLENGE_H

enum challenge_kind {
	CHALLENGE_NONE, /* it asks for nothing that is done here */
	CHALLENGE_BASIC,
	CHALLENGE_BEARER
};

struct challenge {
	enum challenge_kind kind;
	char realm[1024]; /* of BEARER: where tokens are given; never empty */
	char service[256];
};

/*
 * Of the challenges in a header the best one: Bearer with a realm, else Basic. What does not parse,
 * or does not fit, is none.
 */
struct challenge challenge_parse(const char *header);

#endif
