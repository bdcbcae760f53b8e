/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HTTP over libcurl: deadlines, bounded replies, one place where tests break connections. */
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "cloud/http.h"
#include "cloud/text.h"

#define REPLY_MAX_BYTES (64u << 20)
#define ERROR_MAX_BYTES (64u << 10)
#define HEADERS_MAX	128
#define TICK_MS		1000
#define SILENCE_S	60L

struct http {
	const struct cloud_options *o;
	CURL *curl;
	const char *ca_bundle; /* NULL: the library's own */
	uint64_t calls;
};

/* One exchange on its way. */
struct exchange {
	struct http *h;
	const struct http_request *r;
	struct http_reply *reply;
	struct arena *a;
	uint64_t number;
	uint64_t read_at;  /* of body_fd */
	bool answered;	   /* the first byte of a reply came */
	uint64_t asked_ms; /* when pause was asked last */
	int rc;		   /* why we broke it off, or 0 */
};

/* Where distributions keep the certificates that they trust. */
static const char *const ca_places[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
	"/usr/share/ssl/certs/ca-bundle.crt",
};

int http_new(const struct cloud_options *o, struct http **out)
{
	struct http *h = calloc(1, sizeof(*h));

	if (h)
		h->curl = curl_easy_init();
	if (!h || !h->curl) {
		free(h);
		return fail(ENOMEM, "memory for the HTTP client");
	}
	h->o = o;
	h->ca_bundle = o->ca_bundle;
	for (size_t i = 0; !h->ca_bundle && i < ARRAY_SIZE(ca_places); i++)
		if (access(ca_places[i], R_OK) == 0)
			h->ca_bundle = ca_places[i];
	*out = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->curl);
	free(h);
}

bool http_is_loopback(const char *url)
{
	static const char *const starts[] = {"http://127.", "http://[::1]", "http://localhost"};
	const char *rest = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
		if (strncasecmp(url, starts[i], strlen(starts[i])) == 0)
			rest = url + strlen(starts[i]);
	if (!rest)
		return false;
	/* "http://127.evil.example" is none, nor is "http://127.0.0.1@elsewhere". */
	return rest[strspn(rest, "0123456789.:")] == '\0' ||
	       rest[strspn(rest, "0123456789.:")] == '/';
}

/* ---- what the library calls back ---- */

static int hook(struct exchange *x, enum cloud_stage stage)
{
	const struct cloud_options *o = x->h->o;

	/* The hardest end there is: nothing is written, closed or freed any more. */
	if (o->kill_call == x->number && o->kill_stage == stage)
		raise(SIGKILL);
	return o->call_hook ? o->call_hook(o->hook_ctx, stage, x->number, x->r->what) : 0;
}

static size_t take_header(char *line, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;
	size_t bytes = size * count;
	CLEANUP_FREE char *text = strndup(line, bytes);
	char *colon = text ? strchr(text, ':') : NULL;

	if (!x->answered) {
		x->answered = true;
		if (hook(x, CLOUD_AFTER_SEND)) {
			x->rc = -ECONNRESET;
			return 0;
		}
	}
	if (!colon || x->reply->headers.count >= HEADERS_MAX)
		return bytes;
	*colon = '\0';
	text[strcspn(text, " \t")] = '\0';
	colon[1 + strcspn(colon + 1, "\r\n")] = '\0';
	sign_add(x->a, &x->reply->headers, text_lower(x->a, text), text_trimmed(x->a, colon + 1));
	return bytes;
}

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;
	struct http_reply *b = x->reply;
	size_t limit = x->r->reply_max_bytes ? x->r->reply_max_bytes : REPLY_MAX_BYTES;
	size_t bytes = size * count;
	long status = 0;
	char *grown;

	curl_easy_getinfo(x->h->curl, CURLINFO_RESPONSE_CODE, &status);
	/* What explains a refusal is taken even where little was asked for. */
	if (status / 100 != 2)
		limit = max_of(limit, (size_t)ERROR_MAX_BYTES);
	if (bytes > limit - b->bytes) {
		x->rc = fail(EFBIG, "%s: the reply is longer than %zu bytes", x->r->what, limit);
		return 0;
	}
	grown = realloc(b->body, b->bytes + bytes + 1);
	if (!grown) {
		x->rc = fail(ENOMEM, "memory for a reply");
		return 0;
	}
	memcpy(grown + b->bytes, data, bytes);
	b->body = grown;
	b->bytes += bytes;
	b->body[b->bytes] = '\0';
	return bytes;
}

static size_t give_body(char *to, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;
	uint64_t n = min_of((uint64_t)(size * count), x->r->body_bytes - x->read_at);

	x->rc = io_pread(x->r->body_fd, to, n, x->read_at, x->r->what);
	if (x->rc < 0)
		return CURL_READFUNC_ABORT;
	x->read_at += n;
	return n;
}

