/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Module indexes in text form, and the closure of a module; see prep_modules.h. */
#include "prepare/prep_modules.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"

#define SOFTDEP_DEPTH_MAX 16

const char *module_name_of(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	const char *suffix = strstr(base, ".ko");
	char *name;

	/* .ko, .ko.xz, .ko.gz, .ko.zst */
	if (!suffix || suffix == base || (suffix[3] != '\0' && suffix[3] != '.'))
		return NULL;
	name = arena_strndup(a, base, (size_t)(suffix - base));
	for (char *p = name; *p; p++)
		if (*p == '-')
			*p = '_';
	return name;
}

/* The next line, as a copy in the arena; NULL at the end. */
static char *next_line(struct arena *a, const char **text)
{
	size_t n = strcspn(*text, "\n");
	const char *start = *text;

	if (*start == '\0')
		return NULL;
	*text += n + (start[n] == '\n');
	return arena_strndup(a, start, n);
}

static int by_name(const void *a, const void *b)
{
	const struct module *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void name_list_add(struct arena *a, struct name_list *l, const char *name)
{
	const char **slot = arena_push(a, &l->list, &l->count);

	*slot = name;
}

bool name_list_has(const struct name_list *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->list[i], name) == 0)
			return true;
	return false;
}

void modules_parse_dep(struct module_tree *t, const char *text)
{
	char *line;

	/* "path: path path ..." */
	while ((line = next_line(t->arena, &text))) {
		char *colon = strchr(line, ':'), *save = NULL;
		struct module *m;
		const char *name;

		if (!colon)
			continue;
		*colon = '\0';
		name = module_name_of(t->arena, line);
		if (!name)
			continue;
		m = arena_push(t->arena, &t->list, &t->count);
		m->name = name;
		m->path = line;
		for (char *word = strtok_r(colon + 1, " \t", &save); word;
		     word = strtok_r(NULL, " \t", &save)) {
			const char *dep = module_name_of(t->arena, word);

			if (dep)
				*arena_push(t->arena, &m->deps, &m->dep_count) = dep;
		}
	}
	if (t->count)
		qsort(t->list, t->count, sizeof(*t->list), by_name);
}

void modules_parse_builtin(struct module_tree *t, const char *text)
{
	char *line;

	while ((line = next_line(t->arena, &text))) {
		const char *name = module_name_of(t->arena, line);

		if (name)
			name_list_add(t->arena, &t->builtin, name);
	}
	if (t->builtin.count)
		qsort(t->builtin.list, t->builtin.count, sizeof(*t->builtin.list), by_text);
}

void modules_parse_alias(struct module_tree *t, const char *text)
{
	char *line;

	/* "alias PATTERN MODULE"; a pattern has no blanks. */
	while ((line = next_line(t->arena, &text))) {
		char *save = NULL, *word = strtok_r(line, " \t", &save);
		char *alias = strtok_r(NULL, " \t", &save);
		char *module = strtok_r(NULL, " \t", &save);
		struct module_alias *m;

		if (!module || strcmp(word, "alias"))
			continue;
		m = arena_push(t->arena, &t->aliases, &t->alias_count);
		*m = (struct module_alias){.alias = alias, .module = module};
	}
}

void modules_parse_softdep(struct module_tree *t, const char *text)
{
	char *line;

	/* "softdep MODULE pre: a b post: c" */
	while ((line = next_line(t->arena, &text))) {
		const char *whole = arena_strdup(t->arena, line);
		char *save = NULL, *word = strtok_r(line, " \t", &save);
		char *module = strtok_r(NULL, " \t", &save);
		struct module_softdep *s;
		bool pre = false;

		if (!module || strcmp(word, "softdep"))
			continue;
		s = arena_push(t->arena, &t->softdeps, &t->softdep_count);
		s->module = module;
		s->line = whole;
		while ((word = strtok_r(NULL, " \t", &save))) {
			if (strcmp(word, "pre:") == 0)
				pre = true;
			else if (strcmp(word, "post:") == 0)
				pre = false;
			else if (pre)
				*arena_push(t->arena, &s->pre, &s->pre_count) = word;
		}
	}
}

const struct module *modules_find(const struct module_tree *t, const char *name)
{
	struct module key = {.name = name};

	return t->count ? bsearch(&key, t->list, t->count, sizeof(*t->list), by_name) : NULL;
}

bool modules_is_builtin(const struct module_tree *t, const char *name)
{
	return t->builtin.count &&
	       bsearch(&name, t->builtin.list, t->builtin.count, sizeof(*t->builtin.list), by_text);
}

static bool visit(const struct module_tree *t, const char *name, struct name_list *out,
		  unsigned depth)
{
	const struct module *m;

	if (modules_is_builtin(t, name) || name_list_has(out, name))
		return true;
	m = modules_find(t, name);
	if (!m)
		return false;
	/* depmod's list is transitive and ends with what has to be loaded first. */
	for (size_t i = m->dep_count; i > 0; i--)
		if (depth < SOFTDEP_DEPTH_MAX)
			visit(t, m->deps[i - 1], out, depth + 1);
	for (size_t i = 0; i < t->softdep_count; i++) {
		const struct module_softdep *s = &t->softdeps[i];

		if (strcmp(s->module, name))
			continue;
		/* A soft dependency that does not exist is no fault. */
		for (size_t j = 0; j < s->pre_count && depth < SOFTDEP_DEPTH_MAX; j++)
			visit(t, s->pre[j], out, depth + 1);
	}
	if (!name_list_has(out, m->name))
		name_list_add(t->arena, out, m->name);
	return true;
}

bool modules_closure(const struct module_tree *t, const char *name, struct name_list *out)
{
	return visit(t, name, out, 0);
}
