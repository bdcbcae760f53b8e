/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The webhook: an HTTP POST of a JSON object whenever state or phase change. With a secret, header
 * X-Coldlift-Signature is "sha256=" and the HMAC-SHA256 of the body in hex, so that the other end
 * can tell it from a forgery. A hook that does not answer is tried three times and then left: a job
 * does not fail because nobody listens.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "pipeline/pipe_show.h"

#define HOOK_TRIES	 3
#define HOOK_TIMEOUT_MS	 5000L
#define SECRET_MAX_BYTES 4096
#define HMAC_BLOCK	 64

/* HMAC (RFC 2104) over base/hash.h; what is hashed is a few kilobytes. */
static int hmac_hex(const void *key, size_t key_bytes, const char *body,
		    char out[HASH_SHA256_HEX_BYTES])
{
	size_t n = strlen(body);
	uint8_t block[HMAC_BLOCK] = {0}, digest[HASH_SHA256_BYTES];
	uint8_t outer[HMAC_BLOCK + HASH_SHA256_BYTES];
	CLEANUP_FREE uint8_t *inner = malloc(HMAC_BLOCK + n);

	if (!inner)
		return -1;
	if (key_bytes > HMAC_BLOCK)
		hash_sha256(key, key_bytes, block);
	else
		memcpy(block, key, key_bytes);
	for (size_t i = 0; i < HMAC_BLOCK; i++) {
		inner[i] = block[i] ^ 0x36;
		outer[i] = block[i] ^ 0x5c;
	}
	memcpy(inner + HMAC_BLOCK, body, n);
	hash_sha256(inner, HMAC_BLOCK + n, digest);
	memcpy(outer + HMAC_BLOCK, digest, sizeof(digest));
	hash_sha256_hex(outer, sizeof(outer), out);
	explicit_bzero(block, sizeof(block));
	return 0;
}

static struct curl_slist *headers(const json_t *hook, const char *body)
{
	const char *path = pipe_option(hook, "secret_file");
	struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
	CLEANUP_FREE char *secret = NULL;
	char hex[HASH_SHA256_HEX_BYTES], line[128];
	size_t n = 0;

	if (!*path)
		return list;
	if (io_read_file(path, SECRET_MAX_BYTES, &secret, &n) < 0) {
		log_warn("webhook sent without a signature: %s", err_reason());
		return list;
	}
	while (n && (secret[n - 1] == '\n' || secret[n - 1] == '\r'))
		n--;
	if (hmac_hex(secret, n, body, hex) == 0) {
		snprintf(line, sizeof(line), "X-Coldlift-Signature: sha256=%s", hex);
		list = curl_slist_append(list, line);
	}
	explicit_bzero(secret, n);
	return list;
}

static size_t drop(char *data, size_t size, size_t n, void *ctx)
{
	(void)data;
	(void)ctx;
	return size * n;
}

static bool post(const char *url, struct curl_slist *list, const char *body)
{
	const char *bundle = getenv("SSL_CERT_FILE");
	CURL *curl = curl_easy_init();
	long status = 0;
	CURLcode rc;

	if (!curl)
		return false;
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, HOOK_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	if (bundle)
		curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
	rc = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	return rc == CURLE_OK && status >= 200 && status < 300;
}

void pipe_hook(struct course *c, const json_t *status)
{
	const json_t *hook = json_object_get(c->job->options, "webhook");
	const char *state = pipe_option(status, "state"), *phase = pipe_option(status, "phase");
	CLEANUP_FREE char *body = NULL;
	struct curl_slist *list;
	bool sent = false;
	char now[64];

	snprintf(now, sizeof(now), "%s/%s/%u", state, phase, c->job->run);
	if (!hook || strcmp(now, c->hook_told) == 0)
		return;
	snprintf(c->hook_told, sizeof(c->hook_told), "%s", now);
	body = json_dumps(status, JSON_COMPACT | JSON_SORT_KEYS);
	list = body ? headers(hook, body) : NULL;
	for (unsigned i = 0; list && !sent && i < HOOK_TRIES; i++) {
		if (i)
			nanosleep(&(struct timespec){.tv_nsec = 200000000L << i}, NULL);
		sent = post(pipe_option(hook, "url"), list, body);
	}
	curl_slist_free_all(list);
	if (!sent)
		log_warn("the webhook did not take \"%s\"", now);
}
