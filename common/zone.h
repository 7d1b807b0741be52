/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones of the IANA database, "Europe/Berlin": how far local time is from UTC at any second.
 * Read from the compiled files that every system has (TZif, RFC 8536) into an object that never
 * changes, so that threads may share it: glibc's own reader knows only one zone per process, which
 * TZ names. Years behind the table of a file follow the rule in its last line.
 */
#ifndef AKSDR_COMMON_ZONE_H
#define AKSDR_COMMON_ZONE_H

#include <stdint.h>

#include "common/err.h"

#define ZONE_NAME_MAX 63            /* bytes of a name */
#define ZONE_FILE_MAX (64 * KIB)    /* bytes of a file; the largest known has about 4 KiB */
#define ZONE_OFFSET_MAX (26 * 3600) /* seconds, either way: RFC 8536, 3.2 */

struct zone;

/*
 * Reads the zone of this name below dir, or, when that is NULL, below TZDIR or /usr/share/zoneinfo.
 * "UTC" needs no file. Names are of letters, digits, '_', '+', '-' and '/' between parts, so that
 * none leads out of the directory. "localtime", which means another zone on each node, is refused.
 *   ERR_INVALID  no name of a zone
 *   ERR_NOT_FOUND  there is no such zone here, or no zones at all: the message says which
 *   ERR_FORMAT   the file; see zone_parse()
 */
MUST_CHECK int zone_open(const char *dir, const char *name, struct zone **ret, struct err *e);

/*
 * Decodes a file; name is for messages and zone_name().
 *   ERR_FORMAT   no TZif of version 2 or later, or it contradicts itself, or counts leap seconds
 *   ERR_NOMEM
 */
MUST_CHECK int zone_parse(const char *name, const void *p, size_t n, struct zone **ret,
                          struct err *e);

void zone_free(struct zone *z);
static inline void clean_zone(struct zone *const *z)
{
	zone_free(*z);
}
#define auto_zone CLEANUP(clean_zone)

const char *zone_name(const struct zone *z); /* "UTC" for NULL */

/* A time in which the offset stays the same. */
struct zone_span {
	int64_t from_s, to_s; /* since 1970; to_s is outside; INT64_MIN, INT64_MAX: without end */
	int32_t offset_s;     /* local time less UTC */
	int32_t before_s;     /* the offset before from_s; offset_s when there is none */
};

/* The span that at_s is in. z NULL: UTC. Times beyond +-2^55 are taken as that. */
struct zone_span zone_at(const struct zone *z, int64_t at_s);

/* "2026-03-29T03:00:00+02:00" */
struct zone_text {
	char s[48];
};
struct zone_text zone_text(const struct zone *z, int64_t at_s);

#endif
