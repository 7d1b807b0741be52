/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are at the server, kept fresh: files of tokens and certificates are read again when a
 * minute has passed or the server refused them, plugins are run again before their token expires.
 */
#ifndef AKSDR_KUBE_LOGIN_H
#define AKSDR_KUBE_LOGIN_H

#include "common/http.h"
#include "kube/kube.h"

struct login;

/* Finds out; see kube_open() for the errors. */
MUST_CHECK struct login *login_new(const struct kube_params *params, struct err *e);
void login_free(struct login *l);

const char *login_server(const struct login *l);    /* "https://host:port" */
const char *login_namespace(const struct login *l); /* never NULL */
const char *login_proxy(const struct login *l);     /* may be NULL */

/*
 * Appends "Authorization: Bearer TOKEN" when there is a token, after it was looked at whether it is
 * fresh, and gives h new certificates when there are. *ret_round (may be NULL): for
 * login_refused(). Thread-safe.
 *   ERR_DENIED  a file cannot be read, the plugin fails   ERR_RETRY  the plugin did not end in time
 */
MUST_CHECK int login_header(struct login *l, struct http *h, struct buf *ret, uint64_t *ret_round,
                            struct err *e);

/*
 * The server did not accept what login_header() gave in that round, or its certificate was not
 * accepted: true when there is something else to try now.
 */
bool login_refused(struct login *l, struct http *h, uint64_t round);

#endif
