/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that have a better sibling here, as compile errors. Every .c file
 * of the project gets this header by the compiler's -include. What a library's
 * own headers declare is not affected: poisoning happens after them.
 */
#ifndef AKSDR_COMMON_BANNED_H
#define AKSDR_COMMON_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED(f, use) f##_is_banned_use_##use
#undef strcpy
#define strcpy(d, s) BANNED(strcpy, memcpy_or_buf)
#undef strcat
#define strcat(d, s) BANNED(strcat, buf)
#undef strncpy
#define strncpy(d, s, n) BANNED(strncpy, memcpy_or_buf)
#undef strncat
#define strncat(d, s, n) BANNED(strncat, buf)
#undef sprintf
#define sprintf(...) BANNED(sprintf, snprintf_or_buf_printf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf, vsnprintf)
#undef atoi
#define atoi(s) BANNED(atoi, num_u64)
#undef strtol
#define strtol(...) BANNED(strtol, num_u64)
#undef strtok
#define strtok(...) BANNED(strtok, strsep)
#undef gmtime
#define gmtime(t) BANNED(gmtime, gmtime_r)
#undef localtime
#define localtime(t) BANNED(localtime, localtime_r)
#undef ctime
#define ctime(t) BANNED(ctime, now_rfc3339)
#undef rand
#define rand() BANNED(rand, secret_random)

#endif
