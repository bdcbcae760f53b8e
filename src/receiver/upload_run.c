/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of an order: one thread packs its disks one after the other, a few others send what it
 * has packed. Memory is a buffer for each part under way, and one more that is being filled.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/thread.h"
#include "receiver/upload_frame.h"
#include "receiver/upload_private.h"
#include "wire/wire.h"

#define SENDER_STACK   (512u << 10)
#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS   30000
#define DIFFERS_MAX    5
/* Parts take at most this share of the memory that is free. */
#define MEMORY_SHARE 4

struct sender {
	struct upload_work *work;
	pthread_t thread;
	bool started;
	unsigned seed;
};

/* ---- jobs, under lock ---- */

static void give_back(struct upload_work *w, struct upload_job *j)
{
	uint8_t *buffer = j->buffer;

	*j = (struct upload_job){.buffer = buffer};
	pthread_cond_broadcast(&w->changed);
}

static bool is_sendable(const struct upload_job *j)
{
	const struct upload_part *p = &j->disk->parts[j->number];

	return j->state == JOB_QUEUED && p->url && !p->refused;
}

/* The next one that may be sent now, or in *wait_ms. */
static struct upload_job *next_job(struct upload_work *w, uint64_t *wait_ms)
{
	struct upload_job *best = NULL;
	uint64_t now = clock_ms();

	*wait_ms = UINT64_MAX;
	for (unsigned i = 0; !w->order.pause && i < w->job_count; i++) {
		struct upload_job *j = &w->jobs[i];

		if (j->state != JOB_QUEUED || !is_sendable(j))
			continue;
		if (j->not_before_ms > now)
			*wait_ms = min_of(*wait_ms, j->not_before_ms - now);
		else if (!best || j->number < best->number)
			best = j;
	}
	return best;
}

static unsigned jobs_in(const struct upload_work *w, enum job_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->job_count; i++)
		n += w->jobs[i].state == state;
	return n;
}

bool upload_waits(const struct upload_work *w, const struct upload_disk *d)
{
	bool lacking = false;

	for (unsigned i = 0; i < w->job_count; i++) {
		const struct upload_job *j = &w->jobs[i];

		if (j->disk != d || j->state == JOB_FREE)
			continue;
		if (j->state == JOB_SENDING || (j->state == JOB_QUEUED && is_sendable(j)))
			return false;
		lacking |= j->state == JOB_QUEUED;
	}
	return lacking && (d->packed || jobs_in(w, JOB_FREE) == 0) && jobs_in(w, JOB_FILLING) == 0;
}

static void set_failure(struct upload_work *w, const char *code, const char *message)
{
	snprintf(w->code, sizeof(w->code), "%s", code);
	snprintf(w->message, sizeof(w->message), "%s", message);
}

static void set_error(struct upload_work *w, const char *code, const char *message)
{
	if (w->in_error)
		return;
	set_failure(w, code, message);
	w->in_error = true;
	atomic_store(&w->stop, true);
	log_error("images: %s: %s", code, message);
	pthread_cond_broadcast(&w->changed);
}

/* All parts from the first one to the checkpoint are done: move it as far as it goes. */
static void move_checkpoint(struct upload_disk *d)
{
	for (;;) {
		struct upload_part *p;

		if (d->checkpoint == 0 && d->options.format == IMAGE_QCOW2)
			d->checkpoint = 1; /* the first part comes last */
		if (d->checkpoint == UPLOAD_PARTS_MAX)
			return;
		p = &d->parts[d->checkpoint + 1];
		if (!p->done || !p->state)
			return;
		free(d->state);
		d->state = steal_ptr(&p->state);
		d->state_bytes = p->state_bytes;
		d->checkpoint++;
	}
}

/* ---- sending ---- */

static void part_done(struct upload_work *w, struct upload_job *j, const struct put_result *r)
{
	struct upload_part *p = &j->disk->parts[j->number];

	p->done = true;
	p->bytes = (uint32_t)j->bytes;
	p->crc = r->crc;
	p->done_bytes = j->done_bytes;
	snprintf(p->etag, sizeof(p->etag), "%s", r->etag);
	move_checkpoint(j->disk);
	/* What ended the order stays said, also where parts beside it still go well. */
	if (!w->in_error)
		w->code[0] = w->message[0] = '\0';
	give_back(w, j);
}

