/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device-mapper devices through libdevmapper, without udev: nodes in /dev/mapper are made and
 * removed by the library. One thread.
 */
#ifndef PREPARE_PREP_DM_H
#define PREPARE_PREP_DM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DM_PARAMS_MAX 512
#define DM_NAME_MAX   128

/* One target of a table; lengths in bytes, whole sectors of 512. */
struct dm_line {
	uint64_t offset_bytes;
	uint64_t length_bytes;
	const char *type;
	char params[DM_PARAMS_MAX];
};

int dm_create(const char *name, const struct dm_line *lines, size_t count);
/* Read-only, of one line. */
int dm_create_readonly(const char *name, const struct dm_line *line);
/* Another table in place of the one that stands, under what is stacked on the device. Waits for
 * what is on its way to the old one. */
int dm_replace_readonly(const char *name, const struct dm_line *line);
/* -EBUSY when something holds it; with patience, only if it still does after some seconds. */
int dm_remove(const char *name, bool patient);

/* Parameters (or status) of the first target. -ENXIO when there is no such device. */
int dm_first_line(const char *name, bool status, char *params, size_t params_bytes);

/* Names of all devices that start with one of the prefixes (NULL-terminated list), in an array that
 * dm_free_names() frees. */
int dm_list(const char *const prefixes[], char ***names, size_t *count);
void dm_free_names(char **names, size_t count);

#endif
