/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The receiver and our own client, over TLS on loopback. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "receiver_fixture.h"

#define DISK_BYTES (8 * MIB + 12288) /* the last chunk is short */

/* While this is set no sync of a disk comes to its end. */
static atomic_bool slow;

int fdatasync(int fd)
{
	while (atomic_load(&slow))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	return (int)syscall(SYS_fdatasync, fd);
}

/* A client that waits does it by this call, and finds the disk done with it. */
int usleep(useconds_t us)
{
	atomic_store(&slow, false);
	return nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000},
			 NULL);
}

static int set_up(void **state)
{
	static const uint64_t sizes[] = {DISK_BYTES, 4 * GIB, 0};
	struct fixture *f = malloc(sizeof(*f));

	fixture_new(f);
	assert_int_equal(fixture_plan(f, sizes), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	atomic_store(&slow, false);
	fixture_free(*state);
	free(*state);
	return 0;
}

static void check_on_disk(struct fixture *f, unsigned disk, uint64_t chunk, size_t bytes,
			  unsigned seed)
{
	CLEANUP_FREE uint8_t *want = malloc(WIRE_CHUNK_BYTES);
	CLEANUP_FREE uint8_t *have = malloc(WIRE_CHUNK_BYTES);
	CLEANUP_CLOSE int fd = -1;
	char path[128];

	make_chunk(want, bytes, seed);
	snprintf(path, sizeof(path), "%s/disk%u.raw", f->files, disk);
	fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, have, bytes, (off_t)(chunk << WIRE_CHUNK_SHIFT)), bytes);
	assert_memory_equal(have, want, bytes);
}

struct seen {
	struct {
		enum wire_chunk_state state;
		bool this_run, durable;
		uint8_t digest[WIRE_DIGEST_BYTES];
	} chunk[16];
};

static int see(void *ctx, uint64_t first, uint32_t count, enum wire_chunk_state state,
	       bool this_run, bool durable, const uint8_t *digests)
{
	struct seen *s = ctx;

	for (uint32_t i = 0; i < count && first + i < ARRAY_SIZE(s->chunk); i++) {
		s->chunk[first + i].state = state;
		s->chunk[first + i].this_run = this_run;
		s->chunk[first + i].durable = durable;
		if (digests)
			memcpy(s->chunk[first + i].digest, digests + i * WIRE_DIGEST_BYTES,
			       WIRE_DIGEST_BYTES);
	}
	return 0;
}

static struct seen ask(struct wire_nbd *n)
{
	struct seen s;

	memset(&s, 0xee, sizeof(s));
	assert_int_equal(wire_nbd_digests(n, 0, 9, see, &s), 0);
	return s;
}

static void commit(struct wire_nbd *n, struct wire_durable *d)
{
	if (wire_nbd_durable(n, true, d) < 0)
		give_up("%s", err_reason());
}

static int call(struct wire_nbd *n, enum nbd_command command, uint64_t offset, uint32_t length,
		void *data)
{
	struct wire_request r = {.command = command,
				 .offset_bytes = offset,
				 .length_bytes = length,
				 .data = data,
				 .into = data};
	struct wire_done done;

	return wire_nbd_call(n, &r, &done);
}

static void chunks_arrive_plain_and_compressed(void **state)
{
	struct fixture *f = *state;
	struct wire_nbd *n = fixture_must_open(f, 0, 1);
	uint8_t digest[WIRE_DIGEST_MAX];
	CLEANUP_FREE uint8_t *data = malloc(WIRE_CHUNK_BYTES);
	struct wire_durable d;
	struct seen s;

	assert_true(wire_nbd_info(n)->chunks_ok && wire_nbd_info(n)->zstd_ok &&
		    wire_nbd_info(n)->tls);
	assert_true(wire_nbd_info(n)->multi_conn_ok && wire_nbd_info(n)->block_status_ok);
	send_chunk(n, 0, 1, false);
	send_chunk(n, 3, 2, true);
	send_chunk(n, 8, 3, true);
	commit(n, &d);
	assert_int_equal(d.chunks, 9);
	assert_int_equal(d.durable_chunks, 3);
	assert_int_equal(d.pending_chunks, 0);
	assert_true(d.same_run);
	check_on_disk(f, 0, 0, WIRE_CHUNK_BYTES, 1);
	check_on_disk(f, 0, 3, WIRE_CHUNK_BYTES, 2);
	check_on_disk(f, 0, 8, 12288, 3);
	s = ask(n);
	assert_int_equal(s.chunk[0].state, WIRE_DATA);
	assert_true(s.chunk[0].this_run && s.chunk[0].durable);
	assert_int_equal(s.chunk[1].state, WIRE_ZERO);
	assert_true(!s.chunk[1].this_run && s.chunk[1].durable);
	make_chunk(data, 12288, 3);
	wire_digest(data, 12288, digest);
	assert_memory_equal(s.chunk[8].digest, digest, WIRE_DIGEST_BYTES);
	wire_nbd_close(n);
}

