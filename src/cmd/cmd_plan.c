/* SPDX-License-Identifier: GPL-2.0-or-later */
/* migrator plan: from an inventory, a job and a target to a plan or all refusals. Runs anywhere. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "cmd/cmd.h"
#include "plan/plan.h"

#define COMMAND "migrator plan"

struct request {
	const char *inventory;
	const char *job;
	const char *target;
	const char *allow;
	const char *out;
};

static int usage(void)
{
	printf("usage: migrator plan --inventory FILE [OPTION...]\n\n"
	       "  --inventory FILE  made by `migrator inventory`\n"
	       "  --job FILE        settings; without it the defaults\n"
	       "  --target FILE     what the receiver can take, from its /v1/target\n"
	       "  --allow CODES     go on in spite of these refusals, separated by commas\n"
	       "  -o FILE           write there instead of to standard output\n"
	       "  --codes           list every code with what can be done about it\n");
	return CMD_DONE;
}

static int list_codes(void)
{
	for (const struct plan_rule *r = plan_rules; r->code; r++)
		printf("%s\t%s\t%s\n", r->code,
		       r->warning     ? "warning"
		       : r->allowable ? "can be allowed"
				      : "refusal",
		       r->advice);
	return CMD_DONE;
}

/* -1: go on; else the exit status. */
static int parse(struct request *r, int argc, char **argv)
{
	static const struct option longs[] = {{"inventory", required_argument, NULL, 'i'},
					      {"job", required_argument, NULL, 'j'},
					      {"target", required_argument, NULL, 't'},
					      {"allow", required_argument, NULL, 'a'},
					      {"codes", no_argument, NULL, 'c'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "o:h", longs, NULL)) >= 0) {
		switch (c) {
		case 'i':
			r->inventory = optarg;
			break;
		case 'j':
			r->job = optarg;
			break;
		case 't':
			r->target = optarg;
			break;
		case 'a':
			r->allow = optarg;
			break;
		case 'o':
			r->out = optarg;
			break;
		case 'c':
			return list_codes();
		case 'h':
			return usage();
		default:
			return cmd_usage(COMMAND, NULL);
		}
	}
	if (optind < argc)
		return cmd_usage(COMMAND, "unexpected argument \"%s\"", argv[optind]);
	return r->inventory ? -1 : cmd_usage(COMMAND, "--inventory FILE is missing");
}

static int read_inputs(const struct request *r, json_t **inventory, json_t **job, json_t **target)
{
	int rc = json_read_file(r->inventory, inventory);

	if (rc == 0 && r->job)
		rc = json_read_file(r->job, job);
	if (rc == 0 && r->target)
		rc = json_read_file(r->target, target);
	return rc;
}

static int put(const struct request *r, const json_t *value)
{
	CLEANUP_FREE char *text = NULL;

	if (r->out)
		return json_write_file(r->out, value);
	text = json_text(value);
	return text ? io_write(STDOUT_FILENO, text, strlen(text), "standard output")
		    : fail(ENOMEM, "memory for the plan");
}

/* All of them, where a person sees them; the file has them too. */
static void say(const json_t *plan, const char *key)
{
	size_t i;
	json_t *n;

	json_array_foreach (json_object_get(plan, key), i, n) {
		const char *object = json_string_value(json_object_get(n, "object"));

		fprintf(stderr, "%s%s%s: %s. %s\n", json_string_value(json_object_get(n, "code")),
			*object ? " " : "", object, json_string_value(json_object_get(n, "what")),
			json_string_value(json_object_get(n, "advice")));
	}
}

int cmd_plan(int argc, char **argv)
{
	struct request r = {0};
	CLEANUP_JSON json_t *inventory = NULL;
	CLEANUP_JSON json_t *job = NULL;
	CLEANUP_JSON json_t *target = NULL;
	CLEANUP_JSON json_t *plan = NULL;
	int rc = parse(&r, argc, argv);

	if (rc >= 0)
		return rc;
	rc = read_inputs(&r, &inventory, &job, &target);
	if (rc == 0)
		rc = plan_make(inventory, job, target, r.allow, &plan);
	if (plan) {
		int put_rc;

		say(plan, "warnings");
		say(plan, "refusals");
		put_rc = put(&r, plan);
		if (put_rc < 0)
			return cmd_report(COMMAND, put_rc);
		if (rc == -EPERM)
			return CMD_REFUSED;
	}
	return cmd_report(COMMAND, rc);
}
