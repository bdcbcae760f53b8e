/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Activation codes: any text gives an answer, and what is taken can be written again as it was. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The check would keep the fuzzer out, so besides the text itself a code around the bytes is tried.
 */
static void try_record(const uint8_t *data, size_t size)
{
	struct wire_activation a = {0}, b;
	char text[WIRE_ACTIVATION_TEXT];
	size_t host = size < sizeof(a.host) ? size : sizeof(a.host) - 1;

	if (host)
		memcpy(a.host, data, host);
	if (wire_activation_encode(&a, text) < 0)
		return;
	if (wire_activation_parse(text, &b) == 0)
		assert(strcmp(a.host, b.host) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = malloc(size + 1);
	char again[WIRE_ACTIVATION_TEXT];
	struct wire_activation a;

	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (wire_activation_parse(text, &a) == 0)
		assert(wire_activation_encode(&a, again) == 0 && strstr(text, again));
	try_record(data, size);
	return 0;
}
