/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control service's paths. docs/protocol.md lists them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"
#include "receiver/server.h"
#include "receiver/upload_order.h"

#define ARTEFACT_MAX_BYTES (16u << 20)
#define LEAVES_MAX_BYTES   (40u << 20) /* 16 bytes of each MiB of data: more than 2 TiB */
#define STATE_MAX_BYTES	   (256u << 10)
#define LOG_MAX_BYTES	   (8u << 20)
#define RATE_MAX_MBIT	   10000000
#define COMPRESSION_MAX	   10
#define ARTEFACT_PREFIX	   "/v1/artefact/"

#ifndef COLDLIFT_VERSION
#define COLDLIFT_VERSION "1"
#endif

/* Its number in the vault, or -1; *name is for messages. */
static int artefact_of(const char *path, const char **name)
{
	*name = "";
	if (strncmp(path, ARTEFACT_PREFIX, strlen(ARTEFACT_PREFIX)) != 0)
		return -1;
	*name = path + strlen(ARTEFACT_PREFIX);
	return vault_artefact(*name);
}

size_t control_body_max(const char *method, const char *path)
{
	const char *name;

	if (strcmp(method, "PUT") == 0 && artefact_of(path, &name) >= 0)
		return strcmp(name, "verify.leaves") == 0 ? LEAVES_MAX_BYTES : ARTEFACT_MAX_BYTES;
	if (strcmp(method, "PUT") == 0 && strcmp(path, "/v1/log") == 0)
		return LOG_MAX_BYTES;
	if (strcmp(method, "POST") == 0 && strcmp(path, "/v1/image") == 0)
		return UPLOAD_ORDER_MAX_BYTES;
	if (strcmp(method, "POST") == 0)
		return STATE_MAX_BYTES;
	return 0;
}

static json_t *disks_json(struct control *c)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < DISKS_MAX; i++) {
		struct store *s = disks_get(c->receiver->disks, i);
		struct store_figures f;
		char run[2 * WIRE_RUN_ID_BYTES + 1];

		if (!s)
			continue;
		store_figures(s, &f);
		hex_encode(f.run_id, sizeof(f.run_id), run);
		json_array_append_new(
			list,
			json_pack("{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b}", "index",
				  (int)i, "digest", wire_digest_name(store_digest(s)), "size_bytes",
				  json_u64(store_size_bytes(s)), "chunks",
				  json_u64(f.durable.chunks), "durable_chunks",
				  json_u64(f.durable.durable_chunks), "known_chunks",
				  json_u64(f.durable.known_chunks), "pending_chunks",
				  json_u64(f.durable.pending_chunks), "written_bytes",
				  json_u64(f.written_bytes), "run_id", run, "failed", f.failed));
	}
	return list;
}

static json_t *orders(const struct control *c)
{
	return json_pack("{s:b, s:b, s:o, s:o, s:o}", "pause", c->pause, "cancel", c->cancel,
			 "rate_mbit", c->rate_mbit < 0 ? json_null() : json_integer(c->rate_mbit),
			 "compression",
			 c->compression < 0 ? json_null() : json_integer(c->compression), "verify",
			 c->verify < 0 ? json_null() : json_boolean(c->verify));
}

static void get_target(struct control *c, struct control_reply *out)
{
	bool files = disks_are_files(c->receiver->disks);

	control_json(out, 200,
		     json_pack("{s:s, s:s, s:o, s:i, s:i, s:s, s:[s, s], s:o}", "version",
			       COLDLIFT_VERSION, "kind", files ? "files" : "devices", "free_bytes",
			       files ? json_u64(disks_free_bytes(c->receiver->disks)) : json_null(),
			       "max_disks", DISKS_MAX, "chunk_bytes", (int)WIRE_CHUNK_BYTES,
			       "digest", wire_digest_name(WIRE_DIGEST_XXH3_128), "digests",
			       wire_digest_name(WIRE_DIGEST_XXH3_128),
			       wire_digest_name(WIRE_DIGEST_SHA256), "disks", disks_json(c)));
}

/* A failure of ours in the shape of the service. */
static void reply_failure(struct control_reply *out, int rc)
{
	static const struct {
		const char *code;
		unsigned status;
		const char *advice;
	} known[] = {
		{"PLAN_BAD", 400, "make the plan with this version's migrator"},
		{"TARGET_TOO_SMALL", 409, "give the receiver larger disks"},
		{"TARGET_SIZE_DIFFERS", 409, "use another receiver for another machine"},
		{"RECEIVER_BUSY", 409, "wait for it, or start a second receiver"},
		{"TARGET_IN_USE", 409, "stop what uses the target"},
		{"JOURNAL_FOREIGN", 409, "see the receiver's log"},
		{"JOURNAL_DAMAGED", 409, "see the receiver's log"},
		{"JOURNAL_CONTRADICTS", 409, "see the receiver's log"},
	};
	char *reason = strdup(err_reason());

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(err_code(), known[i].code) == 0) {
			control_error(out, known[i].status, known[i].code, reason, known[i].advice);
			free(reason);
			return;
		}
	if (rc == -ENOSPC)
		control_error(out, 507, "TARGET_FULL", reason, "make room on the receiver");
	else
		control_error(out, 500, "RECEIVER_FAILED", reason, "look at the receiver's log");
	free(reason);
}

