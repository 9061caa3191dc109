"""What comes from inside may be anything, and belongs to somebody in there as well: the service
neither waits for it nor keeps it."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import shutil
import threading
import time

import pytest

from e2brun.errors import SandboxLost
from e2brun.sandbox.local.host import file_worker
from e2brun.sandbox.local.host.descriptors import read_shared
from e2brun.sandbox.local.host.file_worker import FileTrouble, FileWorker
from e2brun.sandbox.local.host.processes import new_terminal
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import Jail, new_id
from e2brun.server.envd import downloads, watch_events, watchers
from e2brun.server.http.messages import Stream
from tests.security.hostile_agent import hostile

pytestmark = pytest.mark.anyio

# A connection of which it keeps a copy, made to wait; the other side neither talks nor reads.
_WAITING_PORT = """
def answer(request, descriptors):
    if request["do"] == "port":
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        kept.extend([server.accept()[0], server, client])
        block(client.fileno())
        hand(request, client.fileno())
"""


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_connection_that_is_made_to_wait_holds_nobody_up() -> None:
    async with hostile(_WAITING_PORT) as live:
        inside = await live.connect(80)
        began = time.monotonic()
        for waiting in (inside.receive(10), inside.send(bytes(64 << 20))):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(waiting, 0.2)
        inside.close()
        assert time.monotonic() - began < 4


async def test_who_waits_for_a_connection_that_is_closed_is_told() -> None:
    async with hostile(_WAITING_PORT) as live:
        inside = await live.connect(80)
        waiting = asyncio.ensure_future(inside.receive(10))
        await asyncio.sleep(0.05)
        inside.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await waiting
        with pytest.raises(OSError, match=r"closed|Bad file"):
            await inside.receive(10)


_THINGS = {
    "nothing": "",
    "a file": "open(__import__('os').devnull)",
    "a pipe": "os.pipe()[0]",
    "a datagram socket": "socket.socket(type=socket.SOCK_DGRAM)",
    "a socket of the host's kind": "socket.socketpair()[0]",
    "two": "socket.socket(), socket.socket()",
}


@pytest.mark.parametrize("what", _THINGS)
async def test_what_is_no_connection_is_closed_and_refused(what: str) -> None:
    answer = f"""
    def answer(request, descriptors):
        if request["do"] in ("port", "terminals"):
            things = {_THINGS[what] or "()"}
            things = things if isinstance(things, tuple) else (things,)
            kept.extend(things)
            hand(request, *(t if isinstance(t, int) else t.fileno() for t in things))
    """
    async with hostile(answer) as live:
        before = _descriptors()
        for _ in range(3):
            with pytest.raises(SandboxLost):
                await live.connect(80)
            with pytest.raises(SandboxLost):
                await new_terminal(live, 80, 24)
        assert _descriptors() == before


async def test_descriptors_in_place_of_another_answer_end_the_sandbox() -> None:
    answer = """
    def answer(request, descriptors):
        hand(request, control.fileno())
    """
    before = _descriptors()
    async with hostile(answer) as live:
        with pytest.raises(SandboxLost):
            await live.link.ask("freeze")
        assert live.gone.is_set()
    assert _descriptors() == before


_WORKER = """
def serve(channel):
    while message := channel.recv(200_000):
        request = marshal.loads(message)
        ANSWER

def answer(request, descriptors):
    if request["do"] == "files":
        channel = socket.socket(fileno=descriptors[0])
        send(control, b"started\\0%d\\0007" % request["id"])
        threading.Thread(target=serve, args=(channel,), daemon=True).start()
