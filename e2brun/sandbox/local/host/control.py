"""The host's end of the control socket: requests in, reports out, nothing believed.

One SOCK_SEQPACKET message each way. The agent is ours, but it lives among hostile code: every
report is parsed by form, bounded in size, and a malformed one means that the sandbox is lost.
"""

from __future__ import annotations

import _socket  # the C module: `socket` costs 7 ms of start-up for names we do not use
import errno
import marshal
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from e2brun.errors import SandboxError, SandboxLost, SandboxUnavailable
from e2brun.frozen import Frozen
from e2brun.sandbox.local.agent.descriptors import hand_over, handed_over, ready
from e2brun.sandbox.local.isolation.driver import Driver, Jail, Jailed

INLINE_LIMIT = 96 * 1024  # a file no larger travels in the message; below the socket's buffer
_REPORT_LIMIT, _MODULE_LIMIT = 8192, 64
_START_SECONDS = 20.0
_SEND_SECONDS = 10
_SO_PASSCRED, _SO_SNDTIMEO = 16, 21


class Hello(Frozen):
    """The agent is up; `pid` is its pid on the host, vouched for by the kernel. One that was
    forked shows what is to be watched itself: its /proc, its files, its shared memory."""

    pid: int
    views: tuple[int, ...] = ()


class ProgramStarted(Frozen):
    """A program runs; `pid` is the one it sees itself."""

    number: int
    pid: int


class Exited(Frozen):
    """A program ended: its exit code, or the signal it died of (the other is 0). `peak` is the
    most memory that it, or a child it waited for, had at once (getrusage(2)), in bytes;
    `completed`, where it was asked for, whether its code ran to its end."""

    number: int
    code: int
    signal: int
    peak: int = 0
    completed: bool | None = None


class RequestFailed(Frozen):
    """A request could not be met."""

    number: int
    errno: int
    text: str


class RequestDone(Frozen):
    """A file request, or a halt, was met."""

    number: int


class Handed(Frozen):
    """A request was met with descriptors of the sandbox's, which are now ours to close."""

    number: int
    descriptors: tuple[int, ...]


class ModuleWanted(Frozen):
    """Something inside imports a module that is not there; one of the template's, it says."""

    number: int
    module: str


Report = Hello | ProgramStarted | Exited | RequestFailed | RequestDone | Handed | ModuleWanted