static void a_chunk_that_does_not_match_its_digest_is_refused(void **state)
{
	struct wire_nbd *n = fixture_must_open(*state, 0, 1);
	CLEANUP_FREE uint8_t *data = malloc(WIRE_CHUNK_BYTES);
	struct seen s;

	make_chunk(data, WIRE_CHUNK_BYTES, 7);
	assert_int_equal(send_chunk_as(n, 2, data, WIRE_CHUNK_BYTES, false, true), -EBADMSG);
	assert_non_null(strstr(err_reason(), "does not match its digest"));
	assert_int_equal(send_chunk_as(n, 2, data, WIRE_CHUNK_BYTES, true, true), -EBADMSG);
	s = ask(n);
	assert_int_equal(s.chunk[2].state, WIRE_ZERO); /* nothing was written */
	send_chunk(n, 2, 7, true);		       /* and the connection goes on */
	wire_nbd_close(n);
}

static void what_is_durable_is_known_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct wire_nbd *n = fixture_must_open(f, 0, 1);
	struct wire_durable d;
	struct seen s;

	send_chunk(n, 0, 1, false);
	send_chunk(n, 5, 2, true);
	assert_int_equal(call(n, NBD_CMD_WRITE_ZEROES, 6 * MIB, 2 * MIB, NULL), 0);
	commit(n, &d);
	wire_nbd_close(n);
	fixture_stop(f);
	fixture_start(f);
	n = fixture_must_open(f, 0, 1);
	s = ask(n);
	assert_true(s.chunk[0].state == WIRE_DATA && s.chunk[0].this_run && s.chunk[0].durable);
	assert_true(s.chunk[5].state == WIRE_DATA && s.chunk[5].this_run);
	assert_true(s.chunk[6].state == WIRE_ZERO && s.chunk[6].this_run && s.chunk[7].this_run);
	assert_true(s.chunk[1].state == WIRE_ZERO && !s.chunk[1].this_run); /* a hole */
	commit(n, &d);
	assert_int_equal(d.durable_chunks, 4);
	wire_nbd_close(n);
	/* Another run: the digests stay, but nothing is of this run. */
	n = fixture_must_open(f, 0, 2);
	s = ask(n);
	assert_true(s.chunk[0].state == WIRE_DATA && !s.chunk[0].this_run && s.chunk[0].durable);
	wire_nbd_close(n);
}

static void a_new_run_keeps_what_it_compared(void **state)
{
	struct fixture *f = *state;
	struct wire_nbd *n = fixture_must_open(f, 0, 1);
	struct wire_durable d;
	struct seen s;

	send_chunk(n, 0, 1, false);
	send_chunk(n, 1, 2, false);
	commit(n, &d);
	wire_nbd_close(n);
	n = fixture_must_open(f, 0, 2);
	assert_int_equal(call(n, NBD_CMD_KEEP, 0, 1, NULL), 0);
	send_chunk(n, 2, 3, false);
	commit(n, &d);
	assert_int_equal(d.durable_chunks, 2);
	assert_int_equal(d.known_chunks, 9);
	wire_nbd_close(n);
	fixture_stop(f);
	fixture_start(f);
	n = fixture_must_open(f, 0, 2);
	s = ask(n);
	assert_true(s.chunk[0].this_run && !s.chunk[1].this_run && s.chunk[2].this_run);
	assert_true(s.chunk[1].state == WIRE_DATA && s.chunk[1].durable);
	/* What is unknown cannot be kept. */
	assert_int_equal(call(n, NBD_CMD_WRITE, MIB + 5, 3, "abc"), 0);
	assert_int_equal(call(n, NBD_CMD_KEEP, 0, 2, NULL), -EINVAL);
	wire_nbd_close(n);
}

