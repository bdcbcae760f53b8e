/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Software RAID as the superblocks of the members that are here tell, with nothing assembled. */
#include "inventory/inv.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/num.h"

#define ROLES_MAX 2048

/* The member whose superblock was written last: what it says of the array counts. */
static const struct inv_place *newest(const struct inv *inv, const char *uuid)
{
	const struct inv_place *found = NULL;

	for (size_t i = 0; i < inv->member_count; i++) {
		const struct inv_place *m = &inv->members[i];

		if (!strcmp(m->md.uuid, uuid) && (!found || m->md.events > found->md.events))
			found = m;
	}
	return found;
}

static const char *member_state(const struct inv_place *m, const struct inv_place *top)
{
	/* One event apart is a superblock that was being written when the machine stopped. */
	if (m->md.events + 1 < top->md.events)
		return "stale";
	if (m->md.role >= 0)
		return "active";
	return m->md.role == -1 ? "spare" : "faulty";
}

static json_t *array_json(const struct inv *inv, const struct inv_place *top)
{
	const struct disk_md *md = &top->md;
	bool here[ROLES_MAX] = {false}, split = false;
	json_t *members = json_array();
	unsigned active = 0;

	for (size_t i = 0; i < inv->member_count; i++) {
		const struct inv_place *m = &inv->members[i];
		const char *state;

		if (strcmp(m->md.uuid, md->uuid))
			continue;
		state = member_state(m, top);
		split |= m->md.events != md->events;
		if (!strcmp(state, "active") && m->md.role < ROLES_MAX && !here[m->md.role]) {
			here[m->md.role] = true;
			active++;
		}
		json_array_append_new(members, json_pack("{s:o, s:i, s:s, s:o}", "device",
							 inv_text(m->device), "role", m->md.role,
							 "state", state, "data_offset_bytes",
							 json_u64(m->md.data_offset_bytes)));
	}
	return json_pack("{s:o, s:o, s:o, s:i, s:i, s:i, s:b, s:b, s:b, s:o}", "uuid",
			 inv_text(md->uuid), "name", inv_text(md->name), "metadata",
			 inv_text(md->metadata), "level", md->level, "raid_disks",
			 (int)md->raid_disks, "active", (int)active, "degraded",
			 active < md->raid_disks || md->active < md->raid_disks, "dirty",
			 !md->clean || split, "reshaping", md->reshaping, "members", members);
}

int inv_md(struct inv *inv)
{
	json_t *list = json_array();

	if (!list || json_object_set_new(inv->json, "md", list))
		return fail(ENOMEM, "memory for the RAID arrays");
	for (size_t i = 0; i < inv->member_count; i++) {
		bool first = true;

		for (size_t k = 0; k < i; k++)
			first &= strcmp(inv->members[k].md.uuid, inv->members[i].md.uuid) != 0;
		if (first && json_array_append_new(
				     list, array_json(inv, newest(inv, inv->members[i].md.uuid))))
			return fail(ENOMEM, "memory for the RAID arrays");
	}
	return 0;
}
