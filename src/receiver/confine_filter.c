/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The filter of system calls. It is a list of what is allowed, because what is dangerous grows with
 * every kernel and what we need does not; all else fails with EPERM, as a call that is not
 * permitted does, and the program goes on. The list was made by running all protocol tests under
 * strace with the shipped program (musl) and the one of the tests (glibc, AddressSanitizer).
 *
 * Some calls are looked at more closely:
 *   clone      makes threads, not processes; clone3 hides its flags in memory, so it is said not to
 *              exist, and libraries fall back to clone
 *   mmap, mprotect   give no memory that can be executed
 *   newfstatat is what the C library of the tests (glibc) takes for fstat, and is let through there
 *              for that; the one of the programs that ship (musl) does not need it
 *   fcntl      without F_SETOWN and F_SETSIG, which send signals
 *   ioctl      asks for the size of a device, or how much there is to read
 *   socket     of the uploader: to other machines; not to daemons of this one
 *   open, openat   of the uploader: never carried out, but answered in its place; see
 * confine_host.c sendto, sendmsg  without MSG_FASTOPEN, which connects
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/num.h"
#include "receiver/confine_private.h"

#define X32_CALLS  0x40000000u /* the other numbering of x86-64 */
#define FILTER_MAX 256
#define DENY	   (SECCOMP_RET_ERRNO | EPERM)

static const int everybody[] = {
	/* descriptors that are there */
	SYS_read,
	SYS_write,
	SYS_close,
	SYS_fstat,
	SYS_fsync,
	/* memory and time */
	SYS_brk,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_clock_gettime,
	SYS_gettimeofday,
	SYS_clock_nanosleep,
	SYS_nanosleep,
	SYS_restart_syscall,
	/* itself */
	SYS_futex,
	SYS_exit,
	SYS_exit_group,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_sigaltstack,
	SYS_getpid,
	SYS_gettid,
	SYS_getuid,
	SYS_geteuid,
	SYS_getgid,
	SYS_getegid,
	/* messages between our processes */
	SYS_recvfrom,
	SYS_recvmsg,
};

/* What the server and the uploader do with what they have. */
static const int workers[] = {
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_lseek,
	SYS_fadvise64,
	SYS_dup,
	SYS_pipe2,
	SYS_eventfd2,
	SYS_socketpair,
	SYS_shutdown,
	SYS_getsockname,
	SYS_getpeername,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_poll,
	SYS_ppoll,
	SYS_select,
	SYS_pselect6,
	SYS_epoll_create1,
	SYS_epoll_ctl,
	SYS_epoll_wait,
	SYS_epoll_pwait,
	SYS_set_robust_list,
	SYS_rseq,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_membarrier,
	SYS_getrandom,
};

static const int server_only[] = {
	SYS_pwrite64,  SYS_preadv,	    SYS_pwritev, SYS_fdatasync, SYS_sync_file_range,
	SYS_fallocate, SYS_ftruncate,	    SYS_fstatfs, SYS_flock,	SYS_splice,
	SYS_accept4,   SYS_rt_sigtimedwait, SYS_wait4,
};

static const int keeper_only[] = {
	SYS_open, SYS_openat, SYS_rename, SYS_renameat, SYS_renameat2, SYS_poll,
};

static const int uploader_only[] = {
	SYS_connect,
	SYS_bind, /* a name server's answer comes to a port */
	SYS_sendmmsg,
};

struct filter {
	struct sock_filter code[FILTER_MAX];
	unsigned short used;
};

static void emit(struct filter *f, uint16_t code, uint32_t k, unsigned yes, unsigned no)
{
	if (f->used < FILTER_MAX)
		f->code[f->used] = (struct sock_filter)BPF_JUMP(code, k, (uint8_t)yes, (uint8_t)no);
	f->used++;
}

