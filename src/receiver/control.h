/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control service: HTTP and JSON for one source and the people who watch it. control.c routes,
 * control_api.c answers, control_page.c shows. The bytes come from TLS streams through a socket
 * pair each. Private to receiver.
 */
#ifndef RECEIVER_CONTROL_H
#define RECEIVER_CONTROL_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct receiver;
struct control;

int control_start(struct receiver *r, struct control **out);
void control_stop(struct control *c); /* accepts NULL */

/* One accepted connection, until it ends. */
struct conn;
int control_run(struct control *c, struct conn *conn);

/* What follows is between the control_*.c files. */

struct control_reply {
	unsigned status;
	const char *content_type;
	char *body; /* free() */
	size_t bytes;
};

struct control_request {
	const char *method;
	const char *path;
	const char *body;
	size_t bytes;
};

struct control {
	struct receiver *receiver;
	struct MHD_Daemon *daemon;
	pthread_mutex_t lock;
	json_t *source_state; /* what the source said last, or NULL; under lock */
	uint64_t source_state_ms;
	bool pause, cancel;	       /* orders for the source; under lock */
	int64_t rate_mbit;	       /* -1: none ordered */
	int compression;	       /* likewise, else 0 to 10 */
	int verify;		       /* likewise, else false or true */
	_Atomic uint64_t bodies_bytes; /* of requests that are coming in */
};

/* Longest body of a path that takes one with this method; 0 when it takes none. */
size_t control_body_max(const char *method, const char *path);

/* Answer a request that has shown the token. */
void control_answer(struct control *c, const struct control_request *q, struct control_reply *out);

void control_json(struct control_reply *out, unsigned status, json_t *json); /* takes json */
void control_error(struct control_reply *out, unsigned status, const char *code,
		   const char *message, const char *advice);

void control_path_unknown(struct control_reply *out);

/* Reports. */
void control_metrics(struct control *c, struct control_reply *out);
void control_page(struct control *c, struct control_reply *out);

#endif
