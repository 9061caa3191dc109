"""No system call of the list in the filter's own words gets past it, by whatever number."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import pytest

from tests.security.probing import NO_FILTER, Probe

pytestmark = [
    pytest.mark.crossed,
    pytest.mark.skipif(
        os.uname().machine != "x86_64", reason="the numbers in here are those of x86_64"
    ),
]

_EPERM, _EINVAL, _ENOSYS, _EPROTONOSUPPORT = 1, 22, 38, 93

# Written down here once more, and not taken from the filter: what is missing there is found.
_REFUSED = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "process_madvise": 440,
    "pidfd_getfd": 438, "kcmp": 312, "syslog": 103, "acct": 163, "quotactl": 179,
    "quotactl_fd": 443, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
    "unshare": 272, "setns": 308, "swapon": 167, "swapoff": 168, "reboot": 169,
    "kexec_load": 246, "kexec_file_load": 320, "create_module": 174, "init_module": 175,
    "delete_module": 176, "finit_module": 313, "sethostname": 170, "setdomainname": 171,
    "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "clock_adjtime": 305,
    "iopl": 172, "ioperm": 173, "modify_ldt": 154, "vhangup": 153, "uselib": 134, "ustat": 136,
    "sysfs": 139, "_sysctl": 156, "nfsservctl": 180, "lookup_dcookie": 212, "add_key": 248,
    "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
    "fanotify_init": 300, "fanotify_mark": 301, "name_to_handle_at": 303,
    "open_by_handle_at": 304, "mbind": 237, "set_mempolicy": 238, "get_mempolicy": 239,
    "migrate_pages": 256, "move_pages": 279, "memfd_secret": 447, "sched_setparam": 142,
    "process_mrelease": 448,
}  # fmt: skip
_UNKNOWN = {
    "clone3": 435, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "open_tree_attr": 467, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
    "fsmount": 432, "fspick": 433, "mount_setattr": 442, "statmount": 457, "listmount": 458,
    "set_mempolicy_home_node": 450, "lsm_get_self_attr": 459, "lsm_set_self_attr": 460,
    "lsm_list_modules": 461, "memfd_create": 319, "shmget": 29, "semget": 64, "msgget": 68,
    "mq_open": 240, "mq_unlink": 241, "mq_timedsend": 242, "mq_timedreceive": 243,
    "mq_notify": 244, "mq_getsetattr": 245, "io_setup": 206, "io_destroy": 207,
    "io_getevents": 208, "io_submit": 209, "io_cancel": 210, "io_pgetevents": 333,
    "remap_file_pages": 216, "futex_waitv": 449, "futex_wake": 454, "futex_wait": 455,
    "futex_requeue": 456, "cachestat": 451, "map_shadow_stack": 453, "mseal": 462,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445, "landlock_restrict_self": 446, "setxattrat": 463, "getxattrat": 464,
    "listxattrat": 465, "removexattrat": 466,
    "file_getattr": 468, "file_setattr": 469,
}  # fmt: skip
_NOT_WITH_THESE = {"splice": 275, "tee": 276, "vmsplice": 278, "sendfile": 40}
# By argument: (number, arguments). Each would do something, or fail in another way, if let in.
_ARGUMENTS = {
    "clone(NEWUSER)": (56, [0x10000000 | 17]), "clone(NEWNS)": (56, [0x00020000 | 17]),
    "clone(NEWPID)": (56, [0x20000000 | 17]), "clone(NEWNET)": (56, [0x40000000 | 17]),
    "clone(NEWIPC)": (56, [0x08000000 | 17]), "clone(NEWUTS)": (56, [0x04000000 | 17]),
    "clone(NEWCGROUP)": (56, [0x02000000 | 17]),
    "ioctl(TIOCSTI)": (16, [0, 0x5412, 0]), "ioctl(TIOCLINUX)": (16, [0, 0x541C, 0]),
    "ioctl(TIOCSTI, high bits)": (16, [0, 0x100005412, 0]),
    "socket(AX25)": (41, [3, 2, 0]), "socket(PACKET)": (41, [17, 3, 0]),
    "socket(VSOCK)": (41, [40, 1, 0]), "socket(ALG)": (41, [38, 5, 0]),
    "socket(BLUETOOTH)": (41, [31, 1, 0]), "socket(CAN)": (41, [29, 3, 1]),
    "socket(TIPC)": (41, [30, 1, 0]), "socket(RDS)": (41, [21, 5, 0]),
    "socket(XDP)": (41, [44, 3, 0]), "socket(KCM)": (41, [41, 2, 0]),
    "socket(QIPCRTR)": (41, [42, 2, 0]), "socket(SMC)": (41, [43, 1, 0]),
    "socket(raw inet)": (41, [2, 3, 1]), "socket(raw inet6)": (41, [10, 3, 58]),
    "socket(netlink audit)": (41, [16, 3, 9]), "socket(netlink uevent)": (41, [16, 3, 15]),
    "socket(netlink netfilter)": (41, [16, 3, 12]), "socket(netlink diag)": (41, [16, 3, 4]),
    "socket(netlink generic)": (41, [16, 3, 16]), "socket(netlink xfrm)": (41, [16, 3, 6]),
    "socket(sctp)": (41, [2, 1, 132]), "socket(dccp)": (41, [2, 6, 33]),
    "socket(l2tp)": (41, [2, 2, 115]),
    "socketpair(TIPC)": (53, [30, 1, 0]), "socketpair(NETLINK)": (53, [16, 3, 0]),
    "personality(ADDR_NO_RANDOMIZE)": (135, [0x0040000]),
    "personality(READ_IMPLIES_EXEC)": (135, [0x0400000]),
    "personality(PER_LINUX32, 3GB)": (135, [0x8000008]),
    "prlimit(1)": (302, [1, 7, 0]), "prlimit(core size)": (302, [0, 4, 1, 1]),
    "setsockopt(ATTACH_FILTER)": (54, [0, 1, 26]),
    "setsockopt(ATTACH_REUSEPORT_CBPF)": (54, [0, 1, 51]),
    "setsockopt(TCP_ULP)": (54, [0, 6, 31]), "setsockopt(UDP_ENCAP)": (54, [0, 17, 100]),
    "mknod(0:0)": (133, [0, 0o20666, 0]), "mknodat(0:0)": (259, [0, 0, 0o20666, 0]),
    "setsockopt(ZEROCOPY)": (54, [0, 1, 60]), "setsockopt(RESERVE_MEM)": (54, [0, 1, 73]),
    "fcntl(SETLEASE)": (72, [0, 1024, 0]), "fcntl(NOTIFY)": (72, [0, 1026, 0]),
    "setpriority(1)": (141, [0, 1, 5]), "setpriority(user)": (141, [2, 0, 5]),
    "ioprio_set(1)": (251, [1, 1, 0x6000]), "ioprio_set(user)": (251, [3, 0, 0x6000]),
    "pipe2(NOTIFICATION_PIPE)": (293, [0, 0x80]),
    "madvise(MERGEABLE)": (28, [0, 0, 12]), "prctl(SET_MEMORY_MERGE)": (157, [67, 1]),
    "prctl(FUTEX_HASH)": (157, [78, 1, 16]), "prctl(SCHED_CORE)": (157, [62, 1]),
    "prctl(SET_MM)": (157, [35, 14]),
    "ioctl(TIOCSETD)": (16, [0, 0x5423]), "fcntl(SETDELEG)": (72, [0, 1040]),
}  # fmt: skip

_CALL = """
import ctypes, json, os, signal
libc = ctypes.CDLL(None, use_errno=True)
def errno_of(number, arguments):
    # In a child: a call that is let through may do anything, to itself alone.
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(2)
        # A kernel without the call, and all but the first argument, must not be guessed at.
        words = [ctypes.c_ulong(word & 2**64 - 1) for word in arguments]
        words += [ctypes.c_ulong(FILL)] * (6 - len(words))
        result = libc.syscall(ctypes.c_long(number), *words)
        os.write(write, str(ctypes.get_errno() if result == -1 else 0).encode())
        os._exit(0)
    os.close(write)
    answer = os.read(read, 100)
    os.close(read)
    os.waitpid(pid, 0)
    return int(answer or -1)
