/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bringing file systems that were not unmounted into a clean state, in their views. */
#ifndef PREPARE_PREP_REPLAY_H
#define PREPARE_PREP_REPLAY_H

#include "prepare/prep_report.h"
#include "prepare/prep_views.h"

/*
 * Replay what is dirty: ext2/3/4 and XFS, whose free space is trusted by the copy and must be
 * right. Others are copied whole and replay when the target mounts them. Each is probed again
 * afterwards. mount_dir is an empty directory.
 */
int replay_all(const struct views *v, const char *mount_dir, struct prep_report *r);

#endif
