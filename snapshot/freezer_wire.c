/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the freezer. Neither side trusts the other: every number is checked. */
#include "snapshot/freezer_wire.h"

#include <assert.h>
#include <string.h>

#include "common/rd.h"

#define MAGIC 0x315a5246U /* "FRZ1" */
#define ERRNO_MAX 4095    /* what the kernel can return */

static const enum err_class classes[FREEZER_WIRE_RESULTS] = {
	[FREEZER_WIRE_OK] = ERR_NONE,       [FREEZER_WIRE_UNSUPPORTED] = ERR_UNSUPPORTED,
	[FREEZER_WIRE_BUSY] = ERR_BUSY,     [FREEZER_WIRE_INVALID] = ERR_INVALID,
	[FREEZER_WIRE_DENIED] = ERR_DENIED, [FREEZER_WIRE_EARLY] = ERR_RETRY,
	[FREEZER_WIRE_FAILED] = ERR_IO,
};

enum err_class freezer_wire_class(enum freezer_wire_result r)
{
	return classes[r];
}

static bool request_is_right(const struct freezer_wire_request *r)
{
	if (r->verb == FREEZER_WIRE_FREEZE)
		return r->n >= 1 && r->n <= FREEZER_FDS_MAX && r->deadline_ms >= 1 &&
		       r->deadline_ms <= FREEZER_DEADLINE_MAX_MS;
	return r->verb == FREEZER_WIRE_THAW && r->n == 0 && r->deadline_ms == 0;
}

void freezer_wire_put_request(struct buf *b, const struct freezer_wire_request *r)
{
	assert(request_is_right(r));
	(void)buf_u32(b, MAGIC);
	(void)buf_u16(b, (uint16_t)r->verb);
	(void)buf_u16(b, r->n);
	(void)buf_u32(b, r->deadline_ms);
}

int freezer_wire_request(const void *p, size_t n, struct freezer_wire_request *ret, struct err *e)
{
	struct rd rd = rd_of(p, n);
	struct freezer_wire_request r = { 0 };

	uint32_t magic = rd_u32(&rd);
	r.verb = rd_u16(&rd);
	r.n = rd_u16(&rd);
	r.deadline_ms = rd_u32(&rd);
	if (!rd_done(&rd) || magic != MAGIC || !request_is_right(&r))
		return err_set(e, ERR_FORMAT,
		               "a request of %zu bytes is none that the freezer knows", n);
	*ret = r;
	return 0;
}

/* Texts are for people: what could move a cursor or end a line does not get through. */
static bool text_is_right(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

static bool answer_is_right(const struct freezer_wire_answer *a, size_t text_len)
{
	return a->verb >= FREEZER_WIRE_HELLO && a->verb <= FREEZER_WIRE_THAW &&
	       (unsigned)a->result < FREEZER_WIRE_RESULTS && a->os >= 0 && a->os <= ERRNO_MAX &&
	       a->n <= FREEZER_FDS_MAX && (a->verb != FREEZER_WIRE_HELLO || a->n == 0) &&
	       (a->at == FREEZER_WIRE_NONE || a->at < FREEZER_FDS_MAX) &&
	       text_len <= FREEZER_WIRE_TEXT_MAX && text_is_right(a->text, text_len) &&
	       (a->result == FREEZER_WIRE_OK) == (text_len == 0);
}

void freezer_wire_put_answer(struct buf *b, const struct freezer_wire_answer *a)
{
	assert(answer_is_right(a, strlen(a->text)));
	(void)buf_u32(b, MAGIC);
	(void)buf_u16(b, (uint16_t)a->verb);
	(void)buf_u16(b, (uint16_t)a->result);
	(void)buf_u32(b, (uint32_t)a->os);
	(void)buf_u16(b, a->at);
	(void)buf_u16(b, a->n);
	for (size_t i = 0; i < a->n; i++) {
		(void)buf_u64(b, (uint64_t)a->times[i].asked_ns);
		(void)buf_u64(b, (uint64_t)a->times[i].frozen_ns);
		(void)buf_u64(b, (uint64_t)a->times[i].thawed_ns);
	}
	(void)buf_str(b, a->text);
}

static bool take_times(struct rd *rd, struct freezer_times *ret)
{
	ret->asked_ns = (int64_t)rd_u64(rd);
	ret->frozen_ns = (int64_t)rd_u64(rd);
	ret->thawed_ns = (int64_t)rd_u64(rd);
	return ret->asked_ns >= 0 && ret->frozen_ns >= 0 && ret->thawed_ns >= 0;
}

int freezer_wire_answer(const void *p, size_t n, struct freezer_wire_answer *ret, struct err *e)
{
	struct rd rd = rd_of(p, n);
	struct freezer_wire_answer a = { 0 };
	bool right = true;

	uint32_t magic = rd_u32(&rd);
	a.verb = rd_u16(&rd);
	a.result = rd_u16(&rd);
	uint32_t os = rd_u32(&rd);
	a.at = rd_u16(&rd);
	a.n = rd_u16(&rd);
	if (os > ERRNO_MAX || a.n > FREEZER_FDS_MAX)
		return err_set(e, ERR_FORMAT, "an answer of the freezer is out of its limits");
	a.os = (int)os;
	for (size_t i = 0; i < a.n; i++)
		right = take_times(&rd, &a.times[i]) && right;
	size_t len = rd_left(&rd);
	if (len > FREEZER_WIRE_TEXT_MAX)
		return err_set(e, ERR_FORMAT, "an answer of the freezer is out of its limits");
	rd_copy(&rd, a.text, len);
	if (!rd_done(&rd) || magic != MAGIC || !right || !answer_is_right(&a, len))
		return err_set(e, ERR_FORMAT,
		               "an answer of %zu bytes is none of a freezer of this version", n);
	*ret = a;
	return 0;
}
