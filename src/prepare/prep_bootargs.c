/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel arguments that name a disk by the order in which some kernel found it. They are told, not
 * changed: see prep_bootargs.h.
 */
#include "prepare/prep_bootargs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "prepare/prep_fstab.h"

#define CONFIG_MAX_BYTES ((size_t)4 << 20)
#define WORDS_MAX	 16

struct seen {
	char words[WORDS_MAX][FSTAB_DEVICE_MAX];
	size_t count;
};

static bool is_fresh(struct seen *s, const char *word)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->words[i], word) == 0)
			return false;
	if (s->count == WORDS_MAX)
		return false;
	snprintf(s->words[s->count++], FSTAB_DEVICE_MAX, "%s", word);
	return true;
}

void bootargs_by_name(const char *text, bootargs_fn fn, void *ctx)
{
	static const char *const keys[] = {"root=", "resume="};
	CLEANUP_FREE struct seen *seen = calloc(1, sizeof(*seen));

	while (seen && *text) {
		size_t n;
		char word[FSTAB_DEVICE_MAX];

		text += strspn(text, " \t\n\"'");
		n = strcspn(text, " \t\n\"'");
		if (n < sizeof(word)) {
			memcpy(word, text, n);
			word[n] = '\0';
			for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
				size_t k = strlen(keys[i]);
				struct fstab_ref ref = {0};

				if (strncmp(word, keys[i], k) == 0)
					fstab_ref_parse(word + k, &ref);
				if (ref.kind != FSTAB_STAYS && is_fresh(seen, word))
					fn(ctx, word);
			}
		}
		text += n;
	}
}

struct finding {
	struct prep_report *report;
	const char *path;
};

static void warn_word(void *ctx, const char *word)
{
	const struct finding *f = ctx;

	report_warn(
		f->report, "BOOT_ARGS_BY_NAME", f->path,
		"the kernel is started with %s, a name that the target's disks do not have; "
		"use UUID= on the source (GRUB_DISABLE_LINUX_UUID, update-grub), or change it on "
		"the copy",
		word);
}

static int check_file(const struct guest *g, struct prep_report *r, const char *path)
{
	struct finding f = {.report = r, .path = path};
	CLEANUP_FREE char *text = NULL;
	int rc = guest_read(g, path, CONFIG_MAX_BYTES, &text, NULL);

	if (rc == -ENOENT || rc == -ENOTDIR)
		return 0;
	if (rc == 0)
		bootargs_by_name(text, warn_word, &f);
	return rc;
}

int bootargs_check(const struct guest *g, struct prep_report *r)
{
	static const char *const files[] = {"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg",
					    "/boot/grub/menu.lst", "/boot/grub/grub.conf",
					    "/etc/kernel/cmdline"};
	static const char entries[] = "/boot/loader/entries";
	char **names = NULL;
	size_t count = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(files); i++)
		rc = check_file(g, r, files[i]);
	if (rc == 0)
		rc = guest_list(g, entries, &names, &count);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", entries, names[i]);
		rc = check_file(g, r, path);
	}
	guest_free_names(names, count);
	return rc;
}
