/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The binary module indexes of kmod (modules.dep.bin, modules.alias.bin): read and written as lists
 * of key, priority, value. Format: libkmod/libkmod-index.c of kmod, a trie in big-endian numbers.
 */
#ifndef PREPARE_PREP_MODINDEX_H
#define PREPARE_PREP_MODINDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

#define MODINDEX_FILE_MAX_BYTES ((size_t)32 << 20)

struct modindex_entry {
	const char *key;
	const char *value;
	uint32_t priority;
	uint32_t order; /* among equal keys and priorities, set by modindex_write() */
};

struct modindex {
	struct modindex_entry *list;
	size_t count;
};

void modindex_add(struct arena *a, struct modindex *x, const char *key, const char *value,
		  uint32_t priority);

/* Everything is in the arena. -EINVAL for what kmod would not take. */
int modindex_read(struct arena *a, const void *data, size_t bytes, struct modindex *out);

/* The bytes of an index with these entries, in the arena; sorts the list. */
int modindex_write(struct arena *a, struct modindex *x, const uint8_t **data, size_t *bytes);

#endif
