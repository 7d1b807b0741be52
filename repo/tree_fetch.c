/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetching the nodes of a point.
 *
 * Tree packs are small and read over and over (each backup reads the tree of
 * the one before), so with a remote store whole packs are kept in the state
 * directory; what lies there is authenticated like what comes from the store,
 * and a damaged copy is fetched again. A local store is read by ranges.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "repo/meta_cache.h"
#include "repo/moved.h"
#include "repo/tree_impl.h"

static void node_pack_clear(struct node_pack *p)
{
	if (p->bytes)
		(void)munmap(p->bytes, p->len);
	free(p->header);
	crypt_box_free(p->box);
	memset(p, 0, sizeof(*p));
}

void tree_fetch_clear(struct tree *t)
{
	for (size_t i = 0; i < TREE_OPEN_PACKS; i++)
		node_pack_clear(&t->packs[i]);
	moved_free(t->moved);
}

/* The pack's local copy, mapped; nothing when there is none. */
static void map_cached(struct tree *t, struct node_pack *p)
{
	struct stat st;
	auto_close int fd = meta_cache_open(t->repo, p->id);

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	void *m = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return;
	p->bytes = m;
	p->len = (size_t)st.st_size;
	p->cached = true;
}

static int read_range(struct tree *t, struct node_pack *p, const char *name, uint64_t off, void *to,
                      size_t n, struct err *e)
{
	if (!p->bytes)
		return store_get(t->repo->store, name, off, to, n, e);
	if (off > p->len || n > p->len - off)
		return err_set(e, ERR_CORRUPT, "'%s' ends before byte %llu", name,
		               (unsigned long long)(off + n));
	memcpy(to, p->bytes + off, n);
	return 0;
}

static int load_header(struct tree *t, struct node_pack *p, const char *name, struct err *e)
{
	size_t need = PACK_HEADER_GUESS;
	size_t have = 0;

	while (have < need) {
		free(p->header);
		p->header = malloc(need);
		if (!p->header)
			return err_set(e, ERR_NOMEM, "no memory for the header of '%s'", name);
		have = need;
		if (read_range(t, p, name, 0, p->header, have, e) < 0 ||
		    pack_header_decode(p->header, have, p->id, &p->head, &need, e) < 0)
			return err_wrap(e, "reading the header of '%s'", name);
	}
	if (!p->box)
		p->box = crypt_box_new(p->head.cipher);
	if (!p->box)
		return err_set(e, ERR_NOMEM, "no memory for the cipher of '%s'", name);
	p->key = UINT16_MAX;
	return 0;
}

static struct node_pack *oldest(struct tree *t)
{
	struct node_pack *p = &t->packs[0];

	for (size_t i = 1; i < TREE_OPEN_PACKS; i++)
		if (t->packs[i].used < p->used)
			p = &t->packs[i];
	return p;
}

static int open_pack(struct tree *t, const struct chunk_ref *ref, const char *name,
                     struct node_pack **ret, struct err *e)
{
	struct node_pack *p;

	for (size_t i = 0; i < TREE_OPEN_PACKS; i++) {
		p = &t->packs[i];
		if (p->used && memcmp(p->id, ref->pack, sizeof(p->id)) == 0) {
			p->used = ++t->clock;
			*ret = p;
			return 0;
		}
	}
	p = oldest(t);
	node_pack_clear(p);
	memcpy(p->id, ref->pack, sizeof(p->id));
	map_cached(t, p);
	if (load_header(t, p, name, e) < 0) {
		bool cached = p->cached;

		node_pack_clear(p);
		if (!cached)
			return -1;
		/* A damaged copy: the store's own decides. */
		*e = (struct err)ERR_INIT;
		memcpy(p->id, ref->pack, sizeof(p->id));
		if (load_header(t, p, name, e) < 0) {
			node_pack_clear(p);
			return -1;
		}
	}
	p->used = ++t->clock;
	*ret = p;
	return 0;
}

