/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loss of power, not of the process: what was written and not synced may be on the medium or not,
 * in parts, in any order. All that the store does to its disk and its journal is recorded while it
 * works; then the power goes at some moment of the record, with some luck for what was not synced,
 * and a new store must know nothing that is not so, and must still know what had been called
 * durable. kill -9 is mixed in: then all is there, but what was not synced still is not.
 *
 * Where the power goes, and what luck there is, comes from a seed; POWER_LOSS_SEED repeats one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "receiver/disks.h"

#include "unit.h"

#define CHUNKS	     9
#define DISK_BYTES   ((CHUNKS - 1) * (uint64_t)MIB + 12288)
#define WRITERS	     3 /* each has its own chunks */
#define SECTOR_BYTES 512
#define EVENTS_MAX   60000
#define JOURNAL_MAX  (8 * MIB)

/* ------------------------------------------------------------------------------- the recorder */

enum event_kind { EV_WRITE, EV_ZERO, EV_SIZE, EV_SYNC, EV_BEGIN, EV_CLAIM };
enum file_id { DISK, JOURNAL, FILES };

struct event {
	enum event_kind kind;
	enum file_id file;
	uint64_t offset, bytes; /* SIZE: bytes is the size. SYNC: offset is the event it began at */
	uint8_t *data;		/* WRITE */
	unsigned chunk;		/* BEGIN, CLAIM */
	enum wire_chunk_state state;
	uint8_t digest[WIRE_DIGEST_BYTES];
};

static struct {
	pthread_mutex_t lock;
	bool on;
	ino_t inode[FILES];
	struct event *events;
	size_t count;
} rec = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool file_of(int fd, enum file_id *out)
{
	struct stat st;

	if (!rec.on || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	for (enum file_id f = DISK; f < FILES; f++)
		if (rec.inode[f] == st.st_ino) {
			*out = f;
			return true;
		}
	return false;
}

static size_t now(void)
{
	size_t n;

	pthread_mutex_lock(&rec.lock);
	n = rec.count;
	pthread_mutex_unlock(&rec.lock);
	return n;
}

/* At its end, so that a sync that begins behind it in the record covers it. */
static void record(struct event e, const void *data)
{
	if (data) {
		e.data = malloc(e.bytes);
		memcpy(e.data, data, e.bytes);
	}
	pthread_mutex_lock(&rec.lock);
	if (rec.count == EVENTS_MAX)
		abort();
	rec.events[rec.count++] = e;
	pthread_mutex_unlock(&rec.lock);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset);
ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
	ssize_t n = syscall(SYS_pwrite64, fd, data, bytes, offset);
	enum file_id f;

	if (n > 0 && file_of(fd, &f))
		record((struct event){EV_WRITE, f, (uint64_t)offset, (uint64_t)n, NULL, 0, 0, {0}},
		       data);
	return n;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t bytes);
int fallocate64(int fd, int mode, off64_t offset, off64_t bytes)
{
	int rc = (int)syscall(SYS_fallocate, fd, mode, offset, bytes);
	enum file_id f;

	if (rc == 0 && file_of(fd, &f))
		record(
			(struct event){
				EV_ZERO, f, (uint64_t)offset, (uint64_t)bytes, NULL, 0, 0, {0}},
			NULL);
	return rc;
}

int ftruncate64(int fd, off64_t size);
int ftruncate64(int fd, off64_t size)
{
	int rc = (int)syscall(SYS_ftruncate, fd, size);
	enum file_id f;

	if (rc == 0 && file_of(fd, &f))
		record((struct event){EV_SIZE, f, 0, (uint64_t)size, NULL, 0, 0, {0}}, NULL);
	return rc;
}

static int sync_as(long call, int fd)
{
	size_t began = now();
	int rc = (int)syscall(call, fd);
	enum file_id f;

	if (rc == 0 && file_of(fd, &f))
		record((struct event){EV_SYNC, f, began, 0, NULL, 0, 0, {0}}, NULL);
	return rc;
}

