/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options, progress lines and the result of `migrator copy` and `migrator send`. */
#include "cmd/copy_args.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/holes.h"
#include "verify/verify.h"

enum {
	OPT_ACTIVATION = 256,
	OPT_NBD,
	OPT_EXPORT,
	OPT_PIN,
	OPT_PLAIN,
	OPT_TIMEOUT,
	OPT_MAP,
	OPT_COMPRESSION,
	OPT_ADAPTIVE,
	OPT_DIGEST,
	OPT_RATE,
	OPT_CONNECTIONS,
	OPT_READERS,
	OPT_WORKERS,
	OPT_MEMORY,
	OPT_PATIENCE,
	OPT_RESCUE,
	OPT_RUN_ID,
	OPT_WHOLE,
	OPT_OVERWRITE,
	OPT_PROOF,
	OPT_HOLES,
	OPT_NO_EXTENSION,
	OPT_JSON,
	OPT_QUIET,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"activation", required_argument, NULL, OPT_ACTIVATION},
	{"nbd", required_argument, NULL, OPT_NBD},
	{"export", required_argument, NULL, OPT_EXPORT},
	{"pin", required_argument, NULL, OPT_PIN},
	{"plain", no_argument, NULL, OPT_PLAIN},
	{"timeout-s", required_argument, NULL, OPT_TIMEOUT},
	{"map", required_argument, NULL, OPT_MAP},
	{"compression", required_argument, NULL, OPT_COMPRESSION},
	{"adaptive", no_argument, NULL, OPT_ADAPTIVE},
	{"digest", required_argument, NULL, OPT_DIGEST},
	{"rate-mbit", required_argument, NULL, OPT_RATE},
	{"connections", required_argument, NULL, OPT_CONNECTIONS},
	{"readers", required_argument, NULL, OPT_READERS},
	{"workers", required_argument, NULL, OPT_WORKERS},
	{"memory-mib", required_argument, NULL, OPT_MEMORY},
	{"patience-s", required_argument, NULL, OPT_PATIENCE},
	{"rescue-s", required_argument, NULL, OPT_RESCUE},
	{"run-id", required_argument, NULL, OPT_RUN_ID},
	{"whole", no_argument, NULL, OPT_WHOLE},
	{"overwrite", no_argument, NULL, OPT_OVERWRITE},
	{"proof", required_argument, NULL, OPT_PROOF},
	{"holes-max", required_argument, NULL, OPT_HOLES},
	{"no-extension", no_argument, NULL, OPT_NO_EXTENSION},
	{"json", no_argument, NULL, OPT_JSON},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

void copy_args_help(const char *synopsis)
{
	printf("usage: migrator %s\n\n"
	       "  --activation CODE    the receiver, as it printed it\n"
	       "  --nbd HOST:PORT|PATH a foreign NBD server instead, by TLS or by a local socket\n"
	       "  --export NAME        its name for the disk\n"
	       "  --pin HEX            its P-256 key's SHA-256; without it any key is taken\n"
	       "  --plain              also without TLS, over a network that you trust\n"
	       "  --compression 0-10   default 7; 0 sends plain\n"
	       "  --adaptive           move compression with the load\n"
	       "  --digest D           of each chunk: xxh3-128 (default), or sha-256, a proof "
	       "against "
	       "tampering\n"
	       "  --rate-mbit N        limit on the wire, million bits a second\n"
	       "  --connections N      default 4\n"
	       "  --readers N --workers N --memory-mib N   default: by the machine\n"
	       "  --patience-s N       go on trying to reach a lost receiver so long, default 0\n"
	       "  --rescue-s N         wait so long for a disk that does not read, default 300\n"
	       "  --timeout-s N        give up a connection on which nothing moves, default 60\n"
	       "  --run-id HEX         64 digits; what is durable under it is skipped unread\n"
	       "  --whole              (send) take no file system apart\n"
	       "  --overwrite          (send) also where the receiver has a machine's copy\n"
	       "  --proof DIR          verify at the end; verify.json and verify.leaves go there\n"
	       "  --holes-max N        so many places may be unreadable and become zeros, default "
	       "0\n"
	       "  --no-extension       behave as with a foreign server\n"
	       "  --json               print the result as JSON\n"
	       "  --quiet              no progress lines\n",
	       synopsis);
}

