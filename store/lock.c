/* SPDX-License-Identifier: Apache-2.0 */
/* See lock.h. A name that is not known here is locked. */
#include "store/lock.h"

#include <string.h>

#include "common/clean.h"

#define SLACK_S 3600

static const char *const short_lived[] = { "sess/", "pin/", "probe/" };

/* Steps of a collection that are of no use once it is done. */
#define STEPS "ctl/gc/"
static const char *const short_lived_steps[] = { "/condemn", "/sessions", "/live" };

bool lock_applies(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(short_lived); i++)
		if (strncmp(key, short_lived[i], strlen(short_lived[i])) == 0)
			return false;
	const char *last = strrchr(key, '/');
	if (!last || strncmp(key, STEPS, sizeof(STEPS) - 1) != 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(short_lived_steps); i++)
		if (strcmp(last, short_lived_steps[i]) == 0)
			return false;
	return true;
}

int64_t lock_until_s(int64_t now_s, int64_t lock_s)
{
	return now_s + lock_s + SLACK_S;
}
