/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Azure Resource Manager and the blob service as far as snapshots of managed disks need them, and
 * an identity service: the disks are images in memory, lists of pages are made from them, and what
 * is asked for is counted. Faults are set by the test.
 */
#ifndef AKSDR_TESTS_AZURE_KIT_H
#define AKSDR_TESTS_AZURE_KIT_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/azure_arm.h"
#include "tests/harness/harness.h"
#include "tests/harness/http_server.h"
#include "tests/harness/store_kit.h"

#define AZURE_KIT_SECRET "s3cr3t"
#define AZURE_KIT_GROUP                                                             \
	"/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/MC_rg/" \
	"providers/Microsoft.Compute/snapshots/"
#define AZURE_KIT_FOOTER 512 /* bytes behind the disk */

struct azure_kit_snapshot {
	const char *name;
	const char *created, *family; /* NULL: some */
	const char *more;             /* further properties, each with a comma before it */
	uint8_t *bytes;
	uint64_t size;
	bool full, gone;
	unsigned begins, ends; /* of access */
	bool open;
};

struct azure_kit {
	struct http_server *server;
	char url[64];
	struct azure_kit_snapshot snapshots[4];
	unsigned n;
	/* how it behaves */
	unsigned polls;        /* of an operation before it is done; 0: it is done at once */
	bool by_location;      /* where to ask is in Location alone */
	bool bare;             /* the operation's state has no URL, Location's answer has */
	unsigned list_max;     /* ranges in one document; 0: all */
	unsigned serves;       /* reads that an URL is good for; 0: all */
	int arm_status;        /* of requests for access, instead */
	unsigned begins_max;   /* more access to a snapshot is refused; 0: as often as wanted */
	int blob_status;       /* of lists and reads, instead */
	int diff_status;       /* of lists of differences, instead */
	unsigned busy;         /* requests that are answered with 503 first */
	unsigned cut_reads;    /* answers that break off first */
	const char *failure;   /* the state of operations, instead of Succeeded */
	const char *elsewhere; /* where it sends to ask, instead */
	const char *list;      /* a list of pages, instead */
	/* what it saw */
	unsigned tokens, refused_tokens, asked, left; /* left: polls until the operation is done */
	unsigned served, lists, diffs, reads;
	uint64_t read_bytes;
	char sas[256]; /* of the operation that was done last; "": none */
};

static struct azure_kit azure_kit;

static inline const char *azure_kit_id(const char *name)
{
	static char ids[4][256];
	static unsigned at;
	char *id = ids[at++ % ARRAY_LEN(ids)];

	(void)snprintf(id, sizeof(ids[0]), AZURE_KIT_GROUP "%s", name);
	return id;
}

static inline struct azure_kit_snapshot *azure_kit_find(const char *name, size_t n)
{
	for (unsigned i = 0; i < azure_kit.n; i++)
		if (!azure_kit.snapshots[i].gone && strlen(azure_kit.snapshots[i].name) == n &&
		    strncmp(azure_kit.snapshots[i].name, name, n) == 0)
			return &azure_kit.snapshots[i];
	return NULL;
}

/* The digits at text; the kit's own words are meant. */
static inline unsigned azure_kit_number(const char *text)
{
	unsigned n = 0;

	while (*text >= '0' && *text <= '9')
		n = 10 * n + (unsigned)(*text++ - '0');
	return n;
}

static inline void azure_kit_say(struct buf *reply, int status, const char *headers,
                                 const char *json)
{
	http_reply(reply, status, headers, json, strlen(json));
}

static inline void azure_kit_refuse(struct buf *reply, int status)
{
	azure_kit_say(reply, status, "",
	              "{\"error\":{\"code\":\"TheCode\",\"message\":\"the message\"}}");
}

/* ---- the resource manager ---- */

static inline void azure_kit_describe(const struct azure_kit_snapshot *s, struct buf *reply)
{
	char json[1024];

	(void)snprintf(json, sizeof(json),
	               "{\"name\":\"%s\",\"properties\":{\"diskSizeBytes\":%" PRIu64
	               ",\"timeCreated\":\"%s\",\"incremental\":%s,"
	               "\"incrementalSnapshotFamilyId\":\"%s\",\"creationData\":"
	               "{\"sourceUniqueId\":\"the-disk\"}%s}}",
	               s->name, s->size, s->created, s->full ? "false" : "true",
	               s->family ? s->family : "the-family", s->more ? s->more : "");
	azure_kit_say(reply, 200, "", json);
}

