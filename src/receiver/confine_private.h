/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the confine*.c files. */
#ifndef RECEIVER_CONFINE_PRIVATE_H
#define RECEIVER_CONFINE_PRIVATE_H

#include "receiver/confine.h"

enum filter_role { FILTER_SERVER, FILTER_KEEPER, FILTER_UPLOADER };

/* From here on the process may call what its role needs. -errno without a reason. */
int filter_install(enum filter_role role);

#endif
