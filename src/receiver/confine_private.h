/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between confine.c and confine_filter.c. */
#ifndef RECEIVER_CONFINE_PRIVATE_H
#define RECEIVER_CONFINE_PRIVATE_H

#include "receiver/confine.h"

enum filter_role { FILTER_SERVER, FILTER_KEEPER };

/* From here on the process may call what its role needs. -errno without a reason. */
int filter_install(enum filter_role role);

#endif
