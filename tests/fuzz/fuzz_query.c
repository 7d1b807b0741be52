/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL of a user. The first byte is the form of the output, the rest the
 * statement. Whatever it is, it only reads; JSON that was written to its end
 * is JSON.
 */
#include <sys/stat.h>

#include "catalog/query.h"
#include "common/json.h"
#include "tests/fuzz/fuzz_catalog.h"

#define VALUE_MAX 100000 /* bytes of one value in the database's machine */

static char *path;
static struct catalog *c;
static struct stat made;

static void open_catalog(void)
{
	struct repo r = fuzz_points();
	struct err e = ERR_INIT;

	path = fuzz_catalog(&r);
	works(catalog_open(path, CATALOG_READ, &c, &e));
	(void)sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
	holds(stat(path, &made) == 0);
	store_free(r.store);
	keys_free(r.keys);
}

/* The file is as it was, and there is no other one beside it. */
static void check_file(void)
{
	struct stat st;

	holds(sqlite3_total_changes(c->db) == 0 && sqlite3_get_autocommit(c->db));
	holds(stat(path, &st) == 0 && st.st_size == made.st_size && st.st_ino == made.st_ino);
	holds(st.st_mtim.tv_sec == made.st_mtim.tv_sec &&
	      st.st_mtim.tv_nsec == made.st_mtim.tv_nsec);
	holds(count_files(fuzz_dir()) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct query_result result = { 0 };
	struct err e = ERR_INIT;
	char *text = NULL;
	size_t len = 0;

	if (!c)
		open_catalog();
	if (size == 0 || size > 4 * KIB)
		return 0;
	auto_free char *sql = fuzz_text(data + 1, size - 1);
	const struct query_params params = {
		.sql = sql, .rows_max = 20, .timeout_ms = 50, .output = (enum output)(data[0] % 3)
	};
	FILE *f = open_memstream(&text, &len);
	holds(f);
	int rc = query_run(c, &params, f, &result, &e);
	holds(fclose(f) == 0);
	if (rc < 0)
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID) | FUZZ_CLASS(ERR_DENIED) |
		                         FUZZ_CLASS(ERR_TOO_BIG) | FUZZ_CLASS(ERR_NOMEM));
	else
		holds(result.rows <= 20);
	if (rc == 0 && params.output == OUTPUT_JSON) {
		auto_json json_t *j = json_parse("output", text, len, &e);

		holds(json_array_size(json_object_get(j, "items")) == result.rows);
	}
	free(text);
	check_file();
	return 0;
}
