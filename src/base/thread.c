/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting threads; see thread.h. */
#include "base/thread.h"

#include "base/err.h"

int thread_start(pthread_t *thread, const char *what, size_t stack_bytes, void *(*run)(void *),
		 void *ctx)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	if (stack_bytes != THREAD_STACK_DEFAULT)
		pthread_attr_setstacksize(&attr, stack_bytes);
	err = pthread_create(thread, &attr, run, ctx);
	pthread_attr_destroy(&attr);
	return err ? fail(err, "start a thread of %s", what) : 0;
}
