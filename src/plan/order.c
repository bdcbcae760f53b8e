/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which disks are migrated, and which of them is the system disk: the one that the firmware starts
 * from and that holds /boot, or the root.
 */
#include "plan/private.h"

#include <inttypes.h>
#include <string.h>

#include "base/num.h"

#define GPT_BIOS_BOOT "21686148-6449-6e6f-744e-656564454649"
#define GPT_ESP	      "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
#define MBR_ESP	      "0xef"

struct source_disk *plan_find_disk(struct source *s, const char *name)
{
	for (size_t i = 0; i < s->disk_count; i++)
		if (!strcmp(s->disks[i].name, name))
			return &s->disks[i];
	return NULL;
}

struct source_part *plan_find_part(struct source *s, const char *name, struct source_disk **disk)
{
	for (size_t i = 0; i < s->disk_count; i++)
		for (size_t k = 0; k < s->disks[i].part_count; k++)
			if (!strcmp(s->disks[i].parts[k].name, name)) {
				*disk = &s->disks[i];
				return &s->disks[i].parts[k];
			}
	return NULL;
}

struct source_pv *plan_find_pv(struct source *s, const char *uuid)
{
	for (size_t i = 0; i < s->pv_count; i++)
		if (!strcmp(s->pvs[i].uuid, uuid))
			return &s->pvs[i];
	return NULL;
}

static const struct source_lv *find_lv(const struct source *s, const char *device)
{
	for (size_t i = 0; i < s->vg_count; i++) {
		const struct source_vg *vg = &s->vgs[i];
		size_t n = strlen(vg->name);

		if (strncmp(device, vg->name, n) || device[n] != '/')
			continue;
		for (size_t k = 0; k < vg->lv_count; k++)
			if (!strcmp(vg->lvs[k].name, device + n + 1))
				return &vg->lvs[k];
	}
	return NULL;
}

struct source_disk *plan_disk_of(struct source *s, const char *device)
{
	struct source_disk *disk = NULL;
	const struct source_lv *lv;
	const struct source_pv *pv;

	if (!device)
		return NULL;
	if (plan_find_part(s, device, &disk))
		return disk;
	lv = find_lv(s, device);
	if (!lv || !lv->segment_count || !lv->segments[0].stripe_count)
		return NULL;
	pv = plan_find_pv(s, lv->segments[0].stripes[0].pv_uuid);
	return pv ? pv->disk : NULL;
}

static bool has_type(const struct source_disk *d, const char *type)
{
	for (size_t i = 0; i < d->part_count; i++)
		if (!strcmp(d->parts[i].type, type))
			return true;
	return false;
}

static bool is_startable(const struct source *s, const struct source_disk *d)
{
	if (!strcmp(s->firmware, "uefi"))
		return has_type(d, GPT_ESP) || has_type(d, MBR_ESP);
	return d->boot_code;
}

static const char *device_of_mount(const struct source *s, const char *mountpoint)
{
	for (size_t i = 0; i < s->mount_count; i++)
		if (!strcmp(s->mounts[i].mountpoint, mountpoint) && s->mounts[i].device)
			return s->mounts[i].device;
	return NULL;
}

/*
 * The disk of /boot or the root if it can be started from; else one that can; else the disk of
 * /boot or the root, with a warning. A BIOS boot partition is the clearest mark of GRUB.
 */
static struct source_disk *find_system_disk(struct planner *p)
{
	struct source *s = &p->source;
	const char *const devices[] = {device_of_mount(s, "/boot/efi"), device_of_mount(s, "/boot"),
				       s->root_device};
	struct source_disk *candidate = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct source_disk *d = plan_disk_of(s, devices[i]);

		if (d && is_startable(s, d))
			return d;
	}
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < s->disk_count; i++) {
			struct source_disk *d = &s->disks[i];

			if (!d->path_of && is_startable(s, d) &&
			    (pass || has_type(d, GPT_BIOS_BOOT)))
				return d;
		}
	for (size_t i = 0; !candidate && i < ARRAY_SIZE(devices); i++)
		candidate = plan_disk_of(s, devices[i]);
	for (size_t i = 0; !candidate && i < s->disk_count; i++)
		if (!s->disks[i].path_of)
			candidate = &s->disks[i];
	if (candidate)
		plan_note(p, "BOOT_LOADER_NOT_FOUND", candidate->name,
			  !strcmp(s->firmware, "uefi")
				  ? "no disk has an EFI system partition"
				  : "no disk has boot code in its first sector");
	return candidate;
}

static void exclude(struct planner *p, const struct source_disk *system)
{
	size_t i;
	json_t *name;

	json_array_foreach (p->job.exclude_disks, i, name) {
		struct source_disk *d = plan_find_disk(&p->source, json_string_value(name));

		if (!d)
			plan_note(p, "DISK_EXCLUDED_UNKNOWN", json_string_value(name),
				  "the machine has no disk of that name");
		else if (d == system)
			plan_note(p, "SYSTEM_DISK_EXCLUDED", d->name,
				  "the system starts from this disk");
		else
			d->excluded = true;
	}
}

static void append(struct planner *p, struct source_disk *d)
{
	d->index = (unsigned)p->order_count;
	*arena_push(p->arena, &p->order, &p->order_count) = d;
}

void plan_order(struct planner *p)
{
	struct source_disk *system = find_system_disk(p);

	if (!system) {
		plan_note(p, "NO_DISKS", "", "this machine shows no disk");
		return;
	}
	exclude(p, system);
	append(p, system);
	for (size_t i = 0; i < p->source.disk_count; i++) {
		struct source_disk *d = &p->source.disks[i];

		if (d->path_of)
			plan_note(p, "MULTIPATH_ONE_PATH_USED", d->name, "it is another path to %s",
				  d->path_of);
		else if (d != system && !d->excluded)
			append(p, d);
	}
}

/* The device that the receiver has for this disk; 0: none, or it makes files of any size. */
static uint64_t device_bytes(const json_t *target, unsigned index)
{
	size_t i;
	json_t *d;

	json_array_foreach (json_object_get(target, "disks"), i, d) {
		if (json_integer_value(json_object_get(d, "index")) == (json_int_t)index)
			return (uint64_t)json_integer_value(json_object_get(d, "size_bytes"));
	}
	return 0;
}

static void size_for_device(struct planner *p, struct source_disk *d)
{
	uint64_t device = device_bytes(p->target, d->index);

	if (!device) {
		plan_note(p, "TARGET_TOO_FEW_DISKS", d->name,
			  "the receiver has no disk%u for this disk", d->index);
	} else if (device < d->size_bytes) {
		plan_note(p, "TARGET_TOO_SMALL", d->name,
			  "the disk has %" PRIu64 " bytes, the receiver's disk%u only %" PRIu64,
			  d->size_bytes, d->index, device);
	} else {
		/* A backup GPT belongs at the real end of the device. */
		d->target_bytes = round_down(device, d->sector_bytes);
	}
}

void plan_size_targets(struct planner *p)
{
	const char *kind = json_string_value(json_object_get(p->target, "kind"));
	bool devices = kind && !strcmp(kind, "devices");

	for (size_t i = 0; i < p->order_count; i++) {
		struct source_disk *d = p->order[i];

		d->target_bytes = round_up(d->size_bytes, GIB);
		if (d->index == 0)
			d->target_bytes = max_of(d->target_bytes, PLAN_SYSTEM_MIN_BYTES);
		if (devices)
			size_for_device(p, d);
	}
}
