/* SPDX-License-Identifier: Apache-2.0 */
/* See request.h. */
#include "restore/request.h"

#include <stdio.h>
#include <string.h>

#include "common/fields.h"
#include "common/now.h"

const struct kube_kind request_kind = { REQUEST_GROUP, "v1alpha1", "volumerestores", REQUEST_KIND,
	                                false };

/* "CLUSTER/NAMESPACE/NAME". A cluster's id is any text without a slash; the others are names. */
static int read_volume(const struct fields *spec, const char *text, struct request *r,
                       struct err *e)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	const char *ns = strchr(text, '/');
	const char *name = ns ? strchr(ns + 1, '/') : NULL;

	if (!name || ns == text || name == ns + 1 || !name[1] || strchr(name + 1, '/'))
		return fields_bad(spec, "volume", e, "is CLUSTER/NAMESPACE/NAME");
	ns++;
	if (strspn(ns, chars) != (size_t)(name - ns) || name[1 + strspn(name + 1, chars)])
		return fields_bad(spec, "volume", e, "names no namespace and claim");
	(void)snprintf(r->cluster, sizeof(r->cluster), "%.*s", (int)(ns - 1 - text), text);
	(void)snprintf(r->ns, sizeof(r->ns), "%.*s", (int)(name - ns), ns);
	(void)snprintf(r->name, sizeof(r->name), "%s", name + 1);
	return 0;
}

/* `latest`, the id of a point, or a time. */
static int read_point(const struct fields *spec, const char *text, struct request *r, struct err *e)
{
	const size_t digits = strspn(text, "0123456789abcdef");
	struct err why = ERR_INIT;

	if (strcmp(text, "latest") == 0)
		return 0;
	if (!text[digits] && digits >= 4 && digits <= 32) {
		(void)snprintf(r->id, sizeof(r->id), "%s", text);
		return 0;
	}
	return now_parse(text, &r->as_of_ns, &why) == 0
	               ? 0
	               : fields_bad(spec, "point", e,
	                            "is 'latest', the id of a point, or a time as "
	                            "2026-11-22T10:00:00Z");
}

int request_read(const json_t *object, struct request *ret, struct err *e)
{
	static const char *const known[] = { "volume", "point", "geoDurable", NULL };
	struct request r = { .geo = false };
	const char *volume = NULL, *point = "latest";
	struct fields f = { .o = object }, spec;

	if (!json_is_object(object))
		return err_set(e, ERR_INVALID, "it is no " REQUEST_KIND);
	if (fields_in(&spec, &f, "spec", known, e) < 0 || fields_need(&spec, "volume", e) < 0 ||
	    fields_text(&spec, "volume", 5, 762, &volume, e) < 0 ||
	    fields_text(&spec, "point", 1, 64, &point, e) < 0 ||
	    fields_bool(&spec, "geoDurable", &r.geo, e) < 0 ||
	    read_volume(&spec, volume, &r, e) < 0 || read_point(&spec, point, &r, e) < 0)
		return -1;
	*ret = r;
	return 0;
}
