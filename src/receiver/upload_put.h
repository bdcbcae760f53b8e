/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One PUT of one part to a presigned URL, and what its answer means. Private to receiver. */
#ifndef RECEIVER_UPLOAD_PUT_H
#define RECEIVER_UPLOAD_PUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UPLOAD_ETAG_MAX 80

enum put_verdict {
	PUT_DONE,
	PUT_AGAIN,   /* what passes by itself */
	PUT_DIFFERS, /* the store has other bytes */
	PUT_REFUSED, /* the URL is no good, or no more */
	PUT_FAILED,  /* trying again does not help */
};

struct put {
	const char *url;
	const void *data;
	size_t bytes;
	const char *ca;		   /* PEM, or NULL: what curl was built with */
	uint64_t rate_bytes_per_s; /* 0: no limit */
	uint64_t stall_s;
	const atomic_bool *stop; /* set: break off */
};

struct put_result {
	enum put_verdict verdict;
	uint64_t crc;
	char etag[UPLOAD_ETAG_MAX]; /* as the store sent it */
	uint64_t retry_after_ms;    /* 0: not said */
	const char *code;	    /* of a failure; static */
	char message[300];
};

/* A thread's own connection to the store, kept from one part to the next. */
struct putter;
struct putter *putter_new(void); /* NULL when memory is out */
void putter_free(struct putter *p);

void putter_put(struct putter *p, const struct put *what, struct put_result *out);

/* The certificates that this machine trusts, from the usual places; NULL when there are none. */
char *put_host_certificates(void);

#endif
