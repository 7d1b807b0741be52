/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees of nodes that contradict each other: wrong levels, keys that are not
 * those of what is below, the same node in many places. The input is lines:
 * "L" begins a leaf, whose records follow (fuzz_craft.h); "I" and a digit an
 * inner node of that level, whose children follow, as ">NODE PATH", where NODE
 * is the letter of one before it (a: the first); "R" and a digit give the
 * levels that the point tells. The last node is the root. Whoever walks comes
 * to an end, sees each path once, in order, and sees the same by way of a local
 * copy of the pack, whatever was done to that.
 */
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "repo/check.h"
#include "repo/session.h"
#include "tests/fuzz/fuzz_craft.h"

#define NODES_MAX 12
#define CHILDREN_MAX 24
#define RECORDS_MAX 4000 /* more than NODES_MAX leaves have, each once */

struct nodes_made {
	struct craft c;
	struct chunk_ref refs[NODES_MAX];
	uint8_t levels[NODES_MAX];
	size_t n;
	unsigned told; /* levels of the point; 0: as many as the root has */
};

/* ---- making ---- */

static void add_node(struct nodes_made *m, const struct buf *b, uint8_t level)
{
	if (m->n == NODES_MAX || b->len == 0 || b->len > 16 * KIB)
		return;
	craft_store(&m->c, CHUNK_NODE, b->data, b->len, &m->refs[m->n]);
	m->levels[m->n++] = level;
}

static void add_leaf(struct nodes_made *m, const uint8_t *p, size_t n)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);

	craft_leaf(m->c.domain, p, n, &b);
	add_node(m, &b, 0);
}

static void put_child(struct buf *b, const struct chunk_ref *r, const uint8_t *path, size_t n)
{
	(void)buf_uvar(b, 0);
	(void)buf_bytes(b, path, n);
	(void)buf_uvar(b, 0);
	(void)buf_put(b, r->id, sizeof(r->id));
	(void)buf_uvar(b, 0);
	(void)buf_uvar(b, r->off);
	(void)buf_uvar(b, r->stored);
	(void)buf_uvar(b, r->plain);
	(void)buf_uvar(b, r->counter);
	(void)buf_uvar(b, r->key);
	(void)buf_u8(b, r->compression);
	(void)buf_uvar(b, n + 1); /* records and bytes below, whatever they are */
	(void)buf_uvar(b, 1000 * n);
}

/* The inner node of lines ">NODE PATH". */
static void add_inner(struct nodes_made *m, uint8_t level, const uint8_t *p, size_t n)
{
	CLEANUP(buf_clear) struct buf children = BUF_INIT(MIB);
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MIB);
	const uint8_t *line;
	size_t len;
	size_t count = 0;

	while (count < CHILDREN_MAX && fuzz_piece(&p, &n, '\n', &line, &len)) {
		if (len < 3 || line[0] != '>' || line[1] < 'a' || line[1] - 'a' >= (int)m->n)
			continue;
		put_child(&children, &m->refs[line[1] - 'a'], line + 3, len - 3);
		count++;
	}
	(void)buf_u8(&b, 1);
	(void)buf_u8(&b, level);
	(void)buf_uvar(&b, 1);
	(void)buf_put(&b, m->c.build[CHUNK_NODE]->id, FORMAT_PACK_ID_BYTES);
	(void)buf_uvar(&b, count);
	(void)buf_put(&b, children.data, children.len);
	holds(!b.failed && !children.failed);
	add_node(m, &b, level);
}

/* The length of what follows up to the next line that begins a node. */
static size_t body_len(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++) {
		if (p[i] == '\n' && (p[i + 1] == 'L' || p[i + 1] == 'I' || p[i + 1] == 'R'))
			return i + 1;
	}
	return n;
}

static void make_nodes(struct nodes_made *m, const uint8_t *p, size_t n)
{
	const uint8_t *line;
	size_t len;

	while (fuzz_piece(&p, &n, '\n', &line, &len)) {
		size_t body = n > 0 && p[0] != 'L' && p[0] != 'I' && p[0] != 'R' ? body_len(p, n)
		                                                                 : 0;

		if (len > 0 && line[0] == 'L')
			add_leaf(m, p, body);
		else if (len > 1 && line[0] == 'I')
			add_inner(m, line[1] & 15, p, body);
		else if (len > 1 && line[0] == 'R')
			m->told = line[1] & 15;
		p += body;
		n -= body;
	}
}

/* ---- walking ---- */

