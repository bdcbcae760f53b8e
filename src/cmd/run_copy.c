/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The phases that move bytes and prove them: copy and verify. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/run.h"
#include "prepare/prepare.h"
#include "verify/verify.h"

#define COPY_PATIENCE_MS (15 * 60 * 1000u)

/* Same plan and same views: what the receiver holds of this run is what would be read again. */
static int make_run_id(struct run *r)
{
	const char *view_id;
	char text[160];
	int rc = json_get_string(r->prepare_json, "view_id", &view_id);

	if (rc < 0)
		return fail_in(rc, "prepare.json");
	snprintf(text, sizeof(text), "%s %s", r->plan->digest, view_id);
	wire_sha256(text, strlen(text), r->run_id);
	return 0;
}

static void show_copy(void *ctx, const struct copy_status *status)
{
	run_show_copy(ctx, status);
}

static void fill_targets(struct run *r)
{
	for (size_t i = 0; i < r->map->disk_count; i++) {
		char *name = arena_alloc(r->arena, WIRE_EXPORT_MAX);

		wire_export_name(r->activation.token, r->map->disks[i].index, name);
		r->targets[i] = (struct copy_target){.host = r->activation.host,
						     .port = r->activation.data_port,
						     .export_name = name,
						     .pin = r->activation.pin};
	}
}

/* ---- holes ---- */

/*
 * Chunks with holes that were allowed are durable like any other, and a migrator that was started
 * again does not read them: so the list is kept before they are sent.
 */
static int keep_holes(void *ctx, const json_t *list)
{
	struct run *r = ctx;
	CLEANUP_JSON json_t *state =
		json_pack("{s:s,s:s,s:s,s:O}", "plan_digest", r->plan->digest, "run_id",
			  r->run_id_text, "source_print", r->source_print, "holes", list);

	return state ? run_keep(r, COPY_STATE, state) : fail(ENOMEM, COPY_STATE);
}

/* What an earlier life under this run id had to leave out. */
static json_t *take_up_holes(struct run *r)
{
	CLEANUP_JSON json_t *state = NULL;
	const char *path = arena_printf(r->arena, "%s/%s", r->dir, COPY_STATE), *id = NULL;
	json_t *list = NULL;

	if (access(path, F_OK) || json_read_file(path, &state) < 0 ||
	    json_get_string(state, "run_id", &id) < 0 || strcmp(id, r->run_id_text) != 0 ||
	    json_get_array(state, "holes", &list) < 0)
		return json_array();
	return json_incref(list);
}

static int set_up_holes(struct run *r)
{
	int rc = layout_of_plan(r->arena, r->plan, &r->layout);

	if (rc < 0)
		return rc;
	r->holes = (struct holes){.arena = r->arena,
				  .map = r->map,
				  .layout = &r->layout,
				  .plan = r->plan,
				  .max = r->plan->copy.holes_max,
				  .outside = r->plan->copy.holes_outside,
				  .list = take_up_holes(r),
				  .keep = keep_holes,
				  .ctx = r};
	pthread_mutex_init(&r->holes.lock, NULL);
	return r->holes.list ? 0 : fail(ENOMEM, "memory for the list of what cannot be read");
}

/* ---- copy ---- */

/* A disk that was pulled out may be back, under another name. */
static void revive(void *ctx, unsigned source)
{
	struct run *r = ctx;
	char note[160];
	/* Several disks may be waited for, each by a thread of its own. */
	LOCK_SCOPE(&r->revive_lock);

	for (unsigned i = 0; i < r->plan->disk_count; i++) {
		const char *name = r->plan->disks[i].source;
		int rc = 0;

		if (strcmp(name, r->map->sources[source].name) == 0)
			rc = prepare_reattach(r->plan, i, r->holds);
		if (rc < 0)
			log_warn("%s", err_reason());
		if (rc <= 0)
			continue;
		snprintf(note, sizeof(note),
			 "disk %s was away and is back, as %s; the copy goes on", name,
			 r->holds[i].name);
		run_show_note(r, note);
	}
}

/* How much an earlier run has saved. */
static void tell_kept(const struct run *r)
{
	for (size_t i = 0; i < r->copied.disk_count; i++) {
		const struct copy_disk_result *d = &r->copied.disks[i];

		if (d->skipped_chunks + d->kept_chunks)
			log_info("disk %s: of %llu MiB, %llu were there and not read, %llu were "
				 "read and the "
				 "same, %llu were sent (%llu of these in part)",
				 r->map->disks[i].name, (unsigned long long)d->chunks,
				 (unsigned long long)d->skipped_chunks,
				 (unsigned long long)d->kept_chunks,
				 (unsigned long long)d->sent_chunks,
				 (unsigned long long)d->patched_chunks);
	}
}

