/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pipeline account: whose keys these are, and whether a job could run with them. */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "cloud/cloud.h"
#include "cmd/cmd.h"
#include "cmd/cmd_pipeline.h"

static const char *setting(const struct pipeline_args *a, const char *key)
{
	return json_string_value(json_object_get(a->settings, key));
}

static const char *const words[] = {
	[CLOUD_FIT] = "ok", [CLOUD_UNSURE] = "look", [CLOUD_UNFIT] = "FAIL"};

static void show_line(void *ctx, const char *subject, enum cloud_fitness fitness, const char *code,
		      const char *text)
{
	(void)ctx, (void)code;
	printf("%-5s %-16s %s\n", words[fitness], subject, text);
	fflush(stdout);
}

static void add_line(void *ctx, const char *subject, enum cloud_fitness fitness, const char *code,
		     const char *text)
{
	json_array_append_new(ctx, json_pack("{s:s, s:s, s:s, s:s}", "subject", subject, "result",
					     words[fitness], "code", code, "text", text));
}

static int check(struct cloud *c, const struct cloud_check *what, bool json)
{
	CLEANUP_JSON json_t *list = json_array();
	CLEANUP_FREE char *text = NULL;
	int rc = cloud_check(c, what, json ? add_line : show_line, list);

	if (rc >= 0 && json) {
		text = json_text(list);
		fputs(text ? text : "", stdout);
	}
	return rc;
}

int cmd_pipeline_account(int argc, char **argv)
{
	CLEANUP(pipeline_args_fini) struct pipeline_args a;
	struct cloud_options options = {0};
	struct cloud_check what = {.export_role = "AliyunECSImageExportDefaultRole"};
	struct cloud *c = NULL;
	int status = pipeline_args(&a, argc, argv), rc;

	if (status >= 0)
		return status;
	options.region = setting(&a, "region");
	what.bucket = setting(&a, "bucket");
	options.profile = setting(&a, "profile");
	rc = cloud_options_from_environment(&options);
	if (rc == 0)
		rc = cloud_open(&options, &c);
	if (rc == 0)
		what.region = cloud_region(c);
	if (rc == 0 && !what.region) {
		cloud_close(c);
		return pipeline_usage(a.verb, "region=REGION is missing");
	}
	if (rc == 0)
		rc = check(c, &what, a.json);
	cloud_close(c);
	if (rc < 0)
		return pipeline_report(a.verb, rc);
	return rc ? CMD_FAILED : CMD_DONE;
}
