/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal: what is believed after a crash, and what is not. */
#include <fcntl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "receiver/journal.h"
#include "wire/wire.h"

#include "unit.h"

static const struct journal_subject subject = {
	.disk = 1, .disk_bytes = 100 * MIB, .disk_identity = 77};

struct seen {
	size_t count;
	struct journal_record last;
};

static int see(void *ctx, const struct journal_record *r)
{
	struct seen *s = ctx;

	s->count++;
	s->last = *r;
	return 0;
}

static struct journal_record data_record(uint64_t chunk)
{
	struct journal_record r = {.kind = JOURNAL_DATA, .chunk = chunk, .count = 1};

	memset(r.value, (int)chunk + 1, 16);
	return r;
}

struct place {
	char dir[40], path[60];
};

static int set_up(void **state)
{
	struct place *p = malloc(sizeof(*p));

	strcpy(p->dir, "/tmp/coldlift-journal-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/journal", p->dir);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	unlink(p->path);
	rmdir(p->dir);
	free(p);
	return 0;
}

static int open_at(const char *path, const struct journal_subject *about, struct seen *s,
		   struct journal **j)
{
	return journal_open(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), path, about, see, s, j);
}

/* A journal with a record in each of n batches. */
static void write_batches(const char *path, unsigned n)
{
	struct journal *j = NULL;
	struct seen s = {0};

	assert_int_equal(open_at(path, &subject, &s, &j), 0);
	for (unsigned i = 0; i < n; i++) {
		struct journal_record r = data_record(i);

		assert_int_equal(journal_append(j, &r, 1), 0);
		assert_int_equal(journal_sync(j), 0);
	}
	journal_close(j);
}

static int reopen(const char *path, const struct journal_subject *about, struct seen *s)
{
	struct journal *j = NULL;
	int rc;

	memset(s, 0, sizeof(*s));
	rc = open_at(path, about, s, &j);
	journal_close(j);
	return rc;
}

static void spoil(const char *path, off_t at)
{
	CLEANUP_CLOSE int fd = open(path, O_RDWR);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static off_t record_at(unsigned n)
{
	return JOURNAL_HEAD_BYTES + (off_t)n * JOURNAL_RECORD_BYTES;
}

static void what_was_synced_is_read_back(void **state)
{
	struct place *p = *state;
	struct seen s;

	write_batches(p->path, 5);
	assert_int_equal(reopen(p->path, &subject, &s), 0);
	assert_int_equal(s.count, 5);
	assert_int_equal(s.last.chunk, 4);
	assert_int_equal(s.last.value[3], 5);
}

static void a_torn_end_is_cut_off(void **state)
{
	struct place *p = *state;
	struct seen s;

	for (unsigned cut = 1; cut < JOURNAL_RECORD_BYTES; cut += 7) {
		unlink(p->path);
		write_batches(p->path, 5);
		assert_int_equal(truncate(p->path, record_at(5) - cut), 0);
		assert_int_equal(reopen(p->path, &subject, &s), 0);
		assert_int_equal(s.count, 4);
		write_batches(p->path, 1); /* and it takes records again */
		assert_int_equal(reopen(p->path, &subject, &s), 0);
		assert_int_equal(s.count, 5);
	}
}

static void a_spoilt_last_record_is_cut_off(void **state)
{
	struct place *p = *state;
	struct seen s;

	write_batches(p->path, 5);
	spoil(p->path, record_at(4) + 30);
	assert_int_equal(reopen(p->path, &subject, &s), 0);
	assert_int_equal(s.count, 4);
	assert_int_equal(reopen(p->path, &subject, &s), 0);
	assert_int_equal(s.count, 4);
}

static void damage_before_what_was_synced_later_is_refused(void **state)
{
	struct place *p = *state;
	struct seen s;

	write_batches(p->path, 12);
	spoil(p->path, record_at(3) + 25);
	assert_int_equal(reopen(p->path, &subject, &s), -EINVAL);
	assert_string_equal(err_code(), "JOURNAL_DAMAGED");
}

static void a_foreign_journal_is_refused(void **state)
{
	struct place *p = *state;
	struct journal_subject other = subject;
	struct seen s;

	write_batches(p->path, 2);
	other.disk_bytes += 512;
	assert_int_equal(reopen(p->path, &other, &s), -EINVAL);
	assert_string_equal(err_code(), "JOURNAL_FOREIGN");
	other = subject;
	other.disk_identity++;
	assert_int_equal(reopen(p->path, &other, &s), -EINVAL);
	other = subject;
	other.disk = 0;
	assert_int_equal(reopen(p->path, &other, &s), -EINVAL);
	spoil(p->path, 20);
	assert_int_equal(reopen(p->path, &subject, &s), -EINVAL);
	assert_string_equal(err_code(), "JOURNAL_FOREIGN");
	assert_int_equal(truncate(p->path, 50), 0);
	assert_int_equal(reopen(p->path, &subject, &s), -EINVAL);
}

static void the_digest_is_kept_and_an_unknown_one_refused(void **state)
{
	struct place *p = *state;
	struct journal_subject other = subject;
	struct journal_record r = {.kind = JOURNAL_DIGEST, .value = {WIRE_DIGEST_SHA256}};
	struct journal *j = NULL;
	struct seen s = {0};

	write_batches(p->path, 2);
	assert_int_equal(open_at(p->path, &subject, &s, &j), 0);
	assert_int_equal(journal_append(j, &r, 1), 0);
	journal_close(j);
	assert_int_equal(reopen(p->path, &subject, &s), 0);
	assert_int_equal(s.count, 3);
	assert_int_equal(s.last.kind, JOURNAL_DIGEST);
	assert_int_equal(s.last.value[0], WIRE_DIGEST_SHA256);
	/* In the head of one that is begun; it is told first, whoever asks. */
	unlink(p->path);
	other.digest = WIRE_DIGEST_SHA256;
	assert_int_equal(reopen(p->path, &other, &s), 0);
	assert_int_equal(s.count, 0);
	assert_int_equal(reopen(p->path, &subject, &s), 0);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.last.value[0], WIRE_DIGEST_SHA256);
	unlink(p->path);
	other.digest = 3;
	assert_int_equal(reopen(p->path, &other, &s), 0);
	assert_int_equal(reopen(p->path, &subject, &s), -EINVAL);
	assert_string_equal(err_code(), "JOURNAL_FOREIGN");
	unlink(p->path);
	assert_int_equal(open_at(p->path, &subject, &s, &j), 0);
	r.value[0] = 3;
	assert_int_equal(journal_append(j, &r, 1), 0);
	journal_close(j);
	assert_int_equal(reopen(p->path, &subject, &s), -EINVAL);
	assert_string_equal(err_code(), "JOURNAL_DAMAGED");
}

