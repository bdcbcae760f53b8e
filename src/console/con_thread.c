/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Terminals and the thread that draws on them; see console.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/thread.h"
#include "console/con_text.h"
#include "console/console.h"

#define TTYS_MAX      8
#define DRAW_MS	      500
#define JSON_MS	      1000
#define LINE_MS	      30000 /* a sign of life in a log */
#define LINE_PERCENT  5
#define WRITE_WAIT_MS 200
#define RATE_WINDOW_S 8.0
#define STALL_MS      10000 /* without a byte: no rate any more */

struct tty {
	int fd;
	bool is_screen;
};

struct console {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	bool changed; /* something other than progress */
	bool fresh;   /* a view has been given */
	struct console_view view;
	uint64_t start_ms;
	uint64_t sampled_ms[CONSOLE_DISKS_MAX];
	uint64_t sampled_bytes[CONSOLE_DISKS_MAX];
	uint64_t moved_ms[CONSOLE_DISKS_MAX];

	/* The thread's own. */
	struct tty ttys[TTYS_MAX];
	size_t tty_count;
	int progress_fd;
	uint64_t line_ms;
	uint64_t json_ms;
	unsigned line_percent;
	char said[sizeof(((struct console_view *)0)->note)]; /* the note that logs have */
};

/* What a terminal does not take within a moment is dropped: a serial port that nobody reads must
 * not hold up anything. */
static void tty_write(int fd, const char *text, size_t bytes)
{
	while (bytes) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		ssize_t n = write(fd, text, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && poll(&p, 1, WRITE_WAIT_MS) > 0)
			continue;
		if (n <= 0)
			return;
		text += n;
		bytes -= (size_t)n;
	}
}

/* Home, each line with the rest of its row cleared, then the rest of the screen. */
static void draw_screen(int fd, const char *screen)
{
	char out[CONSOLE_SCREEN_BYTES + CONSOLE_LINES * 8 + 32];
	size_t used = 0;

	used += (size_t)snprintf(out, sizeof(out), "\033[?25l\033[H");
	for (const char *line = screen; *line;) {
		size_t n = strcspn(line, "\n");

		used += (size_t)snprintf(out + used, sizeof(out) - used, "%.*s\033[K\r\n", (int)n,
					 line);
		line += n + (line[n] == '\n');
	}
	used += (size_t)snprintf(out + used, sizeof(out) - used, "\033[J");
	tty_write(fd, out, used);
}

static bool line_is_due(struct console *c, const struct console_view *v, bool changed,
			uint64_t now_ms)
{
	struct console_disk all = con_total(v);
	unsigned percent = con_percent(all.done_bytes, all.total_bytes);
	bool due = changed || now_ms - c->line_ms >= LINE_MS ||
		   percent >= c->line_percent + LINE_PERCENT ||
		   (percent == 100 && c->line_percent < 100 && all.total_bytes);

	if (!due)
		return false;
	c->line_ms = now_ms;
	c->line_percent = percent - percent % LINE_PERCENT;
	return true;
}

/* A screen keeps the note, a log has it once. */
static void say_note(struct console *c, const struct console_view *v)
{
	char line[sizeof(c->said) + 16];

	if (strcmp(c->said, v->note) == 0)
		return;
	strcpy(c->said, v->note);
	snprintf(line, sizeof(line), "coldlift: %s\r\n", c->said);
	for (size_t i = 0; i < c->tty_count && *c->said; i++)
		if (!c->ttys[i].is_screen)
			tty_write(c->ttys[i].fd, line, strlen(line));
}

static void draw(struct console *c, const struct console_view *v, bool changed)
{
	char screen[CONSOLE_SCREEN_BYTES], line[1200], now[CLOCK_TEXT_BYTES];
	uint64_t now_ms = clock_ms();
	bool line_due = line_is_due(c, v, changed, now_ms);

	console_render(v, screen);
	console_render_line(v, line, sizeof(line) - 2);
	strcat(line, "\r\n");
	say_note(c, v);
	for (size_t i = 0; i < c->tty_count; i++) {
		if (c->ttys[i].is_screen)
			draw_screen(c->ttys[i].fd, screen);
		else if (line_due)
			tty_write(c->ttys[i].fd, line, strlen(line));
	}
	if (c->progress_fd >= 0 && (changed || now_ms - c->json_ms >= JSON_MS)) {
		CLEANUP_FREE char *json = console_render_json(v, clock_text(now));

		c->json_ms = now_ms;
		if (json)
			tty_write(c->progress_fd, json, strlen(json));
	}
}

/* A rate of before, or one that dies away, would be taken for a slow copy. */
static void hide_stalled(const struct console *c, struct console_view *v, uint64_t now_ms)
{
	for (size_t i = 0; i < v->disk_count; i++) {
		if (now_ms - c->moved_ms[i] < STALL_MS)
			continue;
		v->disks[i].rate_bytes_s = 0;
		if (v->disks[i].eta_s)
			v->disks[i].eta_s = CONSOLE_ETA_UNKNOWN;
	}
}

