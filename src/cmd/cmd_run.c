/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * migrator run: the whole course, as the live image does it. Knows the order of the phases; asks
 * nothing. Each phase can be run again: what is done already is found and kept.
 */
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
#include "base/log.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/run.h"

#define COMMAND		   "migrator run"
#define RUN_DIR		   "/run/coldlift"
#define CONTROL_TIMEOUT_MS 30000
#define JOB_MAX_BYTES	   (1u << 20)
#define TTYS_MAX	   8

static const struct phase {
	enum console_phase shown;
	int (*run)(struct run *r);
} phases[] = {
	{CONSOLE_PREPARING, run_inventory}, {CONSOLE_PREPARING, run_plan},
	{CONSOLE_PREPARING, run_prepare},   {CONSOLE_SYNCING, run_copy},
	{CONSOLE_PROCESSING, run_verify},   {CONSOLE_CLEANING, run_clean},
};

struct run_args {
	bool from_cmdline;
	const char *activation;
	const char *job;
	const char *allow;
	const char *progress;
	const char *dir;
};

static int usage(void)
{
	printf("usage: migrator run --cmdline\n"
	       "       migrator run --activation CODE [--job FILE] [--allow CODES] [--progress "
	       "TTY]\n"
	       "\n"
	       "Does the whole migration: inventory, plan, prepare, copy, verify, clean.\n"
	       "\n"
	       "  --cmdline          take the keys coldlift.* of the kernel command line\n"
	       "  --activation CODE  as the receiver printed it\n"
	       "  --job FILE         settings (default: the job that the image fetched, else the\n"
	       "                     receiver's, if any)\n"
	       "  --allow CODES      go on in spite of these refusals, separated by commas\n"
	       "  --progress TTY     JSON lines for programs go to this terminal\n"
	       "  --dir DIR          where the artefacts are kept (default " RUN_DIR ")\n");
	return CMD_DONE;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct run_args *args)
{
	static const struct option longs[] = {
		{"cmdline", no_argument, NULL, 'c'},
		{"activation", required_argument, NULL, 'a'},
		{"job", required_argument, NULL, 'j'},
		{"allow", required_argument, NULL, 'w'},
		{"progress", required_argument, NULL, 'p'},
		{"dir", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			args->from_cmdline = true;
			break;
		case 'a':
			args->activation = optarg;
			break;
		case 'j':
			args->job = optarg;
			break;
		case 'w':
			args->allow = optarg;
			break;
		case 'p':
			args->progress = optarg;
			break;
		case 'd':
			args->dir = optarg;
			break;
		case 'h':
			return usage();
		default:
			return cmd_usage(COMMAND, NULL);
		}
	}
	if (optind < argc)
		return cmd_usage(COMMAND, "unexpected argument \"%s\"", argv[optind]);
	if (!args->from_cmdline && !args->activation)
		return cmd_usage(COMMAND, "--cmdline or --activation CODE is missing");
	return -1;
}

/* The kernel's words first; options of ours win over them. */
static int settle_keys(struct run *r, const struct run_args *args)
{
	int rc = 0;

	r->cmdline.mode = "migrate";
	if (args->from_cmdline) {
		CLEANUP_FREE char *text = NULL;

		rc = io_read_file("/proc/cmdline", 64 * KIB, &text, NULL);
		if (rc == 0)
			rc = cmdline_parse(r->arena, text, &r->cmdline);
		if (rc < 0)
			return rc;
	}
	if (args->activation)
		r->cmdline.activation = args->activation;
	if (args->allow)
		r->cmdline.allow = args->allow;
	if (args->progress)
		r->cmdline.progress = args->progress;
	return 0;
}

/* The init script hands over the terminals that it found: device paths separated by blanks. */
static int open_console(struct run *r)
{
	const char *list = getenv("COLDLIFT_CONSOLES"), *ttys[TTYS_MAX];
	char *text = arena_strdup(r->arena, list ? list : ""), *save = NULL;
	size_t count = 0;

	for (char *tty = strtok_r(text, " \n", &save); tty && count < TTYS_MAX;
	     tty = strtok_r(NULL, " \n", &save))
		ttys[count++] = strncmp(tty, "/dev/", 5) == 0 ? tty + 5 : tty;
	return console_open(ttys, count, r->cmdline.progress, &r->console);
}

