/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control service's plumbing: libmicrohttpd, the token, bodies with a limit. */
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"
#include "receiver/server.h"

#define CONTROL_MEMORY (64u << 10) /* of one connection in libmicrohttpd: lines and headers */
#define CONTROL_IDLE_S 60
#define CONTROL_STACK  (256u << 10)
#define BODIES_MAX     (64u << 20) /* bytes of bodies that are coming in, together */

struct upload {
	char *data;
	size_t bytes, max;
	bool refused; /* no token, or too long: the body is read and dropped */
	unsigned status;
};

/* Bytes of standard base64 that matter for "user:TOKEN"; other characters end it. */
static size_t decode_basic(const char *text, char *out, size_t out_bytes)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t used = 0;
	uint32_t bits = 0;
	unsigned have = 0;

	for (; *text; text++) {
		const char *p = strchr(alphabet, *text);

		if (!p)
			break;
		bits = (bits << 6 | (uint32_t)(p - alphabet)) & 0xffff;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (used == out_bytes)
			return 0;
		out[used++] = (char)(bits >> have);
	}
	return used;
}

/* The token itself, or what people have at hand: the activation code that holds it. */
static enum token_verdict check_password(const struct control *c, const char *password)
{
	char token[2 * WIRE_TOKEN_BYTES + 1];
	struct wire_activation code;

	if (wire_activation_parse(password, &code) == 0) {
		hex_encode(code.token, WIRE_TOKEN_BYTES, token);
		password = token;
	}
	return token_check(c->receiver->token, password, strlen(password));
}

/* Bearer for programs; Basic for people's browsers, with any user. */
static enum token_verdict check_token(struct control *c, struct MHD_Connection *mhd)
{
	const char *header = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "Authorization");
	char pair[WIRE_ACTIVATION_TEXT + 64] = "";
	const char *colon;

	if (!header)
		return TOKEN_WRONG;
	if (strncmp(header, "Bearer ", 7) == 0)
		return token_check(c->receiver->token, header + 7, strlen(header + 7));
	if (strncmp(header, "Basic ", 6) != 0)
		return TOKEN_WRONG;
	colon = decode_basic(header + 6, pair, sizeof(pair) - 1) ? strchr(pair, ':') : NULL;
	return colon ? check_password(c, colon + 1) : TOKEN_WRONG;
}

static enum MHD_Result send_reply(struct MHD_Connection *mhd, struct control_reply *r)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(r->bytes, r->body, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", r->content_type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (r->status == 401)
		MHD_add_response_header(response, "WWW-Authenticate", "Basic realm=\"coldlift\"");
	result = MHD_queue_response(mhd, r->status, response);
	MHD_destroy_response(response);
	return result;
}

void control_json(struct control_reply *out, unsigned status, json_t *json)
{
	char *text = json ? json_text(json) : NULL;

	json_decref(json);
	if (!text) {
		text = strdup("{}\n");
		status = 500;
	}
	*out = (struct control_reply){.status = status,
				      .content_type = "application/json",
				      .body = text,
				      .bytes = text ? strlen(text) : 0};
}

void control_error(struct control_reply *out, unsigned status, const char *code,
		   const char *message, const char *advice)
{
	control_json(out, status,
		     json_pack("{s:s, s:o, s:o}", "code", code, "message", json_str(message),
			       "advice", json_str(advice)));
}

static struct upload *begin_upload(struct control *c, struct MHD_Connection *mhd,
				   const char *method, const char *path)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->max = control_body_max(method, path);
	if (check_token(c, mhd) != TOKEN_GOOD) {
		u->refused = true;
		u->status = 401;
	} else {
		const union MHD_ConnectionInfo *info =
			MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);

		server_control_known(c->receiver, info->connect_fd);
	}
	return u;
}

static void drop_body(struct control *c, struct upload *u)
{
	atomic_fetch_sub(&c->bodies_bytes, u->bytes);
	free(u->data);
	u->data = NULL;
	u->bytes = 0;
}

static void refuse_body(struct control *c, struct upload *u, unsigned status)
{
	drop_body(c, u);
	u->refused = true;
	u->status = status;
}