static void a_plain_write_makes_its_chunk_unknown(void **state)
{
	struct fixture *f = *state;
	struct wire_nbd *n = fixture_must_open(f, 0, 1);
	char text[] = "hello", back[8] = "";
	struct wire_durable d;
	struct seen s;

	send_chunk(n, 0, 1, false);
	send_chunk(n, 1, 1, false);
	commit(n, &d);
	assert_int_equal(call(n, NBD_CMD_WRITE, MIB - 2, 5, text), 0);
	s = ask(n);
	assert_int_equal(s.chunk[0].state, WIRE_UNKNOWN);
	assert_int_equal(s.chunk[1].state, WIRE_UNKNOWN);
	assert_int_equal(call(n, NBD_CMD_READ, MIB - 2, 5, back), 0);
	assert_string_equal(back, "hello");
	wire_nbd_close(n);
	fixture_stop(f);
	fixture_start(f);
	n = fixture_must_open(f, 0, 1);
	s = ask(n);
	assert_int_equal(s.chunk[0].state, WIRE_UNKNOWN);
	send_chunk(n, 0, 4, true);
	check_on_disk(f, 0, 0, WIRE_CHUNK_BYTES, 4);
	wire_nbd_close(n);
}

static void overwriting_replaces_data_and_zeros(void **state)
{
	struct fixture *f = *state;
	struct wire_nbd *n = fixture_must_open(f, 0, 1);
	CLEANUP_FREE uint8_t *zeros = calloc(1, WIRE_CHUNK_BYTES);
	CLEANUP_FREE uint8_t *back = malloc(WIRE_CHUNK_BYTES);
	struct wire_durable d;

	for (unsigned seed = 0; seed < 6; seed++) {
		send_chunk(n, 4, seed, seed % 2);
		if (seed % 3 == 0)
			commit(n, &d);
		check_on_disk(f, 0, 4, WIRE_CHUNK_BYTES, seed);
	}
	assert_int_equal(call(n, NBD_CMD_WRITE_ZEROES, 4 * MIB - 100, MIB + 200, NULL), 0);
	assert_int_equal(call(n, NBD_CMD_READ, 4 * MIB, MIB, back), 0);
	assert_memory_equal(back, zeros, WIRE_CHUNK_BYTES);
	assert_int_equal(ask(n).chunk[4].state, WIRE_ZERO);
	wire_nbd_close(n);
}

/* A client may send zeros as data; they are known as zeros, also after a restart. */
static void zeros_that_come_as_data_are_zeros(void **state)
{
	struct fixture *f = *state;
	struct wire_nbd *n = fixture_must_open(f, 0, 1);
	CLEANUP_FREE uint8_t *zeros = calloc(1, WIRE_CHUNK_BYTES);
	struct wire_chunk c = {.data = zeros, .data_bytes = WIRE_CHUNK_BYTES};
	const struct wire_request r = {
		.command = NBD_CMD_CHUNK_WRITE, .offset_bytes = MIB, .chunk = &c};
	struct wire_durable d;
	struct wire_done done;

	memset(c.bitmap, 0xff, sizeof(c.bitmap));
	wire_digest(zeros, WIRE_CHUNK_BYTES, c.digest);
	assert_int_equal(wire_nbd_call(n, &r, &done), 0);
	commit(n, &d);
	assert_int_equal(d.durable_chunks, 1);
	wire_nbd_close(n);
	fixture_stop(f);
	fixture_start(f);
	n = fixture_must_open(f, 0, 1);
	assert_int_equal(ask(n).chunk[1].state, WIRE_ZERO);
	wire_nbd_close(n);
}

