/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tree nodes: both decoders take any bytes. The records of a leaf that
 * decodes make a tree again, whose leaves hold the same records; the keys of a
 * node ascend, and what it says is within the limits.
 */
#include <sys/stat.h>

#include "repo/tree.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_keys.h"

#define LEAVES_MAX 64

/* The leaves of a tree that is built, in order. */
struct made {
	struct leaf *leaves[LEAVES_MAX];
	size_t n;
	uint32_t nodes;
};

static int put(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref, struct err *e)
{
	struct made *m = arg;
	struct inner *in;

	ref->stored = (uint32_t)n + FORMAT_TAG_BYTES;
	ref->off = m->nodes++;
	if (plain[1] == 0) {
		holds(m->n < LEAVES_MAX);
		holds(tree_leaf_decode(plain, n, &m->leaves[m->n], e) == 0);
		m->n++;
	} else {
		holds(tree_inner_decode(plain, n, &in, e) == 0);
		inner_free(in);
	}
	return 0;
}

static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool same_time(const struct timestamp *a, const struct timestamp *b)
{
	return a->s == b->s && a->ns == b->ns;
}

static void same_stat(const struct entry_stat *a, const struct entry_stat *b)
{
	holds(a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->nlink == b->nlink);
	holds(a->rdev_major == b->rdev_major && a->rdev_minor == b->rdev_minor);
	holds(a->ino == b->ino && a->size == b->size);
	holds(same_time(&a->mtime, &b->mtime) && same_time(&a->ctime, &b->ctime));
}

static void same_record(const struct record *a, const struct leaf *la, const struct record *b,
                        const struct leaf *lb)
{
	holds(same_bytes(a->path, a->path_len, b->path, b->path_len));
	holds(a->position == b->position && a->flags == b->flags);
	holds(same_bytes(a->link, a->link_len, b->link, b->link_len));
	holds(same_bytes(a->xattrs, a->xattrs_len, b->xattrs, b->xattrs_len));
	holds(same_bytes(a->hardlink, a->hardlink_len, b->hardlink, b->hardlink_len));
	holds(a->fsflags == b->fsflags && a->projid == b->projid && a->nextents == b->nextents);
	same_stat(&a->st, &b->st);
	for (size_t i = 0; i < a->nextents; i++) {
		const struct extent *x = &a->extents[i];
		const struct extent *y = &b->extents[i];

		holds(x->off == y->off && x->len == y->len && (x->chunk < 0) == (y->chunk < 0));
		holds(x->chunk >= 0 ? memcmp(la->chunks[x->chunk].id, lb->chunks[y->chunk].id,
		                             FORMAT_ID_BYTES) == 0
		                    : x->chunk == y->chunk);
	}
}

static void check_ref(const struct chunk_ref *r)
{
	holds(r->plain > 0 && r->plain <= FORMAT_CHUNK_MAX && r->stored > FORMAT_TAG_BYTES);
	holds(r->stored <= FORMAT_CHUNK_MAX + FORMAT_TAG_BYTES && r->off <= FORMAT_PACK_MAX);
	holds(r->key < FORMAT_KEYS_MAX && r->compression <= COMPRESSION_ZSTD);
}

