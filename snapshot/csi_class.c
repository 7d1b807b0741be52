/* SPDX-License-Identifier: Apache-2.0 */
/* See csi_class.h. */
#include "snapshot/csi_class.h"

#include <string.h>

#include "kube/kube.h"

#define USE "aksdr.io/use"
#define DEFAULT "snapshot.storage.kubernetes.io/is-default-class"

/* A label or annotation; their names have dots. */
static const char *mark(const json_t *class, const char *where, const char *name)
{
	const char *v = json_string_value(json_object_get(kube_at(class, where), name));

	return v ? v : "";
}

static unsigned rank(const json_t *class)
{
	if (strcmp(mark(class, "metadata.labels", USE), "true") == 0)
		return 2;
	return strcmp(mark(class, "metadata.annotations", DEFAULT), "true") == 0;
}

static const char *find_named(const json_t *classes, const char *driver, const char *named,
                              struct err *e)
{
	for (size_t i = 0; i < json_array_size(classes); i++) {
		const json_t *class = json_array_get(classes, i);
		const char *name = kube_text_at(class, "metadata.name");
		const char *of = kube_text_at(class, "driver");

		if (strcmp(name, named) != 0)
			continue;
		if (strcmp(of, driver) == 0)
			return name;
		(void)err_set(e, ERR_INVALID,
		              "the VolumeSnapshotClass '%s' is of the driver '%.100s', and the "
		              "volume of '%.100s'; name one of that driver",
		              named, of, driver);
		return NULL;
	}
	(void)err_set(e, ERR_INVALID, "there is no VolumeSnapshotClass '%s'", named);
	return NULL;
}

const char *csi_class_choose(const json_t *classes, const char *driver, const char *named,
                             struct err *e)
{
	const char *best = NULL;
	unsigned best_rank = 0;
	size_t of_driver = 0;

	if (named && *named)
		return find_named(classes, driver, named, e);
	for (size_t i = 0; i < json_array_size(classes); i++) {
		const json_t *class = json_array_get(classes, i);
		const char *name = kube_text_at(class, "metadata.name");
		const unsigned r = rank(class);

		if (!*name || strcmp(kube_text_at(class, "driver"), driver) != 0)
			continue;
		of_driver++;
		if (!best || r > best_rank || (r == best_rank && strcmp(name, best) < 0)) {
			best = name;
			best_rank = r;
		}
	}
	if (best && (best_rank > 0 || of_driver == 1))
		return best;
	if (best)
		(void)err_set(e, ERR_UNSUPPORTED,
		              "there are %zu VolumeSnapshotClasses of the driver '%.200s', and "
		              "none is the default one or has the label " USE "=true",
		              of_driver, driver);
	else
		(void)err_set(e, ERR_UNSUPPORTED,
		              "there is no VolumeSnapshotClass of the driver '%.200s'", driver);
	return NULL;
}