static void a_terabyte_of_zeros_costs_little(void **state)
{
	struct wire_nbd *n = fixture_must_open(*state, 1, 1);
	uint64_t sent, received;
	struct wire_durable d;

	assert_int_equal(call(n, NBD_CMD_WRITE_ZEROES, 0, 4 * GIB - MIB, NULL), 0);
	commit(n, &d);
	assert_int_equal(d.durable_chunks, 4095);
	assert_int_equal(wire_nbd_digests(n, 0, 4096, see, &(struct seen){0}), 0);
	wire_nbd_counters(n, &sent, &received);
	assert_true(sent + received < 8192);
	wire_nbd_close(n);
}

static void requests_beyond_the_end_are_refused(void **state)
{
	struct wire_nbd *n = fixture_must_open(*state, 0, 1);
	char byte = 'x';

	assert_int_equal(call(n, NBD_CMD_WRITE, DISK_BYTES, 1, &byte), -ENOSPC);
	assert_int_equal(call(n, NBD_CMD_READ, DISK_BYTES - 1, 2, (char[2]){0}), -EINVAL);
	assert_int_equal(call(n, NBD_CMD_READ, UINT64_MAX, 2, (char[2]){0}), -EINVAL);
	assert_int_equal(call(n, NBD_CMD_WRITE_ZEROES, UINT64_MAX - 5, 100, NULL), -ENOSPC);
	assert_int_equal(call(n, NBD_CMD_KEEP, 8 * MIB, 2, NULL), -EINVAL);
	assert_int_equal(call(n, 77, 0, 0, NULL), -EINVAL);
	assert_int_equal(call(n, NBD_CMD_WRITE, DISK_BYTES - 1, 1, &byte), 0);
	wire_nbd_close(n);
}

static void block_status_tells_holes(void **state)
{
	struct wire_nbd *n = fixture_must_open(*state, 1, 1);
	struct wire_extent e[8];
	struct wire_request r = {.command = NBD_CMD_BLOCK_STATUS,
				 .length_bytes = 16 * MIB,
				 .extents = e,
				 .extent_max = 8};
	struct wire_done done;

	send_chunk(n, 2, 0, false);
	assert_int_equal(wire_nbd_call(n, &r, &done), 0);
	assert_true(done.extent_count >= 3);
	assert_true(e[0].hole && e[0].zero && e[0].length_bytes >= 2 * MIB);
	assert_false(e[1].hole);
	wire_nbd_close(n);
}

static void wrong_tokens_and_pins_are_refused(void **state)
{
	struct fixture *f = *state;
	struct wire_activation good = f->activation;
	struct wire_control *c = NULL;
	unsigned status;

	f->activation.token[0] ^= 1;
	assert_null(fixture_open(f, 0, 1));
	assert_string_equal(err_code(), "TOKEN_REFUSED");
	assert_int_equal(wire_control_open(&f->activation, FIXTURE_PATIENCE_MS, &c), 0);
	assert_int_equal(wire_control_get(c, "/v1/target", &status, NULL), -EACCES);
	assert_int_equal(status, 401);
	assert_string_equal(err_code(), "TOKEN_REFUSED");
	wire_control_close(c);
	f->activation = good;
	f->activation.pin[0] ^= 1;
	assert_null(fixture_open(f, 0, 1));
	assert_string_equal(err_code(), "PIN_MISMATCH");
	f->activation = good;
	assert_null(fixture_open(f, 7, 1));
	assert_string_equal(err_code(), "EXPORT_UNKNOWN");
}

static void set_in_token(struct fixture *f, const char *key, json_int_t value)
{
	CLEANUP_JSON json_t *json = NULL;
	char path[128];

	snprintf(path, sizeof(path), "%s/token.json", f->state);
	assert_int_equal(json_read_file(path, &json), 0);
	json_object_set_new(json, key, json_integer(value));
	assert_int_equal(json_write_file(path, json), 0);
}

