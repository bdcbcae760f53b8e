/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this machine can do at most of each thing that a copy does, with the very code that the copy
 * uses, on as many bytes as the disk has, into the same folder. Each is tried in several ways, and
 * the fastest counts:
 *
 *   read      the disk's file, by one thread and by all processors
 *   write     a new file, until it is durable: through the page cache and past it, by one thread,
 *             by all processors, and by four
 *   cipher    each byte sealed and opened again, on all processors
 *   loopback  each byte sent and received over TCP, by one pair of threads and by four
 *   xxh3      each byte digested twice, on all processors
 *   zstd1, 3  a megabyte at a time, on one processor
 *
 * A copy does all of that but the last on the same processors: `together` is how fast it could be
 * if it took no more processor time than the cheapest way of each, and left none idle. One JSON
 * object of GB/s; `write_ways` has all of them, as disks are not always as fast.
 *
 *   bench-limits DISK FOLDER
 *   bench-limits DISK            zstd alone
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/num.h"
#include "wire/wire.h"
#include "wire/wire_gcm.h"

#define PART_BYTES    ((size_t)1 << 20)
#define SAMPLE_BYTES  ((size_t)256 << 20)
#define RECORD_BYTES  ((size_t)16384)
#define SEND_BYTES    ((size_t)128 << 10)
#define THREADS_MAX   16
#define WRITERS_MORE  4
#define NANOS_A_MICRO 1000

/* What all threads of one try share. */
struct job {
	const char *name;
	int (*part)(struct job *j, void *buf, size_t index); /* one megabyte; negative fails */
	size_t parts;
	atomic_size_t next;
	atomic_bool failed;
	int fd;
	const uint8_t *sample;
	size_t sample_parts;
	struct wire_gcm gcm;
};

struct figure {
	double rate;	/* GB/s of the fastest */
	double cpu_s;	/* a GB, of the cheapest */
	char ways[512]; /* each, as members of a JSON object */
};

static double cpu_now(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void take_note(struct figure *f, const char *how, size_t bytes, uint64_t start_us,
		      double start_cpu)
{
	double rate =
		(double)bytes / (double)max_of(clock_us() - start_us, (uint64_t)1) / NANOS_A_MICRO;
	double cpu_s = (cpu_now() - start_cpu) / (double)bytes * 1e9;

	if (f->rate == 0 || cpu_s < f->cpu_s)
		f->cpu_s = cpu_s;
	f->rate = max_of(f->rate, rate);
	snprintf(f->ways + strlen(f->ways), sizeof(f->ways) - strlen(f->ways), "%s\"%s\": %.3f",
		 f->ways[0] ? ", " : "", how, rate);
}

static void *run_parts(void *arg)
{
	struct job *j = arg;
	void *buf = NULL;
	size_t index;

	if (posix_memalign(&buf, 4096, PART_BYTES) != 0) {
		atomic_store(&j->failed, true);
		return NULL;
	}
	memset(buf, 1, PART_BYTES);
	while (!atomic_load(&j->failed) && (index = atomic_fetch_add(&j->next, 1)) < j->parts)
		if (j->part(j, buf, index) < 0)
			atomic_store(&j->failed, true);
	free(buf);
	return NULL;
}

static unsigned processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return (unsigned)min_of(max_of(n, 1L), (long)THREADS_MAX);
}

static int run_job(struct job *j, unsigned threads)
{
	pthread_t ids[THREADS_MAX];
	unsigned n = 0;

	atomic_store(&j->next, 0);
	atomic_store(&j->failed, false);
	while (n < threads && pthread_create(&ids[n], NULL, run_parts, j) == 0)
		n++;
	if (n == 0)
		return -EAGAIN;
	while (n > 0)
		pthread_join(ids[--n], NULL);
	return atomic_load(&j->failed) ? -EIO : 0;
}

static void measure(struct job *j, unsigned threads, struct figure *f)
{
	uint64_t start_us = clock_us();
	double start_cpu = cpu_now();

	if (run_job(j, threads) == 0)
		take_note(f, j->name, j->parts * PART_BYTES, start_us, start_cpu);
}

static const uint8_t *sample_of(const struct job *j, size_t index)
{
	return j->sample + index % j->sample_parts * PART_BYTES;
}

/* ---- what is measured ---- */

static int read_part(struct job *j, void *buf, size_t index)
{
	return pread(j->fd, buf, PART_BYTES, (off_t)(index * PART_BYTES)) > 0 ? 0 : -errno;
}

