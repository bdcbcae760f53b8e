/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the pipeline's subcommands have in common: arguments, reports, making a job. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/cmd_pipeline.h"

static const char job_help[] =
	"[OPTION...] [JOB] [KEY=VALUE...]\n\n"
	"  JOB           id or name of a job\n"
	"  KEY=VALUE     an option of the job (docs/pipeline.md); VALUE is JSON or a text\n"
	"  --job FILE    options of the job, a JSON object\n"
	"  --state DIR   where jobs are kept; default: $COLDLIFT_STATE, else\n"
	"                ~/.local/state/coldlift\n"
	"  --detach      run on in the background; log in the job's directory\n"
	"  --now         start: do not wait for the scheduled time\n"
	"  --watch       status: go on showing until all is through\n"
	"  --json        status as JSON\n"
	"  --html FILE   status: write a page; with --watch again and again\n"
	"  --quiet       say only what fails\n";

static const char account_help[] =
	"[--json] [region=REGION] [bucket=BUCKET] [profile=PROFILE]\n\n"
	"  Asks for all that a job needs and makes nothing.\n"
	"  region=REGION    where intermediate instances are to be made; else as\n"
	"                   ALIBABA_CLOUD_REGION_ID or the profile has it\n"
	"  bucket=BUCKET    where disk images are to pass through\n"
	"  profile=PROFILE  of the vendor's command line tool\n";

static const char sweep_help[] =
	"[--json] [--yes] region=REGION [bucket=BUCKET] [images=true] [JOB]\n\n"
	"  region=REGION  where intermediate instances are made\n"
	"  bucket=BUCKET  look for objects, too\n"
	"  images=true    clean: finished ENS images go as well\n"
	"  --yes          clean: remove what is found; without it it is only shown\n"
	"  JOB            of this job alone, by its id\n";

static int help(const char *verb)
{
	const char *text = job_help;

	if (strcmp(verb, "account") == 0)
		text = account_help;
	if (strcmp(verb, "list") == 0 || strcmp(verb, "clean") == 0)
		text = sweep_help;
	printf("usage: pipeline %s %s", verb, text);
	return CMD_DONE;
}

int pipeline_usage(const char *verb, const char *what)
{
	char command[64];

	snprintf(command, sizeof(command), "pipeline %s", verb);
	return what ? cmd_usage(command, "%s", what) : cmd_usage(command, NULL);
}

static int default_root(char *out, size_t bytes)
{
	const char *state = getenv("COLDLIFT_STATE"), *home = getenv("HOME");

	if (state && *state) {
		snprintf(out, bytes, "%s", state);
		return 0;
	}
	if (!home || !*home)
		return fail(ENOENT, "say --state DIR: there is no home directory");
	/* The directories above may be missing on a new host. */
	snprintf(out, bytes, "%s/.local", home);
	mkdir(out, 0700);
	snprintf(out, bytes, "%s/.local/state", home);
	mkdir(out, 0700);
	snprintf(out, bytes, "%s/.local/state/coldlift", home);
	return 0;
}

static bool wants_text(const char *key)
{
	return strcmp(key, "region") == 0 || strcmp(key, "profile") == 0 ||
	       pipe_option_is_text(key);
}

