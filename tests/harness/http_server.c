/* SPDX-License-Identifier: Apache-2.0 */
/* The server: accept, read one request after the other, answer. */
#include "tests/harness/http_server.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness/harness.h"

#define CONNECTIONS 256
#define HEAD_MAX 32768

struct http_server {
	http_answer_fn *answer;
	void *arg;
	int fd;
	unsigned port;
	pthread_t acceptor;
	pthread_mutex_t lock; /* of what follows, and of answer() */
	unsigned requests, nconnections;
	struct connection {
		struct http_server *server;
		unsigned number;
		int fd;
		pthread_t thread;
	} connections[CONNECTIONS];
};

void http_seen_header(const struct http_seen *q, const char *name, char *ret, size_t n)
{
	size_t len = strlen(name);

	ret[0] = '\0';
	for (const char *at = q->headers; *at; at += strcspn(at, "\n") + 1)
		if (strncmp(at, name, len) == 0 && at[len] == ':')
			(void)snprintf(ret, n, "%.*s", (int)strcspn(at + len + 2, "\n"),
			               at + len + 2);
}

void http_reply(struct buf *reply, int status, const char *headers, const void *body, size_t n)
{
	buf_printf(reply, "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\n%s\r\n", status, n,
	           headers);
	if (n > 0)
		buf_put(reply, body, n);
}

/* Reads up to the empty line; what follows it stays in b. Bytes of the head, 0 at the end. */
static size_t read_head(int fd, struct buf *b)
{
	for (;;) {
		char chunk[4096];
		const uint8_t *end = b->len ? memmem(b->data, b->len, "\r\n\r\n", 4) : NULL;

		if (end)
			return (size_t)(end - b->data) + 4;
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n <= 0 || b->len > HEAD_MAX || buf_put(b, chunk, (size_t)n) < 0)
			return 0;
	}
}

static void parse_head(struct http_seen *q, char *head)
{
	char *rest = head;
	char *line = strsep(&rest, "\r");
	size_t at = 0;

	if (sscanf(line, "%15s %4095s", q->method, q->target) != 2)
		harness_die("no request line: %s", line);
	q->headers[0] = '\0';
	while ((line = strsep(&rest, "\r"))) {
		line += *line == '\n';
		char *colon = strchr(line, ':');
		if (!colon)
			continue;
		for (char *p = line; p < colon; p++)
			*p = (char)tolower((unsigned char)*p);
		at += (size_t)snprintf(q->headers + at, sizeof(q->headers) - at, "%s\n", line);
	}
}

/* One request and its answer. False: the connection ends. */
static bool serve(struct connection *c, struct buf *in)
{
	struct http_server *s = c->server;
	auto_free struct http_seen *q = calloc(1, sizeof(*q));
	CLEANUP(buf_clear) struct buf reply = BUF_INIT(64 * MIB);
	char length[32];
	size_t head = read_head(c->fd, in);

	if (head == 0 || !q)
		return false;
	auto_free char *text = calloc(1, head + 1);
	if (!text)
		harness_die("no memory");
	memcpy(text, in->data, head);
	parse_head(q, text);
	http_seen_header(q, "content-length", length, sizeof(length));
	size_t body = strtoull(length, NULL, 10);
	while (in->len < head + body) {
		char chunk[65536];
		ssize_t n = read(c->fd, chunk, sizeof(chunk));

		if (n <= 0 || buf_put(in, chunk, (size_t)n) < 0)
			return false;
	}
	q->body = in->data + head;
	q->body_len = body;
	q->connection = c->number;
	pthread_mutex_lock(&s->lock);
	q->n = s->requests++;
	int rc = s->answer(s->arg, q, &reply);
	pthread_mutex_unlock(&s->lock);
	if (rc < 0) {
		struct linger reset = { .l_onoff = 1 };

		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		return false;
	}
	for (size_t off = 0; off < reply.len;) {
		ssize_t n = send(c->fd, reply.data + off, reply.len - off, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		off += (size_t)n;
	}
	memmove(in->data, in->data + head + body, in->len - head - body);
	in->len -= head + body;
	return rc == 0;
}

static void *connection_run(void *arg)
{
	struct connection *c = arg;
	CLEANUP(buf_clear) struct buf in = BUF_INIT(256 * MIB);

	while (serve(c, &in))
		;
	shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_lock(&c->server->lock);
	close(c->fd);
	c->fd = -1;
	pthread_mutex_unlock(&c->server->lock);
	return NULL;
}

static void *accept_run(void *arg)
{
	struct http_server *s = arg;

	for (;;) {
		int fd = accept(s->fd, NULL, NULL);

		if (fd < 0)
			return NULL;
		pthread_mutex_lock(&s->lock);
		if (s->nconnections == CONNECTIONS)
			harness_die("more than %d connections", CONNECTIONS);
		struct connection *c = &s->connections[s->nconnections];
		*c = (struct connection){ .server = s, .number = s->nconnections++, .fd = fd };
		if (pthread_create(&c->thread, NULL, connection_run, c) != 0)
			harness_die("no thread for a connection");
		pthread_mutex_unlock(&s->lock);
	}
}

struct http_server *http_server_start(http_answer_fn *answer, void *arg)
{
	struct http_server *s = calloc(1, sizeof(*s));
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);

	if (!s)
		harness_die("no memory for a server");
	s->answer = answer;
	s->arg = arg;
	pthread_mutex_init(&s->lock, NULL);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(s->fd, 64) < 0 || getsockname(s->fd, (struct sockaddr *)&at, &n) < 0)
		harness_die("no port on loopback");
	s->port = ntohs(at.sin_port);
	if (pthread_create(&s->acceptor, NULL, accept_run, s) != 0)
		harness_die("no thread for a server");
	return s;
}

unsigned http_server_port(const struct http_server *s)
{
	return s->port;
}

unsigned http_server_requests(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	unsigned n = s->requests;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void http_server_stop(struct http_server *s)
{
	if (!s)
		return;
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->acceptor, NULL);
	close(s->fd);
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->nconnections; i++)
		if (s->connections[i].fd >= 0)
			shutdown(s->connections[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->nconnections; i++)
		pthread_join(s->connections[i].thread, NULL);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
