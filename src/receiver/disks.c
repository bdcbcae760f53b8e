/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The receiver's disks. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "receiver/disks.h"

struct disks {
	struct vault *vault;
	bool devices;
	uint64_t commit_ms;
	pthread_mutex_t lock;
	struct store *stores[DISKS_MAX];
};

static int open_one(struct disks *d, unsigned index, uint64_t size_bytes)
{
	const struct store_options o = {.disk = index,
					.vault = d->vault,
					.is_device = d->devices,
					.size_bytes = size_bytes,
					.commit_ms = d->commit_ms};

	return store_open(&o, &d->stores[index]);
}

/* Files of an earlier life, so that reports are right before the plan comes again. */
static int open_known_files(struct disks *d)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < DISKS_MAX; i++) {
		char name[VAULT_NAME_BYTES];

		if (!vault_has(d->vault, VAULT_JOURNAL, i))
			continue;
		if (!vault_has(d->vault, VAULT_DISK, i))
			return fail_code(ENOENT, "JOURNAL_FOREIGN",
					 "%s is gone, but its journal is there; give it back, or "
					 "remove the journal to begin anew",
					 vault_name(d->vault, VAULT_DISK, i, name));
		rc = open_one(d, i, 0);
	}
	return rc;
}

int disks_open(const struct disks_options *o, struct disks **out)
{
	struct disks *d = calloc(1, sizeof(*d));
	int rc = 0;

	if (!d)
		return fail(ENOMEM, "memory for the disks");
	pthread_mutex_init(&d->lock, NULL);
	d->vault = o->vault;
	d->devices = o->device_count > 0;
	d->commit_ms = o->commit_ms;
	if (!d->devices)
		rc = open_known_files(d);
	else if (o->device_count > DISKS_MAX)
		rc = fail(EINVAL, "1 to %d devices", DISKS_MAX);
	for (unsigned i = 0; rc == 0 && i < o->device_count; i++)
		rc = open_one(d, i, 0);
	if (rc < 0) {
		disks_close(d);
		return rc;
	}
	*out = d;
	return 0;
}

void disks_close(struct disks *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < DISKS_MAX; i++)
		store_close(d->stores[i]);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static int plan_bad(const char *why)
{
	return fail_code(EINVAL, "PLAN_BAD", "the plan cannot be used: %s", why);
}

/* The sizes that a plan wants, by index; 0 where it wants no disk. */
static int read_sizes(const json_t *plan, uint64_t sizes[DISKS_MAX])
{
	json_t *list = NULL;
	uint64_t total = 0;
	int rc = json_get_array(plan, "disks", &list);

	memset(sizes, 0, DISKS_MAX * sizeof(*sizes));
	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
		const json_t *disk = json_array_get(list, i);
		uint64_t index, bytes;

		rc = json_get_u64(disk, "index", &index);
		if (rc == 0)
			rc = json_get_u64(disk, "target_bytes", &bytes);
		if (rc < 0)
			break;
		if (index >= DISKS_MAX || sizes[index] != 0)
			return plan_bad("its disks are numbered beyond the limit, or twice");
		if (bytes == 0 || bytes > DISK_MAX_BYTES || bytes % 512 != 0)
			return plan_bad("a target size is zero, too large, or no multiple of 512");
		/* A byte of memory for each chunk, and some time for each figure of it. */
		total += bytes;
		if (total > DISK_MAX_BYTES)
			return plan_bad("its disks are too large together");
		sizes[index] = bytes;
	}
	return rc < 0 ? plan_bad(err_reason()) : 0;
}

static int check_size(const struct disks *d, unsigned i, uint64_t wanted)
{
	uint64_t have = d->stores[i] ? store_size_bytes(d->stores[i]) : 0;

	if (wanted == 0)
		return 0;
	if (d->devices && have < wanted)
		return fail_code(ENOSPC, "TARGET_TOO_SMALL",
				 "disk%u needs %" PRIu64 " bytes and has %" PRIu64
				 "; give the receiver a larger device",
				 i, wanted, have);
	if (!d->devices && have != 0 && have != wanted)
		return fail_code(EEXIST, "TARGET_SIZE_DIFFERS",
				 "disk%u is there with %" PRIu64
				 " bytes, and the plan wants %" PRIu64
				 "; use another receiver, or remove the file and its journal",
				 i, have, wanted);
	return 0;
}

int disks_apply_plan(struct disks *d, const json_t *plan)
{
	uint64_t sizes[DISKS_MAX];
	int rc = read_sizes(plan, sizes);
	LOCK_SCOPE(&d->lock);

	for (unsigned i = 0; rc == 0 && i < DISKS_MAX; i++)
		rc = check_size(d, i, sizes[i]);
	for (unsigned i = 0; rc == 0 && i < DISKS_MAX; i++)
		if (sizes[i] != 0 && !d->stores[i])
			rc = open_one(d, i, sizes[i]);
	return rc;
}

struct store *disks_get(struct disks *d, unsigned index)
{
	LOCK_SCOPE(&d->lock);

	return index < DISKS_MAX ? d->stores[index] : NULL;
}

bool disks_have_source(struct disks *d)
{
	for (unsigned i = 0; i < DISKS_MAX; i++) {
		struct store *s = disks_get(d, i);

		if (s && store_has_source(s))
			return true;
	}
	return false;
}

bool disks_are_files(const struct disks *d)
{
	return !d->devices;
}

uint64_t disks_free_bytes(const struct disks *d)
{
	return vault_free_bytes(d->vault);
}