/* Records of another journal for the same disk, at the same place, are no records of this one. */
static void records_of_another_journal_do_not_pass(void **state)
{
	struct place *p = *state;
	char other[80];
	uint8_t raw[JOURNAL_RECORD_BYTES];
	CLEANUP_CLOSE int fd = -1;
	struct seen s;

	snprintf(other, sizeof(other), "%s/other", p->dir);
	write_batches(p->path, 1);
	write_batches(other, 2);
	fd = open(other, O_RDONLY);
	assert_int_equal(pread(fd, raw, sizeof(raw), record_at(1)), sizeof(raw));
	close(fd);
	fd = open(p->path, O_WRONLY);
	assert_int_equal(pwrite(fd, raw, sizeof(raw), record_at(1)), sizeof(raw));
	assert_int_equal(reopen(p->path, &subject, &s), 0);
	assert_int_equal(s.count, 1);
	unlink(other);
}

/* Power went while it was begun: its size came to the medium, its head did not. */
static void a_journal_that_was_never_begun_is_begun(void **state)
{
	struct place *p = *state;
	struct seen s;

	write_batches(p->path, 0);
	assert_int_equal(truncate(p->path, 0), 0);
	assert_int_equal(truncate(p->path, JOURNAL_HEAD_BYTES), 0);
	assert_int_equal(reopen(p->path, &subject, &s), 0);
	assert_int_equal(s.count, 0);
	write_batches(p->path, 2);
	assert_int_equal(reopen(p->path, &subject, &s), 0);
	assert_int_equal(s.count, 2);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(what_was_synced_is_read_back),
		test(a_torn_end_is_cut_off),
		test(a_spoilt_last_record_is_cut_off),
		test(damage_before_what_was_synced_later_is_refused),
		test(a_foreign_journal_is_refused),
		test(the_digest_is_kept_and_an_unknown_one_refused),
		test(records_of_another_journal_do_not_pass),
		test(a_journal_that_was_never_begun_is_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
