/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, packs, index, points and sessions when memory is short or the local
 * disk fails: the Nth call fails, for every N, alone and with all after it.
 * What must work says so with an error; what only helps (the local index, the
 * memory of points) is done without. Nothing leaks; nothing wrong comes out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "common/fd.h"
#include "repo/adopt.h"
#include "repo/compress.h"
#include "repo/expiry.h"
#include "repo/index.h"
#include "repo/pack.h"
#include "tests/harness/segment_kit.h"
#include "tests/harness/syshook.h"
#include "tests/unit/repo/repo_fixture.h"

/* Which call fails. */
static struct plan {
	bool armed;
	unsigned nth;  /* counted from 0 */
	bool all;      /* and all calls after it */
	unsigned seen; /* calls so far */
	bool fired;
} plan;

/* True when this call is to fail. One thread at a time, or counted loosely. */
static bool fails_now(void)
{
	if (!plan.armed)
		return false;
	unsigned n = __atomic_fetch_add(&plan.seen, 1, __ATOMIC_RELAXED);
	if (n != plan.nth && !(plan.all && n > plan.nth))
		return false;
	plan.fired = true;
	return true;
}

static int hook(void *arg, enum syshook_call call, int flags)
{
	(void)arg;
	(void)flags;
	return fails_now() ? (call == HOOK_ALLOC ? ENOMEM : EIO) : 0;
}

void *__real_secret_new(size_t n);
void *__wrap_secret_new(size_t n);
void *__wrap_secret_new(size_t n)
{
	return fails_now() ? NULL : __real_secret_new(n);
}

void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	if (!fails_now())
		return __real_mmap(at, n, prot, flags, fd, off);
	errno = ENOMEM;
	return MAP_FAILED;
}

int __real_fallocate(int fd, int mode, off_t off, off_t n);
int __wrap_fallocate(int fd, int mode, off_t off, off_t n);
int __wrap_fallocate(int fd, int mode, off_t off, off_t n)
{
	if (!fails_now())
		return __real_fallocate(fd, mode, off, n);
	errno = ENOSPC;
	return -1;
}

int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	if (!fails_now())
		return __real_renameat(from_dir, from, to_dir, to);
	errno = EIO;
	return -1;
}

int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
	return fails_now() ? EAGAIN : __real_pthread_create(ret, attr, fn, arg);
}

/*
 * ALONE: one call fails. ALSO_ALL: then, one and all after it; not for what
 * reads JSON, because jansson ends the process when it has no memory at all.
 */
enum modes { ALONE = 1, ALSO_ALL = 2 };

/*
 * Runs op with each call failing in turn, until none is left to fail. op
 * returns -1 with e, or 0 when all it gave was right. least: calls there are.
 */
static void for_each_failure(int (*op)(void *arg, struct err *e), void *arg, unsigned least,
                             enum modes modes)
{
	for (int all = 0; all < (int)modes; all++) {
		unsigned nth = 0;

		for (;; nth++) {
			struct err e = ERR_INIT;

			plan = (struct plan){ .armed = true, .nth = nth, .all = all };
			syshook_set(hook, NULL);
			int r = op(arg, &e);
			syshook_set(NULL, NULL);
			plan.armed = false;
			if (!plan.fired) {
				if (r < 0)
					fail_msg("it fails unharmed: %s", e.msg);
				break;
			}
			if (r < 0 && (e.class == ERR_NONE || !e.msg[0]))
				fail_msg("call %u: an error that says nothing", nth);
			if (r == 0 && e.class != ERR_NONE)
				fail_msg("call %u: success with an error: %s", nth, e.msg);
		}
		assert_true(nth >= least);
	}
}

/* ---- keys ---- */

static int op_generate(void *arg, struct err *e)
{
	auto_keys struct keys *recovery = NULL;
	auto_keys struct keys *agent = NULL;
	auto_keys struct keys *audit = NULL;

	(void)arg;
	return keys_generate(&recovery, &agent, &audit, e);
}

