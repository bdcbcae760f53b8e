/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small texts that both the screen and the log line use. */
#ifndef CONSOLE_CON_TEXT_H
#define CONSOLE_CON_TEXT_H

#include "console/console.h"

/* "1:02:03" or "2:03"; "-" when unknown. */
const char *con_time_text(uint64_t seconds, char *buf, size_t buf_bytes);

/* 0-100; 100 only when everything is done. */
unsigned con_percent(uint64_t done, uint64_t total);

/* All disks together, named "all". */
struct console_disk con_total(const struct console_view *view);

#endif
