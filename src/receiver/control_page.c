/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What people and their monitoring see: the page at / and OpenMetrics at /metrics. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/html.h"
#include "base/num.h"
#include "receiver/server.h"

static void finish(struct control_reply *out, FILE *f, char **text, size_t *bytes, const char *type)
{
	fclose(f);
	*out = (struct control_reply){
		.status = 200, .content_type = type, .body = *text, .bytes = *bytes};
}

static void metric(FILE *f, const char *name, const char *type, const char *unit, const char *help)
{
	fprintf(f, "# TYPE coldlift_%s %s\n", name, type);
	if (unit)
		fprintf(f, "# UNIT coldlift_%s %s\n", name, unit);
	fprintf(f, "# HELP coldlift_%s %s\n", name, help);
}

enum disk_metric { DISK_SIZE, DISK_CHUNKS, DISK_DURABLE, DISK_PENDING, DISK_WRITTEN, DISK_FAILED };

static uint64_t disk_value(struct store *s, enum disk_metric which)
{
	struct store_figures f;

	store_figures(s, &f);
	switch (which) {
	case DISK_SIZE:
		return store_size_bytes(s);
	case DISK_CHUNKS:
		return f.durable.chunks;
	case DISK_DURABLE:
		return f.durable.durable_chunks;
	case DISK_PENDING:
		return f.durable.pending_chunks;
	case DISK_WRITTEN:
		return f.written_bytes;
	case DISK_FAILED:
		return f.failed;
	}
	return 0;
}

static void disk_metrics(struct control *c, FILE *f)
{
	static const struct {
		enum disk_metric which;
		const char *name, *type, *unit, *help, *suffix;
	} table[] = {
		{DISK_SIZE, "disk_size_bytes", "gauge", "bytes", "Size of the target disk.", ""},
		{DISK_CHUNKS, "disk_chunks", "gauge", NULL, "Chunks of the target disk.", ""},
		{DISK_DURABLE, "disk_durable_chunks", "gauge", NULL,
		 "Chunks of the current run that are on the medium.", ""},
		{DISK_PENDING, "disk_pending_chunks", "gauge", NULL,
		 "Chunks received and not yet on the medium.", ""},
		{DISK_WRITTEN, "disk_written_bytes", "counter", "bytes",
		 "Bytes written to the target disk.", "_total"},
		{DISK_FAILED, "disk_failed", "gauge", NULL, "1 after an error of the target disk.",
		 ""},
	};

	for (size_t m = 0; m < ARRAY_SIZE(table); m++) {
		metric(f, table[m].name, table[m].type, table[m].unit, table[m].help);
		for (unsigned i = 0; i < DISKS_MAX; i++) {
			struct store *s = disks_get(c->receiver->disks, i);

			if (s)
				fprintf(f, "coldlift_%s%s{disk=\"%u\"} %" PRIu64 "\n",
					table[m].name, table[m].suffix, i,
					disk_value(s, table[m].which));
		}
	}
}

