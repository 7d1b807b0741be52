/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event on stderr, as text or JSON. The event's name is fixed,
 * the facts are typed fields with units in their names. Folders below the
 * programs log at debug level only; keys, tokens and signatures never.
 */
#ifndef AKSDR_COMMON_LOG_H
#define AKSDR_COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clean.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_SILENT };
enum log_format { LOG_TEXT, LOG_JSON };

enum log_type { LOG_T_END, LOG_T_STR, LOG_T_U64, LOG_T_I64, LOG_T_BOOL };
struct log_field {
	enum log_type type;
	const char *name;
	union {
		const char *s;
		uint64_t u;
		int64_t i;
		bool b;
	};
};

#define LOG_S(n, v) ((struct log_field){ .type = LOG_T_STR, .name = (n), .s = (v) })
#define LOG_U(n, v) ((struct log_field){ .type = LOG_T_U64, .name = (n), .u = (v) })
#define LOG_I(n, v) ((struct log_field){ .type = LOG_T_I64, .name = (n), .i = (v) })
#define LOG_B(n, v) ((struct log_field){ .type = LOG_T_BOOL, .name = (n), .b = (v) })

void log_setup(enum log_level least, enum log_format format);

/* Thread-safe; one write(2) a line. Control characters are escaped in both formats. */
void log_event(enum log_level level, const char *event, const struct log_field *fields);

/* True when lines are JSON. */
bool log_is_json(void);

/* Written before each line: what clears a progress line from a terminal. A literal, or NULL. */
void log_line_prefix(const char *prefix);

#define log_at(level, event, ...)   \
	log_event((level), (event), \
	          (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ .type = LOG_T_END } })
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

#endif
