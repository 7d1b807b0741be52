/* SPDX-License-Identifier: Apache-2.0 */
/* A point as a file system that is read here and there. Content: test_browse_read.c. */
#include "restore/browse.h"

#include "tests/unit/restore/browse_kit.h"

/* Collects names, a limited number at a time. */
struct names {
	struct buf text;
	unsigned most, n;
	uint64_t next;
};

static bool add_name(void *arg, const char *name, size_t len, const struct browse_entry *n,
                     uint64_t next)
{
	struct names *l = arg;

	if (l->n == l->most)
		return false;
	l->n++;
	(void)buf_put(&l->text, name, len);
	(void)buf_printf(&l->text, ":%o ", n->st.st_mode >> 12);
	l->next = next;
	return true;
}

/* All of a directory, `most` names a call. Damage is counted. */
static char *names_of(struct browse *b, uint64_t dir, unsigned most, unsigned *ret_damaged)
{
	struct names l = { .text = BUF_INIT(MIB), .most = most };

	*ret_damaged = 0;
	do {
		struct err why = ERR_INIT;
		bool damaged;

		l.n = 0;
		ok(browse_list(b, dir, l.next, add_name, &l, &damaged, &why, e));
		*ret_damaged += damaged;
		assert_int_equal(why.class != ERR_NONE, damaged);
	} while (l.n > 0);
	char *text = strdup(buf_cstr(&l.text));
	buf_clear(&l.text);
	return text;
}

static void assert_names(struct browse *b, const char *path, const char *want)
{
	unsigned damaged;

	for (unsigned most = 1; most < 5; most++) {
		auto_free char *got = names_of(b, browse_at(b, path).number, most, &damaged);

		assert_string_equal(got, want);
		assert_int_equal(damaged, 0);
	}
}

