/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * initramfs images: walking them, kmod's indexes, and a whole repair of a small guest in a
 * directory: what was there still is, what was missing is there, and a second repair changes
 * nothing.
 */
#include "unit.h"

#include <fcntl.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "prepare/prep_boot.h"
#include "prepare/prep_modindex.h"

#define VERSION "6.1.0-9-test"

/* ---- an image in memory ---- */

struct image {
	uint8_t data[1 << 20];
	size_t bytes;
};

static int64_t read_memory(void *ctx, uint64_t offset, void *buf, size_t bytes)
{
	struct image *m = ctx;
	size_t n = offset >= m->bytes ? 0 : min_of(bytes, m->bytes - (size_t)offset);

	if (n)
		memcpy(buf, m->data + offset, n);
	return (int64_t)n;
}

static void put(struct image *m, const void *data, size_t bytes)
{
	memcpy(m->data + m->bytes, data, bytes);
	m->bytes += bytes;
}

static void put_archive(struct image *m, const char *const names[], size_t count)
{
	struct cpio_writer w = {0};

	for (size_t i = 0; i < count; i++)
		assert_int_equal(cpio_add(&w, names[i], S_IFREG | 0644, "body", 4), 0);
	assert_int_equal(cpio_end(&w), 0);
	put(m, w.data, w.used);
	cpio_writer_fini(&w);
}

static void put_packed(struct image *m, enum initrd_packing packing, const struct image *plain)
{
	uint8_t out[1 << 16];
	size_t used = 0;
	z_stream z = {0};

	if (packing == INITRD_XZ) {
		assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, plain->data,
							 plain->bytes, out, &used, sizeof(out)),
				 LZMA_OK);
		put(m, out, used);
		return;
	}

	if (packing == INITRD_ZSTD) {
		put(m, out, ZSTD_compress(out, sizeof(out), plain->data, plain->bytes, 3));
		return;
	}
	deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	z.next_in = (Bytef *)plain->data;
	z.avail_in = (unsigned)plain->bytes;
	z.next_out = out;
	z.avail_out = sizeof(out);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	put(m, out, sizeof(out) - z.avail_out);
	deflateEnd(&z);
}

/* LZ4's legacy frame with one block of literals only, which is valid. */
static void put_lz4(struct image *m, const struct image *plain)
{
	uint8_t block[70000];
	size_t n = 0, left = plain->bytes - 15;
	uint8_t size[4];

	block[n++] = 0xf0;
	for (; left >= 255; left -= 255)
		block[n++] = 255;
	block[n++] = (uint8_t)left;
	memcpy(block + n, plain->data, plain->bytes);
	n += plain->bytes;
	put(m, "\x02\x21\x4c\x18", 4);
	for (int i = 0; i < 4; i++)
		size[i] = (uint8_t)(n >> 8 * i);
	put(m, size, 4);
	put(m, block, n);
}

struct seen {
	char names[4096];
};

static int note_name(void *ctx, const struct cpio_entry *e, uint64_t *keep_bytes)
{
	struct seen *s = ctx;

	(void)keep_bytes;
	strcat(s->names, e->name);
	strcat(s->names, " ");
	return 0;
}

static int walk(struct image *m, struct seen *s, struct initrd_shape *shape)
{
	struct initrd_input input = {.read = read_memory, .ctx = m, .name = "image"};
	struct cpio_visitor visitor = {.entry = note_name, .ctx = s};

	s->names[0] = '\0';
	return initrd_walk(&input, &visitor, shape);
}

