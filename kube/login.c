/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that may change is read in one go, a round: from files and, where a user has one, by the
 * plugin (https://kubernetes.io/docs/reference/access-authn-authz/authentication/
 * #client-go-credential-plugins). What cannot be read in a later round stays as it was: a file is
 * missing for a moment while the kubelet exchanges it.
 */
#include "kube/login.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/now.h"
#include "common/secret.h"
#include "common/spawn.h"
#include "kube/kubeconfig.h"

#define IN_POD_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define FILE_MAX MIB
#define FRESH_NS (60 * (int64_t)1000000000)
#define AGAIN_NS ((int64_t)1000000000) /* no plugin is asked more often because of refusals */
#define PLUGIN_MS 60000
#define PLUGIN_BYTES MIB
#define EARLY_NS (30 * (int64_t)1000000000) /* a token is not used in its last seconds */

struct login {
	struct kubeconfig c;  /* constant */
	pthread_mutex_t lock; /* of what follows; held while a plugin runs */
	char *token, *ca, *cert, *key;
	uint64_t round;     /* counts changes */
	int64_t read_ns;    /* when, as now_mono_ns() */
	int64_t asked_ns;   /* when the plugin was asked because of a refusal */
	int64_t expires_ns; /* of the plugin's token, as now_wall_ns(); 0: it does not */
	bool told;          /* http has these certificates */
};

static void wipe(char *text)
{
	if (text)
		secret_wipe(text, strlen(text));
	free(text);
}

void login_free(struct login *l)
{
	if (!l)
		return;
	kubeconfig_clear(&l->c);
	wipe(l->token);
	free(l->ca);
	free(l->cert);
	wipe(l->key);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

const char *login_server(const struct login *l)
{
	return l->c.server;
}

const char *login_namespace(const struct login *l)
{
	return l->c.ns ? l->c.ns : "default";
}

const char *login_proxy(const struct login *l)
{
	return l->c.proxy;
}

/* ---- files ---- */

static int read_text(const char *path, char **ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FILE_MAX);

	if (fd_read_file(AT_FDCWD, path, &b, e) < 0) {
		if (e->class == ERR_NOT_FOUND || e->class == ERR_IO)
			e->class = ERR_DENIED;
		return -1;
	}
	*ret = strndup(buf_cstr(&b), b.len);
	if (b.len > 0)
		secret_wipe(b.data, b.len);
	return *ret ? 0 : err_set(e, ERR_NOMEM, "no memory for '%s'", path);
}

/* Without the end of its line. */
static int read_word(const char *path, char **ret, struct err *e)
{
	char *text = NULL;

	if (read_text(path, &text, e) < 0)
		return -1;
	size_t n = strlen(text);
	while (n > 0 && strchr(" \t\r\n", text[n - 1]))
		text[--n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)text[i] > 0x20 && text[i] != 0x7f)
			continue;
		wipe(text);
		return err_set(e, ERR_DENIED, "'%s' holds no token: there are blanks in it", path);
	}
	*ret = text;
	return 0;
}

/* Takes a text when it is another one. */
static void exchange(struct login *l, char **have, char *take_text)
{
	if (*have && strcmp(*have, take_text) == 0) {
		wipe(take_text);
		return;
	}
	wipe(*have);
	*have = take_text;
	l->round++;
	if (have != &l->token)
		l->told = false;
}

static int take_file(struct login *l, const char *path, bool word, char **have, struct err *e)
{
	char *text = NULL;
	struct err why;

	if (!path)
		return 0;
	if ((word ? read_word : read_text)(path, &text, &why) < 0) {
		if (*have)
			return 0;
		*e = why;
		return -1;
	}
	exchange(l, have, text);
	return 0;
}

static int take_text(struct login *l, const char *text, char **have, struct err *e)
{
	if (!text)
		return 0;
	char *copy = strdup(text);
	if (!copy)
		return err_set(e, ERR_NOMEM, "no memory for who we are");
	exchange(l, have, copy);
	return 0;
}

/* ---- plugins ---- */

