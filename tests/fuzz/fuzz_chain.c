/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of chains: the first byte says what: bit 0: who serves a plan, or else a step of a run,
 * with the report of a drill in it; bit 2: the input is the object itself, or else its plain text.
 */
#include "common/hex.h"
#include "repo/owner.h"
#include "repo/run_log.h"
#include "restore/drill_html.h"
#include "tests/fuzz/fuzz_repo.h"

#define PLAN "shop"
#define RUN "5a0c5a0c5a0c5a0c5a0c5a0c5a0c5a0c"

static void owner(const struct repo *r)
{
	struct owner o = { 0 };
	struct chain c;
	struct err e = ERR_INIT;

	works(owner_open(r, PLAN, &c, &e));
	if (owner_newest(r, &c, &o, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_CORRUPT) |
		                         FUZZ_CLASS(ERR_DENIED));
		holds(o.n == 0);
		return;
	}
	holds(c.next == 2);
	/* What another than the admin has signed says nothing. */
	holds(o.n == 0 || (strcmp(o.plan, PLAN) == 0 && o.cluster[0]));
}

static int take_run(void *arg, const char run[RUN_LOG_ID], const struct run_entry *first,
                    const json_t *record, struct err *e)
{
	(void)e;
	holds(strcmp(run, RUN) == 0 && json_is_object(record));
	holds(strlen(first->plan) < OWNER_PLAN_MAX && first->step[0] && first->kind[0] &&
	      first->user && first->host);
	++*(unsigned *)arg;
	return 0;
}

static void report(const json_t *o)
{
	static const uint8_t markup[] = "<script";
	CLEANUP(buf_clear) struct buf page = BUF_INIT(16 * MIB);
	auto_drill_report struct drill_report r = { .nwhys = 0 };
	struct err e = ERR_INIT;

	if (drill_report_read(o, &r, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
		return;
	}
	drill_html_put(&r, &page);
	holds(!page.failed);
	holds(!memmem(page.data, page.len, markup, sizeof(markup) - 1));
}

static int take_record(void *arg, uint64_t n, const json_t *record,
                       const uint8_t signer[FORMAT_SIGNER_BYTES], struct err *e)
{
	struct run_entry x;

	(void)arg;
	(void)n;
	(void)signer;
	if (run_log_entry(record, "it", &x, e) < 0)
		return -1;
	report(json_object_get(record, "report"));
	return 0;
}

static void run(const struct repo *r)
{
	unsigned listed = 0;
	struct chain c;
	struct err e = ERR_INIT;

	works(run_log_list(r, take_run, &listed, &e));
	works(run_log_open(RUN, &c, &e));
	int rc = chain_read(r, &c, take_record, NULL, &e);
	holds(rc < 0 ? listed == 0 : listed == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repo r;
	static char owner_key[NOTE_KEY_MAX];
	static char run_key[NOTE_KEY_MAX];

	if (!r.store) {
		struct chain c;
		struct err e = ERR_INIT;

		r = fuzz_repo_new();
		works(owner_open(&r, PLAN, &c, &e));
		note_number_key(c.prefix, 1, owner_key);
		works(run_log_open(RUN, &c, &e));
		note_number_key(c.prefix, 1, run_key);
	}
	if (size == 0 || size > 64 * KIB)
		return 0;
	bool of_owner = data[0] & 1;
	const char *key = of_owner ? owner_key : run_key;
	if (data[0] & 4)
		fuzz_put(&r, key, data + 1, size - 1);
	else
		fuzz_put_sealed(&r, of_owner ? FORMAT_KIND_OWNER : FORMAT_KIND_RUN, key, data + 1,
		                size - 1);
	if (of_owner)
		owner(&r);
	else
		run(&r);
	fuzz_empty(r.store);
	return 0;
}
