/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and writing of kmod's binary indexes; see prep_modindex.h. */
#include "prepare/prep_modindex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/num.h"

#define INDEX_MAGIC   0xB007F457u
#define INDEX_VERSION 0x00020001u
#define INDEX_OFFSET  0x0FFFFFFFu
#define HAS_PREFIX    0x80000000u
#define HAS_VALUES    0x40000000u
#define HAS_CHILDS    0x20000000u
#define CHAR_LIMIT    128

#define KEY_MAX_BYTES 1024

void modindex_add(struct arena *a, struct modindex *x, const char *key, const char *value,
		  uint32_t priority)
{
	struct modindex_entry *e = arena_push(a, &x->list, &x->count);

	*e = (struct modindex_entry){.key = key, .value = value, .priority = priority};
}

struct reader {
	struct arena *arena;
	const uint8_t *data;
	size_t bytes;
	struct modindex *out;
	size_t budget; /* a sound file has fewer nodes and values than bytes; a loop runs this out
			*/
	char key[KEY_MAX_BYTES];
};

/* A NUL-terminated string at the cursor, borrowed. */
static const char *take_string(struct cursor *c, size_t *length)
{
	const uint8_t *end = cursor_left(c) ? memchr(c->at, 0, cursor_left(c)) : NULL;

	if (!end) {
		cursor_fail(c);
		return NULL;
	}
	*length = (size_t)(end - c->at);
	return (const char *)cursor_bytes(c, *length + 1);
}

static int read_values(struct reader *r, struct cursor *c, size_t depth)
{
	uint32_t count = cursor_be32(c);
	const char *key = arena_strndup(r->arena, r->key, depth);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t priority = cursor_be32(c);
		size_t length;
		const char *value = take_string(c, &length);

		if (!value || r->budget-- == 0)
			return -EINVAL;
		modindex_add(r->arena, r->out, key, arena_strndup(r->arena, value, length),
			     priority);
	}
	return cursor_ok(c) ? 0 : -EINVAL;
}

