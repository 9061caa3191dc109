"""The host's end of a sandbox's file worker: requests in, answers out, nothing believed.

The worker lives among hostile code that can kill or stop it: then another is started. Its
answers are parsed by form and bounded in size; a malformed one is the end of that worker.
"""

from __future__ import annotations

import asyncio
import errno
import json
import marshal
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from e2brun.errors import SandboxLost
from e2brun.sandbox.local.agent.descriptors import hand_over, received
from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.sandbox.local.host.descriptors import Watched
from e2brun.values import is_list, values_in

INLINE_LIMIT = 64 * 1024  # contents no larger travel in a message
PATIENCE = 10.0  # seconds for what the worker does itself
LONG_PATIENCE = 600.0  # for what one of its children does, and for the last page of an answer
STUCK = 60.0  # for the next bytes of a file on its way
_ANSWER_LIMIT = 160 * 1024
_VALUES_LIMIT = 1_000_000  # of one answer in all its messages
_LENGTH_LIMIT = 128 * 1024 * 1024  # bytes, of the same: names in there may be long
_VALUE = 56  # bytes of an empty list of ours, which is 3 of the worker's
_PAGE = 32 * 1024  # bytes that a message counts for at least, or there could be endless ones
_TURNS = 16  # messages taken before others have their turn
# Done twice they leave what they leave done once.
_REPEATABLE = frozenset(
    {"stat", "stats", "list", "peek", "write", "watch", "facts", "entries", "own", "usage"}
)


class FileTrouble(Exception):
    """It could not be done: `errno` and its text."""

    def __init__(self, number: int, text: str = "") -> None:
        self.errno, self.text = number, text or os.strerror(number)
        super().__init__(self.text)


class WorkerGone(Exception):
    """The worker ended; `sent` tells whether it may have got the request."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("the file worker went away")
        self.sent = sent


@dataclass(slots=True)
class WorkerAnswer:
    """`value` is JSON of the worker's making: check it. `descriptors` are ours to close."""

    value: Any
    payload: bytes = b""
    descriptors: list[int] = field(default_factory=list[int])


class WorkerCall:
    """One request on its way."""

    def __init__(self, worker: _Worker, number: int, *, handed: bool) -> None:
        """`handed`: descriptors come with its answer."""
        self._worker, self._number, self._handed = worker, number, handed
        self.length = 0  # of all that has arrived
        self._messages: asyncio.Queue[tuple[list[Any], bytes, list[int]] | None] = asyncio.Queue()

    def arrived(self, message: tuple[list[Any], bytes, list[int]] | None) -> None:
        """One message of the answer; None: there will be none."""
        if message is not None and not (self._handed and not message[0][3]):
            close_all(message[2])
            message = (*message[:2], [])
        self._messages.put_nowait(message)

    async def answer(self, patience: float) -> WorkerAnswer:
        """The whole answer. Raises FileTrouble, WorkerGone, TimeoutError."""
        pages: list[Any] = []
        loop = asyncio.get_running_loop()
        latest = loop.time() + max(patience, LONG_PATIENCE)
        try:
            while True:
                async with asyncio.timeout_at(min(loop.time() + patience, latest)):
                    message = await self._messages.get()
                if message is None:
                    raise WorkerGone(sent=True)
                (_, number, value, more), payload, descriptors = message
                if number:
                    close_all(descriptors)
                    raise FileTrouble(number, str(value)[:2000])
                if not more and not pages:
                    return WorkerAnswer(value, payload, descriptors)
                too_much = len(pages) > _VALUES_LIMIT or self.length > _LENGTH_LIMIT
                if not isinstance(value, list) or too_much:
                    close_all(descriptors)
                    raise FileTrouble(errno.EOVERFLOW)
                pages += value  # pyright: ignore[reportUnknownVariableType]
                if not more:
                    return WorkerAnswer(pages, payload, descriptors)
        finally:
            self.close()

    def close(self) -> None:
        self._worker.calls.pop(self._number, None)
        while not self._messages.empty():
            message = self._messages.get_nowait()
            close_all(message[2] if message else [])


class Home(Protocol):
    """Where file workers are: a sandbox, or a volume."""

    gone: asyncio.Event

    async def file_worker(self, channel: int, on_end: Callable[[], None]) -> Callable[[], None]:
        """Have a worker serve `channel`; what is returned kills it. Raises AgentRefused,
        SandboxError."""
        ...


