/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See status.h. libmicrohttpd speaks HTTP. It is driven by a loop of our own
 * instead of by its threads, because it knows no limit for the time of a whole
 * request: a client that sends a byte now and then would stay for ever. So one
 * thread makes all calls of the library, and nothing of them needs a lock.
 *
 * A request for metrics is suspended until the other thread has made them, and
 * all that wait then get the same bytes. Those bytes live as long as somebody
 * still reads them; there are a few such at most.
 */
#include "common/status.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "common/metric.h"
#include "common/now.h"
#include "common/num.h"

#define CONNECTIONS 64
#define ADDRESS_CONNECTIONS 16
#define REQUEST_S 20
#define KEEP_MS 1000
#define REQUEST_BYTES_MAX (16 * KIB) /* of one connection: its request and the answer's head */
#define ANSWERS_MAX 4                /* texts of metrics in memory at once */
#define PUSHES_MAX 16
#define BACKLOG 64
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
		PEER_WAITING, /* suspended, for metrics */
		PEER_TOLD,    /* they are there */
		PEER_CUT
	} state;
	unsigned pushes; /* of one that is cut */
};

struct answer {
	struct MHD_Response *response;
	unsigned status;
	int64_t at_ns;
};

struct status {
	struct status_params params;
	int listener; /* -1: it is the library's */
	int wake;     /* eventfd: metrics are made, or stop */
	uint16_t port;
	struct MHD_Daemon *daemon;
	pthread_t server, maker;

	/* of the thread that serves */
	struct peer *oldest, *youngest; /* in the order of until_ns, but those that are cut: */
	struct peer *cut;               /* by their `older` and `younger` */
	unsigned npeers;
	bool closed; /* a connection: only the library's next look offers its place to others */
	struct answer answer; /* the last one */
	unsigned nanswers;    /* alive, with those that are still being sent */
	bool asked;           /* for new metrics */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	bool stop;
	bool wanted; /* the maker shall make metrics */
	bool made;   /* it has: */
	struct buf text;
	struct err err; /* class NONE: text is good */
};

/* ---- connections ---- */

static void put_last(struct status *s, struct peer *p)
{
	p->older = s->youngest;
	p->younger = NULL;
	*(p->older ? &p->older->younger : &s->oldest) = p;
	s->youngest = p;
	p->until_ns = now_mono_ns() + (int64_t)s->params.request_s * 1000 * NS_MS;
}

static void take_out(struct status *s, struct peer *p)
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

/* The library closes it when it next looks. */
static void cut(struct status *s, struct peer *p)
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
static void push_out(const struct status *s)
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
	struct status *s = arg;
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
	struct status *s = arg;
	struct peer *p = peer_of(c);

	(void)request;
	(void)code;
	if (!p || p->state == PEER_CUT)
		return;
	p->state = PEER_IDLE;
	take_out(s, p);
	put_last(s, p);
}

/* ---- answers ---- */

static enum MHD_Result send_response(struct MHD_Connection *c, unsigned status,
                                     struct MHD_Response *r)
{
	return r ? MHD_queue_response(c, status, r) : MHD_NO;
}

static void add_headers(struct MHD_Response *r, const char *type)
{
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
}

/* One line. */
static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *text)
{
	char line[ERR_MSG_MAX + 2];
	int n = snprintf(line, sizeof(line), "%s\n", text);
	struct MHD_Response *r = MHD_create_response_from_buffer((size_t)n, line,
	                                                         MHD_RESPMEM_MUST_COPY);
	enum MHD_Result rc;

	if (r) {
		add_headers(r, "text/plain; charset=utf-8");
		if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
			(void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	}
	rc = send_response(c, status, r);
	if (r)
		MHD_destroy_response(r);
	return rc;
}

static enum MHD_Result send_state(struct status *s, struct MHD_Connection *c,
                                  int (*fn)(void *arg, struct err *e))
{
	struct err e = ERR_INIT;

	if (fn && fn(s->params.arg, &e) < 0)
		return send_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, e.msg);
	return send_text(c, MHD_HTTP_OK, "ok");
}

struct text {
	struct status *status;
	uint8_t *p;
};

static void free_text(void *arg)
{
	struct text *t = arg;

	t->status->nanswers--;
	free(t->p);
	free(t);
}

static void drop_answer(struct status *s)
{
	if (s->answer.response)
		MHD_destroy_response(s->answer.response);
	s->answer = (struct answer){ .response = NULL };
}

static void set_answer(struct status *s, unsigned status, uint8_t *take_p, size_t n,
                       const char *type)
{
	struct text *t = malloc(sizeof(*t));
	struct MHD_Response *r = NULL;

	drop_answer(s);
	if (t) {
		*t = (struct text){ .status = s, .p = take_p };
		r = MHD_create_response_from_buffer_with_free_callback_cls(n, take_p, free_text, t);
	}
	if (!r) { /* who waits is let go without an answer */
		free(take_p);
		free(t);
		return;
	}
	s->nanswers++;
	add_headers(r, type);
	s->answer = (struct answer){ .response = r, .status = status, .at_ns = now_mono_ns() };
}

