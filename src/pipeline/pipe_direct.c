/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Way "direct": the receiver packs each disk and uploads it in parts by URLs that are made here,
 * one for each part, so that it holds no keys. What was uploaded stays when either of us is ended:
 * the multipart upload's id is in the journal, the receiver knows which parts it has sent.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "pipeline/pipe_cloud.h"
#include "pipeline/pipe_sync.h"

#define PART_BYTES  (16 * MIB)
#define PARTS_MAX   9998 /* docs/protocol.md */
#define FIRST_URLS  100
#define URL_VALID_S (6 * 3600)
#define SILENT_MS   (10ull * 60 * 1000)

static int upload_intend(struct course *c, json_t *fact)
{
	json_t *disks = json_object_get(course_fact(c, "sync"), "disks"), *list = json_array(),
	       *disk;
	char token[CLOUD_TOKEN_BYTES];
	int rc = cloud_new_token(token);
	size_t i;

	json_array_foreach (disks, i, disk) {
		uint64_t bytes = pipe_option_u64(disk, "size_bytes");
		uint64_t part = round_up(div_up(bytes + bytes / 999, PARTS_MAX), MIB);
		const char *key = arena_printf(c->arena, "run%u/disk%zu.qcow2", c->job->run, i);

		json_array_append_new(
			list, json_pack("{s:O, s:o, s:o}", "index", json_object_get(disk, "index"),
					"key", json_string(course_object(c, key).key), "part_bytes",
					json_u64(max_of(part, (uint64_t)PART_BYTES))));
	}
	json_object_set_new(fact, "disks", list);
	json_object_set_new(fact, "order", json_sprintf("r%u-%.16s", c->job->run, token));
	return rc;
}

static struct cloud_object object_of(struct course *c, const json_t *disk)
{
	struct cloud_object at = course_object(c, NULL);

	at.key = pipe_option(disk, "key");
	return at;
}

/* No token protects this call: an upload that was begun and forgotten is found by its key. */
static int begin_upload(struct course *c, json_t *fact, json_t *disk)
{
	struct cloud_object at = object_of(c, disk);
	struct cloud_upload *list = NULL;
	const char *id = NULL;
	size_t count = 0;
	int rc = 0;

	if (*pipe_option(disk, "upload_id"))
		return 0;
	if (c->resumed)
		rc = cloud_upload_list(c->cloud, &at, c->arena, &list, &count);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (strcmp(list[i].key, at.key) == 0)
			id = list[i].upload_id;
	}
	if (rc == 0 && !id)
		rc = cloud_upload_begin(c->cloud, &at, NULL, NULL, c->arena, &id);
	if (rc < 0)
		return rc;
	json_object_set_new(disk, "upload_id", json_string(id));
	return course_keep(c, fact);
}

static int add_url(struct course *c, const json_t *disk, unsigned number, json_t *urls)
{
	struct cloud_presign what = {.method = "PUT",
				     .at = object_of(c, disk),
				     .upload_id = pipe_option(disk, "upload_id"),
				     .part_number = number,
				     .valid_s = URL_VALID_S,
				     .internal = true};
	CLEANUP_ARENA struct arena *a = arena_new();
	char name[16];
	const char *url;
	int rc = a ? cloud_presign(c->cloud, &what, a, &url) : -ENOMEM;

	if (rc < 0)
		return rc;
	snprintf(name, sizeof(name), "%u", number);
	return json_object_set_new(urls, name, json_string(url)) < 0
		       ? fail(ENOMEM, "memory for the URLs of an upload")
		       : 0;
}

static json_t *rate_of(const struct course *c)
{
	uint64_t rate = pipe_option_u64(c->job->options, "upload_rate_mbit");

	return rate ? json_u64(rate) : json_null();
}

/* One order for all disks; urls is by the place of the disk in the list, NULL for no new ones. The
 * receiver takes it twice as it takes it once. */
