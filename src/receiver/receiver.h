/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * receiver: the store that a source copies to. It takes chunks on the data port and orders on the
 * control port, keeps what arrived through any crash, and looks into no data: no partition table,
 * no file system, nothing that came from the source is run.
 */
#ifndef RECEIVER_RECEIVER_H
#define RECEIVER_RECEIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire.h"

struct receiver;

struct receiver_options {
	const char *state_dir;	    /* made when it is not there */
	const char *files_dir;	    /* disks are sparse files in it; NULL: devices */
	const char *const *devices; /* device_count block devices, disk 0 first */
	size_t device_count;
	const char *listen;    /* address; NULL: all */
	const char *advertise; /* host in the activation code; NULL: this machine's address */
	uint16_t control_port; /* 0: any */
	uint16_t data_port;
	unsigned token_uses; /* of a new token */
	unsigned token_days;
	uint64_t commit_ms;
	const char *token_file; /* the token to have; NULL: one is made */
	bool list_ok;		/* LIST and INFO of sizes without a token */
	bool confine;		/* fork a keeper, and give up all that serving does not need */
	const char *user;	/* whom root becomes then; NULL: nobody */
};

#define RECEIVER_TOKEN_USES 200
#define RECEIVER_TOKEN_DAYS 90
#define RECEIVER_COMMIT_MS  1000

/*
 * Open everything and listen; serves from the moment it returns. With confine the whole process is
 * changed for good, also when it fails, and may have one thread when it calls. Codes: STATE_IN_USE
 * (another receiver has the state directory), STATE_UNUSABLE, TARGET_IN_USE, TARGET_UNUSABLE,
 * TARGET_FULL, JOURNAL_*, IDENTITY_DAMAGED, TOKEN_*, PORT_IN_USE, LISTEN_FAILED, USER_UNKNOWN,
 * CONFINE_FAILED, and RECEIVER_FAILED for the rest.
 */
int receiver_start(const struct receiver_options *o, struct receiver **out);

/* Ends all connections, commits, closes. Accepts NULL. */
void receiver_stop(struct receiver *r);

/*
 * Make what the activation code says (the key, and the token of token_uses, token_days and
 * token_file) in the state directory, where it is not there yet, and the code itself. advertise and
 * both ports are as they will be; targets need not be there. Codes as above.
 */
int receiver_prepare(const struct receiver_options *o, char text[WIRE_ACTIVATION_TEXT]);

/* Valid until receiver_stop(). */
const char *receiver_activation(const struct receiver *r);
const uint8_t *receiver_pin(const struct receiver *r); /* 32 bytes */
uint16_t receiver_control_port(const struct receiver *r);
uint16_t receiver_data_port(const struct receiver *r);

#endif
