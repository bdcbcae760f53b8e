/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The course of planning: read, decide, check, write; see plan.h. */
#include "plan/private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/num.h"

/* ---- refusals and warnings ---- */

static bool word_in_list(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; at && *at; at += strspn(at, ", ")) {
		size_t len = strcspn(at, ", ");

		if (len == n && !strncmp(at, word, n))
			return true;
		at += len;
	}
	return false;
}

static bool is_allowed(const struct planner *p, const char *code)
{
	size_t i;
	json_t *word;

	json_array_foreach (p->job.allow, i, word) {
		if (!strcmp(json_string_value(word), code))
			return true;
	}
	return word_in_list(p->allow, code);
}

static bool is_noted(const json_t *list, const char *code, const char *object)
{
	size_t i;
	json_t *n;

	json_array_foreach (list, i, n) {
		if (!strcmp(json_string_value(json_object_get(n, "code")), code) &&
		    !strcmp(json_string_value(json_object_get(n, "object")), object))
			return true;
	}
	return false;
}

void plan_note(struct planner *p, const char *code, const char *object, const char *fmt, ...)
{
	const struct plan_rule *rule = plan_rules;
	json_t *list;
	char what[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	while (rule->code && strcmp(rule->code, code))
		rule++;
	list = rule->code && (rule->warning || (rule->allowable && is_allowed(p, code)))
		       ? p->warnings
		       : p->refusals;
	if (!is_noted(list, code, object))
		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:s}", "code", code,
						      "object", object, "what", json_str(what),
						      "advice", rule->code ? rule->advice : ""));
}

/* ---- mounts ---- */

static int by_mountpoint(const void *a, const void *b)
{
	const struct source_mount *x = a, *y = b;

	return strcmp(x->mountpoint, y->mountpoint);
}

static const char *fs_type_of(struct planner *p, const struct source_mount *m)
{
	struct source_disk *disk;
	const struct source_part *part = plan_find_part(&p->source, m->device, &disk);

	if (part && part->content.type)
		return part->content.type;
	for (size_t i = 0; i < p->source.vg_count; i++)
		for (size_t k = 0; k < p->source.vgs[i].lv_count; k++) {
			const struct source_lv *lv = &p->source.vgs[i].lvs[k];
			const char *name =
				arena_printf(p->arena, "%s/%s", p->source.vgs[i].name, lv->name);

			if (!strcmp(name, m->device) && lv->content.type)
				return lv->content.type;
		}
	return m->type;
}

/* Parents sort before what is mounted below them, the root first of all. */
static json_t *mounts_json(struct planner *p)
{
	struct source *s = &p->source;
	json_t *list = json_array();
	bool root = false;

	for (size_t i = 0; i < s->mount_count; i++)
		root |= !strcmp(s->mounts[i].mountpoint, "/");
	if (s->root_device && !root)
		*arena_push(p->arena, &s->mounts, &s->mount_count) =
			(struct source_mount){.mountpoint = "/",
					      .device = s->root_device,
					      .type = "auto",
					      .options = "defaults"};
	if (s->mount_count)
		qsort(s->mounts, s->mount_count, sizeof(*s->mounts), by_mountpoint);
	for (size_t i = 0; i < s->mount_count; i++) {
		const struct source_mount *m = &s->mounts[i];
		const struct source_disk *disk = plan_disk_of(s, m->device);

		if (m->mountpoint[0] != '/' || !disk || disk->excluded || !strcmp(m->type, "swap"))
			continue;
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "mountpoint",
						      m->mountpoint, "device", m->device, "fs_type",
						      fs_type_of(p, m), "options", m->options));
	}
	return list;
}

/* ---- the plan ---- */

static void add_allowed(json_t *list, const char *word, size_t n)
{
	size_t i;
	json_t *have;

	json_array_foreach (list, i, have) {
		if (json_string_length(have) == n && !memcmp(json_string_value(have), word, n))
			return;
	}
	json_array_append_new(list, json_stringn(word, n));
}

static json_t *allowed_json(const struct planner *p)
{
	json_t *list = json_array(), *word;
	size_t i;

	json_array_foreach (p->job.allow, i, word)
		add_allowed(list, json_string_value(word), json_string_length(word));
	for (const char *at = p->allow; at && *at; at += strspn(at, ", ")) {
		size_t n = strcspn(at, ", ");

		if (n)
			add_allowed(list, at, n);
		at += n;
	}
	return list;
}