static int post_order(struct course *c, const json_t *fact, bool pause, json_t *const urls[])
{
	json_t *disks = json_object_get(fact, "disks"), *list = json_array(), *disk;
	CLEANUP_JSON json_t *order = NULL;
	size_t i;

	json_array_foreach (disks, i, disk)
		json_array_append_new(list,
				      json_pack("{s:O, s:s, s:O, s:O*, s:O*}", "index",
						json_object_get(disk, "index"), "format", "qcow2",
						"part_bytes", json_object_get(disk, "part_bytes"),
						"root", json_object_get(disk, "proved"), "urls",
						urls ? urls[i] : NULL));
	order = json_pack("{s:s, s:b, s:o, s:o}", "order", pipe_option(fact, "order"), "pause",
			  pause, "rate_mbit", rate_of(c), "disks", list);
	return order ? wire_control_post(c->link, "/v1/image", order, NULL, NULL)
		     : fail(ENOMEM, "memory for an order");
}

/* The URLs that the receiver asks for, or the first ones. */
static int give_urls(struct course *c, const json_t *fact, const json_t *report)
{
	json_t *disks = json_object_get(fact, "disks"), *disk, *urls[PIPE_DISKS_MAX] = {NULL};
	bool any = !report;
	int rc = 0;
	size_t i;

	json_array_foreach (disks, i, disk) {
		json_t *wanted = json_object_get(
			json_array_get(json_object_get(report, "disks"), i), "urls_wanted");
		size_t count = report ? json_array_size(wanted) : FIRST_URLS;

		urls[i] = json_object();
		for (size_t n = 0; rc == 0 && n < count; n++) {
			json_int_t number = report ? json_integer_value(json_array_get(wanted, n))
						   : (json_int_t)n + 1;

			if (number < 1 || number > 10000)
				continue;
			any = true;
			rc = add_url(c, disk, (unsigned)number, urls[i]);
		}
	}
	if (rc == 0 && any)
		rc = post_order(c, fact, c->job->paused, urls);
	for (i = 0; i < PIPE_DISKS_MAX; i++)
		json_decref(urls[i]);
	return rc;
}

static void show_upload(struct course *c, const json_t *report)
{
	json_t *disks = json_object_get(report, "disks"), *disk;
	uint64_t done = 0, size = 0, sent = 0;
	char text[32];
	size_t i;

	json_array_foreach (disks, i, disk) {
		done += pipe_option_u64(disk, "done_bytes");
		size += pipe_option_u64(disk, "size_bytes");
		sent += pipe_option_u64(disk, "sent_bytes");
	}
	course_progress(c, done, size);
	snprintf(c->progress.step, sizeof(c->progress.step), "upload of the images, %s sent",
		 num_bytes_text(sent, text, sizeof(text)));
}

/* The upload is gone from the store: what was sent is lost, so the next try begins a new one. */
static void forget_uploads(struct course *c, json_t *fact)
{
	json_t *disks = json_object_get(fact, "disks"), *disk;
	char code[64], reason[512];
	size_t i;

	snprintf(code, sizeof(code), "%s", err_code());
	snprintf(reason, sizeof(reason), "%s", err_reason());
	json_array_foreach (disks, i, disk)
		json_object_del(disk, "upload_id");
	if (wire_control_delete(c->link, "/v1/image", NULL, NULL) < 0 || course_keep(c, fact) < 0)
		log_warn("the upload cannot be given up: %s", err_reason());
	err_adopt(code, reason);
}

/* Whether the order is paused, and how fast it may be, is what the job says now. */
static bool stands_as_ordered(const struct course *c, const json_t *report)
{
	CLEANUP_JSON json_t *rate = rate_of(c);

	return json_is_true(json_object_get(report, "paused")) == c->job->paused &&
	       json_equal(json_object_get(report, "rate_mbit"), rate);
}

