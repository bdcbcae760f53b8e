/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the copy engine. One disk at a time, in rounds:
 *
 *   ask digests -> [readers] -> work queue -> [workers] -> send queue -> [senders] -> settle
 *                      ^            scan, digest, zstd         NBD, one connection each
 *                      '------------------ pool of items with buffers <------------------'
 *
 * A round ends when all is sent and durable, or when a connection is lost; then a new round asks
 * again what the receiver has. Queues hold items of the fixed pool only, so they need no bound of
 * their own, and nothing allocates between the start of a round and its end.
 */
#ifndef COPY_PRIVATE_H
#define COPY_PRIVATE_H

#include <errno.h>
#include <pthread.h>

#include "base/err.h"
#include "base/num.h"
#include "copy/copy.h"

/* ---- pool and queues: copy_queue.c ---- */

enum item_kind {
	ITEM_CHUNK, /* data; sent as CHUNK_WRITE or WRITE */
	ITEM_ZERO,  /* chunks [chunk, chunk + count) are zero */
	ITEM_KEEP,  /* chunks [chunk, chunk + count) are right as they stand */
};

/* A chunk of which the receiver has another version: only what differs need travel. */
enum patch {
	PATCH_NONE,
	PATCH_ASK,  /* the sender is to ask for the marks of the receiver's blocks */
	PATCH_MADE, /* the answer is there; the bitmap names what is to be sent */
};

struct item {
	struct item *next;
	enum item_kind kind;
	uint64_t chunk;
	uint64_t count;
	uint64_t map_bytes;  /* of the map's data that this item carries */
	uint64_t zero_bytes; /* of these, known to be zero */
	size_t first_entry;  /* ITEM_CHUNK: entries of the map that touch it */
	size_t entry_count;
	bool rescue;	      /* ITEM_CHUNK: could not be read before */
	uint32_t bytes;	      /* ITEM_CHUNK: of the chunk */
	uint32_t plain_bytes; /* of the blocks that are not zero */
	unsigned attempts;    /* sends that the receiver found corrupted */
	unsigned parts;	      /* requests without an answer yet */
	enum patch patch;
	int lane;			 /* the sender that it is for; -1: any */
	uint8_t marks[WIRE_MARKS_BYTES]; /* of the receiver's blocks */
	struct wire_chunk wire;
	uint8_t *data; /* WIRE_CHUNK_BYTES from aligned_alloc(4096); a worker may exchange it, and
			  a read that hangs takes it away for another */
};

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct item *first;
	struct item *last;
	unsigned count;
	bool closed;
};

void queue_init(struct queue *q);
void queue_fini(struct queue *q);
void queue_push(struct queue *q, struct item *item);

/*
 * As push, but a zero or keep range that continues the last waiting one is joined to it: returns
 * the item that is free now, or NULL when it was queued.
 */
struct item *queue_push_joined(struct queue *q, struct item *item);

/* Next item, or NULL: at once when closed and empty, and after wait_ms (-1: never) without one. */
struct item *queue_pop(struct queue *q, int wait_ms);

/* The same for one of several senders: passes over what is for another's lane. */
struct item *queue_pop_lane(struct queue *q, int lane, int wait_ms);

/* No more pushes; pops drain what is there and then give NULL. */
void queue_close(struct queue *q);
bool queue_ended(struct queue *q);
unsigned queue_count(struct queue *q);

/* ---- budget: copy_budget.c ---- */

#define COPY_ITEMS_MAX	 64
#define COPY_WORKERS_MAX 16

struct budget {
	uint64_t total_bytes;
	unsigned items;
	unsigned workers;
	unsigned compression_max; /* what adaptive may go up to */
	unsigned order_max;	  /* what can be ordered, in contexts of that size */
	size_t context_bytes;	  /* of one zstd context */
	size_t near_bytes;	  /* of one for patches */
	unsigned window_log;	  /* of a worker's stream; 0: none */
};

/* What a copy with these options may take in all. */
uint64_t budget_total_bytes(const struct copy_options *o);

/* -ENOMEM, COPY_NO_MEMORY, when not even the least fits. */
int budget_make(const struct copy_options *o, struct budget *b);

/* ---- compression: copy_pack.c ---- */

/* Working memory of one worker. */
struct packer {
	void *context_memory;
	size_t context_bytes;
	bool context_taken; /* its pages are there */
	void *context;	    /* ZSTD_CCtx, living in context_memory */
	void *params;	    /* ZSTD_CCtx_params, to set up a stream by */
	int lane;	    /* of the stream; -1: none */
	unsigned window_log;
	unsigned fitted_step, fitted_log; /* the window that this step has */
	unsigned stream_step;		  /* that the frame under way has; 0: none is */
	bool stream_set; /* the context has a stream's parameters, under way or not */
	void *near_memory;
	void *near;   /* ZSTD_CCtx, living in near_memory; NULL: none */
	bool near_ok; /* the receiver takes codec near */
	uint8_t *gathered;
	uint8_t *spare; /* exchanged with an item's buffer when that was compressed */
};