/* What the plugin is told of us. */
static char *exec_info(const struct login *l)
{
	const json_t *version = json_object_get(l->c.exec, "apiVersion");
	auto_json json_t *o = json_pack("{s:O?, s:s, s:{s:b}}", "apiVersion", version, "kind",
	                                "ExecCredential", "spec", "interactive", 0);

	if (!o)
		return NULL;
	if (json_is_true(json_object_get(l->c.exec, "provideClusterInfo"))) {
		json_t *cluster = json_pack("{s:s}", "server", l->c.server);

		if (cluster && l->ca) {
			size_t n = strlen(l->ca);
			size_t max = 4 * ((n + 2) / 3) + 1;
			auto_free char *text = malloc(max);

			if (text && base64_encode(text, max, l->ca, n) == 0)
				(void)json_object_set_new(cluster, "certificate-authority-data",
				                          json_string(text));
		}
		if (json_object_set_new(json_object_get(o, "spec"), "cluster", cluster) < 0)
			return NULL;
	}
	return json_dumps(o, JSON_COMPACT);
}

static void clean_texts(char ***list)
{
	for (char **s = *list; s && *s; s++)
		free(*s);
	free(*list);
}

static char **argv_of(const struct login *l)
{
	const json_t *args = json_object_get(l->c.exec, "args");
	const char *command = json_string_value(json_object_get(l->c.exec, "command"));
	CLEANUP(clean_texts) char **argv = calloc(json_array_size(args) + 2, sizeof(*argv));
	const json_t *arg;
	size_t i;

	/* With a folder in it, and not from the root, it is one of the file's folder. */
	bool beside = strchr(command, '/') && *command != '/';
	if (!argv ||
	    asprintf(&argv[0], "%s%s%s", beside ? l->c.dir : "", beside ? "/" : "", command) < 0)
		return NULL;
	json_array_foreach(args, i, arg) {
		const char *text = json_string_value(arg);

		if (!(argv[i + 1] = strdup(text ? text : "")))
			return NULL;
	}
	return STEAL(&argv);
}

static char **env_of(const struct login *l)
{
	const json_t *more = json_object_get(l->c.exec, "env");
	auto_free char *info = exec_info(l);
	const json_t *var;
	size_t n = 0;
	size_t i;

	while (environ[n])
		n++;
	CLEANUP(clean_texts) char **env = calloc(n + json_array_size(more) + 2, sizeof(*env));
	if (!env || !info)
		return NULL;
	/* The last of a name counts for nobody: what is added comes first. */
	n = 0;
	if (asprintf(&env[n++], "KUBERNETES_EXEC_INFO=%s", info) < 0)
		return NULL;
	json_array_foreach(more, i, var) {
		const char *name = json_string_value(json_object_get(var, "name"));
		const char *value = json_string_value(json_object_get(var, "value"));

		if (name && value && asprintf(&env[n++], "%s=%s", name, value) < 0)
			return NULL;
	}
	for (i = 0; environ[i]; i++)
		if (!(env[n++] = strdup(environ[i])))
			return NULL;
	return STEAL(&env);
}

/* All it writes, up to its end, within the time. */
static int read_output(int fd, int64_t until_ns, struct buf *b, struct err *e)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint8_t piece[4096];
		int64_t left_ms = (until_ns - now_mono_ns()) / 1000000;

		if (left_ms <= 0)
			return err_set(e, ERR_RETRY, "it did not end within %d s",
			               PLUGIN_MS / 1000);
		if (poll(&p, 1, (int)left_ms + 1) <= 0)
			continue;
		ssize_t n = read(fd, piece, sizeof(piece));
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "reading what it writes");
		if (n > 0)
			(void)buf_put(b, piece, (size_t)n);
		if (b->failed)
			return buf_check(b, "what it wrote", e);
	}
}

