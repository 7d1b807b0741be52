/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records restored. The first byte is flags: bit 0: losses are skipped; bit 1:
 * the target has something in it that the restore goes on from; bit 2: owners
 * are left; bit 4: into an image file, else into a directory. The rest is a
 * leaf; with bit 3 a text from which one is made (fuzz_craft.h). Nothing beside
 * the target is ever touched, and what was restored without a word of loss
 * compares as the same.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "restore/restore.h"
#include "tests/fuzz/fuzz_craft.h"

#define BESIDE "beside" /* lies next to the target and stays as it is */

static int restore(const struct repo *r, const struct point *p, const char *path, unsigned flags,
                   enum on_corrupt on_corrupt, struct report *report, struct err *e)
{
	const struct restore_params params = { .threads = 1, .on_corrupt = on_corrupt };
	struct target *t = NULL;

	report_init(report);
	report->quiet = true;
	int rc = p->volume.block
	                 ? target_block_open(path, p->bytes_logical, flags, &report->losses, &t, e)
	                 : target_dir_open(path, flags, &report->losses, &t, e);
	if (rc == 0)
		rc = restore_run(r, p, t, &params, report, e);
	target_free(t);
	return rc;
}

/* What was there before: entries that the records may meet. */
static void furnish(const char *out)
{
	auto_free char *a = path_join(out, "a");
	auto_free char *link = path_join(out, "b");
	auto_free char *dangling = path_join(out, "c");

	write_text(out, "d", "a file that is in the way");
	holds(mkdir(a, 0700) == 0 && symlink("../" BESIDE, link) == 0);
	holds(symlink("../new", dangling) == 0);
	write_text(a, "x", "and one in a directory");
}

/* The directory holds the target and one other, which has one file of this content. */
static void check_beside(const char *root)
{
	auto_free char *beside = path_join(root, BESIDE);
	auto_free char *text = read_file(beside, "file", NULL);
	auto_free char *path = path_join(beside, "file");
	struct stat st;

	holds(count_files(root) <= 2 && count_files(beside) == 1);
	holds(strcmp(text, "untouched") == 0);
	holds(stat(path, &st) == 0 && st.st_nlink == 1 && (st.st_mode & 07777) == 0644);
	holds(stat(beside, &st) == 0 && (st.st_mode & 07777) == 0755);
}

static void compare(const struct repo *r, const struct point *p, const char *out, unsigned flags)
{
	struct report report;
	struct err e = ERR_INIT;

	works(restore(r, p, out, flags | TARGET_COMPARE | TARGET_IN_PLACE, CORRUPT_FAIL, &report,
	              &e));
	works(report_verdict(&report, &e));
	holds(report.written == 0);
	report_clear(&report);
}

static void one(const struct repo *r, uint8_t how, const struct point *p)
{
	auto_free char *root = path_join(fuzz_dir(), "root");
	auto_free char *out = path_join(root, "out");
	auto_free char *beside = path_join(root, BESIDE);
	unsigned flags = (how & 2 ? TARGET_IN_PLACE | TARGET_DELETE : 0) |
	                 (how & 4 ? TARGET_NO_OWNER : 0);
	enum on_corrupt on_corrupt = how & 1 ? CORRUPT_SKIP : CORRUPT_FAIL;
	struct report report;
	struct err e = ERR_INIT;

	holds(mkdir(root, 0700) == 0 && mkdir(beside, 0755) == 0);
	write_text(beside, "file", "untouched");
	if (!p->volume.block)
		holds(mkdir(out, 0700) == 0);
	if (how & 2 && p->volume.block)
		write_text(root, "out", "an image that was here before");
	else if (how & 2)
		furnish(out);
	int rc = restore(r, p, out, flags, on_corrupt, &report, &e);
	if (rc < 0)
		fuzz_refused(&e, ~FUZZ_CLASS(ERR_BUG) & ~FUZZ_CLASS(ERR_INVALID));
	check_beside(root);
	if (rc == 0 && report_verdict(&report, &e) == 0)
		compare(r, p, out, flags & TARGET_NO_OWNER);
	report_clear(&report);
	check_beside(root);
	tmpdir_remove(STEAL(&root));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct repo r;
	static struct domain_keys *domain;
	CLEANUP(buf_clear) struct buf leaf = BUF_INIT(MIB);
	struct point p;

	if (!r.store) {
		r = fuzz_repo_new();
		domain = fuzz_domain(r.keys);
		(void)umask(022);
	}
	if (size == 0 || size > 16 * KIB)
		return 0;
	if (data[0] & 8)
		craft_leaf(domain, data + 1, size - 1, &leaf);
	else
		(void)buf_put(&leaf, data + 1, size - 1);
	if (craft_point(&r, leaf.data, leaf.len, &p)) {
		p.volume.block = data[0] & 16;
		one(&r, data[0], &p);
	}
	fuzz_empty(r.store);
	return 0;
}
