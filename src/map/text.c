/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text form of a map: one entry a line, fields by one space, numbers decimal, and a last line
 * with a checksum: 32 zero bytes to begin with, and for each line before the last the SHA-256 of
 * the checksum so far and the line with its newline. Names and paths have spaces, control
 * characters and '%' as %XX; an empty one is "-".
 *
 *   coldlift-map 1
 *   plan DIGEST
 *   source INDEX BYTES NAME PATH
 *   disk INDEX BYTES NAME
 *   range DISK OFFSET BYTES SOURCE SOURCE-OFFSET
 *   literal DISK OFFSET HEX
 *   zero DISK OFFSET BYTES
 *   end CHECKSUM
 *
 * A file may be larger than the memory that is free, so it is read and written line by line.
 */
#include "map/map.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/num.h"
#include "map/private.h"

#define MAP_SOURCES_MAX 256
#define NAME_MAX_BYTES	256
/* Room for a literal's hex, and for a name and a path of nothing but odd characters. */
#define LINE_MAX_BYTES (2 * MAP_LITERAL_MAX_BYTES + PATH_MAX * 3 + NAME_MAX_BYTES * 3 + 128)

/* The checksum so far, and room to put a line behind it. */
struct sum {
	uint8_t bytes[HASH_SHA256_BYTES + LINE_MAX_BYTES];
};

static void sum_line(struct sum *sum, const char *line, size_t bytes)
{
	memcpy(sum->bytes + HASH_SHA256_BYTES, line, bytes);
	hash_sha256(sum->bytes, HASH_SHA256_BYTES + bytes, sum->bytes);
}

/* ---- writing ---- */

struct out {
	FILE *file;
	struct sum sum;
	char line[LINE_MAX_BYTES];
	size_t used;
};

static void put(struct out *out, const char *text)
{
	size_t n = strlen(text);

	assert(n < sizeof(out->line) - out->used);
	memcpy(out->line + out->used, text, n);
	out->used += n;
}

static void putf(struct out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void putf(struct out *out, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(out, text);
}

static void end_line(struct out *out)
{
	put(out, "\n");
	sum_line(&out->sum, out->line, out->used);
	fwrite(out->line, 1, out->used, out->file);
	out->used = 0;
}

static void put_name(struct out *out, const char *name)
{
	if (!*name)
		put(out, " -");
	else
		put(out, " ");
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (c <= ' ' || c == '%' || c == 127 || (c == '-' && name[1] == '\0'))
			putf(out, "%%%02x", c);
		else
			putf(out, "%c", c);
	}
}

static void put_entry(struct out *out, unsigned disk, const struct map_entry *e)
{
	char hex[2 * MAP_LITERAL_MAX_BYTES + 1];

	switch (e->kind) {
	case MAP_SOURCE:
		putf(out, "range %u %" PRIu64 " %" PRIu64 " %u %" PRIu64, disk, e->offset_bytes,
		     e->length_bytes, e->source, e->source_offset_bytes);
		break;
	case MAP_LITERAL:
		hex_encode(e->literal, e->length_bytes, hex);
		putf(out, "literal %u %" PRIu64 " ", disk, e->offset_bytes);
		put(out, hex);
		break;
	case MAP_ZERO:
		putf(out, "zero %u %" PRIu64 " %" PRIu64, disk, e->offset_bytes, e->length_bytes);
		break;
	}
	end_line(out);
}

static void put_map(struct out *out, const struct map *m)
{
	char hex[2 * HASH_SHA256_BYTES + 1];

	put(out, "coldlift-map 1");
	end_line(out);
	put(out, "plan");
	put_name(out, m->plan_digest);
	end_line(out);
	for (size_t i = 0; i < m->source_count; i++) {
		putf(out, "source %zu %" PRIu64, i, m->sources[i].size_bytes);
		put_name(out, m->sources[i].name);
		put_name(out, m->sources[i].path);
		end_line(out);
	}
	for (size_t i = 0; i < m->disk_count; i++) {
		putf(out, "disk %zu %" PRIu64, i, m->disks[i].size_bytes);
		put_name(out, m->disks[i].name);
		end_line(out);
	}
	for (size_t i = 0; i < m->disk_count; i++)
		for (size_t k = 0; k < m->disks[i].count; k++)
			put_entry(out, (unsigned)i, &m->disks[i].entries[k]);
	hex_encode(out->sum.bytes, HASH_SHA256_BYTES, hex);
	fprintf(out->file, "end %s\n", hex);
}

