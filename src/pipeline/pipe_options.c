/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A job's options: one table of keys with their limits, then what only several keys together can
 * break. Everything that is wrong is said at once, with the parameter's name in SMC's API where it
 * has one. Limits: SMC CreateReplicationJob (2019-06-01), and "Limits" of its edge node page.
 */
#include "pipeline/pipe_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"

enum kind { TEXT, NUMBER, BOOLEAN, CHOICE, NAME, OBJECT, ARRAY };

/* When a key may still be changed. */
enum until { ALWAYS, WHILE_SYNCING, WHILE_VALID, BETWEEN_RUNS, BEFORE_START, NEVER };

struct key {
	const char *name;
	const char *parameter; /* SMC's */
	enum kind kind;
	enum until until;
	uint64_t min, max;    /* of the number, or of the text's length */
	const char *choices;  /* separated by blanks */
	const char *fallback; /* JSON text; NULL: the key stays out */
};

/* clang-format off */
static const struct key keys[] = {
	{"name", "Name", NAME, ALWAYS, 2, 128, NULL, NULL},
	{"description", "Description", TEXT, ALWAYS, 2, 128, NULL, NULL},
	{"way", "TargetType", CHOICE, BEFORE_START, 0, 0, "auto ecs direct local", "\"local\""},
	{"storage_region", "ImageStorageRegion", CHOICE, BEFORE_START, 0, 0, "cn-beijing ap-southeast-1", "\"cn-beijing\""},
	{"image_name_prefix", "ImageNamePrefix", NAME, BEFORE_START, 2, 64, NULL, "\"coldlift\""},
	{"intermediate_region", "IntermediateRegion", TEXT, BEFORE_START, 2, 40, NULL, NULL},
	{"bucket", "IntermediateBucket", TEXT, BEFORE_START, 3, 63, NULL, NULL},
	{"network", "NetMode", CHOICE, BEFORE_START, 0, 0, "public vpc", "\"public\""},
	{"vpc_id", "VpcId", TEXT, BEFORE_START, 3, 64, NULL, NULL},
	{"vswitch_id", "VSwitchId", TEXT, BEFORE_START, 3, 64, NULL, NULL},
	{"vpc_name", "VpcName", TEXT, BEFORE_START, 1, 128, NULL, NULL},
	{"vswitch_name", "VSwitchName", TEXT, BEFORE_START, 1, 128, NULL, NULL},
	{"zone_id", "ZoneId", TEXT, BEFORE_START, 3, 64, NULL, NULL},
	{"source_address", "SourceCidrIp", TEXT, BEFORE_START, 7, 18, NULL, NULL},
	{"operator_address", "OperatorCidrIp", TEXT, BEFORE_START, 7, 18, NULL, NULL},
	{"instance_type", "InstanceType", TEXT, BEFORE_START, 5, 64, NULL, NULL},
	{"instance_image", "InstanceImageId", TEXT, BEFORE_START, 3, 128, NULL, NULL},
	{"disk_category", "DiskCategory", TEXT, BEFORE_START, 3, 32, NULL, NULL},
	{"rate_mbit", "ReplicationParameters.bandwidth_limit", NUMBER, WHILE_SYNCING, 0, 100000, NULL, "0"},
	{"upload_rate_mbit", "UploadBandwidthLimit", NUMBER, ALWAYS, 0, 100000, NULL, "0"},
	{"compression", "ReplicationParameters.compress_level", NUMBER, WHILE_SYNCING, 0, 10, NULL, "7"},
	{"checksum", "ReplicationParameters.checksum", CHOICE, WHILE_SYNCING, 0, 0, "on off sha-256", "\"on\""},
	{"tls", "ReplicationParameters.use_ssl_tunnel", CHOICE, BEFORE_START, 0, 0, "auto on", "\"auto\""},
	{"licence_type", "LicenseType", CHOICE, NEVER, 0, 0, "default BYOL", "\"default\""},
	{"tags", "Tag", OBJECT, NEVER, 0, 20, NULL, "{}"},
	{"diagnostics", "DiagnosticLogs", BOOLEAN, BEFORE_START, 0, 0, NULL, "true"},
	{"diagnostics_to", "DiagnosticLogsTarget", CHOICE, BEFORE_START, 0, 0, "job bucket", "\"job\""},
	{"scheduled_start", "ScheduledStartTime", TEXT, BEFORE_START, 20, 20, NULL, NULL},
	{"valid_days", "ValidTime", NUMBER, WHILE_VALID, PIPE_VALID_DAYS_MIN, PIPE_VALID_DAYS_MAX, NULL, "30"},
	{"run_once", "RunOnce", BOOLEAN, NEVER, 0, 0, NULL, "true"},
	{"frequency_hours", "Frequency", NUMBER, BETWEEN_RUNS, 1, 168, NULL, NULL},
	{"max_images", "MaxNumberOfImageToKeep", NUMBER, BETWEEN_RUNS, 1, 10, NULL, NULL},
	{"disks", "Disks", ARRAY, BEFORE_START, 1, 17, NULL, NULL},
	{"plan", "Disks", TEXT, BEFORE_START, 1, 4096, NULL, NULL},
	{"platform", "Platform", TEXT, BEFORE_START, 2, 64, NULL, NULL},
	{"os_version", "OSVersion", TEXT, BEFORE_START, 1, 64, NULL, NULL},
	{"firmware", "BootMode", CHOICE, BEFORE_START, 0, 0, "bios uefi", "\"bios\""},
	{"image_format", "ImageFormat", CHOICE, BEFORE_START, 0, 0, "qcow2 raw", "\"qcow2\""},
	{"export_role", "RoleName", TEXT, BEFORE_START, 2, 64, NULL, NULL},
	{"resource_group", "ResourceGroupId", TEXT, BEFORE_START, 3, 64, NULL, NULL},
	{"activation", "ActivationCode", TEXT, BEFORE_START, 12, 256, NULL, NULL},
	{"receiver", "Receiver", TEXT, BEFORE_START, 1, 4096, NULL, NULL},
	{"listen", "Listen", TEXT, BEFORE_START, 1, 64, NULL, NULL},
	{"advertise", "Advertise", TEXT, BEFORE_START, 1, 64, NULL, NULL},
	{"control_port", "ControlPort", NUMBER, BEFORE_START, 0, 65535, NULL, "8080"},
	{"data_port", "DataPort", NUMBER, BEFORE_START, 0, 65535, NULL, "8703"},
	{"files", "Files", TEXT, BEFORE_START, 1, 4096, NULL, NULL},
	{"output", "Output", TEXT, BEFORE_START, 1, 4096, NULL, NULL},
	{"formats", "Formats", ARRAY, BEFORE_START, 1, 2, NULL, "[\"qcow2\"]"},
	{"source_exit", "SourceExit", CHOICE, BEFORE_START, 0, 0, "poweroff reboot shell", "\"poweroff\""},
	{"source", "SourceJob", OBJECT, BEFORE_START, 0, 0, NULL, NULL},
	{"webhook", "Webhook", OBJECT, ALWAYS, 0, 2, NULL, NULL},
};
/* clang-format on */

