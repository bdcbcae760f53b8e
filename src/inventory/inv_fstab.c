/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fstab(5): blank-separated fields, octal escapes in them, comment lines. */
#include "inventory/inv.h"

#include <string.h>

#include "base/num.h"

#define ENTRIES_MAX 4096

/* The next field of the line, its escapes undone; NULL at the end. */
static const char *field(struct arena *a, const char **at, const char *end)
{
	const char *start;
	char *out;
	size_t n = 0;

	while (*at < end && (**at == ' ' || **at == '\t'))
		++*at;
	start = *at;
	while (*at < end && **at != ' ' && **at != '\t')
		++*at;
	if (*at == start)
		return NULL;
	out = arena_alloc(a, (size_t)(*at - start) + 1);
	for (const char *c = start; c < *at; c++) {
		if (*c == '\\' && *at - c > 3 && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' &&
		    c[2] <= '7' && c[3] >= '0' && c[3] <= '7') {
			out[n] = (char)((c[1] - '0') << 6 | (c[2] - '0') << 3 | (c[3] - '0'));
			n += out[n] != '\0';
			c += 3;
		} else {
			out[n++] = *c;
		}
	}
	out[n] = '\0';
	return out;
}

void inventory_parse_fstab(struct arena *a, const char *text, struct inventory_fstab **list,
			   size_t *count)
{
	*list = NULL;
	*count = 0;
	while (*text && *count < ENTRIES_MAX) {
		const char *end = text + strcspn(text, "\n"), *at = text;
		struct inventory_fstab e;

		text = *end ? end + 1 : end;
		if (end > at && end[-1] == '\r')
			end--;
		e.spec = field(a, &at, end);
		e.mountpoint = field(a, &at, end);
		e.type = field(a, &at, end);
		e.options = field(a, &at, end);
		if (!e.spec || *e.spec == '#' || !e.mountpoint || !e.type)
			continue;
		if (!e.options)
			e.options = "defaults";
		*arena_push(a, list, count) = e;
	}
}