/* The files are told by number from when they are made. */
int openat64(int dir_fd, const char *name, int flags, ...);
int openat64(int dir_fd, const char *name, int flags, ...)
{
	static const char *const names[] = {[DISK] = "disk0.raw", [JOURNAL] = "disk0.journal"};
	int fd = (int)syscall(SYS_openat, dir_fd, name, flags, 0600);
	struct stat st;

	for (enum file_id f = DISK; rec.on && fd >= 0 && f < FILES; f++)
		if (strcmp(name, names[f]) == 0 && fstat(fd, &st) == 0)
			rec.inode[f] = st.st_ino;
	return fd;
}

int fsync(int fd)
{
	return sync_as(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	/* Others go on meanwhile, as they do on real disks. */
	nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
	return sync_as(SYS_fdatasync, fd);
}

/* ----------------------------------------------------------------------------------- the medium */

struct image {
	uint8_t *bytes;
	uint64_t size;
};

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static bool chance(uint64_t *seed, unsigned percent)
{
	return next_random(seed) % 100 < percent;
}

static void put(struct image *m, uint64_t at, const uint8_t *data, uint64_t bytes)
{
	if (data)
		memcpy(m->bytes + at, data, bytes);
	else
		memset(m->bytes + at, 0, bytes);
	m->size = max_of(m->size, at + bytes);
}

/* A write in the whole or by sectors, each of which has its own luck. */
static void apply(struct image *m, const struct event *e, bool torn, unsigned percent,
		  uint64_t *seed)
{
	uint64_t unit = e->kind == EV_ZERO ? WIRE_BLOCK_BYTES : SECTOR_BYTES;

	if (e->kind == EV_SIZE) {
		if (e->bytes < m->size)
			memset(m->bytes + e->bytes, 0, m->size - e->bytes);
		m->size = e->bytes;
		return;
	}
	for (uint64_t at = e->offset, n; at < e->offset + e->bytes; at += n) {
		n = torn ? min_of(unit - at % unit, e->offset + e->bytes - at) : e->bytes;
		if (!torn || chance(seed, percent))
			put(m, at, e->data ? e->data + (at - e->offset) : NULL, n);
	}
}

/*
 * The file as it is found after event `end`. percent: of what was not synced that is there anyway;
 * 100: the process died, not the power.
 */
static void find(struct image *m, enum file_id file, size_t end, unsigned percent, uint64_t seed)
{
	size_t safe = 0;
	bool shuffled = chance(&seed, 50);

	memset(m->bytes, 0, file == DISK ? DISK_BYTES : JOURNAL_MAX);
	m->size = 0;
	for (size_t i = 0; i < end; i++)
		if (rec.events[i].kind == EV_SYNC && rec.events[i].file == file)
			safe = max_of(safe, (size_t)rec.events[i].offset);
	for (size_t i = 0; i < end; i++) {
		const struct event *e = &rec.events[i];

		if (e->file != file || e->kind > EV_SIZE)
			continue;
		/* Whole ones are lost, or sectors of them. (Later ones lie over earlier ones that
		 * are still there, as they go through one cache.) */
		if (i < safe || percent == 100)
			apply(m, e, false, 100, &seed);
		else if (shuffled ? chance(&seed, percent) : percent > 0)
			apply(m, e, !shuffled, percent, &seed);
	}
}

/* ---------------------------------------------------------------------------------- the workload
 */

struct bench {
	char dir[48];
	struct vault *vault;
	struct disks *disks;
	struct store *store;
	uint64_t seed;
	uint8_t run_id[WIRE_RUN_ID_BYTES];
	unsigned steps;
};

static void open_disks(struct bench *b, bool first)
{
	const struct vault_options v = {.state_dir = b->dir, .files_dir = b->dir};
	CLEANUP_JSON json_t *plan = json_pack("{s:[{s:i, s:I}]}", "disks", "index", 0,
					      "target_bytes", (json_int_t)DISK_BYTES);
	struct disks_options o = {.commit_ms = 2};

	assert_int_equal(vault_start(&v, false, &b->vault), 0);
	o.vault = b->vault;
	if (disks_open(&o, &b->disks) < 0 || (first && disks_apply_plan(b->disks, plan) < 0))
		fail_msg("%s: %s", err_code(), err_reason());
	b->store = disks_get(b->disks, 0);
}

static void close_disks(struct bench *b)
{
	disks_close(b->disks);
	vault_stop(b->vault);
	b->disks = NULL;
	b->vault = NULL;
	b->store = NULL;
}

static void begin(unsigned chunk)
{
	record((struct event){EV_BEGIN, FILES, 0, 0, NULL, chunk, 0, {0}}, NULL);
}

/* What the store says of the chunk now, which nobody else touches. */
static void claim(struct bench *b, unsigned chunk)
{
	struct event e = {.kind = EV_CLAIM, .file = FILES, .chunk = chunk};
	struct store_run run;

	store_run_at(b->store, chunk, 1, b->run_id, &run, e.digest);
	if (!run.durable)
		return;
	e.state = run.state;
	record(e, NULL);
}

static void write_chunk(struct bench *b, unsigned chunk, uint8_t *data, uint64_t *seed)
{
	size_t bytes = (size_t)min_of((uint64_t)WIRE_CHUNK_BYTES,
				      DISK_BYTES - ((uint64_t)chunk << WIRE_CHUNK_SHIFT));
	uint8_t bitmap[WIRE_BITMAP_BYTES], digest[WIRE_DIGEST_MAX];
	unsigned blocks = 1 + (unsigned)(next_random(seed) % 6);

	memset(data, 0, bytes);
	while (blocks-- > 0) {
		size_t block = next_random(seed) % (bytes / WIRE_BLOCK_BYTES);

		/* Near each other at times: both ways of filling gaps are used. */
		if (chance(seed, 50))
			block %= 20;
		memset(data + min_of(block, bytes / WIRE_BLOCK_BYTES - 1) * WIRE_BLOCK_BYTES,
		       1 + (int)(next_random(seed) % 255), WIRE_BLOCK_BYTES);
	}
	wire_chunk_scan(data, bytes, bitmap);
	wire_digest(data, bytes, digest);
	assert_int_equal(store_chunk(b->store, chunk, bitmap, data, digest, b->run_id), 0);
}

static int ready(void *ctx, const uint8_t *whole, const uint8_t **blocks)
{
	(void)whole;
	*blocks = ctx;
	return 0;
}

/* One block of what stands there changes. */
static void patch_chunk(struct bench *b, unsigned chunk, uint8_t *data, uint64_t *seed)
{
	uint64_t offset = (uint64_t)chunk << WIRE_CHUNK_SHIFT;
	size_t bytes = (size_t)min_of((uint64_t)WIRE_CHUNK_BYTES, DISK_BYTES - offset);
	uint8_t bitmap[WIRE_BITMAP_BYTES] = {0}, digest[WIRE_DIGEST_MAX], block[WIRE_BLOCK_BYTES];
	unsigned number = (unsigned)(next_random(seed) % (bytes / WIRE_BLOCK_BYTES));

	assert_int_equal(store_read(b->store, data, bytes, offset), 0);
	memset(block, (int)(next_random(seed) % 256), sizeof(block));
	memcpy(data + number * WIRE_BLOCK_BYTES, block, sizeof(block));
	bitmap[number / 8] = (uint8_t)(1 << number % 8);
	wire_digest(data, bytes, digest);
	assert_int_equal(
		store_patch(b->store, chunk, bitmap, ready, block, data, digest, b->run_id), 0);
}

static void step(struct bench *b, unsigned chunk, uint8_t *data, uint64_t *seed)
{
	uint64_t offset = (uint64_t)chunk << WIRE_CHUNK_SHIFT;
	uint64_t bytes = min_of((uint64_t)WIRE_CHUNK_BYTES, DISK_BYTES - offset);
	unsigned what = (unsigned)(next_random(seed) % 100);

	if (what < 35) {
		begin(chunk);
		write_chunk(b, chunk, data, seed);
	} else if (what < 50) {
		begin(chunk);
		if (what < 45)
			assert_int_equal(store_forget_ahead(b->store, chunk), 0);
		patch_chunk(b, chunk, data, seed);
	} else if (what < 53) {
		/* A patch that comes later, or never: the chunk may be unknown after a death. */
		begin(chunk);
		assert_int_equal(store_forget_ahead(b->store, chunk), 0);
	} else if (what < 60) {
		begin(chunk);
		assert_int_equal(store_zero(b->store, offset, bytes, false, false, b->run_id), 0);
	} else if (what < 65) {
		begin(chunk);
		assert_int_equal(store_zero(b->store, offset + 4096, 4096, false, false, NULL), 0);
	} else if (what < 70) {
		begin(chunk);
		memset(data, 0x5a, 3000);
		assert_int_equal(store_write(b->store, data, 3000, offset + 1000), 0);
	} else if (what < 75) {
		(void)store_keep(b->store, chunk, 1, b->run_id);
	} else if (what < 80) {
		assert_int_equal(store_commit(b->store), 0);
		claim(b, chunk);
	} else if (what < 83) {
		struct store_found found;

		begin(chunk);
		assert_int_equal(store_readback(b->store, chunk, data, b->run_id, &found), 0);
		assert_false(found.differs);
	} else {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		claim(b, chunk);
	}
}

struct writer_thread {
	struct bench *b;
	unsigned own; /* chunks whose number leaves this rest */
	uint64_t seed;
	pthread_t thread;
};

static void *run_writer(void *arg)
{
	struct writer_thread *w = arg;
	CLEANUP_FREE uint8_t *data = store_buffer();

	for (unsigned i = 0; i < w->b->steps; i++)
		step(w->b,
		     w->own + WRITERS * (unsigned)(next_random(&w->seed) % (CHUNKS / WRITERS)),
		     data, &w->seed);
	return NULL;
}

static void work(struct bench *b, unsigned run)
{
	struct writer_thread writers[WRITERS];

	memset(b->run_id, (int)run, sizeof(b->run_id));
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] =
			(struct writer_thread){.b = b, .own = i, .seed = next_random(&b->seed) | 1};
		assert_int_equal(pthread_create(&writers[i].thread, NULL, run_writer, &writers[i]),
				 0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
}

/* ---------------------------------------------------------------------------------- the verdict */

static void lay(const char *dir, const char *name, const struct image *m)
{
	CLEANUP_CLOSE int fd = -1;
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, (off_t)m->size), 0);
	for (uint64_t at = 0, n; at < m->size; at += n) {
		n = min_of((uint64_t)WIRE_BLOCK_BYTES, m->size - at);
		if (!io_is_zero(m->bytes + at, n))
			assert_int_equal(pwrite(fd, m->bytes + at, n, (off_t)at), n);
	}
}

