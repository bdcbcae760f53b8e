/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which kernels a guest can boot and which initramfs images belong to them, by the names that
 * distributions give them; see prep_boot.h. The version is read from the kernel itself, as names
 * like vmlinuz-linux or vmlinuz-0-rescue-ID do not tell it.
 */
#include "prepare/prep_boot.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"

#define KERNEL_HEAD_BYTES 0x8000
#define VERSION_MAX_BYTES 128

/*
 * The release out of a bzImage: the real-mode header's kernel_version at 0x20e points, 0x200 short,
 * to text that starts with it (Documentation/arch/x86/boot.rst).
 */
static const char *release_of(struct arena *a, const uint8_t *head, size_t bytes)
{
	struct cursor c = cursor_of(head, bytes);
	uint16_t place;
	size_t n = 0;

	cursor_skip(&c, 0x202);
	if (memcmp(cursor_ok(&c) ? head + 0x202 : (const uint8_t *)"    ", "HdrS", 4))
		return NULL;
	cursor_skip(&c, 0x20e - 0x202);
	place = cursor_le16(&c);
	c = cursor_of(head, bytes);
	cursor_skip(&c, (size_t)place + 0x200);
	if (place == 0 || !cursor_ok(&c))
		return NULL;
	while (n < cursor_left(&c) && n < VERSION_MAX_BYTES &&
	       (isalnum(c.at[n]) || strchr("._+-~", c.at[n])) && c.at[n])
		n++;
	if (n == 0 || n == VERSION_MAX_BYTES || c.at[0] == '.')
		return NULL;
	return arena_strndup(a, (const char *)c.at, n);
}

static const char *read_release(struct arena *a, const struct guest *g, const char *path)
{
	CLEANUP_CLOSE int fd = guest_open(g, path, O_RDONLY | O_NONBLOCK, 0);
	CLEANUP_FREE uint8_t *head = malloc(KERNEL_HEAD_BYTES);
	struct stat st;

	if (fd < 0 || !head || fstat(fd, &st) || !S_ISREG(st.st_mode) ||
	    st.st_size < KERNEL_HEAD_BYTES)
		return NULL;
	if (io_pread(fd, head, KERNEL_HEAD_BYTES, 0, path) < 0)
		return NULL;
	return release_of(a, head, KERNEL_HEAD_BYTES);
}

static bool same_file(const struct guest *g, const char *x, const char *y)
{
	CLEANUP_CLOSE int a = guest_open(g, x, O_PATH, 0);
	CLEANUP_CLOSE int b = guest_open(g, y, O_PATH, 0);
	struct stat s, t;

	return a >= 0 && b >= 0 && !fstat(a, &s) && !fstat(b, &t) && s.st_dev == t.st_dev &&
	       s.st_ino == t.st_ino;
}

static bool image_is_known(const struct guest *g, const struct boot_kernels *all, const char *path)
{
	for (size_t k = 0; k < all->count; k++)
		for (size_t i = 0; i < all->list[k].image_count; i++)
			if (same_file(g, all->list[k].images[i], path))
				return true;
	return false;
}

static void add_image(struct arena *a, const struct guest *g, const struct boot_kernels *all,
		      struct boot_kernel *k, const char *path)
{
	if (k->image_count == BOOT_IMAGES_MAX || !guest_exists(g, path))
		return;
	for (size_t i = 0; i < k->image_count; i++)
		if (same_file(g, k->images[i], path))
			return;
	if (!image_is_known(g, all, path))
		k->images[k->image_count++] = arena_strdup(a, path);
}

static bool kernel_is_known(const struct guest *g, const struct boot_kernels *all, const char *path)
{
	for (size_t i = 0; i < all->count; i++)
		if (same_file(g, all->list[i].path, path))
			return true;
	return false;
}