/* One run is one use, over restarts and several disks. A client without a run uses by the spell. */
static void a_token_is_used_up(void **state)
{
	struct fixture *f = *state;

	fixture_stop(f);
	set_in_token(f, "uses_left", 2);
	fixture_start(f);
	for (unsigned i = 0; i < 6; i++) {
		struct wire_nbd *a = fixture_must_open(f, i % 2, 1),
				*b = fixture_must_open(f, 0, 1);

		wire_nbd_close(a);
		wire_nbd_close(b);
		if (i == 3) {
			fixture_stop(f);
			fixture_start(f);
		}
	}
	wire_nbd_close(fixture_must_open(f, 0, 0));
	fixture_stop(f);
	fixture_start(f);
	assert_null(fixture_open(f, 0, 0));
	assert_string_equal(err_code(), "TOKEN_REFUSED");
	assert_null(fixture_open(f, 1, 2));
	assert_non_null(strstr(err_reason(), "used up"));
	wire_nbd_close(fixture_must_open(f, 0, 1));
	fixture_stop(f);
	set_in_token(f, "left_s", 0);
	fixture_start(f);
	assert_null(fixture_open(f, 0, 1));
	assert_non_null(strstr(err_reason(), "expired"));
}

static void two_sources_do_not_write_to_one_disk(void **state)
{
	struct wire_nbd *a = fixture_must_open(*state, 0, 1);
	struct wire_nbd *b = fixture_must_open(*state, 0, 1);

	assert_null(fixture_open(*state, 0, 2));
	assert_string_equal(err_code(), "RECEIVER_BUSY");
	/* Nor does another plan take the place of the one at work; the same may come again. */
	assert_int_equal(fixture_plan(*state, (uint64_t[]){DISK_BYTES, 0}), -EBUSY);
	assert_string_equal(err_code(), "RECEIVER_BUSY");
	assert_int_equal(fixture_plan(*state, (uint64_t[]){DISK_BYTES, 4 * GIB, 0}), 0);
	wire_nbd_close(a);
	wire_nbd_close(b);
}

static void a_source_that_is_leaving_is_waited_for(void **state)
{
	static const char plan[] = "{\"disks\": [{\"index\": 2, \"target_bytes\": 4096}]}";
	struct wire_request flush = {.command = NBD_CMD_FLUSH};
	struct fixture *f = *state;
	struct wire_nbd *n = fixture_must_open(f, 0, 1);
	struct wire_control *c = NULL;

	send_chunk(n, 0, 1, false);
	atomic_store(&slow, true);
	assert_int_equal(wire_nbd_submit(n, &flush), 0);
	wire_nbd_close(n);
	assert_int_equal(wire_control_open(&f->activation, FIXTURE_PATIENCE_MS, &c), 0);
	assert_int_equal(
		wire_control_put(c, "/v1/artefact/plan.json", plan, strlen(plan), NULL, NULL, NULL),
		-EBUSY);
	assert_string_equal(err_code(), "RECEIVER_BUSY");
	assert_int_equal(wire_control_put_plan(c, plan, strlen(plan)), 0);
	assert_false(atomic_load(&slow)); /* it did wait */
	wire_control_close(c);
}

static void a_second_receiver_on_the_same_state_is_refused(void **state)
{
	struct fixture *f = *state;
	struct receiver_options o = f->options;
	char other[128], files[128], from[160], to[160];
	struct receiver *r = NULL;

	assert_int_equal(receiver_start(&o, &r), -EBUSY);
	assert_string_equal(err_code(), "STATE_IN_USE");
	/* Another state directory, the same files. */
	snprintf(other, sizeof(other), "%s/other", f->dir);
	o.state_dir = other;
	assert_int_equal(receiver_start(&o, &r), -EBUSY);
	assert_string_equal(err_code(), "TARGET_IN_USE");
	/* Another directory, with a link to the disk: it is locked too. */
	assert_int_equal(fixture_plan(f, (uint64_t[]){DISK_BYTES, 0}), 0);
	snprintf(files, sizeof(files), "%s/other-files", f->dir);
	snprintf(from, sizeof(from), "%s/disk0.raw", o.files_dir);
	snprintf(to, sizeof(to), "%s/disk0.raw", files);
	assert_int_equal(mkdir(files, 0700), 0);
	assert_int_equal(link(from, to), 0);
	o.files_dir = files;
	assert_int_equal(receiver_start(&o, &r), 0);
	assert_int_equal(wire_activation_parse(receiver_activation(r), &f->activation), 0);
	assert_true(fixture_plan(f, (uint64_t[]){DISK_BYTES, 0}) < 0);
	assert_string_equal(err_code(), "TARGET_IN_USE");
	receiver_stop(r);
}

