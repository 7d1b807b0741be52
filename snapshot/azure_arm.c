/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots_Get, _GrantAccess and _RevokeAccess of Microsoft.Compute
 * (https://learn.microsoft.com/rest/api/compute/snapshots). An operation that takes long answers
 * 202 and where to ask: Azure-AsyncOperation, whose answer has a status, or else Location, which
 * answers 202 until it is done
 * (https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations). The token
 * goes to the resource manager and nowhere else, whatever a header says.
 */
#include "snapshot/azure_arm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/backoff.h"
#include "common/entra.h"
#include "common/json.h"
#include "common/later.h"
#include "common/now.h"
#include "common/secret.h"

#define API "2023-10-02"
#define BUDGET_MS 120000
#define HURRY_MS 10000                           /* the same, once all is cancelled */
#define OPERATION_NS (INT64_C(600) * 1000000000) /* an operation that takes longer has failed */
#define END_NS (INT64_C(60) * 1000000000)
#define ASK_MS 2000 /* between questions, unless told otherwise */
#define ASK_MAX_MS 30000
#define URL_MAX (2 * KIB)

/* Requests are counted as. */
enum { OP_TOKEN, OP_ARM, OP_BLOB };

struct azure_arm {
	struct http *http;
	struct entra *entra;
	char *url; /* without a slash at its end */
	int64_t budget_ms;
	const struct cancel *cancel;
	int (*wait)(void *arg, int64_t ms, struct err *e);
	void *arg;
};

/* ---- set-up ---- */

const char *azure_arm_cloud(const char *authority)
{
	static const struct {
		const char *authority, *url;
	} clouds[] = {
		{ "login.chinacloudapi.cn", "https://management.chinacloudapi.cn" },
		{ "login.partner.microsoftonline.cn", "https://management.chinacloudapi.cn" },
		{ "login.microsoftonline.us", "https://management.usgovcloudapi.net" },
	};

	for (size_t i = 0; authority && i < ARRAY_LEN(clouds); i++)
		if (strcasestr(authority, clouds[i].authority))
			return clouds[i].url;
	return "https://management.azure.com";
}

void azure_arm_free(struct azure_arm *a)
{
	if (!a)
		return;
	entra_free(a->entra);
	http_free(a->http);
	free(a->url);
	free(a);
}

struct azure_arm *azure_arm_new(const struct azure_arm_params *p, struct err *e)
{
	const struct http_params http = { .inflight = 8 };
	auto_azure_arm struct azure_arm *a = calloc(1, sizeof(*a));
	const char *set = getenv("AKSDR_AZURE_ARM");
	const char *url = p->url        ? p->url
	                  : set && *set ? set
	                                : azure_arm_cloud(getenv("AZURE_AUTHORITY_HOST"));
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	if (!a || !(a->url = strndup(url, n))) {
		err_set(e, ERR_NOMEM, "no memory for the resource manager");
		return NULL;
	}
	if (n > URL_MAX || !http_url_allowed(url)) {
		err_set(e, ERR_INVALID, "the resource manager's address '%.100s' must be by https",
		        url);
		return NULL;
	}
	a->cancel = p->cancel;
	a->budget_ms = p->budget_ms ? p->budget_ms : BUDGET_MS;
	a->wait = p->wait;
	a->arg = p->arg;
	a->http = http_new(&http, e);
	if (!a->http)
		return NULL;
	struct entra_params entra = {
		.resource = a->url,
		.http = a->http,
		.op = OP_TOKEN,
		.absent = "there is neither a workload's identity (AZURE_FEDERATED_TOKEN_FILE is "
			  "not set) nor does this machine have an identity service",
	};
	entra.machine = !entra_has_workload(&entra);
	a->entra = entra_new(&entra, e);
	return a->entra ? STEAL(&a) : NULL;
}

int azure_arm_send(struct azure_arm *a, struct http_request *rq, struct http_answer *ret,
                   struct err *e)
{
	rq->op = OP_BLOB;
	rq->cancel = a->cancel;
	return http_do(a->http, rq, ret, e);
}

/* ---- names ---- */

static bool is_in(char c, const char *set)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr(set, c));
}

