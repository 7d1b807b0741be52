/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tools of LVM and of thin pools write, and the tables and states of thin devices: taken
 * as it is documented, or not at all.
 */
#ifndef AKSDR_SNAPSHOT_LVM_PARSE_H
#define AKSDR_SNAPSHOT_LVM_PARSE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "snapshot/ranges.h"

#define LVM_NAME_MAX 127
#define LVM_UUID_LEN 38 /* 32 characters in groups of 6-4-4-4-4-4-6 */
#define LVM_TAGS_MAX 2048
#define LVM_LVS_MAX 4096             /* volumes in one report */
#define LVM_RANGES_MAX (4 * 1048576) /* ranges in one difference */

/* The columns that lvs is asked for. */
#define LVM_COLUMNS \
	"vg_name,vg_uuid,lv_name,lv_uuid,pool_lv,thin_id,lv_size,lv_permissions,lv_dm_path,lv_tags"

struct lvm_lv {
	char vg_name[LVM_NAME_MAX + 1], vg_uuid[LVM_UUID_LEN + 1];
	char lv_name[LVM_NAME_MAX + 1], lv_uuid[LVM_UUID_LEN + 1];
	char pool[LVM_NAME_MAX + 1];                /* "": none */
	char dm_path[2 * (LVM_NAME_MAX + 1) + 256]; /* of the device */
	char tags[LVM_TAGS_MAX + 1];                /* with commas between */
	uint64_t thin_id, size;                     /* thin_id 0: none; bytes */
	bool read_only;
};

/* Whether text is a name or an uuid that LVM gives. */
bool lvm_parse_is_name(const char *text);
bool lvm_parse_is_uuid(const char *text);

/*
 * The report of `lvs --reportformat json --units b --nosuffix` with LVM_COLUMNS. *ret, of
 * *ret_n, is freed by the caller. ERR_FORMAT, ERR_NOMEM.
 */
MUST_CHECK int lvm_parse_lvs(const void *p, size_t n, struct lvm_lv **ret, size_t *ret_n,
                             struct err *e);

bool lvm_parse_has_tag(const struct lvm_lv *lv, const char *tag);

/* The table of a thin device, "MAJOR:MINOR ID": the device of its pool, and its number there. */
bool lvm_parse_thin_table(const char *text, dev_t *ret_pool, uint64_t *ret_id);

/* The table of a pool, "MAJOR:MINOR MAJOR:MINOR SECTORS …": where its metadata are. */
bool lvm_parse_pool_table(const char *text, dev_t *ret_metadata);

struct lvm_pool {
	uint64_t metadata_used, metadata_blocks;
	uint64_t data_used, data_blocks;
	bool held;     /* somebody has a snapshot of the metadata */
	bool writable; /* it is in order, and has room */
};

/* The status of a pool. false: it is not one that works. */
bool lvm_parse_pool_status(const char *text, struct lvm_pool *ret);

/* The output of thin_delta, piece by piece, as ranges of bytes. */
struct lvm_delta;
MUST_CHECK struct lvm_delta *lvm_parse_delta_new(struct err *e);
void lvm_parse_delta_free(struct lvm_delta *take_d); /* NULL is fine */

/* Takes n more bytes. ERR_FORMAT, ERR_TOO_BIG, ERR_NOMEM. */
MUST_CHECK int lvm_parse_delta_feed(struct lvm_delta *d, const void *p, size_t n, struct err *e);

/*
 * The end: what is not the same in the devices left and right. ERR_FORMAT: not whole, or of other
 * devices.
 */
MUST_CHECK int lvm_parse_delta_end(struct lvm_delta *d, uint64_t left, uint64_t right,
                                   struct ranges **ret, struct err *e);

#endif
