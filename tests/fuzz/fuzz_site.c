/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and arguments of anybody: a line with a path, then lines NAME=VALUE or NAME. */
#include "catalog/site.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct site_request q = { .report = NULL };
	const uint8_t *piece;
	size_t n;
	struct err e = ERR_INIT;

	if (!fuzz_piece(&data, &size, '\n', &piece, &n))
		return 0;
	auto_free char *path = fuzz_text(piece, n);
	if (site_path(path, &q, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_NOT_FOUND));
		holds(!q.report);
		return 0;
	}
	holds(!q.report || strcmp(path + strlen("/reports/"), q.report->name) == 0);
	while (fuzz_piece(&data, &size, '\n', &piece, &n)) {
		auto_free char *name = fuzz_text(piece, n);
		char *value = strchr(name, '=');

		if (value)
			*value++ = '\0';
		e = ERR_INIT;
		if (site_argument(&q, name, value, &e) < 0)
			fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
		holds(memchr(q.cluster, '\0', sizeof(q.cluster)) &&
		      memchr(q.namespace, '\0', sizeof(q.namespace)) &&
		      memchr(q.volume, '\0', sizeof(q.volume)));
	}
	return 0;
}
