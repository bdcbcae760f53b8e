/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A receiver of our own: where a job names none, its disks are files on this host. When we are
 * killed it goes on taking data; the next of us ends it in order, by the pid that was written down,
 * and starts it again with the same key, token and ports, so that the activation code stays good.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/num.h"
#include "cloud/cloud.h"
#include "pipeline/pipe_local.h"

#define START_MS 60000 /* of a busy machine; one that ends is noticed at once */
#define STOP_MS	 120000
#define SAID_MAX 4096

/* A line "KEY: value" of what the receiver said; false when it is not there (yet, whole). */
static bool said(const char *text, const char *key, char *out, size_t bytes)
{
	size_t n = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		const char *end;

		line += *line == '\n';
		end = strchr(line, '\n');
		if (end && strncmp(line, key, n) == 0 && strncmp(line + n, ": ", 2) == 0) {
			snprintf(out, bytes, "%.*s", (int)(end - line - (ptrdiff_t)n - 2),
				 line + n + 2);
			return true;
		}
	}
	return false;
}

struct child_paths {
	char *state, *files, *said, *log, *pid;
};

static void child_paths_free(struct child_paths *p)
{
	free(p->state);
	free(p->files);
	free(p->said);
	free(p->log);
	free(p->pid);
}

static int child_paths(struct course *c, struct child_paths *p)
{
	int rc = local_files_dir(c, &p->files);

	p->state = pipe_job_path(c->job, "receiver");
	p->said = pipe_job_path(c->job, "receiver.said");
	p->log = pipe_job_path(c->job, "receiver.log");
	p->pid = pipe_job_path(c->job, "receiver.pid");
	if (rc == 0 && (!p->state || !p->said || !p->log || !p->pid))
		rc = -ENOMEM;
	return rc < 0 ? rc : io_mkdir(p->files, 0700);
}

static void child_main(const char *const argv[], char **env, int said_fd, int log_fd)
	__attribute__((noreturn));

