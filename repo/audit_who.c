/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims of a service account's token (RFC 7519; kubernetes.io/docs, "Schema for service account
 * private claims"): `sub`, and `kubernetes.io`.pod.name.
 */
#include "repo/audit_who.h"

#include <fcntl.h>
#include <string.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/json.h"
#include "common/secret.h"

#define TOKEN "/var/run/secrets/kubernetes.io/serviceaccount/token"
#define TOKEN_MAX (64 * KIB)

/* The part between the first two dots, as bytes. NULL: there is none. */
static uint8_t *payload(const char *token, size_t n, size_t *ret_n)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(TOKEN_MAX + 4);
	const char *from = memchr(token, '.', n);
	const char *end = from ? memchr(from + 1, '.', n - (size_t)(from + 1 - token)) : NULL;

	if (!end)
		return NULL;
	for (const char *c = from + 1; c < end; c++)
		(void)buf_u8(&text, (uint8_t)(*c == '-' ? '+' : *c == '_' ? '/' : *c));
	while (text.len % 4)
		(void)buf_u8(&text, '=');
	size_t size = text.failed ? SIZE_MAX : base64_size(buf_cstr(&text));
	uint8_t *p = size == SIZE_MAX ? NULL : malloc(size + 1);
	if (!p || base64_decode(p, size, buf_cstr(&text)) < 0) {
		free(p);
		return NULL;
	}
	*ret_n = size;
	return p;
}

static void keep(const char *text, char *ret)
{
	auto_json json_t *o = json_text(text, AUDIT_NAME_MAX);

	(void)snprintf(ret, AUDIT_NAME_MAX + 1, "%s", o ? json_string_value(o) : "");
}

void audit_who_token(const char *token, size_t n, struct audit_who *ret)
{
	struct err ignored = ERR_INIT;
	size_t size = 0;
	char pod[2 * AUDIT_NAME_MAX];

	ret->account[0] = ret->pod[0] = '\0';
	auto_free uint8_t *p = payload(token, n, &size);
	auto_json json_t *o = p ? json_parse("a token", p, size, &ignored) : NULL;
	const json_t *k = json_object_get(o, "kubernetes.io");
	const char *account = json_string_value(json_object_get(o, "sub"));
	const char *ns = json_string_value(json_object_get(k, "namespace"));
	const char *name = json_string_value(json_object_get(json_object_get(k, "pod"), "name"));
	if (account)
		keep(account, ret->account);
	if (ns && name) {
		(void)snprintf(pod, sizeof(pod), "%.253s/%.253s", ns, name);
		keep(pod, ret->pod);
	}
}

void audit_who(struct audit_who *ret)
{
	CLEANUP(buf_clear) struct buf token = BUF_INIT(TOKEN_MAX);
	struct err ignored = ERR_INIT;

	*ret = (struct audit_who){ .account = "" };
	note_actor(&ret->actor);
	if (fd_read_file(AT_FDCWD, TOKEN, &token, &ignored) == 0)
		audit_who_token((const char *)token.data, token.len, ret);
	if (token.len > 0)
		secret_wipe(token.data, token.len);
}
