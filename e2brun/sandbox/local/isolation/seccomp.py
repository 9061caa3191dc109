"""The system calls a sandbox may not make, as a classic BPF program for `bwrap --seccomp`.

A denylist: ordinary programs keep working. What is new in the kernel does not exist until it has
been judged. Numbers: arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h (aarch64). Not here: what needs a capability the sandbox
does not have.

Allowed here, and not by two of Docker's default profile, Chromium's baseline and gVisor:

    copy_file_range            cp, shutil.copy, Node's fs.cp, Go's io.Copy
    fchmodat2                  chmod that follows no link, in glibc 2.39
    setfsuid, setfsgid         who gives up rights for a moment (sudo, nfs); no id to change to
    sched_rr_get_interval      Python's os module; tells a number
    uretprobe, uprobe          what a tracer of the host's put into a library; nobody calls them
    get_thread_area, set_thread_area, epoll_ctl_old, epoll_wait_old, getpmsg, putpmsg,
    afs_syscall, tuxcall, security, vserver:     not in the kernel, which says ENOSYS itself
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterable, Mapping

EPERM, ENOMEM, EINVAL, ENOSPC, ENOSYS, EPROTONOSUPPORT = 1, 12, 22, 28, 38, 93

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LOAD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH, _ARGS = 0, 4, 16  # offsets in struct seccomp_data

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_UNJUDGED = 470  # from here on on every machine; numbers of x32 are higher still

# Calls by name, with their number on each of these machines; None: there is none there. From 424 on
# they are the same everywhere.
_MACHINES = tuple(_AUDIT_ARCH)
_COMMON_EPERM = {
    "process_madvise": 440,
    "pidfd_getfd": 438,
    "quotactl_fd": 443,
    "memfd_secret": 447,
    "process_mrelease": 448,
}
# ENOSYS where a library is known to fall back to an older call (clone3 -> clone), or where the
# call would hide memory from our accounting, since what it makes belongs to no process (memfd,
# objects of System V, rules of Landlock), or is counted for the whole host (events of io_setup) or
# for all of a user (message queues); and for what is new, of which no program is known that cannot
# do without.
_COMMON_ENOSYS = {
    "clone3": 435, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "open_tree_attr": 467, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
    "fsmount": 432, "fspick": 433, "mount_setattr": 442, "statmount": 457, "listmount": 458,
    "set_mempolicy_home_node": 450, "lsm_get_self_attr": 459, "lsm_set_self_attr": 460,
    "lsm_list_modules": 461, "futex_waitv": 449, "futex_wake": 454, "futex_wait": 455,
    "futex_requeue": 456, "cachestat": 451, "map_shadow_stack": 453, "mseal": 462,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445, "landlock_restrict_self": 446, "setxattrat": 463, "getxattrat": 464,
    "listxattrat": 465, "removexattrat": 466,
    "file_getattr": 468, "file_setattr": 469,
}  # fmt: skip
_EPERM = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "syslog": (103, 116), "acct": (163, 89), "quotactl": (179, 60),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "swapon": (167, 224), "swapoff": (168, 225),
    "reboot": (169, 142), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "create_module": (174, None), "init_module": (175, 105), "delete_module": (176, 106),
    "finit_module": (313, 273), "get_kernel_syms": (177, None), "query_module": (178, None),
    "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "vhangup": (153, 58),
    "uselib": (134, None), "ustat": (136, None), "sysfs": (139, None), "_sysctl": (156, None),
    "nfsservctl": (180, 42), "lookup_dcookie": (212, 18), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "mbind": (237, 235), "set_mempolicy": (238, 237), "get_mempolicy": (239, 236),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "sched_setparam": (142, 118),
}  # fmt: skip
_ENOSYS = {
    "memfd_create": (319, 279), "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195),
    "shmdt": (67, 197), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191),
    "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
    "mq_timedsend": (242, 182), "mq_timedreceive": (243, 183), "mq_notify": (244, 184),
    "mq_getsetattr": (245, 185), "io_setup": (206, 0), "io_destroy": (207, 1),
    "io_getevents": (208, 4), "io_submit": (209, 2), "io_cancel": (210, 3),
    "io_pgetevents": (333, 292), "remap_file_pages": (216, 234),
}  # fmt: skip
# One byte of a page put into a pipe or a socket keeps all of the page (vmsplice: of 2 MiB), for
# nobody's account. EINVAL is what every caller takes for "not with these two files": Go and
# libuv go on with read and write then, and do not after ENOSYS.
_EINVAL = {
    "splice": (275, 76), "tee": (276, 77), "vmsplice": (278, 75), "sendfile": (40, 71),
}  # fmt: skip
# Nothing of a sandbox is on a disk: they would wait for the host's, and nobody could kill them.
_POINTLESS = {"sync": (162, 81), "syncfs": (306, 267)}
_BY_ARGUMENT = {
    "clone": (56, 220), "ioctl": (16, 29), "socket": (41, 198), "socketpair": (53, 199),
    "personality": (135, 92), "setsockopt": (54, 208), "setrlimit": (160, 164),
    "prlimit64": (302, 261), "setpriority": (141, 140), "fcntl": (72, 25),
    "ioprio_set": (251, 30), "pipe2": (293, 59), "madvise": (28, 233), "prctl": (157, 167),
    "seccomp": (317, 277), "mmap": (9, 222), "fadvise64": (221, 223), "mknod": (133, None),
    "mknodat": (259, 33), "renameat2": (316, 276), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
}  # fmt: skip
# Not for pid 1: the agent has the same user id as what it runs, and must not be slowed down.
_PID_FIRST = {
    "sched_setscheduler": (144, 119), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
}  # fmt: skip
_FEIGNED = {
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setgroups": (116, 159), "setresuid": (117, 147), "setresgid": (119, 149),
    "setfsuid": (122, 151), "setfsgid": (123, 152),
}  # fmt: skip
# What making a sandbox takes, in a user namespace of its own.
_MAKING = (
    "setns", "unshare", "mount", "umount2", "pivot_root", "sethostname", "clone", "move_mount",
)  # fmt: skip
_PR_SET_SECCOMP, _SECCOMP_SET_MODE_FILTER = 22, 1
_CLONE_NEW = 0x7E020000  # every CLONE_NEW* flag that clone(2) takes
# The last puts another driver of the kernel's, loaded for it, behind a terminal.
_IOCTL_REFUSED = {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C, "TIOCSETD": 0x5423}
# Pages shared with whoever has the same: how long a write takes tells what lies in theirs.
_MADV_MERGEABLE, _PR_SET_MEMORY_MERGE = 12, 67
# Gigabytes of a table that no process is charged with; processors that stand idle beside us.
_PR_FUTEX_HASH, _PR_SCHED_CORE = 78, 62
# Where its stack begins tells a program from the one before it (`memory.orphaned`).
_PR_SET_MM = 35
_PRCTL_REFUSED = (_PR_SET_MEMORY_MERGE, _PR_FUTEX_HASH, _PR_SCHED_CORE, _PR_SET_MM)
# It keeps filters without a process, and the host has room for so many in all.
_SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
_MAP_HUGETLB = 0x40000  # pages that the host's administrator has set aside for somebody
# Who takes a shared file out of memory, and reads it again, learns whether others have meanwhile.
_POSIX_FADV_DONTNEED = 4
_O_NOTIFICATION_PIPE = 0x80  # who could be told of keys; no other use, and Chromium refuses it, too
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_INTERNET_PROTOCOLS = (0, 1, 6, 17, 58)  # default, ICMP, TCP, UDP, ICMPv6
_SOL_SOCKET, _SO_SNDBUF, _SO_RCVBUF, _SO_LINGER = 1, 7, 8, 13
# Protocols of the kernel's own that nobody here sets up (kTLS, IPsec), and their mistakes.
_SOL_TCP, _TCP_ULP, _SOL_UDP, _UDP_ENCAP = 6, 31, 17, 100
# Programs in the kernel, of which the host has room for so much in all; pages and room that are
# counted for nobody.
_SOCKET_OPTIONS_REFUSED = {
    "SO_ATTACH_FILTER": 26, "SO_ATTACH_REUSEPORT_CBPF": 51, "SO_ZEROCOPY": 60, "SO_RESERVE_MEM": 73,
}  # fmt: skip
# Of a file's type, in those of character and block devices: 0:0 is one that needs no right.
_IS_DEVICE, _RENAME_WHITEOUT = 0o020000, 4
# An access control list is an attribute that stays in the kernel's memory, in no count, and files
# have two: of 64 KiB, 50,000 would have gigabytes. ext4 refuses more than 4 KiB in this way.
_ATTRIBUTE_BYTES = 1000
# A lease on a file, or a directory, holds up who opens it on the host; F_NOTIFY tells of others as
# inotify does.
_FCNTL_REFUSED = {"F_SETLEASE": 1024, "F_NOTIFY": 1026, "F_SETDELEG": 1040}
_RLIMIT_CORE = 4
_PRIO_USER, _IOPRIO_WHO_USER = 2, 3
_AGENT_PID = 1


def _numbers(calls: Mapping[str, tuple[int | None, int | None]]) -> dict[str, int]:
    """Those on this machine."""
    column = _MACHINES.index(os.uname().machine)
    return {name: n for name, pair in calls.items() if (n := pair[column]) is not None}


def _step(code: int, jump_true: int, jump_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, value)


def _refuse(errno: int) -> bytes:
    return _step(_RET, 0, 0, _ERRNO | errno)


_ALLOWED, _DONE = _step(_RET, 0, 0, _ALLOW), _refuse(0)  # errno 0: not made, said to be


def _argument(index: int) -> bytes:
    # Little-endian: the low 32 bits come first, and the kernel looks at no more of an int.
    return _step(_LOAD, 0, 0, _ARGS + 8 * index)


def _only(index: int, allowed: tuple[int, ...], errno: int = EPERM) -> list[bytes]:
    """Refuse the call unless argument `index` is one of `allowed`."""
    steps = [_argument(index)]
    for position, value in enumerate(allowed):
        steps.append(_step(_JEQ, len(allowed) - position, 0, value))
    return [*steps, _refuse(errno), _ALLOWED]


def _when(value: int, body: list[bytes]) -> list[bytes]:
    """`body`, which must end in a return, where `value` was loaded; others jump over it."""
    return [_step(_JEQ, 0, len(body), value), *body]


def _socket_rules() -> list[bytes]:
    internet = _only(2, _INTERNET_PROTOCOLS)
    return [
        _argument(0),
        *_when(_AF_UNIX, [_ALLOWED]),
        *_when(_AF_INET, internet),
        *_when(_AF_INET6, internet),
        # As a kernel without them: libaudit (useradd, su) goes on then, and gives up for EPERM.
        *_when(_AF_NETLINK, _only(2, (0,), EPROTONOSUPPORT)),
        _refuse(EPERM),
    ]


def _setsockopt_rules() -> list[bytes]:
    """Buffer sizes stay as they are, and programs are told all is well: a size is a wish, and
    what lies in a socket's buffer is in no process's memory. Nor does a socket linger: it makes
    close(2) wait, and the last to close one that was passed on may be the host."""
    feigned = (_SO_SNDBUF, _SO_RCVBUF, _SO_LINGER)
    options = [_argument(2), *(step for option in feigned for step in _when(option, [_DONE]))]
    for option in _SOCKET_OPTIONS_REFUSED.values():
        options += _when(option, [_refuse(EPERM)])
    return [
        _argument(1),
        *_when(_SOL_SOCKET, [*options, _ALLOWED]),
        *_when(_SOL_TCP, _all_but(2, (_TCP_ULP,))),
        *_when(_SOL_UDP, _all_but(2, (_UDP_ENCAP,))),
        _ALLOWED,
    ]


def _prlimit_rules() -> list[bytes]:
    """Nothing for the agent; and the core size stays 1, the one at which the kernel does not
    start the program in core_pattern, as root and outside (core(5)). A wish for another is met
    in appearance, unless the old limit is to be filled in."""
    core = [
        *_argument_is_null(2, [_ALLOWED]),
        *_argument_is_null(3, [_DONE]),
        _refuse(EPERM),
    ]
    return [
        _argument(0),
        *_when(_AGENT_PID, [_refuse(EPERM)]),
        _argument(1),
        *_when(_RLIMIT_CORE, core),
        _ALLOWED,
    ]


def _argument_is_null(index: int, body: list[bytes]) -> list[bytes]:
    high = [_step(_LOAD, 0, 0, _ARGS + 8 * index + 4), *_when(0, body)]
    return [_argument(index), _step(_JEQ, 0, len(high), 0), *high]


def _all_but(index: int, values: Iterable[int]) -> list[bytes]:
    refused = (step for value in values for step in _when(value, [_refuse(EPERM)]))
    return [_argument(index), *refused, _ALLOWED]


def _without(index: int, bits: int, errno: int = EPERM) -> list[bytes]:
    return [_argument(index), _step(_JSET, 0, 1, bits), _refuse(errno), _ALLOWED]


def _no_more(index: int, most: int, errno: int) -> list[bytes]:
    return [_argument(index), _step(_JGE, 0, 1, most + 1), _refuse(errno), _ALLOWED]


def _rules(but: Collection[str]) -> list[bytes]:
    """What is decided by arguments, call by call."""
    not_agent = [*_when(_AGENT_PID, [_refuse(EPERM)]), _ALLOWED]

    def neither(everybody: int) -> list[bytes]:
        return [_argument(0), *_when(everybody, [_refuse(EPERM)]), _argument(1), *not_agent]

    attribute = _no_more(3, _ATTRIBUTE_BYTES, ENOSPC)
    bodies = {
        "clone": _without(0, _CLONE_NEW),
        "ioctl": _all_but(1, _IOCTL_REFUSED.values()),
        "socket": _socket_rules(),
        "socketpair": _only(0, (_AF_UNIX,)),
        "personality": _only(0, (0, 8, 0xFFFFFFFF)),
        "setsockopt": _setsockopt_rules(),
        "setrlimit": [_argument(0), *_when(_RLIMIT_CORE, [_DONE]), _ALLOWED],
        "prlimit64": _prlimit_rules(),
        "fcntl": _all_but(1, _FCNTL_REFUSED.values()),
        "setpriority": neither(_PRIO_USER),
        "ioprio_set": neither(_IOPRIO_WHO_USER),
        "pipe2": _without(1, _O_NOTIFICATION_PIPE),
        "madvise": _all_but(2, (_MADV_MERGEABLE,)),
        "prctl": _all_but(0, _PRCTL_REFUSED),
        "seccomp": _without(1, _SECCOMP_FILTER_FLAG_NEW_LISTENER),
        "mmap": _without(3, _MAP_HUGETLB, ENOMEM),
        "mknod": _without(1, _IS_DEVICE),
        "mknodat": _without(2, _IS_DEVICE),
        "renameat2": _without(4, _RENAME_WHITEOUT, EINVAL),
        "setxattr": attribute,
        "lsetxattr": attribute,
        "fsetxattr": attribute,
        "fadvise64": [_argument(3), *_when(_POSIX_FADV_DONTNEED, [_DONE]), _ALLOWED],
    }
    calls = _numbers(_BY_ARGUMENT)
    made = [n for n in bodies if n in calls and n not in but]
    steps = [step for name in made for step in _when(calls[name], bodies[name])]
    for number in _numbers(_PID_FIRST).values():
        steps += _when(number, [_argument(0), *not_agent])
    return steps


def _preamble() -> list[bytes]:
    machine = os.uname().machine
    if machine not in _AUDIT_ARCH:
        raise ValueError(f"no system call table for {machine}")
    return [
        _step(_LOAD, 0, 0, _ARCH),
        _step(_JEQ, 1, 0, _AUDIT_ARCH[machine]),
        _refuse(ENOSYS),
        _step(_LOAD, 0, 0, _NR),
        _step(_JGE, 0, 1, _UNJUDGED),
        _refuse(ENOSYS),
    ]


def first_filter() -> bytes:
    """For who is yet to make a sandbox: all but what is needed for that."""
    return filter_program(but=_MAKING)


def last_filter(*, but: Collection[str] = ()) -> bytes:
    """What the first filter left open, refused."""
    steps = _preamble()
    for name in _MAKING:
        if name in but:
            continue
        if name == "clone":
            steps += _when(_numbers(_BY_ARGUMENT)[name], _without(0, _CLONE_NEW))
        elif name in _COMMON_ENOSYS:
            steps += _when(_COMMON_ENOSYS[name], [_refuse(ENOSYS)])
        else:
            steps += _when(_numbers(_EPERM)[name], [_refuse(EPERM)])
    if "setns" not in but:  # who may that has filters of its own to add
        steps += _no_filters()
    return b"".join([*steps, _ALLOWED])


def _no_filters() -> list[bytes]:
    """A filter can have each call of a program written to the host's log, and nobody bounds that.
    EINVAL is what a kernel without filters says: man and Firefox go on without."""
    steps: list[bytes] = []
    for name, value in (("prctl", _PR_SET_SECCOMP), ("seccomp", _SECCOMP_SET_MODE_FILTER)):
        body = [_argument(0), *_when(value, [_refuse(EINVAL)]), _ALLOWED]
        steps += _when(_numbers(_BY_ARGUMENT)[name], body)
    return steps


def setns_filter() -> bytes:
    """What is added for programs where pid 1 itself may call setns: they may not."""
    return last_filter(but=set(_MAKING) - {"setns"})


def root_filter() -> bytes:
    """What is added for programs that are to believe they are root: setns is refused, and what
    would need more than one user id is not made but said to be, as a package manager wants it."""
    steps = [*_preamble(), *_when(_numbers(_EPERM)["setns"], [_refuse(EPERM)]), *_no_filters()]
    for number in _numbers(_FEIGNED).values():
        steps += _when(number, [_DONE])
    return b"".join([*steps, _ALLOWED])


def filter_program(*, but: Collection[str] = ()) -> bytes:
    """The filter for this machine, as an array of struct sock_filter. `but` names calls it is not
    to refuse.

    Raises ValueError for a machine whose numbers are not known: nothing may run there.
    """
    steps = _preamble()
    for errno, tables in (
        (EPERM, (_COMMON_EPERM, _numbers(_EPERM))),
        (ENOSYS, (_COMMON_ENOSYS, _numbers(_ENOSYS))),
        (EINVAL, (_numbers(_EINVAL),)),
        (0, (_numbers(_POINTLESS),)),
    ):
        for table in tables:
            for name, number in table.items():
                if name not in but:
                    steps += [_step(_JEQ, 0, 1, number), _refuse(errno)]
    steps += [*_rules(but), _ALLOWED]
    return b"".join(steps)