/* A source that is at work resumes by its plan: another one's must not take its place. */
static int check_plan(struct control *c, const struct control_request *q, int artefact)
{
	CLEANUP_FREE char *old = NULL;
	size_t bytes = 0;

	if (!disks_have_source(c->receiver->disks) ||
	    vault_read(c->receiver->vault, VAULT_ARTEFACT, (unsigned)artefact, ARTEFACT_MAX_BYTES,
		       &old, &bytes) < 0 ||
	    (bytes == q->bytes && memcmp(old, q->body, bytes) == 0))
		return 0;
	return fail_code(EBUSY, "RECEIVER_BUSY",
			 "another source is writing to this receiver by another plan; stop it "
			 "first, or give this one a receiver of its own");
}

static void put_artefact(struct control *c, const struct control_request *q, int artefact,
			 const char *name, struct control_reply *out)
{
	CLEANUP_JSON json_t *json = NULL;
	int rc = 0;

	if (strstr(name, ".json")) {
		rc = json_parse(q->body, q->bytes, name, &json);
		if (rc < 0) {
			control_error(out, 400, "BODY_NOT_JSON", err_reason(), "send JSON");
			return;
		}
	}
	if (strcmp(name, "plan.json") == 0)
		rc = check_plan(c, q, artefact);
	if (rc == 0 && strcmp(name, "plan.json") == 0)
		rc = disks_apply_plan(c->receiver->disks, json);
	if (rc == 0)
		rc = vault_replace(c->receiver->vault, VAULT_ARTEFACT, (unsigned)artefact, q->body,
				   q->bytes);
	if (rc < 0)
		reply_failure(out, rc);
	else
		control_json(out, 200,
			     json_pack("{s:s, s:o}", "name", name, "bytes", json_u64(q->bytes)));
}

static void get_artefact(struct control *c, int artefact, const char *name,
			 struct control_reply *out)
{
	int rc = vault_read(c->receiver->vault, VAULT_ARTEFACT, (unsigned)artefact,
			    LEAVES_MAX_BYTES, &out->body, &out->bytes);

	if (rc == -ENOENT) {
		control_error(out, 404, "ARTEFACT_MISSING", "this artefact has not arrived yet",
			      "put it first");
		return;
	}
	out->status = 200;
	out->content_type = strstr(name, ".json")  ? "application/json"
			    : strstr(name, ".txt") ? "text/plain"
						   : "application/octet-stream";
	if (rc < 0)
		reply_failure(out, rc);
}

static void post_state(struct control *c, const struct control_request *q,
		       struct control_reply *out)
{
	json_t *json = NULL;

	int rc = json_parse(q->body, q->bytes, "state", &json);

	if (rc < 0 || !json_is_object(json)) {
		json_decref(json);
		control_error(out, 400, "BODY_NOT_JSON",
			      rc < 0 ? err_reason() : "the state is not a JSON object", "send one");
		return;
	}
	LOCK_SCOPE(&c->lock);
	json_decref(c->source_state);
	c->source_state = json;
	c->source_state_ms = clock_ms();
	control_json(out, 200, json_pack("{s:o}", "commands", orders(c)));
}

static void get_state(struct control *c, struct control_reply *out)
{
	json_t *disks = disks_json(c);
	LOCK_SCOPE(&c->lock);

	control_json(
		out, 200,
		json_pack("{s:o, s:o, s:o, s:o}", "source",
			  c->source_state ? json_incref(c->source_state) : json_null(),
			  "source_age_ms",
			  c->source_state ? json_u64(clock_ms() - c->source_state_ms) : json_null(),
			  "commands", orders(c), "disks", disks));
}

/* A number up to max, or null, which is -1; what is missing stays as it is. */
static int take_number(const json_t *json, const char *key, uint64_t max, int64_t *out)
{
	const json_t *v = json_object_get(json, key);
	uint64_t n = 0;
	int rc = json_get_u64_or(json, key, 0, &n);

	if (rc == 0 && n > max)
		rc = fail(ERANGE, "\"%s\" is at most %llu", key, (unsigned long long)max);
	if (rc == 0 && v)
		*out = json_is_null(v) ? -1 : (int64_t)n;
	return rc;
}

