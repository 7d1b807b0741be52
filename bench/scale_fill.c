/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills the repository of bench/scale.h: for each volume a session with a restore point, whose
 * files have FILE_CHUNKS chunks each. Trees, packs of nodes, index segments and commits are made by
 * the product's own encoders.
 */
#include "bench/scale.h"

#include <string.h>
#include <sys/stat.h>

#include "common/now.h"
#include "repo/compress.h"
#include "repo/segment.h"
#include "repo/session.h"
#include "repo/tree.h"

#define FILE_CHUNKS 32
#define DIR_FILES 1000
#define NODE_PACK_BYTES (16 * MIB) /* of payload */
#define ZSTD_LEVEL 3

struct filling {
	const struct repo *repo;
	const struct scale_shape *shape;
	const struct scale_store *store;
	struct domain_keys *domain; /* owned */
	struct crypt_hasher hasher;
	struct crypt_box *box;     /* owned */
	struct crypt_scrub *scrub; /* owned; of the pack under way */
	struct compress *z;        /* owned */
	struct pack_build *build;  /* owned; a pack of nodes */
	struct buf packed;
	struct segment_writer *index; /* owned; of the volume under way */
	struct tree_builder *tree;    /* owned */
	/* the file under way */
	struct chunk_ref refs[FILE_CHUNKS];
	unsigned nrefs;
	uint64_t files, dirs, bytes;
};

static void filling_clear(struct filling *f)
{
	tree_builder_free(f->tree);
	segment_writer_free(f->index);
	pack_build_free(f->build);
	compress_free(f->z);
	crypt_scrub_free(f->scrub);
	crypt_box_free(f->box);
	buf_clear(&f->packed);
	secret_free(f->domain);
}

/* ---- tree nodes ---- */

static int begin_pack(struct filling *f, struct err *e)
{
	const uint8_t cipher = f->repo->params.cipher;

	if (!f->build)
		f->build = pack_build_new(f->repo->keys, f->domain, CHUNK_NODE, cipher,
		                          NODE_PACK_BYTES + 2 * FORMAT_CHUNK_MAX, e);
	else if (pack_build_again(f->build, e) < 0)
		return -1;
	if (!f->build)
		return -1;
	crypt_scrub_free(f->scrub);
	f->scrub = crypt_scrub_new(cipher, f->domain->scrub, f->build->id);
	if (!f->scrub)
		return err_set(e, ERR_NOMEM, "no memory for a pack");
	crypt_box_key(f->box, f->build->dek);
	return 0;
}

static int end_pack(struct filling *f, struct err *e)
{
	struct pack_build *b = f->build;
	struct segment_pack pack = { .kind = CHUNK_NODE };
	char name[PACK_KEY_MAX];

	if (b->n == 0)
		return 0;
	if (pack_build_finish(b, e) < 0)
		return -1;
	auto_free struct chunk_ref *refs = calloc(b->n, sizeof(*refs));
	if (!refs)
		return err_set(e, ERR_NOMEM, "no memory for the index of a pack");
	for (size_t i = 0; i < b->n; i++)
		segment_ref_of(&b->entries[i], b->id, &refs[i]);
	memcpy(pack.id, b->id, sizeof(pack.id));
	pack.len = b->len;
	pack_key_name(name, b->id, CHUNK_NODE);
	struct iovec iov = { .iov_base = b->data, .iov_len = b->len };
	if (store_put(f->repo->store, name, &iov, 1, e) < 0 ||
	    segment_add(f->index, &pack, refs, b->n, e) < 0)
		return -1;
	return begin_pack(f, e);
}

