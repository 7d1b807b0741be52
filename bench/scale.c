/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What collections, checks and the index cost by the size of the repository, up to far more data
 * than the machine can hold: a repository of bench/scale.h is filled, and each phase runs over it
 * in a process of its own.
 *
 *   scale --dir DIR [--size small|medium|1m|3m|10m|100m] [--chunks N] [--chunk-bytes N]
 *         [--garbage PERCENT] [--sparse PACKS] [--exact] [--phases PHASE,...]
 *
 * DIR holds the repository and the local state, and stays; one that is filled already is used as
 * it is. Phases, in the order in which they run without --phases:
 *
 *   fill         makes the repository
 *   fetch        opens the index with no local copy
 *   open         opens it again
 *   cold, warm   lookups of random ids, the page cache emptied of the local index before, and not
 *   gc-dry       a collection that takes nothing away
 *   check0 .. 2  checks of these levels; check3, which reads all packs, only with --exact
 *   gc           the collection
 *   gc-again     one after it, which finds nothing
 *   table        searches one table of the index of so many chunks, of which no page is kept; only
 *                when it is asked for, and for an empty DIR
 *
 * Of each one line of a Markdown table goes to stdout. CPU is of the process less what making the
 * content of the store took (requests and bytes are those that the store saw). "Own" memory is
 * anonymous; "files" are mapped ones, which the kernel writes back and takes away when memory is
 * short. Scratch files are deleted ones that were mapped at once, at most.
 *
 * Exit status: 0; 1 when a phase fails or does not find what was put there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "bench/scale.h"
#include "common/fd.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "repo/check.h"
#include "repo/gc.h"
#include "repo/index.h"

#define SAMPLE_NS 20000000 /* between looks at the memory */
#define MAPS_EVERY 16      /* of those looks also count what is mapped */
#define LOOKUPS_WARM 500000
#define LOOKUPS_COLD 20000
#define CHUNKS_MAX ((uint64_t)4000000000)

struct size {
	const char *name;
	uint64_t chunks;
};

static const struct size sizes[] = {
	{ "small", 100000 }, { "medium", 500000 }, { "1m", 1000000 },
	{ "3m", 3000000 },   { "10m", 10000000 },  { "100m", 100000000 },
};

struct bench {
	char dir[256];
	struct scale_shape shape;
	struct scale_store *store;
	struct repo *repo;
	char note[256]; /* what the phase found */
	uint64_t requests;
};

/* ---- memory ---- */

struct memory {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop;                                           /* guarded by lock */
	uint64_t own_kib, files_kib, scratch_kib, index_kib; /* the most that was seen */
	uint64_t cpu_ns;                                     /* of looking */
	const char *dir;
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void keep_most(uint64_t *most, uint64_t v)
{
	if (v > *most)
		*most = v;
}

/* The number behind "name:" in a line of /proc/self/status. */
static bool status_kib(const char *line, const char *name, uint64_t *ret)
{
	size_t n = strlen(name);
	char *end;

	if (strncmp(line, name, n) != 0)
		return false;
	*ret = strtoull(line + n, &end, 10);
	return end > line + n;
}

static void look_at_status(struct memory *m, uint64_t *ret_peak_kib)
{
	auto_fclose FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	uint64_t files = 0;
	uint64_t v;

	while (f && fgets(line, sizeof(line), f)) {
		if (status_kib(line, "RssAnon:", &v))
			keep_most(&m->own_kib, v);
		else if (status_kib(line, "RssFile:", &v) || status_kib(line, "RssShmem:", &v))
			files += v;
		else if (status_kib(line, "VmHWM:", &v))
			*ret_peak_kib = v;
	}
	keep_most(&m->files_kib, files);
}

/* Bytes of files below the directory that are mapped: of the index, and deleted ones. */
static void look_at_maps(struct memory *m)
{
	auto_fclose FILE *f = fopen("/proc/self/maps", "re");
	char line[1024];
	uint64_t scratch = 0;
	uint64_t index = 0;

	while (f && fgets(line, sizeof(line), f)) {
		char *end;
		uint64_t from = strtoull(line, &end, 16);
		uint64_t to = *end == '-' ? strtoull(end + 1, NULL, 16) : from;

		if (!strstr(line, m->dir))
			continue;
		if (strstr(line, "(deleted)"))
			scratch += to - from;
		else if (strstr(line, "/idx/"))
			index += to - from;
	}
	keep_most(&m->scratch_kib, scratch / 1024);
	keep_most(&m->index_kib, index / 1024);
}

static void *sample(void *arg)
{
	struct memory *m = arg;
	uint64_t ignored;

	(void)pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; !m->stop; i++) {
		struct timespec at;

		look_at_status(m, &ignored);
		if (i % MAPS_EVERY == 0)
			look_at_maps(m);
		(void)clock_gettime(CLOCK_REALTIME, &at);
		at.tv_nsec += SAMPLE_NS;
		at.tv_sec += at.tv_nsec / 1000000000;
		at.tv_nsec %= 1000000000;
		(void)pthread_cond_timedwait(&m->changed, &m->lock, &at);
	}
	m->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	(void)pthread_mutex_unlock(&m->lock);
	return NULL;
}

