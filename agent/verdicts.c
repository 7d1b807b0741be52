/* SPDX-License-Identifier: Apache-2.0 */
/* See verdicts.h. A hundred are looked through in less time than a token takes to be hashed. */
#include "agent/verdicts.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/secret.h"

void verdicts_init(struct verdicts *v)
{
	*v = (struct verdicts){ .v[0].verdict = VERDICT_NONE };
	secret_random(v->key, sizeof(v->key));
}

struct verdicts_id verdicts_id(const struct verdicts *v, const char *token)
{
	struct verdicts_id id;

	(void)crypto_generichash(id.hash, sizeof(id.hash), (const unsigned char *)token,
	                         strlen(token), v->key, sizeof(v->key));
	return id;
}

enum verdict verdicts_find(const struct verdicts *v, const struct verdicts_id *id, int64_t now_ns,
                           char *user)
{
	*user = '\0';
	for (size_t i = 0; i < VERDICTS_MAX; i++) {
		if (v->v[i].verdict == VERDICT_NONE || v->v[i].until_ns <= now_ns ||
		    memcmp(&v->v[i].id, id, sizeof(*id)) != 0)
			continue;
		(void)snprintf(user, VERDICTS_USER_MAX, "%s", v->v[i].user);
		return v->v[i].verdict;
	}
	return VERDICT_NONE;
}

void verdicts_put(struct verdicts *v, const struct verdicts_id *id, enum verdict verdict,
                  const char *user, int64_t now_ns)
{
	size_t at = 0;

	for (size_t i = 0; i < VERDICTS_MAX; i++) {
		if (memcmp(&v->v[i].id, id, sizeof(*id)) == 0) {
			at = i;
			break;
		}
		if (v->v[i].until_ns < v->v[at].until_ns)
			at = i;
	}
	v->v[at].id = *id;
	v->v[at].verdict = verdict;
	v->v[at].until_ns = now_ns + (verdict == VERDICT_ALLOWED ? VERDICTS_ALLOWED_NS
	                                                         : VERDICTS_REFUSED_NS);
	(void)snprintf(v->v[at].user, sizeof(v->v[at].user), "%s", user);
}
