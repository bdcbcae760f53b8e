/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the names that an fstab uses for a file system to the part of the inventory that holds it.
 */
#include "inventory/inv.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/json.h"
#include "base/num.h"

/* One partition, whole-disk content or volume while the inventory is walked. */
struct part {
	const char *device;
	const json_t *object; /* of the partition, disk or volume */
	const json_t *content;
};

typedef bool (*part_fn)(const struct part *p, void *ctx);

static const char *text_of(const json_t *object, const char *key)
{
	const char *t = json_string_value(json_object_get(object, key));

	return t ? t : "";
}

/* Stops at the first part for which fn is true. */
static bool walk_disks(const json_t *inventory, part_fn fn, void *ctx)
{
	size_t i, k;
	json_t *disk, *p;

	json_array_foreach (json_object_get(inventory, "disks"), i, disk) {
		struct part part = {.device = text_of(disk, "name"),
				    .object = disk,
				    .content = json_object_get(disk, "content")};

		if (json_is_object(part.content) && fn(&part, ctx))
			return true;
		json_array_foreach (json_object_get(disk, "partitions"), k, p) {
			part = (struct part){.device = text_of(p, "name"),
					     .object = p,
					     .content = json_object_get(p, "content")};
			if (fn(&part, ctx))
				return true;
		}
	}
	return false;
}

static bool walk_volumes(struct arena *a, const json_t *inventory, part_fn fn, void *ctx)
{
	const json_t *groups = json_object_get(json_object_get(inventory, "lvm"), "groups");
	size_t i, k;
	json_t *vg, *lv;

	json_array_foreach (groups, i, vg) {
		json_array_foreach (json_object_get(vg, "lvs"), k, lv) {
			struct part part = {.device = arena_printf(a, "%s/%s", text_of(vg, "name"),
								   text_of(lv, "name")),
					    .object = lv,
					    .content = json_object_get(lv, "content")};

			if (fn(&part, ctx))
				return true;
		}
	}
	return false;
}

struct search {
	struct arena *arena;
	const char *key; /* of the content, or of the partition */
	const char *want;
	bool in_content;
	const char *found;
};

static bool matches(const struct part *p, void *ctx)
{
	struct search *s = ctx;
	const char *have = text_of(s->in_content ? p->content : p->object, s->key);
	bool same = !strcmp(s->key, "uuid") ? !strcasecmp(have, s->want) : !strcmp(have, s->want);

	if (!*have || !same)
		return false;
	s->found = p->device;
	return true;
}

static bool matches_device(const struct part *p, void *ctx)
{
	struct search *s = ctx;

	if (strcmp(p->device, s->want))
		return false;
	s->found = p->device;
	return true;
}

/* A mapper name doubles the dashes of group and volume and joins them with one. */
static bool matches_mapper(const struct part *p, void *ctx)
{
	struct search *s = ctx;
	char *doubled = arena_alloc(s->arena, 2 * strlen(p->device) + 1), *to = doubled;

	for (const char *c = p->device; *c; c++) {
		if (*c == '-')
			*to++ = '-';
		*to++ = *c == '/' ? '-' : *c;
	}
	if (strcmp(doubled, s->want))
		return false;
	s->found = p->device;
	return true;
}

/* Quotes around a tag's value, and the \x2d that udev writes into link names. */
static const char *plain_value(struct arena *a, const char *text)
{
	size_t n = strlen(text), used = 0;
	char *out = arena_alloc(a, n + 1);

	if (n >= 2 && (*text == '"' || *text == '\'') && text[n - 1] == *text) {
		text++;
		n -= 2;
	}
	for (size_t i = 0; i < n; i++) {
		char hex[3] = {0};
		unsigned char c;

		if (text[i] == '\\' && i + 3 < n && text[i + 1] == 'x') {
			memcpy(hex, text + i + 2, 2);
			if (hex_decode(hex, &c, 1) == 0) {
				out[used++] = (char)c;
				i += 3;
				continue;
			}
		}
		out[used++] = text[i];
	}
	return out;
}

