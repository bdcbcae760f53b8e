/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine from a tree that looks like its /sys and /proc; a guest from a tree of files; names of
 * devices. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "image.h"
#include "inventory/inv_guest.h"
#include "inventory/inventory.h"
#include "lvm_image.h"

struct tree {
	char dir[64];
};

static struct tree tree_new(void)
{
	struct tree t;

	strcpy(t.dir, "/tmp/test_inventory.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	return t;
}

static void tree_free(struct tree *t)
{
	remove_tree(t->dir);
}

#define CLEANUP_TREE CLEANUP(tree_free)

static void make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
}

static void put_bytes(const struct tree *t, const char *path, const void *data, size_t n)
{
	char full[512];
	CLEANUP_FCLOSE FILE *f = NULL;

	snprintf(full, sizeof(full), "%s%s", t->dir, path);
	make_parents(full);
	f = fopen(full, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
}

static void put(const struct tree *t, const char *path, const char *text)
{
	put_bytes(t, path, text, strlen(text));
}

static void put_link(const struct tree *t, const char *path, const char *to)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", t->dir, path);
	make_parents(full);
	assert_int_equal(symlink(to, full), 0);
}

static const json_t *at(const json_t *j, const char *path)
{
	char part[64];

	while (*path) {
		size_t n = strcspn(path, ".");

		snprintf(part, sizeof(part), "%.*s", (int)n, path);
		j = part[0] >= '0' && part[0] <= '9' ? json_array_get(j, (size_t)atoi(part))
						     : json_object_get(j, part);
		path += n + (path[n] == '.');
	}
	if (!j)
		fail_msg("nothing at %s", part);
	return j;
}

static void assert_text(const json_t *j, const char *path, const char *want)
{
	const json_t *v = at(j, path);

	if (want)
		assert_string_equal(json_string_value(v), want);
	else
		assert_true(json_is_null(v));
}

static void assert_number(const json_t *j, const char *path, json_int_t want)
{
	assert_int_equal(json_integer_value(at(j, path)), want);
}

/* ---- the machine ---- */

#define SATA "/sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0"

static void put_sata_disk(const struct tree *t, const char *name, const char *wwid)
{
	char path[256], to[256];

	snprintf(path, sizeof(path), SATA "/block/%s/queue/logical_block_size", name);
	put(t, path, "512\n");
	snprintf(path, sizeof(path), SATA "/block/%s/queue/physical_block_size", name);
	put(t, path, "4096\n");
	snprintf(path, sizeof(path), SATA "/block/%s/queue/rotational", name);
	put(t, path, "1\n");
	snprintf(path, sizeof(path), SATA "/block/%s/device/model", name);
	put(t, path, "QEMU HARDDISK   \n");
	snprintf(path, sizeof(path), SATA "/block/%s/device/wwid", name);
	put(t, path, wwid);
	snprintf(path, sizeof(path), SATA "/block/%s/device/vpd_pg80", name);
	put_bytes(t, path, "\0\x80\0\x0c    QM00001 ", 16);
	snprintf(path, sizeof(path), "/sys/block/%s", name);
	snprintf(to, sizeof(to), "../..%s/block/%s", SATA, name);
	put_link(t, path, to);
}

