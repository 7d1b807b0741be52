/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the head of an HTTP request says of who asks, and of whom: its Authorization and its Host.
 * Pure.
 */
#ifndef AKSDR_COMMON_VISITOR_H
#define AKSDR_COMMON_VISITOR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define VISITOR_TOKEN_MAX 12288 /* with its NUL; a request has 16 KiB in all */

/*
 * The token in "Bearer TOKEN" (RFC 6750, 2.1), or the password of "Basic ..." with any user name
 * (RFC 7617), for browsers, which ask for one. It is of the characters of a bearer token alone.
 * ret: VISITOR_TOKEN_MAX bytes, secret; the caller wipes it, also after a failure.
 *   ERR_INVALID  it is of another kind or form
 *   ERR_TOO_BIG
 */
MUST_CHECK int visitor_token(const char *authorization, char *ret, struct err *e);

/*
 * Whether a Host header ("NAME", with ":PORT" of any number) means this machine by itself:
 * localhost, 127.0.0.0/8, [::1]; or one of `names` (blanks or commas between them; NULL: none). A
 * page of somebody else who has his name lead to us (DNS rebinding) asks for another one.
 */
bool visitor_host(const char *host, const char *names);

#endif
