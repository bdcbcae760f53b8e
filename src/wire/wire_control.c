/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control client: HTTP by libcurl, which knows nothing of TLS here. When it wants a connection
 * it is led to an unnamed local socket of ours; a thread pumps what comes there through our pinned
 * TLS stream. (Not a socket pair: libcurl 7.88 connects also what is said to be connected.)
 */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "base/thread.h"
#include "wire/wire.h"

#define BODY_MAX_BYTES	(64u << 20)
#define PUMP_STACK	(256u << 10)
#define OWN_URL		"http://127.0.0.1" /* never dialled: open_socket() leads elsewhere */
#define CURL_SLACK_MS	5000
#define LEAVING_LOOK_MS 500

struct wire_control {
	struct wire_activation activation;
	char bearer[16 + 2 * WIRE_TOKEN_BYTES + 16];
	uint64_t timeout_ms;
	CURL *curl;
	struct wire_stream *stream; /* of the pump; NULL: none runs */
	int listen_fd;		    /* where libcurl connects to */
	int pump_fd;		    /* the accepted connection, or -1; the pump's */
	pthread_t pump;
	int connect_rc; /* of the last attempt to connect */
};

struct body {
	char *data;
	size_t bytes;
};

/* The connection that libcurl makes; one of another process, should it guess the name, is dropped.
 */
static int accept_own(struct wire_control *c)
{
	struct pollfd p = {.fd = c->listen_fd, .events = POLLIN};
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	while (poll(&p, 1, (int)min_of(c->timeout_ms, (uint64_t)60000)) > 0) {
		int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return -errno;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
		    peer.pid == getpid())
			return fd;
		close(fd);
	}
	return -ETIMEDOUT;
}

static void *run_pump(void *arg)
{
	struct wire_control *c = arg;
	int fd = accept_own(c);

	if (fd < 0)
		return NULL;
	c->pump_fd = fd;
	(void)wire_pump(c->stream, fd);
	shutdown(fd, SHUT_RDWR);
	return NULL;
}

static void stop_pump(struct wire_control *c)
{
	if (!c->stream)
		return;
	/* Wakes the pump wherever it waits: in accept, or on the stream. */
	shutdown(c->listen_fd, SHUT_RDWR);
	wire_stream_abort(c->stream);
	pthread_join(c->pump, NULL);
	close(c->listen_fd);
	if (c->pump_fd >= 0)
		close(c->pump_fd);
	wire_stream_free(c->stream);
	c->stream = NULL;
}

/* A listening socket with a name that the kernel chose, and that name. */
static int listen_locally(struct sockaddr_un *name, socklen_t *bytes)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*name = (struct sockaddr_un){.sun_family = AF_UNIX};
	*bytes = sizeof(*name);
	if (fd < 0)
		return fail(errno, "socket between the program and its own link");
	if (bind(fd, (struct sockaddr *)name, sizeof(name->sun_family)) || listen(fd, 4) ||
	    getsockname(fd, (struct sockaddr *)name, bytes)) {
		int rc = fail(errno, "socket between the program and its own link");

		close(fd);
		return rc;
	}
	return fd;
}