static int seek_body(void *ctx, curl_off_t offset, int whence)
{
	struct exchange *x = ctx;

	if (whence != SEEK_SET || offset < 0 || (uint64_t)offset > x->r->body_bytes)
		return CURL_SEEKFUNC_FAIL;
	x->read_at = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* Often while an exchange runs; whether to go on is asked once a second. */
static int tick(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct exchange *x = ctx;
	const struct cloud_options *o = x->h->o;

	(void)a, (void)b, (void)c, (void)d;
	if (!o->pause || clock_ms() < x->asked_ms + TICK_MS)
		return 0;
	x->asked_ms = clock_ms();
	if (!o->pause(o->ctx, 0))
		return 0;
	x->rc = fail(ECANCELED, "%s: interrupted", x->r->what);
	return 1;
}

/* ---- one exchange ---- */

static struct curl_slist *header_list(const struct http_request *r)
{
	struct curl_slist *list = NULL;
	bool typed = false;

	for (size_t i = 0; r->headers && i < r->headers->count; i++) {
		const struct sign_pair *h = &r->headers->at[i];
		CLEANUP_FREE char *line = NULL;

		/* An empty value needs the library's own notation. */
		if (asprintf(&line, h->value[0] ? "%s: %s" : "%s;%s", h->name, h->value) < 0)
			abort();
		typed |= strcasecmp(h->name, "content-type") == 0;
		list = curl_slist_append(list, line);
		explicit_bzero(line, strlen(line));
	}
	if (!typed)
		list = curl_slist_append(list, "Content-Type:");
	list = curl_slist_append(list, "Expect:");
	return curl_slist_append(list, "User-Agent: coldlift");
}

static void set_body(CURL *curl, struct exchange *x)
{
	const struct http_request *r = x->r;

	if (strcmp(r->method, "HEAD") == 0) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
		return;
	}
	if (!r->body && r->body_fd >= 0) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body_bytes);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
		curl_easy_setopt(curl, CURLOPT_READDATA, x);
		curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, seek_body);
		curl_easy_setopt(curl, CURLOPT_SEEKDATA, x);
	} else if (r->body || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_bytes);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body ? r->body : "");
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
}

static void set_up(CURL *curl, struct exchange *x, struct curl_slist *headers, char *error)
{
	const struct http_request *r = x->r;

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, r->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)(r->connect_ms ? r->connect_ms : 15000));
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
	if (!r->timeout_ms) {
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
	}
	if (x->h->ca_bundle)
		curl_easy_setopt(curl, CURLOPT_CAINFO, x->h->ca_bundle);
	if (r->direct || http_is_loopback(r->url))
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
	if (r->once)
		curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, tick);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, x);
	set_body(curl, x);
}

/* Did anything of the request leave this machine? */
static bool surely_unsent(CURL *curl, CURLcode code)
{
	curl_off_t connected_us = 0;

	curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
	return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
	       code == CURLE_COULDNT_CONNECT || code == CURLE_SSL_CONNECT_ERROR ||
	       code == CURLE_SSL_CACERT_BADFILE || connected_us == 0;
}

static int outcome(struct exchange *x, CURLcode code, const char *error)
{
	const char *what = x->r->what, *why = error[0] ? error : curl_easy_strerror(code);
	long status = 0;

	if (x->rc < 0)
		return x->rc == -ECONNRESET && !err_reason()[0]
			       ? fail_code(ECONNRESET, "CLOUD_REPLY_LOST", "%s: broken off", what)
			       : x->rc;
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
		return fail_code(EKEYREJECTED, "CLOUD_TLS_UNTRUSTED",
				 "%s: the server's certificate is not trusted: %s", what, why);
	if (code != CURLE_OK && surely_unsent(x->h->curl, code))
		return fail_code(ECONNREFUSED, "CLOUD_UNREACHABLE", "%s: no connection: %s", what,
				 why);
	if (code != CURLE_OK)
		return fail_code(ECONNRESET, "CLOUD_REPLY_LOST", "%s: the reply did not arrive: %s",
				 what, why);
	if (hook(x, CLOUD_AFTER_REPLY))
		return fail_code(ECONNRESET, "CLOUD_REPLY_LOST", "%s: broken off", what);
	curl_easy_getinfo(x->h->curl, CURLINFO_RESPONSE_CODE, &status);
	x->reply->status = (unsigned)status;
	return 0;
}

int http_perform(struct http *h, const struct http_request *r, struct arena *a,
		 struct http_reply *reply)
{
	struct exchange x = {.h = h,
			     .r = r,
			     .reply = reply,
			     .a = a,
			     .number = ++h->calls,
			     .asked_ms = clock_ms()};
	struct curl_slist *headers = NULL;
	char error[CURL_ERROR_SIZE] = "";
	CURLcode code;

	*reply = (struct http_reply){0};
	err_clear();
	if (hook(&x, CLOUD_BEFORE_SEND))
		return fail_code(ECONNREFUSED, "CLOUD_UNREACHABLE", "%s: broken off", r->what);
	headers = header_list(r);
	set_up(h->curl, &x, headers, error);
	code = curl_easy_perform(h->curl);
	curl_slist_free_all(headers);
	return outcome(&x, code, error);
}
