/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the builder and the text form of a map agree on. */
#ifndef MAP_PRIVATE_H
#define MAP_PRIVATE_H

#include "base/num.h"

/* The longest literal in one entry. */
#define MAP_LITERAL_MAX_BYTES (4 * KIB)

#endif