static void a_machine_is_described(void **state)
{
	CLEANUP_TREE struct tree t = tree_new();
	CLEANUP_IMAGE struct image disk = image_new(4 * MIB);
	CLEANUP_IMAGE struct image medium = image_new(4 * MIB);
	CLEANUP_JSON json_t *j = NULL;
	CLEANUP_JSON json_t *again = NULL;
	const struct inventory_options o = {.root = t.dir};

	(void)state;
	put(&t, "/proc/cpuinfo",
	    "processor\t: 0\nmodel name\t: A CPU \xff\nflags\t\t: fpu hypervisor aes\n"
	    "processor\t: 1\nmodel name\t: A CPU\n");
	put(&t, "/proc/meminfo", "MemTotal:         196608 kB\nMemFree: 3 kB\n");
	put(&t, "/sys/firmware/efi/fw_platform_size", "64\n");
	put(&t, "/sys/class/dmi/id/sys_vendor", "QEMU\n");
	put(&t, "/sys/class/dmi/id/product_name", "Standard PC\n");
	put(&t, "/sys/class/dmi/id/product_uuid", "564d9a3c-7f10-2be1-9c44-0e1d5b7a6f02\n");
	put(&t, "/sys/devices/pci0000:00/0000:00:03.0/net/eth0/address", "52:54:00:12:34:56\n");
	put(&t, "/sys/devices/pci0000:00/0000:00:03.0/net/eth0/addr_assign_type", "0\n");
	put(&t, "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/net/usb0/address",
	    "02:00:00:1:2:3\n");
	put(&t, "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/net/usb0/addr_assign_type", "1\n");
	put_link(&t, "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/net/usb0/device", "../..");
	put_link(&t, "/sys/class/net/usb0",
		 "../../devices/pci0000:00/0000:00:14.0/usb1/1-1/net/usb0");
	put(&t, "/sys/devices/pci0000:00/0000:00:03.0/net/eth0/speed", "1000\n");
	put(&t, "/sys/devices/pci0000:00/0000:00:03.0/net/eth0/carrier", "1\n");
	put(&t, "/sys/bus/pci/drivers/e1000/x", "");
	put_link(&t, "/sys/devices/pci0000:00/0000:00:03.0/driver",
		 "../../../bus/pci/drivers/e1000");
	put_link(&t, "/sys/devices/pci0000:00/0000:00:03.0/net/eth0/device", "../..");
	put_link(&t, "/sys/class/net/eth0", "../../devices/pci0000:00/0000:00:03.0/net/eth0");
	put(&t, "/sys/devices/virtual/net/lo/address", "00:00:00:00:00:00\n");
	put_link(&t, "/sys/class/net/lo", "../../devices/virtual/net/lo");
	put_sata_disk(&t, "sda", "t10.ATA a\n");
	put_sata_disk(&t, "sdb", "t10.ATA a\n");
	put_sata_disk(&t, "sdc", "t10.ATA c\n");
	put_sata_disk(&t, "sde", "t10.ATA a\n");
	put(&t, "/sys/block/loop0/queue/logical_block_size", "512\n");
	put(&t, "/sys/block/zram0/queue/logical_block_size", "512\n");
	put(&t, "/sys/block/nvme0c0n1/hidden", "1\n");
	put(&t, "/sys/block/mmcblk0boot0/queue/logical_block_size", "512\n");
	put(&t, "/sys/block/sdd/queue/logical_block_size", "512\n");
	disk.data[5000] = 1;
	put_bytes(&t, "/dev/sda", disk.data, disk.bytes);
	put_bytes(&t, "/dev/sdb", disk.data, disk.bytes);
	/* Says that it is the same disk, and is not. */
	disk.data[5000] = 2;
	put_bytes(&t, "/dev/sde", disk.data, disk.bytes);
	memcpy(medium.data + 32768, "\1CD001", 6);
	memcpy(medium.data + 32768 + 40, "COLDLIFT                        ", 32);
	put_bytes(&t, "/dev/sdc", medium.data, medium.bytes);

	assert_int_equal(inventory_make(&o, &j), 0);
	assert_text(j, "machine.firmware", "uefi");
	assert_text(j, "machine.vendor", "QEMU");
	assert_text(j, "machine.cpu.model", "A CPU ?");
	assert_number(j, "machine.cpu.threads", 2);
	assert_number(j, "machine.memory_bytes", 192 * (json_int_t)MIB);
	assert_text(j, "machine.uuid", "564d9a3c-7f10-2be1-9c44-0e1d5b7a6f02");
	assert_true(json_is_true(at(j, "machine.virtual")));
	assert_int_equal(json_array_size(at(j, "nics")), 2);
	assert_text(j, "nics.0.name", "eth0");
	assert_text(j, "nics.0.mac", "52:54:00:12:34:56");
	assert_text(j, "nics.0.driver", "e1000");
	assert_text(j, "nics.0.pci", "0000:00:03.0");
	assert_number(j, "nics.0.speed_mbit", 1000);
	assert_true(json_is_true(at(j, "nics.0.link")));
	assert_true(json_is_false(at(j, "nics.0.usb")));
	assert_true(json_is_false(at(j, "nics.0.mac_random")));
	assert_true(json_is_true(at(j, "nics.1.usb")));
	assert_true(json_is_true(at(j, "nics.1.mac_random")));
	/* Not the boot medium, not what the kernel made; the second path is named as one. */
	assert_int_equal(json_array_size(at(j, "disks")), 3);
	assert_text(j, "disks.0.name", "sda");
	assert_text(j, "disks.0.model", "QEMU HARDDISK");
	assert_text(j, "disks.0.serial", "QM00001");
	assert_text(j, "disks.0.transport", "sata");
	assert_number(j, "disks.0.size_bytes", 4 * (json_int_t)MIB);
	assert_number(j, "disks.0.physical_sector_bytes", 4096);
	assert_true(json_is_true(at(j, "disks.0.rotational")));
	assert_text(j, "disks.0.content.kind", "unknown");
	assert_text(j, "disks.0.path_of", NULL);
	assert_text(j, "disks.1.path_of", "sda");
	assert_text(j, "disks.2.name", "sde");
	assert_text(j, "disks.2.path_of", NULL);
	/* A disk that the kernel names and nobody can open. */
	assert_int_equal(json_array_size(at(j, "problems")), 1);
	assert_text(j, "problems.0.code", "DISK_UNREADABLE");
	assert_text(j, "problems.0.object", "sdd");

	assert_int_equal(inventory_make(&o, &again), 0);
	assert_true(json_equal(j, again));
}

