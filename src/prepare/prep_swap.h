/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up a suspended system: its memory image must not be woken up on other hardware. */
#ifndef PREPARE_PREP_SWAP_H
#define PREPARE_PREP_SWAP_H

#include "plan/plan.h"
#include "prepare/prep_guest.h"
#include "prepare/prep_report.h"
#include "prepare/prep_views.h"

/* In the view of a swap space; nothing to do is success. The plan has allowed it, or there would be
 * no plan. */
int swap_give_up(const struct view *view, struct prep_report *r);

/* In the swap files of the guest that the plan names. */
int swap_files_give_up(struct guest *g, const struct plan *plan, struct prep_report *r);

#endif
