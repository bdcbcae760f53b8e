/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs as a table with bars, as single lines, and as a page. Pure: from status objects to text. */
#include "pipeline/pipe_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/html.h"
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
	} else if ((strcmp(get(job, "state"), "Running") == 0 || *get(job, "next_run")) &&
		   json_is_false(json_object_get(job, "running"))) {
		snprintf(out, bytes, "no process: pipeline start");
	} else if (rate > 0) {
		/* The transfer needs no name; what the source says stands beside it. */
		const char *step = strcmp(get(job, "phase"), "Syncing") == 0 ? "" : get(p, "step");

		eta_text(p, eta, sizeof(eta));
		snprintf(out, bytes, "%s/s, %s left%s%s",
			 num_bytes_text((uint64_t)rate, size, sizeof(size)), eta, *step ? ", " : "",
			 step);
	} else if (*get(p, "source") && strcmp(get(job, "phase"), "Syncing") == 0) {
		snprintf(out, bytes, "source: %s", get(p, "source"));
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

/* How to go on with what is kept, and how to be rid of it; "" where neither is asked for. */
static void ways_on(const json_t *job, char *out, size_t bytes)
{
	static const struct {
		const char *state, *on, *back;
	} table[] = {
		{"InError", "retry", "cancel"},
		{"Stopped", "start", "cancel"},
		{"Waiting", "start", "cut-over"},
		{"Expired", NULL, "delete"},
	};
	const char *name = name_of(job);

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcmp(get(job, "state"), table[i].state) != 0)
			continue;
		if (table[i].on)
			snprintf(out, bytes,
				 "pipeline %s %s goes on with it, pipeline %s %s gives it back.",
				 table[i].on, name, table[i].back, name);
		else
			snprintf(out, bytes, "pipeline %s %s gives it back.", table[i].back, name);
	}
}

static void kept_text(const json_t *thing, char *out, size_t bytes)
{
	snprintf(out, bytes, "%s%s%s: %s.", get(thing, "what"), *get(thing, "id") ? " " : "",
		 get(thing, "id"), get(thing, "costs"));
}

static bool is_kept(const json_t *job)
{
	char ways[512];

	ways_on(job, ways, sizeof(ways));
	return *ways && json_array_size(json_object_get(job, "kept"));
}

/* What costs something although nothing is done now. */
static void put_kept(FILE *f, const json_t *job, unsigned columns)
{
	json_t *kept = json_object_get(job, "kept"), *v;
	char text[512], line[600];
	size_t i;

	if (!is_kept(job))
		return;
	json_array_foreach (kept, i, v) {
		kept_text(v, text, sizeof(text));
		snprintf(line, sizeof(line), "Kept: %s", text);
		put_wrapped(f, line, columns);
	}
	ways_on(job, text, sizeof(text));
	put_wrapped(f, text, columns);
}

static void put_error(FILE *f, const json_t *job, unsigned columns)
{
	const json_t *error = json_object_get(job, "error");
	char line[1024];

	if (!error)
		return;
	snprintf(line, sizeof(line), "%s: %s", get(error, "code"), get(error, "reason"));
	put_wrapped(f, line, columns);
	if (*get(error, "advice"))
		put_wrapped(f, get(error, "advice"), columns);
}

