/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire: everything between the two machines. Activation codes, streams (plain or TLS 1.2), the
 * receiver's identity, the NBD client with our extension, the control client, and the constants
 * that both ends share. It knows no disks. The bytes on the wire are in docs/protocol.md.
 *
 * Threads: an object belongs to one thread at a time, except where a function says "any thread".
 * Errors: 0 or -errno with a reason (base/err.h), unless said otherwise. Times are milliseconds.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WIRE_CONTROL_PORT 8080
#define WIRE_DATA_PORT	  8703

/* ------------------------------------------------------------------------- chunks and digests */

#define WIRE_CHUNK_BYTES  (1u << 20) /* aligned on the target disk; the last one may be short */
#define WIRE_BLOCK_BYTES  4096u	     /* granularity of zeros inside a chunk */
#define WIRE_CHUNK_BLOCKS (WIRE_CHUNK_BYTES / WIRE_BLOCK_BYTES)
#define WIRE_BITMAP_BYTES (WIRE_CHUNK_BLOCKS / 8)
#define WIRE_DIGEST_MAX	  32 /* field size; XXH3-128 uses the first 16, the rest is zero */
#define WIRE_DIGEST_BYTES 16 /* of XXH3-128; see wire_digest_bytes() */
#define WIRE_RUN_ID_BYTES 32

/* What stands for a chunk's bytes. SHA-256 is for jobs that want proof against tampering: whoever
 * knows XXH3-128 can make other bytes with the same digest. */
enum wire_digest_kind { WIRE_DIGEST_XXH3_128 = 1, WIRE_DIGEST_SHA256 = 2 };
enum wire_codec {
	WIRE_CODEC_PLAIN = 0,
	WIRE_CODEC_ZSTD = 1,
	WIRE_CODEC_STREAM = 2, /* the next part of the connection's one long zstd frame */
	WIRE_CODEC_NEAR = 3,   /* of a patch: a zstd frame that refers to the blocks around it */
};

/* Digest of plain bytes into out (WIRE_DIGEST_MAX, zero-padded). Any thread. */
typedef void (*wire_digest_fn)(const void *data, size_t bytes, uint8_t out[WIRE_DIGEST_MAX]);
wire_digest_fn wire_digest_of(enum wire_digest_kind kind);

/* XXH3-128; uses AVX2 when there. */
void wire_digest(const void *data, size_t bytes, uint8_t out[WIRE_DIGEST_MAX]);

/* 16 or 32 of the WIRE_DIGEST_MAX; this many stand for a chunk in lists. */
size_t wire_digest_bytes(enum wire_digest_kind kind);

/* "xxh3-128", "sha-256", and back: false where it is neither. */
const char *wire_digest_name(enum wire_digest_kind kind);
bool wire_digest_named(const char *name, enum wire_digest_kind *out);

/* Digest of a chunk given as its bitmap and its present blocks, one behind the other. */
void wire_digest_blocks(enum wire_digest_kind kind, const uint8_t bitmap[WIRE_BITMAP_BYTES],
			const void *blocks, size_t chunk_bytes, uint8_t out[WIRE_DIGEST_MAX]);

/* Digest of chunk_bytes zeros (at most WIRE_CHUNK_BYTES). */
void wire_digest_zero(enum wire_digest_kind kind, size_t chunk_bytes, uint8_t out[WIRE_DIGEST_MAX]);

/*
 * The short digest of each block of a chunk, mark_bytes each, for finding those that differ: the
 * first bytes of the block's XXH3-128. What they miss, the chunk's own digest finds.
 */
#define WIRE_MARK_BYTES		 4
#define WIRE_MARK_TO_PATCH_BYTES 2 /* with NBD_CMD_FLAG_TO_PATCH */
#define WIRE_MARKS_BYTES	 (WIRE_CHUNK_BLOCKS * WIRE_MARK_BYTES)
void wire_chunk_marks(const void *chunk, size_t bytes, size_t mark_bytes,
		      uint8_t marks[WIRE_MARKS_BYTES]);
size_t wire_mark_bytes(unsigned command_flags);

/*
 * Bit i (byte i / 8, bit i % 8) is set when block i holds a byte that is not zero. A chunk's last
 * block may be short. Returns the number of plain bytes in set blocks: 0 means all zero, bytes
 * means that the whole chunk is present. Any thread.
 */
size_t wire_chunk_scan(const void *chunk, size_t bytes, uint8_t bitmap[WIRE_BITMAP_BYTES]);

