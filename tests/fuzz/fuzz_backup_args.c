/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arguments of aksdr-agent backup: the first piece is NAME=PATH, the
 * others are options, a letter and a value each. What is taken names a volume
 * that can be written into a restore point.
 */
#include "agent/cmd_backup.c"

#include "tests/fuzz/fuzz_repo.h"

#define OPTIONS_MAX 8

static void reset(void)
{
	o = (struct backup_options)BACKUP_OPTIONS(o);
}

/* A volume that was taken can be named by what it is, and goes into JSON if it is UTF-8. */
static void check_volume(const struct point_volume *v, const struct keys *k)
{
	char voltag[17];
	struct err e = ERR_INIT;

	holds(v->name[0] && !strchr(v->name, '/') && !strchr(v->name, '@'));
	works(point_voltag(k, v, voltag, &e));
	holds(strlen(voltag) == 16);
	struct point p = { .session = FUZZ_SESSION, .id = FUZZ_RANDOM, .volume = *v };
	json_t *json = point_json(&p, &e);
	if (!json)
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct keys *k;
	struct point_volume v;
	const uint8_t *piece;
	const char *path = NULL;
	size_t n;
	char *texts[OPTIONS_MAX + 1];
	size_t ntexts = 0;
	struct err e = ERR_INIT;

	if (!k)
		k = fuzz_reader();
	if (size > 4 * KIB)
		return 0;
	reset();
	while (ntexts <= OPTIONS_MAX && fuzz_piece(&data, &size, 0, &piece, &n)) {
		char *text = texts[ntexts] = fuzz_text(piece, n);

		if (ntexts++ == 0 || !*text)
			continue;
		e = ERR_INIT;
		if (set(NULL, OPT_DRIVER + (*text & 63) % (OPT_FULL_EVERY - OPT_DRIVER + 1),
		        text + 1, &e) < 0)
			fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
	}
	holds(o.job.nexcludes <= OPTIONS_MAX && o.job.level <= 19 && o.job.threads <= 64);
	holds(o.moment.nhooks <= OPTIONS_MAX && o.env.freeze_max_ms <= FREEZER_DEADLINE_MAX_MS);
	holds(o.job.page_cache_bytes <= (uint64_t)1 << 44);
	e = ERR_INIT;
	if (ntexts > 0 &&
	    volume_name_parse((const char *const *)texts, 1, &o.place, &v, &path, &e) == 0) {
		holds(path && *path && strcmp(texts[0] + strlen(v.name) + 1, path) == 0);
		check_volume(&v, k);
	} else if (ntexts > 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
	}
	for (size_t i = 0; i < ntexts; i++)
		free(texts[i]);
	return 0;
}
