/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers as text, and words for states; see con_text.h. */
#include "console/con_text.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/num.h"

const char *console_state_name(enum console_state state)
{
	static const char *const names[] = {
		[CONSOLE_READY] = "Ready",	 [CONSOLE_RUNNING] = "Running",
		[CONSOLE_STOPPED] = "Stopped",	 [CONSOLE_IN_ERROR] = "InError",
		[CONSOLE_FINISHED] = "Finished", [CONSOLE_WAITING] = "Waiting",
	};

	return names[state];
}

const char *console_phase_name(enum console_phase phase)
{
	static const char *const names[] = {
		[CONSOLE_NO_PHASE] = "",	 [CONSOLE_PREPARING] = "Preparing",
		[CONSOLE_SYNCING] = "Syncing",	 [CONSOLE_PROCESSING] = "Processing",
		[CONSOLE_CLEANING] = "Cleaning",
	};

	return names[phase];
}

const char *con_time_text(uint64_t seconds, char *buf, size_t buf_bytes)
{
	uint64_t h = seconds / 3600, m = seconds / 60 % 60, s = seconds % 60;

	if (seconds == CONSOLE_ETA_UNKNOWN)
		snprintf(buf, buf_bytes, "-");
	else if (h > 99)
		snprintf(buf, buf_bytes, "%" PRIu64 " days", min_of(h / 24, (uint64_t)9999));
	else if (h)
		snprintf(buf, buf_bytes, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, h, m, s);
	else
		snprintf(buf, buf_bytes, "%" PRIu64 ":%02" PRIu64, m, s);
	return buf;
}

unsigned con_percent(uint64_t done, uint64_t total)
{
	if (total == 0)
		return 0;
	if (done >= total)
		return 100;
	return (unsigned)min_of((uint64_t)((double)done / (double)total * 100.0), (uint64_t)99);
}

struct console_disk con_total(const struct console_view *view)
{
	struct console_disk all = {.name = "all", .eta_s = CONSOLE_ETA_UNKNOWN};
	bool known = view->disk_count != 0;

	for (size_t i = 0; i < min_of(view->disk_count, (size_t)CONSOLE_DISKS_MAX); i++) {
		const struct console_disk *d = &view->disks[i];

		all.done_bytes += d->done_bytes;
		all.total_bytes += d->total_bytes;
		all.rate_bytes_s += d->rate_bytes_s;
		known = known && d->total_bytes;
	}
	if (known && all.done_bytes >= all.total_bytes)
		all.eta_s = 0;
	else if (known && all.rate_bytes_s)
		all.eta_s = (all.total_bytes - all.done_bytes) / all.rate_bytes_s;
	return all;
}