static bool is_fresh(const struct status *s)
{
	return s->answer.status == MHD_HTTP_OK &&
	       now_mono_ns() - s->answer.at_ns <= s->params.keep_ms * NS_MS;
}

static enum MHD_Result send_metrics(struct status *s, struct MHD_Connection *c, struct peer *p)
{
	if (p->state == PEER_TOLD || (!s->asked && is_fresh(s)))
		return send_response(c, s->answer.status, s->answer.response);
	if (!s->asked) {
		drop_answer(s);
		if (s->nanswers >= ANSWERS_MAX)
			return send_text(c, MHD_HTTP_SERVICE_UNAVAILABLE,
			                 "too many clients read older metrics slowly; try again");
		s->asked = true;
		(void)pthread_mutex_lock(&s->lock);
		s->wanted = true;
		(void)pthread_cond_signal(&s->changed);
		(void)pthread_mutex_unlock(&s->lock);
	}
	p->state = PEER_WAITING;
	MHD_suspend_connection(c);
	return MHD_YES;
}

enum path { PATH_NONE, PATH_METRICS, PATH_HEALTHY, PATH_READY };

static enum path path_of(const char *url)
{
	return strcmp(url, "/metrics") == 0   ? PATH_METRICS
	       : strcmp(url, "/healthz") == 0 ? PATH_HEALTHY
	       : strcmp(url, "/readyz") == 0  ? PATH_READY
	                                      : PATH_NONE;
}

static enum MHD_Result send_none(const struct status *s, struct MHD_Connection *c)
{
	char line[ERR_MSG_MAX];

	if (s->params.paths)
		(void)snprintf(line, sizeof(line),
		               "there are /metrics, /healthz, /readyz and %s here",
		               s->params.paths);
	else
		(void)snprintf(line, sizeof(line), "there are /metrics, /healthz and /readyz here");
	return send_text(c, MHD_HTTP_NOT_FOUND, line);
}

static bool has_body(struct MHD_Connection *c)
{
	const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND,
	                                                 MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (length && strcmp(length, "0") != 0) ||
	       MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* The library calls it for the head of a request, again for its body or end, and after a resume. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_n, void **request)
{
	struct status *s = arg;
	struct peer *p = peer_of(c);

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
			return send_text(c, MHD_HTTP_CONTENT_TOO_LARGE,
			                 "requests here have no body");
		return MHD_YES;
	}
	enum path path = path_of(url);
	char line[ERR_MSG_MAX] = "";
	unsigned own = 0;
	if (path == PATH_NONE && s->params.path)
		own = s->params.path(s->params.arg, url, line);
	if (path == PATH_NONE && own == 0)
		return send_none(s, c);
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return send_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are done here");
	if (own > 0)
		return send_text(c, own, line);
	if (path == PATH_METRICS)
		return send_metrics(s, c, p);
	return send_state(s, c, path == PATH_READY ? s->params.ready : s->params.healthy);
}

/* ---- the two threads ---- */

static void *make(void *arg)
{
	struct status *s = arg;

	(void)pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->wanted && !s->stop)
			(void)pthread_cond_wait(&s->changed, &s->lock);
		if (s->stop)
			break;
		s->wanted = false;
		(void)pthread_mutex_unlock(&s->lock);

		struct buf b = BUF_INIT(s->params.metrics_max);
		struct err e = ERR_INIT;
		if (s->params.metrics(s->params.arg, &b, &e) < 0 ||
		    buf_check(&b, "the text of the metrics", &e) < 0)
			buf_clear(&b);

		(void)pthread_mutex_lock(&s->lock);
		s->text = b;
		s->err = e;
		s->made = true;
		(void)eventfd_write(s->wake, 1);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Metrics that are made go to all that wait. True: it is time to stop. */
