/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One HTTP exchange at a time over a kept connection. The only place that knows the HTTP library.
 * Nothing here knows signatures or meanings; nothing of a URL, header or body gets into a reason.
 */
#ifndef CLOUD_HTTP_H
#define CLOUD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "cloud/cloud.h"
#include "cloud/sign.h"

struct http;

struct http_request {
	const char *what; /* "ecs RunInstances": for reasons and the hook */
	const char *method;
	const char *url;
	const struct sign_pairs *headers; /* may be NULL */
	const void *body;		  /* NULL: none, or from the file */
	uint64_t body_bytes;
	int body_fd;		/* read from its start when body is NULL and this is >= 0 */
	size_t reply_max_bytes; /* 0: 64 MiB */
	uint64_t timeout_ms;	/* of the whole exchange; 0: none, but 60 s of silence end it */
	uint64_t connect_ms;	/* 0: 15 s */
	bool direct;		/* past any proxy: instance metadata, loopback */
	bool once;		/* on a fresh connection, so that nothing is ever sent twice */
};

/* Without a file as its body. */
#define HTTP_REQUEST(...) ((struct http_request){.body_fd = -1, __VA_ARGS__})

struct http_reply {
	unsigned status;
	char *body; /* NUL behind its end; NULL when there was none */
	size_t bytes;
	struct sign_pairs headers; /* names in lower case; in the arena */
};

static inline void cleanup_http_reply_(struct http_reply *r)
{
	/* It may have held session keys. */
	if (r->body)
		explicit_bzero(r->body, r->bytes);
	free(r->body);
}

#define CLEANUP_REPLY CLEANUP(cleanup_http_reply_)

/* The options are read as long as it lives: CA bundle, pause, call_hook, ctx. */
int http_new(const struct cloud_options *o, struct http **out);
void http_free(struct http *h);

/*
 * 0: there is a whole reply, of any status. Else, with a reason:
 *   ECONNREFUSED  nothing was sent: no address, no connection, no TLS
 *   ECONNRESET    it may have been sent, and its reply is lost or cut
 *   EKEYREJECTED  the server's certificate is not to be trusted
 *   EFBIG         the reply is longer than it may be
 *   ECANCELED     pause said so
 */
int http_perform(struct http *h, const struct http_request *r, struct arena *a,
		 struct http_reply *reply);

/* "http://127.0.0.1:80" and so on: a plain URL that does not leave this machine. */
bool http_is_loopback(const char *url);

#endif
