/* SPDX-License-Identifier: Apache-2.0 */
/* See named.h. */
#include "repo/named.h"

#include <fcntl.h>
#include <string.h>

#include "common/fd.h"
#include "common/hex.h"
#include "repo/crypt.h"
#include "repo/note.h"

void named_file(const struct key_list *l, const char *prefix, char ret[NAMED_FILE_MAX])
{
	char hex[33];

	hex_encode(hex, l->hash, 16);
	(void)snprintf(ret, NAMED_FILE_MAX, "%.24s%s", prefix, hex);
}

static bool has_hash(const struct buf *b, const uint8_t hash[32])
{
	uint8_t of_b[32];

	crypt_sha256(of_b, b->data, b->len);
	return memcmp(of_b, hash, sizeof(of_b)) == 0;
}

int named_get(const struct repo *r, const struct key_list *l, const char *prefix, struct buf *ret,
              bool *ret_news, struct err *e)
{
	bool cached = r->state[0] && !(r->store->caps & STORE_CAP_LOCAL);
	struct err ignored = ERR_INIT;
	char file[NAMED_FILE_MAX];
	char path[640];

	named_file(l, prefix, file);
	(void)snprintf(path, sizeof(path), "%s/%s", r->state, file);
	if (cached && fd_read_file(AT_FDCWD, path, ret, &ignored) == 0 && has_hash(ret, l->hash))
		return 0;
	buf_reset(ret);
	if (store_get_all(r->store, l->object, ret, e) < 0)
		return -1;
	if (!has_hash(ret, l->hash))
		return err_set(e, ERR_CORRUPT, "'%s' is not the object that the config names",
		               l->object);
	if (!cached)
		return 0;
	(void)!fd_create_file(AT_FDCWD, path, ret->data, ret->len, 0600, FD_REPLACE, &ignored);
	if (ret_news)
		*ret_news = true;
	return 0;
}

int named_put(const struct repo *r, char kind, const char *prefix, const json_t *o,
              const struct buf *list, json_t *names, struct err *e)
{
	CLEANUP(buf_clear) struct buf object = BUF_INIT(NOTE_LIST_MAX + NOTE_ENVELOPE_BYTES);
	char key[NOTE_KEY_MAX];
	uint8_t hash[32];

	note_new_key(prefix, key);
	if (note_seal_list(r, kind, key, o, list, &object, e) < 0 ||
	    note_put_sealed(r, key, &object, e) < 0)
		return -1;
	crypt_sha256(hash, object.data, object.len);
	if (json_array_append_new(names, json_pack("{s:s, s:s}", "object", key, "hash",
	                                           hex_of32(hash).s)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for the config");
	return 0;
}
