/* SPDX-License-Identifier: Apache-2.0 */
/* Reviews are objects that are sent and come back with a status; nothing is kept of them. */
#include "kube/review.h"

#include <assert.h>
#include <string.h>

#include "common/now.h"
#include "common/secret.h"
#include "kube/call.h"

#define REVIEWS "/apis/authorization.k8s.io/v1/"

/* Takes spec. */
static int ask(struct kube *k, const char *plural, const char *kind, json_t *take_spec,
               bool *ret_allowed, char **ret_why, struct err *e)
{
	auto_json json_t *body = json_pack("{s:s, s:s, s:o}", "apiVersion",
	                                   "authorization.k8s.io/v1", "kind", kind, "spec",
	                                   take_spec);
	auto_json json_t *answer = NULL;
	char path[128];

	if (!body)
		return err_set(e, ERR_NOMEM, "no memory to ask for rights");
	(void)snprintf(path, sizeof(path), REVIEWS "%s", plural);
	if (kube_post(k, path, body, &answer, e) < 0)
		return err_wrap(e, "asking for rights");
	const json_t *status = json_object_get(answer, "status");
	if (!json_is_boolean(json_object_get(status, "allowed")))
		return err_set(e, ERR_FORMAT, "asking for rights: the answer has no 'allowed'");
	if (ret_why) {
		const char *why = kube_text_at(status, "reason");
		const char *mistake = kube_text_at(status, "evaluationError");

		*ret_why = strdup(*why ? why : mistake);
		if (!*ret_why)
			return err_set(e, ERR_NOMEM, "no memory to ask for rights");
	}
	*ret_allowed = kube_true_at(status, "allowed");
	return 0;
}

static json_t *attributes(const struct review *r)
{
	/* What is NULL is left out: any verb, group and resource, and all of them. */
	return json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*}", "verb", r->verb ? r->verb : "*",
	                 "group", r->group ? r->group : "*", "resource",
	                 r->resource ? r->resource : "*", "subresource", r->sub, "namespace", r->ns,
	                 "name", r->name);
}

int review_self(struct kube *k, const struct review *what, bool *ret_allowed, char **ret_why,
                struct err *e)
{
	json_t *spec = json_pack("{s:o}", "resourceAttributes", attributes(what));

	return ask(k, "selfsubjectaccessreviews", "SelfSubjectAccessReview", spec, ret_allowed,
	           ret_why, e);
}

bool review_verb(const char *verbs, size_t *at, char *verb)
{
	const char *p = verbs + *at;
	size_t n = strcspn(p, " ");

	if (n == 0)
		return false;
	assert(n < REVIEW_VERB_MAX);
	memcpy(verb, p, n);
	verb[n] = '\0';
	*at += n + (p[n] == ' ' ? 1 : 0);
	return true;
}

int review_self_verbs(struct kube *k, const struct review_verbs *r, unsigned *ret_asked,
                      unsigned *ret_missing, struct err *e)
{
	char resource[64], verb[REVIEW_VERB_MAX];
	const size_t n = strcspn(r->resource, "/");
	unsigned asked = 0, missing = 0;
	size_t at = 0;

	(void)snprintf(resource, sizeof(resource), "%.*s", (int)n, r->resource);
	while (review_verb(r->verbs, &at, verb)) {
		const struct review what = { .verb = verb,
			                     .group = r->group,
			                     .resource = resource,
			                     .sub = r->resource[n] ? r->resource + n + 1 : NULL,
			                     .ns = r->ns };
		bool allowed = false;

		if (review_self(k, &what, &allowed, NULL, e) < 0)
			return -1;
		asked++;
		if (allowed)
			continue;
		missing++;
		if (r->missing)
			r->missing(r->arg, verb);
	}
	*ret_asked = asked;
	*ret_missing = missing;
	return 0;
}

int review_other(struct kube *k, const char *user, const char *const *groups,
                 const struct review *what, bool *ret_allowed, char **ret_why, struct err *e)
{
	json_t *list = json_array();

	for (; groups && *groups; groups++)
		if (json_array_append_new(list, json_string(*groups)) < 0)
			break;
	json_t *spec = json_pack("{s:s, s:o, s:o}", "user", user, "groups", list,
	                         "resourceAttributes", attributes(what));
	if (groups && *groups) {
		json_decref(spec);
		spec = NULL;
	}
	return ask(k, "subjectaccessreviews", "SubjectAccessReview", spec, ret_allowed, ret_why, e);
}

