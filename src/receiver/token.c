/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The token and its count. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "receiver/token.h"

#define HEX_BYTES	     (2 * WIRE_TOKEN_BYTES)
#define DAY_S		     86400u
#define USES_MAX	     1000u
#define DAYS_MAX	     90u
#define TOKEN_FILE_MAX_BYTES (1u << 20)
/* As many as there can be uses. */
#define TOKEN_RUNS_MAX USES_MAX
/* The wall clock is always adjusted a little; more than this is somebody setting it. */
#define CLOCK_SET_S 60

struct token {
	uint8_t bytes[WIRE_TOKEN_BYTES];
	char hex[HEX_BYTES + 1];
	struct vault *vault;
	struct token_clock clock;
	pthread_mutex_t lock;
	/* Under lock: */
	uint64_t left_s;  /* at since_s */
	uint64_t since_s; /* of the running clock */
	int64_t noted_s;  /* wall clock less running clock, as noted in the file */
	unsigned uses_left;
	unsigned entered; /* without a run id */
	unsigned run_count;
	uint8_t runs[TOKEN_RUNS_MAX][WIRE_RUN_ID_BYTES]; /* that have used it */
};

static uint64_t real_wall_s(void *ctx)
{
	(void)ctx;
	return (uint64_t)max_of(time(NULL), (time_t)0);
}

static uint64_t real_running_s(void *ctx)
{
	struct timespec t;

	(void)ctx;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec;
}

static uint64_t wall_s(const struct token *t)
{
	return t->clock.wall_s(t->clock.ctx);
}

static uint64_t running_s(const struct token *t)
{
	return t->clock.running_s(t->clock.ctx);
}

static uint64_t left_s(const struct token *t)
{
	uint64_t gone_s = running_s(t) - t->since_s;

	return gone_s < t->left_s ? t->left_s - gone_s : 0;
}

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
	uint64_t wall = wall_s(t);
	CLEANUP_JSON json_t *json =
		json_pack("{s:s, s:i, s:o, s:o, s:o}", "token", t->hex, "uses_left",
			  (int)t->uses_left, "left_s", json_u64(left_s(t)), "noted_unix_s",
			  json_u64(wall), "runs", runs_json(t));
	CLEANUP_FREE char *text = json ? json_text(json) : NULL;

	if (!text)
		return fail(ENOMEM, "memory for the token");
	t->noted_s = (int64_t)wall - (int64_t)running_s(t);
	return vault_replace(t->vault, VAULT_TOKEN, 0, text, strlen(text));
}

static int make(struct token *t, const struct token_options *o)
{
	if (o->given)
		memcpy(t->bytes, o->given, sizeof(t->bytes));
	else
		wire_random(t->bytes, sizeof(t->bytes));
	t->uses_left = o->uses;
	t->left_s = (uint64_t)o->days * DAY_S;
	t->run_count = 0;
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

static int parse(struct token *t, const json_t *json)
{
	uint64_t uses = 0, noted = 0, now = wall_s(t);
	const char *hex = NULL;
	int rc = json_get_string(json, "token", &hex);

	if (rc == 0)
		rc = json_get_u64(json, "uses_left", &uses);
	if (rc == 0)
		rc = json_get_u64(json, "left_s", &t->left_s);
	if (rc == 0)
		rc = json_get_u64(json, "noted_unix_s", &noted);
	if (rc == 0)
		rc = load_runs(t, json);
	if (rc == 0 && hex_decode(hex, t->bytes, sizeof(t->bytes)) < 0)
		rc = fail(EINVAL, "token: not %d hexadecimal digits", HEX_BYTES);
	if (rc < 0)
		return rc;
	t->left_s = min_of(t->left_s, (uint64_t)DAYS_MAX * DAY_S);
	t->left_s -= min_of(t->left_s, now > noted ? now - noted : 0);
	t->noted_s = (int64_t)now - (int64_t)t->since_s;
	t->uses_left = (unsigned)min_of(uses, (uint64_t)USES_MAX);
	hex_encode(t->bytes, sizeof(t->bytes), t->hex);
	return 0;
}

static int load(struct token *t, const struct token_options *o)
{
	CLEANUP_JSON json_t *json = NULL;
	CLEANUP_FREE char *text = NULL;
	char name[VAULT_NAME_BYTES];
	size_t bytes = 0;
	int rc = vault_read(t->vault, VAULT_TOKEN, 0, TOKEN_FILE_MAX_BYTES, &text, &bytes);

	if (rc == -ENOENT)
		return make(t, o);
	vault_name(t->vault, VAULT_TOKEN, 0, name);
	if (rc == 0)
		rc = json_parse(text, bytes, name, &json);
	if (rc == 0)
		rc = parse(t, json);
	if (text)
		explicit_bzero(text, bytes);
	if (rc < 0)
		return fail_code(rc, "TOKEN_DAMAGED",
				 "%s: %s; remove it for a new token and activation code", name,
				 err_reason());
	if (o->given && memcmp(o->given, t->bytes, sizeof(t->bytes)) != 0) {
		log_info("the token that was given takes the place of the one before");
		return make(t, o);
	}
	return 0;
}

int token_load(struct vault *v, const struct token_options *o, struct token **out)
{
	struct token *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return fail(ENOMEM, "memory for the token");
	pthread_mutex_init(&t->lock, NULL);
	t->vault = v;
	t->clock = o->clock.wall_s ? o->clock
				   : (struct token_clock){.wall_s = real_wall_s,
							  .running_s = real_running_s};
	t->since_s = running_s(t);
	rc = load(t, o);
	if (rc < 0) {
		token_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

int token_file_read(const char *path, uint8_t out[WIRE_TOKEN_BYTES])
{
	CLEANUP_CLOSE int fd = io_open(path, O_RDONLY, 0);
	char text[HEX_BYTES + 3] = "";
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return fail_code(fd, "TOKEN_FILE_BAD", "%s cannot be read: %s", path,
				 strerror(-fd));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_mode & 077)
		return fail_code(EACCES, "TOKEN_FILE_BAD",
				 "%s: others than its owner may read or change it", path);
	n = read(fd, text, sizeof(text) - 1);
	if (n == HEX_BYTES + 1 && text[HEX_BYTES] == '\n')
		text[--n] = '\0';
	n = n == HEX_BYTES ? hex_decode(text, out, WIRE_TOKEN_BYTES) : -1;
	explicit_bzero(text, sizeof(text));
	return n < 0 ? fail_code(EINVAL, "TOKEN_FILE_BAD",
				 "%s does not have %d hexadecimal digits and nothing else", path,
				 HEX_BYTES)
		     : 0;
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

/* Under lock: after somebody has set the wall clock, what is in the file would mislead. */
static void note_clock(struct token *t)
{
	int64_t offset = (int64_t)wall_s(t) - (int64_t)running_s(t), off = offset - t->noted_s;

	if (off >= -CLOCK_SET_S && off <= CLOCK_SET_S)
		return;
	log_info("the clock was set by %lld s; the token's lifetime goes on as before",
		 (long long)off);
	if (save(t) < 0)
		log_warn("the token could not be recorded: %s", err_reason());
}

enum token_verdict token_check(struct token *t, const char *hex, size_t hex_bytes)
{
	LOCK_SCOPE(&t->lock);

	if (hex_bytes != HEX_BYTES || !wire_equal_secret(hex, t->hex, HEX_BYTES))
		return TOKEN_WRONG;
	note_clock(t);
	return left_s(t) == 0 ? TOKEN_EXPIRED : TOKEN_GOOD;
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
