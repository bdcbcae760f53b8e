/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text from elsewhere on a page. */
#include "base/html.h"

void html_put(FILE *f, const char *text)
{
	for (; text && *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '&':
			fputs("&amp;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		default:
			fputc(*text, f);
		}
	}
}