/* Connect to the receiver and start the pump; where libcurl is to connect comes out. */
static int start_pump(struct wire_control *c, struct sockaddr_un *name, socklen_t *bytes)
{
	const struct wire_activation *a = &c->activation;
	int rc;

	stop_pump(c);
	c->pump_fd = -1;
	rc = wire_stream_connect(a->host, a->control_port, NULL, c->timeout_ms, &c->stream);
	if (rc < 0)
		return rc;
	wire_stream_deadline(c->stream, clock_ms() + c->timeout_ms);
	rc = wire_stream_tls_client(c->stream, a->pin, NULL);
	wire_stream_deadline(c->stream, 0);
	wire_stream_timeout(c->stream, 0);
	if (rc == 0)
		rc = c->listen_fd = listen_locally(name, bytes);
	if (rc >= 0) {
		rc = thread_start(&c->pump, "the link to the receiver", PUMP_STACK, run_pump, c);
		if (rc < 0)
			close(c->listen_fd);
	}
	if (rc < 0) {
		wire_stream_free(c->stream);
		c->stream = NULL;
	}
	return rc;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct wire_control *c = ctx;
	struct sockaddr_un name;
	socklen_t bytes;
	int fd;

	(void)purpose;
	c->connect_rc = start_pump(c, &name, &bytes);
	if (c->connect_rc < 0 || bytes > sizeof(address->addr))
		return CURL_SOCKET_BAD;
	memcpy(&address->addr, &name, bytes);
	address->addrlen = bytes;
	address->family = AF_UNIX;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
	struct body *b = ctx;
	size_t bytes = size * count;
	char *grown;

	if (bytes > BODY_MAX_BYTES - b->bytes)
		return 0;
	grown = realloc(b->data, b->bytes + bytes + 1);
	if (!grown)
		return 0;
	memcpy(grown + b->bytes, data, bytes);
	b->data = grown;
	b->bytes += bytes;
	b->data[b->bytes] = '\0';
	return bytes;
}

int wire_control_open(const struct wire_activation *a, uint64_t timeout_ms,
		      struct wire_control **out)
{
	struct wire_control *c = calloc(1, sizeof(*c));
	char hex[2 * WIRE_TOKEN_BYTES + 1];

	if (c)
		c->curl = curl_easy_init();
	if (!c || !c->curl) {
		free(c);
		return fail(ENOMEM, "memory for the control client");
	}
	c->activation = *a;
	c->timeout_ms = timeout_ms ? timeout_ms : 30000;
	hex_encode(a->token, WIRE_TOKEN_BYTES, hex);
	snprintf(c->bearer, sizeof(c->bearer), "Authorization: Bearer %s", hex);
	*out = c;
	return 0;
}

void wire_control_close(struct wire_control *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	stop_pump(c);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

struct call {
	const char *method; /* "GET", "PUT", "POST" */
	const char *path;
	const void *body;
	size_t bytes;
	const char *content_type;
};

static int perform(struct wire_control *c, const struct call *call, struct curl_slist *headers,
		   struct body *reply, unsigned *status)
{
	char url[512], error[CURL_ERROR_SIZE] = "";
	long http = 0;
	CURLcode code;

	if (snprintf(url, sizeof(url), "%s%s", OWN_URL, call->path) >= (int)sizeof(url))
		return fail(ENAMETOOLONG, "%s", call->path);
	curl_easy_reset(c->curl);
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(c->curl, CURLOPT_MAXCONNECTS, 1L);
	curl_easy_setopt(c->curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(c->curl, CURLOPT_OPENSOCKETDATA, c);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, reply);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)(2 * c->timeout_ms + CURL_SLACK_MS));
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, call->method);
	if (call->body) {
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, call->body);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->bytes);
	}
	c->connect_rc = 0;
	code = curl_easy_perform(c->curl);
	if (c->connect_rc < 0)
		return c->connect_rc;
	if (code != CURLE_OK)
		return fail_code(ECONNRESET, "RECEIVER_UNREACHABLE",
				 "%s %s: no answer from the receiver's control service: %s",
				 call->method, call->path,
				 error[0] ? error : curl_easy_strerror(code));
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &http);
	*status = (unsigned)http;
	return 0;
}

static int errno_of_status(unsigned status)
{
	switch (status) {
	case 401:
	case 403:
		return EACCES;
	case 404:
		return ENOENT;
	case 409:
		return EBUSY;
	case 413:
		return EFBIG;
	default:
		return EREMOTEIO;
	}
}

/* The receiver's own words and code as our reason. */
static int refused(const struct call *call, unsigned status, const struct body *b)
{
	CLEANUP_JSON json_t *json = NULL;
	int errnum = errno_of_status(status);
	const char *code, *message, *advice;

	if (b->data)
		json_parse(b->data, b->bytes, call->path, &json);
	code = json_string_value(json_object_get(json, "code"));
	message = json_string_value(json_object_get(json, "message"));
	advice = json_string_value(json_object_get(json, "advice"));

	if (!code || !message)
		return fail(errnum, "%s %s: the receiver answered with status %u", call->method,
			    call->path, status);
	return fail_code(errnum, code, "%s%s%s", message, advice ? "; " : "", advice ? advice : "");
}

