/* SPDX-License-Identifier: Apache-2.0 */
/* Objects: each function is a path, a method and what the answer is good for. */
#include "kube/kube.h"

#include <errno.h>
#include <string.h>

#include "common/hex.h"
#include "common/secret.h"
#include "kube/call.h"
#include "kube/kube_impl.h"

#define BUDGET_MS 60000
#define INFLIGHT 64 /* watches hold a place for as long as they are */
#define MADE_BY "aksdr.io/made-by"

struct kube *kube_open(const struct kube_params *params, struct err *e)
{
	auto_kube struct kube *k = calloc(1, sizeof(*k));

	if (!k) {
		(void)err_set(e, ERR_NOMEM, "no memory for a client of Kubernetes");
		return NULL;
	}
	k->budget_ms = params->budget_ms ? params->budget_ms : BUDGET_MS;
	k->cancel = params->cancel;
	k->login = login_new(params, e);
	if (!k->login)
		return NULL;
	/* In a pod the server is a neighbour: the environment's proxy is for what is outside. */
	const char *proxy = login_proxy(k->login);
	const struct http_params http = { .inflight = INFLIGHT,
		                          .proxy = proxy ? proxy : "",
		                          .connect_ms = params->stall_ms,
		                          .stall_ms = params->stall_ms,
		                          .cancel = params->cancel };
	k->http = http_new(&http, e);
	return k->http ? STEAL(&k) : NULL;
}

void kube_close(struct kube *k)
{
	if (!k)
		return;
	http_free(k->http);
	login_free(k->login);
	free(k);
}

const char *kube_namespace(const struct kube *k)
{
	return login_namespace(k->login);
}

struct kube_counts kube_counted(struct kube *k)
{
	struct http_count c = http_counted(k->http, 0);

	return (struct kube_counts){ c.requests, c.failures, atomic_load(&k->throttled) };
}

/* ---- members ---- */

const json_t *kube_at(const json_t *object, const char *path)
{
	char name[128];

	while (object && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(name))
			return NULL;
		memcpy(name, path, n);
		name[n] = '\0';
		object = json_object_get(object, name);
		path += n + (path[n] == '.');
	}
	return object;
}

const char *kube_text_at(const json_t *object, const char *path)
{
	const char *text = json_string_value(kube_at(object, path));

	return text ? text : "";
}

int64_t kube_number_at(const json_t *object, const char *path, int64_t otherwise)
{
	const json_t *v = kube_at(object, path);

	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

bool kube_true_at(const json_t *object, const char *path)
{
	return json_is_true(kube_at(object, path));
}

/* ---- one object ---- */

/* Does it; *ret (may be NULL) gets the object of the answer. */
static int ask(struct kube *k, struct call *c, json_t **ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(KUBE_ANSWER_MAX);

	c->into = ret ? &text : NULL;
	if (call_do(k, c, e) < 0)
		return -1;
	if (!ret)
		return 0;
	json_t *o = json_parse("the API server's answer", buf_cstr(&text), text.len, e);
	if (text.len > 0)
		secret_wipe(text.data, text.len);
	if (!o)
		return -1;
	*ret = o;
	return 0;
}

/* A name that is empty, or that leads elsewhere, is none: the server would list all there are. */
static int check_names(const struct kube_kind *kind, const char *ns, const char *name,
                       struct err *e)
{
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strlen(name) > KUBE_NAME_MAX)
		return err_set(e, ERR_INVALID, "'%.300s' is no name of a %s", name, kind->kind);
	if (kind->cluster)
		return 0;
	if (!ns || !*ns || *ns == '.' || strlen(ns) > KUBE_NAME_MAX)
		return err_set(e, ERR_INVALID, "a %s is in a namespace, and '%.300s' is none",
		               kind->kind, ns ? ns : "");
	return 0;
}

/* The path of an object in b, and the call without its body. */
static int begin(struct call *c, struct buf *b, const char *method, const struct kube_kind *kind,
                 const char *ns, const char *name, const char *sub, struct err *e)
{
	if (check_names(kind, ns, name, e) < 0)
		return -1;
	call_path(b, kind, ns, name, sub);
	*c = (struct call){ .method = method };
	return 0;
}

/* The rest: path is whole. */
static int finish(struct kube *k, struct call *c, struct buf *b, json_t **ret, struct err *e)
{
	if (buf_check(b, "the path of an object", e) < 0)
		return -1;
	c->path = buf_cstr(b);
	return ask(k, c, ret, e);
}

int kube_get(struct kube *k, const struct kube_kind *kind, const char *ns, const char *name,
             json_t **ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CALL_PATH_MAX);
	struct call c;

	if (begin(&c, &b, "GET", kind, ns, name, NULL, e) < 0 || finish(k, &c, &b, ret, e) < 0)
		return err_wrap(e, "reading %s", call_name(kind, ns, name).s);
	return 0;
}