static void take_setting(struct pipeline_args *a, const char *word)
{
	const char *equals = strchr(word, '=');
	CLEANUP_FREE char *key = strndup(word, (size_t)(equals - word));
	json_t *value = json_loads(equals + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

	/* A text needs no quotes of its own, and 6.8 can be one. */
	if (!value || (wants_text(key) && !json_is_string(value) && !json_is_null(value))) {
		json_decref(value);
		value = json_string(equals + 1);
	}
	json_object_set_new(a->settings, key, value);
}

static int take_words(struct pipeline_args *a, int argc, char **argv)
{
	for (int i = optind; i < argc; i++) {
		if (strchr(argv[i], '='))
			take_setting(a, argv[i]);
		else if (!a->job)
			a->job = argv[i];
		else
			return pipeline_usage(a->verb, "say one job, no more");
	}
	return -1;
}

int pipeline_args(struct pipeline_args *a, int argc, char **argv)
{
	static const struct option longs[] = {
		{"state", required_argument, NULL, 's'}, {"job", required_argument, NULL, 'j'},
		{"html", required_argument, NULL, 'm'},	 {"json", no_argument, NULL, 'J'},
		{"watch", no_argument, NULL, 'w'},	 {"quiet", no_argument, NULL, 'q'},
		{"detach", no_argument, NULL, 'd'},	 {"now", no_argument, NULL, 'n'},
		{"verbose", no_argument, NULL, 'v'},	 {"yes", no_argument, NULL, 'y'},
		{"help", no_argument, NULL, 'h'},	 {0}};
	enum log_level level = LOG_LEVEL_INFO;
	int c;

	*a = (struct pipeline_args){.verb = argv[0], .settings = json_object()};
	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) >= 0) {
		switch (c) {
		case 's':
			snprintf(a->root, sizeof(a->root), "%s", optarg);
			break;
		case 'j':
			a->job_file = optarg;
			break;
		case 'm':
			a->html = optarg;
			break;
		case 'J':
			a->json = true;
			break;
		case 'w':
			a->watch = true;
			break;
		case 'q':
			a->quiet = true;
			level = LOG_LEVEL_WARN;
			break;
		case 'd':
			a->detach = true;
			break;
		case 'n':
			a->now = true;
			break;
		case 'y':
			a->yes = true;
			break;
		case 'v':
			level = LOG_LEVEL_DEBUG;
			break;
		case 'h':
			return help(a->verb);
		default:
			return pipeline_usage(a->verb, NULL);
		}
	}
	log_setup(level, NULL, NULL);
	if (!*a->root && default_root(a->root, sizeof(a->root)) < 0)
		return pipeline_report(a->verb, -ENOENT);
	return take_words(a, argc, argv);
}

void pipeline_args_fini(struct pipeline_args *a)
{
	json_decref(a->settings);
	a->settings = NULL;
}

uint64_t pipeline_number(const char *variable)
{
	const char *text = getenv(variable);
	uint64_t n = 0;

	return text && num_parse(text, 1, 3600000, &n) == 0 ? n : 0;
}

int pipeline_report(const char *verb, int rc)
{
	const char *code = err_code(), *advice = cmd_advice(code);

	if (rc >= 0)
		return CMD_DONE;
	fprintf(stderr, "pipeline %s: %s%s%s\n", verb, code, *code ? ": " : "", err_reason());
	if (!*advice)
		advice = pipe_advice(code);
	if (*advice)
		fprintf(stderr, "%s\n", advice);
	return rc == -EPERM ? CMD_REFUSED : cmd_status_of(rc);
}

int pipeline_report_options(const char *verb, int rc, const struct pipe_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		fprintf(stderr, "%s: \"%s\" %s\n", problems->at[i].code, problems->at[i].key,
			problems->at[i].what);
	if (!problems->count)
		return pipeline_report(verb, rc);
	return rc == -EPERM ? CMD_REFUSED : CMD_USAGE;
}

static int absolute(json_t *options, const char *key)
{
	const char *path = json_string_value(json_object_get(options, key));
	char here[4096];

	if (!path || !*path || *path == '/')
		return 0;
	if (!getcwd(here, sizeof(here)))
		return fail(errno, "the current directory");
	return json_object_set_new(options, key, json_sprintf("%s/%s", here, path));
}

int pipeline_absolute(json_t *options)
{
	static const char *const paths[] = {"plan", "receiver", "files", "output"};
	int rc = absolute(json_object_get(options, "webhook"), "secret_file");

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(paths); i++)
		rc = absolute(options, paths[i]);
	return rc;
}

int pipeline_make(const struct pipeline_args *a, char id[PIPE_ID_BYTES])
{
	struct pipe_problems problems = {.count = 0};
	CLEANUP_JSON json_t *given = NULL;
	CLEANUP_JSON json_t *options = NULL;
	int rc = a->job_file ? json_read_file(a->job_file, &given) : 0;

	if (rc < 0) {
		pipeline_report(a->verb, rc);
		return CMD_USAGE;
	}
	if (!given)
		given = json_object();
	if (json_is_object(given))
		json_object_update(given, a->settings);
	rc = pipeline_absolute(given);
	if (rc == 0)
		rc = pipe_options_check(given, (uint64_t)time(NULL), &problems, &options);
	if (rc == 0)
		rc = pipe_create(a->root, options, id);
	if (rc != -EINVAL || problems.count)
		return pipeline_report_options(a->verb, rc, &problems);
	pipeline_report(a->verb, rc);
	return CMD_USAGE;
}
