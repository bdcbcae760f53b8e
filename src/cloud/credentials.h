/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The account's keys: from the environment, the vendor CLI's configuration file or the instance's
 * role, refreshed before they expire. They live in one structure that is cleared at the end; nobody
 * keeps a copy, nothing is printed.
 */
#ifndef CLOUD_CREDENTIALS_H
#define CLOUD_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#include "cloud/cloud.h"
#include "cloud/sign.h"

struct credentials;

struct credentials *credentials_new(void);
/* Clears the memory. Accepts NULL. */
void credentials_free(struct credentials *k);

/* Keys that are good for some minutes more; borrowed until the next call. EACCES: there are none.
 */
int credentials_get(struct cloud *c, struct sign_keys *out);

/* The server did not take them: the next credentials_get() fetches new ones. False: they cannot
 * change. */
bool credentials_expire(struct cloud *c);

#endif
