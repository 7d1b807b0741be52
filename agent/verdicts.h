/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was said of tokens lately, so that the API server is not asked for each request. No token is
 * kept, but a hash of it with a key that is this process's own. There are so many and no more: a
 * new one takes the place of the one that would end first. For one thread at a time; no clock.
 */
#ifndef AKSDR_AGENT_VERDICTS_H
#define AKSDR_AGENT_VERDICTS_H

#include <stddef.h>
#include <stdint.h>

#define VERDICTS_MAX 128
#define VERDICTS_USER_MAX 256
/* For so long somebody who has lost the right still sees pages, and who got it does not. */
#define VERDICTS_ALLOWED_NS (60 * INT64_C(1000000000))
#define VERDICTS_REFUSED_NS (10 * INT64_C(1000000000))

enum verdict {
	VERDICT_NONE,      /* nothing is known */
	VERDICT_ALLOWED,   /* he may look */
	VERDICT_FORBIDDEN, /* he is known, and may not */
	VERDICT_STRANGER   /* it is nobody's token */
};

struct verdicts_id {
	uint8_t hash[32];
};

struct verdicts {
	uint8_t key[32];
	struct {
		struct verdicts_id id;
		enum verdict verdict; /* NONE: free */
		int64_t until_ns;
		char user[VERDICTS_USER_MAX];
	} v[VERDICTS_MAX];
};

void verdicts_init(struct verdicts *v);
struct verdicts_id verdicts_id(const struct verdicts *v, const char *token);
/* user: whose it is, VERDICTS_USER_MAX bytes; "" where nobody's. */
enum verdict verdicts_find(const struct verdicts *v, const struct verdicts_id *id, int64_t now_ns,
                           char *user);
/* user is cut where it is too long. */
void verdicts_put(struct verdicts *v, const struct verdicts_id *id, enum verdict verdict,
                  const char *user, int64_t now_ns);

#endif
