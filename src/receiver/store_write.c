/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing to a store. Every writer takes its chunks (in ascending order, so that two cannot wait
 * for each other), has the journal forget them durably, writes, and gives them back with what is
 * known.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "receiver/store_private.h"

/* Shorter zeros between data are written; longer ones are punched. */
#define PUNCH_MIN_BYTES (128u << 10)

/* Shorter writes are faster through the page cache. */
#define DIRECT_MIN_BYTES (64u << 10)
/* Zeros inside a chunk that are written along, rather than begin another write behind them. */
#define GAP_MAX_BLOCKS 16

static const uint8_t zeros[PUNCH_MIN_BYTES];

static int refused(const struct store *s)
{
	if (!s->error)
		return fail_code(EPERM, "DISK_FROZEN",
				 "disk%u is frozen: an image is being made of it", s->disk);
	return fail(s->error,
		    "disk%u had an error before and takes nothing more; look at the "
		    "receiver's log, mend it, and start the receiver again",
		    s->disk);
}

int store_forget(struct store *s, uint64_t first, uint64_t count)
{
	const struct journal_record r = {
		.kind = JOURNAL_UNKNOWN, .chunk = first, .count = (uint32_t)count};
	int rc = journal_append(s->journal, &r, 1);

	if (rc == -ENOSPC)
		return rc; /* goes on when there is room again */
	if (rc == 0)
		rc = journal_sync(s->journal);
	return rc < 0 ? store_fail(s, rc) : 0;
}

static void give_back(struct store *s, uint64_t first, uint64_t count)
{
	LOCK_SCOPE(&s->lock);

	for (uint64_t i = first; i < first + count; i++)
		s->states[i] &= (uint8_t)~CHUNK_BUSY;
	s->dirty = true; /* a commit may have passed between taking and writing */
	pthread_cond_broadcast(&s->changed);
}

/* As give_back(), while the journal may still speak of [from, to): the next writer tries again. */
static void give_back_unforgotten(struct store *s, uint64_t first, uint64_t count, uint64_t from,
				  uint64_t to)
{
	pthread_mutex_lock(&s->lock);
	for (uint64_t i = from; i < to; i++)
		s->states[i] |= CHUNK_JOURNALED;
	pthread_mutex_unlock(&s->lock);
	give_back(s, first, count);
}

/* Take chunks for writing. They are busy and unknown after it. *was_zero: all were known as zero.
 */
static int take(struct store *s, uint64_t first, uint64_t count, bool *was_zero)
{
	uint64_t forget_from = UINT64_MAX, forget_to = 0, ahead;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	*was_zero = true;
	for (uint64_t i = first; i < first + count; i++) {
		while (s->states[i] & (CHUNK_BUSY | CHUNK_COMMITTING | CHUNK_READING) && !s->error)
			pthread_cond_wait(&s->changed, &s->lock);
		/* What has begun when a disk is frozen comes to its end. */
		if (s->error || (s->frozen && i == first)) {
			rc = refused(s);
			pthread_mutex_unlock(&s->lock);
			give_back(s, first, i - first);
			return rc;
		}
		if ((s->states[i] & CHUNK_KIND) != WIRE_ZERO)
			*was_zero = false;
		if (s->states[i] & CHUNK_JOURNALED) {
			forget_from = min_of(forget_from, i);
			forget_to = i + 1;
		}
		s->states[i] = CHUNK_BUSY;
	}
	ahead = store_ahead_records(s, first, count);
	pthread_mutex_unlock(&s->lock);
	if (forget_to > 0) {
		rc = store_forget(s, forget_from, forget_to - forget_from);
		if (rc < 0)
			give_back_unforgotten(s, first, count, forget_from, forget_to);
	} else if (ahead > 0) {
		rc = journal_sync_to(s->journal, ahead);
		if (rc < 0) {
			store_fail(s, rc);
			give_back(s, first, count);
		}
	}
	return rc;
}

/* Begin a run: what was known belongs to an earlier one from now on. Under lock on entry and exit.
 */
static int set_run(struct store *s, const uint8_t *run_id)
{
	struct journal_record r = {.kind = JOURNAL_RUN};
	int rc;

	if (!run_id || memcmp(s->run_id, run_id, sizeof(s->run_id)) == 0)
		return 0;
	/* Its record comes behind those of the run before, and before those of its own. */
	while (s->committing)
		pthread_cond_wait(&s->changed, &s->lock);
	if (memcmp(s->run_id, run_id, sizeof(s->run_id)) == 0)
		return 0;
	memcpy(r.value, run_id, sizeof(r.value));
	rc = journal_append(s->journal, &r, 1);
	if (rc < 0)
		return rc;
	memcpy(s->run_id, run_id, sizeof(s->run_id));
	for (uint64_t i = 0; i < s->chunks; i++)
		if (s->states[i] & CHUNK_THIS_RUN)
			s->states[i] &= (uint8_t)~CHUNK_THIS_RUN;
	return 0;
}

