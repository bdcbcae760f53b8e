/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PUT of a part, by libcurl. Only Host and Content-Length go with it, as whoever signed the URL
 * signed nothing else. The receiver may be told any address: those at which a machine finds its own
 * credentials are refused.
 */
#include "receiver/upload_put.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crc64.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/num.h"

#define ANSWER_MAX	4096
#define CA_MAX_BYTES	(4u << 20)
#define CONNECT_S	15L
#define RETRY_AFTER_MAX 600

struct putter {
	CURL *curl;
};

struct exchange {
	const struct put *what;
	size_t at;
	bool barred;
	char etag[UPLOAD_ETAG_MAX], crc[24];
	uint64_t retry_after_ms;
	char answer[ANSWER_MAX + 1];
	size_t answer_bytes;
};

struct putter *putter_new(void)
{
	struct putter *p = calloc(1, sizeof(*p));

	if (p)
		p->curl = curl_easy_init();
	if (p && !p->curl) {
		free(p);
		return NULL;
	}
	return p;
}

void putter_free(struct putter *p)
{
	if (!p)
		return;
	curl_easy_cleanup(p->curl);
	free(p);
}

char *put_host_certificates(void)
{
	static const char *const places[] = {
		"/etc/ssl/certs/ca-certificates.crt", /* Debian, Ubuntu, Alpine, Arch */
		"/etc/pki/tls/certs/ca-bundle.crt",   /* Red Hat and its kin */
		"/etc/ssl/ca-bundle.pem",	      /* SUSE */
		"/etc/ssl/cert.pem",
	};
	char *pem = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (io_read_file(places[i], CA_MAX_BYTES, &pem, NULL) == 0)
			return pem;
	return NULL;
}

static size_t give_body(char *out, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;
	size_t n = min_of(size * count, x->what->bytes - x->at);

	memcpy(out, (const char *)x->what->data + x->at, n);
	x->at += n;
	return n;
}

static int seek_body(void *ctx, curl_off_t offset, int origin)
{
	struct exchange *x = ctx;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > x->what->bytes)
		return CURL_SEEKFUNC_FAIL;
	x->at = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static size_t take_answer(char *data, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;
	size_t n = min_of(size * count, ANSWER_MAX - x->answer_bytes);

	memcpy(x->answer + x->answer_bytes, data, n);
	x->answer_bytes += n;
	return size * count;
}

static void take_field(const char *line, size_t bytes, const char *name, char *out, size_t room)
{
	size_t n = strlen(name);

	if (bytes < n || strncasecmp(line, name, n) != 0)
		return;
	line += n;
	bytes -= n;
	for (; bytes > 0 && *line == ' '; bytes--)
		line++;
	while (bytes > 0 && (line[bytes - 1] == '\r' || line[bytes - 1] == '\n'))
		bytes--;
	bytes = min_of(bytes, room - 1);
	for (size_t i = 0; i < bytes; i++)
		out[i] = line[i] > ' ' && line[i] <= '~' ? line[i] : '?';
	out[bytes] = '\0';
}

static size_t take_header(char *line, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;
	size_t bytes = size * count;
	char after[16] = "";
	uint64_t s;

	if (bytes > 5 && memcmp(line, "HTTP/", 5) == 0)
		x->etag[0] = x->crc[0] = '\0'; /* of an answer before, such as 100 */
	take_field(line, bytes, "etag:", x->etag, sizeof(x->etag));
	take_field(line, bytes, "x-oss-hash-crc64ecma:", x->crc, sizeof(x->crc));
	take_field(line, bytes, "retry-after:", after, sizeof(after));
	if (after[0] && num_parse(after, 1, UINT32_MAX, &s) == 0)
		x->retry_after_ms = 1000 * min_of(s, (uint64_t)RETRY_AFTER_MAX);
	return bytes;
}

static int watch(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct exchange *x = ctx;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return atomic_load(x->what->stop);
}

