/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names and verdict for what could not be read; see holes.h. */
#include "cmd/holes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"

#define LINES_MAX 50 /* in the log; verify.json has them all */

/* ---- names ---- */

static const char *mount_point(const struct holes *h, const char *region)
{
	for (size_t i = 0; h->plan && region && i < h->plan->mount_count; i++)
		if (strcmp(h->plan->mounts[i].device, region) == 0)
			return h->plan->mounts[i].mountpoint;
	return NULL;
}

/* The name in the guest, or "sdb1:/x" where that is mounted nowhere. */
static const char *guest_name(const struct holes *h, const struct disk_place *p, const char *name)
{
	const char *at = mount_point(h, p->region);

	if (!at)
		return arena_printf(h->arena, "%s:%s", p->region ? p->region : "", name);
	return strcmp(at, "/") == 0 ? name : arena_printf(h->arena, "%s%s", at, name);
}

/* Lists of names are shared by the places of one inode, so each gets its own. */
static void use_guest_names(const struct holes *h, struct disk_places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		struct disk_place *p = &places->list[i];
		const char **names;
		size_t n = 0;

		while (p->names && p->names[n])
			n++;
		if (!n)
			continue;
		names = arena_alloc(h->arena, (n + 1) * sizeof(*names));
		for (size_t k = 0; k < n; k++)
			names[k] = guest_name(h, p, p->names[k]);
		p->names = names;
	}
}

static json_t *place_json(const struct disk_place *p)
{
	json_t *names = json_array();

	for (size_t i = 0; p->names && p->names[i]; i++)
		json_array_append_new(names, json_str(p->names[i]));
	return json_pack("{s:o,s:s,s:s,s:o,s:o,s:o}", "in", json_str(p->region), "kind",
			 disk_place_kind_name(p->kind), "what", p->what, "inode",
			 p->inode ? json_u64(p->inode) : json_null(), "names", names, "bytes",
			 json_u64(p->length_bytes));
}

static bool in_hole(const struct disk_place *p, const struct copy_hole *hole)
{
	return p->disk == hole->source && p->offset_bytes >= hole->source_offset_bytes &&
	       p->offset_bytes < hole->source_offset_bytes + hole->length_bytes;
}

/* ---- the verdict ---- */

static bool is_inside(const char *name, const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return strcmp(path, "/") == 0 ||
	       (strncmp(name, path, n) == 0 && (name[n] == '\0' || name[n] == '/'));
}

/* Why this place may not be lost, or NULL. */
static const char *objection(const struct holes *h, const struct disk_place *p)
{
	if (!h->outside || p->kind == DISK_PLACE_UNUSED)
		return NULL;
	if (p->kind != DISK_PLACE_FILE || !p->names)
		return "it is not the contents of a file that can be named";
	for (size_t i = 0; p->names[i]; i++)
		for (size_t k = 0; h->outside[k]; k++)
			if (is_inside(p->names[i], h->outside[k]))
				return arena_printf(h->arena, "the job wants all of %s",
						    h->outside[k]);
	return NULL;
}

static const char *hole_text(const struct holes *h, const struct copy_hole *hole,
			     const struct disk_places *places)
{
	const char *text = arena_printf(
		h->arena, "disk %s cannot be read at sector %" PRIu64 " (byte %" PRIu64 "): %s",
		h->map->sources[hole->source].name, hole->source_offset_bytes / 512,
		hole->source_offset_bytes, copy_error_text(hole->error));

	for (size_t i = 0; i < places->count; i++)
		if (in_hole(&places->list[i], hole))
			text = arena_printf(h->arena, "%s; %s", text,
					    disk_place_text(h->arena, &places->list[i]));
	return text;
}

/* The first hole that is not allowed, and why. NULL: all are. */
static const char *first_objection(const struct holes *h, const struct copy_hole *list,
				   size_t count, const struct disk_places *places)
{
	for (size_t i = 0; i < count; i++) {
		const char *why = NULL;

		for (size_t k = 0; !why && k < places->count; k++)
			if (in_hole(&places->list[k], &list[i]))
				why = objection(h, &places->list[k]);
		if (why)
			return arena_printf(h->arena, "%s; %s", hole_text(h, &list[i], places),
					    why);
	}
	return NULL;
}