/* A path or an image's id, name and region, each in full. */
static void put_images(FILE *f, const json_t *job)
{
	json_t *images = json_object_get(job, "images"), *image, *file;
	size_t i, k;

	json_array_foreach (images, i, image) {
		json_t *files = json_object_get(image, "files");

		if (*get(image, "region"))
			fprintf(f, "  %s %s in %s\n", get(image, "id"), get(image, "name"),
				get(image, "region"));
		json_array_foreach (files, k, file)
			fprintf(f, "  %s\n", get(file, "path"));
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
	json_array_foreach ((json_t *)jobs, i, job)
		put_row(f, job, columns);
	/* Below the table, which stays whole where a terminal is too low for all. */
	json_array_foreach ((json_t *)jobs, i, job) {
		if (!json_object_get(job, "error") && !is_kept(job))
			continue;
		fprintf(f, "\n%.*s\n", (int)columns, name_of(job));
		put_error(f, job, columns);
		put_kept(f, job, columns);
	}
	if (json_array_size(jobs) == 1)
		put_images(f, json_array_get(jobs, 0));
	fclose(f);
	return text;
}

/* What the source says, where it is not among the words already; else "". */
static const char *source_beside(const json_t *job, const char *words)
{
	const char *source = get(json_object_get(job, "progress"), "source");

	return strcmp(get(job, "phase"), "Syncing") != 0 || strstr(words, source) ? "" : source;
}

char *pipe_show_line(const json_t *job)
{
	char words[256], *text;
	const char *source;

	words_of(job, words, sizeof(words));
	source = source_beside(job, words);
	if (asprintf(&text, "%s %s %u%% %s%s%s%s", name_of(job), state_of(job), percent_of(job),
		     words, *source ? " (source: " : "", source, *source ? ")" : "") < 0)
		return NULL;
	return text;
}

/* ---- the page ---- */

/* A text as a paragraph; nothing for "". */
static void line_of(FILE *f, const char *text)
{
	if (!*text)
		return;
	fputs("<div>", f);
	html_put(f, text);
	fputs("</div>", f);
}

static void html_images(FILE *f, const json_t *job)
{
	json_t *images = json_object_get(job, "images"), *image;
	size_t i;

	json_array_foreach (images, i, image)
		line_of(f, get(image, "id"));
}

/* What is done now, or what failed and what to do, or what is kept and costs. */
static void html_words(FILE *f, const json_t *job)
{
	const json_t *error = json_object_get(job, "error");
	json_t *kept = json_object_get(job, "kept"), *v;
	char text[512];
	size_t i;

	words_of(job, text, sizeof(text));
	line_of(f, text);
	if (error) {
		line_of(f, get(error, "reason"));
		line_of(f, get(error, "advice"));
	} else {
		line_of(f, source_beside(job, text));
	}
	if (!is_kept(job))
		return;
	fputs("<div class=\"kept\">Kept:</div>", f);
	json_array_foreach (kept, i, v) {
		kept_text(v, text, sizeof(text));
		line_of(f, text);
	}
	ways_on(job, text, sizeof(text));
	line_of(f, text);
}

static void html_row(FILE *f, const json_t *job)
{
	unsigned percent = percent_of(job);

	fprintf(f, "<tr class=\"%s\"><td><b>", get(job, "state"));
	html_put(f, name_of(job));
	fputs("</b>", f);
	line_of(f, *get(job, "name") ? get(job, "id") : "");
	line_of(f, get(job, "description"));
	fputs("</td><td>", f);
	html_put(f, state_of(job));
	fprintf(f, "</td><td><progress max=\"100\" value=\"%u\"></progress> %u&nbsp;%%</td><td>",
		percent, percent);
	html_words(f, job);
	fputs("</td><td>", f);
	html_images(f, job);
	fputs("</td><td>", f);
	fprintf(f, "%.10s</td></tr>\n", get(job, "valid_until"));
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
	      "<meta http-equiv=\"refresh\" content=\"2\">"
	      "<meta name=\"viewport\" content=\"width=device-width\">"
	      "<title>Coldlift jobs</title>\n<style>"
	      "body{font:15px sans-serif;margin:2em}table{border-collapse:collapse}"
	      "td,th{padding:.5em .8em;text-align:left;vertical-align:top;"
	      "border-bottom:1px solid #ccc}td div{max-width:40em;overflow-wrap:anywhere}"
	      ".InError td,.Expired td{background:#fdd}.Finished td{background:#dfd}"
	      ".Waiting td,.Stopped td{background:#ffd}.kept{font-weight:bold;margin-top:.5em}"
	      "</style></head>\n<body><h1>Migrations</h1>\n",
	      f);
	if (json_array_size(jobs))
		fputs("<table><tr><th>Job</th><th>State</th><th>Progress</th><th>What is going "
		      "on</th>"
		      "<th>Images</th><th>Valid until</th></tr>\n",
		      f);
	json_array_foreach ((json_t *)jobs, i, job)
		html_row(f, job);
	fputs(json_array_size(jobs) ? "</table></body></html>\n" : "no jobs</body></html>\n", f);
	fclose(f);
	return text;
}