static void take_body(struct control *c, struct upload *u, const char *data, size_t bytes)
{
	char *grown;

	if (u->refused)
		return;
	if (bytes > u->max - u->bytes) {
		refuse_body(c, u, u->max ? 413 : 404);
		return;
	}
	grown = atomic_load(&c->bodies_bytes) + bytes > BODIES_MAX
			? NULL
			: realloc(u->data, u->bytes + bytes + 1);
	if (!grown) {
		refuse_body(c, u, 503);
		return;
	}
	memcpy(grown + u->bytes, data, bytes);
	u->data = grown;
	u->bytes += bytes;
	atomic_fetch_add(&c->bodies_bytes, bytes);
	u->data[u->bytes] = '\0';
}

static void refuse(struct control *c, struct MHD_Connection *mhd, unsigned status,
		   struct control_reply *out)
{
	if (status == 401)
		control_error(out, 401, "TOKEN_REFUSED", token_verdict_text(check_token(c, mhd)),
			      "use the activation code that this receiver printed; in a browser as "
			      "the password, with any user name");
	else if (status == 404)
		control_path_unknown(out);
	else if (status == 413)
		control_error(out, 413, "BODY_TOO_LARGE", "the body is longer than this path takes",
			      "send less");
	else
		control_error(out, 503, "OUT_OF_MEMORY",
			      "other bodies are coming in that leave no room",
			      "try again when they are over");
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *mhd, const char *path,
				  const char *method, const char *version, const char *data,
				  size_t *data_bytes, void **state)
{
	struct control *c = ctx;
	struct upload *u = *state;
	struct control_reply reply = {0};

	(void)version;
	if (!u) {
		u = *state = begin_upload(c, mhd, method, path);
		return u ? MHD_YES : MHD_NO;
	}
	if (*data_bytes > 0) {
		take_body(c, u, data, *data_bytes);
		*data_bytes = 0;
		return MHD_YES;
	}
	if (u->refused) {
		refuse(c, mhd, u->status, &reply);
	} else {
		const struct control_request q = {.method = method,
						  .path = path,
						  .body = u->data ? u->data : "",
						  .bytes = u->bytes};

		control_answer(c, &q, &reply);
	}
	return reply.body ? send_reply(mhd, &reply) : MHD_NO;
}

static void on_completed(void *ctx, struct MHD_Connection *mhd, void **state,
			 enum MHD_RequestTerminationCode how)
{
	struct upload *u = *state;

	(void)mhd;
	(void)how;
	if (u)
		drop_body(ctx, u);
	free(u);
	*state = NULL;
}

int control_start(struct receiver *r, struct control **out)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return fail(ENOMEM, "memory for the control service");
	c->receiver = r;
	c->rate_mbit = -1;
	c->compression = -1;
	c->verify = -1;
	pthread_mutex_init(&c->lock, NULL);
	c->daemon = MHD_start_daemon(
		MHD_USE_NO_LISTEN_SOCKET | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC, 0, NULL,
		NULL, on_request, c, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONTROL_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONTROL_IDLE_S,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)CONTROL_STACK, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, c, MHD_OPTION_END);
	if (!c->daemon) {
		control_stop(c);
		return fail(EIO, "the control service does not start");
	}
	*out = c;
	return 0;
}

void control_stop(struct control *c)
{
	if (!c)
		return;
	if (c->daemon)
		MHD_stop_daemon(c->daemon);
	json_decref(c->source_state);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int control_run(struct control *c, struct conn *conn)
{
	const struct sockaddr_un address = {.sun_family = AF_UNIX};
	CLEANUP_CLOSE int ours = -1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return fail(errno, "socket pair of the control service");
	ours = pair[0];
	conn->control_fd = pair[1];
	/* libmicrohttpd owns its end from here on, also when it refuses it. */
	if (MHD_add_connection(c->daemon, pair[1], (const struct sockaddr *)&address,
			       sizeof(address)) != MHD_YES)
		return fail(ECONNREFUSED, "the control service takes no connection now");
	return wire_pump(conn->stream, ours);
}