static int read_job(struct run *r, const struct run_args *args)
{
	const char *path = args->job ? args->job : arena_printf(r->arena, "%s/job.json", r->dir);

	if (!args->job && access(path, F_OK))
		return 0;
	return json_read_file_max(path, JOB_MAX_BYTES, &r->job);
}

/* The job may hold what the command line does not say. */
static int take_job(struct run *r)
{
	struct plan_job job;
	int rc = r->job ? plan_job_read(r->job, &job) : 0;

	if (rc < 0 || !r->job)
		return rc;
	if (!r->cmdline.activation)
		r->cmdline.activation = job.activation;
	if (!job.exit)
		return 0;
	/* The init script does what is to be done at the end. */
	return io_replace_file(arena_printf(r->arena, "%s/exit", r->dir), job.exit,
			       strlen(job.exit), 0644);
}

/* Whoever started the receiver may have left a job there, for sources that were given none. */
static int fetch_job(struct run *r)
{
	CLEANUP_FREE char *body = NULL;
	unsigned status = 0;
	size_t bytes = 0;
	int rc = wire_control_fetch(r->control_link, "/v1/artefact/job.json", &status, &body,
				    &bytes);

	if (status == 404)
		return 0;
	if (rc == 0 && bytes > JOB_MAX_BYTES)
		rc = fail_code(EFBIG, "JOB_INVALID", "the receiver's job.json is too large");
	if (rc == 0)
		rc = json_parse(body, bytes, "the receiver's job.json", &r->job);
	return rc < 0 ? rc : take_job(r);
}

static int reach_receiver(struct run *r)
{
	int rc;

	if (!r->cmdline.activation)
		return fail_code(EINVAL, "ACTIVATION_MISSING", "no activation code was given");
	rc = wire_activation_parse(r->cmdline.activation, &r->activation);
	if (rc < 0)
		return rc;
	run_show_target(r);
	rc = wire_control_open(&r->activation, CONTROL_TIMEOUT_MS, &r->control_link);
	if (rc == 0 && !r->job)
		rc = fetch_job(r);
	return rc < 0 ? rc : run_link_start(r);
}

static int do_phases(struct run *r, const struct run_args *args)
{
	int rc = settle_keys(r, args);

	if (rc == 0)
		rc = open_console(r);
	if (rc == 0) {
		run_show_state(r, CONSOLE_RUNNING, CONSOLE_PREPARING);
		rc = read_job(r, args);
	}
	if (rc == 0)
		rc = take_job(r);
	if (rc == 0)
		rc = reach_receiver(r);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(phases); i++) {
		run_show_state(r, CONSOLE_RUNNING, phases[i].shown);
		rc = phases[i].run(r);
	}
	return rc;
}

static void run_fini(struct run *r)
{
	run_link_stop(r);
	console_close(r->console);
	copy_result_fini(&r->copied);
	for (size_t i = 0; i < ARRAY_SIZE(r->holds); i++)
		prepare_release(&r->holds[i]);
	wire_control_close(r->control_link);
	json_decref(r->job);
	json_decref(r->inventory);
	json_decref(r->plan_json);
	json_decref(r->prepare_json);
	json_decref(r->holes.list);
	pthread_mutex_destroy(&r->revive_lock);
	pthread_mutex_destroy(&r->view_lock);
	arena_free(r->arena);
}