static void try_again(struct upload_work *w, struct upload_job *j, const struct put_result *r,
		      unsigned *seed)
{
	uint64_t now = clock_ms(), pause = RETRY_FIRST_MS;

	for (unsigned i = 0; i < j->attempts && pause < RETRY_MAX_MS; i++)
		pause *= 2;
	pause = min_of(pause, (uint64_t)RETRY_MAX_MS);
	pause = pause / 2 + (uint64_t)rand_r(seed) % (pause / 2 + 1);
	j->attempts++;
	j->disk->retries++;
	if (!j->failing_since_ms)
		j->failing_since_ms = now;
	if (now - j->failing_since_ms > w->order.patience_ms) {
		set_error(w, r->code, r->message);
		return;
	}
	set_failure(w, r->code, r->message);
	log_debug("%s part %u: %s", j->disk->name, j->number, r->message);
	j->not_before_ms = now + max_of(pause, r->retry_after_ms);
	j->state = JOB_QUEUED;
}

/* Under lock. */
static void take_result(struct upload_work *w, struct upload_job *j, const char *url,
			const struct put_result *r, unsigned *seed)
{
	struct upload_part *p = &j->disk->parts[j->number];

	j->state = JOB_QUEUED;
	if (atomic_load(&w->stop) && r->verdict != PUT_DONE)
		return;
	switch (r->verdict) {
	case PUT_DONE:
		part_done(w, j, r);
		break;
	case PUT_REFUSED:
		/* Unless a newer one came meanwhile. */
		if (p->url && strcmp(p->url, url) == 0) {
			p->refused = true;
			set_failure(w, r->code, r->message);
			log_info("%s part %u: %s", j->disk->name, j->number, r->message);
		}
		break;
	case PUT_DIFFERS:
		if (++j->differed >= DIFFERS_MAX)
			set_error(w, r->code, r->message);
		else
			try_again(w, j, r, seed);
		break;
	case PUT_AGAIN:
		try_again(w, j, r, seed);
		break;
	case PUT_FAILED:
		set_error(w, r->code, r->message);
		break;
	}
	pthread_cond_broadcast(&w->changed);
}

static void wait_changed(struct upload_work *w, uint64_t ms)
{
	struct timespec at;

	if (ms == UINT64_MAX) {
		pthread_cond_wait(&w->changed, &w->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)(ms / 1000);
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&w->changed, &w->lock, &at);
}

/* Send one part; the lock is held on entry and exit. */
static void send_job(struct upload_work *w, struct putter *putter, struct upload_job *j,
		     unsigned *seed)
{
	CLEANUP_FREE char *url = strdup(j->disk->parts[j->number].url);
	struct put what = {.url = url,
			   .data = j->buffer,
			   .bytes = j->bytes,
			   .ca = w->ca,
			   .rate_bytes_per_s = w->order.rate_mbit * 125000 / w->connections,
			   .stall_s = w->order.stall_s,
			   .stop = &w->stop};
	struct upload_disk *d = j->disk;
	struct put_result r;

	if (!url) {
		set_error(w, "", "memory for a URL");
		return;
	}
	j->state = JOB_SENDING;
	pthread_mutex_unlock(&w->lock);
	putter_put(putter, &what, &r);
	pthread_mutex_lock(&w->lock);
	take_result(w, j, url, &r, seed);
	if (r.verdict == PUT_DONE) {
		pthread_mutex_unlock(&w->lock);
		upload_save(w, d);
		pthread_mutex_lock(&w->lock);
	}
}

static void *run_sender(void *arg)
{
	struct sender *s = arg;
	struct upload_work *w = s->work;
	struct putter *putter = putter_new();

	pthread_mutex_lock(&w->lock);
	if (!putter)
		set_error(w, "", "memory for a connection");
	while (!w->senders_stop && !atomic_load(&w->stop)) {
		uint64_t wait_ms;
		struct upload_job *j = next_job(w, &wait_ms);

		if (j)
			send_job(w, putter, j, &s->seed);
		else
			wait_changed(w, wait_ms);
	}
	pthread_mutex_unlock(&w->lock);
	putter_free(putter);
	return NULL;
}

/* ---- packing ---- */

struct packing {
	struct upload_work *work;
	struct upload_disk *disk;
};

static struct upload_job *free_job(struct upload_work *w)
{
	for (unsigned i = 0; i < w->job_count; i++)
		if (w->jobs[i].state == JOB_FREE)
			return &w->jobs[i];
	return NULL;
}

static uint8_t *sink_buffer(void *ctx)
{
	struct packing *k = ctx;
	struct upload_work *w = k->work;
	struct upload_job *j;
	LOCK_SCOPE(&w->lock);

	while (!atomic_load(&w->stop)) {
		j = free_job(w);
		if (j) {
			j->state = JOB_FILLING;
			j->disk = k->disk;
			return j->buffer;
		}
		wait_changed(w, UINT64_MAX);
	}
	fail(ECANCELED, "the upload was stopped");
	return NULL;
}

