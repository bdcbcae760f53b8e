/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The answer of GET /v1/image. */
#include "receiver/upload_status.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/num.h"

#define WANTED_MAX  64
#define WANTED_FROM 16 /* unused URLs that are left when more are asked for */

static const char *const states[] = {
	[UPLOAD_READY] = "Ready",      [UPLOAD_RUNNING] = "Running",   [UPLOAD_WAITING] = "Waiting",
	[UPLOAD_IN_ERROR] = "InError", [UPLOAD_FINISHED] = "Finished",
};

static enum upload_state disk_state(const struct upload_work *w, const struct upload_disk *d)
{
	if (d->progress != UPLOAD_RUNNING)
		return d->progress;
	if (w->in_error)
		return UPLOAD_IN_ERROR;
	return upload_waits(w, d) ? UPLOAD_WAITING : UPLOAD_RUNNING;
}

static enum upload_state order_state(const struct upload_work *w)
{
	bool finished = true;

	if (w->in_error)
		return UPLOAD_IN_ERROR;
	for (size_t i = 0; i < w->disk_count; i++) {
		if (disk_state(w, w->disks[i]) == UPLOAD_WAITING)
			return UPLOAD_WAITING;
		finished &= w->disks[i]->progress == UPLOAD_FINISHED;
	}
	return finished ? UPLOAD_FINISHED : UPLOAD_RUNNING;
}

/* So many parts an image can have at most. */
static unsigned parts_max(const struct upload_disk *d)
{
	uint64_t bytes = d->disk_bytes + d->disk_bytes / 1000 + 2 * MIB;

	return (unsigned)min_of(div_up(bytes, d->options.part_bytes) + 1,
				(uint64_t)UPLOAD_PARTS_MAX);
}

static bool lacks_url(const struct upload_part *p)
{
	return !p->done && (!p->url || p->refused);
}

/* Those that are packed and cannot be sent, and, when few URLs are left, those that come next. */
static json_t *urls_wanted(const struct upload_disk *d)
{
	unsigned last = d->packed ? d->packing : max_of(parts_max(d), d->packing), unused = 0;
	json_t *list = json_array();

	for (unsigned n = 1; n <= last; n++)
		unused += !d->parts[n].done && !lacks_url(&d->parts[n]);
	for (unsigned n = 1; n <= last && json_array_size(list) < WANTED_MAX; n++)
		if (lacks_url(&d->parts[n]) &&
		    (d->parts[n].refused || n <= d->packing || unused < WANTED_FROM))
			json_array_append_new(list, json_integer(n));
	return list;
}

static json_t *urls_refused(const struct upload_disk *d)
{
	json_t *list = json_array();

	for (unsigned n = 1; n <= UPLOAD_PARTS_MAX && json_array_size(list) < WANTED_MAX; n++)
		if (d->parts[n].refused && !d->parts[n].done)
			json_array_append_new(list, json_integer(n));
	return list;
}

static json_t *decimal(uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	return json_string(text);
}

static json_t *parts(const struct upload_disk *d)
{
	json_t *list = json_array();

	for (unsigned n = 1; n <= d->result.parts; n++) {
		const struct upload_part *p = &d->parts[n];

		json_array_append_new(list, json_pack("{s:i, s:o, s:o, s:o}", "number", (int)n,
						      "bytes", json_u64(p->bytes), "etag",
						      json_str(p->etag), "crc64", decimal(p->crc)));
	}
	return list;
}

static void add_result(const struct upload_disk *d, json_t *out)
{
	bool finished = d->progress == UPLOAD_FINISHED;
	char root[2 * MERKLE_ROOT_BYTES + 1];

	hex_encode(d->result.root, sizeof(d->result.root), root);
	json_object_set_new(out, "parts", finished ? parts(d) : json_null());
	json_object_set_new(out, "object_bytes",
			    finished ? json_u64(d->result.file_bytes) : json_null());
	json_object_set_new(out, "object_crc64", finished ? decimal(d->object_crc) : json_null());
	json_object_set_new(out, "digest", json_string(wire_digest_name(d->digest)));
	json_object_set_new(out, "root", finished ? json_string(root) : json_null());
}

static json_t *disk_status(const struct upload_work *w, const struct upload_disk *d)
{
	bool finished = d->progress == UPLOAD_FINISHED;
	uint64_t sent = 0, done = 0;
	unsigned count = 0;
	json_t *out;

	for (unsigned n = 1; n <= UPLOAD_PARTS_MAX; n++) {
		if (!d->parts[n].done)
			continue;
		sent += d->parts[n].bytes;
		count++;
		if (n <= max_of(d->checkpoint, 1u))
			done = max_of(done, d->parts[n].done_bytes);
	}
	if (finished)
		done = d->disk_bytes;
	out = json_pack(
		"{s:i, s:s, s:s, s:i, s:o, s:s, s:o, s:o, s:o, s:i, s:o, s:o, s:o}", "index",
		(int)d->index, "format", image_format_name(d->options.format), "compression",
		d->options.format == IMAGE_RAW ? "none"
					       : image_compression_name(d->options.compression),
		"level", (int)d->options.level, "part_bytes", json_u64(d->options.part_bytes),
		"state", states[disk_state(w, d)], "size_bytes", json_u64(d->disk_bytes),
		"done_bytes", json_u64(done), "sent_bytes", json_u64(sent), "parts_done",
		(int)count, "retries", json_u64(d->retries), "urls_wanted",
		finished ? json_array() : urls_wanted(d), "urls_refused",
		finished ? json_array() : urls_refused(d));
	if (out)
		add_result(d, out);
	return out;
}

static const char *advice_of(const char *code)
{
	static const struct {
		const char *code, *advice;
	} known[] = {
		{"UPLOAD_URL_REFUSED", "Post the order again with new URLs for urls_wanted."},
		{"UPLOAD_UNREACHABLE", "Check this machine's route and name service to the store; "
				       "then post the order again."},
		{"UPLOAD_GONE",
		 "DELETE the order, begin another multipart upload, and order anew."},
		{"UPLOAD_REFUSED", "Make the URLs anew as docs/protocol.md says, DELETE the order, "
				   "and order anew."},
		{"UPLOAD_TLS", "Check this machine's clock and certificates, or give \"ca\" with "
			       "the order; then post it again."},
		{"UPLOAD_DIFFERS",
		 "Something on the way changes data. Post the order again; when it "
		 "stays, use another machine."},
		{"IMAGE_MEDIUM_DIFFERS", "Replace the disk of this machine, and copy again."},
		{"IMAGE_PARTS_EXCEEDED",
		 "DELETE the order, and order anew with larger part_bytes."},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(code, known[i].code) == 0)
			return known[i].advice;
	return NULL;
}

json_t *upload_status(const struct upload_work *w)
{
	json_t *list, *out;

	if (!w->json)
		return json_pack("{s:n, s:s}", "order", "state", states[UPLOAD_READY]);
	list = json_array();
	for (size_t i = 0; i < w->disk_count; i++)
		json_array_append_new(list, disk_status(w, w->disks[i]));
	out = json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:i, s:o}", "order", w->order.id,
			"state", states[order_state(w)], "paused", w->order.pause, "rate_mbit",
			w->order.rate_mbit ? json_u64(w->order.rate_mbit) : json_null(), "code",
			w->code[0] ? json_str(w->code) : json_null(), "message",
			w->message[0] ? json_str(w->message) : json_null(), "advice",
			json_str(advice_of(w->code)), "connections", (int)w->connections, "disks",
			list);
	return out;
}
