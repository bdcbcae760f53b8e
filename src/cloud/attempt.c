/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loop of tries: what is repeated, when, how long. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "cloud/private.h"
#include "cloud/text.h"

#define RETRY_FOR_MS 600000
#define BACKOFF_MS   500
#define BACKOFF_MAX  64 /* times the first pause */
#define STATE_TIMES  10 /* a busy object is asked at this many first pauses, 5 s */
#define SLOWLY_TIMES 120
#define NONCES_MAX   3

int64_t cloud_now(const struct cloud *c)
{
	return (int64_t)time(NULL) + c->skew_s;
}

int64_t cloud_server_time(struct cloud *c, const struct http_reply *r)
{
	const char *date = sign_find(&r->headers, "date");
	int64_t theirs = date ? text_parse_http_time(date) : -1;

	if (theirs >= 0)
		c->offset_s = theirs - (int64_t)time(NULL);
	return theirs;
}

static uint64_t first_pause(const struct cloud *c)
{
	return c->o.backoff_ms ? c->o.backoff_ms : BACKOFF_MS;
}

struct attempt attempt_begin(struct cloud *c, const char *what, bool repeatable)
{
	uint64_t for_ms = c->o.retry_for_ms ? c->o.retry_for_ms : RETRY_FOR_MS;

	c->error = (struct cloud_error){0};
	return (struct attempt){.c = c,
				.what = what,
				.repeatable = repeatable,
				.until_ms = clock_ms() + for_ms,
				.pause_ms = first_pause(c)};
}

/* Between a half and the whole, so that many clients do not come back together. */
static uint64_t jitter(uint64_t ms)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		r = (uint32_t)clock_us();
	return ms / 2 + (ms - ms / 2) * (r >> 8) / (1u << 24);
}

int cloud_pause(struct cloud *c, uint64_t ms)
{
	struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	if (c->o.pause)
		return c->o.pause(c->o.ctx, ms) ? fail(ECANCELED, "interrupted") : 0;
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
	return 0;
}

/* 1: waited; 0: the time is up; < 0: interrupted. */
static int wait_for_next(struct attempt *t, uint64_t least_ms)
{
	uint64_t now = clock_ms(), ms = max_of(jitter(t->pause_ms), least_ms);
	int rc;

	t->pause_ms = min_of(2 * t->pause_ms, BACKOFF_MAX * first_pause(t->c));
	if (t->single || now >= t->until_ms || ms > t->until_ms - now)
		return 0;
	rc = cloud_pause(t->c, ms);
	return rc < 0 ? fail_in(rc, "%s", t->what) : 1;
}

int attempt_lost(struct attempt *t, int rc)
{
	int waited;

	if (rc != -ECONNREFUSED && rc != -ECONNRESET && rc != -EBADMSG)
		return rc;
	if (rc != -ECONNREFUSED && !t->repeatable)
		return fail_code(EREMCHG, "CLOUD_REPLY_LOST",
				 "%s: the reply was lost; whether the request took effect must be "
				 "looked up",
				 t->what);
	log_debug("%s", err_reason());
	waited = wait_for_next(t, 0);
	if (waited != 0)
		return waited;
	return rc == -EBADMSG ? rc : fail_in(-EAGAIN, "tried until the time was up");
}

/* The server's time instead of ours, once. */
static bool learn_clock(struct attempt *t, int64_t server_time_s)
{
	if (t->clocks++ > 0 || server_time_s < 0)
		return false;
	t->c->skew_s = server_time_s - (int64_t)time(NULL);
	log_warn("%s: this machine's clock is %lld s off; going on with the cloud's time", t->what,
		 (long long)-t->c->skew_s);
	return true;
}

/* DeleteVpc has been seen to say so while what was in the VPC is still going away. */
static bool means_busy(const struct attempt *t)
{
	return t->deleting && strcmp(t->c->error.code, "Forbbiden") == 0;
}

int attempt_refused(struct attempt *t, int64_t server_time_s)
{
	struct cloud_error *e = &t->c->error;
	uint64_t unit = first_pause(t->c);
	int waited = 0;

	if (means_busy(t))
		e->decision = CLOUD_RETRY_STATE;
	switch (e->decision) {
	case CLOUD_RETRY:
	case CLOUD_SAME_TOKEN:
		waited = wait_for_next(t, e->retry_after_ms);
		break;
	case CLOUD_RETRY_SAFE:
		if (!t->repeatable)
			return fail_code(EREMCHG, "CLOUD_REPLY_LOST",
					 "%s: the service failed (%s, request %s); whether the "
					 "request took effect must be looked up",
					 t->what, e->code, e->request_id);
		waited = wait_for_next(t, e->retry_after_ms);
		break;
	case CLOUD_RETRY_STATE:
		waited = wait_for_next(t, jitter(STATE_TIMES * unit));
		break;
	case CLOUD_RETRY_SLOWLY:
		waited = wait_for_next(t, jitter(SLOWLY_TIMES * unit));
		break;
	case CLOUD_NEW_NONCE:
		waited = t->nonces++ < NONCES_MAX;
		break;
	case CLOUD_FIX_CLOCK:
		waited = learn_clock(t, server_time_s);
		break;
	case CLOUD_NEW_CREDENTIALS:
		waited = t->renewals++ == 0 && credentials_expire(t->c);
		break;
	default:
		break;
	}
	if (waited != 0) {
		log_debug("%s: %s, trying again", t->what, e->code);
		return waited;
	}
	return error_fail(e, t->what, t->deleting);
}
