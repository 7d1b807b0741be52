/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the freezer takes from outside. The first byte says what the rest is: a request, an
 * answer, the note of a freeze. What is taken keeps its limits, and comes back the same when it is
 * written again.
 */
#include "freezer/note.h"
#include "snapshot/freezer_wire.h"
#include "tests/fuzz/fuzz.h"

static void request(const uint8_t *p, size_t n)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FREEZER_WIRE_REQUEST_BYTES);
	struct freezer_wire_request r;
	struct err e = ERR_INIT;

	if (freezer_wire_request(p, n, &r, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
		return;
	}
	holds(r.n <= FREEZER_FDS_MAX && r.deadline_ms <= FREEZER_DEADLINE_MAX_MS);
	holds((r.verb == FREEZER_WIRE_FREEZE) == (r.n > 0));
	freezer_wire_put_request(&b, &r);
	holds(b.len == n && memcmp(b.data, p, n) == 0);
}

static void answer(const uint8_t *p, size_t n)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FREEZER_WIRE_ANSWER_MAX);
	struct freezer_wire_answer a;
	struct err e = ERR_INIT;

	if (freezer_wire_answer(p, n, &a, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
		return;
	}
	holds(a.n <= FREEZER_FDS_MAX && strlen(a.text) <= FREEZER_WIRE_TEXT_MAX);
	holds((freezer_wire_class(a.result) == ERR_NONE) == (a.text[0] == '\0'));
	freezer_wire_put_answer(&b, &a);
	holds(b.len == n && memcmp(b.data, p, n) == 0);
}

static void note(const uint8_t *p, size_t n)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(16 * KIB);
	auto_free char *text = fuzz_text(p, n);
	struct note a, again;
	struct err e = ERR_INIT;

	if (note_parse(text, &a, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
		return;
	}
	holds(a.n <= FREEZER_FDS_MAX);
	note_put(&b, &a);
	works(note_parse(buf_cstr(&b), &again, &e));
	holds(again.n == a.n && strcmp(again.boot, a.boot) == 0);
	for (size_t i = 0; i < a.n; i++)
		holds(a.fs[i].st_dev == again.fs[i].st_dev && a.fs[i].dev == again.fs[i].dev &&
		      a.fs[i].has_uuid == again.fs[i].has_uuid &&
		      memcmp(a.fs[i].uuid, again.fs[i].uuid, sizeof(a.fs[i].uuid)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] % 3 == 0)
		request(data + 1, size - 1);
	else if (data[0] % 3 == 1)
		answer(data + 1, size - 1);
	else
		note(data + 1, size - 1);
	return 0;
}
