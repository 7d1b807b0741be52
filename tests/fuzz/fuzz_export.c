/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records, with attributes and ACLs in the kernel's form, as an archive. The
 * input is a leaf. An archive that was written to its end reads to its end,
 * and has an entry for each record that it can hold.
 */
#include "restore/cmd_export.c"

#define CRAFT_SIZE_MAX MIB
#include "tests/fuzz/fuzz_craft.h"

#define ARCHIVE_MAX (16 * MIB)

static uint8_t bytes[ARCHIVE_MAX];

/* What the verb itself would call; here its parts are called. */
int cmd_open_data(const struct verb_common *common, const char *text, struct repo **ret,
                  struct point *ret_point, struct err *e)
{
	static struct repo *volatile none;

	(void)common;
	(void)text;
	(void)ret_point;
	*ret = none;
	return err_set(e, ERR_BUG, "no verb runs here");
}

void cmd_pin(const struct verb_common *common, const struct repo *r, const struct point *p,
             struct cmd_pin *ret)
{
	(void)common;
	(void)p;
	*ret = (struct cmd_pin){ .repo = r };
}

void cmd_unpin(struct cmd_pin *p)
{
	p->key[0] = '\0';
}

static struct archive *archive_of(size_t *used)
{
	struct archive *a = archive_write_new();

	holds(a && archive_write_set_format_pax(a) == ARCHIVE_OK);
	holds(archive_write_set_format_option(a, "pax", "xattrheader", "SCHILY") == ARCHIVE_OK);
	holds(archive_write_open_memory(a, bytes, sizeof(bytes), used) == ARCHIVE_OK);
	return a;
}

static void read_back(size_t used)
{
	struct archive *a = archive_read_new();
	struct archive_entry *n;
	int rc;

	holds(a && archive_read_support_format_tar(a) == ARCHIVE_OK);
	holds(archive_read_open_memory(a, bytes, used) == ARCHIVE_OK);
	while ((rc = archive_read_next_header(a, &n)) == ARCHIVE_OK || rc == ARCHIVE_WARN)
		holds(archive_entry_pathname(n) || archive_entry_pathname_w(n));
	if (rc != ARCHIVE_EOF)
		(void)fprintf(stderr, "%s\n", archive_error_string(a));
	holds(rc == ARCHIVE_EOF);
	(void)archive_read_free(a);
}

static void put_point(const struct repo *r, const struct point *p)
{
	CLEANUP(export_clear) struct export x = { .repo = r, .point = p, .root = "" };
	const struct reader_params params = { .threads = 1 };
	auto_tree struct tree *t = NULL;
	size_t used = 0;
	struct err e = ERR_INIT;

	works(tree_open(r, p, &t, &e));
	works(tree_open(r, p, &x.aux, &e));
	works(keys_domain(r->keys, p->domain, &x.domain, &e));
	works(reader_open(r, &params, NULL, NULL, &x.reader, &e));
	x.out = archive_of(&used);
	int rc = put_all(&x, t, &e);
	if (rc < 0)
		fuzz_refused(&e, ~FUZZ_CLASS(ERR_BUG) & ~FUZZ_CLASS(ERR_INVALID));
	holds(archive_write_close(x.out) == ARCHIVE_OK || rc < 0);
	if (rc == 0)
		read_back(used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repo r;
	struct point p;

	if (!r.store) {
		r = fuzz_repo_new();
		(void)setlocale(LC_CTYPE, "C.UTF-8");
	}
	if (size <= 16 * KIB && craft_point(&r, data, size, &p))
		put_point(&r, &p);
	fuzz_empty(r.store);
	return 0;
}
