/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parser of LVM's configuration text; bounded in depth and number of nodes. See lvm_text.h. */
#include "disk/lvm_text.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

#define DEPTH_MAX 16
#define NODES_MAX 2000000

struct parser {
	struct arena *arena;
	const char *name;
	const char *at;
	const char *end;
	unsigned line;
	unsigned nodes;
};

static int bad(const struct parser *p, const char *what)
{
	return fail_code(EINVAL, "LVM_INVALID", "LVM metadata of %s, line %u: %s", p->name, p->line,
			 what);
}

static void skip_blank(struct parser *p)
{
	bool comment = false;

	for (; p->at < p->end; p->at++) {
		char c = *p->at;

		if (c == '\n') {
			p->line++;
			comment = false;
		} else if (c == '#') {
			comment = true;
		} else if (!comment && c != ' ' && c != '\t' && c != '\r' && c != '\0') {
			return;
		}
	}
}

/* The next character that means something, 0 at the end. */
static char peek(struct parser *p)
{
	skip_blank(p);
	return p->at < p->end ? *p->at : '\0';
}

static bool take(struct parser *p, char c)
{
	if (peek(p) != c)
		return false;
	p->at++;
	return true;
}

static bool is_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_-+./@", c));
}

static int parse_key(struct parser *p, const char **out)
{
	const char *start;

	skip_blank(p);
	start = p->at;
	while (p->at < p->end && is_key_char(*p->at))
		p->at++;
	if (p->at == start)
		return bad(p, "a name is missing");
	*out = arena_strndup(p->arena, start, (size_t)(p->at - start));
	return 0;
}

static int parse_string(struct parser *p, const char **out)
{
	const char *start = ++p->at;
	char *copy;
	size_t n = 0;

	while (p->at < p->end && *p->at != '"' && *p->at != '\n')
		p->at += *p->at == '\\' && p->end - p->at > 1 ? 2 : 1;
	if (p->at >= p->end || *p->at != '"')
		return bad(p, "a text has no end");
	copy = arena_alloc(p->arena, (size_t)(p->at - start) + 1);
	for (const char *c = start; c < p->at; c++) {
		if (*c == '\\' && c + 1 < p->at)
			c++;
		copy[n++] = *c;
	}
	p->at++;
	*out = copy;
	return 0;
}

/* Fractions occur in settings only, never in what places data; their digits are skipped. */
static int parse_number(struct parser *p, int64_t *out)
{
	bool negative = *p->at == '-';
	uint64_t n = 0;
	unsigned digits = 0;

	if (*p->at == '-' || *p->at == '+')
		p->at++;
	for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++, digits++)
		if (!mul_ok(n, 10, &n) || !add_ok(n, (uint64_t)(*p->at - '0'), &n) || n > INT64_MAX)
			return bad(p, "a number is too large");
	if (!digits)
		return bad(p, "a value is missing");
	if (p->at < p->end && *p->at == '.')
		for (p->at++; p->at < p->end && *p->at >= '0' && *p->at <= '9';)
			p->at++;
	*out = negative ? -(int64_t)n : (int64_t)n;
	return 0;
}

static struct lvm_node *node_new(struct parser *p, const char *key)
{
	struct lvm_node *node;

	if (p->nodes == NODES_MAX)
		return NULL;
	p->nodes++;
	node = arena_alloc(p->arena, sizeof(*node));
	node->key = key;
	return node;
}

static int parse_scalar(struct parser *p, struct lvm_node *node)
{
	if (peek(p) == '"') {
		node->kind = LVM_NODE_STRING;
		return parse_string(p, &node->string);
	}
	if (p->at >= p->end)
		return bad(p, "the text ends too early");
	node->kind = LVM_NODE_NUMBER;
	return parse_number(p, &node->number);
}

static int parse_list(struct parser *p, struct lvm_node *list)
{
	struct lvm_node **tail = &list->first;

	list->kind = LVM_NODE_LIST;
	if (take(p, ']'))
		return 0;
	do {
		int rc;

		*tail = node_new(p, NULL);
		if (!*tail)
			return bad(p, "there is too much of it");
		rc = parse_scalar(p, *tail);
		if (rc < 0)
			return rc;
		tail = &(*tail)->next;
	} while (take(p, ','));
	return take(p, ']') ? 0 : bad(p, "a list has no end");
}

static int parse_section(struct parser *p, struct lvm_node *section, unsigned depth)
{
	struct lvm_node **tail = &section->first;

	section->kind = LVM_NODE_SECTION;
	if (depth > DEPTH_MAX)
		return bad(p, "it is nested too deeply");
	while (peek(p) && peek(p) != '}') {
		struct lvm_node *node;
		const char *key = NULL;
		int rc = parse_key(p, &key);

		if (rc < 0)
			return rc;
		node = node_new(p, key);
		if (!node)
			return bad(p, "there is too much of it");
		if (take(p, '{')) {
			rc = parse_section(p, node, depth + 1);
			if (rc == 0 && !take(p, '}'))
				rc = bad(p, "a section has no end");
		} else if (!take(p, '=')) {
			rc = bad(p, "neither a value nor a section follows a name");
		} else {
			rc = take(p, '[') ? parse_list(p, node) : parse_scalar(p, node);
		}
		if (rc < 0)
			return rc;
		*tail = node;
		tail = &node->next;
	}
	return 0;
}

int lvm_text_parse(struct arena *a, const char *text, size_t bytes, const char *name,
		   struct lvm_node **out)
{
	struct parser p = {.arena = a, .name = name, .at = text, .end = text + bytes, .line = 1};
	struct lvm_node *root = node_new(&p, NULL);
	int rc = parse_section(&p, root, 0);

	if (rc < 0)
		return rc;
	if (peek(&p))
		return bad(&p, "a section ends that did not begin");
	*out = root;
	return 0;
}

const struct lvm_node *lvm_find(const struct lvm_node *section, const char *key)
{
	const struct lvm_node *n = section ? section->first : NULL;

	while (n && (!n->key || strcmp(n->key, key)))
		n = n->next;
	return n;
}

const struct lvm_node *lvm_find_section(const struct lvm_node *section, const char *key)
{
	const struct lvm_node *n = lvm_find(section, key);

	return n && n->kind == LVM_NODE_SECTION ? n : NULL;
}

bool lvm_number(const struct lvm_node *section, const char *key, uint64_t *out)
{
	const struct lvm_node *n = lvm_find(section, key);

	if (!n || n->kind != LVM_NODE_NUMBER || n->number < 0)
		return false;
	*out = (uint64_t)n->number;
	return true;
}

const char *lvm_string(const struct lvm_node *section, const char *key)
{
	const struct lvm_node *n = lvm_find(section, key);

	return n && n->kind == LVM_NODE_STRING ? n->string : NULL;
}

bool lvm_has_word(const struct lvm_node *section, const char *key, const char *word)
{
	const struct lvm_node *n = lvm_find(section, key);

	if (!n)
		return false;
	if (n->kind == LVM_NODE_STRING)
		return !strcmp(n->string, word);
	for (n = n->kind == LVM_NODE_LIST ? n->first : NULL; n; n = n->next)
		if (n->kind == LVM_NODE_STRING && !strcmp(n->string, word))
			return true;
	return false;
}
