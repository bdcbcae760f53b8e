/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads whose stacks are as large as their work needs, as small machines have many of them. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

#define THREAD_STACK_DEFAULT 0

/* what: whose thread it is, for the reason ("the copy"). The caller joins or detaches it. -errno */
int thread_start(pthread_t *thread, const char *what, size_t stack_bytes, void *(*run)(void *),
		 void *ctx);

#endif
