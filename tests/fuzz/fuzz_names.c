/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of objects, as lists give them. What is taken for a name of some kind
 * is written as exactly that name again.
 */
#include "repo/note.h"
#include "repo/pack.h"
#include "repo/segment.h"
#include "repo/session.h"
#include "store/names.h"
#include "store/store.h"
#include "tests/fuzz/fuzz.h"

#define NAMES_KEPT 5

static void key(const char *name)
{
	char again[NOTE_KEY_MAX];
	char session[96];
	uint8_t id[16];
	uint8_t kind;
	uint64_t n;

	if (pack_key_parse(name, id, &kind) == 0) {
		char pack[PACK_KEY_MAX];

		pack_key_name(pack, id, kind);
		holds(kind <= CHUNK_NODE && strcmp(pack, name) == 0 && store_key_valid(name));
	}
	if (note_number(name, &n)) {
		holds(n > 0);
		note_number_key("x", n, again);
		holds(strcmp(again + 2, name) == 0 && store_key_valid(again));
	}
	if (note_name_valid(name))
		holds(strlen(name) == 43 && name[10] == '/' && store_key_valid(name));
	if (point_session_valid(name)) {
		holds(strlen(name) == POINT_SESSION_LEN && store_key_valid(name));
		holds(!session_is_maintenance(name) || name[POINT_SESSION_VOLTAG + 15] == '0');
	}
	if (segment_session(name, session)) {
		holds(point_session_valid(session) && strncmp(session, name, 60) == 0);
		holds(name[60] == '-' && strlen(name) >= 65 && store_key_valid(name));
	}
	if (store_key_valid(name)) {
		size_t len = strlen(name);

		holds(len >= 1 && len <= STORE_KEY_MAX && name[0] != '/' && name[len - 1] != '/');
		holds(name[0] != '.' && !strstr(name, "//") && !strstr(name, "/."));
	}
}

/* The smallest names of a list, which the input gives a line each. */
static void smallest(const uint8_t *p, size_t n)
{
	CLEANUP(names_clear) struct names s = NAMES_INIT(NAMES_KEPT);
	const uint8_t *line;
	size_t len;
	size_t added = 0;

	while (fuzz_piece(&p, &n, '\n', &line, &len)) {
		auto_free char *name = fuzz_text(line, len);

		if (strlen(name) >= NAMES_MAX - 1)
			continue;
		holds(names_add(&s, name, len & 1) == 0);
		added++;
	}
	holds(names_sort(&s) == 0 && names_count(&s) <= NAMES_KEPT);
	holds((names_count(&s) == 0) == (added == 0));
	for (size_t i = 1; i < names_count(&s); i++)
		holds(strcmp(names_get(&s, i - 1), names_get(&s, i)) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *name = fuzz_text(data, size);

	key(name);
	smallest(data, size);
	return 0;
}
