"""Memory that the kernel holds for a program and no process shows ends at the limit as well."""

from __future__ import annotations

import pytest

from tests.security.probing import MIB, NO_FILTER, Probe

pytestmark = pytest.mark.crossed

_GIB = 1024 * MIB
_IN_HIDING = "memory limit 512 MiB, most of it where no process shows it"
# Each stops by itself at about 1 GiB, so that a limit that does not hold harms nobody.
_SPLICE = """
import ctypes, json, os, socket, time
libc = ctypes.CDLL(None, use_errno=True)
sockets, held = [], 0
while held < 1024 << 20 and len(sockets) < 220:
    with open("pages", "wb") as file:
        file.write(bytes(16 << 20))
    pages = os.open("pages", os.O_RDONLY)
    os.unlink("pages")
    at, (get, put) = ctypes.c_longlong(0), os.pipe()
    sockets += socket.socketpair()
    sockets[-1].setblocking(False)
    for page in range(4096):
        at.value = page << 12
        # One byte of each page: it is the whole page that stays.
        if libc.splice(pages, ctypes.byref(at), put, None, 1, 0) != 1:
            print(json.dumps(os.strerror(ctypes.get_errno())))
            os._exit(0)
        if page % 16 == 15:
            if libc.splice(get, None, sockets[-1].fileno(), None, 16, 2) != 16:
                break
            held += 16 << 12
    for descriptor in (pages, get, put):
        os.close(descriptor)
time.sleep(1)
print(json.dumps(f"pinned {held >> 20} MiB"))
"""
COUNTED = {
    "page tables": """
import mmap, os, time
for _ in range(10):
    if os.fork() == 0:
        # One byte read in every 2 MiB: the page is the zero page, its table is not.
        block = mmap.mmap(-1, 56 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
        block.madvise(15)
        for at in range(0, len(block), 2 << 20):
            block[at]
        time.sleep(4)
        os._exit(0)
for _ in range(10):
    os.wait()
""",
    "buffers of TCP connections": """
import os, socket, time
def fill():
    kept = []
    server = socket.create_server(("127.0.0.1", 0), backlog=200)
    for _ in range(100):
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        for end in client, peer:
            end.setblocking(False)
            try:
                while True:
                    end.send(bytes(65536))
            except BlockingIOError:
                pass
            kept.append(end)
    time.sleep(4)
    os._exit(0)
for _ in range(20):
    if os.fork() == 0:
        fill()
for _ in range(20):
    os.wait()
""",
    "connections that nobody accepts": """
import socket, time
server = socket.create_server(("127.0.0.1", 0), backlog=4096)
for _ in range(4000):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(server.getsockname())
    try:
        while True:
            client.send(bytes(65536))
    except OSError:
        pass
    client.close()
time.sleep(4)
""",
    "buffers of 256 sockets in each of 60 processes": """
import os, socket, time
def fill():
    kept = []
    try:
        while True:
            kept += socket.socketpair()
    except OSError:
        pass
    for end in kept:
        end.setblocking(False)
        try:
            while True:
                end.send(bytes(65536))
        except BlockingIOError:
            pass
    time.sleep(4)
    os._exit(0)
for _ in range(60):
    if os.fork() == 0:
        fill()
for _ in range(60):
    os.wait()
""",
}
HIDDEN = {
    "items of epoll": """
import os, select, time
def fill():
    # One item for each file under each of its numbers, which are free again at once.
    files = [os.eventfd(0) for _ in range(60)]
    queues = [select.epoll() for _ in range(60)]
    for file in files:
        for number in range(150, 250):
            os.dup2(file, number)
            for queue in queues:
                queue.register(number, select.EPOLLIN)
            os.close(number)
    time.sleep(4)
    os._exit(0)
for _ in range(14):
    if os.fork() == 0:
        fill()
for _ in range(14):
    os.wait()
""",
    "locks on single bytes of files": """
import fcntl, os, time
def fill(number):
    files = [os.open(f"{number}-{n}", os.O_RDWR | os.O_CREAT) for n in range(200)]
    for at in range(0, 400, 2):
        for file in files:
            fcntl.lockf(file, fcntl.LOCK_EX, 1, at)
    time.sleep(4)
    os._exit(0)
for number in range(16):
    if os.fork() == 0:
        fill(number)
for _ in range(16):
    os.wait()
""",
    "events that inotify keeps": """
import ctypes, os, time
libc = ctypes.CDLL(None)
os.mkdir("watched")
own = bytearray(400 << 20)
queues = [libc.inotify_init() for _ in range(240)]
for queue in queues:
    libc.inotify_add_watch(queue, b"watched", 0x100)
for number in range(15000):
    os.close(os.open(f"watched/{number:0250}", os.O_CREAT))
    os.unlink(f"watched/{number:0250}")
time.sleep(2)
""",
}


_MAPPINGS = """
import ctypes, os, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
def fill():
    # Every other page has other rights: 65,000 mappings, while others are made at the same time.
    first = libc.mmap(None, ctypes.c_size_t(65_000 << 12), 0, 0x4022, -1, ctypes.c_long(0))
    for page in range(0, 65_000, 2):
        libc.mprotect(ctypes.c_void_p(first + (page << 12)), ctypes.c_size_t(4096), 1)
    time.sleep(4)
    os._exit(0)
for _ in range(60):
    if os.fork() == 0:
        fill()
for _ in range(60):
    os.wait()
"""


@pytest.mark.crossed(ways=1)
@pytest.mark.parametrize("way", [*COUNTED, *HIDDEN])
def test_memory_of_the_kernel_ends_at_the_limit(probe: Probe, way: str) -> None:
    report = probe.bounded((COUNTED | HIDDEN)[way], timeout=30)
    assert report.outcome == "oom", report
    assert report.detail == ("memory limit 512 MiB" if way in COUNTED else _IN_HIDING), report
    assert report.survivors == 0


@pytest.mark.crossed(ways=1)
def test_a_close_look_at_very_many_mappings_does_not_take_long(probe: Probe) -> None:
    """Which pages processes share is told by walking through all that they have mapped."""
    report = probe.bounded(_MAPPINGS, timeout=40)
    assert (report.outcome, report.detail) == ("oom", _IN_HIDING), report
    assert report.elapsed < 10  # or 12 to 20


def test_a_tcp_connection_holds_no_more_than_another_socket(probe: Probe) -> None:
    code = """
    import json, socket
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    peer, _ = server.accept()
    client.setblocking(False)
    sent = 0
    try:
        while True:
            sent += client.send(bytes(65536))
    except BlockingIOError:
        print(json.dumps(sent >> 10))
    """
    assert probe(code).answer < 1024


def test_pages_of_a_file_cannot_be_left_in_sockets(probe: Probe) -> None:
    assert probe.within(512 * MIB, _SPLICE).answer == "Invalid argument"


@pytest.mark.alone  # what all others use is counted with it
def test_memory_that_goes_in_a_way_not_known_to_us_ends_a_sandbox(probe: Probe) -> None:
    """The last line: without the filter, splice is such a way."""
    if probe.driver == "forkserver":
        pytest.skip("only bubblewrap can be made to do without its filter")
    ends: list[tuple[str, str]] = []
    for _ in range(3):  # who has it is judged by who is at work, and others may be
        report = probe(_SPLICE, weak=NO_FILTER)
        ends.append((report.outcome, report.detail))
        if ends[-1] == ("oom", _IN_HIDING):
            return
    raise AssertionError(ends)