static void segments_of_all_kinds_in_one_image(void **state)
{
	static const char *const early[] = {"kernel/x86/microcode/GenuineIntel.bin"};
	static const char *const main_names[] = {"init", "bin/sh", "lib/a"};
	static const char *const late[] = {"added"};
	CLEANUP_FREE struct image *m = calloc(1, sizeof(*m)), *plain = calloc(1, sizeof(*plain));
	struct initrd_shape shape;
	struct seen s;

	(void)state;
	for (int packing = 0; packing < 4; packing++) {
		m->bytes = plain->bytes = 0;
		put_archive(plain, main_names, 3);
		put_archive(m, early, 1);
		/* Microcode archives are padded to 512 by the tools that make them. */
		while (m->bytes % 512)
			m->data[m->bytes++] = 0;
		if (packing == 0)
			put_packed(m, INITRD_GZIP, plain);
		else if (packing == 1)
			put_packed(m, INITRD_ZSTD, plain);
		else if (packing == 2)
			put_packed(m, INITRD_XZ, plain);
		else
			put_lz4(m, plain);
		for (int i = 0; i < 8 || m->bytes % 4; i++)
			m->data[m->bytes++] = 0;
		put_archive(m, late, 1);
		assert_int_equal(walk(m, &s, &shape), 0);
		assert_string_equal(s.names, "kernel/x86/microcode/GenuineIntel.bin init bin/sh "
					     "lib/a added ");
		assert_int_equal(shape.segments, 3);
		assert_int_equal(shape.last, INITRD_PLAIN);
		assert_int_equal(shape.content_bytes, m->bytes);
	}
}

static void what_the_kernel_would_not_unpack_is_refused(void **state)
{
	static const char *const names[] = {"init"};
	CLEANUP_FREE struct image *m = calloc(1, sizeof(*m)), *plain = calloc(1, sizeof(*plain));
	struct initrd_shape shape;
	struct seen s;

	(void)state;
	put_archive(plain, names, 1);
	/* Cut anywhere inside the archive. */
	for (size_t cut = 1; cut < CPIO_HEAD_BYTES + 8; cut++) {
		memcpy(m->data, plain->data, cut);
		m->bytes = cut;
		assert_true(walk(m, &s, &shape) < 0);
		assert_string_equal(err_code(), "INITRAMFS_DAMAGED");
	}
	/* Junk behind it. */
	memcpy(m->data, plain->data, plain->bytes);
	m->bytes = plain->bytes;
	put(m, "junk", 4);
	assert_true(walk(m, &s, &shape) < 0);
	assert_string_equal(err_code(), "INITRAMFS_FORMAT");
	/* A compression that we do not know. */
	m->bytes = 0;
	put(m, "BZh91AY&SY", 10);
	assert_true(walk(m, &s, &shape) < 0);
	assert_string_equal(err_code(), "INITRAMFS_FORMAT");
	/* A compressed stream that is cut. */
	m->bytes = 0;
	put_packed(m, INITRD_GZIP, plain);
	m->bytes -= 5;
	assert_true(walk(m, &s, &shape) < 0);
	assert_string_equal(err_code(), "INITRAMFS_DAMAGED");
}

/* ---- kmod's index ---- */

static void index_is_read_as_it_was_written(void **state)
{
	static const char *const keys[] = {
		"virtio:d00000002v*",
		"virtio:d00000001v*",
		"pci:v00001AF4d*sv*sd*bc*sc*i*",
		"fs_ext4",
		"fs_ext3",
		"f",
		"fs_ext4",
		"",
	};
	struct arena *a = arena_new();
	struct modindex x = {0}, y;
	const uint8_t *data;
	size_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		modindex_add(a, &x, keys[i], arena_printf(a, "value%zu", i), (uint32_t)i);
	assert_int_equal(modindex_write(a, &x, &data, &bytes), 0);
	assert_int_equal(modindex_read(a, data, bytes, &y), 0);
	assert_int_equal(y.count, ARRAY_SIZE(keys));
	for (size_t i = 0; i < y.count; i++) {
		bool found = false;

		for (size_t j = 0; j < ARRAY_SIZE(keys); j++)
			found |= y.list[i].priority == j && strcmp(y.list[i].key, keys[j]) == 0 &&
				 strcmp(y.list[i].value, arena_printf(a, "value%zu", j)) == 0;
		assert_true(found);
	}
	for (size_t cut = 0; cut < bytes; cut++) {
		CLEANUP_FREE uint8_t *copy = malloc(cut + 1);

		/* Its own memory, so that a read past the end is seen. */
		memcpy(copy, data, cut);
		modindex_read(a, copy, cut, &y);
	}
	arena_free(a);
}

