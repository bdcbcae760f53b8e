/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server's side of the uploader: orders are checked against the disks, the disks are frozen and
 * handed over, and what the uploader wants to find again after a crash is kept.
 */
#include "receiver/upload.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "base/thread.h"
#include "receiver/control.h"
#include "receiver/disks.h"
#include "receiver/upload_frame.h"
#include "receiver/upload_order.h"
#include "receiver/vault.h"

#define ANSWER_MS	30000
#define SAVED_MAX_BYTES (64u << 20)
/* Several posted ones in one. */
#define ORDER_MAX_BYTES (4 * UPLOAD_ORDER_MAX_BYTES)
#define WORKER_STACK	(512u << 10)

struct upload {
	struct disks *disks;
	struct vault *vault;
	int socket;

	pthread_mutex_t request_lock; /* one request at a time; of the order */
	json_t *order;		      /* that stands; NULL: none */
	uint32_t frozen;	      /* a bit for each disk */
	char error_code[ERR_CODE_MAX], error[ERR_REASON_MAX]; /* why it could not be taken up */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	char *answer;
	size_t answer_bytes;
	bool gone; /* the uploader */

	pthread_t reader, worker;
	bool reader_runs, worker_runs;
	int worker_socket;
};

/* ---- what is kept ---- */

static void save(struct upload *u, const struct upload_frame *f)
{
	struct cursor c = cursor_of(f->data, f->bytes);
	uint32_t index = cursor_be32(&c);

	if (!cursor_ok(&c) || index >= DISKS_MAX)
		return;
	if (vault_replace(u->vault, VAULT_UPLOAD, index, c.at, cursor_left(&c)) < 0)
		log_warn("images: how far disk%u is could not be kept: %s", index, err_reason());
}

/* Empty is as good as gone. */
static int forget_saved(struct upload *u)
{
	int rc = vault_replace(u->vault, VAULT_ORDER, 0, "", 0);

	for (unsigned i = 0; rc == 0 && i < DISKS_MAX; i++)
		if (vault_has(u->vault, VAULT_UPLOAD, i))
			rc = vault_replace(u->vault, VAULT_UPLOAD, i, "", 0);
	return rc;
}

/* ---- the socket ---- */

static void *run_reader(void *arg)
{
	struct upload *u = arg;
	struct upload_frame f;

	while (upload_frame_receive(u->socket, &f) == 1) {
		if (f.kind == FRAME_SAVE)
			save(u, &f);
		if (f.kind == FRAME_REPLY) {
			LOCK_SCOPE(&u->lock);

			free(u->answer);
			u->answer = (char *)steal_ptr(&f.data);
			u->answer_bytes = f.bytes;
			pthread_cond_broadcast(&u->changed);
		}
		free(f.data);
		if (f.fd >= 0)
			close(f.fd);
	}
	LOCK_SCOPE(&u->lock);
	u->gone = true;
	pthread_cond_broadcast(&u->changed);
	return NULL;
}

static void *run_worker(void *arg)
{
	struct upload *u = arg;

	(void)upload_work(u->worker_socket);
	return NULL;
}

/* Under request_lock. *answer is the caller's. */
static int ask(struct upload *u, enum upload_frame_kind kind, const char *body, char **answer,
	       size_t *bytes)
{
	uint64_t end = clock_ms() + ANSWER_MS;
	struct timespec at;
	int rc;
	LOCK_SCOPE(&u->lock);

	free(steal_ptr(&u->answer));
	rc = upload_frame_send(u->socket, kind, NULL, 0, body, body ? strlen(body) : 0, -1);
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ANSWER_MS / 1000;
	while (rc == 0 && !u->answer && !u->gone && clock_ms() < end)
		pthread_cond_timedwait(&u->changed, &u->lock, &at);
	if (rc < 0 || !u->answer)
		return fail_code(EPIPE, "UPLOADER_GONE", "the uploader does not answer");
	*answer = steal_ptr(&u->answer);
	*bytes = u->answer_bytes;
	return 0;
}

/* ---- disks ---- */

static void thaw(struct upload *u)
{
	for (unsigned i = 0; i < DISKS_MAX; i++)
		if (u->frozen >> i & 1)
			store_thaw(disks_get(u->disks, i));
	u->frozen = 0;
}

