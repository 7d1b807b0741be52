/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a plan could be run at the secondary, before it must be: classes, zones, capacity,
 * quotas, Pod Security, names that are taken, rights, nodes, images, identity, key and store. Only
 * asks, and changes nothing there. Facts are gathered first (restore/preflight_facts.h), then
 * judged by functions that are pure (restore/preflight_judge.h, restore/preflight_room.h).
 */
#ifndef AKSDR_RESTORE_PREFLIGHT_H
#define AKSDR_RESTORE_PREFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cancel.h"
#include "kube/kube.h"
#include "repo/repo.h"
#include "restore/finding.h"
#include "restore/recipe.h"

/* A volume as it is to be at the secondary, with all mappings of the plan. Borrowed texts. */
struct preflight_volume {
	const char *ns, *name;     /* of the claim */
	const char *storage_class; /* "": the cluster's default */
	uint64_t size_bytes;
	bool block; /* volumeMode Block */
	const char *const *access_modes;
	size_t naccess_modes;
	const char *const *zones; /* where it must be usable; none: anywhere */
	size_t nzones;
	const char *const *images; /* of the pods that used it: NAME@sha256:DIGEST, or NAME:TAG */
	size_t nimages;
	const char *agent; /* who made the point: "aksdr 1.2.3"; NULL: not known */
};

struct preflight_params {
	const struct preflight_volume *volumes;
	size_t n;
	struct kube *kube;         /* of the secondary */
	const char *ns;            /* the tool's namespace there: staging claims and movers */
	const char *run;           /* whose claims may be there already; NULL: none */
	const char *account;       /* service account of movers there; NULL: it is not looked at */
	const struct recipe *plan; /* of which gates are looked at; may be NULL */
	const struct repo *repo;   /* NULL: key and store are not looked at */
	bool fences;               /* a failover: the key must be able to fence the primary */
	bool images;               /* registries are asked */
	const char *registry_file; /* docker's config.json; NULL: as restore/registry.h says */
	const char *registry_ca;   /* PEM file for registries; NULL: the system's */
	const struct cancel *cancel; /* may be NULL */
};

/*
 * All checks; the findings are in order. One that cannot be made (a right is missing, a kind is
 * unknown) is a finding too, and 0. Blocks: some lists, a request for each right and each image.
 *   ERR_RETRY, ERR_DENIED  the API server cannot be asked at all
 *   ERR_NOMEM, ERR_CANCELLED
 */
MUST_CHECK int preflight_run(const struct preflight_params *p, struct findings *ret, struct err *e);

#endif
