/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The screen and the log line, from plain data; see console.h. */
#include "console/console.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "console/con_text.h"

#define BAR_CELLS 20
/* At the end the init script's words and a shell's prompt come below; the head must not scroll
 * away. */
#define END_LINES     21
#define LABEL_FORMAT  " %-10s %s"
#define WRAP_COLUMNS  (CONSOLE_COLUMNS - 12)
#define PARAGRAPH_MAX 5

struct screen {
	char *at;
	unsigned lines;
	unsigned limit;
	bool moves; /* rates mean something */
	bool ended;
};

/* A line: cut at the edge, one byte a cell. */
__attribute__((format(printf, 2, 3))) static void put_line(struct screen *s, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (s->lines == s->limit)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (size_t n = strlen(text); n > 0 && text[n - 1] == ' '; n--)
		text[n - 1] = '\0';
	for (size_t i = 0; text[i] && i < CONSOLE_COLUMNS; i++)
		*s->at++ = text[i] >= ' ' && text[i] < 127 ? text[i] : '?';
	*s->at++ = '\n';
	*s->at = '\0';
	s->lines++;
}

static void put_rule(struct screen *s)
{
	char rule[CONSOLE_COLUMNS + 1];

	memset(rule, '-', CONSOLE_COLUMNS);
	rule[CONSOLE_COLUMNS] = '\0';
	put_line(s, "%s", rule);
}

static void put_field(struct screen *s, const char *label, const char *text)
{
	if (*text)
		put_line(s, LABEL_FORMAT, label, text);
}

/* Broken at blanks; a word longer than a line is broken anywhere. */
static void put_paragraph(struct screen *s, const char *label, const char *text)
{
	for (unsigned lines = 0; *text && lines < PARAGRAPH_MAX; lines++) {
		size_t n = strlen(text), cut = n;
		char piece[WRAP_COLUMNS + 1];

		if (n > WRAP_COLUMNS) {
			cut = WRAP_COLUMNS;
			while (cut > 0 && text[cut] != ' ')
				cut--;
			if (cut == 0)
				cut = WRAP_COLUMNS;
		}
		memcpy(piece, text, cut);
		piece[cut] = '\0';
		put_field(s, lines ? "" : label, piece);
		text += cut;
		text += strspn(text, " ");
	}
}

static void put_head(struct screen *s, const struct console_view *v)
{
	const char *phase = v->state == CONSOLE_RUNNING ? console_phase_name(v->phase) : "";
	char state[64];

	snprintf(state, sizeof(state), "%s%s%s", console_state_name(v->state), *phase ? ": " : "",
		 phase);
	put_line(s, " Coldlift %*s", CONSOLE_COLUMNS - 11, state);
	put_rule(s);
	put_field(s, "Machine", v->machine);
	put_field(s, "System", v->system);
	/* What is to be done needs the lines more. */
	if (v->state == CONSOLE_IN_ERROR || v->state == CONSOLE_WAITING)
		put_field(s, "Job", v->job);
	else
		put_paragraph(s, "Job", v->job);
	put_field(s, "Target", v->target);
	put_line(s, "%s", "");
}

static unsigned closing_lines(const struct screen *s)
{
	return s->ended ? 3 : 4;
}

static void put_disk(struct screen *s, const struct console_disk *d)
{
	unsigned percent = con_percent(d->done_bytes, d->total_bytes);
	unsigned full = percent * BAR_CELLS / 100;
	char bar[BAR_CELLS + 1], size[64], done[24], total[24], rate[40] = "", speed[24], left[24];
	char tail[40] = "";

	memset(bar, '.', BAR_CELLS);
	memset(bar, '#', full);
	bar[BAR_CELLS] = '\0';
	num_bytes_text(d->done_bytes, done, sizeof(done));
	num_bytes_text(d->total_bytes, total, sizeof(total));
	if (d->total_bytes == 0) {
		put_line(s, " %-8.8s [%s]", d->name, bar);
		return;
	}
	snprintf(size, sizeof(size), "%s/%s", done, total);
	if (d->done_bytes < d->total_bytes && d->rate_bytes_s && s->moves) {
		snprintf(rate, sizeof(rate), "%s/s",
			 num_bytes_text(d->rate_bytes_s, speed, sizeof(speed)));
		if (d->eta_s != CONSOLE_ETA_UNKNOWN)
			snprintf(tail, sizeof(tail), "%s left",
				 con_time_text(d->eta_s, left, sizeof(left)));
	}
	put_line(s, " %-8.8s [%s] %3u%% %-17s %s%s%s", d->name, bar, percent, size, rate,
		 *tail ? " " : "", tail);
}