/* The number of records and of errors. */
static size_t walk(const struct repo *r, const struct point *p)
{
	auto_tree struct tree *t = NULL;
	const struct record *x = NULL;
	struct leaf *leaf;
	char last[FORMAT_PATH_MAX + 1] = "";
	size_t last_len = 0;
	uint64_t last_position = 0;
	size_t n = 0;
	uint64_t records;
	uint64_t bytes;
	struct err e = ERR_INIT;

	works(tree_open(r, p, &t, &e));
	for (;;) {
		holds(n++ < RECORDS_MAX);
		if (tree_next(t, &x, &leaf, &e) < 0) {
			fuzz_refused(&e, FUZZ_BAD | FUZZ_CLASS(ERR_NOT_FOUND));
			e = ERR_INIT;
			if (!tree_skip_damaged(t))
				break;
			continue;
		}
		if (!x)
			break;
		int order = source_path_cmp(last, last_len, x->path, x->path_len);
		holds(n == 1 || order < 0 || (order == 0 && last_position <= x->position));
		memcpy(last, x->path, x->path_len);
		last_len = x->path_len;
		last_position = x->position;
	}
	if (tree_totals(t, &records, &bytes, &e) < 0)
		fuzz_refused(&e, FUZZ_BAD | FUZZ_CLASS(ERR_NOT_FOUND));
	return n;
}

static void look_up(const struct repo *r, const struct point *p)
{
	static const char *const paths[] = { "", "a", "a/b", "b", "zz" };
	auto_tree struct tree *t = NULL;
	struct err e = ERR_INIT;

	works(tree_open(r, p, &t, &e));
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		const struct record *x;
		struct leaf *leaf;

		if (tree_lookup(t, paths[i], strlen(paths[i]), &x, &leaf, &e) == 0)
			holds(strcmp(x->path, paths[i]) == 0);
		else
			fuzz_refused(&e, FUZZ_BAD | FUZZ_CLASS(ERR_NOT_FOUND));
		e = ERR_INIT;
	}
}

static int problem(void *arg, const struct check_problem *p, struct err *e)
{
	(void)e;
	(void)arg;
	holds(*p->object && *p->text);
	return 0;
}

static int hurt(void *arg, const struct check_hurt *h, struct err *e)
{
	(void)e;
	(void)arg;
	holds(*h->session && h->path);
	return 0;
}

static void check(const struct repo *r)
{
	const struct check_params params = {
		.level = 4, .threads = 1, .problem = problem, .hurt = hurt
	};
	struct check_result result;
	struct err e = ERR_INIT;

	works(check_run(r, &params, &result, &e));
	holds(result.points == 1);
}

/* Changes the byte of each local copy that `at` chooses; at 0: takes the copies away. */
static void copies_spoil(const char *state, size_t at)
{
	auto_free char *path = path_join(state, "meta");
	DIR *d = opendir(path);

	for (const struct dirent *x; d && (x = readdir(d));) {
		if (x->d_name[0] == '.')
			continue;
		if (at == 0) {
			holds(unlinkat(dirfd(d), x->d_name, 0) == 0);
			continue;
		}
		auto_close int fd = openat(dirfd(d), x->d_name, O_RDWR | O_CLOEXEC);
		struct stat st;
		uint8_t byte;
		holds(fd >= 0 && fstat(fd, &st) == 0);
		off_t off = (off_t)(at * 37) % st.st_size;
		holds(pread(fd, &byte, 1, off) == 1);
		byte ^= 0x40;
		holds(pwrite(fd, &byte, 1, off) == 1);
	}
	if (d)
		(void)closedir(d);
}

/* With a store that is far away, so that copies are kept here. */
static void walk_copies(const struct repo *r, const struct point *p, size_t at)
{
	struct repo far = *r;
	const unsigned caps = r->store->caps;

	(void)snprintf(far.state, sizeof(far.state), "%s", fuzz_dir());
	far.store->caps &= ~(unsigned)STORE_CAP_LOCAL;
	size_t n = walk(&far, p);
	copies_spoil(far.state, at);
	holds(walk(&far, p) == n);
	copies_spoil(far.state, 0);
	far.store->caps = caps;
	holds(walk(r, p) == n);
}

static void visit(const struct repo *r, struct point *p, size_t how)
{
	static const struct point_volume volume = { .name = FUZZ_VOLUME };
	struct err e = ERR_INIT;

	(void)walk(r, p);
	look_up(r, p);
	if (how & 1)
		walk_copies(r, p, how);
	if ((how & 7) != 0)
		return;
	p->volume = volume;
	p->sequence = 1;
	memcpy(p->id, FUZZ_RANDOM, sizeof(FUZZ_RANDOM));
	(void)snprintf(p->consistency, sizeof(p->consistency), "crash");
	works(session_commit(r, p, &e));
	check(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repo r;
	struct nodes_made m = { .n = 0 };

	if (!r.store)
		r = fuzz_repo_new();
	if (size > 16 * KIB)
		return 0;
	craft_begin(&m.c, &r);
	make_nodes(&m, data, size);
	craft_end(&m.c);
	if (m.n > 0) {
		struct point p = { .session = FUZZ_SESSION, .domain = "fuzz" };

		p.root = m.refs[m.n - 1];
		p.levels = m.told ? m.told : m.levels[m.n - 1] + 1U;
		visit(&r, &p, size);
	}
	fuzz_empty(r.store);
	return 0;
}
