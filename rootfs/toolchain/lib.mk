# SPDX-License-Identifier: GPL-2.0-or-later
# For upstreams whose own build system needs more tools than their few files are worth:
# make -f lib.mk LIB=libx.a SRCS="a.c b.c" CFLAGS=...
OBJS := $(SRCS:.c=.o)
$(LIB): $(OBJS)
	$(AR) rcD $@ $(OBJS)
