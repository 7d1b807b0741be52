/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts by which users name restore points: the repository and the catalog
 * know the same points, and mean the same one when both find one.
 */
#include "catalog/find.h"
#include "restore/restore.h"
#include "tests/fuzz/fuzz_catalog.h"

#define REFUSED (FUZZ_CLASS(ERR_NOT_FOUND) | FUZZ_CLASS(ERR_INVALID))

/* A path of a volume, as a user gives it. */
static void path_of(const char *text)
{
	auto_free char *path = strdup(text);
	struct err e = ERR_INIT;

	holds(path);
	if (restore_path(path, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
		return;
	}
	size_t n = strlen(path);
	holds(n <= strlen(text) && path[0] != '/' && (n == 0 || path[n - 1] != '/'));
	holds(!strstr(path, "//") && strncmp(path, "../", 3) != 0 && !strstr(path, "/../"));
	auto_free char *again = strdup(path);
	holds(again);
	works(restore_path(again, &e));
	holds(strcmp(path, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repo r;
	static struct catalog *c;
	CLEANUP(point_clear) struct point p = { 0 };
	char session[POINT_SESSION_LEN + 1] = "";
	char voltag[17] = "";
	struct err e = ERR_INIT;

	if (!c) {
		r = fuzz_points();
		auto_free char *path = fuzz_catalog(&r);
		works(catalog_open(path, CATALOG_READ, &c, &e));
		(void)snprintf(r.state, sizeof(r.state), "%s", fuzz_dir());
	}
	if (size > 4 * KIB)
		return 0;
	auto_free char *text = fuzz_text(data, size);
	path_of(text);
	if (repo_find(&r, text, &p, &e) < 0)
		fuzz_refused(&e, REFUSED);
	e = ERR_INIT;
	if (find_point(c, text, session, &e) < 0)
		fuzz_refused(&e, REFUSED);
	else
		holds(point_session_valid(session));
	if (p.session[0] && session[0])
		holds(strcmp(p.session, session) == 0);
	e = ERR_INIT;
	if (find_volume(c, text, voltag, &e) < 0)
		fuzz_refused(&e, REFUSED);
	else
		holds(strlen(voltag) == 16);
	return 0;
}
