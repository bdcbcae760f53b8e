/* SPDX-License-Identifier: GPL-2.0-or-later */
/* base: errors, numbers, cursors, arenas, files, children, JSON. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "unit.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"
#include "base/run.h"

static void reason_keeps_errno_text_and_gains_context(void **state)
{
	(void)state;
	assert_int_equal(fail(ENOENT, "open %s", "x"), -ENOENT);
	assert_string_equal(err_reason(), "open x: No such file or directory");
	assert_string_equal(err_code(), "");
	assert_int_equal(fail_in(-ENOENT, "disk %d", 3), -ENOENT);
	assert_string_equal(err_reason(), "disk 3: open x: No such file or directory");
	assert_int_equal(fail_code(EPERM, "SOME_CODE", "no"), -EPERM);
	assert_string_equal(err_code(), "SOME_CODE");
	assert_string_equal(err_reason(), "no");
}

static void long_reasons_are_cut_not_overrun(void **state)
{
	char big[2000];

	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	fail(EIO, "%s", big);
	for (int i = 0; i < 20; i++)
		fail_in(-EIO, "%s", big);
	assert_true(strlen(err_reason()) < ERR_REASON_MAX);
}

static void ranges_do_not_wrap(void **state)
{
	uint64_t n;

	(void)state;
	assert_true(range_ok(0, 10, 10));
	assert_false(range_ok(1, 10, 10));
	assert_false(range_ok(UINT64_MAX, 2, UINT64_MAX));
	assert_false(add_ok(UINT64_MAX, 1, &n));
	assert_false(mul_ok(UINT64_MAX, 2, &n));
	assert_int_equal(round_up(1, 4096), 4096);
	assert_int_equal(round_up(UINT64_MAX, 4096), UINT64_MAX - 4095);
	assert_int_equal(div_up(10, 4), 3);
}

static void numbers_are_whole_strings_in_range(void **state)
{
	uint64_t n = 7;

	(void)state;
	assert_int_equal(num_parse("18446744073709551615", 0, UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(num_parse("18446744073709551616", 0, UINT64_MAX, &n), -ERANGE);
	assert_int_equal(num_parse("11", 0, 10, &n), -ERANGE);
	assert_int_equal(num_parse("", 0, 10, &n), -EINVAL);
	assert_int_equal(num_parse("1x", 0, 10, &n), -EINVAL);
	assert_int_equal(num_parse("-1", 0, 10, &n), -EINVAL);
}

static void sizes_and_hex_as_text(void **state)
{
	char text[32];
	unsigned char raw[3];

	(void)state;
	assert_string_equal(num_bytes_text(999, text, sizeof(text)), "999 bytes");
	assert_string_equal(num_bytes_text(20 * GIB, text, sizeof(text)), "20.0 GiB");
	assert_string_equal(num_bytes_text(500 * GIB, text, sizeof(text)), "500 GiB");
	hex_encode("\x01\xab\xff", 3, text);
	assert_string_equal(text, "01abff");
	assert_int_equal(hex_decode("01ABff", raw, 3), 0);
	assert_memory_equal(raw, "\x01\xab\xff", 3);
	assert_int_equal(hex_decode("01abf", raw, 3), -EINVAL);
	assert_int_equal(hex_decode("01abfg", raw, 3), -EINVAL);
}

static void cursor_turns_bad_and_empty_at_every_cut(void **state)
{
	static const uint8_t data[15] = {0, 1, 0, 0, 0, 2, 3, 0, 0, 0, 0, 0, 0, 0, 4};

	(void)state;
	for (size_t n = 0; n <= sizeof(data); n++) {
		struct cursor c = cursor_of(data, n);

		(void)cursor_be16(&c);
		(void)cursor_be32(&c);
		(void)cursor_le64(&c);
		(void)cursor_u8(&c);
		assert_int_equal(cursor_ok(&c), n == sizeof(data));
		assert_int_equal(cursor_left(&c), 0);
		assert_int_equal(cursor_u8(&c), 0);
		assert_false(cursor_ok(&c));
	}
}

static void writer_mirrors_cursor(void **state)
{
	uint8_t buf[14];
	struct writer w = writer_of(buf, sizeof(buf));
	struct cursor c;

	(void)state;
	writer_be(&w, 0x0102, 2);
	writer_le(&w, 0x03040506, 4);
	writer_be(&w, UINT64_MAX - 1, 8);
	assert_true(writer_ok(&w));
	writer_bytes(&w, "x", 1);
	assert_false(writer_ok(&w));
	c = cursor_of(buf, sizeof(buf));
	assert_int_equal(cursor_be16(&c), 0x0102);
	assert_int_equal(cursor_le32(&c), 0x03040506);
	assert_true(cursor_be64(&c) == UINT64_MAX - 1);
}

static void arena_lists_grow_and_stay_zeroed(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	struct pair {
		int n;
		int zero;
	} *list = NULL;
	size_t count = 0;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct pair *p = arena_push(a, &list, &count);

		assert_int_equal(p->zero, 0);
		p->n = i;
	}
	assert_int_equal(count, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(list[i].n, i);
	assert_string_equal(arena_printf(a, "%s-%d", "a", 5), "a-5");
	assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
}

static void files_are_replaced_whole(void **state)
{
	char dir[] = "/tmp/coldlift-test-XXXXXX", path[64];
	CLEANUP_FREE char *data = NULL;
	size_t n;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	assert_int_equal(io_replace_file(path, "one", 3, 0600), 0);
	assert_int_equal(io_replace_file(path, "second", 6, 0600), 0);
	assert_int_equal(io_read_file(path, 100, &data, &n), 0);
	assert_int_equal(n, 6);
	assert_string_equal(data, "second");
	assert_int_equal(io_read_file(path, 5, &data, &n), -EFBIG);
	assert_int_equal(io_read_file("/nowhere/file", 5, &data, &n), -ENOENT);
	unlink(path);
	rmdir(dir);
}

/* A FIFO stands for /dev/null, which a test must not put at risk. */
static void a_device_is_never_replaced_by_a_file(void **state)
{
	char dir[] = "/tmp/coldlift-test-XXXXXX", path[64];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(io_replace_file(path, "one", 3, 0600), -EEXIST);
	assert_non_null(strstr(err_reason(), "not a regular file"));
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	unlink(path);
	rmdir(dir);
}

