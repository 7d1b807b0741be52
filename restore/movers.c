/* SPDX-License-Identifier: Apache-2.0 */
/* See movers.h. */
#include "restore/movers.h"

#include <fcntl.h>
#include <string.h>

#include "common/fd.h"
#include "common/secret.h"
#include "common/yaml.h"
#include "kube/worker.h"
#include "restore/filler.h"

#define KEY_DIR "/etc/aksdr-restore"
#define KEY_FILE "recovery.key"
#define PASSPHRASE_FILE "passphrase"
#define KEY_MAX (64 * KIB)
#define PROGRAM "/usr/bin/aksdr-restore"
#define LABELS_CHART "app.kubernetes.io/part-of=aksdr,app.kubernetes.io/component=mover"
#define ROLE "restore-key"

bool movers_set(struct movers_options *o, int key, const char *value)
{
	switch (key) {
	case MOVERS_OPT_IMAGE:
		o->image = value;
		return true;
	case MOVERS_OPT_TEMPLATE:
		o->template = value;
		return true;
	case MOVERS_OPT_ACCOUNT:
		o->account = value;
		return true;
	default:
		return false;
	}
}

void movers_close(struct movers *m)
{
	json_decref(m->template);
	json_decref(m->env);
	*m = (struct movers){ .template = NULL };
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for the template of movers");
}

/* ---- the template ---- */

static json_t *list_in(json_t *o, const char *key)
{
	json_t *list = json_object_get(o, key);

	if (json_is_array(list))
		return list;
	list = json_array();
	return json_object_set_new(o, key, list) == 0 ? list : NULL;
}

static void remove_named(json_t *list, const char *name)
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		const char *s = json_string_value(json_object_get(json_array_get(list, i), "name"));

		if (s && strcmp(s, name) == 0)
			(void)json_array_remove(list, i);
	}
}

/*
 * Restores make files of all owners, with their modes, devices and capabilities: all of it what Pod
 * Security's `baseline` allows. A template that runs as nobody in particular is left as it is.
 */
static int set_rights(const json_t *spec, json_t *container)
{
	json_t *context = json_object_get(container, "securityContext");

	if (kube_true_at(spec, "securityContext.runAsNonRoot") ||
	    kube_true_at(container, "securityContext.runAsNonRoot"))
		return 0;
	if (!context) {
		context = json_object();
		if (json_object_set_new(container, "securityContext", context) < 0)
			return -1;
	}
	return json_object_set_new(context, "capabilities",
	                           json_pack("{s:[s], s:[s, s, s, s, s, s]}", "drop", "ALL", "add",
	                                     "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD",
	                                     "SETFCAP"));
}

static int add_env(json_t *container, const char *name, const char *value)
{
	return json_array_append_new(list_in(container, "env"),
	                             json_pack("{s:s, s:s}", "name", name, "value", value));
}

int movers_adapt(json_t *template, const char *key_secret, const char *env_secret,
                 const char *account, struct err *e)
{
	json_t *spec = json_object_get(template, "spec");
	json_t *c = worker_container(spec);
	int bad = 0;

	if (!c)
		return err_set(e, ERR_INVALID, "the template of movers has no container '%s'",
		               WORKER_CONTAINER);
	bad |= json_object_set_new(c, "command", json_pack("[s]", PROGRAM));
	if (account)
		bad |= json_object_set_new(spec, "serviceAccountName", json_string(account));
	if (key_secret) {
		/* The agent's key, which does not restore. */
		remove_named(list_in(spec, "volumes"), "key");
		remove_named(list_in(c, "volumeMounts"), "key");
		bad |= json_array_append_new(list_in(spec, "volumes"),
		                             json_pack("{s:s, s:{s:s, s:i}}", "name",
		                                       "aksdr-recovery", "secret", "secretName",
		                                       key_secret, "defaultMode", 0440));
		bad |= json_array_append_new(list_in(c, "volumeMounts"),
		                             json_pack("{s:s, s:s, s:b}", "name", "aksdr-recovery",
		                                       "mountPath", KEY_DIR, "readOnly", 1));
		bad |= add_env(c, "AKSDR_KEY", KEY_DIR "/" KEY_FILE);
	}
	if (env_secret)
		bad |= json_array_append_new(list_in(c, "envFrom"),
		                             json_pack("{s:{s:s}}", "secretRef", "name",
		                                       env_secret));
	bad |= set_rights(spec, c);
	return bad ? no_memory(e) : 0;
}

