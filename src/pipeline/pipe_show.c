/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs as a table with bars, as single lines, and as a page. Pure: from status objects to text. */
#include "pipeline/pipe_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/num.h"

static const char *get(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static const char *name_of(const json_t *job)
{
	return *get(job, "name") ? get(job, "name") : get(job, "id");
}

/* "Running" says less than its phase, which is what SMC shows, too. */
static const char *state_of(const json_t *job)
{
	if (json_is_true(json_object_get(job, "paused")) &&
	    (strcmp(get(job, "phase"), "Syncing") == 0 ||
	     strcmp(get(job, "phase"), "Processing") == 0))
		return "Paused";
	return strcmp(get(job, "state"), "Running") == 0 && *get(job, "phase") ? get(job, "phase")
									       : get(job, "state");
}

static void eta_text(const json_t *progress, char *out, size_t bytes)
{
	const json_t *eta = json_object_get(progress, "eta_s");
	json_int_t s = json_integer_value(eta);

	if (!json_is_integer(eta))
		snprintf(out, bytes, "-");
	else if (s >= 360000)
		snprintf(out, bytes, "%lld days", (long long)s / 86400);
	else
		snprintf(out, bytes, "%lld:%02lld:%02lld", (long long)s / 3600,
			 (long long)s / 60 % 60, (long long)s % 60);
}

static unsigned percent_of(const json_t *job)
{
	json_int_t n =
		json_integer_value(json_object_get(json_object_get(job, "progress"), "percent"));

	if (strcmp(get(job, "state"), "Finished") == 0)
		return 100;
	return n < 0 ? 0 : n > 100 ? 100 : (unsigned)n;
}

/* What is to be said beside the bar. */
static void words_of(const json_t *job, char *out, size_t bytes)
{
	const json_t *p = json_object_get(job, "progress"), *error = json_object_get(job, "error");
	const json_t *images = json_object_get(job, "images");
	json_int_t rate = json_integer_value(json_object_get(p, "rate_bytes_s"));
	char size[32], eta[32];

	if (error) {
		snprintf(out, bytes, "%s", get(error, "code"));
	} else if (rate > 0) {
		/* The transfer needs no name; what the source says stands beside it. */
		const char *step = strcmp(get(job, "phase"), "Syncing") == 0 ? "" : get(p, "step");

		eta_text(p, eta, sizeof(eta));
		snprintf(out, bytes, "%s/s, %s left%s%s",
			 num_bytes_text((uint64_t)rate, size, sizeof(size)), eta, *step ? ", " : "",
			 step);
	} else if (p) {
		snprintf(out, bytes, "%s", get(p, "step"));
	} else if (json_array_size(images)) {
		snprintf(out, bytes, "%s",
			 get(json_array_get(images, json_array_size(images) - 1), "id"));
	} else {
		out[0] = '\0';
	}
}

static void bar(unsigned percent, unsigned width, char *out)
{
	unsigned full = percent * width / 100;

	memset(out, '#', full);
	memset(out + full, '.', width - full);
	out[width] = '\0';
}

#define BAR_MAX 40

static void put_row(FILE *f, const json_t *job, unsigned columns)
{
	unsigned width = columns >= 80 ? 16 : 8, name = columns >= 80 ? 18 : 12;
	char line[512], words[256], picture[BAR_MAX + 1];
	unsigned percent = percent_of(job);

	words_of(job, words, sizeof(words));
	bar(percent, width, picture);
	snprintf(line, sizeof(line), "%-*.*s %-10.10s [%s] %3u%% %s", (int)name, (int)name,
		 name_of(job), state_of(job), picture, percent, words);
	fprintf(f, "%.*s\n", (int)columns, line);
}

/* Words of a paragraph, indented, no line longer than columns unless one word is. */
static void put_wrapped(FILE *f, const char *text, unsigned columns)
{
	size_t at = 0;

	while (*text) {
		size_t n = strcspn(text, " \n");

		if (at && at + 1 + n > columns) {
			fputc('\n', f);
			at = 0;
		}
		at += (size_t)fprintf(f, at ? " %.*s" : "  %.*s", (int)n, text);
		text += n;
		text += strspn(text, " \n");
	}
	fputc('\n', f);
}

static void put_error(FILE *f, const json_t *job, unsigned columns)
{
	const json_t *error = json_object_get(job, "error");
	json_t *kept = json_object_get(job, "kept"), *v;
	char line[1024];
	size_t i;

	if (!error)
		return;
	snprintf(line, sizeof(line), "%s: %s", get(error, "code"), get(error, "reason"));
	put_wrapped(f, line, columns);
	if (*get(error, "advice"))
		put_wrapped(f, get(error, "advice"), columns);
	json_array_foreach (kept, i, v) {
		snprintf(line, sizeof(line), "Kept: %s%s%s, %s.", get(v, "what"),
			 *get(v, "id") ? " " : "", get(v, "id"), get(v, "costs"));
		put_wrapped(f, line, columns);
	}
	if (json_array_size(kept)) {
		snprintf(line, sizeof(line),
			 "pipeline retry %s goes on with it, pipeline cancel %s gives it back.",
			 name_of(job), name_of(job));
		put_wrapped(f, line, columns);
	}
}

char *pipe_show_table(const json_t *jobs, unsigned columns)
{
	char *text = NULL;
	size_t bytes, i;
	FILE *f = open_memstream(&text, &bytes);
	json_t *job;

	columns = max_of(columns, 40u);
	if (!f)
		return NULL;
	if (!json_array_size(jobs))
		fprintf(f, "no jobs\n");
	json_array_foreach ((json_t *)jobs, i, job) {
		put_row(f, job, columns);
		put_error(f, job, columns);
	}
	fclose(f);
	return text;
}

char *pipe_show_line(const json_t *job)
{
	const json_t *p = json_object_get(job, "progress");
	char words[256], *text;
	bool both = *get(p, "source") && strcmp(get(job, "phase"), "Syncing") == 0;

	words_of(job, words, sizeof(words));
	if (asprintf(&text, "%s %s %u%% %s%s%s%s", name_of(job), state_of(job), percent_of(job),
		     words, both ? " (source: " : "", both ? get(p, "source") : "",
		     both ? ")" : "") < 0)
		return NULL;
	return text;
}

/* ---- the page ---- */

static void escaped(FILE *f, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", f);
			break;
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		default:
			fputc(*text, f);
		}
	}
}

