/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The "newc" cpio format of initramfs archives (Documentation/driver-api/early-userspace/
 * buffer-format.rst of the kernel): a push parser for foreign archives, and a writer for ours.
 */
#ifndef PREPARE_PREP_CPIO_H
#define PREPARE_PREP_CPIO_H

#include <stddef.h>
#include <stdint.h>

#define CPIO_HEAD_BYTES	    110
#define CPIO_NAME_MAX_BYTES 4096
#define CPIO_BODY_MAX_BYTES ((uint64_t)1 << 31)
#define CPIO_ENTRIES_MAX    1000000

struct cpio_entry {
	char name[CPIO_NAME_MAX_BYTES + 1]; /* as it stands in the archive */
	uint32_t mode;
	uint64_t bytes;
};

/*
 * What becomes of the entries. entry() may set *keep_bytes to the body size that it wants at most;
 * a longer body is then -EFBIG. body() gets it whole; the data is gone when it returns. Negative
 * results end the walk.
 */
struct cpio_visitor {
	int (*entry)(void *ctx, const struct cpio_entry *entry, uint64_t *keep_bytes);
	int (*body)(void *ctx, const struct cpio_entry *entry, const uint8_t *data, size_t bytes);
	void *ctx;
};

enum cpio_state { CPIO_GAP, CPIO_HEAD, CPIO_NAME, CPIO_BODY };

/* One stream of archives one behind another, with zeros between them. */
struct cpio_walk {
	const struct cpio_visitor *visitor;
	enum cpio_state state;
	uint64_t at_bytes;   /* in the stream */
	uint64_t left_bytes; /* of the head, the name, or the body */
	uint64_t entries;
	struct cpio_entry entry;
	size_t name_bytes;
	size_t head_used;
	char head[CPIO_HEAD_BYTES];
	uint8_t *kept; /* the body, when the visitor wants it */
	size_t kept_used;
	uint64_t end_bytes; /* in the stream, behind the last whole entry or trailer */
};

void cpio_walk_init(struct cpio_walk *w, const struct cpio_visitor *visitor, uint64_t at_bytes);

/* Frees what is kept. */
void cpio_walk_fini(struct cpio_walk *w);

/*
 * Push bytes. *used is how many belong to archives: fewer than bytes when, between two archives,
 * something stands that is neither zero nor an archive at a multiple of four. -EINVAL for what the
 * kernel would not unpack either.
 */
int cpio_walk_feed(struct cpio_walk *w, const uint8_t *data, size_t bytes, size_t *used);

/* At the end of the stream: -EINVAL when it ends inside an archive. */
int cpio_walk_end(const struct cpio_walk *w);

/* A growing buffer for an archive of ours. */
struct cpio_writer {
	uint8_t *data; /* free() */
	size_t used;
	size_t room;
	uint32_t next_inode;
};

/* body may be NULL for directories. -ENOMEM. */
int cpio_add(struct cpio_writer *w, const char *name, uint32_t mode, const void *body,
	     size_t bytes);

/* The trailer, padded to a multiple of four. */
int cpio_end(struct cpio_writer *w);

void cpio_writer_fini(struct cpio_writer *w);

#endif
