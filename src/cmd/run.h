/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One migration as `migrator run` does it: the phases in their order, what the screen shows, and
 * the link to the receiver that reports the state and brings orders back. Private to cmd/.
 */
#ifndef CMD_RUN_H
#define CMD_RUN_H

#include <pthread.h>
#include <stdatomic.h>

#include "cmd/cmdline.h"
#include "cmd/holes.h"
#include "console/console.h"
#include "copy/copy.h"
#include "plan/plan.h"
#include "prepare/prepare.h"
#include "wire/wire.h"

struct run {
	struct arena *arena;
	const char *dir; /* where artefacts are kept: /run/coldlift */
	struct cmdline cmdline;
	struct wire_activation activation;
	struct wire_control *control_link; /* of the main thread */

	json_t *job; /* NULL: all defaults */
	json_t *inventory;
	json_t *plan_json;
	struct plan *plan;
	struct map *map;
	json_t *prepare_json;
	uint8_t run_id[WIRE_RUN_ID_BYTES];
	char run_id_text[2 * WIRE_RUN_ID_BYTES + 1];
	char source_print[65]; /* of superblocks and metadata: was the source used since? */

	struct copy_target targets[MAP_DISKS_MAX];
	struct copy_options copy_options;
	struct copy_result copied;
	struct disk_layout layout;
	struct holes holes;
	struct prepare_hold holds[MAP_DISKS_MAX]; /* of the plan's disks */
	pthread_mutex_t revive_lock;		  /* one of them at a time is laid over again */

	struct console *console;
	pthread_mutex_t view_lock; /* guards view: the main thread writes, the link reads */
	struct console_view view;

	struct copy_control orders; /* from the receiver's operator to the copy */
	atomic_int verify_order;    /* 0: none, else 1 to read back, -1 not to */
	bool not_read_back;	    /* nor was it, as it was ordered */
	pthread_t link_thread;
	bool link_running;
	atomic_bool link_stop;
	uint64_t log_sent_ms, log_sent_bytes; /* of the link's thread */
};

/* ---- the view (run_view.c); each shows the change at once ---- */

void run_show_state(struct run *r, enum console_state state, enum console_phase phase);
void run_show_step(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Beside the step: what should be known of this run, and what is amiss just now; "" for nothing. */
void run_show_note(struct run *r, const char *text);
void run_show_trouble(struct run *r, const char *text);
/* A failure (rc negative) with the thread's reason, its code and its advice. */
void run_show_error(struct run *r, const char *code, const char *reason, const char *advice);
/* A failure that passes; it is tried again. */
void run_show_waiting(struct run *r, const char *reason, const char *advice);
void run_show_machine(struct run *r);
void run_show_target(struct run *r);
void run_show_plan(struct run *r);
void run_show_copy(struct run *r, const struct copy_status *status);

/* ---- the link (run_link.c): a thread that posts the state and takes orders ---- */

int run_link_start(struct run *r);
/* Post the last state and end. Safe when it was not started. */
void run_link_stop(struct run *r);

/* The log to the receiver, now or when it is time; by the link's thread (run_log.c). */
void run_log_post(struct run *r, struct wire_control *link, bool now);

/* Write an artefact into the directory and put a copy to the receiver. */
int run_keep(struct run *r, const char *name, const json_t *artefact);

/* Run id, print of the source, and holes; kept while the copy runs. */
#define COPY_STATE "copy-state.json"

/* Look what an earlier run left, and say so (run_resume.c). Before COPY_STATE is written. */
int run_recognise(struct run *r);

int run_keep_bytes(struct run *r, const char *name, const void *data, size_t bytes);

/* ---- the phases (run_phases.c, run_verify.c), each 0 or -errno with a reason ---- */

int run_inventory(struct run *r);
int run_plan(struct run *r);
int run_prepare(struct run *r);
int run_copy(struct run *r);
int run_verify(struct run *r);
int run_clean(struct run *r);

#endif
