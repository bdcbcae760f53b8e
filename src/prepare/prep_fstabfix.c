/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fstab entries by device name become UUID=; see prep_names.h. What the name was is in
 * prepare.json; no copy of the old file is left in the guest.
 */
#include "prepare/prep_names.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

struct repair {
	const struct names *names;
	struct prep_report *report;
};

/* Two file systems with one UUID (a cloned disk): the UUID would say less than the name did. */
static size_t count_uuid(const struct plan *plan, const char *uuid)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->disk_count; i++)
		for (size_t j = 0; j < plan->disks[i].part_count; j++) {
			const char *other = plan->disks[i].parts[j].fs_uuid;

			n += other && strcmp(other, uuid) == 0;
		}
	for (size_t i = 0; i < plan->volume_count; i++)
		n += plan->volumes[i].fs_uuid && strcmp(plan->volumes[i].fs_uuid, uuid) == 0;
	return n;
}

static int rewrite_entry(void *ctx, const struct fstab_entry *e, char *fresh)
{
	struct repair *r = ctx;
	const struct plan_part *part;
	enum names_verdict verdict;
	struct fstab_ref ref;

	fstab_ref_parse(e->spec, &ref);
	if (ref.kind == FSTAB_STAYS)
		return 0;
	verdict = names_resolve(r->names, &ref, e, &part);
	if (verdict == NAMES_UNKNOWN) {
		report_warn(
			r->report, "FSTAB_UNKNOWN_DEVICE", "/etc/fstab",
			"line %u: nothing that is copied fits %s (%s on %s); left as it is, and "
			"not there on the target unless marked nofail",
			e->line, e->spec, e->type, e->file);
		return 0;
	}
	if (verdict == NAMES_AMBIGUOUS || !part->fs_uuid || !*part->fs_uuid ||
	    count_uuid(r->names->plan, part->fs_uuid) > 1) {
		report_warn(r->report, "FSTAB_AMBIGUOUS", "/etc/fstab",
			    "line %u: %s (%s on %s) could mean several file systems, or the one "
			    "that it means has no UUID of its own; left as it is",
			    e->line, e->spec, e->type, e->file);
		return 0;
	}
	if (verdict == NAMES_BY_NAME)
		report_warn(r->report, "FSTAB_BY_NAME", "/etc/fstab",
			    "line %u: several file systems fit %s; the one that has this name now "
			    "(%s) was taken",
			    e->line, e->spec, part->name);
	snprintf(fresh, FSTAB_FIELD_MAX, "UUID=%s", part->fs_uuid);
	report_note(r->report->repaired, "/etc/fstab", "line %u (%s): %s is now %s", e->line,
		    e->file, e->spec, fresh);
	return 1;
}

int fstab_repair(struct guest *g, const struct names *n, struct prep_report *r)
{
	struct repair repair = {.names = n, .report = r};
	CLEANUP_FREE char *text = NULL, *fresh = NULL;
	size_t bytes, fresh_bytes;
	unsigned changed;
	int rc;

	if (!guest_exists(g, "/etc/fstab")) {
		report_note(r->skipped, "/etc/fstab", "the guest has none");
		return 0;
	}
	rc = guest_read(g, "/etc/fstab", FSTAB_MAX_BYTES, &text, &bytes);
	if (rc == 0)
		rc = fstab_rewrite(text, bytes, rewrite_entry, &repair, &fresh, &fresh_bytes,
				   &changed);
	if (rc < 0 || changed == 0)
		return rc;
	return guest_replace(g, "/etc/fstab", fresh, fresh_bytes);
}