static json_t *own_template(const char *image)
{
	return json_pack(
		"{s:{s:{s:s, s:s}}, s:{s:i, s:[{s:s, s:s, s:{s:i, s:i, s:b, s:b, s:{s:s}}, "
		"s:{s:{s:s, s:s}, s:{s:s}}, s:[{s:s, s:s}, {s:s, s:s}], s:[{s:s, s:s}, {s:s, "
		"s:s}]}], s:[{s:s, s:{s:s}}, {s:s, s:{s:s}}]}}",
		"metadata", "labels", "app.kubernetes.io/part-of", "aksdr",
		"app.kubernetes.io/component", "restore", "spec", "terminationGracePeriodSeconds",
		30, "containers", "name", WORKER_CONTAINER, "image", image, "securityContext",
		"runAsUser", 0, "runAsGroup", 0, "allowPrivilegeEscalation", 0,
		"readOnlyRootFilesystem", 1, "seccompProfile", "type", "RuntimeDefault",
		"resources", "requests", "cpu", "100m", "memory", "128Mi", "limits", "memory",
		"320Mi", "env", "name", "AKSDR_STATE", "value", "/state", "name", "TMPDIR", "value",
		"/tmp", "volumeMounts", "name", "state", "mountPath", "/state", "name", "tmp",
		"mountPath", "/tmp", "volumes", "name", "state", "emptyDir", "sizeLimit", "6Gi",
		"name", "tmp", "emptyDir", "sizeLimit", "256Mi");
}

static int take_map(void *arg, const json_t *o, struct err *e)
{
	json_t **ret = arg;
	const json_t *data = json_object_get(o, "data");
	const char *text = json_string_value(json_object_get(data, "mover.yaml"));

	if (*ret || !text)
		return 0;
	*ret = yaml_parse("the chart's template of movers", text, strlen(text), e);
	return *ret ? 0 : -1;
}

/* ---- secrets ---- */

static const char *const credentials[] = { "AZURE_STORAGE_CONNECTION_STRING",
	                                   "AZURE_STORAGE_KEY",
	                                   "AZURE_STORAGE_SAS_TOKEN",
	                                   "AWS_ACCESS_KEY_ID",
	                                   "AWS_SECRET_ACCESS_KEY",
	                                   "AWS_SESSION_TOKEN",
	                                   "AWS_REGION",
	                                   "AWS_DEFAULT_REGION",
	                                   "AWS_ENDPOINT_URL_S3",
	                                   "HTTPS_PROXY",
	                                   "NO_PROXY",
	                                   "AKSDR_RETRY",
	                                   "AKSDR_LIMIT_DOWNLOAD",
	                                   "AKSDR_LIMIT_REQUESTS" };

static json_t *secret_object(const struct movers_params *p, const char *name, json_t *take_data)
{
	return json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:{s:s, s:s, s:s}}, s:o}", "apiVersion",
	                 "v1", "kind", "Secret", "type", "Opaque", "metadata", "name", name,
	                 "namespace", p->ns, "labels", "app.kubernetes.io/managed-by", "aksdr",
	                 FILLER_LABEL_RUN, p->run, FILLER_LABEL_ROLE, ROLE, "stringData",
	                 take_data);
}

static int make_secret(const struct movers_params *p, const char *name, json_t *take_data,
                       struct err *e)
{
	auto_json json_t *o = take_data ? secret_object(p, name, take_data) : NULL;
	struct err why = ERR_INIT;

	if (!o)
		return no_memory(e);
	if (kube_create(p->kube, &kube_secret, p->ns, o, NULL, &why) == 0 ||
	    why.class == ERR_EXISTS)
		return 0;
	*e = why;
	return err_wrap(e, "giving movers what they need");
}

