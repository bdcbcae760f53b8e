/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SHA-256 over BearSSL, for artefacts and files; the digest of chunks is another (wire/). */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_SHA256_BYTES     32
#define HASH_SHA256_HEX_BYTES 65 /* with its NUL */

void hash_sha256(const void *data, size_t bytes, uint8_t out[HASH_SHA256_BYTES]);
void hash_sha256_hex(const void *data, size_t bytes, char out[HASH_SHA256_HEX_BYTES]);

/* MD5, as a name of bytes that object stores use; upper case, with its NUL. */
#define HASH_MD5_HEX_BYTES 33
void hash_md5_hex(const void *data, size_t bytes, char out[HASH_MD5_HEX_BYTES]);

/* Of the rest of an open file. NAME is for the reason. */
int hash_sha256_fd(int fd, const char *name, uint8_t out[HASH_SHA256_BYTES]);

#endif
