/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scope-exit cleanup for locals. A cleaned-up local is always initialised; ownership leaves by
 * steal_*. */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <dirent.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void cleanup_free_(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose_(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_closedir_(DIR **d)
{
	if (*d)
		closedir(*d);
}

static inline void cleanup_json_(json_t **j)
{
	json_decref(*j);
}

static inline void cleanup_unlock_(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}

#define CLEANUP_FREE	 CLEANUP(cleanup_free_)
#define CLEANUP_CLOSE	 CLEANUP(cleanup_close_)
#define CLEANUP_FCLOSE	 CLEANUP(cleanup_fclose_)
#define CLEANUP_CLOSEDIR CLEANUP(cleanup_closedir_)
#define CLEANUP_JSON	 CLEANUP(cleanup_json_)

/* Hold MUTEX until the scope ends. One per scope. */
#define LOCK_SCOPE(mutex)        \
	CLEANUP(cleanup_unlock_) \
	__attribute__((unused)) pthread_mutex_t *lock_scope_ = (pthread_mutex_lock(mutex), (mutex))

static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define steal_ptr(pp)                         \
	({                                    \
		typeof(*(pp)) taken_ = *(pp); \
		*(pp) = NULL;                 \
		taken_;                       \
	})

#endif
