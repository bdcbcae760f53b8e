/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The receiver's data connection against a client whose every byte comes from the fuzzer: the
 * options as they come inside TLS (which is left out), and the requests of an opened disk.
 */
#include <stdbool.h>

#include "wire/wire.h"

/* The fuzzer's bytes stand for what TLS carries. */
#define wire_stream_is_tls(s)	      true
#define wire_stream_tls_server(s, id) (-1)
#include "receiver/session.c"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct receiver *fuzz_receiver(void)
{
	static struct receiver r;
	char dir[] = "/tmp/coldlift-fuzz-XXXXXX";
	struct vault_options v = {.state_dir = dir, .files_dir = dir};
	struct token_options t = {.uses = 1000, .days = 1};
	struct disks_options o = {.commit_ms = 60000};
	CLEANUP_JSON json_t *plan =
		json_pack("{s:[{s:i, s:i}]}", "disks", "index", 0, "target_bytes", 8 << 20);

	if (r.disks)
		return &r;
	log_setup(LOG_LEVEL_ERROR, NULL, NULL);
	pthread_mutex_init(&r.conns_lock, NULL);
	if (!mkdtemp(dir) || vault_start(&v, false, &r.vault) < 0)
		abort();
	o.vault = r.vault;
	if (disks_open(&o, &r.disks) < 0 || disks_apply_plan(r.disks, plan) < 0 ||
	    token_load(r.vault, &t, &r.token) < 0)
		abort();
	/* Nothing needs the names any more. */
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = {"disk0.raw", "disk0.journal", "token.json",
						    "artefacts"};
		char path[96];

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
	rmdir(dir);
	return &r;
}

void server_conn_known(struct conn *c)
{
	c->known = true;
}

bool server_session_enter(struct receiver *r)
{
	return r->sessions++ == 0;
}

void server_session_leave(struct receiver *r)
{
	r->sessions--;
}

unsigned server_readers_take(struct receiver *r, unsigned wanted)
{
	(void)r;
	return wanted;
}

void server_readers_give(struct receiver *r, unsigned taken)
{
	(void)r;
	(void)taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conn c = {.receiver = fuzz_receiver(), .is_data = true, .known = true};
	struct session s = {.receiver = c.receiver, .conn = &c};
	int pair[2], kind;

	if (size < 1 || size > 100000)
		return 0;
	kind = *data++;
	size--;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 0;
	if (write(pair[1], data, size) < 0 || fcntl(pair[1], F_SETFL, O_NONBLOCK) < 0)
		return 0;
	shutdown(pair[1], SHUT_WR);
	if (wire_stream_new(pair[0], "fuzz", &c.stream) < 0)
		return 0;
	s.stream = c.stream;
	/* Nobody reads the answers: a long one must end the session, not hold it. */
	wire_stream_timeout(s.stream, 50);
	if (kind % 2) {
		c.receiver->list_ok = kind & 2;
		(void)negotiate(&s);
	} else {
		s.structured = kind & 2;
		s.extension = s.structured;
		s.allocation = s.structured;
		s.near_ok = s.structured;
		s.has_run = kind & 4;
		s.store = disks_get(c.receiver->disks, 0);
		(void)serve(&s);
	}
	ZSTD_freeDCtx(s.zstd);
	free(s.near_dict);
	free(s.data);
	free(s.blocks);
	if (s.counted)
		server_session_leave(c.receiver);
	if (s.store_entered)
		store_leave(s.store);
	if (s.token_entered)
		token_leave(c.receiver->token, session_run_id(&s));
	wire_stream_free(c.stream);
	close(pair[1]);
	return 0;
}
