/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A receiver inside the test program, on loopback, with its state in a directory of its own. */
#ifndef RECEIVER_FIXTURE_H
#define RECEIVER_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "receiver/receiver.h"
#include "wire/wire.h"

#include "unit.h"

/* cmocka's fail_msg() goes through its macro fail(), which unit.h takes away. */
#define give_up(...)                       \
	do {                               \
		print_error(__VA_ARGS__);  \
		print_error("\n");         \
		_fail(__FILE__, __LINE__); \
	} while (0)

/* A hang is found by this; a machine that is busy with other things takes less. */
#define FIXTURE_PATIENCE_MS 60000

struct fixture {
	char dir[64], state[80], files[80], listen[24];
	struct receiver_options options;
	struct receiver *receiver;
	struct wire_activation activation;
	enum wire_digest_kind digest; /* that connections ask for; 0: XXH3-128 */
};

static inline void fixture_start(struct fixture *f)
{
	log_setup(LOG_LEVEL_ERROR, NULL, NULL);
	if (receiver_start(&f->options, &f->receiver) < 0)
		give_up("receiver: %s %s", err_code(), err_reason());
	assert_int_equal(wire_activation_parse(receiver_activation(f->receiver), &f->activation),
			 0);
}

static inline void fixture_stop(struct fixture *f)
{
	receiver_stop(f->receiver);
	f->receiver = NULL;
}

static inline void fixture_new(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	strcpy(f->dir, "/tmp/coldlift-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->state, sizeof(f->state), "%s/state", f->dir);
	snprintf(f->files, sizeof(f->files), "%s/files", f->dir);
	/* An address of its own: a port that a restart gives up meanwhile is nobody else's. */
	snprintf(f->listen, sizeof(f->listen), "127.%u.%u.%u", 1 + (unsigned)getpid() / 62500 % 254,
		 (unsigned)getpid() / 250 % 250, 1 + (unsigned)getpid() % 250);
	f->options = (struct receiver_options){.state_dir = f->state,
					       .files_dir = f->files,
					       .listen = f->listen,
					       .advertise = f->listen,
					       .token_uses = 100,
					       .token_days = 1,
					       .commit_ms = 20};
	fixture_start(f);
}

static inline void fixture_free(struct fixture *f)
{
	fixture_stop(f);
	remove_tree(f->dir);
}

/* Put a plan with these target sizes; 0 ends the list. Returns what the client returned. */
static inline int fixture_plan(struct fixture *f, const uint64_t *sizes)
{
	CLEANUP_JSON json_t *plan = json_pack("{s:[]}", "disks");
	CLEANUP_FREE char *text = NULL;
	struct wire_control *c = NULL;
	int rc;

	for (int i = 0; sizes[i]; i++)
		json_array_append_new(
			json_object_get(plan, "disks"),
			json_pack("{s:i, s:I}", "index", i, "target_bytes", (json_int_t)sizes[i]));
	text = json_text(plan);
	assert_int_equal(wire_control_open(&f->activation, FIXTURE_PATIENCE_MS, &c), 0);
	rc = wire_control_put(c, "/v1/artefact/plan.json", text, strlen(text), NULL, NULL, NULL);
	wire_control_close(c);
	return rc;
}

/* A data connection; run 0: without run id. NULL when it was refused: see err_code(). */
static inline struct wire_nbd *fixture_open(struct fixture *f, unsigned disk, uint8_t run)
{
	char name[WIRE_EXPORT_MAX];
	struct wire_nbd_options o = {.host = f->activation.host,
				     .port = f->activation.data_port,
				     .export_name = name,
				     .pin = f->activation.pin,
				     .digest = f->digest,
				     .window = 8,
				     .timeout_ms = FIXTURE_PATIENCE_MS};
	struct wire_nbd *n = NULL;

	wire_export_name(f->activation.token, disk, name);
	if (run)
		memset(o.run_id, run, sizeof(o.run_id));
	return wire_nbd_open(&o, &n) < 0 ? NULL : n;
}

/* Closing does not wait for the receiver's end: a connection of another run may still be leaving.
 */
static inline struct wire_nbd *fixture_must_open(struct fixture *f, unsigned disk, uint8_t run)
{
	uint64_t until_ms = clock_ms() + FIXTURE_PATIENCE_MS;
	struct wire_nbd *n;

	while (!(n = fixture_open(f, disk, run)) && strcmp(err_code(), "RECEIVER_BUSY") == 0 &&
	       clock_ms() < until_ms)
		usleep(1000);
	if (!n)
		give_up("open: %s %s", err_code(), err_reason());
	return n;
}

/* Some content that differs from chunk to chunk and version to version, with zero blocks in it. */
static inline void make_chunk(uint8_t *data, size_t bytes, unsigned seed)
{
	memset(data, 0, bytes);
	for (size_t at = 0; at < bytes; at += WIRE_BLOCK_BYTES)
		if (at / WIRE_BLOCK_BYTES % 5 != seed % 5)
			for (size_t i = at; i < min_of(at + WIRE_BLOCK_BYTES, bytes); i++)
				data[i] = (uint8_t)(seed * 31 + i / 16 + i);
}

static inline int send_chunk_as(struct wire_nbd *n, uint64_t chunk, const uint8_t *data,
				size_t bytes, bool zstd, bool spoil)
{
	CLEANUP_FREE uint8_t *frame = malloc(ZSTD_compressBound(WIRE_CHUNK_BYTES));
	CLEANUP_FREE uint8_t *blocks = malloc(WIRE_CHUNK_BYTES);
	struct wire_chunk c = {.data = data, .data_bytes = (uint32_t)bytes};
	struct wire_request r = {.command = NBD_CMD_CHUNK_WRITE,
				 .offset_bytes = chunk << WIRE_CHUNK_SHIFT,
				 .chunk = &c};
	struct wire_done done = {0};
	int rc;

	assert_true(wire_chunk_scan(data, bytes, c.bitmap) > 0);
	wire_digest_of(wire_nbd_info(n)->digest)(data, bytes, c.digest);
	if (zstd) {
		size_t present = wire_chunk_gather(data, bytes, c.bitmap, blocks);

		c.codec = WIRE_CODEC_ZSTD;
		c.data = frame;
		c.data_bytes = (uint32_t)ZSTD_compress(frame, ZSTD_compressBound(WIRE_CHUNK_BYTES),
						       blocks, present, 1);
		assert_true(c.data_bytes < present);
	}
	if (spoil)
		c.digest[3] ^= 1;
	rc = wire_nbd_call(n, &r, &done);
	return rc;
}

static inline void send_chunk(struct wire_nbd *n, uint64_t chunk, unsigned seed, bool zstd)
{
	CLEANUP_FREE uint8_t *data = malloc(WIRE_CHUNK_BYTES);
	size_t bytes = min_of((uint64_t)WIRE_CHUNK_BYTES,
			      wire_nbd_info(n)->size_bytes - (chunk << WIRE_CHUNK_SHIFT));

	make_chunk(data, bytes, seed);
	if (send_chunk_as(n, chunk, data, bytes, zstd, false) < 0)
		give_up("%s", err_reason());
}

#endif