static int open_node_at(struct tree *t, const struct chunk_ref *ref, struct err *e)
{
	char name[PACK_KEY_MAX];
	struct node_pack *p;
	uint8_t id[FORMAT_ID_BYTES];

	pack_key_name(name, ref->pack, CHUNK_NODE);
	if (open_pack(t, ref, name, &p, e) < 0)
		return -1;
	if (p->key != ref->key) {
		auto_secret uint8_t *dek = secret_new(FORMAT_DEK_BYTES);

		if (!dek)
			return err_set(e, ERR_NOMEM, "no memory for a key");
		if (pack_header_dek(p->header, &p->head, ref->key, t->repo->keys, t->domain, dek,
		                    e) < 0)
			return err_wrap(e, "opening '%s'", name);
		crypt_box_key(p->box, dek);
		p->key = ref->key;
	}
	buf_reset(&t->stored);
	buf_reset(&t->plain);
	buf_reset(&t->scratch);
	if (buf_reserve(&t->stored, ref->stored) < 0 || buf_reserve(&t->scratch, ref->stored) < 0 ||
	    buf_reserve(&t->plain, ref->plain) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a tree node of %u bytes", ref->plain);
	if (read_range(t, p, name, ref->off, t->stored.data, ref->stored, e) < 0)
		return err_wrap(e, "reading a tree node of '%s'", name);
	bool good = pack_chunk_open(p->box, t->z, t->repo->keys->repo, ref, t->stored.data,
	                            t->scratch.data, t->plain.data) == 0;
	if (!good && p->cached) {
		node_pack_clear(p);
		return err_set(e, ERR_RETRY, "the local copy of '%s' is damaged", name);
	}
	if (good)
		crypt_chunk_id(&t->hasher, t->plain.data, ref->plain, id, NULL);
	if (!good || memcmp(id, ref->id, sizeof(id)) != 0)
		return err_set(e, ERR_CORRUPT, "the tree node at byte %u of '%s' is damaged",
		               ref->off, name);
	t->plain.len = ref->plain;
	return 0;
}

static bool is_gone(const struct tree *t, const uint8_t id[16])
{
	for (size_t i = 0; i < t->ngone && i < TREE_GONE_MAX; i++) {
		if (memcmp(t->gone[i], id, sizeof(t->gone[i])) == 0)
			return true;
	}
	return false;
}

/* Errors after which another copy of the node may help. */
static bool is_loss(const struct err *e)
{
	return e->class == ERR_NOT_FOUND || e->class == ERR_CORRUPT || e->class == ERR_FORMAT;
}

/*
 * Repacking may have moved the node, or a later backup stored it again: the index knows. -1: it is
 * nowhere, or *why says what is in the way, which is no loss of the node.
 */
static int open_elsewhere(struct tree *t, const struct chunk_ref *ref, struct err *why)
{
	struct moved_ask ask = { 0 };
	struct err bad = ERR_INIT;
	int more;

	if (!t->moved)
		t->moved = moved_new(t->repo, t->domain);
	if (!t->moved)
		return err_set(why, ERR_NOMEM, "no memory to look for a tree node");
	while ((more = moved_ask(t->moved, ref, &ask, &bad)) > 0) {
		for (size_t i = 0; i < ask.n; i++) {
			bad = (struct err)ERR_INIT;
			if (open_node_at(t, &ask.places[i], &bad) == 0)
				return 0;
			if (!is_loss(&bad))
				*why = bad;
		}
	}
	if (more < 0 && !is_loss(&bad))
		*why = bad;
	return -1;
}

int tree_fetch_node(struct tree *t, const struct chunk_ref *ref, struct err *e)
{
	struct err first = ERR_INIT;

	if (is_gone(t, ref->pack)) {
		(void)err_set(&first, ERR_NOT_FOUND, "its pack is gone");
		if (open_elsewhere(t, ref, &first) == 0)
			return 0;
		if (!is_loss(&first)) {
			*e = first;
			return -1;
		}
		first = (struct err)ERR_INIT;
	}
	if (open_node_at(t, ref, &first) == 0)
		return 0;
	if (first.class == ERR_RETRY && !(t->repo->store->caps & STORE_CAP_LOCAL)) {
		meta_cache_forget(t->repo, ref->pack);
		first = (struct err)ERR_INIT;
		if (open_node_at(t, ref, &first) == 0)
			return 0;
	}
	if (first.class == ERR_NOT_FOUND && !is_gone(t, ref->pack))
		memcpy(t->gone[t->ngone++ % TREE_GONE_MAX], ref->pack, sizeof(t->gone[0]));
	if (is_loss(&first) && open_elsewhere(t, ref, &first) == 0)
		return 0;
	*e = first;
	return -1;
}
