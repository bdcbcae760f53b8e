/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Superblocks of Linux software RAID (kernel: include/uapi/linux/raid/md_p.h). Version 1 is
 * little-endian and stands in one of three places; 0.90 is in the byte order of the machine that
 * wrote it, here always little-endian, near the end of the member.
 */
#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "disk/disk.h"

#define MAGIC		0xa92b4efcu
#define V1_HEAD_BYTES	256
#define V1_ROLES_MAX	1920
#define V1_BYTES	(V1_HEAD_BYTES + 2 * V1_ROLES_MAX)
#define V0_BYTES	4096
#define V0_ALIGN	(64 * KIB)
#define ROLE_SPARE	0xffff
#define ROLE_IN_USE_MAX 0xff00 /* above: faulty, journal, spare */

struct md_place {
	const char *metadata;
	uint64_t offset_bytes;
};

static const char *uuid_text(struct arena *a, const uint8_t u[16])
{
	return arena_printf(a,
			    "%02x%02x%02x%02x:%02x%02x%02x%02x:%02x%02x%02x%02x:%02x%02x%02x%02x",
			    u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
			    u[11], u[12], u[13], u[14], u[15]);
}

/* The words of head and roles, the checksum's own left out, folded to 32 bits. */
static uint32_t v1_sum(const uint8_t *sb, unsigned roles)
{
	size_t bytes = V1_HEAD_BYTES + 2 * (size_t)roles;
	struct cursor c = cursor_of(sb, bytes);
	uint64_t sum = 0;

	for (size_t at = 0; at + 4 <= bytes; at += 4) {
		uint32_t word = cursor_le32(&c);

		if (at != 216)
			sum += word;
	}
	if (cursor_left(&c))
		sum += cursor_le16(&c);
	return (uint32_t)((sum & UINT32_MAX) + (sum >> 32));
}

static int v1_parse(struct arena *a, const char *name, const uint8_t *sb, struct disk_md *out)
{
	struct cursor c = cursor_of(sb, V1_HEAD_BYTES);
	uint8_t uuid[16], set_name[33] = {0};
	uint32_t features, sum, own;
	unsigned roles;

	cursor_skip(&c, 8);
	features = cursor_le32(&c);
	cursor_skip(&c, 4);
	cursor_copy(&c, uuid, sizeof(uuid));
	cursor_copy(&c, set_name, 32);
	cursor_skip(&c, 8);
	out->level = (int32_t)cursor_le32(&c);
	cursor_skip(&c, 16);
	out->raid_disks = cursor_le32(&c);
	cursor_skip(&c, 128 - 96);
	out->data_offset_bytes = cursor_le64(&c);
	out->data_bytes = cursor_le64(&c);
	cursor_skip(&c, 160 - 144);
	own = cursor_le32(&c);
	cursor_skip(&c, 200 - 164);
	out->events = cursor_le64(&c);
	out->clean = cursor_le64(&c) == UINT64_MAX;
	sum = cursor_le32(&c);
	roles = cursor_le32(&c);
	if (roles > V1_ROLES_MAX || v1_sum(sb, roles) != sum)
		return fail_code(EINVAL, "MD_INVALID", "the RAID superblock of %s is damaged",
				 name);
	out->uuid = uuid_text(a, uuid);
	out->name = arena_strdup(a, (const char *)set_name);
	out->reshaping = features & 4;
	out->data_offset_bytes *= 512;
	out->data_bytes *= 512;
	out->role = own < roles ? -2 : -1;
	c = cursor_of(sb + V1_HEAD_BYTES, 2 * (size_t)roles);
	for (unsigned i = 0; i < roles; i++) {
		unsigned role = cursor_le16(&c);

		out->active += role < ROLE_IN_USE_MAX;
		if (i == own)
			out->role = role < ROLE_IN_USE_MAX ? (int)role
				    : role == ROLE_SPARE   ? -1
							   : -2;
	}
	return 0;
}

static int v0_parse(struct arena *a, const char *name, const uint8_t *sb, struct disk_md *out)
{
	struct cursor c = cursor_of(sb, V0_BYTES);
	uint8_t uuid[16];
	uint32_t state, role_state;

	cursor_skip(&c, 20);
	cursor_copy(&c, uuid, 4);
	cursor_skip(&c, 28 - 24);
	out->level = (int32_t)cursor_le32(&c);
	cursor_skip(&c, 40 - 32);
	out->raid_disks = cursor_le32(&c);
	cursor_skip(&c, 52 - 44);
	cursor_copy(&c, uuid + 4, 12);
	cursor_skip(&c, 132 - 64);
	state = cursor_le32(&c);
	out->active = cursor_le32(&c);
	cursor_skip(&c, 156 - 140);
	out->events = cursor_le64(&c);
	/* The member's own descriptor is the last of 32 of 128 bytes, behind 3968 bytes. */
	cursor_skip(&c, 3968 - 164);
	cursor_skip(&c, 12);
	out->role = (int)(cursor_le32(&c) & 0xffff);
	role_state = cursor_le32(&c);
	if (!cursor_ok(&c) || out->raid_disks > 27)
		return fail_code(EINVAL, "MD_INVALID", "the RAID superblock of %s is damaged",
				 name);
	if (role_state & 1)
		out->role = -2;
	else if (!(role_state & 2))
		out->role = -1;
	/* mdadm prints the words, not the bytes. */
	for (size_t i = 0; i < sizeof(uuid); i += 4) {
		uint8_t word[4] = {uuid[i + 3], uuid[i + 2], uuid[i + 1], uuid[i]};

		memcpy(uuid + i, word, sizeof(word));
	}
	out->uuid = uuid_text(a, uuid);
	out->name = "";
	out->clean = state & 1;
	return 0;
}

int disk_md_read(struct arena *a, int fd, const char *name, uint64_t offset_bytes,
		 uint64_t length_bytes, struct disk_md *out)
{
	uint64_t v0 = round_down(length_bytes, V0_ALIGN);
	const struct md_place places[] = {
		{"1.2", 4096},
		{"1.1", 0},
		{"1.0", length_bytes < 8 * KIB ? 0 : round_down(length_bytes - 8 * KIB, 4 * KIB)},
		{"0.90", v0 < V0_ALIGN ? 0 : v0 - V0_ALIGN},
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const struct md_place *p = &places[i];
		uint8_t sb[V1_BYTES > V0_BYTES ? V1_BYTES : V0_BYTES] = {0};
		struct cursor c = cursor_of(sb, sizeof(sb));
		uint32_t major;
		int rc;

		if (!range_ok(p->offset_bytes, sizeof(sb), length_bytes))
			continue;
		rc = io_pread(fd, sb, sizeof(sb), offset_bytes + p->offset_bytes, name);
		if (rc < 0)
			return rc;
		if (cursor_le32(&c) != MAGIC)
			continue;
		major = cursor_le32(&c);
		*out = (struct disk_md){.metadata = p->metadata};
		/* One that says it stands elsewhere belongs to a part of this range, or to more. */
		cursor_skip(&c, 144 - 8);
		if (major == 1 && p->metadata[0] == '1' && cursor_le64(&c) == p->offset_bytes / 512)
			return v1_parse(a, name, sb, out);
		if (major == 0 && p->metadata[0] == '0')
			return v0_parse(a, name, sb, out);
	}
	return -ENOENT;
}