/* Link-local addresses, and where a cloud tells its machines their keys. */
static bool is_barred(const struct curl_sockaddr *a)
{
	if (a->family == AF_INET) {
		const struct sockaddr_in *in = (const void *)&a->addr;
		uint32_t ip = ntohl(in->sin_addr.s_addr);

		return ip >> 16 == 0xa9fe || ip == 0x646464c8;
	}
	if (a->family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)&a->addr;
		const uint8_t *b = in->sin6_addr.s6_addr;

		if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr))
			return (b[12] == 0xa9 && b[13] == 0xfe) ||
			       memcmp(b + 12, "\x64\x64\x64\xc8", 4) == 0;
		return IN6_IS_ADDR_LINKLOCAL(&in->sin6_addr);
	}
	return true;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct exchange *x = ctx;

	(void)purpose;
	if (is_barred(a)) {
		x->barred = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* <NAME>text</NAME> of an error's XML; "" when it is not there. */
static void find_element(const char *xml, const char *name, char *out, size_t room)
{
	char open[32], close[32];
	const char *from, *to;
	size_t n;

	snprintf(open, sizeof(open), "<%s>", name);
	snprintf(close, sizeof(close), "</%s>", name);
	out[0] = '\0';
	from = strstr(xml, open);
	if (!from)
		return;
	from += strlen(open);
	to = strstr(from, close);
	n = to ? min_of((size_t)(to - from), room - 1) : 0;
	for (size_t i = 0; i < n; i++)
		out[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : ' ';
	out[n] = '\0';
}

static void __attribute__((format(printf, 4, 5)))
verdict(struct put_result *r, enum put_verdict v, const char *code, const char *fmt, ...)
{
	va_list args;

	r->verdict = v;
	r->code = code;
	va_start(args, fmt);
	vsnprintf(r->message, sizeof(r->message), fmt, args);
	va_end(args);
}

/* The store took it: are they our bytes? */
static void compare(const struct exchange *x, struct put_result *r)
{
	char etag[UPLOAD_ETAG_MAX], md5[HASH_MD5_HEX_BYTES], crc[24];
	size_t n = strlen(x->etag);

	snprintf(r->etag, sizeof(r->etag), "%s", x->etag);
	if (n == 0) {
		verdict(r, PUT_DIFFERS, "UPLOAD_DIFFERS", "the store names no ETag");
		return;
	}
	if (x->crc[0]) {
		snprintf(crc, sizeof(crc), "%llu", (unsigned long long)r->crc);
		if (strcmp(crc, x->crc) != 0)
			verdict(r, PUT_DIFFERS, "UPLOAD_DIFFERS",
				"the store has CRC-64 %s of a part that has %s", x->crc, crc);
		return;
	}
	snprintf(etag, sizeof(etag), "%.*s", n > 2 && x->etag[0] == '"' ? (int)n - 2 : (int)n,
		 x->etag + (x->etag[0] == '"'));
	hash_md5_hex(x->what->data, x->what->bytes, md5);
	if (strcasecmp(etag, md5) != 0)
		verdict(r, PUT_DIFFERS, "UPLOAD_DIFFERS",
			"the store has ETag %s of a part whose MD5 is %s", etag, md5);
}

static void judge(const struct exchange *x, long http, struct put_result *r)
{
	char code[64], message[160];

	find_element(x->answer, "Code", code, sizeof(code));
	find_element(x->answer, "Message", message, sizeof(message));
	r->retry_after_ms = x->retry_after_ms;
	if (http == 200)
		compare(x, r);
	else if (http == 401 || http == 403)
		verdict(r, PUT_REFUSED, "UPLOAD_URL_REFUSED", "the store refuses the URL: %s %s",
			code, message);
	else if (http >= 500 || http == 408 || http == 429 || strcmp(code, "RequestTimeout") == 0 ||
		 strcmp(code, "BadRequest") == 0)
		verdict(r, PUT_AGAIN, "UPLOAD_UNREACHABLE",
			"the store answers with status %ld: %s %s", http, code, message);
	else if (http == 404)
		verdict(r, PUT_FAILED, "UPLOAD_GONE", "the upload is no more: %s %s", code,
			message);
	else
		verdict(r, PUT_FAILED, "UPLOAD_REFUSED",
			"the store refuses the part with status %ld: %s %s", http, code, message);
}

static void set_up(CURL *c, struct exchange *x, struct curl_slist *headers, char *error)
{
	const struct put *w = x->what;

	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_URL, w->url);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)w->bytes);
	curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
	curl_easy_setopt(c, CURLOPT_READFUNCTION, give_body);
	curl_easy_setopt(c, CURLOPT_READDATA, x);
	curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, seek_body);
	curl_easy_setopt(c, CURLOPT_SEEKDATA, x);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, x);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, watch);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, x);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)w->stall_s);
	curl_easy_setopt(c, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)w->rate_bytes_per_s);
	if (w->ca) {
		struct curl_blob pem = {
			.data = (char *)w->ca, .len = strlen(w->ca), .flags = CURL_BLOB_COPY};

		curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &pem);
	}
}

void putter_put(struct putter *p, const struct put *what, struct put_result *out)
{
	struct exchange x = {.what = what};
	char error[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	CURLcode code;
	long http = 0;

	*out = (struct put_result){.verdict = PUT_DONE, .code = ""};
	out->crc = crc64(0, what->data, what->bytes);
	set_up(p->curl, &x, headers, error);
	code = curl_easy_perform(p->curl);
	curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &http);
	curl_slist_free_all(headers);
	/* A store that refuses may say so and hang up while the part is still being sent. */
	if (http >= 400 && code != CURLE_ABORTED_BY_CALLBACK)
		code = CURLE_OK;
	if (code == CURLE_OK)
		judge(&x, http, out);
	else if (x.barred)
		verdict(out, PUT_FAILED, "UPLOAD_REFUSED",
			"the URL leads to an address at which a machine finds its own keys");
	else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
		verdict(out, PUT_FAILED, "UPLOAD_TLS",
			"the certificate of the store is not trusted: %s",
			error[0] ? error : curl_easy_strerror(code));
	else
		verdict(out, PUT_AGAIN, "UPLOAD_UNREACHABLE", "no answer from the store: %s",
			error[0] ? error : curl_easy_strerror(code));
}
