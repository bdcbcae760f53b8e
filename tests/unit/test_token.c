/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The token: its lifetime under clocks that jump, tokens that are given, files that are not right.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "receiver/token.h"

#include "unit.h"

#define DAY_S  86400u
#define YEAR_S (365u * DAY_S)

struct place {
	char dir[48];
	struct vault *vault;
	uint64_t wall_s, running_s;
	struct token_options options;
	struct token *token;
};

static uint64_t wall(void *ctx)
{
	return ((struct place *)ctx)->wall_s;
}

static uint64_t running(void *ctx)
{
	return ((struct place *)ctx)->running_s;
}

static void start(struct place *p)
{
	assert_int_equal(token_load(p->vault, &p->options, &p->token), 0);
}

static void stop(struct place *p)
{
	token_free(p->token);
	p->token = NULL;
}

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct vault_options o = {.state_dir = p->dir};

	log_setup(LOG_LEVEL_ERROR, NULL, NULL);
	strcpy(p->dir, "/tmp/coldlift-token-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	assert_int_equal(vault_start(&o, false, &p->vault), 0);
	p->wall_s = 56 * (uint64_t)YEAR_S;
	p->running_s = 100;
	p->options = (struct token_options){
		.uses = 2, .days = 10, .clock = {.wall_s = wall, .running_s = running, .ctx = p}};
	start(p);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	token_free(p->token);
	vault_stop(p->vault);
	remove_tree(p->dir);
	free(p);
	return 0;
}

static void pass(struct place *p, uint64_t seconds)
{
	p->wall_s += seconds;
	p->running_s += seconds;
}

static enum token_verdict check(struct place *p)
{
	char hex[2 * WIRE_TOKEN_BYTES + 1];

	hex_encode(token_bytes(p->token), WIRE_TOKEN_BYTES, hex);
	return token_check(p->token, hex, strlen(hex));
}

static void it_expires_after_its_days(void **state)
{
	struct place *p = *state;

	pass(p, 10 * DAY_S - 1);
	assert_int_equal(check(p), TOKEN_GOOD);
	pass(p, 1);
	assert_int_equal(check(p), TOKEN_EXPIRED);
	stop(p);
	start(p);
	assert_int_equal(check(p), TOKEN_EXPIRED);
}

static void days_between_two_runs_count(void **state)
{
	struct place *p = *state;

	pass(p, 4 * DAY_S);
	stop(p);
	p->running_s = 5; /* another boot */
	p->wall_s += 5 * DAY_S;
	start(p);
	assert_int_equal(check(p), TOKEN_GOOD);
	pass(p, DAY_S);
	assert_int_equal(check(p), TOKEN_EXPIRED);
}

/* An instance starts in 1970 and learns the time a minute later. */
static void a_clock_set_forward_by_years_expires_nothing(void **state)
{
	struct place *p = *state;

	pass(p, 60);
	p->wall_s += 50 * (uint64_t)YEAR_S;
	assert_int_equal(check(p), TOKEN_GOOD);
	stop(p);
	start(p);
	assert_int_equal(check(p), TOKEN_GOOD);
	pass(p, 10 * DAY_S - 60);
	assert_int_equal(check(p), TOKEN_EXPIRED);
}

static void a_clock_set_back_by_years_lengthens_nothing(void **state)
{
	struct place *p = *state;

	pass(p, 9 * DAY_S);
	p->wall_s -= 40 * (uint64_t)YEAR_S;
	assert_int_equal(check(p), TOKEN_GOOD);
	stop(p);
	start(p);
	pass(p, DAY_S - 1);
	assert_int_equal(check(p), TOKEN_GOOD);
	pass(p, 1);
	assert_int_equal(check(p), TOKEN_EXPIRED);
}