/* The answer to who asks how far the operation is. */
static inline void azure_kit_progress(struct buf *reply, bool location)
{
	char json[512], headers[256];

	if (azure_kit.left > 0) {
		azure_kit.left--;
		(void)snprintf(headers, sizeof(headers),
		               "Retry-After: 1\r\nLocation: %s/operations/location\r\n",
		               azure_kit.url);
		azure_kit_say(reply, location ? 202 : 200, location ? headers : "",
		              location ? "" : "{\"status\":\"InProgress\"}");
		return;
	}
	if (azure_kit.failure) {
		(void)snprintf(json, sizeof(json),
		               "{\"status\":\"%s\",\"error\":{\"code\":\"TheCode\",\"message\":"
		               "\"the message\"}}",
		               azure_kit.failure);
		azure_kit_say(reply, 200, "", json);
		return;
	}
	if (location)
		(void)snprintf(json, sizeof(json), "{\"accessSAS\":\"%s\"}", azure_kit.sas);
	else if (azure_kit.bare || !azure_kit.sas[0])
		(void)snprintf(json, sizeof(json), "{\"status\":\"Succeeded\"}");
	else
		(void)snprintf(json, sizeof(json),
		               "{\"status\":\"Succeeded\",\"properties\":{\"output\":"
		               "{\"accessSAS\":\"%s\"}}}",
		               azure_kit.sas);
	azure_kit_say(reply, 200, "", azure_kit.sas[0] || !location ? json : "");
}

static inline void azure_kit_operate(struct azure_kit_snapshot *s, bool begin, struct buf *reply)
{
	char headers[512];
	const char *host = azure_kit.elsewhere ? azure_kit.elsewhere : azure_kit.url;

	azure_kit.sas[0] = '\0';
	if (begin) {
		s->begins++;
		azure_kit.served = 0;
		(void)snprintf(azure_kit.sas, sizeof(azure_kit.sas),
		               "%s/blob/%s?sv=1&sig=" AZURE_KIT_SECRET "%u", azure_kit.url, s->name,
		               s->begins);
	} else {
		s->ends++;
	}
	s->open = begin;
	azure_kit.left = azure_kit.polls;
	if (azure_kit.polls == 0 && !azure_kit.failure && !azure_kit.elsewhere) {
		azure_kit_progress(reply, true);
		return;
	}
	(void)snprintf(headers, sizeof(headers), "Location: %s/operations/location\r\n", host);
	if (!azure_kit.by_location)
		(void)snprintf(headers + strlen(headers), sizeof(headers) - strlen(headers),
		               "Azure-AsyncOperation: %s/operations/state\r\n", host);
	azure_kit_say(reply, 202, headers, "");
}

static inline void azure_kit_manage(const struct http_seen *q, struct buf *reply)
{
	char bearer[64];
	const char *name = q->target + strlen(AZURE_KIT_GROUP);

	http_seen_header(q, "authorization", bearer, sizeof(bearer));
	azure_kit.asked++;
	if (strncmp(bearer, "Bearer t", 8) != 0 ||
	    azure_kit_number(bearer + 8) <= azure_kit.refused_tokens) {
		azure_kit_refuse(reply, 401);
		return;
	}
	if (strncmp(q->target, "/operations/", 12) == 0) {
		azure_kit_progress(reply, strcmp(q->target + 12, "location") == 0);
		return;
	}
	struct azure_kit_snapshot *s = azure_kit_find(name, strcspn(name, "/?"));
	const char *verb = name + strcspn(name, "/?");
	if (!s)
		azure_kit_refuse(reply, 404);
	else if (*verb == '?')
		azure_kit_describe(s, reply);
	else if (azure_kit.arm_status && strncmp(verb, "/begin", 6) == 0)
		azure_kit_refuse(reply, azure_kit.arm_status);
	else if (azure_kit.begins_max && s->begins >= azure_kit.begins_max &&
	         strncmp(verb, "/begin", 6) == 0)
		azure_kit_refuse(reply, 403);
	else
		azure_kit_operate(s, strncmp(verb, "/begin", 6) == 0, reply);
}

/* ---- the blob service ---- */

static inline bool azure_kit_empty(const uint8_t *p)
{
	for (size_t i = 0; i < 512; i++)
		if (p[i])
			return false;
	return true;
}