static int add_file(json_t *data, const char *name, const char *path, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(KEY_MAX);

	if (fd_read_file(AT_FDCWD, path, &b, e) < 0)
		return -1;
	int bad = json_object_set_new(data, name, json_stringn((const char *)b.data, b.len));
	secret_wipe(b.data, b.len);
	return bad ? no_memory(e) : 0;
}

static int make_key(const struct movers_params *p, const char *name, struct err *e)
{
	auto_json json_t *data = json_object();

	if (!data || add_file(data, KEY_FILE, p->key, e) < 0 ||
	    (p->passphrase && add_file(data, PASSPHRASE_FILE, p->passphrase, e) < 0))
		return -1;
	return make_secret(p, name, json_incref(data), e);
}

static int make_env(const struct movers_params *p, const char *name, struct err *e)
{
	json_t *data = json_pack("{s:s}", "AKSDR_STORE", p->store);

	for (size_t i = 0; i < ARRAY_LEN(credentials); i++) {
		const char *value = getenv(credentials[i]);

		if (value && *value && data &&
		    json_object_set_new(data, credentials[i], json_string(value)) < 0)
			return no_memory(e);
	}
	return make_secret(p, name, data, e);
}

/* ---- all of it ---- */

static int find_template(const struct movers_params *p, struct movers *m, bool *ret_own,
                         struct err *e)
{
	const struct kube_select select = { .ns = p->ns, .labels = LABELS_CHART };

	*ret_own = false;
	if (!p->how.image &&
	    kube_list(p->kube, &kube_config_map, &select, take_map, &m->template, NULL, e) < 0)
		return -1;
	if (m->template)
		return 0;
	if (!p->how.image)
		return err_set(e, ERR_NOT_FOUND,
		               "there is no release of the chart in the namespace '%s': name an "
		               "image with these programs by --image, or a template of movers by "
		               "--mover-template",
		               p->ns);
	*ret_own = true;
	m->template = own_template(p->how.image);
	return m->template ? 0 : no_memory(e);
}

static int open_given(const struct movers_params *p, struct movers *m, struct err *e)
{
	m->template = worker_template(p->how.template, e);
	return m->template ? movers_adapt(m->template, NULL, NULL, p->how.account, e) : -1;
}

static int open_made(const struct movers_params *p, struct movers *m, struct err *e)
{
	bool own;

	if (find_template(p, m, &own, e) < 0)
		return -1;
	(void)snprintf(m->key_secret, sizeof(m->key_secret), "aksdr-key-%.16s", p->run);
	if (own)
		(void)snprintf(m->env_secret, sizeof(m->env_secret), "aksdr-env-%.16s", p->run);
	if (movers_adapt(m->template, m->key_secret, own ? m->env_secret : NULL, p->how.account,
	                 e) < 0 ||
	    make_key(p, m->key_secret, e) < 0 || (own && make_env(p, m->env_secret, e) < 0))
		return -1;
	if (p->passphrase &&
	    json_array_append_new(m->env, json_pack("{s:s, s:s}", "name", "AKSDR_PASSPHRASE_FILE",
	                                            "value", KEY_DIR "/" PASSPHRASE_FILE)) < 0)
		return no_memory(e);
	return 0;
}

int movers_open(const struct movers_params *p, struct movers *ret, struct err *e)
{
	CLEANUP(movers_close) struct movers m = { .env = json_array() };

	if (!m.env)
		return no_memory(e);
	if ((p->how.template ? open_given(p, &m, e) : open_made(p, &m, e)) < 0)
		return -1;
	*ret = m;
	m = (struct movers){ .template = NULL };
	return 0;
}

int movers_drop(struct kube *k, const char *ns, const char *run, struct err *e)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "aksdr-key-%.16s", run);
	if (kube_delete(k, &kube_secret, ns, name, NULL, e) < 0)
		return -1;
	(void)snprintf(name, sizeof(name), "aksdr-env-%.16s", run);
	return kube_delete(k, &kube_secret, ns, name, NULL, e);
}