/* "/WORD/NAME" at *at, the word in any case; the name is of 1 to max characters. */
static bool skip_part(const char **at, const char *word, const char *set, size_t max)
{
	size_t n = strlen(word), k = 0;

	if ((*at)[0] != '/' || strncasecmp(*at + 1, word, n) != 0 || (*at)[n + 1] != '/')
		return false;
	*at += n + 2;
	if ((*at)[0] == '.')
		return false;
	while (is_in((*at)[k], set))
		k++;
	*at += k;
	return k > 0 && k <= max;
}

bool azure_arm_is_snapshot(const char *text)
{
	const char *at = text;

	return strlen(text) < AZURE_ARM_ID_MAX && skip_part(&at, "subscriptions", "-", 36) &&
	       skip_part(&at, "resourceGroups", "-_.()", 90) &&
	       strncasecmp(at, "/providers/Microsoft.Compute", 28) == 0 &&
	       (at += 28, skip_part(&at, "snapshots", "-_.", 80)) && *at == '\0';
}

/* ---- answers ---- */

static void copy_text(char *to, size_t max, const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	to[0] = '\0';
	if (text && strlen(text) < max)
		memcpy(to, text, strlen(text) + 1);
}

/* For people: code and message of {"error": {...}}, or of the object itself. */
static void say(const json_t *o, char *to, size_t max)
{
	const json_t *error = json_object_get(o, "error");
	size_t n = 0;

	if (json_is_object(error))
		o = error;
	const char *code = json_string_value(json_object_get(o, "code"));
	const char *text = json_string_value(json_object_get(o, "message"));
	(void)snprintf(to, max, "%.60s%s%.180s", code ? code : "", code && text ? ": " : "",
	               text ? text : "");
	while ((unsigned char)to[n] >= 0x20 && to[n] != 0x7f)
		n++;
	to[n] = '\0';
}

/* What jansson says of a text that is none may quote a signature. */
static json_t *parse(const void *p, size_t n, struct err *e)
{
	struct err why = ERR_INIT;
	json_t *j = json_parse("the answer", p, n, &why);

	if (!json_is_object(j)) {
		json_decref(j);
		err_set(e, why.class == ERR_NOMEM ? ERR_NOMEM : ERR_FORMAT,
		        "the resource manager answered with no JSON object");
		return NULL;
	}
	return j;
}

int azure_arm_parse_snapshot(const void *p, size_t n, struct azure_snapshot *ret, struct err *e)
{
	auto_json json_t *j = parse(p, n, e);
	struct azure_snapshot s = { .complete = true, .sector_bytes = 512 };
	struct err why = ERR_INIT;
	const char *text;

	if (!j)
		return -1;
	const json_t *o = json_object_get(j, "properties");
	if (json_get_u64(o, "snapshot: .properties", "diskSizeBytes", &s.bytes, e) < 0 ||
	    json_get_str(o, "snapshot: .properties", "timeCreated", &text, e) < 0 ||
	    now_parse(text, &s.created_ns, &why) < 0)
		return why.class == ERR_NONE
		               ? -1
		               : err_set(e, ERR_FORMAT,
		                         "snapshot: .properties.timeCreated is no time");
	if (s.bytes == 0 || s.bytes % 512 != 0 || s.bytes > UINT64_C(1) << 46)
		return err_set(e, ERR_FORMAT,
		               "snapshot: .properties.diskSizeBytes is no size of a disk");
	s.incremental = json_is_true(json_object_get(o, "incremental"));
	const json_t *done = json_object_get(o, "completionPercent");
	if (json_is_number(done))
		s.complete = json_number_value(done) >= 100;
	const json_t *data = json_object_get(o, "creationData");
	json_int_t sector = json_integer_value(json_object_get(data, "logicalSectorSize"));
	if (sector > 0 && sector <= 65536)
		s.sector_bytes = (uint32_t)sector;
	copy_text(s.family, sizeof(s.family), o, "incrementalSnapshotFamilyId");
	copy_text(s.disk, sizeof(s.disk), data, "sourceUniqueId");
	*ret = s;
	return 0;
}

static const json_t *find_sas(const json_t *j)
{
	const json_t *sas = json_object_get(j, "accessSAS");
	const json_t *output = json_object_get(json_object_get(j, "properties"), "output");

	return sas ? sas : json_object_get(output, "accessSAS");
}