/* ---- the phases ---- */

static int open_repo(struct bench *b, struct err *e)
{
	auto_free char *path = NULL;
	auto_free char *state = NULL;
	struct keys *keys = NULL;

	if (asprintf(&path, "%s/keys/agent.key", b->dir) < 0 ||
	    asprintf(&state, "%s/state", b->dir) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a path");
	if (mkdir(state, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "making '%s'", state);
	if (keys_load(path, NULL, &keys, e) < 0 ||
	    repo_open(scale_store_base(b->store), keys, state, NULL, &b->repo, e) < 0)
		return -1;
	return scale_store_keys(b->store, b->repo->keys, b->repo->params.cipher, e);
}

static int save_shape(const struct bench *b, struct err *e)
{
	char path[300];
	const struct scale_shape *s = &b->shape;

	(void)snprintf(path, sizeof(path), "%s/shape", b->dir);
	auto_fclose FILE *f = fopen(path, "we");
	if (!f ||
	    fprintf(f, "%llu %llu %llu %llu %llu %llu\n", (unsigned long long)s->chunks,
	            (unsigned long long)s->chunk_bytes, (unsigned long long)s->garbage_percent,
	            (unsigned long long)s->sparse, (unsigned long long)s->volumes,
	            (unsigned long long)s->exact) < 0 ||
	    fflush(f) != 0)
		return err_sys(e, errno, "writing '%s'", path);
	return 0;
}

/* The shape of what is there. false: nothing is. */
static bool load_shape(struct bench *b)
{
	char path[300];
	uint64_t *const members[] = { &b->shape.chunks,          &b->shape.chunk_bytes,
		                      &b->shape.garbage_percent, &b->shape.sparse,
		                      &b->shape.volumes,         &b->shape.exact };
	char line[256];

	(void)snprintf(path, sizeof(path), "%s/shape", b->dir);
	auto_fclose FILE *f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		return false;
	char *at = line;
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		*members[i] = strtoull(at, &at, 10);
	return b->shape.chunks > 0;
}

static int phase_fill(struct bench *b, struct err *e)
{
	auto_free char *keys = NULL;

	if (asprintf(&keys, "%s/keys", b->dir) < 0)
		return err_set(e, ERR_NOMEM, "no memory for a path");
	if (repo_init(scale_store_base(b->store), keys, NULL, e) < 0 || open_repo(b, e) < 0 ||
	    scale_fill(b->repo, &b->shape, b->store, e) < 0)
		return -1;
	return save_shape(b, e);
}

static int open_index(struct bench *b, struct domain_keys **ret_keys, struct index **ret,
                      struct err *e)
{
	if (keys_domain(b->repo->keys, SCALE_DOMAIN, ret_keys, e) < 0)
		return -1;
	return index_open(b->repo->store, b->repo->keys, *ret_keys, b->repo->state, NULL, NULL, ret,
	                  e);
}

enum local { LOCAL_SIZE, LOCAL_REMOVE, LOCAL_COOL, LOCAL_WARM };

/* Has the kernel read the file. */
static void warm(int fd)
{
	auto_free uint8_t *p = malloc(MIB);

	for (uint64_t off = 0; p && fd_pread_full(fd, p, MIB, off) == (ssize_t)MIB; off += MIB)
		;
}

/*
 * Walks the files of the local index: takes them away, or their pages out of the page cache, or
 * into it. Returns how many bytes they have.
 */
static int each_local(struct bench *b, enum local what, uint64_t *ret_bytes, struct err *e)
{
	auto_secret struct domain_keys *d = NULL;
	char path[700];

	*ret_bytes = 0;
	if (keys_domain(b->repo->keys, SCALE_DOMAIN, &d, e) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/idx/%s", b->repo->state, d->tag_hex);
	DIR *dir = opendir(path);
	const struct dirent *x;
	while (dir && (x = readdir(dir))) {
		struct stat st;
		auto_close int fd = x->d_name[0] == '.'
		                            ? -1
		                            : openat(dirfd(dir), x->d_name, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || fstat(fd, &st) < 0)
			continue;
		*ret_bytes += (uint64_t)st.st_size;
		if (what == LOCAL_REMOVE)
			(void)unlinkat(dirfd(dir), x->d_name, 0);
		else if (what == LOCAL_COOL && fdatasync(fd) == 0)
			(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		else if (what == LOCAL_WARM)
			warm(fd);
	}
	if (dir)
		(void)closedir(dir);
	return 0;
}

static int phase_open(struct bench *b, bool fetch, struct err *e)
{
	auto_secret struct domain_keys *d = NULL;
	struct index *x = NULL;
	uint64_t bytes;

	if ((fetch && each_local(b, LOCAL_REMOVE, &bytes, e) < 0) || open_index(b, &d, &x, e) < 0)
		return -1;
	index_free(x);
	if (each_local(b, LOCAL_SIZE, &bytes, e) < 0)
		return -1;
	(void)snprintf(b->note, sizeof(b->note), "%.1f bytes a chunk on disk",
	               (double)bytes / (double)b->shape.chunks);
	return 0;
}

/* CPU and wall nanoseconds of one lookup, and pages that were read from disk for it. */
static int look_up(struct bench *b, struct index *x, bool hits, uint64_t n, double ret[3],
                   struct err *e)
{
	struct rusage before;
	struct rusage after;
	uint64_t found = 0;

	(void)getrusage(RUSAGE_SELF, &before);
	uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int64_t wall = now_mono_ns();
	for (uint64_t i = 0; i < n; i++) {
		struct chunk_ref ref;
		uint8_t id[FORMAT_ID_BYTES];
		/* 2654435761 is prime, so the chunks come in no order, and none twice. */
		uint64_t chunk = (i * 2654435761U + 12345) % b->shape.chunks;

		scale_chunk_id(hits ? chunk : chunk + CHUNKS_MAX, id);
		found += index_lookup(x, id, &ref);
	}
	ret[0] = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / (double)n;
	ret[1] = (double)(now_mono_ns() - wall) / (double)n;
	(void)getrusage(RUSAGE_SELF, &after);
	ret[2] = (double)(after.ru_majflt - before.ru_majflt) / (double)n;
	return found == (hits ? n : 0) ? 0
	                               : err_set(e, ERR_BUG, "%llu of %llu lookups found something",
	                                         (unsigned long long)found, (unsigned long long)n);
}

static int phase_lookups(struct bench *b, bool cold, struct err *e)
{
	auto_secret struct domain_keys *d = NULL;
	const uint64_t n = cold ? LOOKUPS_COLD : LOOKUPS_WARM;
	struct index *x = NULL;
	double hit[3];
	double miss[3];
	uint64_t bytes;

	if (each_local(b, cold ? LOCAL_COOL : LOCAL_WARM, &bytes, e) < 0 ||
	    open_index(b, &d, &x, e) < 0)
		return -1;
	int rc = look_up(b, x, true, n, hit, e) < 0 || look_up(b, x, false, n, miss, e) < 0 ? -1
	                                                                                    : 0;
	index_free(x);
	(void)snprintf(b->note, sizeof(b->note),
	               "hit %.0f ns CPU, %.0f ns wall, %.2f page reads; miss %.0f, %.0f, %.2f",
	               hit[0], hit[1], hit[2], miss[0], miss[1], miss[2]);
	return rc;
}

/* Packs of nothing but garbage that the shape says there are. */
static uint64_t garbage_packs(const struct scale_shape *s)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < scale_packs(s); i++)
		n += !scale_is_live(s, i * SCALE_PER_PACK) &&
		     !scale_is_live(s, i * SCALE_PER_PACK + 1);
	return n;
}

static int phase_gc(struct bench *b, bool dry_run, bool again, struct err *e)
{
	const struct gc_params p = {
		.fence_after_ns = GC_FENCE_DEFAULT_NS,
		.repack_percent = b->shape.sparse ? GC_REPACK_DEFAULT : 0,
		.share_percent = 0,
		.dry_run = dry_run,
	};
	struct gc_result r;

	if (gc_run(b->repo, &p, &r, e) < 0)
		return -1;
	(void)snprintf(b->note, sizeof(b->note),
	               "%llu places, %llu packs, %llu garbage, %llu sparse; %llu MiB copied, "
	               "%llu packs deleted, %llu segments of %llu replaced by %llu",
	               (unsigned long long)r.chunks, (unsigned long long)r.stored.packs,
	               (unsigned long long)r.garbage.packs, (unsigned long long)r.sparse.packs,
	               (unsigned long long)(r.repacked.bytes / MIB),
	               (unsigned long long)r.deleted.packs, (unsigned long long)r.segments_deleted,
	               (unsigned long long)r.segments_before,
	               (unsigned long long)r.segments_written);
	if (!again && r.garbage.packs != garbage_packs(&b->shape))
		return err_set(e, ERR_BUG, "%llu packs are garbage, not %llu",
		               (unsigned long long)garbage_packs(&b->shape),
		               (unsigned long long)r.garbage.packs);
	if (!again && !dry_run && r.deleted.packs < r.garbage.packs &&
	    r.deleted.packs != r.condemned.packs)
		return err_set(e, ERR_BUG, "%llu packs were deleted",
		               (unsigned long long)r.deleted.packs);
	return 0;
}

static int tell_problem(void *arg, const struct check_problem *p, struct err *e)
{
	(void)arg;
	(void)e;
	fprintf(stderr, "scale: %s: %s\n", p->object, p->text);
	return 0;
}

static int phase_check(struct bench *b, unsigned level, struct err *e)
{
	const struct check_params p = { .level = level, .problem = tell_problem };
	struct check_result r;

	if (check_run(b->repo, &p, &r, e) < 0)
		return -1;
	(void)snprintf(b->note, sizeof(b->note), "%llu nodes, %llu chunks, %llu packs, %llu MiB",
	               (unsigned long long)r.nodes, (unsigned long long)r.chunks,
	               (unsigned long long)(r.packs + r.node_packs),
	               (unsigned long long)(r.bytes_read / MIB));
	return r.problems == 0
	               ? 0
	               : err_set(e, ERR_CORRUPT, "%llu problems", (unsigned long long)r.problems);
}

static int run_named(struct bench *b, const char *name, struct err *e)
{
	if (strcmp(name, "fill") == 0)
		return phase_fill(b, e);
	if (strcmp(name, "table") == 0)
		return scale_table(b->shape.chunks, b->note, sizeof(b->note), e);
	if (open_repo(b, e) < 0)
		return -1;
	if (strcmp(name, "fetch") == 0 || strcmp(name, "open") == 0)
		return phase_open(b, name[0] == 'f', e);
	if (strcmp(name, "cold") == 0 || strcmp(name, "warm") == 0)
		return phase_lookups(b, name[0] == 'c', e);
	if (strcmp(name, "gc-dry") == 0)
		return phase_gc(b, true, false, e);
	if (strcmp(name, "gc") == 0)
		return phase_gc(b, false, false, e);
	if (strcmp(name, "gc-again") == 0)
		return phase_gc(b, false, true, e);
	if (strncmp(name, "check", 5) == 0 && name[5] >= '0' && name[5] <= '3' && !name[6])
		return phase_check(b, (unsigned)(name[5] - '0'), e);
	return err_set(e, ERR_INVALID, "there is no phase '%s'", name);
}

/* ---- running them ---- */

static void print_row(const struct bench *b, const char *name, const struct memory *m,
                      uint64_t peak_kib, double wall_s, double cpu_s, double made_s)
{
	struct scale_counts *c = scale_store_counts(b->store);
	double gib = (double)b->shape.chunks * (double)b->shape.chunk_bytes / (double)GIB;
	unsigned long long all = 0;

	for (size_t i = 0; i < SCALE_CALLS; i++)
		all += atomic_load(&c->calls[i]);
	printf("| %s | %.2f | %.2f | %.2f | %llu | %llu | %llu | %llu | %llu "
	       "| %llu | %llu | %llu | %llu | %llu | %.3f | %llu | %llu | %s |\n",
	       name, wall_s, cpu_s, made_s, (unsigned long long)peak_kib / 1024,
	       (unsigned long long)m->own_kib / 1024, (unsigned long long)m->files_kib / 1024,
	       (unsigned long long)m->scratch_kib / 1024, (unsigned long long)m->index_kib / 1024,
	       atomic_load(&c->calls[SCALE_GET]), atomic_load(&c->calls[SCALE_HEAD]),
	       atomic_load(&c->calls[SCALE_LIST]), atomic_load(&c->calls[SCALE_PUT]),
	       atomic_load(&c->calls[SCALE_DELETE]), (double)all / gib,
	       atomic_load(&c->bytes_get) / MIB, atomic_load(&c->bytes_put) / MIB, b->note);
	(void)fflush(stdout);
}

/* In a process of its own. */
static int run_phase(struct bench *b, const char *name)
{
	struct memory m = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.dir = b->dir,
	};
	struct err e = ERR_INIT;
	pthread_t sampler;
	uint64_t peak_kib = 0;

	if (secret_init(&e) < 0 || scale_store_open(b->dir, &b->shape, &b->store, &e) < 0 ||
	    pthread_create(&sampler, NULL, sample, &m) != 0) {
		fprintf(stderr, "scale: %s\n", e.msg);
		return 1;
	}
	uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	int64_t wall = now_mono_ns();
	int rc = run_named(b, name, &e);
	double wall_s = (double)(now_mono_ns() - wall) / 1e9;
	(void)pthread_mutex_lock(&m.lock);
	m.stop = true;
	(void)pthread_cond_signal(&m.changed);
	(void)pthread_mutex_unlock(&m.lock);
	(void)pthread_join(sampler, NULL);
	look_at_status(&m, &peak_kib);
	uint64_t made = atomic_load(&scale_store_counts(b->store)->made_ns);
	double cpu_s = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu - m.cpu_ns - made) / 1e9;
	if (rc < 0)
		fprintf(stderr, "scale: %s: %s\n", name, e.msg);
	print_row(b, name, &m, peak_kib, wall_s, cpu_s, (double)made / 1e9);
	repo_free(b->repo);
	store_free(scale_store_base(b->store));
	return rc < 0;
}

