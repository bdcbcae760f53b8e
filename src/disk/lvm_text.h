/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to disk: the configuration text in which LVM keeps its metadata, as a tree.
 *
 *   name { key = 12  key = "text"  key = ["a", 3]  inner { ... } }     # comment
 */
#ifndef DISK_LVM_TEXT_H
#define DISK_LVM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum lvm_node_kind { LVM_NODE_SECTION, LVM_NODE_NUMBER, LVM_NODE_STRING, LVM_NODE_LIST };

/* Sections and lists hold nodes, in the order of the text. */
struct lvm_node {
	const char *key; /* NULL inside a list */
	enum lvm_node_kind kind;
	int64_t number;
	const char *string;
	struct lvm_node *first;
	struct lvm_node *next;
};

/* The text as one unnamed section. -EINVAL (LVM_INVALID) with the line when it is not of the form.
 * NAME is for the reason. */
int lvm_text_parse(struct arena *a, const char *text, size_t bytes, const char *name,
		   struct lvm_node **out);

/* NULL when section is NULL or has none. */
const struct lvm_node *lvm_find(const struct lvm_node *section, const char *key);
const struct lvm_node *lvm_find_section(const struct lvm_node *section, const char *key);

/* False when there is none, or it is negative. */
bool lvm_number(const struct lvm_node *section, const char *key, uint64_t *out);
/* NULL when there is none. */
const char *lvm_string(const struct lvm_node *section, const char *key);
/* Whether the list (or single string) of that key holds the word. */
bool lvm_has_word(const struct lvm_node *section, const char *key, const char *word);

#endif
