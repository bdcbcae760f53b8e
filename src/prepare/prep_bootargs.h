/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device names in what the boot loader gives the kernel. */
#ifndef PREPARE_PREP_BOOTARGS_H
#define PREPARE_PREP_BOOTARGS_H

#include "prepare/prep_guest.h"
#include "prepare/prep_report.h"

/* Words like root=/dev/sda1 in text: each is handed to fn once. */
typedef void (*bootargs_fn)(void *ctx, const char *word);
void bootargs_by_name(const char *text, bootargs_fn fn, void *ctx);

/* Warn of each in the guest's boot loader configuration: such a copy does not find its root. */
int bootargs_check(const struct guest *g, struct prep_report *r);

#endif
