/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See server.h. libmicrohttpd speaks HTTP. It is driven by a loop of our own instead of by its
 * threads, because it knows no limit for the time of a whole request: a client that sends a byte
 * now and then would stay for ever. So one thread makes all calls of the library but those for
 * replies, and nothing of them needs a lock.
 */
#include "common/server.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "common/listener.h"
#include "common/now.h"
#include "common/secret.h"
#include "common/thread.h"

#define CONNECTIONS 64
#define ADDRESS_CONNECTIONS 16
#define REQUEST_S 20
#define REQUEST_BYTES_MAX (16 * KIB) /* of one connection: its request and the answer's head */
#define PUSHES_MAX 16
#define NS_MS 1000000

/* A connection, from accept to close. Guarded by nothing: only the thread that serves sees it. */
struct peer {
	struct peer *older, *younger;
	struct MHD_Connection *connection;
	int fd; /* the library's */
	int64_t until_ns;
	enum {
		PEER_IDLE,
		PEER_ASKED,   /* the head of a request is there */
		PEER_WAITING, /* suspended, for its reply */
		PEER_TOLD,    /* which is there */
		PEER_CUT
	} state;
	uint64_t id;                /* of the request */
	struct server_reply *reply; /* of one that is told; owned */
	unsigned pushes;            /* of one that is cut */
};

struct told {
	struct told *next;
	uint64_t id;
	struct server_reply *reply; /* owned */
};

struct server {
	struct server_params params;
	int listener; /* -1: it is the library's */
	int wake;     /* eventfd: something is told, or stop */
	uint16_t port;
	struct MHD_Daemon *daemon;
	pthread_t thread;

	/* of the thread that serves */
	struct peer *oldest, *youngest; /* in the order of until_ns, but those that are cut: */
	struct peer *cut;               /* by their `older` and `younger` */
	unsigned npeers;
	bool closed; /* a connection: only the library's next look offers its place to others */
	uint64_t asked;

	pthread_mutex_t lock;
	/* guarded by lock */
	bool stop;
	struct told *told;
};

/* ---- replies ---- */

struct server_reply {
	atomic_uint refs;
	unsigned status;
	struct MHD_Response *response;
};

struct body {
	uint8_t *p;
	size_t n;
	struct server_alive *alive;
};

static void free_body(void *arg)
{
	struct body *b = arg;

	atomic_fetch_sub(&b->alive->n, 1);
	atomic_fetch_sub(&b->alive->bytes, b->n);
	free(b->p);
	free(b);
}

/* Takes the response. */
static struct server_reply *reply_of(unsigned status, const char *type, struct MHD_Response *take_r)
{
	struct server_reply *r = take_r ? malloc(sizeof(*r)) : NULL;

