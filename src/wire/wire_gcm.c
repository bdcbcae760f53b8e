/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which code does AES-GCM on this CPU. See wire_gcm.h. */
#include "wire/wire_gcm.h"

#ifdef __x86_64__
#include <cpuid.h>

#define CPUID_VAES	 (1u << 9) /* leaf 7, ECX */
#define CPUID_VPCLMULQDQ (1u << 10)

bool wire_gcm_is_wide(void)
{
	unsigned a, b, c, d;

	/* The builtins also ask whether the kernel saves the wide registers. */
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
	       __get_cpuid_count(7, 0, &a, &b, &c, &d) && c & CPUID_VAES && c & CPUID_VPCLMULQDQ &&
	       br_aes_x86ni_ctr_get_vtable() != NULL && br_ghash_pclmul_get() != 0;
}

const br_block_ctr_class *wire_gcm_ctr(void)
{
	return wire_gcm_is_wide() ? &wire_gcm_wide_ctr_vtable : br_aes_x86ni_ctr_get_vtable();
}

br_ghash wire_gcm_ghash(void)
{
	return wire_gcm_is_wide() ? wire_gcm_wide_ghash : br_ghash_pclmul_get();
}
#else
bool wire_gcm_is_wide(void)
{
	return false;
}

const br_block_ctr_class *wire_gcm_ctr(void)
{
	return NULL;
}

br_ghash wire_gcm_ghash(void)
{
	return 0;
}
#endif
