/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking into an initramfs image, and what it lacks for the target's hardware; see prep_boot.h. */
#include "prepare/prep_boot.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

/* Archives name their files "usr/x", "./usr/x" or "/usr/x". */
static const char *plain_name(const char *name)
{
	while (name[0] == '/' || (name[0] == '.' && name[1] == '/'))
		name += name[0] == '/' ? 1 : 2;
	return name;
}

/* The part of a name behind PREFIX/VERSION/, and which prefix it was; NULL for other names. */
static const char *below_version(struct boot_survey *s, const char *name)
{
	static const char *const prefixes[] = {"usr/lib/modules", "lib/modules"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t n = strlen(prefixes[i]), v = strlen(s->version);

		if (strncmp(name, prefixes[i], n) || name[n] != '/' ||
		    strncmp(name + n + 1, s->version, v))
			continue;
		if (name[n + 1 + v] != '/' && name[n + 1 + v] != '\0')
			continue;
		s->has_version_dir = true;
		s->prefix = prefixes[i];
		return name[n + 1 + v] ? name + n + 1 + v + 1 : name + n + 1 + v;
	}
	return NULL;
}

static struct boot_file *index_file(struct boot_survey *s, const char *name)
{
	struct {
		const char *name;
		struct boot_file *file;
	} files[] = {
		{"modules.dep", &s->dep},	  {"modules.dep.bin", &s->dep_bin},
		{"modules.alias", &s->alias},	  {"modules.alias.bin", &s->alias_bin},
		{"modules.softdep", &s->softdep},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strcmp(name, files[i].name) == 0)
			return files[i].file;
	return NULL;
}

static void note_layout(struct boot_survey *s, const char *name, uint32_t mode)
{
	const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;

	if (strcmp(name, "lib") == 0) {
		s->has_lib_dir = S_ISDIR(mode);
		s->has_lib_link = S_ISLNK(mode);
	}
	if (strcmp(name, "usr/lib") == 0)
		s->has_usr_lib = true;
	if (strcmp(base, "modprobe") == 0 || strcmp(base, "kmod") == 0)
		s->has_loader = true;
}

static int on_entry(void *ctx, const struct cpio_entry *e, uint64_t *keep_bytes)
{
	struct boot_survey *s = ctx;
	const char *name = plain_name(e->name), *below = below_version(s, name), *module;

	note_layout(s, name, e->mode);
	if (!below || !S_ISREG(e->mode))
		return 0;
	if (index_file(s, below)) {
		*keep_bytes = MODULES_FILE_MAX_BYTES;
		return 0;
	}
	module = module_name_of(s->arena, below);
	if (module) {
		struct module *m = arena_push(s->arena, &s->have.list, &s->have.count);

		m->name = module;
		m->path = arena_strdup(s->arena, below);
	}
	return 0;
}

static int on_body(void *ctx, const struct cpio_entry *e, const uint8_t *data, size_t bytes)
{
	struct boot_survey *s = ctx;
	const char *below = below_version(s, plain_name(e->name));
	struct boot_file *file = below ? index_file(s, below) : NULL;
	char *copy;

	if (!file)
		return 0;
	copy = arena_alloc(s->arena, bytes + 1);
	if (bytes)
		memcpy(copy, data, bytes);
	*file = (struct boot_file){.data = copy, .bytes = bytes};
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct module *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int boot_survey(struct arena *a, const struct initrd_input *input, const char *version,
		struct boot_survey *out)
{
	struct cpio_visitor visitor = {.entry = on_entry, .body = on_body, .ctx = out};
	int rc;

	*out = (struct boot_survey){.arena = a, .version = version, .have.arena = a};
	rc = initrd_walk(input, &visitor, &out->shape);
	if (rc < 0)
		return rc;
	if (out->have.count)
		qsort(out->have.list, out->have.count, sizeof(*out->have.list), by_name);
	if (!out->prefix)
		out->prefix = !out->has_lib_dir && (out->has_lib_link || out->has_usr_lib)
				      ? "usr/lib/modules"
				      : "lib/modules";
	return 0;
}

/* What the target's hardware takes. sd_mod: disks behind virtio_scsi are SCSI disks. */
static const struct {
	const char *name;
	bool needed; /* a kernel without it cannot boot on the target */
} drivers[] = {
	{"virtio_pci", true},	{"virtio_blk", true}, {"virtio_net", true},
	{"virtio_scsi", false}, {"sd_mod", false},    {"nvme", false},
};

bool boot_missing(const struct module_tree *tree, const struct boot_survey *survey,
		  struct name_list *missing, const char **lacks)
{
	struct name_list all = {0};

	*lacks = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		/* RHEL's kernels know virtio_pci's parts under other names; what counts is this. */
		if (modules_closure(tree, drivers[i].name, &all) || !drivers[i].needed)
			continue;
		*lacks = drivers[i].name;
		return false;
	}
	for (size_t i = 0; i < all.count; i++)
		if (!modules_find(&survey->have, all.list[i]))
			name_list_add(tree->arena, missing, all.list[i]);
	return true;
}