void control_metrics(struct control *c, struct control_reply *out)
{
	struct receiver *r = c->receiver;
	struct server_traffic t;
	char *text = NULL;
	size_t bytes = 0;
	FILE *f = open_memstream(&text, &bytes);

	if (!f) {
		control_error(out, 503, "OUT_OF_MEMORY", "no memory", "try again");
		return;
	}
	server_traffic(r, &t);
	metric(f, "received_bytes", "counter", "bytes", "Bytes on the wire to the data port.");
	fprintf(f, "coldlift_received_bytes_total %" PRIu64 "\n", t.received_bytes);
	metric(f, "sent_bytes", "counter", "bytes", "Bytes on the wire from the data port.");
	fprintf(f, "coldlift_sent_bytes_total %" PRIu64 "\n", t.sent_bytes);
	metric(f, "connections", "gauge", NULL, "Open connections.");
	fprintf(f, "coldlift_connections{port=\"data\"} %u\n", t.data_conns);
	fprintf(f, "coldlift_connections{port=\"control\"} %u\n", t.control_conns);
	metric(f, "requests", "counter", NULL, "Requests on the data port.");
	fprintf(f, "coldlift_requests_total %" PRIu64 "\n", atomic_load(&r->requests));
	metric(f, "chunks_taken", "counter", NULL, "Chunks whose digest held.");
	fprintf(f, "coldlift_chunks_taken_total %" PRIu64 "\n", atomic_load(&r->chunks_taken));
	metric(f, "chunks_refused", "counter", NULL, "Chunks that were refused.");
	fprintf(f, "coldlift_chunks_refused_total %" PRIu64 "\n", atomic_load(&r->chunks_refused));
	disk_metrics(c, f);
	fputs("# EOF\n", f);
	finish(out, f, &text, &bytes, "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

/* A line of what the source says, when it says it. */
static void put_said(struct control *c, FILE *f, const char *key)
{
	const char *text = json_string_value(json_object_get(c->source_state, key));

	if (!text || !*text)
		return;
	fputs("<p>", f);
	html_put(f, text);
	fputs("</p>\n", f);
}

static void put_source(struct control *c, FILE *f)
{
	LOCK_SCOPE(&c->lock);
	const char *state, *phase;

	if (!c->source_state) {
		fputs("<p class=state>Waiting</p><p>No source has reported yet.</p>\n", f);
		return;
	}
	state = json_string_value(json_object_get(c->source_state, "state"));
	phase = json_string_value(json_object_get(c->source_state, "phase"));
	fputs("<p class=state>", f);
	html_put(f, state ? state : "Running");
	if (phase) {
		fputs(": ", f);
		html_put(f, phase);
	}
	fputs("</p>\n", f);
	put_said(c, f, "machine");
	put_said(c, f, "system");
	put_said(c, f, "message");
	put_said(c, f, "code");
	put_said(c, f, "reason");
	put_said(c, f, "advice");
	fprintf(f, "<p>The source reported %" PRIu64 " s ago.%s%s</p>\n",
		(clock_ms() - c->source_state_ms) / 1000, c->pause ? " It is asked to pause." : "",
		c->cancel ? " It is asked to cancel." : "");
}

static void put_disk(struct store *s, unsigned i, FILE *f)
{
	struct store_figures g;
	char size[32], written[32];

	store_figures(s, &g);
	fprintf(f,
		"<tr><td>disk%u<td>%s<td><progress max=%" PRIu64 " value=%" PRIu64
		"></progress><td>%" PRIu64 " of %" PRIu64 "<td>%" PRIu64 "<td>%s<td>%s</tr>\n",
		i, num_bytes_text(store_size_bytes(s), size, sizeof(size)), g.durable.chunks,
		g.durable.durable_chunks, g.durable.durable_chunks, g.durable.chunks,
		g.durable.pending_chunks, num_bytes_text(g.written_bytes, written, sizeof(written)),
		g.failed ? "failed: see the receiver's log" : "good");
}

void control_page(struct control *c, struct control_reply *out)
{
	static const char head[] =
		"<!doctype html><html lang=en><meta charset=utf-8>"
		"<meta name=viewport content=\"width=device-width\">"
		"<meta http-equiv=refresh content=2><title>Coldlift receiver</title><style>"
		"body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 "
		"1em}"
		"table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3em .6em;"
		"border-bottom:1px solid #ccc}progress{width:12em}.state{font-size:1.6em;margin:0}"
		"</style><h1>Coldlift receiver</h1>\n";
	struct server_traffic t;
	char received[32], *text = NULL;
	size_t bytes = 0;
	FILE *f = open_memstream(&text, &bytes);

	if (!f) {
		control_error(out, 503, "OUT_OF_MEMORY", "no memory", "try again");
		return;
	}
	server_traffic(c->receiver, &t);
	fputs(head, f);
	put_source(c, f);
	fprintf(f, "<p>%u data connections, %s received.</p>\n", t.data_conns,
		num_bytes_text(t.received_bytes, received, sizeof(received)));
	fputs("<table><tr><th>Disk<th>Size<th>Durable<th>Chunks<th>Pending<th>Written<th>State"
	      "</tr>\n",
	      f);
	for (unsigned i = 0; i < DISKS_MAX; i++) {
		struct store *s = disks_get(c->receiver->disks, i);

		if (s)
			put_disk(s, i, f);
	}
	fputs("</table></html>\n", f);
	finish(out, f, &text, &bytes, "text/html; charset=utf-8");
}
