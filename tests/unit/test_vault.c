/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The vault, with a keeper and without: what can be opened, and what cannot. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "receiver/confine.h"
#include "receiver/vault_private.h"

#include "unit.h"

struct place {
	char dir[48], state[64], files[64];
	struct vault *v;
};

static int start(void **state, bool keeper)
{
	struct place *p = calloc(1, sizeof(*p));
	struct vault_options o = {.state_dir = p->state, .files_dir = p->files};

	strcpy(p->dir, "/tmp/coldlift-vault-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->state, sizeof(p->state), "%s/state", p->dir);
	snprintf(p->files, sizeof(p->files), "%s/files", p->dir);
	assert_int_equal(mkdir(p->state, 0700) | mkdir(p->files, 0700), 0);
	assert_int_equal(vault_start(&o, keeper, &p->v), 0);
	*state = p;
	return 0;
}

static int set_up(void **state)
{
	return start(state, false);
}

static int set_up_keeper(void **state)
{
	return start(state, true);
}

static int tear_down(void **state)
{
	struct place *p = *state;

	vault_stop(p->v);
	remove_tree(p->dir);
	free(p);
	return 0;
}

static void what_is_put_is_there_whole_or_not_at_all(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *data = NULL;
	int number = vault_artefact("plan.json");
	size_t bytes;

	assert_true(number >= 0);
	assert_int_equal(vault_artefact("../token.json"), -1);
	assert_int_equal(vault_read(p->v, VAULT_ARTEFACT, (unsigned)number, 100, &data, &bytes),
			 -ENOENT);
	assert_int_equal(vault_replace(p->v, VAULT_ARTEFACT, (unsigned)number, "one", 3), 0);
	/* Begun and not committed: the old one stands. */
	close(vault_open(p->v, VAULT_ARTEFACT, (unsigned)number, VAULT_NEW));
	assert_int_equal(vault_read(p->v, VAULT_ARTEFACT, (unsigned)number, 100, &data, &bytes), 0);
	assert_int_equal(bytes, 3);
	assert_string_equal(data, "one");
	free(steal_ptr(&data));
	assert_int_equal(vault_read(p->v, VAULT_ARTEFACT, (unsigned)number, 2, &data, &bytes),
			 -EFBIG);
	assert_int_equal(vault_replace(p->v, VAULT_ARTEFACT, (unsigned)number, "", 0), 0);
	assert_int_equal(vault_read(p->v, VAULT_ARTEFACT, (unsigned)number, 100, &data, &bytes), 0);
	assert_int_equal(bytes, 0);
	assert_true(vault_free_bytes(p->v) > 0);
}

static void disks_are_made_and_opened_in_every_way(void **state)
{
	struct place *p = *state;
	char path[100];
	int fd;

	assert_int_equal(vault_open(p->v, VAULT_DISK, 3, VAULT_READ), -ENOENT);
	fd = vault_open(p->v, VAULT_DISK, 3, VAULT_CREATE);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	snprintf(path, sizeof(path), "%s/disk3.raw", p->files);
	assert_int_equal(access(path, F_OK), 0);
	for (enum vault_how how = VAULT_READ; how <= VAULT_CREATE; how++) {
		fd = vault_open(p->v, VAULT_DISK, 3, how);
		assert_true(fd >= 0);
		close(fd);
	}
	assert_true(vault_has(p->v, VAULT_DISK, 3));
	assert_false(vault_has(p->v, VAULT_JOURNAL, 3));
}

/* Who can write into the directory of the files must not have others overwritten. */
static void links_and_what_is_no_file_are_refused(void **state)
{
	struct place *p = *state;
	char path[100], other[100];

	snprintf(path, sizeof(path), "%s/disk0.raw", p->files);
	snprintf(other, sizeof(other), "%s/other", p->dir);
	close(open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(vault_open(p->v, VAULT_DISK, 0, VAULT_CREATE), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(vault_open(p->v, VAULT_DISK, 0, VAULT_READ), -ENOTSUP);
}

static void nonsense_is_refused(void **state)
{
	struct place *p = *state;

	assert_int_equal(vault_open(p->v, VAULT_KINDS, 0, VAULT_READ), -EINVAL);
	assert_int_equal(vault_open(p->v, VAULT_DISK, 0, VAULT_HOWS), -EINVAL);
	assert_int_equal(vault_open(p->v, VAULT_ARTEFACT, 200, VAULT_CREATE), -EINVAL);
	assert_int_equal(vault_commit(p->v, VAULT_DISK, 9), -ENOENT);
}

static void a_dead_keeper_is_an_error_and_no_end(void **state)
{
	struct place *p = *state;

	assert_int_equal(kill(p->v->keeper, SIGKILL), 0);
	assert_int_equal(vault_open(p->v, VAULT_DISK, 0, VAULT_CREATE), -EPIPE);
	assert_int_equal(vault_replace(p->v, VAULT_TOKEN, 0, "x", 1), -EPIPE);
}

static void a_keeper_ends_with_its_server(void **state)
{
	struct place *p = *state;
	int status;

	close(p->v->keeper_fd);
	assert_int_equal(waitpid(p->v->keeper, &status, 0), p->v->keeper);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	p->v->keeper_fd = -1;
}

#define both(f)                                                \
	cmocka_unit_test_setup_teardown(f, set_up, tear_down), \
		cmocka_unit_test_setup_teardown(f, set_up_keeper, tear_down)
#define keeper(f) cmocka_unit_test_setup_teardown(f, set_up_keeper, tear_down)

/* What an uploader's open() gives: the number of the first that is not as it should be, or 0. */
static int open_as_uploader(int host_fd)
{
	static const struct {
		const char *path;
		int flags, want;
	} tries[] = {
		{"/etc/hosts", O_RDONLY, 0},
		{"/proc/meminfo", O_RDONLY | O_CLOEXEC, 0},
		{"/etc/hosts", O_RDWR, EACCES},
		{"/etc/passwd", O_RDONLY, EACCES},
		{"/etc/../etc/hosts", O_RDONLY, EACCES},
		{"/dev/null", O_RDONLY, EACCES},
	};

	if (confine_uploader(host_fd) < 0)
		return 100;
	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		int fd = open(tries[i].path, tries[i].flags), error = fd < 0 ? errno : 0;
		char byte;

		if (error != tries[i].want || (fd >= 0 && read(fd, &byte, 1) != 1))
			return (int)i + 1;
	}
	if (open("/tmp/coldlift-must-not-be", O_CREAT | O_WRONLY, 0600) >= 0 || errno != EACCES)
		return 50;
	if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || socket(AF_INET, SOCK_STREAM, 0) < 0)
		return 51;
	return 0;
}

static void the_uploader_reads_some_files_of_this_machine_and_opens_no_other(void **state)
{
	struct place *p = *state;
	int host_fd = vault_take_host_end(p->v), status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(open_as_uploader(host_fd));
	assert_true(pid > 0);
	close(host_fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* The server cannot have them. */
	assert_int_equal(vault_open(p->v, VAULT_HOST, 0, VAULT_READ), -EACCES);
}

static void the_uploaders_end_gives_nothing_of_the_servers(void **state)
{
	struct place *p = *state;
	const uint8_t requests[][4] = {{1, VAULT_TOKEN, 0, VAULT_CREATE},
				       {1, VAULT_DISK, 0, VAULT_CREATE},
				       {2, VAULT_TOKEN, 0, 0},
				       {1, VAULT_HOST, 0, VAULT_WRITE},
				       {1, VAULT_HOST, 200, VAULT_READ},
				       {1, VAULT_HOST, 0, VAULT_NEW}};
	int host_fd = vault_take_host_end(p->v), answer;

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		assert_int_equal(write(host_fd, requests[i], 4), 4);
		assert_int_equal(read(host_fd, &answer, sizeof(answer)), sizeof(answer));
		assert_true(answer == -EACCES || answer == -EINVAL);
	}
	close(host_fd);
	/* It goes on for the server. */
	answer = vault_open(p->v, VAULT_TOKEN, 0, VAULT_CREATE);
	assert_true(answer >= 0);
	close(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		both(what_is_put_is_there_whole_or_not_at_all),
		both(disks_are_made_and_opened_in_every_way),
		both(links_and_what_is_no_file_are_refused),
		both(nonsense_is_refused),
		keeper(a_dead_keeper_is_an_error_and_no_end),
		keeper(a_keeper_ends_with_its_server),
		keeper(the_uploader_reads_some_files_of_this_machine_and_opens_no_other),
		keeper(the_uploaders_end_gives_nothing_of_the_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
