/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a person sees: a screen of 80x25 characters redrawn in place on VGA consoles, a line per
 * event on serial consoles (readable in a log), and JSON lines on a port of their own for programs.
 * The picture is made by a pure function from plain data. State words are those of Alibaba Cloud
 * SMC.
 */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

enum console_state {
	CONSOLE_READY,
	CONSOLE_RUNNING,
	CONSOLE_STOPPED,
	CONSOLE_IN_ERROR,
	CONSOLE_FINISHED,
	CONSOLE_WAITING,
};

/* Only while running. */
enum console_phase {
	CONSOLE_NO_PHASE,
	CONSOLE_PREPARING,
	CONSOLE_SYNCING,
	CONSOLE_PROCESSING,
	CONSOLE_CLEANING,
};

/* "InError", "Syncing", ...; "" for CONSOLE_NO_PHASE. */
const char *console_state_name(enum console_state state);
const char *console_phase_name(enum console_phase phase);

#define CONSOLE_DISKS_MAX   32
#define CONSOLE_ETA_UNKNOWN UINT64_MAX

struct console_disk {
	char name[32];
	uint64_t done_bytes;
	uint64_t total_bytes;  /* of what is copied; 0 = not known yet */
	uint64_t rate_bytes_s; /* filled in by console_update() */
	uint64_t eta_s;	       /* filled in by console_update() */
};

/* Everything that is shown. Text is cut where the screen ends; other than ASCII becomes '?'. */
struct console_view {
	enum console_state state;
	enum console_phase phase;
	char machine[160]; /* "Dell PowerEdge R640, UEFI, 16 processors, 64.0 GiB of memory" */
	char system[160];  /* "Debian GNU/Linux 12, host web1" */
	char job[160];	   /* what will be done: "2 disks, 46.0 GiB, keep the layout" */
	char target[160];  /* where to: "192.0.2.7" */
	char step[204];	   /* what is being done now */
	char note[160];	   /* what the operator should know of this run, to its end; or "" */
	char trouble[160]; /* what is amiss now, and may pass; or "" */
	char code[48];	   /* IN_ERROR */
	char reason[512];
	char advice[512];
	unsigned warnings;
	uint64_t elapsed_s; /* filled in by console_update() */
	struct console_disk disks[CONSOLE_DISKS_MAX];
	size_t disk_count;
};

#define CONSOLE_COLUMNS	     79 /* one less than a screen has: the last one may wrap */
#define CONSOLE_LINES	     24
#define CONSOLE_SCREEN_BYTES ((CONSOLE_COLUMNS + 1) * CONSOLE_LINES + 1)

/* The screen as at most CONSOLE_LINES lines of at most CONSOLE_COLUMNS characters, each ending in
 * '\n', NUL-terminated; buf has CONSOLE_SCREEN_BYTES. Pure. */
void console_render(const struct console_view *view, char buf[CONSOLE_SCREEN_BYTES]);

/* One line, without '\n', that says the same in short for a log. Pure. */
void console_render_line(const struct console_view *view, char *buf, size_t buf_bytes);

/* JSON lines for programs: one for each disk, or one for the whole when there are none; free() it.
 * NULL when memory is out. time_text stands in "t". Pure. */
char *console_render_json(const struct console_view *view, const char *time_text);

struct console;

/*
 * Open the terminals and start the thread that draws. ttys: names in /dev, "tty1" is a screen and
 * everything else a serial line; one that cannot be opened is left out, as a missing serial port
 * must not stop a migration. progress: name of the port for JSON lines, or NULL. -errno when not
 * even the thread can be started.
 */
int console_open(const char *const ttys[], size_t tty_count, const char *progress,
		 struct console **out);

/*
 * Show this from now on. Copies the view; fills in rates, times left and elapsed time by itself.
 * Any thread, never blocks on a terminal.
 */
void console_update(struct console *c, const struct console_view *view);

/* Draw a last time and stop. What is on the screen stays. Accepts NULL. */
void console_close(struct console *c);

#endif
