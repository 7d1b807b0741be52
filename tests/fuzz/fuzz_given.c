/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What processes tell each other of a view and of what became of it: a mover's termination message,
 * a run's result, and the argument of a mover. The first byte says which.
 */
#include "agent/given.h"

#include "store/traffic.h"
#include "tests/fuzz/fuzz.h"

/* What is taken can be told on, and then says the same. */
static void check_result(const struct point *p, const struct store_traffic *t)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(RESULT_MAX);
	struct err e = ERR_INIT;
	struct store_traffic more;
	struct point again;

	holds(point_session_valid(p->session));
	works(given_result_write(p, NULL, t, &b, &e));
	works(given_result_read(buf_cstr(&b), &again, &more, &e));
	holds(strcmp(again.id, p->id) == 0 && again.bytes_stored == p->bytes_stored);
	holds(again.frozen_ns == p->frozen_ns);
	/* Counts of what was not asked are left out. */
	holds(traffic_requests(&more) == traffic_requests(t));
}

static void read_result(const char *text)
{
	struct err e = ERR_INIT;
	struct store_traffic t, same;
	struct point p;

	if (given_result_read(text, &p, &t, &e) == 0)
		check_result(&p, &t);
	else
		fuzz_refused(&e, ~FUZZ_CLASS(ERR_NONE));
	if (given_end_read(text, &same, &e))
		fuzz_refused(&e, ~FUZZ_CLASS(ERR_NONE));
	holds(memcmp(&same, &t, sizeof(t)) == 0);
}

static void read_view(const char *text)
{
	static const struct snapshot_env env;
	struct moment_volume v = { .name = "v", .path = "/" };
	struct err e = ERR_INIT;

	if (given_read(text, &env, &v, &e) == 0) {
		struct moment m = { .volumes = &v, .n = 1 };

		holds(v.snapshot->consistency <= SNAP_APPLICATION);
		moment_end(&m);
		return;
	}
	fuzz_refused(&e, FUZZ_BAD | FUZZ_CLASS(ERR_INVALID) | FUZZ_CLASS(ERR_TOO_BIG));
	capture_clear(&v.capture);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 16 * KIB)
		return 0;
	auto_free char *text = fuzz_text(data + 1, size - 1);
	if (data[0] & 1)
		read_view(text);
	else
		read_result(text);
	return 0;
}
