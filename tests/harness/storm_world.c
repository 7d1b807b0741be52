/* SPDX-License-Identifier: Apache-2.0 */
/* See storm_world.h. */
#include "tests/harness/storm_world.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/job.h"
#include "common/hex.h"
#include "common/now.h"
#include "common/secret.h"
#include "restore/restore.h"
#include "tests/harness/harness.h"

#define BOOK "book"
#define LINE_MAX_BYTES 1200
#define HOUR_NS ((int64_t)3600 * 1000000000)
/* Small, so that there are many packs, and some with garbage. */
#define PACK_BYTES ((uint32_t)(512 * KIB))
#define CUT_MIN ((uint32_t)(4 * KIB))
#define CUT_AVG ((uint32_t)(16 * KIB))
#define CUT_MAX ((uint32_t)(64 * KIB))

const struct gc_params storm_eager = {
	.fence_after_ns = -HOUR_NS,
	.young_ns = -HOUR_NS,
	.repack_percent = GC_REPACK_DEFAULT,
	.share_percent = 100,
	.threads = 2,
};

/* ---- the book ---- */

__attribute__((format(printf, 3, 0))) static void write_line(const struct storm_world *w,
                                                             const char *who, const char *fmt,
                                                             va_list ap)
{
	char line[LINE_MAX_BYTES];

	auto_free char *path = path_join(w->dir, BOOK);
	auto_close int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	int n = snprintf(line, sizeof(line), "%" PRId64 " %s ", now_mono_ns() / 1000, who);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	/* One write, so that lines of several processes do not mix. */
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		harness_die("writing into the book: %s", strerror(errno));
}

void storm_note(const struct storm_world *w, const char *who, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(w, who, fmt, ap);
	va_end(ap);
}

void storm_bad(const struct storm_world *w, const char *who, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES - 100];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	storm_note(w, who, "BAD %s", text);
	(void)fprintf(stderr, "%s: %s\n", who, text);
	_exit(STORM_BAD);
}

/* ---- doors ---- */

static struct repo *open_repo(const struct storm_world *w, struct store *store, const char *key,
                              const char *state, struct err *e)
{
	struct keys *k = NULL;
	struct repo *r = NULL;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/keys/%s.key", w->dir, key);
	if (keys_load(path, NULL, &k, e) < 0 || repo_open(store, k, state, NULL, &r, e) < 0)
		return NULL;
	r->params.pack_bytes = PACK_BYTES;
	r->params.cut_min = CUT_MIN;
	r->params.cut_avg = CUT_AVG;
	r->params.cut_max = CUT_MAX;
	return r;
}

struct store *storm_store(const struct storm_world *w, struct err *e)
{
	auto_free char *path = path_join(w->dir, "store");

	return store_file_open(path, STORE_CREATE, e);
}

static struct store *into_weather(struct store *take_store, const struct storm_weather *weather,
                                  uint64_t seed, int trace_fd, const char *late_dir, struct err *e)
{
	const struct storm_plan plan = {
		.seed = seed,
		.weather = weather ? *weather : (struct storm_weather){ 0 },
		.late_dir = weather ? late_dir : NULL,
		.trace_fd = trace_fd,
	};
	const struct store_retry_params retry = { .budget_ms = 500,
		                                  .first_ms = 1,
		                                  .longest_ms = 40 };

	struct store *s = storm_store_new(take_store, &plan, e);
	return s ? store_retry_new(s, &retry, e) : NULL;
}

int storm_door_open(const struct storm_world *w, const char *who, const char *state,
                    const struct storm_weather *weather, uint64_t seed, struct storm_door *ret,
                    struct err *e)
{
	static char late_dir[512]; /* as long as the process: stores borrow it */
	char path[512];
	int trace_fd = -1;

	(void)snprintf(late_dir, sizeof(late_dir), "%s/late", w->dir);
	if (w->trace) {
		(void)snprintf(path, sizeof(path), "%s/trace/%s", w->dir, who);
		trace_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	}
	struct store *store = storm_store(w, e);
	if (store)
		store = into_weather(store, weather, seed, trace_fd, late_dir, e);
	if (!store || storm_door_open_in(w, state, store, ret, e) < 0) {
		clean_close(&trace_fd);
		return -1;
	}
	ret->trace_fd = trace_fd;
	return 0;
}

