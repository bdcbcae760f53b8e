/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Collecting what happened; see prep_report.h. */
#include "prepare/prep_report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"

#define TEXT_BYTES 400

int report_init(struct prep_report *r, const char *allow)
{
	*r = (struct prep_report){
		.replayed = json_array(),
		.repaired = json_array(),
		.skipped = json_array(),
		.warnings = json_array(),
		.allow = allow ? allow : "",
	};
	if (!r->replayed || !r->repaired || !r->skipped || !r->warnings)
		return fail(ENOMEM, "memory for the report");
	return 0;
}

void report_fini(struct prep_report *r)
{
	json_decref(r->replayed);
	json_decref(r->repaired);
	json_decref(r->skipped);
	json_decref(r->warnings);
	*r = (struct prep_report){0};
}

void report_note(json_t *list, const char *object, const char *fmt, ...)
{
	char text[TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(
		list, json_pack("{s:o, s:o}", "object", json_str(object), "what", json_str(text)));
	log_info("prepare: %s: %s", object, text);
}

static void warn_text(struct prep_report *r, const char *code, const char *object, const char *text)
{
	json_array_append_new(r->warnings, json_pack("{s:s, s:o, s:o}", "code", code, "object",
						     json_str(object), "what", json_str(text)));
	log_warn("prepare: %s: %s: %s", code, object, text);
}

void report_warn(struct prep_report *r, const char *code, const char *object, const char *fmt, ...)
{
	char text[TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	warn_text(r, code, object, text);
}

static bool is_allowed(const char *allow, const char *code)
{
	size_t n = strlen(code);

	for (const char *p = allow; *p; p += strcspn(p, ",")) {
		p += strspn(p, ", ");
		if (strncmp(p, code, n) == 0 && (p[n] == ',' || p[n] == ' ' || p[n] == '\0'))
			return true;
	}
	return false;
}

int report_problem(struct prep_report *r, int errnum, const char *code, const char *object,
		   const char *fmt, ...)
{
	char text[TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!is_allowed(r->allow, code))
		return fail_code(errnum, code, "%s: %s", object, text);
	warn_text(r, code, object, text);
	return 0;
}
