/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An fstab of the guest: any text comes through, and unchanged where nothing is replaced. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "prepare/prep_fstab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int every_second(void *ctx, const struct fstab_entry *e, char *fresh)
{
	struct fstab_ref ref;

	fstab_ref_parse(e->spec, &ref);
	strcpy(fresh, "UUID=0");
	return ctx && e->line % 2 ? 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned changed;
	size_t bytes;
	char *out;

	if (fstab_rewrite((const char *)data, size, every_second, NULL, &out, &bytes, &changed) ==
	    0) {
		if (bytes != size || (size && memcmp(out, data, size)) || changed)
			abort();
		free(out);
	}
	if (fstab_rewrite((const char *)data, size, every_second, &changed, &out, &bytes,
			  &changed) == 0)
		free(out);
	return 0;
}
