/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-64/NVME, the checksum that object stores verify uploads with: reflected
 * polynomial 0x9a6c9329ac4bc9b5, all ones before and after; of "123456789" it
 * is 0xae8b14860a799888. Azure writes its 8 bytes in little-endian order, S3
 * in big-endian order, both as base64.
 */
#ifndef AKSDR_COMMON_CRC64_H
#define AKSDR_COMMON_CRC64_H

#include <stddef.h>
#include <stdint.h>

#define CRC64_INIT UINT64_C(0) /* of no bytes */

/* The CRC of bytes whose CRC is crc (CRC64_INIT: none), followed by these. Thread-safe. */
uint64_t crc64_update(uint64_t crc, const void *p, size_t n);

/* The same by tables alone, for processors without a carry-less multiplication. */
uint64_t crc64_by_tables(uint64_t crc, const void *p, size_t n);

struct crc64_text {
	char s[13];
};
struct crc64_text crc64_little(uint64_t crc); /* base64 of the little-endian bytes */
struct crc64_text crc64_big(uint64_t crc);

#endif