static int number(const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
	return cmd_number("migrator", name, optarg, min, max, out) ? 0 : CMD_USAGE;
}

static int take_unsigned(const char *name, uint64_t min, uint64_t max, unsigned *out)
{
	uint64_t n = 0;
	int rc = number(name, min, max, &n);

	if (rc == 0)
		*out = (unsigned)n;
	return rc;
}

static int take_option(struct copy_args *args, int option)
{
	struct copy_options *o = &args->options;
	uint64_t n = 0;
	int rc = 0;

	switch (option) {
	case OPT_ACTIVATION:
		rc = wire_activation_parse(optarg, &args->activation);
		args->have_activation = rc == 0;
		return rc < 0 ? cmd_report("migrator", rc) : 0;
	case OPT_NBD:
		args->nbd = optarg;
		return 0;
	case OPT_EXPORT:
		args->export = optarg;
		return 0;
	case OPT_PIN:
		args->have_pin = true;
		if (hex_decode(optarg, args->pin, sizeof(args->pin)) == 0)
			return 0;
		fprintf(stderr, "migrator: --pin is 64 hex digits\n");
		return CMD_USAGE;
	case OPT_PLAIN:
		args->plain = true;
		return 0;
	case OPT_TIMEOUT:
		rc = number("timeout-s", 1, 3600, &n);
		o->timeout_ms = n * 1000;
		return rc;
	case OPT_MAP:
		args->map = optarg;
		return 0;
	case OPT_COMPRESSION:
		return take_unsigned("compression", 0, COPY_COMPRESSION_MAX, &o->compression);
	case OPT_ADAPTIVE:
		o->adaptive = true;
		return 0;
	case OPT_DIGEST:
		if (wire_digest_named(optarg, &o->digest))
			return 0;
		fprintf(stderr, "migrator: --digest is xxh3-128 or sha-256\n");
		return CMD_USAGE;
	case OPT_RATE:
		rc = number("rate-mbit", 0, 1000000, &n);
		atomic_store(&args->control.rate_mbit, n);
		return rc;
	case OPT_CONNECTIONS:
		return take_unsigned("connections", 1, COPY_CONNECTIONS_MAX, &o->connections);
	case OPT_READERS:
		return take_unsigned("readers", 1, 64, &o->readers);
	case OPT_WORKERS:
		return take_unsigned("workers", 1, 64, &o->workers);
	case OPT_MEMORY:
		rc = number("memory-mib", 1, 4096, &n);
		o->memory_bytes = n * MIB;
		return rc;
	case OPT_PATIENCE:
		rc = number("patience-s", 0, 1000000, &n);
		o->patience_ms = n * 1000;
		return rc;
	case OPT_RESCUE:
		rc = number("rescue-s", 1, 86400, &n);
		o->rescue_ms = n * 1000;
		return rc;
	case OPT_RUN_ID:
		args->have_run_id = true;
		if (hex_decode(optarg, o->run_id, sizeof(o->run_id)) == 0)
			return 0;
		fprintf(stderr, "migrator: --run-id is 64 hex digits\n");
		return CMD_USAGE;
	case OPT_WHOLE:
		args->whole = true;
		return 0;
	case OPT_OVERWRITE:
		args->overwrite = true;
		return 0;
	case OPT_PROOF:
		args->proof = optarg;
		return 0;
	case OPT_HOLES:
		return number("holes-max", 0, 1000000, &args->holes_max);
	case OPT_NO_EXTENSION:
		o->no_extension = true;
		return 0;
	case OPT_JSON:
		args->json = true;
		return 0;
	case OPT_QUIET:
		args->quiet = true;
		return 0;
	default:
		return CMD_USAGE;
	}
}

int copy_args_parse(int argc, char **argv, struct copy_args *args, int *first)
{
	int option, rc;

	*args = (struct copy_args){.export = ""};
	args->options.compression = COPY_COMPRESSION_DEFAULT;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPT_HELP)
			return -1;
		rc = take_option(args, option);
		if (rc != 0)
			return rc;
	}
	*first = optind;
	if (args->have_activation && (args->have_pin || args->plain)) {
		fprintf(stderr,
			"migrator: --pin and --plain are for --nbd; the activation code has "
			"its own pin\n");
		return CMD_USAGE;
	}
	if (args->have_activation == (args->nbd != NULL)) {
		fprintf(stderr, "migrator: give --activation or --nbd\n");
		return CMD_USAGE;
	}
	return 0;
}

