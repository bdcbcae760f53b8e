/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which disks the machine has, and what sysfs says of each. */
#include "inventory/inv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"

#define VPD_MAX_BYTES	 260
#define ISO_LABEL_OFFSET (32768 + 40)
#define ISO_LABEL_BYTES	 32
#define COMPARE_BYTES	 (64 * KIB)
#define COMPARE_BLOCKS	 64

/* Made by the kernel or by us, or no disk of the machine. */
static const char *const not_disks[] = {"zram", "loop", "ram", "sr",	  "fd",
					"dm-",	"md",	"nbd", "mtdblock"};

static const struct {
	const char *in_path;
	const char *transport;
} transports[] = {
	{"/usb", "usb"},       {"/virtio", "virtio"},	{"/nvme", "nvme"},    {"/rport-", "fc"},
	{"/session", "iscsi"}, {"/end_device-", "sas"}, {"/ata", "sata"},     {"/vbd-", "xen"},
	{"/mmc", "mmc"},       {"/VMBUS:", "hyperv"},	{"/vmbus", "hyperv"}, {"/host", "scsi"},
};

static bool is_ignored(const struct inv *inv, const char *name)
{
	if (name[0] == '.')
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(not_disks); i++)
		if (!strncmp(name, not_disks[i], strlen(not_disks[i])))
			return true;
	/* eMMC's boot areas are disks to the kernel, and not to anybody else. */
	if (!strncmp(name, "mmcblk", 6) && (strstr(name, "boot") || strstr(name, "rpmb")))
		return true;
	for (size_t i = 0; i < inv->options->ignore_count; i++)
		if (!strcmp(name, inv->options->ignore[i]))
			return true;
	return false;
}

static const char *transport(const struct inv *inv, const char *name)
{
	char path[PATH_MAX], real[PATH_MAX];

	if (!realpath(inv_path(inv, path, "/sys/block/%s", name), real))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(transports); i++)
		if (strstr(real, transports[i].in_path))
			return transports[i].transport;
	return NULL;
}

/* SCSI's page 0x80 is the unit's serial number behind four bytes of head. */
static const char *vpd_serial(const struct inv *inv, const char *name)
{
	char path[PATH_MAX], *text;
	CLEANUP_FREE char *data = NULL;
	size_t bytes = 0, n;

	if (io_read_file(inv_path(inv, path, "/sys/block/%s/device/vpd_pg80", name), VPD_MAX_BYTES,
			 &data, &bytes) < 0 ||
	    bytes <= 4)
		return NULL;
	text = data + 4;
	text += strspn(text, " ");
	n = strlen(text);
	while (n && text[n - 1] == ' ')
		n--;
	return n ? arena_strndup(inv->arena, text, n) : NULL;
}

static const char *serial(const struct inv *inv, const char *name)
{
	const char *s = inv_line(inv, "/sys/block/%s/device/serial", name);

	if (!s)
		s = inv_line(inv, "/sys/block/%s/serial", name);
	return s ? s : vpd_serial(inv, name);
}

const char *inventory_serial(struct arena *a, const char *name)
{
	const struct inv inv = {.arena = a, .root = ""};
	CLEANUP_JSON json_t *text = inv_text(serial(&inv, name));

	return json_is_string(text) ? arena_strdup(a, json_string_value(text)) : NULL;
}

static const char *wwid(const struct inv *inv, const char *name)
{
	const char *w = inv_line(inv, "/sys/block/%s/device/wwid", name);

	return w ? w : inv_line(inv, "/sys/block/%s/wwid", name);
}

/* "no" where sysfs does not tell. */
static bool flag(const struct inv *inv, const char *name, const char *what)
{
	uint64_t n = 0;

	return inv_number(inv, &n, "/sys/block/%s/%s", name, what) && n;
}

static json_t *describe(struct inv *inv, struct inv_disk *d)
{
	uint64_t physical = d->sector_bytes;

	inv_number(inv, &physical, "/sys/block/%s/queue/physical_block_size", d->name);
	d->wwid = wwid(inv, d->name);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b}", "name",
			 inv_text(d->name), "path", inv_text(d->path), "vendor",
			 inv_text(inv_line(inv, "/sys/block/%s/device/vendor", d->name)), "model",
			 inv_text(inv_line(inv, "/sys/block/%s/device/model", d->name)), "serial",
			 inv_text(serial(inv, d->name)), "wwid", inv_text(d->wwid), "transport",
			 inv_text(transport(inv, d->name)), "size_bytes", json_u64(d->size_bytes),
			 "sector_bytes", json_u64(d->sector_bytes), "physical_sector_bytes",
			 json_u64(physical), "rotational", flag(inv, d->name, "queue/rotational"),
			 "removable", flag(inv, d->name, "removable"));
}