/* Of the page at off: 0 nothing is told of it, 'P' it holds something, 'C' not any more. */
static inline char azure_kit_page(const struct azure_kit_snapshot *s,
                                  const struct azure_kit_snapshot *since, uint64_t off)
{
	bool empty = azure_kit_empty(s->bytes + off);

	if (!since)
		return empty ? 0 : 'P';
	if (off < since->size && memcmp(s->bytes + off, since->bytes + off, 512) == 0)
		return 0;
	return empty ? 'C' : 'P';
}

/* Ranges from off on; the marker is the offset. What was cleared comes behind what was written. */
static inline void azure_kit_list(const struct azure_kit_snapshot *s,
                                  const struct azure_kit_snapshot *since, uint64_t off,
                                  struct buf *reply)
{
	CLEANUP(buf_clear) struct buf xml = BUF_INIT(16 * MIB);
	CLEANUP(buf_clear) struct buf cleared = BUF_INIT(16 * MIB);
	unsigned n = 0;

	(void)buf_str(&xml, "<?xml version=\"1.0\" encoding=\"utf-8\"?><PageList>");
	while (off < s->size && (azure_kit.list_max == 0 || n < azure_kit.list_max)) {
		char kind = azure_kit_page(s, since, off);
		uint64_t end = off + 512;

		while (end < s->size && azure_kit_page(s, since, end) == kind)
			end += 512;
		if (kind) {
			(void)buf_printf(kind == 'P' ? &xml : &cleared,
			                 "<%sRange><Start>%" PRIu64 "</Start><End>%" PRIu64
			                 "</End></%sRange>",
			                 kind == 'P' ? "Page" : "Clear", off, end - 1,
			                 kind == 'P' ? "Page" : "Clear");
			n++;
		}
		off = end;
	}
	if (off >= s->size && !since)
		(void)buf_printf(&xml,
		                 "<PageRange><Start>%" PRIu64 "</Start><End>%" PRIu64
		                 "</End></PageRange>",
		                 s->size, s->size + AZURE_KIT_FOOTER - 1);
	(void)buf_put(&xml, cleared.data, cleared.len);
	if (off < s->size)
		(void)buf_printf(&xml, "<NextMarker>%" PRIu64 " more</NextMarker>", off);
	(void)buf_str(&xml, "</PageList>");
	if (azure_kit.list)
		http_reply(reply, 200, "", azure_kit.list, strlen(azure_kit.list));
	else
		http_reply(reply, 200, "", xml.data, xml.len);
}

static inline int azure_kit_read(const struct azure_kit_snapshot *s, const struct http_seen *q,
                                 struct buf *reply)
{
	char range[64], headers[128];
	uint64_t start, end;

	http_seen_header(q, "x-ms-range", range, sizeof(range));
	if (sscanf(range, "bytes=%" SCNu64 "-%" SCNu64, &start, &end) != 2 || start > end ||
	    end >= s->size) {
		http_reply(reply, 416, "", "", 0);
		return 0;
	}
	(void)snprintf(headers, sizeof(headers),
	               "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", start, end,
	               s->size + AZURE_KIT_FOOTER);
	if (azure_kit.cut_reads > 0) {
		azure_kit.cut_reads--;
		(void)buf_printf(reply, "HTTP/1.1 206 X\r\n%sContent-Length: %" PRIu64 "\r\n\r\nab",
		                 headers, end - start + 1);
		return 1;
	}
	azure_kit.reads++;
	azure_kit.served++;
	azure_kit.read_bytes += end - start + 1;
	http_reply(reply, 206, headers, s->bytes + start, end - start + 1);
	return 0;
}

static inline struct azure_kit_snapshot *azure_kit_signed(const char *url)
{
	const char *name = strstr(url, "/blob/");
	const char *signature = strstr(url, "sig=" AZURE_KIT_SECRET);

	if (!name || !signature)
		return NULL;
	name += 6;
	struct azure_kit_snapshot *s = azure_kit_find(name, strcspn(name, "?"));
	unsigned round = azure_kit_number(signature + strlen("sig=" AZURE_KIT_SECRET));
	return s && s->open && round == s->begins ? s : NULL;
}