/* 1: all parts are there; *report is then the last word. */
static int look_at_upload(struct course *c, json_t *fact, json_t **report)
{
	const char *state;
	int rc = wire_control_get(c->link, "/v1/image", NULL, report);

	if (rc < 0)
		return rc;
	state = pipe_option(*report, "state");
	show_upload(c, *report);
	if (strcmp(state, "Finished") == 0)
		return 1;
	/* Another receiver's state, or one that was made anew: give it the order again. */
	if (strcmp(pipe_option(*report, "order"), pipe_option(fact, "order")) != 0)
		return give_urls(c, fact, NULL);
	if (strcmp(state, "InError") == 0) {
		rc = fail_code(EREMOTEIO,
			       *pipe_option(*report, "code") ? pipe_option(*report, "code")
							     : "UPLOAD_REFUSED",
			       "%s", pipe_option(*report, "message"));
		if (strcmp(err_code(), "UPLOAD_GONE") == 0)
			forget_uploads(c, fact);
		if (strcmp(err_code(), "IMAGE_MEDIUM_DIFFERS") == 0) {
			forget_uploads(c, fact);
			sync_again(c);
		}
		return rc;
	}
	if (!stands_as_ordered(c, *report))
		return post_order(c, fact, c->job->paused, NULL);
	return give_urls(c, fact, *report);
}

/* A receiver that restarts, or a network that is away for a while, is waited for. */
static int wait_upload(struct course *c, json_t *fact, json_t **report)
{
	uint64_t heard_ms = clock_ms();
	int rc = 0;

	while (rc == 0) {
		json_t *now = NULL;

		rc = look_at_upload(c, fact, &now);
		if (rc == 1) {
			*report = now;
			return 0;
		}
		json_decref(now);
		if (rc == 0)
			heard_ms = clock_ms();
		else if (strcmp(err_code(), "RECEIVER_UNREACHABLE") == 0 &&
			 clock_ms() - heard_ms < SILENT_MS)
			rc = 0;
		if (rc == 0)
			rc = course_wait(c, c->poll_ms);
	}
	return rc;
}

static int complete_one(struct course *c, const json_t *disk, const json_t *report)
{
	struct cloud_object at = object_of(c, disk);
	json_t *parts = json_object_get(report, "parts"), *part;
	const char *crc = pipe_option(report, "object_crc64");
	struct cloud_object_info info;
	struct cloud_part *list;
	size_t i;
	int rc;

	if (!json_array_size(parts))
		return fail_code(EBADMSG, "RECEIVER_REPLY_INVALID", "it lists no parts of %s",
				 at.key);
	list = arena_alloc(c->arena, json_array_size(parts) * sizeof(*list));
	json_array_foreach (parts, i, part) {
		char *etag = arena_strdup(c->arena, pipe_option(part, "etag"));
		size_t n = strlen(etag);

		if (n >= 2 && etag[0] == '"' && etag[n - 1] == '"') {
			etag[n - 1] = '\0';
			etag++;
		}
		list[i] = (struct cloud_part){.number = (unsigned)pipe_option_u64(part, "number"),
					      .etag = etag};
	}
	rc = cloud_upload_complete(c->cloud, &at, pipe_option(disk, "upload_id"), list, i);
	if (rc == 0)
		rc = cloud_object_head(c->cloud, &at, c->arena, &info);
	if (rc == 0 && (info.bytes != pipe_option_u64(report, "object_bytes") ||
			(*info.crc64 && *crc && strcmp(info.crc64, crc) != 0)))
		rc = fail_code(EBADMSG, "UPLOAD_DIFFERS", "object %s is not what was sent", at.key);
	return rc;
}