static void child_main(const char *const argv[], char **env, int said_fd, int log_fd)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Orders from the keyboard are ours; we end the child in order. */
	setpgid(0, 0);
	/* It faces the network: keys of the account are none of its business. */
	environ = env;
	if (dup2(said_fd, STDOUT_FILENO) >= 0 && dup2(log_fd, STDERR_FILENO) >= 0)
		execvp(argv[0], (char *const *)argv);
	dprintf(log_fd, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static const char *program(const struct course *c)
{
	const char *named = pipe_option(c->job->options, "receiver");

	if (*named)
		return named;
	return c->outside->receiver_path ? c->outside->receiver_path : "receiver";
}

static void port_text(const struct course *c, const char *key, char *out)
{
	json_t *fact = course_fact(c, "receiver");
	uint64_t known = pipe_option_u64(fact, key);

	snprintf(out, 8, "%llu",
		 (unsigned long long)(known ? known : pipe_option_u64(c->job->options, key)));
}

static int spawn(struct course *c, const struct child_paths *p)
{
	CLEANUP_CLOSE int said_fd = io_open(p->said, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CLEANUP_CLOSE int log_fd = io_open(p->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	const char *listen = pipe_option(c->job->options, "listen");
	const char *advertise = pipe_option(c->job->options, "advertise");
	char control[16], data[8];
	const char *argv[20] = {program(c), "serve",	      "--state", p->state,	"--files",
				p->files,   "--control-port", control,	 "--data-port", data};
	CLEANUP_FREE char **env = cloud_environment_without_keys();
	size_t n = 10;
	pid_t pid;

	if (said_fd < 0 || log_fd < 0)
		return -EIO;
	if (!env)
		return fail(ENOMEM, "start %s", argv[0]);
	port_text(c, "control_port", control);
	port_text(c, "data_port", data);
	if (*listen) {
		argv[n++] = "--listen";
		argv[n++] = listen;
	}
	if (*advertise) {
		argv[n++] = "--advertise";
		argv[n++] = advertise;
	}
	pid = fork();
	if (pid < 0)
		return fail(errno, "start %s", argv[0]);
	if (pid == 0)
		child_main(argv, env, said_fd, log_fd);
	c->child = pid;
	snprintf(control, sizeof(control), "%d", (int)pid);
	return io_replace_file(p->pid, control, strlen(control), 0600);
}

/* The last two lines: what happened, and what can be done about it. */
static const char *last_words(char *text, size_t bytes)
{
	unsigned lines = 0;

	while (bytes && text[bytes - 1] == '\n')
		text[--bytes] = '\0';
	while (bytes) {
		if (text[bytes - 1] == '\n' && ++lines == 2)
			break;
		if (text[bytes - 1] == '\n')
			text[bytes - 1] = ' ';
		bytes--;
	}
	return text + bytes;
}

static int ended(struct course *c, const struct child_paths *p, int status)
{
	CLEANUP_FREE char *text = NULL;
	const char *words = "";
	size_t bytes = 0;

	c->child = 0;
	if (io_read_file(p->log, 1u << 20, &text, &bytes) == 0)
		words = last_words(text, bytes);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return fail_code(ENOENT, "RECEIVER_NOT_FOUND", "%s cannot be started", program(c));
	return fail_code(EIO, "RECEIVER_ENDED", "our receiver ended: %s", words);
}

static int take_said(struct course *c, const char *text)
{
	char code[WIRE_ACTIVATION_TEXT];
	int rc;

	if (!said(text, "activation", code, sizeof(code)))
		return 0;
	rc = wire_activation_parse(code, &c->activation);
	c->activation_known = rc == 0;
	return rc < 0 ? rc : 1;
}

/* The receiver that a process left behind which was killed: its pid, when it still is what it was.
 */
static pid_t left_behind(const struct child_paths *p)
{
	char line[32] = "", path[64], words[4096];
	uint64_t pid;
	ssize_t n;
	int fd;

	if (io_read_line(p->pid, line, sizeof(line)) < 0 || num_parse(line, 2, INT32_MAX, &pid) < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%llu/cmdline", (unsigned long long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, words, sizeof(words) - 1);
	close(fd);
	for (ssize_t i = 0; i < n; i++) {
		words[n] = '\0';
		if (strcmp(words + i, p->state) == 0)
			return (pid_t)pid;
		i += (ssize_t)strlen(words + i);
	}
	return 0;
}

static int end_left_behind(struct course *c, const struct child_paths *p)
{
	uint64_t end_ms = clock_ms() + START_MS;
	pid_t pid = left_behind(p);
	int rc = 0;

	if (pid)
		kill(pid, SIGTERM);
	while (rc == 0 && pid && left_behind(p) == pid) {
		if (clock_ms() >= end_ms)
			return fail_code(
				ETIMEDOUT, "RECEIVER_ENDED",
				"the receiver of an earlier start, process %d, does not end",
				(int)pid);
		rc = course_wait(c, 50);
	}
	return rc;
}

/* Until it has said its code. */
static int wait_said(struct course *c, const struct child_paths *p, uint64_t end_ms)
{
	int rc = 0, status;

	while (rc == 0) {
		CLEANUP_FREE char *text = NULL;

		rc = io_read_file(p->said, SAID_MAX, &text, NULL);
		if (rc == 0)
			rc = take_said(c, text);
		if (rc == 0 && waitpid(c->child, &status, WNOHANG) == c->child)
			rc = ended(c, p, status);
		if (rc == 0 && clock_ms() >= end_ms)
			rc = fail_code(ETIMEDOUT, "RECEIVER_ENDED", "our receiver does not start");
		if (rc == 0)
			rc = course_wait(c, 50);
	}
	return rc;
}

int course_child_start(struct course *c)
{
	CLEANUP(child_paths_free) struct child_paths p = {0};
	int rc = child_paths(c, &p);

	if (rc == 0 && !c->child) {
		rc = end_left_behind(c, &p);
		if (rc == 0)
			rc = spawn(c, &p);
	}
	if (rc == 0)
		rc = wait_said(c, &p, clock_ms() + START_MS);
	return rc < 0 ? rc : 0;
}

int course_child_forget(struct course *c)
{
	CLEANUP(child_paths_free) struct child_paths p = {0};
	int rc = child_paths(c, &p);

	course_child_stop(c);
	return rc < 0 ? rc : end_left_behind(c, &p);
}

int course_child_check(struct course *c)
{
	CLEANUP(child_paths_free) struct child_paths p = {0};
	int status;

	if (!c->child || waitpid(c->child, &status, WNOHANG) != c->child)
		return 0;
	return child_paths(c, &p) < 0 ? -ENOMEM : ended(c, &p, status);
}

void course_child_stop(struct course *c)
{
	uint64_t end_ms = clock_ms() + STOP_MS;
	int status;
	pid_t pid;

	if (!c->child)
		return;
	kill(c->child, SIGTERM);
	/* It syncs what it has. One that hangs must not hang us, and its journal stands a kill. */
	while ((pid = waitpid(c->child, &status, WNOHANG)) == 0 || (pid < 0 && errno == EINTR)) {
		if (clock_ms() >= end_ms)
			kill(-c->child, SIGKILL);
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	c->child = 0;
}
