/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far an order is, as docs/protocol.md describes it. Private to receiver. */
#ifndef RECEIVER_UPLOAD_STATUS_H
#define RECEIVER_UPLOAD_STATUS_H

#include "receiver/upload_private.h"

/* Under the lock. The caller's; NULL when memory is out. */
json_t *upload_status(const struct upload_work *w);

#endif
