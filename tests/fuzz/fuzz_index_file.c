/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the local index. The first byte says what is put right: bit 0: the
 * checksum of the head; bit 1: those of the entries; bit 2: the length, to
 * which the file is cut. Lookups and merging give entries of the file with a
 * good checksum, and nothing else.
 */
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/rd.h"
#include "repo/index_impl.h"
#include "repo/point.h"
#include "tests/fuzz/fuzz_repo.h"

#define HEAD_BYTES 64
#define ENTRY_BYTES 64
#define FILES "t-fuzz"

static const struct index_keys keys = { .head = { 1 }, .entry = { 2 } };

struct layout {
	size_t names, packs, entries; /* lengths in the file, padded */
	uint32_t names_len, npacks, nentries;
};

static struct layout layout_of(const uint8_t *p)
{
	struct rd rd = rd_of(p + 12, 12);
	struct layout l = { 0 };

	l.names_len = rd_u32(&rd);
	l.npacks = rd_u32(&rd);
	l.nentries = rd_u32(&rd);
	l.names = ((size_t)l.names_len + 63) & ~(size_t)63;
	l.packs = ((size_t)l.npacks * FORMAT_PACK_ID_BYTES + 63) & ~(size_t)63;
	l.entries = (size_t)l.nentries * ENTRY_BYTES;
	return l;
}

static void put_head_sum(uint8_t *p, const struct layout *l)
{
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, keys.head, sizeof(keys.head), 32);
	(void)crypto_generichash_update(&state, p, 32);
	(void)crypto_generichash_update(&state, p + HEAD_BYTES, l->names_len);
	(void)crypto_generichash_final(&state, p + 32, 32);
}

static void put_entry_sum(uint8_t *entry, const uint8_t *pack)
{
	uint8_t message[FORMAT_PACK_ID_BYTES + FORMAT_INDEX_ENTRY_BYTES - 4];

	memcpy(message, pack, FORMAT_PACK_ID_BYTES);
	memcpy(message + FORMAT_PACK_ID_BYTES, entry, 32);
	memcpy(message + FORMAT_PACK_ID_BYTES + 32, entry + 36, FORMAT_INDEX_ENTRY_BYTES - 36);
	(void)crypto_shorthash(entry + FORMAT_INDEX_ENTRY_BYTES, message, sizeof(message),
	                       keys.entry);
}

/* Puts right what `how` says; returns the length of the file. */
static size_t mend(uint8_t how, uint8_t *p, size_t n)
{
	if (n < HEAD_BYTES)
		return n;
	const struct layout l = layout_of(p);
	size_t whole = HEAD_BYTES + l.names + l.packs + l.entries;
	if (how & 4 && whole < n)
		n = whole;
	if (whole != n)
		return n;
	for (uint32_t i = 0; how & 2 && i < l.nentries; i++) {
		uint8_t *entry = p + HEAD_BYTES + l.names + l.packs + (size_t)i * ENTRY_BYTES;
		struct rd rd = rd_of(entry + 32, 4);
		uint32_t pack = rd_u32(&rd);

		if (pack < l.npacks)
			put_entry_sum(entry, p + HEAD_BYTES + l.names +
			                             (size_t)pack * FORMAT_PACK_ID_BYTES);
	}
	if (how & 1)
		put_head_sum(p, &l);
	return n;
}

struct found {
	const uint8_t *id;
	size_t n;
};

static bool each(void *arg, const struct chunk_ref *ref)
{
	struct found *f = arg;

	holds(memcmp(ref->id, f->id, FORMAT_ID_BYTES) == 0);
	f->n++;
	return f->n < 100;
}

static size_t find(const struct index_table *t, const uint8_t id[32])
{
	struct found f = { .id = id };

	index_table_find(t, &keys, id, each, &f);
	return f.n;
}

/* What the table gives; then the same of a merge with itself. */
static void look(const struct index_table *t)
{
	static const uint8_t none[32] = { 0xff, 0xff, 0xff };
	struct index_table *twice[2] = { (struct index_table *)(uintptr_t)t,
		                         (struct index_table *)(uintptr_t)t };
	bool ordered = true;

	holds(t->nnames > 0 && t->names[t->names_len - 1] == '\n');
	for (uint32_t i = 1; i < t->nentries; i++)
		ordered &= memcmp(t->entries + (size_t)(i - 1) * ENTRY_BYTES,
		                  t->entries + (size_t)i * ENTRY_BYTES, FORMAT_ID_BYTES) <= 0;
	struct index_table *merged = index_table_merge(&keys, twice, 2, -1);
	holds(merged && merged->nentries == 2 * t->nentries);
	holds(merged->npacks == 2 * t->npacks && merged->nnames == 2 * t->nnames);
	for (uint32_t i = 0; i < t->nentries && i < 50; i++) {
		struct chunk_ref ref;

		if (!index_table_get(t, &keys, i, &ref))
			continue;
		/* one that is out of order may be missed, and is stored again then */
		if (ordered)
			holds(find(t, ref.id) > 0 && find(merged, ref.id) > 0);
		else
			(void)(find(t, ref.id) + find(merged, ref.id));
	}
	(void)find(t, none);
	index_table_free(merged);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int dir = -1;
	struct err e = ERR_INIT;

	if (dir < 0)
		dir = open(fuzz_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	holds(dir >= 0);
	if (size == 0 || size > 64 * KIB)
		return 0;
	auto_free uint8_t *p = malloc(size);
	holds(p);
	memcpy(p, data + 1, size - 1);
	size_t n = mend(data[0], p, size - 1);
	works(fd_create_file(dir, FILES, p, n, 0600, FD_REPLACE, &e));
	struct index_table *t = index_table_open(&keys, dir, FILES);
	if (t)
		look(t);
	index_table_free(t);
	return 0;
}