static int put_node(void *arg, const uint8_t *plain, size_t n, struct chunk_ref *ref, struct err *e)
{
	struct filling *f = arg;

	buf_reset(&f->packed);
	if (buf_reserve(&f->packed, compress_bound(n)) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a tree node");
	size_t packed = compress_chunk(f->z, ZSTD_LEVEL, plain, n, f->packed.data,
	                               compress_bound(n));
	crypt_chunk_id(&f->hasher, plain, n, ref->id, NULL);
	ref->plain = (uint32_t)n;
	ref->compression = packed ? COMPRESSION_ZSTD : COMPRESSION_NONE;
	const uint8_t *in = packed ? f->packed.data : plain;
	size_t len = packed ? packed : n;
	size_t at = pack_build_reserve(f->build, ref, len + FORMAT_TAG_BYTES);
	if (pack_build_seal(f->build, f->box, f->scrub, at, ref, in, len) < 0)
		return err_set(e, ERR_BUG, "a tree node cannot be sealed");
	return f->build->payload >= NODE_PACK_BYTES ? end_pack(f, e) : 0;
}

/* ---- records ---- */

static int add_dir(struct filling *f, const char *path, struct err *e)
{
	struct record r = {
		.path = path,
		.path_len = strlen(path),
		.st = { .mode = S_IFDIR | 0755, .nlink = 2, .ino = 1 + f->files + f->dirs++ },
	};

	return tree_builder_add(f->tree, &r, NULL, NULL, e);
}

/* A file of the chunks that were gathered. */
static int add_file(struct filling *f, struct err *e)
{
	struct extent extents[FILE_CHUNKS];
	char path[64];
	struct record r = {
		.path = path,
		.st = { .mode = S_IFREG | 0644, .nlink = 1, .ino = 1 + f->files + f->dirs },
		.extents = extents,
		.nextents = f->nrefs,
	};

	if (f->nrefs == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "d%08llu", (unsigned long long)(f->files / DIR_FILES));
	if (f->files % DIR_FILES == 0 && add_dir(f, path, e) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "d%08llu/f%011llu",
	               (unsigned long long)(f->files / DIR_FILES), (unsigned long long)f->files);
	r.path_len = strlen(path);
	for (unsigned i = 0; i < f->nrefs; i++) {
		extents[i] = (struct extent){ .chunk = i, .len = f->refs[i].plain };
		r.st.size += f->refs[i].plain;
	}
	f->bytes += r.st.size;
	f->files++;
	f->nrefs = 0;
	return tree_builder_add(f->tree, &r, NULL, f->refs, e);
}

static int add_pack(struct filling *f, uint64_t number, struct err *e)
{
	struct chunk_ref refs[SCALE_PER_PACK];
	struct segment_pack pack = { .kind = CHUNK_DATA };

	pack.len = scale_store_refs(f->store, number, refs);
	memcpy(pack.id, refs[0].pack, sizeof(pack.id));
	if (segment_add(f->index, &pack, refs, SCALE_PER_PACK, e) < 0)
		return -1;
	for (unsigned i = 0; i < SCALE_PER_PACK; i++) {
		if (!scale_is_live(f->shape, number * SCALE_PER_PACK + i))
			continue;
		f->refs[f->nrefs++] = refs[i];
		if (f->nrefs == FILE_CHUNKS && add_file(f, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- volumes ---- */

static int fill_point(struct filling *f, struct point *p, uint64_t from, uint64_t to, struct err *e)
{
	const struct tree_sink sink = { .put = put_node, .arg = f };
	const struct segment_writer_params params = {
		.store = f->repo->store,
		.keys = f->repo->keys,
		.domain = f->domain,
		.session = p->session,
	};

	f->files = f->dirs = f->bytes = 0;
	f->tree = tree_builder_new(f->domain, &sink);
	if (!f->tree)
		return err_set(e, ERR_NOMEM, "no memory for a tree");
	if (segment_writer_new(&params, &f->index, e) < 0 || add_dir(f, "", e) < 0)
		return -1;
	for (uint64_t i = from; i < to; i++) {
		if (add_pack(f, i, e) < 0)
			return -1;
	}
	if (add_file(f, e) < 0 || tree_builder_finish(f->tree, &p->root, &p->levels, e) < 0 ||
	    end_pack(f, e) < 0 || segment_flush(f->index, e) < 0)
		return -1;
	segment_names(f->index, &p->index, &p->nindex);
	segment_writer_free(STEAL(&f->index));
	tree_builder_free(STEAL(&f->tree));
	p->files = f->files;
	p->directories = f->dirs;
	p->bytes_logical = f->bytes;
	return 0;
}

static int fill_volume(struct filling *f, uint64_t number, struct err *e)
{
	CLEANUP(point_clear) struct point p = { .sequence = 1 };
	uint64_t packs = scale_packs(f->shape);

	(void)snprintf(p.volume.name, sizeof(p.volume.name), "v%04llu", (unsigned long long)number);
	(void)snprintf(p.domain, sizeof(p.domain), "%s", SCALE_DOMAIN);
	(void)snprintf(p.consistency, sizeof(p.consistency), "crash");
	(void)snprintf(p.driver, sizeof(p.driver), "live");
	p.config = f->repo->params.revision;
	p.started_ns = p.frozen_ns = now_wall_ns();
	if (session_begin(f->repo, &p.volume, p.domain, p.session, e) < 0)
		return -1;
	memcpy(p.id, p.session + POINT_SESSION_RANDOM, sizeof(p.id));
	if (fill_point(f, &p, packs * number / f->shape->volumes,
	               packs * (number + 1) / f->shape->volumes, e) < 0)
		return -1;
	p.finished_ns = now_wall_ns();
	return session_commit(f->repo, &p, e);
}

int scale_fill(const struct repo *r, const struct scale_shape *shape, const struct scale_store *s,
               struct err *e)
{
	CLEANUP(filling_clear)
	struct filling f = {
		.repo = r,
		.shape = shape,
		.store = s,
		.packed = BUF_INIT(2 * FORMAT_CHUNK_MAX),
	};

	f.z = compress_new();
	f.box = crypt_box_new(r->params.cipher);
	if (!f.z || !f.box)
		return err_set(e, ERR_NOMEM, "no memory to fill a repository");
	if (keys_domain(r->keys, SCALE_DOMAIN, &f.domain, e) < 0 || begin_pack(&f, e) < 0)
		return -1;
	crypt_hasher_init(&f.hasher, f.domain->node);
	for (uint64_t i = 0; i < shape->volumes; i++) {
		if (fill_volume(&f, i, e) < 0)
			return err_wrap(e, "filling volume %llu", (unsigned long long)i);
	}
	return 0;
}