static int fork_phase(struct bench *b, const char *name)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run_phase(b, name));
	if (pid < 0 || waitpid(pid, &status, 0) < 0) {
		fprintf(stderr, "scale: no process for %s: %s\n", name, strerror(errno));
		return 1;
	}
	if (WIFSIGNALED(status))
		fprintf(stderr, "scale: %s was killed by signal %d\n", name, WTERMSIG(status));
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

struct arguments {
	char *phases;
	bool filled;
};

static int size_chunks(const char *name, uint64_t *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		if (strcmp(name, sizes[i].name) != 0)
			continue;
		*ret = sizes[i].chunks;
		return 0;
	}
	return err_set(e, ERR_INVALID, "there is no size '%s'", name);
}

static int arguments_of(int argc, char **argv, struct bench *b, char **ret_phases, struct err *e)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "size", required_argument, NULL, 's' },
		{ "chunks", required_argument, NULL, 'n' },
		{ "chunk-bytes", required_argument, NULL, 'b' },
		{ "garbage", required_argument, NULL, 'g' },
		{ "sparse", required_argument, NULL, 'p' },
		{ "exact", no_argument, NULL, 'x' },
		{ "phases", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	struct scale_shape *s = &b->shape;
	int rc = 0;
	int c;

	while (rc == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			rc = strlen(optarg) < sizeof(b->dir) - 40
			             ? 0
			             : err_set(e, ERR_INVALID,
			                       "the name of the folder is too long");
			if (rc == 0)
				(void)snprintf(b->dir, sizeof(b->dir), "%s", optarg);
			break;
		case 's':
			rc = size_chunks(optarg, &s->chunks, e);
			break;
		case 'n':
			rc = num_u64("--chunks", optarg, SCALE_PER_PACK, CHUNKS_MAX, &s->chunks, e);
			break;
		case 'b':
			rc = num_u64("--chunk-bytes", optarg, 64, 4 * MIB, &s->chunk_bytes, e);
			break;
		case 'g':
			rc = num_u64("--garbage", optarg, 0, 99, &s->garbage_percent, e);
			break;
		case 'p':
			rc = num_u64("--sparse", optarg, 0, CHUNKS_MAX, &s->sparse, e);
			break;
		case 'x':
			s->exact = 1;
			break;
		case 'r':
			*ret_phases = optarg;
			break;
		default:
			return err_set(e, ERR_INVALID, "an option is unknown or lacks its value");
		}
	}
	if (rc == 0 && (optind != argc || !b->dir[0]))
		rc = err_set(e, ERR_INVALID, "a folder is to be named (--dir), and nothing else");
	return rc;
}

