/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What server and uploader say to each other over their socket pair. A frame: kind 1 | zeros 3 |
 * length 4, big-endian, then so many bytes; a descriptor can go with it. Private to receiver.
 */
#ifndef RECEIVER_UPLOAD_FRAME_H
#define RECEIVER_UPLOAD_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define UPLOAD_FRAME_MAX (1100u << 20) /* what is known of the largest disk */

enum upload_frame_kind {
	/* To the uploader */
	FRAME_DISK = 'D',  /* a disk of the next order, with its descriptor: see upload_disk */
	FRAME_ORDER = 'O', /* the order, or a newer form of it; answered by a REPLY */
	FRAME_GET = 'G',   /* answered by a REPLY */
	FRAME_DROP = 'X',  /* give up and forget; answered by a REPLY when all is quiet */
	/* To the server */
	FRAME_REPLY = 'R', /* the progress as JSON */
	FRAME_SAVE = 'S',  /* keep this for a disk: index 4, then the bytes */
};

struct upload_frame {
	enum upload_frame_kind kind;
	uint8_t *data; /* free() */
	size_t bytes;
	int fd; /* -1: none; the taker's to close */
};

/* Body of a DISK, before what is saved of it. */
#define UPLOAD_DISK_HEAD_BYTES 16 /* index 4 | bytes of the disk 8 | enum wire_digest_kind 4 */

/* One writer at a time. fd -1: none goes along. head goes before data. -EPIPE when the other end is
 * gone. */
int upload_frame_send(int socket, enum upload_frame_kind kind, const void *head, size_t head_bytes,
		      const void *data, size_t bytes, int fd);

/* 0 at the end, 1 for a frame. */
int upload_frame_receive(int socket, struct upload_frame *out);

#endif