static struct upload_job *filled_job(struct upload_work *w, const uint8_t *data)
{
	LOCK_SCOPE(&w->lock);

	for (unsigned i = 0; i < w->job_count; i++)
		if (w->jobs[i].state == JOB_FILLING && w->jobs[i].buffer == data)
			return &w->jobs[i];
	return NULL;
}

/* It was sent in an earlier life, and is the same. */
static bool is_done(const struct upload_part *p, const struct image_part *made, const uint8_t *data)
{
	return p->done && p->bytes == made->bytes && p->crc == crc64(0, data, made->bytes);
}

static int sink_part(void *ctx, const struct image_part *made)
{
	struct packing *k = ctx;
	struct upload_work *w = k->work;
	struct upload_disk *d = k->disk;
	const uint8_t *data = made->data;
	struct upload_job *j;
	struct upload_part *p;
	bool done;

	if (made->number > UPLOAD_PARTS_MAX)
		return fail_code(EFBIG, "IMAGE_PARTS_EXCEEDED",
				 "the image of %s needs more than %d parts of %zu bytes", d->name,
				 UPLOAD_PARTS_MAX, d->options.part_bytes);
	if (!data) {
		data = sink_buffer(k);
		if (!data)
			return -ECANCELED;
		memset((uint8_t *)data, 0, made->bytes);
	}
	j = filled_job(w, data);
	p = &d->parts[made->number];
	done = is_done(p, made, data);
	LOCK_SCOPE(&w->lock);
	free(steal_ptr(&p->state));
	if (made->state && made->number > d->checkpoint) {
		p->state = malloc(made->state_bytes);
		if (!p->state)
			return fail(ENOMEM, "memory for the state of a part");
		memcpy(p->state, made->state, made->state_bytes);
		p->state_bytes = made->state_bytes;
	}
	d->packing = max_of(d->packing, made->number);
	if (done) {
		move_checkpoint(d);
		give_back(w, j);
		return 0;
	}
	p->done = false;
	j->number = made->number;
	j->bytes = made->bytes;
	j->done_bytes = made->done_bytes;
	j->state = JOB_QUEUED;
	pthread_cond_broadcast(&w->changed);
	return 0;
}

static enum image_knowledge know(void *ctx, uint64_t chunk, uint8_t digest[IMAGE_DIGEST_ROOM])
{
	const struct upload_disk *d = ctx;
	const uint8_t *k = d->known + chunk * d->known_bytes;

	memcpy(digest, k + 1, d->known_bytes - 1);
	return k[0];
}

/* All parts are there: what completing the upload is compared with. */
static void finish_disk(struct upload_disk *d, const struct image_result *result)
{
	d->result = *result;
	d->object_crc = 0;
	for (unsigned n = 1; n <= result->parts; n++)
		d->object_crc = crc64_join(d->object_crc, d->parts[n].crc, d->parts[n].bytes);
	d->progress = UPLOAD_FINISHED;
}

static void run_disk(struct upload_work *w, struct upload_disk *d)
{
	struct packing k = {.work = w, .disk = d};
	const struct image_sink sink = {.ctx = &k, .buffer = sink_buffer, .part = sink_part};
	const struct image_source source = {.fd = d->fd,
					    .name = d->name,
					    .disk_bytes = d->disk_bytes,
					    .digest_kind = (enum image_digest)d->digest,
					    .digest = wire_digest_of(d->digest),
					    .known = know,
					    .known_ctx = d,
					    .root = d->has_root ? d->root : NULL};
	struct image_result result;
	size_t state_bytes = d->state_bytes;
	CLEANUP_FREE uint8_t *state = malloc(state_bytes + 1);
	int rc;

	err_clear();
	/* The checkpoint moves while the writer works. */
	if (state && state_bytes)
		memcpy(state, d->state, state_bytes);
	rc = !state ? fail(ENOMEM, "memory for the state of a disk")
		    : image_write(&source, &d->options, state_bytes ? state : NULL, state_bytes,
				  &sink, &result);
	LOCK_SCOPE(&w->lock);
	if (rc == -ESTALE) {
		log_warn("%s: %s; it is packed from the beginning", d->name, err_reason());
		d->checkpoint = 0;
		free(steal_ptr(&d->state));
		d->state_bytes = 0;
		return;
	}
	if (rc < 0) {
		if (!atomic_load(&w->stop))
			set_error(w, err_code(), err_reason());
		return;
	}
	d->packed = true;
	pthread_cond_broadcast(&w->changed);
	while (!atomic_load(&w->stop) && jobs_in(w, JOB_FREE) < w->job_count)
		wait_changed(w, UINT64_MAX);
	if (!atomic_load(&w->stop))
		finish_disk(d, &result);
}

