/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local state. The first byte says which file: 0: what is remembered of a
 * volume; 1: of its points; 2: a key file, in which the catalog looks for the
 * repository's id; 3: the packs that collections have decided on; with bit 2
 * the checksum that ends all but the key file is part of the input. A file that
 * makes no sense is as good as none.
 */
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "common/fd.h"
#include "repo/finals.h"
#include "repo/local.h"
#include "repo/session.h"
#include "tests/fuzz/fuzz_repo.h"

#define SECOND "2026-11-23/" FUZZ_VOLTAG "-" FUZZ_RANDOM

/* key: of the checksum; NULL: it has none. */
static void put_file(const char *name, const uint8_t *p, size_t n, bool sum, const uint8_t *key)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(n + 32);
	auto_free char *path = path_join(fuzz_dir(), name);
	uint8_t hash[32];
	struct err e = ERR_INIT;

	(void)buf_put(&b, p, n);
	(void)crypto_generichash(hash, sizeof(hash), p, n, key, key ? FORMAT_REPO_ID_BYTES : 0);
	if (sum)
		(void)buf_put(&b, hash, sizeof(hash));
	holds(!b.failed);
	works(fd_create_file(AT_FDCWD, path, b.data, b.len, 0600, FD_REPLACE, &e));
}

static void check_local(const struct local *l)
{
	holds(l->lock >= 0 && l->path[0]);
	holds(!l->session[0] || point_session_valid(l->session));
	holds(!l->head[0] || (point_session_valid(l->head) && l->sequence > 0));
}

static void volume(const struct repo *r)
{
	struct local l;
	struct local again;

	local_open(r, FUZZ_VOLTAG, &l);
	check_local(&l);
	local_save(&l);
	local_close(&l);
	local_open(r, FUZZ_VOLTAG, &again);
	check_local(&again);
	holds(strcmp(l.session, again.session) == 0 && strcmp(l.head, again.head) == 0);
	if (l.head[0])
		holds(l.sequence == again.sequence && memcmp(l.hash, again.hash, 32) == 0);
	local_close(&again);
}

/* Whatever is remembered, what is found is a point that is there. */
static void points(const struct repo *r)
{
	static const char *const texts[] = { FUZZ_VOLUME, FUZZ_VOLUME "@2026-11-22T12:00Z",
		                             FUZZ_VOLUME "@5a0c" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(point_clear) struct point p = { 0 };
		struct err e = ERR_INIT;

		if (repo_find(r, texts[i], &p, &e) < 0)
			fuzz_refused(&e, FUZZ_CLASS(ERR_NOT_FOUND));
		else
			holds(strcmp(p.session, FUZZ_SESSION) == 0 ||
			      strcmp(p.session, SECOND) == 0);
	}
}

static void finals(const struct repo *r)
{
	static const struct collection_state s = { .done = 3, .finals = 2 };
	CLEANUP(pack_list_clear) struct pack_list l = { 0 };
	uint64_t bad;
	struct err e = ERR_INIT;

	works(finals_load(r, &s, &l, &bad, &e));
	holds(bad <= s.done);
	for (size_t i = 0; i < l.n; i++)
		holds(l.v[i].kind <= CHUNK_NODE && pack_list_has(&l, l.v[i].kind, l.v[i].id));
}

static void key_file(void)
{
	auto_free char *path = path_join(fuzz_dir(), "key");
	char *ret = NULL;
	struct err e = ERR_INIT;

	if (catalog_path(NULL, "/state", path, &ret, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_TOO_BIG));
		return;
	}
	holds(strlen(ret) == 7 + 32 + strlen("/" CATALOG_FILE));
	holds(strspn(ret + 7, "0123456789abcdefABCDEF") == 32);
	free(ret);
}

static struct repo make_repo(void)
{
	struct repo r = fuzz_repo_new();
	struct err e = ERR_INIT;
	struct point p = {
		.session = FUZZ_SESSION,
		.id = FUZZ_RANDOM,
		.volume = { .name = FUZZ_VOLUME },
		.domain = "d",
		.sequence = 1,
		.frozen_ns = INT64_C(1795305600000000000),
		.consistency = "crash",
		.levels = 1,
		.root = { .stored = 17, .plain = 1, .kind = CHUNK_NODE },
	};

	works(session_commit(&r, &p, &e));
	memcpy(p.session, SECOND, sizeof(SECOND));
	p.sequence = 2;
	p.frozen_ns += INT64_C(86400000000000);
	works(session_commit(&r, &p, &e));
	(void)snprintf(r.state, sizeof(r.state), "%s", fuzz_dir());
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repo r;

	if (!r.store)
		r = make_repo();
	if (size == 0 || size > 16 * KIB)
		return 0;
	bool sum = !(data[0] & 4);
	switch (data[0] & 3) {
	case 0:
		put_file("volume-" FUZZ_VOLTAG, data + 1, size - 1, sum, NULL);
		volume(&r);
		break;
	case 1:
		put_file("points-" FUZZ_VOLTAG, data + 1, size - 1, sum, NULL);
		points(&r);
		break;
	case 2:
		put_file("key", data + 1, size - 1, false, NULL);
		key_file();
		break;
	case 3:
		put_file("finals", data + 1, size - 1, sum, r.keys->repo);
		finals(&r);
		break;
	}
	return 0;
}
