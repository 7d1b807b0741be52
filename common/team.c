/* SPDX-License-Identifier: Apache-2.0 */
/* See team.h. The caller is the first member. */
#include "common/team.h"

#include <pthread.h>
#include <unistd.h>

#define THREADS_MAX 256

struct team {
	int (*fn)(void *arg, unsigned i, const atomic_bool *stop, struct err *e);
	void *arg;
	atomic_bool stop;
	pthread_mutex_t lock;
	struct err err; /* guarded by lock: of the first failure */
};

struct member {
	struct team *team;
	unsigned number;
	pthread_t thread;
};

static void *work(void *arg)
{
	const struct member *m = arg;
	struct team *t = m->team;
	struct err e = ERR_INIT;

	if (t->fn(t->arg, m->number, &t->stop, &e) < 0) {
		(void)pthread_mutex_lock(&t->lock);
		if (t->err.class == ERR_NONE)
			t->err = e;
		(void)pthread_mutex_unlock(&t->lock);
		atomic_store(&t->stop, true);
	}
	return NULL;
}

int team_run(unsigned threads, const char *name,
             int (*fn)(void *arg, unsigned i, const atomic_bool *stop, struct err *e), void *arg,
             struct err *e)
{
	struct team t = { .fn = fn, .arg = arg, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct member members[THREADS_MAX];
	unsigned n = threads == 0 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;
	unsigned started = 1;

	for (; started < n; started++) {
		struct member *m = &members[started];

		*m = (struct member){ .team = &t, .number = started };
		if (pthread_create(&m->thread, NULL, work, m) != 0)
			break; /* fewer will do */
		(void)pthread_setname_np(m->thread, name);
	}
	members[0] = (struct member){ .team = &t, .number = 0 };
	(void)work(&members[0]);
	for (unsigned i = 1; i < started; i++)
		(void)pthread_join(members[i].thread, NULL);
	(void)pthread_mutex_destroy(&t.lock);
	if (t.err.class == ERR_NONE)
		return 0;
	*e = t.err;
	return -1;
}

unsigned team_size(unsigned want, unsigned max)
{
	long cpus = want ? 0 : sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = want ? want : cpus > 0 ? (unsigned)cpus : 1;

	return n < max ? n : max;
}