/* ---- the whole ---- */

static uint64_t memory_free(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	unsigned long long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib ? (uint64_t)kib * 1024 : GIB;
}

/* Buffers for as many connections as memory allows. Under lock. */
static int take_buffers(struct upload_work *w, size_t part_bytes)
{
	uint64_t room = memory_free() / MEMORY_SHARE / part_bytes;

	w->connections = w->order.connections;
	while (w->connections > 1 && w->connections + 1 > room)
		w->connections--;
	w->job_count = w->connections + 1;
	for (unsigned i = 0; i < w->job_count; i++) {
		void *p = mmap(NULL, part_bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return fail(ENOMEM, "memory for %u parts of %zu bytes", w->job_count,
				    part_bytes);
		w->jobs[i] = (struct upload_job){.buffer = p};
	}
	return 0;
}

static void free_buffers(struct upload_work *w, size_t part_bytes)
{
	for (unsigned i = 0; i < w->job_count; i++)
		if (w->jobs[i].buffer)
			munmap(w->jobs[i].buffer, part_bytes);
	memset(w->jobs, 0, sizeof(w->jobs));
	w->job_count = 0;
}

static size_t largest_part(const struct upload_work *w)
{
	size_t bytes = IMAGE_HEAD_BYTES;

	for (size_t i = 0; i < w->disk_count; i++)
		bytes = max_of(bytes, w->disks[i]->options.part_bytes);
	return bytes;
}

static void start_senders(struct upload_work *w, struct sender *senders)
{
	for (unsigned i = 0; i < w->connections; i++) {
		senders[i] = (struct sender){.work = w, .seed = (unsigned)clock_us() + i};
		senders[i].started = thread_start(&senders[i].thread, "the upload", SENDER_STACK,
						  run_sender, &senders[i]) == 0;
	}
}

static void run_disks(struct upload_work *w)
{
	for (size_t i = 0; i < w->disk_count && !atomic_load(&w->stop); i++) {
		struct upload_disk *d = w->disks[i];

		/* Twice when what was kept turns out to be of no use. */
		for (unsigned n = 0; n < 2 && d->progress != UPLOAD_FINISHED; n++) {
			if (atomic_load(&w->stop))
				break;
			pthread_mutex_lock(&w->lock);
			d->progress = UPLOAD_RUNNING;
			d->packed = false;
			pthread_mutex_unlock(&w->lock);
			run_disk(w, d);
			if (d->progress == UPLOAD_FINISHED)
				upload_save(w, d);
		}
	}
}

static void *run_order(void *arg)
{
	struct upload_work *w = arg;
	struct sender senders[UPLOAD_CONNECTIONS_MAX] = {0};
	size_t part_bytes;
	int rc;

	err_clear();
	pthread_mutex_lock(&w->lock);
	part_bytes = largest_part(w);
	free(w->ca);
	w->ca = w->order.ca ? strdup(w->order.ca) : put_host_certificates();
	rc = take_buffers(w, part_bytes);
	if (rc < 0)
		set_error(w, "", err_reason());
	pthread_mutex_unlock(&w->lock);
	if (rc == 0) {
		start_senders(w, senders);
		run_disks(w);
	}
	pthread_mutex_lock(&w->lock);
	w->senders_stop = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < UPLOAD_CONNECTIONS_MAX; i++)
		if (senders[i].started)
			pthread_join(senders[i].thread, NULL);
	LOCK_SCOPE(&w->lock);
	free_buffers(w, part_bytes);
	w->run_over = true;
	pthread_cond_broadcast(&w->changed);
	return NULL;
}

int upload_run_start(struct upload_work *w)
{
	int rc;

	/* One that failed ends first. */
	while (w->running && !w->run_over && w->in_error)
		pthread_cond_wait(&w->changed, &w->lock);
	if (w->running && !w->run_over)
		return 0;
	if (w->running)
		pthread_join(w->run, NULL);
	w->running = false;
	w->run_over = false;
	w->senders_stop = false;
	w->in_error = false;
	w->code[0] = w->message[0] = '\0';
	atomic_store(&w->stop, false);
	rc = thread_start(&w->run, "the upload", THREAD_STACK_DEFAULT, run_order, w);
	w->running = rc == 0;
	return rc;
}

void upload_run_stop(struct upload_work *w)
{
	bool running;

	pthread_mutex_lock(&w->lock);
	atomic_store(&w->stop, true);
	running = w->running;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	if (running)
		pthread_join(w->run, NULL);
	w->running = w->run_over = false;
}
