/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Progress for programs: one JSON object a line; see console.h. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/num.h"
#include "console/console.h"

static json_t *base_object(const struct console_view *v, const char *time_text)
{
	json_t *o = json_object();

	json_object_set_new(o, "t", json_str(time_text));
	json_object_set_new(o, "state", json_str(console_state_name(v->state)));
	if (v->state == CONSOLE_RUNNING)
		json_object_set_new(o, "phase", json_str(console_phase_name(v->phase)));
	if (v->state == CONSOLE_IN_ERROR) {
		json_object_set_new(o, "code", json_str(v->code));
		json_object_set_new(o, "reason", json_str(v->reason));
		json_object_set_new(o, "advice", json_str(v->advice));
	}
	if (*v->step)
		json_object_set_new(o, "message", json_str(v->step));
	if (*v->note)
		json_object_set_new(o, "note", json_str(v->note));
	if (*v->trouble)
		json_object_set_new(o, "trouble", json_str(v->trouble));
	return o;
}

static void add_disk(json_t *o, const struct console_disk *d)
{
	json_object_set_new(o, "disk", json_str(d->name));
	json_object_set_new(o, "done_bytes", json_u64(d->done_bytes));
	json_object_set_new(o, "total_bytes", json_u64(d->total_bytes));
	json_object_set_new(o, "rate_bytes_s", json_u64(d->rate_bytes_s));
	json_object_set_new(o, "eta_s",
			    d->eta_s == CONSOLE_ETA_UNKNOWN ? json_null() : json_u64(d->eta_s));
}

/* Takes the object and the text before it; gives the longer text. */
static char *append_line(char *text, json_t *o)
{
	CLEANUP_JSON json_t *object = o;
	CLEANUP_FREE char *line =
		object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	size_t used = text ? strlen(text) : 0;
	char *longer;

	if (!line) {
		free(text);
		return NULL;
	}
	longer = realloc(text, used + strlen(line) + 2);
	if (!longer) {
		free(text);
		return NULL;
	}
	strcpy(longer + used, line);
	strcat(longer + used, "\n");
	return longer;
}

char *console_render_json(const struct console_view *view, const char *time_text)
{
	size_t count = min_of(view->disk_count, (size_t)CONSOLE_DISKS_MAX);
	char *text = NULL;

	/* An end or an error is one event, not one for each disk. */
	if (count == 0 || view->state != CONSOLE_RUNNING || view->phase != CONSOLE_SYNCING)
		return append_line(NULL, base_object(view, time_text));
	for (size_t i = 0; i < count; i++) {
		json_t *o = base_object(view, time_text);

		add_disk(o, &view->disks[i]);
		text = append_line(text, o);
		if (!text)
			return NULL;
	}
	return text;
}
