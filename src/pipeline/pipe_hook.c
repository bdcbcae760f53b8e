/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The webhook: an HTTP POST of a JSON object whenever state or phase change. With a secret, header
 * X-Coldlift-Signature is "sha256=" and the HMAC-SHA256 of the body in hex, so that the other end
 * can tell it from a forgery. A hook that does not answer is tried three times, and from then on
 * once each time until it answers: a job does not fail because nobody listens, nor wait for long.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "cloud/cloud.h"
#include "pipeline/pipe_show.h"

#define HOOK_TRIES	 3
#define HOOK_TIMEOUT_MS	 5000
#define SECRET_MAX_BYTES 4096

/* NULL: none is given, or it cannot be read; then it is sent without a signature. */
static char *read_secret(const json_t *hook, size_t *bytes)
{
	const char *path = pipe_option(hook, "secret_file");
	char *secret = NULL;
	size_t n = 0;

	if (!*path)
		return NULL;
	if (io_read_file(path, SECRET_MAX_BYTES, &secret, &n) < 0) {
		log_warn("webhook sent without a signature: %s", err_reason());
		return NULL;
	}
	while (n && (secret[n - 1] == '\n' || secret[n - 1] == '\r'))
		n--;
	*bytes = n;
	return secret;
}

static bool post(const struct course *c, const json_t *hook, const char *body)
{
	const struct cloud_options *o = c->outside->cloud;
	size_t bytes = 0;
	CLEANUP_FREE char *secret = read_secret(hook, &bytes);
	int rc = cloud_post_json(pipe_option(hook, "url"), body, secret, bytes,
				 o ? o->ca_bundle : NULL, HOOK_TIMEOUT_MS);

	if (secret)
		explicit_bzero(secret, bytes);
	return rc == 0;
}

void pipe_hook(struct course *c, const json_t *status)
{
	const json_t *hook = json_object_get(c->job->options, "webhook");
	const char *state = pipe_option(status, "state"), *phase = pipe_option(status, "phase");
	CLEANUP_FREE char *body = NULL;
	unsigned tries = c->hook_silent ? 1 : HOOK_TRIES;
	bool sent = false;
	char now[64];

	snprintf(now, sizeof(now), "%s/%s/%u", state, phase, c->job->run);
	if (!hook || strcmp(now, c->hook_told) == 0)
		return;
	snprintf(c->hook_told, sizeof(c->hook_told), "%s", now);
	body = json_dumps(status, JSON_COMPACT | JSON_SORT_KEYS);
	for (unsigned i = 0; body && !sent && i < tries; i++) {
		if (i)
			nanosleep(&(struct timespec){.tv_nsec = 200000000L << i}, NULL);
		sent = post(c, hook, body);
	}
	if (!sent)
		log_warn("the webhook did not take \"%s\": %s", now, err_reason());
	c->hook_silent = !sent;
}
