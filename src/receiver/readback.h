/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reading-back of many chunks: some threads read and digest ahead, the findings come out in
 * order. One connection's thread owns it. Private to receiver.
 */
#ifndef RECEIVER_READBACK_H
#define RECEIVER_READBACK_H

#include "receiver/store.h"

struct readback;

#define READBACK_READERS 4 /* keep a medium busy while others compute digests */

/* Begin with chunks [first, first + count), by at most so many readers. run_id may be NULL. */
int readback_start(struct store *s, uint64_t first, uint64_t count, unsigned readers,
		   const uint8_t *run_id, struct readback **out);

/* Waits for what is being read; accepts NULL. */
void readback_stop(struct readback *r);

/* Readable when readback_take() is worth a call; it need not be for the odd finding. */
int readback_fd(const struct readback *r);

/*
 * The next finding, which holds for *count chunks from *chunk on: 1. 0: none now. Negative: the
 * store cannot go on, with a reason.
 */
int readback_take(struct readback *r, uint64_t *chunk, uint64_t *count, struct store_found *out);

/* Nothing will come any more: the last finding was taken. */
bool readback_over(struct readback *r);

#endif
