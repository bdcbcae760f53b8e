/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The XML that OSS answers with: elements and text, no more. Attributes, comments and processing
 * instructions are passed over; a DOCTYPE is refused. Foreign bytes: bounded depth and count.
 */
#ifndef CLOUD_XML_H
#define CLOUD_XML_H

#include <stddef.h>

#include "base/arena.h"

struct xml_node {
	const char *name; /* without a namespace prefix */
	const char *text; /* of a leaf, entities resolved; "" otherwise */
	struct xml_node *first;
	struct xml_node *next;
};

/* -EBADMSG when it is not well formed. All in the arena. */
int xml_parse(struct arena *a, const char *data, size_t bytes, struct xml_node **root);

/* The first child of this name (node NULL: NULL), the next sibling of this name. */
const struct xml_node *xml_child(const struct xml_node *node, const char *name);
const struct xml_node *xml_same(const struct xml_node *node);

/* Text of a child, "" when it is not there. */
const char *xml_text(const struct xml_node *node, const char *name);

#endif