int storm_door_open_in(const struct storm_world *w, const char *state, struct store *take_store,
                       struct storm_door *ret, struct err *e)
{
	struct storm_door d = { .store = take_store, .trace_fd = -1 };
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/state/%s", w->dir, state);
	d.agent = open_repo(w, d.store, "agent", path, e);
	if (d.agent)
		d.recovery = open_repo(w, d.store, "recovery", path, e);
	if (!d.recovery) {
		storm_door_close(&d);
		return -1;
	}
	*ret = d;
	return 0;
}

void storm_door_close(struct storm_door *d)
{
	repo_free(d->agent);
	repo_free(d->recovery);
	store_free(d->store);
	clean_close(&d->trace_fd);
	*d = (struct storm_door){ .trace_fd = -1 };
}

void storm_world_make(const struct storm_world *w)
{
	static const char *const dirs[] = { "late", "trace", "state", "src", "out" };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		auto_free char *path = path_join(w->dir, dirs[i]);

		if (mkdir(path, 0700) < 0)
			harness_die("creating '%s': %s", path, strerror(errno));
	}
	auto_free char *keys = path_join(w->dir, "keys");
	auto_store struct store *store = storm_store(w, &e);
	if (!store || repo_init(store, keys, NULL, &e) < 0)
		harness_die("%s", e.msg);
}

/* ---- trees and points ---- */

void storm_set_of(unsigned volume, unsigned step, char ret[33])
{
	uint8_t id[16];

	secret_random(id, sizeof(id));
	id[0] = (uint8_t)volume;
	id[1] = (uint8_t)step;
	hex_encode(ret, id, sizeof(id));
}

bool storm_tree_of_set(const struct storm_world *w, const char *set, struct storm_tree *ret)
{
	uint8_t id[16];

	if (hex_decode(id, sizeof(id), set) < 0 || id[0] >= STORM_VOLUMES || id[1] >= STORM_STEPS)
		return false;
	*ret = (struct storm_tree){
		.seed = w->seed, .volume = id[0], .step = id[1], .files = w->files
	};
	return true;
}

struct point_volume storm_volume(unsigned volume)
{
	struct point_volume v = { 0 };

	(void)snprintf(v.name, sizeof(v.name), "volume-%u", volume);
	return v;
}

const char *storm_domain(unsigned volume)
{
	return volume == STORM_VOLUMES - 1 ? "other" : "shared";
}

int storm_backup(const struct storm_world *w, const struct storm_door *d, const char *name,
                 const struct storm_tree *t, const char *set, struct point *ret, struct err *e)
{
	static const struct snapshot_env env;
	struct err ignored = ERR_INIT;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/src/%s", w->dir, name);
	struct moment_volume view = { .name = name, .path = path };
	view.snapshot = snapshot_take(&env, &snapshot_live, path, e);
	if (!view.snapshot)
		return -1;
	struct moment m = { .volumes = &view, .n = 1 };
	const struct job_params p = {
		.volume = storm_volume(t->volume),
		.moment = &m,
		.domain = storm_domain(t->volume),
		.set = set,
		.verify_encode = true,
		.threads = 2,
		.progress = PROGRESS_NEVER,
	};
	int rc = job_backup(d->agent, &p, ret, e);
	(void)!snapshot_release(view.snapshot, &ignored);
	return rc;
}

static void remove_dir(const char *path)
{
	if (access(path, F_OK) == 0)
		tmpdir_remove(strdup(path));
}

int storm_restore(const struct storm_world *w, const struct storm_door *d, const char *out,
                  const struct point *p, struct err *e)
{
	const struct restore_params params = { .rehash = true, .threads = 2 };
	auto_target struct target *target = NULL;
	struct storm_tree t;
	struct report report;
	char path[512];

	if (!storm_tree_of_set(w, p->set, &t)) {
		(void)fprintf(stderr, "'%s' has a set that nobody gave it\n", p->session);
		return 0;
	}
	(void)snprintf(path, sizeof(path), "%s/out/%s", w->dir, out);
	remove_dir(path);
	report_init(&report);
	int rc = target_dir_open(path, 0, &report.losses, &target, e);
	if (rc == 0)
		rc = restore_run(d->recovery, p, target, &params, &report, e);
	if (rc == 0 && report.gap_count > 0)
		rc = err_set(e, ERR_CORRUPT, "%" PRIu64 " gaps, the first in '%s': %s",
		             report.gap_count, report.gaps[0].path, report.gaps[0].why);
	report_clear(&report);
	if (rc == 0)
		rc = storm_tree_is(&t, path);
	remove_dir(path);
	return rc;
}