static bool take_made(struct status *s)
{
	struct buf b = BUF_INIT(0);
	struct err e = ERR_INIT;
	bool made, stop;

	(void)pthread_mutex_lock(&s->lock);
	stop = s->stop;
	made = s->made;
	s->made = false;
	if (made) {
		b = s->text;
		s->text = BUF_INIT(0);
		e = s->err;
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (!made)
		return stop;

	s->asked = false;
	if (e.class == ERR_NONE)
		set_answer(s, MHD_HTTP_OK, b.data, b.len,
		           "text/plain; version=0.0.4; charset=utf-8");
	else {
		char *text = NULL;
		int n = asprintf(&text, "%s\n", e.msg);

		if (n >= 0)
			set_answer(s, MHD_HTTP_INTERNAL_SERVER_ERROR, (uint8_t *)text, (size_t)n,
			           "text/plain; charset=utf-8");
		else
			drop_answer(s);
	}
	for (struct peer *p = s->oldest; p; p = p->younger) {
		if (p->state != PEER_WAITING)
			continue;
		p->state = PEER_TOLD;
		MHD_resume_connection(p->connection);
	}
	return stop;
}

/* How long the loop may sleep; -1: until something happens. */
static int time_left(const struct status *s)
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
	struct status *s = arg;
	struct pollfd fds[2] = {
		{ .fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
		  .events = POLLIN },
		{ .fd = s->wake, .events = POLLIN },
	};
	eventfd_t ignored;

	for (;;) {
		(void)poll(fds, ARRAY_LEN(fds), time_left(s));
		(void)eventfd_read(s->wake, &ignored);
		if (take_made(s))
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
	drop_answer(s);
	return NULL;
}

/* ---- start and stop ---- */

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

static int open_listener(struct status *s, const char *name, struct err *e)
{
	char address[64];
	const char *port;
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	CLEANUP(clean_addrinfo) struct addrinfo *list = NULL;
	struct sockaddr_storage at;
	socklen_t n = sizeof(at);

	if (split(name, address, &port, e) < 0)
		return -1;
	/* All addresses: IPv6 takes IPv4 in, unless this machine has none of it. */
	int rc = getaddrinfo(address[0] ? address : "::", port, &hints, &list);
	if (rc != 0)
		return err_set(e, ERR_INVALID, "'%.100s' is no address to listen at: %s", name,
		               gai_strerror(rc));
	struct err why = ERR_INIT;
	rc = listen_at(list, name, &s->listener, &why);
	if (rc < 0 && !address[0] && (why.os == EAFNOSUPPORT || why.class == ERR_INVALID)) {
		freeaddrinfo(STEAL(&list));
		if (getaddrinfo("0.0.0.0", port, &hints, &list) == 0)
			rc = listen_at(list, name, &s->listener, &why);
	}
	if (rc < 0) {
		*e = why;
		return -1;
	}
	if (getsockname(s->listener, (struct sockaddr *)&at, &n) < 0)
		return err_sys(e, errno, "asking for the port of '%s'", name);
	s->port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
	                                         : ((struct sockaddr_in *)&at)->sin_port);
	return 0;
}

static int start_daemon(struct status *s, struct err *e)
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

/* Signals are for other threads. */
static int start_thread(pthread_t *ret, void *(*fn)(void *), struct status *s, const char *name,
                        struct err *e)
{
	sigset_t all, old;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(ret, NULL, fn, s);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return err_sys(e, rc, "starting the thread '%s'", name);
	(void)pthread_setname_np(*ret, name);
	return 0;
}

static void free_status(struct status *s)
{
	if (s->listener >= 0)
		(void)close(s->listener);
	if (s->wake >= 0)
		(void)close(s->wake);
	(void)pthread_cond_destroy(&s->changed);
	(void)pthread_mutex_destroy(&s->lock);
	buf_clear(&s->text);
	free(s);
}

static void end_maker(struct status *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->stop = true;
	(void)pthread_cond_signal(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	(void)eventfd_write(s->wake, 1);
}

static int start(struct status *s, const char *listen, struct err *e)
{
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake < 0)
		return err_sys(e, errno, "making an event descriptor");
	if (open_listener(s, listen, e) < 0 || start_daemon(s, e) < 0)
		return -1;
	if (start_thread(&s->maker, make, s, "status-metrics", e) < 0) {
		MHD_stop_daemon(s->daemon);
		return -1;
	}
	if (start_thread(&s->server, serve, s, "status", e) < 0) {
		end_maker(s);
		(void)pthread_join(s->maker, NULL);
		MHD_stop_daemon(s->daemon);
		return -1;
	}
	return 0;
}

int status_start(const struct status_params *params, struct status **ret, struct err *e)
{
	struct status *s = calloc(1, sizeof(*s));

	assert(params->listen && params->metrics);
	if (!s)
		return err_set(e, ERR_NOMEM, "no memory for the status server");
	s->params = *params;
	s->params.listen = NULL;
	s->listener = s->wake = -1;
	s->text = BUF_INIT(0);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->changed, NULL);
	if (!params->connections)
		s->params.connections = CONNECTIONS;
	if (!params->address_connections)
		s->params.address_connections = ADDRESS_CONNECTIONS;
	if (!params->request_s)
		s->params.request_s = REQUEST_S;
	if (!params->keep_ms)
		s->params.keep_ms = KEEP_MS;
	if (!params->metrics_max)
		s->params.metrics_max = METRIC_TEXT_MAX;
	if (start(s, params->listen, e) < 0) {
		free_status(s);
		return err_wrap(e, "starting the status server");
	}
	*ret = s;
	return 0;
}

uint16_t status_port(const struct status *s)
{
	return s->port;
}

void status_stop(struct status *s)
{
	if (!s)
		return;
	end_maker(s);
	(void)pthread_join(s->server, NULL);
	(void)pthread_join(s->maker, NULL);
	free_status(s);
}
