/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's kernels, their drivers and initramfs images, and its boot loader's files. */
#include "inventory/inv_guest.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

#define INDEX_MAX_BYTES	 (16 * MIB)
#define CONFIG_MAX_BYTES (4 * MIB)

/* What a target needs to reach its disks and network, and what the source may have needed. */
static const char *const drivers[] = {
	"virtio",
	"virtio_ring",
	"virtio_pci",
	"virtio_blk",
	"virtio_scsi",
	"virtio_net",
	"nvme",
	"ahci",
	"sd_mod",
	"dm_mod",
	"ext4",
	"xfs",
	"btrfs",
	"vfat",
	"md_mod",
	"raid1",
	"virtio_pci_modern_dev",
	"net_failover",
	"failover",
};

static const char *const kernel_prefixes[] = {"vmlinuz-", "vmlinux-", "kernel-", "bzImage-",
					      "linux-"};
/* %s is the kernel's version. */
static const char *const initramfs_forms[] = {"initrd.img-%s", "initramfs-%s.img", "initrd-%s",
					      "initramfs-%s", "initramfs-genkernel-x86_64-%s"};

static const char *const efi_dirs[] = {"/boot/efi/EFI", "/efi/EFI", "/boot/EFI"};

static json_t *modules(const struct inv_guest *g, const char *version)
{
	char path[PATH_MAX];
	const char *builtin, *dep;
	json_t *j = json_object();

	snprintf(path, sizeof(path), "/lib/modules/%s/modules.builtin", version);
	builtin = inv_guest_text(g, path, INDEX_MAX_BYTES);
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", version);
	dep = inv_guest_text(g, path, INDEX_MAX_BYTES);
	if (!builtin && !dep) {
		json_decref(j);
		return json_null();
	}
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		json_object_set_new(
			j, drivers[i],
			json_string(builtin && inv_has_module(builtin, drivers[i]) ? "builtin"
				    : dep && inv_has_module(dep, drivers[i])	   ? "module"
										   : "absent"));
	return j;
}

static json_t *initramfs_of(const struct inv_guest *g, const char *version)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(initramfs_forms); i++) {
		char name[NAME_MAX + 1], path[PATH_MAX];
		const char *at = strstr(initramfs_forms[i], "%s");

		snprintf(name, sizeof(name), "%.*s%.200s%s", (int)(at - initramfs_forms[i]),
			 initramfs_forms[i], version, at + 2);
		snprintf(path, sizeof(path), "/boot/%s", name);
		if (inv_guest_has(g, path))
			json_array_append_new(list, inv_text(path));
	}
	return list;
}

static json_t *kernel(const struct inv_guest *g, const char *image, const char *version)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "version", inv_text(version), "image",
			 inv_text(image), "initramfs", initramfs_of(g, version), "modules",
			 modules(g, version));
}

json_t *inv_kernels(const struct inv_guest *g)
{
	json_t *list = json_array();
	const char **names;
	size_t count = inv_guest_names(g, "/boot", &names);

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < ARRAY_SIZE(kernel_prefixes); k++) {
			size_t n = strlen(kernel_prefixes[k]);

			if (strncmp(names[i], kernel_prefixes[k], n) || !names[i][n] ||
			    strlen(names[i]) > 200)
				continue;
			json_array_append_new(
				list, kernel(g, arena_printf(g->arena, "/boot/%s", names[i]),
					     names[i] + n));
		}
	return list;
}

static const char *first_of(const struct inv_guest *g, const char *const paths[])
{
	for (; *paths; paths++)
		if (inv_guest_has(g, *paths))
			return *paths;
	return NULL;
}

static bool ends_in_efi(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && (!strcmp(name + n - 4, ".efi") || !strcmp(name + n - 4, ".EFI"));
}

/* Loaders on the EFI system partition, two levels down: EFI/debian/grubx64.efi. */
static json_t *efi_loaders(const struct inv_guest *g)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(efi_dirs); i++) {
		const char **vendors, **files;
		size_t n = inv_guest_names(g, efi_dirs[i], &vendors);

		for (size_t k = 0; k < n; k++) {
			const char *dir = arena_printf(g->arena, "%s/%s", efi_dirs[i], vendors[k]);
			size_t m = inv_guest_names(g, dir, &files);

			for (size_t f = 0; f < m; f++)
				if (ends_in_efi(files[f]))
					json_array_append_new(
						list, inv_text(arena_printf(g->arena, "%s/%s", dir,
									    files[f])));
		}
	}
	return list;
}

json_t *inv_boot_loader(const struct inv_guest *g)
{
	static const struct {
		const char *kind;
		const char *paths[4];
	} kinds[] = {
		{"grub2", {"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg"}},
		{"systemd-boot",
		 {"/boot/loader/loader.conf", "/efi/loader/loader.conf",
		  "/boot/efi/loader/loader.conf"}},
		{"extlinux", {"/boot/extlinux/extlinux.conf", "/boot/extlinux.conf"}},
		{"grub-legacy", {"/boot/grub/menu.lst", "/boot/grub/grub.conf"}},
		{"lilo", {"/etc/lilo.conf"}},
	};
	const char *kind = NULL, *config = NULL, *text = NULL;
	json_t *entries;

	for (size_t i = 0; !config && i < ARRAY_SIZE(kinds); i++) {
		config = first_of(g, kinds[i].paths);
		kind = config ? kinds[i].kind : NULL;
	}
	if (kind && !strcmp(kind, "grub2"))
		text = inv_guest_text(g, config, CONFIG_MAX_BYTES);
	entries = text ? inv_grub_entries(g->arena, text) : json_array();
	return json_pack("{s:o, s:o, s:o, s:o}", "kind", inv_text(kind), "config", inv_text(config),
			 "entries", entries, "efi", efi_loaders(g));
}