static int run_plugin(const struct login *l, struct buf *ret, struct err *e)
{
	CLEANUP(clean_texts) char **argv = argv_of(l);
	CLEANUP(clean_texts) char **env = env_of(l);
	int ends[2];
	pid_t pid;
	int status = 0;

	if (!argv || !env)
		return err_set(e, ERR_NOMEM, "no memory to start it");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "making a pipe");
	auto_close int in = ends[0];
	auto_close int out = ends[1];
	const struct spawn s = { .program = argv[0],
		                 .argv = (const char *const *)argv,
		                 .env = (const char *const *)env,
		                 .out = out,
		                 .err = -1,
		                 .third = -1 };
	int os = spawn_start(&s, &pid);
	if (os != 0) {
		(void)err_sys(e, os, "starting it");
		e->class = ERR_DENIED;
		return -1;
	}
	close(steal_fd(&out));
	int rc = read_output(in, now_mono_ns() + PLUGIN_MS * (int64_t)1000000, ret, e);
	/* Its end of the pipe is closed, so it has ended or is about to; or it is late. */
	if (rc < 0)
		(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc == 0 && status != 0)
		return err_set(e, ERR_DENIED,
		               "it ended with %s %d; its words are on standard error",
		               WIFEXITED(status) ? "status" : "signal",
		               WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return rc;
}

static int take_answer(struct login *l, const struct buf *text, struct err *e)
{
	auto_json json_t *o = json_parse("its answer", text->data, text->len, e);

	if (!o) {
		e->class = e->class == ERR_NOMEM ? ERR_NOMEM : ERR_DENIED;
		return -1;
	}
	const char *token = kube_text_at(o, "status.token");
	const char *cert = kube_text_at(o, "status.clientCertificateData");
	const char *key = kube_text_at(o, "status.clientKeyData");
	const char *expires = kube_text_at(o, "status.expirationTimestamp");
	for (const char *c = token; *c; c++)
		if ((unsigned char)*c <= 0x20 || *c == 0x7f)
			return err_set(e, ERR_DENIED, "its token has blanks in it");
	if (!*token && !(*cert && *key))
		return err_set(e, ERR_DENIED, "its answer has neither a token nor a certificate");
	l->expires_ns = 0;
	if (*expires && now_parse(expires, &l->expires_ns, e) < 0)
		return -1;
	if (*token && take_text(l, token, &l->token, e) < 0)
		return -1;
	if (*cert && *key &&
	    (take_text(l, cert, &l->cert, e) < 0 || take_text(l, key, &l->key, e) < 0))
		return -1;
	return 0;
}

static int ask_plugin(struct login *l, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(PLUGIN_BYTES);
	const char *command = json_string_value(json_object_get(l->c.exec, "command"));

	int rc = run_plugin(l, &text, e);
	if (rc == 0)
		rc = take_answer(l, &text, e);
	if (text.len > 0)
		secret_wipe(text.data, text.len);
	return rc < 0 ? err_wrap(e, "asking '%s', which the kubeconfig names, for a token", command)
	              : 0;
}

/* ---- rounds ---- */

static int read_all_locked(struct login *l, bool plugin, struct err *e)
{
	struct kubeconfig *c = &l->c;

	l->read_ns = now_mono_ns();
	/* As kubectl has it: data before files of certificates, and the file before the token. */
	if ((c->ca ? take_text(l, c->ca, &l->ca, e) : take_file(l, c->ca_file, false, &l->ca, e)) <
	    0)
		return err_wrap(e, "reading the CA of the API server");
	if ((c->cert ? take_text(l, c->cert, &l->cert, e)
	             : take_file(l, c->cert_file, false, &l->cert, e)) < 0 ||
	    (c->key ? take_text(l, c->key, &l->key, e)
	            : take_file(l, c->key_file, false, &l->key, e)) < 0)
		return err_wrap(e, "reading our certificate for the API server");
	if ((c->token_file ? take_file(l, c->token_file, true, &l->token, e)
	                   : take_text(l, c->token, &l->token, e)) < 0)
		return err_wrap(e, "reading our token for the API server");
	return plugin && c->exec ? ask_plugin(l, e) : 0;
}

static int tell_locked(struct login *l, struct http *h, struct err *e)
{
	const struct http_trust trust = { .ca = l->ca, .cert = l->cert, .key = l->key };

	if (l->told)
		return 0;
	if (http_set_trust(h, &trust, e) < 0)
		return -1;
	l->told = true;
	return 0;
}

