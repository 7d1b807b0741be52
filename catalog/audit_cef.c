/* SPDX-License-Identifier: Apache-2.0 */
/* See audit_cef.h. */
#include "catalog/audit_cef.h"

#include <string.h>

/* escaped: the characters that a backslash goes before. */
static void put_text(struct buf *b, const char *text, const char *escaped)
{
	for (; *text; text++) {
		if (*text == '\n' || *text == '\r') {
			(void)buf_str(b, *text == '\n' ? "\\n" : "\\r");
			continue;
		}
		if (strchr(escaped, *text))
			(void)buf_u8(b, '\\');
		(void)buf_u8(b, (uint8_t)*text);
	}
}

static void put_header(struct buf *b, const char *text)
{
	put_text(b, text, "\\|");
	(void)buf_u8(b, '|');
}

static void put_value(struct buf *b, const char *key, const char *text)
{
	if (!*text)
		return;
	(void)buf_printf(b, "%s=", key);
	put_text(b, text, "\\=");
	(void)buf_u8(b, ' ');
}

static void put_labelled(struct buf *b, unsigned n, const char *label, const char *text)
{
	char key[16];

	if (!*text)
		return;
	(void)buf_printf(b, "cs%uLabel=%s ", n, label);
	(void)snprintf(key, sizeof(key), "cs%u", n);
	put_value(b, key, text);
}

/* 0 to 10; what failed, and what destroys or opens data, is above what is usual. */
static int severity(const struct audit_record *r)
{
	static const char *const grave[] = { "expire",
		                             "gc",
		                             "fence",
		                             "failover",
		                             "key-revoke",
		                             "release",
		                             "key-add-recipient",
		                             "restore",
		                             "export",
		                             "mount",
		                             "restore-files" };

	if (r->result == AUDIT_FAILED)
		return 6;
	for (size_t i = 0; i < ARRAY_LEN(grave); i++) {
		if (strcmp(r->act, grave[i]) == 0)
			return 5;
	}
	return r->result == AUDIT_PARTLY || r->result == AUDIT_CANCELLED ? 5 : 3;
}

void audit_cef_put(struct buf *b, const struct audit_record *r, const char *signed_by,
                   const char *chain)
{
	CLEANUP(buf_clear) struct buf objects = BUF_INIT(AUDIT_RECORD_MAX);

	for (size_t i = 0; i < r->nobjects; i++)
		(void)buf_printf(&objects, "%s%s", i ? ", " : "", r->objects[i]);
	if (r->object_count > r->nobjects)
		(void)buf_printf(&objects, "%sand %llu more", r->nobjects ? ", " : "",
		                 (unsigned long long)(r->object_count - r->nobjects));
	(void)buf_str(b, "CEF:0|aksdr|");
	put_header(b, *r->program ? r->program : "aksdr");
	put_header(b, r->version);
	put_header(b, r->act);
	put_text(b, r->act, "\\|");
	(void)buf_printf(b, " %s|%d|", audit_record_result_name(r->result), severity(r));
	(void)buf_printf(b, "rt=%lld start=%lld end=%lld ", (long long)(r->at_ns / 1000000),
	                 (long long)(r->at_ns / 1000000),
	                 (long long)(r->at_ns / 1000000 + r->took_ms));
	put_value(b, "externalId", r->id);
	put_value(b, "act", r->act);
	put_value(b, "outcome", audit_record_result_name(r->result));
	put_value(b, "suser", r->user);
	put_value(b, "shost", r->host);
	put_value(b, "reason", r->why);
	put_value(b, "msg", r->error);
	(void)buf_printf(b, "cn1Label=exitStatus cn1=%d ", r->status);
	put_labelled(b, 1, "objects", buf_cstr(&objects));
	put_labelled(b, 2, "serviceAccount", r->account);
	put_labelled(b, 3, "pod", r->pod);
	put_labelled(b, 4, "run", r->run);
	put_labelled(b, 5, "signedBy", signed_by);
	put_labelled(b, 6, "chain", chain);
	if (b->len > 0 && b->data[b->len - 1] == ' ')
		b->len--;
	(void)buf_u8(b, '\n');
}
