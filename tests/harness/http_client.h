/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as raw text to a server on this machine, and its answers as they come. */
#ifndef AKSDR_TESTS_HTTP_CLIENT_H
#define AKSDR_TESTS_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/buf.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

#define CLIENT_GUARD_S 30 /* only keeps a test from hanging */

/* window: bytes that it takes before it reads them; 0: as usual. */
static inline int client_dial(uint16_t port, int window)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
		                        .sin_port = htons(port),
		                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct timeval guard = { .tv_sec = CLIENT_GUARD_S };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &guard, sizeof(guard)), 0);
	if (window > 0)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* head: its lines, with CR LF between them; Host is put behind it where it has none. */
static inline int client_ask_through(int fd, const char *head)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(64 * KIB);

	(void)buf_printf(&b, "%s\r\n%sConnection: close\r\n\r\n", head,
	                 strstr(head, "Host:") ? "" : "Host: localhost\r\n");
	assert_int_equal(send(fd, b.data, b.len, MSG_NOSIGNAL), b.len);
	return fd;
}

static inline int client_ask(uint16_t port, const char *head)
{
	return client_ask_through(client_dial(port, 0), head);
}

/* The whole answer, until the server's end; takes fd. */
static inline const char *client_hear(int fd, struct buf *b)
{
	char part[4096];
	ssize_t n;

	buf_reset(b);
	while ((n = recv(fd, part, sizeof(part), 0)) > 0)
		assert_int_equal(buf_put(b, part, (size_t)n), 0);
	(void)close(fd);
	return buf_cstr(b);
}

static inline void client_assert(uint16_t port, const char *head, const char *begin,
                                 const char *has)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(8 * MIB);
	const char *text = client_hear(client_ask(port, head), &b);

	if (strncmp(text, begin, strlen(begin)) != 0 || !strstr(text, has))
		fail_msg("'%.200s' is answered with: %s", head, text);
}

#endif
