/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the screen shows of a run; see run.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/run.h"

static void show(struct run *r)
{
	if (r->console)
		console_update(r->console, &r->view);
}

void run_show_state(struct run *r, enum console_state state, enum console_phase phase)
{
	LOCK_SCOPE(&r->view_lock);
	/* What was done in the phase before is over. */
	if (state == CONSOLE_RUNNING && r->view.phase != phase)
		*r->view.step = '\0';
	r->view.state = state;
	r->view.phase = phase;
	log_info("state %s %s", console_state_name(state), console_phase_name(phase));
	show(r);
}

void run_show_step(struct run *r, const char *fmt, ...)
{
	va_list ap;
	LOCK_SCOPE(&r->view_lock);

	va_start(ap, fmt);
	vsnprintf(r->view.step, sizeof(r->view.step), fmt, ap);
	va_end(ap);
	log_info("%s", r->view.step);
	show(r);
}

/* The text is for people; "" takes it away. Shows and logs only what is new. */
static void show_text(struct run *r, char *field, size_t field_bytes, const char *text)
{
	LOCK_SCOPE(&r->view_lock);
	if (strncmp(field, text, field_bytes - 1) == 0)
		return;
	snprintf(field, field_bytes, "%s", text);
	if (*text)
		log_info("%s", text);
	show(r);
}

void run_show_note(struct run *r, const char *text)
{
	show_text(r, r->view.note, sizeof(r->view.note), text);
}

void run_show_trouble(struct run *r, const char *text)
{
	show_text(r, r->view.trouble, sizeof(r->view.trouble), text);
}

void run_show_error(struct run *r, const char *code, const char *reason, const char *advice)
{
	LOCK_SCOPE(&r->view_lock);
	r->view.state = CONSOLE_IN_ERROR;
	snprintf(r->view.code, sizeof(r->view.code), "%s", code);
	snprintf(r->view.reason, sizeof(r->view.reason), "%s", reason);
	snprintf(r->view.advice, sizeof(r->view.advice), "%s", advice);
	log_error("%s: %s", code, reason);
	show(r);
}

void run_show_waiting(struct run *r, const char *reason, const char *advice)
{
	LOCK_SCOPE(&r->view_lock);
	r->view.state = CONSOLE_WAITING;
	r->view.phase = CONSOLE_NO_PHASE;
	snprintf(r->view.step, sizeof(r->view.step), "%s", reason);
	snprintf(r->view.advice, sizeof(r->view.advice), "%s", advice);
	log_warn("waiting: %s", reason);
	show(r);
}

static const char *text_of(const json_t *object, const char *key, const char *fallback)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : fallback;
}

void run_show_machine(struct run *r)
{
	const json_t *machine = json_object_get(r->inventory, "machine");
	const json_t *guest = json_object_get(r->inventory, "guest");
	const json_t *cpu = json_object_get(machine, "cpu");
	char memory[24];
	LOCK_SCOPE(&r->view_lock);

	num_bytes_text((uint64_t)json_integer_value(json_object_get(machine, "memory_bytes")),
		       memory, sizeof(memory));
	snprintf(r->view.machine, sizeof(r->view.machine), "%s %s, %lld processors, %s, %s",
		 text_of(machine, "vendor", ""), text_of(machine, "product", "machine"),
		 (long long)json_integer_value(json_object_get(cpu, "threads")), memory,
		 strcmp(text_of(machine, "firmware", ""), "uefi") == 0 ? "UEFI" : "BIOS");
	snprintf(r->view.system, sizeof(r->view.system), "%s",
		 text_of(json_object_get(guest, "os"), "pretty_name", "not found on these disks"));
	show(r);
}

void run_show_target(struct run *r)
{
	LOCK_SCOPE(&r->view_lock);

	snprintf(r->view.target, sizeof(r->view.target), "receiver %s, ports %u and %u",
		 r->activation.host, r->activation.control_port, r->activation.data_port);
	show(r);
}

void run_show_plan(struct run *r)
{
	const struct plan *p = r->plan;
	size_t used = 0;
	LOCK_SCOPE(&r->view_lock);

	used = (size_t)snprintf(r->view.job, sizeof(r->view.job), "keep the layout:");
	r->view.disk_count = 0;
	for (size_t i = 0; i < p->disk_count && i < CONSOLE_DISKS_MAX; i++) {
		char size[24];

		num_bytes_text(p->disks[i].target_bytes, size, sizeof(size));
		if (used < sizeof(r->view.job))
			used += (size_t)snprintf(r->view.job + used, sizeof(r->view.job) - used,
						 "%s %s to disk%u (%s)", i ? "," : "",
						 p->disks[i].source, p->disks[i].index, size);
		snprintf(r->view.disks[i].name, sizeof(r->view.disks[i].name), "%s",
			 p->disks[i].source);
		r->view.disk_count = i + 1;
	}
	show(r);
}

/* What is not as usual is said: a job that wants proof, a compression that was ordered. */
static void show_copying(struct run *r, const struct copy_status *status)
{
	bool sha256 = r->copy_options.digest == WIRE_DIGEST_SHA256;
	char step[32] = "";

	if (atomic_load(&r->orders.step_and_one))
		snprintf(step, sizeof(step), ", compression %u", status->compression);
	snprintf(r->view.step, sizeof(r->view.step), "copying%s%s",
		 sha256 ? ", SHA-256 of each chunk" : "", step);
}

static void show_copy_step(struct run *r, const struct copy_status *status)
{
	const char *words = "all is sent; the receiver brings it onto its medium";

	for (size_t i = 0; i < status->disk_count; i++)
		if (status->disks[i].phase == COPY_RUNNING) {
			show_copying(r, status);
			return;
		}
	if (status->disks[status->current].phase == COPY_CONNECTING)
		words = "connecting to the receiver";
	else if (status->disks[status->current].phase == COPY_COMPARING)
		words = "asking the receiver what it has";
	snprintf(r->view.step, sizeof(r->view.step), "%s", words);
}

void run_show_copy(struct run *r, const struct copy_status *status)
{
	LOCK_SCOPE(&r->view_lock);
	for (size_t i = 0; i < status->disk_count && i < CONSOLE_DISKS_MAX; i++) {
		r->view.disks[i].done_bytes = status->disks[i].done_bytes;
		r->view.disks[i].total_bytes = status->disks[i].total_bytes;
	}
	r->view.state = status->reconnecting ? CONSOLE_WAITING : CONSOLE_RUNNING;
	if (*status->message)
		snprintf(r->view.step, sizeof(r->view.step), "%s", status->message);
	else
		show_copy_step(r, status);
	show(r);
}
