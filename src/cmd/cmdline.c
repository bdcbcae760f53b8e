/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel command line; see cmdline.h. */
#include "cmd/cmdline.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next word without its quotes, or NULL at the end. Quotes protect blanks and go away, as in
 * the kernel. */
static char *next_word(struct arena *a, const char **text)
{
	const char *p = *text;
	bool quoted = false;
	char *word, *out;

	while (is_blank(*p))
		p++;
	if (!*p)
		return NULL;
	word = out = arena_alloc(a, strlen(p) + 1);
	for (; *p && (quoted || !is_blank(*p)); p++) {
		if (*p == '"')
			quoted = !quoted;
		else
			*out++ = *p;
	}
	*out = '\0';
	*text = p;
	return word;
}

static int set_exit(const char *value, enum cmdline_exit *out)
{
	static const char *const names[] = {"shell", "poweroff", "reboot"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			*out = (enum cmdline_exit)i;
			return 0;
		}
	}
	return fail_code(EINVAL, "CMDLINE_INVALID",
			 "coldlift.exit=%s: must be poweroff, reboot or shell", value);
}

static int set_mode(const char *value, const char **out)
{
	if (strcmp(value, "migrate") && strcmp(value, "receive") && strcmp(value, "shell"))
		return fail_code(EINVAL, "CMDLINE_INVALID",
				 "coldlift.mode=%s: must be migrate, receive or shell", value);
	*out = value;
	return 0;
}

static int set_key(struct cmdline *c, const char *key, const char *value)
{
	if (strcmp(key, "exit") == 0)
		return set_exit(value, &c->exit);
	if (strcmp(key, "mode") == 0)
		return set_mode(value, &c->mode);
	if (strcmp(key, "activation") == 0)
		c->activation = value;
	else if (strcmp(key, "job") == 0)
		c->job = value;
	else if (strcmp(key, "allow") == 0)
		c->allow = value;
	else if (strcmp(key, "progress") == 0)
		c->progress = value;
	else if (strcmp(key, "device") == 0)
		c->device = value;
	else
		return fail_code(EINVAL, "CMDLINE_INVALID",
				 "coldlift.%s= is not a key that is known", key);
	return 0;
}

int cmdline_parse(struct arena *a, const char *text, struct cmdline *out)
{
	static const char prefix[] = "coldlift.";
	char *word;

	*out = (struct cmdline){.mode = "migrate"};
	while ((word = next_word(a, &text))) {
		char *equals = strchr(word, '=');
		int rc;

		if (strncmp(word, prefix, strlen(prefix)) != 0)
			continue;
		if (!equals)
			return fail_code(EINVAL, "CMDLINE_INVALID", "%s: a value is missing", word);
		*equals = '\0';
		rc = set_key(out, word + strlen(prefix), equals + 1);
		if (rc < 0)
			return rc;
	}
	return 0;
}
