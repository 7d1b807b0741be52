/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake is a request of our own over a connection that common/http made; from there on
 * wslay takes frames apart. Nothing is sent but it and answers to pings, since a command gets no
 * input. How it ended is a Status object on channel 3, after which the server closes.
 */
#include "kube/exec.h"

#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <wslay/wslay.h>

#include "common/hex.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "kube/call.h"
#include "kube/exec_impl.h"
#include "kube/kube_impl.h"

#define MESSAGE_MAX (1 * MIB) /* of a message; the server's have 32 KiB */
#define STATUS_MAX (64 * KIB) /* of the Status object */
#define HEAD_MAX (16 * KIB)
#define REPLY_MAX (64 * KIB)
#define PIECE (32 * KIB)
#define CLOSE_NS (2 * (int64_t)1000000000)    /* for the end of the connection, when all is told */
#define REFUSAL_NS (10 * (int64_t)1000000000) /* for the rest of an answer that refuses */

enum { CHANNEL_OUT = 1, CHANNEL_ERR = 2, CHANNEL_STATUS = 3 };

struct exec_stream {
	wslay_event_context_ptr ws;
	void (*output)(void *arg, bool err, const void *p, size_t n);
	void *arg;
	struct buf status;
	const uint8_t *in; /* of the call that runs */
	size_t in_n;
	struct buf *reply;
};

/* ---- frames ---- */

static ssize_t on_recv(wslay_event_context_ptr ws, uint8_t *p, size_t n, int flags, void *arg)
{
	struct exec_stream *s = arg;

	(void)flags;
	if (s->in_n == 0) {
		wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (n > s->in_n)
		n = s->in_n;
	memcpy(p, s->in, n);
	s->in += n;
	s->in_n -= n;
	return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ws, const uint8_t *p, size_t n, int flags, void *arg)
{
	struct exec_stream *s = arg;

	(void)flags;
	if (buf_put(s->reply, p, n) == 0)
		return (ssize_t)n;
	wslay_event_set_error(ws, WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static int on_mask(wslay_event_context_ptr ws, uint8_t *p, size_t n, void *arg)
{
	(void)ws;
	(void)arg;
	secret_random(p, n);
	return 0;
}

static void on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m,
                       void *arg)
{
	struct exec_stream *s = arg;

	(void)ws;
	/* An empty message opens a channel; closed channels (255) and others are of no interest. */
	if (wslay_is_ctrl_frame(m->opcode) || m->msg_length < 2)
		return;
	switch (m->msg[0]) {
	case CHANNEL_OUT:
	case CHANNEL_ERR:
		if (s->output)
			s->output(s->arg, m->msg[0] == CHANNEL_ERR, m->msg + 1, m->msg_length - 1);
		break;
	case CHANNEL_STATUS:
		(void)buf_put(&s->status, m->msg + 1, m->msg_length - 1);
		break;
	default:
		break;
	}
}

struct exec_stream *exec_stream_new(void (*output)(void *arg, bool err, const void *p, size_t n),
                                    void *arg, struct err *e)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.genmask_callback = on_mask,
		.on_msg_recv_callback = on_message,
	};
	struct exec_stream *s = calloc(1, sizeof(*s));

	if (!s || wslay_event_context_client_init(&s->ws, &callbacks, s) != 0) {
		free(s);
		(void)err_set(e, ERR_NOMEM, "no memory for a WebSocket");
		return NULL;
	}
	wslay_event_config_set_max_recv_msg_length(s->ws, MESSAGE_MAX);
	s->output = output;
	s->arg = arg;
	s->status = BUF_INIT(STATUS_MAX);
	return s;
}

void exec_stream_free(struct exec_stream *s)
{
	if (!s)
		return;
	wslay_event_context_free(s->ws);
	buf_clear(&s->status);
	free(s);
}

static void clean_stream(struct exec_stream *const *s)
{
	exec_stream_free(*s);
}