/* Bytes of the set blocks; -EINVAL (no reason) when a bit beyond the chunk is set. */
int wire_bitmap_bytes(const uint8_t bitmap[WIRE_BITMAP_BYTES], size_t chunk_bytes, size_t *present);

/* Copy the set blocks of chunk to out, one behind the other; returns their bytes. */
size_t wire_chunk_gather(const void *chunk, size_t bytes, const uint8_t bitmap[WIRE_BITMAP_BYTES],
			 void *out);

/*
 * What WIRE_CODEC_NEAR refers to: the blocks that are not set, and lie at most WIRE_NEAR_REACH from
 * one that is, in order, the first WIRE_NEAR_BLOCKS_MAX of them. Returns their bytes.
 */
#define WIRE_NEAR_REACH		4
#define WIRE_NEAR_BLOCKS_MAX	128
#define WIRE_NEAR_PRESENT_BYTES (64 * WIRE_BLOCK_BYTES) /* of set blocks, at most */
size_t wire_chunk_near(const void *chunk, size_t bytes, const uint8_t bitmap[WIRE_BITMAP_BYTES],
		       void *out);

/* First run of set blocks at or behind *block: false at the end, else [*block, *block + *count). */
bool wire_bitmap_run(const uint8_t bitmap[WIRE_BITMAP_BYTES], unsigned *block, unsigned *count);

/* ---------------------------------------------------------------------------- activation code */

#define WIRE_TOKEN_BYTES     16
#define WIRE_PIN_BYTES	     32
#define WIRE_HOST_MAX	     64
#define WIRE_ACTIVATION_TEXT 256 /* longest code with its NUL */

/* What a source needs to reach and trust one receiver. The token is a secret: never log it. */
struct wire_activation {
	char host[WIRE_HOST_MAX + 1]; /* DNS name or address, without brackets */
	uint16_t control_port;
	uint16_t data_port;
	uint8_t pin[WIRE_PIN_BYTES]; /* SHA-256 of the SubjectPublicKeyInfo */
	uint8_t token[WIRE_TOKEN_BYTES];
};

/* "coldlift1." + base64url, NUL-terminated, into text. -EINVAL when host is empty or too long. */
int wire_activation_encode(const struct wire_activation *a, char text[WIRE_ACTIVATION_TEXT]);

/* Space around the code is ignored. Wrong or mistyped: -EINVAL, code ACTIVATION_BAD. */
int wire_activation_parse(const char *text, struct wire_activation *out);

/* "TOKEN/diskN": the export name for data connections. */
#define WIRE_EXPORT_MAX 64
void wire_export_name(const uint8_t token[WIRE_TOKEN_BYTES], unsigned disk,
		      char name[WIRE_EXPORT_MAX]);

/* Equal in a time that does not depend on the bytes. */
bool wire_equal_secret(const void *a, const void *b, size_t bytes);

/* Random bytes from the kernel; aborts when there are none. */
void wire_random(void *out, size_t bytes);

void wire_sha256(const void *data, size_t bytes, uint8_t out[32]);

/* ----------------------------------------------------------------------------------- identity */

/* The receiver's EC P-256 key and its self-signed certificate. Read-only after loading. */
struct wire_identity;

/*
 * Load key.pem and cert.pem from dir (0600), or make them when neither is there. names: DNS names
 * or addresses that the certificate is to be valid for, beside localhost, 127.0.0.1 and ::1. A
 * certificate that is missing, or lacks one of the names, is made anew with the same key, so that
 * pins stay good. The key alone missing, or being none: -EINVAL, code IDENTITY_DAMAGED.
 */
int wire_identity_load(const char *dir, const char *const *names, size_t name_count,
		       struct wire_identity **out);
void wire_identity_free(struct wire_identity *id);
const uint8_t *wire_identity_pin(const struct wire_identity *id);

/* --------------------------------------------------------------------------------------- stream */

/*
 * A buffered byte stream over a connected socket: plain, until it is upgraded to TLS in place. Owns
 * the socket, which it makes non-blocking. Every call that waits gives up with -ETIMEDOUT when no
 * byte moved for timeout_ms, or when the absolute deadline has passed.
 */
struct wire_stream;

int wire_stream_new(int fd, const char *peer, struct wire_stream **out); /* owns fd even on error */
void wire_stream_free(struct wire_stream *s);