/* Lines go to a file, as the terminals belong to the screen. */
static void log_to_file(void *ctx, enum log_level level, const char *line)
{
	(void)level;
	fprintf(ctx, "%s\n", line);
	fflush(ctx);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* The first refusal gives code and advice, the others follow in the reason as far as it holds. */
static void show_refusals(struct run *r, const json_t *list)
{
	const json_t *first = json_array_get(list, 0), *one;
	char reason[ERR_REASON_MAX];
	size_t used = 0, i;

	json_array_foreach (list, i, one) {
		const char *object = text_of(one, "object");

		if (used >= sizeof(reason) - 1)
			break;
		used += (size_t)snprintf(reason + used, sizeof(reason) - used, "%s%s%s%s%s%s",
					 i ? "; also " : "", i ? text_of(one, "code") : "",
					 i ? " " : "", object, *object ? ": " : "",
					 text_of(one, "what"));
	}
	run_show_error(r, text_of(first, "code"), reason, text_of(first, "advice"));
}

static int finish(struct run *r, int rc)
{
	const json_t *refusals = json_object_get(r->plan_json, "refusals");
	int status = cmd_status_of(rc);

	if (rc == 0) {
		char lost[32];

		if (holes_bytes(&r->holes))
			run_show_step(r,
				      "all is copied but %s in %zu place%s that cannot be read "
				      "(verify.json at the receiver names them); the source is as "
				      "it was",
				      num_bytes_text(holes_bytes(&r->holes), lost, sizeof(lost)),
				      json_array_size(r->holes.list),
				      json_array_size(r->holes.list) == 1 ? "" : "s");
		else
			run_show_step(r,
				      "all is copied and durable on the receiver%s; the source "
				      "is as it was",
				      r->not_read_back ? " (not read back, as it was ordered)"
						       : "");
		run_show_state(r, CONSOLE_FINISHED, CONSOLE_NO_PHASE);
	} else if (rc == -ECANCELED) {
		run_show_step(r, "stopped by order; what arrived is kept");
		run_show_state(r, CONSOLE_STOPPED, CONSOLE_NO_PHASE);
	} else if (status == CMD_TRY_AGAIN) {
		run_show_waiting(r, err_reason(), cmd_advice(err_code()));
	} else if (status == CMD_REFUSED && json_array_size(refusals)) {
		show_refusals(r, refusals);
	} else {
		run_show_error(r, err_code(), err_reason(), cmd_advice(err_code()));
	}
	return status;
}

/* Two at a time would pull each other's views away. The lock goes with the process, however it
 * ends. */
static int be_the_only_one(const char *dir, int *lock)
{
	char path[4096], text[24] = "";

	snprintf(path, sizeof(path), "%s/lock", dir);
	*lock = io_open(path, O_RDWR | O_CREAT, 0600);
	if (*lock < 0)
		return *lock;
	if (flock(*lock, LOCK_EX | LOCK_NB) < 0) {
		ssize_t n = pread(*lock, text, sizeof(text) - 1, 0);

		text[n > 0 ? n : 0] = '\0';
		return fail_code(EBUSY, "MIGRATOR_RUNNING",
				 "another migrator is at work on this machine, process %s", text);
	}
	snprintf(text, sizeof(text), "%ld", (long)getpid());
	return ftruncate(*lock, 0) < 0 || pwrite(*lock, text, strlen(text), 0) < 0
		       ? fail(errno, "%s", path)
		       : 0;
}

int cmd_run(int argc, char **argv)
{
	struct run_args args = {.dir = RUN_DIR};
	CLEANUP_CLOSE int lock = -1;
	CLEANUP_FCLOSE FILE *log = NULL;
	struct run r = {.view_lock = PTHREAD_MUTEX_INITIALIZER,
			.revive_lock = PTHREAD_MUTEX_INITIALIZER};
	int rc = parse(argc, argv, &args), status;

	if (rc >= 0)
		return rc;
	r.dir = args.dir;
	for (size_t i = 0; i < ARRAY_SIZE(r.holds); i++)
		r.holds[i].fd = -1;
	r.arena = arena_new();
	if (!r.arena)
		return CMD_FAILED;
	rc = io_mkdir(r.dir, 0755);
	if (rc == 0)
		rc = be_the_only_one(r.dir, &lock);
	if (rc == 0) {
		log = fopen(arena_printf(r.arena, "%s/migrator.log", r.dir), "ae");
		if (log)
			log_setup(LOG_LEVEL_INFO, log_to_file, log);
		rc = do_phases(&r, &args);
	}
	/* What went wrong before there was a screen is for whoever started it. */
	status = r.console ? finish(&r, rc) : cmd_report("run", rc);
	run_fini(&r);
	log_setup(LOG_LEVEL_INFO, NULL, NULL);
	return status;
}
