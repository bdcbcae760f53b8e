/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Before a chunk is overwritten, the journal must have forgotten it on the medium. For one patch
 * that would be one sync. But who asks for a chunk's marks is going to patch it: so the record is
 * appended then, without a sync, and the first patch that comes pays for all of those asked for.
 *
 * Between the two the chunk is still known, and its bytes are the same; so it is pending, as if it
 * had just been written, and a commit that comes first records it again.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "receiver/store_private.h"

int store_forget_ahead(struct store *s, uint64_t chunk)
{
	const struct journal_record r = {.kind = JOURNAL_UNKNOWN, .chunk = chunk, .count = 1};
	struct store_ahead *slot;
	int rc;

	pthread_mutex_lock(&s->lock);
	slot = &s->ahead[s->ahead_next];
	rc = s->error || s->frozen || !(s->states[chunk] & CHUNK_JOURNALED) ||
			     s->states[chunk] & (CHUNK_BUSY | CHUNK_COMMITTING | CHUNK_READING) ||
			     !journal_is_synced(s->journal, slot->records)
		     ? -EAGAIN
		     : journal_append(s->journal, &r, 1);
	if (rc == 0) {
		*slot = (struct store_ahead){chunk, journal_records(s->journal)};
		s->ahead_next = (s->ahead_next + 1) % STORE_AHEAD;
		s->states[chunk] &= (uint8_t)~CHUNK_JOURNALED;
		store_mark_pending(s, chunk, 1);
	}
	pthread_mutex_unlock(&s->lock);
	/* Whoever writes the chunk will do it then, or wait for room in the journal. */
	return rc == 0 || rc == -EAGAIN || rc == -ENOSPC ? 0 : store_fail(s, rc);
}

uint64_t store_ahead_records(const struct store *s, uint64_t first, uint64_t count)
{
	uint64_t records = 0;

	for (unsigned i = 0; i < STORE_AHEAD; i++)
		if (s->ahead[i].chunk >= first && s->ahead[i].chunk - first < count)
			records = max_of(records, s->ahead[i].records);
	return records;
}
