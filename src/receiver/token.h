/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The token that lets a source in: 16 secret bytes, a number of uses and a last day, kept in the
 * state directory. A use is a spell of data connections: the first one counts, others beside it do
 * not, so that eight connections of one migrator are one use. Private to receiver. Any thread.
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

/* A data connection begins: TOKEN_USED_UP when it would begin a use and none is left. */
enum token_verdict token_enter(struct token *t);
void token_leave(struct token *t);

void token_figures(struct token *t, unsigned *uses_left, uint64_t *expires_unix_s);

#endif
