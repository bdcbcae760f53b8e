/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text from elsewhere on a page. */
#ifndef BASE_HTML_H
#define BASE_HTML_H

#include <stdio.h>

/* Write TEXT so that it can be neither an element nor leave an attribute's quotes. NULL: nothing.
 */
void html_put(FILE *f, const char *text);

#endif