/* Give chunks back with what is known of them now. */
static int give_back_known(struct store *s, uint64_t first, uint64_t count,
			   enum wire_chunk_state kind, const uint8_t *digest, const uint8_t *run_id)
{
	int rc;
	LOCK_SCOPE(&s->lock);

	rc = set_run(s, run_id);
	s->dirty = true;
	for (uint64_t i = first; i < first + count; i++)
		s->states[i] = rc < 0 ? 0 : (uint8_t)(kind | (run_id ? CHUNK_THIS_RUN : 0));
	if (rc == 0) {
		if (digest)
			memcpy(store_digest_at(s, first), digest, s->digest_bytes);
		store_mark_pending(s, first, count);
	}
	pthread_cond_broadcast(&s->changed);
	return rc;
}

static int punch(struct store *s, uint64_t offset_bytes, uint64_t length_bytes, bool no_hole)
{
	int mode = no_hole ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;

	return fallocate(s->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset_bytes,
			 (off_t)length_bytes) == 0
		       ? 0
		       : -errno;
}

static int write_zeros(struct store *s, uint64_t offset_bytes, uint64_t length_bytes)
{
	int rc = 0;

	while (rc == 0 && length_bytes > 0) {
		size_t n = min_of(length_bytes, (uint64_t)sizeof(zeros));

		rc = io_pwrite(s->fd, zeros, n, offset_bytes, s->path);
		offset_bytes += n;
		length_bytes -= n;
	}
	return rc;
}

static int zero_range(struct store *s, uint64_t offset_bytes, uint64_t length_bytes, bool no_hole)
{
	int rc = -EOPNOTSUPP;

	if (length_bytes >= PUNCH_MIN_BYTES)
		rc = punch(s, offset_bytes, length_bytes, no_hole);
	if (rc < 0 && !no_hole && length_bytes >= PUNCH_MIN_BYTES)
		rc = punch(s, offset_bytes, length_bytes, true);
	return rc < 0 ? write_zeros(s, offset_bytes, length_bytes) : 0;
}

int store_write(struct store *s, const void *data, size_t bytes, uint64_t offset_bytes)
{
	uint64_t chunk = offset_bytes >> WIRE_CHUNK_SHIFT;
	bool was_zero;
	int rc = take(s, chunk, 1, &was_zero);

	if (rc < 0)
		return rc;
	rc = io_pwrite(s->fd, data, bytes, offset_bytes, s->path);
	give_back(s, chunk, 1);
	atomic_fetch_add(&s->written_bytes, bytes);
	return rc;
}

/* The journal has it as of this run already. */
static bool recorded(uint8_t state)
{
	return state & CHUNK_THIS_RUN && state & CHUNK_JOURNALED;
}

/* Those chunks at the start of [first, end) that are zero already are only marked; returns how
 * many. */
static int mark_zero(struct store *s, uint64_t first, uint64_t end, const uint8_t *run_id,
		     uint64_t *marked)
{
	uint64_t i = first;
	int rc;
	LOCK_SCOPE(&s->lock);

	rc = s->error || s->frozen ? refused(s) : set_run(s, run_id);
	while (rc == 0 && i < end && (s->states[i] & CHUNK_KIND) == WIRE_ZERO &&
	       !(s->states[i] & (CHUNK_BUSY | CHUNK_COMMITTING)))
		i++;
	for (uint64_t k = first, n; run_id && k < i; k += n) {
		for (n = 0; k + n < i && !recorded(s->states[k + n]); n++)
			s->states[k + n] |= CHUNK_THIS_RUN;
		if (n > 0)
			store_mark_pending(s, k, n);
		else
			n = 1;
	}
	*marked = i - first;
	return rc;
}

/* A part of one chunk. */
static int zero_part(struct store *s, uint64_t offset_bytes, uint64_t length_bytes, bool no_hole)
{
	uint64_t chunk = offset_bytes >> WIRE_CHUNK_SHIFT, marked = 0;
	bool was_zero;
	int rc = 0;

	if (!no_hole)
		rc = mark_zero(s, chunk, chunk + 1, NULL, &marked);
	if (rc == 0 && marked == 0)
		rc = take(s, chunk, 1, &was_zero);
	if (rc < 0 || marked > 0)
		return rc;
	rc = zero_range(s, offset_bytes, length_bytes, no_hole);
	give_back(s, chunk, 1);
	return rc;
}

/* How many chunks from first on are not known to be zero. */
static uint64_t not_zero(struct store *s, uint64_t first, uint64_t end)
{
	uint64_t i = first;
	LOCK_SCOPE(&s->lock);

	while (i < end && (s->states[i] & CHUNK_KIND) != WIRE_ZERO)
		i++;
	return max_of(i - first, (uint64_t)1);
}

