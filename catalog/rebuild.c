/* SPDX-License-Identifier: Apache-2.0 */
/* A new catalog is written beside the old one, and takes its place by a rename. */
#include "catalog/rebuild.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "catalog/row.h"

static char *with_suffix(const char *path, const char *suffix)
{
	char *name = NULL;

	return asprintf(&name, "%s%s", path, suffix) < 0 ? NULL : name;
}

/* Removes a database and its journals; those that are not there are fine. */
static int remove_db(const char *path, bool journals_only, struct err *e)
{
	static const char *const suffixes[] = { "-wal", "-shm", "-journal", "" };

	for (size_t i = 0; i < ARRAY_LEN(suffixes) - journals_only; i++) {
		auto_free char *name = with_suffix(path, suffixes[i]);

		if (!name)
			return err_set(e, ERR_NOMEM, "no memory for a path");
		if (unlink(name) < 0 && errno != ENOENT)
			return err_sys(e, errno, "removing '%s'", name);
	}
	return 0;
}

/*
 * Puts the new database in the place of the old one, whose journals must not
 * meet it.
 */
static int put_in_place(const char *fresh, const char *path, struct err *e)
{
	auto_free char *dir = strdup(path);
	auto_close int fd = open(fresh, O_RDONLY | O_CLOEXEC);

	if (!dir)
		return err_set(e, ERR_NOMEM, "no memory for a path");
	if (fd < 0 || fsync(fd) < 0)
		return err_sys(e, errno, "syncing '%s'", fresh);
	if (remove_db(path, true, e) < 0)
		return -1;
	if (rename(fresh, path) < 0)
		return err_sys(e, errno, "renaming '%s' to '%s'", fresh, path);
	char *slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	auto_close int dfd = open(!slash ? "."
	                          : *dir ? dir
	                                 : "/",
	                          O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dfd < 0 || fsync(dfd) < 0)
		return err_sys(e, errno, "syncing the directory of '%s'", path);
	return 0;
}

static int build(const char *fresh, const char *path, const struct repo *r,
                 const struct sync_params *params, struct sync_result *ret, struct err *e)
{
	auto_catalog struct catalog *c = NULL;

	if (remove_db(fresh, false, e) < 0 || catalog_open(fresh, CATALOG_WRITE, &c, e) < 0 ||
	    sync_run(c, r, params, ret, e) < 0)
		return -1;
	row_copy_findings(c, path);
	/* closing then leaves no journal that the file needs */
	return catalog_exec(c, "PRAGMA wal_checkpoint(TRUNCATE)", e);
}

static int lock_rebuild(const char *lock, struct err *e)
{
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(e, errno, "opening '%s'", lock);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	int os = errno;
	(void)close(fd);
	if (os == EWOULDBLOCK)
		return err_set(e, ERR_BUSY, "another rebuild of this catalog is running");
	return err_sys(e, os, "locking '%s'", lock);
}

int rebuild_run(const char *path, const struct repo *r, const struct sync_params *params,
                struct sync_result *ret, struct err *e)
{
	auto_free char *fresh = with_suffix(path, ".rebuild");
	auto_free char *lock = with_suffix(path, ".lock");
	struct err ignored = ERR_INIT;

	if (!fresh || !lock)
		return err_set(e, ERR_NOMEM, "no memory for a path");
	if (catalog_make_dir(path, e) < 0)
		return -1;
	auto_close int fd = lock_rebuild(lock, e);
	if (fd < 0)
		return err_wrap(e, "rebuilding '%s'", path);
	if (build(fresh, path, r, params, ret, e) < 0 || put_in_place(fresh, path, e) < 0) {
		(void)!remove_db(fresh, false, &ignored);
		return err_wrap(e, "rebuilding '%s'", path);
	}
	return 0;
}
