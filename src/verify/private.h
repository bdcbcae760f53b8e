/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of verify. */
#ifndef VERIFY_PRIVATE_H
#define VERIFY_PRIVATE_H

#include "verify/verify.h"

/* Say what each bad chunk hits, in the log and in its places. */
void verify_locate(const struct verify_options *o, struct verify_result *result);

#endif
