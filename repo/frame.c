/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/frame.h"

#define TAIL_GUESS (32 * KIB) /* of an object: its trailer, and mostly its footer */

int frame_header(const struct frame *f, struct buf *head, struct pack_header *ret, struct err *e)
{
	size_t need = PACK_HEADER_GUESS < f->len ? PACK_HEADER_GUESS : (size_t)f->len;

	buf_reset(head);
	if (f->len == 0)
		return err_set(e, ERR_CORRUPT, "the object is empty");
	for (size_t have = 0; have < need;) {
		if (need > f->len)
			return err_set(e, ERR_CORRUPT, "the header ends behind the object");
		if (buf_reserve(head, need - head->len) < 0)
			return err_set(e, ERR_NOMEM, "no memory for a header of %zu bytes", need);
		have = need;
		if (f->get(f->arg, f->name, 0, head->data, have, e) < 0)
			return -1;
		head->len = have;
		if (pack_header_decode(head->data, have, f->id, ret, &need, e) < 0)
			return -1;
	}
	return 0;
}

int frame_footer(const struct frame *f, const struct keys *keys, struct buf *tail,
                 struct pack_trailer *ret, const uint8_t **ret_footer, struct err *e)
{
	size_t n = f->len < TAIL_GUESS ? (size_t)f->len : TAIL_GUESS;

	if (n < FORMAT_TRAILER_BYTES)
		return err_set(e, ERR_CORRUPT, "the object is only %zu bytes long", n);
	buf_reset(tail);
	if (buf_reserve(tail, n) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a footer");
	if (f->get(f->arg, f->name, f->len - n, tail->data, n, e) < 0 ||
	    pack_trailer_decode(tail->data + n - FORMAT_TRAILER_BYTES, f->len, f->id, keys, ret,
	                        e) < 0)
		return -1;
	if (ret->footer_off >= f->len - n) {
		*ret_footer = tail->data + (ret->footer_off - (f->len - n));
		return 0;
	}
	buf_reset(tail);
	if (buf_reserve(tail, ret->footer_len) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a footer of %u bytes", ret->footer_len);
	if (f->get(f->arg, f->name, ret->footer_off, tail->data, ret->footer_len, e) < 0)
		return -1;
	*ret_footer = tail->data;
	return 0;
}