	if (!r) {
		if (take_r)
			MHD_destroy_response(take_r);
		return NULL;
	}
	*r = (struct server_reply){ .refs = 1, .status = status, .response = take_r };
	server_reply_add(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	server_reply_add(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		server_reply_add(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	return r;
}

struct server_reply *server_reply_line(unsigned status, const char *line)
{
	char text[ERR_MSG_MAX + 2];
	const int n = snprintf(text, sizeof(text), "%.*s\n", ERR_MSG_MAX, line);

	return reply_of(status, "text/plain; charset=utf-8",
	                MHD_create_response_from_buffer((size_t)n, text, MHD_RESPMEM_MUST_COPY));
}

struct server_reply *server_reply_bytes(unsigned status, const char *type, uint8_t *take_p,
                                        size_t n, struct server_alive *alive)
{
	struct body *b = malloc(sizeof(*b));
	struct MHD_Response *r = NULL;

	if (b) {
		*b = (struct body){ .p = take_p, .n = n, .alive = alive };
		r = MHD_create_response_from_buffer_with_free_callback_cls(n, take_p, free_body, b);
	}
	if (!r) {
		free(take_p);
		free(b);
		return NULL;
	}
	atomic_fetch_add(&alive->n, 1);
	atomic_fetch_add(&alive->bytes, n);
	return reply_of(status, type, r);
}

void server_reply_add(struct server_reply *r, const char *name, const char *value)
{
	if (r)
		(void)MHD_add_response_header(r->response, name, value);
}

struct server_reply *server_reply_ref(struct server_reply *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

void server_reply_unref(struct server_reply *r)
{
	if (!r || atomic_fetch_sub(&r->refs, 1) > 1)
		return;
	MHD_destroy_response(r->response);
	free(r);
}

/* ---- connections ---- */

static void put_last(struct server *s, struct peer *p)
{
	p->older = s->youngest;
	p->younger = NULL;
	*(p->older ? &p->older->younger : &s->oldest) = p;
	s->youngest = p;
	p->until_ns = now_mono_ns() + (int64_t)s->params.request_s * 1000 * NS_MS;
}

static void take_out(struct server *s, struct peer *p)
{
	if (p->older)
		p->older->younger = p->younger;
	else
		*(p->state == PEER_CUT ? &s->cut : &s->oldest) = p->younger;
	if (p->younger)
		p->younger->older = p->older;
	else if (p->state != PEER_CUT)
		s->youngest = p->older;
}

static void drop_reply(struct peer *p)
{
	server_reply_unref(STEAL(&p->reply));
}

/* The library closes it when it next looks. */
static void cut(struct server *s, struct peer *p)
{
	bool waiting = p->state == PEER_WAITING;

	take_out(s, p);
	p->state = PEER_CUT;
	p->older = NULL;
	p->younger = s->cut;
	if (s->cut)
		s->cut->older = p;
	s->cut = p;
	(void)shutdown(p->fd, SHUT_RDWR);
	if (waiting)
		MHD_resume_connection(p->connection);
}

/*
 * The library reads once when it is told that there is something, and does not see an end that came
 * together with bytes (it waits for edges). A shutdown tells it again.
 */
static void push_out(const struct server *s)
{
	for (struct peer *p = s->cut; p; p = p->younger)
		if (p->pushes < PUSHES_MAX) {
			p->pushes++;
			(void)shutdown(p->fd, SHUT_RDWR);
		}
}

static void on_connection(void *arg, struct MHD_Connection *c, void **socket,
                          enum MHD_ConnectionNotificationCode code)
{
	struct server *s = arg;
	struct peer *p = *socket;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		int fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

		p = calloc(1, sizeof(*p));
		if (!p) {
			(void)shutdown(fd, SHUT_RDWR);
			return;
		}
		p->connection = c;
		p->fd = fd;
		*socket = p;
		put_last(s, p);
		if (++s->npeers > s->params.connections)
			cut(s, s->oldest);
	} else if (p) {
		take_out(s, p);
		s->npeers--;
		s->closed = true;
		*socket = NULL;
		drop_reply(p);
		free(p);
	}
}

static struct peer *peer_of(struct MHD_Connection *c)
{
	return MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **request,
                         enum MHD_RequestTerminationCode code)
{
	struct server *s = arg;
	struct peer *p = peer_of(c);

	(void)request;
	(void)code;
	if (!p || p->state == PEER_CUT)
		return;
	drop_reply(p);
	p->state = PEER_IDLE;
	take_out(s, p);
	put_last(s, p);
}

/* ---- requests ---- */

struct header {
	const char *name;
	const char *value;
	unsigned n;
	bool wipe;
};

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
	struct header *h = arg;

	(void)kind;
	if (strcasecmp(name, h->name) != 0 || !value)
		return MHD_YES;
	h->n++;
	h->value = value;
	/* It stands in the connection's memory, which is the library's and can be written. */
	if (h->wipe)
		secret_wipe((void *)(uintptr_t)value, strlen(value));
	return MHD_YES;
}

unsigned server_header(const struct server_request *q, const char *name, const char **ret)
{
	struct header h = { .name = name };

	(void)MHD_get_connection_values(q->connection, MHD_HEADER_KIND, on_header, &h);
	*ret = h.value;
	return h.n;
}

void server_forget(const struct server_request *q, const char *name)
{
	struct header h = { .name = name, .wipe = true };

	(void)MHD_get_connection_values(q->connection, MHD_HEADER_KIND, on_header, &h);
}

struct arguments {
	int (*each)(void *arg, const char *name, const char *value);
	void *arg;
	int rc;
};

static enum MHD_Result on_argument(void *arg, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
	struct arguments *a = arg;

	(void)kind;
	a->rc = a->each(a->arg, name, value);
	return a->rc == 0 ? MHD_YES : MHD_NO;
}

int server_arguments(const struct server_request *q,
                     int (*each)(void *arg, const char *name, const char *value), void *arg)
{
	struct arguments a = { .each = each, .arg = arg };

	(void)MHD_get_connection_values(q->connection, MHD_GET_ARGUMENT_KIND, on_argument, &a);
	return a.rc;
}

static bool has_body(struct MHD_Connection *c)
{
	const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND,
	                                                 MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (length && strcmp(length, "0") != 0) ||
	       MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* NULL: the client is let go. */
static enum MHD_Result send_reply(struct MHD_Connection *c, struct server_reply *take_r)
{
	const enum MHD_Result rc = take_r ? MHD_queue_response(c, take_r->status, take_r->response)
	                                  : MHD_NO;

	server_reply_unref(take_r);
	return rc;
}

/* The library calls it for the head of a request, again for its body or end, and after a resume. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_n, void **request)
{
	struct server *s = arg;
	struct peer *p = peer_of(c);
	bool later = false;

	(void)version;
	(void)upload;
	(void)upload_n;
	(void)request;
	if (!p || p->state == PEER_CUT)
		return MHD_NO;
	if (p->state == PEER_IDLE) {
		p->state = PEER_ASKED;
		/* An answer now ends the connection after it, with whatever else was sent. */
		if (has_body(c))
			return send_reply(c, server_reply_line(MHD_HTTP_CONTENT_TOO_LARGE,
			                                       "requests here have no body"));
		return MHD_YES;
	}
	if (p->state == PEER_TOLD)
		return send_reply(c, STEAL(&p->reply));
	p->id = ++s->asked;
	const struct server_request q = { .id = p->id,
		                          .path = url,
		                          .reads = strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
		                                   strcmp(method, MHD_HTTP_METHOD_HEAD) == 0,
		                          .connection = c };
	struct server_reply *r = s->params.answer(s->params.arg, &q, &later);
	if (r || !later)
		return send_reply(c, r);
	p->state = PEER_WAITING;
	MHD_suspend_connection(c);
	return MHD_YES;
}

/* ---- answers that come later ---- */

void server_tell(struct server *s, uint64_t id, struct server_reply *take_r)
{
	struct told *t = malloc(sizeof(*t));

	if (!t) { /* the client is let go when its time is over */
		server_reply_unref(take_r);
		return;
	}
	(void)pthread_mutex_lock(&s->lock);
	*t = (struct told){ .next = s->told, .id = id, .reply = take_r };
	s->told = t;
	(void)pthread_mutex_unlock(&s->lock);
	(void)eventfd_write(s->wake, 1);
}

static void give(struct server *s, uint64_t id, struct server_reply *take_r)
{
	struct peer *p = s->oldest;

	while (p && (p->state != PEER_WAITING || p->id != id))
		p = p->younger;
	if (!p) {
		server_reply_unref(take_r);
		return;
	}
	p->reply = take_r; /* NULL, where there was no memory: the client is let go */
	p->state = PEER_TOLD;
	MHD_resume_connection(p->connection);
}

/* What is told goes to those who wait for it. True: it is time to stop. */
static bool take_told(struct server *s)
{
	(void)pthread_mutex_lock(&s->lock);
	const bool stop = s->stop;
	struct told *t = STEAL(&s->told);
	(void)pthread_mutex_unlock(&s->lock);
	while (t) {
		struct told *next = t->next;

		give(s, t->id, t->reply);
		free(t);
		t = next;
	}
	return stop;
}

/* ---- the thread ---- */

/* How long the loop may sleep; -1: until something happens. */
static int time_left(const struct server *s)
{
	MHD_UNSIGNED_LONG_LONG library;
	int64_t ms = INT_MAX;

	if (s->closed)
		return 0;
	if (MHD_get_timeout(s->daemon, &library) == MHD_YES && library < (unsigned long long)ms)
		ms = (int64_t)library;
	else if (!s->oldest)
		return -1;
	if (s->oldest) {
		int64_t left = (s->oldest->until_ns - now_mono_ns()) / NS_MS + 1;

		if (left < ms)
			ms = left > 0 ? left : 0;
	}
	return (int)ms;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct pollfd fds[2] = {
		{ .fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
		  .events = POLLIN },
		{ .fd = s->wake, .events = POLLIN },
	};
	eventfd_t ignored;

	for (;;) {
		(void)poll(fds, ARRAY_LEN(fds), time_left(s));
		(void)eventfd_read(s->wake, &ignored);
		if (take_told(s))
			break;
		push_out(s);
		while (s->oldest && s->oldest->until_ns <= now_mono_ns())
			cut(s, s->oldest);
		s->closed = false;
		(void)MHD_run(s->daemon);
	}
	while (s->oldest)
		cut(s, s->oldest);
	(void)MHD_run(s->daemon);
	MHD_stop_daemon(s->daemon);
	return NULL;
}

/* ---- start and stop ---- */

static int start_daemon(struct server *s, struct err *e)
{
	/*
	 * The library accepts nobody when its limit is reached: one more than ours, so that there
	 * is room for the one for whom another is cut. It closes the socket, also when it fails.
	 */
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
	                             on_request, s, MHD_OPTION_LISTEN_SOCKET,
	                             steal_fd(&s->listener), MHD_OPTION_CONNECTION_LIMIT,
	                             s->params.connections + 1, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
	                             s->params.address_connections,
	                             MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_BYTES_MAX,
	                             MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
	                             MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
	                             MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	return s->daemon ? 0
	                 : err_set(e, ERR_IO,
	                           "the HTTP library did not start: no memory or no descriptors");
}

static void free_server(struct server *s)
{
	struct told *t = s->told;

	while (t) {
		struct told *next = t->next;

		server_reply_unref(t->reply);
		free(t);
		t = next;
	}
	if (s->listener >= 0)
		(void)close(s->listener);
	if (s->wake >= 0)
		(void)close(s->wake);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

static int start(struct server *s, const char *listen, struct err *e)
{
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake < 0)
		return err_sys(e, errno, "making an event descriptor");
	if (listener_open(listen, s->params.loopback, &s->listener, &s->port, e) < 0 ||
	    start_daemon(s, e) < 0)
		return -1;
	if (thread_start(&s->thread, serve, s, s->params.name, e) < 0) {
		MHD_stop_daemon(s->daemon);
		return -1;
	}
	return 0;
}

int server_start(const struct server_params *params, struct server **ret, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));

	assert(params->listen && params->name && params->answer);
	if (!s)
		return err_set(e, ERR_NOMEM, "no memory for a server");
	s->params = *params;
	s->params.listen = NULL;
	s->listener = s->wake = -1;
	(void)pthread_mutex_init(&s->lock, NULL);
	if (!params->connections)
		s->params.connections = CONNECTIONS;
	if (!params->address_connections)
		s->params.address_connections = ADDRESS_CONNECTIONS;
	if (!params->request_s)
		s->params.request_s = REQUEST_S;
	if (start(s, params->listen, e) < 0) {
		free_server(s);
		return -1;
	}
	*ret = s;
	return 0;
}

uint16_t server_port(const struct server *s)
{
	return s->port;
}

void server_stop(struct server *s)
{
	if (!s)
		return;
	(void)pthread_mutex_lock(&s->lock);
	s->stop = true;
	(void)pthread_mutex_unlock(&s->lock);
	(void)eventfd_write(s->wake, 1);
	(void)pthread_join(s->thread, NULL);
	free_server(s);
}