int exec_stream_feed(struct exec_stream *s, const void *p, size_t n, struct buf *reply,
                     bool *ret_end, struct err *e)
{
	s->in = p;
	s->in_n = n;
	s->reply = reply;
	int rc = wslay_event_recv(s->ws);
	if (rc == 0)
		rc = wslay_event_send(s->ws);
	s->reply = NULL;
	if (rc == WSLAY_ERR_NOMEM)
		return err_set(e, ERR_NOMEM, "no memory for a WebSocket");
	if (rc != 0)
		return err_set(e, ERR_FORMAT, "the API server's answer is no WebSocket");
	/* A frame that breaks the rules is answered with a close of ours. */
	if (wslay_event_get_close_sent(s->ws) && !wslay_event_get_close_received(s->ws))
		return err_set(e, ERR_FORMAT, "the API server breaks the rules of a WebSocket");
	*ret_end = wslay_event_get_close_received(s->ws);
	return 0;
}

/* ---- how it ended ---- */

bool exec_stream_told(const struct exec_stream *s)
{
	return s->status.len > 0;
}

/* The exit status among the causes; -1: it is not there. */
static int64_t exit_code(const json_t *status)
{
	const json_t *causes = kube_at(status, "details.causes");
	const json_t *cause;
	uint64_t code;
	struct err none;
	size_t i;

	json_array_foreach(causes, i, cause) {
		if (strcmp(kube_text_at(cause, "reason"), "ExitCode") == 0 &&
		    num_u64("status", kube_text_at(cause, "message"), 0, 255, &code, &none) == 0)
			return (int64_t)code;
	}
	return -1;
}

int exec_stream_status(const struct exec_stream *s, int *ret_status, struct err *e)
{
	if (!exec_stream_told(s))
		return err_set(e, ERR_RETRY,
		               "the connection ended before the command told how it ended");
	if (s->status.failed)
		return err_set(e, ERR_FORMAT, "how the command ended is told in too many words");
	auto_json json_t *j = json_parse("how the command ended", s->status.data, s->status.len, e);
	if (!j)
		return -1;
	if (strcmp(kube_text_at(j, "status"), "Success") == 0) {
		*ret_status = 0;
		return 0;
	}
	int64_t code = exit_code(j);
	if (strcmp(kube_text_at(j, "reason"), "NonZeroExitCode") == 0 && code >= 0) {
		*ret_status = (int)code;
		return 0;
	}
	const char *said = kube_text_at(j, "message");
	bool missing = strstr(said, "executable file not found") ||
	               strstr(said, "no such file or directory") ||
	               strstr(said, "container not found");
	return err_set(e, missing ? ERR_NOT_FOUND : ERR_IO, "the node says: %s",
	               *said ? said : kube_text_at(j, "reason"));
}

/* ---- the handshake ---- */

/* RFC 6455, 4.2.2: what the server makes of our key. ret has 29 bytes. */
static int accepted_of(const char *key, char ret[29])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[EVP_MAX_MD_SIZE];
	char text[128];
	unsigned len;

	int n = snprintf(text, sizeof(text), "%s%s", key, guid);
	if (EVP_Digest(text, (size_t)n, digest, &len, EVP_sha1(), NULL) != 1 || len != 20)
		return -1;
	return base64_encode(ret, 29, digest, 20);
}

/* The value of a header, or -1: a pointer into head, up to the end of its line. */
static ssize_t header(const char *head, size_t n, const char *name, const char **ret)
{
	const char *at = head;
	const char *end = head + n;
	size_t len = strlen(name);

	for (;;) {
		const char *line = memmem(at, (size_t)(end - at), "\r\n", 2);

		if (!line)
			return -1;
		at = line + 2;
		if ((size_t)(end - at) <= len || strncasecmp(at, name, len) != 0 || at[len] != ':')
			continue;
		const char *value = at + len + 1;
		const char *stop = memmem(value, (size_t)(end - value), "\r\n", 2);
		if (!stop)
			return -1;
		while (value < stop && *value == ' ')
			value++;
		*ret = value;
		return stop - value;
	}
}

