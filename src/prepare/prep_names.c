/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which partition a device name of the guest means; see prep_names.h. The guest's kernel may have
 * counted disks in another order than ours, so a name alone is the weakest evidence there is: a
 * serial number, being the only partition of that number and type, and where the file system was
 * last mounted all count for more.
 */
#include "prepare/prep_names.h"

#include <string.h>

#include "base/num.h"

static unsigned part_number(const struct plan_disk *d, const char *name)
{
	size_t n = strlen(d->source);
	uint64_t number;

	if (!name || strncmp(name, d->source, n) || name[n] == '\0')
		return 0;
	name += n;
	if (*name == 'p')
		name++;
	return num_parse(name, 1, 1024, &number) == 0 ? (unsigned)number : 0;
}

static bool is_ext(const char *type)
{
	return !strcmp(type, "ext2") || !strcmp(type, "ext3") || !strcmp(type, "ext4");
}

static bool type_fits(const struct fstab_entry *e, const struct plan_part *p)
{
	const char *has = p->fs_type ? p->fs_type : "";

	if (strcmp(e->type, "auto") == 0)
		return *has != '\0';
	if (strcmp(e->type, "swap") == 0)
		return p->content == DISK_CONTENT_SWAP;
	if (is_ext(e->type))
		return p->content == DISK_CONTENT_EXT;
	if (!strcmp(e->type, "vfat") || !strcmp(e->type, "msdos"))
		return p->content == DISK_CONTENT_VFAT;
	return strcmp(e->type, has) == 0;
}

/* by-id names end in the serial number, blanks written as '_'. */
static bool serial_fits(const char *id, const char *serial)
{
	char text[FSTAB_DEVICE_MAX];
	size_t n = 0, id_bytes = strlen(id);

	for (; *serial && n + 1 < sizeof(text); serial++)
		text[n++] = *serial == ' ' ? '_' : *serial;
	text[n] = '\0';
	return n >= 3 && id_bytes >= n && strcmp(id + id_bytes - n, text) == 0 &&
	       (id_bytes == n || strchr("-_.", id[id_bytes - n - 1]));
}

struct search {
	const struct names *names;
	const struct fstab_ref *ref;
	const struct fstab_entry *entry;
	const struct plan_part *any;	   /* the last that fits */
	const struct plan_part *same_name; /* on the disk of that name */
	const struct plan_part *same_place;
	size_t count;
	size_t place_count; /* those that were last mounted where the entry says */
};

/* /sysroot and /root are "/" in the eyes of dracut and initramfs-tools. */
static bool place_fits(const char *last, const char *file)
{
	if (strcmp(last, file) == 0)
		return true;
	return !strcmp(file, "/") && (!strcmp(last, "/sysroot") || !strcmp(last, "/root"));
}

static void consider(struct search *s, const struct plan_disk *d, const struct plan_part *p)
{
	char last[128] = "";

	if (p->kind != PLAN_PART_CONTENT || !p->name ||
	    part_number(d, p->name) != s->ref->partition)
		return;
	if (!type_fits(s->entry, p))
		return;
	s->count++;
	s->any = p;
	if (s->ref->kind == FSTAB_BY_NAME && strcmp(d->source, s->ref->disk) == 0)
		s->same_name = p;
	if (p->content == DISK_CONTENT_EXT)
		s->names->last_mounted(s->names->ctx, p->name, last, sizeof(last));
	if (*last && place_fits(last, s->entry->file)) {
		s->place_count++;
		s->same_place = p;
	}
}

enum names_verdict names_resolve(const struct names *n, const struct fstab_ref *ref,
				 const struct fstab_entry *entry, const struct plan_part **out)
{
	struct search s = {.names = n, .ref = ref, .entry = entry};
	const struct plan_disk *by_serial = NULL;
	const struct plan *plan = n->plan;

	*out = NULL;
	for (size_t i = 0; ref->kind == FSTAB_BY_ID && i < plan->disk_count; i++)
		if (plan->disks[i].serial && serial_fits(ref->disk, plan->disks[i].serial))
			by_serial = &plan->disks[i];
	for (size_t i = 0; i < plan->disk_count; i++)
		for (size_t j = 0; j < plan->disks[i].part_count; j++)
			if (!by_serial || by_serial == &plan->disks[i])
				consider(&s, &plan->disks[i], &plan->disks[i].parts[j]);
	if (s.count == 0)
		return NAMES_UNKNOWN;
	if (s.count == 1) {
		*out = s.any;
		return NAMES_FOUND;
	}
	if (s.place_count == 1) {
		*out = s.same_place;
		return NAMES_FOUND;
	}
	*out = s.same_name;
	return s.same_name ? NAMES_BY_NAME : NAMES_AMBIGUOUS;
}
