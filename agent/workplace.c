/* SPDX-License-Identifier: Apache-2.0 */
/* See workplace.h. */
#include "agent/workplace.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/fd.h"

static char *below(const char *state, const char *name, struct err *e)
{
	char *path;

	if (asprintf(&path, "%s/%s", state, name) < 0) {
		err_set(e, ERR_NOMEM, "no memory for the path of the state directory");
		return NULL;
	}
	return path;
}

int workplace_open(const char *state, struct workplace *ret, struct err *e)
{
	struct workplace w = { NULL, NULL };

	if (!state || !*state)
		return err_set(e, ERR_INVALID, "there is no state directory; pass --state DIR");
	if (fd_make_dirs(state) < 0)
		return err_sys(e, errno, "creating the state directory '%s'", state);
	auto_free char *journal = below(state, "journal", e);
	w.scratch = below(state, "views", e);
	if (journal && w.scratch) {
		if (mkdir(w.scratch, 0700) < 0 && errno != EEXIST)
			err_sys(e, errno, "creating '%s'", w.scratch);
		else
			w.journal = journal_open(journal, e);
	}
	if (!w.journal) {
		workplace_close(&w);
		return -1;
	}
	*ret = w;
	return 0;
}

void workplace_close(struct workplace *w)
{
	journal_close(w->journal);
	free(w->scratch);
	*w = (struct workplace){ NULL, NULL };
}

int workplace_tidy(const struct workplace *w, size_t *ret_removed, struct err *e)
{
	return snapshot_reconcile(w->journal, ret_removed, e);
}