static void a_plan_of_another_size_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_plan(f, (uint64_t[]){DISK_BYTES, 4 * GIB, 0}), 0);
	assert_int_equal(fixture_plan(f, (uint64_t[]){DISK_BYTES + 512, 0}), -EBUSY);
	assert_string_equal(err_code(), "TARGET_SIZE_DIFFERS");
	assert_int_equal(fixture_plan(f, (uint64_t[]){DISK_BYTES, 4 * GIB, 1000, 0}), -EREMOTEIO);
	assert_string_equal(err_code(), "PLAN_BAD");
	/* Each could be, but memory and time go with all of them. */
	assert_int_equal(fixture_plan(f, (uint64_t[]){DISK_BYTES, 4 * GIB, 40 * TIB, 30 * TIB, 0}),
			 -EREMOTEIO);
	assert_string_equal(err_code(), "PLAN_BAD");
	assert_int_equal(fixture_plan(f, (uint64_t[]){DISK_BYTES, 4 * GIB, 512, 0}), 0);
}

static void the_control_service_keeps_artefacts_and_carries_orders(void **state)
{
	struct fixture *f = *state;
	CLEANUP_JSON json_t *body = json_pack("{s:s}", "state", "Running");
	CLEANUP_JSON json_t *order = json_pack("{s:b, s:i}", "pause", 1, "rate_mbit", 100);
	struct wire_control *c = NULL;
	json_t *reply = NULL;
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0;
	unsigned status;

	assert_int_equal(wire_control_open(&f->activation, FIXTURE_PATIENCE_MS, &c), 0);
	assert_int_equal(wire_control_post(c, "/v1/state", body, NULL, &reply), 0);
	assert_true(json_is_false(json_object_get(json_object_get(reply, "commands"), "pause")));
	json_decref(reply);
	assert_int_equal(wire_control_post(c, "/v1/command", order, NULL, NULL), 0);
	assert_int_equal(wire_control_post(c, "/v1/state", body, NULL, &reply), 0);
	assert_true(json_is_true(json_object_get(json_object_get(reply, "commands"), "pause")));
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(reply, "commands"), "rate_mbit")),
			 100);
	json_decref(reply);
	assert_int_equal(
		wire_control_put(c, "/v1/artefact/map.txt", "a\nb\n", 4, "text/plain", NULL, NULL),
		0);
	assert_int_equal(wire_control_fetch(c, "/v1/artefact/map.txt", NULL, &text, &bytes), 0);
	assert_int_equal(bytes, 4);
	assert_memory_equal(text, "a\nb\n", 4);
	/* What is to be decided by is JSON, or it is said not to be. */
	reply = (json_t *)c;
	assert_int_equal(wire_control_get(c, "/v1/artefact/map.txt", NULL, &reply), -EBADMSG);
	assert_string_equal(err_code(), "RECEIVER_REPLY_INVALID");
	assert_null(reply);
	assert_int_equal(wire_control_get(c, "/v1/artefact/verify.json", &status, NULL), -ENOENT);
	assert_string_equal(err_code(), "ARTEFACT_MISSING");
	assert_int_equal(wire_control_get(c, "/v1/artefact/../token.json", &status, NULL), -ENOENT);
	assert_int_equal(wire_control_put(c, "/v1/artefact/plan.json", "{", 1, NULL, &status, NULL),
			 -EREMOTEIO);
	assert_int_equal(status, 400);
	wire_control_close(c);
}

struct crowd {
	struct fixture *f;
	unsigned id;
	int failed;
};

static void *write_in_crowd(void *arg)
{
	struct crowd *c = arg;
	struct wire_nbd *n = fixture_open(c->f, 0, 1);
	CLEANUP_FREE uint8_t *data = malloc(WIRE_CHUNK_BYTES);

	for (unsigned i = 0; n && i < 30; i++) {
		unsigned seed = c->id * 1000 + i;

		make_chunk(data, WIRE_CHUNK_BYTES, seed);
		if (i % 7 == 6)
			c->failed |= call(n, NBD_CMD_WRITE, (i % 3) * MIB + 77, 100, data) < 0;
		else if (i % 5 == 4)
			c->failed |= call(n, NBD_CMD_WRITE_ZEROES, (i % 3) * MIB, MIB, NULL) < 0;
		else
			c->failed |=
				send_chunk_as(n, i % 3, data, WIRE_CHUNK_BYTES, i % 2, false) < 0;
	}
	c->failed |= !n;
	wire_nbd_close(n);
	return NULL;
}