int kube_find(struct kube *k, const struct kube_kind *kind, const char *ns, const char *name,
              json_t **ret, struct err *e)
{
	struct err why = ERR_INIT;

	json_decref(*ret);
	*ret = NULL;
	if (kube_get(k, kind, ns, name, ret, &why) == 0 || why.class == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

/* A copy with a mark of its own, which is written to ret_mark. */
static json_t *marked(const json_t *object, char ret_mark[33], struct err *e)
{
	auto_json json_t *copy = json_deep_copy(object);
	uint8_t random[16];

	secret_random(random, sizeof(random));
	hex_encode(ret_mark, random, sizeof(random));
	json_t *meta = json_object_get(copy, "metadata");
	json_t *notes = json_object_get(meta, "annotations");
	if (json_is_object(meta) && !json_is_object(notes)) {
		notes = json_object();
		(void)json_object_set_new(meta, "annotations", notes);
	}
	if (!json_is_object(notes) ||
	    json_object_set_new(notes, MADE_BY, json_string(ret_mark)) < 0) {
		(void)err_set(e, ERR_NOMEM, "no memory for an object");
		return NULL;
	}
	return STEAL(&copy);
}

/* The name was taken when it was repeated: is it what an earlier try made? */
static int settle(struct kube *k, const struct kube_kind *kind, const char *ns, const char *name,
                  const char *mark, json_t **ret, struct err *e)
{
	auto_json json_t *there = NULL;
	struct err why;

	if (kube_get(k, kind, ns, name, &there, &why) < 0) {
		if (why.class != ERR_NOT_FOUND)
			*e = why;
		return -1;
	}
	const json_t *notes = kube_at(there, "metadata.annotations");
	const char *have = json_string_value(json_object_get(notes, MADE_BY));
	if (!have || strcmp(have, mark) != 0)
		return -1;
	if (ret)
		*ret = STEAL(&there);
	return 0;
}

static int create(struct kube *k, const struct kube_kind *kind, const char *ns, const char *name,
                  const json_t *object, json_t **ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CALL_PATH_MAX);
	char mark[33];

	if (check_names(kind, ns, name, e) < 0)
		return -1;
	auto_json json_t *o = marked(object, mark, e);
	if (!o)
		return -1;
	call_path(&b, kind, ns, NULL, NULL);
	call_query(&b, "fieldManager", KUBE_MANAGER);
	struct call c = { .method = "POST", .body = o };
	struct err why;
	if (finish(k, &c, &b, ret, &why) == 0 || (why.class == ERR_EXISTS && c.failed > 0 &&
	                                          settle(k, kind, ns, name, mark, ret, &why) == 0))
		return 0;
	*e = why;
	return -1;
}

int kube_create(struct kube *k, const struct kube_kind *kind, const char *ns, const json_t *object,
                json_t **ret, struct err *e)
{
	const char *name = kube_text_at(object, "metadata.name");

	if (create(k, kind, ns, name, object, ret, e) < 0)
		return err_wrap(e, "creating %s", call_name(kind, ns, name).s);
	return 0;
}

int kube_replace(struct kube *k, const struct kube_kind *kind, const char *ns, const char *name,
                 const json_t *object, json_t **ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CALL_PATH_MAX);
	struct call c;

	if (begin(&c, &b, "PUT", kind, ns, name, NULL, e) < 0)
		return err_wrap(e, "replacing %s", call_name(kind, ns, name).s);
	call_query(&b, "fieldManager", KUBE_MANAGER);
	c.body = object;
	if (finish(k, &c, &b, ret, e) < 0)
		return err_wrap(e, "replacing %s", call_name(kind, ns, name).s);
	return 0;
}

int kube_patch(struct kube *k, const struct kube_kind *kind, const char *ns, const char *name,
               const char *sub, enum kube_patch how, const json_t *patch, json_t **ret,
               struct err *e)
{
	static const char *const types[] = {
		[KUBE_APPLY] = "application/apply-patch+yaml", /* JSON is YAML */
		[KUBE_MERGE] = "application/merge-patch+json",
		[KUBE_JSON] = "application/json-patch+json",
	};
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CALL_PATH_MAX);
	struct call c;

	if (begin(&c, &b, "PATCH", kind, ns, name, sub, e) < 0)
		return err_wrap(e, "changing %s", call_name(kind, ns, name).s);
	call_query(&b, "fieldManager", KUBE_MANAGER);
	if (how == KUBE_APPLY)
		call_query(&b, "force", "true");
	c.body = patch;
	c.type = types[how];
	if (finish(k, &c, &b, ret, e) < 0)
		return err_wrap(e, "changing %s", call_name(kind, ns, name).s);
	return 0;
}

