/* SPDX-License-Identifier: Apache-2.0 */
/* See meta_cache.h. One file a pack, in the directory "meta" of the repository's state. */
#include "repo/meta_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/hex.h"

#define LEAST_BYTES 4096 /* of a pack */

static bool is_wanted(const struct repo *r)
{
	return r->state[0] && !(r->store->caps & STORE_CAP_LOCAL);
}

static void path_of(const struct repo *r, const uint8_t id[16], char ret[640])
{
	char hex[33];

	hex_encode(hex, id, 16);
	(void)snprintf(ret, 640, "%s/meta/%s", r->state, hex);
}

static int open_copy(const char *path)
{
	struct stat st;
	/* Who has put a pipe there does not stop us. */
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < LEAST_BYTES ||
	    (size_t)st.st_size > FORMAT_PACK_MAX)
		return -1;
	return steal_fd(&fd);
}

static int write_copy(const struct repo *r, const char *path, const uint8_t *p, size_t n)
{
	struct err ignored = ERR_INIT;
	char dir[640];

	(void)snprintf(dir, sizeof(dir), "%s/meta", r->state);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -1;
	return fd_create_file(AT_FDCWD, path, p, n, 0600, FD_REPLACE, &ignored);
}

int meta_cache_open(const struct repo *r, const uint8_t id[FORMAT_PACK_ID_BYTES])
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FORMAT_PACK_MAX);
	struct err ignored = ERR_INIT;
	char name[PACK_KEY_MAX];
	char path[640];

	if (!is_wanted(r))
		return -1;
	path_of(r, id, path);
	int fd = open_copy(path);
	if (fd >= 0)
		return fd;
	pack_key_name(name, id, CHUNK_NODE);
	if (store_get_all(r->store, name, &b, &ignored) < 0 ||
	    write_copy(r, path, b.data, b.len) < 0)
		return -1;
	return open_copy(path);
}

void meta_cache_keep(const struct repo *r, const uint8_t id[FORMAT_PACK_ID_BYTES], const uint8_t *p,
                     size_t n)
{
	char path[640];

	if (!is_wanted(r))
		return;
	path_of(r, id, path);
	(void)write_copy(r, path, p, n);
}

void meta_cache_forget(const struct repo *r, const uint8_t id[FORMAT_PACK_ID_BYTES])
{
	char path[640];

	if (!is_wanted(r))
		return;
	path_of(r, id, path);
	(void)unlink(path);
}