/* Bytes of a zstd context for streams with such a window at every step up to compression; 0 when
 * none of them has streams. */
size_t pack_stream_bytes(unsigned compression, unsigned window_log);

/* The widest window, at most window_log, with which a context of so many bytes takes streams at
 * this step; 0: none. */
unsigned pack_stream_window(unsigned step, unsigned window_log, size_t context_bytes);

/* From here on the packer's chunks go in a stream to this sender; window_log 0: each for itself. */
void pack_use_stream(struct packer *p, int lane, unsigned window_log);

/*
 * Patches of few blocks are packed with the blocks around them in view (WIRE_CODEC_NEAR), by a
 * context of its own: a stream under way stays as it is. Bytes of it; 0 where no step up to
 * compression does so.
 */
size_t pack_near_bytes(unsigned compression);
int pack_near_init(struct packer *p, size_t near_bytes);
bool pack_near_wanted(const struct packer *p, const struct item *item, unsigned compression);

/* True when the blocks stand packed in p->spare. p->gathered is overwritten. */
bool pack_near(struct packer *p, struct item *item);

/* Bytes of a zstd context that serves every step up to compression. */
size_t pack_context_bytes(unsigned compression);
int pack_init(struct packer *p, size_t context_bytes);
void pack_fini(struct packer *p);

/*
 * Scan and digest the item's chunk: a chunk of zeros becomes an ITEM_ZERO. Then compress it, unless
 * that saves less than 3 %.
 */
void pack_scan(struct item *item, enum wire_digest_kind digest);
void pack_compress(struct packer *p, struct item *item, unsigned compression);

/*
 * The receiver's marks are there: take out of the bitmap what it has, unless that is hardly
 * anything. The item is PATCH_MADE.
 */
void pack_patch(struct item *item, size_t mark_bytes);

/* ---- rate: copy_rate.c ---- */

/* Hands out time on the line, in order of asking. */
struct rate {
	pthread_mutex_t lock;
	uint64_t mbit;	/* that next_us was reckoned with */
	double next_us; /* clock_us() at which the line is free again */
};

void rate_init(struct rate *r);
void rate_fini(struct rate *r);

/*
 * Reserve the line for `bytes` (negative: gives time back that an earlier guess took too much of)
 * at `mbit` (0: no limit). Returns the time in clock_us() at which they may leave.
 */
uint64_t rate_reserve(struct rate *r, uint64_t mbit, int64_t bytes, uint64_t now_us);

/* ---- reads that may never come back: copy_guard.c ---- */

struct guard;

struct guards {
	pthread_mutex_t lock;
	struct guard *idle;
	uint64_t limit_ms;
};

struct guard_read {
	ssize_t (*hook)(void *ctx, unsigned source, void *buf, size_t bytes, uint64_t offset_bytes);
	void *hook_ctx;
	unsigned source; /* for the hook */
	int fd;		 /* without a hook */
	void *buf;
	size_t bytes;
	uint64_t offset_bytes;
	void *owned; /* the allocation that buf lies in */
};

void guards_init(struct guards *s, uint64_t limit_ms);
void guards_fini(struct guards *s);

/*
 * As pread() in another thread; -errno on failure. -ETIMEDOUT: it did not come back within the
 * limit, and `owned` belongs to that thread from now on, which frees it. Any thread.
 */
ssize_t guard_read(struct guards *s, const struct guard_read *ask);

/* ---- sources: copy_source.c ---- */

struct source {
	const struct map_source *spec;
	int fd;
	int direct_fd; /* O_DIRECT twin for block devices, -1 when there is none */
	unsigned sector_bytes;
	bool regular;
	bool rotational;
	bool guarded;		     /* a read may hang, so another thread waits for it */
	atomic_bool direct_bad;	     /* the device refused direct reads */
	_Atomic uint64_t good_bytes; /* offset of the last read that succeeded */
	/* Under the cursor's lock: the last answer of SEEK_DATA, [from, to) has no data. */
	uint64_t hole_from;
	uint64_t hole_to;
};

struct sources {
	struct source *list;
	size_t count;
	ssize_t (*read)(void *ctx, unsigned source, void *buf, size_t bytes, uint64_t offset_bytes);
	void *read_ctx;
	struct guards guards;
};

int sources_open(struct sources *s, const struct copy_options *o);
void sources_close(struct sources *s);
unsigned sources_readers(const struct sources *s, const struct map_disk *disk);