/* {"pause": bool, "cancel": bool, "rate_mbit": number or null, "compression": 0 to 10 or null,
 * "verify": bool or null}; what is missing stays as it is. */
static void post_command(struct control *c, const struct control_request *q,
			 struct control_reply *out)
{
	CLEANUP_JSON json_t *json = NULL;
	const json_t *verify;
	bool pause, cancel, read_back;
	int64_t mbit, step;
	int rc = json_parse(q->body, q->bytes, "command", &json);
	LOCK_SCOPE(&c->lock);

	if (rc == 0)
		rc = json_get_bool_or(json, "pause", c->pause, &pause);
	if (rc == 0)
		rc = json_get_bool_or(json, "cancel", c->cancel, &cancel);
	mbit = c->rate_mbit;
	step = c->compression;
	verify = json_object_get(json, "verify");
	if (rc == 0)
		rc = take_number(json, "rate_mbit", RATE_MAX_MBIT, &mbit);
	if (rc == 0)
		rc = take_number(json, "compression", COMPRESSION_MAX, &step);
	if (rc == 0)
		rc = json_get_bool_or(json, "verify", false, &read_back);
	if (rc < 0) {
		control_error(out, 400, "COMMAND_BAD", err_reason(),
			      "send {\"pause\": bool, \"cancel\": bool, \"rate_mbit\": number, "
			      "\"compression\": 0 to 10, \"verify\": bool}");
		return;
	}
	c->pause = pause;
	c->cancel = cancel;
	c->rate_mbit = mbit;
	c->compression = (int)step;
	if (verify)
		c->verify = json_is_null(verify) ? -1 : read_back;
	control_json(out, 200, json_pack("{s:o}", "commands", orders(c)));
}

static void put_log(struct control *c, const struct control_request *q, struct control_reply *out)
{
	int rc = vault_replace(c->receiver->vault, VAULT_LOG, 0, q->body, q->bytes);

	if (rc < 0)
		reply_failure(out, rc);
	else
		control_json(out, 200, json_pack("{s:o}", "bytes", json_u64(q->bytes)));
}

static void get_log(struct control *c, struct control_reply *out)
{
	int rc = vault_read(c->receiver->vault, VAULT_LOG, 0, LOG_MAX_BYTES, &out->body,
			    &out->bytes);

	out->status = 200;
	out->content_type = "text/plain; charset=utf-8";
	if (rc == -ENOENT)
		control_error(out, 404, "ARTEFACT_MISSING", "the source has sent no log yet",
			      "wait for it; a job with \"diagnostics\": false sends none");
	else if (rc < 0)
		reply_failure(out, rc);
}

static void post_image(struct control *c, const struct control_request *q,
		       struct control_reply *out)
{
	upload_post(c->receiver->upload, q->body, q->bytes, out);
}

static void get_image(struct control *c, struct control_reply *out)
{
	upload_get(c->receiver->upload, out);
}

static void delete_image(struct control *c, struct control_reply *out)
{
	upload_delete(c->receiver->upload, out);
}

struct route {
	const char *method, *path;
	void (*answer)(struct control *, struct control_reply *);
	void (*answer_body)(struct control *, const struct control_request *,
			    struct control_reply *);
};

static const struct route routes[] = {
	{"GET", "/v1/target", get_target, NULL},     {"GET", "/v1/state", get_state, NULL},
	{"POST", "/v1/state", NULL, post_state},     {"POST", "/v1/command", NULL, post_command},
	{"PUT", "/v1/log", NULL, put_log},	     {"GET", "/v1/log", get_log, NULL},
	{"GET", "/metrics", control_metrics, NULL},  {"GET", "/", control_page, NULL},
	{"POST", "/v1/image", NULL, post_image},     {"GET", "/v1/image", get_image, NULL},
	{"DELETE", "/v1/image", delete_image, NULL},
};

void control_path_unknown(struct control_reply *out)
{
	control_error(out, 404, "PATH_UNKNOWN", "there is nothing at this path and method",
		      "see docs/protocol.md");
}

void control_answer(struct control *c, const struct control_request *q, struct control_reply *out)
{
	const char *name;
	int artefact = artefact_of(q->path, &name);

	err_clear();
	if (artefact >= 0 && strcmp(q->method, "PUT") == 0) {
		put_artefact(c, q, artefact, name, out);
		return;
	}
	if (artefact >= 0 && strcmp(q->method, "GET") == 0) {
		get_artefact(c, artefact, name, out);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (strcmp(q->method, routes[i].method) != 0 ||
		    strcmp(q->path, routes[i].path) != 0)
			continue;
		if (routes[i].answer)
			routes[i].answer(c, out);
		else
			routes[i].answer_body(c, q, out);
		return;
	}
	control_path_unknown(out);
}
