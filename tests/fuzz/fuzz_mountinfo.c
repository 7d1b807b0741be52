/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of mounts: any text ends in a table or an error, and any table can be asked anything. */
#include "snapshot/mount.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_mounts struct mount_table t = { 0 };
	struct err e = ERR_INIT;

	if (size > 16 * KIB)
		return 0;
	if (mount_parse(data, size, &t, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT));
		holds(!t.v && !t.text);
		return 0;
	}
	holds(t.n <= size);
	for (size_t i = 0; i < t.n; i++) {
		const struct mount *m = &t.v[i], *first = mount_first(&t, m->dev);
		size_t n = 0;

		holds(m->point[0] == '/' && m->root[0] && m->type[0]);
		holds(mount_by_id(&t, m->id) <= m);
		for (const struct mount *o = NULL; (o = mount_of_dev(&t, m->dev, o)); n++)
			holds(o->dev == m->dev);
		holds(n > 0 && first && first->dev == m->dev);
		holds(mount_is_part(m) || !mount_is_part(first));
		if (!mount_is_part(first) && mount_is_hidden(&t, first))
			holds(mount_is_part(m) || mount_is_hidden(&t, m));
	}
	return 0;
}
