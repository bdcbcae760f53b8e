/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The receiver's control service behind libmicrohttpd and the token: requests, one after the other,
 * each "METHOD PATH\nBODY" and ended by a zero byte. Whatever comes, there is an answer of the
 * announced kind, and the page shows no markup of others. And the Authorization header's decoder.
 */
#include "receiver/control.c"

#include <assert.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/coldlift-fuzz-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void remove_dir(void)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct receiver *fuzz_receiver(void)
{
	static struct receiver r;
	/* A plan may want disks of many TiB, whose maps alone would take the memory. */
	const struct rlimit small = {.rlim_cur = 64 << 20, .rlim_max = 64 << 20};
	struct vault_options v = {.state_dir = dir, .files_dir = dir};
	struct disks_options o = {.commit_ms = 60000};

	if (r.disks)
		return &r;
	log_setup(LOG_LEVEL_ERROR, NULL, NULL);
	signal(SIGXFSZ, SIG_IGN);
	pthread_mutex_init(&r.conns_lock, NULL);
	if (setrlimit(RLIMIT_FSIZE, &small) < 0 || !mkdtemp(dir) ||
	    vault_start(&v, false, &r.vault) < 0)
		abort();
	atexit(remove_dir);
	o.vault = r.vault;
	if (disks_open(&o, &r.disks) < 0)
		abort();
	return &r;
}

/* Of receiver.c, which would bring the whole server. */
void server_traffic(struct receiver *r, struct server_traffic *out)
{
	(void)r;
	*out = (struct server_traffic){0};
}

void server_control_known(struct receiver *r, int control_fd)
{
	(void)r;
	(void)control_fd;
}

static void check_page(const char *text, size_t bytes)
{
	/* All markup of ours is lower-case letters and what follows them; an apostrophe is none of
	 * it. */
	for (size_t i = 0; i + 1 < bytes; i++)
		assert(text[i] != '<' || strchr("!abcdefghijklmnopqrstuvwxyz/", text[i + 1]));
}

static void ask(struct control *c, char *text, size_t bytes)
{
	char *body = memchr(text, '\n', bytes), *path = memchr(text, ' ', bytes);
	struct control_reply reply = {0};
	struct control_request q = {.method = text, .body = ""};
	CLEANUP_JSON json_t *json = NULL;

	if (!path || (body && path > body))
		return;
	*path = '\0';
	q.path = path + 1;
	if (body) {
		*body = '\0';
		q.body = body + 1;
		q.bytes = (size_t)(text + bytes - q.body);
	}
	/* The uploader has a target of its own. */
	if (q.bytes > control_body_max(q.method, q.path) || strcmp(q.path, "/v1/image") == 0)
		return;
	control_answer(c, &q, &reply);
	assert(reply.body && reply.content_type && reply.status >= 200 && reply.status < 600);
	if (strcmp(q.path, "/") == 0 && reply.status == 200)
		check_page(reply.body, reply.bytes);
	/* Each answer of the service itself can be read; artefacts are whatever was put. */
	if (strcmp(reply.content_type, "application/json") == 0)
		assert(json_parse(reply.body, reply.bytes, "reply", &json) == 0);
	free(reply.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control c = {.receiver = fuzz_receiver(), .rate_mbit = -1};
	CLEANUP_FREE char *text = calloc(1, size + 1);
	char pair[128];

	if (size)
		memcpy(text, data, size);
	pthread_mutex_init(&c.lock, NULL);
	assert(decode_basic(text, pair, sizeof(pair)) <= sizeof(pair));
	for (size_t at = 0, n; at < size; at += n + 1) {
		n = strlen(text + at);
		ask(&c, text + at, n);
	}
	json_decref(c.source_state);
	pthread_mutex_destroy(&c.lock);
	return 0;
}
