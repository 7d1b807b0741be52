/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tools of LVM and the device mapper say. The first byte says of which kind the rest is. Names
 * that are taken are fit for arguments; ranges are in order and apart, however the text comes in.
 */
#include "snapshot/lvm_parse.h"
#include "tests/fuzz/fuzz.h"

#define BAD (FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_TOO_BIG))

static void report(const uint8_t *p, size_t n)
{
	auto_free struct lvm_lv *v = NULL;
	size_t count = 0;
	struct err e = ERR_INIT;

	if (lvm_parse_lvs(p, n, &v, &count, &e) < 0) {
		fuzz_refused(&e, BAD);
		holds(!v && count == 0);
		return;
	}
	holds(count <= LVM_LVS_MAX);
	for (size_t i = 0; i < count; i++) {
		holds(lvm_parse_is_name(v[i].vg_name) && lvm_parse_is_name(v[i].lv_name));
		holds(v[i].lv_name[0] != '-' && !strchr(v[i].lv_name, '/'));
		holds(lvm_parse_is_uuid(v[i].lv_uuid) && v[i].size <= INT64_MAX);
		holds(!lvm_parse_has_tag(&v[i], "a,b"));
	}
}

static struct ranges *delta(const uint8_t *p, size_t n, size_t piece, struct err *e)
{
	struct lvm_delta *d = lvm_parse_delta_new(e);
	struct ranges *r = NULL;
	int rc = 0;

	holds(d);
	for (size_t at = 0; at < n && rc == 0; at += piece)
		rc = lvm_parse_delta_feed(d, p + at, n - at < piece ? n - at : piece, e);
	if (rc == 0)
		rc = lvm_parse_delta_end(d, 1, 2, &r, e);
	holds((rc == 0) == (r != NULL));
	lvm_parse_delta_free(d);
	return r;
}

static void difference(const uint8_t *p, size_t n)
{
	struct err e = ERR_INIT;
	auto_ranges struct ranges *whole = delta(p, n, n + 1, &e);
	if (!whole)
		fuzz_refused(&e, BAD);
	auto_ranges struct ranges *pieces = delta(p, n, 5, &e);

	holds(!whole == !pieces);
	for (size_t i = 0; whole && i < whole->n; i++) {
		holds(whole->v[i].start < whole->v[i].end && whole->v[i].end <= INT64_MAX);
		holds(i == 0 || whole->v[i].start > whole->v[i - 1].end);
		holds(whole->v[i].start == pieces->v[i].start);
	}
	holds(!whole || whole->n == pieces->n);
}

static void device_mapper(const char *text)
{
	struct lvm_pool pool;
	uint64_t id = 0;
	dev_t dev;

	holds(!lvm_parse_thin_table(text, &dev, &id) || id < 1U << 24);
	(void)lvm_parse_pool_table(text, &dev);
	(void)lvm_parse_pool_status(text, &pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	auto_free char *text = fuzz_text(data + 1, size - 1);

	if (data[0] == 'r')
		report(data + 1, size - 1);
	else if (data[0] == 'd')
		difference(data + 1, size - 1);
	else
		device_mapper(text);
	return 0;
}