static int write_part(struct job *j, void *buf, size_t index)
{
	(void)buf;
	return pwrite(j->fd, sample_of(j, index), PART_BYTES, (off_t)(index * PART_BYTES)) ==
			       (ssize_t)PART_BYTES
		       ? 0
		       : -EIO;
}

static int cipher_part(struct job *j, void *buf, size_t index)
{
	const uint8_t *from = sample_of(j, index);
	uint8_t record[RECORD_BYTES], tag[WIRE_GCM_TAG_BYTES];
	const struct wire_gcm_head head = {.bytes = 13};

	for (size_t at = 0; at < PART_BYTES; at += RECORD_BYTES) {
		wire_gcm_seal(&j->gcm, &head, from + at, record, RECORD_BYTES, tag);
		if (!wire_gcm_open(&j->gcm, &head, record, (uint8_t *)buf + at, RECORD_BYTES, tag))
			return -EBADMSG;
	}
	return 0;
}

static int digest_part(struct job *j, void *buf, size_t index)
{
	uint8_t digest[WIRE_DIGEST_MAX];

	(void)buf;
	for (int end = 0; end < 2; end++)
		wire_digest(sample_of(j, index), PART_BYTES, digest);
	return 0;
}

static void measure_writes(struct job *j, const char *folder, struct figure *f)
{
	static const char *const names[2][3] = {
		{"page cache, 1 thread", "page cache, a thread each", "page cache, 4 threads"},
		{"direct, 1 thread", "direct, a thread each", "direct, 4 threads"}};
	const unsigned threads[3] = {1, processors(), WRITERS_MORE};
	char path[4096];

	snprintf(path, sizeof(path), "%s/limits.tmp", folder);
	for (int direct = 0; direct < 2; direct++) {
		for (int i = 0; i < 3; i++) {
			uint64_t start_us;
			double start_cpu;

			j->fd = open(path,
				     O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC |
					     (direct ? O_DIRECT : 0),
				     0600);
			if (j->fd < 0)
				continue; /* this file system has no direct writes */
			start_us = clock_us();
			start_cpu = cpu_now();
			/* As a receiver makes it: as large as it will be, and empty. */
			if (ftruncate(j->fd, (off_t)(j->parts * PART_BYTES)) == 0 &&
			    run_job(j, threads[i]) == 0 && fdatasync(j->fd) == 0)
				take_note(f, names[direct][i], j->parts * PART_BYTES, start_us,
					  start_cpu);
			close(j->fd);
			unlink(path);
		}
	}
}

/* ---- loopback ---- */

struct pair {
	struct job *job;
	int send_fd, receive_fd;
};

static void *send_parts(void *arg)
{
	struct pair *p = arg;
	struct job *j = p->job;
	size_t index;

	while ((index = atomic_fetch_add(&j->next, 1)) < j->parts) {
		const uint8_t *from = sample_of(j, index);

		for (size_t done = 0; done < PART_BYTES;) {
			ssize_t n = send(p->send_fd, from + done,
					 min_of(PART_BYTES - done, SEND_BYTES), MSG_NOSIGNAL);

			if (n < 0)
				break;
			done += (size_t)n;
		}
	}
	shutdown(p->send_fd, SHUT_WR);
	return NULL;
}

static void *receive_parts(void *arg)
{
	struct pair *p = arg;
	uint8_t *buf = malloc(SEND_BYTES);

	while (buf && recv(p->receive_fd, buf, SEND_BYTES, 0) > 0)
		;
	free(buf);
	return NULL;
}

static int open_pair(struct job *j, struct pair *p)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t length = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = -1;

	*p = (struct pair){.job = j,
			   .send_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
			   .receive_fd = -1};
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(listener, 1) == 0 &&
	    getsockname(listener, (struct sockaddr *)&at, &length) == 0 &&
	    connect(p->send_fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		p->receive_fd = accept(listener, NULL, NULL);
	if (p->receive_fd >= 0)
		rc = 0;
	close(listener);
	return rc;
}

static void measure_loopback(struct job *j, unsigned pairs, struct figure *f)
{
	struct pair p[THREADS_MAX];
	pthread_t ids[2 * THREADS_MAX];
	uint64_t start_us;
	double start_cpu;

	for (unsigned i = 0; i < pairs; i++)
		if (open_pair(j, &p[i]) < 0)
			return;
	atomic_store(&j->next, 0);
	start_us = clock_us();
	start_cpu = cpu_now();
	for (unsigned i = 0; i < pairs; i++)
		if (pthread_create(&ids[2 * i], NULL, receive_parts, &p[i]) != 0 ||
		    pthread_create(&ids[2 * i + 1], NULL, send_parts, &p[i]) != 0)
			exit(1);
	for (unsigned i = 0; i < 2 * pairs; i++)
		pthread_join(ids[i], NULL);
	take_note(f, "loopback", j->parts * PART_BYTES, start_us, start_cpu);
	for (unsigned i = 0; i < pairs; i++) {
		close(p[i].send_fd);
		close(p[i].receive_fd);
	}
}