static void cell(FILE *f, const char *text)
{
	fputs("<td>", f);
	escaped(f, text);
	fputs("</td>", f);
}

static void html_row(FILE *f, const json_t *job)
{
	const json_t *error = json_object_get(job, "error");
	char words[256];
	unsigned percent = percent_of(job);

	words_of(job, words, sizeof(words));
	fprintf(f, "<tr class=\"%s\">", get(job, "state"));
	cell(f, name_of(job));
	cell(f, get(job, "id"));
	cell(f, state_of(job));
	fprintf(f, "<td><progress max=\"100\" value=\"%u\"></progress> %u&nbsp;%%</td>", percent,
		percent);
	cell(f, error ? get(error, "code") : words);
	cell(f, error ? get(error, "reason") : get(json_object_get(job, "progress"), "source"));
	cell(f, error ? get(error, "advice") : "");
	fputs("</tr>\n", f);
}

char *pipe_show_html(const json_t *jobs)
{
	char *text = NULL;
	size_t bytes, i;
	FILE *f = open_memstream(&text, &bytes);
	json_t *job;

	if (!f)
		return NULL;
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	      "<meta http-equiv=\"refresh\" content=\"2\"><title>Coldlift jobs</title>\n<style>"
	      "body{font:15px sans-serif;margin:2em}table{border-collapse:collapse}"
	      "td,th{padding:.4em .8em;text-align:left;border-bottom:1px solid #ccc}"
	      ".InError td{background:#fdd}.Finished td{background:#dfd}.Waiting "
	      "td{background:#ffd}"
	      "</style></head>\n<body><h1>Migrations</h1><table>\n<tr><th>Name</th><th>Job</th>"
	      "<th>State</th><th>Progress</th><th></th><th></th><th>What to do</th></tr>\n",
	      f);
	json_array_foreach ((json_t *)jobs, i, job)
		html_row(f, job);
	fputs("</table></body></html>\n", f);
	fclose(f);
	return text;
}
