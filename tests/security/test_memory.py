"""Whatever way a program takes to memory, its limit is where it ends; the host hardly notices."""

from __future__ import annotations

import pytest

from tests.security.probing import MIB, Probe

_GIB = 1024 * MIB
# Children with 40 MiB each, whose memory others read until long after they have ended.
_READ = """
import ctypes, mmap, os, threading, time
size, addresses, written = 40 << 20, 1 << 30, mmap.mmap(-1, 1 << 20)
def child(told, go_on):
    held = mmap.mmap(-1, addresses, mmap.MAP_PRIVATE | 0x20)
    for at in range(0, size, 4096):
        held[at] = 1
    at = ctypes.addressof(ctypes.c_char.from_buffer(held))
    os.write(told, at.to_bytes(8, "little"))
    os.read(go_on, 1)
    END
def read(memory, at):
    try:
        while os.preadv(memory, [written] * 1024, at):
            pass
    except OSError:
        pass
for _ in range(CHILDREN):
    (hear, told), (go_on, end) = os.pipe(), os.pipe()
    if (pid := os.fork()) == 0:
        child(told, go_on)
    at = int.from_bytes(os.read(hear, 8), "little")
    memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
    for _ in range(3):
        threading.Thread(target=read, args=(memory, at), daemon=True).start()
    time.sleep(0.15)
    os.write(end, b"x")
    time.sleep(0.05)
GROW
time.sleep(1)
os._exit(0)
"""


def _read(end: str = "os._exit(0)", children: int = 10, grow: str = "") -> str:
    return _READ.replace("END", end).replace("CHILDREN", f"{children}").replace("GROW", grow)


