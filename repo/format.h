/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constants of the repository format; docs/FORMAT.md says what they mean. Nothing else belongs
 * here.
 */
#ifndef AKSDR_REPO_FORMAT_H
#define AKSDR_REPO_FORMAT_H

#include "common/clean.h"

#define FORMAT_MAGIC "AKSD"
#define FORMAT_TAIL "AKSDTAIL"
#define FORMAT_VERSION 1
/* Mandatory features of a whole repository (in its config), and of a single other object. */
#define FORMAT_FEATURE_COLLECT 1 /* chunks may move, sessions may be fenced */
#define FORMAT_FEATURE_FENCES 2  /* points may not count, since their site was fenced */
#define FORMAT_FEATURES FORMAT_FEATURE_COLLECT /* of a new repository */
#define FORMAT_FEATURES_KNOWN (FORMAT_FEATURES | FORMAT_FEATURE_FENCES)
#define FORMAT_OBJECT_FEATURES 0

#define FORMAT_HEAD_BYTES 8
#define FORMAT_ID_BYTES 32 /* chunk and node ids */
#define FORMAT_PACK_ID_BYTES 16
#define FORMAT_REPO_ID_BYTES 16
#define FORMAT_TAG_BYTES 16 /* of both ciphers */
#define FORMAT_DEK_BYTES 32
#define FORMAT_SLOT_BYTES 88 /* recipient id and wrapped key */
#define FORMAT_KEYHEAD_BYTES 34
#define FORMAT_PACK_FIXED_BYTES 36
#define FORMAT_TRAILER_BYTES 160
#define FORMAT_ENTRY_BYTES 68
#define FORMAT_INDEX_ENTRY_BYTES 56
#define FORMAT_INDEX_PACK_BYTES 32
#define FORMAT_SIGNER_BYTES 8
#define FORMAT_SIGNATURE_BYTES 64

#define FORMAT_KIND_CONFIG 'C'
#define FORMAT_KIND_SESSION 'S'
#define FORMAT_KIND_INDEX 'I'
#define FORMAT_KIND_POINT 'R'
#define FORMAT_KIND_DATA 'P'
#define FORMAT_KIND_META 'M'
#define FORMAT_KIND_ABORT 'X'
#define FORMAT_KIND_MAINTENANCE 'N'
#define FORMAT_KIND_TOMB 'T'
#define FORMAT_KIND_HOLD 'H'
#define FORMAT_KIND_PIN 'L'
#define FORMAT_KIND_COLLECT 'G'
#define FORMAT_KIND_DAMAGE 'D'
#define FORMAT_KIND_CHECKED 'K'
#define FORMAT_KIND_REVOKED 'V'
#define FORMAT_KIND_RESEAL 'Y'
#define FORMAT_KIND_FENCE 'E'
#define FORMAT_KIND_RUN 'J'
#define FORMAT_KIND_OWNER 'O'
#define FORMAT_KIND_AUDIT 'A'
#define FORMAT_KIND_ANCHOR 'W'
#define FORMAT_KIND_INVENTORY 'B'

#define FORMAT_ABORT_BYTES 512    /* of an abort; no other object below commit/ has this length */
#define FORMAT_RESEAL_BYTES 112   /* of an entry of a re-seal object: commitment, sealed key */
#define FORMAT_PACK_NAME_BYTES 17 /* of a pack in the lists of a collection */

enum { CIPHER_AES256GCM = 1, CIPHER_XCHACHA20 = 2 };
enum { HASH_SHA256_TREE = 1 };
enum { COMPRESSION_NONE = 0, COMPRESSION_ZSTD = 1 };
enum { CHUNK_DATA = 0, CHUNK_NODE = 1 };

#define FORMAT_PAGE_BYTES 4096
#define FORMAT_BLOCK_BYTES MIB
#define FORMAT_WINDOW_BYTES (64 * MIB) /* of a file's extents in one record */

#define FORMAT_CHUNK_MAX (8 * MIB)
#define FORMAT_PACK_MAX (256 * MIB)
#define FORMAT_KEYS_MAX 4096
#define FORMAT_SLOTS_MAX 64
#define FORMAT_ENTRIES_MAX ((size_t)1 << 20)
#define FORMAT_PATH_MAX 65536
#define FORMAT_NODE_ITEMS_MAX 65536
#define FORMAT_LEVELS_MAX 16
#define FORMAT_CONFIG_MAX MIB
#define FORMAT_POINT_MAX (4 * MIB)

enum record_flags {
	RECORD_LINK = 1,
	RECORD_XATTRS = 2,
	RECORD_FSFLAGS = 4,
	RECORD_PROJID = 8,
	RECORD_DEVICE = 16,
	RECORD_HARDLINK = 32,
	RECORD_CHANGED = 64,
	RECORD_BLOCK = 128,
	RECORD_CONTINUED = 256
};

#endif