static int op_load(void *arg, struct err *e)
{
	const struct repo_fixture *f = arg;
	static const char *const names[] = { "recovery.key", "agent.key", "audit.key" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_keys struct keys *k = NULL;
		char path[512];

		(void)snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		if (keys_load(path, NULL, &k, e) < 0)
			return -1;
	}
	return 0;
}

static int op_save(void *arg, struct err *e)
{
	const struct fixture *f = arg;
	const char *dir = getenv("TMPDIR");
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/aksdr-key-%d", dir ? dir : "/tmp", (int)getpid());
	(void)unlink(path);
	int r = keys_save(f->agent, path, NULL, e);
	(void)unlink(path);
	return r;
}

static int op_domain(void *arg, struct err *e)
{
	const struct fixture *f = arg;
	struct domain_keys *d = NULL;

	int r = keys_domain(f->agent, "d", &d, e);
	secret_free(d);
	return r;
}

static void test_keys__any_call_may_fail(void **state)
{
	auto_repo_fixture struct repo_fixture r = repo_fixture_new();
	auto_fixture struct fixture f = fixture_new();

	(void)state;
	for_each_failure(op_generate, NULL, 9, ALSO_ALL);
	for_each_failure(op_load, &r, 9, ALSO_ALL);
	for_each_failure(op_save, &f, 4, ALSO_ALL);
	for_each_failure(op_domain, &f, 1, ALSO_ALL);
}

/* ---- repository and points ---- */

static int op_init(void *arg, struct err *e)
{
	static const char *const names[] = { "recovery.key", "agent.key", "audit.key" };
	auto_store struct store *s = store_mem_new(e);
	char path[512];

	if (!s)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/keys", (const char *)arg);
	int r = repo_init(s, path, NULL, e);
	syshook_set(NULL, NULL);
	plan.armed = false;
	/* When nothing works any more, taking files back does not either. */
	if (r < 0 && !plan.all && file_exists(arg, "keys") && count_files(path) > 0)
		fail_msg("key files are left: %s", e->msg);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char file[600];

		(void)snprintf(file, sizeof(file), "%s/%s", path, names[i]);
		if (unlink(file) < 0 && r == 0)
			fail_msg("no '%s'", names[i]);
	}
	if (file_exists(arg, "keys"))
		tmpdir_remove(strdup(path));
	return r;
}

static int op_open(void *arg, struct err *e)
{
	const struct repo_fixture *f = arg;
	auto_repo struct repo *r = NULL;
	struct keys *k = NULL;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/recovery.key", f->dir);
	if (keys_load(path, NULL, &k, e) < 0)
		return -1;
	return repo_open(f->store, k, f->dir, NULL, &r, e);
}

static int op_session(void *arg, struct err *e)
{
	const struct repo *r = arg;
	CLEANUP(point_clear)
	struct point p = {
		.volume = { .name = "data" },
		.domain = "test",
		.sequence = 1,
		.consistency = "crash",
		.root = { .off = 158, .stored = 116, .plain = 100 },
		.levels = 1,
	};

	if (session_begin(r, &p.volume, "test", p.session, e) < 0)
		return -1;
	memcpy(p.id, p.session + POINT_SESSION_RANDOM, sizeof(p.id));
	if (point_problem_add(&p, "a", 1, "gone") < 0)
		return err_set(e, ERR_NOMEM, "no memory for a problem");
	return session_commit(r, &p, e);
}

static int op_find(void *arg, struct err *e)
{
	const struct repo *r = arg;
	static const char *const texts[] = { "data", "west/shop/data@00000001", "data@2027-01-01",
		                             "data@0000" };
	static const uint64_t want[] = { 2, 1, 2, 0 };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(point_clear) struct point p = { 0 };
		struct err why = ERR_INIT;

		if (repo_find(r, texts[i], &p, &why) == 0) {
			if (p.sequence != want[i])
				fail_msg("'%s' gave %llu", texts[i],
				         (unsigned long long)p.sequence);
		} else if (want[i] || why.class != ERR_NOT_FOUND) {
			*e = why;
			return -1;
		}
	}
	return 0;
}

