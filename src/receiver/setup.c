/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a receiver is before it serves: its state directory, its identity and token, its listeners.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "receiver/setup.h"

#define BACKLOG 64

int setup_listen(const char *address, uint16_t port, int *fd_out, uint16_t *port_out)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
				       .ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
	struct addrinfo *list = NULL;
	struct sockaddr_storage bound;
	socklen_t bytes = sizeof(bound);
	char service[8];
	const int on = 1, off = 0;
	int fd = -1, error = 0;

	snprintf(service, sizeof(service), "%u", port);
	/* "::" takes IPv4 too; where there is no IPv6 at all, fall back. */
	for (int i = 0; i < 2 && fd < 0; i++) {
		const char *host = address ? address : i == 0 ? "::" : "0.0.0.0";

		if (getaddrinfo(host, service, &hints, &list) != 0)
			return fail_code(EINVAL, "LISTEN_FAILED",
					 "%s is not an address to listen on", host);
		fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		error = errno;
		if (fd >= 0) {
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
			if (bind(fd, list->ai_addr, list->ai_addrlen) < 0 ||
			    listen(fd, BACKLOG) < 0) {
				error = errno;
				close(fd);
				fd = -1;
			}
		}
		freeaddrinfo(list);
		if (address || error == EADDRINUSE)
			break;
	}
	if (fd < 0)
		return fail_code(error, error == EADDRINUSE ? "PORT_IN_USE" : "LISTEN_FAILED",
				 "cannot listen on %s port %u: %s",
				 address ? address : "all addresses", port, strerror(error));
	getsockname(fd, (struct sockaddr *)&bound, &bytes);
	*port_out = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
						      : ((struct sockaddr_in *)&bound)->sin_port);
	*fd_out = fd;
	return 0;
}

/* This machine's first address that others could reach, or 127.0.0.1. */
static void own_address(char out[WIRE_HOST_MAX + 1])
{
	struct ifaddrs *list = NULL;

	snprintf(out, WIRE_HOST_MAX + 1, "127.0.0.1");
	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET ||
		    i->ifa_flags & IFF_LOOPBACK || !(i->ifa_flags & IFF_UP))
			continue;
		getnameinfo(i->ifa_addr, sizeof(struct sockaddr_in), out, WIRE_HOST_MAX + 1, NULL,
			    0, NI_NUMERICHOST);
		break;
	}
	freeifaddrs(list);
}

int setup_coded(int rc, const char *code, const char *path)
{
	char reason[ERR_REASON_MAX];

	if (rc == 0 || *err_code())
		return rc;
	snprintf(reason, sizeof(reason), "%s", err_reason());
	fail_code(rc, rc == -ENOSPC || rc == -EDQUOT ? "TARGET_FULL" : code, "%s", reason);
	return path ? fail_in(rc, "%s cannot be used", path) : rc;
}

static int check_directory(const char *path)
{
	CLEANUP_CLOSE int fd = io_open(path, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	return faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ? fail(errno, "write to %s", path)
							       : 0;
}

static int check_directories(const struct receiver_options *o)
{
	int rc = check_directory(o->state_dir);

	if (rc < 0)
		return setup_coded(rc, "STATE_UNUSABLE", o->state_dir);
	rc = o->files_dir ? check_directory(o->files_dir) : 0;
	return rc < 0 ? setup_coded(rc, "TARGET_UNUSABLE", o->files_dir) : 0;
}

int setup_directories(const struct receiver_options *o, struct owner *owner)
{
	int rc = io_mkdir(o->state_dir, 0700);

	if (rc < 0)
		return setup_coded(rc, "STATE_UNUSABLE", o->state_dir);
	rc = o->files_dir ? io_mkdir(o->files_dir, 0700) : 0;
	if (rc < 0)
		return setup_coded(rc, "TARGET_UNUSABLE", o->files_dir);
	/* As who we are, and then as the owner. */
	rc = check_directories(o);
	if (rc == 0 && o->confine)
		rc = setup_coded(owner_settle(o->state_dir, o->files_dir, owner), "STATE_UNUSABLE",
				 o->state_dir);
	if (rc == 0)
		rc = owner_enter(owner);
	if (rc == 0) {
		rc = check_directories(o);
		rc = owner_leave(owner) < 0 && rc == 0 ? -EPERM : rc;
	}
	return rc;
}

static int take_lock(const char *dir, int *fd)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/lock", dir);
	*fd = io_open(path, O_RDWR | O_CREAT, 0600);
	if (*fd < 0)
		return *fd;
	if (flock(*fd, LOCK_EX | LOCK_NB) < 0)
		return fail_code(EBUSY, "STATE_IN_USE",
				 "another receiver is running with the state directory %s", dir);
	return 0;
}

/* Also where there is no disk yet: the first plan of each would make one of the same name. */
static int take_files_lock(const char *dir, int *fd)
{
	*fd = io_open(dir, O_RDONLY | O_DIRECTORY, 0);
	if (*fd < 0)
		return *fd;
	/* A file system that locks no directories leaves it at the locks of the disks. */
	if (flock(*fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return fail_code(EBUSY, "TARGET_IN_USE",
				 "another receiver is running with the files in %s", dir);
	return 0;
}

static int load_identity(const struct receiver_options *o, struct receiver *r)
{
	const char *names[2];
	size_t name_count = 0;

	own_address(r->host);
	if (o->listen && strcmp(o->listen, "127.0.0.1") == 0)
		snprintf(r->host, sizeof(r->host), "%s", o->listen);
	names[name_count++] = r->host;
	if (o->advertise)
		names[name_count++] = o->advertise;
	return wire_identity_load(o->state_dir, names, name_count, &r->identity);
}

int setup_state(const struct receiver_options *o, const struct owner *owner, struct receiver *r)
{
	struct token_options t = {.uses = o->token_uses, .days = o->token_days};
	uint8_t given[WIRE_TOKEN_BYTES];
	int rc = 0;

	if (o->token_file) {
		rc = token_file_read(o->token_file, given);
		t.given = given;
	}
	/* The directory is the owner's: as root, one would follow where he points. */
	if (rc == 0)
		rc = owner_enter(owner);
	if (rc == 0) {
		rc = take_lock(o->state_dir, &r->lock_fd);
		if (rc == 0 && o->files_dir)
			rc = take_files_lock(o->files_dir, &r->files_lock_fd);
		if (rc == 0)
			rc = load_identity(o, r);
		if (rc == 0)
			rc = token_load(r->vault, &t, &r->token);
		rc = setup_coded(rc, "STATE_UNUSABLE", o->state_dir);
		rc = owner_leave(owner) < 0 && rc == 0 ? -EPERM : rc;
	}
	explicit_bzero(given, sizeof(given));
	return rc;
}

int setup_activation(const struct receiver_options *o, struct receiver *r)
{
	struct wire_activation a = {.control_port = r->control_port, .data_port = r->data_port};
	int rc;

	snprintf(a.host, sizeof(a.host), "%s", o->advertise ? o->advertise : r->host);
	memcpy(a.pin, wire_identity_pin(r->identity), sizeof(a.pin));
	memcpy(a.token, token_bytes(r->token), sizeof(a.token));
	rc = wire_activation_encode(&a, r->activation);
	explicit_bzero(&a, sizeof(a));
	return rc;
}
