/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order of the steps. Nothing else knows it; giving back goes the other way round. */
#include <stddef.h>

#include "pipeline/pipe_cloud.h"

const struct pipe_step *const pipe_steps[] = {
	/* before the data */
	&bucket_step,
	&diagnostics_step,
	&network_step,
	&zone_step,
	&vpc_step,
	&vswitch_step,
	&group_step,
	&rules_step,
	&program_step,
	&instance_step,
	&power_step,
	&local_receiver_step,
	&handout_step,
	/* the data */
	&sync_step,
	/* images */
	&stop_step,
	&snapshot_step,
	&image_step,
	&export_step, /* way ecs */
	&upload_step, /* way direct */
	&import_step,
	&local_image_step,
	&report_step,
	NULL,
};