static int complete(struct course *c, json_t *fact, const json_t *report)
{
	json_t *disks = json_object_get(fact, "disks"), *disk, *objects = json_array();
	json_t *reports = json_object_get(report, "disks");
	int rc = 0;
	size_t i;

	json_array_foreach (disks, i, disk) {
		const json_t *one = json_array_get(reports, i);

		if (rc == 0)
			rc = complete_one(c, disk, one);
		if (rc == 0 && *pipe_option(disk, "proved") &&
		    strcmp(pipe_option(disk, "proved"), pipe_option(one, "root")) != 0)
			rc = fail_code(EBADMSG, "IMAGE_MEDIUM_DIFFERS",
				       "the root of %s is %s, and %s was verified",
				       pipe_option(disk, "key"), pipe_option(one, "root"),
				       pipe_option(disk, "proved"));
		json_array_append(objects, json_object_get(disk, "key"));
		if (*pipe_option(one, "root"))
			json_object_set(disk, "root", json_object_get(one, "root"));
	}
	json_object_set_new(fact, "objects", objects);
	if (rc < 0) {
		json_object_del(fact, "objects");
		return rc;
	}
	/* Behind this the receiver may forget; the objects are there. */
	return course_keep(c, fact);
}

/* The receiver goes on by itself, unless it is told; a start tells it to. */
static void hold_upload(struct course *c, const json_t *fact)
{
	if (post_order(c, fact, true, NULL) < 0)
		log_warn("the upload cannot be held: %s", err_reason());
	(void)fail(ECANCELED, "the job is left here");
}

/* As the last transfer was verified. */
static void take_roots(struct course *c, json_t *fact)
{
	json_t *synced = json_object_get(course_fact(c, "sync"), "disks");
	json_t *disks = json_object_get(fact, "disks"), *disk;
	size_t i;

	json_array_foreach (disks, i, disk) {
		json_t *root = json_object_get(json_array_get(synced, i), "root");

		if (root)
			json_object_set(disk, "proved", root);
		else
			json_object_del(disk, "proved");
	}
}

static int order_upload(struct course *c, const json_t *fact)
{
	unsigned lost = 0;
	int rc;

	do {
		rc = give_urls(c, fact, NULL);
	} while (course_link_again(c, &lost, &rc));
	return rc;
}

static int drop_order(struct course *c)
{
	unsigned lost = 0;
	int rc;

	do {
		rc = wire_control_delete(c->link, "/v1/image", NULL, NULL);
	} while (course_link_again(c, &lost, &rc));
	return rc;
}

static int upload_make(struct course *c, json_t *fact)
{
	json_t *disks = json_object_get(fact, "disks"), *disk;
	CLEANUP_JSON json_t *report = NULL;
	int rc = course_cloud(c);
	size_t i;

	if (rc == 0)
		rc = course_power_on(c);
	take_roots(c, fact);
	if (rc == 0 && !json_object_get(fact, "objects")) {
		json_array_foreach (disks, i, disk) {
			if (rc == 0)
				rc = begin_upload(c, fact, disk);
		}
		if (rc == 0)
			rc = order_upload(c, fact);
		if (rc == 0)
			rc = wait_upload(c, fact, &report);
		if (rc == -ECANCELED && c->leave == PIPE_LEAVE_STOP)
			hold_upload(c, fact);
		if (rc == 0)
			rc = complete(c, fact, report);
	}
	/* The disks may be written again, by the next run. */
	return rc < 0 || course_last_run(c) ? rc : drop_order(c);
}

static int upload_undo(struct course *c, json_t *fact)
{
	struct cloud_object at = course_object(c, NULL);
	json_t *disks = json_object_get(fact, "disks"), *disk;
	int rc = 0;
	size_t i;

	if (c->link && wire_control_delete(c->link, "/v1/image", NULL, NULL) < 0)
		log_debug("the receiver keeps its order: %s", err_reason());
	json_array_foreach (disks, i, disk) {
		at.key = pipe_option(disk, "key");
		if (rc == 0)
			rc = course_delete_objects(c, at.key);
	}
	return rc;
}

const struct pipe_step upload_step = {
	.name = "upload",
	.phase = PIPE_PROCESSING,
	.per_run = true,
	.temporary = true,
	.costs = "objects in the bucket, by their size, as long as they exist",
	.wanted = is_direct,
	.intend = upload_intend,
	.make = upload_make,
	.undo = upload_undo,
};