"""


async def test_an_answer_of_values_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_worker, "_VALUES_LIMIT", 100)
    answer = _WORKER.replace(
        "ANSWER",
        """for _ in range(30):
            channel.send(b"[%d, 0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], true]" % request["id"])""",
    )
    async with hostile(answer) as live:
        files = live.part(FileWorker)
        with pytest.raises(FileTrouble) as given_up:
            await files.ask("list", path=b"/", patience=2)
        assert given_up.value.errno == errno.EOVERFLOW


@pytest.mark.parametrize(("pause", "number"), [(0, errno.EOVERFLOW), (0.05, errno.EIO)])
async def test_an_answer_of_empty_pages_without_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, pause: float, number: int
) -> None:
    monkeypatch.setattr(file_worker, "LONG_PATIENCE", 10 if pause == 0 else 0.3)
    monkeypatch.setattr(file_worker, "_LENGTH_LIMIT", 1024 * 1024)
    answer = _WORKER.replace(
        "ANSWER",
        f"""for _ in range(1000):
            channel.send(b"[%d, 0, [], true]" % request["id"])
            threading.Event().wait({pause})""",
    )
    async with hostile(answer) as live:
        with pytest.raises(FileTrouble) as given_up:
            await live.part(FileWorker).ask("list", path=b"/", patience=0.2)
        assert given_up.value.errno == number


@pytest.mark.parametrize("size", ["true", "-1", "9" * 20])
async def test_a_file_of_no_size_is_refused(size: str) -> None:
    answer = _WORKER.replace(
        "ANSWER", f'channel.send(b"[%d,0,[{size},0,false,true],false]" % request["id"])'
    )
    async with hostile(answer) as live:
        with pytest.raises(FileTrouble) as refused:
            await downloads.facts(live.part(FileWorker), "/x")
        assert refused.value.errno == errno.EPROTO


async def test_a_file_of_which_nothing_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "STUCK", 0.1)
    answer = _WORKER.replace(
        "channel.recv(200_000)", "(got := socket.recv_fds(channel, 200_000, 4))[0]"
    ).replace(
        "ANSWER",
        """kept.extend(got[1])
        if request["do"] == "peek":
            channel.send(b"[%d,0,[9,0,false,true],false]" % request["id"])""",
    )
    async with hostile(answer) as live:
        told = await downloads.answer(live.part(FileWorker), "/x", {}, with_body=True)
        assert isinstance(told, Stream)
        with pytest.raises(SandboxLost, match="gave nothing"):
            async with asyncio.timeout(20):
                await anext(aiter(told.body))


async def test_descriptors_that_come_with_other_answers_are_closed() -> None:
    answer = """more = request["do"] == "list"
        for page in range(1 + more):
            text = json.dumps([request["id"], 0, [], more and not page])
            send(channel, text.encode() + b"\\n", [0, 1, 2])"""
    async with hostile(_WORKER.replace("ANSWER", answer)) as live:
        files = live.part(FileWorker)
        await files.ask("stat", path=b"/")
        before = _descriptors()
        for do in ("stat", "peek", "list", "stats"):
            assert (await files.ask(do, path=b"/")).descriptors == []
        with pytest.raises(FileTrouble):  # three are not one
            await live.part(watchers.Watchers).open(watchers.Wanted("/tmp"))
        assert _descriptors() == before


async def test_a_watch_that_is_made_to_wait_ends_its_sandbox(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchers, "_READ_SECONDS", 0.2)
    answer = """import ctypes
        queue = ctypes.CDLL(None).inotify_init1(0o4000)
        kept.append(queue)
        fcntl.fcntl(queue, fcntl.F_SETFL, os.O_RDONLY)
        send(channel, b'[%d,0,[[1,"",null,0]],false]\\n' % request["id"], [queue])"""
    async with hostile(_WORKER.replace("ANSWER", answer)) as live:
        watcher = await live.part(watchers.Watchers).open(watchers.Wanted("/tmp"))
        ticks = asyncio.ensure_future(_ticks())
        rescue = threading.Timer(6, _stir, (watcher.descriptor,))  # or a service that waits hangs
        rescue.start()
        with pytest.raises(SandboxLost):  # as when somebody inside was quicker to read
            await watcher._take_in()
        assert live.gone.is_set()
        rescue.cancel()
        ticks.cancel()


def _stir(inotify: int) -> None:
    libc = ctypes.CDLL(None)
    libc.inotify_rm_watch(inotify, libc.inotify_add_watch(inotify, b"/", 0x100))


async def _ticks() -> None:
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.01)
        assert time.monotonic() - began < 4


async def test_reading_what_is_shared_gives_what_is_there_and_says_what_went_wrong() -> None:
    read, write = os.pipe()
    os.write(write, b"there")
    assert await read_shared(read, 100, 5) == b"there"
    before = _descriptors()
    with pytest.raises(OSError, match="Bad file"):
        await read_shared(write, 100, 5)
    with pytest.raises(TimeoutError):
        await read_shared(read, 100, 0.1)
    os.close(write)  # and the thread ends
    os.close(read)
    await asyncio.sleep(0.1)
    assert _descriptors() <= before - 2


async def test_a_watch_keeps_so_many_bytes_of_names() -> None:
    one = ["a watch"]
    events, told = watch_events.Events(one), watch_events.Told(one)
    places = watch_events.Places(one)
    long = b"n" * 4000
    for number in range(10_000):
        path = b"%d/%b" % (number, long)
        events.add(path, "EVENT_TYPE_CREATE")
        told.add(path)
    assert events.full
    assert sum(len(path) for path, _ in events.take()) <= 2 * watch_events.EVENTS
    assert not events
    assert sum(b"%d/%b" % (number, long) in told for number in range(10_000)) < 2000
    with pytest.raises(FileTrouble):
        _fill(places, [b"%d/%b" % (number, long) for number in range(10_000)])
    places.pop_below(b"1")
    assert places.get(1) is None


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is missing")
async def test_a_terminal_is_opened_from_outside() -> None:
    live = RunningSandbox(Bubblewrap(), Jail(new_id(), current_interpreter()), "base")
    await live.ready()
    try:
        master, slave = await new_terminal(live, 101, 33)
        size = os.get_terminal_size(slave)
        assert (size.columns, size.lines) == (101, 33)
        os.write(slave, b"said")
        assert os.read(master, 100) == b"said"
        assert not os.get_blocking(master)
        os.close(master)
        os.close(slave)
    finally:
        live.kill()
        await live.buried()


def _fill(places: watch_events.Places, paths: list[bytes]) -> None:
    for number, path in enumerate(paths):
        places.put(number, path)