int kube_delete(struct kube *k, const struct kube_kind *kind, const char *ns, const char *name,
                const char *uid, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(CALL_PATH_MAX);
	auto_json json_t *options = json_pack("{s:s, s:s, s:s, s:o*}", "kind", "DeleteOptions",
	                                      "apiVersion", "v1", "propagationPolicy", "Background",
	                                      "preconditions",
	                                      uid ? json_pack("{s:s}", "uid", uid) : NULL);
	struct call c;

	if (!options)
		return err_set(e, ERR_NOMEM, "no memory to delete an object");
	if (begin(&c, &b, "DELETE", kind, ns, name, NULL, e) < 0)
		return err_wrap(e, "deleting %s", call_name(kind, ns, name).s);
	c.body = options;
	if (finish(k, &c, &b, NULL, e) == 0)
		return 0;
	/* It is gone, and if another one has its name, that one stays. */
	if ((e->class == ERR_NOT_FOUND && e->os != CALL_UNKNOWN) ||
	    (e->class == ERR_BUSY && uid && strstr(e->msg, "recondition"))) {
		*e = ERR_INIT;
		return 0;
	}
	return err_wrap(e, "deleting %s", call_name(kind, ns, name).s);
}

/* ---- lists ---- */

/*
 * One page. *ret_next (the caller frees): where the next one begins, NULL at the end. 1: the server
 * has forgotten where it begins.
 */
static int page(struct kube *k, struct call *c, const struct call_list *how, char **ret_next,
                char **ret_version, struct err *e)
{
	auto_json json_t *list = NULL;
	const json_t *item;
	size_t i;

	c->once = how->once;
	c->cancel = how->cancel;
	if (ask(k, c, &list, e) < 0)
		return e->os == CALL_GONE ? 1 : -1;
	const json_t *items = json_object_get(list, "items");
	if (!json_is_array(items) && !json_is_null(items))
		return err_set(e, ERR_FORMAT, "the API server's answer is no list");
	json_array_foreach(items, i, item) {
		if (how->each(how->arg, item, e) < 0)
			return -1;
	}
	free(*ret_version);
	*ret_version = strdup(kube_text_at(list, "metadata.resourceVersion"));
	const char *next = kube_text_at(list, "metadata.continue");
	*ret_next = *next ? strdup(next) : NULL;
	if (!*ret_version || (*next && !*ret_next))
		return err_set(e, ERR_NOMEM, "no memory for a list");
	return 0;
}

static int list_pages(struct kube *k, const struct kube_kind *kind,
                      const struct kube_select *select, const struct call_list *how,
                      char **ret_version, struct err *e)
{
	auto_free char *next = NULL;
	auto_free char *version = NULL;
	bool whole = false;

	for (;;) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(CALL_PATH_MAX);
		auto_free char *here = STEAL(&next);
		char limit[16];

		(void)snprintf(limit, sizeof(limit), "%d", KUBE_PAGE);
		call_path(&b, kind, select->ns, NULL, NULL);
		call_select(&b, select);
		call_query(&b, "limit", whole ? NULL : limit);
		call_query(&b, "continue", here);
		if (buf_check(&b, "the path of a list", e) < 0)
			return -1;
		struct call c = { .method = "GET", .path = buf_cstr(&b) };
		int rc = page(k, &c, how, &next, &version, e);
		if (rc < 0 || (rc > 0 && whole))
			return -1;
		if (rc > 0) {
			*e = ERR_INIT;
			whole = true;
			if (how->again)
				how->again(how->arg);
		} else if (!next) {
			break;
		}
	}
	if (ret_version)
		*ret_version = STEAL(&version);
	return 0;
}

int call_list(struct kube *k, const struct kube_kind *kind, const struct kube_select *select,
              const struct call_list *how, char **ret_version, struct err *e)
{
	if (list_pages(k, kind, select, how, ret_version, e) == 0)
		return 0;
	if (select->ns)
		return err_wrap(e, "listing %s in namespace '%s'", kind->plural, select->ns);
	return err_wrap(e, "listing %s", kind->plural);
}

int kube_list(struct kube *k, const struct kube_kind *kind, const struct kube_select *select,
              int (*each)(void *arg, const json_t *object, struct err *e), void *arg,
              char **ret_version, struct err *e)
{
	const struct call_list how = { .each = each, .arg = arg };

	return call_list(k, kind, select, &how, ret_version, e);
}

/* ---- other paths ---- */

int kube_post(struct kube *k, const char *path, const json_t *body, json_t **ret, struct err *e)
{
	struct call c = { .method = "POST", .path = path, .body = body };

	if (ask(k, &c, ret, e) < 0)
		return err_wrap(e, "sending to '%s'", path);
	return 0;
}

/* Keeps the last ones. */
static int keep_end(void *arg, const struct http_answer *a, const void *p, size_t n, struct err *e)
{
	struct buf *b = arg;
	const uint8_t *from = p;

	(void)a;
	if (n > b->max) {
		from += n - b->max;
		n = b->max;
	}
	if (n > b->max - b->len) {
		size_t over = n - (b->max - b->len);

		memmove(b->data, b->data + over, b->len - over);
		b->len -= over;
	}
	(void)buf_put(b, from, n);
	return buf_check(b, "a text of the API server", e);
}

static void forget(void *arg)
{
	buf_reset(arg);
}

int kube_text(struct kube *k, const char *path, struct buf *ret, struct err *e)
{
	struct call c = {
		.method = "GET", .path = path, .sink = keep_end, .began = forget, .arg = ret
	};

	if (call_do(k, &c, e) < 0)
		return err_wrap(e, "reading '%s'", path);
	return 0;
}