/* The last thing that was called durable of each chunk and not touched since. */
static void expect(size_t end, const struct event *claims[CHUNKS])
{
	memset(claims, 0, CHUNKS * sizeof(*claims));
	for (size_t i = 0; i < end; i++) {
		const struct event *e = &rec.events[i];

		if (e->kind == EV_BEGIN || e->kind == EV_CLAIM)
			claims[e->chunk] = e->kind == EV_CLAIM ? e : NULL;
	}
}

static void check_chunk(struct bench *b, const struct image *disk, unsigned chunk,
			const struct event *claim, const char *what)
{
	uint64_t offset = (uint64_t)chunk << WIRE_CHUNK_SHIFT;
	size_t bytes = (size_t)min_of((uint64_t)WIRE_CHUNK_BYTES, DISK_BYTES - offset);
	uint8_t have[WIRE_DIGEST_MAX], known[WIRE_DIGEST_BYTES];
	struct store_run run;

	store_run_at(b->store, chunk, 1, b->run_id, &run, known);
	wire_digest(disk->bytes + offset, bytes, have);
	if (run.state == WIRE_ZERO && !io_is_zero(disk->bytes + offset, bytes))
		fail_msg("%s: chunk %u is called zero and is not", what, chunk);
	if (run.state == WIRE_DATA && memcmp(have, known, sizeof(known)) != 0)
		fail_msg("%s: chunk %u is not what the journal says", what, chunk);
	if (!claim)
		return;
	if (run.state != claim->state || !run.durable)
		fail_msg("%s: chunk %u was called durable and is known no more", what, chunk);
	if (run.state == WIRE_DATA && memcmp(known, claim->digest, sizeof(known)) != 0)
		fail_msg("%s: chunk %u was called durable and is an older one", what, chunk);
}

