/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program of the intermediate instance. */
#include "base/num.h"
#include "cmd/cmd_receiver.h"
#include "cmd/dispatch.h"

int main(int argc, char **argv)
{
	static const struct subcommand subcommands[] = {
		{"serve", cmd_receiver_serve, "take a machine's disks; prints the activation code"},
		{"verify", cmd_receiver_verify,
		 "prove a disk or image by a migration's verify.json"},
		{"image", cmd_receiver_image, "make image files of disks, with a report"},
		{"activation", cmd_receiver_activation,
		 "the code of a receiver that is still to be started"},
	};

	return cmd_dispatch("receiver", subcommands, ARRAY_SIZE(subcommands), argc, argv);
}
