/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fstab as text; see prep_fstab.h. */
#include "prepare/prep_fstab.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* getmntent(3): \040 and the like. False when it does not fit. */
static bool unescape(const char *field, size_t bytes, char *out)
{
	size_t to = 0;

	for (size_t i = 0; i < bytes; i++) {
		char c = field[i];

		if (c == '\\' && i + 3 < bytes && is_octal(field[i + 1]) &&
		    is_octal(field[i + 2]) && is_octal(field[i + 3])) {
			c = (char)((field[i + 1] - '0') << 6 | (field[i + 2] - '0') << 3 |
				   (field[i + 3] - '0'));
			i += 3;
		}
		if (to + 1 >= FSTAB_FIELD_MAX || c == '\0')
			return false;
		out[to++] = c;
	}
	out[to] = '\0';
	return true;
}

/* Fields of one line. spec_at and spec_bytes say where the first one stands. False for a comment,
 * an empty line, or one that is not an entry. */
static bool parse_line(const char *line, size_t bytes, struct fstab_entry *e, size_t *spec_at,
		       size_t *spec_bytes)
{
	char *const fields[] = {e->spec, e->file, e->type, e->options};
	size_t at = 0;

	for (size_t f = 0; f < ARRAY_SIZE(fields); f++) {
		size_t start;

		while (at < bytes && is_blank(line[at]))
			at++;
		start = at;
		if (f == 0 && (at == bytes || line[at] == '#'))
			return false;
		while (at < bytes && !is_blank(line[at]))
			at++;
		fields[f][0] = '\0';
		if (!unescape(line + start, at - start, fields[f]))
			return false;
		/* Options may be missing; the other three may not. */
		if (f < 3 && at == start)
			return false;
		if (f == 0) {
			*spec_at = start;
			*spec_bytes = at - start;
		}
	}
	return true;
}

static int text_put(struct buffer *t, const char *data, size_t bytes)
{
	return buffer_add(t, data, bytes, "fstab");
}

static int rewrite_line(struct buffer *t, const char *line, size_t bytes, unsigned number,
			fstab_rewrite_fn fn, void *ctx, unsigned *changed)
{
	CLEANUP_FREE struct fstab_entry *e = calloc(1, sizeof(*e));
	char fresh[FSTAB_FIELD_MAX] = "";
	size_t spec_at = 0, spec_bytes = 0;
	int rc = 0;

	if (!e)
		return fail(ENOMEM, "memory for fstab");
	e->line = number;
	if (parse_line(line, bytes, e, &spec_at, &spec_bytes))
		rc = fn(ctx, e, fresh);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return text_put(t, line, bytes);
	++*changed;
	rc = text_put(t, line, spec_at);
	if (rc == 0)
		rc = text_put(t, fresh, strlen(fresh));
	if (rc == 0)
		rc = text_put(t, line + spec_at + spec_bytes, bytes - spec_at - spec_bytes);
	return rc;
}

int fstab_rewrite(const char *text, size_t bytes, fstab_rewrite_fn fn, void *ctx, char **out,
		  size_t *out_bytes, unsigned *changed)
{
	struct buffer t = {0};
	unsigned number = 0;
	int rc;

	*changed = 0;
	if (bytes > FSTAB_MAX_BYTES)
		return fail(EFBIG, "fstab of %zu bytes", bytes);
	rc = text_put(&t, "", 0);
	for (size_t at = 0; rc == 0 && at < bytes;) {
		const char *end = memchr(text + at, '\n', bytes - at);
		size_t line_bytes = end ? (size_t)(end - text) - at : bytes - at;

		rc = rewrite_line(&t, text + at, line_bytes, ++number, fn, ctx, changed);
		if (rc == 0 && end)
			rc = text_put(&t, "\n", 1);
		at += line_bytes + (end != NULL);
	}
	if (rc < 0) {
		free(t.data);
		return rc;
	}
	*out = t.data;
	*out_bytes = t.used;
	return 0;
}

/* Digits to the end; 0 when there are none or other things follow. */
static unsigned tail_number(const char *text)
{
	uint64_t n;

	return num_parse(text, 1, 1024, &n) == 0 ? (unsigned)n : 0;
}

static void set_disk(struct fstab_ref *r, const char *text, size_t bytes)
{
	if (bytes >= sizeof(r->disk)) {
		r->kind = FSTAB_STAYS;
		return;
	}
	memcpy(r->disk, text, bytes);
	r->disk[bytes] = '\0';
}

/* sda1, vdb, xvda2, hdc3: letters, then the partition. */
static bool parse_lettered(const char *name, struct fstab_ref *r)
{
	static const char *const prefixes[] = {"sd", "hd", "vd", "xvd", "ubd"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t n = strlen(prefixes[i]), letters = 0;

		if (strncmp(name, prefixes[i], n))
			continue;
		while (islower((unsigned char)name[n + letters]))
			letters++;
		r->partition = tail_number(name + n + letters);
		if (letters == 0 || letters > 4 || (name[n + letters] && !r->partition))
			continue;
		r->kind = FSTAB_BY_NAME;
		set_disk(r, name, n + letters);
		return true;
	}
	return false;
}

/* nvme0n1p2, mmcblk0p1, cciss/c0d0p1: a number, then perhaps "p" and the partition. */
static bool parse_numbered(const char *name, struct fstab_ref *r)
{
	static const char *const shapes[] = {"nvme#n#", "mmcblk#", "cciss/c#d#", "nbd#",
					     "ida/c#d#"};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		const char *p = name, *s;

		for (s = shapes[i]; *s; s++) {
			if (*s != '#' ? *p != *s : !isdigit((unsigned char)*p))
				break;
			p++;
			while (*s == '#' && isdigit((unsigned char)*p))
				p++;
		}
		if (*s)
			continue;
		r->partition = *p == 'p' ? tail_number(p + 1) : 0;
		if (*p && !r->partition)
			continue;
		r->kind = FSTAB_BY_NAME;
		set_disk(r, name, (size_t)(p - name));
		return true;
	}
	return false;
}

static void parse_linked(const char *name, enum fstab_ref_kind kind, struct fstab_ref *r)
{
	const char *part = NULL;

	/* dm-uuid-..., dm-name-..., lvm-pv-uuid-..., md-uuid-...: named after content, not disks.
	 */
	if (!strncmp(name, "dm-", 3) || !strncmp(name, "lvm-", 4) || !strncmp(name, "md-", 3))
		return;
	for (const char *p = strstr(name, "-part"); p; p = strstr(p + 1, "-part"))
		part = p;
	r->kind = kind;
	r->partition = part ? tail_number(part + 5) : 0;
	set_disk(r, name, r->partition ? (size_t)(part - name) : strlen(name));
}

void fstab_ref_parse(const char *spec, struct fstab_ref *out)
{
	*out = (struct fstab_ref){.kind = FSTAB_STAYS};
	if (strncmp(spec, "/dev/", 5))
		return;
	spec += 5;
	if (strncmp(spec, "disk/by-id/", 11) == 0)
		parse_linked(spec + 11, FSTAB_BY_ID, out);
	else if (strncmp(spec, "disk/by-path/", 13) == 0)
		parse_linked(spec + 13, FSTAB_BY_PATH, out);
	else if (!parse_lettered(spec, out))
		parse_numbered(spec, out);
}