/* ---- targets ---- */

static void target_by_activation(struct copy_args *args, unsigned disk)
{
	const struct wire_activation *a = &args->activation;

	wire_export_name(a->token, disk, args->exports[disk]);
	args->targets[disk] = (struct copy_target){.host = a->host,
						   .port = a->data_port,
						   .export_name = args->exports[disk],
						   .pin = a->pin};
}

static int target_by_nbd(struct copy_args *args, unsigned disk, char *host, size_t host_bytes)
{
	const char *colon = strrchr(args->nbd, ':');
	struct copy_target *t = &args->targets[disk];
	uint64_t port;

	*t = (struct copy_target){.export_name = args->export,
				  .pin = args->have_pin ? args->pin : NULL,
				  .plain_ok = args->plain};
	if (args->nbd[0] == '/' || !colon) {
		t->unix_path = args->nbd;
		t->plain_ok = !args->have_pin; /* nobody listens in on a local socket */
		return 0;
	}
	if (num_parse(colon + 1, 1, 65535, &port) < 0 || (size_t)(colon - args->nbd) >= host_bytes)
		return fail(EINVAL, "\"%s\" is not HOST:PORT", args->nbd);
	snprintf(host, host_bytes, "%.*s", (int)(colon - args->nbd), args->nbd);
	t->host = host;
	t->port = (uint16_t)port;
	if (!args->have_pin)
		log_warn("%s: its key is not checked, so somebody in between could read and change "
			 "what is sent; --pin prevents that",
			 args->nbd);
	return 0;
}

/* ---- the run's id ---- */

/*
 * Files that have not changed are the same run. But a chunk with a hole that was allowed is durable
 * like any other, and here nobody keeps the list of holes: where they are allowed, all is read
 * again, so that each is found, told and in the proof.
 */
static int make_run_id(struct copy_args *args, const struct map *map)
{
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return fail(ENOMEM, "memory for the run's id");
	fprintf(out, "%s\n%d\n", map->plan_digest, args->whole);
	for (size_t i = 0; i < map->source_count; i++) {
		struct stat st = {0};
		uint64_t random = 0;

		if (stat(map->sources[i].path, &st) || !S_ISREG(st.st_mode) || args->holes_max)
			wire_random(&random, sizeof(random));
		fprintf(out, "%s %llu %lld.%09ld %" PRIu64 "\n", map->sources[i].path,
			(unsigned long long)st.st_size, (long long)st.st_mtim.tv_sec,
			st.st_mtim.tv_nsec, random);
	}
	fclose(out);
	wire_sha256(text, bytes, args->options.run_id);
	return 0;
}

/* ---- words ---- */

static void show_status(void *ctx, const struct copy_status *s)
{
	const struct copy_progress *p = &s->disks[s->current];
	char done[32], total[32], rate[32], wire[32];

	(void)ctx;
	fprintf(stderr, "%s %s: %s of %s, %s/s, on the wire %s/s, compression %u", p->name,
		copy_phase_name(p->phase), num_bytes_text(p->done_bytes, done, sizeof(done)),
		num_bytes_text(p->total_bytes, total, sizeof(total)),
		num_bytes_text(s->read_bytes_per_s, rate, sizeof(rate)),
		num_bytes_text(s->wire_bytes_per_s, wire, sizeof(wire)), s->compression);
	if (s->left_ms != UINT64_MAX)
		fprintf(stderr, ", %" PRIu64 " s left", s->left_ms / 1000);
	fprintf(stderr, "%s%s\n", *s->message ? ": " : "", s->message);
}

