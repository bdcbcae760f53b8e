/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs: their journal, their states, their options. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "pipeline/pipe_journal.h"
#include "pipeline/pipe_options.h"
#include "pipeline/pipe_sync.h"
#include "unit.h"

/* ---- journal ---- */

static int count_record(void *ctx, const json_t *record)
{
	assert_true(json_is_object(record));
	++*(unsigned *)ctx;
	return 0;
}

static char *journal_of(unsigned records, size_t *bytes)
{
	char dir[] = "/tmp/pipeline.XXXXXX", path[64], *text = NULL;
	struct pipe_journal j;
	unsigned seen = 0;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/journal", dir);
	assert_int_equal(pipe_journal_open(path, count_record, &seen, &j), 0);
	for (unsigned i = 0; i < records; i++)
		assert_int_equal(pipe_journal_append(&j, json_pack("{s:i}", "value", (int)i)), 0);
	pipe_journal_close(&j);
	assert_int_equal(io_read_file(path, 1 << 20, &text, bytes), 0);
	unlink(path);
	rmdir(dir);
	return text;
}

static void a_journal_cut_at_any_byte_holds_its_whole_records(void **state)
{
	size_t bytes = 0, good;
	CLEANUP_FREE char *text = journal_of(5, &bytes);
	uint64_t count;

	(void)state;
	for (size_t cut = 0; cut <= bytes; cut++) {
		unsigned seen = 0, lines = 0;

		for (size_t i = 0; i < cut; i++)
			lines += text[i] == '\n';
		assert_int_equal(
			pipe_journal_replay(text, cut, "cut", count_record, &seen, &good, &count),
			0);
		assert_int_equal(seen, lines);
		assert_int_equal(count, lines);
		assert_true(good <= cut);
	}
}

static void a_changed_byte_before_the_last_record_is_damage(void **state)
{
	size_t bytes = 0, good, last = 0;
	CLEANUP_FREE char *text = journal_of(4, &bytes);
	uint64_t count;

	(void)state;
	for (size_t i = 0; i + 1 < bytes; i++) {
		if (text[i] == '\n')
			last = i;
	}
	for (size_t i = 0; i < last; i++) {
		unsigned seen = 0;

		text[i] ^= 1;
		assert_int_equal(pipe_journal_replay(text, bytes, "changed", count_record, &seen,
						     &good, &count),
				 -EBADMSG);
		assert_string_equal(err_code(), "JOB_JOURNAL_DAMAGED");
		text[i] ^= 1;
	}
}

static void a_lost_record_in_the_middle_is_damage(void **state)
{
	size_t bytes = 0, good;
	CLEANUP_FREE char *text = journal_of(4, &bytes);
	char *second = strchr(text, '\n') + 1, *third = strchr(second, '\n') + 1;
	unsigned seen = 0;
	uint64_t count;

	(void)state;
	memmove(second, third, bytes - (size_t)(third - text));
	bytes -= (size_t)(third - second);
	assert_int_equal(
		pipe_journal_replay(text, bytes, "lost", count_record, &seen, &good, &count),
		-EBADMSG);
	assert_int_equal(seen, 1);
}

/* ---- states ---- */

static const struct {
	enum pipe_state state;
	enum pipe_phase phase;
} columns[] = {
	{PIPE_READY, PIPE_NO_PHASE},	{PIPE_RUNNING, PIPE_PREPARING},
	{PIPE_RUNNING, PIPE_SYNCING},	{PIPE_RUNNING, PIPE_PROCESSING},
	{PIPE_RUNNING, PIPE_CLEANING},	{PIPE_STOPPED, PIPE_NO_PHASE},
	{PIPE_IN_ERROR, PIPE_NO_PHASE}, {PIPE_FINISHED, PIPE_NO_PHASE},
	{PIPE_WAITING, PIPE_NO_PHASE},	{PIPE_EXPIRED, PIPE_NO_PHASE},
	{PIPE_DELETING, PIPE_NO_PHASE},
};

