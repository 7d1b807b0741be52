/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client and aksdr-freezer say to each other: messages of bytes, one
 * a packet of a SOCK_SEQPACKET socket, little-endian. Only encoding, decoding and
 * checking; sending is the business of the two sides.
 *
 *     client                              freezer
 *                                         greeting: answer to FREEZER_WIRE_HELLO
 *     freeze, deadline, n; n descriptors  answer with n times
 *     thaw                                answer with the times of the freeze
 *
 * A request has 12 bytes: magic u32, verb u16, n u16, deadline_ms u32. The descriptors come in the
 * same packet (SCM_RIGHTS). An answer has magic u32, verb u16, result u16, errno u32, at u16, n
 * u16, n times three i64 (struct freezer_times), and the text up to its end.
 */
#ifndef AKSDR_SNAPSHOT_FREEZER_WIRE_H
#define AKSDR_SNAPSHOT_FREEZER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "snapshot/freezer.h"

#define FREEZER_WIRE_REQUEST_BYTES 12
#define FREEZER_WIRE_TEXT_MAX 400
#define FREEZER_WIRE_ANSWER_MAX (16 + FREEZER_FDS_MAX * 24 + FREEZER_WIRE_TEXT_MAX)
#define FREEZER_WIRE_NONE UINT16_MAX /* no descriptor in particular */

enum freezer_wire_verb { FREEZER_WIRE_HELLO = 1, FREEZER_WIRE_FREEZE = 2, FREEZER_WIRE_THAW = 3 };

enum freezer_wire_result {
	FREEZER_WIRE_OK,
	FREEZER_WIRE_UNSUPPORTED,
	FREEZER_WIRE_BUSY,
	FREEZER_WIRE_INVALID,
	FREEZER_WIRE_DENIED,
	FREEZER_WIRE_EARLY, /* thawed before it was told to */
	FREEZER_WIRE_FAILED,
	FREEZER_WIRE_RESULTS
};

struct freezer_wire_request {
	enum freezer_wire_verb verb; /* freeze or thaw */
	uint32_t deadline_ms;        /* freeze: 1 .. FREEZER_DEADLINE_MAX_MS; else 0 */
	uint16_t n;                  /* freeze: descriptors, 1 .. FREEZER_FDS_MAX; else 0 */
};

struct freezer_wire_answer {
	enum freezer_wire_verb verb; /* that of the request */
	enum freezer_wire_result result;
	int os;      /* errno of the cause, or 0 */
	uint16_t at; /* which of the descriptors it is about, or FREEZER_WIRE_NONE */
	uint16_t n;  /* times */
	struct freezer_times times[FREEZER_FDS_MAX];
	char text[FREEZER_WIRE_TEXT_MAX + 1]; /* why; "" when OK */
};

/* Append. What breaks the rules above is a mistake of the programmer. */
void freezer_wire_put_request(struct buf *b, const struct freezer_wire_request *r);
void freezer_wire_put_answer(struct buf *b, const struct freezer_wire_answer *a);

/* Of one whole packet. ERR_FORMAT: it is none of these, or breaks a limit. */
MUST_CHECK int freezer_wire_request(const void *p, size_t n, struct freezer_wire_request *ret,
                                    struct err *e);
MUST_CHECK int freezer_wire_answer(const void *p, size_t n, struct freezer_wire_answer *ret,
                                   struct err *e);

/* The class that a client's caller sees. */
enum err_class freezer_wire_class(enum freezer_wire_result r);

#endif
