/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order for images, as docs/protocol.md describes it: foreign bytes, read and checked. Private
 * to receiver. */
#ifndef RECEIVER_UPLOAD_ORDER_H
#define RECEIVER_UPLOAD_ORDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

#define UPLOAD_ORDER_MAX_BYTES (16u << 20)
#define UPLOAD_ID_MAX	       64
#define UPLOAD_DISKS_MAX       32
#define UPLOAD_PARTS_MAX       10000
#define UPLOAD_URL_MAX	       4096
#define UPLOAD_CONNECTIONS_MAX 8

struct upload_order_disk {
	unsigned index;
	struct image_options options; /* complete but for threads */
	const json_t *urls;	      /* part number -> URL; borrowed from the order's JSON */
	bool has_root;
	uint8_t root[MERKLE_ROOT_BYTES]; /* that was verified */
};

struct upload_order {
	char id[UPLOAD_ID_MAX + 1];
	unsigned connections;
	uint64_t rate_mbit; /* 0: none */
	uint64_t patience_ms, stall_s;
	bool take_unknown;
	bool pause;	/* nothing more is sent until an order says otherwise */
	const char *ca; /* borrowed; NULL: the host's */
	size_t disk_count;
	struct upload_order_disk disks[UPLOAD_DISKS_MAX];
};

/* -EINVAL with IMAGE_ORDER_BAD, which names the field. out borrows from json. */
int upload_order_read(const json_t *json, struct upload_order *out);

/* What stands with what was posted after it. -EBUSY with IMAGE_BUSY (another order) or
 * IMAGE_ORDER_DIFFERS. Both have been read without an error. *out is the caller's. */
int upload_order_merge(const json_t *stands, const json_t *more, json_t **out);

#endif
