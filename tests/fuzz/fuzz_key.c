/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key files. What needs a passphrase is not opened: that takes its time on
 * purpose. A key that parses is written and read again as the same key.
 */
#include <unistd.h>

#include "common/secret.h"
#include "repo/key.h"
#include "tests/fuzz/fuzz.h"

static void same(const struct keys *a, const struct keys *b)
{
	holds(a->kind == b->kind && memcmp(a->repo, b->repo, sizeof(a->repo)) == 0);
	holds(memcmp(a->admin_public, b->admin_public, sizeof(a->admin_public)) == 0);
	holds(memcmp(a->s, b->s, sizeof(*a->s)) == 0);
	holds(a->has_rs == b->has_rs && a->has_mm == b->has_mm && a->has_sign == b->has_sign);
	holds(a->has_recovery == b->has_recovery && a->nrecipients == b->nrecipients);
	holds(memcmp(a->sign_public, b->sign_public, sizeof(a->sign_public)) == 0);
	holds(memcmp(a->recipients, b->recipients, sizeof(a->recipients[0]) * a->nrecipients) == 0);
}

static void write_again(const struct keys *k)
{
	auto_free char *path = path_join(fuzz_dir(), "key");
	auto_keys struct keys *again = NULL;
	struct err e = ERR_INIT;

	(void)unlink(path);
	works(keys_save(k, path, NULL, &e));
	works(keys_load(path, NULL, &again, &e));
	same(k, again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_keys struct keys *k = NULL;
	struct err e = ERR_INIT;
	bool needs;

	works(secret_init(&e));
	if (keys_parse(data, size, NULL, &k, &needs, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(needs ? ERR_DENIED : ERR_FORMAT));
		holds(!k);
		return 0;
	}
	holds(k->kind != KEY_AGENT || k->has_sign);
	holds(k->kind != KEY_RECOVERY || k->has_recovery);
	holds(k->kind != KEY_AGENT || (k->has_rs && k->nrecipients > 0));
	holds(k->nrecipients <= KEY_RECIPIENTS_MAX);
	write_again(k);
	return 0;
}
