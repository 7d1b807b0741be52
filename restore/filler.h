/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A claim of a cluster that gets what a point has, in two phases: first a claim of ours, in the
 * tool's namespace, where nobody else finds it, which a mover fills (`aksdr-restore volume`); then,
 * when that is complete, its volume becomes that of the claim that is wanted. So nobody ever sees
 * one that is half filled.
 *
 * What was done is asked of the cluster: names follow from the run and the claim, the claim of ours
 * says by annotations what is in it, and a volume between two claims has a label. So whoever was
 * killed, anywhere, calls the same again, on any machine. Facts:
 * https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reserving-a-persistentvolume
 *
 * All functions block, ask the API server about once in two seconds for each claim, and may be
 * called for different claims from different threads.
 */
#ifndef AKSDR_RESTORE_FILLER_H
#define AKSDR_RESTORE_FILLER_H

#include "kube/worker.h"
#include "restore/filled.h"

#define FILLER_TARGET "/target"
#define FILLER_DEVICE "/dev/aksdr-target"
#define FILLER_TRIES 3         /* of a mover that was evicted, or whose node went away */
#define FILLER_GONE_MS 180000  /* until what was deleted is gone */
#define FILLER_BOUND_MS 180000 /* until a claim has its volume */

/* Labels of all that is made; annotations of claims. */
#define FILLER_LABEL_RUN "aksdr.io/run"
#define FILLER_LABEL_ROLE "aksdr.io/role"
#define FILLER_LABEL_FILL "aksdr.io/fill" /* of a volume between two claims: the first one's name */
#define FILLER_POINT "aksdr.io/point"     /* that is in it, as a whole */
#define FILLER_APPLYING \
	"aksdr.io/applying"               /* or that is being put into it: what is there is mixed */
#define FILLER_TAKEN "aksdr.io/taken"     /* run that has taken a standby, or a volume, over */
#define FILLER_RESULT "aksdr.io/result"   /* of the mover that filled it: restore/filled.h */
#define FILLER_RECLAIM "aksdr.io/reclaim" /* policy that its volume has again at the end */
#define FILLER_FOR "aksdr.io/for"         /* NAMESPACE/NAME of the claim that it is for */

/* What all claims of a run share. Borrowed. */
struct filler {
	struct kube *kube;
	const char *ns;         /* of the tool: claims of ours and movers */
	const char *run;        /* for names and labels: 32 hexadecimal digits */
	const char *role;       /* "restore", "drill", "standby", "populate" */
	const json_t *template; /* of movers */
	const json_t *env;      /* of movers, besides the template's; may be NULL */
	/*
	 * Of claims that stand by: the run that takes them over, or that we are who keeps them up
	 * to date, and leave one to a run that has taken it (ERR_BUSY). NULL, false: nothing of
	 * this.
	 */
	const char *taker;
	bool yields;
	int64_t stuck_ms; /* 0: as kube/worker.h */
	const struct cancel *cancel;
};

struct filler_claim {
	const char *ns, *name; /* of the claim that is wanted */
	const char *uid; /* it is there, and waits for a volume; NULL: it is made at the end */
	const char *storage_class; /* "": the cluster's default */
	uint64_t size_bytes;
	const char *const *modes;
	size_t nmodes;
	bool block;
	const json_t *zones; /* that movers run in, and so the volume is; may be NULL */
	const json_t *labels, *annotations; /* of the claim that is wanted; may be NULL */
	const char *point;                  /* its id: 32 hexadecimal digits */
	const char *volume;                 /* CLUSTER/NAMESPACE/NAME of the point */
	const json_t *args;                 /* of `volume`, besides what is needed; may be NULL */
	/* Of the mover, while it runs; may be NULL. In the thread that fills. */
	void (*progress)(void *arg, uint64_t bytes_done, uint64_t bytes_total);
	void *arg;
};

#define FILLER_NAME_MAX 64
/* Of the claim of ours, and its mover. Pure. */
void filler_name(const struct filler *f, const char *ns, const char *name,
                 char ret[FILLER_NAME_MAX]);

/*
 * Fills the claim of ours with the point. One that was filled with it already, or handed over, is
 * asked for what it said then. One that has another point gets what differs; one that was
 * interrupted is compared and completed.
 *   ERR_EXISTS    a claim of that name is there and not of this run
 *   ERR_BUSY      it was taken over by a run
 *   ERR_RETRY     its movers were taken away, or did not begin, and why
 *   ERR_CORRUPT   data are missing in the store
 *   ERR_NOT_FOUND, ERR_DENIED, ERR_QUOTA, ...  as the API server or the mover says
 */
MUST_CHECK int filler_fill(const struct filler *f, const struct filler_claim *c, struct filled *ret,
                           struct err *e);

/*
 * Takes the claim that is wanted, where one is there, whoever has made it: its volume becomes that
 * of the claim of ours, and what is in it is compared with the point by filler_fill(). Nothing
 * there, or taken already, is success.
 *   ERR_BUSY     a pod uses it
 *   ERR_INVALID  it is a block device and the point is of files, or the other way round
 */
MUST_CHECK int filler_take(const struct filler *f, const struct filler_claim *c, struct err *e);

/*
 * Makes the volume that is filled that of the claim that is wanted, whose namespace is there. One
 * that has it already is success.
 *   ERR_EXISTS     a claim of that name is there and not of this run
 *   ERR_NOT_FOUND  nothing is filled; or the claim that waits is not there any more
 *   ERR_RETRY      something does not become what it should in time
 */
MUST_CHECK int filler_hand_over(const struct filler *f, const struct filler_claim *c,
                                struct err *e);

/* Takes the claim of ours, its volume and its mover away, and waits until they are. */
MUST_CHECK int filler_drop(const struct filler *f, const char *ns, const char *name, struct err *e);

/*
 * The same of all claims of ours that the run has, whatever they are for, whatever their class says
 * of reclaiming, and of volumes that were on their way to a claim that does not have them yet. A
 * volume that filler_take() has taken stays as it is, and is told. Does not wait.
 */
MUST_CHECK int filler_drop_all(const struct filler *f, struct err *e);

/* A volume's reclaim policy becomes this one. */
MUST_CHECK int filler_drop_policy(struct kube *k, const char *volume, const char *policy,
                                  struct err *e);

/* Makes the namespace unless it is there; labels: of one that is made, may be NULL. */
MUST_CHECK int filler_namespace(const struct filler *f, const char *ns, const json_t *labels,
                                struct err *e);

#endif
