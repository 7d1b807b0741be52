/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to a Kubernetes API server, on common/http: who we are (a service account in a pod, or a
 * kubeconfig), one object or a list at a time, and what the server answers as errors for people.
 * Facts: https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
#ifndef AKSDR_KUBE_KUBE_H
#define AKSDR_KUBE_KUBE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/json.h"

#define KUBE_NAME_MAX 253          /* bytes of a name, RFC 1123 subdomain */
#define KUBE_ANSWER_MAX (64 * MIB) /* of one answer */
#define KUBE_PAGE 250              /* objects to a page of a list */
#define KUBE_MANAGER "aksdr"       /* field manager, and part of the user agent */

struct kube;

struct kube_params {
	/* Path; NULL: in a pod its service account, else KUBECONFIG, ~/.kube/config. */
	const char *kubeconfig;
	const char *context; /* of the kubeconfig; NULL: its current one */
	int64_t budget_ms;   /* how long one call repeats what may work later; 0: 60000 */
	int64_t stall_ms;    /* of a connection, and of silence in one; 0: as struct http_params */
	const struct cancel *cancel; /* of all requests, also of leases. Borrowed, may be NULL */
};

/*
 * Reads who we are and where the server is; asks it nothing yet.
 *   ERR_NOT_FOUND  neither in a pod, nor is there a kubeconfig, or it has no such context
 *   ERR_FORMAT     the kubeconfig
 *   ERR_DENIED     a file that is named there cannot be read
 */
MUST_CHECK struct kube *kube_open(const struct kube_params *params, struct err *e);
void kube_close(struct kube *k); /* no call may be running */
static inline void clean_kube(struct kube *const *k)
{
	kube_close(*k);
}
#define auto_kube CLEANUP(clean_kube)

/* The namespace we are in (pod), or of the context; "default" where none is named. */
const char *kube_namespace(const struct kube *k);

/* Kinds of objects. Static, or of the caller. */
struct kube_kind {
	const char *group;   /* "" is the core */
	const char *version; /* "v1" */
	const char *plural;  /* "pods" */
	const char *kind;    /* "Pod" */
	bool cluster;        /* is not in a namespace */
};
extern const struct kube_kind kube_pod, kube_node, kube_namespace_kind, kube_pvc, kube_pv,
	kube_config_map, kube_service_account, kube_secret, kube_storage_class, kube_csi_driver,
	kube_volume_attachment, kube_lease, kube_event, kube_snapshot, kube_snapshot_content,
	kube_snapshot_class, kube_policy, kube_plan, kube_stateful_set;

/*
 * One object each. ns is NULL for kinds of the cluster. All may be called from any thread, block,
 * and repeat by themselves what may work later (no connection, 429 with its Retry-After, 5xx, a
 * token that has just expired) within the budget. The caller decrefs *ret, which may be NULL where
 * the answer is not wanted. Messages name kind, namespace, name and what the server said.
 *   ERR_NOT_FOUND    there is none, or the server does not know the kind (then os is ENOTSUP)
 *   ERR_EXISTS       create: the name is taken
 *   ERR_BUSY         somebody else changed it meanwhile (409 Conflict): read it again
 *   ERR_DENIED       401, 403: the message says which right is missing
 *   ERR_INVALID      422, 400: the server refuses the object; the message names the field
 *   ERR_RETRY        the budget is used up
 *   ERR_QUOTA        403 because of a ResourceQuota
 *   ERR_TOO_BIG, ERR_FORMAT, ERR_CANCELLED, ERR_NOMEM
 */
MUST_CHECK int kube_get(struct kube *k, const struct kube_kind *kind, const char *ns,
                        const char *name, json_t **ret, struct err *e);
/* The same of one that need not be there: then *ret is NULL. What *ret had before is given up. */
MUST_CHECK int kube_find(struct kube *k, const struct kube_kind *kind, const char *ns,
                         const char *name, json_t **ret, struct err *e);
/*
 * Gives the object an annotation aksdr.io/made-by of its own, so that a repetition, after an answer
 * that was lost, finds what it made and is no error. For that it needs a name, not generateName
 * (ERR_INVALID).
 */
MUST_CHECK int kube_create(struct kube *k, const struct kube_kind *kind, const char *ns,
                           const json_t *object, json_t **ret, struct err *e);
/* The whole object, with the resourceVersion that it was read with. */
MUST_CHECK int kube_replace(struct kube *k, const struct kube_kind *kind, const char *ns,
                            const char *name, const json_t *object, json_t **ret, struct err *e);
enum kube_patch {
	KUBE_APPLY, /* server-side apply with KUBE_MANAGER, forced */
	KUBE_MERGE, /* RFC 7396 */
	KUBE_JSON   /* RFC 6902; may be applied twice, so it begins with a test */
};
/* sub: "status" or NULL. */
MUST_CHECK int kube_patch(struct kube *k, const struct kube_kind *kind, const char *ns,
                          const char *name, const char *sub, enum kube_patch how,
                          const json_t *patch, json_t **ret, struct err *e);
/*
 * Deletion in the background; uid (may be NULL): only of this very object. One that is not there is
 * no error.
 */
MUST_CHECK int kube_delete(struct kube *k, const struct kube_kind *kind, const char *ns,
                           const char *name, const char *uid, struct err *e);

struct kube_select {
	const char *ns;     /* NULL: all namespaces */
	const char *labels; /* label selector, or NULL */
	const char *fields; /* field selector, or NULL */
};
/*
 * All objects, page by page (without kind and apiVersion, which the server leaves out); each is
 * called once for each, borrowed, and may fail, which ends it.
 * *ret_version (may be NULL; the caller frees) is where a watch goes on. A list whose continuation
 * has expired (410) is begun anew with all in one page: each may get objects twice.
 */
MUST_CHECK int kube_list(struct kube *k, const struct kube_kind *kind,
                         const struct kube_select *select,
                         int (*each)(void *arg, const json_t *object, struct err *e), void *arg,
                         char **ret_version, struct err *e);

/* POST to a path of one object's own, as ".../serviceaccounts/x/token" or a review. */
MUST_CHECK int kube_post(struct kube *k, const char *path, const json_t *body, json_t **ret,
                         struct err *e);
/* GET of a text, as a pod's log, into ret: the last bytes of it, as many as ret takes. */
MUST_CHECK int kube_text(struct kube *k, const char *path, struct buf *ret, struct err *e);

/* Requests so far, and those that the server told to come later (429). */
struct kube_counts {
	uint64_t requests, failures, throttled;
};
struct kube_counts kube_counted(struct kube *k);

/* Members of objects; "" and NULL where there is none. Borrowed. path: "metadata.name". */
const char *kube_text_at(const json_t *object, const char *path);
const json_t *kube_at(const json_t *object, const char *path);
int64_t kube_number_at(const json_t *object, const char *path, int64_t otherwise);
bool kube_true_at(const json_t *object, const char *path);

#endif
