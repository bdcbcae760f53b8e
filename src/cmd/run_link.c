/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The link to the receiver's control service. The source dials; what its operator orders (pause,
 * another rate, cancel) comes back in the answers to the states that we post. A receiver that
 * cannot be reached is no failure here: the copy has its own patience.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/thread.h"
#include "cmd/run.h"

#define LINK_INTERVAL_MS 1000
#define LINK_TIMEOUT_MS	 10000

static json_t *state_json(struct run *r)
{
	json_t *disks = json_array(), *state;
	char now[CLOCK_TEXT_BYTES];
	LOCK_SCOPE(&r->view_lock);
	const struct console_view *v = &r->view;

	for (size_t i = 0; i < v->disk_count; i++)
		json_array_append_new(
			disks, json_pack("{s:o, s:o, s:o}", "name", json_str(v->disks[i].name),
					 "done_bytes", json_u64(v->disks[i].done_bytes),
					 "total_bytes", json_u64(v->disks[i].total_bytes)));
	state = json_pack("{s:s, s:s, s:o}", "time", clock_text(now), "state",
			  console_state_name(v->state), "disks", disks);
	if (!state)
		return NULL;
	if (v->state == CONSOLE_RUNNING)
		json_object_set_new(state, "phase", json_str(console_phase_name(v->phase)));
	if (*v->machine)
		json_object_set_new(state, "machine", json_str(v->machine));
	if (*v->system)
		json_object_set_new(state, "system", json_str(v->system));
	if (*v->step)
		json_object_set_new(state, "message", json_str(v->step));
	if (v->state == CONSOLE_IN_ERROR) {
		json_object_set_new(state, "code", json_str(v->code));
		json_object_set_new(state, "reason", json_str(v->reason));
		json_object_set_new(state, "advice", json_str(v->advice));
	}
	return state;
}

static void take_step(struct run *r, const json_t *step)
{
	json_int_t n = json_integer_value(step);
	unsigned ordered = (unsigned)n;

	if (json_is_integer(step) && n >= 0 && n <= COPY_COMPRESSION_MAX &&
	    atomic_exchange(&r->orders.step_and_one, ordered + 1) != ordered + 1)
		log_info("the receiver's operator orders: compression %u", ordered);
}

static void take_verify(struct run *r, const json_t *verify)
{
	int order = json_is_true(verify) ? 1 : -1;

	if (json_is_boolean(verify) && atomic_exchange(&r->verify_order, order) != order)
		log_info("the receiver's operator orders: %s",
			 order > 0 ? "read back what arrived" : "do not read back what arrived");
}

static void take_orders(struct run *r, const json_t *reply)
{
	const json_t *orders = json_object_get(reply, "commands");
	const json_t *paused = json_object_get(orders, "pause");
	const json_t *rate = json_object_get(orders, "rate_mbit");

	if (json_is_boolean(paused) &&
	    atomic_exchange(&r->orders.paused, json_is_true(paused)) != json_is_true(paused))
		log_info("the receiver's operator orders: %s",
			 json_is_true(paused) ? "pause" : "go on");
	if (json_is_integer(rate) && json_integer_value(rate) >= 0 &&
	    atomic_exchange(&r->orders.rate_mbit, (uint64_t)json_integer_value(rate)) !=
		    (uint64_t)json_integer_value(rate))
		log_info("the receiver's operator orders: %lld Mbit/s",
			 (long long)json_integer_value(rate));
	take_step(r, json_object_get(orders, "compression"));
	take_verify(r, json_object_get(orders, "verify"));
	if (json_is_true(json_object_get(orders, "cancel")) &&
	    !atomic_exchange(&r->orders.cancelled, true))
		log_info("the receiver's operator orders: cancel");
}

/* Whether a card is there, and none has a cable that leads anywhere. */
static bool no_card_has_a_link(void)
{
	CLEANUP_CLOSEDIR DIR *dir = opendir("/sys/class/net");
	unsigned cards = 0, links = 0;
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		char path[300], line[8] = "";

		snprintf(path, sizeof(path), "/sys/class/net/%s/device", e->d_name);
		if (e->d_name[0] == '.' || access(path, F_OK))
			continue;
		cards++;
		snprintf(path, sizeof(path), "/sys/class/net/%s/carrier", e->d_name);
		links += io_read_line(path, line, sizeof(line)) == 0 && line[0] == '1';
	}
	return cards && !links;
}

static void post_state(struct run *r, struct wire_control *link)
{
	CLEANUP_JSON json_t *state = state_json(r);
	CLEANUP_JSON json_t *reply = NULL;

	if (!state)
		return;
	if (wire_control_post(link, "/v1/state", state, NULL, &reply) == 0) {
		run_show_trouble(r, "");
		take_orders(r, reply);
		return;
	}
	log_debug("state not posted: %s", err_reason());
	if (!atomic_load(&r->link_stop))
		run_show_trouble(r, no_card_has_a_link()
					    ? "no network card has a link; look at cable and "
					      "switch; what arrived is kept"
					    : "the receiver does not answer; trying on, and what "
					      "arrived is kept");
}

static void *link_main(void *arg)
{
	struct run *r = arg;
	struct wire_control *link = NULL;
	bool stopping = false;

	if (wire_control_open(&r->activation, LINK_TIMEOUT_MS, &link) < 0) {
		log_warn("no link to the receiver: %s", err_reason());
		return NULL;
	}
	while (!stopping) {
		/* Read before posting, so that the last state is posted once more at the end. */
		stopping = atomic_load(&r->link_stop);
		post_state(r, link);
		run_log_post(r, link, stopping);
		for (unsigned i = 0; i < 10 && !stopping && !atomic_load(&r->link_stop); i++)
			nanosleep(&(struct timespec){.tv_nsec = LINK_INTERVAL_MS * 100000L}, NULL);
	}
	wire_control_close(link);
	return NULL;
}

int run_link_start(struct run *r)
{
	int rc = thread_start(&r->link_thread, "the link to the receiver", THREAD_STACK_DEFAULT,
			      link_main, r);

	r->link_running = rc == 0;
	return rc;
}

void run_link_stop(struct run *r)
{
	if (!r->link_running)
		return;
	atomic_store(&r->link_stop, true);
	pthread_join(r->link_thread, NULL);
	r->link_running = false;
}

int run_keep_bytes(struct run *r, const char *name, const void *data, size_t bytes)
{
	char path[256], url[128];
	int rc;

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	snprintf(url, sizeof(url), "/v1/artefact/%s", name);
	rc = io_replace_file(path, data, bytes, 0644);
	if (rc < 0)
		return rc;
	if (strcmp(name, "plan.json") == 0)
		rc = wire_control_put_plan(r->control_link, data, bytes);
	else
		rc = wire_control_put(r->control_link, url, data, bytes, "application/octet-stream",
				      NULL, NULL);
	return rc < 0 ? fail_in(rc, "hand %s to the receiver", name) : 0;
}

int run_keep(struct run *r, const char *name, const json_t *artefact)
{
	CLEANUP_FREE char *text = json_text(artefact);

	return text ? run_keep_bytes(r, name, text, strlen(text)) : fail(ENOMEM, "keep %s", name);
}
