/* SPDX-License-Identifier: Apache-2.0 */
/* What two points have different. */
#include "restore/differ.h"

#include "repo/tree.h"
#include "tests/unit/restore/browse_kit.h"

static int put_item(void *arg, const struct differ_item *n, struct err *e)
{
	const struct record *r = n->new ? n->new : n->old;

	(void)e;
	return buf_printf(arg, "%c%.*s/%x/%llu ", "+-TMm"[n->kind], (int)r -> path_len, r -> path,
	                  n -> fields, (unsigned long long)n -> bytes);
}

static void assert_differ(const struct world *w, const struct point *old, const struct point *new,
                          const char *want)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(MIB);
	auto_shared struct browse_shared s = shared_new(w);
	auto_browse struct browse *a = NULL;
	auto_browse struct browse *b = NULL;

	ok(browse_open(&s, old, &a, e));
	ok(browse_open(&s, new, &b, e));
	const struct differ_side x = { a, old };
	const struct differ_side y = { b, new };
	ok(differ_run(w->kit.recovery, &x, &y, put_item, &text, e));
	assert_string_equal(buf_cstr(&text), want);
}

static void test_differ_run__tells_each_kind(void **state)
{
	auto_world struct world w = world_new();
	char command[400];

	(void)state;
	world_file(&w, "a/same", 1, 5000);
	world_file(&w, "a/content", 2, 5000);
	world_file(&w, "gone", 3, 10);
	world_file(&w, "mode", 4, 10);
	for (unsigned i = 0; i < 3000; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "many/f%04u", i);
		world_file(&w, name, i, 20);
	}
	(void)snprintf(command, sizeof(command), "cd '%s' && mkdir type && touch -d 2001-01-01 . a",
	               w.src);
	assert_int_equal(system(command), 0);
	CLEANUP(point_clear) struct point old = world_backup(&w);
	(void)snprintf(command, sizeof(command),
	               "cd '%s' && rm gone && chmod 600 mode && rmdir type && ln -s x type && "
	               "printf 123 >new && printf X | dd of=a/content bs=1 conv=notrunc "
	               "status=none && touch -d 2002-02-02 a/content && touch -d 2001-01-01 . a",
	               w.src);
	assert_int_equal(system(command), 0);
	CLEANUP(point_clear) struct point new = world_backup(&w);
	assert_differ(&w, &old, &new, "Ma/content/4/4096 -gone/0/10 mmode/1/0 +new/0/3 Ttype/0/0 ");
	assert_differ(&w, &old, &old, "");
	assert_differ(&w, &new, &old, "Ma/content/4/4096 +gone/0/10 mmode/1/0 -new/0/3 Ttype/0/0 ");
}

/* A file of two records, of which the second one is `more`. */
static struct point two_parts(struct world *w, uint64_t more)
{
	struct craft c;

	craft_begin(&c, w);
	int64_t one = craft_chunk(&c, 1, 10000);
	int64_t two = craft_chunk(&c, more, 10000);
	const struct extent x[] = { { one, 0, 10000 } };
	const struct extent y[] = { { two, 0, 10000 } };
	craft_dir(&c, "");
	craft_file(&c, "f", 20000, RECORD_CONTINUED, x, 1);
	craft_more(&c, "f", 10000, y, 1);
	craft_dir(&c, "z");
	return craft_end(&c);
}

static void test_differ_run__a_later_part_of_a_file_counts_once(void **state)
{
	auto_world struct world w = world_new();
	CLEANUP(point_clear) struct point old = two_parts(&w, 2);
	CLEANUP(point_clear) struct point new = two_parts(&w, 3);

	(void)state;
	assert_differ(&w, &old, &new, "Mf/0/11808 ");
}

static void test_differ_fields__names_what_is_other(void **state)
{
	const struct record a = { .st = { .mode = S_IFREG | 0644, .uid = 1 } };
	struct record b = a;

	(void)state;
	assert_int_equal(differ_fields(&a, &b), 0);
	b.st.mode = S_IFREG | 0600;
	b.st.gid = 2;
	b.st.mtime.ns = 1;
	assert_int_equal(differ_fields(&a, &b), DIFFER_MODE | DIFFER_OWNER | DIFFER_MTIME);
	b = a;
	b.xattrs = (const uint8_t *)"\1a\0";
	b.xattrs_len = 3;
	b.fsflags = 1;
	b.projid = 1;
	b.hardlink = "x";
	b.hardlink_len = 1;
	assert_int_equal(differ_fields(&a, &b),
	                 DIFFER_XATTRS | DIFFER_FLAGS | DIFFER_PROJECT | DIFFER_LINKS);
	assert_string_equal(differ_field_names[6], "links");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_differ_run__tells_each_kind),
		cmocka_unit_test(test_differ_run__a_later_part_of_a_file_counts_once),
		cmocka_unit_test(test_differ_fields__names_what_is_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
