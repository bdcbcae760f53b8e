/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rate limit on a line of made-up time: what leaves never exceeds it, and comes close to it. */
#include "unit.h"

#include "copy/private.h"

/* Senders that ask as soon as their last chunk left; returns the bytes gone after `seconds`. */
static uint64_t run_senders(struct rate *r, unsigned senders, uint64_t mbit, int64_t bytes,
			    unsigned seconds, uint64_t late_us)
{
	uint64_t due_us[64] = {0}, gone = 0, start_us = 1000000;

	for (unsigned i = 0; i < senders; i++)
		due_us[i] = rate_reserve(r, mbit, bytes, start_us);
	for (;;) {
		unsigned next = 0;

		for (unsigned i = 1; i < senders; i++)
			if (due_us[i] < due_us[next])
				next = i;
		if (due_us[next] > start_us + seconds * 1000000ull)
			return gone;
		gone += (uint64_t)bytes;
		due_us[next] = rate_reserve(r, mbit, bytes, due_us[next] + late_us);
	}
}

static void check_rate(unsigned senders, uint64_t mbit, int64_t bytes, uint64_t late_us)
{
	struct rate r;
	unsigned seconds = 60;
	double got, want = (double)mbit * 125000 * seconds;

	rate_init(&r);
	got = (double)run_senders(&r, senders, mbit, bytes, seconds, late_us);
	rate_fini(&r);
	assert_true(got <= want + (double)bytes);
	assert_true(got >= 0.97 * want);
}

static void one_sender_holds_the_rate(void **state)
{
	(void)state;
	check_rate(1, 100, 400000, 0);
	check_rate(1, 1000, 1048576, 0);
}

static void many_senders_share_the_rate(void **state)
{
	(void)state;
	check_rate(4, 20, 1048576, 0);
	check_rate(32, 300, 300000, 0);
}

static void a_sender_that_is_late_loses_nothing(void **state)
{
	(void)state;
	check_rate(1, 100, 400000, 3000);
	check_rate(4, 1000, 400000, 2000);
}

static void an_idle_line_saves_up_next_to_nothing(void **state)
{
	struct rate r;
	uint64_t due_us;

	(void)state;
	rate_init(&r);
	rate_reserve(&r, 8, 1000, 1000000);
	/* Ten seconds later, a megabyte at 1 MB/s takes a second, less 200 ms. */
	due_us = rate_reserve(&r, 8, 1000000, 11000000);
	assert_true(due_us == 11800000);
	rate_fini(&r);
}

static void a_changed_limit_holds_at_once(void **state)
{
	struct rate r;

	(void)state;
	rate_init(&r);
	/* A chunk at 1 Mbit/s owns the line for 8 s; 80 Mbit/s wait for it no longer. */
	assert_int_equal(rate_reserve(&r, 1, 1000000, 1000000), 9000000);
	assert_true(rate_reserve(&r, 80, 1000000, 1000000) <= 1100000);
	assert_int_equal(rate_reserve(&r, 0, 1000000, 1000000), 1000000);
	rate_fini(&r);
}

static void too_high_a_guess_is_given_back(void **state)
{
	struct rate r;
	uint64_t first_us, second_us;

	(void)state;
	rate_init(&r);
	first_us = rate_reserve(&r, 8, 2000000, 1000000);
	second_us = rate_reserve(&r, 8, 1000000 - 500000, 1000000);
	assert_int_equal(second_us - first_us, 500000);
	rate_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_sender_holds_the_rate),
		cmocka_unit_test(many_senders_share_the_rate),
		cmocka_unit_test(a_sender_that_is_late_loses_nothing),
		cmocka_unit_test(an_idle_line_saves_up_next_to_nothing),
		cmocka_unit_test(a_changed_limit_holds_at_once),
		cmocka_unit_test(too_high_a_guess_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
