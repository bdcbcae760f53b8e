/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The token that lets a source in: 16 secret bytes, a number of uses and a last day, kept in the
 * state directory. A use is a run: the first connection with a new run id counts, all others of
 * that run do not, however often it is interrupted. Without a run id a use is a spell of
 * connections: the first one counts, others beside it do not. Private to receiver. Any thread.
 */
#ifndef RECEIVER_TOKEN_H
#define RECEIVER_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/wire.h"

struct token;

/* Load DIR/token.json, or make a token with that many uses and days. */
int token_load(const char *dir, unsigned uses, unsigned days, struct token **out);
void token_free(struct token *t);

const uint8_t *token_bytes(const struct token *t);

enum token_verdict { TOKEN_GOOD, TOKEN_WRONG, TOKEN_EXPIRED, TOKEN_USED_UP };

/* hex: exactly 2 * WIRE_TOKEN_BYTES characters count; compared in constant time. */
enum token_verdict token_check(const struct token *t, const char *hex, size_t hex_bytes);

/* A sentence for the one who was refused. */
const char *token_verdict_text(enum token_verdict v);

/*
 * A data connection begins, run_id may be NULL: TOKEN_USED_UP when it would begin a use and none is
 * left. Each TOKEN_GOOD is followed by a token_leave() with the same run id.
 */
enum token_verdict token_enter(struct token *t, const uint8_t *run_id);
void token_leave(struct token *t, const uint8_t *run_id);

void token_figures(struct token *t, unsigned *uses_left, uint64_t *expires_unix_s);

#endif
