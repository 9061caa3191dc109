"""The programs of one sandbox that clients started: those that run, and for a while those that
ended."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import marshal
import os
import signal
import stat
import struct
import termios
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace

from e2brun.errors import SandboxLost
from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.sandbox.local.host.control import INLINE_LIMIT, ProgramStarted
from e2brun.sandbox.local.host.process import Process, ProcessOrder
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.host.streams import pipe
from e2brun.sandbox.local.isolation.launching import memory_file

_DOOR = os.makedev(5, 2)  # /dev/pts/ptmx
_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441

_REMEMBERED_SECONDS = 30.0
_REMEMBERED = 1000
_PROGRAM_LIMIT = 16 * 1024 * 1024  # of arguments and environment; the kernel takes less


class NoSuchProcess(LookupError):
    """None of that pid or tag runs; the text says so."""


class StartRefused(Exception):
    """A program could not be started; the text says why."""


class Processes:
    """A part of a RunningSandbox."""

    def __init__(self, live: RunningSandbox) -> None:
        self._live = live
        self._running: dict[int, Process] = {}
        self._ended: dict[int, Process] = {}
        self._starting: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        for process in [*self._running.values(), *self._ended.values()]:
            process.lose()
        self._running.clear()
        self._ended.clear()

    def prepare(self, order: ProcessOrder, on_over: Callable[[Process], object]) -> Process:
        """A program that is not started yet, so that who follows it misses nothing."""

        def over() -> None:
            self._move(process)
            on_over(process)

        process = Process(order, self._live.outflow, over)
        return process

    async def start(self, process: Process, until: float | None = None) -> None:
        """Start it; a caller that goes away meanwhile does not keep it from starting. It is
        killed at `until` on the loop's clock.

        Raises StartRefused when it cannot be started.
        """
        task = asyncio.ensure_future(self._start(process, until))
        self._starting.add(task)
        task.add_done_callback(self._started)
        await asyncio.shield(task)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it may have gone

    def running(self) -> list[Process]:
        return list(self._running.values())

    def find(self, pid: int, tag: str) -> Process:
        """A running one. Raises NoSuchProcess."""
        if pid:
            if pid in self._running:
                return self._running[pid]
            raise NoSuchProcess(f"process with pid {pid} not found")
        for process in self._running.values():
            if tag and process.order.tag == tag:
                return process
        raise NoSuchProcess(f"process with tag {tag} not found")

    def find_or_remember(self, pid: int, tag: str) -> Process:
        """A running one, or one that ended lately. Raises NoSuchProcess."""
        try:
            return self.find(pid, tag)
        except NoSuchProcess:
            for process in reversed(self._ended.values()):
                if (pid and process.pid == pid) or (tag and process.order.tag == tag):
                    return process
            raise

    def send_signal(self, process: Process, number: int) -> None:
        """Send a signal, if it is still there."""
        if not process.over.is_set():
            with suppress(SandboxLost):
                self._live.link.request("signal", run=process.number, signal=int(number))
            process.leave_children()

    def kill(self, process: Process) -> None:
        self.send_signal(process, signal.SIGKILL)

    async def _start(self, process: Process, until: float | None) -> None:
        with ExitStack() as stack:
            if process.order.size is None:
                await self._start_piped(process, stack)
            else:
                await self._start_on_terminal(process, stack)
        if until is not None:
            process.end_at(until, lambda: self.kill(process))

    async def _start_piped(self, process: Process, theirs: ExitStack) -> None:
        with ExitStack() as ours:
            (stdout, stdout_inside), (stderr, stderr_inside) = pipe(), pipe()
            stdin_inside, stdin = pipe() if process.order.stdin else (_null(), None)
            for descriptor in (stdout, stderr, *(() if stdin is None else (stdin,))):
                os.set_blocking(descriptor, False)
                ours.callback(os.close, descriptor)
            inside = (stdin_inside, stdout_inside, stderr_inside)
            for descriptor in inside:
                theirs.callback(os.close, descriptor)
            started = await self._ask(process, inside)
            self._register(process, started)
            ours.pop_all()
        process.run(started, {"stdout": stdout, "stderr": stderr}, stdin, -1)

    async def _start_on_terminal(self, process: Process, theirs: ExitStack) -> None:
        try:
            master, slave = await new_terminal(self._live, *(process.order.size or (0, 0)))
        except AgentRefused as refusal:
            raise _refused(process.order, refusal) from None
        theirs.callback(os.close, slave)
        with ExitStack() as ours:
            ours.callback(os.close, master)
            started = await self._ask(process, (slave,))
            self._register(process, started)
            ours.pop_all()
        # One descriptor each for who reads, who writes and who resizes.
        process.run(started, {"pty": master}, os.dup(master), os.dup(master))

    async def _ask(self, process: Process, descriptors: tuple[int, ...]) -> ProgramStarted:
        order = process.order
        program = marshal.dumps((order.argv, order.environment))
        if len(program) > _PROGRAM_LIMIT:
            raise StartRefused("arguments and environment are too long")
        with ExitStack() as stack:
            if len(program) > INLINE_LIMIT:
                descriptors = (*descriptors, memory_file("program", program))
                stack.callback(os.close, descriptors[-1])
                program = b""
            try:
                return await self._live.link.get(
                    ProgramStarted,
                    "start",
                    descriptors,
                    on_exit=process.exit,
                    program=program,
                    cwd=order.cwd,
                    user=order.user,
                    terminal=order.size is not None,
                )
            except AgentRefused as refusal:
                raise _refused(order, refusal) from None
            except ValueError:
                raise StartRefused("cwd is too long") from None

    def _register(self, process: Process, started: ProgramStarted) -> None:
        if self._live.gone.is_set():
            raise SandboxLost("the sandbox went away")
        self._ended.pop(started.pid, None)
        self._running[started.pid] = process

    def _move(self, process: Process) -> None:
        """It is over: no longer listed, but known for a while."""
        if self._running.get(process.pid) is process:
            del self._running[process.pid]
        # What it was told may be megabytes.
        process.order = replace(process.order, argv=[], environment={}, config={})
        self._ended[process.pid] = process
        while len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]
        loop = asyncio.get_running_loop()
        loop.call_later(_REMEMBERED_SECONDS, self._forget, process)

    def _forget(self, process: Process) -> None:
        if self._ended.get(process.pid) is process:
            del self._ended[process.pid]


def _null() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _refused(order: ProcessOrder, refusal: AgentRefused) -> StartRefused:
    step, _, text = refusal.text.partition(": ")
    if step == "cwd" and refusal.errno in (errno.ENOENT, errno.ENOTDIR):
        return StartRefused(f"cwd '{order.cwd}' does not exist")
    if step == "cwd":
        return StartRefused(f"cwd '{order.cwd}': {text}")
    reason = text or step
    if refusal.errno == errno.EAGAIN:
        reason = "the sandbox's limit of processes is reached (serve --processes)"
    return StartRefused(f"error starting process '{order.argv[0]}': {reason}")


async def new_terminal(live: RunningSandbox, columns: int, rows: int) -> tuple[int, int]:
    """(master, not blocking; slave), both ours to close. Raises AgentRefused, SandboxLost.

    The master is the host's alone. One that had come from inside would be shared with whoever keeps
    a copy there, and O_NONBLOCK belongs to what is shared (open(2)): a read could wait for ever.
    """
    door = await live.handed("terminals")
    try:
        facts = os.fstat(door)
        if not stat.S_ISCHR(facts.st_mode) or facts.st_rdev != _DOOR:
            raise SandboxLost("the sandbox's agent sent a malformed report")
        master = os.open(f"/proc/self/fd/{door}", _FLAGS | os.O_NONBLOCK)
    except OSError as error:  # ENOSPC: it has as many as it may have
        raise AgentRefused(error.errno or 0, f"terminal: {error.strerror}") from None
    finally:
        os.close(door)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, _FLAGS)
        if os.geteuid() == 0:
            os.fchown(slave, facts.st_uid, -1)  # or nobody inside could open it by its name
    except OSError as error:
        os.close(master)
        raise AgentRefused(error.errno or 0, f"terminal: {error.strerror}") from None
    return master, slave
