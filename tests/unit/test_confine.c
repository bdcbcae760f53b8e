/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What faces the network: what it may call, and that it can open nothing. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "receiver/confine.h"

#include "unit.h"

/* In a directory where anybody may make them. */
static char dir[] = "/tmp/coldlift-confine-XXXXXX", must_not_be[64], neither[64];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chmod(dir, 0777) < 0)
		return -1;
	snprintf(must_not_be, sizeof(must_not_be), "%s/must-not-be", dir);
	snprintf(neither, sizeof(neither), "%s/neither", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return remove_tree(dir);
}

/* Run fn in a confined child: the number of the check in it that did not hold, or 0. */
static int confined(int (*fn)(int), int arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const struct confine_user user = {
			.change = geteuid() == 0, .uid = 65534, .gid = 65534};

		if (confine_user(&user) < 0 || confine_server() < 0)
			_exit(250);
		_exit(fn(arg));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		return 255;
	return WEXITSTATUS(status);
}

/* Calls that open, make, reach or become something. 0: none of them works. */
static int try_all(int fd)
{
	static char *const argv[] = {"true", NULL};
	const struct sockaddr_in address = {.sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
					    .sin_port = htons(9)};
	struct open_how how = {.flags = O_RDONLY};
	struct iovec part = {0};
	const long tries[] = {
		syscall(SYS_open, "/dev/null", O_RDONLY),
		syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY),
		/* By a directory that is open, too. */
		syscall(SYS_openat, fd, "null", O_RDONLY),
		syscall(SYS_openat2, AT_FDCWD, "/dev/null", &how, sizeof(how)),
		syscall(SYS_creat, must_not_be, 0600),
		syscall(SYS_open_by_handle_at, fd, NULL, O_RDONLY),
		syscall(SYS_memfd_create, "x", 0),
		syscall(SYS_execve, "/bin/true", argv, NULL),
		syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH),
		syscall(SYS_fork),
		syscall(SYS_vfork),
		syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL),
		syscall(SYS_clone3, NULL, 0),
		syscall(SYS_unshare, CLONE_NEWUSER),
		syscall(SYS_socket, AF_INET, SOCK_STREAM, 0),
		syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0),
		syscall(SYS_connect, fd, &address, sizeof(address)),
		syscall(SYS_bind, fd, &address, sizeof(address)),
		syscall(SYS_listen, fd, 5),
		syscall(SYS_sendto, fd, "", 0, MSG_FASTOPEN, &address, sizeof(address)),
		syscall(SYS_ptrace, PTRACE_TRACEME, 0, NULL, NULL),
		syscall(SYS_process_vm_readv, getppid(), &part, 1, &part, 1, 0),
		syscall(SYS_kill, getppid(), 0),
		syscall(SYS_tgkill, getppid(), getppid(), 0),
		syscall(SYS_pidfd_open, getppid(), 0),
		syscall(SYS_unlink, must_not_be),
		syscall(SYS_rename, must_not_be, neither),
		syscall(SYS_mkdir, must_not_be, 0700),
		syscall(SYS_symlink, "a", must_not_be),
		syscall(SYS_chmod, dir, 0777),
		syscall(SYS_stat, "/etc", NULL),
		syscall(SYS_readlink, "/proc/self/exe", NULL, 0),
		syscall(SYS_getdents64, fd, NULL, 0),
		syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x"),
		syscall(SYS_fcntl, fd, F_SETOWN, getppid()),
		syscall(SYS_bpf, 0, NULL, 0),
		syscall(SYS_io_uring_setup, 1, NULL),
		syscall(SYS_mount, "a", "/", "b", 0, NULL),
		syscall(SYS_setuid, 0),
		syscall(SYS_prctl, 1, 0, 0, 0, 0),
		syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0),
		syscall(0x40000000 | SYS_open, "/dev/null", O_RDONLY),
	};

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		if (tries[i] >= 0)
			return (int)i + 1;
	return errno == EPERM ? 0 : 200;
}

static void nothing_can_be_opened_or_reached(void **state)
{
	int fd = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(confined(try_all, fd), 0);
	close(fd);
	assert_int_equal(access(must_not_be, F_OK), -1);
}

static void *count(void *arg)
{
	atomic_fetch_add((_Atomic int *)arg, 1);
	return NULL;
}

static int work(int listener)
{
	_Atomic int threads = 0;
	pthread_t thread;
	struct stat st;
	uint8_t *memory = malloc(8 << 20);
	int pair[2], fd;

	if (pthread_create(&thread, NULL, count, (void *)&threads) != 0 ||
	    pthread_join(thread, NULL) != 0 || threads != 1)
		return 1;
	if (!memory || fstat(listener, &st) < 0)
		return 2;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return 3;
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0 || write(fd, "x", 1) != 1)
		return 4;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || eventfd(0, EFD_CLOEXEC) < 0)
		return 5;
	free(memory);
	return 0;
}

static void what_serving_needs_still_works(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(confined(work, listener), 0);
	assert_int_equal(read(client, &byte, 1), 1);
	close(client);
	close(listener);
}

static int show_privileges(int is_root)
{
	if (is_root && (getuid() != 65534 || geteuid() != 65534 || getgid() != 65534))
		return 1;
	return 0;
}

static void root_becomes_nobody(void **state)
{
	(void)state;
	assert_int_equal(confined(show_privileges, geteuid() == 0), 0);
}

static void only_root_becomes_another_and_nobody_becomes_root(void **state)
{
	struct confine_user user;

	(void)state;
	assert_int_equal(confine_find_user(NULL, &user), 0);
	assert_int_equal(user.change, geteuid() == 0);
	assert_int_equal(confine_find_user("root", &user), -EINVAL);
	assert_string_equal(err_code(), "USER_UNKNOWN");
	assert_int_equal(confine_find_user("0", &user), -EINVAL);
	assert_int_equal(confine_find_user("no-such-user-here", &user), -EINVAL);
	if (geteuid() != 0)
		return;
	assert_int_equal(confine_find_user("12345", &user), 0);
	assert_int_equal(user.uid, 12345);
	assert_int_equal(user.gid, 12345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_can_be_opened_or_reached),
		cmocka_unit_test(what_serving_needs_still_works),
		cmocka_unit_test(root_becomes_nobody),
		cmocka_unit_test(only_root_becomes_another_and_nobody_becomes_root),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
