/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two files: one that is locked as long as a run lives (a lock cannot go
 * stale: the kernel drops it), and one with the text, which is replaced as a whole.
 */
#include "repo/local.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/file.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/num.h"

#define TITLE "aksdr volume 1\n"
#define TEXT_MAX (4 * KIB)
#define SUM_BYTES 32

static void sum_of(uint8_t ret[SUM_BYTES], const uint8_t *p, size_t n)
{
	(void)crypto_generichash(ret, SUM_BYTES, p, n, NULL, 0);
}

/* "session S" or "head S SEQUENCE HASH" */
static void take_line(struct local *l, char *line)
{
	struct err ignored = ERR_INIT;
	const char *word = strsep(&line, " ");
	const char *session = strsep(&line, " ");
	const char *number = strsep(&line, " ");
	uint8_t hash[sizeof(l->hash)];
	uint64_t sequence;

	if (!session || !point_session_valid(session))
		return;
	if (strcmp(word, "session") == 0) {
		(void)snprintf(l->session, sizeof(l->session), "%s", session);
	} else if (strcmp(word, "head") == 0 && number && line &&
	           num_u64("sequence", number, 1, INT64_MAX, &sequence, &ignored) == 0 &&
	           hex_decode(hash, sizeof(hash), line) == 0) {
		(void)snprintf(l->head, sizeof(l->head), "%s", session);
		l->sequence = sequence;
		memcpy(l->hash, hash, sizeof(hash));
	}
}

static void read_text(struct local *l)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(TEXT_MAX);
	uint8_t sum[SUM_BYTES];
	struct err ignored = ERR_INIT;

	if (fd_read_file(AT_FDCWD, l->path, &b, &ignored) < 0 ||
	    b.len < strlen(TITLE) + sizeof(sum) || memcmp(b.data, TITLE, strlen(TITLE)) != 0)
		return;
	b.len -= sizeof(sum);
	sum_of(sum, b.data, b.len);
	if (memcmp(sum, b.data + b.len, sizeof(sum)) != 0)
		return;
	b.data[b.len] = '\0';
	char *rest = (char *)b.data + strlen(TITLE);
	for (char *line; (line = strsep(&rest, "\n"));)
		take_line(l, line);
}

void local_open(const struct repo *r, const char *voltag, struct local *ret)
{
	char lock[680];

	*ret = (struct local){ .lock = -1 };
	if (!r->state[0])
		return;
	(void)snprintf(ret->path, sizeof(ret->path), "%s/volume-%s", r->state, voltag);
	(void)snprintf(lock, sizeof(lock), "%s.lock", ret->path);
	ret->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (ret->lock >= 0 && flock(ret->lock, LOCK_EX | LOCK_NB) == 0) {
		read_text(ret);
		return;
	}
	local_close(ret);
}

void local_close(struct local *l)
{
	clean_close(&l->lock);
	l->lock = -1;
	l->path[0] = '\0';
}

static int write_text(const struct local *l, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(TEXT_MAX);
	uint8_t sum[SUM_BYTES];

	(void)buf_str(&b, TITLE);
	if (l->session[0])
		(void)buf_printf(&b, "session %s\n", l->session);
	if (l->head[0])
		(void)buf_printf(&b, "head %s %llu %s\n", l->head, (unsigned long long)l->sequence,
		                 hex_of32(l->hash).s);
	if (buf_check(&b, "a note of a volume", e) < 0)
		return -1;
	sum_of(sum, b.data, b.len);
	if (buf_put(&b, sum, sizeof(sum)) < 0)
		return buf_check(&b, "a note of a volume", e);
	return fd_create_file(AT_FDCWD, l->path, b.data, b.len, 0600, FD_REPLACE, e);
}

void local_save(const struct local *l)
{
	struct err ignored = ERR_INIT;

	/* An old text is worse than none. */
	if (l->path[0] && write_text(l, &ignored) < 0)
		(void)unlink(l->path);
}

/* Without a text, where no new one can be written: a full disk lets a file be removed. */
static int remove_text(const struct local *l, struct err *e)
{
	char dir[sizeof(l->path)];

	(void)snprintf(dir, sizeof(dir), "%s", l->path);
	char *slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	if (unlink(l->path) < 0 && errno != ENOENT)
		return err_sys(e, errno, "removing '%s'", l->path);
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return err_sys(e, errno, "syncing '%s'", dir);
	return 0;
}

int local_forget(struct local *l, struct err *e)
{
	struct err ignored = ERR_INIT;

	if (!l->path[0] || !l->session[0])
		return 0;
	l->session[0] = '\0';
	if (write_text(l, &ignored) == 0 || remove_text(l, e) == 0)
		return 0;
	return err_wrap(e, "ending the session");
}
