/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk that stands still while an image is made of it. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "receiver/store_private.h"

static bool is_busy(const struct store *s)
{
	for (uint64_t i = 0; i < s->chunks; i++)
		if (s->states[i] & CHUNK_BUSY)
			return true;
	return false;
}

int store_freeze(struct store *s)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	s->frozen = true;
	while (is_busy(s) && !s->error)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	rc = store_commit(s);
	if (rc < 0)
		store_thaw(s);
	return rc;
}

void store_thaw(struct store *s)
{
	LOCK_SCOPE(&s->lock);

	s->frozen = false;
	pthread_cond_broadcast(&s->changed);
}

int store_open_for_reading(const struct store *s)
{
	int fd = vault_open(s->vault, VAULT_DISK, s->disk, VAULT_READ);

	return fd == -ENOENT ? fail(ENOENT, "disk%u is gone", s->disk) : fd;
}
