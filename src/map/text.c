/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text form of a map: one entry a line, fields by one space, numbers decimal, and a last line
 * with the XXH3-128 of all bytes before it. Names and paths have spaces, control characters and '%'
 * as %XX; an empty one is "-".
 *
 *   coldlift-map 1
 *   plan DIGEST
 *   source INDEX BYTES NAME PATH
 *   disk INDEX BYTES NAME
 *   range DISK OFFSET BYTES SOURCE SOURCE-OFFSET
 *   literal DISK OFFSET HEX
 *   zero DISK OFFSET BYTES
 *   end XXH3-128
 *
 * A file may be larger than the memory that is free, so it is read and written line by line.
 */
#include "map/map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "map/private.h"

#define MAP_SOURCES_MAX 256
#define NAME_MAX_BYTES	256
/* A literal line is the longest: its hex, and room for the other fields. */
#define LINE_MAX_BYTES (2 * MAP_LITERAL_MAX_BYTES + 128)
#define DIGEST_BYTES   16

static void digest_hex(XXH3_state_t *state, char hex[2 * DIGEST_BYTES + 1])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	hex_encode(canonical.digest, DIGEST_BYTES, hex);
}

/* ---- writing ---- */

struct out {
	FILE *file;
	XXH3_state_t *hash;
};

static void put(struct out *out, const char *text)
{
	size_t n = strlen(text);

	XXH3_128bits_update(out->hash, text, n);
	fwrite(text, 1, n, out->file);
}

static void putf(struct out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void putf(struct out *out, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put(out, line);
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
		putf(out, "range %u %" PRIu64 " %" PRIu64 " %u %" PRIu64 "\n", disk,
		     e->offset_bytes, e->length_bytes, e->source, e->source_offset_bytes);
		break;
	case MAP_LITERAL:
		hex_encode(e->literal, e->length_bytes, hex);
		putf(out, "literal %u %" PRIu64 " ", disk, e->offset_bytes);
		put(out, hex);
		put(out, "\n");
		break;
	case MAP_ZERO:
		putf(out, "zero %u %" PRIu64 " %" PRIu64 "\n", disk, e->offset_bytes,
		     e->length_bytes);
		break;
	}
}

static void put_map(struct out *out, const struct map *m)
{
	char hex[2 * DIGEST_BYTES + 1];

	put(out, "coldlift-map 1\nplan");
	put_name(out, m->plan_digest);
	put(out, "\n");
	for (size_t i = 0; i < m->source_count; i++) {
		putf(out, "source %zu %" PRIu64, i, m->sources[i].size_bytes);
		put_name(out, m->sources[i].name);
		put_name(out, m->sources[i].path);
		put(out, "\n");
	}
	for (size_t i = 0; i < m->disk_count; i++) {
		putf(out, "disk %zu %" PRIu64, i, m->disks[i].size_bytes);
		put_name(out, m->disks[i].name);
		put(out, "\n");
	}
	for (size_t i = 0; i < m->disk_count; i++)
		for (size_t k = 0; k < m->disks[i].count; k++)
			put_entry(out, (unsigned)i, &m->disks[i].entries[k]);
	digest_hex(out->hash, hex);
	fprintf(out->file, "end %s\n", hex);
}

static void cleanup_hash(XXH3_state_t **state)
{
	XXH3_freeState(*state);
}

int map_write(const struct map *m, const char *path)
{
	CLEANUP(cleanup_hash) XXH3_state_t *hash = XXH3_createState();
	CLEANUP_FCLOSE FILE *file = NULL;
	CLEANUP_CLOSE int fd = -1;
	char fresh[PATH_MAX];
	int rc = 0;

	if (!hash)
		return fail(ENOMEM, "write map %s", path);
	if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
		return fail(ENAMETOOLONG, "write map %s", path);
	fd = io_open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return fd;
	file = fdopen(fd, "w");
	if (!file)
		return fail(errno, "write map %s", fresh);
	fd = -1;
	XXH3_128bits_reset(hash);
	put_map(&(struct out){.file = file, .hash = hash}, m);
	if (fflush(file) || ferror(file) || fsync(fileno(file)))
		rc = fail(errno, "write map %s", fresh);
	else if (rename(fresh, path))
		rc = fail(errno, "rename %s", fresh);
	if (rc < 0)
		unlink(fresh);
	return rc;
}

/* ---- reading ---- */

struct reader {
	FILE *file;
	const char *name;
	XXH3_state_t *hash;
	struct map *map;
	unsigned line_number;
	char line[LINE_MAX_BYTES];
	char *at; /* the next field of the line, or NULL when all are taken */
};

static int bad(const struct reader *r, const char *what)
{
	return fail_code(EINVAL, "MAP_INVALID", "map %s, line %u: %s", r->name, r->line_number,
			 what);
}

/* The next line without its newline. The last one is not hashed, so hashing is the caller's. */
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
		XXH3_128bits_update(r->hash, r->line, n);
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
	char hex[2 * DIGEST_BYTES + 1];
	const char *text = field(r);

	digest_hex(r->hash, hex);
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
	CLEANUP(cleanup_hash) XXH3_state_t *hash = XXH3_createState();
	struct reader *r = arena_alloc(a, sizeof(*r));
	int rc;

	if (!hash)
		return fail(ENOMEM, "read map %s", name);
	XXH3_128bits_reset(hash);
	*r = (struct reader){.file = file, .name = name, .hash = hash, .map = map_new(a, NULL)};
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
