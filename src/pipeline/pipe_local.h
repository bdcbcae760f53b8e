/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way without a cloud: where its files are. */
#ifndef PIPELINE_PIPE_LOCAL_H
#define PIPELINE_PIPE_LOCAL_H

#include "pipeline/pipe_sync.h"

/* Where our receiver keeps the disks; free() it. */
int local_files_dir(const struct course *c, char **out);

/* Where the images of this job go: OUTPUT or the job's own; free() it. */
int local_output_dir(const struct course *c, char **out);

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

/*
 * Pack a disk into an image at path, compare its Merkle root with the one that was verified, and
 * append {path, format, disk, size_bytes, file_bytes, root, proved} to files.
 */
int local_pack(struct course *c, const json_t *disk, int fd, const char *format, const char *path,
	       json_t *files);

/* Remove the oldest images beyond the job's number. */
int retain_images(struct course *c);

/* Delete an ENS image of an earlier run; gone already is success. */
int cloud_remove_image(struct course *c, const char *id);

/* rm -r of what a job made itself; what is missing is success. Follows no link. */
int pipe_remove_tree(const char *path);

extern const struct pipe_step local_receiver_step, handout_step, sync_step, local_image_step,
	report_step;

#endif
