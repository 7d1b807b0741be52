/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RestorePlan (aksdr.io/v1alpha1) as it is written: what is restored where, in which order, and how
 * well that must go. Pure, but for reading files. The fields are described in docs/KUBERNETES.md
 * and helm/aksdr/crds/; what the API server refuses by that schema is refused here too.
 */
#ifndef AKSDR_RESTORE_RECIPE_H
#define AKSDR_RESTORE_RECIPE_H

#include "common/cron.h"
#include "common/fields.h"
#include "common/selector.h"
#include "common/zone.h"

#define RECIPE_API "aksdr.io/v1alpha1"
#define RECIPE_KIND "RestorePlan"
#define RECIPE_NAME_MAX 253
#define RECIPE_LIST_MAX 64     /* namespaces of a selector */
#define RECIPE_VOLUMES_MAX 256 /* volumes or patterns of a selector */
#define RECIPE_MAPS_MAX 256
#define RECIPE_SIZES_MAX 64
#define RECIPE_STAGES_MAX 32
#define RECIPE_GATES_MAX 16
#define RECIPE_CODES_MAX 16
#define RECIPE_WORDS_MAX 64
#define RECIPE_COPIES_MAX 2

enum recipe_mode { RECIPE_HOT_HOT, RECIPE_HOT_WARM, RECIPE_HOT_COLD };
const char *recipe_mode_name(enum recipe_mode m); /* "hot/hot" */

struct recipe_side {
	const char *cluster, *region; /* "": not told */
};

/* All that is given must fit; without anything all does. */
struct recipe_select {
	struct fields_texts namespaces, not_namespaces; /* patterns of fnmatch() */
	struct fields_texts volumes, not_volumes;       /* of "NAMESPACE/NAME" */
	struct selector labels;                         /* that the claim had at its point */
};

enum recipe_map {
	RECIPE_NAMESPACES,
	RECIPE_CLASSES,
	RECIPE_REGIONS,
	RECIPE_ZONES,
	RECIPE_REGISTRIES,
	RECIPE_MODES
};
#define RECIPE_MAPS 6

struct recipe_pair {
	const char *from, *to;
};
struct recipe_pairs {
	struct recipe_pair *v; /* owned */
	size_t n;
};

struct recipe_size {
	struct fields_texts volumes; /* none: all */
	uint64_t least;              /* bytes; 0: none */
	int64_t percent;             /* of the size that it had; 0: none */
};

enum recipe_gate_kind { RECIPE_APPROVAL, RECIPE_COMMAND, RECIPE_JOB, RECIPE_HTTP };

struct recipe_gate {
	const char *name;
	enum recipe_gate_kind kind;
	const char *ns;              /* at the secondary: of the pod (COMMAND), the job (JOB) */
	struct fields_texts command; /* COMMAND */
	const char *selector;        /* COMMAND: of the pod, as "a=b,c" */
	const char *container;       /* COMMAND; NULL: the first one */
	const char *job;             /* JOB */
	const char *url;             /* HTTP */
	int codes[RECIPE_CODES_MAX]; /* HTTP: status codes; at least one */
	size_t ncodes;
	int64_t timeout_s; /* 0: not told */
};
struct recipe_gates {
	struct recipe_gate *v; /* owned */
	size_t n;
};

struct recipe_stage {
	const char *name;
	struct recipe_select select;
	struct recipe_gates gates; /* before it */
	struct recipe_gates hooks; /* when its volumes are there; no name is that of a gate */
};

struct recipe_drill {
	const char *cron; /* "": there is none */
	const char *zone, *prefix;
	const char *image; /* of the check; "": there is none */
	struct fields_texts command;
	int64_t timeout_s; /* 0: not told */
};

/* Texts are borrowed from the document, of which it holds a reference. */
struct recipe {
	json_t *document;
	const char *ns, *name;
	enum recipe_mode mode;
	struct recipe_side primary, secondary; /* the second one's cluster may be "" */
	struct recipe_select select;
	int64_t as_of_ns;     /* 0: the newest */
	bool geo;             /* only points that the second region has completely */
	unsigned consistency; /* none of less: enum snapshot_consistency */
	struct recipe_pairs maps[RECIPE_MAPS];
	struct recipe_size *sizes; /* owned */
	size_t nsizes;
	struct recipe_stage *stages; /* owned */
	size_t nstages;
	int64_t rpo_s, rto_s; /* 0: no target */
	unsigned copies;      /* of each volume that stands by */
	struct recipe_drill drill;
};

/*
 * Reads one object. default_ns: for a document without metadata.namespace, borrowed for as long as
 * it lives. ERR_INVALID: it is no RestorePlan of this version, or a field is wrong: its path is in
 * the message. ERR_NOMEM
 */
MUST_CHECK int recipe_read(const json_t *document, const char *default_ns, struct recipe **ret,
                           struct err *e);
void recipe_free(struct recipe *r);
static inline void clean_recipe(struct recipe *const *r)
{
	recipe_free(*r);
}
#define auto_recipe CLEANUP(clean_recipe)

/*
 * The plan of this name (NULL: the only one) of a file of YAML or JSON, in which there may be other
 * objects. ERR_NOT_FOUND: there is none, or several and no name; else as yaml_each(),
 * recipe_read().
 */
MUST_CHECK int recipe_load(const char *path, const char *name, const char *default_ns,
                           struct recipe **ret, struct err *e);

/* Whether a volume falls under it; labels: an object, or NULL. */
bool recipe_selects(const struct recipe_select *s, const char *ns, const char *name,
                    const json_t *labels);

/* What `from` becomes; itself where nothing is said. Borrowed from either. */
const char *recipe_mapped(const struct recipe *r, enum recipe_map map, const char *from);

/* Bytes that a claim gets that had so many. */
uint64_t recipe_size_of(const struct recipe *r, const char *ns, const char *name, uint64_t bytes);

/* The stage that a volume is restored in; nstages: none names it, so it comes last. */
size_t recipe_stage_of(const struct recipe *r, const char *ns, const char *name,
                       const json_t *labels);

#endif
