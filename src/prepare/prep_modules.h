/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text indexes that depmod leaves in /lib/modules/VERSION, and what follows from them: which
 * modules have to come along with a module. Module names are kept with '_' where files may have
 * '-'. Formats: modules.dep(5), modprobe.d(5), depmod(8).
 */
#ifndef PREPARE_PREP_MODULES_H
#define PREPARE_PREP_MODULES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

#define MODULES_FILE_MAX_BYTES ((size_t)32 << 20)

struct module {
	const char *name;
	const char *path;  /* below /lib/modules/VERSION: "kernel/drivers/block/virtio_blk.ko.xz" */
	const char **deps; /* names; all that it needs, as depmod lists them transitively */
	size_t dep_count;
};

struct module_alias {
	const char *alias;
	const char *module;
};

struct module_softdep {
	const char *module;
	const char *line; /* as it stands in modules.softdep */
	const char **pre; /* names that are loaded before */
	size_t pre_count;
};

struct name_list {
	const char **list;
	size_t count;
};

struct module_tree {
	struct arena *arena;
	struct module *list; /* sorted by name */
	size_t count;
	struct name_list builtin; /* sorted */
	struct module_alias *aliases;
	size_t alias_count;
	struct module_softdep *softdeps;
	size_t softdep_count;
};

/* Name of the module in a file: no directory, no ".ko*", '-' as '_'. NULL when it is not one. */
const char *module_name_of(struct arena *a, const char *path);

/* Each parses one file's text into the tree; lines that make no sense are left out. */
void modules_parse_dep(struct module_tree *t, const char *text);
void modules_parse_builtin(struct module_tree *t, const char *text);
void modules_parse_alias(struct module_tree *t, const char *text);
void modules_parse_softdep(struct module_tree *t, const char *text);

const struct module *modules_find(const struct module_tree *t, const char *name);
bool modules_is_builtin(const struct module_tree *t, const char *name);

bool name_list_has(const struct name_list *l, const char *name);
void name_list_add(struct arena *a, struct name_list *l, const char *name);

/*
 * Append to *out the module and everything that it needs, needs first, leaving out what is built in
 * or already there. Returns false when the kernel has no such module, built in or not.
 */
bool modules_closure(const struct module_tree *t, const char *name, struct name_list *out);

#endif
