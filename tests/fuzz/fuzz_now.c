/* SPDX-License-Identifier: Apache-2.0 */
/* Times: what is taken is written as the same time again, to the millisecond. */
#include "common/now.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = fuzz_text(data, size);
	int64_t ns = 7;
	int64_t same = 0;
	int64_t day = 0;
	struct err e = ERR_INIT;

	if (size == sizeof(ns)) {
		/* the eight bytes as a time: every one can be written */
		memcpy(&ns, data, sizeof(ns));
		holds(strlen(now_rfc3339(ns).s) == 24 && strlen(now_day(ns).s) == 10);
		holds(strlen(now_http(ns).s) == 29);
		ns = 7;
	}
	if (now_http_parse(text, &ns, &e) == 0) {
		/* of what is taken only the name of the day may differ, and a leap second */
		holds(strlen(text) == 29 &&
		      (memcmp(now_http(ns).s + 3, text + 3, 26) == 0 || strstr(text, ":60 GMT")));
		ns = 7;
	} else {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
		holds(ns == 7);
		e = ERR_INIT;
	}
	if (now_parse(text, &ns, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
		holds(ns == 7);
		return 0;
	}
	const struct now_text again = now_rfc3339(ns);
	works(now_parse(again.s, &same, &e));
	holds(same <= ns && ns - same < 1000000);
	holds(strncmp(again.s, now_day(ns).s, 10) == 0);
	if (now_parse(now_day(ns).s, &day, &e) == 0)
		holds(day <= ns && ns - day < INT64_C(86400000000000));
	else
		holds(ns < INT64_C(-9223286400000000000)); /* that day begins before time does */
	return 0;
}
