/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A target disk: opening, replaying its journal, reading, and answering what is known of it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "receiver/store_private.h"

/* A journal with so many records more than there are chunks to speak of is written anew. */
#define COMPACT_SLACK 65536

uint64_t store_chunk_bytes(const struct store *s, uint64_t chunk)
{
	return min_of((uint64_t)WIRE_CHUNK_BYTES, s->size_bytes - (chunk << WIRE_CHUNK_SHIFT));
}

unsigned store_disk(const struct store *s)
{
	return s->disk;
}

uint64_t store_size_bytes(const struct store *s)
{
	return s->size_bytes;
}

bool store_is_device(const struct store *s)
{
	return s->is_device;
}

int store_fail(struct store *s, int rc)
{
	pthread_mutex_lock(&s->lock);
	if (!s->error)
		s->error = rc;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static void *reserve(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void set_digest(struct store *s, enum wire_digest_kind kind)
{
	s->digest = kind;
	s->digest_bytes = wire_digest_bytes(kind);
}

/* Chunks with data are known by their digests; zeros are zeros by any. Returns how many they were.
 */
static uint64_t forget_data(struct store *s)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < s->chunks; i++)
		if ((s->states[i] & CHUNK_KIND) == WIRE_DATA) {
			s->states[i] = 0;
			n++;
		}
	return n;
}

static int apply(void *ctx, const struct journal_record *r)
{
	struct store *s = ctx;
	uint8_t state = 0;

	switch (r->kind) {
	case JOURNAL_DIGEST:
		forget_data(s);
		set_digest(s, r->value[0]);
		return 0;
	case JOURNAL_RUN:
		memcpy(s->run_id, r->value, sizeof(s->run_id));
		for (uint64_t i = 0; i < s->chunks; i++)
			if (s->states[i])
				s->states[i] &= (uint8_t)~CHUNK_THIS_RUN;
		return 0;
	case JOURNAL_DATA:
	case JOURNAL_OLD_DATA:
		state = WIRE_DATA | CHUNK_JOURNALED;
		memcpy(store_digest_at(s, r->chunk), r->value, s->digest_bytes);
		break;
	case JOURNAL_ZERO:
	case JOURNAL_OLD_ZERO:
		state = WIRE_ZERO | CHUNK_JOURNALED;
		break;
	case JOURNAL_UNKNOWN:
		break;
	}
	if (r->kind == JOURNAL_DATA || r->kind == JOURNAL_ZERO)
		state |= CHUNK_THIS_RUN;
	memset(s->states + r->chunk, state, r->count);
	return 0;
}

static int open_fd(struct store *s, enum vault_how how)
{
	int fd = vault_open(s->vault, VAULT_DISK, s->disk, how);

	if (fd == -EBUSY)
		return fail_code(EBUSY, "TARGET_IN_USE",
				 "%s is mounted or used by something else on this machine",
				 s->path);
	return fd == -ENOENT ? fail(fd, "%s is not there", s->path) : fd;
}

static int size_file(struct store *s, uint64_t bytes)
{
	if (bytes == 0 || s->size_bytes == bytes)
		return 0;
	if (s->size_bytes != 0)
		return fail_code(EEXIST, "TARGET_SIZE_DIFFERS",
				 "%s is there with %" PRIu64 " bytes, and the plan wants %" PRIu64
				 "; remove it and its journal to begin anew",
				 s->path, s->size_bytes, bytes);
	if (ftruncate(s->fd, (off_t)bytes) < 0 || fsync(s->fd) < 0)
		return fail(errno, "make %s as large as the plan wants", s->path);
	s->size_bytes = bytes;
	return 0;
}

