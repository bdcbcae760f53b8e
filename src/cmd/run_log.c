/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of this run goes to the receiver, so that whoever looks for the cause of a failure need
 * not stand before the source: every now and then, at a failure and at the end. What opens the
 * receiver is taken out of it. The job may forbid it ("diagnostics").
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "base/redact.h"
#include "cmd/run.h"

#define LOG_MAX_BYTES	4194304 /* its end, when it is longer */
#define LOG_INTERVAL_MS 30000

static int read_end(const char *path, uint64_t size, char **out, size_t *bytes)
{
	CLEANUP_CLOSE int fd = io_open(path, O_RDONLY, 0);
	size_t n = (size_t)min_of(size, (uint64_t)LOG_MAX_BYTES);
	int rc;

	if (fd < 0)
		return fd;
	*out = malloc(n + 1);
	if (!*out)
		return fail(ENOMEM, "%s", path);
	rc = io_pread(fd, *out, n, size - n, path);
	*bytes = n;
	return rc;
}

/* Token and activation code become asterisks. */
static void hide_secrets(const struct run *r, char *text, size_t bytes)
{
	char token[2 * WIRE_TOKEN_BYTES + 1];

	hex_encode(r->activation.token, WIRE_TOKEN_BYTES, token);
	redact(text, bytes, token);
	redact(text, bytes, r->cmdline.activation);
	explicit_bzero(token, sizeof(token));
}

static int send_log(struct run *r, struct wire_control *link, const char *path, uint64_t size)
{
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0;
	int rc = read_end(path, size, &text, &bytes);

	if (rc < 0)
		return rc;
	hide_secrets(r, text, bytes);
	return wire_control_put(link, "/v1/log", text, bytes, "text/plain", NULL, NULL);
}

void run_log_post(struct run *r, struct wire_control *link, bool now)
{
	char path[256];
	uint64_t size = 0;
	int fd;

	if (json_is_false(json_object_get(r->job, "diagnostics")) ||
	    (!now && clock_ms() - r->log_sent_ms < LOG_INTERVAL_MS))
		return;
	r->log_sent_ms = clock_ms();
	snprintf(path, sizeof(path), "%s/migrator.log", r->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (io_size(fd, path, &size) == 0 && size > 0 && size != r->log_sent_bytes) {
		if (send_log(r, link, path, size) == 0)
			r->log_sent_bytes = size;
		else
			log_debug("the log was not sent: %s", err_reason());
	}
	close(fd);
}
