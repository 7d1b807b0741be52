/* SPDX-License-Identifier: Apache-2.0 */
/* See listener.h. */
#include "common/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clean.h"
#include "common/num.h"

#define BACKLOG 64

/* Splits "PORT", "ADDRESS:PORT", "[ADDRESS]:PORT"; *ret_address is "" for the first. */
static int split(const char *listen, char ret_address[64], const char **ret_port, struct err *e)
{
	const char *colon = strrchr(listen, ':');
	const char *from = listen;
	size_t n = colon ? (size_t)(colon - listen) : 0;
	struct err why = ERR_INIT; /* ours says it all */
	uint64_t number;

	*ret_port = colon ? colon + 1 : listen;
	bool bracketed = n >= 2 && from[0] == '[' && from[n - 1] == ']';
	if (bracketed) {
		from++;
		n -= 2;
	}
	if (n >= 64 || (colon && n == 0) || (!bracketed && memchr(from, ':', n)) ||
	    num_u64("port", *ret_port, 0, UINT16_MAX, &number, &why) < 0)
		return err_set(e, ERR_INVALID,
		               "'%.100s' is no place to listen at; it is PORT, ADDRESS:PORT or "
		               "[ADDRESS]:PORT, as 9095 or [::1]:9095",
		               listen);
	memcpy(ret_address, from, n);
	ret_address[n] = '\0';
	return 0;
}

static int listen_at(const struct addrinfo *a, const char *name, int *ret, struct err *e)
{
	static const int yes = 1, no = 0;
	auto_close int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_sys(e, errno, "making a socket for '%s'", name);
	/* A program that was started again takes over from connections that wait for their end. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (a->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		int os = errno;

		if (os == EADDRINUSE)
			return err_set(e, ERR_BUSY,
			               "another program listens at '%s'; end that one, or give "
			               "another port",
			               name);
		if (os == EADDRNOTAVAIL)
			return err_set(e, ERR_INVALID,
			               "'%s' is no address of this machine; give one that it has, "
			               "or the port alone for all of them",
			               name);
		return err_sys(e, os, "listening at '%s'", name);
	}
	*ret = steal_fd(&fd);
	return 0;
}

static void clean_addrinfo(struct addrinfo *const *a)
{
	if (*a)
		freeaddrinfo(*a);
}

static bool is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
	return a->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

int listener_open(const char *at, bool loopback, int *ret_fd, uint16_t *ret_port, struct err *e)
{
	char address[64];
	const char *port;
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	CLEANUP(clean_addrinfo) struct addrinfo *list = NULL;
	auto_close int fd = -1;
	struct sockaddr_storage is;
	socklen_t n = sizeof(is);

	if (split(at, address, &port, e) < 0)
		return -1;
	const bool any = !address[0] && !loopback;
	/* All addresses: IPv6 takes IPv4 in, unless this machine has none of it. */
	int rc = getaddrinfo(address[0] ? address
	                     : loopback ? "127.0.0.1"
	                                : "::",
	                     port, &hints, &list);
	if (rc != 0)
		return err_set(e, ERR_INVALID, "'%.100s' is no address to listen at: %s", at,
		               gai_strerror(rc));
	if (loopback && !is_loopback(list->ai_addr))
		return err_set(e, ERR_INVALID,
		               "'%.100s' can be reached from other machines, and this must not: "
		               "listen at 127.0.0.1 or [::1]",
		               at);
	struct err why = ERR_INIT;
	rc = listen_at(list, at, &fd, &why);
	if (rc < 0 && any && (why.os == EAFNOSUPPORT || why.class == ERR_INVALID)) {
		freeaddrinfo(STEAL(&list));
		if (getaddrinfo("0.0.0.0", port, &hints, &list) == 0)
			rc = listen_at(list, at, &fd, &why);
	}
	if (rc < 0) {
		*e = why;
		return -1;
	}
	if (getsockname(fd, (struct sockaddr *)&is, &n) < 0)
		return err_sys(e, errno, "asking for the port of '%s'", at);
	*ret_port = ntohs(is.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&is)->sin6_port
	                                           : ((struct sockaddr_in *)&is)->sin_port);
	*ret_fd = steal_fd(&fd);
	return 0;
}
