/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * receiver activation: the code of a receiver that does not run yet. Whoever starts the instance
 * makes the state directory (or at least its key and the token) beforehand, puts both on the
 * instance, and hands out the code at once.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/cmd_receiver.h"
#include "receiver/receiver.h"

#define COMMAND "receiver activation"

enum activation_option {
	OPT_STATE = 1,
	OPT_HOST,
	OPT_USES,
	OPT_DAYS,
	OPT_TOKEN_FILE,
	OPT_CONTROL_PORT,
	OPT_DATA_PORT,
	OPT_HELP,
};

static const struct option options[] = {
	{"state", required_argument, NULL, OPT_STATE},
	{"host", required_argument, NULL, OPT_HOST},
	{"uses", required_argument, NULL, OPT_USES},
	{"days", required_argument, NULL, OPT_DAYS},
	{"token-file", required_argument, NULL, OPT_TOKEN_FILE},
	{"control-port", required_argument, NULL, OPT_CONTROL_PORT},
	{"data-port", required_argument, NULL, OPT_DATA_PORT},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int usage(void)
{
	fputs("usage: receiver activation --state DIR --host HOST [OPTION...]\n\n"
	      "Prints the activation code of a receiver that is still to be started on HOST with\n"
	      "this state directory; its key and token are made when they are missing.\n\n"
	      "  --state DIR        made when missing\n"
	      "  --host HOST        name or address by which sources reach it\n"
	      "  --uses N           1-1000, default 200; of a new token\n"
	      "  --days N           1-90, default 90; of a new token\n"
	      "  --token-file FILE  the token to have: 32 hexadecimal digits, nobody else's to "
	      "read\n"
	      "  --control-port N   default 8080\n"
	      "  --data-port N      default 8703\n",
	      stdout);
	return CMD_DONE;
}

static bool take_option(struct receiver_options *o, int option, const char *value)
{
	uint64_t n = 0;
	bool ok = true;

	switch (option) {
	case OPT_STATE:
		o->state_dir = value;
		break;
	case OPT_HOST:
		o->advertise = value;
		break;
	case OPT_USES:
		ok = cmd_number(COMMAND, "uses", value, 1, 1000, &n);
		o->token_uses = (unsigned)n;
		break;
	case OPT_DAYS:
		ok = cmd_number(COMMAND, "days", value, 1, 90, &n);
		o->token_days = (unsigned)n;
		break;
	case OPT_TOKEN_FILE:
		o->token_file = value;
		break;
	case OPT_CONTROL_PORT:
		ok = cmd_number(COMMAND, "control-port", value, 1, 65535, &n);
		o->control_port = (uint16_t)n;
		break;
	case OPT_DATA_PORT:
		ok = cmd_number(COMMAND, "data-port", value, 1, 65535, &n);
		o->data_port = (uint16_t)n;
		break;
	default:
		ok = false;
	}
	return ok;
}

int cmd_receiver_activation(int argc, char **argv)
{
	struct receiver_options o = {.control_port = WIRE_CONTROL_PORT,
				     .data_port = WIRE_DATA_PORT,
				     .token_uses = RECEIVER_TOKEN_USES,
				     .token_days = RECEIVER_TOKEN_DAYS};
	char text[WIRE_ACTIVATION_TEXT];
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPT_HELP)
			return usage();
		if (option == '?' || !take_option(&o, option, optarg))
			return cmd_usage(COMMAND, NULL);
	}
	if (optind < argc)
		return cmd_usage(COMMAND, "unexpected argument \"%s\"", argv[optind]);
	if (!o.state_dir || !o.advertise)
		return cmd_usage(COMMAND, "--state DIR and --host HOST are needed");
	rc = receiver_prepare(&o, text);
	if (rc < 0)
		return cmd_report(COMMAND, rc);
	printf("%s\n", text);
	return CMD_DONE;
}