static void short_file_is_an_error_with_its_name(void **state)
{
	char path[] = "/tmp/coldlift-test-XXXXXX", buf[8];
	CLEANUP_CLOSE int fd = mkstemp(path);

	(void)state;
	unlink(path);
	assert_int_equal(io_pwrite(fd, "12345", 5, 0, "disk"), 0);
	assert_int_equal(io_pread(fd, buf, 4, 1, "disk"), 0);
	assert_int_equal(io_pread(fd, buf, 5, 1, "disk"), -EIO);
	assert_non_null(strstr(err_reason(), "disk at byte 5"));
}

static void zero_is_seen_at_every_length_and_place(void **state)
{
	unsigned char buf[300] = {0};

	(void)state;
	for (size_t n = 0; n < sizeof(buf); n++) {
		assert_true(io_is_zero(buf, n));
		if (n == 0)
			continue;
		buf[n - 1] = 1;
		assert_false(io_is_zero(buf, n));
		assert_true(io_is_zero(buf, n - 1));
		buf[n - 1] = 0;
	}
}

static int count_line(void *ctx, const char *line)
{
	(void)line;
	++*(int *)ctx;
	return 0;
}

static void children_are_captured_and_checked(void **state)
{
	CLEANUP_RUN struct run_result r = {0}, none = {0};
	int lines = 0;

	(void)state;
	assert_int_equal(run_capture((const char *[]){"echo", "a  b", NULL}, 60000, &r), 0);
	assert_int_equal(r.exit_status, 0);
	assert_string_equal(r.out, "a  b\n");
	assert_int_equal(run_capture((const char *[]){"/no/such/program", NULL}, 60000, &none),
			 -ENOENT);
	assert_int_equal(
		run_lines((const char *[]){"printf", "a\\nb\\nc", NULL}, 60000, count_line, &lines),
		0);
	assert_int_equal(lines, 3);
	assert_int_equal(run_lines((const char *[]){"false", NULL}, 60000, count_line, &lines),
			 -EIO);
}

static void child_past_its_deadline_is_killed(void **state)
{
	uint64_t start_ms = clock_ms();

	(void)state;
	assert_int_equal(run_check((const char *[]){"sleep", "600", NULL}, 200), -ETIMEDOUT);
	assert_true(clock_ms() - start_ms < 300000);
}