class FileWorker:
    """The file worker of one sandbox, started when it is first needed."""

    def __init__(self, live: Home) -> None:
        self._live = live
        self._worker: _Worker | None = None
        self._starting = asyncio.Lock()

    async def ask(
        self,
        do: str,
        descriptors: Sequence[int] = (),
        *,
        patience: float = PATIENCE,
        **fields: object,
    ) -> WorkerAnswer:
        """Ask and wait for the answer. Raises FileTrouble, SandboxLost."""
        for last in (False, True):
            worker = await self._running()
            try:
                call = await worker.begin(do, descriptors, fields)
                return await call.answer(patience)
            except WorkerGone as gone:
                if last or (gone.sent and do not in _REPEATABLE):
                    break
            except TimeoutError:
                worker.end()  # somebody in there has stopped it
                if last or do not in _REPEATABLE:
                    break
        raise self._killed()

    async def begin(self, do: str, descriptors: Sequence[int], **fields: object) -> WorkerCall:
        """Send a request whose answer comes when what the descriptors carry is through."""
        for _ in range(2):
            with suppress(WorkerGone):
                return await (await self._running()).begin(do, descriptors, fields)
        raise self._killed()

    async def outcome(self, call: WorkerCall, patience: float) -> WorkerAnswer:
        """The answer to what was begun. Raises FileTrouble, SandboxLost."""
        try:
            return await call.answer(patience)
        except (WorkerGone, TimeoutError):
            raise self._killed() from None

    def _killed(self) -> Exception:
        if self._live.gone.is_set():
            return SandboxLost("the sandbox went away")
        return FileTrouble(errno.EIO, "the sandbox's file worker was killed")

    @property
    def waits(self) -> bool:
        """Whether there is a process for it, and that has nothing to do."""
        return self._worker is not None and not (self._worker.closed or self._worker.calls)

    def close(self) -> None:
        """Let go of the worker; whoever waits for it is told."""
        if self._worker is not None:
            self._worker.close()

    async def _running(self) -> _Worker:
        async with self._starting:
            if self._worker is None or self._worker.closed:
                self._worker = await fresh_worker(self._live)
            return self._worker


async def fresh_worker(live: Home) -> _Worker:
    """A worker of one's own, also where all other processes of the sandbox are frozen."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ended: list[_Worker] = []

    def on_end() -> None:
        for worker in ended:
            worker.running = False

    try:
        kill = await live.file_worker(theirs.fileno(), on_end)
    except AgentRefused as refused:
        ours.close()
        raise FileTrouble(refused.errno or errno.EAGAIN, refused.text) from None
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    worker = _Worker(ours, kill)
    ended.append(worker)
    return worker


class _Worker:
    """One worker process."""

    def __init__(self, connection: socket.socket, kill: Callable[[], None]) -> None:
        self._connection, self._kill = connection, kill
        connection.setblocking(False)
        self.calls: dict[int, WorkerCall] = {}
        self.closed = False
        self.running = True
        self._next = 0
        self._sending = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._watched = Watched(connection.fileno())
        self._loop.add_reader(connection.fileno(), self._readable)

    async def begin(
        self, do: str, descriptors: Sequence[int], fields: dict[str, object]
    ) -> WorkerCall:
        """Send one request. Raises WorkerGone."""
        self._next += 1
        handed = do == "watch" and not descriptors
        call = self.calls[self._next] = WorkerCall(self, self._next, handed=handed)
        message = marshal.dumps({"do": do, "id": self._next, **fields})
        try:
            async with self._sending:
                await self._send(message, descriptors)
        except BaseException as error:
            call.close()
            if not isinstance(error, OSError):
                raise
            if error.errno == errno.EMSGSIZE:
                raise FileTrouble(errno.ENAMETOOLONG) from None
            self.end()
            raise WorkerGone(sent=False) from None
        return call

    def close(self) -> None:
        """Hang up; it then ends."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._watched.forget())
        self._connection.close()
        for call in list(self.calls.values()):
            call.arrived(None)

    def end(self) -> None:
        """Hang up, and kill it should it not be able to notice."""
        self.close()
        if self.running:
            self._kill()

    async def _send(self, message: bytes, descriptors: Sequence[int]) -> None:
        while not self.closed:
            try:
                hand_over(self._connection, [message], descriptors)
                return
            except BlockingIOError:
                async with asyncio.timeout(PATIENCE):
                    await self._watched.writable()
        raise ConnectionResetError

    def _readable(self) -> None:
        for _ in range(_TURNS):
            try:
                message, descriptors = received(self._connection, _ANSWER_LIMIT, 4)
            except BlockingIOError:
                return
            except OSError:
                message, descriptors = b"", []
            if not message or not self._arrived(message, descriptors):
                close_all(descriptors)
                self.end()
                return

    def _arrived(self, message: bytes, descriptors: list[int]) -> bool:
        """Take one message; False for one that is malformed."""
        head, _, payload = message.partition(b"\n")
        try:
            fields = json.loads(head)
        except (ValueError, RecursionError):
            return False
        if not _well_formed(fields):
            return False
        call = self.calls.get(fields[0])
        if call is None:
            close_all(descriptors)
        else:
            call.length += max(len(head) + _VALUE * values_in(head, few=64), _PAGE)
            call.arrived((fields, payload, descriptors))
            return call.length <= 2 * _LENGTH_LIMIT  # nobody may be waiting for it yet
        return True


def _well_formed(fields: object) -> bool:
    if not is_list(fields) or len(fields) != 4:
        return False
    number, code, _, more = fields
    return (type(number), type(code), type(more)) == (int, int, bool)


def close_all(descriptors: Sequence[int]) -> None:
    """Let go of what came unasked."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