/* ---- a disk ---- */

#define PART_AT MIB
#define PV_HERE (40 * MIB)

static const char group_text[] =
	"vg0 {\nid = \"g\"\nseqno = 3\nextent_size = 2048\nphysical_volumes {\npv0 {\n"
	"id = \"" PV0 "\"\ndev_size = 81920\npe_start = 2048\npe_count = 39\n}\n}\n"
	"logical_volumes {\nhome {\nid = \"h\"\nstatus = [\"VISIBLE\"]\nsegment_count = 2\n"
	"segment1 {\nstart_extent = 0\nextent_count = 4\ntype = \"striped\"\nstripe_count = 1\n"
	"stripes = [\"pv0\", 10]\n}\n"
	"segment2 {\nstart_extent = 4\nextent_count = 12\ntype = \"striped\"\nstripe_count = 1\n"
	"stripes = [\"pv0\", 20]\n}\n}\n}\n}\n";

/* An MBR with a swap partition and a PV, on which a volume in two pieces holds an ext4. */
static void put_lvm_disk(const struct tree *t)
{
	CLEANUP_IMAGE struct image disk = image_new(PART_AT + PV_HERE + 2 * MIB);
	CLEANUP_IMAGE struct image pv = pv_image(PV_HERE, group_text, 512);
	CLEANUP_FREE char *fs = malloc(16 * MIB);
	uint8_t *slot = disk.data + 446;
	CLEANUP_CLOSE int fd = -1;
	char path[128];

	snprintf(path, sizeof(path), "%s/fs", t->dir);
	assert_int_equal(run_check((const char *const[]){"mke2fs", "-q", "-t", "ext4", "-L", "home",
							 path, "16M", NULL},
				   60000),
			 0);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, fs, 16 * MIB), 16 * MIB);
	memcpy(pv.data + 11 * MIB, fs, 4 * MIB);
	memcpy(pv.data + 21 * MIB, fs + 4 * MIB, 12 * MIB);
	memcpy(disk.data + PART_AT, pv.data, pv.bytes);
	slot[4] = 0x8e;
	put_le(slot + 8, PART_AT / 512, 4);
	put_le(slot + 12, PV_HERE / 512, 4);
	slot[20] = 0x82;
	put_le(slot + 24, (PART_AT + PV_HERE) / 512, 4);
	put_le(slot + 28, 2 * MIB / 512, 4);
	put_le(disk.data + 440, 0x12345678, 4);
	put_le(disk.data + 510, 0xaa55, 2);
	put_bytes(t, "/disk", disk.data, disk.bytes);
}