/* What both ends set on a connection: no delay, and a dead peer is noticed after about 10 + 3 * 5
 * seconds of silence. */
void wire_socket_options(int fd);

/* Resolve, connect, wire_socket_options(). peer_name as in messages. unix_path wins over host. */
int wire_stream_connect(const char *host, uint16_t port, const char *unix_path, uint64_t timeout_ms,
			struct wire_stream **out);

void wire_stream_timeout(struct wire_stream *s, uint64_t no_progress_ms); /* 0: wait for ever */
void wire_stream_deadline(struct wire_stream *s, uint64_t at_ms);	  /* clock_ms(); 0: none */

/*
 * TLS handshake. Bytes that the peer sent in plain behind the point of upgrade are refused. pin: 32
 * bytes that the server's key must hash to, else -EACCES with code PIN_MISMATCH; NULL accepts any
 * key and is for tests and foreign peers only.
 */
int wire_stream_tls_client(struct wire_stream *s, const uint8_t *pin, const char *server_name);
int wire_stream_tls_server(struct wire_stream *s, const struct wire_identity *id);
bool wire_stream_is_tls(const struct wire_stream *s);
const char *wire_stream_peer(const struct wire_stream *s);

/* All n bytes. The peer's orderly end at the first byte is -EPIPE, later -ECONNRESET. */
int wire_stream_read(struct wire_stream *s, void *buf, size_t n);
int wire_stream_skip(struct wire_stream *s, uint64_t n);

/* Up to n bytes without waiting; 0 when there is nothing now, -EPIPE at the end. */
ssize_t wire_stream_read_some(struct wire_stream *s, void *buf, size_t n);

/* Buffered; flush pushes everything to the kernel. */
int wire_stream_write(struct wire_stream *s, const void *buf, size_t n);
int wire_stream_flush(struct wire_stream *s);

/* As write without waiting: what fits now, 0 when nothing does. push_some: 1 all gone, 0 not yet.
 */
ssize_t wire_stream_write_some(struct wire_stream *s, const void *buf, size_t n);
int wire_stream_push_some(struct wire_stream *s);

/*
 * Wait until bytes can be read (or, with or_writable, more can be written): 1, or 0 when
 * timeout_ms (-1: none) went by. extra_fd (-1: none) readable also ends the wait with 1.
 */
int wire_stream_wait(struct wire_stream *s, bool or_writable, int extra_fd, int timeout_ms);

/* Say goodbye (TLS close_notify, end of writing), without waiting long. */
void wire_stream_close(struct wire_stream *s);

/* Any thread: make all waiting on s end with an error. */
void wire_stream_abort(struct wire_stream *s);

/* Any thread: bytes on the wire since the start, TLS and all. */
void wire_stream_counters(const struct wire_stream *s, uint64_t *sent_bytes,
			  uint64_t *received_bytes);

/*
 * Move bytes between s and the socket fd until either has ended; for libraries that want a plain
 * socket. Owns neither. Runs in the caller's thread.
 */
int wire_pump(struct wire_stream *s, int fd);

/* ----------------------------------------------------------------------------------- NBD client */

/* Standard NBD, newstyle fixed. Values from the protocol text of the NetworkBlockDevice project. */
#define NBD_MAGIC	  0x4e42444d41474943ULL
#define NBD_OPTION_MAGIC  0x49484156454f5054ULL
#define NBD_OPT_REPLY	  0x0003e889045565a9ULL
#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_SIMPLE_MAGIC  0x67446698u
#define NBD_STRUCT_MAGIC  0x668e33efu
#define NBD_OPTION_MAX	  8192u /* longest option data that we take */
#define NBD_REQUEST_MAX	  (32u << 20)

enum nbd_handshake_flag { NBD_FLAG_FIXED_NEWSTYLE = 1, NBD_FLAG_NO_ZEROES = 2 };

enum nbd_option {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_STARTTLS = 5,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
	NBD_OPT_LIST_META_CONTEXT = 9,
	NBD_OPT_SET_META_CONTEXT = 10,
	NBD_OPT_EXTENDED_HEADERS = 11,
	NBD_OPT_COLDLIFT = 0x434c4654, /* "CLFT": far from the assigned ones, which count from 1 */
};