static const struct tag {
	const char *prefix;
	const char *link;
	const char *key;
	bool in_content;
} tags[] = {
	{"UUID=", "/dev/disk/by-uuid/", "uuid", true},
	{"LABEL=", "/dev/disk/by-label/", "label", true},
	{"PARTUUID=", "/dev/disk/by-partuuid/", "uuid", false},
	{"PARTLABEL=", "/dev/disk/by-partlabel/", "label", false},
};

const char *inventory_resolve(struct arena *a, const json_t *inventory, const char *spec)
{
	struct search s = {.arena = a};

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		const struct tag *t = &tags[i];
		size_t prefix = strlen(t->prefix), link = strlen(t->link);

		if (strncmp(spec, t->prefix, prefix) && strncmp(spec, t->link, link))
			continue;
		s.want = plain_value(a, spec + (strncmp(spec, t->link, link) ? prefix : link));
		s.key = t->key;
		s.in_content = t->in_content;
		if (!walk_disks(inventory, matches, &s) && t->in_content)
			walk_volumes(a, inventory, matches, &s);
		return s.found;
	}
	if (strncmp(spec, "/dev/", 5))
		return NULL;
	s.want = spec + 5;
	if (!strncmp(s.want, "mapper/", 7)) {
		s.want += 7;
		walk_volumes(a, inventory, matches_mapper, &s);
	} else if (!walk_disks(inventory, matches_device, &s)) {
		walk_volumes(a, inventory, matches_device, &s);
	}
	return s.found;
}

/* ---- candidates for the root ---- */

struct candidates {
	struct arena *arena;
	struct inventory_candidate *list;
	size_t count;
	int pass;
};

/* What a root file system is called by those who label: looked at first. */
static bool is_likely(const struct part *p)
{
	static const char *const words[] = {"root", "rootfs", "/", "cloudimg-rootfs", "system"};
	const char *label = text_of(p->content, "label"), *slash = strrchr(p->device, '/');

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcasecmp(label, words[i]) || (slash && !strcasecmp(slash + 1, words[i])))
			return true;
	return false;
}

static bool add_candidate(const struct part *p, void *ctx)
{
	struct candidates *c = ctx;
	enum disk_content kind;
	struct inventory_candidate *new;

	if (disk_content_parse(text_of(p->content, "kind"), &kind) < 0)
		return false;
	if (kind != DISK_CONTENT_EXT && kind != DISK_CONTENT_XFS && kind != DISK_CONTENT_BTRFS)
		return false;
	if (is_likely(p) != (c->pass == 0))
		return false;
	new = arena_push(c->arena, &c->list, &c->count);
	new->device = arena_strdup(c->arena, p->device);
	new->fs_type = arena_strdup(c->arena, text_of(p->content, "type"));
	return false;
}

int inventory_candidates(struct arena *a, const json_t *inventory,
			 struct inventory_candidate **list, size_t *count)
{
	struct candidates c = {.arena = a};

	if (!json_is_array(json_object_get(inventory, "disks")))
		return fail_code(EINVAL, "JSON_INVALID", "the inventory has no list of disks");
	for (c.pass = 0; c.pass < 2; c.pass++) {
		walk_disks(inventory, add_candidate, &c);
		walk_volumes(a, inventory, add_candidate, &c);
	}
	*list = c.list;
	*count = c.count;
	return 0;
}

int inventory_set_guest(json_t *inventory, const char *root_device, json_t *guest)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	size_t i;
	json_t *entry;

	if (!a || json_object_set_new(inventory, "guest", guest) ||
	    json_object_set_new(guest, "root_device", inv_text(root_device)))
		return fail(ENOMEM, "memory for the inventory of the guest");
	json_array_foreach (json_object_get(guest, "fstab"), i, entry) {
		const char *device = inventory_resolve(a, inventory, text_of(entry, "spec"));

		/* The root was found by looking; what its fstab calls it may be out of date. */
		if (!strcmp(text_of(entry, "mountpoint"), "/"))
			device = root_device;
		json_object_set_new(entry, "device", inv_text(device));
	}
	return 0;
}