/* One kernel file; suffix is the part of its name that its images share. */
static void add_kernel(struct arena *a, const struct guest *g, struct prep_report *r,
		       struct boot_kernels *all, const char *dir, const char *name,
		       const char *suffix)
{
	static const struct {
		const char *before;
		const char *behind;
	} images[] = {
		{"initrd.img-", ""},		 /* Debian, Ubuntu */
		{"initramfs-", ".img"},		 /* Fedora, RHEL, Arch, Gentoo */
		{"initramfs-", "-fallback.img"}, /* Arch */
		{"initrd-", ""},		 /* SUSE */
		{"initrd-", ".img"},		 /* old RHEL, Mageia */
		{"initramfs-", ""},		 /* Alpine */
	};
	const char *path = arena_printf(a, "%s/%s", dir, name);
	const char *release = read_release(a, g, path);
	struct boot_kernel k = {.version = release, .path = path};

	if (strstr(name, "kdump") || kernel_is_known(g, all, path))
		return;
	if (!release) {
		report_note(r->skipped, path, "not a kernel that x86 firmware boots");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		const char *stems[] = {suffix, release};

		for (size_t j = 0; j < ARRAY_SIZE(stems); j++)
			add_image(a, g, all, &k,
				  arena_printf(a, "%s/%s%s%s", dir, images[i].before, stems[j],
					       images[i].behind));
	}
	*arena_push(a, &all->list, &all->count) = k;
}

static int find_in_boot(struct arena *a, const struct guest *g, struct prep_report *r,
			const char *dir, struct boot_kernels *all)
{
	static const char *const prefixes[] = {"vmlinuz-", "kernel-", "bzImage-", "linux-"};
	char **names;
	size_t count;
	int rc = guest_list(g, dir, &names, &count);

	/* Plain "vmlinuz" is a link to one of the others, or Alpine's or a hand-made only one. */
	for (size_t i = 0; rc == 0 && i < count; i++)
		for (size_t j = 0; j < ARRAY_SIZE(prefixes); j++)
			if (!strncmp(names[i], prefixes[j], strlen(prefixes[j])))
				add_kernel(a, g, r, all, dir, names[i],
					   names[i] + strlen(prefixes[j]));
	if (rc == 0 && all->count == 0 && guest_exists(g, arena_printf(a, "%s/vmlinuz", dir)))
		add_kernel(a, g, r, all, dir, "vmlinuz", "vmlinuz");
	guest_free_names(names, count);
	return rc;
}

/* Boot Loader Specification: DIR/<machine id>/<version>/linux with initrd beside it. */
static int find_in_token(struct arena *a, const struct guest *g, const char *dir,
			 struct boot_kernels *all)
{
	char **names;
	size_t count;
	int rc = guest_list(g, dir, &names, &count);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		const char *sub = arena_printf(a, "%s/%s", dir, names[i]);
		const char *path = arena_printf(a, "%s/linux", sub);
		const char *release = guest_exists(g, path) ? read_release(a, g, path) : NULL;
		struct boot_kernel k = {.version = release, .path = path};

		if (!release || kernel_is_known(g, all, path))
			continue;
		add_image(a, g, all, &k, arena_printf(a, "%s/initrd", sub));
		add_image(a, g, all, &k, arena_printf(a, "%s/initrd.img-%s", sub, release));
		*arena_push(a, &all->list, &all->count) = k;
	}
	guest_free_names(names, count);
	return rc;
}

static int find_tokens(struct arena *a, const struct guest *g, const char *dir,
		       struct boot_kernels *all)
{
	char **names;
	size_t count;
	int rc = guest_list(g, dir, &names, &count);

	for (size_t i = 0; rc == 0 && i < count; i++)
		if (strlen(names[i]) == 32 && strspn(names[i], "0123456789abcdef") == 32)
			rc = find_in_token(a, g, arena_printf(a, "%s/%s", dir, names[i]), all);
	guest_free_names(names, count);
	return rc;
}

/* A unified kernel image is one signed file; nothing can be appended to what it holds. */
static int warn_unified(struct arena *a, const struct guest *g, struct prep_report *r,
			const char *esp)
{
	const char *dir = arena_printf(a, "%s/EFI/Linux", esp);
	char **names;
	size_t count;
	int rc = guest_list(g, dir, &names, &count);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		size_t n = strlen(names[i]);

		if (n > 4 && strcmp(names[i] + n - 4, ".efi") == 0)
			report_warn(r, "UKI_NOT_EXTENDED", names[i],
				    "a unified kernel image cannot be extended; make sure that it "
				    "was built with virtio drivers, or boot another kernel");
	}
	guest_free_names(names, count);
	return rc;
}

int boot_kernels_find(struct arena *a, const struct guest *g, struct prep_report *r,
		      struct boot_kernels *out)
{
	static const char *const bases[] = {"/boot", "/boot/efi", "/efi"};
	int rc;

	*out = (struct boot_kernels){0};
	rc = find_in_boot(a, g, r, "/boot", out);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(bases); i++) {
		rc = find_tokens(a, g, bases[i], out);
		if (rc == 0)
			rc = warn_unified(a, g, r, bases[i]);
	}
	return rc;
}