static bool journal_begun_at(size_t end)
{
	for (size_t i = 0; i < end; i++)
		if (rec.events[i].file == JOURNAL)
			return true;
	return false;
}

/* The moment before it was made. The file itself is kept, as it is told by its number. */
static void hide_journal(struct bench *b, bool hide)
{
	char path[100], hidden[100];

	snprintf(path, sizeof(path), "%s/disk0.journal", b->dir);
	snprintf(hidden, sizeof(hidden), "%s/hidden", b->dir);
	assert_int_equal(hide ? rename(path, hidden) : rename(hidden, path), 0);
}

/* What a new receiver makes of the medium as it is after event `end`. */
static void crash(struct bench *b, struct image images[FILES], size_t end, unsigned percent,
		  uint64_t seed)
{
	const struct event *claims[CHUNKS];
	bool journal_begun = journal_begun_at(end);
	char what[100];

	snprintf(what, sizeof(what), "event %zu of %zu, %u percent, luck %llu", end, rec.count,
		 percent, (unsigned long long)seed);
	find(&images[DISK], DISK, end, percent, seed);
	find(&images[JOURNAL], JOURNAL, end, percent, seed + 1);
	lay(b->dir, "disk0.raw", &images[DISK]);
	lay(b->dir, "disk0.journal", &images[JOURNAL]);
	if (!journal_begun)
		hide_journal(b, true);
	open_disks(b, !journal_begun);
	expect(end, claims);
	for (unsigned i = 0; i < CHUNKS; i++)
		check_chunk(b, &images[DISK], i, claims[i], what);
	close_disks(b);
	if (!journal_begun)
		hide_journal(b, false);
}