/* ISO 9660's volume identifier, on a CD as on a stick that our image was written to. */
static bool is_boot_medium(const struct inv_disk *d)
{
	char label[ISO_LABEL_BYTES + 1] = {0};

	if (d->size_bytes < ISO_LABEL_OFFSET + ISO_LABEL_BYTES ||
	    io_pread(d->fd, label, ISO_LABEL_BYTES, ISO_LABEL_OFFSET, d->name) < 0)
		return false;
	label[strcspn(label, " ")] = '\0';
	return !strcmp(label, INVENTORY_MEDIUM_LABEL);
}

/* Names in the world are not always unique, so the disks' heads and some blocks are compared. */
static bool same_bytes(const struct inv_disk *x, const struct inv_disk *y)
{
	CLEANUP_FREE char *a = malloc(2 * COMPARE_BYTES);
	uint64_t step = round_down(x->size_bytes / COMPARE_BLOCKS, 4096);

	for (uint64_t i = 0; a && i < COMPARE_BLOCKS; i++) {
		size_t n = (size_t)min_of(x->size_bytes - i * step, COMPARE_BYTES);

		if (io_pread(x->fd, a, n, i * step, x->name) < 0 ||
		    io_pread(y->fd, a + COMPARE_BYTES, n, i * step, y->name) < 0 ||
		    memcmp(a, a + COMPARE_BYTES, n))
			return false;
	}
	return a != NULL;
}

/* Another path to a disk that is already there: the same name in the world, size and contents. */
static const char *first_path(const struct inv *inv, const struct inv_disk *d)
{
	for (size_t i = 0; d->wwid && i < inv->disk_count; i++)
		if (inv->disks[i].wwid && !strcmp(inv->disks[i].wwid, d->wwid) &&
		    inv->disks[i].size_bytes == d->size_bytes && same_bytes(&inv->disks[i], d))
			return inv->disks[i].name;
	return NULL;
}

static int add_disk(struct inv *inv, const char *name, const char *path, unsigned sector_bytes)
{
	struct inv_disk d = {.name = arena_strdup(inv->arena, name),
			     .path = arena_strdup(inv->arena, path),
			     .sector_bytes = sector_bytes,
			     .fd = io_open(path, O_RDONLY, 0)};
	struct inv_disk *kept;
	const char *other;
	int rc;

	/* A card reader without a card. */
	if (d.fd == -ENOMEDIUM)
		return 0;
	if (d.fd < 0 || io_size(d.fd, path, &d.size_bytes) < 0) {
		inv_problem(inv, "DISK_UNREADABLE", name, NULL);
		if (d.fd >= 0)
			close(d.fd);
		return 0;
	}
	if (d.size_bytes == 0 || is_boot_medium(&d)) {
		close(d.fd);
		return 0;
	}
	d.json = describe(inv, &d);
	if (!d.json || json_array_append_new(json_object_get(inv->json, "disks"), d.json))
		return fail(ENOMEM, "disk %s", name);
	other = first_path(inv, &d);
	kept = arena_push(inv->arena, &inv->disks, &inv->disk_count);
	*kept = d;
	json_object_set_new(d.json, "path_of", inv_text(other));
	if (other)
		return 0;
	rc = inv_disk_contents(inv, kept);
	return rc < 0 ? fail_in(rc, "disk %s", name) : 0;
}

/* sda before sdb before sdaa. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	size_t x = strlen((*a)->d_name), y = strlen((*b)->d_name);

	if (strncmp((*a)->d_name, (*b)->d_name, 2) == 0 && x != y)
		return x < y ? -1 : 1;
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_machine_disks(struct inv *inv)
{
	struct dirent **entries = NULL;
	char path[PATH_MAX];
	int n = scandir(inv_path(inv, path, "/sys/block"), &entries, NULL, by_name), rc = 0;

	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		uint64_t sector = 512;

		/* Hidden are the single paths of an NVMe disk that the kernel shows as one. */
		if (rc == 0 && !is_ignored(inv, name) && !flag(inv, name, "hidden")) {
			inv_number(inv, &sector, "/sys/block/%s/queue/logical_block_size", name);
			rc = add_disk(inv, name, inv_path(inv, path, "/dev/%s", name),
				      (unsigned)min_of(sector, (uint64_t)UINT_MAX));
		}
		free(entries[i]);
	}
	free(entries);
	return n < 0 ? fail(errno, "list %s", path) : rc;
}

int inv_disks(struct inv *inv)
{
	int rc = 0;

	if (json_object_set_new(inv->json, "disks", json_array()))
		return fail(ENOMEM, "memory for the list of disks");
	if (!inv->options->disk_count)
		return add_machine_disks(inv);
	for (size_t i = 0; rc == 0 && i < inv->options->disk_count; i++) {
		const struct inventory_disk *d = &inv->options->disks[i];

		rc = add_disk(inv, d->name, d->path, d->sector_bytes ? d->sector_bytes : 512);
	}
	return rc;
}
