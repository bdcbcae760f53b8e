/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compressed RAM for the views; see prep_cow.h. Documentation/admin-guide/blockdev/zram.rst. */
#include "prepare/prep_cow.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"

#define LIMIT_MIN_BYTES (16 * MIB)
#define LIMIT_MAX_BYTES (1 * GIB)
#define DROP_TRIES	100
#define DROP_WAIT_US	50000

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

static int set_attribute(unsigned zram, const char *name, const char *text)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/block/zram%u/%s", zram, name);
	return write_attribute(path, text);
}

static int make_zram(uint64_t size_bytes, uint64_t limit_bytes, unsigned *zram)
{
	char line[32];
	uint64_t n;
	int rc = io_read_line("/sys/class/zram-control/hot_add", line, sizeof(line));

	if (rc == 0)
		rc = num_parse(line, 0, 1024, &n);
	if (rc < 0)
		return fail(rc, "make a compressed RAM disk");
	*zram = (unsigned)n;
	/* What file systems write is metadata, which zstd makes half as large again as lzo does. */
	if (set_attribute(*zram, "comp_algorithm", "zstd") < 0)
		log_debug("prepare: %s", err_reason());
	snprintf(line, sizeof(line), "%" PRIu64, size_bytes);
	rc = set_attribute(*zram, "disksize", line);
	if (rc == 0) {
		snprintf(line, sizeof(line), "%" PRIu64, limit_bytes);
		rc = set_attribute(*zram, "mem_limit", line);
	}
	if (rc < 0)
		cow_drop(*zram);
	return rc;
}

static int make_loop(unsigned zram, char path[COW_PATH_BYTES], int *fd)
{
	CLEANUP_CLOSE int control = io_open("/dev/loop-control", O_RDWR, 0);
	CLEANUP_CLOSE int loop = -1, backing = -1;
	struct loop_config config = {0};
	int number;

	if (control < 0)
		return control;
	number = ioctl(control, LOOP_CTL_GET_FREE);
	if (number < 0)
		return fail(errno, "find a free loop device");
	snprintf(path, COW_PATH_BYTES, "/dev/zram%u", zram);
	backing = io_open(path, O_RDWR, 0);
	snprintf(path, COW_PATH_BYTES, "/dev/loop%d", number);
	loop = io_open(path, O_RDWR, 0);
	if (backing < 0 || loop < 0)
		return backing < 0 ? backing : loop;
	config.fd = (uint32_t)backing;
	config.block_size = 512;
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	snprintf((char *)config.info.lo_file_name, sizeof(config.info.lo_file_name), "zram%u",
		 zram);
	if (ioctl(loop, LOOP_CONFIGURE, &config))
		return fail(errno, "configure %s", path);
	*fd = steal_fd(&loop);
	return 0;
}

int cow_make(uint64_t size_bytes, uint64_t limit_bytes, char path[COW_PATH_BYTES], int *fd)
{
	unsigned zram = 0;
	int rc = make_zram(size_bytes, limit_bytes, &zram);

	*fd = -1;
	if (rc < 0)
		return rc;
	rc = make_loop(zram, path, fd);
	if (rc < 0)
		cow_drop(zram);
	return rc;
}

bool cow_below(unsigned major_number, unsigned minor_number, unsigned *zram)
{
	char path[96], text[64], rest[2];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/loop/backing_file", major_number,
		 minor_number);
	return io_read_line(path, text, sizeof(text)) == 0 &&
	       sscanf(text, "/dev/zram%u%1s", zram, rest) == 1;
}

int cow_drop(unsigned zram)
{
	char text[16];
	int rc;

	/* A loop device is taken down in the background when its last user has gone. */
	for (unsigned tries = 0;; tries++) {
		rc = set_attribute(zram, "reset", "1");
		if (rc != -EBUSY || tries == DROP_TRIES)
			break;
		usleep(DROP_WAIT_US);
	}
	snprintf(text, sizeof(text), "%u", zram);
	return rc == 0 ? write_attribute("/sys/class/zram-control/hot_remove", text) : rc;
}

int cow_state(unsigned zram, uint64_t *used_bytes, bool *overflown)
{
	uint64_t original, compressed, failed_reads, failed_writes = 0;
	char path[96], line[256];

	snprintf(path, sizeof(path), "/sys/block/zram%u/mm_stat", zram);
	*used_bytes = 0;
	if (io_read_line(path, line, sizeof(line)) < 0 ||
	    sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64, &original, &compressed, used_bytes) !=
		    3)
		return fail(EIO, "read %s", path);
	snprintf(path, sizeof(path), "/sys/block/zram%u/io_stat", zram);
	if (io_read_line(path, line, sizeof(line)) < 0 ||
	    sscanf(line, "%" SCNu64 " %" SCNu64, &failed_reads, &failed_writes) != 2)
		return fail(EIO, "read %s", path);
	*overflown = failed_writes != 0;
	return 0;
}
