/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Child processes by argument vector; see run.h. */
#include "base/buffer.h"
#include "base/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"

struct child {
	const char *name;
	pid_t pid;
	int out_fd;
	int err_fd;
};

static void become_program(const char *const argv[], int out_fd, int err_fd)
{
	int null_fd = open("/dev/null", O_RDONLY);

	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0)
		_exit(126);
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

static int child_start(struct child *child, const char *const argv[])
{
	int out[2], err[2];

	if (pipe2(out, O_CLOEXEC))
		return fail(errno, "pipe for %s", argv[0]);
	if (pipe2(err, O_CLOEXEC)) {
		int rc = fail(errno, "pipe for %s", argv[0]);

		close(out[0]);
		close(out[1]);
		return rc;
	}
	*child = (struct child){.name = argv[0], .out_fd = out[0], .err_fd = err[0]};
	child->pid = fork();
	if (child->pid == 0)
		become_program(argv, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	if (child->pid < 0) {
		close(out[0]);
		close(err[0]);
		return fail(errno, "start %s", argv[0]);
	}
	return 0;
}

/* Reap, and turn the wait status into an exit status as a shell does. */
static int child_end(struct child *child, bool kill_it)
{
	int status = 0;

	if (kill_it)
		kill(child->pid, SIGKILL);
	close(child->out_fd);
	close(child->err_fd);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Keep the last bytes of what the program said, as one line. */
static void keep_tail(char *tail, size_t room, const char *data, size_t n)
{
	size_t have = strlen(tail);

	if (n >= room) {
		data += n - (room - 1);
		n = room - 1;
		have = 0;
	} else if (have + n >= room) {
		size_t drop = have + n - (room - 1);

		memmove(tail, tail + drop, have - drop);
		have -= drop;
	}
	for (size_t i = 0; i < n; i++)
		tail[have + i] = data[i] == '\n' || data[i] == '\t' ? ' ' : data[i];
	tail[have + n] = '\0';
}

typedef int (*sink_fn)(void *ctx, const char *data, size_t n);

/* Pump both pipes until they close or the deadline passes. */
static int child_pump(struct child *child, uint64_t deadline_ms, char *tail, size_t tail_room,
		      sink_fn sink, void *ctx)
{
	struct pollfd fds[2] = {{.fd = child->out_fd, .events = POLLIN},
				{.fd = child->err_fd, .events = POLLIN}};
	uint64_t end_ms = clock_ms() + deadline_ms;
	char buf[16384];

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		uint64_t now_ms = clock_ms();

		if (now_ms >= end_ms)
			return fail(ETIMEDOUT, "%s did not end within %llu s", child->name,
				    (unsigned long long)deadline_ms / 1000);
		if (poll(fds, 2, (int)min_of(end_ms - now_ms, (uint64_t)60000)) < 0 &&
		    errno != EINTR)
			return fail(errno, "wait for %s", child->name);
		for (int i = 0; i < 2; i++) {
			ssize_t n;
			int rc = 0;

			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			n = read(fds[i].fd, buf, sizeof(buf));
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				fds[i].fd = -1;
			else if (i == 1)
				keep_tail(tail, tail_room, buf, (size_t)n);
			else
				rc = sink(ctx, buf, (size_t)n);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int run_with_sink(const char *const argv[], uint64_t deadline_ms, struct run_result *result,
			 sink_fn sink, void *ctx)
{
	struct child child;
	int rc = child_start(&child, argv);

	if (rc < 0)
		return rc;
	rc = child_pump(&child, deadline_ms, result->err, sizeof(result->err), sink, ctx);
	result->exit_status = child_end(&child, rc < 0);
	if (rc == 0 && result->exit_status == 127)
		return fail(ENOENT, "start %s", argv[0]);
	return rc;
}

/* The whole of a program's output. */
struct capture {
	const char *name;
	struct buffer out;
};

static int capture_sink(void *ctx, const char *data, size_t n)
{
	struct capture *c = ctx;

	if (c->out.used + n > RUN_OUT_MAX_BYTES)
		return fail(EFBIG, "%s printed more than %u bytes", c->name, RUN_OUT_MAX_BYTES);
	return buffer_add(&c->out, data, n, "a program's output");
}

int run_capture(const char *const argv[], uint64_t deadline_ms, struct run_result *result)
{
	struct capture c = {.name = argv[0]};
	int rc;

	*result = (struct run_result){0};
	rc = capture_sink(&c, "", 0);
	if (rc == 0)
		rc = run_with_sink(argv, deadline_ms, result, capture_sink, &c);
	if (rc < 0) {
		free(c.out.data);
		return rc;
	}
	result->out = c.out.data;
	result->out_bytes = c.out.used;
	return 0;
}

struct liner {
	run_line_fn fn;
	void *ctx;
	size_t used;
	char line[4096];
};

static int line_sink(void *ctx, const char *data, size_t n)
{
	struct liner *l = ctx;

	for (size_t i = 0; i < n; i++) {
		int rc;

		if (data[i] != '\n') {
			if (l->used + 1 >= sizeof(l->line))
				return fail(EOVERFLOW, "a line of more than %zu bytes",
					    sizeof(l->line));
			l->line[l->used++] = data[i];
			continue;
		}
		l->line[l->used] = '\0';
		l->used = 0;
		rc = l->fn(l->ctx, l->line);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int run_lines(const char *const argv[], uint64_t deadline_ms, run_line_fn fn, void *ctx)
{
	CLEANUP_RUN struct run_result result = {0};
	struct liner l = {.fn = fn, .ctx = ctx};
	int rc = run_with_sink(argv, deadline_ms, &result, line_sink, &l);

	if (rc == 0 && l.used) {
		l.line[l.used] = '\0';
		rc = fn(ctx, l.line);
	}
	if (rc < 0 || result.exit_status == 0)
		return rc;
	return fail(EIO, "%s ended with status %d (%s)", argv[0], result.exit_status,
		    *result.err ? result.err : "it said nothing");
}

void run_result_fini(struct run_result *result)
{
	free(result->out);
	result->out = NULL;
}