static void try_crashes(struct bench *b, struct image images[FILES], size_t from, unsigned tries)
{
	static const unsigned percents[] = {0, 100, 50, 90, 10, 50, 99};

	rec.on = false;
	for (unsigned i = 0; i < tries; i++) {
		size_t end = from + next_random(&b->seed) % (rec.count - from + 1);

		crash(b, images, end, percents[i % ARRAY_SIZE(percents)], next_random(&b->seed));
	}
}

/* Go on as after kill -9 at this moment: all that was written is there, what was not synced may
 * still be lost later. */
static void kill_at(struct bench *b, struct image images[FILES], size_t end)
{
	while (!journal_begun_at(end))
		end++;
	for (enum file_id f = DISK; f < FILES; f++)
		find(&images[f], f, end, 100, 1);
	lay(b->dir, "disk0.raw", &images[DISK]);
	lay(b->dir, "disk0.journal", &images[JOURNAL]);
	for (size_t i = end; i < rec.count; i++)
		free(rec.events[i].data);
	rec.count = end;
	rec.on = true;
	open_disks(b, false);
}

static void forget_events(void)
{
	for (size_t i = 0; i < rec.count; i++)
		free(rec.events[i].data);
	rec.count = 0;
}

/* One life of a disk: work, death by kill -9, more work, twice; the power goes somewhere in each.
 */
static void live(uint64_t seed, unsigned steps, unsigned tries)
{
	struct bench b = {.seed = seed | 1, .steps = steps};
	struct image images[FILES] = {{.bytes = malloc(DISK_BYTES)},
				      {.bytes = malloc(JOURNAL_MAX)}};

	print_message("POWER_LOSS_SEED=%llu\n", (unsigned long long)seed);
	strcpy(b.dir, "/tmp/coldlift-power-XXXXXX");
	assert_non_null(mkdtemp(b.dir));
	rec.on = true;
	open_disks(&b, true);
	for (unsigned life = 0; life < 3; life++) {
		size_t from = life == 0 ? 0 : rec.count;

		work(&b, 1 + life / 2);
		close_disks(&b);
		try_crashes(&b, images, from, tries);
		kill_at(&b, images, from + next_random(&b.seed) % (rec.count - from + 1));
	}
	close_disks(&b);
	rec.on = false;
	forget_events();
	for (enum file_id f = DISK; f < FILES; f++)
		free(images[f].bytes);
	remove_tree(b.dir);
}

static void what_is_called_durable_is_there_after_any_loss_of_power(void **state)
{
	const char *again = getenv("POWER_LOSS_SEED"), *lives = getenv("POWER_LOSS_LIVES");
	uint64_t seed = again ? strtoull(again, NULL, 10)
			      : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();

	(void)state;
	for (int i = 0; i < (lives ? atoi(lives) : 2); i++)
		live(seed + (uint64_t)i, 60, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_called_durable_is_there_after_any_loss_of_power),
	};

	log_setup(LOG_LEVEL_ERROR, NULL, NULL);
	rec.events = calloc(EVENTS_MAX, sizeof(*rec.events));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