static void volumes_are_looked_into_without_activating_them(void **state)
{
	CLEANUP_TREE struct tree t = tree_new();
	CLEANUP_JSON json_t *j = NULL;
	char path[128];
	const struct inventory_disk disk = {.name = "nvme0n1", .path = path};
	const struct inventory_options o = {
		.root = t.dir, .disks = &disk, .disk_count = 1, .sample = true};

	(void)state;
	snprintf(path, sizeof(path), "%s/disk", t.dir);
	put_lvm_disk(&t);
	assert_int_equal(inventory_make(&o, &j), 0);
	assert_int_equal(json_array_size(at(j, "problems")), 0);
	assert_text(j, "disks.0.table.kind", "mbr");
	assert_text(j, "disks.0.partitions.0.name", "nvme0n1p1");
	assert_text(j, "disks.0.partitions.0.content.kind", "lvm");
	assert_text(j, "disks.0.partitions.1.content.kind", "empty");
	assert_number(j, "disks.0.partitions.0.content.sample.ratio_permille", 0);
	assert_text(j, "lvm.pvs.0.device", "nvme0n1p1");
	assert_text(j, "lvm.groups.0.name", "vg0");
	assert_text(j, "lvm.groups.0.pvs.0.device", "nvme0n1p1");
	assert_text(j, "lvm.groups.0.lvs.0.content.type", "ext4");
	assert_text(j, "lvm.groups.0.lvs.0.content.label", "home");
	assert_number(j, "lvm.groups.0.lvs.0.content.size_bytes", 16 * (json_int_t)MIB);
}

static void damage_is_told_and_does_not_stop_the_rest(void **state)
{
	CLEANUP_TREE struct tree t = tree_new();
	CLEANUP_IMAGE struct image bad = image_new(MIB);
	CLEANUP_JSON json_t *j = NULL;
	char one[128], two[128], three[128];
	const struct inventory_disk disks[] = {{.name = "sda", .path = one},
					       {.name = "sdb", .path = two},
					       {.name = "sdc", .path = three}};
	const struct inventory_options o = {.root = t.dir, .disks = disks, .disk_count = 3};
	CLEANUP_CLOSE int fd = -1;

	(void)state;
	snprintf(one, sizeof(one), "%s/missing", t.dir);
	snprintf(two, sizeof(two), "%s/bad", t.dir);
	snprintf(three, sizeof(three), "%s/disk", t.dir);
	put_lvm_disk(&t);
	fd = open(three, O_WRONLY);
	assert_int_equal(pwrite(fd, "X", 1, PART_AT + AREA_AT + 600), 1);
	/* A GPT that is announced and is not there. */
	bad.data[446 + 4] = 0xee;
	put_le(bad.data + 510, 0xaa55, 2);
	put_bytes(&t, "/bad", bad.data, bad.bytes);
	assert_int_equal(inventory_make(&o, &j), 0);
	assert_int_equal(json_array_size(at(j, "problems")), 3);
	assert_text(j, "problems.0.code", "DISK_UNREADABLE");
	assert_text(j, "problems.0.object", "sda");
	assert_text(j, "problems.1.code", "TABLE_INVALID");
	assert_text(j, "problems.1.object", "sdb");
	assert_text(j, "problems.2.code", "LVM_INVALID");
	assert_text(j, "problems.2.object", "sdc1");
	assert_int_equal(json_array_size(at(j, "disks")), 2);
	assert_int_equal(json_array_size(at(j, "lvm.groups")), 0);
}

/* ---- the guest ---- */

