/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The script that an intermediate instance runs on its first boot. */
#ifndef PIPELINE_PIPE_USERDATA_H
#define PIPELINE_PIPE_USERDATA_H

#include <stdbool.h>
#include <stddef.h>

struct userdata {
	const char *url;    /* where the receiver is fetched, presigned */
	const char *sha256; /* of the receiver, hex */
	const char *key_pem, *cert_pem;
	const char *token; /* 32 hex digits */
	unsigned disks;	   /* data disks: /dev/vdb and so on */
};

#define USERDATA_MAX_BYTES 32768 /* ECS, RunInstances */

/*
 * A POSIX shell script: free() it. NULL with a reason when it would be too long, or a text could
 * end its quotes. It fetches the receiver (curl or wget), checks its hash, lays down key,
 * certificate and token for root alone, and makes it a service that comes back after a reboot:
 * of systemd where that runs, of cloud-init's per-boot scripts else.
 */
char *userdata_make(const struct userdata *u);

#endif
