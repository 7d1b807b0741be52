/* SPDX-License-Identifier: Apache-2.0 */
/* A socket that waits for clients, at a place that is given as a text. */
#ifndef AKSDR_COMMON_LISTENER_H
#define AKSDR_COMMON_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/*
 * Listens over TCP at "PORT" (of all addresses; with loopback: of 127.0.0.1), "ADDRESS:PORT" or
 * "[ADDRESS]:PORT"; addresses are numbers, port 0 is any free one. loopback: of this machine alone.
 * *ret_fd does not block.
 *   ERR_INVALID  at makes no sense, is no address of this machine, or not of its loopback
 *   ERR_BUSY     another program listens there
 *   ERR_DENIED   the port is not for this user
 *   ERR_IO, ERR_NOMEM
 */
MUST_CHECK int listener_open(const char *at, bool loopback, int *ret_fd, uint16_t *ret_port,
                             struct err *e);

#endif