/* True when [offset, offset + length) of the source is known to be a hole. One thread at a time. */
bool source_is_hole(struct sources *s, unsigned source, uint64_t offset_bytes,
		    uint64_t length_bytes);

/* Fill the item's buffer with what the chunk is to hold: entries, and zeros where there are none.
 * -errno without a reason when a range cannot be read; copy_rescue.c has more patience. */
int source_read_item(struct sources *s, const struct map_disk *disk, struct item *item,
		     uint64_t *read_bytes);

/* Its second half: all that comes from no source. */
void source_fill_rest(const struct map_disk *disk, struct item *item);

/* Not ENODATA: that is the kernel's word for a medium error. */
#define SOURCE_ENDS ESPIPE

/*
 * All of [offset, offset + bytes) to *base + at. -errno without a reason; -SOURCE_ENDS behind the
 * source's end. After -ETIMEDOUT *base is another buffer, of WIRE_CHUNK_BYTES, or NULL.
 */
int source_read_all(struct sources *s, unsigned source, uint8_t **base, size_t at, size_t bytes,
		    uint64_t offset_bytes);

/* Open it once more under the same descriptors, as a disk that hung or went away needs it. */
void source_reopen(struct sources *s, unsigned source);

/* The part of an entry that lies in the chunk at base; offset_bytes counts from there. */
struct map_entry source_clip(const struct map_entry *e, uint64_t base, uint32_t bytes);

/* ---- what cannot be read: copy_rescue.c, copy_holes.c ---- */

/* A chunk that waits until the good ones are through. */
struct later {
	uint64_t chunk;
	uint64_t map_bytes;
	size_t first_entry;
	size_t entry_count;
};

/* Of one disk of the map, over all its rounds. Under its lock what several readers use. */
struct rescue {
	pthread_mutex_t lock;
	struct later *later; /* of this round */
	size_t later_count, later_next, later_room;
	uint64_t withheld_chunks; /* of this round: read, but with holes that nobody allowed */
	struct copy_hole *holes;
	size_t hole_count, hole_room;
	bool allowed;	      /* all holes of the list are zeros for good */
	uint64_t patience_ms; /* left for waiting */
	atomic_uint failed_in_row;
	atomic_uint bad_chunks;	    /* put off, for people */
	pthread_mutex_t wait_lock;  /* one reader waits for the disk, the others for that */
	_Atomic uint64_t waiting_s; /* the disk is gone; so long it is waited for. 0: it is not */
};

void rescue_init(struct rescue *k, const struct copy_options *o);
void rescue_fini(struct rescue *k);
void rescue_begin_round(struct rescue *k);

struct round;

/*
 * Read an item that cursor_next() or rescue_next() gave out. 0: its buffer is filled. 1: it is not
 * to be sent now. Negative: the run is over.
 */
int rescue_read(struct round *r, struct item *item, uint64_t *read_bytes);

/* Behind the cursor's end: the next chunk that could not be read, or false. */
bool rescue_next(struct round *r, struct item *item);

/* After all was tried. 0: nothing is lacking; 1: go another round, the holes are allowed. */
int rescue_judge(struct round *r);

/* A line for people while bad places wait or are tried, else "". Returns buf. */
const char *rescue_words(struct round *r, char *buf, size_t bytes);

/* Take note of a hole, unless it is in the list. */
int hole_add(struct rescue *k, const struct copy_hole *hole);

/* Of the holes that are allowed. */
uint64_t rescue_hole_bytes(struct rescue *k);

/* True when the target's byte lies in a hole; *end: up to where it is as it is there. */
bool hole_at(struct rescue *k, uint64_t offset_bytes, uint64_t limit_bytes, uint64_t *end);

/* ---- what to do next: copy_cursor.c ---- */

/* What the receiver said about a chunk, and what this run did. */
enum {
	CHUNK_KNOWN = 1, /* zero or data, with a digest */
	CHUNK_DATA = 2,
	CHUNK_DONE = 4, /* right under this run id: durable, or received in this round */
	CHUNK_OURS = 8, /* sent or compared by this very call of copy_run() */
};

struct disk_state {
	const struct map_disk *map;
	uint64_t target_bytes;
	uint64_t chunks;
	uint8_t *flags;	  /* one a chunk */
	uint8_t *digests; /* digest_bytes a chunk, where CHUNK_DATA */
	size_t digest_bytes;
	bool has_digests; /* the receiver speaks our extension */
	struct rescue rescue;
};

struct cursor_run {
	pthread_mutex_t lock;
	struct disk_state *disk;
	struct sources *sources;
	uint64_t chunk;
	size_t entry; /* first that may touch `chunk` */
	/* Passed over, as they are done: by an earlier run, and by an earlier round of this one. */
	uint64_t skipped_chunks;
	uint64_t skipped_bytes;
	uint64_t ours_bytes;
};

