/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A receiver as a whole: its state directory, its two listeners, and a thread for each connection.
 * Strangers, who have not shown the token, are few and have little time: when there are too many,
 * the oldest is put out, so that a crowd of idle ones keeps nobody away.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "base/memory.h"
#include "base/thread.h"
#include "receiver/confine.h"
#include "receiver/setup.h"

#define STREAM_SHARE 4 /* of the memory that is free: streams take no more than a quarter */
#define CONN_STACK   (512u << 10)

struct acceptor {
	struct receiver *receiver;
	pthread_t thread;
};

struct receiver_whole {
	struct receiver r; /* first */
	struct acceptor acceptor;
	bool acceptor_runs;
};

static void lock_close(struct receiver *r, struct conn *c)
{
	uint64_t sent, received;
	LOCK_SCOPE(&r->conns_lock);

	wire_stream_counters(c->stream, &sent, &received);
	if (c->is_data) {
		r->gone_received_bytes += received;
		r->gone_sent_bytes += sent;
	}
	for (struct conn **p = &r->conns; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	wire_stream_free(c->stream);
	free(c);
	r->conn_count--;
	pthread_cond_broadcast(&r->conns_changed);
}

void server_conn_known(struct conn *c)
{
	LOCK_SCOPE(&c->receiver->conns_lock);

	c->known = true;
}

void server_control_known(struct receiver *r, int control_fd)
{
	LOCK_SCOPE(&r->conns_lock);

	for (struct conn *c = r->conns; c; c = c->next)
		if (!c->is_data && c->control_fd == control_fd)
			c->known = true;
}

bool server_session_enter(struct receiver *r)
{
	LOCK_SCOPE(&r->conns_lock);

	if (r->sessions == SESSIONS_MAX)
		return false;
	r->sessions++;
	return true;
}

void server_session_leave(struct receiver *r)
{
	LOCK_SCOPE(&r->conns_lock);

	r->sessions--;
}

unsigned server_readers_take(struct receiver *r, unsigned wanted)
{
	LOCK_SCOPE(&r->conns_lock);
	unsigned room = r->readers < READERS_MAX ? READERS_MAX - r->readers : 0;
	unsigned taken = max_of(min_of(wanted, room), 1u);

	r->readers += taken;
	return taken;
}

void server_readers_give(struct receiver *r, unsigned taken)
{
	LOCK_SCOPE(&r->conns_lock);

	r->readers -= taken;
}

void server_traffic(struct receiver *r, struct server_traffic *out)
{
	LOCK_SCOPE(&r->conns_lock);

	*out = (struct server_traffic){.received_bytes = r->gone_received_bytes,
				       .sent_bytes = r->gone_sent_bytes};
	for (const struct conn *c = r->conns; c; c = c->next) {
		uint64_t sent, received;

		if (!c->is_data) {
			out->control_conns++;
			continue;
		}
		wire_stream_counters(c->stream, &sent, &received);
		out->received_bytes += received;
		out->sent_bytes += sent;
		out->data_conns++;
	}
}

static int run_control_conn(struct conn *c)
{
	int rc;

	wire_stream_timeout(c->stream, STUCK_MS);
	wire_stream_deadline(c->stream, clock_ms() + STRANGE_MS);
	rc = wire_stream_tls_server(c->stream, c->receiver->identity);
	wire_stream_deadline(c->stream, 0);
	return rc < 0 ? rc : control_run(c->receiver->control, c);
}

static void *run_conn(void *arg)
{
	struct conn *c = arg;
	int rc;

	err_clear();
	rc = c->is_data ? session_run(c) : run_control_conn(c);
	if (rc < 0 && rc != -EPIPE)
		log_warn("%s %s: %s", c->is_data ? "data" : "control", wire_stream_peer(c->stream),
			 err_reason()[0] ? err_reason() : strerror(-rc));
	lock_close(c->receiver, c);
	return NULL;
}

/* Under conns_lock: make room among the strangers, or say that there is none at all. */
static bool make_room(struct receiver *r)
{
	struct conn *oldest = NULL;
	unsigned strangers = 0;

	for (struct conn *c = r->conns; c; c = c->next) {
		if (c->known)
			continue;
		strangers++;
		if (!oldest || c->since_ms < oldest->since_ms)
			oldest = c;
	}
	if (oldest && (strangers >= CONNS_STRANGE_MAX || r->conn_count >= CONNS_MAX))
		wire_stream_abort(oldest->stream);
	return r->conn_count < CONNS_MAX + CONNS_STRANGE_MAX;
}

static void start_conn(struct receiver *r, int fd, const char *peer, bool is_data)
{
	struct conn *c = calloc(1, sizeof(*c));
	pthread_t thread;
	bool room;

	if (!c) {
		close(fd);
		return;
	}
	*c = (struct conn){
		.receiver = r, .is_data = is_data, .since_ms = clock_ms(), .control_fd = -1};
	if (wire_stream_new(fd, peer, &c->stream) < 0) {
		free(c);
		return;
	}
	pthread_mutex_lock(&r->conns_lock);
	room = make_room(r);
	if (room) {
		c->next = r->conns;
		r->conns = c;
		r->conn_count++;
	}
	pthread_mutex_unlock(&r->conns_lock);
	if (!room) {
		log_warn("%s: too many connections", peer);
		wire_stream_free(c->stream);
		free(c);
		return;
	}
	if (thread_start(&thread, "a connection", CONN_STACK, run_conn, c) < 0) {
		log_error("%s: %s", peer, err_reason());
		lock_close(r, c);
		return;
	}
	pthread_detach(thread);
}

static void accept_one(struct receiver *r, int listener, bool is_data)
{
	struct sockaddr_storage address;
	socklen_t bytes = sizeof(address);
	char host[64] = "?", service[16] = "?", peer[96];
	int fd = accept4(listener, (struct sockaddr *)&address, &bytes, SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			poll(NULL, 0, 100); /* no descriptor now: let others end */
		return;
	}
	getnameinfo((struct sockaddr *)&address, bytes, host, sizeof(host), service,
		    sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(peer, sizeof(peer), "%s port %s", host, service);
	wire_socket_options(fd);
	start_conn(r, fd, peer, is_data);
}

static void *run_acceptor(void *arg)
{
	struct receiver *r = ((struct acceptor *)arg)->receiver;
	struct pollfd p[3] = {{.fd = r->stop_fd, .events = POLLIN},
			      {.fd = r->control_fd, .events = POLLIN},
			      {.fd = r->data_fd, .events = POLLIN}};

	for (;;) {
		if (poll(p, 3, -1) < 0 && errno != EINTR)
			return NULL;
		if (p[0].revents)
			return NULL;
		if (p[1].revents)
			accept_one(r, r->control_fd, false);
		if (p[2].revents)
			accept_one(r, r->data_fd, true);
	}
}

static int open_vault(struct receiver *r, const struct receiver_options *o, struct owner *owner)
{
	struct vault_options v = {.state_dir = o->state_dir,
				  .files_dir = o->files_dir,
				  .devices = o->devices,
				  .device_count = o->device_count};
	int rc = setup_directories(o, owner);

	v.owner = *owner;
	return rc < 0 ? rc : vault_start(&v, o->confine, &r->vault);
}

/* What must not be done by what faces the network. */
static int prepare(struct receiver *r, const struct receiver_options *o)
{
	struct confine_user user = {0};
	struct owner owner = {0};
	int rc = o->confine ? confine_find_user(o->user, &user) : 0;

	/* Both are forked before there is a lock for them to hold; the keeper first, so that it has
	 * no end of the uploader's socket, which would outlive us. */
	if (rc == 0)
		rc = open_vault(r, o, &owner);
	if (rc == 0 && o->confine)
		rc = upload_fork(&user, vault_take_host_end(r->vault), &r->uploader);
	if (rc == 0)
		rc = setup_state(o, &owner, r);
	if (rc == 0)
		rc = setup_listen(o->listen, o->control_port, &r->control_fd, &r->control_port);
	if (rc == 0)
		rc = setup_listen(o->listen, o->data_port, &r->data_fd, &r->data_port);
	if (rc == 0)
		rc = setup_activation(o, r);
	if (rc == 0 && o->confine)
		rc = confine_user(&user);
	if (rc == 0 && o->confine)
		rc = confine_server();
	return rc;
}

static int begin(struct receiver_whole *w, const struct receiver_options *o)
{
	struct receiver *r = &w->r;
	const struct disks_options d = {
		.vault = r->vault, .device_count = o->device_count, .commit_ms = o->commit_ms};
	int rc = disks_open(&d, &r->disks);

	if (rc < 0)
		rc = setup_coded(rc, "TARGET_UNUSABLE", NULL);
	if (rc == 0)
		rc = upload_start(r->disks, r->vault, &r->uploader, &r->upload);
	if (rc == 0)
		rc = control_start(r, &r->control);
	if (rc < 0)
		return rc;
	w->acceptor.receiver = r;
	rc = thread_start(&w->acceptor.thread, "the receiver", THREAD_STACK_DEFAULT, run_acceptor,
			  &w->acceptor);
	w->acceptor_runs = rc == 0;
	return rc;
}

static struct receiver_whole *new_receiver(void)
{
	struct receiver_whole *w = calloc(1, sizeof(*w));
	struct receiver *r = &w->r;

	if (!w)
		return NULL;
	r->lock_fd = r->files_lock_fd = r->control_fd = r->data_fd = r->uploader.socket = -1;
	pthread_mutex_init(&r->conns_lock, NULL);
	pthread_cond_init(&r->conns_changed, NULL);
	r->stop_fd = eventfd(0, EFD_CLOEXEC);
	r->stream_room_bytes =
		min_of((uint64_t)WIRE_STREAMS_BYTES, memory_available_bytes() / STREAM_SHARE);
	return w;
}

int receiver_start(const struct receiver_options *o, struct receiver **out)
{
	struct receiver_whole *w = new_receiver();
	struct receiver *r = &w->r;
	int rc;

	if (!w)
		return fail(ENOMEM, "memory for the receiver");
	r->list_ok = o->list_ok;
	rc = r->stop_fd < 0 ? fail(errno, "eventfd of the receiver") : prepare(r, o);
	if (rc == 0)
		rc = begin(w, o);
	if (rc < 0) {
		rc = setup_coded(rc, "RECEIVER_FAILED", NULL);
		receiver_stop(r);
		return rc;
	}
	*out = r;
	return 0;
}

int receiver_prepare(const struct receiver_options *o, char text[WIRE_ACTIVATION_TEXT])
{
	const struct vault_options v = {.state_dir = o->state_dir};
	struct receiver_options state_only = *o;
	struct receiver_whole *w = new_receiver();
	struct receiver *r = &w->r;
	struct owner owner = {0};
	int rc;

	if (!w)
		return fail(ENOMEM, "memory for the receiver");
	r->control_port = o->control_port;
	r->data_port = o->data_port;
	/* Made as the receiver's that will be confined. */
	state_only.files_dir = NULL;
	state_only.confine = true;
	rc = setup_directories(&state_only, &owner);
	if (rc == 0)
		rc = vault_start(&v, false, &r->vault);
	if (rc == 0)
		rc = setup_state(&state_only, &owner, r);
	if (rc == 0)
		rc = setup_activation(o, r);
	if (rc == 0)
		memcpy(text, r->activation, sizeof(r->activation));
	receiver_stop(r);
	return rc;
}

static void end_conns(struct receiver *r)
{
	LOCK_SCOPE(&r->conns_lock);

	for (struct conn *c = r->conns; c; c = c->next)
		wire_stream_abort(c->stream);
	while (r->conn_count > 0)
		pthread_cond_wait(&r->conns_changed, &r->conns_lock);
}

void receiver_stop(struct receiver *r)
{
	struct receiver_whole *w = (struct receiver_whole *)r;
	const uint64_t one = 1;

	if (!r)
		return;
	if (w->acceptor_runs && write(r->stop_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(w->acceptor.thread, NULL);
	end_conns(r);
	control_stop(r->control);
	upload_stop(r->upload);
	upload_join(&r->uploader);
	disks_close(r->disks);
	token_free(r->token);
	vault_stop(r->vault);
	wire_identity_free(r->identity);
	for (size_t i = 0; i < 5; i++) {
		const int fds[] = {r->control_fd, r->data_fd, r->stop_fd, r->lock_fd,
				   r->files_lock_fd};

		if (fds[i] >= 0)
			close(fds[i]);
	}
	pthread_mutex_destroy(&r->conns_lock);
	pthread_cond_destroy(&r->conns_changed);
	free(w);
}

const char *receiver_activation(const struct receiver *r)
{
	return r->activation;
}

const uint8_t *receiver_pin(const struct receiver *r)
{
	return wire_identity_pin(r->identity);
}

uint16_t receiver_control_port(const struct receiver *r)
{
	return r->control_port;
}

uint16_t receiver_data_port(const struct receiver *r)
{
	return r->data_port;
}