/* Written down once more, by state: what docs/pipeline.md promises. */
static const char *const takes[] = {
	"start modify cancel delete",
	"start modify cancel",
	"start modify pause resume stop cancel",
	"start modify pause resume stop cancel",
	"start modify",
	"start modify retry cancel delete",
	"start modify retry cancel delete",
	"modify delete",
	"start modify stop cut-over cancel delete",
	"cancel delete",
	"cancel delete",
};

static bool has_word(const char *words, const char *word)
{
	CLEANUP_FREE char *copy = strdup(words);
	char *rest = copy;

	for (char *w = strsep(&rest, " "); w; w = strsep(&rest, " ")) {
		if (strcmp(w, word) == 0)
			return true;
	}
	return false;
}

static void each_state_takes_the_orders_it_should_and_refuses_the_others(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		for (int v = 0; v < PIPE_VERBS; v++) {
			enum pipe_verb verb = (enum pipe_verb)v;
			bool want = has_word(takes[i], pipe_verb_name(verb));
			int rc = pipe_verb_check(verb, columns[i].state, columns[i].phase, true);

			if ((rc == 0) != want)
				fail_msg("%s in %s %s: %d", pipe_verb_name(verb),
					 pipe_state_name(columns[i].state),
					 pipe_phase_name(columns[i].phase), rc);
			if (!want)
				assert_string_equal(err_code(), "ReplicationJob.InvalidStatus");
		}
	}
}

static void only_incremental_jobs_are_cut_over(void **state)
{
	(void)state;
	assert_int_equal(pipe_verb_check(PIPE_CUTOVER, PIPE_WAITING, PIPE_NO_PHASE, false), -EPERM);
}

static void a_job_expires_only_while_nobody_runs_it(void **state)
{
	uint64_t day = PIPE_DAY_S;

	(void)state;
	for (int s = 0; s < PIPE_STATES; s++) {
		enum pipe_state is = (enum pipe_state)s;
		bool may = is == PIPE_READY || is == PIPE_STOPPED || is == PIPE_IN_ERROR ||
			   is == PIPE_WAITING;

		assert_int_equal(pipe_state_at(is, 1000, 30, 1000 + 30 * day - 1), is);
		assert_int_equal(pipe_state_at(is, 1000, 30, 1000 + 30 * day),
				 may ? PIPE_EXPIRED : is);
	}
}

/* ---- options ---- */

#define NOW 1800000000u /* 2027-01-15T08:00:00Z */

/* The codes of all problems, each behind a blank. */
static void codes_of(const char *text, char out[1024])
{
	struct pipe_problems problems;
	CLEANUP_JSON json_t *given = json_loads(text, 0, NULL);
	CLEANUP_JSON json_t *done = NULL;
	int rc;

	assert_non_null(given);
	rc = pipe_options_check(given, NOW, &problems, &done);
	assert_int_equal(rc == 0, problems.count == 0);
	assert_int_equal(rc == 0, done != NULL);
	out[0] = '\0';
	for (size_t i = 0; i < problems.count; i++)
		snprintf(out + strlen(out), 1024 - strlen(out), " %s", problems.at[i].code);
}

#define CLOUD_OF(bucket, address)                                                  \
	"\"way\":\"auto\",\"bucket\":\"" bucket "\",\"source_address\":\"" address \
	"\",\"disks\":[{\"size_gib\":20}]"
#define CLOUD CLOUD_OF("b-1", "192.0.2.7")