/* What the journal knows of each chunk, into a DISK frame's body; *unknown: chunks it does not. */
static void write_known(struct store *s, uint64_t chunks, struct writer *w, uint64_t *unknown)
{
	static const uint8_t none[WIRE_DIGEST_MAX];
	size_t digest_bytes = wire_digest_bytes(store_digest(s));
	uint8_t digest[WIRE_DIGEST_MAX];
	struct store_run r;

	*unknown = 0;
	for (uint64_t i = 0; i < chunks; i++) {
		store_run_at(s, i, 1, NULL, &r, digest);
		writer_be(w,
			  r.state == WIRE_DATA	 ? IMAGE_DATA
			  : r.state == WIRE_ZERO ? IMAGE_ZERO
						 : IMAGE_UNKNOWN,
			  1);
		writer_bytes(w, r.state == WIRE_DATA ? digest : none, digest_bytes);
		*unknown += r.state == WIRE_UNKNOWN;
	}
}

static int check_known(const struct upload_order *o, unsigned index, uint64_t unknown)
{
	if (unknown == 0 || o->take_unknown)
		return 0;
	return fail_code(EBUSY, "IMAGE_INCOMPLETE",
			 "%llu chunks of disk%u never arrived, or were written by something else",
			 (unsigned long long)unknown, index);
}

static int send_disk(struct upload *u, const struct upload_order *o, unsigned index)
{
	struct store *s = disks_get(u->disks, index);
	uint64_t chunks = div_up(store_size_bytes(s), WIRE_CHUNK_BYTES), unknown;
	size_t known_bytes = 1 + wire_digest_bytes(store_digest(s));
	size_t head_bytes = UPLOAD_DISK_HEAD_BYTES + (size_t)chunks * known_bytes, saved_bytes = 0;
	CLEANUP_FREE uint8_t *head = malloc(head_bytes);
	CLEANUP_FREE char *saved = NULL;
	CLEANUP_CLOSE int fd = -1;
	struct writer w = writer_of(head, head_bytes);
	int rc;

	if (!head)
		return fail(ENOMEM, "memory for disk%u", index);
	writer_be(&w, index, 4);
	writer_be(&w, store_size_bytes(s), 8);
	writer_be(&w, store_digest(s), 4);
	write_known(s, chunks, &w, &unknown);
	rc = check_known(o, index, unknown);
	if (rc == 0)
		rc = fd = store_open_for_reading(s);
	if (rc < 0)
		return rc;
	if (vault_has(u->vault, VAULT_UPLOAD, index) &&
	    vault_read(u->vault, VAULT_UPLOAD, index, SAVED_MAX_BYTES, &saved, &saved_bytes) < 0)
		log_warn("images: %s", err_reason());
	return upload_frame_send(u->socket, FRAME_DISK, head, head_bytes, saved, saved_bytes, fd);
}

static int freeze(struct upload *u, const struct upload_order *o)
{
	for (size_t i = 0; i < o->disk_count; i++) {
		unsigned index = o->disks[i].index;
		struct store *s = index < DISKS_MAX ? disks_get(u->disks, index) : NULL;
		int rc = s ? store_freeze(s)
			   : fail_code(ENOENT, "IMAGE_DISK_UNKNOWN", "there is no disk%u", index);

		if (rc < 0)
			return rc;
		u->frozen |= (uint32_t)1 << index;
	}
	return 0;
}