int azure_arm_parse_progress(int status, const void *p, size_t n, struct azure_arm_progress *ret,
                             struct err *e)
{
	ret->state = status == 202 ? AZURE_ARM_GOING_ON : AZURE_ARM_DONE;
	ret->sas[0] = ret->why[0] = '\0';
	if (status == 202 || status == 204 || n == 0)
		return 0;
	auto_json json_t *j = parse(p, n, e);
	if (!j)
		return -1;
	const char *word = json_string_value(json_object_get(j, "status"));
	if (word && (strcasecmp(word, "Failed") == 0 || strcasecmp(word, "Canceled") == 0)) {
		ret->state = AZURE_ARM_FAILED;
		say(j, ret->why, sizeof(ret->why));
		return 0;
	}
	if (word && strcasecmp(word, "Succeeded") != 0) {
		ret->state = AZURE_ARM_GOING_ON;
		return 0;
	}
	const char *sas = json_string_value(find_sas(j));
	if (!sas)
		return 0;
	if (strlen(sas) >= sizeof(ret->sas) || !http_url_allowed(sas) || !strchr(sas, '?') ||
	    strpbrk(sas, " \t\r\n#"))
		return err_set(e, ERR_FORMAT, "the resource manager gave access by no URL");
	memcpy(ret->sas, sas, strlen(sas) + 1);
	return 0;
}

/* ---- requests ---- */

static uint64_t random_number(void)
{
	uint64_t n;

	secret_random(&n, sizeof(n));
	return n;
}

/* What is at its end is not given up because of a cancellation: access must not stay. */
static const struct cancel *cancel_of(const struct azure_arm *a, bool ending)
{
	return ending ? NULL : a->cancel;
}

static int pause_for(struct azure_arm *a, bool ending, int64_t ms, struct err *e)
{
	const struct cancel *c = cancel_of(a, ending);

	return a->wait ? a->wait(a->arg, ms, e) : cancel_wait(c, NULL, ms, e);
}

static int again(struct azure_arm *a, bool ending, struct azure_arm_tries *t, struct err *e)
{
	bool hurry = ending && cancel_requested(a->cancel);
	const struct backoff b = { hurry ? HURRY_MS : a->budget_ms, 500, 20000 };
	int64_t now_ns = now_mono_ns();
	struct err why = ERR_INIT;

	if (t->failed++ == 0)
		t->began_ns = now_ns;
	int64_t ms = backoff_wait_ms(&b, t->failed, (now_ns - t->began_ns) / 1000000,
	                             random_number());
	if (ms < 0)
		return -1;
	if (e->wait_ms > ms)
		ms = e->wait_ms < ASK_MAX_MS ? e->wait_ms : ASK_MAX_MS;
	if (pause_for(a, ending, ms, &why) == 0)
		return 0;
	*e = why;
	return -1;
}

int azure_arm_again(struct azure_arm *a, struct azure_arm_tries *t, struct err *e)
{
	return again(a, false, t, e);
}

struct ask {
	const char *method, *url;
	const char *body; /* JSON, or NULL */
	bool ending;
	struct buf into; /* the answer's; wiped */
	struct http_answer answer;
};

static void ask_free(struct ask *x)
{
	if (!x)
		return;
	if (x->into.data)
		secret_wipe(x->into.data, x->into.cap);
	buf_clear(&x->into);
	secret_wipe(&x->answer, sizeof(x->answer));
	free(x);
}

static void clean_ask(struct ask *const *x)
{
	ask_free(*x);
}

static struct ask *ask_new(const char *method, const char *url, const char *body, struct err *e)
{
	struct ask *x = calloc(1, sizeof(*x));

	if (!x) {
		err_set(e, ERR_NOMEM, "no memory to ask the resource manager");
		return NULL;
	}
	x->method = method;
	x->url = url;
	x->body = body;
	x->into = BUF_INIT(AZURE_ARM_ANSWER_MAX);
	return x;
}

