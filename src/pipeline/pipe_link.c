/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The link to the receiver's control service: what the source says there is the progress of the
 * job, and orders to the source go there. A receiver that does not answer is asked again; it may
 * be starting, or the network away.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "pipeline/pipe_local.h"
#include "pipeline/pipe_sync.h"

#define LINK_TIMEOUT_MS 10000
#define LOST_MAX	60 /* pauses of a second, however long each call took */

/* Our own receiver is here, and what it advertises may lead here from elsewhere alone. */
static struct wire_activation from_here(const struct course *c)
{
	struct wire_activation a = c->activation;
	const char *listen = pipe_option(c->job->options, "listen");

	bool all = !*listen || strcmp(listen, "0.0.0.0") == 0 || strcmp(listen, "::") == 0;

	if (local_own_receiver(c))
		snprintf(a.host, sizeof(a.host), "%s", all ? "127.0.0.1" : listen);
	return a;
}

int course_link(struct course *c)
{
	struct wire_activation a;
	int rc = 0;

	if (c->link)
		return 0;
	if (!c->activation_known)
		rc = course_activation(c);
	if (rc < 0)
		return rc;
	a = from_here(c);
	return wire_control_open(&a, LINK_TIMEOUT_MS, &c->link);
}

void course_unlink(struct course *c)
{
	wire_control_close(c->link);
	c->link = NULL;
}

bool course_link_again(struct course *c, unsigned *lost, int *rc)
{
	int why;

	if (*rc >= 0 || strcmp(err_code(), "RECEIVER_UNREACHABLE") != 0 || ++*lost > LOST_MAX)
		return false;
	log_debug("%s; asking again", err_reason());
	snprintf(c->progress.source, sizeof(c->progress.source), "receiver: %.140s", err_reason());
	why = course_child_check(c);
	if (why == 0)
		why = course_wait(c, 1000);
	if (why < 0)
		*rc = why;
	return why == 0;
}

void course_command(struct course *c, bool cancel)
{
	const json_t *o = c->job->options;
	uint64_t rate = pipe_option_u64(o, "rate_mbit");
	/* A source that chooses by itself is not told. */
	bool adaptive = json_is_true(json_object_get(json_object_get(o, "source"), "adaptive"));
	CLEANUP_JSON json_t *order = NULL;

	if (!c->link)
		return;
	order = json_pack("{s:b, s:b, s:o, s:o, s:b}", "pause", c->job->paused, "cancel", cancel,
			  "rate_mbit", json_u64(rate), "compression",
			  adaptive ? json_null() : json_u64(pipe_option_u64(o, "compression")),
			  "verify", strcmp(pipe_option(o, "checksum"), "off") != 0);
	if (order && wire_control_post(c->link, "/v1/command", order, NULL, NULL) < 0)
		log_warn("the receiver does not take orders now: %s", err_reason());
}

/* The rate is that of the last seconds, smoothed. */
void course_progress(struct course *c, uint64_t done, uint64_t total)
{
	struct pipe_progress *p = &c->progress;
	uint64_t now = clock_ms(), ms = now - c->rate_at_ms;

	p->percent = total ? (unsigned)(min_of(done, total) * 100.0 / total) : 0;
	if (!c->rate_at_ms || done < c->rate_at_bytes) {
		p->rate_bytes_s = 0;
	} else if (ms >= 1000) {
		uint64_t rate = (done - c->rate_at_bytes) * 1000 / ms;

		p->rate_bytes_s = p->rate_bytes_s ? (3 * p->rate_bytes_s + rate) / 4 : rate;
	} else {
		return;
	}
	c->rate_at_ms = now;
	c->rate_at_bytes = done;
	p->eta_s = p->rate_bytes_s ? (total - min_of(done, total)) / p->rate_bytes_s : UINT64_MAX;
}

static void take_progress(struct course *c, const json_t *source)
{
	struct pipe_progress *p = &c->progress;
	json_t *disks = json_object_get(source, "disks"), *disk;
	uint64_t done = 0, total = 0;
	size_t i;

	p->disk_count = 0;
	json_array_foreach (disks, i, disk) {
		struct pipe_disk_progress *d = &p->disks[p->disk_count];

		if (p->disk_count == PIPE_DISKS_MAX)
			break;
		snprintf(d->name, sizeof(d->name), "%s", pipe_option(disk, "name"));
		d->done_bytes = pipe_option_u64(disk, "done_bytes");
		d->total_bytes = pipe_option_u64(disk, "total_bytes");
		done += d->done_bytes;
		total += d->total_bytes;
		p->disk_count++;
	}
	snprintf(p->source, sizeof(p->source), "%s%s%s%s%s", pipe_option(source, "state"),
		 *pipe_option(source, "phase") ? ": " : "", pipe_option(source, "phase"),
		 *pipe_option(source, "message") ? ", " : "", pipe_option(source, "message"));
	course_progress(c, done, total);
}