#define NBD_REP_ERROR(n) (0x80000000u | (n))
enum nbd_rep {
	NBD_REP_ACK = 1,
	NBD_REP_SERVER = 2,
	NBD_REP_INFO = 3,
	NBD_REP_META_CONTEXT = 4,
	NBD_REP_COLDLIFT = 0x434c4654,
};
#define NBD_REP_ERR_UNSUP	    NBD_REP_ERROR(1)
#define NBD_REP_ERR_POLICY	    NBD_REP_ERROR(2)
#define NBD_REP_ERR_INVALID	    NBD_REP_ERROR(3)
#define NBD_REP_ERR_TLS_REQD	    NBD_REP_ERROR(5)
#define NBD_REP_ERR_UNKNOWN	    NBD_REP_ERROR(6)
#define NBD_REP_ERR_SHUTDOWN	    NBD_REP_ERROR(7)
#define NBD_REP_ERR_BLOCK_SIZE_REQD NBD_REP_ERROR(8)
#define NBD_REP_ERR_TOO_BIG	    NBD_REP_ERROR(9)

enum nbd_info {
	NBD_INFO_EXPORT = 0,
	NBD_INFO_NAME = 1,
	NBD_INFO_DESCRIPTION = 2,
	NBD_INFO_BLOCK_SIZE = 3
};

enum nbd_flag { /* transmission flags */
		NBD_FLAG_HAS_FLAGS = 1 << 0,
		NBD_FLAG_READ_ONLY = 1 << 1,
		NBD_FLAG_SEND_FLUSH = 1 << 2,
		NBD_FLAG_SEND_FUA = 1 << 3,
		NBD_FLAG_ROTATIONAL = 1 << 4,
		NBD_FLAG_SEND_TRIM = 1 << 5,
		NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
		NBD_FLAG_SEND_DF = 1 << 7,
		NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
		NBD_FLAG_SEND_CACHE = 1 << 10,
		NBD_FLAG_SEND_FAST_ZERO = 1 << 11,
};

enum nbd_command {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_CACHE = 5,
	NBD_CMD_WRITE_ZEROES = 6,
	NBD_CMD_BLOCK_STATUS = 7,
	NBD_CMD_CHUNK_WRITE = 0x4301, /* ours, after NBD_OPT_COLDLIFT */
	NBD_CMD_DIGESTS = 0x4302,
	NBD_CMD_DURABLE = 0x4303,
	NBD_CMD_KEEP = 0x4304,
	NBD_CMD_READBACK = 0x4305,
	NBD_CMD_BLOCK_DIGESTS = 0x4306,
};

enum nbd_command_flag {
	NBD_CMD_FLAG_FUA = 1 << 0,
	NBD_CMD_FLAG_NO_HOLE = 1 << 1,
	NBD_CMD_FLAG_DF = 1 << 2,
	NBD_CMD_FLAG_REQ_ONE = 1 << 3,
	NBD_CMD_FLAG_FAST_ZERO = 1 << 4,
	NBD_CMD_FLAG_TO_PATCH = 1 << 8, /* ours, of BLOCK_DIGESTS: a patch will follow */
};

enum nbd_reply_type {
	NBD_REPLY_NONE = 0,
	NBD_REPLY_OFFSET_DATA = 1,
	NBD_REPLY_OFFSET_HOLE = 2,
	NBD_REPLY_BLOCK_STATUS = 5,
	NBD_REPLY_DIGESTS = 0x4302,
	NBD_REPLY_DURABLE = 0x4303,
	NBD_REPLY_BLOCK_DIGESTS = 0x4306,
	NBD_REPLY_ERROR = 0x8001,
	NBD_REPLY_ERROR_OFFSET = 0x8002,
};
#define NBD_REPLY_FLAG_DONE 1u

enum nbd_error {
	NBD_EPERM = 1,
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
	NBD_EBADMSG = 74, /* ours: a chunk's digest does not match its bytes */
	NBD_EOVERFLOW = 75,
	NBD_ENOTSUP = 95,
	NBD_ESHUTDOWN = 108,
};

struct wire_nbd_options {
	const char *host;
	uint16_t port;
	const char *unix_path;	 /* instead of host and port; NULL otherwise */
	const char *export_name; /* "TOKEN/diskN", or what a foreign server calls it */
	const uint8_t *pin;	 /* WIRE_PIN_BYTES; NULL: see plain_ok */
	bool plain_ok;		 /* go on without TLS where the server has none (foreign servers) */
	bool no_extension;	 /* do not ask for ours */
	uint8_t run_id[WIRE_RUN_ID_BYTES]; /* source fingerprint and plan digest, hashed together */
	enum wire_digest_kind digest;	   /* 0: XXH3-128. Another one that the server does not
					    * know is an error, never given up silently */
	unsigned window;		   /* requests in flight, 1..WIRE_WINDOW_MAX */
	unsigned stream_window_log;	   /* wanted for WIRE_CODEC_STREAM; 0: none */
	uint64_t timeout_ms;		   /* connect, handshake, and no progress while waiting */
};
#define WIRE_WINDOW_MAX 256

