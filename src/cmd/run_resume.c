/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an earlier run has left at the receiver, and whether the source was used since. A run id
 * lives as long as the views do; after a restart of the source all is read again and only what
 * differs is sent, so nothing depends on the print that is taken here: it tells the operator which
 * of the two he is looking at.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/run.h"
#include "prepare/prepare.h"

/* Of the raw disks, not of their views, in which things were repaired. */
static int take_print(struct run *r)
{
	CLEANUP_FREE uint8_t *all = calloc(r->plan->disk_count + 1, PREPARE_PRINT_BYTES);
	int rc = all ? 0 : fail(ENOMEM, "memory for the source's print");

	for (unsigned i = 0; rc == 0 && i < r->plan->disk_count; i++) {
		prepare_release(&r->holds[i]);
		rc = prepare_hold(r->plan, i, &r->holds[i]);
		memcpy(all + i * PREPARE_PRINT_BYTES, r->holds[i].print, PREPARE_PRINT_BYTES);
	}
	if (rc == 0)
		hash_sha256_hex(all, r->plan->disk_count * PREPARE_PRINT_BYTES, r->source_print);
	return rc;
}

static void tell(struct run *r, const char *run_id, const char *print)
{
	if (strcmp(run_id, r->run_id_text) == 0)
		log_info("going on with the run that was interrupted");
	else if (strcmp(print, r->source_print) == 0)
		run_show_note(r,
			      "the source was restarted, its disks have not been used since: what "
			      "has arrived is compared and kept");
	else
		run_show_note(r,
			      "the source was used since the last run: all is read, and what has "
			      "changed is sent");
}

/* A receiver that cannot be asked is the copy's matter. */
int run_recognise(struct run *r)
{
	CLEANUP_FREE char *body = NULL;
	CLEANUP_JSON json_t *state = NULL;
	const char *run_id, *print;
	size_t bytes;
	int rc;

	hex_encode(r->run_id, sizeof(r->run_id), r->run_id_text);
	rc = take_print(r);
	if (rc < 0)
		return fail_in(rc, "the source's print");
	if (wire_control_fetch(r->control_link, "/v1/artefact/" COPY_STATE, NULL, &body, &bytes) ==
		    0 &&
	    json_parse(body, bytes, COPY_STATE, &state) == 0 &&
	    json_get_string(state, "run_id", &run_id) == 0 &&
	    json_get_string(state, "source_print", &print) == 0)
		tell(r, run_id, print);
	return 0;
}
