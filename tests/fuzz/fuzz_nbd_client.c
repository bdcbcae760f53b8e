/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our NBD client against a server whose every byte comes from the fuzzer. The negotiation is not
 * TLS's: the server refuses TLS, and the client may go on in plain.
 */
#include "wire/wire_nbd.c"

#include <assert.h>

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take_run(void *ctx, uint64_t first, uint32_t count, enum wire_chunk_state state,
		    bool this_run, bool durable, const uint8_t *digests)
{
	(void)ctx;
	(void)first;
	(void)count;
	(void)state;
	(void)this_run;
	(void)durable;
	(void)digests;
	return 0;
}

/* Requests of each kind; the answers are whatever comes. */
static void use(struct wire_nbd *n)
{
	static uint8_t into[64 << 10], data[4096];
	struct wire_extent extents[8];
	struct wire_chunk chunk = {.bitmap = {1}, .data = data, .data_bytes = sizeof(data)};
	struct wire_durable durable;
	struct wire_done done;
	const struct wire_request requests[] = {
		{.command = NBD_CMD_READ, .length_bytes = sizeof(into), .into = into},
		{.command = NBD_CMD_BLOCK_STATUS,
		 .length_bytes = 4096,
		 .extents = extents,
		 .extent_max = 8},
		{.command = NBD_CMD_WRITE, .length_bytes = sizeof(data), .data = data},
		{.command = NBD_CMD_CHUNK_WRITE, .chunk = &chunk},
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		wire_nbd_submit(n, &requests[i]);
	/* Of the four, only the status has extents. */
	while (wire_nbd_reap(n, -1, &done) > 0)
		assert(done.extent_count <= ARRAY_SIZE(extents));
	if (n->sound && n->info.chunks_ok && wire_nbd_in_flight(n) == 0) {
		wire_nbd_digests(n, 0, 10, take_run, NULL);
		if (n->sound && wire_nbd_in_flight(n) == 0)
			wire_nbd_durable(n, true, &durable);
		if (n->sound && wire_nbd_in_flight(n) == 0)
			wire_nbd_readback(n, 0, 10, take_run, NULL);
	}
}

/* First byte: begin with the negotiation, or in the transmission phase. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct wire_nbd_options o = {
		.export_name = "disk0", .plain_ok = true, .window = 8, .timeout_ms = 2000};
	struct wire_nbd *n;
	int pair[2], kind, rc = 0;

	if (size < 1 || size > 100000)
		return 0;
	kind = *data++;
	size--;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 0;
	if (write(pair[1], data, size) < 0)
		return 0;
	shutdown(pair[1], SHUT_WR);
	n = new_nbd(&o);
	if (!n || wire_stream_new(pair[0], "fuzz", &n->stream) < 0)
		return 0;
	if (kind % 2) {
		rc = negotiate(n, &o);
	} else {
		n->structured = kind & 2;
		n->info.chunks_ok = n->structured;
		n->info.size_bytes = 100 << 20;
	}
	if (rc == 0) {
		n->sound = true;
		n->rx_state = RX_HEAD;
		n->rx_into = n->rx_head;
		n->rx_left = NBD_SIMPLE_REPLY_BYTES;
		use(n);
	}
	wire_nbd_close(n);
	close(pair[1]);
	return 0;
}