# Every way stops by itself at 1.5 GiB or before, so that a limit that does not hold harms nobody.
WAYS = {
    "in what children had that have ended, while it is read": _read(),
    "in what children had that are other programs now, while it is read": _read(
        'os.execv("/bin/sleep", ["sleep", "9"])'
    ),
    "in what a child had that has ended, while it is written to": _read(
        children=1,
        grow="""
for place in range(at + size, at + addresses, 4 << 20):
    os.pwrite(memory, b"x" * (4 << 20), place)
    time.sleep(0.015)
""",
    ),
    "in one process": """
held = []
while len(held) < 48:
    held.append(bytearray(16 << 20))
""",
    "in many processes": """
import os, time
for _ in range(12):
    if os.fork() == 0:
        held = bytearray(128 << 20)
        time.sleep(10)
        os._exit(0)
for _ in range(12):
    os.wait()
""",
    "in copies of what it was forked with": """
import os, time
held = bytearray(140 << 20)
for _ in range(4):
    if os.fork() == 0:
        for at in range(0, len(held), 4096):
            held[at] = 1
        time.sleep(6)
        os._exit(0)
time.sleep(6)
""",
    "in memory that processes share": """
import mmap, os
held = mmap.mmap(-1, 1536 << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
""",
    "in shared memory dropped from every page table": """
import mmap
held = []
for _ in range(24):
    block = mmap.mmap(-1, 64 << 20)
    for at in range(0, len(block), 4096):
        block[at] = 1
    block.madvise(mmap.MADV_DONTNEED)
    held.append(block)
import time; time.sleep(1)
""",
    "half in its own, half in shared memory dropped from every page table": """
import mmap
own = [bytearray(32 << 20) for _ in range(7)]
held = []
for _ in range(24):
    block = mmap.mmap(-1, 16 << 20)
    for at in range(0, len(block), 4096):
        block[at] = 1
    block.madvise(mmap.MADV_DONTNEED)
    held.append(block)
import time; time.sleep(1)
""",
    "in a process whose first thread has ended": """
import ctypes, threading, time
def grow():
    time.sleep(0.1)
    held = []
    while len(held) < 96:
        held.append(bytearray(16 << 20))
    import os
    print("got it")
    os._exit(0)
threading.Thread(target=grow).start()
ctypes.CDLL(None).syscall(60, 0)  # exit, of this thread alone (x86_64)
""",
    "under the name of a line that says how much it has": """
import ctypes
ctypes.CDLL(None).prctl(15, b"RssAnon: 0 kB", 0, 0, 0)
held = []
while len(held) < 96:
    held.append(bytearray(16 << 20))
""",
    "in shared memory of which another process shows little": """
import ctypes, mmap, os, time
block = mmap.mmap(-1, 1100 << 20)
if os.fork() == 0:
    block.resize(4096)
    time.sleep(8)
    os._exit(0)
for at in range(0, len(block), 64 << 20):
    for page in range(at, min(len(block), at + (64 << 20)), 4096):
        block[page] = 1
    block.madvise(mmap.MADV_DONTNEED)
time.sleep(1)
""",
    "in children as large as a parent whose threads wait as if for a program": """
import ctypes, mmap, os, threading, time
libc = ctypes.CDLL(None)
block, told = mmap.mmap(-1, 160 << 20, mmap.MAP_PRIVATE | 0x20), mmap.mmap(-1, 4096)
pause = ctypes.cast(libc.pause, ctypes.c_void_p)
libc.clone.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
stacks = [ctypes.create_string_buffer(65536) for _ in range(3)]
def wait(stack):  # CLONE_VFORK, and a thread all the same
    libc.clone(pause, (ctypes.addressof(stack) + 65536) & ~15, 0x14F00, None)
for stack in stacks:
    threading.Thread(target=wait, args=(stack,), daemon=True).start()
time.sleep(0.2)
number = next((n for n in (1, 2, 3) if os.fork() == 0), 0)
for step in range(640):  # none more than 256 KiB ahead of another
    for at in range(step << 18, (step + 1) << 18, 4096):
        block[at] = 1
    told[4 * number : 4 * number + 4] = step.to_bytes(4, "little")
    while min(int.from_bytes(told[at : at + 4], "little") for at in (0, 4, 8, 12)) < step:
        time.sleep(0)
time.sleep(4)
os._exit(0)
""",
    "in children as large as their parent that go on in children": """
import ctypes, mmap, os, signal, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # who loses its parent is our child
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
block, told = mmap.mmap(-1, 160 << 20, mmap.MAP_PRIVATE | 0x20), mmap.mmap(-1, 4096)
block.madvise(14)
number = next((n for n in (1, 2, 3) if os.fork() == 0), 0)
def go_on(last):
    if number and time.monotonic() - last > 0.008:
        if os.fork():
            os._exit(0)
        return time.monotonic()
    return last
last = time.monotonic()
for step in range(640):  # none more than 256 KiB ahead of another
    for at in range(step << 18, (step + 1) << 18, 4096):
        block[at] = 1
    told[4 * number : 4 * number + 4] = step.to_bytes(4, "little")
    while min(int.from_bytes(told[at : at + 4], "little") for at in (0, 4, 8, 12)) < step:
        time.sleep(0.0005)
    last = go_on(last)
end = time.monotonic() + 3
while time.monotonic() < end:
    last = go_on(last)
    time.sleep(0.002)
""",
    "in children that write all they were forked with and go on in children": """
import mmap, os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
block = mmap.mmap(-1, 190 << 20, mmap.MAP_PRIVATE | 0x20)
for at in range(0, len(block), 4096):
    block[at] = 1
end = time.monotonic() + 6
if os.fork() == 0:
    at, last = 0, time.monotonic()
    while time.monotonic() < end:
        if at < len(block):
            for at in range(at, at + (1 << 20), 4096):
                block[at] = 2
            at += 4096
        else:
            time.sleep(0.002)
        if time.monotonic() - last > 0.025:
            if os.fork():
                os._exit(0)
            last = time.monotonic()
    os._exit(0)
while time.monotonic() < end:
    time.sleep(0.1)
""",
    "in the buffers of sockets": """
import os, socket, time
def fill():
    pairs = []
    for _ in range(100):
        for end in socket.socketpair():
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
            end.setblocking(False)
            try:
                while True:
                    end.send(bytes(65536))
            except BlockingIOError:
                pass
            pairs.append(end)
    time.sleep(2)
for _ in range(40):
    if os.fork() == 0:
        fill()
        os._exit(0)
for _ in range(40):
    os.wait()
""",
    "in files of /dev/shm and its own": """
with open("/dev/shm/x", "wb") as file:
    for _ in range(11):
        file.write(bytes(16 << 20))
held = [bytearray(16 << 20) for _ in range(60)]
""",
    "in files of the disk, /dev/shm and its own": """
with open("/tmp/x", "wb") as file:
    for _ in range(15):
        file.write(bytes(16 << 20))
with open("/dev/shm/x", "wb") as file:
    for _ in range(7):
        file.write(bytes(16 << 20))
held = [bytearray(16 << 20) for _ in range(40)]
""",
}


@pytest.mark.crossed(ways=1)
@pytest.mark.parametrize("way", WAYS)
def test_memory_ends_at_its_limit(probe: Probe, way: str) -> None:
    """All but the plain ones got away at first: seen before MemoryWatch counted what they hide."""
    limits = {"memory": 256 * MIB, "disk": 256 * MIB}
    report = probe.bounded(WAYS[way], limits=limits, spare=192 * MIB if "disk" in way else 0)
    assert report.outcome == "oom", report
    assert report.detail.startswith("memory limit 256 MiB"), report
    assert report.elapsed < 12
    assert report.survivors == 0


