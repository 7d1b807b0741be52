/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One small file with a checksum, replaced as a whole. The directory is
 * locked meanwhile, so that of two programs that have seen different
 * revisions the one that is later does not write the lower one.
 */
#include "repo/rollback.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>

#include "common/fd.h"
#include "common/hex.h"
#include "common/num.h"

#define TITLE "aksdr config 1\n"
#define TEXT_MAX 512
#define SUM_BYTES 32
#define REVISION_MAX 99999999

struct seen {
	uint64_t revision; /* 0: nothing is remembered */
	uint8_t hash[32];
};

static void sum_of(uint8_t ret[SUM_BYTES], const uint8_t *p, size_t n)
{
	(void)crypto_generichash(ret, SUM_BYTES, p, n, NULL, 0);
}

/* "REVISION HASH\n"; what does not fit says nothing. */
static void take_text(char *text, struct seen *ret)
{
	struct err ignored = ERR_INIT;
	const char *number = strsep(&text, " ");
	const char *hash = strsep(&text, "\n");
	struct seen s;

	if (hash && text && !*text &&
	    num_u64("revision", number, 1, REVISION_MAX, &s.revision, &ignored) == 0 &&
	    hex_decode(s.hash, sizeof(s.hash), hash) == 0)
		*ret = s;
}

static struct seen read_seen(int dir)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(TEXT_MAX);
	struct seen s = { 0 };
	uint8_t sum[SUM_BYTES];
	struct err ignored = ERR_INIT;

	if (fd_read_file(dir, ROLLBACK_FILE, &b, &ignored) < 0 ||
	    b.len < strlen(TITLE) + sizeof(sum) || memcmp(b.data, TITLE, strlen(TITLE)) != 0)
		return s;
	b.len -= sizeof(sum);
	sum_of(sum, b.data, b.len);
	if (memcmp(sum, b.data + b.len, sizeof(sum)) != 0)
		return s;
	b.data[b.len] = '\0';
	take_text((char *)b.data + strlen(TITLE), &s);
	return s;
}

static int write_seen(int dir, const struct seen *s, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(TEXT_MAX);
	uint8_t sum[SUM_BYTES];

	(void)buf_printf(&b, TITLE "%llu %s\n", (unsigned long long)s->revision,
	                 hex_of32(s->hash).s);
	if (buf_check(&b, ROLLBACK_FILE, e) < 0)
		return -1;
	sum_of(sum, b.data, b.len);
	(void)buf_put(&b, sum, sizeof(sum));
	return buf_check(&b, ROLLBACK_FILE, e) < 0
	               ? -1
	               : fd_create_file(dir, ROLLBACK_FILE, b.data, b.len, 0600, FD_REPLACE, e);
}

int rollback_check(const char *state, uint64_t revision, const uint8_t hash[32], struct err *e)
{
	struct seen now = { .revision = revision };
	struct err ignored = ERR_INIT;

	if (!*state)
		return 0;
	auto_close int dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;
	/* Who is there now remembers something as well, or the next one does. */
	bool other = flock(dir, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	struct seen seen = read_seen(dir);
	memcpy(now.hash, hash, sizeof(now.hash));
	/* What init made is what everybody begins with. */
	if (seen.revision < revision && revision > 1 && !other)
		/* Without it a rollback is noticed by others only; an old text is as good. */
		(void)!write_seen(dir, &now, &ignored);
	if (seen.revision > revision)
		return err_set(e, ERR_CORRUPT,
		               "the store shows revision %llu of the config, and this machine has "
		               "seen revision %llu: it hides what was changed since, or was put "
		               "back from an older copy; if that is meant, run "
		               "'aksdr-catalog reconcile --accept' or delete '%s/%s'",
		               (unsigned long long)revision, (unsigned long long)seen.revision,
		               state, ROLLBACK_FILE);
	if (seen.revision == revision && memcmp(seen.hash, hash, sizeof(seen.hash)) != 0)
		return err_set(e, ERR_CORRUPT,
		               "revision %llu of the config is another one than this machine has "
		               "seen: the store was put back from an older copy, and changed "
		               "after that; if that is meant, run "
		               "'aksdr-catalog reconcile --accept' or delete '%s/%s'",
		               (unsigned long long)revision, state, ROLLBACK_FILE);
	return 0;
}

uint64_t rollback_seen(const char *state)
{
	auto_close int dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? 0 : read_seen(dir).revision;
}

int rollback_accept(const char *state, uint64_t revision, const uint8_t hash[32], struct err *e)
{
	struct seen now = { .revision = revision };
	auto_close int dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_sys(e, errno, "opening the state directory '%s'", state);
	if (flock(dir, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, ERR_BUSY, "another program opens the repository now: try again");
	memcpy(now.hash, hash, sizeof(now.hash));
	return write_seen(dir, &now, e) < 0 ? err_wrap(e, "in '%s'", state) : 0;
}