struct check {
	const json_t *given;
	json_t *out;
	struct pipe_problems *problems;
};

static void problem(struct check *c, const char *class, const struct key *k, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void problem(struct check *c, const char *class, const struct key *k, const char *fmt, ...)
{
	struct pipe_problem *p;
	va_list args;

	if (c->problems->count >= PIPE_PROBLEMS_MAX)
		return;
	p = &c->problems->at[c->problems->count++];
	/* NumberExceed.Tags and the like stand for themselves. */
	if (strchr(class, '.'))
		snprintf(p->code, sizeof(p->code), "%s", class);
	else
		snprintf(p->code, sizeof(p->code), "%s.%s", class, k->parameter);
	snprintf(p->key, sizeof(p->key), "%s", k->name);
	va_start(args, fmt);
	vsnprintf(p->what, sizeof(p->what), fmt, args);
	va_end(args);
}

static const struct key *key_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

bool pipe_option_is_text(const char *key)
{
	const struct key *k = key_of(key);

	return k && (k->kind == TEXT || k->kind == NAME);
}

static bool word_in(const char *word, const char *words)
{
	size_t n = strlen(word);

	for (const char *p = words; n && (p = strstr(p, word)); p += n) {
		if ((p == words || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	}
	return false;
}

/* SMC's names: a letter first, then letters, digits, ':', '_', '-'. */
static bool is_name(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char all[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-";

	return *text && strchr(letters, *text) && text[strspn(text, all)] == '\0';
}

/* Of UTF-8, which jansson has checked: all bytes but those that continue a character. */
static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void check_text(struct check *c, const struct key *k, const json_t *v)
{
	const char *text = json_string_value(v);
	size_t n = text ? characters(text) : 0;

	if (!text) {
		problem(c, "InvalidParameter", k, "must be a text");
	} else if (k->kind == CHOICE) {
		if (!word_in(text, k->choices))
			problem(c, "InvalidParameter", k, "must be one of: %s; not \"%.40s\"",
				k->choices, text);
	} else if (n < k->min || n > k->max) {
		problem(c, "InvalidParameter", k, "must have %llu to %llu characters",
			(unsigned long long)k->min, (unsigned long long)k->max);
	} else if (k->kind == NAME && !is_name(text)) {
		problem(c, "InvalidParameter", k,
			"must begin with a letter and hold only letters, digits, ':', '_' and '-'");
	}
}

static void check_value(struct check *c, const struct key *k, const json_t *v)
{
	json_int_t n;

	switch (k->kind) {
	case NUMBER:
		n = json_integer_value(v);
		if (!json_is_integer(v) || n < 0 || (uint64_t)n < k->min || (uint64_t)n > k->max)
			problem(c, "InvalidParameter", k, "must be a number from %llu to %llu",
				(unsigned long long)k->min, (unsigned long long)k->max);
		break;
	case BOOLEAN:
		if (!json_is_boolean(v))
			problem(c, "InvalidParameter", k, "must be true or false");
		break;
	case OBJECT:
		if (!json_is_object(v))
			problem(c, "InvalidParameter", k, "must be an object");
		break;
	case ARRAY:
		if (!json_is_array(v) || json_array_size(v) < k->min || json_array_size(v) > k->max)
			problem(c, "InvalidParameter", k, "must be a list of %llu to %llu",
				(unsigned long long)k->min, (unsigned long long)k->max);
		break;
	default:
		check_text(c, k, v);
	}
}

/* Each key alone. Afterwards c->out has only keys of the right type. */
static void check_each(struct check *c)
{
	static const struct key unknown = {.name = "?", .parameter = "Unknown"};
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)c->given, name, v) {
		const struct key *k = key_of(name);
		size_t before = c->problems->count;
		json_t *word = NULL;

		if (!k) {
			struct key named = unknown;

			named.name = name;
			problem(c, "InvalidParameter", &named, "is not a key that is known");
			continue;
		}
		if (json_is_null(v))
			continue;
		/* SMC's own words for it. */
		if (json_is_boolean(v) && strcmp(name, "checksum") == 0)
			v = word = json_string(json_is_true(v) ? "on" : "off");
		check_value(c, k, v);
		if (c->problems->count == before)
			json_object_set(c->out, name, v);
		json_decref(word);
	}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (keys[i].fallback && !json_object_get(c->out, keys[i].name))
			json_object_set_new(c->out, keys[i].name,
					    json_loads(keys[i].fallback, JSON_DECODE_ANY, NULL));
	}
}

static bool has(const struct check *c, const char *name)
{
	return json_object_get(c->given, name) && !json_is_null(json_object_get(c->given, name));
}

static const char *text_of(const struct check *c, const char *name)
{
	const char *text = json_string_value(json_object_get(c->out, name));

	return text ? text : "";
}

/* Of tags and of images; the vendor's own begin so. */
static bool is_reserved(const char *name)
{
	return strncmp(name, "aliyun", 6) == 0 || strncmp(name, "acs:", 4) == 0;
}

static void check_tags(struct check *c)
{
	const struct key *k = key_of("tags");
	json_t *tags = json_object_get(c->out, "tags"), *v;
	const char *name;

	if (json_object_size(tags) > PIPE_TAGS_MAX)
		problem(c, "NumberExceed.Tags", k, "at most %d tags; these are %zu", PIPE_TAGS_MAX,
			json_object_size(tags));
	json_object_foreach (tags, name, v) {
		if (!*name || characters(name) > 128 || !json_is_string(v) ||
		    characters(json_string_value(v)) > 128)
			problem(c, "InvalidParameter", k,
				"\"%.40s\": key and value are texts of at most 128 characters",
				name);
		else if (is_reserved(name) || strncmp(name, "coldlift", 8) == 0 ||
			 strstr(name, "http://") || strstr(name, "https://"))
			problem(c, "InvalidParameter", k, "\"%.40s\": such keys are reserved",
				name);
	}
}

static void check_disks(struct check *c, bool cloud)
{
	const struct key *k = key_of("disks");
	json_t *disks = json_object_get(c->out, "disks"), *disk;
	size_t i;

	if (cloud && !has(c, "disks") && !has(c, "plan"))
		problem(c, "MissingParameter", k,
			"the instance is made with disks of these sizes: give \"disks\" or "
			"\"plan\"");
	if (cloud && json_array_size(disks) > 1 + PIPE_ENS_DATA_DISKS)
		problem(c, "ReplicationJobDataDiskIndex.Invalid", k,
			"an ENS image has at most %d data disks", PIPE_ENS_DATA_DISKS);
	json_array_foreach (disks, i, disk) {
		json_int_t gib = json_integer_value(json_object_get(disk, "size_gib"));
		json_int_t min = i == 0 ? 20 : 1, max = i == 0 ? 2048 : cloud ? 500 : 32768;

		if (!json_is_object(disk) || json_object_size(disk) != 1 || gib < min || gib > max)
			problem(c, "InvalidParameter", k,
				"disk %zu must be {\"size_gib\": N} with N from %lld to %lld", i,
				(long long)min, (long long)max);
	}
}

/* RFC 3339 in UTC, to the second: the form of all times of the API. */
static bool parse_time(const char *text, uint64_t *out)
{
	struct tm tm = {0}, given;
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

	if (!end || *end)
		return false;
	given = tm;
	*out = (uint64_t)timegm(&tm);
	/* The 31st of a month of 30 days has become another day. */
	return given.tm_mday == tm.tm_mday && given.tm_sec == tm.tm_sec;
}

static void check_schedule(struct check *c, uint64_t now_s)
{
	bool once = json_is_true(json_object_get(c->out, "run_once"));
	uint64_t at_s, valid_days = pipe_option_u64(c->out, "valid_days");

	if (has(c, "scheduled_start") && *text_of(c, "scheduled_start")) {
		if (!parse_time(text_of(c, "scheduled_start"), &at_s))
			problem(c, "InvalidParameter", key_of("scheduled_start"),
				"must be a time such as 2026-01-31T22:00:00Z, in UTC");
		else if (now_s && (at_s < now_s || at_s > now_s + 30ull * PIPE_DAY_S))
			problem(c, "InvalidParameter", key_of("scheduled_start"),
				"must lie within the next 30 days");
		else if (now_s && at_s > now_s + valid_days * PIPE_DAY_S)
			problem(c, "InvalidParameter", key_of("scheduled_start"),
				"must lie before the job expires (\"valid_days\": %llu)",
				(unsigned long long)valid_days);
	}
	if (once) {
		for (const char *const *p =
			     (const char *const[]){"frequency_hours", "max_images", NULL};
		     *p; p++) {
			if (has(c, *p))
				problem(c, "InvalidParameter", key_of(*p),
					"is only for \"run_once\": false");
		}
	} else if (!has(c, "max_images")) {
		problem(c, "MissingParameter", key_of("max_images"),
			"an incremental job says how many images are kept (1 to 10)");
	}
}

/* The address, or the net that it is in: the cloud does not take a net with bits of a host. */
static void check_address(struct check *c, const char *key)
{
	const struct key *k = key_of(key);
	const char *text = text_of(c, key), *slash = strchr(text, '/');
	CLEANUP_FREE char *host = strndup(text, slash ? (size_t)(slash - text) : strlen(text));
	char net[INET_ADDRSTRLEN];
	struct in_addr address;
	uint64_t bits = 32;

	if (!host || inet_pton(AF_INET, host, &address) != 1 ||
	    (slash && num_parse(slash + 1, 0, 32, &bits) < 0))
		problem(c, "InvalidParameter", k, "must be an IPv4 address, or ADDRESS/BITS");
	else if (bits == 0)
		problem(c, "InvalidParameter", k, "must not open the instance to the whole world");
	else if (ntohl(address.s_addr) & (uint32_t)(0xffffffffull >> bits)) {
		address.s_addr &= htonl((uint32_t)(0xffffffffull << (32 - bits)));
		inet_ntop(AF_INET, &address, net, sizeof(net));
		json_object_set_new(c->out, key, json_sprintf("%s%s", net, slash));
	}
}

static void check_bucket(struct check *c)
{
	static const char all[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	const struct key *k = key_of("bucket");
	const char *name = text_of(c, "bucket");

	if (!has(c, "bucket"))
		problem(c, "MissingParameter", k, "name an OSS bucket in the intermediate region");
	else if (*name &&
		 (name[strspn(name, all)] || *name == '-' || name[strlen(name) - 1] == '-'))
		problem(c, "InvalidParameter", k,
			"holds only lower-case letters, digits and '-', this not at an end");
}

/* A vSwitch by its id, or a VPC by its name; else the job makes both. */
static void check_network(struct check *c)
{
	bool vpc = strcmp(text_of(c, "network"), "vpc") == 0, named = has(c, "vpc_name");

	if (vpc && !has(c, "vswitch_id") && !named)
		problem(c, "MissingParameter", key_of("vswitch_id"),
			"the network mode vpc needs a vSwitch that the source reaches, or "
			"\"vpc_name\"");
	if (has(c, "vpc_id") && !has(c, "vswitch_id"))
		problem(c, "MissingParameter", key_of("vswitch_id"),
			"a VPC is given, so give a vSwitch in it too");
	if (named && has(c, "vswitch_id"))
		problem(c, "InvalidParameter", key_of("vpc_name"),
			"is only looked for where no \"vswitch_id\" is given");
	if (has(c, "vswitch_name") && !named)
		problem(c, "MissingParameter", key_of("vpc_name"),
			"a vSwitch is looked for in the VPC of this name");
}

bool pipe_exports_qcow2(const char *region)
{
	return word_in(region, "ap-northeast-1 ap-southeast-1 ap-southeast-3 ap-southeast-5 "
			       "eu-central-1 eu-west-1 me-east-1 us-east-1 us-west-1");
}

/* It would show in the import only, hours later. */
static void check_export(struct check *c)
{
	const char *region = text_of(c, "intermediate_region");

	if (strcmp(text_of(c, "way"), "ecs") == 0 && !pipe_exports_qcow2(region) &&
	    strcmp(text_of(c, "image_format"), "qcow2") == 0)
		problem(c, "InvalidParameter", key_of("way"),
			"cannot be ecs in %.40s: ECS exports only RAW there, and ENS takes qcow2; "
			"say direct or auto, or \"image_format\": \"raw\" to try all the same",
			region);
}

static void check_cloud(struct check *c)
{
	check_bucket(c);
	if (!*text_of(c, "intermediate_region"))
		json_object_set(c->out, "intermediate_region",
				json_object_get(c->out, "storage_region"));
	check_export(c);
	if (has(c, "source_address"))
		check_address(c, "source_address");
	else
		problem(c, "MissingParameter", key_of("source_address"),
			"the security group opens 8080 and 8703 to this address only");
	if (has(c, "operator_address"))
		check_address(c, "operator_address");
	check_network(c);
}

static void check_local(struct check *c)
{
	json_t *formats = json_object_get(c->out, "formats"), *v;
	size_t i;

	json_array_foreach (formats, i, v) {
		if (!json_is_string(v) || !word_in(json_string_value(v), "raw qcow2"))
			problem(c, "InvalidParameter", key_of("formats"),
				"must hold raw, qcow2 or both");
	}
	if (has(c, "activation") && has(c, "receiver"))
		problem(c, "InvalidParameter", key_of("receiver"),
			"is started only where no \"activation\" names one that runs");
}

static void check_webhook(struct check *c)
{
	const struct key *k = key_of("webhook");
	json_t *hook = json_object_get(c->out, "webhook");
	const char *url = json_string_value(json_object_get(hook, "url"));

	if (!hook)
		return;
	if (!url || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
		problem(c, "InvalidParameter", k,
			"needs a \"url\" that begins with http:// or https://");
	if (json_object_size(hook) > 1 && !json_is_string(json_object_get(hook, "secret_file")))
		problem(c, "InvalidParameter", k,
			"takes only \"url\" and \"secret_file\", the name of a file");
}

static int fail_problems(int errnum, const struct pipe_problems *problems)
{
	const struct pipe_problem *first = &problems->at[0];

	return fail_code(errnum, first->code, "\"%s\" %s%s", first->key, first->what,
			 problems->count > 1 ? " (and more)" : "");
}

int pipe_options_check(const json_t *given, uint64_t now_s, struct pipe_problems *problems,
		       json_t **out)
{
	CLEANUP_JSON json_t *complete = json_object();
	struct check c = {.given = given, .out = complete, .problems = problems};
	bool cloud;

	*out = NULL;
	problems->count = 0;
	if (!json_is_object(given) || !complete)
		return fail_code(EINVAL, "JOB_INVALID", "a job's options are a JSON object");
	check_each(&c);
	cloud = strcmp(text_of(&c, "way"), "local") != 0;
	if (is_reserved(text_of(&c, "image_name_prefix")))
		problem(&c, "InvalidParameter", key_of("image_name_prefix"),
			"must not begin with \"aliyun\" or \"acs:\"");
	check_tags(&c);
	check_disks(&c, cloud);
	check_schedule(&c, now_s);
	check_webhook(&c);
	if (cloud)
		check_cloud(&c);
	else
		check_local(&c);
	if (problems->count)
		return fail_problems(EINVAL, problems);
	*out = steal_ptr(&complete);
	return 0;
}

static bool in_time(enum until until, enum pipe_state state, enum pipe_phase phase)
{
	bool final = state == PIPE_FINISHED || state == PIPE_EXPIRED || state == PIPE_DELETING;

	switch (until) {
	case ALWAYS:
		return true;
	case WHILE_VALID:
		return !final;
	case BETWEEN_RUNS:
		return state == PIPE_READY || state == PIPE_WAITING;
	case WHILE_SYNCING:
		return state == PIPE_READY || state == PIPE_WAITING ||
		       (state == PIPE_RUNNING && phase == PIPE_SYNCING);
	case BEFORE_START:
		return state == PIPE_READY;
	case NEVER:
		break;
	}
	return false;
}

static bool can_be_cancelled(enum pipe_state state)
{
	return state == PIPE_STOPPED || state == PIPE_IN_ERROR;
}

int pipe_options_modify(const json_t *options, const json_t *changes, enum pipe_state state,
			enum pipe_phase phase, uint64_t now_s, struct pipe_problems *problems,
			json_t **out)
{
	CLEANUP_JSON json_t *merged = json_deep_copy(options);
	struct check late = {.problems = problems};
	/* A start that was scheduled may lie in the past by now. */
	uint64_t judge_s = json_object_get(changes, "scheduled_start") ? now_s : 0;
	const char *name;
	json_t *v;

	*out = NULL;
	problems->count = 0;
	if (!merged || !json_is_object(changes))
		return fail_code(EINVAL, "JOB_INVALID", "changes are a JSON object");
	/* In a job of before it was a word without effect. */
	if (json_is_boolean(json_object_get(merged, "checksum")))
		json_object_del(merged, "checksum");
	if (state == PIPE_RUNNING && strcmp(pipe_option(changes, "checksum"), "sha-256") == 0 &&
	    strcmp(pipe_option(options, "checksum"), "sha-256") != 0)
		problem(&late, "ReplicationJob.InvalidStatus", key_of("checksum"),
			"cannot become sha-256 in a run whose source has begun with other digests; "
			"\"on\" and \"off\" can be changed");
	json_object_foreach ((json_t *)changes, name, v) {
		const struct key *k = key_of(name);

		/* A whole job file may come again, for what is new in it. */
		if (json_equal(json_object_get(options, name), v))
			continue;
		if (k && k->until == NEVER)
			problem(&late, "ReplicationJob.InvalidStatus", k,
				"is chosen when the job is made");
		else if (k && !in_time(k->until, state, phase))
			problem(&late, "ReplicationJob.InvalidStatus", k,
				"cannot be changed in a job that is %s%s%s%s",
				pipe_state_name(state), phase ? ": " : "", pipe_phase_name(phase),
				k->until == BEFORE_START && can_be_cancelled(state)
					? "; cancel it first, which gives back what it made"
					: "");
		json_object_set(merged, name, v);
	}
	if (problems->count)
		return fail_problems(EPERM, problems);
	return pipe_options_check(merged, judge_s, problems, out);
}

const char *pipe_option(const json_t *options, const char *key)
{
	const char *text = json_string_value(json_object_get(options, key));

	return text ? text : "";
}

uint64_t pipe_option_u64(const json_t *options, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(options, key));

	return n > 0 ? (uint64_t)n : 0;
}

bool pipe_option_time(const json_t *options, const char *key, uint64_t *out)
{
	return parse_time(pipe_option(options, key), out);
}