static void each_option_has_its_limits_and_smcs_name(void **state)
{
	static const struct {
		const char *given, *codes;
	} cases[] = {
		{"{}", ""},
		{"{" CLOUD "}", ""},
		{"{\"valid_days\":7}", ""},
		{"{\"valid_days\":90}", ""},
		{"{\"valid_days\":6}", " InvalidParameter.ValidTime"},
		{"{\"valid_days\":91}", " InvalidParameter.ValidTime"},
		{"{\"valid_days\":\"30\"}", " InvalidParameter.ValidTime"},
		{"{\"compression\":11}", " InvalidParameter.ReplicationParameters.compress_level"},
		{"{\"compression\":10,\"rate_mbit\":0}", ""},
		{"{\"checksum\":\"sha-256\"}", ""},
		{"{\"checksum\":false}", ""},
		{"{\"checksum\":\"md5\"}", " InvalidParameter.ReplicationParameters.checksum"},
		{"{\"checksum\":1}", " InvalidParameter.ReplicationParameters.checksum"},
		{"{\"name\":\"1web\"}", " InvalidParameter.Name"},
		{"{\"name\":\"w\"}", " InvalidParameter.Name"},
		{"{\"name\":\"web server\"}", " InvalidParameter.Name"},
		{"{\"storage_region\":\"cn-hangzhou\"}", " InvalidParameter.ImageStorageRegion"},
		{"{\"colour\":1}", " InvalidParameter.Unknown"},
		{"{\"licence_type\":\"BYOL\"}", ""},
		{"{\"licence_type\":\"byol\"}", " InvalidParameter.LicenseType"},
		{"{\"tls\":\"off\"}", " InvalidParameter.ReplicationParameters.use_ssl_tunnel"},
		{"{\"tags\":{\"coldlift-job\":\"x\"}}", " InvalidParameter.Tag"},
		{"{\"tags\":{\"a\":1}}", " InvalidParameter.Tag"},
		{"{\"run_once\":false}", " MissingParameter.MaxNumberOfImageToKeep"},
		{"{\"run_once\":false,\"max_images\":10,\"frequency_hours\":168}", ""},
		{"{\"run_once\":false,\"max_images\":11}",
		 " InvalidParameter.MaxNumberOfImageToKeep"},
		{"{\"max_images\":3}", " InvalidParameter.MaxNumberOfImageToKeep"},
		{"{\"scheduled_start\":\"2027-02-14T08:00:00Z\"}", ""},
		{"{\"scheduled_start\":\"2027-02-14T08:00:01Z\"}",
		 " InvalidParameter.ScheduledStartTime"},
		{"{\"scheduled_start\":\"2027-01-15T07:59:59Z\"}",
		 " InvalidParameter.ScheduledStartTime"},
		{"{\"scheduled_start\":\"2027-01-15 07:59:59\"}",
		 " InvalidParameter.ScheduledStartTime"},
		{"{\"way\":\"direct\"}",
		 " MissingParameter.Disks MissingParameter.IntermediateBucket"
		 " MissingParameter.SourceCidrIp"},
		{"{" CLOUD ",\"network\":\"vpc\"}", " MissingParameter.VSwitchId"},
		{"{" CLOUD ",\"network\":\"vpc\",\"vswitch_id\":\"vsw-1\"}", ""},
		{"{" CLOUD ",\"vpc_id\":\"vpc-1\"}", " MissingParameter.VSwitchId"},
		{"{" CLOUD ",\"network\":\"vpc\",\"vpc_name\":\"office net\"}", ""},
		{"{" CLOUD ",\"vpc_name\":\"n\",\"vswitch_id\":\"vsw-1\"}",
		 " InvalidParameter.VpcName"},
		{"{" CLOUD ",\"vswitch_name\":\"n\"}", " MissingParameter.VpcName"},
		{"{" CLOUD ",\"way\":\"ecs\"}", " InvalidParameter.TargetType"},
		{"{" CLOUD ",\"way\":\"ecs\",\"image_format\":\"raw\"}", ""},
		{"{" CLOUD ",\"way\":\"ecs\",\"storage_region\":\"ap-southeast-1\"}", ""},
		{"{" CLOUD ",\"way\":\"ecs\",\"intermediate_region\":\"us-west-1\"}", ""},
		{"{" CLOUD ",\"way\":\"ecs\",\"intermediate_region\":\"us-west\"}",
		 " InvalidParameter.TargetType"},
		{"{\"description\":\"描述\"}", ""},
		{"{\"description\":\"描\"}", " InvalidParameter.Description"},
		{"{\"scheduled_start\":\"2027-01-32T00:00:00Z\"}",
		 " InvalidParameter.ScheduledStartTime"},
		{"{\"scheduled_start\":\"2027-02-30T00:00:00Z\"}",
		 " InvalidParameter.ScheduledStartTime"},
		{"{\"way\":\"direct\",\"bucket\":\"b-1\",\"source_address\":\"0.0.0.0/"
		 "0\",\"disks\":"
		 "[{\"size_gib\":20}]}",
		 " InvalidParameter.SourceCidrIp"},
		{"{\"way\":\"direct\",\"bucket\":\"b-1\",\"source_address\":\"10.0.0.256\","
		 "\"disks\":"
		 "[{\"size_gib\":19},{\"size_gib\":501}]}",
		 " InvalidParameter.Disks InvalidParameter.Disks InvalidParameter.SourceCidrIp"},
		{"{\"way\":\"direct\",\"bucket\":\"b-1\",\"source_address\":\"10.0.0.1\",\"disks\":"
		 "[{\"size_gib\":20},{\"size_gib\":500},{\"size_gib\":1},{\"size_gib\":1},"
		 "{\"size_gib\":1},{\"size_gib\":1}]}",
		 " ReplicationJobDataDiskIndex.Invalid"},
		{"{\"webhook\":{\"url\":\"ftp://x\"}}", " InvalidParameter.Webhook"},
		{"{\"formats\":[\"vhd\"]}", " InvalidParameter.Formats"},
		{"{\"image_name_prefix\":\"aliyun-web\"}", " InvalidParameter.ImageNamePrefix"},
		{"{\"image_name_prefix\":\"acs:web\"}", " InvalidParameter.ImageNamePrefix"},
		{"{\"image_name_prefix\":\"web/1\"}", " InvalidParameter.ImageNamePrefix"},
		{"{\"image_name_prefix\":\"web_1:a-b\"}", ""},
		{"{" CLOUD_OF("-b1", "192.0.2.7") "}", " InvalidParameter.IntermediateBucket"},
		{"{" CLOUD_OF("b1-", "192.0.2.7") "}", " InvalidParameter.IntermediateBucket"},
		{"{" CLOUD_OF("B10", "192.0.2.7") "}", " InvalidParameter.IntermediateBucket"},
		{"{" CLOUD_OF("b1", "192.0.2.7") "}", " InvalidParameter.IntermediateBucket"},
		{"{" CLOUD_OF("b10", "192.0.2.7/24") "}", ""},
		{"{" CLOUD_OF("b10", "192.0.2.7x") "}", " InvalidParameter.SourceCidrIp"},
		{"{" CLOUD_OF("b10", "192.0.2.7/") "}", " InvalidParameter.SourceCidrIp"},
		{"{" CLOUD_OF("b10", "192.0.2.7/33") "}", " InvalidParameter.SourceCidrIp"},
		{"{" CLOUD_OF("b10", " 192.0.2.7") "}", " InvalidParameter.SourceCidrIp"},
		{"{\"valid_days\":7,\"scheduled_start\":\"2027-01-22T08:00:01Z\"}",
		 " InvalidParameter.ScheduledStartTime"},
		{"{\"valid_days\":7,\"scheduled_start\":\"2027-01-22T08:00:00Z\"}", ""},
		{"{\"webhook\":{\"url\":\"https://x\",\"secret\":\"y\"}}",
		 " InvalidParameter.Webhook"},
	};
	char codes[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		codes_of(cases[i].given, codes);
		if (strcmp(codes, cases[i].codes) != 0)
			fail_msg("%s gives \"%s\"", cases[i].given, codes);
	}
}

