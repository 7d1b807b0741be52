/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API server that keeps objects in memory, for tests of what makes and removes them: GET, POST,
 * PUT, merge patches, DELETE and lists, by the rules that count there. What a cluster's controllers
 * would do the test does, in cluster_act. The real one is in tests/kube.
 */
#ifndef AKSDR_TESTS_KUBE_CLUSTER_H
#define AKSDR_TESTS_KUBE_CLUSTER_H

#include "common/hex.h"
#include "tests/harness/kube_kit.h"

static struct {
	json_t *objects; /* by "PLURAL/NS/NAME" or "PLURAL/NAME" */
	/* An object was made, changed (touched) or is to be deleted. May change all. */
	void (*act)(const char *key, json_t *object);
	/* An answer of this status instead, for requests "METHOD KEY" that contain fail. */
	const char *fail;
	int fail_status;
	const char *fail_message;
	unsigned uids;
	char log[4096]; /* of the last pod that was asked for its log */
} cluster;

/* "/api/v1/namespaces/n/pods/p?x" -> "pods/n/p"; *ret_sub: "log" or "" */
static inline void cluster_key(const char *target, char *ret, size_t max, char *ret_sub)
{
	char path[1024], *parts[12], *rest = path;
	size_t n = 0, at;

	(void)snprintf(path, sizeof(path), "%.*s", (int)strcspn(target, "?"), target);
	for (char *part; n < ARRAY_LEN(parts) && (part = strsep(&rest, "/"));)
		if (*part)
			parts[n++] = part;
	at = n > 0 && strcmp(parts[0], "api") == 0 ? 2 : 3;
	const char *ns = NULL;
	if (n >= at + 3 && strcmp(parts[at], "namespaces") == 0) {
		ns = parts[at + 1];
		at += 2;
	}
	assert_true(n > at);
	(void)snprintf(ret, max, "%s%s%s%s%s", parts[at], ns ? "/" : "", ns ? ns : "",
	               n > at + 1 ? "/" : "", n > at + 1 ? parts[at + 1] : "");
	(void)snprintf(ret_sub, 16, "%s", n > at + 2 ? parts[at + 2] : "");
}

static inline void cluster_refuse(struct buf *reply, int code, const char *reason, const char *text)
{
	auto_json json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:{s:s}}", "kind", "Status", "code",
	                                code, "reason", reason, "message", text, "details", "name",
	                                "x");
	char *body = json_dumps(o, JSON_COMPACT);

	http_reply(reply, code, "", body, strlen(body));
	free(body);
}

static inline void cluster_tell(struct buf *reply, const json_t *o)
{
	char *body = json_dumps(o, JSON_COMPACT);

	http_reply(reply, 200, "", body, strlen(body));
	free(body);
}

static inline void cluster_merge(json_t *into, const json_t *patch)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)patch, key, value) {
		json_t *there = json_object_get(into, key);

		if (json_is_null(value))
			(void)json_object_del(into, key);
		else if (json_is_object(value) && json_is_object(there))
			cluster_merge(there, value);
		else
			(void)json_object_set_new(into, key, json_deep_copy(value));
	}
}

static inline json_t *cluster_get(const char *key)
{
	return json_object_get(cluster.objects, key);
}

static inline void cluster_remove(const char *key)
{
	(void)json_object_del(cluster.objects, key);
}

/* For tests: an object from text with ' for ". */
static inline void cluster_put(const char *key, const char *text)
{
	auto_free char *copy = strdup(text);
	struct err e = ERR_INIT;

	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_t *o = json_parse(key, copy, strlen(copy), &e);
	if (!o)
		fail_msg("%s", e.msg);
	(void)json_object_set_new(cluster.objects, key, o);
}

static inline void cluster_touched(const char *key)
{
	json_t *o = cluster_get(key);

	if (cluster.act && o)
		cluster.act(key, o);
}

/* "labelSelector=a%3Db%2Cc%3Dd" of a target; other terms than equality are not looked at. */
static inline bool cluster_selects(const char *target, const json_t *o)
{
	static const char name[] = "labelSelector=";
	const json_t *labels = kube_at(o, "metadata.labels");
	const char *from = strstr(target, name);
	char text[1024], *rest = text;
	size_t n = 0;

	if (!from)
		return true;
	for (from += sizeof(name) - 1; *from && *from != '&' && n < sizeof(text) - 1; from++) {
		if (*from == '%' && hex_decode(&text[n], 1, (char[]){ from[1], from[2], 0 }) == 0)
			from += 2;
		else
			text[n] = *from;
		n++;
	}
	text[n] = '\0';
	for (char *term; (term = strsep(&rest, ","));) {
		char *equals = strchr(term, '=');

		if (!equals || term[0] == '!' || equals[-1] == '!')
			continue;
		*equals = '\0';
		const char *value = json_string_value(json_object_get(labels, term));
		if (!value || strcmp(value, equals + 1 + (equals[1] == '=')) != 0)
			return false;
	}
	return true;
}

