/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Everything that can be refused, each check for itself, so that an operator sees all at once. */
#include "plan/private.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/num.h"

#define TARGET_SECTOR_BYTES 512

static const char *text_of(const json_t *object, const char *key)
{
	const char *t = json_string_value(json_object_get(object, key));

	return t ? t : "";
}

static bool is_excluded(struct source *s, const char *device)
{
	struct source_disk *d = plan_find_disk(s, device);

	if (!d)
		d = plan_disk_of(s, device);
	return d && (d->excluded || d->path_of);
}

static void check_problems(struct planner *p)
{
	size_t i;
	json_t *problem;

	json_array_foreach (p->source.problems, i, problem) {
		const char *object = text_of(problem, "object");

		if (!is_excluded(&p->source, object))
			plan_note(p, text_of(problem, "code"), object, "%s",
				  text_of(problem, "what"));
	}
}

/* ---- contents ---- */

static bool is_foreign(const struct source_content *c)
{
	static const char *const types[] = {"ntfs", "BitLocker", "ReFS", "apfs", "ufs", "hfsplus"};

	for (size_t i = 0; c->type && i < ARRAY_SIZE(types); i++)
		if (!strcmp(types[i], c->type))
			return true;
	return false;
}

static void check_content(struct planner *p, const char *name, const struct source_content *c)
{
	if (c->hibernated)
		plan_note(p, "SOURCE_HIBERNATED", name,
			  "the swap space holds the memory of a hibernated system");
	switch (c->kind) {
	case DISK_CONTENT_EXT:
	case DISK_CONTENT_XFS:
		if (c->dirty)
			plan_note(p, "FS_DIRTY", name,
				  "the %s file system was not unmounted in order",
				  c->type ? c->type : "");
		break;
	case DISK_CONTENT_LUKS:
		plan_note(p, "CONTENT_ENCRYPTED", name, "it is encrypted (%s)",
			  c->type ? c->type : "LUKS");
		break;
	case DISK_CONTENT_UNKNOWN:
		plan_note(p, "CONTENT_COPIED_WHOLE", name, "what it holds is not known");
		break;
	case DISK_CONTENT_BTRFS:
	case DISK_CONTENT_MD:
	case DISK_CONTENT_OTHER:
		plan_note(p, "CONTENT_COPIED_WHOLE", name, "it holds %s",
			  c->type ? c->type : "something");
		break;
	default:
		break;
	}
}

static bool is_boot_partition(const struct source_part *part)
{
	return !strcmp(part->type, "21686148-6449-6e6f-744e-656564454649") ||
	       !strcmp(part->type, "9e1a2d38-c612-4316-aa26-8b49521e5a8b") ||
	       !strcmp(part->type, "0x41");
}

static void check_contents(struct planner *p)
{
	for (size_t i = 0; i < p->order_count; i++) {
		const struct source_disk *d = p->order[i];

		if (d->table_kind && d->sector_bytes != TARGET_SECTOR_BYTES)
			plan_note(p, "SECTOR_SIZE_DIFFERS", d->name,
				  "its partition table counts sectors of %u bytes",
				  d->sector_bytes);
		if (d->primary_bad)
			plan_note(p, "GPT_PRIMARY_DAMAGED", d->name,
				  "the first copy of its partition table is damaged, the last one "
				  "is used");
		for (size_t k = 0; k < d->part_count; k++)
			if (!d->parts[k].extended && !is_boot_partition(&d->parts[k]) && !d->broken)
				check_content(p, d->parts[k].name, &d->parts[k].content);
	}
	for (size_t i = 0; i < p->source.vg_count; i++) {
		const struct source_vg *vg = &p->source.vgs[i];

		for (size_t k = 0; k < vg->lv_count; k++)
			if (vg->lvs[k].as_volume)
				check_content(
					p,
					arena_printf(p->arena, "%s/%s", vg->name, vg->lvs[k].name),
					&vg->lvs[k].content);
	}
}

/* ---- RAID ---- */

static void check_array(struct planner *p, const json_t *array)
{
	const char *name =
		*text_of(array, "name") ? text_of(array, "name") : text_of(array, "uuid");
	const char *excluded = NULL;
	bool here = false;
	size_t i;
	json_t *m;

	json_array_foreach (json_object_get(array, "members"), i, m) {
		bool out = is_excluded(&p->source, text_of(m, "device"));

		here |= !out;
		if (out)
			excluded = text_of(m, "device");
	}
	if (!here)
		return;
	if (excluded)
		plan_note(p, "DISK_EXCLUDED_IN_USE", excluded, "RAID %s has other disks too", name);
	if (json_is_true(json_object_get(array, "degraded")))
		plan_note(p, "RAID_DEGRADED", name,
			  "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
			  " members are there and in use",
			  json_integer_value(json_object_get(array, "active")),
			  json_integer_value(json_object_get(array, "raid_disks")));
	if (json_is_true(json_object_get(array, "dirty")))
		plan_note(p, "RAID_DIRTY", name,
			  "its members may differ where it was written last");
	if (json_is_true(json_object_get(array, "reshaping")))
		plan_note(p, "RAID_UNSUPPORTED", name, "it is being reshaped");
}

static void check_arrays(struct planner *p)
{
	size_t i;
	json_t *array;

	json_array_foreach (p->source.md, i, array)
		check_array(p, array);
}