static int zero_chunks(struct store *s, uint64_t first, uint64_t end, bool no_hole,
		       const uint8_t *run_id)
{
	while (first < end) {
		uint64_t count = 0, offset, length;
		bool was_zero;
		int rc = 0;

		if (!no_hole)
			rc = mark_zero(s, first, end, run_id, &count);
		if (rc < 0)
			return rc;
		first += count;
		if (first == end)
			break;
		count = no_hole ? end - first : not_zero(s, first, end);
		rc = take(s, first, count, &was_zero);
		if (rc < 0)
			return rc;
		offset = first << WIRE_CHUNK_SHIFT;
		length = min_of(count << WIRE_CHUNK_SHIFT, s->size_bytes - offset);
		rc = zero_range(s, offset, length, no_hole);
		if (rc == 0)
			rc = give_back_known(s, first, count, WIRE_ZERO, NULL, run_id);
		else
			give_back(s, first, count);
		if (rc < 0)
			return rc;
		first += count;
	}
	return 0;
}

int store_zero(struct store *s, uint64_t offset_bytes, uint64_t length_bytes, bool no_hole,
	       bool trim, const uint8_t *run_id)
{
	uint64_t end = offset_bytes + length_bytes;
	uint64_t first = div_up(offset_bytes, WIRE_CHUNK_BYTES);
	uint64_t last = end == s->size_bytes ? s->chunks : end >> WIRE_CHUNK_SHIFT;
	uint64_t head_end = min_of(first << WIRE_CHUNK_SHIFT, end);
	uint64_t tail = max_of(last << WIRE_CHUNK_SHIFT, head_end);
	int rc = 0;

	if (trim && s->is_device)
		return 0; /* what a device reads after a discard is its own affair */
	if (offset_bytes < head_end)
		rc = zero_part(s, offset_bytes, head_end - offset_bytes, no_hole);
	if (rc == 0 && first < last)
		rc = zero_chunks(s, first, last, no_hole, run_id);
	if (rc == 0 && tail < end && last >= first)
		rc = zero_part(s, tail, end - tail, no_hole);
	return rc;
}

/*
 * The kernel lets one at a time write through a file's page cache, and has the others spin. Where
 * that takes long they sleep here instead, and leave the processor to the rest of the copy.
 */
static int write_cached(struct store *s, const uint8_t *data, size_t bytes, uint64_t offset_bytes)
{
	bool in_turn = !s->is_device && bytes >= DIRECT_MIN_BYTES;
	int rc;

	if (in_turn)
		pthread_mutex_lock(&s->cache_lock);
	rc = io_pwrite(s->fd, data, bytes, offset_bytes, s->path);
	if (in_turn)
		pthread_mutex_unlock(&s->cache_lock);
	return rc;
}

/*
 * Whole pages go straight from our memory to the medium: through the page cache they would cost one
 * more copy of everything, and the commit would wait for all of it at once.
 */
static int write_part(struct store *s, const uint8_t *data, size_t bytes, uint64_t offset_bytes)
{
	int fd = s->direct_fd;

	if (fd >= 0 && bytes >= DIRECT_MIN_BYTES) {
		size_t whole = round_down(bytes, STORE_ALIGN);
		ssize_t n = pwrite(fd, data, whole, (off_t)offset_bytes);

		if (n < 0 && errno == EINVAL)
			s->direct_fd =
				-1; /* this one cannot; fd stays open, others may be using it */
		n = n < 0 ? 0 : (ssize_t)round_down((uint64_t)n, STORE_ALIGN);
		data += n;
		bytes -= (size_t)n;
		offset_bytes += (uint64_t)n;
		/* What is left, an error included, meets the same again below, with its reason. */
	}
	return bytes ? write_cached(s, data, bytes, offset_bytes) : 0;
}

/* The next stretch to write from *block on: present blocks, and short gaps of zeros between them.
 */
static bool next_stretch(const uint8_t *bitmap, unsigned *block, unsigned *count)
{
	unsigned next, run;

	if (!wire_bitmap_run(bitmap, block, count))
		return false;
	for (;;) {
		next = *block + *count;
		if (!wire_bitmap_run(bitmap, &next, &run) ||
		    next - (*block + *count) >= GAP_MAX_BLOCKS)
			return true;
		*count = next + run - *block;
	}
}