static void load(struct filter *f, size_t offset)
{
	emit(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct filter *f, uint32_t verdict)
{
	emit(f, BPF_RET | BPF_K, verdict, 0, 0);
}

static void allow(struct filter *f, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		emit(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
		answer(f, SECCOMP_RET_ALLOW);
	}
}

/* Low half of an argument (little-endian); the upper half means nothing in those that we look at.
 */
static size_t argument(unsigned n)
{
	return offsetof(struct seccomp_data, args) + n * sizeof(uint64_t);
}

/* One call: allowed when the bits of the argument are set (wanted) or none of them is. */
static void allow_bits(struct filter *f, int call, unsigned arg, uint32_t bits, bool wanted)
{
	emit(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4);
	load(f, argument(arg));
	emit(f, BPF_JMP | BPF_JSET | BPF_K, bits, wanted ? 0 : 1, wanted ? 1 : 0);
	answer(f, SECCOMP_RET_ALLOW);
	answer(f, DENY);
}

/* One call: allowed when the argument is one of these. */
static void allow_values(struct filter *f, int call, unsigned arg, const uint32_t *values,
			 size_t count)
{
	emit(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, (unsigned)(2 + 2 * count));
	load(f, argument(arg));
	for (size_t i = 0; i < count; i++) {
		emit(f, BPF_JMP | BPF_JEQ | BPF_K, values[i], 0, 1);
		answer(f, SECCOMP_RET_ALLOW);
	}
	answer(f, DENY);
}

static void refuse(struct filter *f, int call, uint32_t verdict)
{
	emit(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1);
	answer(f, verdict);
}

static void build_role(struct filter *f, enum filter_role role)
{
	static const uint32_t networks[] = {AF_INET, AF_INET6};

	allow(f, everybody, ARRAY_SIZE(everybody));
	if (role != FILTER_KEEPER)
		allow(f, workers, ARRAY_SIZE(workers));
	switch (role) {
	case FILTER_SERVER:
		allow(f, server_only, ARRAY_SIZE(server_only));
		break;
	case FILTER_KEEPER:
		allow(f, keeper_only, ARRAY_SIZE(keeper_only));
		break;
	case FILTER_UPLOADER:
		allow(f, uploader_only, ARRAY_SIZE(uploader_only));
		allow_values(f, SYS_socket, 0, networks, ARRAY_SIZE(networks));
		refuse(f, SYS_open, SECCOMP_RET_TRAP);
		refuse(f, SYS_openat, SECCOMP_RET_TRAP);
		break;
	}
	if (role != FILTER_KEEPER)
		allow_bits(f, SYS_clone, 0, CLONE_THREAD, true);
}

static void build(struct filter *f, enum filter_role role)
{
	static const uint32_t fcntls[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC};
	static const uint32_t ioctls[] = {BLKGETSIZE64, FIONREAD};

	load(f, offsetof(struct seccomp_data, arch));
	emit(f, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	answer(f, SECCOMP_RET_KILL_PROCESS);
	load(f, offsetof(struct seccomp_data, nr));
	emit(f, BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 0, 1);
	answer(f, DENY);
	build_role(f, role);
	allow_bits(f, SYS_mmap, 2, PROT_EXEC, false);
	allow_bits(f, SYS_mprotect, 2, PROT_EXEC, false);
	allow_bits(f, SYS_sendto, 3, MSG_FASTOPEN, false);
	allow_bits(f, SYS_sendmsg, 2, MSG_FASTOPEN, false);
#ifdef __GLIBC__
	{
		static const uint32_t of_descriptor[] = {AT_EMPTY_PATH};

		allow_values(f, SYS_newfstatat, 3, of_descriptor, ARRAY_SIZE(of_descriptor));
	}
#endif
	allow_values(f, SYS_ioctl, 1, ioctls, ARRAY_SIZE(ioctls));
	allow_values(f, SYS_fcntl, 1, fcntls, ARRAY_SIZE(fcntls));
	refuse(f, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
	answer(f, DENY);
}

int filter_install(enum filter_role role)
{
	struct filter f = {.used = 0};
	struct sock_fprog program = {.filter = f.code};

	build(&f, role);
	if (f.used > FILTER_MAX)
		return -E2BIG;
	program.len = f.used;
	/* The older way of asking for it: it needs no call number that a C library may lack. */
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}