/* What the server said. The *_ok are false where it refused; then do without. */
struct wire_nbd_info {
	uint64_t size_bytes;
	uint32_t block_min_bytes; /* 1 when the server did not say */
	uint32_t block_preferred_bytes;
	uint32_t block_max_bytes; /* longest plain READ or WRITE */
	bool read_only;
	bool flush_ok;
	bool fua_ok;
	bool trim_ok;
	bool zeroes_ok;
	bool fast_zero_ok;
	bool multi_conn_ok;
	bool block_status_ok;	      /* base:allocation */
	bool chunks_ok;		      /* ours: CHUNK_WRITE, DIGESTS, DURABLE, KEEP */
	enum wire_digest_kind digest; /* ours: what was agreed on */
	bool zstd_ok;		      /* ours: codec zstd */
	unsigned stream_window_log;   /* ours: codec stream, with windows up to 2^this; 0: not */
	bool patch_ok;		      /* ours: BLOCK_DIGESTS, and chunks whose other blocks stay */
	bool to_patch_ok;	      /* ours: NBD_CMD_FLAG_TO_PATCH */
	bool near_ok;		      /* ours: codec near, for patches */
	bool tls;
};

struct wire_nbd;

/*
 * Connect and negotiate up to the transmission phase. Reasons carry codes: RECEIVER_UNREACHABLE,
 * PIN_MISMATCH, TOKEN_REFUSED, EXPORT_UNKNOWN, PEER_NOT_NBD, PEER_NO_TLS, TLS_FAILED,
 * DIGEST_UNSUPPORTED (-ENOTSUP: another digest than XXH3-128 was wanted). A connection
 * that is lost later is RECEIVER_UNREACHABLE, or NETWORK_CORRUPTS (-ECONNRESET) when TLS finds that
 * bytes were changed on their way.
 */
int wire_nbd_open(const struct wire_nbd_options *o, struct wire_nbd **out);

/* Sends DISC when the connection is sound; waits for nothing. Accepts NULL. */
void wire_nbd_close(struct wire_nbd *n);

const struct wire_nbd_info *wire_nbd_info(const struct wire_nbd *n);

/* Any thread. */
void wire_nbd_counters(const struct wire_nbd *n, uint64_t *sent_bytes, uint64_t *received_bytes);
void wire_nbd_abort(struct wire_nbd *n);

/* A chunk for NBD_CMD_CHUNK_WRITE. */
struct wire_chunk {
	enum wire_codec codec;
	uint8_t bitmap[WIRE_BITMAP_BYTES]; /* at least one bit set; all-zero chunks: WRITE_ZEROES */
	uint8_t digest[WIRE_DIGEST_MAX];   /* of the whole plain chunk, zeros included */
	bool patch; /* blocks that are not in the bitmap stay as they are; needs patch_ok */
	/* PLAIN: the whole chunk in memory, of which the set blocks are sent (no need to gather).
	 * ZSTD: one zstd frame, with content size, of the gathered blocks. */
	const void *data;    /* STREAM: what the encoder gave for the gathered blocks, flushed */
	bool begins;	     /* STREAM: a new frame starts here */
	uint32_t data_bytes; /* ZSTD, STREAM: of the frame, less than the plain bytes of the set
			      * blocks. PLAIN: of the chunk */
};

struct wire_request {
	enum nbd_command command; /* READ WRITE FLUSH TRIM WRITE_ZEROES BLOCK_STATUS CHUNK_WRITE
				     KEEP BLOCK_DIGESTS */
	unsigned flags;		  /* enum nbd_command_flag */
	uint64_t offset_bytes;
	uint32_t length_bytes; /* not for CHUNK_WRITE: the chunk's own length follows from offset */
	const void *data;      /* WRITE: length_bytes of it */
	void *into;	       /* READ: length_bytes of room; BLOCK_DIGESTS: WIRE_MARKS_BYTES */
	struct wire_extent *extents; /* BLOCK_STATUS: room for extent_max */
	unsigned extent_max;
	const struct wire_chunk *chunk; /* CHUNK_WRITE */
	void *user;			/* comes back from reap */
};

