/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Activation codes. The record inside the base64url, all integers big-endian:
 *   version 1 | host length 1 | host | control port 2 | data port 2 | pin 32 | token 16 | check 4
 * The check is the first 4 bytes of the SHA-256 of all before it: it catches a mistyped code.
 */
#include <bearssl.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/num.h"
#include "wire/wire.h"

#define ACTIVATION_PREFIX  "coldlift1."
#define ACTIVATION_VERSION 1
#define CHECK_BYTES	   4
#define RECORD_MAX	   (2 + WIRE_HOST_MAX + 4 + WIRE_PIN_BYTES + WIRE_TOKEN_BYTES + CHECK_BYTES)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void wire_sha256(const void *data, size_t bytes, uint8_t out[32])
{
	br_sha256_context hash;

	br_sha256_init(&hash);
	br_sha256_update(&hash, data, bytes);
	br_sha256_out(&hash, out);
}

void wire_random(void *out, size_t bytes)
{
	uint8_t *at = out;

	while (bytes > 0) {
		ssize_t n = getrandom(at, bytes, 0);

		if (n < 0 && errno != EINTR)
			abort();
		if (n > 0) {
			at += n;
			bytes -= (size_t)n;
		}
	}
}

bool wire_equal_secret(const void *a, const void *b, size_t bytes)
{
	const volatile uint8_t *x = a, *y = b;
	unsigned differ = 0;

	for (size_t i = 0; i < bytes; i++)
		differ |= x[i] ^ y[i];
	return differ == 0;
}

void wire_export_name(const uint8_t token[WIRE_TOKEN_BYTES], unsigned disk,
		      char name[WIRE_EXPORT_MAX])
{
	char hex[2 * WIRE_TOKEN_BYTES + 1];

	hex_encode(token, WIRE_TOKEN_BYTES, hex);
	snprintf(name, WIRE_EXPORT_MAX, "%s/disk%u", hex, disk);
}

static size_t base64_encode(const uint8_t *data, size_t bytes, char *out)
{
	size_t used = 0;
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < bytes; i++) {
		bits = bits << 8 | data[i];
		for (have += 8; have >= 6; have -= 6)
			out[used++] = alphabet[bits >> (have - 6) & 63];
	}
	if (have)
		out[used++] = alphabet[bits << (6 - have) & 63];
	out[used] = '\0';
	return used;
}

/* The number of bytes, or -EINVAL: other characters, too long, or bits left over that are not 0. */
static int base64_decode(const char *text, size_t chars, uint8_t *out, size_t out_bytes)
{
	size_t used = 0;
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < chars; i++) {
		const char *p = text[i] ? strchr(alphabet, text[i]) : NULL;

		if (!p)
			return -EINVAL;
		bits = (bits << 6 | (uint32_t)(p - alphabet)) & 0xffff;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (used == out_bytes)
			return -EINVAL;
		out[used++] = (uint8_t)(bits >> have);
	}
	if (have >= 6 || bits & ((1u << have) - 1))
		return -EINVAL;
	return (int)used;
}

int wire_activation_encode(const struct wire_activation *a, char text[WIRE_ACTIVATION_TEXT])
{
	size_t host_bytes = strnlen(a->host, sizeof(a->host));
	uint8_t record[RECORD_MAX], check[32];
	struct writer w = writer_of(record, sizeof(record));

	if (host_bytes == 0 || host_bytes > WIRE_HOST_MAX)
		return fail(EINVAL, "the host of an activation code has 1 to %d characters",
			    WIRE_HOST_MAX);
	writer_be(&w, ACTIVATION_VERSION, 1);
	writer_be(&w, host_bytes, 1);
	writer_bytes(&w, a->host, host_bytes);
	writer_be(&w, a->control_port, 2);
	writer_be(&w, a->data_port, 2);
	writer_bytes(&w, a->pin, sizeof(a->pin));
	writer_bytes(&w, a->token, sizeof(a->token));
	wire_sha256(record, writer_used(&w), check);
	writer_bytes(&w, check, CHECK_BYTES);

	strcpy(text, ACTIVATION_PREFIX);
	base64_encode(record, writer_used(&w), text + strlen(ACTIVATION_PREFIX));
	return 0;
}

static int bad_code(const char *why)
{
	return fail_code(EINVAL, "ACTIVATION_BAD",
			 "the activation code %s; copy it whole, as the receiver printed it", why);
}

static bool host_char_ok(uint8_t c)
{
	return isalnum(c) || c == '.' || c == '-' || c == ':' || c == '_';
}

static int record_parse(const uint8_t *record, size_t bytes, struct wire_activation *out)
{
	struct cursor c = cursor_of(record, bytes);
	uint8_t check[32];
	const uint8_t *told;
	size_t host_bytes;

	memset(out, 0, sizeof(*out));
	if (cursor_u8(&c) != ACTIVATION_VERSION)
		return bad_code("is of a version that this program does not know");
	host_bytes = cursor_u8(&c);
	if (host_bytes == 0 || host_bytes > WIRE_HOST_MAX)
		return bad_code("is damaged");
	cursor_copy(&c, out->host, host_bytes);
	for (size_t i = 0; i < host_bytes && cursor_ok(&c); i++)
		if (!host_char_ok((uint8_t)out->host[i]))
			return bad_code("names no host");
	out->control_port = cursor_be16(&c);
	out->data_port = cursor_be16(&c);
	cursor_copy(&c, out->pin, sizeof(out->pin));
	cursor_copy(&c, out->token, sizeof(out->token));
	told = cursor_bytes(&c, CHECK_BYTES);
	if (!cursor_ok(&c) || cursor_left(&c) != 0)
		return bad_code("is too short or too long");
	wire_sha256(record, bytes - CHECK_BYTES, check);
	if (memcmp(told, check, CHECK_BYTES) != 0)
		return bad_code("is damaged");
	return 0;
}

int wire_activation_parse(const char *text, struct wire_activation *out)
{
	uint8_t record[RECORD_MAX];
	size_t prefix = strlen(ACTIVATION_PREFIX), chars;
	int bytes;

	memset(out, 0, sizeof(*out));
	while (isspace((unsigned char)*text))
		text++;
	if (strncmp(text, ACTIVATION_PREFIX, prefix) != 0)
		return bad_code("does not begin with " ACTIVATION_PREFIX);
	text += prefix;
	for (chars = strlen(text); chars > 0 && isspace((unsigned char)text[chars - 1]);)
		chars--;
	bytes = base64_decode(text, chars, record, sizeof(record));
	if (bytes < 0)
		return bad_code("has characters that do not belong there, or is too long");
	return record_parse(record, (size_t)bytes, out);
}
