/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands on one disk: its table, its partitions, and what each of them holds. */
#include "inventory/inv.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/num.h"

static const char *const table_names[] = {
	[DISK_TABLE_NONE] = NULL, [DISK_TABLE_MBR] = "mbr", [DISK_TABLE_GPT] = "gpt"};

json_t *inv_content(const struct disk_fs *fs)
{
	json_t *features = json_array();

	for (const char **f = fs->features; f && *f; f++)
		json_array_append_new(features, inv_text(*f));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b}", "kind",
			 disk_content_name(fs->content), "type", inv_text(fs->type), "uuid",
			 inv_text(fs->uuid), "label", inv_text(fs->label), "size_bytes",
			 json_u64(fs->size_bytes), "used_bytes", json_u64(fs->used_bytes),
			 "block_bytes", json_u64(fs->block_bytes), "features", features, "dirty",
			 fs->dirty, "hibernated", fs->hibernated);
}

/* "sda1", but "nvme0n1p1". */
static const char *partition_name(struct arena *a, const char *disk, unsigned number)
{
	size_t n = strlen(disk);
	bool digit = n && disk[n - 1] >= '0' && disk[n - 1] <= '9';

	return arena_printf(a, "%s%s%u", disk, digit ? "p" : "", number);
}

static int note_pv(struct inv *inv, const struct inv_disk *d, const struct inv_place *place)
{
	struct disk_lvm_label label;
	int rc = disk_lvm_read(inv->arena, d->fd, place->device, place->offset_bytes,
			       place->length_bytes, &label);

	if (rc == -EINVAL) {
		inv_problem(inv, "LVM_INVALID", place->device, NULL);
		return 0;
	}
	if (rc < 0)
		return rc;
	*arena_push(inv->arena, &inv->pvs, &inv->pv_count) = *place;
	inv->pvs[inv->pv_count - 1].label = label;
	return 0;
}

static int note_member(struct inv *inv, const struct inv_disk *d, const struct inv_place *place)
{
	struct disk_md md;
	int rc = disk_md_read(inv->arena, d->fd, place->device, place->offset_bytes,
			      place->length_bytes, &md);

	if (rc == -EINVAL || rc == -ENOENT) {
		inv_problem(inv, "RAID_INVALID", place->device,
			    rc == -ENOENT ? "it is said to be a RAID member and has no superblock"
					  : NULL);
		return 0;
	}
	if (rc < 0)
		return rc;
	*arena_push(inv->arena, &inv->members, &inv->member_count) = *place;
	inv->members[inv->member_count - 1].md = md;
	return 0;
}

/* The content of a partition or whole disk into its object; a read error is told, not returned. */
static int add_content(struct inv *inv, const struct inv_disk *d, const char *device,
		       uint64_t offset_bytes, uint64_t length_bytes, json_t *into)
{
	struct inv_place place = {.device = device,
				  .disk = (size_t)(d - inv->disks),
				  .offset_bytes = offset_bytes,
				  .length_bytes = length_bytes};
	struct disk_fs fs;
	int rc = disk_probe(inv->arena, d->fd, device, offset_bytes, length_bytes, &fs);

	if (rc == 0 && fs.content == DISK_CONTENT_LVM)
		rc = note_pv(inv, d, &place);
	if (rc == 0 && fs.content == DISK_CONTENT_MD)
		rc = note_member(inv, d, &place);
	if (rc < 0) {
		inv_problem(inv, "DISK_UNREADABLE", device, NULL);
		fs = (struct disk_fs){.content = DISK_CONTENT_UNKNOWN};
	}
	return json_object_set_new(into, "content", inv_content(&fs))
		       ? fail(ENOMEM, "memory for the content of a disk")
		       : 0;
}

static int add_partition(struct inv *inv, const struct inv_disk *d, const struct disk_partition *p,
			 json_t *list)
{
	const char *name = partition_name(inv->arena, d->name, p->number);
	json_t *j = json_pack("{s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:b, s:b}", "name",
			      inv_text(name), "number", (int)p->number, "offset_bytes",
			      json_u64(p->offset_bytes), "length_bytes", json_u64(p->length_bytes),
			      "type", inv_text(p->type), "uuid", inv_text(p->uuid), "label",
			      inv_text(p->label), "bootable", p->bootable, "extended", p->extended);

	if (!j || json_array_append_new(list, j))
		return fail(ENOMEM, "partition %s", name);
	if (p->extended)
		return json_object_set_new(j, "content", json_null());
	return add_content(inv, d, name, p->offset_bytes, p->length_bytes, j);
}

/* Firmware and old arrays are made of whole disks and hold the partitions that each disk shows. */
static void check_whole_member(struct inv *inv, const struct inv_disk *d)
{
	struct disk_md md;

	if (disk_md_read(inv->arena, d->fd, d->name, 0, d->size_bytes, &md) == 0 &&
	    md.metadata[0] == '1')
		inv_problem(
			inv, "RAID_UNSUPPORTED", d->name,
			"the whole disk is a member of a RAID, and the partitions are inside it");
}

static json_t *table_json(const struct disk_table *t)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:b, s:b}", "kind", table_names[t->kind], "id",
			 inv_text(t->id), "meta", inv_extents(&t->meta), "gpt_backup_lba",
			 json_u64(t->gpt_backup_lba), "gpt_primary_bad", t->gpt_primary_bad,
			 "boot_code", t->boot_code);
}

int inv_disk_contents(struct inv *inv, struct inv_disk *d)
{
	struct disk_table t;
	json_t *list = json_array();
	int rc;

	json_object_set_new(d->json, "table", json_null());
	json_object_set_new(d->json, "content", json_null());
	if (!list || json_object_set_new(d->json, "partitions", list))
		return fail(ENOMEM, "memory for the list of partitions");
	rc = disk_table_read(inv->arena, d->fd, d->name, d->size_bytes, d->sector_bytes, &t);
	if (rc < 0) {
		inv_problem(inv, *err_code() ? err_code() : "DISK_UNREADABLE", d->name, NULL);
		return 0;
	}
	if (t.kind == DISK_TABLE_NONE)
		return add_content(inv, d, d->name, 0, d->size_bytes, d->json);
	if (json_object_set_new(d->json, "table", table_json(&t)))
		return fail(ENOMEM, "memory for the partition table");
	check_whole_member(inv, d);
	for (size_t i = 0; rc == 0 && i < t.count; i++)
		rc = add_partition(inv, d, &t.partitions[i], list);
	return rc;
}