/* The present blocks, and zeros between them unless the chunk is zero already. */
static int write_blocks(struct store *s, uint64_t offset, size_t chunk_bytes, const uint8_t *bitmap,
			const uint8_t *plain, bool was_zero)
{
	unsigned block = 0, run = 0;
	size_t done = 0;
	int rc = 0;

	while (rc == 0 && next_stretch(bitmap, &block, &run)) {
		size_t start = (size_t)block * WIRE_BLOCK_BYTES;
		size_t bytes = min_of((size_t)run * WIRE_BLOCK_BYTES, chunk_bytes - start);

		if (start > done && !was_zero)
			rc = zero_range(s, offset + done, start - done, false);
		if (rc == 0)
			rc = write_part(s, plain + start, bytes, offset + start);
		done = start + bytes;
		block += run;
		atomic_fetch_add(&s->written_bytes, bytes);
	}
	if (rc == 0 && done < chunk_bytes && !was_zero)
		rc = zero_range(s, offset + done, chunk_bytes - done, false);
	return rc;
}

uint8_t *store_buffer(void)
{
	void *buf = NULL;

	return posix_memalign(&buf, STORE_ALIGN, WIRE_CHUNK_BYTES) == 0 ? buf : NULL;
}

int store_chunk(struct store *s, uint64_t chunk, const uint8_t bitmap[WIRE_BITMAP_BYTES],
		const uint8_t *plain, const uint8_t digest[WIRE_DIGEST_MAX], const uint8_t *run_id)
{
	uint64_t offset = chunk << WIRE_CHUNK_SHIFT;
	size_t chunk_bytes = (size_t)store_chunk_bytes(s, chunk);
	bool was_zero;
	int rc = take(s, chunk, 1, &was_zero);

	if (rc < 0)
		return rc;
	rc = write_blocks(s, offset, chunk_bytes, bitmap, plain, was_zero);
	if (rc < 0) {
		give_back(s, chunk, 1);
		return rc;
	}
	return give_back_known(s, chunk, 1, WIRE_DATA, digest, run_id);
}

static void lay_over(uint8_t *whole, const uint8_t *bitmap, const uint8_t *blocks,
		     size_t chunk_bytes)
{
	unsigned block = 0, run = 0;

	while (wire_bitmap_run(bitmap, &block, &run)) {
		size_t start = (size_t)block * WIRE_BLOCK_BYTES;
		size_t bytes = min_of((size_t)run * WIRE_BLOCK_BYTES, chunk_bytes - start);

		memcpy(whole + start, blocks, bytes);
		blocks += bytes;
		block += run;
	}
}

/* The chunk is ours from before it is read, so that nobody changes it in between. */
int store_patch(struct store *s, uint64_t chunk, const uint8_t bitmap[WIRE_BITMAP_BYTES],
		store_blocks_fn fn, void *ctx, uint8_t *whole,
		const uint8_t digest[WIRE_DIGEST_MAX], const uint8_t *run_id)
{
	uint64_t offset = chunk << WIRE_CHUNK_SHIFT;
	size_t chunk_bytes = (size_t)store_chunk_bytes(s, chunk);
	uint8_t made[WIRE_DIGEST_MAX];
	const uint8_t *blocks = NULL;
	bool was_zero, zero;
	int rc = take(s, chunk, 1, &was_zero);

	if (rc < 0)
		return rc;
	rc = io_pread(s->fd, whole, chunk_bytes, offset, s->path);
	if (rc == 0)
		rc = fn(ctx, whole, &blocks);
	if (rc == 0) {
		lay_over(whole, bitmap, blocks, chunk_bytes);
		wire_digest_of(s->digest)(whole, chunk_bytes, made);
		if (memcmp(made, digest, sizeof(made)) != 0)
			rc = fail(EBADMSG,
				  "chunk %llu of disk%u does not have its digest after its changed "
				  "blocks were laid over it",
				  (unsigned long long)chunk, s->disk);
	}
	/* As if the chunk were zero: what is not in the bitmap is not touched. */
	if (rc == 0)
		rc = write_blocks(s, offset, chunk_bytes, bitmap, whole, true);
	if (rc < 0) {
		give_back(s, chunk, 1);
		return rc;
	}
	zero = io_is_zero(whole, chunk_bytes);
	return give_back_known(s, chunk, 1, zero ? WIRE_ZERO : WIRE_DATA, zero ? NULL : digest,
			       run_id);
}

int store_keep(struct store *s, uint64_t chunk, uint64_t count, const uint8_t *run_id)
{
	int rc;
	LOCK_SCOPE(&s->lock);

	rc = s->error || s->frozen ? refused(s) : set_run(s, run_id);
	if (rc < 0)
		return rc;
	for (uint64_t i = chunk; i < chunk + count; i++)
		if (s->states[i] & CHUNK_BUSY || (s->states[i] & CHUNK_KIND) == WIRE_UNKNOWN)
			return fail(ENOENT, "chunk %llu of disk%u is not known and cannot be kept",
				    (unsigned long long)i, s->disk);
	for (uint64_t i = chunk; i < chunk + count; i++) {
		if (recorded(s->states[i]))
			continue;
		s->states[i] |= CHUNK_THIS_RUN;
		store_mark_pending(s, i, 1);
	}
	return 0;
}
