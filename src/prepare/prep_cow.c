/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compressed RAM for the views; see prep_cow.h. Documentation/admin-guide/blockdev/zram.rst. */
#include "prepare/prep_cow.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"

#define LIMIT_MIN_BYTES (16 * MIB)
#define LIMIT_MAX_BYTES (1 * GIB)

uint64_t cow_limit_by_memory(void)
{
	CLEANUP_FREE char *text = NULL;
	const char *line;
	uint64_t available_kib = 0;

	if (io_read_file("/proc/meminfo", 65536, &text, NULL) == 0 &&
	    (line = strstr(text, "MemAvailable:")))
		sscanf(line, "MemAvailable: %" SCNu64, &available_kib);
	/* The copy's buffers and a file system check need the rest. */
	return min_of(max_of(available_kib * KIB * 2 / 5, LIMIT_MIN_BYTES), LIMIT_MAX_BYTES);
}

static int write_attribute(const char *path, const char *text)
{
	CLEANUP_CLOSE int fd = io_open(path, O_WRONLY, 0);

	return fd < 0 ? fd : io_write(fd, text, strlen(text), path);
}

static int set_attribute(unsigned number, const char *name, const char *text)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/block/zram%u/%s", number, name);
	return write_attribute(path, text);
}

int cow_make(uint64_t size_bytes, uint64_t limit_bytes, unsigned *number)
{
	char line[32];
	uint64_t n;
	int rc = io_read_line("/sys/class/zram-control/hot_add", line, sizeof(line));

	if (rc == 0)
		rc = num_parse(line, 0, 1024, &n);
	if (rc < 0)
		return fail(rc, "make a compressed RAM disk");
	*number = (unsigned)n;
	/* What file systems write is metadata, which zstd makes half as large again as lzo does. */
	if (set_attribute(*number, "comp_algorithm", "zstd") < 0)
		log_debug("prepare: %s", err_reason());
	snprintf(line, sizeof(line), "%" PRIu64, size_bytes);
	rc = set_attribute(*number, "disksize", line);
	if (rc == 0) {
		snprintf(line, sizeof(line), "%" PRIu64, limit_bytes);
		rc = set_attribute(*number, "mem_limit", line);
	}
	if (rc < 0)
		cow_drop(*number);
	return rc;
}

bool cow_is(unsigned major_number, unsigned minor_number, unsigned *number)
{
	char path[64], text[64];
	CLEANUP_FREE char *data = NULL;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/uevent", major_number, minor_number);
	if (io_read_file(path, 4096, &data, NULL) < 0)
		return false;
	return strstr(data, "DEVNAME=zram") &&
	       sscanf(strstr(data, "DEVNAME=zram"), "DEVNAME=zram%u%1s", number, text) >= 1;
}

int cow_drop(unsigned number)
{
	char text[16];
	int rc = set_attribute(number, "reset", "1");

	snprintf(text, sizeof(text), "%u", number);
	return rc == 0 ? write_attribute("/sys/class/zram-control/hot_remove", text) : rc;
}

int cow_state(unsigned number, uint64_t *used_bytes, bool *overflown)
{
	uint64_t original, compressed, failed_reads, failed_writes = 0;
	char path[96], line[256];

	snprintf(path, sizeof(path), "/sys/block/zram%u/mm_stat", number);
	*used_bytes = 0;
	if (io_read_line(path, line, sizeof(line)) < 0 ||
	    sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64, &original, &compressed, used_bytes) !=
		    3)
		return fail(EIO, "read %s", path);
	snprintf(path, sizeof(path), "/sys/block/zram%u/io_stat", number);
	if (io_read_line(path, line, sizeof(line)) < 0 ||
	    sscanf(line, "%" SCNu64 " %" SCNu64, &failed_reads, &failed_writes) != 2)
		return fail(EIO, "read %s", path);
	*overflown = failed_writes != 0;
	return 0;
}
