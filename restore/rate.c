/* SPDX-License-Identifier: Apache-2.0 */
/* See rate.h. */
#include "restore/rate.h"

#include <string.h>

#include "common/now.h"
#include "common/team.h"
#include "repo/run_log.h"

#define KEYS 32
#define THREADS 16
#define RANGE (2 * MIB)

json_t *rate_record(uint64_t bytes, uint64_t mover_ms, double fill_s, double hand_over_s)
{
	return json_pack("{s:I, s:I, s:f, s:f}", "bytes", (json_int_t)bytes, "mover_ms",
	                 (json_int_t)mover_ms, "fill_s", fill_s, "hand_over_s", hand_over_s);
}

/* ---- by runs ---- */

struct newest {
	const char *plan;
	char run[RUN_LOG_ID];
	int64_t at_ns;
};

static int take_run(void *arg, const char run[RUN_LOG_ID], const struct run_entry *first,
                    const json_t *record, struct err *e)
{
	struct newest *n = arg;

	(void)record;
	(void)e;
	if (strcmp(first->plan, n->plan) == 0 && first->at_ns > n->at_ns) {
		memcpy(n->run, run, RUN_LOG_ID);
		n->at_ns = first->at_ns;
	}
	return 0;
}

struct sums {
	double bytes, mover_s, fill_s, hand_over_s;
	size_t n;
};

static int take_step(void *arg, uint64_t number, const json_t *record,
                     const uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	const json_t *list = json_object_get(record, "rates");
	struct sums *s = arg;

	(void)number;
	(void)signer;
	(void)e;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);

		s->bytes += json_number_value(json_object_get(o, "bytes"));
		s->mover_s += json_number_value(json_object_get(o, "mover_ms")) / 1000;
		s->fill_s += json_number_value(json_object_get(o, "fill_s"));
		s->hand_over_s += json_number_value(json_object_get(o, "hand_over_s"));
		s->n++;
	}
	return 0;
}

static int by_run(const struct repo *r, const char *plan, struct rates *ret, struct err *e)
{
	struct newest newest = { .plan = plan };
	struct sums s = { 0 };
	struct chain c;

	if (run_log_list(r, take_run, &newest, e) < 0)
		return -1;
	if (!newest.run[0])
		return 0;
	if (run_log_open(newest.run, &c, e) < 0 || chain_read(r, &c, take_step, &s, e) < 0)
		return -1;
	if (s.n == 0 || s.bytes <= 0 || s.mover_s <= 0)
		return 0;
	ret->plan.mover_bytes_s = s.bytes / s.mover_s;
	ret->plan.start_s = s.fill_s > s.mover_s ? (s.fill_s - s.mover_s) / (double)s.n : 0;
	ret->plan.hand_over_s = s.hand_over_s / (double)s.n;
	ret->source = RATE_RUN;
	memcpy(ret->run, newest.run, sizeof(ret->run));
	ret->at_ns = newest.at_ns;
	return 0;
}

/* ---- by the store ---- */

struct sample {
	struct store *store;
	const struct cancel *cancel;
	char keys[KEYS][STORE_KEY_MAX + 1];
	uint64_t sizes[KEYS];
	size_t n;
	int64_t until_ns;
	struct team_tasks tasks;
	_Atomic uint64_t bytes;
};

static int take_key(void *arg, const struct store_item *item, struct err *e)
{
	struct sample *s = arg;

	(void)e;
	if (item->st.size >= RANGE) {
		memcpy(s->keys[s->n], item->key, sizeof(s->keys[0]));
		s->sizes[s->n++] = item->st.size;
	}
	return s->n == KEYS;
}

static int read_some(void *arg, unsigned i, const atomic_bool *stop, struct err *e)
{
	struct sample *s = arg;
	auto_free uint8_t *p = malloc(RANGE);
	size_t at;

	(void)i;
	if (!p)
		return err_set(e, ERR_NOMEM, "no memory for a sample");
	while (!atomic_load(stop) && team_take(&s->tasks, &at) && now_mono_ns() < s->until_ns) {
		const uint64_t ranges = s->sizes[at % s->n] / RANGE;

		if (cancel_check(s->cancel, e) < 0 ||
		    store_get(s->store, s->keys[at % s->n], at / s->n % ranges * RANGE, p, RANGE,
		              e) < 0)
			return -1;
		atomic_fetch_add(&s->bytes, RANGE);
	}
	return 0;
}

static int by_store(const struct repo *r, struct rates *ret, struct err *e)
{
	auto_free struct sample *s = calloc(1, sizeof(*s));
	struct err why = ERR_INIT;

	if (!s)
		return err_set(e, ERR_NOMEM, "no memory for a sample");
	s->store = r->store;
	s->cancel = r->cancel;
	s->tasks.n = RATE_SAMPLE_BYTES / RANGE;
	if (store_list(r->store, "pack/", NULL, take_key, s, &why) < 0 || s->n == 0)
		return cancel_check(r->cancel, e);
	const int64_t began_ns = now_mono_ns();
	s->until_ns = began_ns + RATE_SAMPLE_MS * INT64_C(1000000);
	if (team_run(THREADS, "sample", read_some, s, &why) < 0)
		return cancel_check(r->cancel, e);
	const double seconds = (double)(now_mono_ns() - began_ns) / 1e9;
	if (seconds <= 0 || s->bytes == 0)
		return 0;
	ret->plan.mover_bytes_s = ret->plan.all_bytes_s = (double)s->bytes / seconds;
	ret->source = RATE_STORE;
	ret->at_ns = now_wall_ns();
	return 0;
}

int rate_find(const struct repo *r, const char *plan, struct rates *ret, struct err *e)
{
	*ret = (struct rates){ .plan = { .start_s = RATE_START_S,
		                         .hand_over_s = RATE_HAND_OVER_S } };
	if (by_run(r, plan, ret, e) < 0)
		return -1;
	return ret->source == RATE_RUN ? 0 : by_store(r, ret, e);
}
