/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Outgoing connections: resolve, try each address within the time, keepalive on. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "wire/wire.h"

/* Four connections to a peer that near still carry some 5 GB/s with that on its way. */
#define NEAR_US		100
#define NEAR_SEND_BYTES (128 * 1024) /* the kernel doubles it */

void wire_socket_options(int fd)
{
	const int on = 1, idle_s = 10, interval_s = 5, count = 3;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/*
 * What waits in the kernel for a peer that is near (this machine, this rack) fills no line: it only
 * falls out of the processors' caches, which costs an eighth of a copy that is not compressed.
 * Elsewhere the kernel knows best.
 */
static void keep_queue_short(int fd)
{
	const int bytes = NEAR_SEND_BYTES;
	struct tcp_info info = {0};
	socklen_t info_bytes = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_bytes) == 0 && info.tcpi_rtt > 0 &&
	    info.tcpi_rtt <= NEAR_US)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/* The connected socket, or -errno without a reason. */
static int connect_one(const struct sockaddr *address, socklen_t bytes, uint64_t until_ms)
{
	CLEANUP_CLOSE int fd =
		socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t error_bytes = sizeof(error);

	if (fd < 0)
		return -errno;
	if (address->sa_family != AF_UNIX)
		wire_socket_options(fd);
	if (connect(fd, address, bytes) == 0)
		return steal_fd(&fd);
	if (errno != EINPROGRESS)
		return -errno;
	for (;;) {
		uint64_t now = clock_ms();
		int n;

		if (now >= until_ms)
			return -ETIMEDOUT;
		n = poll(&p, 1, (int)min_of(until_ms - now, (uint64_t)1 << 30));
		if (n > 0)
			break;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) < 0)
		return -errno;
	return error ? -error : steal_fd(&fd);
}

static int unreachable(int rc, const char *peer)
{
	return fail_code(
		rc, "RECEIVER_UNREACHABLE",
		"no connection to %s: %s; is the receiver running, and is the port open to "
		"this machine?",
		peer, strerror(-rc));
}

static int connect_unix(const char *path, uint64_t until_ms)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	return connect_one((const struct sockaddr *)&address, sizeof(address), until_ms);
}

static int connect_host(const char *host, uint16_t port, const char *peer, uint64_t until_ms)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	char service[8];
	int rc;

	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0)
		return fail_code(
			EHOSTUNREACH, "RECEIVER_UNREACHABLE",
			"the name %s cannot be resolved: %s; check it, and the name server "
			"here (nameserver= on the kernel command line)",
			host, gai_strerror(rc));
	rc = -EHOSTUNREACH;
	for (const struct addrinfo *a = list; a && rc < 0; a = a->ai_next)
		rc = connect_one(a->ai_addr, a->ai_addrlen, until_ms);
	freeaddrinfo(list);
	return rc < 0 ? unreachable(rc, peer) : rc;
}

int wire_stream_connect(const char *host, uint16_t port, const char *unix_path, uint64_t timeout_ms,
			struct wire_stream **out)
{
	uint64_t until_ms = clock_ms() + (timeout_ms ? timeout_ms : 30000);
	char peer[WIRE_HOST_MAX + 16];
	int fd, rc;

	if (unix_path)
		snprintf(peer, sizeof(peer), "%s", unix_path);
	else
		snprintf(peer, sizeof(peer), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
	if (unix_path) {
		fd = connect_unix(unix_path, until_ms);
		if (fd < 0)
			return unreachable(fd, peer);
	} else {
		fd = connect_host(host, port, peer, until_ms);
		if (fd < 0)
			return fd;
		keep_queue_short(fd);
	}
	rc = wire_stream_new(fd, peer, out);
	if (rc == 0)
		wire_stream_timeout(*out, timeout_ms);
	return rc;
}