int login_header(struct login *l, struct http *h, struct buf *ret, uint64_t *ret_round,
                 struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&l->lock);
	bool plugin = l->c.exec && ((!l->token && !l->cert) ||
	                            (l->expires_ns && now_wall_ns() > l->expires_ns - EARLY_NS));
	if (plugin || !l->read_ns || now_mono_ns() - l->read_ns > FRESH_NS)
		rc = read_all_locked(l, plugin, e);
	if (rc == 0)
		rc = tell_locked(l, h, e);
	if (rc == 0 && l->token && *l->token &&
	    buf_printf(ret, "Authorization: Bearer %s", l->token) < 0)
		rc = buf_check(ret, "the token", e);
	if (ret_round)
		*ret_round = l->round;
	pthread_mutex_unlock(&l->lock);
	return rc;
}

bool login_refused(struct login *l, struct http *h, uint64_t round)
{
	struct err e;

	pthread_mutex_lock(&l->lock);
	/* Somebody else may have read it anew meanwhile. */
	if (l->round == round) {
		bool plugin = !l->asked_ns || now_mono_ns() - l->asked_ns > AGAIN_NS;

		/* What fails here is told when it is the next time that it is needed. */
		if (plugin)
			l->asked_ns = now_mono_ns();
		if (read_all_locked(l, plugin, &e) == 0)
			(void)tell_locked(l, h, &e);
	}
	bool other = l->round != round;
	pthread_mutex_unlock(&l->lock);
	return other;
}

/* ---- the beginning ---- */

static int from_file(const char *path, const char *context, struct kubeconfig *ret, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FILE_MAX);
	const char *slash = strrchr(path, '/');
	auto_free char *dir = slash ? strndup(path, (size_t)(slash - path) + (slash == path))
	                            : strdup(".");
	char what[300];

	if (!dir)
		return err_set(e, ERR_NOMEM, "no memory for a kubeconfig");
	(void)snprintf(what, sizeof(what), "kubeconfig '%s'", path);
	if (fd_read_file(AT_FDCWD, path, &b, e) < 0)
		return err_wrap(e, "reading the kubeconfig");
	int rc = kubeconfig_parse(what, b.data, b.len, dir, context, ret, e);
	if (b.len > 0)
		secret_wipe(b.data, b.len);
	return rc;
}

static int in_pod(const char *host, struct kubeconfig *ret, struct err *e)
{
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	struct err none;

	if (kubeconfig_in_pod(IN_POD_DIR, host, port ? port : "443", ret, e) < 0)
		return -1;
	/* Without the file it is no namespace in particular. */
	if (read_word(IN_POD_DIR "/namespace", &ret->ns, &none) < 0)
		ret->ns = NULL;
	return 0;
}

static int find(const struct kube_params *p, struct kubeconfig *ret, struct err *e)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *list = getenv("KUBECONFIG");
	const char *home = getenv("HOME");
	auto_free char *usual = NULL;

	if (p->kubeconfig)
		return from_file(p->kubeconfig, p->context, ret, e);
	if (host && *host && access(IN_POD_DIR "/token", F_OK) == 0)
		return in_pod(host, ret, e);
	if (list && strchr(list, ':'))
		return err_set(e, ERR_INVALID,
		               "KUBECONFIG names several files, which is not supported here; name "
		               "one, or join them with 'kubectl config view --raw --flatten'");
	if (list && *list)
		return from_file(list, p->context, ret, e);
	if (asprintf(&usual, "%s/.kube/config", home ? home : "") < 0)
		return err_set(e, ERR_NOMEM, "no memory for a kubeconfig");
	if (access(usual, F_OK) == 0)
		return from_file(usual, p->context, ret, e);
	return err_set(e, ERR_NOT_FOUND,
	               "there is no cluster to talk to: this is no pod with a service account, "
	               "KUBECONFIG is not set and '%s' is not there",
	               usual);
}

struct login *login_new(const struct kube_params *params, struct err *e)
{
	struct login *l = calloc(1, sizeof(*l));

	if (!l) {
		(void)err_set(e, ERR_NOMEM, "no memory for who we are");
		return NULL;
	}
	pthread_mutex_init(&l->lock, NULL);
	/* The plugin is not asked before there is something to be asked of the server. */
	if (find(params, &l->c, e) < 0 || read_all_locked(l, false, e) < 0) {
		login_free(l);
		return NULL;
	}
	return l;
}