/* Three digits and no more; what is there has no NUL at its end. */
static bool is_code(const char *s)
{
	for (int i = 0; i < 3; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return s[3] == ' ' || s[3] == '\r';
}

int exec_head(const char *head, size_t n, const char *key, int *ret_code, struct err *e)
{
	const char *value = NULL;
	char wanted[29];

	if (n < 13 || memcmp(head, "HTTP/1.1 ", 9) != 0 || !is_code(head + 9))
		return err_set(e, ERR_FORMAT, "the API server's answer is not HTTP");
	int code = 100 * (head[9] - '0') + 10 * (head[10] - '0') + (head[11] - '0');
	if (code == 101) {
		ssize_t len = header(head, n, "Sec-WebSocket-Accept", &value);

		if (accepted_of(key, wanted) < 0 || len != 28 || memcmp(value, wanted, 28) != 0)
			return err_set(e, ERR_FORMAT,
			               "the API server's answer is to another "
			               "request than ours");
		len = header(head, n, "Sec-WebSocket-Protocol", &value);
		if (len != 17 || (memcmp(value, "v5.channel.k8s.io", 17) != 0 &&
		                  memcmp(value, "v4.channel.k8s.io", 17) != 0))
			return err_set(e, ERR_UNSUPPORTED,
			               "the API server knows none of our protocols of a command");
	}
	*ret_code = code;
	return 0;
}

/* ---- a run ---- */

struct run {
	struct kube *kube;
	const struct exec_params *p;
	struct http_line *line;
	struct buf in; /* received, not yet used */
	int64_t until_ns;
	char key[25];
};

static void run_clear(struct run *r)
{
	http_hang_up(r->line);
	buf_clear(&r->in);
}

static void path_of(struct buf *b, const struct exec_params *p)
{
	call_path(b, &kube_pod, p->ns, p->pod, "exec");
	call_query(b, "container", p->container);
	for (const char *const *arg = p->argv; *arg; arg++) {
		/* An empty argument is one too. */
		if (**arg)
			call_query(b, "command", *arg);
		else
			(void)buf_printf(b, "%ccommand=", memchr(b->data, '?', b->len) ? '&' : '?');
	}
	call_query(b, "stdout", "true");
	call_query(b, "stderr", "true");
}

/* Receives up to the empty line. *ret_n: bytes of the head. */
static int read_head(struct run *r, size_t *ret_n, struct err *e)
{
	for (;;) {
		const uint8_t *end = r->in.len ? memmem(r->in.data, r->in.len, "\r\n\r\n", 4)
		                               : NULL;
		uint8_t piece[4096];
		size_t n;

		if (end) {
			*ret_n = (size_t)(end - r->in.data) + 4;
			return 0;
		}
		if (r->in.len > HEAD_MAX)
			return err_set(e, ERR_FORMAT, "the API server's answer is not HTTP");
		if (http_line_recv(r->line, piece, sizeof(piece), r->until_ns, &n, e) < 0)
			return -1;
		if (n == 0)
			return err_set(e, ERR_RETRY, "the API server hung up");
		if (buf_put(&r->in, piece, n) < 0)
			return buf_check(&r->in, "an answer", e);
	}
}

/* The rest of an answer that refuses is a Status. */
static int refused(struct run *r, size_t head, int code, struct err *e)
{
	const char *value = NULL;
	uint64_t want = 0;
	struct err none;
	char text[16];
	ssize_t len = header((const char *)r->in.data, head, "Content-Length", &value);

	if (len > 0 && len < (ssize_t)sizeof(text)) {
		memcpy(text, value, (size_t)len);
		text[len] = '\0';
		if (num_u64("length", text, 0, r->in.max - head, &want, &none) < 0)
			want = 0;
	}
	int64_t until_ns = now_mono_ns() + REFUSAL_NS;
	while (r->in.len - head < want) {
		uint8_t piece[4096];
		size_t n;

		if (http_line_recv(r->line, piece, sizeof(piece), until_ns, &n, &none) < 0 ||
		    n == 0 || buf_put(&r->in, piece, n) < 0)
			break;
	}
	return call_refused(code, 0, r->in.data + head, r->in.len - head, e);
}

/* 1: the token was refused and there is another one. */
static int shake_hands(struct run *r, struct err *e)
{
	CLEANUP(buf_clear) struct buf path = BUF_INIT(CALL_PATH_MAX);
	CLEANUP(buf_clear) struct buf auth = BUF_INIT(64 * KIB);
	CLEANUP(buf_clear) struct buf text = BUF_INIT(96 * KIB);
	uint8_t random[16];
	uint64_t round;
	size_t head = 0;
	int code = 0;

	path_of(&path, r->p);
	if (buf_check(&path, "the command", e) < 0 ||
	    call_line(r->kube, buf_cstr(&path), r->p->cancel, &r->line, &auth, &round, e) < 0)
		return -1;
	/* A server may be below a path, as behind a proxy of many clusters. */
	size_t host = strcspn(call_host(r->kube), "/");
	secret_random(random, sizeof(random));
	(void)base64_encode(r->key, sizeof(r->key), random, sizeof(random));
	(void)buf_printf(&text,
	                 "GET %s%s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: " KUBE_MANAGER
	                 "/" AKSDR_VERSION "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
	                 "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io\r\n"
	                 "%s%s\r\n",
	                 call_host(r->kube) + host, buf_cstr(&path), (int)host, call_host(r->kube),
	                 r->key, buf_cstr(&auth), auth.len ? "\r\n" : "");
	int rc = buf_check(&text, "the command", e);
	if (rc == 0)
		rc = http_line_send(r->line, text.data, text.len, r->until_ns, e);
	if (auth.len > 0)
		secret_wipe(auth.data, auth.len);
	if (text.len > 0)
		secret_wipe(text.data, text.len);
	if (rc < 0 || read_head(r, &head, e) < 0 ||
	    exec_head((const char *)r->in.data, head, r->key, &code, e) < 0)
		return -1;
	if (code == 101) {
		memmove(r->in.data, r->in.data + head, r->in.len - head);
		r->in.len -= head;
		return 0;
	}
	(void)refused(r, head, code, e);
	return code == 401 && call_again(r->kube, round) ? 1 : -1;
}

/* From the handshake to the end of the stream. */
static int follow(struct run *r, struct exec_stream *s, struct err *e)
{
	CLEANUP(buf_clear) struct buf reply = BUF_INIT(REPLY_MAX);
	auto_free uint8_t *piece = malloc(PIECE);
	int64_t until_ns = r->until_ns;
	bool end = false;
	size_t n;

	if (!piece)
		return err_set(e, ERR_NOMEM, "no memory for a command");
	if (exec_stream_feed(s, r->in.data, r->in.len, &reply, &end, e) < 0)
		return -1;
	while (!end) {
		/* All is told; that the server says good-bye is not waited for at any length. */
		if (exec_stream_told(s) && until_ns == r->until_ns)
			until_ns = now_mono_ns() + CLOSE_NS;
		if (http_line_recv(r->line, piece, PIECE, until_ns, &n, e) < 0)
			return exec_stream_told(s) ? 0 : -1;
		if (n == 0)
			break;
		if (exec_stream_feed(s, piece, n, &reply, &end, e) < 0)
			return -1;
		if (reply.len > 0 &&
		    http_line_send(r->line, reply.data, reply.len, until_ns, e) < 0)
			return exec_stream_told(s) ? 0 : -1;
		buf_reset(&reply);
	}
	return 0;
}

static int run(struct kube *k, const struct exec_params *p, int *ret_status, struct err *e)
{
	int64_t until_ns = p->timeout_ms ? now_mono_ns() + p->timeout_ms * 1000000 : 0;
	CLEANUP(clean_stream) struct exec_stream *s = exec_stream_new(p->output, p->arg, e);

	if (!s)
		return -1;
	for (int round = 0;; round++) {
		CLEANUP(run_clear)
		struct run r = {
			.kube = k, .p = p, .in = BUF_INIT(128 * KIB), .until_ns = until_ns
		};
		int rc = shake_hands(&r, e);

		if (rc < 0 || (rc > 0 && round > 0))
			return -1;
		if (rc > 0)
			continue;
		if (follow(&r, s, e) < 0)
			return -1;
		return exec_stream_status(s, ret_status, e);
	}
}

int exec_run(struct kube *k, const struct exec_params *params, int *ret_status, struct err *e)
{
	struct err why;

	if (run(k, params, ret_status, &why) == 0)
		return 0;
	*e = why;
	return err_wrap(e, "running '%.100s' in %s", params->argv[0],
	                call_name(&kube_pod, params->ns, params->pod).s);
}