/* A machine without a clock of its own: each start is in 1970 until the network tells the time. */
static void starts_in_the_past_expire_nothing_that_has_not_passed(void **state)
{
	struct place *p = *state;
	uint64_t now_s = p->wall_s;

	for (int i = 0; i < 5; i++) {
		stop(p);
		p->running_s = 3;
		p->wall_s = 30;
		start(p);
		assert_int_equal(check(p), TOKEN_GOOD);
		p->wall_s = now_s += DAY_S;
		assert_int_equal(check(p), TOKEN_GOOD);
	}
}

static void a_given_token_is_taken_once(void **state)
{
	struct place *p = *state;
	uint8_t run[WIRE_RUN_ID_BYTES] = {1}, given[WIRE_TOKEN_BYTES];

	memset(given, 0xab, sizeof(given));
	stop(p);
	p->options.given = given;
	start(p);
	assert_memory_equal(token_bytes(p->token), given, sizeof(given));
	for (int i = 0; i < 2; i++) {
		run[0]++;
		assert_int_equal(token_enter(p->token, run), TOKEN_GOOD);
		token_leave(p->token, run);
	}
	/* Given again it is no new one. */
	stop(p);
	start(p);
	run[0]++;
	assert_int_equal(token_enter(p->token, run), TOKEN_USED_UP);
	given[3] ^= 1;
	stop(p);
	start(p);
	assert_int_equal(token_enter(p->token, run), TOKEN_GOOD);
	token_leave(p->token, run);
}

static int read_as(struct place *p, const char *text, mode_t mode)
{
	uint8_t out[WIRE_TOKEN_BYTES];
	char path[80];

	snprintf(path, sizeof(path), "%s/given", p->dir);
	unlink(path);
	assert_int_equal(io_replace_file(path, text, strlen(text), 0600), 0);
	assert_int_equal(chmod(path, mode), 0);
	return token_file_read(path, out);
}

static void a_token_file_is_digits_and_private(void **state)
{
	static const char hex[] = "00112233445566778899aabbccddeeff";
	char text[64];

	assert_int_equal(read_as(*state, hex, 0600), 0);
	snprintf(text, sizeof(text), "%s\n", hex);
	assert_int_equal(read_as(*state, text, 0400), 0);
	assert_int_equal(read_as(*state, text, 0640), -EACCES);
	assert_string_equal(err_code(), "TOKEN_FILE_BAD");
	snprintf(text, sizeof(text), "%s\n\n", hex);
	assert_int_equal(read_as(*state, text, 0600), -EINVAL);
	assert_int_equal(read_as(*state, hex + 1, 0600), -EINVAL);
	assert_int_equal(read_as(*state, "0011223344556677889Xaabbccddeeff", 0600), -EINVAL);
	assert_int_equal(read_as(*state, "", 0600), -EINVAL);
	assert_string_equal(err_code(), "TOKEN_FILE_BAD");
}

static void a_damaged_token_is_refused_by_name(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{\"token\": 5}",
		"{\"token\": \"00\", \"uses_left\": 1, \"left_s\": 1, \"noted_unix_s\": 1, "
		"\"runs\": []}",
		"{\"token\": \"00112233445566778899aabbccddeeff\", \"uses_left\": 1, \"left_s\": "
		"1, "
		"\"noted_unix_s\": 1, \"runs\": [7]}"};
	struct place *p = *state;

	stop(p);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(
			vault_replace(p->vault, VAULT_TOKEN, 0, texts[i], strlen(texts[i])), 0);
		assert_true(token_load(p->vault, &p->options, &p->token) < 0);
		assert_string_equal(err_code(), "TOKEN_DAMAGED");
		assert_non_null(strstr(err_reason(), "token.json"));
	}
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(it_expires_after_its_days),
		test(days_between_two_runs_count),
		test(a_clock_set_forward_by_years_expires_nothing),
		test(a_clock_set_back_by_years_lengthens_nothing),
		test(starts_in_the_past_expire_nothing_that_has_not_passed),
		test(a_given_token_is_taken_once),
		test(a_token_file_is_digits_and_private),
		test(a_damaged_token_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
