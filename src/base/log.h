/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One line an event: time, level, text. The sink is handed in by cmd/; until then standard error.
 * Any thread; errno is kept.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Called with one finished line (no newline), one at a time. */
typedef void (*log_sink_fn)(void *ctx, enum log_level level, const char *line);

/* Set before threads start. Lines above LEVEL are dropped. */
void log_setup(enum log_level level, log_sink_fn sink, void *ctx);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
