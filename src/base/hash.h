/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SHA-256 (FIPS 180-4): with the CPU's SHA instructions where it has them, else BearSSL's. For
 * artefacts and files, and the digest of chunks where a job wants proof against tampering (wire/).
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define HASH_SHA256_BYTES     32
#define HASH_SHA256_HEX_BYTES 65 /* with its NUL */

void hash_sha256(const void *data, size_t bytes, uint8_t out[HASH_SHA256_BYTES]);
void hash_sha256_hex(const void *data, size_t bytes, char out[HASH_SHA256_HEX_BYTES]);

/* Of the parts in order, as if they were one piece. */
void hash_sha256_parts(const struct iovec *parts, size_t count, uint8_t out[HASH_SHA256_BYTES]);

/* The same by BearSSL, whatever the CPU has. */
void hash_sha256_soft(const struct iovec *parts, size_t count, uint8_t out[HASH_SHA256_BYTES]);

/* The CPU has SHA instructions. */
bool hash_sha256_is_fast(void);

/* MD5, as a name of bytes that object stores use; upper case, with its NUL. */
#define HASH_MD5_HEX_BYTES 33
void hash_md5_hex(const void *data, size_t bytes, char out[HASH_MD5_HEX_BYTES]);

/* Of the rest of an open file. NAME is for the reason. */
int hash_sha256_fd(int fd, const char *name, uint8_t out[HASH_SHA256_BYTES]);

#endif
