/* SPDX-License-Identifier: Apache-2.0 */
/* Counting what a target could not take. */
#include "restore/loss.h"

#include <string.h>

static const struct {
	const char *name, *text;
} kinds[LOSS_KINDS] = {
	[LOSS_OWNER] = { "owner", "owners could not be set" },
	[LOSS_XATTR] = { "xattr", "extended attributes could not be set" },
	[LOSS_MODE] = { "mode", "modes could not be set" },
	[LOSS_FLAGS] = { "flags", "file flags could not be set" },
	[LOSS_PROJECT] = { "project", "project ids could not be set" },
	[LOSS_TIMES] = { "times", "times could not be set" },
	[LOSS_DEVICE] = { "device", "devices, fifos or sockets could not be made" },
};

void losses_init(struct losses *l)
{
	memset(l, 0, sizeof(*l));
	(void)pthread_mutex_init(&l->lock, NULL);
}

void losses_clear(struct losses *l)
{
	(void)pthread_mutex_destroy(&l->lock);
}

void loss_add(struct losses *l, enum loss_kind kind, const char *path, size_t path_len, int os)
{
	struct loss *one = &l->of[kind];

	(void)pthread_mutex_lock(&l->lock);
	if (one->count++ == 0) {
		size_t n = path_len < sizeof(one->first) ? path_len : sizeof(one->first) - 1;

		memcpy(one->first, path, n);
		one->first[n] = '\0';
		one->os = os;
	}
	(void)pthread_mutex_unlock(&l->lock);
}

bool losses_any(const struct losses *l)
{
	for (int i = 0; i < LOSS_KINDS; i++) {
		if (l->of[i].count > 0)
			return true;
	}
	return false;
}

const char *loss_name(enum loss_kind kind)
{
	return kinds[kind].name;
}

const char *loss_text(enum loss_kind kind)
{
	return kinds[kind].text;
}