static int call(struct wire_control *c, const struct call *call, unsigned *status, char **data,
		size_t *bytes)
{
	struct curl_slist *headers = NULL;
	struct body reply = {0};
	char type[128];
	unsigned got = 0;
	int rc;

	snprintf(type, sizeof(type), "Content-Type: %s",
		 call->content_type ? call->content_type : "application/json");
	headers = curl_slist_append(headers, c->bearer);
	headers = curl_slist_append(headers, type);
	headers = curl_slist_append(headers, "Expect:");
	rc = perform(c, call, headers, &reply, &got);
	curl_slist_free_all(headers);
	if (rc == 0 && got / 100 != 2)
		rc = refused(call, got, &reply);
	if (status)
		*status = got;
	if (rc < 0) {
		free(reply.data);
		return rc;
	}
	*data = reply.data;
	*bytes = reply.bytes;
	return 0;
}

/* A caller that decides by a reply must not go on without one. */
static int take_reply(const struct call *what, const char *data, size_t bytes, json_t **reply)
{
	int rc = json_parse(data ? data : "", bytes, "the receiver's answer", reply);

	if (rc == 0 && json_is_object(*reply))
		return 0;
	if (rc == 0) {
		json_decref(*reply);
		*reply = NULL;
	}
	return fail_code(EBADMSG, "RECEIVER_REPLY_INVALID", "%s %s: %s", what->method, what->path,
			 rc < 0 ? err_reason() : "the receiver's answer is not a JSON object");
}

static int call_json(struct wire_control *c, const struct call *what, unsigned *status,
		     json_t **reply)
{
	CLEANUP_FREE char *data = NULL;
	size_t bytes = 0;
	int rc;

	if (reply)
		*reply = NULL;
	rc = call(c, what, status, &data, &bytes);
	return rc == 0 && reply ? take_reply(what, data, bytes, reply) : rc;
}

int wire_control_get(struct wire_control *c, const char *path, unsigned *status, json_t **reply)
{
	const struct call what = {.method = "GET", .path = path};

	return call_json(c, &what, status, reply);
}

int wire_control_put(struct wire_control *c, const char *path, const void *body, size_t bytes,
		     const char *content_type, unsigned *status, json_t **reply)
{
	const struct call what = {.method = "PUT",
				  .path = path,
				  .body = body,
				  .bytes = bytes,
				  .content_type = content_type};

	return call_json(c, &what, status, reply);
}

int wire_control_put_plan(struct wire_control *c, const void *body, size_t bytes)
{
	uint64_t until_ms = clock_ms() + WIRE_LEAVING_MS;

	for (;;) {
		int rc = wire_control_put(c, "/v1/artefact/plan.json", body, bytes,
					  "application/json", NULL, NULL);

		if (rc != -EBUSY || strcmp(err_code(), "RECEIVER_BUSY") != 0 ||
		    clock_ms() >= until_ms)
			return rc;
		usleep(LEAVING_LOOK_MS * 1000);
	}
}

int wire_control_post(struct wire_control *c, const char *path, const json_t *body,
		      unsigned *status, json_t **reply)
{
	CLEANUP_FREE char *text = json_dumps(body, JSON_COMPACT);
	const struct call what = {
		.method = "POST", .path = path, .body = text, .bytes = text ? strlen(text) : 0};

	return text ? call_json(c, &what, status, reply) : fail(ENOMEM, "memory for %s", path);
}

int wire_control_delete(struct wire_control *c, const char *path, unsigned *status, json_t **reply)
{
	const struct call what = {.method = "DELETE", .path = path};

	return call_json(c, &what, status, reply);
}

int wire_control_fetch(struct wire_control *c, const char *path, unsigned *status, char **body,
		       size_t *bytes)
{
	const struct call what = {.method = "GET", .path = path};

	return call(c, &what, status, body, bytes);
}
