/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fstab as text, and which partition a device name in it means. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "prepare/prep_bootargs.h"
#include "prepare/prep_fstab.h"
#include "prepare/prep_names.h"

static int sda_becomes_uuid(void *ctx, const struct fstab_entry *e, char *fresh)
{
	unsigned *entries = ctx;

	++*entries;
	if (strcmp(e->spec, "/dev/sda1"))
		return 0;
	strcpy(fresh, "UUID=1234");
	return 1;
}

static void only_the_first_field_changes(void **state)
{
	static const char text[] = "# /dev/sda1 stays in a comment\n"
				   "\n"
				   "/dev/sda1\t/boot   ext4\tdefaults 0  2 # note\n"
				   "  /dev/sda1 none swap sw\n"
				   "UUID=x / ext4 errors=remount-ro 0 1\n"
				   "broken line\n"
				   "/dev/sda1 /mnt/with\\040blank xfs defaults 0 0";
	static const char expected[] = "# /dev/sda1 stays in a comment\n"
				       "\n"
				       "UUID=1234\t/boot   ext4\tdefaults 0  2 # note\n"
				       "  UUID=1234 none swap sw\n"
				       "UUID=x / ext4 errors=remount-ro 0 1\n"
				       "broken line\n"
				       "UUID=1234 /mnt/with\\040blank xfs defaults 0 0";
	unsigned entries = 0, changed;
	size_t bytes;
	char *out;

	(void)state;
	assert_int_equal(fstab_rewrite(text, strlen(text), sda_becomes_uuid, &entries, &out, &bytes,
				       &changed),
			 0);
	assert_string_equal(out, expected);
	assert_int_equal(bytes, strlen(expected));
	assert_int_equal(changed, 3);
	assert_int_equal(entries, 4);
	free(out);
}

static int see_escapes(void *ctx, const struct fstab_entry *e, char *fresh)
{
	(void)ctx;
	(void)fresh;
	assert_string_equal(e->file, "/mnt/a b\\c");
	assert_string_equal(e->options, "");
	return 0;
}

static void escapes_are_undone_for_the_reader(void **state)
{
	static const char text[] = "LABEL=x /mnt/a\\040b\\134c ext4\n";
	unsigned changed;
	size_t bytes;
	char *out;

	(void)state;
	assert_int_equal(
		fstab_rewrite(text, strlen(text), see_escapes, NULL, &out, &bytes, &changed), 0);
	assert_string_equal(out, text);
	free(out);
}