static void test_repo__any_call_may_fail(void **state)
{
	static const struct made first = { "west", "shop", "data", 1, 1000, NULL };
	static const struct made second = { "west", "shop", "data", 2, 2000, NULL };
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_tmpdir char *dir = tmpdir_new();
	auto_repo struct repo *with_state = open_repo(&f, "agent.key", dir);
	auto_repo struct repo *without = open_repo(&f, "agent.key", NULL);

	(void)state;
	for (unsigned i = 1; i <= 2; i++) {
		struct made m = i == 1 ? first : second;
		char session[96];

		session_on(without, &m, "2026-11-22", i, session);
		m.session = session;
		make_point(without, &m, NULL);
	}
	for_each_failure(op_find, without, 10, ALONE);
	for_each_failure(op_find, with_state, 10, ALONE);
	for_each_failure(op_init, dir, 10, ALONE);
	for_each_failure(op_open, &f, 10, ALONE);
	for_each_failure(op_session, without, 10, ALONE);
}

/* ---- index ---- */

#define SESSION "2026-11-22/03fa41b2c19de077-5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0"

struct index_world {
	struct fixture f;
	char *state_dir; /* NULL: none */
	char key[128];   /* of the segment that is written */
};

static struct chunk_ref ref_of(uint32_t n)
{
	struct chunk_ref r = { .off = 1000, .stored = 116, .plain = 100, .counter = n };

	fill_random(n, r.id, sizeof(r.id));
	fill_random(n / 10, r.pack, sizeof(r.pack));
	return r;
}

static uint64_t pack_size(void *arg, const uint8_t pack[16])
{
	(void)arg;
	(void)pack;
	return 4096;
}

/* Looks for the chunks 0 .. n: what is found is right; at least `least` are. */
static void check_found(struct index *x, uint32_t n, uint32_t least)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct chunk_ref want = ref_of(i);
		struct chunk_ref got;

		if (!index_lookup(x, want.id, &got))
			continue;
		found++;
		if (memcmp(&want.pack, &got.pack, 16) != 0 || want.counter != got.counter)
			fail_msg("chunk %u has another place", i);
	}
	if (found < least)
		fail_msg("%u chunks found, %u are there", found, least);
}

/* Makes everything as it was before the session. */
static void forget_session(const struct index_world *w, struct index *x, char **names, size_t n)
{
	syshook_set(NULL, NULL);
	plan.armed = false;
	index_free(x);
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	object_delete(w->f.store, w->key);
	if (w->state_dir && file_exists(w->state_dir, "idx"))
		tmpdir_remove(path_join(w->state_dir, "idx"));
}

static int op_index(void *arg, struct err *e)
{
	const struct index_world *w = arg;
	struct chunk_ref room[50]; /* so that the test itself allocates nothing */
	struct segment_refs l = { .v = room, .cap = ARRAY_LEN(room) };
	struct index *x = NULL;
	char **names = NULL;
	size_t nnames = 0;

	int r = index_open(w->f.store, w->f.agent, w->f.domain, w->state_dir, NULL, NULL, &x, e);
	if (r == 0) {
		check_found(x, 30, 30); /* of the sessions before */
		for (uint32_t i = 1000; i < 1050; i++) {
			struct chunk_ref ref = ref_of(i);
			struct chunk_ref got;

			if (index_claim(x, ref.id, &got))
				index_add(x, &ref);
			segment_refs_add(&l, &ref);
		}
		r = segment_refs_write(w->f.store, w->f.agent, w->f.domain, SESSION "f", &l,
		                       pack_size, NULL, x, &names, &nnames, e);
	}
	forget_session(w, x, names, nnames);
	return r;
}

static void write_first(struct index_world *w)
{
	struct err e = ERR_INIT;

	for (uint32_t s = 0; s < 3; s++) {
		CLEANUP(segment_refs_clear) struct segment_refs l = { 0 };
		char session[96];
		char **names = NULL;
		size_t n = 0;

		for (uint32_t i = 0; i < 10; i++) {
			struct chunk_ref r = ref_of(s * 10 + i);

			segment_refs_add(&l, &r);
		}
		(void)snprintf(session, sizeof(session), SESSION "%u", s);
		if (segment_refs_write(w->f.store, w->f.agent, w->f.domain, session, &l, pack_size,
		                       NULL, NULL, &names, &n, &e) < 0)
			harness_die("%s", e.msg);
		for (size_t i = 0; i < n; i++)
			free(names[i]);
		free(names);
	}
}