/* ---- the list ---- */

static void take_note(struct holes *h, unsigned disk, const struct copy_hole *hole,
		      const struct disk_places *places)
{
	json_t *found = json_array(), *one;
	size_t i;

	/* Found again after a new start. */
	json_array_foreach (h->list, i, one) {
		uint64_t index, at;

		if (json_get_u64(one, "disk", &index) == 0 && index == disk &&
		    json_get_u64(one, "target_byte", &at) == 0 && at >= hole->offset_bytes &&
		    at < hole->offset_bytes + hole->length_bytes) {
			json_array_remove(h->list, i);
			break;
		}
	}
	for (i = 0; i < places->count; i++)
		if (in_hole(&places->list[i], hole))
			json_array_append_new(found, place_json(&places->list[i]));
	json_array_append_new(h->list,
			      json_pack("{s:i,s:s,s:o,s:o,s:o,s:o,s:s,s:o}", "disk", (int)disk,
					"source", h->map->sources[hole->source].name, "sector",
					json_u64(hole->source_offset_bytes / 512), "byte",
					json_u64(hole->source_offset_bytes), "bytes",
					json_u64(hole->length_bytes), "target_byte",
					json_u64(hole->offset_bytes), "error",
					copy_error_text(hole->error), "places", found));
}

static size_t count_of_others(const struct holes *h, unsigned disk)
{
	size_t n = 0, i;
	json_t *one;

	json_array_foreach (h->list, i, one) {
		uint64_t index = 0;

		n += json_get_u64(one, "disk", &index) == 0 && index != disk;
	}
	return n;
}

static int locate(struct holes *h, const struct copy_hole *list, size_t count,
		  struct disk_places *places)
{
	struct disk_range *ranges = arena_alloc(h->arena, count * sizeof(*ranges));
	int rc;

	if (!h->layout)
		return 0;
	for (size_t i = 0; i < count; i++)
		ranges[i] = (struct disk_range){list[i].source, list[i].source_offset_bytes,
						list[i].length_bytes};
	rc = disk_locate(h->arena, h->layout, ranges, count, places);
	if (rc == 0)
		use_guest_names(h, places);
	return rc;
}

int holes_judge(void *ctx, unsigned disk, const struct copy_hole *list, size_t count)
{
	struct holes *h = ctx;
	LOCK_SCOPE(&h->lock);
	struct disk_places places = {0};
	const char *why, *first;
	size_t others = count_of_others(h, disk);
	int rc = locate(h, list, count, &places);

	if (rc < 0)
		return rc;
	first = hole_text(h, &list[0], &places);
	for (size_t i = 0; i < count && i < LINES_MAX; i++)
		log_warn("%s", hole_text(h, &list[i], &places));
	if (count > LINES_MAX)
		log_warn("and %zu more places", count - LINES_MAX);
	if (count + others > h->max)
		return fail_code(EIO, "SOURCE_READ_ERROR",
				 "%s; %zu place%s in all, and the job allows %" PRIu64, first,
				 count + others, count + others == 1 ? "" : "s", h->max);
	why = first_objection(h, list, count, &places);
	if (why)
		return fail_code(EIO, "SOURCE_READ_ERROR", "%s; %zu place%s in all", why,
				 count + others, count + others == 1 ? "" : "s");
	for (size_t i = 0; i < count; i++)
		take_note(h, disk, &list[i], &places);
	return h->keep ? h->keep(h->ctx, h->list) : 0;
}

uint64_t holes_bytes(const struct holes *h)
{
	uint64_t total = 0, bytes;
	json_t *one;
	size_t i;

	json_array_foreach (h->list, i, one)
		if (json_get_u64(one, "bytes", &bytes) == 0)
			total += bytes;
	return total;
}

void holes_into_proof(const struct holes *h, json_t *verify)
{
	json_t *disks = json_object_get(verify, "disks"), *disk, *one;
	size_t i, k;

	json_array_foreach (disks, i, disk) {
		json_t *own = json_array();

		json_array_foreach (h->list, k, one) {
			uint64_t index = 0;

			if (json_get_u64(one, "disk", &index) == 0 && index == i)
				json_array_append(own, one);
		}
		json_object_set_new(disk, "holes", own);
	}
}
