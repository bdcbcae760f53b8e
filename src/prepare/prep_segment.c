/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cpio segment that is appended to an initramfs image; see prep_boot.h. Later entries win, so
 * the indexes in it know what the image had as well. They are merged, not copied from the guest: an
 * image may hold a module under another name than the guest does (unpacked .ko for .ko.xz), and an
 * index that names files which are not there loads nothing.
 */
#include "prepare/prep_boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "prepare/prep_modindex.h"

#define MODE_DIR  (S_IFDIR | 0755)
#define MODE_FILE (S_IFREG | 0644)

struct builder {
	struct arena *arena;
	const struct module_tree *tree;
	const struct boot_survey *survey;
	const struct name_list *missing;
	struct name_list dirs;
	struct cpio_writer *out;
	char *base; /* "lib/modules/VERSION" */
};

static int add_dir(struct builder *b, const char *name)
{
	if (name_list_has(&b->dirs, name))
		return 0;
	name_list_add(b->arena, &b->dirs, arena_strdup(b->arena, name));
	return cpio_add(b->out, name, MODE_DIR, NULL, 0);
}

/*
 * Directories of a file below the version's directory. "lib" itself is never written where the
 * image has something of that name: the kernel would replace a link by our directory.
 */
static int add_parents(struct builder *b, const char *name)
{
	char *copy = arena_strdup(b->arena, name);
	int rc = 0;

	for (char *slash = strchr(copy, '/'); rc == 0 && slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (strlen(copy) > strlen(b->base))
			rc = add_dir(b, copy);
		*slash = '/';
	}
	return rc;
}

static int add_base(struct builder *b)
{
	const struct boot_survey *s = b->survey;
	char *copy = arena_strdup(b->arena, b->base);
	int rc = 0;

	if (s->has_version_dir)
		return 0;
	for (char *slash = strchr(copy, '/'); rc == 0 && slash; slash = strchr(slash + 1, '/')) {
		bool there;

		*slash = '\0';
		there = (!strcmp(copy, "lib") && (s->has_lib_dir || s->has_lib_link)) ||
			(!strncmp(copy, "usr", 3) && s->has_usr_lib && strlen(copy) <= 7);
		if (!there)
			rc = add_dir(b, copy);
		*slash = '/';
	}
	return rc == 0 ? add_dir(b, b->base) : rc;
}

static int add_file(struct builder *b, const char *below, const void *data, size_t bytes)
{
	char *name = arena_printf(b->arena, "%s/%s", b->base, below);
	int rc = add_parents(b, name);

	return rc == 0 ? cpio_add(b->out, name, MODE_FILE, data, bytes) : rc;
}

static int add_modules(struct builder *b, boot_read_fn read_module, void *ctx)
{
	for (size_t i = 0; i < b->missing->count; i++) {
		const struct module *m = modules_find(b->tree, b->missing->list[i]);
		CLEANUP_FREE char *data = NULL;
		size_t bytes = 0;
		int rc = read_module(ctx, m->path, &data, &bytes);

		if (rc == 0)
			rc = add_file(b, m->path, data, bytes);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* "path: path path", each needed module where the image has it, else where we put it. */
static char *dep_line(struct builder *b, const struct module *m)
{
	char *line = arena_printf(b->arena, "%s:", m->path);

	for (size_t i = 0; i < m->dep_count; i++) {
		const struct module *dep = modules_find(&b->survey->have, m->deps[i]);

		if (!dep)
			dep = modules_find(b->tree, m->deps[i]);
		if (dep)
			line = arena_printf(b->arena, "%s %s", line, dep->path);
	}
	return line;
}

static bool is_missing(const struct builder *b, const char *module)
{
	return name_list_has(b->missing, module);
}

/* What the image's own index says of other modules. In dep the key names the module, in alias the
 * value does. */
static int keep_others(struct builder *b, const struct boot_file *old, const char *name,
		       bool by_key, struct modindex *merged)
{
	struct modindex had = {0};
	int rc = old->data ? modindex_read(b->arena, old->data, old->bytes, &had) : 0;

	if (rc < 0)
		return fail_in(rc, "%s in the image", name);
	for (size_t i = 0; i < had.count; i++)
		if (!is_missing(b, by_key ? had.list[i].key : had.list[i].value))
			modindex_add(b->arena, merged, had.list[i].key, had.list[i].value,
				     had.list[i].priority);
	return 0;
}

static int add_index(struct builder *b, struct modindex *index, const char *name)
{
	const uint8_t *data;
	size_t bytes;
	int rc = modindex_write(b->arena, index, &data, &bytes);

	return rc == 0 ? add_file(b, name, data, bytes) : rc;
}

static int add_dep_bin(struct builder *b)
{
	static const char name[] = "modules.dep.bin";
	struct modindex merged = {0};
	int rc = keep_others(b, &b->survey->dep_bin, name, true, &merged);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < b->missing->count; i++) {
		const struct module *m = modules_find(b->tree, b->missing->list[i]);

		modindex_add(b->arena, &merged, m->name, dep_line(b, m), (uint32_t)i);
	}
	return add_index(b, &merged, name);
}

/* As depmod(8) does for its binary index: '-' becomes '_' outside of brackets. */
static const char *normal_alias(struct arena *a, const char *alias)
{
	char *copy = arena_strdup(a, alias);
	bool inside = false;

	for (char *p = copy; *p; p++) {
		if (*p == '[')
			inside = true;
		else if (*p == ']')
			inside = false;
		else if (*p == '-' && !inside)
			*p = '_';
	}
	return copy;
}

static int add_alias_bin(struct builder *b)
{
	static const char name[] = "modules.alias.bin";
	struct modindex merged = {0};
	int rc = keep_others(b, &b->survey->alias_bin, name, false, &merged);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < b->tree->alias_count; i++) {
		const struct module_alias *m = &b->tree->aliases[i];

		if (is_missing(b, m->module))
			modindex_add(b->arena, &merged, normal_alias(b->arena, m->alias), m->module,
				     0);
	}
	return add_index(b, &merged, name);
}