static json_t *result_json(const struct copy_result *result, const struct map *map)
{
	json_t *disks = json_array();

	for (size_t i = 0; i < result->disk_count; i++) {
		const struct copy_disk_result *d = &result->disks[i];

		json_array_append_new(
			disks,
			json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "name",
				  json_str(map->disks[i].name), "chunks", json_u64(d->chunks),
				  "read_bytes", json_u64(d->read_bytes), "sent_chunks",
				  json_u64(d->sent_chunks), "sent_plain_bytes",
				  json_u64(d->sent_plain_bytes), "skipped_chunks",
				  json_u64(d->skipped_chunks), "kept_chunks",
				  json_u64(d->kept_chunks), "zero_chunks", json_u64(d->zero_chunks),
				  "wire_bytes", json_u64(d->wire_bytes), "received_bytes",
				  json_u64(d->received_bytes), "patched_chunks",
				  json_u64(d->patched_chunks)));
	}
	return json_pack("{s:o,s:o,s:o,s:o}", "disks", disks, "elapsed_ms",
			 json_u64(result->elapsed_ms), "running_ms", json_u64(result->running_ms),
			 "reconnects", json_u64(result->reconnects));
}

static void print_result(const struct copy_result *result, const struct map *map)
{
	CLEANUP_JSON json_t *json = result_json(result, map);
	CLEANUP_FREE char *text = json_text(json);

	if (text)
		fputs(text, stdout);
	fflush(stdout);
}

static int write_proof(const struct copy_args *args, const struct holes *holes,
		       const struct verify_result *result)
{
	CLEANUP_JSON json_t *json = verify_json(result, args->options.map);
	CLEANUP_FREE uint8_t *leaves = NULL;
	size_t bytes;
	char path[4096];
	int rc;

	if (!json)
		return fail(ENOMEM, "memory for verify.json");
	holes_into_proof(holes, json);
	rc = verify_leaves_make(result, args->options.map, &leaves, &bytes);
	snprintf(path, sizeof(path), "%s/verify.leaves", args->proof);
	if (rc == 0)
		rc = io_replace_file(path, leaves, bytes, 0644);
	snprintf(path, sizeof(path), "%s/verify.json", args->proof);
	return rc < 0 ? rc : json_write_file(path, json);
}

static int prove(const struct copy_args *args, const struct holes *holes,
		 const struct copy_result *copied)
{
	struct verify_options v = {
		.copy = &args->options, .copied = copied, .layout = args->layout};
	struct verify_result result;
	char code[ERR_CODE_MAX], reason[ERR_REASON_MAX];
	int rc = verify_run(&v, &result);

	snprintf(code, sizeof(code), "%s", err_code());
	snprintf(reason, sizeof(reason), "%s", err_reason());
	if (rc == 0 || rc == -EBADMSG) {
		int written = write_proof(args, holes, &result);

		rc = rc < 0 ? rc : written;
	}
	verify_result_fini(&result);
	if (rc == -EBADMSG)
		err_adopt(code, reason);
	return rc;
}

int copy_args_run(const char *command, struct copy_args *args, const struct map *map)
{
	struct copy_options *o = &args->options;
	struct copy_result result;
	struct holes holes = {.map = map, .layout = args->layout, .max = args->holes_max};
	char host[WIRE_HOST_MAX + 1];
	int rc = 0;

	if (args->nbd && map->disk_count > 1)
		rc = fail(EINVAL, "a foreign server takes one disk a run");
	for (unsigned i = 0; rc == 0 && i < map->disk_count; i++) {
		if (args->have_activation)
			target_by_activation(args, i);
		else
			rc = target_by_nbd(args, i, host, sizeof(host));
	}
	if (rc == 0 && !args->have_run_id)
		rc = make_run_id(args, map);
	if (rc < 0)
		return cmd_report(command, rc);
	holes.arena = arena_new();
	holes.list = json_array();
	pthread_mutex_init(&holes.lock, NULL);
	o->judge = holes_judge;
	o->judge_ctx = &holes;
	o->map = map;
	o->targets = args->targets;
	o->control = &args->control;
	o->status = args->quiet ? NULL : show_status;
	rc = copy_run(o, &result);
	if (args->json)
		print_result(&result, map);
	if (rc == 0 && args->proof)
		rc = prove(args, &holes, &result);
	copy_result_fini(&result);
	json_decref(holes.list);
	arena_free(holes.arena);
	return cmd_report(command, rc);
}
