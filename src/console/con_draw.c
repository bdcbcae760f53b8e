/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The drawing thread. A screen (tty1) is redrawn in place, twice a second. A serial line is a log
 * that is often captured: it gets a line when the state, the phase, a message or a step of five
 * percent is new.
 */
#include "console/console.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"

#define TTYS_MAX	 8
#define DRAW_INTERVAL_MS 500
#define LINE_INTERVAL_MS 15000 /* a log is not silent for longer than this while data moves */

struct screen {
	int fd;
	bool in_place; /* a VGA console, not a line */
	char last_line[1400];
	uint64_t last_line_ms;
	uint64_t messages_shown;
	unsigned last_step;
};

struct console {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct console_view view;
	bool closing;
	uint64_t start_ms;
	struct screen screens[TTYS_MAX];
	size_t screen_count;
	int progress_fd;
};

/* A terminal that takes nothing now gets the next picture instead: the descriptors do not block. */
static void put(int fd, const char *text, size_t n)
{
	for (unsigned tries = 0; n && tries < 200; tries++) {
		ssize_t done = write(fd, text, n);

		if (done > 0) {
			text += done;
			n -= (size_t)done;
		} else if (errno == EAGAIN) {
			nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
		} else if (errno != EINTR) {
			return;
		}
	}
}

static void draw_in_place(struct screen *s, const struct console_view *v)
{
	char text[CONSOLE_TEXT_BYTES], out[CONSOLE_TEXT_BYTES + 256];
	size_t used;

	console_render(v, text);
	/* Home; each row clears what is behind it, the end clears what is below: no flicker. */
	used = (size_t)snprintf(out, sizeof(out), "\033[H");
	for (const char *row = text, *end; (end = strchr(row, '\n')); row = end + 1)
		used += (size_t)snprintf(out + used, sizeof(out) - used, "%.*s\033[K\r\n",
					 (int)(end - row), row);
	used += (size_t)snprintf(out + used, sizeof(out) - used, "\033[J");
	put(s->fd, out, used);
}

static void put_line(struct screen *s, const struct console_view *v, const char *text)
{
	char line[1500];
	uint64_t seconds = v->elapsed_ms / 1000;
	int n = snprintf(line, sizeof(line), "[%3llu:%02llu] %s\r\n",
			 (unsigned long long)(seconds / 60), (unsigned long long)(seconds % 60),
			 text);

	put(s->fd, line, min_of((size_t)n, sizeof(line) - 1));
}

static unsigned progress_step(const struct console_view *v)
{
	uint64_t done = 0, total = 0;

	for (size_t i = 0; i < v->disk_count; i++) {
		done += v->disks[i].done_bytes;
		total += v->disks[i].total_bytes;
	}
	return total ? (unsigned)(20 * (double)done / (double)total) : 0;
}

static void draw_line(struct screen *s, const struct console_view *v)
{
	uint64_t fresh = min_of(v->messages_seen - s->messages_shown, (uint64_t)v->message_count);
	bool syncing = v->state == CONSOLE_RUNNING && v->phase == CONSOLE_SYNCING;
	unsigned step = progress_step(v);
	char line[1400];

	for (uint64_t i = v->message_count - fresh; i < v->message_count; i++)
		put_line(s, v, v->messages[i]);
	s->messages_shown = v->messages_seen;
	console_line(v, line, sizeof(line));
	/* While data moves the line differs each time; a step or some time must pass. */
	if (syncing && strncmp(line, s->last_line, strlen("Running: Syncing")) == 0 &&
	    step == s->last_step && clock_ms() - s->last_line_ms < LINE_INTERVAL_MS)
		return;
	if (strcmp(line, s->last_line) == 0)
		return;
	put_line(s, v, line);
	memcpy(s->last_line, line, sizeof(line));
	s->last_line_ms = clock_ms();
	s->last_step = step;
}

static void draw_json(int fd, const struct console_view *v)
{
	CLEANUP_JSON json_t *json = console_json(v);
	CLEANUP_FREE char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (!text)
		return;
	put(fd, text, strlen(text));
	put(fd, "\n", 1);
}

static void draw_all(struct console *c, const struct console_view *v)
{
	for (size_t i = 0; i < c->screen_count; i++) {
		if (c->screens[i].in_place)
			draw_in_place(&c->screens[i], v);
		else
			draw_line(&c->screens[i], v);
	}
	if (c->progress_fd >= 0)
		draw_json(c->progress_fd, v);
}

static void *draw_loop(void *arg)
{
	struct console *c = arg;
	struct console_view copy;
	bool closing = false;

	while (!closing) {
		struct timespec until;

		pthread_mutex_lock(&c->lock);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += DRAW_INTERVAL_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		while (!c->closing && pthread_cond_timedwait(&c->wake, &c->lock, &until) == 0)
			;
		closing = c->closing;
		copy = c->view;
		copy.elapsed_ms = clock_ms() - c->start_ms;
		pthread_mutex_unlock(&c->lock);
		draw_all(c, &copy);
	}
	return NULL;
}

static void add_screen(struct console *c, const char *path)
{
	const char *name = strrchr(path, '/');
	int fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	name = name ? name + 1 : path;
	if (fd < 0) {
		log_warn("console %s cannot be opened: %s", path, strerror(errno));
		return;
	}
	c->screens[c->screen_count++] = (struct screen){
		.fd = fd,
		.in_place = strncmp(name, "tty", 3) == 0 && name[3] >= '0' && name[3] <= '9',
	};
}

static void add_screens(struct console *c, const char *ttys)
{
	char list[512], *save = NULL;

	snprintf(list, sizeof(list), "%s", ttys ? ttys : "");
	for (char *tty = strtok_r(list, " \n", &save); tty && c->screen_count < TTYS_MAX;
	     tty = strtok_r(NULL, " \n", &save))
		add_screen(c, tty);
	if (c->screen_count == 0)
		c->screens[c->screen_count++] = (struct screen){.fd = dup(STDOUT_FILENO)};
}

static void close_files(struct console *c)
{
	for (size_t i = 0; i < c->screen_count; i++)
		close(c->screens[i].fd);
	if (c->progress_fd >= 0)
		close(c->progress_fd);
}

int console_open(const struct console_options *options, struct console **out)
{
	struct console *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int rc;

	if (!c)
		return fail(ENOMEM, "open the console");
	c->start_ms = clock_ms();
	c->view.left_ms = UINT64_MAX;
	c->progress_fd = -1;
	add_screens(c, options->ttys);
	if (options->progress) {
		c->progress_fd = open(
			options->progress,
			O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_CREAT | O_APPEND, 0600);
		if (c->progress_fd < 0)
			log_warn("progress to %s cannot be written: %s", options->progress,
				 strerror(errno));
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = pthread_create(&c->thread, NULL, draw_loop, c);
	if (rc) {
		close_files(c);
		free(c);
		return fail(rc, "start the console");
	}
	*out = c;
	return 0;
}

struct console_view *console_edit(struct console *c)
{
	pthread_mutex_lock(&c->lock);
	return &c->view;
}

void console_done(struct console *c)
{
	pthread_mutex_unlock(&c->lock);
}

void console_close(struct console *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->closing = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	close_files(c);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
