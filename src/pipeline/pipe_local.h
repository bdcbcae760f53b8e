/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way without a cloud: where its files are. */
#ifndef PIPELINE_PIPE_LOCAL_H
#define PIPELINE_PIPE_LOCAL_H

#include "pipeline/pipe_sync.h"

/* Where our receiver keeps the disks; free() it. */
int local_files_dir(const struct course *c, char **out);

/* True when the job starts its own receiver. */
bool local_own_receiver(const struct course *c);

/* End our receiver, also one that an earlier process left behind. */
int course_child_forget(struct course *c);

/* -EIO when our receiver has ended by itself. */
int course_child_check(struct course *c);

/*
 * Open a disk of the finished transfer for reading; DISK is an entry of the sync step's fact. Our
 * own receiver's file, or what is fetched over NBD from another's into the file FETCHED. Returns
 * the descriptor.
 */
int local_disk_open(struct course *c, const json_t *disk, const char *fetched);

/* The packing of all disks in all formats, for its progress. */
struct local_packing {
	struct course *course;
	uint64_t before_bytes, total_bytes;
	uint64_t looked_ms;
};

/*
 * Pack a disk into an image at path, and append {path, format, disk, size_bytes, file_bytes, root,
 * proved} to files. Where the disk was verified, each chunk that is read is compared with
 * verify.leaves of the job's directory, and the whole with the Merkle root: IMAGE_MEDIUM_DIFFERS.
 * Such an image goes on where it was when it was left in the middle. Orders are taken meanwhile.
 */
int local_pack(struct local_packing *k, const json_t *disk, int fd, const char *format,
	       const char *path, json_t *files);

/* Delete an ENS image of an earlier run; gone already is success. */
int cloud_remove_image(struct course *c, const char *id);

/* rm -r of what a job made itself; what is missing is success. Follows no link. */
int pipe_remove_tree(const char *path);

extern const struct pipe_step local_receiver_step, handout_step, sync_step, local_image_step,
	report_step;

/* The source's job file, with its activation code or without (NULL). The caller's. */
json_t *handout_source_job(const struct course *c, const char *activation);

#endif