/* Of 128 characters, as the cloud counts them, not bytes. */
static void tags_are_as_long_as_the_cloud_takes_them(void **state)
{
	char text[1024], codes[1024];

	(void)state;
	for (unsigned n = 128; n <= 129; n++) {
		snprintf(text, sizeof(text), "{\"tags\":{\"");
		for (unsigned i = 0; i < n; i++)
			snprintf(text + strlen(text), 4, "\xe9\x94\xae");
		snprintf(text + strlen(text), 16, "\":\"v\"}}");
		codes_of(text, codes);
		assert_string_equal(codes, n == 128 ? "" : " InvalidParameter.Tag");
	}
}

/* The cloud takes a net only without bits of a host in it. */
static void an_address_with_bits_is_the_net_that_it_is_in(void **state)
{
	static const char *const cases[][2] = {{"192.0.2.7", "192.0.2.7"},
					       {"192.0.2.7/32", "192.0.2.7/32"},
					       {"192.0.2.7/24", "192.0.2.0/24"},
					       {"192.0.2.255/31", "192.0.2.254/31"},
					       {"200.1.2.3/1", "128.0.0.0/1"}};
	struct pipe_problems problems;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_JSON json_t *given = json_loads("{" CLOUD "}", 0, NULL);
		CLEANUP_JSON json_t *done = NULL;

		json_object_set_new(given, "source_address", json_string(cases[i][0]));
		assert_int_equal(pipe_options_check(given, NOW, &problems, &done), 0);
		assert_string_equal(pipe_option(done, "source_address"), cases[i][1]);
	}
}

