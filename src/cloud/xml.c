/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small strict reader of XML; see xml.h. */
#include "cloud/xml.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"

#define DEPTH_MAX 16
#define NODES_MAX 200000

struct reader {
	struct cursor c;
	struct arena *a;
	size_t nodes;
};

static int bad(const char *why)
{
	return fail(EBADMSG, "the reply is not proper XML: %s", why);
}

static int peek(const struct reader *r)
{
	return cursor_left(&r->c) ? *r->c.at : -1;
}

static bool take(struct reader *r, const char *text)
{
	size_t n = strlen(text);

	if (cursor_left(&r->c) < n || memcmp(r->c.at, text, n) != 0)
		return false;
	cursor_skip(&r->c, n);
	return true;
}

static bool is_space(int ch)
{
	return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

static void skip_space(struct reader *r)
{
	while (is_space(peek(r)))
		cursor_skip(&r->c, 1);
}

static bool skip_past(struct reader *r, const char *end)
{
	const uint8_t *found = memmem(r->c.at, cursor_left(&r->c), end, strlen(end));

	if (!found)
		return false;
	cursor_skip(&r->c, (size_t)(found - r->c.at) + strlen(end));
	return true;
}

/* Comments and processing instructions, and the blanks between. */
static int skip_misc(struct reader *r)
{
	for (;;) {
		skip_space(r);
		if (take(r, "<!--")) {
			if (!skip_past(r, "-->"))
				return bad("a comment without an end");
		} else if (take(r, "<?")) {
			if (!skip_past(r, "?>"))
				return bad("an instruction without an end");
		} else {
			return 0;
		}
	}
}

static bool is_name(int ch)
{
	return (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') ||
	       ch == '_' || ch == '-' || ch == '.' || ch == ':';
}

/* NULL when there is none. */
static const char *read_name(struct reader *r)
{
	const char *start = (const char *)r->c.at;
	const char *name, *colon;
	size_t n = 0;

	while (n < cursor_left(&r->c) && is_name((unsigned char)start[n]))
		n++;
	if (n == 0)
		return NULL;
	name = arena_strndup(r->a, start, n);
	cursor_skip(&r->c, n);
	colon = strrchr(name, ':');
	return colon ? colon + 1 : name;
}

static size_t put_utf8(char *to, unsigned long ch)
{
	if (ch < 0x80) {
		to[0] = (char)ch;
		return 1;
	}
	if (ch < 0x800) {
		to[0] = (char)(0xc0 | ch >> 6);
		to[1] = (char)(0x80 | (ch & 63));
		return 2;
	}
	if (ch < 0x10000) {
		to[0] = (char)(0xe0 | ch >> 12);
		to[1] = (char)(0x80 | (ch >> 6 & 63));
		to[2] = (char)(0x80 | (ch & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | ch >> 18);
	to[1] = (char)(0x80 | (ch >> 12 & 63));
	to[2] = (char)(0x80 | (ch >> 6 & 63));
	to[3] = (char)(0x80 | (ch & 63));
	return 4;
}

/* "&name;" at s, n bytes with both ends; 0 when there is no such entity. */
static size_t put_entity(char *to, const char *s, size_t n)
{
	static const struct {
		const char *name;
		char ch;
	} known[] = {
		{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}};
	bool hex = n > 3 && (s[2] == 'x' || s[2] == 'X');
	unsigned long ch = 0;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i].name) == n && memcmp(known[i].name, s, n) == 0) {
			*to = known[i].ch;
			return 1;
		}
	}
	if (n < 4 || s[1] != '#')
		return 0;
	for (size_t i = hex ? 3 : 2; i + 1 < n; i++) {
		unsigned char d = (unsigned char)s[i];
		unsigned v = d >= '0' && d <= '9'	   ? d - '0'
			     : hex && d >= 'a' && d <= 'f' ? d - 'a' + 10
			     : hex && d >= 'A' && d <= 'F' ? d - 'A' + 10
							   : 99;
		if (v == 99 || ch > 0x10ffff)
			return 0;
		ch = ch * (hex ? 16 : 10) + v;
	}
	if (ch == 0 || ch > 0x10ffff || (ch >= 0xd800 && ch < 0xe000))
		return 0;
	return put_utf8(to, ch);
}

