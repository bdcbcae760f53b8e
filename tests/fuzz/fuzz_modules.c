/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Module indexes of the guest, text and binary; the first byte says which. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "prepare/prep_modindex.h"
#include "prepare/prep_modules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void binary(struct arena *a, const uint8_t *data, size_t size)
{
	struct modindex x, again;
	const uint8_t *out;
	size_t bytes;

	if (modindex_read(a, data, size, &x) < 0 || modindex_write(a, &x, &out, &bytes) < 0)
		return;
	if (modindex_read(a, out, bytes, &again) < 0 || again.count != x.count)
		abort();
}

static void text(struct arena *a, int kind, const char *data)
{
	struct module_tree t = {.arena = a};
	struct name_list needs = {0};

	if (kind == 1)
		modules_parse_builtin(&t, data);
	if (kind == 2)
		modules_parse_alias(&t, data);
	if (kind >= 3)
		modules_parse_dep(&t, data);
	if (kind == 4)
		modules_parse_softdep(&t, data);
	for (size_t i = 0; i < t.count && i < 16; i++)
		modules_closure(&t, t.list[i].name, &needs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();

	if (size > 0 && size < 1 << 16) {
		if (data[0] % 5 == 0)
			binary(a, data + 1, size - 1);
		else
			text(a, data[0] % 5, arena_strndup(a, (const char *)data + 1, size - 1));
	}
	arena_free(a);
	return 0;
}
