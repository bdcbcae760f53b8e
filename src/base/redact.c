/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/redact.h"

#include <string.h>
#include <strings.h>

void redact(char *text, size_t bytes, const char *secret)
{
	size_t n = secret ? strlen(secret) : 0;

	if (n == 0)
		return;
	for (size_t i = 0; i + n <= bytes; i++)
		if (strncasecmp(text + i, secret, n) == 0)
			memset(text + i, '*', n);
}
