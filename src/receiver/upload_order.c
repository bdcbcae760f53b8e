/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading an order for images, and taking a second one of the same name into it. */
#include "receiver/upload_order.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/num.h"

#define CONNECTIONS 3
#define PATIENCE_MS 1800000
#define STALL_S	    30
#define PART_MAX    ((uint64_t)1 << 30)

static int bad(const char *field, const char *why)
{
	return fail_code(EINVAL, "IMAGE_ORDER_BAD", "the order cannot be read: %s %s", field, why);
}

static int read_number(const json_t *json, const char *field, uint64_t fallback, uint64_t min,
		       uint64_t max, uint64_t *out)
{
	if (json_get_u64_or(json, field, fallback, out) < 0)
		return bad(field, "is not a number");
	return *out < min || *out > max ? bad(field, "is out of its range") : 0;
}

static int read_id(const json_t *json, char out[UPLOAD_ID_MAX + 1])
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	const char *id = NULL;

	if (json_get_string(json, "order", &id) < 0 || !id[0] || strlen(id) > UPLOAD_ID_MAX ||
	    strspn(id, allowed) != strlen(id))
		return bad("order", "is not 1 to 64 of A-Z a-z 0-9 . _ -");
	memcpy(out, id, strlen(id) + 1);
	return 0;
}

static bool is_url(const char *url)
{
	const char *host = strncmp(url, "https://", 8) == 0  ? url + 8
			   : strncmp(url, "http://", 7) == 0 ? url + 7
							     : NULL;

	if (!host || !*host || strlen(url) > UPLOAD_URL_MAX)
		return false;
	for (const char *c = url; *c; c++)
		if (*c <= ' ' || *c > '~')
			return false;
	return true;
}

static int check_urls(const json_t *urls)
{
	const char *key;
	json_t *value;

	if (!urls || json_is_null(urls))
		return 0;
	if (!json_is_object(urls))
		return bad("urls", "is no object");
	json_object_foreach ((json_t *)urls, key, value) {
		uint64_t n;

		if (num_parse(key, 1, UPLOAD_PARTS_MAX, &n) < 0 || key[0] == '0')
			return bad("urls", "has a key that is no part number");
		if (!json_is_string(value) || !is_url(json_string_value(value)))
			return bad("urls", "has something that is no http or https URL");
	}
	return 0;
}

static int read_root(const json_t *json, struct upload_order_disk *d)
{
	const char *root = NULL;

	if (json_get_string_or(json, "root", NULL, &root) < 0)
		return bad("disks[].root", "is no string");
	d->has_root = root != NULL;
	if (root && hex_decode(root, d->root, sizeof(d->root)) < 0)
		return bad("disks[].root", "is not 64 hexadecimal digits");
	return 0;
}

static int read_disk(const json_t *json, struct upload_order_disk *d)
{
	const char *format, *compression;
	uint64_t index = 0, part = 0, level = 0;
	int rc = 0;

	if (json_get_u64(json, "index", &index) < 0 || index >= UPLOAD_DISKS_MAX)
		return bad("disks[].index", "is not the number of a disk");
	if (json_get_string_or(json, "format", "qcow2", &format) < 0 ||
	    image_format_parse(format, &d->options.format) < 0)
		return bad("disks[].format", "is neither qcow2 nor raw");
	if (json_get_string_or(json, "compression", "deflate", &compression) < 0 ||
	    image_compression_parse(compression, &d->options.compression) < 0)
		return bad("disks[].compression", "is none of deflate, zstd and none");
	rc = read_number(json, "part_bytes", IMAGE_PART_BYTES, IMAGE_CHUNK_BYTES, PART_MAX, &part);
	if (rc == 0 && part % IMAGE_CHUNK_BYTES != 0)
		rc = bad("part_bytes", "is no multiple of 1 MiB");
	if (rc == 0)
		rc = read_number(json, "level", d->options.compression == IMAGE_ZSTD ? 3 : 4, 1,
				 d->options.compression == IMAGE_ZSTD ? 19 : 9, &level);
	if (rc == 0)
		rc = check_urls(json_object_get(json, "urls"));
	if (rc == 0)
		rc = read_root(json, d);
	if (rc < 0)
		return rc;
	d->index = (unsigned)index;
	d->options.part_bytes = (size_t)part;
	d->options.level = (unsigned)level;
	d->urls = json_object_get(json, "urls");
	return 0;
}