static void twenty_tags_are_taken_and_twenty_one_are_not(void **state)
{
	char text[1024] = "{\"tags\":{", codes[1024];

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\"k%u\":\"v\"",
			 i ? "," : "", i);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "}}");
	codes_of(text, codes);
	assert_string_equal(codes, "");
	snprintf(text + strlen(text) - 2, 32, ",\"k20\":\"v\"}}");
	codes_of(text, codes);
	assert_string_equal(codes, " NumberExceed.Tags");
}

static int modified(const char *changes, enum pipe_state state, enum pipe_phase phase)
{
	struct pipe_problems problems;
	CLEANUP_JSON json_t *given = json_loads("{\"run_once\":false,\"max_images\":2}", 0, NULL);
	CLEANUP_JSON json_t *change = json_loads(changes, 0, NULL);
	CLEANUP_JSON json_t *options = NULL;
	CLEANUP_JSON json_t *after = NULL;

	assert_int_equal(pipe_options_check(given, NOW, &problems, &options), 0);
	return pipe_options_modify(options, change, state, phase, NOW, &problems, &after);
}

static void options_change_only_as_long_as_they_may(void **state)
{
	(void)state;
	assert_int_equal(modified("{\"name\":\"new\"}", PIPE_FINISHED, 0), 0);
	assert_int_equal(modified("{\"rate_mbit\":5}", PIPE_RUNNING, PIPE_SYNCING), 0);
	assert_int_equal(modified("{\"rate_mbit\":5}", PIPE_RUNNING, PIPE_PROCESSING), -EPERM);
	assert_int_equal(modified("{\"rate_mbit\":-5}", PIPE_RUNNING, PIPE_SYNCING), -EINVAL);
	assert_int_equal(modified("{\"compression\":0}", PIPE_RUNNING, PIPE_SYNCING), 0);
	assert_int_equal(modified("{\"checksum\":false}", PIPE_RUNNING, PIPE_SYNCING), 0);
	assert_int_equal(modified("{\"checksum\":\"on\"}", PIPE_RUNNING, PIPE_SYNCING), 0);
	/* A source that has begun with other digests has them. */
	assert_int_equal(modified("{\"checksum\":\"sha-256\"}", PIPE_RUNNING, PIPE_SYNCING),
			 -EPERM);
	assert_int_equal(modified("{\"checksum\":\"sha-256\"}", PIPE_READY, 0), 0);
	assert_int_equal(modified("{\"bucket\":\"bbb\"}", PIPE_READY, 0), 0);
	assert_int_equal(modified("{\"bucket\":\"bbb\"}", PIPE_STOPPED, 0), -EPERM);
	assert_int_equal(modified("{\"max_images\":3}", PIPE_WAITING, 0), 0);
	assert_int_equal(modified("{\"max_images\":3}", PIPE_RUNNING, PIPE_SYNCING), -EPERM);
	assert_int_equal(modified("{\"valid_days\":60}", PIPE_IN_ERROR, 0), 0);
	assert_int_equal(modified("{\"valid_days\":60}", PIPE_EXPIRED, 0), -EPERM);
	assert_int_equal(modified("{\"tags\":{\"a\":\"b\"}}", PIPE_READY, 0), -EPERM);
	/* What is the same is no change. */
	assert_int_equal(modified("{\"tags\":{},\"run_once\":false}", PIPE_READY, 0), 0);
}