static void test_browse_list__gives_what_is_in_a_directory(void **state)
{
	auto_world struct world w = world_new();

	(void)state;
	world_file(&w, "b/deep/er/x", 1, 10);
	world_file(&w, "b/y", 1, 10);
	world_file(&w, "b.txt", 1, 10);
	world_file(&w, "a", 1, 10);
	world_file(&w, "\1low", 1, 10);
	auto_free char *empty = world_at(&w, "empty");
	auto_free char *link = world_at(&w, "link");
	assert_int_equal(mkdir(empty, 0755), 0);
	assert_int_equal(symlink("a", link), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	assert_names(b, "", "\1low:10 a:10 b:4 b.txt:10 empty:4 link:12 ");
	assert_names(b, "b", "deep:4 y:10 ");
	assert_names(b, "b/deep/er", "x:10 ");
	assert_names(b, "empty", "");
}

static void test_browse_lookup__finds_names_and_only_those(void **state)
{
	static const char *const missing[] = { "b", "a.", "A", "a/x", "zz" };
	auto_world struct world w = world_new();
	struct browse_entry n;
	bool found;

	(void)state;
	world_file(&w, "a", 1, 10);
	world_file(&w, "c/d", 1, 20);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	for (size_t i = 0; i < ARRAY_LEN(missing); i++) {
		ok(browse_lookup(b, 0, missing[i], &found, &n, e));
		assert_false(found);
	}
	n = browse_at(b, "c/d");
	assert_int_equal(n.st.st_size, 20);
	assert_true(S_ISREG(n.st.st_mode));
	/* a file has no entries, and a number that there is not is none */
	fails(ERR_INVALID, browse_lookup(b, browse_at(b, "a").number, "x", &found, &n, e));
	fails(ERR_FORMAT, browse_stat(b, 100, &n, e));
}

static void test_browse_stat__is_what_the_volume_had(void **state)
{
	auto_world struct world w = world_new();
	struct stat st;

	(void)state;
	world_file(&w, "f", 1, 5000);
	auto_free char *path = world_at(&w, "f");
	auto_free char *other = world_at(&w, "other");
	auto_free char *lnk = world_at(&w, "lnk");
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(link(path, other), 0);
	assert_int_equal(symlink("target/of/it", lnk), 0);
	CLEANUP(point_clear) struct point p = world_backup(&w);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	assert_int_equal(stat(path, &st), 0);
	const struct browse_entry f = browse_at(b, "f");
	assert_int_equal(f.st.st_mode, st.st_mode);
	assert_int_equal(f.st.st_uid, st.st_uid);
	assert_int_equal(f.st.st_nlink, 2);
	assert_int_equal(f.st.st_mtim.tv_sec, st.st_mtim.tv_sec);
	assert_int_equal(f.st.st_mtim.tv_nsec, st.st_mtim.tv_nsec);
	assert_int_equal(f.st.st_blocks, 10);
	/* a further name is the same file */
	assert_int_equal(browse_at(b, "other").number, f.number);
	assert_int_equal(browse_at(b, "other").st.st_size, 5000);
	CLEANUP(buf_clear) struct buf to = BUF_INIT(KIB);
	ok(browse_link(b, browse_at(b, "lnk").number, &to, e));
	assert_string_equal(buf_cstr(&to), "target/of/it");
	assert_int_equal(browse_at(b, "lnk").st.st_size, 12);
	fails(ERR_INVALID, browse_link(b, f.number, &to, e));
	buf_reset(&to);
	ok(browse_path(b, f.number, &to, e));
	assert_string_equal(buf_cstr(&to), "f");
}

static void test_browse_xattr__gives_values_and_names(void **state)
{
	static const uint8_t xattrs[] = "\6user.a\3\1\0\2\6user.b\0";
	auto_world struct world w = world_new();
	const struct record file = {
		.path = "f",
		.st = { .mode = S_IFREG | 0644 },
		.flags = RECORD_XATTRS | RECORD_FSFLAGS | RECORD_PROJID,
		.xattrs = xattrs,
		.xattrs_len = sizeof(xattrs) - 1,
		.fsflags = 0x10,
		.projid = 77,
	};
	struct craft c;
	bool found;

	(void)state;
	craft_begin(&c, &w);
	craft_dir(&c, "");
	craft_add(&c, &file);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	CLEANUP(buf_clear) struct buf value = BUF_INIT(KIB);
	ok(browse_open(&s, &p, &b, e));
	uint64_t f = browse_at(b, "f").number;
	ok(browse_xattr(b, f, "user.a", &value, &found, e));
	assert_true(found);
	assert_int_equal(value.len, 3);
	assert_memory_equal(value.data, "\1\0\2", 3);
	ok(browse_xattr(b, f, "user", &value, &found, e));
	assert_false(found);
	buf_reset(&value);
	ok(browse_xattrs(b, f, &value, e));
	assert_int_equal(value.len, 14);
	assert_memory_equal(value.data, "user.a\0user.b", 14);
	uint32_t flags;
	uint32_t projid;
	ok(browse_flags(b, f, &flags, &projid, e));
	assert_int_equal(flags, 0x10);
	assert_int_equal(projid, 77);
}

static void test_browse_list__goes_on_behind_a_damaged_node(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct kit_content content = {
		.volume = "v", .domain = "d", .n = 1, .files = 12000, .bytes = 20
	};
	struct world w = { .kit = k };
	auto_kit_point struct point p = kit_backup(&k, &content);
	char name[PACK_KEY_MAX];
	unsigned damaged;

	(void)state;
	assert_true(p.levels > 1);
	/* An offset in the middle of the pack of nodes is in the middle of the tree's leaves. */
	pack_key_name(name, p.root.pack, CHUNK_NODE);
	kit_flip(&k, name, (int64_t)p.root.off / 2);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	auto_free char *got = names_of(b, 0, 100000, &damaged);
	assert_int_equal(damaged, 1);
	assert_non_null(strstr(got, "f00000:10"));
	assert_non_null(strstr(got, "f11999:10"));
	assert_true(strlen(got) < 12000 * strlen("f00000:10 "));
	/* and page by page the same */
	auto_free char *paged = names_of(b, 0, 17, &damaged);
	assert_string_equal(paged, got);
	assert_true(damaged >= 1);
	/* what is not hurt is found as ever */
	assert_int_equal(browse_at(b, "f11999").number, 12000);
}

static void test_browse_list__a_root_that_is_lost_hides_nothing_else(void **state)
{
	auto_kit struct kit k = kit_new();
	const struct kit_content content = {
		.volume = "v", .domain = "d", .n = 1, .files = 12000, .bytes = 20
	};
	struct world w = { .kit = k };
	auto_kit_point struct point p = kit_backup(&k, &content);
	char name[PACK_KEY_MAX];
	struct browse_entry n;
	unsigned damaged;

	(void)state;
	/* The first node in the pack is the first leaf. */
	pack_key_name(name, p.root.pack, CHUNK_NODE);
	kit_flip(&k, name, PACK_HEADER_GUESS);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	ok(browse_stat(b, 0, &n, e));
	assert_true(S_ISDIR(n.st.st_mode));
	auto_free char *got = names_of(b, 0, 100000, &damaged);
	assert_int_equal(damaged, 1);
	assert_null(strstr(got, "f00000:10"));
	assert_non_null(strstr(got, "f11999:10"));
	fails(ERR_CORRUPT, browse_stat(b, 1, &n, e));
}

static void test_browse_list__a_link_to_what_is_not_there_is_damage(void **state)
{
	auto_world struct world w = world_new();
	const struct record link = {
		.path = "z",
		.st = { .mode = S_IFREG | 0644 },
		.flags = RECORD_HARDLINK,
		.hardlink = "gone",
		.hardlink_len = 4,
	};
	struct browse_entry n;
	unsigned damaged;
	struct craft c;
	bool found;

	(void)state;
	craft_begin(&c, &w);
	craft_dir(&c, "");
	craft_dir(&c, "a");
	craft_add(&c, &link);
	CLEANUP(point_clear) struct point p = craft_end(&c);
	auto_shared struct browse_shared s = shared_new(&w);
	auto_browse struct browse *b = NULL;
	ok(browse_open(&s, &p, &b, e));
	auto_free char *got = names_of(b, 0, 10, &damaged);
	assert_string_equal(got, "a:4 ");
	assert_true(damaged >= 1);
	fails(ERR_NOT_FOUND, browse_lookup(b, 0, "z", &found, &n, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_browse_list__gives_what_is_in_a_directory),
		cmocka_unit_test(test_browse_lookup__finds_names_and_only_those),
		cmocka_unit_test(test_browse_stat__is_what_the_volume_had),
		cmocka_unit_test(test_browse_xattr__gives_values_and_names),
		cmocka_unit_test(test_browse_list__goes_on_behind_a_damaged_node),
		cmocka_unit_test(test_browse_list__a_root_that_is_lost_hides_nothing_else),
		cmocka_unit_test(test_browse_list__a_link_to_what_is_not_there_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