/* ---- the system ---- */

static const struct source_part *find_foreign(const struct planner *p)
{
	for (size_t i = 0; i < p->source.disk_count; i++)
		for (size_t k = 0; k < p->source.disks[i].part_count; k++)
			if (is_foreign(&p->source.disks[i].parts[k].content))
				return &p->source.disks[i].parts[k];
	return NULL;
}

/* Firmware that has never seen the disk starts what stands at one agreed place (UEFI 3.5.1.1). */
static void check_fallback(struct planner *p)
{
	static const char place[] = "/EFI/BOOT/BOOTX64.EFI";
	size_t i, n = sizeof(place) - 1;
	json_t *path;

	if (strcmp(p->source.firmware, "uefi") || json_array_size(p->source.efi) == 0)
		return;
	json_array_foreach (p->source.efi, i, path) {
		size_t have = json_string_length(path);

		if (have >= n && !strcasecmp(json_string_value(path) + have - n, place))
			return;
	}
	plan_note(p, "EFI_FALLBACK_MISSING", p->source.root_device,
		  "its EFI system partition has no %s", place + 1);
}

static void check_system(struct planner *p)
{
	const struct source *s = &p->source;
	const struct source_part *foreign;
	size_t i;
	json_t *file;

	json_array_foreach (s->suspended_files, i, file)
		plan_note(p, "SOURCE_HIBERNATED",
			  json_string_value(file) ? json_string_value(file) : "",
			  "the swap file holds the memory of a hibernated system");
	if (s->root_device) {
		check_fallback(p);
		if (s->architecture && strcmp(s->architecture, "x86_64"))
			plan_note(p, "ARCH_UNSUPPORTED", s->root_device, "its programs are for %s",
				  s->architecture);
		return;
	}
	foreign = find_foreign(p);
	if (foreign)
		plan_note(p, "OS_NOT_LINUX", foreign->name,
			  "no Linux root file system was found, but one of type %s",
			  foreign->content.type);
	else if (s->disk_count)
		plan_note(p, "LINUX_ROOT_NOT_FOUND", "",
			  "no file system that can be read holds a Linux system");
}

/* ---- ENS ---- */

static void check_ens_disks(struct planner *p)
{
	for (size_t i = 0; i < p->order_count; i++) {
		const struct source_disk *d = p->order[i];
		uint64_t gib = div_up(d->target_bytes, GIB);

		if (i == 0 && (d->target_bytes > PLAN_SYSTEM_MAX_BYTES ||
			       d->target_bytes < PLAN_SYSTEM_MIN_BYTES))
			plan_note(p, "ENS_SYSTEM_DISK_SIZE", d->name,
				  "the system disk would have %" PRIu64 " GiB", gib);
		if (i > 0 && d->target_bytes > PLAN_DATA_MAX_BYTES)
			plan_note(p, "ENS_DATA_DISK_TOO_LARGE", d->name,
				  "the data disk would have %" PRIu64 " GiB", gib);
	}
	if (p->order_count > PLAN_DATA_DISKS_MAX + 1)
		plan_note(p, "ENS_TOO_MANY_DATA_DISKS", "", "there are %zu data disks",
			  p->order_count - 1);
}

static void check_ens_total(struct planner *p)
{
	uint64_t used, packed, error;
	char text[24], limit[24];

	plan_estimate(p, &used, &packed, &error);
	num_bytes_text(packed, text, sizeof(text));
	num_bytes_text(error, limit, sizeof(limit));
	if (packed > error && packed - error > PLAN_IMAGE_MAX_BYTES)
		plan_note(p, "ENS_COMPRESSED_TOO_LARGE", "",
			  "the image would have about %s (give or take %s)", text, limit);
	else if (packed + error > PLAN_IMAGE_MAX_BYTES)
		plan_note(p, "ENS_COMPRESSED_UNCERTAIN", "",
			  "the image would have about %s (give or take %s)", text, limit);
}

static void check_target(struct planner *p)
{
	const json_t *most = json_object_get(p->target, "max_disks");
	const json_t *room = json_object_get(p->target, "free_bytes");
	uint64_t used, packed, error;
	char need[24], have[24];

	if (json_is_integer(most) && (json_int_t)p->order_count > json_integer_value(most))
		plan_note(p, "TARGET_TOO_FEW_DISKS", "",
			  "%zu disks are to be copied, the receiver takes %" JSON_INTEGER_FORMAT,
			  p->order_count, json_integer_value(most));
	if (!json_is_integer(room))
		return;
	plan_estimate(p, &used, &packed, &error);
	/* What an earlier run has received is in those files already. */
	if (json_array_size(json_object_get(p->target, "disks")) == 0 &&
	    used > (uint64_t)json_integer_value(room))
		plan_note(p, "TARGET_TOO_SMALL", "",
			  "about %s are to be written, the receiver has room for %s",
			  num_bytes_text(used, need, sizeof(need)),
			  num_bytes_text((uint64_t)json_integer_value(room), have, sizeof(have)));
}

void plan_check(struct planner *p)
{
	check_problems(p);
	check_system(p);
	check_contents(p);
	check_arrays(p);
	check_ens_disks(p);
	check_ens_total(p);
	check_target(p);
}
