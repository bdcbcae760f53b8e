/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order of the steps. Nothing else knows it; giving back goes the other way round. */
#include <stddef.h>

#include "pipeline/pipe_local.h"

const struct pipe_step *const pipe_steps[] = {
	&local_receiver_step, &handout_step, &sync_step, &local_image_step, &report_step, NULL,
};