struct wire_extent {
	uint32_t length_bytes;
	bool hole;
	bool zero;
};

struct wire_done {
	void *user;
	int rc; /* 0 or -errno: -EBADMSG is a digest that did not match, -ENOSPC a full
		 * target, -EIO a target that failed */
	unsigned extent_count; /* BLOCK_STATUS */
	char message[160];     /* the server's words when rc is not 0, or "" */
};

/*
 * Queue a request. Buffers and the chunk stay the caller's and must not change until reaped. -EBUSY
 * (no reason) when `window` requests are in flight: reap first. Another negative result: the
 * connection is dead, nothing more will be answered, what was in flight is lost. May wait for the
 * network; takes in answers meanwhile, so it cannot deadlock with a server that waits for us.
 * Nothing is guaranteed to leave before wire_nbd_reap().
 */
int wire_nbd_submit(struct wire_nbd *n, const struct wire_request *r);

/*
 * The next finished request, in the server's order. 1: *done is filled; 0: none within wait_ms (0:
 * do not wait, -1: as long as the connection's timeout allows) or none in flight; negative: dead.
 */
int wire_nbd_reap(struct wire_nbd *n, int wait_ms, struct wire_done *done);
unsigned wire_nbd_in_flight(const struct wire_nbd *n);

/* Submit and wait; only with nothing in flight. Returns done.rc with a reason. */
int wire_nbd_call(struct wire_nbd *n, const struct wire_request *r, struct wire_done *done);

enum wire_chunk_state { WIRE_UNKNOWN = 0, WIRE_ZERO = 1, WIRE_DATA = 2 };

/*
 * A run of chunks with one state, in order, without gaps. digests: count *
 * wire_digest_bytes() for WIRE_DATA, else NULL. this_run: written or kept under the run id that
 * this connection gave. durable: on the medium and in the journal. A negative result ends the query
 * with it.
 */
typedef int (*wire_digests_fn)(void *ctx, uint64_t first_chunk, uint32_t count,
			       enum wire_chunk_state state, bool this_run, bool durable,
			       const uint8_t *digests);

/* Only with nothing in flight, and chunks_ok. */
int wire_nbd_digests(struct wire_nbd *n, uint64_t first_chunk, uint64_t count, wire_digests_fn fn,
		     void *ctx);

/*
 * A run of chunks as the server reads them from its medium now, in order, without gaps. state and
 * digests are of the bytes that stand there; WIRE_UNKNOWN: they cannot be read. known: the journal
 * speaks of them, and says the same. differs: it said something else (or they cannot be read); they
 * are unknown from now on, durably, and the next copy sends them. A negative result ends the query
 * with it.
 */
typedef int (*wire_readback_fn)(void *ctx, uint64_t first_chunk, uint32_t count,
				enum wire_chunk_state state, bool known, bool differs,
				const uint8_t *digests);

/*
 * Have [first_chunk, first_chunk + count) read back from the medium. Takes as long as reading them
 * takes; fn is called while they come. Only with nothing in flight, and chunks_ok; -EINVAL from a
 * receiver that does not know it yet.
 */
int wire_nbd_readback(struct wire_nbd *n, uint64_t first_chunk, uint64_t count, wire_readback_fn fn,
		      void *ctx);

struct wire_durable {
	uint64_t chunks;	 /* of the disk */
	uint64_t durable_chunks; /* known and on the medium, of this run */
	uint64_t pending_chunks; /* received, not yet durable */
	uint64_t known_chunks;	 /* durable, of this run or an earlier one */
	bool same_run;		 /* the journal's run id is ours */
};

/* How much is durable. force: commit everything first. Only with nothing in flight, and chunks_ok.
 */
int wire_nbd_durable(struct wire_nbd *n, bool force, struct wire_durable *out);

/* ------------------------------------------------------------------------------- control client */

struct wire_control;

/* Opens lazily; every request may reconnect once. */
int wire_control_open(const struct wire_activation *a, uint64_t timeout_ms,
		      struct wire_control **out);
void wire_control_close(struct wire_control *c);

/*
 * path: "/v1/target". reply (may be NULL): the parsed JSON object, the caller's reference; a body
 * that is none is then -EBADMSG, RECEIVER_REPLY_INVALID. A status that is not 2xx is an error: its
 * body's code and message become the reason; 401 and 403 are -EACCES, 404 -ENOENT, 409 -EBUSY, 413
 * -EFBIG, others -EREMOTEIO. status (may be NULL) is set whenever the server answered, else 0.
 */
