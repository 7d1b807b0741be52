/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object lock of S3: PutObjectRetention, on the version that is the object
 * now. The service itself refuses to shorten one (unless who asks may pass
 * over it, and says so, which this never does).
 */
#include <string.h>

#include "common/now.h"
#include "store/driver.h"
#include "store/s3_impl.h"

#define NS_PER_S INT64_C(1000000000)

/* What an object that is there has already. */
struct present {
	int64_t until_ns;
	bool compliance;
};

static int look(struct s3 *s, const char *key, struct present *ret, struct err *e)
{
	auto_s3_ask struct s3_ask *x = s3_ask_new(s, CALL_HEAD, "HEAD", key, e);

	if (!x || s3_ask_send(x, e) < 0)
		return -1;
	const char *mode = http_header(&x->answer, S3_LOCK_MODE);
	ret->until_ns = s3_time_of(&x->answer, S3_UNTIL);
	ret->compliance = mode && strcmp(mode, "COMPLIANCE") == 0;
	return 0;
}

int s3_lock(struct store *base, const char *key, int64_t until_ns, struct err *e)
{
	struct s3 *s = (struct s3 *)base;
	int64_t until_s = (until_ns + NS_PER_S - 1) / NS_PER_S;
	struct present now;
	struct s3_sum ignored;
	char text[256];

	if (s->checksum == S3_NO_CHECKSUM)
		return err_set(e, ERR_INVALID,
		               "the service takes no lock without a checksum; take the parameter "
		               "checksum=none out of the store's URL");
	if (look(s, key, &now, e) < 0)
		return -1;
	if (now.until_ns >= until_ns)
		return 0;
	int n = snprintf(text, sizeof(text),
	                 "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
	                 "<Mode>%s</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>",
	                 now.compliance ? "COMPLIANCE" : s->lock_mode,
	                 now_rfc3339(until_s * NS_PER_S).s);
	const struct iovec body = { text, (size_t)n };
	auto_s3_ask struct s3_ask *x = s3_ask_new(s, CALL_LOCK, "PUT", key, e);
	if (!x || s3_add_checksum(x, &body, 1, &ignored, e) < 0)
		return -1;
	wire_query(&x->w, "retention", "");
	wire_header(&x->w, "content-type", "application/xml");
	x->rq.iov = &body;
	x->rq.niov = 1;
	return s3_ask_send(x, e);
}