/* As SMC answers ModifyReplicationJobAttribute; what is too late is said of each key. */
static void every_change_that_is_too_late_is_named_at_once(void **state)
{
	struct pipe_problems problems;
	CLEANUP_JSON json_t *given = json_object();
	CLEANUP_JSON json_t *change =
		json_loads("{\"bucket\":\"bbb\",\"name\":\"new\",\"run_once\":false}", 0, NULL);
	CLEANUP_JSON json_t *options = NULL;
	CLEANUP_JSON json_t *after = NULL;

	(void)state;
	assert_int_equal(pipe_options_check(given, NOW, &problems, &options), 0);
	assert_int_equal(
		pipe_options_modify(options, change, PIPE_FINISHED, 0, NOW, &problems, &after),
		-EPERM);
	assert_int_equal(problems.count, 2);
	assert_string_equal(problems.at[0].code, "ReplicationJob.InvalidStatus");
	assert_string_equal(problems.at[0].key, "bucket");
	assert_string_equal(problems.at[1].key, "run_once");
	assert_string_equal(err_code(), "ReplicationJob.InvalidStatus");
}

/* As the receiver kept them, which takes what it is given. */
static void what_is_no_plan_of_disks_makes_no_images(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"disks\": []}",
		"{\"disks\": [1]}",
		"{\"disks\": [{\"index\": 0}]}",
		"{\"disks\": [{\"index\": 0, \"target_bytes\": 0}]}",
		"{\"disks\": [{\"index\": 32, \"target_bytes\": 512}]}",
		"{\"disks\": [{\"index\": -1, \"target_bytes\": 512}]}",
	};
	CLEANUP_JSON json_t *many = json_pack("{s:[]}", "disks");
	json_t *out = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP_JSON json_t *plan = json_loads(texts[i], 0, NULL);

		assert_int_equal(sync_disks(plan, NULL, &out), -EINVAL);
		assert_string_equal(err_code(), "PLAN_BAD");
		assert_null(out);
	}
	for (int i = 0; i <= PIPE_DISKS_MAX; i++)
		json_array_append_new(
			json_object_get(many, "disks"),
			json_pack("{s:i, s:i}", "index", i % PIPE_DISKS_MAX, "target_bytes", 512));
	assert_int_equal(sync_disks(many, NULL, &out), -EINVAL);
	json_array_remove(json_object_get(many, "disks"), 0);
	assert_int_equal(sync_disks(many, NULL, &out), 0);
	assert_int_equal(json_array_size(out), PIPE_DISKS_MAX);
	json_decref(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_journal_cut_at_any_byte_holds_its_whole_records),
		cmocka_unit_test(a_changed_byte_before_the_last_record_is_damage),
		cmocka_unit_test(a_lost_record_in_the_middle_is_damage),
		cmocka_unit_test(each_state_takes_the_orders_it_should_and_refuses_the_others),
		cmocka_unit_test(only_incremental_jobs_are_cut_over),
		cmocka_unit_test(a_job_expires_only_while_nobody_runs_it),
		cmocka_unit_test(each_option_has_its_limits_and_smcs_name),
		cmocka_unit_test(twenty_tags_are_taken_and_twenty_one_are_not),
		cmocka_unit_test(tags_are_as_long_as_the_cloud_takes_them),
		cmocka_unit_test(an_address_with_bits_is_the_net_that_it_is_in),
		cmocka_unit_test(options_change_only_as_long_as_they_may),
		cmocka_unit_test(every_change_that_is_too_late_is_named_at_once),
		cmocka_unit_test(what_is_no_plan_of_disks_makes_no_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
