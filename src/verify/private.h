/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of verify. */
#ifndef VERIFY_PRIVATE_H
#define VERIFY_PRIVATE_H

#include "verify/verify.h"

/* A connection to a disk's receiver. */
int verify_open(const struct verify_options *o, unsigned disk, struct wire_nbd **out);

/* Find out which blocks of each bad chunk differ, by asking for their marks and reading the source
 * again. */
void verify_narrow(const struct verify_options *o, unsigned disk, struct verify_result *result);

/* Say what each bad chunk hits, in the log and in its places. */
void verify_locate(const struct verify_options *o, struct verify_result *result);

#endif
