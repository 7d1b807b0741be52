/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What movers of restores are made from: a template that somebody gave, the chart's of the cluster,
 * or one of our own; and the Secrets by which they get the recovery key and the store's
 * credentials. Those are made for a run, have its label, and are taken away at its end. Where they
 * are meanwhile is said in docs/THREATS.md.
 */
#ifndef AKSDR_RESTORE_MOVERS_H
#define AKSDR_RESTORE_MOVERS_H

#include <stdbool.h>

#include "kube/kube.h"

enum { MOVERS_OPT_IMAGE = 768, MOVERS_OPT_TEMPLATE, MOVERS_OPT_ACCOUNT };

/* Rows of a verb's table of options. */
#define MOVERS_OPTIONS                                                                    \
	{ "image", "IMAGE", "of movers, where no release of the chart is there",          \
	  MOVERS_OPT_IMAGE },                                                             \
		{ "mover-template", "FILE", "pod of movers, with store and key, instead", \
		  MOVERS_OPT_TEMPLATE },                                                  \
	{                                                                                 \
		"service-account", "NAME", "of movers", MOVERS_OPT_ACCOUNT                \
	}

struct movers_options {
	const char *template; /* file: has all that movers need, nothing is made; or NULL */
	const char *image;    /* of our own template; NULL: only with the chart's */
	const char *account;  /* service account; NULL: the template's */
};
/* Takes an option; false: it is none of these. */
bool movers_set(struct movers_options *o, int key, const char *value);

struct movers_params {
	struct kube *kube;
	const char *ns;
	const char *run; /* 32 hexadecimal digits, for names and the label */
	struct movers_options how;
	const char *store;      /* its URL */
	const char *key;        /* file of the recovery key */
	const char *passphrase; /* file, or NULL */
};

struct movers {
	json_t *template;                    /* owned */
	json_t *env;                         /* array; owned */
	char key_secret[64], env_secret[64]; /* "": not made */
};

/*
 *   ERR_NOT_FOUND  no template was given, the chart's is not there, and no image was named
 *   ERR_INVALID    a template has no container `mover`
 */
MUST_CHECK int movers_open(const struct movers_params *p, struct movers *ret, struct err *e);
void movers_close(struct movers *m);

/* Removes the Secrets of a run: those that are not there are no error. */
MUST_CHECK int movers_drop(struct kube *k, const char *ns, const char *run, struct err *e);

/* The chart's template, changed for restores: key, capabilities. Pure; in place. -1: no memory. */
MUST_CHECK int movers_adapt(json_t *template, const char *key_secret, const char *env_secret,
                            const char *account, struct err *e);

#endif