static void test_index__any_call_may_fail(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	char *const dirs[] = { NULL, dir };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		struct index_world w = { .f = fixture_new(), .state_dir = dirs[i] };

		(void)snprintf(w.key, sizeof(w.key), "idx/%s/" SESSION "f-0000",
		               w.f.domain->tag_hex);
		write_first(&w);
		for_each_failure(op_index, &w, 20, ALSO_ALL);
		fixture_clear(&w.f);
	}
}

/* ---- sessions, statements, collections ---- */

static int delete_item(void *arg, const struct store_item *item, struct err *e)
{
	return store_delete(arg, item->key, e);
}

/* No call fails any more; what lies below these prefixes is forgotten. */
static void forget(struct store *s, const char *const *prefixes, size_t n)
{
	struct err e = ERR_INIT;

	syshook_set(NULL, NULL);
	plan.armed = false;
	for (size_t i = 0; i < n; i++) {
		if (store_list(s, prefixes[i], NULL, delete_item, s, &e) < 0)
			harness_die("%s", e.msg);
	}
}

static const struct point_volume some_volume = { .name = "data" };

static int run_sessions(const struct repo *r, struct err *e)
{
	char one[] = "idx/0123456789abcdef/x-0000";
	char *const segments[] = { one };
	char maintenance[96];
	char backup[96];
	struct session_info info;
	enum session_end end;
	char **names = NULL;
	size_t n = 0;

	if (session_begin_maintenance(r, "index", maintenance, e) < 0 ||
	    session_commit_index(r, maintenance, "index", segments, 1, e) < 0 ||
	    session_segments(r, maintenance, &names, &n, e) < 0)
		return -1;
	if (n != 1 || strcmp(names[0], one) != 0)
		fail_msg("other segments");
	free(names[0]);
	free(names);
	if (session_begin(r, &some_volume, "test", backup, e) < 0 ||
	    session_beat(r, backup, 1, e) < 0 || session_info(r, backup, &info, e) < 0 ||
	    session_abort(r, backup, "test", &end, e) < 0)
		return -1;
	if (strcmp(info.domain, "test") != 0 || end != SESSION_ABORTED)
		fail_msg("another end");
	return session_abort_verify(r, backup, e);
}

static int op_sessions(void *arg, struct err *e)
{
	static const char *const prefixes[] = { "sess/", "commit/" };
	const struct repo *r = arg;
	int rc = run_sessions(r, e);

	forget(r->store, prefixes, ARRAY_LEN(prefixes));
	return rc;
}

#define POINT "2026-11-22/03fa41b2c19de077-1a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"
#define HELD "2026-11-22/03fa41b2c19de077-2a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"

static int run_statements(const struct repo *r, struct err *e)
{
	static const struct expiry_point points[] = { { POINT, "old" }, { HELD, "old" } };
	CLEANUP(expiry_clear) struct expiry x = { 0 };
	uint64_t n;
	char pin[NOTE_KEY_MAX];

	if (expiry_put_hold(r, HELD, NULL, "reason", "name", &n, e) < 0 ||
	    expiry_put_hold(r, NULL, &some_volume, "reason", "name", &n, e) < 0 ||
	    expiry_put_release(r, n, "reason", "name", &n, e) < 0 ||
	    expiry_pin(r, POINT, pin, e) < 0 || expiry_unpin(r, pin, e) < 0 ||
	    expiry_put_tomb(r, "policy", points, 2, &n, e) < 0 || expiry_now(r, &x, e) < 0)
		return -1;
	if (expiry_of(&x, POINT) != EXPIRY_EXPIRED || expiry_of(&x, HELD) != EXPIRY_HELD || x.bad)
		fail_msg("statements were lost");
	return 0;
}

