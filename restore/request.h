/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VolumeRestore (aksdr.io/v1alpha1): which point a claim gets that names it as its dataSourceRef.
 * As it is written, strictly; helm/aksdr/crds/ has its schema. Pure.
 */
#ifndef AKSDR_RESTORE_REQUEST_H
#define AKSDR_RESTORE_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "kube/kube.h"

#define REQUEST_GROUP "aksdr.io"
#define REQUEST_KIND "VolumeRestore"
extern const struct kube_kind request_kind;

struct request {
	char cluster[254], ns[254], name[254]; /* of the volume, as its points have it */
	char id[33];                           /* of a point: at least 4 digits; "": by time */
	int64_t as_of_ns;                      /* none that is newer; 0: the newest */
	bool geo; /* by time: only one that the second region has completely */
};

/* ERR_INVALID: it is none, and which field is wrong. */
MUST_CHECK int request_read(const json_t *object, struct request *ret, struct err *e);

#endif