int wire_control_get(struct wire_control *c, const char *path, unsigned *status, json_t **reply);
int wire_control_put(struct wire_control *c, const char *path, const void *body, size_t bytes,
		     const char *content_type, unsigned *status, json_t **reply);
int wire_control_post(struct wire_control *c, const char *path, const json_t *body,
		      unsigned *status, json_t **reply);
int wire_control_delete(struct wire_control *c, const char *path, unsigned *status, json_t **reply);

/*
 * PUT of plan.json. A source that has left counts as connected until the receiver has done what it
 * asked for last, which takes as long as a sync does; so RECEIVER_BUSY is final only when it is
 * still said after WIRE_LEAVING_MS.
 */
#define WIRE_LEAVING_MS 10000
int wire_control_put_plan(struct wire_control *c, const void *body, size_t bytes);

/* GET of raw bytes (an artefact as it was put); free() them. */
int wire_control_fetch(struct wire_control *c, const char *path, unsigned *status, char **body,
		       size_t *bytes);

/* ----------------------------------------------------------------------------------- messages */

/*
 * The fixed parts of messages as both ends read and write them. Parsers take foreign bytes, check
 * every field that can be checked without knowing the export, and return 0 or -EINVAL without a
 * reason. docs/protocol.md has the layouts.
 */
#define NBD_OPTION_HEAD_BYTES  16
#define NBD_OPTION_REPLY_BYTES 20
#define NBD_REQUEST_BYTES      28
#define NBD_SIMPLE_REPLY_BYTES 16
#define NBD_STRUCT_REPLY_BYTES 20
#define WIRE_OFFER_BYTES       48
#define WIRE_OFFER_REPLY_BYTES 16
#define WIRE_CHUNK_HEAD_BYTES  80
#define WIRE_DURABLE_BYTES     40
#define WIRE_DIGESTS_MAX_BYTES (64u << 10) /* payload of one structured reply of digests */
#define WIRE_EXTENSION_VERSION 1
#define WIRE_CHUNK_SHIFT       20
#define WIRE_STREAM_LOG_MIN    20
#define WIRE_STREAM_LOG_MAX    25
#define WIRE_STREAMS_BYTES     (64u << 20) /* windows of all streams of one receiver or copy */
#define WIRE_CHUNK_REQUEST_MAX (WIRE_CHUNK_HEAD_BYTES + WIRE_CHUNK_BYTES)
#define NBD_NAME_MAX	       4096u

struct nbd_option_head {
	uint32_t option;
	uint32_t bytes; /* of data that follows; not checked against a limit */
};
int nbd_option_head_parse(const uint8_t raw[NBD_OPTION_HEAD_BYTES], struct nbd_option_head *out);
void nbd_option_head_encode(const struct nbd_option_head *h, uint8_t raw[NBD_OPTION_HEAD_BYTES]);

struct nbd_option_reply {
	uint32_t option;
	uint32_t type; /* enum nbd_rep */
	uint32_t bytes;
};
int nbd_option_reply_parse(const uint8_t raw[NBD_OPTION_REPLY_BYTES], struct nbd_option_reply *out);
void nbd_option_reply_encode(const struct nbd_option_reply *r, uint8_t raw[NBD_OPTION_REPLY_BYTES]);

struct nbd_request {
	uint16_t flags;
	uint16_t type;
	uint64_t cookie;
	uint64_t offset;
	uint32_t length;
};
int nbd_request_parse(const uint8_t raw[NBD_REQUEST_BYTES], struct nbd_request *out);
void nbd_request_encode(const struct nbd_request *r, uint8_t raw[NBD_REQUEST_BYTES]);

void nbd_simple_reply_encode(uint32_t error, uint64_t cookie, uint8_t raw[NBD_SIMPLE_REPLY_BYTES]);

struct nbd_struct_reply {
	uint16_t flags;
	uint16_t type;
	uint64_t cookie;
	uint32_t bytes;
};
int nbd_struct_reply_parse(const uint8_t raw[NBD_STRUCT_REPLY_BYTES], struct nbd_struct_reply *out);
void nbd_struct_reply_encode(const struct nbd_struct_reply *r, uint8_t raw[NBD_STRUCT_REPLY_BYTES]);

