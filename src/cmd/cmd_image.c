/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver image: disks become image files on a machine without any cloud, with a report. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/cmd_receiver.h"
#include "image/image.h"
#include "verify/verify.h"

#define COMMAND	  "receiver image"
#define DISKS_MAX 32

struct image_args {
	const char *disks[DISKS_MAX], *outs[DISKS_MAX];
	size_t disk_count, out_count;
	struct image_options options;
	uint64_t size_bytes;
	enum wire_digest_kind digest;
	const char *report, *proof, *leaves, *state;
	int index;
	size_t failed;	/* the disk of which no image was made, when one was not */
	json_t *verify; /* verify.json, once it is read */
	char proof_path[PATH_MAX], leaves_path[PATH_MAX];
};

enum {
	OPT_DISK = 1,
	OPT_OUT,
	OPT_FORMAT,
	OPT_COMPRESSION,
	OPT_LEVEL,
	OPT_SIZE,
	OPT_THREADS,
	OPT_DIGEST,
	OPT_REPORT,
	OPT_STATE,
	OPT_PROOF,
	OPT_LEAVES,
	OPT_INDEX,
	OPT_HELP
};

static const struct option options[] = {
	{"disk", required_argument, NULL, OPT_DISK},
	{"out", required_argument, NULL, OPT_OUT},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"compression", required_argument, NULL, OPT_COMPRESSION},
	{"level", required_argument, NULL, OPT_LEVEL},
	{"size", required_argument, NULL, OPT_SIZE},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"digest", required_argument, NULL, OPT_DIGEST},
	{"report", required_argument, NULL, OPT_REPORT},
	{"state", required_argument, NULL, OPT_STATE},
	{"proof", required_argument, NULL, OPT_PROOF},
	{"leaves", required_argument, NULL, OPT_LEAVES},
	{"index", required_argument, NULL, OPT_INDEX},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int usage(void)
{
	fputs("usage: receiver image --disk PATH --out FILE [--disk PATH --out FILE]... "
	      "[OPTION...]\n\n"
	      "  --disk PATH        file or block device, read only; disk0 first\n"
	      "  --out FILE         where its image goes; it appears when it is whole\n"
	      "  --format F         qcow2 (default) or raw (sparse)\n"
	      "  --compression C    of qcow2: deflate (default), zstd (QEMU 5.1 and later), none\n"
	      "  --level N          deflate 1-9, zstd 1-19; default 4 and 3\n"
	      "  --size BYTES       what a machine sees, at least the disk's; default: the disk's\n"
	      "  --digest D         that the root is over: xxh3-128 (default), sha-256; with a "
	      "proof, its own\n"
	      "  --threads N        default: one for each CPU\n"
	      "  --report FILE      sizes and Merkle roots as JSON (image.json); default: standard "
	      "output\n\n"
	      "What was verified is compared with what is read; an image never carries other "
	      "bytes:\n"
	      "  --state DIR        the receiver's; verify.json and verify.leaves are in it\n"
	      "  --proof FILE       or verify.json alone: the root of the disk\n"
	      "  --leaves FILE      and verify.leaves: each chunk, so that it is said which is "
	      "bad\n"
	      "  --index N          number of the first disk in them; default 0\n\n"
	      "No receiver may be running with these disks. What was ended goes on when the same "
	      "is\n"
	      "said again.\n",
	      stdout);
	return CMD_DONE;
}