class Control:
    """Sends requests to the agent and reads its reports."""

    def __init__(self) -> None:
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        ours.setsockopt(_socket.SOL_SOCKET, _SO_PASSCRED, 1)
        # An agent that no longer reads must not hold us up once the buffer is full.
        patience = struct.pack("@ll", _SEND_SECONDS, 0)
        ours.setsockopt(_socket.SOL_SOCKET, _SO_SNDTIMEO, patience)
        self._socket, self._theirs = ours, theirs
        self._next = 0
        self._held: list[dict[str, object]] = []
        self._starting: Jailed | None = None
        self.descriptor = ours.fileno()

    def start(self, driver: Driver, jail: Jail) -> Jailed:
        """Have a sandbox started whose agent has the other end. Raises SandboxUnavailable."""
        try:
            if jail.online:
                from e2brun.sandbox.local.isolation import slirp4netns

                slirp4netns.check()
            jailed = driver.start(jail, self._theirs.fileno())
        except BaseException:
            self.close()
            raise
        self._starting = jailed
        self._theirs.close()  # our copy of the agent's end goes, so that its death shows
        return jailed

    def close(self) -> None:
        """Hang up; an agent still alive then ends the sandbox."""
        self._starting = None
        self._socket.close()
        self._theirs.close()  # where nobody took it

    def hold(self, do: str, **fields: object) -> int:
        """A request that is sent with the next, as one message where they are small."""
        self._next += 1
        self._held.append({"do": do, "id": self._next, **fields})
        return self._next

    def request(self, do: str, descriptors: Sequence[int] = (), **fields: object) -> int:
        """Send one request; its number is in every report about it. Raises SandboxLost, and
        BlockingIOError where the descriptor was made non-blocking and the agent is behind."""
        number = self._next = self._next + 1
        request = {"do": do, "id": number, **fields}
        message = marshal.dumps({**request, "before": self._held} if self._held else request)
        if self._held and len(message) > INLINE_LIMIT:
            for earlier in self._held:
                self._send(str(earlier["do"]), marshal.dumps(earlier))
            message = marshal.dumps(request)
        self._held.clear()
        self._send(do, message, descriptors)
        return number

    def _send(self, do: str, message: bytes, descriptors: Sequence[int] = ()) -> None:
        try:
            hand_over(self._socket, [message], descriptors)
        except OSError as error:
            if error.errno == errno.EAGAIN and not os.get_blocking(self.descriptor):
                raise
            if error.errno == errno.EMSGSIZE:
                raise ValueError(f"a {do} request of {len(message)} bytes is too long") from error
            raise self._gone() from error

    def receive(self, timeout: float | None) -> Report | None:
        """The next report; None when there is none in time. Raises SandboxLost at the end."""
        if not ready(self.descriptor, timeout):
            return None
        try:
            message, ancillary, _, _ = self._socket.recvmsg(
                _REPORT_LIMIT,
                _socket.CMSG_SPACE(12) + _socket.CMSG_SPACE(4 * 8),
                _socket.MSG_CMSG_CLOEXEC,
            )
        except OSError as error:
            raise self._gone() from error
        if not message:
            raise self._gone()
        return _report(message, ancillary)

    def greet(self) -> Hello:
        """Wait for the agent to come up. Raises SandboxUnavailable with the driver's reason."""
        report = self.receive(_START_SECONDS)
        if not isinstance(report, Hello):
            raise self._gone()
        self._starting = None
        return report

    def _gone(self) -> SandboxError:
        if self._starting is None:
            return SandboxLost("the sandbox went away")
        reason = self._starting.complaint() or "it ended before it was ready"
        return SandboxUnavailable(f"the sandbox did not start: {reason}")

    def handed(self, number: int) -> int:
        """The one descriptor that a request is answered with, ours to close. Raises SandboxLost."""
        report = self.wait_for(number, _START_SECONDS)
        if isinstance(report, Handed) and len(report.descriptors) == 1:
            return report.descriptors[0]
        let_go(report)
        raise SandboxLost("the sandbox's agent sent a malformed report")

    def wait_for(self, number: int, timeout: float) -> Report:
        """The final report about one request, passing over others. Raises SandboxLost."""
        end = monotonic() + timeout
        while (left := end - monotonic()) > 0 and (report := self.receive(left)) is not None:
            if not isinstance(report, Hello | ProgramStarted) and report.number == number:
                return report
            let_go(report)
        raise SandboxLost(f"the sandbox did not answer for {timeout:g} s")


def let_go(report: Report) -> None:
    """Close what came with a report that nobody waits for."""
    came: tuple[int, ...] = ()
    if isinstance(report, Handed):
        came = report.descriptors
    elif isinstance(report, Hello):
        came = report.views
    for descriptor in came:
        with suppress(OSError):
            os.close(descriptor)


def _report(message: bytes, ancillary: Sequence[tuple[int, int, bytes]]) -> Report:
    descriptors = tuple(handed_over(ancillary))
    name, *fields = message.split(b"\0")
    if message == b"hello" and len(descriptors) in {0, 3}:
        return Hello(_sender(ancillary), descriptors)
    if name == b"handed" and len(fields) == 1 and fields[0].isdigit() and len(fields[0]) < 20:
        return Handed(int(fields[0]), descriptors)
    for descriptor in descriptors:  # nobody asked for them
        os.close(descriptor)
    try:
        return _told(name, fields)
    except ValueError:
        raise SandboxLost("the sandbox's agent sent a malformed report") from None


def _told(name: bytes, fields: list[bytes]) -> Report:
    """A report in words. Raises ValueError."""
    match name, fields:
        case b"started", [number, inner]:
            return ProgramStarted(int(number), int(inner))
        case b"exit", [number, code, signal, peak, completed]:
            told = int(completed) == 1 if completed else None
            return Exited(int(number), int(code) & 0xFF, int(signal) & 0x7F, 1024 * int(peak), told)
        case b"failed", [number, code, text]:
            return RequestFailed(int(number), int(code), text.decode(errors="replace"))
        case b"wanted", [number, name] if _is_module(name):
            return ModuleWanted(int(number), name.decode("ascii"))
        case ((b"done" | b"halted"), [number]):
            return RequestDone(int(number))
        case _:
            raise ValueError(name)


def _is_module(name: bytes) -> bool:
    return len(name) < _MODULE_LIMIT and name.replace(b"_", b"").isalnum()


def _sender(ancillary: Sequence[tuple[int, int, bytes]]) -> int:
    """Its pid, as the kernel gives it."""
    told = [data for _, kind, data in ancillary if kind == _socket.SCM_CREDENTIALS]
    return int.from_bytes(told[0][:4], "little") if told else 0
