/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views of claims of a cluster (PersistentVolumeClaims), of origin "pvc:NAMESPACE/NAME": what the
 * drivers `csi` (a VolumeSnapshot, and a claim that is made from it) and `claim` (the volume as it
 * is, under a second name) share, and how all that they make is taken away again.
 *
 * Names are fixed before anything is made: whoever starts a run notes them (csi_names()) where the
 * next one finds them, and gives them to csi_drop() when the run is dead.
 */
#ifndef AKSDR_SNAPSHOT_CSI_H
#define AKSDR_SNAPSHOT_CSI_H

#include "kube/kube.h"
#include "snapshot/snapshot.h"

struct azure_arm;
struct azure_disk;

#define CSI_ORIGIN "pvc:"
#define CSI_MOMENT_MS 60000         /* until a snapshot is of its moment: applications are held */
#define CSI_STUCK_MS 600000         /* that a failure of a snapshot, a claim or a pod may last */
#define CSI_GONE_MS 120000          /* until what is removed is gone */
#define CSI_GONE_CANCELLED_MS 30000 /* the same of a run that is to end */
#define CSI_LABEL_RUN "aksdr.io/run"
#define CSI_LABEL_NODE "aksdr.io/node"

/* One claim of a run. */
struct csi_claim {
	char *ns, *name;
	const char *uid;               /* in claim */
	json_t *claim;                 /* PersistentVolumeClaim as it was read */
	json_t *volume;                /* PersistentVolume; NULL: it is not bound */
	char base[64];                 /* name of all that is made for it */
	char class[KUBE_NAME_MAX + 1]; /* VolumeSnapshotClass; "": not chosen yet */
	bool block;
	struct azure_disk *azure; /* its view is this one, for us to read; NULL: a pod's */
	/* of the driver */
	bool wanted, asked; /* its snapshot is to be taken with the others; and was asked for */
	struct err why;     /* that could not be asked for */
};

struct csi_run {
	struct kube *kube;
	const char *ns;    /* of the agent: where views are held */
	const char *class; /* VolumeSnapshotClass that is to be used; NULL or "": found */
	const char *node;  /* who makes it, for the label; "" */
	char id[17];       /* of the run, hexadecimal */
	int64_t moment_ms, stuck_ms, gone_ms; /* 0: as above */
	const struct cancel *cancel;          /* ends waiting for views, never removals */
	/* Borrowed; NULL: snapshots of managed disks of Azure are read as all others are. */
	struct azure_arm *azure;
	bool azure_raw; /* of volumes with a file system, too, which are images then */
	struct csi_claim *claims;
	size_t n;
};

/* True for "pvc:...". */
bool csi_is_origin(const char *origin);

/*
 * "pvc:NAMESPACE/NAME" into its parts; the caller frees. ERR_INVALID: it is none.
 */
MUST_CHECK int csi_parse(const char *origin, char **ret_ns, char **ret_name, struct err *e);

/*
 * Reads the n claims of origins from the cluster into run, whose kube, ns and so on are set; makes
 * the run's id.
 *   ERR_NOT_FOUND  there is no such claim
 *   ERR_INVALID    an origin is none, or comes twice
 */
MUST_CHECK int csi_load(struct csi_run *run, const char *const *origins, size_t n, struct err *e);
void csi_clear(struct csi_run *run);

/*
 * How long a run waits until what it removes is gone. Of one that is cancelled, as its process is
 * to end, that is short: all of it is asked to go, and the next run looks after what its Lease
 * names.
 */
int64_t csi_gone_ms(const struct csi_run *run);

struct csi_claim *csi_find(const struct csi_run *run, const char *origin);

/* All names that a claim's view may have, as csi_drop() takes them, appended to an array. */
MUST_CHECK int csi_names(const struct csi_run *run, const struct csi_claim *c, json_t *array,
                         struct err *e);

/*
 * Removes what the names in the array name and is ours by its label, and waits until it is gone:
 * pods, claims, snapshots with their data, second names of volumes. Not there is gone. Names that
 * make no sense are left alone. What is refused does not hold the others up. gone_ms 0:
 * CSI_GONE_MS.
 *   ERR_BUSY    something is still there after this time
 *   ERR_DENIED  something may not be removed
 * and what kube_get() says.
 */
MUST_CHECK int csi_drop(struct kube *k, const json_t *names, int64_t gone_ms, struct err *e);

/* Looks again every so often until done() says 1; 0: not yet; -1 with e. Ends by cancel. */
MUST_CHECK int csi_until(const struct csi_run *run, int (*done)(void *arg, struct err *e),
                         void *arg, struct err *e);

#endif
