/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The account's token is given to common/entra.h as the file that it reads: one in memory, which
 * has no name in any file system.
 */
#include "restore/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "common/entra.h"
#include "common/fd.h"
#include "common/http.h"
#include "common/secret.h"
#include "kube/review.h"

#define AUDIENCE "api://AzureADTokenExchange"
#define TOKEN_S 3600
#define CLIENT "azure.workload.identity/client-id"
#define TENANT "azure.workload.identity/tenant-id"

struct trial {
	const char *ns, *account, *client, *tenant;
	char file[32]; /* of the token */
	struct findings *l;
};

static struct finding *found(const struct trial *t, enum finding_severity severity,
                             const char *code)
{
	return finding_add(t->l, severity, code, "ServiceAccount %s/%s", t->ns, t->account);
}

static bool ends(const struct err *e)
{
	return e->class == ERR_NOMEM || e->class == ERR_CANCELLED;
}

static const char *setting(const void *arg, const char *name)
{
	const struct trial *t = arg;
	const char *value;

	if (strcmp(name, "AZURE_FEDERATED_TOKEN_FILE") == 0)
		return t->file;
	if (strcmp(name, "AZURE_CLIENT_ID") == 0)
		return t->client;
	if (strcmp(name, "AZURE_TENANT_ID") == 0)
		return t->tenant;
	value = getenv(name);
	return value && *value ? value : NULL;
}

static int exchange(const struct trial *t, const struct cancel *cancel, struct err *e)
{
	const struct http_params params = { .inflight = 1, .connect_ms = 10000, .cancel = cancel };
	CLEANUP(buf_clear) struct buf bearer = BUF_INIT(ENTRA_TOKEN_MAX + 16);
	auto_http struct http *http = http_new(&params, e);
	const struct entra_params p = {
		.resource = "https://storage.azure.com", .http = http, .setting = setting, .arg = t
	};
	auto_entra struct entra *x = http ? entra_new(&p, e) : NULL;

	int rc = x ? entra_bearer(x, &bearer, e) : -1;
	if (bearer.data)
		secret_wipe(bearer.data, bearer.cap);
	return rc;
}

/* With the token of the account. */
static int try_token(struct trial *t, const char *token, const struct cancel *cancel, struct err *e)
{
	auto_close int fd = memfd_create("token", MFD_CLOEXEC);
	struct err why = ERR_INIT;
	struct finding *f;

	if (fd < 0 || fd_write_full(fd, token, strlen(token)) < 0)
		return err_sys(e, errno, "keeping a token in memory");
	(void)snprintf(t->file, sizeof(t->file), "/proc/self/fd/%d", fd);
	if (exchange(t, cancel, &why) == 0)
		return 0;
	if (ends(&why)) {
		*e = why;
		return -1;
	}
	f = found(t, why.class == ERR_RETRY ? FINDING_WARNING : FINDING_BLOCK,
	          why.class == ERR_RETRY ? "IdentityNotTried" : "IdentityRefused");
	finding_what(f, "movers would get no token for the store: %.450s", why.msg);
	finding_remedy(f,
	               why.class == ERR_RETRY
	                       ? "look whether this machine reaches who gives tokens"
	                       : "az identity federated-credential create --subject "
	                         "system:serviceaccount:%s:%s --issuer ISSUER-OF-THIS-CLUSTER",
	               t->ns, t->account);
	return 0;
}

static int try_account(struct trial *t, struct kube *k, const struct cancel *cancel, struct err *e)
{
	char *token = NULL;
	struct err why = ERR_INIT;
	int64_t expires_s;

	if (!t->tenant || !*t->tenant) {
		finding_what(found(t, FINDING_NOTE, "IdentityNotTried"),
		             "its identity was not tried, since no tenant is known here "
		             "(AZURE_TENANT_ID)");
		return 0;
	}
	if (review_token(k, t->ns, t->account, AUDIENCE, TOKEN_S, &token, &expires_s, &why) < 0) {
		if (ends(&why) || why.class == ERR_RETRY) {
			*e = why;
			return -1;
		}
		struct finding *f = found(t, FINDING_WARNING, "IdentityNotTried");
		finding_what(f, "its identity was not tried: %.450s", why.msg);
		finding_remedy(f, "give who runs this the right to create serviceaccounts/token in "
		                  "that namespace");
		return 0;
	}
	int rc = try_token(t, token, cancel, e);
	secret_wipe(token, strlen(token));
	free(token);
	return rc;
}

int identity_try(struct kube *k, const char *ns, const char *account, const struct cancel *cancel,
                 struct findings *l, struct err *e)
{
	struct trial t = { .ns = ns, .account = account, .l = l };
	struct err why = ERR_INIT;
	auto_json json_t *o = NULL;
	struct finding *f;

	if (kube_get(k, &kube_service_account, ns, account, &o, &why) < 0) {
		if (ends(&why) || why.class == ERR_RETRY) {
			*e = why;
			return -1;
		}
		const bool none = why.class == ERR_NOT_FOUND;
		f = found(&t, none ? FINDING_BLOCK : FINDING_WARNING,
		          none ? "ServiceAccountMissing" : "IdentityNotTried");
		if (none)
			finding_what(f, "movers run as it, and it is not there");
		else
			finding_what(f, "its identity was not tried: %.450s", why.msg);
		finding_remedy(f, none ? "install the chart there, or name another account"
		                       : "give who runs this the right to get serviceaccounts");
		return 0;
	}
	const json_t *notes = kube_at(o, "metadata.annotations");
	t.client = json_string_value(json_object_get(notes, CLIENT));
	t.tenant = json_string_value(json_object_get(notes, TENANT));
	if (!t.tenant)
		t.tenant = getenv("AZURE_TENANT_ID");
	return t.client && *t.client ? try_account(&t, k, cancel, e) : 0;
}