/* Several writers to the same three chunks: what is known at the end is what is on the disk. */
static void a_crowd_on_the_same_chunks_leaves_true_digests(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd[4];
	pthread_t threads[4];
	struct wire_durable d;
	struct wire_nbd *n;
	struct seen s;

	for (unsigned i = 0; i < 4; i++) {
		crowd[i] = (struct crowd){.f = f, .id = i};
		pthread_create(&threads[i], NULL, write_in_crowd, &crowd[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_false(crowd[i].failed);
	}
	n = fixture_must_open(f, 0, 1);
	commit(n, &d);
	s = ask(n);
	for (unsigned i = 0; i < 3; i++) {
		CLEANUP_FREE uint8_t *data = malloc(WIRE_CHUNK_BYTES);
		uint8_t digest[WIRE_DIGEST_MAX], bitmap[WIRE_BITMAP_BYTES];

		assert_int_equal(call(n, NBD_CMD_READ, i * MIB, MIB, data), 0);
		wire_digest(data, WIRE_CHUNK_BYTES, digest);
		if (s.chunk[i].state == WIRE_DATA)
			assert_memory_equal(s.chunk[i].digest, digest, WIRE_DIGEST_BYTES);
		if (s.chunk[i].state == WIRE_ZERO)
			assert_int_equal(wire_chunk_scan(data, WIRE_CHUNK_BYTES, bitmap), 0);
	}
	wire_nbd_close(n);
}

/* A window of large reads and writes at once: neither side waits for the other for ever. */
static void reads_and_writes_in_flight_together_do_not_stall(void **state)
{
	struct wire_nbd *n = fixture_must_open(*state, 1, 1);
	CLEANUP_FREE uint8_t *data = calloc(8, 4 * MIB);
	struct wire_done done;
	unsigned reaped = 0;

	memset(data, 7, 16 * MIB);
	for (unsigned i = 0; i < 32; i++) {
		struct wire_request r = {.command = i % 2 ? NBD_CMD_READ : NBD_CMD_WRITE,
					 .offset_bytes = i % 4 * 4 * MIB,
					 .length_bytes = 4 * MIB,
					 .data = data,
					 .into = data + (4 + i % 4) * 4 * MIB};
		int rc;

		while ((rc = wire_nbd_submit(n, &r)) == -EBUSY) {
			assert_int_equal(wire_nbd_reap(n, -1, &done), 1);
			assert_int_equal(done.rc, 0);
			reaped++;
		}
		assert_int_equal(rc, 0);
	}
	while (wire_nbd_reap(n, -1, &done) > 0)
		reaped++;
	assert_int_equal(reaped, 32);
	wire_nbd_close(n);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(chunks_arrive_plain_and_compressed),
		test(a_chunk_that_does_not_match_its_digest_is_refused),
		test(what_is_durable_is_known_after_a_restart),
		test(a_new_run_keeps_what_it_compared),
		test(a_plain_write_makes_its_chunk_unknown),
		test(overwriting_replaces_data_and_zeros),
		test(zeros_that_come_as_data_are_zeros),
		test(a_terabyte_of_zeros_costs_little),
		test(requests_beyond_the_end_are_refused),
		test(block_status_tells_holes),
		test(wrong_tokens_and_pins_are_refused),
		test(a_token_is_used_up),
		test(two_sources_do_not_write_to_one_disk),
		test(a_source_that_is_leaving_is_waited_for),
		test(a_second_receiver_on_the_same_state_is_refused),
		test(a_plan_of_another_size_is_refused),
		test(the_control_service_keeps_artefacts_and_carries_orders),
		test(a_crowd_on_the_same_chunks_leaves_true_digests),
		test(reads_and_writes_in_flight_together_do_not_stall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