static void put_guest(const struct tree *t)
{
	put(t, "/usr/lib/os-release",
	    "NAME=x\nID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 "
	    "(bookworm)\"\nVERSION_ID=\"12\"\n");
	put_link(t, "/etc/os-release", "../usr/lib/os-release");
	put_link(t, "/lib", "usr/lib");
	put_link(t, "/sbin/init", "/lib/systemd/systemd");
	put_bytes(t, "/usr/lib/systemd/systemd",
		  "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0\x3e\0\1\0\0\0", 24);
	put(t, "/etc/hostname", "sample\n");
	put(t, "/etc/fstab",
	    "# comment\n\nUUID=AAAA / ext4 errors=remount-ro 0 1\n"
	    "/dev/mapper/vg--0-my--home /home\\040dir xfs defaults 0 2\n"
	    "/dev/sda2\t/boot\text4\n"
	    "tmpfs /tmp tmpfs size=1g 0 0\nbroken\n");
	put(t, "/boot/vmlinuz-6.1.0-1-amd64", "");
	put(t, "/boot/initrd.img-6.1.0-1-amd64", "");
	put(t, "/boot/vmlinuz-5.0", "");
	put(t, "/usr/lib/modules/6.1.0-1-amd64/modules.builtin", "kernel/fs/ext4/ext4.ko\n");
	put(t, "/usr/lib/modules/6.1.0-1-amd64/modules.dep",
	    "kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio-ring.ko.xz\n"
	    "kernel/drivers/virtio/virtio-ring.ko.xz:\n"
	    "kernel/drivers/net/not_virtio_net.ko:\n");
	put(t, "/boot/grub/grub.cfg",
	    "menuentry 'a' {\n\tlinux\t/vmlinuz-6.1.0-1-amd64 root=UUID=AAAA ro  quiet\n"
	    "\tinitrd\t/initrd.img-6.1.0-1-amd64\n}\nsubmenu 'b' {\n"
	    "\tlinux\t/vmlinuz-6.1.0-1-amd64 root=UUID=AAAA ro  quiet\n"
	    "\tlinuxefi\t/vmlinuz-5.0 single\n}\n");
	put(t, "/boot/efi/EFI/debian/grubx64.efi", "");
}

static void a_guest_is_described(void **state)
{
	CLEANUP_TREE struct tree t = tree_new();
	CLEANUP_JSON json_t *j = NULL;

	(void)state;
	assert_false(inventory_is_root(t.dir));
	assert_int_equal(inventory_guest(t.dir, &j), -ENOENT);
	assert_string_equal(err_code(), "LINUX_ROOT_NOT_FOUND");
	put_guest(&t);
	assert_true(inventory_is_root(t.dir));
	assert_int_equal(inventory_guest(t.dir, &j), 0);
	assert_text(j, "os.id", "debian");
	assert_text(j, "os.version_id", "12");
	assert_text(j, "os.pretty_name", "Debian GNU/Linux 12 (bookworm)");
	assert_text(j, "hostname", "sample");
	assert_text(j, "architecture", "x86_64");
	assert_int_equal(json_array_size(at(j, "kernels")), 2);
	assert_text(j, "kernels.1.version", "6.1.0-1-amd64");
	assert_text(j, "kernels.1.initramfs.0", "/boot/initrd.img-6.1.0-1-amd64");
	assert_text(j, "kernels.1.modules.ext4", "builtin");
	assert_text(j, "kernels.1.modules.virtio_blk", "module");
	assert_text(j, "kernels.1.modules.virtio_ring", "module");
	assert_text(j, "kernels.1.modules.virtio_net", "absent");
	assert_true(json_is_null(at(j, "kernels.0.modules")));
	assert_text(j, "boot_loader.kind", "grub2");
	assert_int_equal(json_array_size(at(j, "boot_loader.entries")), 2);
	assert_text(j, "boot_loader.entries.0.args", "root=UUID=AAAA ro  quiet");
	assert_text(j, "boot_loader.entries.0.initrd", "/initrd.img-6.1.0-1-amd64");
	assert_text(j, "boot_loader.entries.1.kernel", "/vmlinuz-5.0");
	assert_text(j, "boot_loader.efi.0", "/boot/efi/EFI/debian/grubx64.efi");
	assert_int_equal(json_array_size(at(j, "fstab")), 4);
	assert_text(j, "fstab.1.mountpoint", "/home dir");
	assert_text(j, "fstab.2.options", "defaults");
}

static void links_of_a_guest_do_not_lead_out(void **state)
{
	CLEANUP_TREE struct tree t = tree_new();
	CLEANUP_TREE struct tree outside = tree_new();
	CLEANUP_JSON json_t *j = NULL;
	char target[128];

	(void)state;
	put_guest(&t);
	put(&outside, "/secret", "secret\n");
	snprintf(target, sizeof(target), "%s/etc/hostname", t.dir);
	assert_int_equal(unlink(target), 0);
	snprintf(target, sizeof(target), "../../../../../../../../..%s/secret", outside.dir);
	put_link(&t, "/etc/hostname", target);
	assert_int_equal(inventory_guest(t.dir, &j), 0);
	assert_text(j, "hostname", NULL);
}