int run_copy(struct run *r)
{
	enum wire_digest_kind digest = WIRE_DIGEST_XXH3_128;
	int rc = make_run_id(r);

	if (rc == 0)
		rc = run_recognise(r);
	if (rc == 0)
		rc = set_up_holes(r);
	if (rc == 0)
		rc = keep_holes(r, r->holes.list);
	if (rc < 0)
		return rc;
	if (!wire_digest_named(r->plan->copy.digest, &digest))
		return fail_code(EINVAL, "PLAN_INVALID", "the plan's digest, %s, is not known",
				 r->plan->copy.digest);
	r->copy_options = (struct copy_options){.map = r->map,
						.targets = r->targets,
						.digest = digest,
						.compression = r->plan->copy.compression,
						.adaptive = r->plan->copy.adaptive,
						.changeable = true,
						.connections = r->plan->copy.connections,
						.patience_ms = COPY_PATIENCE_MS,
						.rescue_ms = r->plan->copy.rescue_s * 1000,
						.control = &r->orders,
						.status = show_copy,
						.status_ctx = r,
						.judge = holes_judge,
						.judge_ctx = &r->holes,
						.revive = revive,
						.revive_ctx = r};
	memcpy(r->copy_options.run_id, r->run_id, sizeof(r->run_id));
	atomic_store(&r->orders.rate_mbit, r->plan->copy.rate_mbit);
	fill_targets(r);
	run_show_step(r, "copying%s",
		      digest == WIRE_DIGEST_SHA256 ? ", SHA-256 of each chunk" : "");
	rc = copy_run(&r->copy_options, &r->copied);
	tell_kept(r);
	/* Views that ran out of memory show garbage: that is the reason behind whatever else
	 * failed. */
	if (prepare_check() == -ENOSPC)
		return -ENOSPC;
	/* A machine with the same code that came at the same time may have put its own there. */
	return rc == 0 ? run_keep(r, "inventory.json", r->inventory) : rc;
}

/* ---- verify ---- */

static void show_verify(void *ctx, unsigned disk, uint64_t done_chunks, uint64_t chunks)
{
	struct run *r = ctx;
	LOCK_SCOPE(&r->view_lock);

	snprintf(r->view.step, sizeof(r->view.step),
		 "the receiver reads disk %s back from its medium: %u %%", r->map->disks[disk].name,
		 (unsigned)(done_chunks * 100 / max_of(chunks, 1ul)));
	if (r->console)
		console_update(r->console, &r->view);
}

/* Kept also when it failed: it says where. */
static int keep_proof(struct run *r, const struct verify_result *result)
{
	CLEANUP_JSON json_t *json = verify_json(result, r->map);
	CLEANUP_FREE uint8_t *leaves = NULL;
	size_t bytes;
	int rc;

	if (!json)
		return fail(ENOMEM, "memory for verify.json");
	json_object_set_new(json, "plan_digest", json_str(r->plan->digest));
	holes_into_proof(&r->holes, json);
	rc = run_keep(r, "verify.json", json);
	if (rc == 0)
		rc = verify_leaves_make(result, r->map, &leaves, &bytes);
	/* The proof does not need them. */
	if (rc == 0 && run_keep_bytes(r, "verify.leaves", leaves, bytes) < 0)
		log_warn("verify.leaves was not taken: %s", err_reason());
	return rc;
}

/* An earlier run's proof must not pass for one of this run. The holes are told all the same. */
static int keep_no_proof(struct run *r)
{
	json_t *disks = json_array();
	CLEANUP_JSON json_t *json =
		json_pack("{s:b, s:s, s:s, s:o}", "verified", 0, "plan_digest", r->plan->digest,
			  "digest", r->plan->copy.digest, "disks", disks);

	if (!json)
		return fail(ENOMEM, "memory for verify.json");
	for (size_t i = 0; i < r->map->disk_count; i++)
		json_array_append_new(disks, json_pack("{s:I, s:s}", "disk",
						       (json_int_t)r->map->disks[i].index, "name",
						       r->map->disks[i].name));
	holes_into_proof(&r->holes, json);
	r->not_read_back = true;
	log_warn("what arrived is not read back, as it was ordered");
	return run_keep(r, "verify.json", json);
}

int run_verify(struct run *r)
{
	struct verify_options options = {.copy = &r->copy_options,
					 .copied = &r->copied,
					 .layout = &r->layout,
					 .progress = show_verify,
					 .ctx = r};
	struct verify_result result;
	char code[ERR_CODE_MAX], reason[ERR_REASON_MAX];
	int order = atomic_load(&r->verify_order), rc;

	if (order < 0 || (order == 0 && r->plan->copy.unverified))
		return keep_no_proof(r);
	run_show_step(r, "the receiver reads its disks back from the medium");
	rc = verify_run(&options, &result);
	snprintf(code, sizeof(code), "%s", err_code());
	snprintf(reason, sizeof(reason), "%s", err_reason());
	if (rc == 0 || rc == -EBADMSG) {
		int kept = keep_proof(r, &result);

		rc = rc < 0 ? rc : kept;
	}
	verify_result_fini(&result);
	if (rc == -EBADMSG)
		err_adopt(code, reason);
	return rc;
}
