/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The token and its count. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "receiver/token.h"

#define HEX_BYTES (2 * WIRE_TOKEN_BYTES)
#define DAY_S	  86400
/* As many as there can be uses. */
#define TOKEN_RUNS_MAX 1000

struct token {
	uint8_t bytes[WIRE_TOKEN_BYTES];
	char hex[HEX_BYTES + 1];
	uint64_t expires_unix_s;
	char path[4096];
	pthread_mutex_t lock;
	/* Under lock: */
	unsigned uses_left;
	unsigned entered; /* without a run id */
	unsigned run_count;
	uint8_t runs[TOKEN_RUNS_MAX][WIRE_RUN_ID_BYTES]; /* that have used it */
};

static json_t *runs_json(const struct token *t)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < t->run_count; i++) {
		char hex[2 * WIRE_RUN_ID_BYTES + 1];

		hex_encode(t->runs[i], WIRE_RUN_ID_BYTES, hex);
		json_array_append_new(list, json_string(hex));
	}
	return list;
}

static int save(struct token *t)
{
	CLEANUP_JSON json_t *json =
		json_pack("{s:s, s:i, s:I, s:o}", "token", t->hex, "uses_left", (int)t->uses_left,
			  "expires_unix_s", (json_int_t)t->expires_unix_s, "runs", runs_json(t));
	CLEANUP_FREE char *text = json ? json_text(json) : NULL;

	if (!text)
		return fail(ENOMEM, "memory for %s", t->path);
	return io_replace_file(t->path, text, strlen(text), 0600);
}

static int make(struct token *t, unsigned uses, unsigned days)
{
	wire_random(t->bytes, sizeof(t->bytes));
	t->uses_left = uses;
	t->expires_unix_s = (uint64_t)time(NULL) + (uint64_t)days * DAY_S;
	hex_encode(t->bytes, sizeof(t->bytes), t->hex);
	return save(t);
}

static int load_runs(struct token *t, const json_t *json)
{
	json_t *list = NULL;
	int rc = json_get_array(json, "runs", &list);

	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
		const char *hex = json_string_value(json_array_get(list, i));

		if (!hex || t->run_count == TOKEN_RUNS_MAX ||
		    hex_decode(hex, t->runs[t->run_count++], WIRE_RUN_ID_BYTES) < 0)
			rc = fail(EINVAL, "runs: not a list of run ids");
	}
	return rc;
}

static int load(struct token *t)
{
	CLEANUP_JSON json_t *json = NULL;
	const char *hex = NULL;
	uint64_t uses = 0;
	int rc = json_read_file(t->path, &json);

	if (rc == 0)
		rc = json_get_string(json, "token", &hex);
	if (rc == 0)
		rc = json_get_u64(json, "uses_left", &uses);
	if (rc == 0)
		rc = json_get_u64(json, "expires_unix_s", &t->expires_unix_s);
	if (rc == 0)
		rc = load_runs(t, json);
	if (rc == 0 && hex_decode(hex, t->bytes, sizeof(t->bytes)) < 0)
		rc = fail(EINVAL, "token: not %d hexadecimal digits", HEX_BYTES);
	if (rc < 0)
		return fail_in(rc, "%s", t->path);
	t->uses_left = (unsigned)min_of(uses, (uint64_t)1000);
	hex_encode(t->bytes, sizeof(t->bytes), t->hex);
	return 0;
}

int token_load(const char *dir, unsigned uses, unsigned days, struct token **out)
{
	struct token *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return fail(ENOMEM, "memory for the token");
	pthread_mutex_init(&t->lock, NULL);
	snprintf(t->path, sizeof(t->path), "%s/token.json", dir);
	rc = access(t->path, F_OK) == 0 ? load(t) : make(t, uses, days);
	if (rc < 0) {
		token_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void token_free(struct token *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	explicit_bzero(t, sizeof(*t));
	free(t);
}

const uint8_t *token_bytes(const struct token *t)
{
	return t->bytes;
}

enum token_verdict token_check(const struct token *t, const char *hex, size_t hex_bytes)
{
	if (hex_bytes != HEX_BYTES || !wire_equal_secret(hex, t->hex, HEX_BYTES))
		return TOKEN_WRONG;
	return (uint64_t)time(NULL) > t->expires_unix_s ? TOKEN_EXPIRED : TOKEN_GOOD;
}

const char *token_verdict_text(enum token_verdict v)
{
	switch (v) {
	case TOKEN_GOOD:
		return "good";
	case TOKEN_EXPIRED:
		return "the activation code has expired; start the receiver with a new state "
		       "directory, or remove token.json from it, for a new code";
	case TOKEN_USED_UP:
		return "the activation code is used up; remove token.json from the receiver's "
		       "state "
		       "directory and start it again for a new code";
	case TOKEN_WRONG:
		break;
	}
	return "the token is not the one of this receiver's activation code";
}

static bool has_used(const struct token *t, const uint8_t *run_id)
{
	for (unsigned i = 0; i < t->run_count; i++)
		if (memcmp(t->runs[i], run_id, WIRE_RUN_ID_BYTES) == 0)
			return true;
	return false;
}

enum token_verdict token_enter(struct token *t, const uint8_t *run_id)
{
	LOCK_SCOPE(&t->lock);

	if (run_id ? !has_used(t, run_id) : t->entered == 0) {
		if (t->uses_left == 0)
			return TOKEN_USED_UP;
		t->uses_left--;
		if (run_id && t->run_count < TOKEN_RUNS_MAX)
			memcpy(t->runs[t->run_count++], run_id, WIRE_RUN_ID_BYTES);
		if (save(t) < 0)
			log_warn("the use of the token could not be recorded: %s", err_reason());
	}
	t->entered += !run_id;
	return TOKEN_GOOD;
}

void token_leave(struct token *t, const uint8_t *run_id)
{
	LOCK_SCOPE(&t->lock);

	t->entered -= !run_id;
}

void token_figures(struct token *t, unsigned *uses_left, uint64_t *expires_unix_s)
{
	LOCK_SCOPE(&t->lock);

	*uses_left = t->uses_left;
	*expires_unix_s = t->expires_unix_s;
}