/* ---- one processor ---- */

static double zstd_rate(const struct job *j, int level)
{
	size_t room = ZSTD_compressBound(PART_BYTES);
	uint8_t *out = malloc(room);
	ZSTD_CCtx *context = ZSTD_createCCtx();
	uint64_t start_us = clock_us();

	for (size_t i = 0; out && context && i < j->sample_parts; i++)
		ZSTD_compressCCtx(context, out, room, sample_of(j, i), PART_BYTES, level);
	ZSTD_freeCCtx(context);
	free(out);
	return (double)(j->sample_parts * PART_BYTES) / (double)(clock_us() - start_us) /
	       NANOS_A_MICRO;
}

/* Parts of the disk that hold something, from its start. */
static int take_sample(struct job *j)
{
	uint8_t *data = aligned_alloc(4096, SAMPLE_BYTES); /* for direct writes */
	off_t at = 0;

	if (!data)
		return -ENOMEM;
	while (j->sample_parts < SAMPLE_BYTES / PART_BYTES) {
		uint8_t bitmap[WIRE_BITMAP_BYTES], *to = data + j->sample_parts * PART_BYTES;
		ssize_t n;

		at = lseek(j->fd, at, SEEK_DATA);
		n = at < 0 ? 0 : pread(j->fd, to, PART_BYTES, at);
		if (n < (ssize_t)PART_BYTES)
			break;
		at += n;
		j->sample_parts += wire_chunk_scan(to, PART_BYTES, bitmap) == PART_BYTES;
	}
	j->sample = data;
	return j->sample_parts ? 0 : -ENODATA;
}

int main(int argc, char **argv)
{
	static const uint8_t key[16];
	struct figure reads = {0}, writes = {0}, cipher = {0}, loopback = {0}, digest = {0};
	struct job j = {0};
	struct stat st;
	double sum;
	int disk;

	if (argc < 2 || argc > 3 || (disk = open(argv[1], O_RDONLY | O_CLOEXEC)) < 0 ||
	    fstat(disk, &st) < 0) {
		fprintf(stderr, "usage: bench-limits DISK [FOLDER]\n");
		return 2;
	}
	j.fd = disk;
	j.parts = (size_t)st.st_size / PART_BYTES;
	if (j.parts == 0 || take_sample(&j) < 0 || !wire_gcm_ok()) {
		fprintf(stderr, "bench-limits: the disk is empty, or this processor has no AES\n");
		return 1;
	}
	if (argc == 2) {
		printf("{\"zstd1\": %.3f, \"zstd3\": %.3f}\n", zstd_rate(&j, 1), zstd_rate(&j, 3));
		return 0;
	}
	wire_gcm_init(&j.gcm, key, sizeof(key), wire_gcm_is_wide());
	j.part = read_part;
	measure(&j, 1, &reads); /* the first brings it into memory */
	measure(&j, 1, &reads);
	measure(&j, processors(), &reads);
	j.part = cipher_part;
	measure(&j, processors(), &cipher);
	j.part = digest_part;
	measure(&j, processors(), &digest);
	measure_loopback(&j, 1, &loopback);
	measure_loopback(&j, 4, &loopback); /* as many as a copy has connections */
	j.part = write_part;
	measure_writes(&j, argv[2], &writes);
	sum = reads.cpu_s + writes.cpu_s + cipher.cpu_s + loopback.cpu_s + digest.cpu_s;
	printf("{\"read\": %.3f, \"write\": %.3f, \"write_ways\": {%s}, \"cipher\": %.3f, "
	       "\"loopback\": %.3f, \"xxh3\": %.3f, \"zstd1\": %.3f, \"zstd3\": %.3f, "
	       "\"together\": %.3f, \"cpu\": {\"read\": %.3f, \"write\": %.3f, "
	       "\"cipher\": %.3f, \"loopback\": %.3f, \"xxh3\": %.3f}}\n",
	       reads.rate, writes.rate, writes.ways, cipher.rate, loopback.rate, digest.rate,
	       zstd_rate(&j, 1), zstd_rate(&j, 3), processors() / sum, reads.cpu_s, writes.cpu_s,
	       cipher.cpu_s, loopback.cpu_s, digest.cpu_s);
	free((void *)(uintptr_t)j.sample);
	close(disk);
	return 0;
}
