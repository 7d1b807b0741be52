/* SPDX-License-Identifier: Apache-2.0 */
/* See shelf.h. */
#include "restore/shelf.h"

#include <stdlib.h>
#include <string.h>

#include "common/now.h"

#define ID_SHORT 8 /* digits, as `points` shows them */

void shelf_clear(struct shelf *s)
{
	free(s->points);
	free(s->volumes);
	*s = (struct shelf){ 0 };
}

/* What can be a part of a file's name stays; bytes that are not ASCII do too. */
static void put_name(char *to, size_t cap, const char *text)
{
	size_t n = strlen(to);

	for (; *text && n + 1 < cap; text++) {
		bool plain = (unsigned char)*text >= ' ' && *text != '/' && *text != 0x7f;

		to[n++] = plain ? *text : '_';
	}
	/* A character of UTF-8 is not cut in two. */
	if (*text) {
		while (n > 0 && ((unsigned char)to[n - 1] & 0xc0) == 0x80)
			n--;
		if (n > 0 && ((unsigned char)to[n - 1] & 0x80))
			n--;
	}
	to[n] = '\0';
}

static void name_volume(char to[SHELF_NAME_MAX], const struct point_volume *v)
{
	const char *parts[] = { v->cluster, v->namespace, v->name };
	const size_t cap = SHELF_NAME_MAX - 20; /* shelf_finish() may add the tag */

	to[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (to[0] && *parts[i])
			put_name(to, cap, "_");
		put_name(to, cap, parts[i]);
	}
	if (!to[0] || strcmp(to, ".") == 0 || strcmp(to, "..") == 0)
		put_name(to, cap, "_");
}

static int grow(void **p, size_t *cap, size_t n, size_t size, struct err *e)
{
	if (n < *cap)
		return 0;
	size_t more = *cap ? 2 * *cap : 64;
	void *bigger = reallocarray(*p, more, size);

	if (!bigger)
		return err_set(e, ERR_NOMEM, "no memory for %zu restore points", more);
	*p = bigger;
	*cap = more;
	return 0;
}

/* The volume of the point, which is new when no point of it was seen. */
static int volume_of(struct shelf *s, const struct point *p, size_t *ret, struct err *e)
{
	const char *tag = p->session + POINT_SESSION_VOLTAG;

	for (size_t i = s->nvolumes; i > 0; i--) {
		if (strncmp(s->volumes[i - 1].voltag, tag, 16) == 0) {
			*ret = i - 1;
			return 0;
		}
	}
	if (grow((void **)&s->volumes, &s->volumes_cap, s->nvolumes, sizeof(*s->volumes), e) < 0)
		return -1;
	struct shelf_volume *v = &s->volumes[s->nvolumes];
	*v = (struct shelf_volume){ .n = 0 };
	(void)snprintf(v->voltag, sizeof(v->voltag), "%.16s", tag);
	name_volume(v->name, &p->volume);
	*ret = s->nvolumes++;
	return 0;
}

int shelf_add(struct shelf *s, const struct point *p, struct err *e)
{
	size_t volume;

	if (!point_session_valid(p->session))
		return err_set(e, ERR_FORMAT, "'%s' is no name of a session", p->session);
	if (volume_of(s, p, &volume, e) < 0 ||
	    grow((void **)&s->points, &s->points_cap, s->npoints, sizeof(*s->points), e) < 0)
		return -1;
	struct shelf_point *x = &s->points[s->npoints++];
	*x = (struct shelf_point){
		.sequence = p->sequence,
		.frozen_ns = p->frozen_ns,
		.received_ns = p->received_ns,
		.block = p->volume.block,
		.volume = volume,
	};
	(void)snprintf(x->id, sizeof(x->id), "%s", p->id);
	(void)snprintf(x->session, sizeof(x->session), "%.*s", POINT_SESSION_LEN, p->session);
	(void)snprintf(x->name, sizeof(x->name), "%s", now_rfc3339(p->frozen_ns).s);
	return 0;
}

/* ---- in order ---- */

