/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Firmware, processor, memory, maker, network cards: what sysfs and procfs say. */
#include "inventory/inv.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"

#define PROC_MAX_BYTES (4u << 20)

/* The value behind "key : value" in the text of a procfs file, its first occurrence. */
static const char *proc_value(struct arena *a, const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		const char *p;

		line += *line == '\n';
		p = line + n;
		if (strncmp(line, key, n))
			continue;
		p += strspn(p, " \t");
		if (*p != ':')
			continue;
		p++;
		p += strspn(p, " \t");
		return arena_strndup(a, p, strcspn(p, "\n"));
	}
	return NULL;
}

/* A word of the flags that the processor has, or that a hypervisor shows in its place. */
static bool has_flag(const char *flags, const char *word)
{
	const char *at = flags ? strstr(flags, word) : NULL;
	size_t n = strlen(word);

	return at && (at == flags || at[-1] == ' ') && (at[n] == ' ' || !at[n]);
}

static json_t *cpu(const struct inv *inv, bool *is_virtual)
{
	char path[PATH_MAX];
	CLEANUP_FREE char *text = NULL;
	const char *model = NULL;
	unsigned threads = 0;

	*is_virtual = false;
	if (io_read_file(inv_path(inv, path, "/proc/cpuinfo"), PROC_MAX_BYTES, &text, NULL) == 0) {
		model = proc_value(inv->arena, text, "model name");
		*is_virtual = has_flag(proc_value(inv->arena, text, "flags"), "hypervisor");
	}
	for (const char *p = text; p && (p = strstr(p, "processor\t")); p++)
		threads += p == text || p[-1] == '\n';
	return json_pack("{s:o, s:i}", "model", inv_text(model), "threads", (int)threads);
}

static uint64_t memory_bytes(const struct inv *inv)
{
	char path[PATH_MAX];
	CLEANUP_FREE char *text = NULL;
	const char *value = NULL;

	if (io_read_file(inv_path(inv, path, "/proc/meminfo"), PROC_MAX_BYTES, &text, NULL) == 0)
		value = proc_value(inv->arena, text, "MemTotal");
	return value ? strtoull(value, NULL, 10) * KIB : 0;
}

int inv_machine(struct inv *inv)
{
	struct utsname uts;
	char path[PATH_MAX];
	struct stat st;
	bool uefi = stat(inv_path(inv, path, "/sys/firmware/efi"), &st) == 0, is_virtual;
	json_t *m, *processor;

	if (uname(&uts))
		return fail(errno, "ask the kernel for its name");
	processor = cpu(inv, &is_virtual);
	m = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "firmware",
		      uefi ? "uefi" : "bios", "architecture", uts.machine, "cpu", processor,
		      "memory_bytes", json_u64(memory_bytes(inv)), "vendor",
		      inv_text(inv_line(inv, "/sys/class/dmi/id/sys_vendor")), "product",
		      inv_text(inv_line(inv, "/sys/class/dmi/id/product_name")), "serial",
		      inv_text(inv_line(inv, "/sys/class/dmi/id/product_serial")), "uuid",
		      inv_text(inv_line(inv, "/sys/class/dmi/id/product_uuid")), "virtual",
		      is_virtual);
	return m && json_object_set_new(inv->json, "machine", m) == 0
		       ? 0
		       : fail(ENOMEM, "memory for what machine this is");
}

/* "0000:00:1f.2": the last such part of a device's path. */
static const char *pci_address(struct arena *a, const char *path)
{
	const char *found = NULL;

	for (const char *p = path; (p = strchr(p, '/'));) {
		unsigned domain, bus, slot, function;
		int end = 0;

		p++;
		if (sscanf(p, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) == 4 &&
		    end >= 12 && (p[end] == '/' || !p[end]))
			found = arena_strndup(a, p, (size_t)end);
	}
	return found;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static json_t *nic(const struct inv *inv, const char *name)
{
	char path[PATH_MAX], device[PATH_MAX], driver[PATH_MAX];
	const char *carrier = inv_line(inv, "/sys/class/net/%s/carrier", name);
	uint64_t speed = 0, assigned = 0;
	json_t *j;

	/* Only cards have a device; bonds, bridges and the loopback have none. */
	if (!realpath(inv_path(inv, path, "/sys/class/net/%s/device", name), device))
		return NULL;
	if (!realpath(inv_path(inv, path, "/sys/class/net/%s/device/driver", name), driver))
		driver[0] = '\0';
	j = json_pack("{s:o, s:o, s:o, s:o}", "name", inv_text(name), "mac",
		      inv_text(inv_line(inv, "/sys/class/net/%s/address", name)), "driver",
		      inv_text(*driver ? last_part(driver) : NULL), "pci",
		      inv_text(pci_address(inv->arena, device)));
	/* NET_ADDR_RANDOM: the card has no address of its own. */
	inv_number(inv, &assigned, "/sys/class/net/%s/addr_assign_type", name);
	json_object_set_new(j, "mac_random", json_boolean(assigned == 1));
	json_object_set_new(j, "usb", json_boolean(strstr(device, "/usb") != NULL));
	json_object_set_new(j, "link", carrier ? json_boolean(*carrier == '1') : json_null());
	if (inv_number(inv, &speed, "/sys/class/net/%s/speed", name) && speed < UINT32_MAX)
		json_object_set_new(j, "speed_mbit", json_u64(speed));
	else
		json_object_set_new(j, "speed_mbit", json_null());
	return j;
}

int inv_nics(struct inv *inv)
{
	json_t *list = json_array();
	struct dirent **entries = NULL;
	char path[PATH_MAX];
	int n = scandir(inv_path(inv, path, "/sys/class/net"), &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		json_t *j = entries[i]->d_name[0] == '.' ? NULL : nic(inv, entries[i]->d_name);

		if (j)
			json_array_append_new(list, j);
		free(entries[i]);
	}
	free(entries);
	return json_object_set_new(inv->json, "nics", list)
		       ? fail(ENOMEM, "memory for the network cards")
		       : 0;
}
