/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the uploader takes from others and from its own earlier life: orders, what was saved of a
 * disk, and the state of an image; and the frames between it and the server. The first byte
 * chooses; sums are put right, or they would hide what comes after them.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/num.h"
#include "image/layout.h"
#include "receiver/upload_frame.h"
#include "receiver/upload_private.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void an_order(const uint8_t *data, size_t size)
{
	json_t *json = NULL, *merged = NULL;
	struct upload_order o;

	if (json_parse((const char *)data, size, "fuzz", &json) == 0 &&
	    upload_order_read(json, &o) == 0) {
		assert(o.disk_count >= 1 && o.disk_count <= UPLOAD_DISKS_MAX);
		assert(o.connections >= 1 && o.connections <= UPLOAD_CONNECTIONS_MAX);
		for (size_t i = 0; i < o.disk_count; i++)
			assert(o.disks[i].index < 32 && o.disks[i].options.part_bytes >= 1 << 20);
		assert(upload_order_merge(json, json, &merged) == 0);
		assert(upload_order_read(merged, &o) == 0);
	}
	json_decref(json);
	json_decref(merged);
}

static uint8_t *with_sum(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + HASH_SHA256_BYTES);

	if (size)
		memcpy(copy, data, size);
	hash_sha256(copy, size, copy + size);
	return copy;
}

static void what_was_saved(const uint8_t *data, size_t size)
{
	struct upload_disk d = {.name = "disk0", .fd = -1};
	uint8_t *copy = with_sum(data, size);

	d.parts = calloc(UPLOAD_PARTS_MAX + 1, sizeof(*d.parts));
	upload_saved_read(&d, "job-1", copy, size + HASH_SHA256_BYTES);
	assert(d.checkpoint <= UPLOAD_PARTS_MAX && !d.state == !d.state_bytes);
	free(d.parts);
	free(d.state);
	free(copy);
}

static uint8_t *no_buffer(void *ctx)
{
	(void)ctx;
	return NULL;
}

static int no_part(void *ctx, const struct image_part *part)
{
	(void)ctx;
	(void)part;
	return 0;
}

/* Behind its first bytes, which say what it belongs to and are taken from a real one. */
static void a_state(const uint8_t *data, size_t size, enum image_format format)
{
	const struct image_source s = {.name = "fuzz",
				       .disk_bytes = 5 << 20,
				       .image_bytes = 5 << 20,
				       .digest = wire_digest};
	const struct image_options o = {.format = format, .level = 4, .part_bytes = 1 << 20};
	const struct image_sink sink = {.buffer = no_buffer, .part = no_part};
	const size_t subject = 8 + 4 + 3 * 8 + 24;
	struct layout *l = NULL;
	uint8_t *body, *copy;

	if (layout_new(&s, &o, &sink, &l) < 0)
		return;
	layout_save(l);
	body = malloc(subject + size);
	memcpy(body, l->state, subject);
	if (size)
		memcpy(body + subject, data, size);
	copy = with_sum(body, subject + size);
	if (layout_load(l, copy, subject + size + HASH_SHA256_BYTES) == 0)
		assert(l->next_cluster <= 80 && l->merkle.leaves <= 5);
	layout_free(l);
	free(body);
	free(copy);
}

/* The uploader faces stores; what it tells the server is not believed. */
static void frames(const uint8_t *data, size_t size)
{
	struct upload_frame f;
	int pair[2];

	/* An honest announcement of a gibibyte would take it. */
	if (size >= 5 && data[4])
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return;
	if (size == 0 || write(pair[1], data, size) == (ssize_t)size) {
		shutdown(pair[1], SHUT_WR);
		if (upload_frame_receive(pair[0], &f) == 1) {
			assert(f.data && f.fd < 0 && f.data[f.bytes] == 0);
			free(f.data);
		}
	}
	close(pair[0]);
	close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0]) {
	case 's':
		what_was_saved(data + 1, size - 1);
		break;
	case 'q':
		a_state(data + 1, size - 1, IMAGE_QCOW2);
		break;
	case 'r':
		a_state(data + 1, size - 1, IMAGE_RAW);
		break;
	case 'f':
		frames(data + 1, min_of(size - 1, (size_t)60000));
		break;
	default:
		an_order(data, size);
	}
	return 0;
}