static bool take_option(struct image_args *a, int option, const char *value)
{
	uint64_t n = 0;

	switch (option) {
	case OPT_DISK:
		if (a->disk_count == DISKS_MAX)
			return false;
		a->disks[a->disk_count++] = value;
		return true;
	case OPT_OUT:
		if (a->out_count == DISKS_MAX)
			return false;
		a->outs[a->out_count++] = value;
		return true;
	case OPT_FORMAT:
		return image_format_parse(value, &a->options.format) == 0;
	case OPT_COMPRESSION:
		return image_compression_parse(value, &a->options.compression) == 0;
	case OPT_LEVEL:
		a->options.level = num_parse(value, 1, 19, &n) == 0 ? (unsigned)n : 0;
		return a->options.level > 0;
	case OPT_SIZE:
		return num_parse(value, 1, IMAGE_DISK_MAX, &a->size_bytes) == 0;
	case OPT_DIGEST:
		return wire_digest_named(value, &a->digest);
	case OPT_THREADS:
		a->options.threads =
			num_parse(value, 1, IMAGE_THREADS_MAX, &n) == 0 ? (unsigned)n : 0;
		return a->options.threads > 0;
	case OPT_REPORT:
		a->report = value;
		return true;
	case OPT_STATE:
		a->state = value;
		return true;
	case OPT_PROOF:
		a->proof = value;
		return true;
	case OPT_LEAVES:
		a->leaves = value;
		return true;
	case OPT_INDEX:
		if (num_parse(value, 0, DISKS_MAX - 1, &n) < 0)
			return false;
		a->index = (int)n;
		return true;
	default:
		return false;
	}
}