static void names_that_stay_and_names_that_do_not(void **state)
{
	static const struct {
		const char *spec;
		enum fstab_ref_kind kind;
		const char *disk;
		unsigned partition;
	} cases[] = {
		{"/dev/sda1", FSTAB_BY_NAME, "sda", 1},
		{"/dev/sdab12", FSTAB_BY_NAME, "sdab", 12},
		{"/dev/sdb", FSTAB_BY_NAME, "sdb", 0},
		{"/dev/hda5", FSTAB_BY_NAME, "hda", 5},
		{"/dev/xvda", FSTAB_BY_NAME, "xvda", 0},
		{"/dev/vda2", FSTAB_BY_NAME, "vda", 2},
		{"/dev/nvme0n1p3", FSTAB_BY_NAME, "nvme0n1", 3},
		{"/dev/nvme10n2", FSTAB_BY_NAME, "nvme10n2", 0},
		{"/dev/cciss/c0d0p2", FSTAB_BY_NAME, "cciss/c0d0", 2},
		{"/dev/mmcblk0p1", FSTAB_BY_NAME, "mmcblk0", 1},
		{"/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001-part2", FSTAB_BY_ID,
		 "ata-QEMU_HARDDISK_QM00001", 2},
		{"/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part1", FSTAB_BY_PATH,
		 "pci-0000:00:1f.2-ata-1", 1},
		{"/dev/disk/by-uuid/1234", FSTAB_STAYS, "", 0},
		{"/dev/disk/by-id/dm-name-vg0-root", FSTAB_STAYS, "", 0},
		{"/dev/mapper/vg0-root", FSTAB_STAYS, "", 0},
		{"/dev/vg0/root", FSTAB_STAYS, "", 0},
		{"/dev/md0", FSTAB_STAYS, "", 0},
		{"/dev/sdata/lv1", FSTAB_STAYS, "", 0},
		{"/dev/sr0", FSTAB_STAYS, "", 0},
		{"/dev/sd", FSTAB_STAYS, "", 0},
		{"/dev/sda1x", FSTAB_STAYS, "", 0},
		{"UUID=1", FSTAB_STAYS, "", 0},
		{"server:/export", FSTAB_STAYS, "", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fstab_ref r;

		fstab_ref_parse(cases[i].spec, &r);
		if (r.kind != cases[i].kind)
			print_error("%s\n", cases[i].spec);
		assert_int_equal(r.kind, cases[i].kind);
		if (r.kind == FSTAB_STAYS)
			continue;
		assert_string_equal(r.disk, cases[i].disk);
		assert_int_equal(r.partition, cases[i].partition);
	}
}

/* Two disks: system with /boot, root, swap; data with one XFS and one ext4. */
static struct plan_part parts_a[] = {
	{.kind = PLAN_PART_TABLE},
	{.kind = PLAN_PART_CONTENT,
	 .name = "sda1",
	 .content = DISK_CONTENT_EXT,
	 .fs_type = "ext4",
	 .fs_uuid = "boot"},
	{.kind = PLAN_PART_CONTENT,
	 .name = "sda2",
	 .content = DISK_CONTENT_SWAP,
	 .fs_type = "swap",
	 .fs_uuid = "swap"},
	{.kind = PLAN_PART_CONTENT,
	 .name = "sda3",
	 .content = DISK_CONTENT_XFS,
	 .fs_type = "xfs",
	 .fs_uuid = "root"},
};
static struct plan_part parts_b[] = {
	{.kind = PLAN_PART_CONTENT,
	 .name = "sdb1",
	 .content = DISK_CONTENT_EXT,
	 .fs_type = "ext4",
	 .fs_uuid = "data"},
	{.kind = PLAN_PART_CONTENT,
	 .name = "sdb2",
	 .content = DISK_CONTENT_XFS,
	 .fs_type = "xfs",
	 .fs_uuid = "more"},
	{.kind = PLAN_PART_CONTENT,
	 .name = "sdb3",
	 .content = DISK_CONTENT_XFS,
	 .fs_type = "xfs",
	 .fs_uuid = "third"},
};
static struct plan_disk disks[] = {
	{.source = "sda", .serial = "QM00001", .parts = parts_a, .part_count = 4},
	{.source = "sdb", .serial = "S3Z9 NB0K", .parts = parts_b, .part_count = 3},
};
static struct plan plan = {.disks = disks, .disk_count = 2};

static void boot_is_on_b(void *ctx, const char *part, char *out, size_t bytes)
{
	(void)ctx;
	snprintf(out, bytes, "%s", strcmp(part, "sdb1") == 0 ? "/boot" : "");
}

static void nothing_known(void *ctx, const char *part, char *out, size_t bytes)
{
	(void)ctx;
	(void)part;
	(void)bytes;
	out[0] = '\0';
}

static enum names_verdict resolve(names_last_mounted_fn last, const char *spec, const char *file,
				  const char *type, const char **uuid)
{
	struct names n = {.plan = &plan, .last_mounted = last};
	struct fstab_entry e = {0};
	const struct plan_part *part;
	enum names_verdict v;
	struct fstab_ref ref;

	snprintf(e.spec, sizeof(e.spec), "%s", spec);
	snprintf(e.file, sizeof(e.file), "%s", file);
	snprintf(e.type, sizeof(e.type), "%s", type);
	fstab_ref_parse(spec, &ref);
	v = names_resolve(&n, &ref, &e, &part);
	*uuid = part ? part->fs_uuid : "";
	return v;
}

static void evidence_counts_more_than_a_name(void **state)
{
	const char *uuid;

	(void)state;
	/* The only swap with that number, whatever the disk was called. */
	assert_int_equal(resolve(nothing_known, "/dev/hda2", "none", "swap", &uuid), NAMES_FOUND);
	assert_string_equal(uuid, "swap");
	/* Last mounted there, although the name is another's. */
	assert_int_equal(resolve(boot_is_on_b, "/dev/sda1", "/boot", "ext4", &uuid), NAMES_FOUND);
	assert_string_equal(uuid, "data");
	/* Two would fit, and only the name tells. */
	assert_int_equal(resolve(nothing_known, "/dev/sdb1", "/d", "ext4", &uuid), NAMES_BY_NAME);
	assert_string_equal(uuid, "data");
	/* Two would fit, and not even the name tells. */
	assert_int_equal(resolve(nothing_known, "/dev/hdc3", "/d", "xfs", &uuid), NAMES_AMBIGUOUS);
	/* Nothing of that type. */
	assert_int_equal(resolve(nothing_known, "/dev/sda1", "/d", "btrfs", &uuid), NAMES_UNKNOWN);
	assert_int_equal(resolve(nothing_known, "/dev/sdc9", "/d", "ext4", &uuid), NAMES_UNKNOWN);
}

static void a_serial_number_decides(void **state)
{
	const char *uuid;

	(void)state;
	assert_int_equal(resolve(nothing_known, "/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001-part3",
				 "/", "xfs", &uuid),
			 NAMES_FOUND);
	assert_string_equal(uuid, "root");
	assert_int_equal(resolve(nothing_known, "/dev/disk/by-id/scsi-SATA_X_S3Z9_NB0K-part3", "/d",
				 "xfs", &uuid),
			 NAMES_FOUND);
	assert_string_equal(uuid, "third");
}

static void collect(void *ctx, const char *word)
{
	strcat(strcat(ctx, word), ";");
}

static void kernel_arguments_by_name_are_found_once(void **state)
{
	static const char text[] = "linux /vmlinuz root=/dev/sda1 ro quiet\n"
				   "\tlinux /old root=/dev/sda1 resume=/dev/sda2\n"
				   "linux /b root=UUID=1 resume=/dev/mapper/vg-swap\n"
				   "options \"root=/dev/nvme0n1p2\"\nset root='hd0,gpt2'\n";
	char found[256] = "";

	(void)state;
	bootargs_by_name(text, collect, found);
	assert_string_equal(found, "root=/dev/sda1;resume=/dev/sda2;root=/dev/nvme0n1p2;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_first_field_changes),
		cmocka_unit_test(escapes_are_undone_for_the_reader),
		cmocka_unit_test(names_that_stay_and_names_that_do_not),
		cmocka_unit_test(evidence_counts_more_than_a_name),
		cmocka_unit_test(a_serial_number_decides),
		cmocka_unit_test(kernel_arguments_by_name_are_found_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