static void odd_files_of_a_guest_do_no_harm(void **state)
{
	CLEANUP_TREE struct tree t = tree_new();
	CLEANUP_JSON json_t *j = NULL;
	char path[128];

	(void)state;
	put_guest(&t);
	snprintf(path, sizeof(path), "%s/etc/fstab", t.dir);
	unlink(path);
	/* Opening this for reading would wait for ever. */
	assert_int_equal(mkfifo(path, 0600), 0);
	put(&t, "/etc/hostname", "\xff\x01name\n");
	assert_int_equal(inventory_guest(t.dir, &j), 0);
	assert_int_equal(json_array_size(at(j, "fstab")), 0);
	assert_text(j, "hostname", "\?\?name");
}

static void a_hibernated_swap_file_is_found(void **state)
{
	CLEANUP_TREE struct tree t = tree_new();
	CLEANUP_JSON json_t *j = NULL;
	char swap[8192] = {0};

	(void)state;
	put_guest(&t);
	put(&t, "/etc/fstab",
	    "/swapfile none swap sw 0 0\n/swap2 none swap sw 0 0\n/short none swap sw\n"
	    "/dev/sda3 none swap sw 0 0\n");
	memcpy(swap + 4086, "SWAPSPACE2", 10);
	put_bytes(&t, "/swapfile", swap, sizeof(swap));
	memcpy(swap + 4086, "S1SUSPEND", 10);
	put_bytes(&t, "/swap2", swap, sizeof(swap));
	put_bytes(&t, "/short", swap + 4086, 10);
	assert_int_equal(inventory_guest(t.dir, &j), 0);
	assert_int_equal(json_array_size(at(j, "suspended_files")), 1);
	assert_text(j, "suspended_files.0", "/swap2");
}

static void texts_cut_at_any_byte_do_no_harm(void **state)
{
	static const char text[] =
		"UUID=a\\040b / ext4 defaults\nID='x\\'y\" z'\nlinux /k \\\ninitrd /i\na/b-c.ko:\n";

	(void)state;
	for (size_t n = 0; n <= strlen(text); n++) {
		CLEANUP_ARENA struct arena *a = arena_new();
		CLEANUP_FREE char *cut = strndup(text, n);
		CLEANUP_JSON json_t *entries = NULL;
		struct inventory_fstab *list;
		size_t count;

		inventory_parse_fstab(a, cut, &list, &count);
		inv_os_value(a, cut, "ID");
		entries = inv_grub_entries(a, cut);
		assert_non_null(entries);
		assert_int_equal(inv_has_module(cut, "b_c"), n >= strlen(text) - 2);
	}
}

static void os_values_are_unquoted(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	static const char text[] = "A=plain # no\nB='single \\ quoted'\nC=\"a \\\"b\\\" \\$x\"\n"
				   "D=\nE=first\nE=second\nBB=x\n";

	(void)state;
	assert_string_equal(inv_os_value(a, text, "A"), "plain");
	assert_string_equal(inv_os_value(a, text, "B"), "single \\ quoted");
	assert_string_equal(inv_os_value(a, text, "C"), "a \"b\" $x");
	assert_null(inv_os_value(a, text, "D"));
	assert_string_equal(inv_os_value(a, text, "E"), "second");
	assert_null(inv_os_value(a, text, "F"));
}

/* ---- names ---- */