static inline int azure_kit_serve(const struct http_seen *q, struct buf *reply)
{
	static const char denied[] = "<Error><Code>AuthenticationFailed</Code>"
				     "<Message>Signature not valid</Message></Error>";
	char previous[512], version[64];
	const char *marker = strstr(q->target, "&marker=");

	http_seen_header(q, "x-ms-previous-snapshot-url", previous, sizeof(previous));
	http_seen_header(q, "x-ms-version", version, sizeof(version));
	const struct azure_kit_snapshot *s = azure_kit_signed(q->target);
	const struct azure_kit_snapshot *since = *previous ? azure_kit_signed(previous) : NULL;
	bool expired = azure_kit.serves > 0 && azure_kit.served >= azure_kit.serves;
	bool list = strstr(q->target, "&comp=pagelist") != NULL;
	if (!s || (*previous && !since) || (expired && !list) || !*version) {
		http_reply(reply, 403, "x-ms-error-code: AuthenticationFailed\r\n", denied,
		           strlen(denied));
		return 0;
	}
	int status = since && azure_kit.diff_status ? azure_kit.diff_status : azure_kit.blob_status;
	if (status) {
		http_reply(reply, status, "x-ms-error-code: TheCode\r\n", "", 0);
		return 0;
	}
	if (!list)
		return azure_kit_read(s, q, reply);
	azure_kit.lists += !since;
	azure_kit.diffs += since != NULL;
	azure_kit_list(s, since, marker ? azure_kit_number(marker + 8) : 0, reply);
	return 0;
}

static int azure_kit_answer(void *arg, const struct http_seen *q, struct buf *reply)
{
	char json[128];

	(void)arg;
	if (strncmp(q->target, "/metadata/identity/", 19) == 0) {
		(void)snprintf(json, sizeof(json),
		               "{\"expires_in\":\"3600\",\"access_token\":\"t%u\"}",
		               ++azure_kit.tokens);
		azure_kit_say(reply, 200, "", json);
		return 0;
	}
	if (azure_kit.busy > 0) {
		azure_kit.busy--;
		http_reply(reply, 503, "Retry-After: 7\r\n", "", 0);
		return 0;
	}
	if (strncmp(q->target, "/blob/", 6) == 0)
		return azure_kit_serve(q, reply);
	azure_kit_manage(q, reply);
	return 0;
}

/* ---- for tests ---- */

/* Nothing waits in a test; how long it would have. */
static int64_t azure_kit_waited_ms;

static inline int azure_kit_wait(void *arg, int64_t ms, struct err *e)
{
	(void)arg;
	(void)e;
	azure_kit_waited_ms += ms;
	return 0;
}

static inline void azure_kit_start(void)
{
	azure_kit = (struct azure_kit){ 0 };
	azure_kit_waited_ms = 0;
	azure_kit.server = http_server_start(azure_kit_answer, NULL);
	(void)snprintf(azure_kit.url, sizeof(azure_kit.url), "http://127.0.0.1:%u",
	               http_server_port(azure_kit.server));
	unsetenv("AZURE_FEDERATED_TOKEN_FILE");
	unsetenv("AZURE_CLIENT_ID");
	setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", azure_kit.url, 1);
}

static inline void azure_kit_stop(void)
{
	http_server_stop(azure_kit.server);
	for (unsigned i = 0; i < azure_kit.n; i++)
		free(azure_kit.snapshots[i].bytes);
}

/* A snapshot of zeros, or of what `of` has. */
static inline struct azure_kit_snapshot *azure_kit_add(const char *name, uint64_t size,
                                                       const struct azure_kit_snapshot *of)
{
	static const char *const times[] = { "2026-11-22T10:00:00.1+00:00", "2026-11-22T11:00:00Z",
		                             "2026-11-22T12:00:00Z", "2026-11-22T13:00:00Z" };
	struct azure_kit_snapshot *s = &azure_kit.snapshots[azure_kit.n];

	*s = (struct azure_kit_snapshot){ .name = name, .size = size };
	s->created = times[azure_kit.n++];
	s->bytes = calloc(1, size);
	assert_non_null(s->bytes);
	if (of)
		memcpy(s->bytes, of->bytes, of->size < size ? of->size : size);
	return s;
}

static inline struct azure_arm *azure_kit_arm(void)
{
	const struct azure_arm_params p = { .url = azure_kit.url, .wait = azure_kit_wait };
	struct err e = ERR_INIT;
	struct azure_arm *a = azure_arm_new(&p, &e);

	if (!a)
		fail_msg("%s", e.msg);
	return a;
}

/* An error is of this class, says this, and no signature. */
static inline void azure_kit_refused(const struct err *e, enum err_class class, const char *text)
{
	if (e->class != class || !strstr(e->msg, text) || strstr(e->msg, AZURE_KIT_SECRET))
		fail_msg("%s: %s", err_class_name(e->class), e->msg);
}

#endif