int map_write(const struct map *m, const char *path)
{
	CLEANUP_FREE struct out *out = calloc(1, sizeof(*out));
	CLEANUP_FCLOSE FILE *file = NULL;
	char fresh[PATH_MAX];
	int rc = 0, fd;

	if (!out)
		return fail(ENOMEM, "write map %s", path);
	fd = io_fresh_open(path, 0644, fresh);
	if (fd < 0)
		return fd;
	file = fdopen(fd, "w");
	if (!file) {
		rc = io_fresh_done(fd, fresh, path, fail(errno, "write map %s", fresh));
		close(fd);
		return rc;
	}
	out->file = file;
	put_map(out, m);
	if (fflush(file) || ferror(file))
		rc = fail(errno, "write map %s", fresh);
	return io_fresh_done(fd, fresh, path, rc);
}

/* ---- reading ---- */

struct reader {
	FILE *file;
	const char *name;
	struct map *map;
	unsigned line_number;
	struct sum sum;
	char line[LINE_MAX_BYTES];
	char *at; /* the next field of the line, or NULL when all are taken */
};

static int bad(const struct reader *r, const char *what)
{
	return fail_code(EINVAL, "MAP_INVALID", "map %s, line %u: %s", r->name, r->line_number,
			 what);
}

/* The next line without its newline. The last one is no part of the checksum. */
static int next_line(struct reader *r)
{
	size_t n;

	r->line_number++;
	if (!fgets(r->line, sizeof(r->line), r->file))
		return bad(r, "the map is cut: its last line is missing");
	n = strlen(r->line);
	if (n == 0 || r->line[n - 1] != '\n')
		return bad(r, "the line is cut or too long");
	if (strncmp(r->line, "end ", 4) != 0)
		sum_line(&r->sum, r->line, n);
	r->line[n - 1] = '\0';
	r->at = r->line;
	return 0;
}

static char *field(struct reader *r)
{
	char *start = r->at, *space;

	if (!start)
		return NULL;
	space = strchr(start, ' ');
	if (space)
		*space = '\0';
	r->at = space ? space + 1 : NULL;
	return start;
}

static bool get_u64(struct reader *r, uint64_t max, uint64_t *out)
{
	const char *text = field(r);

	return text && num_parse(text, 0, max, out) == 0;
}

static bool get_name(struct reader *r, char *out, size_t room)
{
	const char *text = field(r);
	size_t n = 0;

	if (!text || !*text)
		return false;
	if (strcmp(text, "-") == 0)
		text = "";
	for (; *text; n++) {
		char two[3] = {0};

		if (n + 1 >= room)
			return false;
		if (*text != '%') {
			out[n] = *text++;
			continue;
		}
		memcpy(two, text + 1, strnlen(text + 1, 2));
		if (hex_decode(two, out + n, 1) < 0 || out[n] == '\0')
			return false;
		text += 3;
	}
	out[n] = '\0';
	return true;
}

static int read_source(struct reader *r)
{
	char name[NAME_MAX_BYTES], path[PATH_MAX];
	uint64_t index, size_bytes;

	if (!get_u64(r, MAP_SOURCES_MAX - 1, &index) || !get_u64(r, INT64_MAX, &size_bytes) ||
	    !get_name(r, name, sizeof(name)) || !get_name(r, path, sizeof(path)) ||
	    index != r->map->source_count)
		return bad(r, "not a source");
	map_add_source(r->map, path, name, size_bytes);
	return 0;
}

static int read_disk(struct reader *r)
{
	char name[NAME_MAX_BYTES];
	uint64_t index, size_bytes;

	if (!get_u64(r, MAP_DISKS_MAX - 1, &index) || !get_u64(r, INT64_MAX, &size_bytes) ||
	    !get_name(r, name, sizeof(name)) || index != r->map->disk_count)
		return bad(r, "not a disk");
	map_add_disk(r->map, name, size_bytes);
	return 0;
}

