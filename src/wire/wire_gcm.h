/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two halves of AES-GCM that BearSSL lets a caller choose, as fast as this CPU has them: with
 * vectors of 512 bits (VAES, VPCLMULQDQ) where it can, with AES-NI and PCLMULQDQ else. NULL where
 * it has no instructions for AES: then BearSSL's own choice stands. To be asked once a connection:
 * the instruction that says what a CPU has is slow in a virtual machine. Private to wire.
 */
#ifndef WIRE_WIRE_GCM_H
#define WIRE_WIRE_GCM_H

#include <bearssl.h>
#include <stdbool.h>

const br_block_ctr_class *wire_gcm_ctr(void);
br_ghash wire_gcm_ghash(void);

/* The CPU has what wire_gcm_wide.c is made of. */
bool wire_gcm_is_wide(void);

/* Only where wire_gcm_is_wide(). The context is that of br_aes_x86ni_ctr. */
extern const br_block_ctr_class wire_gcm_wide_ctr_vtable;
void wire_gcm_wide_ghash(void *y, const void *h, const void *data, size_t len);

#endif