/* Something that has the name of a point, and is not opened. */
static void put_commit(const struct repo *r, const char *session)
{
	static uint8_t object[1000];
	struct iovec iov = { .iov_base = object, .iov_len = sizeof(object) };
	struct err e = ERR_INIT;
	char key[NOTE_KEY_MAX];

	(void)snprintf(key, sizeof(key), "commit/%s", session);
	if (store_put(r->store, key, &iov, 1, &e) < 0)
		harness_die("%s", e.msg);
}

static int op_statements(void *arg, struct err *e)
{
	static const char *const prefixes[] = { "tomb/", "hold/", "pin/" };
	const struct repo *r = arg;
	int rc = run_statements(r, e);

	forget(r->store, prefixes, ARRAY_LEN(prefixes));
	return rc;
}

/* Chunk i of a pack, each at a place of its own. */
static struct chunk_ref fenced_ref(uint32_t i)
{
	struct chunk_ref r = ref_of(i);

	r.off = 200 + i % 10 * 150;
	return r;
}

/* A fenced session with two packs of 10 chunks, of which one is condemned and one place damaged. */
static void write_fenced(const struct repo *r, const struct domain_keys *domain, char voltag[17])
{
	CLEANUP(segment_refs_clear) struct segment_refs l = { 0 };
	CLEANUP(collection_list_clear) struct collection_list condemned = { 0 };
	uint8_t object[4096] = { 0 };
	struct iovec iov = { .iov_base = object, .iov_len = sizeof(object) };
	enum session_end end;
	char session[96];
	char **names = NULL;
	size_t n = 0;
	struct err e = ERR_INIT;

	if (session_begin(r, &some_volume, "test", session, &e) < 0 ||
	    point_voltag(r->keys, &some_volume, voltag, &e) < 0)
		harness_die("%s", e.msg);
	for (uint32_t i = 0; i < 20; i++) {
		struct chunk_ref ref = fenced_ref(i);
		char name[PACK_KEY_MAX];

		segment_refs_add(&l, &ref);
		pack_key_name(name, ref.pack, ref.kind);
		if (i % 10 == 0 && store_put(r->store, name, &iov, 1, &e) < 0)
			harness_die("%s", e.msg);
	}
	struct chunk_ref gone = fenced_ref(15);
	struct chunk_ref bad = fenced_ref(3);
	struct place place = { .off = bad.off };
	memcpy(place.pack.id, bad.pack, sizeof(place.pack.id));
	if (segment_refs_write(r->store, r->keys, domain, session, &l, pack_size, NULL, NULL,
	                       &names, &n, &e) < 0 ||
	    session_abort(r, session, "test", &end, &e) < 0 ||
	    pack_list_add(&condemned.packs, CHUNK_DATA, gone.pack, &e) < 0 ||
	    collection_put(r, 1, COLLECTION_CONDEMN, &condemned, NULL, &e) < 0 ||
	    damage_put(r, &place, 1, &e) < 0)
		harness_die("%s", e.msg);
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

struct adopting {
	const struct repo *r;
	const struct domain_keys *domain;
	char voltag[17];
	char own[128]; /* what the segments of the session that adopts begin with */
};

static int run_adopt(const struct adopting *a, struct index **x, struct segment_writer **w,
                     struct view *v, struct err *e)
{
	const struct segment_writer_params p = { .store = a->r->store,
		                                 .keys = a->r->keys,
		                                 .domain = a->domain,
		                                 .session = SESSION "f" };
	uint64_t packs = 0;

	if (view_load(a->r, v, e) < 0 ||
	    index_open(a->r->store, a->r->keys, a->domain, NULL, v, NULL, x, e) < 0 ||
	    segment_writer_new(&p, w, e) < 0 ||
	    adopt_run(a->r, a->domain, v, *x, *w, a->voltag, &packs, e) < 0 ||
	    segment_flush(*w, e) < 0)
		return -1;
	if (packs != 1)
		fail_msg("%llu packs were adopted", (unsigned long long)packs);
	for (uint32_t i = 0; i < 20; i++) {
		struct chunk_ref got;

		/* without memory for it a chunk is stored again, and no harm done */
		if (index_lookup(*x, ref_of(i).id, &got) && (i == 3 || i >= 10))
			fail_msg("what is absent was taken");
	}
	return 0;
}

static int op_adopt(void *arg, struct err *e)
{
	const struct adopting *a = arg;
	const char *const prefixes[] = { a->own };
	struct index *x = NULL;
	struct segment_writer *w = NULL;
	CLEANUP(view_clear) struct view v = { 0 };
	int rc = run_adopt(a, &x, &w, &v, e);

	forget(a->r->store, prefixes, 1);
	segment_writer_free(w);
	index_free(x);
	return rc;
}

static void test_protocol__any_call_may_fail(void **state)
{
	auto_repo_fixture struct repo_fixture f = repo_fixture_new();
	auto_repo struct repo *r = open_repo(&f, "agent.key", NULL);
	struct adopting a = { .r = r };
	struct domain_keys *domain = NULL;
	struct err e = ERR_INIT;

	(void)state;
	for_each_failure(op_sessions, r, 50, ALONE);
	put_commit(r, POINT);
	put_commit(r, HELD);
	for_each_failure(op_statements, r, 50, ALONE);
	if (keys_domain(r->keys, "test", &domain, &e) < 0)
		harness_die("%s", e.msg);
	a.domain = domain;
	(void)snprintf(a.own, sizeof(a.own), "idx/%s/" SESSION "f", domain->tag_hex);
	write_fenced(r, domain, a.voltag);
	for_each_failure(op_adopt, &a, 30, ALONE);
	secret_free(domain);
}

/* ---- packs and chunks ---- */

static int op_pack(void *arg, struct err *e)
{
	const struct fixture *f = arg;
	struct pack_build *b = pack_build_new(f->agent, f->domain, CHUNK_DATA, CIPHER_XCHACHA20,
	                                      MIB, e);
	auto_free struct pack_entry *entries = NULL;
	struct pack_trailer t;
	size_t n;

	if (!b)
		return -1;
	int r = pack_build_finish(b, e);
	if (r == 0)
		r = pack_trailer_decode(b->data + b->len - FORMAT_TRAILER_BYTES, b->len, b->id,
		                        f->audit, &t, e);
	if (r == 0)
		r = pack_footer_decode(b->data + t.footer_off, t.footer_len, &t, b->id, f->audit,
		                       f->domain, &entries, &n, e);
	if (r == 0)
		r = pack_build_again(b, e);
	pack_build_free(b);
	return r;
}

static int op_tools(void *arg, struct err *e)
{
	const struct fixture *f = arg;
	struct compress *z = compress_new();
	struct crypt_box *box = crypt_box_new(CIPHER_AES256GCM);
	struct crypt_scrub *scrub = crypt_scrub_new(CIPHER_AES256GCM, f->domain->scrub,
	                                            f->agent->repo);
	static uint8_t in[100000];
	static uint8_t out[110000];
	static uint8_t back[100000];
	int r = z && box && scrub ? 0 : err_set(e, ERR_NOMEM, "no memory");

	/* memory that is short while compressing costs a frame, at worst */
	for (unsigned i = 0; r == 0 && i < 5; i++) {
		size_t len = compress_chunk(z, 3, in, sizeof(in), out, sizeof(out));

		if (len > 0 && compress_expand(z, out, len, back, sizeof(back)) < 0)
			fail_msg("a frame does not expand");
	}
	crypt_scrub_free(scrub);
	crypt_box_free(box);
	compress_free(z);
	return r;
}

static void test_pack__any_call_may_fail(void **state)
{
	auto_fixture struct fixture f = fixture_new();

	(void)state;
	for_each_failure(op_pack, &f, 5, ALSO_ALL);
	for_each_failure(op_tools, &f, 3, ALSO_ALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys__any_call_may_fail),
		cmocka_unit_test(test_repo__any_call_may_fail),
		cmocka_unit_test(test_index__any_call_may_fail),
		cmocka_unit_test(test_protocol__any_call_may_fail),
		cmocka_unit_test(test_pack__any_call_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
