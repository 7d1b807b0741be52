/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged catalog files. The input changes a good one: pieces of a length, a
 * place of three bytes, and that many bytes; a length of 255 cuts the file
 * there. It is refused, or what is asked of it is answered somehow.
 */
#include <fcntl.h>
#include <unistd.h>

#include "catalog/find.h"
#include "catalog/query.h"
#include "common/fd.h"
#include "tests/fuzz/fuzz_catalog.h"

#define FILE_MAX MIB
/* A file with another schema is told as a mistake of ours. */
#define REFUSED                                                                            \
	(FUZZ_BAD | FUZZ_CLASS(ERR_NOT_FOUND) | FUZZ_CLASS(ERR_IO) | FUZZ_CLASS(ERR_BUG) | \
	 FUZZ_CLASS(ERR_INVALID) | FUZZ_CLASS(ERR_TOO_BIG) | FUZZ_CLASS(ERR_NOMEM))

static struct buf good = { .max = FILE_MAX };
static char *path;

static void make(void)
{
	struct repo r = fuzz_points();
	struct err e = ERR_INIT;

	path = fuzz_catalog(&r);
	works(fd_read_file(AT_FDCWD, path, &good, &e));
	store_free(r.store);
	keys_free(r.keys);
}

/* Writes the file with the changes of the input. */
static void damage(const uint8_t *p, size_t n)
{
	auto_free uint8_t *bytes = malloc(good.len);
	size_t len = good.len;

	holds(bytes);
	memcpy(bytes, good.data, good.len);
	while (n >= 4) {
		size_t take = p[0];
		size_t at = (size_t)(p[1] | p[2] << 8 | p[3] << 16) % (good.len + 1);

		p += 4;
		n -= 4;
		if (take == 255) {
			len = at < len ? at : len;
			continue;
		}
		take = take < n ? take : n;
		if (take > good.len - at)
			take = good.len - at;
		memcpy(bytes + at, p, take);
		p += take;
		n -= take;
	}
	auto_close int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	holds(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
}

static void ask(struct catalog *c, size_t which)
{
	static const char *const texts[] = { "v", "shop/v@latest", "1111", "v@2026-11-23" };
	static const char *const queries[] = {
		"SELECT * FROM v_points",    "SELECT * FROM v_volume_status",
		"SELECT * FROM v_rpo",       "SELECT * FROM v_checks",
		"SELECT * FROM v_hooks",     "SELECT * FROM v_facts",
		"SELECT * FROM point_notes", "SELECT * FROM point_problems",
		"SELECT * FROM signers",     "SELECT * FROM v_chain",
		"SELECT * FROM anomalies",   "SELECT count(*) FROM v_points",
	};
	char session[POINT_SESSION_LEN + 1];
	struct query_result result;
	FILE *null = fopen("/dev/null", "we");

	holds(null);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct err e = ERR_INIT;

		if (find_point(c, texts[i], session, &e) < 0)
			fuzz_refused(&e, REFUSED);
	}
	const struct query_params params = { .sql = queries[which % ARRAY_LEN(queries)],
		                             .rows_max = 50,
		                             .timeout_ms = 100,
		                             .output = OUTPUT_JSON };
	struct err e = ERR_INIT;
	if (query_run(c, &params, null, &result, &e) < 0)
		fuzz_refused(&e, REFUSED);
	(void)fclose(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct catalog *c = NULL;
	struct err e = ERR_INIT;

	if (!path)
		make();
	if (size > 4 * KIB)
		return 0;
	damage(data, size);
	if (catalog_open(path, CATALOG_READ, &c, &e) < 0)
		fuzz_refused(&e, REFUSED);
	else
		ask(c, size);
	catalog_free(c);
	return 0;
}
