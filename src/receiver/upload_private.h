/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the uploader: upload_work.c takes orders and reports, upload_run.c packs and sends,
 * upload_saved.c is what outlives it. Private to receiver.
 *
 * A part: packed into a free job's buffer, queued, being sent, done. Its state (where packing goes
 * on behind it) is kept until all parts before it are done too; that of the last such part is the
 * checkpoint of its disk.
 */
#ifndef RECEIVER_UPLOAD_PRIVATE_H
#define RECEIVER_UPLOAD_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "receiver/upload_order.h"
#include "receiver/upload_put.h"
#include "wire/wire.h"

#define UPLOAD_JOBS_MAX (UPLOAD_CONNECTIONS_MAX + 1)

enum upload_state {
	UPLOAD_READY,
	UPLOAD_RUNNING,
	UPLOAD_WAITING,
	UPLOAD_IN_ERROR,
	UPLOAD_FINISHED
};

struct upload_part {
	bool done;
	bool refused;	 /* its URL */
	const char *url; /* in the order's JSON, or NULL */
	uint32_t bytes;
	uint64_t crc, done_bytes;
	char etag[UPLOAD_ETAG_MAX];
	uint8_t *state; /* of a part ahead of the checkpoint */
	size_t state_bytes;
};

struct upload_disk {
	unsigned index;
	char name[16];
	int fd;
	uint64_t disk_bytes, chunks;
	enum wire_digest_kind digest;
	const uint8_t *known; /* of each chunk: enum image_knowledge 1 | digest; in frame */
	size_t known_bytes;   /* so much of each */
	uint8_t *frame;
	struct image_options options;
	bool has_root;
	uint8_t root[MERKLE_ROOT_BYTES]; /* that was verified */
	struct upload_part *parts;	 /* by number, up to UPLOAD_PARTS_MAX */

	/* The checkpoint: all parts from the first one to this are done; 0 or 1: from the start. */
	unsigned checkpoint;
	uint8_t *state;
	size_t state_bytes;

	enum upload_state progress; /* RUNNING also while it waits */
	bool packed;		    /* all parts are made */
	unsigned packing;	    /* the highest part that was made */
	uint64_t retries;
	struct image_result result; /* FINISHED */
	uint64_t object_crc;
};

enum job_state { JOB_FREE, JOB_FILLING, JOB_QUEUED, JOB_SENDING };

struct upload_job {
	enum job_state state;
	uint8_t *buffer;
	struct upload_disk *disk;
	unsigned number, attempts, differed;
	size_t bytes;
	uint64_t done_bytes;
	uint64_t failing_since_ms, not_before_ms; /* 0: not */
};

struct upload_work {
	int socket;
	pthread_mutex_t send_lock; /* of the socket */

	pthread_mutex_t lock; /* of everything below */
	pthread_cond_t changed;
	json_t *json; /* the order; NULL: none */
	struct upload_order order;
	struct upload_disk *disks[UPLOAD_DISKS_MAX]; /* as in the order */
	size_t disk_count;
	struct upload_job jobs[UPLOAD_JOBS_MAX];
	unsigned job_count;
	unsigned connections; /* in use */
	bool running;	      /* the thread run is there */
	bool run_over;	      /* and can be joined */
	atomic_bool stop;     /* what is under way is to end */
	bool senders_stop;    /* there is nothing more to send */
	pthread_t run;
	char *ca; /* what senders trust; NULL: what curl knows */
	bool in_error;
	char code[48], message[400]; /* of the error, or of the last failure that is retried */
};

/* ---- upload_run.c ---- */

/* Go on with the order that stands, unless it is under way. Under lock. */
int upload_run_start(struct upload_work *w);

/* End it, and wait for it. Not under lock. */
void upload_run_stop(struct upload_work *w);

/* A part that is queued lacks a URL, and nothing else can be done. Under lock. */
bool upload_waits(const struct upload_work *w, const struct upload_disk *d);

/* ---- upload_saved.c ---- */

/* What is to outlive the receiver, for the order and disk; *out is the caller's. Under lock. */
int upload_saved_write(const struct upload_work *w, const struct upload_disk *d, uint8_t **out,
		       size_t *bytes);

/* Take it over; what belongs to another order is left alone, what is damaged begins anew. */
void upload_saved_read(struct upload_disk *d, const char *order, const uint8_t *data, size_t bytes);

/* ---- upload_work.c ---- */

/* Hand the checkpoint to the server. Not under lock. */
void upload_save(struct upload_work *w, struct upload_disk *d);

#endif