static void json_says_which_key_is_wrong(void **state)
{
	static const char text[] =
		"{\"n\": 5, \"s\": \"x\", \"neg\": -1, \"b\": true, \"nothing\": null}";
	CLEANUP_JSON json_t *j = NULL;
	json_t *bad = NULL;
	uint64_t n;
	const char *s;
	bool b;

	(void)state;
	assert_int_equal(json_parse(text, strlen(text), "job", &j), 0);
	assert_int_equal(json_get_u64(j, "n", &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(json_get_u64(j, "neg", &n), -EINVAL);
	assert_int_equal(json_get_u64_or(j, "nothing", 9, &n), 0);
	assert_int_equal(n, 9);
	assert_int_equal(json_get_string(j, "n", &s), -EINVAL);
	assert_non_null(strstr(err_reason(), "\"n\""));
	assert_int_equal(json_get_bool_or(j, "b", false, &b), 0);
	assert_true(b);
	assert_int_equal(json_parse("{\"a\":1,\"a\":2}", 13, "job", &bad), -EINVAL);
	assert_string_equal(err_code(), "JSON_INVALID");
	assert_int_equal(json_parse("{", 1, "job", &bad), -EINVAL);
}

static char *nested(unsigned depth, size_t *bytes)
{
	char *text = malloc(2 * depth + 8);

	memcpy(text, "{\"[\":", 5);
	memset(text + 5, '[', depth);
	memset(text + 5 + depth, ']', depth);
	text[5 + 2 * depth] = '}';
	*bytes = 6 + 2 * depth;
	return text;
}

static void json_that_would_take_too_much_is_refused(void **state)
{
	static const char quoted[] = "{\"a\\\"[[[\": \"]{\"}";
	const size_t many = 2 * (JSON_VALUES_MAX + 2);
	CLEANUP_FREE char *list = malloc(many);
	CLEANUP_FREE char *text = NULL;
	json_t *j = NULL;
	size_t bytes;

	(void)state;
	text = nested(JSON_DEPTH_MAX - 1, &bytes);
	assert_int_equal(json_parse(text, bytes, "state", &j), 0);
	json_decref(j);
	free(text);
	text = nested(JSON_DEPTH_MAX, &bytes);
	assert_int_equal(json_parse(text, bytes, "state", &j), -EINVAL);
	assert_null(j);
	assert_string_equal(err_code(), "JSON_INVALID");
	assert_non_null(strstr(err_reason(), "in one another"));
	/* What stands in a string is no list. */
	j = NULL;
	assert_int_equal(json_parse(quoted, strlen(quoted), "state", &j), 0);
	json_decref(j);
	for (size_t i = 0; i < many; i += 2)
		memcpy(list + i, "0,", 2);
	list[0] = '[';
	assert_int_equal(json_parse(list, many, "state", &j), -EINVAL);
	assert_non_null(strstr(err_reason(), "values"));
}

static void foreign_words_in_reasons_stay_words(void **state)
{
	CLEANUP_JSON json_t *j = NULL;

	(void)state;
	fail_code(EIO, "PEER\033[2J", "it says \"\033[2J\r\n\x7f\"");
	assert_string_equal(err_code(), "PEER [2J");
	assert_string_equal(err_reason(), "it says \" [2J   \"");
	fail_in(-EIO, "disk\tsda");
	assert_string_equal(err_reason(), "disk sda: it says \" [2J   \"");
	/* Cut in the middle of a letter it can still be told. */
	j = json_str("Gr\xc3\xb6\xc3");
	assert_string_equal(json_string_value(j), "Gr???");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reason_keeps_errno_text_and_gains_context),
		cmocka_unit_test(long_reasons_are_cut_not_overrun),
		cmocka_unit_test(ranges_do_not_wrap),
		cmocka_unit_test(numbers_are_whole_strings_in_range),
		cmocka_unit_test(sizes_and_hex_as_text),
		cmocka_unit_test(cursor_turns_bad_and_empty_at_every_cut),
		cmocka_unit_test(writer_mirrors_cursor),
		cmocka_unit_test(arena_lists_grow_and_stay_zeroed),
		cmocka_unit_test(files_are_replaced_whole),
		cmocka_unit_test(a_device_is_never_replaced_by_a_file),
		cmocka_unit_test(short_file_is_an_error_with_its_name),
		cmocka_unit_test(zero_is_seen_at_every_length_and_place),
		cmocka_unit_test(children_are_captured_and_checked),
		cmocka_unit_test(child_past_its_deadline_is_killed),
		cmocka_unit_test(json_says_which_key_is_wrong),
		cmocka_unit_test(json_that_would_take_too_much_is_refused),
		cmocka_unit_test(foreign_words_in_reasons_stay_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
