/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The token that lets a source in: 16 secret bytes, a number of uses and a lifetime, kept in the
 * vault. A use is a run: the first connection with a new run id counts, all others of that run do
 * not, however often it is interrupted. Without a run id a use is a spell of connections: the first
 * one counts, others beside it do not. Private to receiver. Any thread.
 *
 * The lifetime is what is left of it, and does not hang on the wall clock alone, which may be years
 * off when an instance starts and is set right later. While the receiver runs, a clock counts that
 * nobody sets. Between two runs the wall clock's difference counts, and one that went backwards
 * counts nothing; it is noted anew as soon as somebody has set it.
 */
#ifndef RECEIVER_TOKEN_H
#define RECEIVER_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "receiver/vault.h"
#include "wire/wire.h"

struct token;

/* Seconds. wall may jump; running does not, and counts on while the machine sleeps. */
struct token_clock {
	uint64_t (*wall_s)(void *ctx);
	uint64_t (*running_s)(void *ctx);
	void *ctx;
};

struct token_options {
	unsigned uses, days;	  /* of a token that is new */
	const uint8_t *given;	  /* WIRE_TOKEN_BYTES: the one to have; NULL: any */
	struct token_clock clock; /* zeroed: the real ones; for tests */
};

/*
 * Load the token, or make one. One that is there keeps its uses and lifetime, unless another one is
 * given: that is a new token, and takes its place.
 */
int token_load(struct vault *v, const struct token_options *o, struct token **out);
void token_free(struct token *t);

const uint8_t *token_bytes(const struct token *t);

enum token_verdict { TOKEN_GOOD, TOKEN_WRONG, TOKEN_EXPIRED, TOKEN_USED_UP };

/* hex: exactly 2 * WIRE_TOKEN_BYTES characters count; compared in constant time. */
enum token_verdict token_check(struct token *t, const char *hex, size_t hex_bytes);

/* A sentence for the one who was refused. */
const char *token_verdict_text(enum token_verdict v);

/*
 * A data connection begins, run_id may be NULL: TOKEN_USED_UP when it would begin a use and none is
 * left. Each TOKEN_GOOD is followed by a token_leave() with the same run id.
 */
enum token_verdict token_enter(struct token *t, const uint8_t *run_id);
void token_leave(struct token *t, const uint8_t *run_id);

/* Read a token that was laid ready: FILE, nobody else's to read, has its 32 hexadecimal digits.
 * Code TOKEN_FILE_BAD. */
int token_file_read(const char *path, uint8_t out[WIRE_TOKEN_BYTES]);

#endif
