/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AES-GCM by what this CPU has. See wire_gcm.h. */
#include <string.h>

#include "base/cursor.h"
#include "wire/wire_gcm.h"

#ifdef __x86_64__
#include <cpuid.h>

#define CPUID_VAES	 (1u << 9) /* leaf 7, ECX */
#define CPUID_VPCLMULQDQ (1u << 10)

bool wire_gcm_ok(void)
{
	return br_aes_x86ni_ctr_get_vtable() != NULL && br_ghash_pclmul_get() != 0;
}

bool wire_gcm_is_wide(void)
{
	unsigned a, b, c, d;

	/* The builtins also ask whether the kernel saves the wide registers. */
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
	       __get_cpuid_count(7, 0, &a, &b, &c, &d) && c & CPUID_VAES && c & CPUID_VPCLMULQDQ &&
	       wire_gcm_ok();
}

static uint32_t run_counter(const struct wire_gcm *g, const uint8_t nonce[WIRE_GCM_NONCE_BYTES],
			    uint32_t counter, void *data, size_t bytes)
{
	return br_aes_x86ni_ctr_run(&g->keys, nonce, counter, data, bytes);
}

void wire_gcm_init(struct wire_gcm *g, const void *key, size_t key_bytes, bool wide)
{
	static const uint8_t no_nonce[WIRE_GCM_NONCE_BYTES];

	*g = (struct wire_gcm){.wide = wide};
	br_aes_x86ni_ctr_init(&g->keys, key, key_bytes);
	run_counter(g, no_nonce, 0, g->h, sizeof(g->h));
	if (wide)
		wire_gcm_wide_init(g);
}

static void make_tag(const struct wire_gcm *g, const struct wire_gcm_head *head,
		     const uint8_t *sealed, size_t bytes, uint8_t tag[WIRE_GCM_TAG_BYTES])
{
	uint8_t lengths[16];
	struct writer w = writer_of(lengths, sizeof(lengths));

	writer_be(&w, head->bytes * 8, 8);
	writer_be(&w, bytes * 8, 8);
	memset(tag, 0, WIRE_GCM_TAG_BYTES);
	br_ghash_pclmul(tag, g->h, head->data, head->bytes);
	br_ghash_pclmul(tag, g->h, sealed, bytes);
	br_ghash_pclmul(tag, g->h, lengths, sizeof(lengths));
	run_counter(g, head->nonce, 1, tag, WIRE_GCM_TAG_BYTES);
}

/* Into the other buffer first: BearSSL works where the bytes are. */
static void run_over(const struct wire_gcm *g, const struct wire_gcm_head *head,
		     const uint8_t *from, uint8_t *to, size_t bytes)
{
	if (to != from)
		memcpy(to, from, bytes);
	run_counter(g, head->nonce, 2, to, bytes);
}

void wire_gcm_seal(const struct wire_gcm *g, const struct wire_gcm_head *head, const uint8_t *from,
		   uint8_t *to, size_t bytes, uint8_t tag[WIRE_GCM_TAG_BYTES])
{
	if (g->wide) {
		wire_gcm_wide_run(g, head, from, to, bytes, false, tag);
		return;
	}
	run_over(g, head, from, to, bytes);
	make_tag(g, head, to, bytes, tag);
}

bool wire_gcm_open(const struct wire_gcm *g, const struct wire_gcm_head *head, const uint8_t *from,
		   uint8_t *to, size_t bytes, const uint8_t tag[WIRE_GCM_TAG_BYTES])
{
	uint8_t made[WIRE_GCM_TAG_BYTES], differs = 0;

	if (g->wide) {
		wire_gcm_wide_run(g, head, from, to, bytes, true, made);
	} else {
		make_tag(g, head, from, bytes, made);
		run_over(g, head, from, to, bytes);
	}
	for (size_t i = 0; i < sizeof(made); i++)
		differs |= made[i] ^ tag[i];
	return differs == 0;
}
#else
bool wire_gcm_ok(void)
{
	return false;
}

bool wire_gcm_is_wide(void)
{
	return false;
}

void wire_gcm_init(struct wire_gcm *g, const void *key, size_t key_bytes, bool wide)
{
	(void)key;
	(void)key_bytes;
	(void)wide;
	memset(g, 0, sizeof(*g));
}

void wire_gcm_seal(const struct wire_gcm *g, const struct wire_gcm_head *head, const uint8_t *from,
		   uint8_t *to, size_t bytes, uint8_t tag[WIRE_GCM_TAG_BYTES])
{
	(void)g;
	(void)head;
	(void)from;
	memset(to, 0, bytes);
	memset(tag, 0, WIRE_GCM_TAG_BYTES);
}

bool wire_gcm_open(const struct wire_gcm *g, const struct wire_gcm_head *head, const uint8_t *from,
		   uint8_t *to, size_t bytes, const uint8_t tag[WIRE_GCM_TAG_BYTES])
{
	(void)g;
	(void)head;
	(void)from;
	(void)to;
	(void)bytes;
	(void)tag;
	return false;
}
#endif
