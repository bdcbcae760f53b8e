/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The receiver's subcommands; the contract is cmd.h's. */
#ifndef CMD_CMD_RECEIVER_H
#define CMD_CMD_RECEIVER_H

int cmd_receiver_serve(int argc, char **argv);
int cmd_receiver_verify(int argc, char **argv);
int cmd_receiver_image(int argc, char **argv);
int cmd_receiver_activation(int argc, char **argv);

/* Say err_reason() on standard error, with its code and advice; the exit status that fits rc. */
int cmd_receiver_report(const char *subcommand, int rc);

#endif