/* Lock against a second receiver, and a device against being mounted meanwhile. */
static int open_target(struct store *s, const struct store_options *o)
{
	struct statfs fs;
	int rc;

	s->fd = open_fd(s, o->is_device ? VAULT_WRITE : VAULT_CREATE);
	if (s->fd < 0)
		return s->fd;
	if (flock(s->fd, LOCK_EX | LOCK_NB) < 0)
		return fail_code(EBUSY, "TARGET_IN_USE", "%s is used by another receiver", s->path);
	/* tmpfs takes direct writes, but is nothing but page cache. */
	if (fstatfs(s->fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		s->direct_fd = vault_open(s->vault, VAULT_DISK, s->disk, VAULT_DIRECT_WRITE);
	s->medium_fd = vault_open(s->vault, VAULT_DISK, s->disk, VAULT_DIRECT_READ);
	s->medium_ok = s->medium_fd >= 0;
	rc = io_size(s->fd, s->path, &s->size_bytes);
	/* A receiver that was killed may have left holes that are not on the medium yet. */
	if (rc == 0 && fsync(s->fd) < 0)
		rc = fail(errno, "sync %s", s->path);
	return rc < 0 || o->is_device ? rc : size_file(s, o->size_bytes);
}

/* Chunk range wholly inside the hole [from, to). */
static int take_hole(struct store *s, uint64_t from, uint64_t to)
{
	uint64_t first = div_up(from, WIRE_CHUNK_BYTES);
	uint64_t end = to == s->size_bytes ? s->chunks : to / WIRE_CHUNK_BYTES;

	for (uint64_t i = first; i < end; i++) {
		if ((s->states[i] & CHUNK_KIND) == WIRE_DATA)
			return fail_code(
				EINVAL, "JOURNAL_CONTRADICTS",
				"%s has nothing at %" PRIu64
				" where its journal says that data was written; remove the journal "
				"to copy this disk from the beginning",
				s->path, i << WIRE_CHUNK_SHIFT);
		if ((s->states[i] & CHUNK_KIND) == WIRE_UNKNOWN)
			s->states[i] = WIRE_ZERO;
	}
	return 0;
}

/* What lies in a hole of the file is zero now, whatever was not recorded of it. */
static int take_holes(struct store *s)
{
	uint64_t at = 0;

	while (at < s->size_bytes) {
		off_t data = lseek(s->fd, (off_t)at, SEEK_DATA);
		uint64_t hole_end = data < 0 ? s->size_bytes : (uint64_t)data;
		off_t next;
		int rc;

		if (data < 0 && errno != ENXIO)
			return 0; /* a file system that cannot tell */
		rc = take_hole(s, at, min_of(hole_end, s->size_bytes));
		if (rc < 0 || hole_end >= s->size_bytes)
			return rc;
		next = lseek(s->fd, data, SEEK_HOLE);
		if (next <= data)
			return 0;
		at = (uint64_t)next;
	}
	return 0;
}

static struct journal_record record_of(const struct store *s, uint64_t chunk, uint64_t count)
{
	uint8_t state = s->states[chunk];
	bool this_run = state & CHUNK_THIS_RUN;
	struct journal_record r = {.chunk = chunk, .count = (uint32_t)count};

	if ((state & CHUNK_KIND) == WIRE_DATA) {
		r.kind = this_run ? JOURNAL_DATA : JOURNAL_OLD_DATA;
		memcpy(r.value, store_digest_at(s, chunk), s->digest_bytes);
	} else {
		r.kind = this_run ? JOURNAL_ZERO : JOURNAL_OLD_ZERO;
	}
	return r;
}

/* Write what is known into a new journal: the run id first, then a record for each known run. */
static int write_known(struct store *s, struct journal *j)
{
	struct journal_record r = {.kind = JOURNAL_RUN};
	int rc;

	memcpy(r.value, s->run_id, sizeof(r.value));
	rc = journal_append(j, &r, 1);
	for (uint64_t i = 0, n; rc == 0 && i < s->chunks; i += n) {
		uint8_t state = s->states[i];
		bool run = (state & CHUNK_KIND) != WIRE_DATA;

		for (n = 1; run && i + n < s->chunks && s->states[i + n] == state;)
			n++;
		if (state & CHUNK_JOURNALED) {
			r = record_of(s, i, n);
			rc = journal_append(j, &r, 1);
		}
	}
	return rc;
}

static int apply_nothing(void *ctx, const struct journal_record *r)
{
	(void)ctx;
	(void)r;
	return 0;
}

static int rewrite(struct store *s, const struct journal_subject *subject, const char *name)
{
	int fd = vault_open(s->vault, VAULT_JOURNAL, s->disk, VAULT_NEW);
	struct journal *j = NULL;
	int rc;

	if (fd < 0)
		return fd;
	rc = journal_open(fd, name, subject, apply_nothing, NULL, &j);
	if (rc == 0)
		rc = write_known(s, j);
	if (rc == 0)
		rc = journal_sync(j);
	if (rc == 0)
		rc = vault_commit(s->vault, VAULT_JOURNAL, s->disk);
	journal_close(rc == 0 ? s->journal : j);
	if (rc == 0)
		s->journal = j;
	return rc;
}

static int compact(struct store *s, const struct journal_subject *subject, const char *name)
{
	uint64_t known = 0;

	for (uint64_t i = 0; i < s->chunks; i++)
		known += (s->states[i] & CHUNK_JOURNALED) != 0;
	return journal_records(s->journal) > known + COMPACT_SLACK ? rewrite(s, subject, name) : 0;
}

static int open_journal(struct store *s)
{
	struct journal_subject subject = {.disk = s->disk, .disk_bytes = s->size_bytes};
	char name[VAULT_NAME_BYTES];
	struct stat st;
	int fd, rc;

	if (fstat(s->fd, &st) < 0)
		return fail(errno, "%s", s->path);
	subject.disk_identity = s->is_device ? 0 : st.st_ino;
	fd = vault_open(s->vault, VAULT_JOURNAL, s->disk, VAULT_CREATE);
	if (fd < 0)
		return fd;
	vault_name(s->vault, VAULT_JOURNAL, s->disk, name);
	rc = journal_open(fd, name, &subject, apply, s, &s->journal);
	if (rc == 0 && !s->is_device)
		rc = take_holes(s);
	subject.digest = s->digest;
	return rc < 0 ? rc : compact(s, &subject, name);
}

int store_open(const struct store_options *o, struct store **out)
{
	struct store *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;
	int rc;

	if (!s)
		return fail(ENOMEM, "memory for a disk");
	s->fd = -1;
	s->direct_fd = -1;
	s->medium_fd = -1;
	s->disk = o->disk;
	s->is_device = o->is_device;
	s->commit_ms = o->commit_ms;
	s->vault = o->vault;
	set_digest(s, WIRE_DIGEST_XXH3_128);
	vault_name(o->vault, VAULT_DISK, o->disk, s->path);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->commit_lock, NULL);
	pthread_mutex_init(&s->cache_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, NULL);
	pthread_cond_init(&s->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	rc = open_target(s, o);
	if (rc == 0 && s->size_bytes == 0)
		rc = fail(EINVAL, "%s is empty", s->path);
	if (rc == 0) {
		s->chunks = div_up(s->size_bytes, WIRE_CHUNK_BYTES);
		s->states = reserve(s->chunks);
		s->digests = reserve(s->chunks * WIRE_DIGEST_MAX);
		s->batch = calloc(STORE_BATCH, sizeof(*s->batch));
		if (!s->states || !s->digests || !s->batch)
			rc = fail(ENOMEM, "memory for the state of %s", s->path);
	}
	if (rc == 0)
		rc = open_journal(s);
	if (rc == 0)
		rc = store_committer_start(s);
	if (rc < 0) {
		store_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	store_committer_stop(s);
	journal_close(s->journal);
	if (s->states)
		munmap(s->states, s->chunks);
	if (s->digests)
		munmap(s->digests, s->chunks * WIRE_DIGEST_MAX);
	if (s->fd >= 0)
		close(s->fd);
	if (s->direct_fd >= 0)
		close(s->direct_fd);
	if (s->medium_fd >= 0)
		close(s->medium_fd);
	free(s->batch);
	free(s);
}

int store_read(struct store *s, void *buf, size_t bytes, uint64_t offset_bytes)
{
	return io_pread(s->fd, buf, bytes, offset_bytes, s->path);
}

int store_extent(struct store *s, uint64_t offset_bytes, uint64_t length_bytes,
		 uint64_t *extent_bytes, bool *hole)
{
	uint64_t end = offset_bytes + length_bytes;
	off_t next;

	*hole = false;
	*extent_bytes = length_bytes;
	if (s->is_device)
		return 0;
	next = lseek(s->fd, (off_t)offset_bytes, SEEK_DATA);
	if (next < 0 && errno != ENXIO)
		return 0;
	*hole = next < 0 || (uint64_t)next > offset_bytes;
	if (!*hole) {
		next = lseek(s->fd, (off_t)offset_bytes, SEEK_HOLE);
		if (next < 0)
			return 0;
	}
	if (next >= 0 && (uint64_t)next > offset_bytes)
		*extent_bytes = min_of((uint64_t)next, end) - offset_bytes;
	return 0;
}

bool store_same_run(const struct store *s, const uint8_t *run_id)
{
	static const uint8_t none[WIRE_RUN_ID_BYTES];

	return run_id && memcmp(run_id, none, sizeof(none)) != 0 &&
	       memcmp(run_id, s->run_id, sizeof(s->run_id)) == 0;
}

static struct store_run describe(const struct store *s, uint64_t chunk, bool our_run)
{
	uint8_t state = s->states[chunk];
	struct store_run r = {.count = 1};

	if (state & CHUNK_BUSY)
		return r;
	r.state = state & CHUNK_KIND;
	r.this_run = our_run && state & CHUNK_THIS_RUN;
	/* A zero that is neither pending nor recorded is a hole of the file. */
	r.durable = r.state != WIRE_UNKNOWN &&
		    (state & CHUNK_JOURNALED || !(state & (CHUNK_PENDING | CHUNK_COMMITTING)));
	return r;
}

void store_run_at(struct store *s, uint64_t first, uint64_t max, const uint8_t *run_id,
		  struct store_run *out, uint8_t *digests)
{
	LOCK_SCOPE(&s->lock);
	bool our_run = store_same_run(s, run_id);

	*out = describe(s, first, our_run);
	max = min_of(max, s->chunks - first);
	while (out->count < max) {
		struct store_run next = describe(s, first + out->count, our_run);

		if (next.state != out->state || next.this_run != out->this_run ||
		    next.durable != out->durable)
			break;
		out->count++;
	}
	if (digests && out->state == WIRE_DATA)
		memcpy(digests, store_digest_at(s, first), out->count * s->digest_bytes);
}

static void count_durable(const struct store *s, bool our_run, struct wire_durable *out)
{
	*out = (struct wire_durable){.chunks = s->chunks, .same_run = our_run};
	for (uint64_t i = 0; i < s->chunks; i++) {
		struct store_run r;

		if (s->states[i] == 0)
			continue;
		r = describe(s, i, our_run);
		if (s->states[i] & (CHUNK_PENDING | CHUNK_COMMITTING))
			out->pending_chunks++;
		else if (r.this_run && r.durable)
			out->durable_chunks++;
		out->known_chunks += r.durable;
	}
}

void store_durable(struct store *s, const uint8_t *run_id, struct wire_durable *out)
{
	LOCK_SCOPE(&s->lock);

	count_durable(s, store_same_run(s, run_id), out);
}

void store_figures(struct store *s, struct store_figures *out)
{
	LOCK_SCOPE(&s->lock);

	count_durable(s, true, &out->durable);
	memcpy(out->run_id, s->run_id, sizeof(out->run_id));
	out->written_bytes = atomic_load(&s->written_bytes);
	out->commits = s->commits;
	out->failed = s->error != 0;
}

enum wire_digest_kind store_digest(struct store *s)
{
	LOCK_SCOPE(&s->lock);

	return s->digest;
}

static bool knows_data(const struct store *s)
{
	for (uint64_t i = 0; i < s->chunks; i++)
		if ((s->states[i] & CHUNK_KIND) == WIRE_DATA)
			return true;
	return false;
}

/*
 * Under lock. What is known by another digest says nothing to a source that wants this one: XXH3
 * proves nothing against tampering, so no SHA-256 is made of what XXH3 vouched for.
 */
static int change_digest(struct store *s, bool has_run, enum wire_digest_kind digest)
{
	struct journal_record r = {.kind = JOURNAL_DIGEST, .value = {digest}};
	uint64_t chunks;
	int rc;

	if (s->frozen)
		return fail_code(EPERM, "DISK_FROZEN",
				 "disk%u is frozen: an image is being made of it", s->disk);
	if (!has_run && knows_data(s))
		return fail(EPERM,
			    "disk%u is known by %s digests, and only a source may begin others",
			    s->disk, wire_digest_name(s->digest));
	/* On the medium before any chunk is overwritten, as nothing is forgotten one by one. */
	rc = journal_append(s->journal, &r, 1);
	if (rc == 0)
		rc = journal_sync(s->journal);
	if (rc < 0)
		return rc;
	chunks = forget_data(s);
	set_digest(s, digest);
	if (chunks)
		log_warn("disk%u: the source wants %s digests; %" PRIu64
			 " chunks that were known by others are sent again",
			 s->disk, wire_digest_name(digest), chunks);
	return 0;
}

int store_speak(struct store *s, bool has_run, enum wire_digest_kind digest)
{
	int rc = 0;
	LOCK_SCOPE(&s->lock);

	while (s->digest != digest && s->committing)
		pthread_cond_wait(&s->changed, &s->lock);
	if (s->digest != digest && s->speakers > 0)
		return fail_code(
			EBUSY, "RECEIVER_BUSY",
			"another source is connected to disk%u and has other digests; stop it "
			"first",
			s->disk);
	if (s->digest != digest)
		rc = change_digest(s, has_run, digest);
	s->speakers += rc == 0;
	return rc;
}

void store_hush(struct store *s)
{
	LOCK_SCOPE(&s->lock);

	s->speakers--;
}

int store_enter(struct store *s, const uint8_t run_id[WIRE_RUN_ID_BYTES])
{
	LOCK_SCOPE(&s->lock);

	if (s->entered > 0 && memcmp(s->entered_run_id, run_id, WIRE_RUN_ID_BYTES) != 0)
		return fail_code(EBUSY, "RECEIVER_BUSY",
				 "another source is writing to disk%u; stop it first, or give this "
				 "one a receiver of its own",
				 s->disk);
	memcpy(s->entered_run_id, run_id, WIRE_RUN_ID_BYTES);
	s->entered++;
	return 0;
}

void store_leave(struct store *s)
{
	LOCK_SCOPE(&s->lock);

	s->entered--;
}

bool store_has_source(struct store *s)
{
	LOCK_SCOPE(&s->lock);

	return s->entered > 0;
}