/* Characters up to the next '<'. The decoded text is never longer than the encoded. */
static int read_text(struct reader *r, const char **out)
{
	const char *s = (const char *)r->c.at;
	const char *end = memchr(s, '<', cursor_left(&r->c));
	char *text, *to;

	if (!end)
		return bad("text without an end");
	text = to = arena_alloc(r->a, (size_t)(end - s) + 1);
	while (s < end) {
		const char *stop;
		size_t n;

		if (*s == '\0')
			return bad("a zero byte");
		if (*s != '&') {
			*to++ = *s++;
			continue;
		}
		stop = memchr(s, ';', (size_t)(end - s));
		n = stop ? put_entity(to, s, (size_t)(stop - s) + 1) : 0;
		if (n == 0)
			return bad("an unknown entity");
		to += n;
		s = stop + 1;
	}
	cursor_skip(&r->c, (size_t)((const uint8_t *)end - r->c.at));
	*out = text;
	return 0;
}

/* Behind the name of a start tag; *empty for "/>". */
static int skip_attributes(struct reader *r, bool *empty)
{
	for (;;) {
		int quote;

		skip_space(r);
		if (take(r, ">") || (*empty = take(r, "/>")))
			return 0;
		if (!read_name(r))
			return bad("a tag without an end");
		skip_space(r);
		if (!take(r, "="))
			return bad("an attribute without a value");
		skip_space(r);
		quote = peek(r);
		if (quote != '"' && quote != '\'')
			return bad("an attribute without quotes");
		cursor_skip(&r->c, 1);
		if (!skip_past(r, quote == '"' ? "\"" : "'"))
			return bad("an attribute without an end");
	}
}

static int read_element(struct reader *r, unsigned depth, struct xml_node **out);

static int read_content(struct reader *r, unsigned depth, struct xml_node *node)
{
	struct xml_node **last = &node->first;
	const char *text = "";
	int rc;

	for (;;) {
		rc = read_text(r, &text);
		if (rc < 0)
			return rc;
		if (take(r, "<!--")) {
			if (!skip_past(r, "-->"))
				return bad("a comment without an end");
			continue;
		}
		if (take(r, "</"))
			break;
		rc = read_element(r, depth + 1, last);
		if (rc < 0)
			return rc;
		last = &(*last)->next;
	}
	if (!node->first)
		node->text = text;
	text = read_name(r);
	skip_space(r);
	if (!text || strcmp(text, node->name) != 0 || !take(r, ">"))
		return bad("an element that another one ends");
	return 0;
}

static int read_element(struct reader *r, unsigned depth, struct xml_node **out)
{
	struct xml_node *node = arena_alloc(r->a, sizeof(*node));
	bool empty = false;
	int rc;

	node->text = "";
	if (depth > DEPTH_MAX || ++r->nodes > NODES_MAX)
		return bad("too deep or too large");
	if (!take(r, "<"))
		return bad("no element");
	node->name = read_name(r);
	if (!node->name)
		return bad("an element without a name");
	rc = skip_attributes(r, &empty);
	if (rc == 0 && !empty)
		rc = read_content(r, depth, node);
	*out = node;
	return rc;
}

int xml_parse(struct arena *a, const char *data, size_t bytes, struct xml_node **root)
{
	struct reader r = {.c = cursor_of(data, bytes), .a = a};
	int rc;

	(void)take(&r, "\xef\xbb\xbf");
	rc = skip_misc(&r);
	if (rc == 0)
		rc = read_element(&r, 0, root);
	if (rc == 0)
		rc = skip_misc(&r);
	if (rc == 0 && cursor_left(&r.c))
		rc = bad("something behind the end");
	return rc;
}

const struct xml_node *xml_child(const struct xml_node *node, const char *name)
{
	const struct xml_node *n = node ? node->first : NULL;

	while (n && strcmp(n->name, name) != 0)
		n = n->next;
	return n;
}

const struct xml_node *xml_same(const struct xml_node *node)
{
	const struct xml_node *n = node->next;

	while (n && strcmp(n->name, node->name) != 0)
		n = n->next;
	return n;
}

const char *xml_text(const struct xml_node *node, const char *name)
{
	const struct xml_node *n = xml_child(node, name);

	return n ? n->text : "";
}