int main(int argc, char **argv)
{
	struct bench b = { .shape = { .chunks = 1000000,
		                      .chunk_bytes = MIB,
		                      .garbage_percent = 10,
		                      .sparse = 32,
		                      .volumes = 16 } };
	char all[] = "fill,fetch,open,cold,warm,gc-dry,check0,check1,check2,check3,gc,gc-again";
	struct err e = ERR_INIT;
	char *phases = NULL;
	int rc = 0;

	/* As in aksdr-catalog, whose work this is. */
	(void)mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
	(void)mallopt(M_ARENA_MAX, 4);
	if (arguments_of(argc, argv, &b, &phases, &e) < 0) {
		fprintf(stderr, "scale: %s; bench/README.md says more\n", e.msg);
		return 2;
	}
	if (mkdir(b.dir, 0700) < 0 && errno != EEXIST) {
		fprintf(stderr, "scale: making '%s': %s\n", b.dir, strerror(errno));
		return 1;
	}
	bool filled = load_shape(&b);
	b.shape.chunks = b.shape.chunks / SCALE_PER_PACK * SCALE_PER_PACK;
	if (scale_packs(&b.shape) < b.shape.volumes)
		b.shape.volumes = 1;
	printf("\n%llu chunks of %llu bytes, %llu packs, %llu %% garbage, about %llu sparse\n\n",
	       (unsigned long long)b.shape.chunks, (unsigned long long)b.shape.chunk_bytes,
	       (unsigned long long)scale_packs(&b.shape),
	       (unsigned long long)b.shape.garbage_percent, (unsigned long long)b.shape.sparse);
	puts("| phase | wall s | CPU s | made s | peak MiB | own MiB | files MiB | scratch MiB "
	     "| index MiB | GET | HEAD | LIST | PUT | DELETE | requests/GiB | read MiB "
	     "| put MiB | found |");
	puts("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|");
	(void)fflush(stdout);
	char *state = NULL;
	for (char *p = strtok_r(phases ? phases : all, ",", &state); p && rc == 0;
	     p = strtok_r(NULL, ",", &state)) {
		if ((filled && strcmp(p, "fill") == 0) ||
		    (!phases && !b.shape.exact && strcmp(p, "check3") == 0))
			continue;
		rc = fork_phase(&b, p);
	}
	return rc;
}