static void index_with_a_loop_is_refused(void **state)
{
	/* The root is a node whose child is the root. */
	static const uint8_t loop[] = {0xb0, 0x07, 0xf4, 0x57, 0,   2,	  0, 1, 0x20,
				       0,    0,	   12,	 'a',  'a', 0x20, 0, 0, 12};
	struct arena *a = arena_new();
	struct modindex x;

	(void)state;
	assert_true(modindex_read(a, loop, sizeof(loop), &x) < 0);
	arena_free(a);
}

/* ---- a guest in a directory ---- */

struct fake {
	char dir[64];
	struct guest g;
	struct prep_report r;
};

static void write_file(const struct fake *f, const char *path, const void *data, size_t bytes)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", f->dir, path);
	for (char *p = strchr(full + strlen(f->dir) + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
	assert_int_equal(io_replace_file(full, data, bytes, 0644), 0);
}

static void write_text(const struct fake *f, const char *path, const char *text)
{
	write_file(f, path, text, strlen(text));
}

static void write_kernel(const struct fake *f)
{
	uint8_t kernel[0x8000] = {0};

	memcpy(kernel + 0x202, "HdrS", 4);
	kernel[0x20e] = 0x00;
	kernel[0x20f] = 0x30;
	strcpy((char *)kernel + 0x3200, VERSION " (someone@somewhere) #1 SMP");
	write_file(f, "boot/vmlinuz-" VERSION, kernel, sizeof(kernel));
}

static void write_modules(const struct fake *f)
{
	write_text(f, "lib/modules/" VERSION "/modules.dep",
		   "kernel/virtio/virtio.ko.xz:\n"
		   "kernel/virtio/virtio_ring.ko.xz:\n"
		   "kernel/virtio/virtio-pci-modern-dev.ko.xz:\n"
		   "kernel/virtio/virtio_pci.ko.xz: kernel/virtio/virtio-pci-modern-dev.ko.xz "
		   "kernel/virtio/virtio.ko.xz kernel/virtio/virtio_ring.ko.xz\n"
		   "kernel/block/virtio_blk.ko.xz: kernel/virtio/virtio.ko.xz "
		   "kernel/virtio/virtio_ring.ko.xz\n"
		   "kernel/fs/ext4.ko.xz: kernel/fs/jbd2.ko.xz\n"
		   "kernel/fs/jbd2.ko.xz:\n");
	write_text(f, "lib/modules/" VERSION "/modules.builtin",
		   "kernel/net/virtio_net.ko\nkernel/nvme/nvme.ko\nkernel/scsi/sd_mod.ko\n");
	write_text(f, "lib/modules/" VERSION "/modules.alias",
		   "alias virtio:d00000002v* virtio_blk\nalias pci:v00001AF4d* virtio_pci\n"
		   "alias fs-ext4 ext4\n");
	write_text(f, "lib/modules/" VERSION "/modules.softdep", "softdep virtio_blk pre: jbd2\n");
	write_text(f, "lib/modules/" VERSION "/kernel/virtio/virtio.ko.xz", "virtio");
	write_text(f, "lib/modules/" VERSION "/kernel/virtio/virtio_ring.ko.xz", "ring");
	write_text(f, "lib/modules/" VERSION "/kernel/virtio/virtio-pci-modern-dev.ko.xz",
		   "modern");
	write_text(f, "lib/modules/" VERSION "/kernel/virtio/virtio_pci.ko.xz", "pci");
	write_text(f, "lib/modules/" VERSION "/kernel/block/virtio_blk.ko.xz", "blk");
}

/* The image has ext4 and jbd2 unpacked, as dracut leaves them, in /usr/lib with a link. */
static void write_image(const struct fake *f)
{
	static const char dep[] = "kernel/fs/ext4.ko: kernel/fs/jbd2.ko\nkernel/fs/jbd2.ko:\n";
	CLEANUP_FREE struct image *m = calloc(1, sizeof(*m)), *plain = calloc(1, sizeof(*plain));
	struct arena *a = arena_new();
	struct cpio_writer w = {0};
	struct modindex x = {0};
	const uint8_t *data;
	size_t bytes;

	modindex_add(a, &x, "ext4", "kernel/fs/ext4.ko: kernel/fs/jbd2.ko", 1);
	modindex_add(a, &x, "jbd2", "kernel/fs/jbd2.ko:", 2);
	modindex_write(a, &x, &data, &bytes);
	cpio_add(&w, "lib", S_IFLNK | 0777, "usr/lib", 7);
	cpio_add(&w, "usr/lib", S_IFDIR | 0755, NULL, 0);
	cpio_add(&w, "usr/sbin/modprobe", S_IFREG | 0755, "x", 1);
	cpio_add(&w, "usr/lib/modules/" VERSION "/kernel/fs/ext4.ko", S_IFREG | 0644, "e", 1);
	cpio_add(&w, "usr/lib/modules/" VERSION "/kernel/fs/jbd2.ko", S_IFREG | 0644, "j", 1);
	cpio_add(&w, "usr/lib/modules/" VERSION "/modules.dep", S_IFREG | 0644, dep,
		 sizeof(dep) - 1);
	cpio_add(&w, "usr/lib/modules/" VERSION "/modules.dep.bin", S_IFREG | 0644, data, bytes);
	cpio_end(&w);
	put(plain, w.data, w.used);
	put_packed(m, INITRD_ZSTD, plain);
	write_file(f, "boot/initrd.img-" VERSION, m->data, m->bytes);
	cpio_writer_fini(&w);
	arena_free(a);
}

static int set_up(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct stat st;

	strcpy(f->dir, "/tmp/coldlift-guest.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	guest_init(&f->g, f->dir);
	f->g.root_fd = open(f->dir, O_PATH | O_DIRECTORY);
	fstat(f->g.root_fd, &st);
	f->g.mount_count = 1;
	f->g.mounts[0].dev = st.st_dev;
	f->g.mounts[0].writable = true;
	assert_int_equal(report_init(&f->r, NULL), 0);
	write_kernel(f);
	write_modules(f);
	write_image(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fake *f = *state;
	char command[128];

	close(f->g.root_fd);
	report_fini(&f->r);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void look(struct fake *f, struct arena *a, struct boot_survey *s)
{
	CLEANUP_FREE struct image *m = calloc(1, sizeof(*m));
	struct initrd_input input = {.read = read_memory, .ctx = m, .name = "image"};
	char *data;

	assert_int_equal(
		guest_read(&f->g, "/boot/initrd.img-" VERSION, sizeof(m->data), &data, &m->bytes),
		0);
	memcpy(m->data, data, m->bytes);
	free(data);
	assert_int_equal(boot_survey(a, &input, VERSION, s), 0);
}

static const char *dep_of(struct arena *a, const struct boot_survey *s, const char *module)
{
	struct modindex x;

	assert_int_equal(modindex_read(a, s->dep_bin.data, s->dep_bin.bytes, &x), 0);
	for (size_t i = 0; i < x.count; i++)
		if (strcmp(x.list[i].key, module) == 0)
			return x.list[i].value;
	return "";
}

static void a_repaired_image_has_the_drivers_and_all_it_had(void **state)
{
	struct fake *f = *state;
	struct arena *a = arena_new();
	struct boot_survey s;

	assert_int_equal(boot_repair(&f->g, &f->r), 0);
	assert_int_equal(json_array_size(f->r.repaired), 1);
	assert_int_equal(json_array_size(f->r.warnings), 0);
	look(f, a, &s);
	assert_string_equal(s.prefix, "usr/lib/modules");
	assert_int_equal(s.shape.segments, 2);
	assert_non_null(modules_find(&s.have, "virtio_blk"));
	assert_non_null(modules_find(&s.have, "virtio_pci_modern_dev"));
	assert_non_null(modules_find(&s.have, "ext4"));
	/* Built into the kernel, so not added. */
	assert_null(modules_find(&s.have, "virtio_net"));
	/* The index names what the image has under the name that it has there. */
	assert_string_equal(dep_of(a, &s, "ext4"), "kernel/fs/ext4.ko: kernel/fs/jbd2.ko");
	assert_string_equal(dep_of(a, &s, "virtio_blk"),
			    "kernel/block/virtio_blk.ko.xz: kernel/virtio/virtio.ko.xz "
			    "kernel/virtio/virtio_ring.ko.xz");
	assert_non_null(strstr(s.dep.data, "kernel/fs/ext4.ko: kernel/fs/jbd2.ko\n"));
	assert_non_null(strstr(s.dep.data, "kernel/block/virtio_blk.ko.xz: "));
	arena_free(a);
}

static void a_second_repair_changes_nothing(void **state)
{
	struct fake *f = *state;
	char *first, *second;
	size_t first_bytes, second_bytes;

	assert_int_equal(boot_repair(&f->g, &f->r), 0);
	guest_read(&f->g, "/boot/initrd.img-" VERSION, 1 << 20, &first, &first_bytes);
	assert_int_equal(boot_repair(&f->g, &f->r), 0);
	guest_read(&f->g, "/boot/initrd.img-" VERSION, 1 << 20, &second, &second_bytes);
	assert_int_equal(first_bytes, second_bytes);
	assert_memory_equal(first, second, first_bytes);
	assert_int_equal(json_array_size(f->r.repaired), 1);
	free(first);
	free(second);
}

static void a_kernel_without_virtio_stops_unless_allowed(void **state)
{
	struct fake *f = *state;

	write_text(f, "lib/modules/" VERSION "/modules.dep", "kernel/fs/jbd2.ko.xz:\n");
	assert_true(boot_repair(&f->g, &f->r) < 0);
	assert_string_equal(err_code(), "GUEST_NO_VIRTIO");
	f->r.allow = "OTHER,GUEST_NO_VIRTIO";
	assert_int_equal(boot_repair(&f->g, &f->r), 0);
	assert_int_equal(json_array_size(f->r.warnings), 1);
}

static void a_link_out_of_the_guest_is_not_followed(void **state)
{
	struct fake *f = *state;
	char path[128];
	char *data = NULL;

	snprintf(path, sizeof(path), "%s/escape", f->dir);
	assert_int_equal(symlink("../../../../etc/hostname", path), 0);
	assert_true(guest_read(&f->g, "/escape", 4096, &data, NULL) < 0);
	snprintf(path, sizeof(path), "%s/absolute", f->dir);
	assert_int_equal(symlink("/boot/vmlinuz-" VERSION, path), 0);
	assert_int_equal(guest_read(&f->g, "/absolute", 1 << 20, &data, NULL), 0);
	free(data);
}

static void a_replaced_file_keeps_its_mode(void **state)
{
	struct fake *f = *state;
	char path[128];
	struct stat st;
	char *data;

	write_text(f, "etc/fstab", "old\n");
	snprintf(path, sizeof(path), "%s/etc/fstab", f->dir);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(guest_replace(&f->g, "/etc/fstab", "new\n", 4), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(guest_read(&f->g, "/etc/fstab", 100, &data, NULL), 0);
	assert_string_equal(data, "new\n");
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_of_all_kinds_in_one_image),
		cmocka_unit_test(what_the_kernel_would_not_unpack_is_refused),
		cmocka_unit_test(index_is_read_as_it_was_written),
		cmocka_unit_test(index_with_a_loop_is_refused),
		cmocka_unit_test_setup_teardown(a_repaired_image_has_the_drivers_and_all_it_had,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_second_repair_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_kernel_without_virtio_stops_unless_allowed,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_link_out_of_the_guest_is_not_followed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_replaced_file_keeps_its_mode, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
