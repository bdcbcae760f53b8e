/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver serve: start, say how to reach it, serve until a signal ends it. */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/cmd_receiver.h"
#include "receiver/receiver.h"

#define COMMAND	    "receiver serve"
#define DEVICES_MAX 32

enum serve_option {
	OPT_STATE = 1,
	OPT_FILES,
	OPT_DEVICE,
	OPT_LISTEN,
	OPT_ADVERTISE,
	OPT_CONTROL_PORT,
	OPT_DATA_PORT,
	OPT_TOKEN_USES,
	OPT_TOKEN_DAYS,
	OPT_TOKEN_FILE,
	OPT_USER,
	OPT_COMMIT_MS,
	OPT_ALLOW_LIST,
	OPT_VERBOSE,
	OPT_HELP,
};

static const struct option options[] = {
	{"state", required_argument, NULL, OPT_STATE},
	{"files", required_argument, NULL, OPT_FILES},
	{"device", required_argument, NULL, OPT_DEVICE},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"advertise", required_argument, NULL, OPT_ADVERTISE},
	{"control-port", required_argument, NULL, OPT_CONTROL_PORT},
	{"data-port", required_argument, NULL, OPT_DATA_PORT},
	{"token-uses", required_argument, NULL, OPT_TOKEN_USES},
	{"token-days", required_argument, NULL, OPT_TOKEN_DAYS},
	{"token-file", required_argument, NULL, OPT_TOKEN_FILE},
	{"user", required_argument, NULL, OPT_USER},
	{"commit-ms", required_argument, NULL, OPT_COMMIT_MS},
	{"allow-list", no_argument, NULL, OPT_ALLOW_LIST},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int usage(void)
{
	fputs("usage: receiver serve --state DIR (--files DIR | --device PATH...) [OPTION...]\n\n"
	      "  --state DIR        key, token, journals and artefacts; made when missing\n"
	      "  --files DIR        targets are sparse files diskN.raw in DIR, as the plan says\n"
	      "  --device PATH      target block device; the first one given is disk0\n"
	      "  --listen ADDRESS   default: all addresses\n"
	      "  --advertise HOST   name or address in the activation code; default: this "
	      "machine's\n"
	      "  --control-port N   default 8080; 0: any\n"
	      "  --data-port N      default 8703; 0: any\n"
	      "  --token-uses N     1-1000, default 200; of a new token: so many runs\n"
	      "  --token-days N     1-90, default 90; of a new token\n"
	      "  --token-file FILE  the token to have: 32 hexadecimal digits, nobody else's to "
	      "read\n"
	      "  --user NAME        whom root becomes once everything is open; a name or a number, "
	      "default nobody\n"
	      "  --commit-ms N      10-60000, default 1000: how often what arrived is made "
	      "durable\n"
	      "  --allow-list       tell the names and sizes of disks without a token\n"
	      "  --verbose          log more\n\n"
	      "Serves until SIGTERM or SIGINT, then makes everything durable and ends.\n",
	      stdout);
	return CMD_DONE;
}

struct serve {
	struct receiver_options o;
	const char *devices[DEVICES_MAX];
	bool verbose;
};

