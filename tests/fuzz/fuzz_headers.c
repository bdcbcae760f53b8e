/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP as far as we read it ourselves: the lines of an answer's head and its body, as the object
 * store gives them to the uploader, and as the cloud gives them to the pipeline. The first byte is
 * the status' first digit; an empty line ends the head.
 */
#include "receiver/upload_put.c"

#define exchange    cloud_exchange
#define give_body   cloud_give_body
#define seek_body   cloud_seek_body
#define set_up	    cloud_set_up
#define take_header cloud_take_header
#include "cloud/pipe_http.c"
#undef exchange
#undef take_header

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *text)
{
	for (; *text; text++)
		assert(*text >= ' ' && *text <= '~');
}

/* The head's lines to fn, each with its end; what is behind the empty line comes out. */
static size_t lines(char *text, size_t size, size_t (*fn)(char *, size_t, size_t, void *),
		    void *ctx)
{
	size_t at = 0;

	while (at < size) {
		char *end = memchr(text + at, '\n', size - at);
		size_t n = end ? (size_t)(end - text) - at + 1 : size - at;
		CLEANUP_FREE char *line = malloc(n);

		/* A copy of its own, so that a read past its end is seen. */
		memcpy(line, text + at, n);
		at += n;
		if (n == 1)
			break;
		assert(fn(line, 1, n, ctx) == n);
	}
	return at;
}

static void as_put(long status, char *text, size_t size)
{
	static const struct put what = {.data = (const uint8_t *)"x", .bytes = 1};
	struct exchange x = {.what = &what};
	struct put_result r = {0};
	size_t body = lines(text, size, take_header, &x);

	take_answer(text + body, 1, size - body, &x);
	judge(&x, status, &r);
	check_printable(r.etag);
	check_printable(r.message);
	assert(strlen(r.etag) < UPLOAD_ETAG_MAX);
	assert(r.retry_after_ms <= 1000 * (uint64_t)RETRY_AFTER_MAX);
}

static void as_cloud(char *text, size_t size)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	static const struct cloud_options options;
	struct http h = {.o = &options};
	struct http_request r = {.what = "fuzz"};
	struct http_reply reply = {0};
	struct cloud_exchange x = {.h = &h, .r = &r, .reply = &reply, .a = a};

	(void)lines(text, size, cloud_take_header, &x);
	assert(reply.headers.count <= HEADERS_MAX);
	for (size_t i = 0; i < reply.headers.count; i++)
		assert(!strpbrk(reply.headers.at[i].value, "\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const long statuses[] = {200, 204, 301, 400, 401, 403, 404, 408, 429, 500, 503};
	CLEANUP_FREE char *text = calloc(1, size + 1);

	if (size < 1)
		return 0;
	memcpy(text, data + 1, --size);
	as_put(statuses[data[0] % ARRAY_SIZE(statuses)], text, size);
	as_cloud(text, size);
	return 0;
}