static int read_disks(const json_t *json, struct upload_order *o)
{
	const json_t *list = json_object_get(json, "disks");
	uint32_t seen = 0;

	o->disk_count = json_array_size(list);
	if (o->disk_count == 0 || o->disk_count > UPLOAD_DISKS_MAX)
		return bad("disks", "is no array of 1 to 32 disks");
	for (size_t i = 0; i < o->disk_count; i++) {
		int rc = read_disk(json_array_get(list, i), &o->disks[i]);

		if (rc < 0)
			return rc;
		if (seen >> o->disks[i].index & 1)
			return bad("disks[].index", "is there twice");
		seen |= (uint32_t)1 << o->disks[i].index;
	}
	return 0;
}

int upload_order_read(const json_t *json, struct upload_order *o)
{
	uint64_t connections = 0;
	int rc;

	*o = (struct upload_order){0};
	if (!json_is_object(json))
		return bad("it", "is not a JSON object");
	rc = read_id(json, o->id);
	if (rc == 0)
		rc = read_disks(json, o);
	if (rc == 0)
		rc = read_number(json, "connections", CONNECTIONS, 1, UPLOAD_CONNECTIONS_MAX,
				 &connections);
	if (rc == 0)
		rc = read_number(json, "rate_mbit", 0, 0, 10000000, &o->rate_mbit);
	if (rc == 0)
		rc = read_number(json, "patience_ms", PATIENCE_MS, 1000, 86400000, &o->patience_ms);
	if (rc == 0)
		rc = read_number(json, "stall_s", STALL_S, 1, 600, &o->stall_s);
	if (rc == 0 && json_get_bool_or(json, "take_unknown", false, &o->take_unknown) < 0)
		rc = bad("take_unknown", "is neither true nor false");
	if (rc == 0 && json_get_bool_or(json, "pause", false, &o->pause) < 0)
		rc = bad("pause", "is neither true nor false");
	if (rc == 0 && json_get_string_or(json, "ca", NULL, &o->ca) < 0)
		rc = bad("ca", "is no string");
	o->connections = (unsigned)connections;
	return rc;
}

static bool same_disks(const struct upload_order *a, const struct upload_order *b)
{
	if (a->disk_count != b->disk_count || a->take_unknown != b->take_unknown)
		return false;
	for (size_t i = 0; i < a->disk_count; i++) {
		const struct upload_order_disk *x = &a->disks[i], *y = &b->disks[i];

		if (x->index != y->index || x->options.format != y->options.format ||
		    x->options.compression != y->options.compression ||
		    x->options.level != y->options.level ||
		    x->options.part_bytes != y->options.part_bytes || x->has_root != y->has_root ||
		    memcmp(x->root, y->root, sizeof(x->root)) != 0)
			return false;
	}
	return true;
}

int upload_order_merge(const json_t *stands, const json_t *more, json_t **out)
{
	static const char *const taken[] = {"connections", "rate_mbit", "patience_ms",
					    "stall_s",	   "ca",	"pause"};
	struct upload_order a, b;
	json_t *json;

	if (upload_order_read(stands, &a) < 0 || upload_order_read(more, &b) < 0)
		return -EINVAL;
	if (strcmp(a.id, b.id) != 0)
		return fail_code(EBUSY, "IMAGE_BUSY", "the order %s stands", a.id);
	if (!same_disks(&a, &b))
		return fail_code(EBUSY, "IMAGE_ORDER_DIFFERS",
				 "the order %s stands with other disks or formats", a.id);
	json = json_deep_copy(stands);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		if (json_object_get(more, taken[i]))
			json_object_set(json, taken[i], json_object_get(more, taken[i]));
	for (size_t i = 0; i < b.disk_count; i++) {
		json_t *disk = json_array_get(json_object_get(json, "disks"), i);
		json_t *urls = json_object_get(disk, "urls");

		if (!json_is_object(urls)) {
			urls = json_object();
			json_object_set_new(disk, "urls", urls);
		}
		if (json_is_object(b.disks[i].urls))
			json_object_update(urls, (json_t *)b.disks[i].urls);
	}
	*out = json;
	return json ? 0 : fail(ENOMEM, "memory for an order");
}
