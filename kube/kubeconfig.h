/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kubeconfig taken apart: where the server of a context is, and how its user is known there.
 * https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 */
#ifndef AKSDR_KUBE_KUBECONFIG_H
#define AKSDR_KUBE_KUBECONFIG_H

#include "common/json.h"

/* All owned; NULL where there is none. Paths of files are usable from here. */
struct kubeconfig {
	char *server; /* "https://host:port", no slash at its end */
	char *proxy;
	char *ns;
	char *ca, *ca_file;
	char *cert, *cert_file, *key, *key_file;
	char *token, *token_file;
	char *dir;    /* of the file */
	json_t *exec; /* of the user */
};

/*
 * Pure. dir: where the file is, for paths in it that are relative. context: NULL: the current one.
 *   ERR_FORMAT       no YAML or JSON, or what is needed is missing
 *   ERR_NOT_FOUND    no such context, cluster or user in it
 *   ERR_UNSUPPORTED  TLS without verification, passwords, what else is not done here
 */
MUST_CHECK int kubeconfig_parse(const char *what, const void *p, size_t n, const char *dir,
                                const char *context, struct kubeconfig *ret, struct err *e);

/*
 * Of a service account in a pod: dir holds token, ca.crt and namespace; host and port are those of
 * the environment.
 */
MUST_CHECK int kubeconfig_in_pod(const char *dir, const char *host, const char *port,
                                 struct kubeconfig *ret, struct err *e);

/* Wipes what is secret. */
void kubeconfig_clear(struct kubeconfig *c);

#endif
