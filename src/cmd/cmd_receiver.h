/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The receiver's subcommands; the contract is cmd.h's. */
#ifndef CMD_CMD_RECEIVER_H
#define CMD_CMD_RECEIVER_H

int cmd_receiver_serve(int argc, char **argv);
int cmd_receiver_verify(int argc, char **argv);
int cmd_receiver_image(int argc, char **argv);
int cmd_receiver_activation(int argc, char **argv);

#endif