static int read_node(struct reader *r, uint32_t place, size_t depth)
{
	size_t offset = place & INDEX_OFFSET, length;
	struct cursor c, children = {0};
	uint8_t first = 0, last = 0;
	int rc;

	if (r->budget-- == 0 || offset > r->bytes)
		return -EINVAL;
	c = cursor_of(r->data + offset, r->bytes - offset);
	if (place & HAS_PREFIX) {
		const char *prefix = take_string(&c, &length);

		if (!prefix || depth + length >= KEY_MAX_BYTES)
			return -EINVAL;
		memcpy(r->key + depth, prefix, length);
		depth += length;
	}
	if (place & HAS_CHILDS) {
		first = cursor_u8(&c);
		last = cursor_u8(&c);
		if (first > last || last >= CHAR_LIMIT)
			return -EINVAL;
		children = cursor_sub(&c, (size_t)(last - first + 1) * 4);
		if (!cursor_ok(&children))
			return -EINVAL;
	}
	rc = place & HAS_VALUES ? read_values(r, &c, depth) : 0;
	if (rc < 0 || !(place & HAS_CHILDS))
		return rc;
	if (depth + 1 >= KEY_MAX_BYTES)
		return -EINVAL;
	for (unsigned ch = first; ch <= last; ch++) {
		uint32_t child = cursor_be32(&children);

		if (!(child & INDEX_OFFSET))
			continue;
		r->key[depth] = (char)ch;
		rc = read_node(r, child, depth + 1);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int modindex_read(struct arena *a, const void *data, size_t bytes, struct modindex *out)
{
	struct cursor c = cursor_of(data, bytes);
	uint32_t magic = cursor_be32(&c), version = cursor_be32(&c), root = cursor_be32(&c);
	CLEANUP_FREE struct reader *r = NULL;

	*out = (struct modindex){0};
	if (!cursor_ok(&c) || bytes > MODINDEX_FILE_MAX_BYTES)
		return fail(EINVAL, "module index of %zu bytes", bytes);
	if (magic != INDEX_MAGIC || version >> 16 != INDEX_VERSION >> 16)
		return fail(EINVAL, "module index of an unknown kind (%08x, version %08x)", magic,
			    version);
	r = calloc(1, sizeof(*r));
	if (!r)
		return fail(ENOMEM, "memory for the module index");
	r->arena = a;
	r->data = data;
	r->bytes = bytes;
	r->out = out;
	r->budget = bytes;
	/* An index with nothing in it has a root without flags. */
	if (read_node(r, root, 0) < 0)
		return fail(EINVAL, "module index contradicts itself");
	return 0;
}

static int out_put(struct buffer *o, const void *data, size_t bytes)
{
	return buffer_add(o, data, bytes, "a module index");
}

static int out_be32(struct buffer *o, uint32_t v)
{
	uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	return out_put(o, b, sizeof(b));
}

static int write_values(struct buffer *o, const struct modindex_entry *list, size_t count)
{
	int rc = out_be32(o, (uint32_t)count);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = out_be32(o, list[i].priority);
		if (rc == 0)
			rc = out_put(o, list[i].value, strlen(list[i].value) + 1);
	}
	return rc;
}

/* Bytes that all keys of a sorted list share from depth on: those of its first and last. */
static size_t shared_bytes(const struct modindex_entry *list, size_t count, size_t depth)
{
	const char *first = list[0].key + depth, *last = list[count - 1].key + depth;
	size_t n = 0;

	while (first[n] && first[n] == last[n])
		n++;
	return n;
}

/* Children first, then the node, as the node names their places. */
static int write_node(struct buffer *o, const struct modindex_entry *list, size_t count,
		      size_t depth, uint32_t *place)
{
	size_t prefix_bytes = shared_bytes(list, count, depth), ended = 0, used;
	const char *prefix = list[0].key + depth;
	uint32_t children[CHAR_LIMIT] = {0};
	uint8_t range[2] = {CHAR_LIMIT, 0};
	int rc = 0;

	depth += prefix_bytes;
	while (ended < count && list[ended].key[depth] == '\0')
		ended++;
	for (used = ended; rc == 0 && used < count;) {
		uint8_t ch = (uint8_t)list[used].key[depth];
		size_t same = 0;

		while (used + same < count && (uint8_t)list[used + same].key[depth] == ch)
			same++;
		rc = write_node(o, list + used, same, depth + 1, &children[ch]);
		range[0] = min_of(range[0], ch);
		range[1] = max_of(range[1], ch);
		used += same;
	}
	*place = (uint32_t)o->used & INDEX_OFFSET;
	if (rc == 0 && prefix_bytes) {
		*place |= HAS_PREFIX;
		rc = out_put(o, prefix, prefix_bytes);
		if (rc == 0)
			rc = out_put(o, "", 1);
	}
	if (rc == 0 && ended < count) {
		*place |= HAS_CHILDS;
		rc = out_put(o, range, 2);
		for (unsigned ch = range[0]; rc == 0 && ch <= range[1]; ch++)
			rc = out_be32(o, children[ch]);
	}
	if (rc == 0 && ended) {
		*place |= HAS_VALUES;
		rc = write_values(o, list, ended);
	}
	return rc;
}

static int compare_entries(const void *a, const void *b)
{
	const struct modindex_entry *x = a, *y = b;
	int by_key = strcmp(x->key, y->key);

	if (by_key)
		return by_key;
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int check_keys(const struct modindex *x)
{
	for (size_t i = 0; i < x->count; i++) {
		size_t length = strlen(x->list[i].key);

		if (length >= KEY_MAX_BYTES)
			return fail(EINVAL, "module index key of %zu bytes", length);
		for (size_t j = 0; j < length; j++)
			if ((uint8_t)x->list[i].key[j] >= CHAR_LIMIT)
				return fail(EINVAL, "module index key with byte 0x%02x",
					    (uint8_t)x->list[i].key[j]);
	}
	return 0;
}

int modindex_write(struct arena *a, struct modindex *x, const uint8_t **data, size_t *bytes)
{
	struct buffer o = {0};
	struct writer w;
	uint32_t root = 0;
	uint8_t *kept;
	int rc = check_keys(x);

	for (size_t i = 0; i < x->count; i++)
		x->list[i].order = (uint32_t)i;
	if (x->count)
		qsort(x->list, x->count, sizeof(*x->list), compare_entries);
	if (rc == 0)
		rc = out_put(&o, (uint8_t[12]){0}, 12);
	if (rc == 0 && x->count)
		rc = write_node(&o, x->list, x->count, 0, &root);
	if (rc < 0) {
		free(o.data);
		return rc;
	}
	w = writer_of(o.data, 12);
	writer_be(&w, INDEX_MAGIC, 4);
	writer_be(&w, INDEX_VERSION, 4);
	writer_be(&w, root, 4);
	kept = arena_alloc(a, o.used);
	memcpy(kept, o.data, o.used);
	free(o.data);
	*data = kept;
	*bytes = o.used;
	return 0;
}
