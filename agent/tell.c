/* SPDX-License-Identifier: Apache-2.0 */
/* See tell.h. */
#include "agent/tell.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/now.h"
#include "common/num.h"
#include "snapshot/snapshot.h"

const char *tell_reason(enum tell_outcome outcome)
{
	static const char *const reasons[] = {
		[TELL_SUCCEEDED] = "BackupSucceeded", [TELL_PARTIAL] = "BackupPartial",
		[TELL_FUZZY] = "BackupFuzzy",         [TELL_FAILED] = "BackupFailed",
		[TELL_SKIPPED] = "BackupSkipped",
	};

	return reasons[outcome];
}

void tell_of_point(const struct point *p, const char *why_fuzzy, char text[64], struct tell *ret)
{
	*ret = (struct tell){
		.outcome = TELL_SUCCEEDED,
		.why = why_fuzzy,
		.point = p->id,
		.consistency = p->consistency,
		.moment_ns = p->frozen_ns,
		.took_ns = p->finished_ns - p->started_ns,
		.bytes = p->bytes_logical,
		.stored_bytes = p->bytes_stored,
	};
	if (p->unreadable > 0) {
		(void)snprintf(text, 64, "%" PRIu64 " %s could not be read", p->unreadable,
		               p->unreadable == 1 ? "entry" : "entries");
		ret->outcome = TELL_PARTIAL;
		ret->why = text;
	} else if (strcmp(p->consistency, snapshot_consistency_name(SNAP_FUZZY)) == 0) {
		ret->outcome = TELL_FUZZY;
		ret->why = why_fuzzy && *why_fuzzy ? why_fuzzy : "no snapshot was asked for";
	}
}

void tell_note(const struct tell *t, char *ret, size_t max)
{
	const char *why = t->why ? t->why : "";
	const char *verdict = t->outcome == TELL_PARTIAL ? " lacks something: "
	                      : t->outcome == TELL_FUZZY ? " was read while the volume changed: "
	                      : *why                     ? ". "
	                                                 : "";

	if (!t->point) {
		(void)snprintf(ret, max, "%s", *why ? why : "no reason is known");
		return;
	}
	(void)snprintf(ret, max, "restore point %s (%s, %s, %s of it new, in %s)%s%s", t->point,
	               t->consistency, num_bytes_text(t->bytes).s,
	               num_bytes_text(t->stored_bytes).s,
	               num_duration_text((t->took_ns + 999999999) / 1000000000).s, verdict, why);
}

/* The uid makes the server refuse to make a claim anew, and to write on another one of the name. */
static int annotate(struct kube *k, const struct tell *t, struct err *e)
{
	auto_json json_t *o = json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:{s:s, s:s, s:s}}}",
	                                "apiVersion", "v1", "kind", "PersistentVolumeClaim",
	                                "metadata", "namespace", t->ns, "name", t->name, "uid",
	                                t->uid, "annotations", "aksdr.io/last-restore-point",
	                                t->point, "aksdr.io/last-restore-point-time",
	                                now_rfc3339(t->moment_ns).s,
	                                "aksdr.io/last-restore-point-consistency", t->consistency);

	if (!o)
		return err_set(e, ERR_NOMEM, "no memory to annotate claim %s/%s", t->ns, t->name);
	struct err why = ERR_INIT;
	if (kube_patch(k, &kube_pvc, t->ns, t->name, NULL, KUBE_APPLY, o, NULL, &why) == 0 ||
	    why.class == ERR_BUSY || why.class == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return err_wrap(e, "annotating claim %s/%s with its restore point", t->ns, t->name);
}

int tell_claim(struct kube *k, struct events *ev, const struct tell *t, struct err *e)
{
	const struct event_about about = {
		.kind = &kube_pvc, .ns = t->ns, .name = t->name, .uid = t->uid
	};
	bool bad = t->outcome != TELL_SUCCEEDED && t->outcome != TELL_SKIPPED;
	char note[EVENT_NOTE_MAX + 1];
	struct err second = ERR_INIT;

	tell_note(t, note, sizeof(note));
	int rc = events_tell(ev, &about, bad, tell_reason(t->outcome), "Backup", note, e);
	if (t->point && annotate(k, t, rc < 0 ? &second : e) < 0)
		rc = -1;
	return rc;
}