static json_t *named_inventory(void)
{
	return json_pack("{s:[{s:s, s:[{s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s}}, {s:s, s:s, s:n}]},"
			 "    {s:s, s:{s:s, s:s, s:s, s:n}, s:[]}],"
			 " s:{s:[{s:s, s:[{s:s, s:{s:s, s:s, s:s, s:s}}]}]}}",
			 "disks", "name", "sda", "partitions", "name", "sda1", "uuid", "p-01",
			 "label", "EFI System", "content", "kind", "ext", "type", "ext4", "uuid",
			 "abcd-1", "label", "root fs", "name", "sda2", "uuid", "p-02", "content",
			 "name", "sdb", "content", "kind", "xfs", "type", "xfs", "uuid", "abcd-2",
			 "label", "partitions", "lvm", "groups", "name", "vg-0", "lvs", "name",
			 "my-home", "content", "kind", "ext", "type", "ext4", "uuid", "abcd-3",
			 "label", "home");
}

static void names_of_devices_are_resolved(void **state)
{
	static const char *const cases[][2] = {
		{"UUID=abcd-1", "sda1"},
		{"UUID=\"ABCD-1\"", "sda1"},
		{"UUID=abcd-2", "sdb"},
		{"UUID=abcd-3", "vg-0/my-home"},
		{"UUID=abcd-4", NULL},
		{"UUID=", NULL},
		{"LABEL=root fs", "sda1"},
		{"LABEL=ROOT FS", NULL},
		{"/dev/disk/by-label/root\\x20fs", "sda1"},
		{"PARTUUID=p-02", "sda2"},
		{"PARTLABEL=EFI System", "sda1"},
		{"/dev/disk/by-uuid/abcd-3", "vg-0/my-home"},
		{"/dev/sda2", "sda2"},
		{"/dev/sdb", "sdb"},
		{"/dev/sda", NULL},
		{"/dev/mapper/vg--0-my--home", "vg-0/my-home"},
		{"/dev/mapper/vg-0-my-home", NULL},
		{"/dev/vg-0/my-home", "vg-0/my-home"},
		{"nas:/export", NULL},
		{"tmpfs", NULL},
		{"", NULL},
	};
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *j = named_inventory();

	(void)state;
	assert_non_null(j);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *device = inventory_resolve(a, j, cases[i][0]);

		if (!device != !cases[i][1] || (device && strcmp(device, cases[i][1])))
			fail_msg("%s is resolved to %s", cases[i][0], device ? device : "nothing");
	}
}

static void likely_roots_come_first(void **state)
{
	CLEANUP_ARENA struct arena *a = arena_new();
	CLEANUP_JSON json_t *j = named_inventory();
	struct inventory_candidate *list;
	size_t count;

	(void)state;
	json_object_set_new((json_t *)at(j, "lvm.groups.0.lvs.0"), "name", json_string("root"));
	assert_int_equal(inventory_candidates(a, j, &list, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(list[0].device, "vg-0/root");
	assert_string_equal(list[1].device, "sda1");
	assert_string_equal(list[1].fs_type, "ext4");
}

static void the_guest_joins_the_inventory(void **state)
{
	CLEANUP_TREE struct tree t = tree_new();
	CLEANUP_JSON json_t *j = named_inventory();
	json_t *guest = NULL;

	(void)state;
	put_guest(&t);
	assert_int_equal(inventory_guest(t.dir, &guest), 0);
	assert_int_equal(inventory_set_guest(j, "sda1", guest), 0);
	assert_text(j, "guest.root_device", "sda1");
	assert_text(j, "guest.fstab.0.device", "sda1");
	assert_text(j, "guest.fstab.1.device", "vg-0/my-home");
	assert_text(j, "guest.fstab.2.device", "sda2");
	assert_text(j, "guest.fstab.3.device", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_machine_is_described),
		cmocka_unit_test(volumes_are_looked_into_without_activating_them),
		cmocka_unit_test(damage_is_told_and_does_not_stop_the_rest),
		cmocka_unit_test(a_guest_is_described),
		cmocka_unit_test(links_of_a_guest_do_not_lead_out),
		cmocka_unit_test(odd_files_of_a_guest_do_no_harm),
		cmocka_unit_test(a_hibernated_swap_file_is_found),
		cmocka_unit_test(texts_cut_at_any_byte_do_no_harm),
		cmocka_unit_test(os_values_are_unquoted),
		cmocka_unit_test(names_of_devices_are_resolved),
		cmocka_unit_test(likely_roots_come_first),
		cmocka_unit_test(the_guest_joins_the_inventory),
	};

	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
