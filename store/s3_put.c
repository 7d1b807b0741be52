/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uploads to S3. An object is one PUT that creates and never replaces
 * (If-None-Match: *), with a checksum that the service verifies. What is
 * larger than `part` goes up in parts, one after the other, and becomes an
 * object all at once when they are completed, under the same condition; when
 * anything fails the parts are given up.
 */
#include <stdlib.h>
#include <string.h>

#include "common/crc64.h"
#include "common/hex.h"
#include "common/now.h"
#include "store/driver.h"
#include "store/lock.h"
#include "store/s3_impl.h"
#include "store/xml.h"

#define NS_PER_S INT64_C(1000000000)
#define PACKS "pack/"
#define COMPLETE_MAX (4 * MIB)

static uint64_t crc_of(const struct iovec *iov, int niov)
{
	uint64_t crc = CRC64_INIT;

	for (int i = 0; i < niov; i++)
		crc = crc64_update(crc, iov[i].iov_base, iov[i].iov_len);
	return crc;
}

int s3_add_checksum(struct s3_ask *x, const struct iovec *iov, int niov, struct s3_sum *ret,
                    struct err *e)
{
	uint8_t hash[32];

	ret->s[0] = '\0';
	switch (x->s->checksum) {
	case S3_CRC64:
		(void)snprintf(ret->s, sizeof(ret->s), "%s", crc64_big(crc_of(iov, niov)).s);
		wire_header(&x->w, "x-amz-checksum-crc64nvme", "%s", ret->s);
		break;
	case S3_SHA256:
		if (s3_sign_hash(iov, niov, hash, e) < 0)
			return -1;
		hex_encode(x->payload, hash, sizeof(hash));
		(void)base64_encode(ret->s, sizeof(ret->s), hash, sizeof(hash));
		wire_header(&x->w, "x-amz-checksum-sha256", "%s", ret->s);
		break;
	case S3_NO_CHECKSUM:
		break;
	}
	return 0;
}

/* What an object has, however it is uploaded. */
static void add_properties(struct s3_ask *x, const char *key)
{
	const struct s3 *s = x->s;

	wire_header(&x->w, "content-type", "application/octet-stream");
	if (s->class && strncmp(key, PACKS, strlen(PACKS)) == 0)
		wire_header(&x->w, "x-amz-storage-class", "%s", s->class);
	if (s->legal_hold && lock_applies(key))
		wire_header(&x->w, "x-amz-object-lock-legal-hold", "ON");
	if (s->base.lock_s == 0 || !lock_applies(key))
		return;
	int64_t now_s = now_wall_ns() / NS_PER_S +
	                atomic_load_explicit(&s->ahead_s, memory_order_relaxed);
	wire_header(&x->w, S3_LOCK_MODE, "%s", s->lock_mode);
	wire_header(&x->w, S3_UNTIL, "%s",
	            now_rfc3339(lock_until_s(now_s, s->base.lock_s) * NS_PER_S).s);
}

/*
 * Another one was writing the key at the same moment (409 ConditionalRequestConflict): either it
 * has it now, or nobody has.
 */
static int after_conflict(struct s3 *s, const char *key, struct err *e)
{
	struct err why = ERR_INIT;
	struct store_stat st;

	if (s3_head(&s->base, key, &st, &why) < 0)
		return -1; /* e says that it may work later */
	return err_set(e, ERR_EXISTS, "the key is taken");
}

static int put_one(struct s3 *s, const char *key, const struct iovec *iov, int niov, struct err *e)
{
	struct s3_sum sum;

	auto_s3_ask struct s3_ask *x = s3_ask_new(s, CALL_PUT, "PUT", key, e);
	if (!x || s3_add_checksum(x, iov, niov, &sum, e) < 0)
		return -1;
	wire_header(&x->w, "if-none-match", "*");
	add_properties(x, key);
	x->rq.iov = iov;
	x->rq.niov = niov;
	if (s3_ask_send(x, e) == 0)
		return 0;
	return strcmp(x->code, "ConditionalRequestConflict") == 0 ? after_conflict(s, key, e) : -1;
}

/* ---- in parts ---- */

/* An error may come in an answer that began as a success, since completing takes a while. */
static int send_for_xml(struct s3_ask *x, struct xml *xml, struct err *e)
{
	x->rq.sink = xml_sink;
	x->rq.arg = xml;
	if (s3_ask_send(x, e) < 0 || xml_end(xml, e) < 0)
		return -1;
	const char *code = xml_text(xml, XML_CODE);
	const char *message = xml_text(xml, XML_MESSAGE);
	if (!code)
		return 0;
	(void)snprintf(x->code, sizeof(x->code), "%s", code);
	return s3_explain(x->s, x->call, &x->answer, x->code, message ? message : "", "", e);
}

static int begin(struct s3 *s, const char *key, char **ret_upload, struct err *e)
{
	auto_xml struct xml *xml = xml_new(&xml_s3_upload, NULL, e);
	auto_s3_ask struct s3_ask *x = xml ? s3_ask_new(s, CALL_PUT, "POST", key, e) : NULL;

	if (!x)
		return -1;
	wire_query(&x->w, "uploads", "");
	add_properties(x, key);
	if (s->checksum == S3_CRC64) {
		wire_header(&x->w, "x-amz-checksum-algorithm", "CRC64NVME");
		wire_header(&x->w, "x-amz-checksum-type", "FULL_OBJECT");
	} else if (s->checksum == S3_SHA256) {
		wire_header(&x->w, "x-amz-checksum-algorithm", "SHA256");
	}
	x->rq.niov = 0;
	if (send_for_xml(x, xml, e) < 0)
		return -1;
	const char *upload = xml_text(xml, XML_UPLOAD);
	if (!upload || !*upload)
		return err_set(e, ERR_FORMAT, "the service gave an upload no name");
	*ret_upload = strdup(upload);
	return *ret_upload ? 0 : s3_no_memory(e);
}

