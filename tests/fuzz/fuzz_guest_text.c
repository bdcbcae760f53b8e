/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's texts: fstab, os-release, grub.cfg, indexes of modules. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "inventory/inv_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_FREE char *text = malloc(size + 1);
	CLEANUP_JSON json_t *entries = NULL;
	CLEANUP_JSON json_t *shown = NULL;
	struct inventory_fstab *list;
	size_t count;

	if (size > 64 * KIB)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	inventory_parse_fstab(a, text, &list, &count);
	for (size_t i = 0; i < count; i++) {
		assert(*list[i].spec && list[i].mountpoint && list[i].type && list[i].options);
		/* Whatever it is, it can be shown as JSON. */
		json_decref(shown);
		shown = inv_text(list[i].mountpoint);
		assert(shown);
	}
	inv_os_value(a, text, "ID");
	inv_os_value(a, text, "PRETTY_NAME");
	inv_has_module(text, "virtio_blk");
	entries = inv_grub_entries(a, text);
	assert(json_is_array(entries));
	return 0;
}
