/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, sizes and durations: what is taken is in its range, and is written as the same again. */
#include "common/num.h"
#include "tests/fuzz/fuzz.h"

#define INVALID FUZZ_CLASS(ERR_INVALID)

static void number(const char *text)
{
	char again[32];
	uint64_t n = 7;
	struct err e = ERR_INIT;

	if (num_u64("number", text, 5, UINT64_MAX - 5, &n, &e) < 0) {
		fuzz_refused(&e, INVALID);
		holds(n == 7);
		return;
	}
	(void)snprintf(again, sizeof(again), "%llu", (unsigned long long)n);
	text += strspn(text, "0");
	holds(n >= 5 && n <= UINT64_MAX - 5 && strcmp(again, text) == 0);
}

static void size_of(const char *text)
{
	char again[40];
	uint64_t n = 7;
	uint64_t same = 0;
	struct err e = ERR_INIT;

	if (num_size("size", text, (uint64_t)1 << 60, &n, &e) < 0) {
		fuzz_refused(&e, INVALID);
		holds(n == 7);
		return;
	}
	(void)snprintf(again, sizeof(again), "%lluB", (unsigned long long)n);
	holds(n <= (uint64_t)1 << 60);
	works(num_size("size", again, UINT64_MAX, &same, &e));
	holds(same == n && strlen(num_bytes_text(n).s) < 16);
}

static void duration(const char *text)
{
	char again[40];
	int64_t s = -7;
	int64_t same = 0;
	struct err e = ERR_INIT;

	if (num_duration("duration", text, &s, &e) < 0) {
		fuzz_refused(&e, INVALID);
		holds(s == -7);
		return;
	}
	(void)snprintf(again, sizeof(again), "%llds", (long long)s);
	holds(s >= 0);
	works(num_duration("duration", again, &same, &e));
	holds(same == s && strlen(num_duration_text(s).s) < sizeof(num_duration_text(s).s) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = fuzz_text(data, size);

	number(text);
	size_of(text);
	duration(text);
	return 0;
}
