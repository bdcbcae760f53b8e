"""call_in.py PID CALL...: have a process make system calls, from the inside, as if somebody had it in his hand. One line for each: what
came back, as -ERRNO or a number, or "trapped". A call is NAME or NAME:ARGUMENT; a text argument is put on the process's stack.
The process goes on as if nothing had been. Exit status 77: it cannot be traced."""

import ctypes
import os
import signal
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PEEKDATA, POKEDATA, SINGLESTEP, GETREGS, SETREGS, ATTACH, DETACH = 2, 5, 9, 12, 13, 16, 17
NAMES = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()
AT_FDCWD, O_CREAT, O_WRONLY = -100, 0o100, 1
SCRATCH = 4096  # below the stack pointer and the red zone


class Regs(ctypes.Structure):
    _fields_ = [(n, ctypes.c_ulonglong) for n in NAMES]


# Arguments of the calls; TEXT is the address of the argument.
TEXT = object()
CALLS = {
    "open": (2, TEXT, 0), "creat": (85, TEXT, 0o600), "openat": (257, AT_FDCWD, TEXT, 0),
    "openat_new": (257, AT_FDCWD, TEXT, O_CREAT | O_WRONLY, 0o600),
    "stat": (4, TEXT, TEXT), "newfstatat": (262, AT_FDCWD, TEXT, TEXT, 0), "newfstatat_empty": (262, 0, TEXT, TEXT, 0x1000),
    "readlink": (89, TEXT, TEXT, 8), "access": (21, TEXT, 0), "unlink": (87, TEXT), "chmod": (90, TEXT, 0o777), "chdir": (80, TEXT),
    "execve": (59, TEXT, 0, 0), "fork": (57,), "clone": (56, 17, 0, 0, 0, 0), "ptrace": (101, 16, 1, 0, 0), "kill": (62, 1, 0),
    "setuid": (105, 0), "mount": (165, TEXT, TEXT, TEXT, 0, 0), "unshare": (272, 0x10000000), "memfd_create": (319, TEXT, 0),
    "socket_inet": (41, 2, 1, 0), "socket_inet6": (41, 10, 2, 0), "socket_unix": (41, 1, 1, 0), "socket_netlink": (41, 16, 3, 0),
    "connect": (42, 0, TEXT, 16), "listen": (50, 0, 1), "getpid": (39,), "close": (3, 999),
}


def ptrace(request, pid, address=0, data=0):
    ctypes.set_errno(0)
    got = libc.ptrace(request, pid, address, data)
    if got == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), f"ptrace {request}")
    return got


def wait_stop(pid):
    _, status = os.waitpid(pid, 0x40000000)  # __WALL
    if not os.WIFSTOPPED(status):
        sys.exit(f"process {pid} is gone: {status}")
    return os.WSTOPSIG(status)


def put_text(pid, address, text):
    data = text.encode() + b"\0"
    data += bytes(-len(data) % 8)
    for i in range(0, len(data), 8):
        ptrace(POKEDATA, pid, address + i, struct.unpack("<Q", data[i:i + 8])[0])


def call(pid, kept, word):
    name, _, text = word.partition(":")
    number, *arguments = CALLS[name]
    at = (kept.rsp - SCRATCH) & ~0xf
    put_text(pid, at, text)
    regs = Regs.from_buffer_copy(kept)
    regs.orig_rax, regs.rax, regs.rip = (1 << 64) - 1, number, kept.rip - 2
    for register, value in zip(("rdi", "rsi", "rdx", "r10", "r8"), arguments):
        setattr(regs, register, (at if value is TEXT else value) & ((1 << 64) - 1))
    ptrace(SETREGS, pid, 0, ctypes.addressof(regs))
    while regs.rip == kept.rip - 2:  # a step may end before it, where a signal was held back
        ptrace(SINGLESTEP, pid)
        stopped = wait_stop(pid)
        ptrace(GETREGS, pid, 0, ctypes.addressof(regs))
        if stopped == signal.SIGSYS:
            return "trapped"
    back = ctypes.c_longlong(regs.rax).value
    return f"-{os.strerror(-back)}" if -4096 < back < 0 else str(back)


def main():
    pid = int(sys.argv[1])
    kept = Regs()
    for _ in range(600):
        try:
            ptrace(ATTACH, pid)
        except OSError as why:
            print(why)
            return 77
        wait_stop(pid)
        ptrace(GETREGS, pid, 0, ctypes.addressof(kept))
        if ptrace(PEEKDATA, pid, kept.rip - 2) & 0xffff == 0x050f:
            break
        ptrace(DETACH, pid)  # it is at work; later it waits
        time.sleep(0.1)
    else:
        sys.exit(f"process {pid} does not wait in a system call")
    for word in sys.argv[2:]:
        print(word, call(pid, kept, word), flush=True)
    call(pid, kept, "getpid")  # behind a trapped one a step is left over, which would end the process
    ptrace(SETREGS, pid, 0, ctypes.addressof(kept))
    ptrace(DETACH, pid)
    return 0


if __name__ == "__main__":
    sys.exit(main())