static void *draw_loop(void *arg)
{
	struct console *c = arg;
	struct console_view *v = malloc(sizeof(*v));
	bool stop = !v;

	while (!stop) {
		struct timespec until;
		bool changed, fresh;

		pthread_mutex_lock(&c->lock);
		if (!c->stop && !c->changed) {
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_nsec += DRAW_MS * 1000000L;
			until.tv_sec += until.tv_nsec / 1000000000L;
			until.tv_nsec %= 1000000000L;
			pthread_cond_timedwait(&c->wake, &c->lock, &until);
		}
		c->view.elapsed_s = (clock_ms() - c->start_ms) / 1000;
		*v = c->view;
		hide_stalled(c, v, clock_ms());
		changed = c->changed;
		fresh = c->fresh;
		stop = c->stop;
		c->changed = false;
		pthread_mutex_unlock(&c->lock);
		if (fresh)
			draw(c, v, changed);
	}
	free(v);
	return NULL;
}

/* Smoothed over some seconds, so that a person can read it. */
static void sample_disk(struct console *c, size_t i, struct console_disk *d,
			const struct console_disk *before, uint64_t now_ms)
{
	double seconds = (double)(now_ms - c->sampled_ms[i]) / 1000.0, weight, rate;
	bool is_new = !c->sampled_ms[i] || d->done_bytes < c->sampled_bytes[i] ||
		      strcmp(d->name, before->name) != 0;

	if (is_new || d->done_bytes != before->done_bytes)
		c->moved_ms[i] = now_ms;
	d->rate_bytes_s = is_new ? 0 : before->rate_bytes_s;
	d->eta_s = CONSOLE_ETA_UNKNOWN;
	if (is_new) {
		c->sampled_ms[i] = now_ms;
		c->sampled_bytes[i] = d->done_bytes;
	} else if (seconds >= 0.4) {
		rate = (double)(d->done_bytes - c->sampled_bytes[i]) / seconds;
		weight = min_of(seconds / RATE_WINDOW_S, 1.0);
		if (d->rate_bytes_s)
			rate = (double)d->rate_bytes_s * (1 - weight) + rate * weight;
		d->rate_bytes_s = (uint64_t)rate;
		c->sampled_ms[i] = now_ms;
		c->sampled_bytes[i] = d->done_bytes;
	}
	if (d->total_bytes && d->done_bytes >= d->total_bytes)
		d->eta_s = 0;
	else if (d->total_bytes && d->rate_bytes_s)
		d->eta_s = (d->total_bytes - d->done_bytes) / d->rate_bytes_s;
}

static bool differs(const struct console_view *a, const struct console_view *b)
{
	return a->state != b->state || a->phase != b->phase || strcmp(a->step, b->step) ||
	       strcmp(a->note, b->note) || strcmp(a->trouble, b->trouble) ||
	       strcmp(a->code, b->code) || strcmp(a->reason, b->reason) ||
	       strcmp(a->machine, b->machine) || strcmp(a->target, b->target) ||
	       a->disk_count != b->disk_count;
}

void console_update(struct console *c, const struct console_view *view)
{
	LOCK_SCOPE(&c->lock);
	struct console_view before = c->view;
	uint64_t now_ms = clock_ms();

	c->view = *view;
	c->view.disk_count = min_of(view->disk_count, (size_t)CONSOLE_DISKS_MAX);
	for (size_t i = 0; i < c->view.disk_count; i++)
		sample_disk(c, i, &c->view.disks[i], &before.disks[i], now_ms);
	if (!c->fresh || differs(&before, &c->view)) {
		c->changed = true;
		pthread_cond_signal(&c->wake);
	}
	c->fresh = true;
}

static int open_tty(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		log_warn("console: %s cannot be opened (%s)", path, strerror(errno));
	return fd;
}

static void console_free(struct console *c)
{
	for (size_t i = 0; i < c->tty_count; i++)
		close(c->ttys[i].fd);
	if (c->progress_fd >= 0)
		close(c->progress_fd);
	free(c);
}

static int start(struct console *c)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	return thread_start(&c->thread, "the console", THREAD_STACK_DEFAULT, draw_loop, c);
}

int console_open(const char *const ttys[], size_t tty_count, const char *progress,
		 struct console **out)
{
	struct console *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return fail(ENOMEM, "memory for the console");
	c->start_ms = clock_ms();
	c->progress_fd = progress ? open_tty(progress) : -1;
	for (size_t i = 0; i < tty_count && c->tty_count < TTYS_MAX; i++) {
		const char *digit = strncmp(ttys[i], "tty", 3) == 0 ? ttys[i] + 3 : "x";
		int fd = open_tty(ttys[i]);

		if (fd < 0)
			continue;
		c->ttys[c->tty_count++] =
			(struct tty){.fd = fd, .is_screen = *digit >= '0' && *digit <= '9'};
	}
	for (size_t i = 0; i < c->tty_count; i++)
		if (c->ttys[i].is_screen)
			tty_write(c->ttys[i].fd, "\033[2J", 4);
	rc = start(c);
	if (rc < 0) {
		console_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void console_close(struct console *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	for (size_t i = 0; i < c->tty_count; i++)
		if (c->ttys[i].is_screen)
			tty_write(c->ttys[i].fd, "\033[?25h", 6);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	console_free(c);
}