static json_t *copy_json(const struct plan_copy *c, const json_t *holes_outside)
{
	json_t *json = json_pack("{s:i, s:b, s:o, s:s, s:i}", "compression", (int)c->compression,
				 "adaptive", c->adaptive, "rate_mbit", json_u64(c->rate_mbit),
				 "digest", c->digest, "connections", (int)c->connections);

	if (c->unverified)
		json_object_set_new(json, "verify", json_false());
	if (c->rescue_s)
		json_object_set_new(json, "rescue_s", json_u64(c->rescue_s));
	if (c->holes_max)
		json_object_set_new(json, "holes_max", json_u64(c->holes_max));
	if (holes_outside)
		json_object_set_new(json, "holes_outside", json_deep_copy(holes_outside));
	return json;
}

static json_t *system_json(const struct source *s)
{
	if (!s->root_device)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:o}", "root_device", s->root_device, "name",
			 json_str(s->os_name), "architecture", json_str(s->architecture),
			 "boot_loader", json_str(s->boot_loader));
}

/* As the inventory has it, or an empty list. */
static json_t *suspended_json(const struct source *s)
{
	json_t *list = json_array(), *file;
	size_t i;

	json_array_foreach (s->suspended_files, i, file) {
		if (json_is_string(file))
			json_array_append(list, file);
	}
	return list;
}

static json_t *plan_json(struct planner *p)
{
	uint64_t used, packed, error;

	plan_estimate(p, &used, &packed, &error);
	return json_pack("{s:i, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
			 "s:{s:o, s:o, s:o}}",
			 "version", 1, "layout", "keep", "job_name", p->job.name, "firmware",
			 p->source.firmware, "system", system_json(&p->source), "disks",
			 plan_disks_json(p), "volumes", plan_volumes_json(p), "mounts",
			 mounts_json(p), "suspended_files", suspended_json(&p->source), "copy",
			 copy_json(&p->job.copy, p->job.holes_outside), "allow", allowed_json(p),
			 "exit", json_str(p->job.exit), "warnings", json_incref(p->warnings),
			 "estimate", "used_bytes", json_u64(used), "compressed_bytes",
			 json_u64(packed), "error_bytes", json_u64(error));
}

static void decide(struct planner *p)
{
	plan_order(p);
	plan_size_targets(p);
	plan_lvm_decide(p);
	plan_check(p);
}

static int run(struct planner *p, const json_t *inventory, bool draft, json_t **out)
{
	size_t refused;
	int rc = plan_source_read(p->arena, inventory, &p->source);

	if (rc < 0)
		return fail_in(rc, "inventory");
	decide(p);
	plan_check_holder(p, inventory);
	if (draft && !p->order_count)
		return fail_code(ENODEV, "NO_DISKS", "this machine shows no disk");
	refused = json_array_size(p->refusals);
	if (refused && !draft) {
		const json_t *first = json_array_get(p->refusals, 0);
		const char *object = json_string_value(json_object_get(first, "object"));

		*out = json_pack("{s:i, s:O, s:O}", "version", 1, "refusals", p->refusals,
				 "warnings", p->warnings);
		return fail_code(EPERM, "PLAN_REFUSED", "%s%s%s: %s%s",
				 json_string_value(json_object_get(first, "code")),
				 *object ? " " : "", object,
				 json_string_value(json_object_get(first, "what")),
				 refused > 1 ? " (and more)" : "");
	}
	*out = plan_json(p);
	return *out ? 0 : fail(ENOMEM, "memory for the plan");
}

int plan_make(const json_t *inventory, const json_t *job, const json_t *target, const char *allow,
	      json_t **out)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *refusals = json_array();
	CLEANUP_JSON json_t *warnings = json_array();
	struct planner p = {.arena = a,
			    .target = target,
			    .allow = allow,
			    .refusals = refusals,
			    .warnings = warnings};
	int rc;

	*out = NULL;
	if (!a || !refusals || !warnings)
		return fail(ENOMEM, "memory for the plan");
	rc = plan_job_read(job, &p.job);
	if (rc == 0)
		rc = plan_target_check(target);
	return rc < 0 ? rc : run(&p, inventory, false, out);
}

int plan_draft(const json_t *inventory, json_t **out)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *refusals = json_array();
	CLEANUP_JSON json_t *warnings = json_array();
	struct planner p = {.arena = a, .refusals = refusals, .warnings = warnings};
	int rc;

	*out = NULL;
	if (!a || !refusals || !warnings)
		return fail(ENOMEM, "memory for the plan");
	rc = plan_job_read(NULL, &p.job);
	return rc < 0 ? rc : run(&p, inventory, true, out);
}

int plan_digest(const json_t *plan, char hex[65])
{
	CLEANUP_FREE char *text = json_text(plan);

	if (!text)
		return fail(ENOMEM, "memory for the plan's digest");
	hash_sha256_hex(text, strlen(text), hex);
	return 0;
}
