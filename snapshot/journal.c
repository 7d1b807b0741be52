/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A note is `ID.note`: one line with a version, one with the driver's name, then
 * the text. It is written under another name and renamed once it is whole, with the
 * lock held from before its name can be seen. A file that is not whole (a crash between
 * the two) names nothing that was made, and goes with the next journal_each().
 */
#include "snapshot/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/secret.h"

#define MAGIC "aksdr-journal 1\n"
#define SUFFIX ".note"
#define NEW_SUFFIX ".new"
#define DRIVER_MAX 32

struct journal {
	char *path; /* for messages */
	int fd;
};

struct journal_note {
	const struct journal *j;
	int fd; /* has the lock */
	char name[48];
};

struct journal *journal_open(const char *dir, struct err *e)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j || !(j->path = strdup(dir))) {
		free(j);
		err_set(e, ERR_NOMEM, "no memory for the journal '%s'", dir);
		return NULL;
	}
	j->fd = -1;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		err_sys(e, errno, "making the journal's directory '%s'", dir);
	} else {
		j->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (j->fd < 0)
			err_sys(e, errno, "opening the journal's directory '%s'", dir);
	}
	if (j->fd < 0) {
		journal_close(j);
		return NULL;
	}
	return j;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	clean_close(&j->fd);
	free(j->path);
	free(j);
}

/* Writes the note under its name for the time being, then gives it its own. */
static int write_note(struct journal_note *n, const char *driver, const char *text, struct err *e)
{
	char fresh[sizeof(n->name) + sizeof(NEW_SUFFIX)];
	char head[sizeof(MAGIC) + DRIVER_MAX + 2];
	int dir = n->j->fd;

	(void)snprintf(fresh, sizeof(fresh), "%s" NEW_SUFFIX, n->name);
	int len = snprintf(head, sizeof(head), MAGIC "%s\n", driver);
	n->fd = openat(dir, fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (n->fd < 0)
		return err_sys(e, errno, "creating '%s' in the journal '%s'", fresh, n->j->path);
	if (flock(n->fd, LOCK_EX | LOCK_NB) < 0 || fd_write_full(n->fd, head, (size_t)len) < 0 ||
	    fd_write_full(n->fd, text, strlen(text)) < 0 || fsync(n->fd) < 0 ||
	    renameat(dir, fresh, dir, n->name) < 0) {
		err_sys(e, errno, "writing '%s' in the journal '%s'", n->name, n->j->path);
		(void)unlinkat(dir, fresh, 0);
		return -1;
	}
	if (fsync(dir) < 0) {
		err_sys(e, errno, "writing the journal '%s'", n->j->path);
		(void)unlinkat(dir, n->name, 0);
		return -1;
	}
	return 0;
}

struct journal_note *journal_add(struct journal *j, const char *driver, const char *text,
                                 struct err *e)
{
	uint8_t random[16];
	char hex[33];

	if (strlen(text) > JOURNAL_TEXT_MAX || strlen(driver) > DRIVER_MAX) {
		err_set(e, ERR_TOO_BIG, "a note of the journal would be over %d bytes long",
		        JOURNAL_TEXT_MAX);
		return NULL;
	}
	struct journal_note *n = calloc(1, sizeof(*n));
	if (!n) {
		err_set(e, ERR_NOMEM, "no memory for a note in the journal");
		return NULL;
	}
	secret_random(random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	n->j = j;
	n->fd = -1;
	(void)snprintf(n->name, sizeof(n->name), "%s" SUFFIX, hex);
	if (write_note(n, driver, text, e) < 0) {
		journal_leave(n);
		return NULL;
	}
	return n;
}

int journal_note_fd(const struct journal_note *n)
{
	return n->fd;
}

int journal_done(struct journal_note *take_n, struct err *e)
{
	int rc = 0;

	if (!take_n)
		return 0;
	if (unlinkat(take_n->j->fd, take_n->name, 0) < 0)
		rc = err_sys(e, errno, "removing '%s' from the journal '%s'", take_n->name,
		             take_n->j->path);
	journal_leave(take_n);
	return rc;
}

void journal_leave(struct journal_note *take_n)
{
	if (!take_n)
		return;
	clean_close(&take_n->fd);
	free(take_n);
}

static bool ends_with(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

/* The parts of a note's text, which is changed. false: it is none. */
static bool parse(char *text, char **ret_driver, char **ret_text)
{
	if (strncmp(text, MAGIC, strlen(MAGIC)) != 0)
		return false;
	*ret_driver = text + strlen(MAGIC);
	char *end = strchr(*ret_driver, '\n');
	if (!end || end - *ret_driver > DRIVER_MAX)
		return false;
	*end = '\0';
	*ret_text = end + 1;
	return true;
}

/* One file of the directory: 1 cleaned, 0 somebody's, -1 with e. */
static int visit(struct journal *j, const char *name,
                 int (*clean)(void *arg, const char *driver, const char *text, struct err *e),
                 void *arg, struct err *e)
{
	char text[sizeof(MAGIC) + DRIVER_MAX + JOURNAL_TEXT_MAX + 2];
	char *driver, *rest;
	struct stat st;

	auto_close int fd = openat(j->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "opening '%s/%s'", j->path, name);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0
		                            : err_sys(e, errno, "locking '%s/%s'", j->path, name);
	/* Its owner may have removed it between the two. */
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "looking at '%s/%s'", j->path, name);
	if (st.st_nlink == 0 || !S_ISREG(st.st_mode))
		return 0;
	if (ends_with(name, NEW_SUFFIX))
		return unlinkat(j->fd, name, 0) < 0 && errno != ENOENT
		               ? err_sys(e, errno, "removing '%s/%s'", j->path, name)
		               : 0;
	ssize_t n = fd_pread_full(fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return err_sys(e, errno, "reading '%s/%s'", j->path, name);
	text[n] = '\0';
	if (strlen(text) != (size_t)n || !parse(text, &driver, &rest))
		return err_set(e, ERR_FORMAT,
		               "'%s/%s' is no note of a journal; look at it, and remove it by hand",
		               j->path, name);
	if (clean(arg, driver, rest, e) < 0)
		return err_wrap(e, "cleaning up after the note '%s/%s'", j->path, name);
	if (unlinkat(j->fd, name, 0) < 0)
		return err_sys(e, errno, "removing '%s/%s'", j->path, name);
	return 1;
}

int journal_each(struct journal *j,
                 int (*clean)(void *arg, const char *driver, const char *text, struct err *e),
                 void *arg, size_t *ret_cleaned, struct err *e)
{
	int rc = 0;

	*ret_cleaned = 0;
	int fd = openat(j->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		clean_close(&fd);
		return err_sys(e, errno, "listing the journal '%s'", j->path);
	}
	for (struct dirent *d; (d = readdir(dir));) {
		struct err why = ERR_INIT;

		if (!ends_with(d->d_name, SUFFIX) && !ends_with(d->d_name, SUFFIX NEW_SUFFIX))
			continue;
		int done = visit(j, d->d_name, clean, arg, &why);
		if (done > 0)
			(*ret_cleaned)++;
		if (done < 0 && rc == 0) {
			*e = why;
			rc = -1;
		}
	}
	(void)closedir(dir);
	return rc;
}
