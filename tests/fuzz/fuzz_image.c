/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images: any bytes that claim to be one are read whole, or refused. */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/num.h"
#include "image/image.h"

#define READ_MAX (4 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buf[70001];
	uint8_t root[MERKLE_ROOT_BYTES];
	int fd = memfd_create("image", MFD_CLOEXEC);
	enum image_digest digest;
	uint64_t disk_bytes, end, last;
	struct image *i;

	if (size > 256 * KIB || write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	if (image_open_fd(fd, "fuzz", &i) < 0)
		return 0;
	(void)image_root(i, root, &digest, &disk_bytes);
	end = image_size(i);
	for (uint64_t at = 0, n; at < min_of(end, READ_MAX); at += n) {
		bool zero;

		if (image_extent(i, at, end - at, &n, &zero) < 0)
			n = 512;
		assert(n > 0);
		n = min_of(n, (uint64_t)sizeof(buf));
		n = min_of(n, end - at);
		if (image_read(i, buf, n, at) == 0 && zero)
			assert(buf[0] == 0);
	}
	last = min_of(end, (uint64_t)sizeof(buf));
	(void)image_read(i, buf, last, end - last);
	assert(image_read(i, buf, 1, end) < 0);
	image_close(i);
	return 0;
}