static int send_once(struct azure_arm *a, struct ask *x, struct buf *header, struct err *e)
{
	struct iovec iov = { (void *)(uintptr_t)x->body, x->body ? strlen(x->body) : 0 };

	buf_reset(header);
	buf_reset(&x->into);
	(void)buf_str(header, "Authorization: ");
	if (entra_bearer(a->entra, header, e) < 0)
		return -1;
	const char *headers[] = { buf_cstr(header), "Accept: application/json",
		                  "Content-Type: application/json" };
	struct http_request rq = {
		.op = OP_ARM,
		.method = x->method,
		.url = x->url,
		.headers = headers,
		.nheaders = x->body ? 3 : 2,
		.iov = &iov,
		.niov = strcmp(x->method, "GET") == 0 ? -1
		        : x->body                     ? 1
		                                      : 0,
		.sink = http_sink_buf,
		.arg = &x->into,
		.cancel = cancel_of(a, x->ending),
	};
	return http_do(a->http, &rq, &x->answer, e);
}

/* An answer other than 2xx. */
static int refused(const struct azure_arm *a, const struct http_answer *answer, struct err *e)
{
	struct err ignored = ERR_INIT;
	char why[256] = "";
	auto_json json_t *j = parse(answer->text, answer->text_len, &ignored);

	if (j)
		say(j, why, sizeof(why));
	switch (answer->status) {
	case 401:
		return err_set(e, ERR_DENIED, "the resource manager does not accept %s: %s",
		               entra_who(a->entra), why);
	case 403:
		return err_set(e, ERR_DENIED,
		               "%s lacks a right on the snapshot; give it the role 'Disk Snapshot "
		               "Contributor' on its resource group: %s",
		               entra_who(a->entra), why);
	case 404:
		return err_set(e, ERR_NOT_FOUND, "there is no such snapshot: %s", why);
	case 409:
		return err_set(e, ERR_BUSY, "the resource manager refuses for now: %s", why);
	default:
		if (later_is(answer->status))
			return later_set(e, answer,
			                 "the resource manager answered with status %d: %s",
			                 answer->status, why);
		return err_set(e, answer->status == 400 ? ERR_UNSUPPORTED : ERR_IO,
		               "the resource manager answered with status %d: %s", answer->status,
		               why);
	}
}

static void clean_wiped(struct buf *b)
{
	if (b->data)
		secret_wipe(b->data, b->cap);
	buf_clear(b);
}

/* Sends it until there is an answer of 2xx, or nothing more to try. */
static int send_ask(struct azure_arm *a, struct ask *x, struct err *e)
{
	CLEANUP(clean_wiped) struct buf header = BUF_INIT(ENTRA_TOKEN_MAX + 64);
	struct azure_arm_tries tries = { 0 };
	bool renewed = false;

	for (;;) {
		struct err why = ERR_INIT;

		if (send_once(a, x, &header, &why) == 0) {
			if (x->answer.status / 100 == 2)
				return 0;
			if (x->answer.status == 401 && !renewed) {
				renewed = true;
				entra_rejected(a->entra,
				               buf_cstr(&header) + strlen("Authorization: "));
				continue;
			}
			(void)refused(a, &x->answer, &why);
		}
		if (why.class != ERR_RETRY || again(a, x->ending, &tries, &why) < 0) {
			*e = why;
			return -1;
		}
	}
}

/* The header's URL into *url, when there is one: of the resource manager, and of nobody else. */
static int take_url(const struct azure_arm *a, const struct ask *x, const char *header, char **url,
                    struct err *e)
{
	const char *value = http_header(&x->answer, header);
	size_t n = strlen(a->url);

	if (!value)
		return 0;
	if (strncasecmp(value, a->url, n) != 0 || value[n] != '/')
		return err_set(e, ERR_FORMAT,
		               "the resource manager sends us to another address than its own");
	char *copy = strdup(value);
	if (!copy)
		return err_set(e, ERR_NOMEM, "no memory to ask the resource manager");
	free(*url);
	*url = copy;
	return 0;
}

static int wait_to_ask(struct azure_arm *a, const struct ask *x, int64_t until_ns, struct err *e)
{
	int64_t ms = x->answer.wait_ms > 0 ? x->answer.wait_ms : ASK_MS;

	if (now_mono_ns() > until_ns)
		return err_set(e, ERR_RETRY, "an operation of the resource manager does not end");
	return pause_for(a, x->ending, ms < ASK_MAX_MS ? ms : ASK_MAX_MS, e);
}