/* Whether all is known of the disks, before any of them is handed over. */
static int check_disks(struct upload *u, const struct upload_order *o)
{
	for (size_t i = 0; i < o->disk_count; i++) {
		struct store *s = disks_get(u->disks, o->disks[i].index);
		uint64_t chunks = div_up(store_size_bytes(s), WIRE_CHUNK_BYTES), unknown = 0;
		struct store_run r;
		int rc;

		for (uint64_t k = 0; k < chunks; k += r.count) {
			store_run_at(s, k, chunks - k, NULL, &r, NULL);
			unknown += r.state == WIRE_UNKNOWN ? r.count : 0;
		}
		rc = check_known(o, o->disks[i].index, unknown);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- orders ---- */

/* Begin with an order that was read without an error. Under request_lock. */
static int begin(struct upload *u, const json_t *json)
{
	CLEANUP_FREE char *answer = NULL;
	struct upload_order o;
	size_t bytes;
	int rc = upload_order_read(json, &o);

	if (rc == 0)
		rc = freeze(u, &o);
	if (rc == 0)
		rc = check_disks(u, &o);
	/* Of a try that failed half way, disks may be there. */
	if (rc == 0)
		rc = ask(u, FRAME_DROP, NULL, &answer, &bytes);
	for (size_t i = 0; rc == 0 && i < o.disk_count; i++)
		rc = send_disk(u, &o, o.disks[i].index);
	if (rc < 0)
		thaw(u);
	return rc;
}

static int keep_order(struct upload *u, const json_t *order)
{
	CLEANUP_FREE char *text = json_dumps(order, JSON_COMPACT);

	return text ? vault_replace(u->vault, VAULT_ORDER, 0, text, strlen(text))
		    : fail(ENOMEM, "memory for an order");
}

/* The order as it stands from now on, to the uploader. Under request_lock. */
static int hand_over(struct upload *u, char **answer, size_t *bytes)
{
	CLEANUP_FREE char *text = json_dumps(u->order, JSON_COMPACT);

	return text ? ask(u, FRAME_ORDER, text, answer, bytes)
		    : fail(ENOMEM, "memory for an order");
}

static int take_order(struct upload *u, const char *body, size_t body_bytes, char **answer,
		      size_t *bytes)
{
	CLEANUP_JSON json_t *json = NULL;
	json_t *merged = NULL;
	struct upload_order o;
	int rc = json_parse(body, body_bytes, "the order", &json);

	if (rc < 0)
		return fail_code(EINVAL, "IMAGE_ORDER_BAD", "%s", err_reason());
	rc = upload_order_read(json, &o);
	if (rc < 0)
		return rc;
	if (u->order && !u->error[0]) {
		rc = upload_order_merge(u->order, json, &merged);
	} else {
		merged = json_incref(json);
		rc = begin(u, json);
	}
	if (rc == 0)
		rc = keep_order(u, merged);
	if (rc < 0) {
		if (!u->order)
			thaw(u);
		json_decref(merged);
		return rc;
	}
	json_decref(u->order);
	u->order = merged;
	u->error[0] = '\0';
	return hand_over(u, answer, bytes);
}

/* The order of the life before. */
static void take_up(struct upload *u)
{
	CLEANUP_FREE char *answer = NULL, *text = NULL;
	json_t *json = NULL;
	size_t bytes = 0;
	int rc;

	if (!vault_has(u->vault, VAULT_ORDER, 0))
		return;
	rc = vault_read(u->vault, VAULT_ORDER, 0, ORDER_MAX_BYTES, &text, &bytes);
	if (rc == 0 && bytes == 0)
		return;
	if (rc == 0)
		rc = json_parse(text, bytes, "the order for images", &json);
	if (rc == 0)
		rc = begin(u, json);
	u->order = json;
	if (rc == 0)
		rc = hand_over(u, &answer, &bytes);
	if (rc == 0) {
		log_info("images: the order goes on");
		return;
	}
	snprintf(u->error_code, sizeof(u->error_code), "%s", err_code());
	snprintf(u->error, sizeof(u->error), "%s", err_reason());
	log_error("images: the order cannot go on: %s", u->error);
}

/* ---- answers ---- */

static void answer_failure(struct control_reply *out, int rc)
{
	static const struct {
		const char *code;
		unsigned status;
		const char *advice;
	} known[] = {
		{"IMAGE_ORDER_BAD", 400, "see docs/protocol.md"},
		{"IMAGE_DISK_UNKNOWN", 404, "order images of the disks that GET /v1/target lists"},
		{"IMAGE_BUSY", 409, "DELETE it first, or go on with it"},
		{"IMAGE_ORDER_DIFFERS", 409, "DELETE it first, or go on with it as it is"},
		{"IMAGE_INCOMPLETE", 409, "let the copy come to its end, then order again"},
		{"UPLOADER_GONE", 503, "start the receiver again; the order goes on by itself"},
	};
	CLEANUP_FREE char *reason = strdup(err_reason());

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(err_code(), known[i].code) == 0) {
			control_error(out, known[i].status, known[i].code, reason, known[i].advice);
			return;
		}
	control_error(out, rc == -ENOSPC ? 507 : 500, "RECEIVER_FAILED", reason,
		      "look at the receiver's log");
}

static void answer(struct control_reply *out, int rc, char *text, size_t bytes)
{
	if (rc < 0) {
		answer_failure(out, rc);
		return;
	}
	*out = (struct control_reply){
		.status = 200, .content_type = "application/json", .body = text, .bytes = bytes};
}

void upload_post(struct upload *u, const char *body, size_t body_bytes, struct control_reply *out)
{
	char *text = NULL;
	size_t bytes = 0;
	int rc;
	LOCK_SCOPE(&u->request_lock);

	rc = take_order(u, body, body_bytes, &text, &bytes);
	answer(out, rc, text, bytes);
}

void upload_get(struct upload *u, struct control_reply *out)
{
	char *text = NULL;
	size_t bytes = 0;
	int rc;
	LOCK_SCOPE(&u->request_lock);

	if (u->error[0]) {
		control_json(
			out, 200,
			json_pack("{s:o, s:s, s:s, s:s, s:s, s:i, s:[]}", "order",
				  json_str(json_string_value(json_object_get(u->order, "order"))),
				  "state", "InError", "code", u->error_code, "message", u->error,
				  "advice", "mend it and post the order again", "connections", 0,
				  "disks"));
		return;
	}
	rc = ask(u, FRAME_GET, NULL, &text, &bytes);
	answer(out, rc, text, bytes);
}

void upload_delete(struct upload *u, struct control_reply *out)
{
	char *text = NULL;
	size_t bytes = 0;
	int rc;
	LOCK_SCOPE(&u->request_lock);

	rc = ask(u, FRAME_DROP, NULL, &text, &bytes);
	if (rc == 0)
		rc = forget_saved(u);
	if (rc == 0) {
		json_decref(u->order);
		u->order = NULL;
		u->error[0] = '\0';
		thaw(u);
	}
	answer(out, rc, text, bytes);
}

/* ---- life ---- */

static int start_threads(struct upload *u)
{
	int rc, pair[2];

	if (u->socket < 0) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return fail(errno, "socket pair to the uploader");
		u->socket = pair[0];
		u->worker_socket = pair[1];
		rc = thread_start(&u->worker, "the uploader", WORKER_STACK, run_worker, u);
		if (rc < 0) {
			close(pair[1]);
			return rc;
		}
		u->worker_runs = true;
	}
	rc = thread_start(&u->reader, "the uploader", WORKER_STACK, run_reader, u);
	u->reader_runs = rc == 0;
	return rc;
}