/* The server has an audience of its own, and says it where none was asked for. */
static bool is_for(const json_t *status, const char *audience)
{
	const json_t *list = json_object_get(status, "audiences");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *one = json_string_value(json_array_get(list, i));

		if (one && audience && strcmp(one, audience) == 0)
			return true;
	}
	return !audience;
}

/* jansson's own copy of what was sent goes with the answer; it is no place for a secret. */
static void wipe_token(const json_t *object)
{
	const char *token = kube_text_at(object, "spec.token");

	if (*token)
		secret_wipe((void *)(uintptr_t)token, strlen(token));
}

int review_bearer(struct kube *k, const char *token, const char *audience, json_t **ret,
                  struct err *e)
{
	auto_json json_t *body = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion",
	                                   "authentication.k8s.io/v1", "kind", "TokenReview",
	                                   "spec", "token", token);
	auto_json json_t *answer = NULL;

	if (!body || (audience && json_object_set_new(json_object_get(body, "spec"), "audiences",
	                                              json_pack("[s]", audience)) < 0)) {
		wipe_token(body);
		return err_set(e, ERR_NOMEM, "no memory to ask whose token it is");
	}
	int rc = kube_post(k, "/apis/authentication.k8s.io/v1/tokenreviews", body, &answer, e);
	wipe_token(body);
	wipe_token(answer);
	if (rc < 0)
		return err_wrap(e, "asking whose token it is");
	const json_t *status = json_object_get(answer, "status");
	*ret = NULL;
	if (!kube_true_at(status, "authenticated") || !is_for(status, audience))
		return 0;
	json_t *user = json_object_get(status, "user");
	if (!*kube_text_at(user, "username"))
		return err_set(e, ERR_FORMAT, "asking whose token it is: the answer names nobody");
	*ret = json_incref(user);
	return 0;
}

int review_url(struct kube *k, const json_t *person, const char *verb, const char *path,
               bool *ret_allowed, struct err *e)
{
	static const char *const more[] = { "uid", "groups", "extra" };
	json_t *spec = json_pack("{s:s, s:{s:s, s:s}}", "user", kube_text_at(person, "username"),
	                         "nonResourceAttributes", "verb", verb, "path", path);

	for (size_t i = 0; spec && i < ARRAY_LEN(more); i++) {
		json_t *value = json_object_get(person, more[i]);

		if (value && json_object_set(spec, more[i], value) < 0) {
			json_decref(spec);
			spec = NULL;
		}
	}
	return ask(k, "subjectaccessreviews", "SubjectAccessReview", spec, ret_allowed, NULL, e);
}

int review_token(struct kube *k, const char *ns, const char *account, const char *audience,
                 int64_t seconds, char **ret, int64_t *ret_expires_s, struct err *e)
{
	CLEANUP(buf_clear) struct buf path = BUF_INIT(CALL_PATH_MAX);
	auto_json json_t *body = json_pack("{s:s, s:s, s:{s:[s], s:I}}", "apiVersion",
	                                   "authentication.k8s.io/v1", "kind", "TokenRequest",
	                                   "spec", "audiences", audience, "expirationSeconds",
	                                   (json_int_t)seconds);
	auto_json json_t *answer = NULL;
	int64_t expires_ns;

	call_path(&path, &kube_service_account, ns, account, "token");
	if (!body)
		return err_set(e, ERR_NOMEM, "no memory to ask for a token");
	if (buf_check(&path, "a path", e) < 0 ||
	    kube_post(k, buf_cstr(&path), body, &answer, e) < 0)
		return err_wrap(e, "asking for a token of the service account '%s/%s'", ns,
		                account);
	const char *token = kube_text_at(answer, "status.token");
	if (!*token ||
	    now_parse(kube_text_at(answer, "status.expirationTimestamp"), &expires_ns, e) < 0)
		return err_set(e, ERR_FORMAT,
		               "asking for a token of the service account '%s/%s': the answer has "
		               "no token, or no time until which it is good",
		               ns, account);
	char *copy = strdup(token);
	/* jansson's own copy goes with the answer; it is no place for a secret. */
	secret_wipe((void *)(uintptr_t)token, strlen(token));
	if (!copy)
		return err_set(e, ERR_NOMEM, "no memory for a token");
	*ret = copy;
	*ret_expires_s = expires_ns / 1000000000;
	return 0;
}