static inline void cluster_list(const char *key, const char *target, struct buf *reply)
{
	auto_json json_t *list = json_pack("{s:{s:s}, s:[]}", "metadata", "resourceVersion", "1",
	                                   "items");
	const char *k;
	json_t *o;

	json_object_foreach(cluster.objects, k, o) {
		if (strncmp(k, key, strlen(key)) == 0 && k[strlen(key)] == '/' &&
		    cluster_selects(target, o))
			(void)json_array_append(json_object_get(list, "items"), o);
	}
	cluster_tell(reply, list);
}

static inline void cluster_post(const char *key, const struct http_seen *q, struct buf *reply)
{
	struct err e = ERR_INIT;
	json_t *o = json_parse("body", q->body, q->body_len, &e);
	char full[1024], uid[32];

	assert_non_null(o);
	(void)snprintf(full, sizeof(full), "%s/%s", key, kube_text_at(o, "metadata.name"));
	if (cluster_get(full)) {
		json_decref(o);
		cluster_refuse(reply, 409, "AlreadyExists", "there is one");
		return;
	}
	(void)snprintf(uid, sizeof(uid), "uid-%u", ++cluster.uids);
	(void)json_object_set_new(json_object_get(o, "metadata"), "uid", json_string(uid));
	(void)json_object_set_new(cluster.objects, full, o);
	cluster_tell(reply, o);
	cluster_touched(full);
}

static inline int cluster_answers(void *arg, const struct http_seen *q, struct buf *reply)
{
	char key[600], sub[16], line[640];

	(void)arg;
	cluster_key(q->target, key, sizeof(key), sub);
	(void)snprintf(line, sizeof(line), "%s %s", q->method, key);
	if (cluster.fail && strstr(line, cluster.fail)) {
		cluster_refuse(reply, cluster.fail_status, "Told", cluster.fail_message);
		return 0;
	}
	if (strcmp(q->method, "POST") == 0) {
		cluster_post(key, q, reply);
		return 0;
	}
	json_t *o = cluster_get(key);
	if (!o && !strchr(key, '/')) {
		cluster_list(key, q->target, reply);
	} else if (!o && strcmp(q->method, "GET") == 0 && strchr(key, '/') == strrchr(key, '/') &&
	           strstr(q->target, "limit=")) {
		cluster_list(key, q->target, reply);
	} else if (!o) {
		cluster_refuse(reply, 404, "NotFound", "there is none");
	} else if (strcmp(sub, "log") == 0) {
		http_reply(reply, 200, "", cluster.log, strlen(cluster.log));
	} else if (strcmp(q->method, "GET") == 0) {
		cluster_tell(reply, o);
	} else if (strcmp(q->method, "DELETE") == 0) {
		(void)json_object_set_new(json_object_get(o, "metadata"), "deletionTimestamp",
		                          json_string("2026-11-22T00:00:00Z"));
		cluster_tell(reply, o);
		if (cluster.act)
			cluster.act(key, o);
		else
			cluster_remove(key);
	} else {
		struct err e = ERR_INIT;
		auto_json json_t *body = json_parse("body", q->body, q->body_len, &e);

		assert_non_null(body);
		if (strcmp(q->method, "PUT") == 0)
			(void)json_object_clear(o);
		cluster_merge(o, body);
		cluster_tell(reply, o);
		cluster_touched(key);
	}
	return 0;
}

static inline int cluster_setup(void **state)
{
	memset(&cluster, 0, sizeof(cluster));
	cluster.objects = json_object();
	(void)kit_setup(state);
	kit.own = cluster_answers;
	return 0;
}

static inline int cluster_teardown(void **state)
{
	(void)kit_teardown(state);
	json_decref(cluster.objects);
	return 0;
}

#define CLUSTER_CASE(f) cmocka_unit_test_setup_teardown(f, cluster_setup, cluster_teardown)

#endif