static void put_disks(struct screen *s, const struct console_view *v)
{
	size_t count = min_of(v->disk_count, (size_t)CONSOLE_DISKS_MAX);
	/* Beside these, the sum and an empty line. */
	size_t room = s->limit - min_of(s->lines + closing_lines(s) + 2, s->limit);
	size_t shown = count > room ? room - min_of(room, (size_t)1) : count;
	struct console_disk all = con_total(v);

	if (count == 0 || room == 0)
		return;
	for (size_t i = 0; i < shown; i++)
		put_disk(s, &v->disks[i]);
	if (shown < count)
		put_line(s, " and %zu more disks", count - shown);
	if (count > 1)
		put_disk(s, &all);
	put_line(s, "%s", "");
}

static const char *closing(const struct console_view *v)
{
	switch (v->state) {
	case CONSOLE_FINISHED:
		return "The copy is complete. The disks of this machine were not written.";
	case CONSOLE_IN_ERROR:
		return "Nothing on this machine was changed: switching it on again brings it back.";
	case CONSOLE_STOPPED:
		return "What has arrived is kept. The disks of this machine are read-only.";
	case CONSOLE_WAITING:
		return "What has arrived is kept. This machine tries again by itself, and goes on.";
	default:
		return "The disks of this machine are read-only. Switching it off loses nothing.";
	}
}

/* A copy that waits for its receiver goes on by itself, and has no advice. */
static bool has_ended(const struct console_view *v)
{
	switch (v->state) {
	case CONSOLE_READY:
	case CONSOLE_RUNNING:
		return false;
	case CONSOLE_WAITING:
		return *v->advice;
	default:
		return true;
	}
}

void console_render(const struct console_view *view, char buf[CONSOLE_SCREEN_BYTES])
{
	struct screen s = {
		.at = buf, .moves = view->state == CONSOLE_RUNNING, .ended = has_ended(view)};
	char time[24], warnings[64] = "";

	s.limit = s.ended ? END_LINES : CONSOLE_LINES;
	buf[0] = '\0';
	put_head(&s, view);
	if (view->state == CONSOLE_IN_ERROR) {
		put_field(&s, "Error", *view->code ? view->code : "(no code)");
		put_paragraph(&s, "Reason", view->reason);
		put_paragraph(&s, "What to do", view->advice);
		if (s.lines + closing_lines(&s) < s.limit)
			put_line(&s, "%s", "");
		/* The bars say how far it got. */
		put_disks(&s, view);
	} else {
		put_paragraph(&s, "Now", view->step);
		if (view->state == CONSOLE_WAITING)
			put_paragraph(&s, "What to do", view->advice);
		else
			put_paragraph(&s, "Note", view->note);
		/* In the other states the step says it. */
		if (view->state == CONSOLE_RUNNING)
			put_paragraph(&s, "Trouble", view->trouble);
		put_line(&s, "%s", "");
		put_disks(&s, view);
	}
	if (view->warnings)
		snprintf(warnings, sizeof(warnings), ", %u warning%s in prepare.json",
			 view->warnings, view->warnings == 1 ? "" : "s");
	put_line(&s, " Time       %s%s", con_time_text(view->elapsed_s, time, sizeof(time)),
		 warnings);
	put_rule(&s);
	put_line(&s, " %s", closing(view));
	if (!s.ended)
		put_line(
			&s,
			" A shell: Alt-F2 on this keyboard, or the word shell on the serial line.");
}

void console_render_line(const struct console_view *view, char *buf, size_t buf_bytes)
{
	const char *phase = view->state == CONSOLE_RUNNING ? console_phase_name(view->phase) : "";
	const char *trouble = view->state == CONSOLE_RUNNING ? view->trouble : "";
	const char *advice = view->state == CONSOLE_WAITING ? view->advice : "";
	struct console_disk all = con_total(view);
	char done[24], total[24], rate[24], left[24], progress[128] = "";
	size_t used = 0;

	if (all.total_bytes && view->state != CONSOLE_IN_ERROR)
		used = (size_t)snprintf(progress, sizeof(progress), " %3u%% %s/%s",
					con_percent(all.done_bytes, all.total_bytes),
					num_bytes_text(all.done_bytes, done, sizeof(done)),
					num_bytes_text(all.total_bytes, total, sizeof(total)));
	if (used && all.done_bytes < all.total_bytes && view->state == CONSOLE_RUNNING)
		snprintf(progress + used, sizeof(progress) - used, " %s/s, %s left",
			 num_bytes_text(all.rate_bytes_s, rate, sizeof(rate)),
			 con_time_text(all.eta_s, left, sizeof(left)));
	if (view->state == CONSOLE_IN_ERROR)
		snprintf(buf, buf_bytes, "coldlift: InError %s: %s%s%s", view->code, view->reason,
			 *view->advice ? "; what to do: " : "", view->advice);
	else
		snprintf(buf, buf_bytes, "coldlift: %s%s%s%s%s%s%s%s%s%s",
			 console_state_name(view->state), *phase ? " " : "", phase, progress,
			 *view->step ? ": " : "", view->step, *trouble ? "; trouble: " : "",
			 trouble, *advice ? "; what to do: " : "", advice);
	for (char *p = buf; *p; p++)
		if (*p < ' ' || *p == 127)
			*p = '?';
}
