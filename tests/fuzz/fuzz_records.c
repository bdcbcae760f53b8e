/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small files that are read back: the receiver's token.json and a token that was laid ready, its
 * key, verify.json in the hands of whoever proves a disk, and copy-state.json of an earlier run.
 * The first byte chooses.
 */
#include "receiver/token.c"
#include "wire/wire_identity.c"

#include <assert.h>
#include <sys/mman.h>

#include "map/map.h"
#include "verify/verify.h"
#include "wire/wire_cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t wall(void *ctx)
{
	(void)ctx;
	return 1800000000;
}

static uint64_t running(void *ctx)
{
	(void)ctx;
	return 1000;
}

static void a_token(const char *text, size_t size)
{
	static struct token t;
	CLEANUP_JSON json_t *json = NULL;

	t = (struct token){.clock = {.wall_s = wall, .running_s = running}, .since_s = 1000};
	pthread_mutex_init(&t.lock, NULL);
	if (json_parse(text, size, "token.json", &json) < 0 || parse(&t, json) < 0)
		return;
	assert(t.left_s <= (uint64_t)DAYS_MAX * DAY_S && t.uses_left <= USES_MAX);
	assert(t.run_count <= TOKEN_RUNS_MAX && strlen(t.hex) == HEX_BYTES);
	assert(left_s(&t) == t.left_s);
	(void)has_used(&t, t.bytes);
}

/* Its path, as what is read is a file. */
static int laid_ready(const char *text, size_t size, char path[64])
{
	int fd = memfd_create("record", 0);

	if (fd < 0 || (size > 0 && write(fd, text, size) != (ssize_t)size) || fchmod(fd, 0600) < 0)
		abort();
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static void a_token_file(const char *text, size_t size)
{
	uint8_t token[WIRE_TOKEN_BYTES];
	char path[64];
	int fd = laid_ready(text, size, path);

	if (token_file_read(path, token) == 0)
		assert(size == HEX_BYTES || size == HEX_BYTES + 1);
	else
		assert(strcmp(err_code(), "TOKEN_FILE_BAD") == 0);
	close(fd);
}

static void a_key(const char *text, size_t size)
{
	struct wire_identity id = {0};
	char path[64];
	int fd = laid_ready(text, size, path);

	if (load_key(&id, path) == 0)
		assert(id.key.curve == BR_EC_secp256r1 && id.key.xlen <= sizeof(id.scalar));
	close(fd);
}

static void a_proof(const char *text, size_t size)
{
	CLEANUP_JSON json_t *json = NULL;
	struct verify_proof p;

	if (json_parse(text, size, "verify.json", &json) < 0)
		return;
	for (int disk = -1; disk < 2; disk++) {
		if (verify_proof_read(json, disk, &p) < 0) {
			assert(strcmp(err_code(), "PROOF_INVALID") == 0);
			continue;
		}
		assert(p.name && p.disk < MAP_DISKS_MAX && (disk < 0 || p.disk == (unsigned)disk));
		assert(p.chunks == div_up(p.size_bytes, WIRE_CHUNK_BYTES));
	}
}

/* No pin but the right key's holds, whatever stands around it. */
static void a_certificate(const uint8_t *data, size_t size)
{
	static const uint8_t pin[32] = {1};
	struct pin_x509 p;
	const br_x509_class **x = &p.vtable;

	pin_x509_init(&p, pin);
	(*x)->start_chain(x, "fuzz");
	for (size_t at = 0, n; at < size; at += n) {
		n = min_of(size - at, (size_t)100);
		(*x)->append(x, data + at, n);
	}
	(*x)->end_cert(x);
	assert((*x)->end_chain(x) != 0);
	pin_x509_init(&p, NULL);
	(*x)->start_chain(x, "fuzz");
	(*x)->append(x, data, size);
	(*x)->end_cert(x);
	if ((*x)->end_chain(x) == 0)
		assert((*x)->get_pkey((const br_x509_class *const *)x, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = calloc(1, size + 1);

	if (size < 1 || size > 64 << 10)
		return 0;
	memcpy(text, data + 1, --size);
	switch (data[0]) {
	case 't':
		a_token(text, size);
		break;
	case 'f':
		a_token_file(text, size);
		break;
	case 'k':
		a_key(text, size);
		break;
	case 'c':
		a_certificate((const uint8_t *)text, size);
		break;
	default:
		a_proof(text, size);
	}
	return 0;
}
