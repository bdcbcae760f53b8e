/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DER writer. */
#include <string.h>

#include "wire/wire_der.h"

struct der der_of(void *buf, size_t bytes)
{
	uint8_t *start = buf;

	return (struct der){.start = start, .at = start + bytes, .end = start + bytes};
}

size_t der_used(const struct der *d)
{
	return (size_t)(d->end - d->at);
}

void der_raw(struct der *d, const void *data, size_t bytes)
{
	if (d->bad || bytes > (size_t)(d->at - d->start)) {
		d->bad = true;
		return;
	}
	d->at -= bytes;
	memcpy(d->at, data, bytes);
}

void der_wrap(struct der *d, uint8_t tag, size_t since)
{
	size_t length = der_used(d) - since;
	uint8_t head[1 + 1 + sizeof(length)];
	size_t n = sizeof(head);

	if (length < 128) {
		head[--n] = (uint8_t)length;
	} else {
		uint8_t octets = 0;

		for (; length > 0; length >>= 8, octets++)
			head[--n] = (uint8_t)length;
		head[--n] = 0x80 | octets;
	}
	head[--n] = tag;
	der_raw(d, head + n, sizeof(head) - n);
}

void der_put(struct der *d, uint8_t tag, const void *data, size_t bytes)
{
	size_t since = der_used(d);

	der_raw(d, data, bytes);
	der_wrap(d, tag, since);
}