static int cmp(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_volume_and_time(const void *a, const void *b)
{
	const struct shelf_point *x = a;
	const struct shelf_point *y = b;

	if (x->volume != y->volume)
		return cmp(x->volume, y->volume);
	if (x->frozen_ns != y->frozen_ns)
		return x->frozen_ns < y->frozen_ns ? -1 : 1;
	return x->sequence != y->sequence ? cmp(x->sequence, y->sequence)
	                                  : strcmp(x->session, y->session);
}

static int by_name(const void *a, const void *b)
{
	const struct shelf_volume *x = a;
	const struct shelf_volume *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : strcmp(x->voltag, y->voltag);
}

/* As point_cmp(). */
static bool is_newer(const struct shelf_point *a, const struct shelf_point *b)
{
	if (a->sequence != b->sequence)
		return a->sequence > b->sequence;
	if (a->received_ns != b->received_ns)
		return a->received_ns > b->received_ns;
	return strcmp(a->session, b->session) > 0;
}

static void finish_points(struct shelf *s, size_t volume)
{
	struct shelf_volume *v = &s->volumes[volume];
	bool same = false;

	v->latest = v->first;
	for (size_t i = v->first; i < v->first + v->n; i++) {
		struct shelf_point *x = &s->points[i];
		/* The name that the next one has by its time, before this one is changed. */
		bool more = i + 1 < v->first + v->n && strcmp(x->name, x[1].name) == 0;

		if (is_newer(x, &s->points[v->latest]))
			v->latest = i;
		if (same || more) {
			size_t len = strlen(x->name);

			(void)snprintf(x->name + len, sizeof(x->name) - len, "-%.*s", ID_SHORT,
			               x->id);
		}
		same = more;
	}
}

void shelf_finish(struct shelf *s)
{
	if (s->npoints == 0)
		return;
	qsort(s->points, s->npoints, sizeof(*s->points), by_volume_and_time);
	for (size_t i = 0; i < s->npoints; i++) {
		struct shelf_volume *v = &s->volumes[s->points[i].volume];

		if (v->n++ == 0)
			v->first = i;
	}
	for (size_t i = 0; i < s->nvolumes; i++)
		finish_points(s, i);
	/* Volumes of the same name are told apart by their tags. */
	qsort(s->volumes, s->nvolumes, sizeof(*s->volumes), by_name);
	for (size_t i = 0, end; i < s->nvolumes; i = end) {
		for (end = i + 1; end < s->nvolumes; end++) {
			if (strcmp(s->volumes[i].name, s->volumes[end].name) != 0)
				break;
		}
		for (size_t k = i; end > i + 1 && k < end; k++) {
			struct shelf_volume *v = &s->volumes[k];
			size_t len = strlen(v->name);

			(void)snprintf(v->name + len, sizeof(v->name) - len, "_%s", v->voltag);
		}
	}
	for (size_t i = 0; i < s->nvolumes; i++) {
		for (size_t k = 0; k < s->volumes[i].n; k++)
			s->points[s->volumes[i].first + k].volume = i;
	}
}

/* ---- by name ---- */

int64_t shelf_volume(const struct shelf *s, const char *name)
{
	for (size_t i = 0; i < s->nvolumes; i++) {
		if (strcmp(s->volumes[i].name, name) == 0)
			return (int64_t)i;
	}
	return -1;
}

int64_t shelf_point(const struct shelf *s, const struct shelf_volume *v, const char *name)
{
	for (size_t i = v->first; i < v->first + v->n; i++) {
		if (strcmp(s->points[i].name, name) == 0)
			return (int64_t)i;
	}
	return -1;
}

int64_t shelf_point_by_id(const struct shelf *s, const struct shelf_volume *v, const char *id)
{
	size_t len = strlen(id);

	if (len != ID_SHORT && len != sizeof(s->points->id) - 1)
		return -1;
	for (size_t i = v->first; i < v->first + v->n; i++) {
		if (strncmp(s->points[i].id, id, len) == 0)
			return (int64_t)i;
	}
	return -1;
}