static void check_record(const struct leaf *l, size_t i)
{
	const struct record *r = &l->records[i];
	const struct record *before = i ? r - 1 : NULL;
	uint64_t bytes = 0;

	holds(r->path_len <= FORMAT_PATH_MAX && r->path[r->path_len] == '\0');
	holds(strlen(r->path) == r->path_len && r->path[0] != '/' && !strstr(r->path, "//"));
	holds(strncmp(r->path, "../", 3) != 0 && !strstr(r->path, "/../"));
	int order = before ? source_path_cmp(before->path, before->path_len, r->path, r->path_len)
	                   : -1;
	holds(order < 0 || (order == 0 && before->position < r->position));
	for (size_t k = 0; k < r->nextents; k++) {
		const struct extent *x = &r->extents[k];

		bytes += x->len;
		holds(x->len > 0 && x->chunk < (int64_t)l->nchunks && bytes <= INT64_MAX);
		if (x->chunk >= 0)
			holds(x->off + x->len <= l->chunks[x->chunk].plain);
	}
	if (r->position == 0 && S_ISREG(r->st.mode) && !(r->flags & RECORD_HARDLINK))
		holds(r->flags & RECORD_CONTINUED ? bytes < r->st.size : bytes == r->st.size);
	if (r->flags & RECORD_HARDLINK)
		holds(source_path_cmp(r->hardlink, r->hardlink_len, r->path, r->path_len) < 0);
}

/* Two chunks of one id at different places cannot stand in one leaf that is built. */
static bool ids_unique(const struct leaf *l)
{
	for (size_t i = 0; i < l->nchunks; i++) {
		for (size_t k = 0; k < i; k++) {
			if (memcmp(l->chunks[i].id, l->chunks[k].id, FORMAT_ID_BYTES) == 0)
				return false;
		}
	}
	return true;
}

static void build_again(const struct leaf *l, const struct domain_keys *domain)
{
	struct made m = { .n = 0 };
	const struct tree_sink sink = { .put = put, .arg = &m };
	struct tree_builder *b = tree_builder_new(domain, &sink);
	struct chunk_ref root;
	uint32_t levels;
	size_t n = 0;
	struct err e = ERR_INIT;

	holds(b);
	for (size_t i = 0; i < l->nrecords; i++)
		works(tree_builder_add(b, &l->records[i], NULL, l->chunks, &e));
	works(tree_builder_finish(b, &root, &levels, &e));
	holds(levels >= 1 && levels <= FORMAT_LEVELS_MAX);
	for (size_t i = 0; i < m.n; i++) {
		for (size_t k = 0; k < m.leaves[i]->nrecords; k++, n++) {
			holds(n < l->nrecords);
			same_record(&l->records[n], l, &m.leaves[i]->records[k], m.leaves[i]);
		}
		leaf_unref(m.leaves[i]);
	}
	holds(n == l->nrecords);
	tree_builder_free(b);
}

static void leaf(const uint8_t *p, size_t n, const struct domain_keys *domain)
{
	struct leaf *l;
	struct err e = ERR_INIT;

	if (tree_leaf_decode(p, n, &l, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
		return;
	}
	holds(l->nrecords > 0 && l->nrecords <= FORMAT_NODE_ITEMS_MAX);
	for (size_t i = 0; i < l->nchunks; i++)
		check_ref(&l->chunks[i]);
	for (size_t i = 0; i < l->nrecords; i++)
		check_record(l, i);
	if (ids_unique(l))
		build_again(l, domain);
	leaf_unref(l);
}

static void inner(const uint8_t *p, size_t n)
{
	struct inner *in;
	struct err e = ERR_INIT;

	if (tree_inner_decode(p, n, &in, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
		return;
	}
	holds(in->level > 0 && in->level < FORMAT_LEVELS_MAX && in->n > 0);
	for (size_t i = 0; i < in->n; i++) {
		const struct tree_child *c = &in->children[i];

		check_ref(&c->ref);
		holds(c->ref.kind == CHUNK_NODE && c->path_len <= FORMAT_PATH_MAX);
		int order = i ? source_path_cmp(c[-1].path, c[-1].path_len, c->path, c->path_len)
		              : -1;
		holds(order < 0 || (order == 0 && c[-1].position < c->position));
	}
	inner_free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct domain_keys *domain;

	if (!domain) {
		struct keys *k = fuzz_reader();

		domain = fuzz_domain(k);
		keys_free(k);
	}
	if (size > 64 * KIB)
		return 0;
	leaf(data, size, domain);
	inner(data, size);
	return 0;
}
