/* SPDX-License-Identifier: Apache-2.0 */
/* Key files. What needs a passphrase is not opened: that takes its time on purpose. */
#include <stdlib.h>

#include "common/secret.h"
#include "repo/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_keys struct keys *k = NULL;
	struct err e = ERR_INIT;
	bool needs;

	if (secret_init(&e) < 0)
		abort();
	if (keys_parse(data, size, NULL, &k, &needs, &e) < 0) {
		if (e.class != (needs ? ERR_DENIED : ERR_FORMAT))
			abort();
		return 0;
	}
	if (k->kind == KEY_AGENT && !k->has_sign)
		abort();
	if (k->kind == KEY_RECOVERY && !k->has_recovery)
		abort();
	if (k->kind == KEY_AGENT && (!k->has_rs || k->nrecipients == 0))
		abort();
	return 0;
}
