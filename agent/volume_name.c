/* SPDX-License-Identifier: Apache-2.0 */
/* See volume_name.h. */
#include "agent/volume_name.h"

#include <stdio.h>
#include <string.h>

int volume_name_are_claims(const char *const *origins, size_t n, size_t max, bool *ret,
                           struct err *e)
{
	*ret = csi_is_origin(origins[0]);
	for (size_t i = 1; i < n; i++)
		if (csi_is_origin(origins[i]) != *ret)
			return err_set(e, ERR_INVALID,
			               "claims and paths are not backed up in one call: '%.200s' "
			               "and '%.200s'",
			               origins[0], origins[i]);
	if (n > max)
		return err_set(e, ERR_INVALID, "there are more than %zu volumes in one call", max);
	return 0;
}

static int copy(char *to, size_t max, const char *what, const char *text, size_t n, struct err *e)
{
	if (n >= max)
		return err_set(e, ERR_INVALID, "the %s '%.40s...' is over %zu bytes long", what,
		               text, max - 1);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f || text[i] == '@')
			return err_set(e, ERR_INVALID,
			               "the %s '%.*s' has a control character or '@' in it", what,
			               (int)n, text);
	memcpy(to, text, n);
	to[n] = '\0';
	return 0;
}

/* name has n bytes. */
static int fill(struct point_volume *v, const char *what, const char *name, size_t n,
                const struct volume_place *at, struct err *e)
{
	memset(v, 0, sizeof(*v));
	if (copy(v->name, sizeof(v->name), what, name, n, e) < 0 ||
	    copy(v->cluster, sizeof(v->cluster), "cluster", at->cluster, strlen(at->cluster), e) <
	            0 ||
	    copy(v->namespace, sizeof(v->namespace), "namespace", at->namespace,
	         strlen(at->namespace), e) < 0)
		return -1;
	return copy(v->uid, sizeof(v->uid), "uid", at->uid, strlen(at->uid), e);
}

static int parse_one(const char *arg, const struct volume_place *at, struct point_volume *v,
                     const char **ret_path, struct err *e)
{
	const char *eq = strchr(arg, '=');

	if (!eq || eq == arg || !eq[1])
		return err_set(e, ERR_INVALID, "'%s' is not of the form NAME=PATH", arg);
	if (memchr(arg, '/', (size_t)(eq - arg)))
		return err_set(e, ERR_INVALID, "the volume name in '%s' has a '/' in it", arg);
	*ret_path = eq + 1;
	return fill(v, "volume name", arg, (size_t)(eq - arg), at, e);
}

int volume_name_parse(const char *const *args, size_t n, const struct volume_place *at,
                      struct point_volume *ret, const char **ret_paths, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (parse_one(args[i], at, &ret[i], &ret_paths[i], e) < 0)
			return -1;
		for (size_t k = 0; k < i; k++)
			if (strcmp(ret[k].name, ret[i].name) == 0)
				return err_set(
					e, ERR_INVALID,
					"two volumes are called '%s'; a name stands for one volume",
					ret[i].name);
	}
	return 0;
}

int volume_name_claim(const struct csi_claim *c, const struct volume_place *at,
                      struct point_volume *ret, struct err *e)
{
	const struct volume_place own = { .cluster = at->cluster,
		                          .namespace = c->ns,
		                          .uid = c->uid };

	return fill(ret, "name", c->name, strlen(c->name), &own, e);
}

int volume_name_domain(const struct point_volume *v, const struct volume_place *at,
                       char buffer[VOLUME_DOMAIN_MAX], const char **ret, struct err *e)
{
	if (at->domain) {
		*ret = at->domain;
		return 0;
	}
	const int n = snprintf(buffer, VOLUME_DOMAIN_MAX, "%s%s%s", v->cluster,
	                       v->cluster[0] && v->namespace[0] ? "/" : "", v->namespace);
	if (n >= VOLUME_DOMAIN_MAX)
		return err_set(e, ERR_INVALID,
		               "cluster and namespace are too long for a domain's name; "
		               "pass --domain");
	*ret = n > 0 ? buffer : "default";
	return 0;
}