static int start_url(const struct azure_arm *a, const char *id, const char *verb, char **ret,
                     struct err *e)
{
	if (!azure_arm_is_snapshot(id))
		return err_set(e, ERR_INVALID, "'%.200s' is no snapshot of a managed disk", id);
	if (asprintf(ret, "%s%s%s?api-version=" API, a->url, id, verb) < 0) {
		*ret = NULL;
		return err_set(e, ERR_NOMEM, "no memory to ask the resource manager");
	}
	return 0;
}

/*
 * Begins an operation and waits for its end. The URL that was asked for is in the last answer about
 * the operation or, where that has none, in what Location has then.
 */
static int operate(struct azure_arm *a, const char *id, const char *verb, const char *body,
                   struct azure_arm_progress *ret, struct err *e)
{
	auto_free char *url = NULL;
	auto_free char *place = NULL;
	const int64_t until_ns = now_mono_ns() + (body ? OPERATION_NS : END_NS);

	if (start_url(a, id, verb, &url, e) < 0)
		return -1;
	CLEANUP(clean_ask) struct ask *x = ask_new("POST", url, body, e);
	if (!x)
		return -1;
	x->ending = !body;
	for (;;) {
		if (send_ask(a, x, e) < 0 ||
		    azure_arm_parse_progress(x->answer.status, x->into.data, x->into.len, ret, e) <
		            0)
			return -1;
		if (ret->state == AZURE_ARM_FAILED)
			return err_set(e, ERR_IO, "the operation failed: %.240s", ret->why);
		if (ret->state == AZURE_ARM_DONE && (!body || ret->sas[0]))
			return 0;
		if (ret->state == AZURE_ARM_DONE) {
			if (!place)
				return err_set(e, ERR_FORMAT,
				               "the resource manager gave access without an URL");
			free(url);
			url = STEAL(&place);
		} else if (take_url(a, x, "location", &place, e) < 0 ||
		           take_url(a, x, "location", &url, e) < 0 ||
		           take_url(a, x, "azure-asyncoperation", &url, e) < 0 ||
		           wait_to_ask(a, x, until_ns, e) < 0) {
			return -1;
		}
		x->method = "GET";
		x->body = NULL;
		x->url = url;
	}
}

int azure_arm_snapshot(struct azure_arm *a, const char *id, struct azure_snapshot *ret,
                       struct err *e)
{
	auto_free char *url = NULL;

	if (start_url(a, id, "", &url, e) < 0)
		return -1;
	CLEANUP(clean_ask) struct ask *x = ask_new("GET", url, NULL, e);
	if (!x)
		return -1;
	if (send_ask(a, x, e) < 0 ||
	    azure_arm_parse_snapshot(x->into.data, x->into.len, ret, e) < 0)
		return err_wrap(e, "looking at the snapshot '%s'", strrchr(id, '/') + 1);
	return 0;
}

static void clean_progress(struct azure_arm_progress *p)
{
	secret_wipe(p, sizeof(*p));
}

int azure_arm_begin_access(struct azure_arm *a, const char *id, char **ret_sas, struct err *e)
{
	CLEANUP(clean_progress) struct azure_arm_progress p;
	char body[80];

	(void)snprintf(body, sizeof(body), "{\"access\":\"Read\",\"durationInSeconds\":%d}",
	               AZURE_ARM_ACCESS_S);
	if (operate(a, id, "/beginGetAccess", body, &p, e) < 0)
		return err_wrap(e, "getting access to the snapshot '%s'", id);
	char *sas = secret_new(strlen(p.sas) + 1);
	if (!sas)
		return err_set(e, ERR_NOMEM, "no memory for access to a snapshot");
	memcpy(sas, p.sas, strlen(p.sas) + 1);
	*ret_sas = sas;
	return 0;
}

int azure_arm_end_access(struct azure_arm *a, const char *id, struct err *e)
{
	CLEANUP(clean_progress) struct azure_arm_progress p;
	struct err why = ERR_INIT;

	if (operate(a, id, "/endGetAccess", NULL, &p, &why) == 0 || why.class == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return err_wrap(e, "ending access to the snapshot '%s'", id);
}