_MAPPED_NO_MORE = """
import ctypes, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
size = 16 << 20
for _ in range(72):
    at = libc.mmap(None, ctypes.c_size_t(size), 3, 0x21, -1, ctypes.c_long(0))
    ctypes.memset(at, 1, size)
    libc.munmap(ctypes.c_void_p(at + 4096), ctypes.c_size_t(size - 4096))
time.sleep(2)
"""


@pytest.mark.crossed
def test_shared_memory_of_which_a_page_is_mapped_counts_whole(probe: Probe) -> None:
    if probe.account != "root":
        pytest.skip("only root is told how large such an object is")
    report = probe.bounded(_MAPPED_NO_MORE, limits={"memory": 256 * MIB, "disk": 256 * MIB})
    assert report.outcome == "oom", report


@pytest.mark.crossed(ways=1)
@pytest.mark.parametrize("way", ["in one process", "in the buffers of sockets"])
def test_the_same_program_runs_where_the_limit_is_higher(probe: Probe, way: str) -> None:
    limits = {"memory": 4 * _GIB, "disk": 2 * _GIB}
    # Of sockets a quarter: still more than what it ends at above.
    report = probe(WAYS[way].replace("range(40)", "range(10)"), limits=limits)
    # Not how much the host's memory rises: one that compresses or swaps hardly shows it.
    assert report.outcome == "ok", report


@pytest.mark.crossed(ways=1)
@pytest.mark.parametrize("place", ["/dev/shm", "/tmp", "/home/user", "/var/tmp"])
def test_no_file_grows_past_the_limit(probe: Probe, place: str) -> None:
    code = f"""
    import errno, json, os
    size = 0
    try:
        for number in range(12):
            with open("{place}/x%d" % number, "wb") as file:
                for _ in range(8):
                    size += file.write(bytes(4 << 20))
        why = ""
    except OSError as error:
        why = errno.errorcode[error.errno]
    print(json.dumps([size >> 20, why]))
    """
    limits = {"memory": 128 * MIB, "disk": 128 * MIB}
    report = probe.within(_GIB // 4, code, limits=limits)
    if (report.outcome, place) != ("oom", "/dev/shm"):  # which is memory as well
        size, why = report.answer
        assert size <= 128
        assert why in {"ENOSPC", "EFBIG"}
    if place == "/tmp":
        larger = probe(code, limits={"memory": _GIB, "disk": _GIB // 2})
        assert larger.answer == [384, ""]


# A child that shares its parent's memory, as between vfork and exec, for two seconds, beside one
# that may have a copy; then it is a program of its own.
_BETWEEN = """
import json, os, time
os.mkfifo("gate")
held = bytearray(SIZE << 20)
if os.fork() == 0:
    if COPY:
        for at in range(0, len(held), 4096):
            held[at] = 1
    time.sleep(2)
    os.open("gate", os.O_WRONLY)
    os._exit(0)
actions = [(os.POSIX_SPAWN_OPEN, 0, "gate", os.O_RDONLY, 0)]
pid = os.posix_spawn("/bin/sleep", ["sleep", "0.3"], {}, file_actions=actions)
os.waitpid(pid, 0)
print(json.dumps(len(held) >> 20))
"""


@pytest.mark.crossed(ways=1)
def test_a_child_that_has_not_yet_become_a_program_has_no_memory_of_its_own(probe: Probe) -> None:
    assert probe(f"SIZE, COPY = 360, False\n{_BETWEEN}", timeout=30).answer == 360
    copied = probe(f"SIZE, COPY = 300, True\n{_BETWEEN}", timeout=30)
    assert copied.outcome == "oom", copied


@pytest.mark.crossed(ways=1)
def test_a_program_with_memory_that_starts_others_is_not_ended(probe: Probe) -> None:
    """While a child is being started, parent and child show the same memory: once is enough."""
    code = """
    import json, subprocess
    held = bytearray(360 << 20)
    for _ in range(300):
        subprocess.run(["/bin/true"], check=True)
    print(json.dumps(len(held) >> 20))
    """
    assert probe(code, timeout=30).answer == 360


@pytest.mark.crossed(ways=1)
def test_pages_that_processes_share_are_counted_once(probe: Probe) -> None:
    code = """
    import json, os, time
    held = bytearray(200 << 20)
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            time.sleep(1)
            os._exit(0)
    time.sleep(1)
    print(json.dumps(len(held) >> 20))
    """
    assert probe(code).answer == 200
