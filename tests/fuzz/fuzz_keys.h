/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed keys for fuzz targets, so that an input does the same in every run. */
#ifndef AKSDR_TESTS_FUZZ_FUZZ_KEYS_H
#define AKSDR_TESTS_FUZZ_FUZZ_KEYS_H

#include <stdint.h>
#include <string.h>

#include "common/secret.h"
#include "repo/key.h"

/* RS is 00 01 .. 1f, the recovery key's seeds follow. */
#define FUZZ_REPO "repository: a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\n"
#define FUZZ_ADMIN "174553b456dddfc6908ecab1c101fe6ab21e2baa0617795b7d43a63482993fd5"
#define FUZZ_RECOVERY                                            \
	"aksdr recovery key 1\n" FUZZ_REPO                       \
	"secret: QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=\n" \
	"admin: YGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn8=\n"
#define FUZZ_AGENT                                                                               \
	"aksdr agent key 1\n" FUZZ_REPO "secret: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n" \
	"sign: gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8=\n"                                   \
	"admin-public: " FUZZ_ADMIN "\n"                                                         \
	"recipient: 79a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a\n"

static inline struct keys *fuzz_keys(const char *text)
{
	struct keys *k = NULL;
	struct err e = ERR_INIT;
	bool needs;

	if (secret_init(&e) < 0 ||
	    keys_parse((const uint8_t *)text, strlen(text), NULL, &k, &needs, &e) < 0)
		abort();
	return k;
}

/* A recovery key that has opened its config: its recipient, and knows the agent as a signer. */
static inline struct keys *fuzz_reader(void)
{
	struct keys *k = fuzz_keys(FUZZ_RECOVERY);
	struct keys *agent = fuzz_keys(FUZZ_AGENT);

	k->signers = calloc(1, sizeof(*k->signers));
	if (!k->signers)
		abort();
	k->nsigners = 1;
	memcpy(k->signers[0].public, agent->sign_public, 32);
	memcpy(k->signers[0].id, agent->signer_id, 8);
	memcpy(k->recipients[0].public, k->recovery_public, 32);
	key_recipient_id(k->recipients[0].id, k->recovery_public);
	k->nrecipients = 1;
	keys_set_rs(k, agent->s->rs);
	keys_free(agent);
	return k;
}

static inline struct domain_keys *fuzz_domain(const struct keys *k)
{
	struct domain_keys *d = NULL;
	struct err e = ERR_INIT;

	if (keys_domain(k, "fuzz", &d, &e) < 0)
		abort();
	return d;
}

#endif