/* Fill in the next item: true; false at the end. Any thread. */
bool cursor_next(struct cursor_run *c, struct item *item);

/* ---- one disk: copy_disk.c, copy_round.c, copy_stage.c, copy_send.c ---- */

/* What is to be said of one disk, until it has something else to say. */
struct word {
	char text[ERR_REASON_MAX];
	bool failed; /* for good; the others go on */
};

/* What the disks that are copied at the same time have in common. */
struct whole {
	pthread_mutex_t lock; /* of progress, rates, and the caller's status function */
	struct rate rate;
	struct copy_progress progress[MAP_DISKS_MAX];
	struct word words[MAP_DISKS_MAX];
	/* Smoothed rates, and what stood at the last look. */
	uint64_t look_us, look_done_bytes, look_wire_bytes;
	double done_per_s, wire_per_s;
	unsigned running; /* disks whose chunks move now */
	uint64_t running_since_ms;
	atomic_uint next_disk;
	atomic_bool stop; /* one failed for good: the others end */
	int rc;		  /* its failure */
	char code[ERR_CODE_MAX];
	char reason[ERR_REASON_MAX];
};

/* One disk at a time goes through an engine; memory and threads are its own. */
struct engine {
	struct whole *whole;
	const struct copy_options *options;
	struct copy_control *control;
	struct copy_control no_control;
	struct budget budget;
	unsigned connections; /* of a disk, for what is sent */
	struct item *items;
	struct packer *packers;
	struct sources sources;
	struct queue pool;
	struct copy_result *result;
	atomic_uint compression; /* in use */
	unsigned ordered_step;	 /* that was looked at last, and one; 0: none */
	atomic_uint broken_streams;
	uint64_t reached_ms; /* when a receiver answered last */
};

/* The caller wants an end, or another disk has failed. */
bool engine_ending(const struct engine *e);

struct round {
	struct engine *engine;
	unsigned disk;
	struct disk_state *state;
	struct cursor_run cursor;
	struct queue work;
	struct queue send;
	struct wire_nbd *nbd[COPY_CONNECTIONS_MAX]; /* one a sender */
	unsigned connections;
	struct wire_nbd *ask; /* queries while the senders send; nbd[0] with a foreign server */
	struct wire_nbd_info info;
	unsigned stream_window_log; /* of the streams that all workers have; 0: none */

	pthread_mutex_t lock;
	pthread_cond_t ended;
	unsigned readers_left, workers_left, threads_left;
	unsigned unworked; /* items that were read and are not yet with the senders for good */
	bool lost;	   /* a connection went away: try again */
	int rc;		   /* of the first failure */
	char code[ERR_CODE_MAX];
	char reason[ERR_REASON_MAX];
	atomic_bool stop;
	atomic_bool
		stream_broke; /* on the way: the receiver is there, and another begins at once */

	/* Counted when answered. */
	_Atomic uint64_t read_bytes, done_bytes, zero_bytes, sent_chunks, sent_plain_bytes,
		kept_chunks, zero_chunks, patched_chunks;
};

/* A thread of a round. */
struct hand {
	struct round *round;
	unsigned index;
	pthread_t thread;
};

/*
 * The step of adaptive compression that follows `now`, from the items that wait for the workers
 * and for the senders. Much waits for the senders: the network is the limit, so spend more time on
 * fewer bytes. Much waits for the workers while the senders starve: the other way.
 */
unsigned adapted_step(const struct budget *b, unsigned now, unsigned at_work, unsigned at_send);

/*
 * The calling thread failed, its reason is set: keep it if it is the first, stop everything. lost:
 * a connection went away, so that another round makes sense.
 */
void round_fail(struct round *r, int rc, bool lost);

/* True while a thread should go on; waits while the run is paused. */
bool round_go_on(struct round *r);

/* Connect; allocate the disk's state when its size is first known. */
int round_connect(struct round *r);
void round_disconnect(struct round *r);

/* Read what the receiver holds into the state. */
int round_ask(struct round *r);

/* Make all durable. 1: it is; 0: the receiver lacks some again. */
int round_settle(struct round *r);

/* Bytes on the wire of the open connections. */
uint64_t round_wire_bytes(const struct round *r);
uint64_t round_received_bytes(const struct round *r);

/* Thread bodies; the argument is a struct hand. */
void *reader_main(void *hand);
void *worker_main(void *hand);
void *sender_main(void *hand);

uint64_t state_chunk_bytes(const struct disk_state *s, uint64_t chunk);

/* The whole of one disk, in as many rounds as it takes. */
int disk_copy(struct engine *e, unsigned disk);

/* Tell the caller how things stand. r may be NULL between rounds. */
void engine_report(struct engine *e, struct round *r, unsigned disk, const char *message);

#endif
