/* SPDX-License-Identifier: Apache-2.0 */
/* See act.h. */
#include "common/act.h"

#include <stdarg.h>
#include <string.h>

#include "common/now.h"

static struct act *current;

void act_init(struct act *a, const char *name, unsigned flags)
{
	*a = (struct act){ .lock = PTHREAD_MUTEX_INITIALIZER,
		           .name = name,
		           .flags = flags,
		           .program = "",
		           .version = "",
		           .began_ns = now_wall_ns(),
		           .began_mono_ns = now_mono_ns() };
}

static void add(struct act *a, const char *fmt, va_list ap)
{
	char text[ACT_OBJECT_MAX];
	size_t i = 0;

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	(void)pthread_mutex_lock(&a->lock);
	while (i < a->nobjects && strcmp(a->objects[i], text) != 0)
		i++;
	if (i == a->nobjects) {
		a->count++;
		if (i < ACT_OBJECTS_MAX)
			memcpy(a->objects[a->nobjects++], text, sizeof(text));
	}
	(void)pthread_mutex_unlock(&a->lock);
}

void act_add(struct act *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(a, fmt, ap);
	va_end(ap);
}

struct act *act_current(void)
{
	return current;
}

void act_set_current(struct act *a)
{
	current = a;
}

void act_object(const char *fmt, ...)
{
	va_list ap;

	if (!current)
		return;
	va_start(ap, fmt);
	add(current, fmt, ap);
	va_end(ap);
}

void act_why(const char *fmt, ...)
{
	va_list ap;

	if (!current)
		return;
	(void)pthread_mutex_lock(&current->lock);
	if (!current->why[0]) {
		va_start(ap, fmt);
		(void)vsnprintf(current->why, sizeof(current->why), fmt, ap);
		va_end(ap);
	}
	(void)pthread_mutex_unlock(&current->lock);
}

void act_run(const char *run)
{
	if (!current)
		return;
	(void)pthread_mutex_lock(&current->lock);
	(void)snprintf(current->run, sizeof(current->run), "%s", run);
	(void)pthread_mutex_unlock(&current->lock);
}

void act_hurry(void)
{
	if (!current)
		return;
	(void)pthread_mutex_lock(&current->lock);
	current->flags &= ~(unsigned)ACT_WAITS;
	(void)pthread_mutex_unlock(&current->lock);
}
