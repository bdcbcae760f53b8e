/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines that others print and the kernel's texts, which decide what is copied and what is
 * unmounted: xfs_db's list of free extents and its answers to whose block it is, /proc and sysfs as
 * the inventory reads them, the mount table. The first byte chooses.
 */
#include "disk/used_xfs.c"

#undef SUPER_BYTES
#undef XFS_MAGIC
#undef DB_DEADLINE_MS
#define read_geometry where_read_geometry
#define take_line     where_take_line
#include "disk/where_xfs.c"
#undef read_geometry
#undef take_line
#include "inventory/inv_machine.c"
#include "prepare/prep_kernels.c"

#include <assert.h>

#include "prepare/prep_bootargs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BLOCKS 4096

/* Each line to fn, as run_lines() does; a negative result ends it. */
static int each_line(char *text, run_line_fn fn, void *ctx)
{
	char *save = NULL;
	int rc = 0;

	for (char *line = strtok_r(text, "\n", &save); line && rc == 0;
	     line = strtok_r(NULL, "\n", &save))
		rc = fn(ctx, line);
	return rc;
}

/* What is not said to be free is used: the two together are the file system, no byte twice. */
static void free_extents(struct arena *a, char *text)
{
	struct free_list f = {.arena = a,
			      .geometry = {.block_bytes = 4096,
					   .data_blocks = BLOCKS - 10,
					   .free_blocks = BLOCKS,
					   .ag_blocks = BLOCKS / 4,
					   .ag_count = 4}};
	struct disk_extents used = {0};
	uint64_t blocks = 0, end = 0;

	if (each_line(text, take_line, &f) < 0 || complement(&f, &used) < 0)
		return;
	for (size_t i = 0; i < used.count; i++) {
		assert(used.list[i].offset_bytes >= end && used.list[i].length_bytes > 0);
		end = used.list[i].offset_bytes + used.list[i].length_bytes;
		blocks += used.list[i].length_bytes / 4096;
	}
	assert(end <= (uint64_t)(BLOCKS - 10) * 4096);
	assert(blocks + f.blocks == BLOCKS - 10);
}

static void owners(struct arena *a, char *text)
{
	struct disk_range range = {.offset_bytes = 0, .length_bytes = 64 * 4096};
	struct where_request w = {.arena = a,
				  .path = "fuzz",
				  .length_bytes = BLOCKS * 4096,
				  .ranges = &range,
				  .range_count = 1};
	struct xfs x = {.w = &w, .blocks = BLOCKS, .block_bytes = 4096, .ag_blocks = BLOCKS / 4};

	where_blocks(&w, 4096, 64);
	if (each_line(text, where_take_line, &x) < 0)
		return;
	for (size_t i = 0; i < w.block_count; i++) {
		const struct where_block *b = &w.blocks[i];
		json_t *name = b->names ? json_string(b->names[0]) : NULL;

		/* A name can be told, whatever the file's is. */
		assert(!b->names || name);
		json_decref(name);
	}
}

static void kernel_text(struct arena *a, const char *text)
{
	static const char *const keys[] = {"model name", "MemTotal", ""};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		json_t *shown = inv_text(proc_value(a, text, keys[i]));

		assert(shown);
		json_decref(shown);
	}
	(void)pci_address(a, text);
	(void)last_part(text);
}

static void take_word(void *ctx, const char *word)
{
	unsigned *words = ctx;

	assert(strncmp(word, "root=", 5) == 0 || strncmp(word, "resume=", 7) == 0);
	assert(++*words <= 16);
}

static void a_kernel(struct arena *a, const char *text, size_t size)
{
	/* The reader is given all of the head, always. */
	CLEANUP_FREE uint8_t *head = calloc(1, KERNEL_HEAD_BYTES);
	const char *release;

	memcpy(head, text, min_of(size, (size_t)KERNEL_HEAD_BYTES));
	release = release_of(a, head, KERNEL_HEAD_BYTES);
	assert(!release ||
	       (*release && !strchr(release, '/') && strlen(release) < VERSION_MAX_BYTES));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned words = 0;
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_FREE char *text = calloc(1, size + 1);

	if (size < 1 || size > 64 << 10)
		return 0;
	memcpy(text, data + 1, --size);
	switch (data[0]) {
	case 'f':
		free_extents(a, text);
		break;
	case 'o':
		owners(a, text);
		break;
	case 'b':
		a_kernel(a, text, size);
		break;
	case 'a':
		bootargs_by_name(text, take_word, &words);
		break;
	default:
		kernel_text(a, text);
	}
	return 0;
}
