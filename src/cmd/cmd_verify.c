/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `receiver verify`: prove a disk, or a file that was made of one, by the verify.json of its
 * migration, on any machine. Reads only.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/cmd_receiver.h"
#include "image/image.h"
#include "verify/verify.h"

#define COMMAND		 "receiver verify"
#define LEAVES_MAX_BYTES (256 * MIB)
#define WRONG_LINES_MAX	 100

struct args {
	const char *disk;
	const char *proof;
	const char *leaves;
	int index; /* -1: the only one */
	bool rest;
};

static int usage(void)
{
	printf("usage: receiver verify --disk FILE-OR-DEVICE --proof verify.json [OPTION...]\n"
	       "\n"
	       "Proves a disk, or an image of it, by the Merkle root of its migration.\n"
	       "\n"
	       "  --disk PATH     a block device, or a raw or qcow2 file; it is only read\n"
	       "  --proof FILE    verify.json, as the receiver keeps it\n"
	       "  --leaves FILE   verify.leaves: says which parts differ, not only that some do\n"
	       "  --index N       which disk of verify.json; needed when it has several\n"
	       "  --rest          where the disk is larger than the one that was copied (clouds\n"
	       "                  round up), the rest must be zeros; else it is not looked at\n"
	       "\n"
	       "Exit status: 0 it is equal, 1 it differs or cannot be read, 2 usage.\n");
	return CMD_DONE;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct args *args)
{
	static const struct option longs[] = {
		{"disk", required_argument, NULL, 'd'},
		{"proof", required_argument, NULL, 'p'},
		{"leaves", required_argument, NULL, 'l'},
		{"index", required_argument, NULL, 'i'},
		{"rest", no_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	uint64_t n;
	int option;

	*args = (struct args){.index = -1};
	optind = 1;
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (option) {
		case 'd':
			args->disk = optarg;
			break;
		case 'p':
			args->proof = optarg;
			break;
		case 'l':
			args->leaves = optarg;
			break;
		case 'i':
			if (num_parse(optarg, 0, MAP_DISKS_MAX - 1, &n) < 0)
				return cmd_usage(COMMAND, "--index is 0 to %d", MAP_DISKS_MAX - 1);
			args->index = (int)n;
			break;
		case 'r':
			args->rest = true;
			break;
		case 'h':
			return usage();
		default:
			return cmd_usage(COMMAND, NULL);
		}
	}
	if (optind < argc)
		return cmd_usage(COMMAND, "unexpected argument \"%s\"", argv[optind]);
	if (!args->disk || !args->proof)
		return cmd_usage(COMMAND, "--disk and --proof are needed");
	return -1;
}

static int read_image(void *ctx, void *buf, size_t bytes, uint64_t offset_bytes)
{
	return image_read(ctx, buf, bytes, offset_bytes);
}

static bool is_zero(void *ctx, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t done = 0, bytes;
	bool zero = true;

	while (zero && done < length_bytes) {
		if (image_extent(ctx, offset_bytes + done, length_bytes - done, &bytes, &zero) < 0)
			return false; /* reading it will say why */
		done += bytes;
	}
	return zero;
}

static void close_image(struct image **i)
{
	image_close(*i);
}

struct wrong {
	uint64_t size_bytes; /* of the disk that was copied */
	uint64_t lines;
};

static void say_wrong(void *ctx, uint64_t chunk)
{
	struct wrong *w = ctx;
	uint64_t start = chunk * WIRE_CHUNK_BYTES;

	if (++w->lines <= WRONG_LINES_MAX)
		printf("differs: bytes %" PRIu64 " to %" PRIu64 "\n", start,
		       min_of(start + WIRE_CHUNK_BYTES, w->size_bytes) - 1);
	else if (w->lines == WRONG_LINES_MAX + 1)
		printf("differs: and more\n");
}

static int read_leaves(const struct args *args, const struct verify_proof *proof, char **data,
		       struct leaves *leaves)
{
	size_t bytes;
	int rc = io_read_file(args->leaves, LEAVES_MAX_BYTES, data, &bytes);

	return rc < 0 ? rc : leaves_find(*data, bytes, proof->disk, leaves);
}

/* The verdict in words. 0: it is equal. */
static int tell(const struct args *args, const struct verify_proof *proof,
		const struct verify_image_result *r)
{
	char root[2 * MERKLE_ROOT_BYTES + 1];

	hex_encode(r->root, sizeof(r->root), root);
	printf("disk %s: %" PRIu64 " bytes, %" PRIu64 " chunks, %" PRIu64 " with data, root %s\n",
	       proof->name, proof->size_bytes, r->chunks, r->data_chunks, root);
	if (proof->hole_bytes)
		printf("note: %" PRIu64 " bytes could not be read at the source and are zeros; "
		       "verify.json names them\n",
		       proof->hole_bytes);
	if (r->rest_bytes && !args->rest)
		printf("note: %" PRIu64
		       " bytes behind the disk that was copied were not looked at; "
		       "--rest does\n",
		       r->rest_bytes);
	if (!r->equal)
		return fail_code(EBADMSG, "VERIFY_MISMATCH",
				 "%s is not what was copied from disk %s%s", args->disk,
				 proof->name, args->leaves ? "" : "; --leaves would say where");
	if (r->rest_data_bytes)
		return fail_code(
			EBADMSG, "VERIFY_MISMATCH",
			"%s is what was copied from disk %s, but behind it not all is zero",
			args->disk, proof->name);
	printf("equal: %s is what was copied from disk %s%s\n", args->disk, proof->name,
	       r->rest_bytes && args->rest ? ", and the rest of it is zero" : "");
	return 0;
}

static int prove(const struct args *args)
{
	CLEANUP_JSON json_t *json = NULL;
	CLEANUP_FREE char *leaves_data = NULL;
	CLEANUP(close_image) struct image *file = NULL;
	struct verify_image image = {.read = read_image, .zero = is_zero};
	struct verify_proof proof = {0};
	struct leaves leaves;
	struct verify_image_result result;
	struct wrong wrong = {0};
	struct verify_image_options o = {
		.image = &image, .proof = &proof, .rest = args->rest, .ctx = &wrong};
	int rc = image_open(args->disk, &file);

	if (rc < 0)
		return rc;
	image.ctx = file;
	image.size_bytes = image_size(file);
	rc = json_read_file(args->proof, &json);
	if (rc == 0)
		rc = verify_proof_read(json, args->index, &proof);
	wrong.size_bytes = proof.size_bytes;
	if (rc == 0 && args->leaves) {
		rc = read_leaves(args, &proof, &leaves_data, &leaves);
		o.leaves = &leaves;
		o.wrong = say_wrong;
	}
	if (rc == 0)
		rc = verify_image(&o, &result);
	if (rc < 0)
		return fail_in(rc, "%s", args->disk);
	return tell(args, &proof, &result);
}

int cmd_receiver_verify(int argc, char **argv)
{
	struct args args;
	int rc = parse(argc, argv, &args);

	if (rc >= 0)
		return rc;
	rc = prove(&args);
	if (rc < 0 && !*err_code())
		rc = fail_code(rc, "FILE_UNREADABLE", "%s", err_reason());
	fflush(stdout);
	if (rc < 0)
		fprintf(stderr, "receiver verify: %s%s%s\n", err_code(), *err_code() ? ": " : "",
			err_reason());
	if (rc < 0 && *cmd_advice(err_code()))
		fprintf(stderr, "%s\n", cmd_advice(err_code()));
	return rc < 0 ? CMD_FAILED : CMD_DONE;
}
