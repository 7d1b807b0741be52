/* SPDX-License-Identifier: Apache-2.0 */
/* See site.h. A name of a volume may have slashes, those of clusters and namespaces have none. */
#include "restore/site.h"

#include <string.h>

static int take(const char *text, size_t n, const char *whole, char ret[POINT_NAME_MAX],
                struct err *e)
{
	if (n >= POINT_NAME_MAX)
		return err_set(e, ERR_INVALID, "a part of '%.80s...' is over %d bytes", whole,
		               POINT_NAME_MAX - 1);
	memcpy(ret, text, n);
	ret[n] = '\0';
	return 0;
}

int site_parse(const char *text, struct fence_target *ret, struct err *e)
{
	struct fence_target t = { .depth = FENCE_CLUSTER };
	struct point_volume *v = &t.volume;
	size_t n = strcspn(text, "/");
	const char *namespace = text[n] ? text + n + 1 : NULL;
	size_t m = namespace ? strcspn(namespace, "/") : 0;
	const char *name = namespace && namespace[m] ? namespace + m + 1 : NULL;

	if (take(text, n, text, v->cluster, e) < 0)
		return -1;
	if (namespace) {
		t.depth = FENCE_NAMESPACE;
		if (take(namespace, m, text, v->namespace, e) < 0)
			return -1;
	}
	if (name) {
		t.depth = FENCE_VOLUME;
		if (take(name, strlen(name), text, v->name, e) < 0)
			return -1;
	}
	/* Outside of a cluster there are volumes alone, and within one all has a name. */
	if (t.depth == FENCE_VOLUME ? !v->name[0] || (v->cluster[0] && !v->namespace[0])
	                            : !v->cluster[0] || (namespace && !v->namespace[0]))
		return err_set(e, ERR_INVALID,
		               "'%.200s' is no site: write CLUSTER, CLUSTER/NAMESPACE, "
		               "CLUSTER/NAMESPACE/NAME, or //NAME of a volume outside of a cluster",
		               text);
	*ret = t;
	return 0;
}

void site_names(const json_t *volumes, struct buf *b)
{
	size_t i;
	const json_t *x;

	json_array_foreach(volumes, i, x) {
		const char *cluster = json_string_value(json_object_get(x, "cluster"));
		const char *namespace = json_string_value(json_object_get(x, "namespace"));
		const char *name = json_string_value(json_object_get(x, "name"));

		(void)buf_printf(b, "%s%s", i ? ", " : "", cluster ? cluster : "");
		if (namespace)
			(void)buf_printf(b, "/%s", namespace);
		if (name)
			(void)buf_printf(b, "/%s", name);
	}
}
