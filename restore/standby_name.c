/* SPDX-License-Identifier: Apache-2.0 */
/* See standby_name.h. */
#include "restore/standby_name.h"

#include <sodium.h>
#include <string.h>

#include "common/hex.h"

void standby_run_of(const char *plan, unsigned copy, char ret[RUN_LOG_ID])
{
	uint8_t hash[crypto_generichash_BYTES];
	char text[512];

	(void)snprintf(text, sizeof(text), "aksdr standby %.400s", plan);
	if (copy > 0)
		(void)snprintf(text, sizeof(text), "aksdr standby/%u %.400s", copy, plan);
	(void)crypto_generichash(hash, sizeof(hash), (const uint8_t *)text, strlen(text), NULL, 0);
	hex_encode(ret, hash, (RUN_LOG_ID - 1) / 2);
}
