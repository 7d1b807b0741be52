/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes from an API server: a byte that says which and where it is torn, then the bytes of a
 * watch, of a WebSocket with a command, of an answer that refuses, or of a kubeconfig.
 */
#include "kube/call.h"
#include "kube/exec_impl.h"
#include "kube/kubeconfig.h"
#include "kube/watch_impl.h"
#include "tests/fuzz/fuzz.h"

static int event(void *arg, enum watch_type type, const json_t *object, struct err *e)
{
	(void)e;
	(void)buf_printf(arg, "%d %zu\n", (int)type, json_object_size(object));
	return 0;
}

static enum err_class watched(const uint8_t *p, size_t n, size_t step, struct buf *b)
{
	CLEANUP(buf_clear) struct buf rest = BUF_INIT(4 * KIB);
	struct err e = ERR_INIT;
	int rc = 0;

	for (size_t at = 0; at < n && rc == 0; at += step)
		rc = watch_feed(&rest, p + at, n - at < step ? n - at : step, event, b, &e);
	if (rc < 0)
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_TOO_BIG));
	return e.class;
}

static void watch(const uint8_t *p, size_t n, size_t step)
{
	CLEANUP(buf_clear) struct buf whole = BUF_INIT(8 * MIB);
	CLEANUP(buf_clear) struct buf torn = BUF_INIT(8 * MIB);

	/* A line over the limit is found where it is put together: then the tear counts. */
	enum err_class class = watched(p, n, n, &whole);
	if (n > 4 * KIB)
		return;
	holds(watched(p, n, step, &torn) == class);
	holds(whole.len == torn.len &&
	      (whole.len == 0 || memcmp(whole.data, torn.data, whole.len) == 0));
}

static void output(void *arg, bool err, const void *p, size_t n)
{
	(void)err;
	(void)buf_put(arg, p, n);
}

static void frames(const uint8_t *p, size_t n, size_t step)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(8 * MIB);
	CLEANUP(buf_clear) struct buf reply = BUF_INIT(8 * MIB);
	struct err e = ERR_INIT;
	bool end = false;
	int status = -1;
	int code;
	int rc = 0;
	struct exec_stream *s = exec_stream_new(output, &out, &e);

	holds(s);
	for (size_t at = 0; at < n && rc == 0 && !end; at += step)
		rc = exec_stream_feed(s, p + at, n - at < step ? n - at : step, &reply, &end, &e);
	if (rc < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
	} else if (exec_stream_status(s, &status, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_RETRY) |
		                         FUZZ_CLASS(ERR_NOT_FOUND) | FUZZ_CLASS(ERR_IO));
	} else {
		holds(status >= 0 && status <= 255);
	}
	exec_stream_free(s);
	if (exec_head((const char *)p, n, "dGhlIHNhbXBsZSBub25jZQ==", &code, &e) == 0)
		holds(code >= 0 && code <= 999);
	else
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_UNSUPPORTED));
}

static void config(const uint8_t *p, size_t n)
{
	CLEANUP(kubeconfig_clear) struct kubeconfig c = { 0 };
	struct err e = ERR_INIT;

	if (kubeconfig_parse("fuzz", p, n, "/dir", NULL, &c, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_NOT_FOUND) |
		                         FUZZ_CLASS(ERR_UNSUPPORTED));
		holds(!c.server && !c.token && !c.exec);
		return;
	}
	holds(c.server && (c.cert || c.cert_file || !(c.key || c.key_file)));
	for (const char *s = c.token ? c.token : ""; *s; s++)
		holds((uint8_t)*s > 0x20 && *s != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;

	if (size < 1 || size > 16 * KIB)
		return 0;
	size_t step = data[0] / 4 + 1;
	switch (data[0] % 4) {
	case 0:
		watch(data + 1, size - 1, step);
		break;
	case 1:
		frames(data + 1, size - 1, step);
		break;
	case 2:
		config(data + 1, size - 1);
		break;
	default:
		holds(call_refused(200 + (int)step * 8, 0, data + 1, size - 1, &e) == -1);
		holds(e.class != ERR_NONE);
		break;
	}
	return 0;
}