/* A number option; false after saying what is wrong with it. */
static bool take_option(struct serve *s, int option, const char *value)
{
	struct receiver_options *o = &s->o;
	uint64_t n = 0;
	bool ok = true;

	switch (option) {
	case OPT_STATE:
		o->state_dir = value;
		break;
	case OPT_FILES:
		o->files_dir = value;
		break;
	case OPT_DEVICE:
		ok = o->device_count < DEVICES_MAX;
		if (ok)
			s->devices[o->device_count++] = value;
		break;
	case OPT_LISTEN:
		o->listen = value;
		break;
	case OPT_ADVERTISE:
		o->advertise = value;
		break;
	case OPT_CONTROL_PORT:
		ok = cmd_number(COMMAND, "control-port", value, 0, 65535, &n);
		o->control_port = (uint16_t)n;
		break;
	case OPT_DATA_PORT:
		ok = cmd_number(COMMAND, "data-port", value, 0, 65535, &n);
		o->data_port = (uint16_t)n;
		break;
	case OPT_TOKEN_USES:
		ok = cmd_number(COMMAND, "token-uses", value, 1, 1000, &n);
		o->token_uses = (unsigned)n;
		break;
	case OPT_TOKEN_DAYS:
		ok = cmd_number(COMMAND, "token-days", value, 1, 90, &n);
		o->token_days = (unsigned)n;
		break;
	case OPT_TOKEN_FILE:
		o->token_file = value;
		break;
	case OPT_USER:
		o->user = value;
		break;
	case OPT_COMMIT_MS:
		ok = cmd_number(COMMAND, "commit-ms", value, 10, 60000, &o->commit_ms);
		break;
	case OPT_ALLOW_LIST:
		o->list_ok = true;
		break;
	case OPT_VERBOSE:
		s->verbose = true;
		break;
	default:
		ok = false;
	}
	return ok;
}

/* -1: go on; else the exit status. */
static int parse(struct serve *s, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPT_HELP)
			return usage();
		if (option == '?' || !take_option(s, option, optarg))
			return cmd_usage(COMMAND, NULL);
	}
	if (optind < argc)
		return cmd_usage(COMMAND, "unexpected argument \"%s\"", argv[optind]);
	if (!s->o.state_dir)
		return cmd_usage(COMMAND, "--state DIR is missing");
	if (!s->o.files_dir == !s->o.device_count)
		return cmd_usage(COMMAND, "say either --files DIR or --device PATH");
	return -1;
}

static void announce(const struct receiver *r, const struct serve *s)
{
	char pin[65];

	hex_encode(receiver_pin(r), 32, pin);
	printf("control: port %u\n", receiver_control_port(r));
	printf("data: port %u\n", receiver_data_port(r));
	printf("targets: %s\n", s->o.files_dir ? s->o.files_dir : "devices");
	printf("fingerprint: sha256:%s\n", pin);
	printf("activation: %s\n", receiver_activation(r));
	fflush(stdout);
}

/* The process may open nothing any more: what libraries do at an orderly exit is left out. */
static _Noreturn void leave(int status)
{
	fflush(NULL);
	_exit(status);
}

/* Until a signal says so (0), or one of our processes has ended, without which nothing is whole. */
static int wait_for_end(const sigset_t *signals)
{
	int got = 0, how = 0;

	for (;;) {
		sigwait(signals, &got);
		if (got != SIGCHLD) {
			log_info("ending on %s", strsignal(got));
			return 0;
		}
		if (waitpid(-1, &how, WNOHANG) <= 0)
			continue; /* one was stopped, or goes on */
		return fail_code(ECHILD, "RECEIVER_PART_LOST",
				 "a process of the receiver has ended (%s %d)",
				 WIFSIGNALED(how) ? "signal" : "status",
				 WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
	}
}

int cmd_receiver_serve(int argc, char **argv)
{
	struct serve s = {.o = {.control_port = 8080,
				.data_port = 8703,
				.token_uses = RECEIVER_TOKEN_USES,
				.token_days = RECEIVER_TOKEN_DAYS,
				.commit_ms = RECEIVER_COMMIT_MS,
				.confine = true}};
	struct receiver *r = NULL;
	sigset_t signals;
	int status = parse(&s, argc, argv), rc;

	if (status >= 0)
		return status;
	s.o.devices = s.devices;
	log_setup(s.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, NULL, NULL);
	/* Blocked before any thread starts, so that only the wait below takes them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	rc = receiver_start(&s.o, &r);
	if (rc < 0)
		leave(cmd_report(COMMAND, rc));
	announce(r, &s);
	rc = wait_for_end(&signals);
	status = rc < 0 ? cmd_report(COMMAND, rc) : CMD_DONE;
	receiver_stop(r);
	leave(status);
}