/* DISK OFFSET, with which each entry begins. */
static bool get_place(struct reader *r, uint64_t *disk, uint64_t *offset_bytes)
{
	return r->map->disk_count > 0 && get_u64(r, r->map->disk_count - 1, disk) &&
	       get_u64(r, INT64_MAX, offset_bytes);
}

static int read_range(struct reader *r)
{
	uint64_t disk, offset, length, source, from;

	if (!get_place(r, &disk, &offset) || !get_u64(r, INT64_MAX, &length) ||
	    !get_u64(r, MAP_SOURCES_MAX - 1, &source) || !get_u64(r, INT64_MAX, &from))
		return bad(r, "not a range");
	map_add_range(r->map, (unsigned)disk, offset, length, (unsigned)source, from);
	return 0;
}

static int read_literal(struct reader *r)
{
	uint8_t data[MAP_LITERAL_MAX_BYTES];
	uint64_t disk, offset;
	const char *hex;
	size_t n;

	if (!get_place(r, &disk, &offset))
		return bad(r, "not a literal");
	hex = field(r);
	n = hex ? strlen(hex) / 2 : 0;
	if (n == 0 || n > sizeof(data) || hex_decode(hex, data, n) < 0)
		return bad(r, "not a literal");
	map_add_literal(r->map, (unsigned)disk, offset, data, n);
	return 0;
}

static int read_zero(struct reader *r)
{
	uint64_t disk, offset, length;

	if (!get_place(r, &disk, &offset) || !get_u64(r, INT64_MAX, &length))
		return bad(r, "not a zero range");
	map_add_zero(r->map, (unsigned)disk, offset, length);
	return 0;
}

static const struct {
	const char *word;
	int (*read)(struct reader *r);
} lines[] = {
	{"range", read_range}, {"zero", read_zero},	{"literal", read_literal},
	{"disk", read_disk},   {"source", read_source},
};

static int read_head(struct reader *r)
{
	char digest[NAME_MAX_BYTES];
	const char *word;
	int rc = next_line(r);

	if (rc < 0)
		return rc;
	if (strcmp(r->line, "coldlift-map 1") != 0)
		return bad(r, "not a map, or of a version that this program does not know");
	rc = next_line(r);
	if (rc < 0)
		return rc;
	word = field(r);
	if (!word || strcmp(word, "plan") != 0 || !get_name(r, digest, sizeof(digest)) || r->at)
		return bad(r, "the plan's digest is missing");
	r->map->plan_digest = arena_strdup(r->map->arena, digest);
	return 0;
}

static int read_end(struct reader *r)
{
	char hex[2 * HASH_SHA256_BYTES + 1];
	const char *text = field(r);

	hex_encode(r->sum.bytes, HASH_SHA256_BYTES, hex);
	if (!text || r->at || strcmp(text, hex) != 0)
		return bad(r, "the checksum is wrong: the map was changed or damaged");
	if (fgetc(r->file) != EOF)
		return bad(r, "there is more behind the end of the map");
	return 0;
}

static int read_lines(struct reader *r)
{
	for (;;) {
		const char *word;
		size_t i = 0;
		int rc = next_line(r);

		if (rc < 0)
			return rc;
		word = field(r);
		if (strcmp(word, "end") == 0)
			return read_end(r);
		while (i < ARRAY_SIZE(lines) && strcmp(word, lines[i].word) != 0)
			i++;
		if (i == ARRAY_SIZE(lines))
			return bad(r, "no such kind of line");
		rc = lines[i].read(r);
		if (rc < 0)
			return rc;
		if (r->at)
			return bad(r, "too many fields");
	}
}

static int map_read_file(struct arena *a, FILE *file, const char *name, struct map **out)
{
	struct reader *r = arena_alloc(a, sizeof(*r));
	int rc;

	*r = (struct reader){.file = file, .name = name, .map = map_new(a, NULL)};
	rc = read_head(r);
	if (rc == 0)
		rc = read_lines(r);
	if (rc == 0)
		rc = map_finish(r->map);
	if (rc == 0)
		*out = r->map;
	return rc;
}

int map_read(struct arena *a, const char *path, struct map **out)
{
	CLEANUP_FCLOSE FILE *file = fopen(path, "re");

	if (!file)
		return fail(errno, "read map %s", path);
	return map_read_file(a, file, path, out);
}