/* Quotes of an ETag are no trouble in XML, but others would be. */
static bool plain(const char *text)
{
	return strlen(text) < 200 && !strpbrk(text, "<>&");
}

/* Uploads part `number` and appends to the list what it is completed with. */
static int put_part(struct s3 *s, const char *key, const char *upload, unsigned number,
                    const struct iovec *iov, int niov, struct buf *list, struct err *e)
{
	char text[16];
	struct s3_sum sum;

	auto_s3_ask struct s3_ask *x = s3_ask_new(s, CALL_PUT, "PUT", key, e);
	if (!x || s3_add_checksum(x, iov, niov, &sum, e) < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "%u", number);
	wire_query(&x->w, "partNumber", text);
	wire_query(&x->w, "uploadId", upload);
	x->rq.iov = iov;
	x->rq.niov = niov;
	if (s3_ask_send(x, e) < 0)
		return -1;
	const char *etag = http_header(&x->answer, "etag");
	if (!etag || !plain(etag))
		return err_set(e, ERR_FORMAT, "the service gave a part no name");
	(void)buf_printf(list, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag>", number, etag);
	if (s->checksum == S3_CRC64)
		(void)buf_printf(list, "<ChecksumCRC64NVME>%s</ChecksumCRC64NVME>", sum.s);
	else if (s->checksum == S3_SHA256)
		(void)buf_printf(list, "<ChecksumSHA256>%s</ChecksumSHA256>", sum.s);
	(void)buf_str(list, "</Part>");
	return 0;
}

static int complete(struct s3 *s, const char *key, const char *upload, uint64_t crc,
                    struct buf *list, struct err *e)
{
	auto_xml struct xml *xml = xml_new(&xml_s3_upload, NULL, e);
	auto_s3_ask struct s3_ask *x = xml ? s3_ask_new(s, CALL_PUT, "POST", key, e) : NULL;

	if (!x)
		return -1;
	const struct iovec body = { list->data, list->len };
	wire_query(&x->w, "uploadId", upload);
	wire_header(&x->w, "content-type", "application/xml");
	wire_header(&x->w, "if-none-match", "*");
	if (s->checksum == S3_CRC64) {
		wire_header(&x->w, "x-amz-checksum-crc64nvme", "%s", crc64_big(crc).s);
		wire_header(&x->w, "x-amz-checksum-type", "FULL_OBJECT");
	}
	x->rq.iov = &body;
	x->rq.niov = 1;
	if (send_for_xml(x, xml, e) == 0)
		return 0;
	return strcmp(x->code, "ConditionalRequestConflict") == 0 ? after_conflict(s, key, e) : -1;
}

/* What parts there are, is not paid for any longer; a rule of the bucket does what this cannot. */
static void give_up(struct s3 *s, const char *key, const char *upload)
{
	struct err ignored = ERR_INIT;

	auto_s3_ask struct s3_ask *x = s3_ask_new(s, CALL_PUT, "DELETE", key, &ignored);
	if (!x)
		return;
	wire_query(&x->w, "uploadId", upload);
	(void)!s3_ask_send(x, &ignored);
}

static int put_all_parts(struct s3 *s, const char *key, const char *upload, const struct iovec *iov,
                         int niov, uint64_t total, struct err *e)
{
	CLEANUP(buf_clear) struct buf list = BUF_INIT(COMPLETE_MAX);
	auto_free struct iovec *part = calloc((size_t)niov, sizeof(*part));
	uint64_t crc = s->checksum == S3_CRC64 ? crc_of(iov, niov) : 0;
	unsigned number = 0;

	if (!part)
		return s3_no_memory(e);
	(void)buf_str(&list, "<CompleteMultipartUpload>");
	for (uint64_t off = 0; off < total; off += s->part_bytes) {
		uint64_t n = total - off < s->part_bytes ? total - off : s->part_bytes;
		int pieces = store_iov_slice(iov, niov, off, n, part);

		number++;
		if (put_part(s, key, upload, number, part, pieces, &list, e) < 0)
			return err_wrap(e, "uploading part %u", number);
	}
	(void)buf_str(&list, "</CompleteMultipartUpload>");
	if (buf_check(&list, "a list of parts", e) < 0)
		return -1;
	return complete(s, key, upload, crc, &list, e);
}

static int put_in_parts(struct s3 *s, const char *key, const struct iovec *iov, int niov,
                        uint64_t total, struct err *e)
{
	struct err why = ERR_INIT;
	struct store_stat st;
	auto_free char *upload = NULL;

	/* The condition is looked at only in the end, and that is a long way. */
	if (s3_head(&s->base, key, &st, &why) == 0)
		return err_set(e, ERR_EXISTS, "the key is taken");
	if (begin(s, key, &upload, e) < 0)
		return -1;
	if (put_all_parts(s, key, upload, iov, niov, total, e) == 0)
		return 0;
	give_up(s, key, upload);
	return -1;
}

int s3_put(struct store *base, const char *key, const struct iovec *iov, int niov, struct err *e)
{
	struct s3 *s = (struct s3 *)base;
	uint64_t total = store_iov_bytes(iov, niov);

	return total > s->part_bytes ? put_in_parts(s, key, iov, niov, total, e)
	                             : put_one(s, key, iov, niov, e);
}