/* Data of INFO and GO: name (NUL-terminated, at most NBD_NAME_MAX bytes) and what is asked. */
struct nbd_go {
	char name[NBD_NAME_MAX + 1];
	bool wants_block_size;
};
int nbd_go_parse(const void *data, size_t bytes, struct nbd_go *out);

/* Data of LIST_META_CONTEXT and SET_META_CONTEXT. */
struct nbd_meta {
	char name[NBD_NAME_MAX + 1];
	bool wants_allocation; /* base:allocation is named, or base: or nothing in a LIST */
};
int nbd_meta_parse(const void *data, size_t bytes, bool list, struct nbd_meta *out);

/* Our option: what the client offers, what the server grants. */
struct wire_offer {
	uint16_t version;
	uint8_t chunk_shift;
	uint8_t digest;		   /* enum wire_digest_kind */
	uint32_t codecs;	   /* bit WIRE_CODEC_*; bit 0 is always set */
	uint8_t stream_window_log; /* wanted; 0: none */
	uint8_t run_id[WIRE_RUN_ID_BYTES];
};
int wire_offer_parse(const void *data, size_t bytes, struct wire_offer *out);
void wire_offer_encode(const struct wire_offer *o, uint8_t raw[WIRE_OFFER_BYTES]);

struct wire_grant {
	uint16_t version;
	uint8_t chunk_shift;
	uint8_t digest;
	uint32_t codecs;
	uint32_t request_max;	   /* longest CHUNK_WRITE */
	uint32_t features;	   /* enum wire_feature; a client ignores what it does not know */
	uint8_t stream_window_log; /* granted; 0: none. In the uppermost byte of the features */
};
enum wire_feature { WIRE_FEATURE_PATCH = 1, WIRE_FEATURE_TO_PATCH = 2 };
int wire_grant_parse(const void *data, size_t bytes, struct wire_grant *out);
void wire_grant_encode(const struct wire_grant *g, uint8_t raw[WIRE_OFFER_REPLY_BYTES]);

/* Head of CHUNK_WRITE; checked against the request's length and the chunk's plain size. */
struct wire_chunk_head {
	enum wire_codec codec;
	bool patch;
	bool begins; /* STREAM */
	uint32_t payload_bytes;
	uint32_t present_bytes; /* plain bytes of the blocks in the bitmap */
	uint8_t bitmap[WIRE_BITMAP_BYTES];
	enum wire_digest_kind digest_kind;
	uint8_t digest[WIRE_DIGEST_MAX];
};
int wire_chunk_head_parse(const uint8_t raw[WIRE_CHUNK_HEAD_BYTES], uint32_t request_bytes,
			  size_t chunk_bytes, struct wire_chunk_head *out);
void wire_chunk_head_encode(const struct wire_chunk_head *h, uint8_t raw[WIRE_CHUNK_HEAD_BYTES]);

/* The reply to BLOCK_DIGESTS for a chunk of so many bytes, with marks of mark_bytes; -EINVAL. */
int wire_marks_parse(const void *data, size_t bytes, uint64_t chunk, size_t chunk_bytes,
		     size_t mark_bytes, uint8_t marks[WIRE_MARKS_BYTES]);
#define WIRE_MARKS_HEAD_BYTES 8

/* One structured reply to DIGESTS; calls fn for each run. fn's error, or -EINVAL. */
int wire_digests_parse(enum wire_digest_kind kind, const void *data, size_t bytes,
		       wire_digests_fn fn, void *ctx);

/* The same of a reply to READBACK. */
int wire_readback_parse(enum wire_digest_kind kind, const void *data, size_t bytes,
			wire_readback_fn fn, void *ctx);

/* Bytes of one run in that reply: 8 and its digests. */
#define WIRE_DIGESTS_FIRST_BYTES 8
#define WIRE_DIGESTS_RUN_BYTES	 8
enum wire_digests_flag {
	WIRE_DIGESTS_THIS_RUN = 1,
	WIRE_DIGESTS_DURABLE = 2,
	WIRE_DIGESTS_DIFFERS = 4, /* READBACK: the medium differs from what the journal said */
};

int wire_durable_parse(const void *data, size_t bytes, struct wire_durable *out);
void wire_durable_encode(const struct wire_durable *d, uint8_t raw[WIRE_DURABLE_BYTES]);

/* The name of a command, for messages. */
const char *nbd_command_name(unsigned type);

#endif
