/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel command line, which anybody at the boot menu or a netboot server writes. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cmd/cmdline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(const char *text, size_t size)
{
	assert(!text || strlen(text) <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_FREE char *text = calloc(1, size + 1);
	struct cmdline c;

	if (size)
		memcpy(text, data, size);
	if (cmdline_parse(a, text, &c) < 0) {
		assert(strcmp(err_code(), "CMDLINE_INVALID") == 0);
		return 0;
	}
	within(c.activation, size);
	within(c.job, size);
	within(c.allow, size);
	within(c.progress, size);
	within(c.device, size);
	assert(c.mode && c.exit >= CMDLINE_EXIT_SHELL && c.exit <= CMDLINE_EXIT_REBOOT);
	return 0;
}
