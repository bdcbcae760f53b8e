/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The uploader's side of its socket pair: it takes disks and orders, and tells how far it is. */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "receiver/upload.h"
#include "receiver/upload_frame.h"
#include "receiver/upload_status.h"

static void disk_free(struct upload_disk *d)
{
	if (!d)
		return;
	if (d->fd >= 0)
		close(d->fd);
	for (unsigned n = 0; d->parts && n <= UPLOAD_PARTS_MAX; n++)
		free(d->parts[n].state);
	free(d->parts);
	free(d->state);
	free(d->frame);
	free(d);
}

static void forget(struct upload_work *w)
{
	for (size_t i = 0; i < w->disk_count; i++)
		disk_free(w->disks[i]);
	memset(w->disks, 0, sizeof(w->disks));
	w->disk_count = 0;
	json_decref(w->json);
	w->json = NULL;
	w->order = (struct upload_order){0};
	w->in_error = false;
	w->connections = 0;
	w->code[0] = w->message[0] = '\0';
}

static int reply(struct upload_work *w)
{
	CLEANUP_FREE char *text = NULL;
	json_t *json;
	int rc;

	pthread_mutex_lock(&w->lock);
	json = upload_status(w);
	pthread_mutex_unlock(&w->lock);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		return fail(ENOMEM, "memory for a report");
	pthread_mutex_lock(&w->send_lock);
	rc = upload_frame_send(w->socket, FRAME_REPLY, NULL, 0, text, strlen(text), -1);
	pthread_mutex_unlock(&w->send_lock);
	return rc;
}

void upload_save(struct upload_work *w, struct upload_disk *d)
{
	CLEANUP_FREE uint8_t *data = NULL;
	uint8_t head[4];
	struct writer wr = writer_of(head, sizeof(head));
	size_t bytes = 0;
	int rc;

	/* In the order in which they were made. */
	pthread_mutex_lock(&w->send_lock);
	pthread_mutex_lock(&w->lock);
	rc = upload_saved_write(w, d, &data, &bytes);
	pthread_mutex_unlock(&w->lock);
	writer_be(&wr, d->index, 4);
	if (rc == 0)
		rc = upload_frame_send(w->socket, FRAME_SAVE, head, sizeof(head), data, bytes, -1);
	pthread_mutex_unlock(&w->send_lock);
	if (rc < 0)
		log_debug("images: what is done could not be kept: %s", err_reason());
}

/* index 4 | bytes of the disk 8 | digest 4 | what is known of each chunk | what was saved */
static int take_disk(struct upload_work *w, struct upload_frame *f)
{
	struct cursor c = cursor_of(f->data, f->bytes);
	struct upload_disk *d = calloc(1, sizeof(*d));

	if (!d || f->fd < 0 || w->disk_count == UPLOAD_DISKS_MAX) {
		free(d);
		return fail(EINVAL, "the server's words on a disk");
	}
	d->index = cursor_be32(&c);
	d->disk_bytes = cursor_be64(&c);
	d->digest = cursor_be32(&c);
	d->known_bytes = 1 + wire_digest_bytes(d->digest);
	d->chunks = div_up(d->disk_bytes, IMAGE_CHUNK_BYTES);
	d->fd = steal_fd(&f->fd);
	d->frame = steal_ptr(&f->data);
	snprintf(d->name, sizeof(d->name), "disk%u", d->index);
	d->known = cursor_bytes(&c, d->chunks * d->known_bytes);
	d->parts = calloc(UPLOAD_PARTS_MAX + 1, sizeof(*d->parts));
	if (!cursor_ok(&c) || !d->parts) {
		disk_free(d);
		return fail(EINVAL, "the server's words on a disk");
	}
	/* Behind it is what was saved; that waits in the frame until the order says whose it is. */
	d->state_bytes = cursor_left(&c);
	w->disks[w->disk_count++] = d;
	return 0;
}

static void take_urls(struct upload_disk *d, const json_t *urls)
{
	for (unsigned n = 1; n <= UPLOAD_PARTS_MAX; n++) {
		struct upload_part *p = &d->parts[n];
		char key[12];
		const char *url;

		snprintf(key, sizeof(key), "%u", n);
		url = json_string_value(json_object_get(urls, key));
		if (p->refused && url && p->url && strcmp(url, p->url) != 0)
			p->refused = false;
		p->url = url;
	}
}

/* The disks came before the order that names them, in its order. */
static int begin(struct upload_work *w)
{
	if (w->disk_count != w->order.disk_count)
		return fail(EINVAL, "an order without its disks");
	for (size_t i = 0; i < w->disk_count; i++) {
		struct upload_disk *d = w->disks[i];
		size_t saved_bytes = d->state_bytes;

		d->state_bytes = 0;
		if (d->index != w->order.disks[i].index)
			return fail(EINVAL, "an order with other disks");
		d->options = w->order.disks[i].options;
		d->has_root = w->order.disks[i].has_root;
		memcpy(d->root, w->order.disks[i].root, sizeof(d->root));
		upload_saved_read(d, w->order.id, d->known + d->chunks * d->known_bytes,
				  saved_bytes);
	}
	return 0;
}

static int take_order(struct upload_work *w, const struct upload_frame *f)
{
	struct upload_order o;
	json_t *json = NULL, *old;
	int rc = json_parse((const char *)f->data, f->bytes, "order", &json);
	bool first;
	LOCK_SCOPE(&w->lock);

	if (rc == 0)
		rc = upload_order_read(json, &o);
	if (rc < 0) {
		json_decref(json);
		return rc;
	}
	first = !w->json;
	old = w->json;
	w->json = json;
	w->order = o;
	if (first)
		rc = begin(w);
	for (size_t i = 0; rc == 0 && i < w->disk_count; i++)
		take_urls(w->disks[i], o.disks[i].urls);
	/* Only now nothing points into it any more. */
	json_decref(old);
	pthread_cond_broadcast(&w->changed);
	return rc < 0 ? rc : upload_run_start(w);
}

static int take_frame(struct upload_work *w, struct upload_frame *f)
{
	int rc;

	switch (f->kind) {
	case FRAME_DISK:
		rc = take_disk(w, f);
		break;
	case FRAME_ORDER:
		rc = take_order(w, f);
		if (rc == 0)
			rc = reply(w);
		break;
	case FRAME_GET:
		rc = reply(w);
		break;
	case FRAME_DROP:
		upload_run_stop(w);
		forget(w);
		rc = reply(w);
		break;
	default:
		rc = fail(EPROTO, "a frame of kind %d for the uploader", f->kind);
	}
	free(f->data);
	if (f->fd >= 0)
		close(f->fd);
	return rc;
}

int upload_work(int socket)
{
	struct upload_work *w = calloc(1, sizeof(*w));
	pthread_condattr_t monotonic;
	struct upload_frame f;
	int rc;

	if (!w) {
		close(socket);
		return fail(ENOMEM, "memory for the uploader");
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	w->socket = socket;
	pthread_mutex_init(&w->send_lock, NULL);
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	do {
		rc = upload_frame_receive(socket, &f);
		if (rc == 1)
			rc = take_frame(w, &f) < 0 ? -EPROTO : 1;
	} while (rc == 1);
	if (rc < 0)
		log_error("images: the uploader ends: %s", err_reason());
	upload_run_stop(w);
	forget(w);
	close(socket);
	free(w->ca);
	pthread_mutex_destroy(&w->send_lock);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	free(w);
	return rc;
}