calls = json.load(open("calls.json"))
print(json.dumps({name: errno_of(number, words) for name, (number, words) in calls.items()}))
"""


def _ask(probe: Probe, calls: Mapping[str, object], fill: int, *, weak: bool) -> dict[str, int]:
    code = f"FILL = {fill}\n{_CALL}"
    report = probe(
        code, files={"calls.json": json.dumps(dict(calls))}, weak=NO_FILTER if weak else None
    )
    answer: dict[str, int] = report.answer
    return answer


def test_every_forbidden_system_call_is_refused(probe: Probe) -> None:
    numbers = _REFUSED | _UNKNOWN | _NOT_WITH_THESE
    calls: dict[str, object] = {name: [nr, []] for name, nr in numbers.items()}
    fill = 2**64 - 1
    inside = _ask(probe, calls, fill, weak=False)
    wanted = dict.fromkeys(_REFUSED, _EPERM) | dict.fromkeys(_UNKNOWN, _ENOSYS)
    wanted |= dict.fromkeys(_NOT_WITH_THESE, _EINVAL)
    assert inside == wanted
    # Without the filter the kernel looks at the nonsense in the arguments. What answers the
    # same then is kept by missing capabilities, or is not in every kernel.
    without = _ask(probe, calls, fill, weak=True)
    let_in = {name for name in calls if without[name] != wanted[name]}
    assert {"ptrace", "mount", "unshare", "setns", "bpf", "add_key", "clone3", "memfd_create",
            "process_vm_readv", "kcmp", "move_mount", "fsopen", "open_tree",
            "keyctl", "set_mempolicy", "io_setup", "mq_open", "sendfile"} <= let_in  # fmt: skip
    assert len(let_in) >= 40, sorted(set(calls) - let_in)


def test_arguments_that_lead_out_are_refused(probe: Probe) -> None:
    inside = _ask(probe, dict(_ARGUMENTS), 0, weak=False)
    kinds = {name for name in _ARGUMENTS if name.startswith("socket(netlink")}
    wanted = dict.fromkeys(_ARGUMENTS, _EPERM) | dict.fromkeys(kinds, _EPROTONOSUPPORT)
    assert inside == wanted
    without = _ask(probe, dict(_ARGUMENTS), 0, weak=True)
    let_in = {name for name in _ARGUMENTS if without[name] != wanted[name]}
    assert {"clone(NEWUSER)", "socket(ALG)", "socket(VSOCK)", "ioctl(TIOCSTI)",
            "socket(netlink diag)", "personality(ADDR_NO_RANDOMIZE)"} & let_in  # fmt: skip
    assert len(let_in) >= 15, sorted(set(_ARGUMENTS) - let_in)


def test_nothing_inside_adds_a_filter_of_its_own(probe: Probe) -> None:
    """It could have each of its calls written to the host's log. To man and Firefox, this is a
    kernel without filters."""
    calls: dict[str, object] = {"seccomp": [317, [1]], "prctl": [157, [22, 2]]}
    assert set(_ask(probe, calls, 0, weak=False).values()) == {_EINVAL}
    assert _EINVAL not in _ask(probe, calls, 0, weak=True).values()


def test_system_calls_of_other_modes_do_not_exist(probe: Probe) -> None:
    x32 = {f"x32 {number}": [0x40000000 + number, []] for number in (0, 39, 59, 101, 165, 520)}
    assert _ask(probe, x32, 0, weak=False) == dict.fromkeys(x32, _ENOSYS)
    # int 0x80 with eax = 20 (getpid): machine code, since no library makes such a call.
    code = """
    import ctypes, json, mmap
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # push rbx; mov eax, 20; int 0x80; movsxd rax, eax; pop rbx; ret
    page.write(bytes.fromhex("53 b814000000 cd80 4863c0 5b c3"))
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    print(json.dumps(ctypes.CFUNCTYPE(ctypes.c_long)(address)()))
    """
    assert probe(code).answer == -_ENOSYS
    # A kernel without 32-bit emulation ends the process with SIGSEGV.
    without = probe(code, weak=NO_FILTER)
    assert without.signal == 11 or without.answer > 1


def test_a_file_takes_no_lease_and_a_socket_does_not_linger(probe: Probe) -> None:
    """A lease holds up who opens the file on the host; a socket that lingers, whoever is the last
    to close it, and sockets are passed on. How much lies in one's buffers is the host's to say."""
    code = """
    import fcntl, json, socket
    with open("own", "w") as file, socket.socket() as one:
        def leased(kind):
            try:
                fcntl.fcntl(file, fcntl.F_SETLEASE, kind)
            except OSError as error:
                return error.strerror
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\x40\\0\\0\\0")
        lingers = one.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        sizes = []
        for name in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            before = one.getsockopt(socket.SOL_SOCKET, name)
            one.setsockopt(socket.SOL_SOCKET, name, before // 4)
            sizes.append(one.getsockopt(socket.SOL_SOCKET, name) == before)
        print(json.dumps([leased(fcntl.F_WRLCK), leased(fcntl.F_UNLCK), lingers[0], *sizes]))
    """
    assert probe(code).answer == ["Operation not permitted"] * 2 + [0, True, True]
    assert probe(code, weak=NO_FILTER).answer == [None, None, 1, False, False]


def test_personality_and_sockets_that_programs_need_are_let_in(probe: Probe) -> None:
    calls: dict[str, object] = {
        "personality(query)": [135, [0xFFFFFFFF]],
        "personality(PER_LINUX)": [135, [0]],
        "socket(unix)": [41, [1, 1, 0]],
        "socket(tcp)": [41, [2, 1, 6]],
        "socket(udp6)": [41, [10, 2, 17]],
        "socket(route)": [41, [16, 3, 0]],
        "socketpair(unix)": [53, [1, 1, 0]],
        "prlimit(own)": [302, [0, 7, 0]],
    }
    answers = _ask(probe, calls, 0, weak=False)
    assert answers.pop("socketpair(unix)") == 14  # EFAULT: the fourth argument is NULL
    assert set(answers.values()) == {0}


def test_nothing_inside_has_a_capability_or_can_gain_a_privilege(probe: Probe) -> None:
    code = """
    import json
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
    print(json.dumps({name: int(status[name], 16) for name in names}))
    """
    inside = probe(code).answer
    assert inside.pop("NoNewPrivs") == 1
    assert inside.pop("Seccomp") == 2
    assert set(inside.values()) == {0}
    assert probe(code, weak=NO_FILTER).answer["Seccomp"] == 0
    if probe.account == "root":
        assert probe.outside(code)["CapEff"] != 0
