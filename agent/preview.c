/* SPDX-License-Identifier: Apache-2.0 */
/* See preview.h. */
#include "agent/preview.h"

#include <stdio.h>

struct doctor_verdict preview_volume(const struct snapshot_env *env, const char *path)
{
	struct doctor_verdict v = { .result = DOCTOR_OK };
	struct err e = ERR_INIT;
	char refusals[320];

	const struct snapshot_ops *driver = snapshot_choose_best(env, path, refusals,
	                                                         sizeof(refusals), &e);
	if (!driver)
		return doctor_say(DOCTOR_FAILED, "%s", e.msg);
	bool atomic = driver->caps & SNAP_CAP_ATOMIC;
	const char *label = snapshot_consistency_name(driver->consistency);
	/* What does not fit is the end of the reasons. */
	(void)!snprintf(v.detail, sizeof(v.detail), "'%.128s': %s, %s (%s)%s%.300s", path,
	                driver->name, atomic ? "of one moment" : "while it changes", label,
	                refusals[0] ? "; " : "", refusals);
	if (!atomic) {
		v.result = DOCTOR_WARNING;
		(void)snprintf(v.remedy, sizeof(v.remedy),
		               "for a view of one moment run as root, and keep the volume on "
		               "btrfs, XFS with reflinks or a thin volume of LVM");
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
	               "the drivers reflink and freeze need it: run as root, or name "
	               "a freezer that runs by --freezer SOCKET at backups");
	return v;
}