/*
 * 1: the source has finished this run; 0: not yet. Its last words of an earlier run, which the
 * fact's "before" holds, do not count.
 */
static int look_at_source(struct course *c, const json_t *fact, const json_t *state)
{
	const json_t *source = json_object_get(state, "source");
	const char *word = pipe_option(source, "state");
	char code[64];

	if (!json_is_object(source) ||
	    strcmp(pipe_option(source, "time"), pipe_option(fact, "before")) == 0) {
		snprintf(c->progress.source, sizeof(c->progress.source), "not there yet");
		return 0;
	}
	take_progress(c, source);
	if (strcmp(word, "Finished") == 0)
		return 1;
	if (strcmp(word, "InError") != 0)
		return 0;
	snprintf(code, sizeof(code), "%s", pipe_option(source, "code"));
	return fail_code(EREMOTEIO, *code ? code : "SOURCE_FAILED", "on the source: %s",
			 pipe_option(source, "reason"));
}

int sync_once(struct course *c, const json_t *fact)
{
	CLEANUP_JSON json_t *state = NULL;
	int rc = course_link(c);

	if (rc == 0)
		rc = wire_control_get(c->link, "/v1/state", NULL, &state);
	if (rc == -EACCES)
		return rc;
	if (rc < 0) {
		snprintf(c->progress.source, sizeof(c->progress.source), "receiver: %.140s",
			 err_reason());
		return 0;
	}
	return look_at_source(c, fact, state);
}

int sync_before(struct course *c, json_t *fact)
{
	CLEANUP_JSON json_t *state = NULL;
	const char *time;
	unsigned lost = 0;
	int rc;

	if (json_object_get(fact, "before"))
		return 0;
	do {
		rc = course_link(c);
		if (rc == 0)
			rc = wire_control_get(c->link, "/v1/state", NULL, &state);
	} while (course_link_again(c, &lost, &rc));
	if (rc < 0)
		return rc;
	/* In the first run everything that the source says counts: it may be through already. */
	time = c->job->run > 1 || json_is_true(json_object_get(fact, "again"))
		       ? pipe_option(json_object_get(state, "source"), "time")
		       : "";
	json_object_set_new(fact, "before", json_string(time));
	return course_keep(c, fact);
}

void sync_again(struct course *c)
{
	CLEANUP_JSON json_t *state = NULL;
	CLEANUP_JSON json_t *fact = json_pack("{s:b}", "again", 1);
	char code[ERR_CODE_MAX], reason[ERR_REASON_MAX], key[64];
	int rc = fact ? 0 : -ENOMEM;

	snprintf(code, sizeof(code), "%s", err_code());
	snprintf(reason, sizeof(reason), "%s", err_reason());
	snprintf(key, sizeof(key), "sync#%u", c->job->run);
	if (c->link && wire_control_get(c->link, "/v1/state", NULL, &state) == 0)
		json_object_set_new(
			fact, "before",
			json_string(pipe_option(json_object_get(state, "source"), "time")));
	if (rc == 0)
		rc = pipe_job_set_fact(c->job, key, "intend", fact);
	if (rc < 0)
		log_warn("the transfer cannot be begun again: %s", err_reason());
	err_adopt(code, reason);
}

int sync_fetch_artefact(struct course *c, const char *name, char **body, size_t *bytes)
{
	CLEANUP_FREE char *path = pipe_job_path(c->job, name);
	char url[128];
	unsigned status = 0, lost = 0;
	int rc;

	*body = NULL;
	if (!path)
		return -ENOMEM;
	snprintf(url, sizeof(url), "/v1/artefact/%s", name);
	do {
		rc = course_link(c);
		if (rc == 0)
			rc = wire_control_fetch(c->link, url, &status, body, bytes);
	} while (course_link_again(c, &lost, &rc));
	if (rc == 0)
		return io_replace_file(path, *body, *bytes, 0600);
	if (status != 404)
		return rc;
	/* One of an earlier run is not this run's. */
	return unlink(path) < 0 && errno != ENOENT ? fail(errno, "remove %s", path) : 0;
}

int sync_take_artefact(struct course *c, const char *name, json_t **out)
{
	CLEANUP_FREE char *body = NULL;
	size_t bytes = 0;
	int rc = sync_fetch_artefact(c, name, &body, &bytes);

	*out = NULL;
	return rc < 0 || !body ? rc : json_parse(body, bytes, name, out);
}
