/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A DER writer that fills its buffer from the end to the front, so that the length of what a header
 * encloses is known when the header is written. Private to wire. ITU-T X.690.
 */
#ifndef WIRE_WIRE_DER_H
#define WIRE_WIRE_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_OID = 0x06,
	DER_UTF8 = 0x0c,
	DER_UTC_TIME = 0x17,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
};

struct der {
	uint8_t *start;
	uint8_t *at; /* first byte written so far */
	uint8_t *end;
	bool bad; /* it did not fit */
};

struct der der_of(void *buf, size_t bytes);
size_t der_used(const struct der *d);

/* Put bytes in front of what is there. */
void der_raw(struct der *d, const void *data, size_t bytes);

/* Put a header in front of what was written since used was `since`. */
void der_wrap(struct der *d, uint8_t tag, size_t since);

/* A whole element. */
void der_put(struct der *d, uint8_t tag, const void *data, size_t bytes);

#endif
