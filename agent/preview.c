/* SPDX-License-Identifier: Apache-2.0 */
/* See preview.h. */
#include "agent/preview.h"

#include <stdio.h>

/* Drivers that come before the one that would be taken, and why not; cut where there is no room. */
static void add_refusals(char *to, size_t max, const struct snapshot_env *env, const char *path,
                         const struct snapshot_ops *taken)
{
	const struct snapshot_ops *const *d = snapshot_drivers();
	size_t at = 0;

	to[0] = '\0';
	for (; *d && *d != taken && at < max; d++) {
		struct err why = ERR_INIT;

		if ((*d)->supports(env, path, &why) <= 0)
			at += (size_t)snprintf(to + at, max - at, "; not %s: %s", (*d)->name,
			                       why.msg);
	}
}

struct doctor_verdict preview_volume(const struct snapshot_env *env, const char *path)
{
	struct doctor_verdict v = { .result = DOCTOR_OK };
	struct err e = ERR_INIT;
	char refusals[2048];

	const struct snapshot_ops *driver = snapshot_choose(env, "auto", path, &e);
	if (!driver)
		return doctor_say(DOCTOR_FAILED, "%s", e.msg);
	add_refusals(refusals, sizeof(refusals), env, path, driver);
	bool atomic = driver->caps & SNAP_CAP_ATOMIC;
	/* What does not fit is the end of the reasons. */
	(void)!snprintf(v.detail, sizeof(v.detail), "'%.128s': %s, %s (%s)%s", path, driver->name,
	                atomic ? "of one moment" : "while it changes",
	                snapshot_consistency_name(driver->consistency), refusals);
	if (!atomic) {
		v.result = DOCTOR_WARNING;
		(void)snprintf(v.remedy, sizeof(v.remedy),
		               "for a view of one moment run as root, and keep the volume on btrfs, "
		               "XFS with reflinks or a thin volume of LVM");
	}
	return v;
}

struct doctor_verdict preview_freezer(const struct snapshot_env *env)
{
	struct err e = ERR_INIT;

	auto_freezer struct freezer *f = freezer_open(env->freezer, &e);
	if (f)
		return doctor_say(DOCTOR_OK, "it can freeze, and would thaw whatever happens");
	struct doctor_verdict v = doctor_say(DOCTOR_WARNING, "%s", e.msg);
	(void)snprintf(v.remedy, sizeof(v.remedy),
	               "the drivers reflink and freeze need it: run as root, or name a freezer that "
	               "runs by --freezer SOCKET at backups");
	return v;
}
