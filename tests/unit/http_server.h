/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tiny HTTP server in a thread of the test: keeps each request, answers from a script or a
 * function. One connection at a time, closed after each answer.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define HTTP_SERVER_KEPT 512

enum http_server_does {
	HTTP_ANSWERS,
	HTTP_HANGS_UP,	 /* takes the request, says nothing */
	HTTP_CUTS_SHORT, /* half of the body that it announced */
};

struct http_answer {
	unsigned status;
	const char *headers; /* "Name: value\r\n" ..., or NULL */
	const char *body;
	enum http_server_does does;
};

struct http_server {
	int fd;
	char url[64];
	pthread_t thread;
	pthread_mutex_t lock;
	struct http_answer script[16]; /* in turn; the last one again and again */
	size_t script_count, at;
	/* If set, asked instead of the script; may keep texts in static memory. */
	struct http_answer (*answer)(struct http_server *s, const char *request);
	void *ctx;
	char *requests[HTTP_SERVER_KEPT];
	size_t count;
};

static inline char *http_server_read(int fd)
{
	size_t room = 1 << 20, used = 0, want = 0;
	char *text = calloc(1, room), *end, *length;
	ssize_t n;

	while (used + 1 < room && (!want || used < want)) {
		n = read(fd, text + used, room - 1 - used);
		if (n <= 0)
			break;
		used += (size_t)n;
		end = strstr(text, "\r\n\r\n");
		if (!end || want)
			continue;
		length = strcasestr(text, "\r\ncontent-length:");
		want = (size_t)(end + 4 - text) +
		       (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
	}
	return text;
}

static inline void http_server_write(int fd, const struct http_answer *a)
{
	size_t bytes = a->body ? strlen(a->body) : 0;
	char *head = NULL;

	if (a->does == HTTP_HANGS_UP)
		return;
	if (asprintf(&head,
		     "HTTP/1.1 %u Said\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
		     a->status, bytes, a->headers ? a->headers : "") < 0)
		abort();
	(void)!send(fd, head, strlen(head), MSG_NOSIGNAL);
	(void)!send(fd, a->body ? a->body : "", a->does == HTTP_CUTS_SHORT ? bytes / 2 : bytes,
		    MSG_NOSIGNAL);
	free(head);
}

static inline void *http_server_run(void *arg)
{
	struct http_server *s = arg;
	struct http_answer a;
	char *request, *body;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		request = http_server_read(fd);
		pthread_mutex_lock(&s->lock);
		if (!request[0] || s->count == HTTP_SERVER_KEPT) {
			free(request);
			pthread_mutex_unlock(&s->lock);
			close(fd);
			continue;
		}
		s->requests[s->count++] = request;
		a = s->answer ? s->answer(s, request) : s->script[s->at];
		if (s->at + 1 < s->script_count)
			s->at++;
		/* The test may go on, and leave its function, as soon as the last byte is out. */
		a.body = body = a.body ? strdup(a.body) : NULL;
		pthread_mutex_unlock(&s->lock);
		http_server_write(fd, &a);
		free(body);
		shutdown(fd, SHUT_WR);
		close(fd);
	}
	return NULL;
}

static inline int http_server_start(struct http_server *s)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(at);

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pthread_mutex_init(&s->lock, NULL);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&at, bytes) || listen(s->fd, 16) ||
	    getsockname(s->fd, (struct sockaddr *)&at, &bytes))
		return -1;
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(at.sin_port));
	return pthread_create(&s->thread, NULL, http_server_run, s);
}

/* Forget the past and take a new script. */
static inline void http_server_script(struct http_server *s, const struct http_answer *script,
				      size_t n)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->count; i++)
		free(s->requests[i]);
	s->count = s->at = 0;
	s->answer = NULL;
	s->script_count = n;
	memcpy(s->script, script, n * sizeof(*script));
	pthread_mutex_unlock(&s->lock);
}

#define HTTP_SCRIPT(s, ...)                                                    \
	http_server_script((s), (const struct http_answer[]){__VA_ARGS__},     \
			   sizeof((const struct http_answer[]){__VA_ARGS__}) / \
				   sizeof(struct http_answer))

static inline size_t http_server_count(struct http_server *s)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->count;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static inline void http_server_stop(struct http_server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	for (size_t i = 0; i < s->count; i++)
		free(s->requests[i]);
}

#endif