static int parse(struct image_args *a, int argc, char **argv)
{
	int option, at;

	while ((option = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (option == OPT_HELP)
			return usage();
		if (option == '?')
			return cmd_usage(COMMAND, NULL);
		if (!take_option(a, option, optarg))
			return cmd_usage(COMMAND, "--%s cannot be \"%s\"", options[at].name,
					 optarg);
	}
	if (optind < argc)
		return cmd_usage(COMMAND, "unexpected argument \"%s\"", argv[optind]);
	if (a->disk_count == 0 || a->disk_count != a->out_count)
		return cmd_usage(COMMAND, "each --disk needs its --out: there are %d and %d",
				 (int)a->disk_count, (int)a->out_count);
	if (a->state && (a->proof || a->leaves))
		return cmd_usage(COMMAND,
				 "--state has its own proof: leave out --proof and --leaves");
	if (a->leaves && !a->proof)
		return cmd_usage(COMMAND, "--leaves needs --proof");
	return -1;
}

/* verify.json, where it is to be compared with; the leaves of a state directory when it has some.
 */
static int read_proof(struct image_args *a)
{
	const char *digest;
	int rc;

	if (a->state) {
		snprintf(a->proof_path, sizeof(a->proof_path), "%.4000s/artefacts/verify.json",
			 a->state);
		snprintf(a->leaves_path, sizeof(a->leaves_path), "%.4000s/artefacts/verify.leaves",
			 a->state);
		a->proof = a->proof_path;
		a->leaves = access(a->leaves_path, F_OK) == 0 ? a->leaves_path : NULL;
	}
	rc = a->proof ? json_read_file(a->proof, &a->verify) : 0;
	/* Of a job that wanted no proof. */
	if (a->state && json_is_false(json_object_get(a->verify, "verified"))) {
		json_decref(a->verify);
		a->verify = NULL;
	}
	/* One that is not known is said when the proof is taken. */
	if (a->verify && json_get_string(a->verify, "digest", &digest) == 0)
		(void)wire_digest_named(digest, &a->digest);
	return rc;
}

/* What was verified of disk i, for the source. *out stays NULL where nothing is known. */
static int take_proof(const struct image_args *a, size_t i, struct image_source *source,
		      struct image_proof **out)
{
	struct verify_proof proof;
	int rc;

	if (!a->verify)
		return 0;
	rc = verify_proof_read(a->verify, a->index + (int)i, &proof);
	if (rc == 0 && proof.size_bytes != source->disk_bytes)
		rc = fail_code(EBADMSG, "DISK_SIZE_DIFFERS",
			       "%s has %llu bytes, and the disk that was verified %llu",
			       source->name, (unsigned long long)source->disk_bytes,
			       (unsigned long long)proof.size_bytes);
	return rc < 0 ? rc
		      : image_proof_open(proof.root, a->leaves, (unsigned)a->index + (unsigned)i,
					 source, out);
}

static void close_proof(struct image_proof **p)
{
	image_proof_close(*p);
}

/* For reading; not while a receiver writes to it. */
static int open_disk(const char *path, uint64_t *bytes)
{
	int fd = io_open(path, O_RDONLY, 0), rc;

	if (fd < 0)
		return fd;
	rc = flock(fd, LOCK_SH | LOCK_NB) < 0
		     ? fail_code(EBUSY, "TARGET_IN_USE",
				 "%s is used by a receiver that is running; end it first", path)
		     : io_size(fd, path, bytes);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

static json_t *disk_report(const struct image_args *a, size_t i, uint64_t disk_bytes,
			   const struct image_result *r)
{
	char root[2 * MERKLE_ROOT_BYTES + 1];

	hex_encode(r->root, sizeof(r->root), root);
	return json_pack(
		"{s:i, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:b}", "index",
		a->index + (int)i, "disk", json_str(a->disks[i]), "file", json_str(a->outs[i]),
		"format", image_format_name(a->options.format), "compression",
		a->options.format == IMAGE_RAW ? "none"
					       : image_compression_name(a->options.compression),
		"disk_bytes", json_u64(disk_bytes), "image_bytes", json_u64(r->image_bytes),
		"data_bytes", json_u64(r->data_bytes), "file_bytes", json_u64(r->file_bytes),
		"root", root, "proved", a->verify != NULL);
}

static int make_image(struct image_args *a, size_t i, json_t *list)
{
	CLEANUP_CLOSE int fd = -1;
	CLEANUP(close_proof) struct image_proof *proof = NULL;
	struct image_source source = {.name = a->disks[i],
				      .image_bytes = a->size_bytes,
				      .digest_kind = (enum image_digest)a->digest,
				      .digest = wire_digest_of(a->digest)};
	struct image_result result;
	int rc = fd = open_disk(a->disks[i], &source.disk_bytes);

	if (rc < 0)
		return rc;
	source.fd = fd;
	rc = take_proof(a, i, &source, &proof);
	if (rc == 0)
		rc = image_write_file(&source, &a->options, a->outs[i], &result);
	a->failed = i;
	if (rc < 0)
		return fail_in(rc, "image of %s", a->disks[i]);
	json_array_append_new(list, disk_report(a, i, source.disk_bytes, &result));
	return 0;
}

static int write_report(const struct image_args *a, json_t *list)
{
	char now[CLOCK_TEXT_BYTES];
	CLEANUP_JSON json_t *json = json_pack(
		"{s:i, s:s, s:s, s:i, s:O}", "version", 1, "time", clock_text(now), "digest",
		wire_digest_name(a->digest), "chunk_bytes", (int)IMAGE_CHUNK_BYTES, "disks", list);
	CLEANUP_FREE char *text = NULL;

	if (a->report)
		return json_write_file(a->report, json);
	text = json_text(json);
	return text && fputs(text, stdout) >= 0 && fflush(stdout) == 0
		       ? 0
		       : fail(EIO, "write the report");
}

/* By the root alone it is known that something differs, and not what. */
static void say_how_to_locate(const struct image_args *a)
{
	fprintf(stderr,
		"Which part of it differs cannot be said without verify.leaves, which the receiver "
		"keeps in its state directory beside verify.json (artefacts/). With that file,\n"
		"  receiver verify --disk %s --proof %s --leaves verify.leaves --index %zu\n"
		"names each place.\n",
		a->disks[a->failed], a->proof, (size_t)a->index + a->failed);
}

int cmd_receiver_image(int argc, char **argv)
{
	struct image_args a = {.digest = WIRE_DIGEST_XXH3_128};
	CLEANUP_JSON json_t *list = json_array();
	int status = parse(&a, argc, argv), rc;

	if (status >= 0)
		return status;
	rc = read_proof(&a);
	for (size_t i = 0; rc == 0 && i < a.disk_count; i++)
		rc = make_image(&a, i, list);
	if (rc == 0)
		rc = write_report(&a, list);
	if (rc < 0)
		status = cmd_report(COMMAND, rc);
	if (rc < 0 && strcmp(err_code(), "IMAGE_MEDIUM_DIFFERS") == 0 && !a.leaves)
		say_how_to_locate(&a);
	json_decref(a.verify);
	return rc < 0 ? status : CMD_DONE;
}