/* A text under construction, in the heap. */
static FILE *text_open(char **data, size_t *bytes, const struct boot_file *old)
{
	FILE *f = open_memstream(data, bytes);

	if (f && old->data && old->bytes) {
		fwrite(old->data, 1, old->bytes, f);
		if (old->data[old->bytes - 1] != '\n')
			fputc('\n', f);
	}
	return f;
}

static int text_close(struct builder *b, FILE *f, char **data, const size_t *bytes,
		      const char *name)
{
	int rc;

	if (!f || fclose(f))
		rc = fail(ENOMEM, "%s", name);
	else
		rc = add_file(b, name, *data, *bytes);
	free(*data);
	return rc;
}

static int add_dep_text(struct builder *b)
{
	char *data = NULL;
	size_t bytes = 0;
	FILE *f = text_open(&data, &bytes, &b->survey->dep);

	for (size_t i = 0; f && i < b->missing->count; i++)
		fprintf(f, "%s\n", dep_line(b, modules_find(b->tree, b->missing->list[i])));
	return text_close(b, f, &data, &bytes, "modules.dep");
}

static int add_alias_text(struct builder *b)
{
	char *data = NULL;
	size_t bytes = 0;
	FILE *f = text_open(&data, &bytes, &b->survey->alias);

	for (size_t i = 0; f && i < b->tree->alias_count; i++) {
		const struct module_alias *m = &b->tree->aliases[i];

		if (is_missing(b, m->module))
			fprintf(f, "alias %s %s\n", m->alias, m->module);
	}
	return text_close(b, f, &data, &bytes, "modules.alias");
}

static int add_softdep_text(struct builder *b)
{
	char *data = NULL;
	size_t bytes = 0, ours = 0;
	FILE *f = text_open(&data, &bytes, &b->survey->softdep);

	for (size_t i = 0; f && i < b->tree->softdep_count; i++) {
		const struct module_softdep *s = &b->tree->softdeps[i];

		if (!is_missing(b, s->module))
			continue;
		fprintf(f, "%s\n", s->line);
		ours++;
	}
	if (f && !ours) {
		fclose(f);
		free(data);
		return 0;
	}
	return text_close(b, f, &data, &bytes, "modules.softdep");
}

/* For people who list the image: what was added, and by whom. */
static int add_note(struct builder *b)
{
	char *text = arena_strdup(b->arena, "Added by coldlift for virtio and NVMe hardware:\n");

	for (size_t i = 0; i < b->missing->count; i++)
		text = arena_printf(b->arena, "%s%s\n", text, b->missing->list[i]);
	return add_file(b, "coldlift-added", text, strlen(text));
}

static int add_indexes(struct builder *b)
{
	const struct boot_survey *s = b->survey;
	bool none = !s->dep.data && !s->dep_bin.data;
	int rc = 0;

	/* kmod reads the binary files, BusyBox the text; an image keeps the kind that it has. */
	if (s->dep_bin.data || none)
		rc = add_dep_bin(b);
	if (rc == 0 && (s->alias_bin.data || none))
		rc = add_alias_bin(b);
	if (rc == 0 && (s->dep.data || none))
		rc = add_dep_text(b);
	if (rc == 0 && (s->alias.data || none))
		rc = add_alias_text(b);
	return rc == 0 ? add_softdep_text(b) : rc;
}

int boot_segment(const struct module_tree *tree, const struct boot_survey *survey,
		 const struct name_list *missing, boot_read_fn read_module, void *ctx,
		 struct cpio_writer *out)
{
	struct builder b = {
		.arena = survey->arena,
		.tree = tree,
		.survey = survey,
		.missing = missing,
		.out = out,
	};
	int rc;

	b.base = arena_printf(b.arena, "%s/%s", survey->prefix, survey->version);
	/* The kernel tells hard links apart by inode numbers; ours must differ within the segment.
	 */
	out->next_inode = 1;
	rc = add_base(&b);
	if (rc == 0)
		rc = add_modules(&b, read_module, ctx);
	if (rc == 0)
		rc = add_indexes(&b);
	if (rc == 0)
		rc = add_note(&b);
	return rc == 0 ? cpio_end(out) : rc;
}
