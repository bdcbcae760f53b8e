/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The digest for CPUs with AVX2: the same source, compiled for that target alone. */
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif

#define XXH_VECTOR  2 /* XXH_AVX2 */
#define DIGEST_NAME digest_parts_avx2
#include "wire/wire_digest_impl.h"

#ifdef __clang__
#pragma clang attribute pop
#endif
