/* SPDX-License-Identifier: Apache-2.0 */
/* Cron expressions: what is taken fires at times that it names, and at each of them once. */
#include "common/cron.h"

#include <time.h>

#include "tests/fuzz/fuzz.h"

static bool fires(const struct cron *c, time_t s)
{
	struct tm tm;

	(void)gmtime_r(&s, &tm);
	bool day = c->days >> tm.tm_mday & 1;
	bool weekday = c->weekdays >> tm.tm_wday & 1;
	return tm.tm_sec == 0 && (c->minutes >> tm.tm_min & 1) && (c->hours >> tm.tm_hour & 1) &&
	       (c->months >> (tm.tm_mon + 1) & 1) && (c->either ? day || weekday : day && weekday);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[2 * CRON_TEXT_MAX];
	struct err e = ERR_INIT;
	struct cron c;
	int64_t at = 1795305600; /* 2026-11-22 */

	if (size >= sizeof(text))
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (cron_parse(&c, text, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
		holds(strlen(e.msg) >= 20);
		return 0;
	}
	for (int i = 0; i < 20; i++) {
		int64_t next = cron_next(&c, at);

		if (next < 0)
			break;
		holds(next > at && fires(&c, next) && cron_next(&c, next - 1) == next);
		for (int64_t s = at - at % 60 + 60; s < next && s < at + 86400; s += 60)
			holds(!fires(&c, s));
		at = next;
	}
	return 0;
}