int upload_start(struct disks *disks, struct vault *vault, struct uploader *uploader,
		 struct upload **out)
{
	struct upload *u = calloc(1, sizeof(*u));
	pthread_condattr_t monotonic;
	int rc;

	if (!u)
		return fail(ENOMEM, "memory for the uploader");
	u->disks = disks;
	u->vault = vault;
	u->socket = steal_fd(&uploader->socket);
	pthread_mutex_init(&u->request_lock, NULL);
	pthread_mutex_init(&u->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&u->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	rc = start_threads(u);
	if (rc < 0) {
		upload_stop(u);
		return rc;
	}
	take_up(u);
	*out = u;
	return 0;
}

void upload_stop(struct upload *u)
{
	if (!u)
		return;
	/* The uploader reads the end, and ends; then so does the reader. */
	if (u->socket >= 0)
		shutdown(u->socket, SHUT_WR);
	if (u->worker_runs)
		pthread_join(u->worker, NULL);
	if (u->reader_runs)
		pthread_join(u->reader, NULL);
	if (u->socket >= 0)
		close(u->socket);
	json_decref(u->order);
	free(u->answer);
	pthread_mutex_destroy(&u->request_lock);
	pthread_mutex_destroy(&u->lock);
	pthread_cond_destroy(&u->changed);
	free(u);
}
