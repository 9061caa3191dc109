"""E2B's process service (E2B_PROTOCOL 3.4 to 3.8)."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

from e2brun.sandbox.contract import absolute
from e2brun.sandbox.local.host.channels import BrokenChannel
from e2brun.sandbox.local.host.process import KEEPALIVE, Process, ProcessOrder
from e2brun.sandbox.local.host.processes import NoSuchProcess, Processes, StartRefused
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.host.subscriptions import Event, Subscription
from e2brun.sandbox.local.template_setup import USERS
from e2brun.server.envd import connect
from e2brun.server.envd.connect import Wire
from e2brun.server.envd.protojson import Message, RpcError
from e2brun.server.http.messages import ApiError, Request, Response, Stream
from e2brun.server.sandboxes.records import Record

_PREFIX = "/process.Process/"
_SIGNALS = {
    "SIGNAL_SIGKILL": signal.SIGKILL, "SIGNAL_SIGTERM": signal.SIGTERM, 9: signal.SIGKILL,
    15: signal.SIGTERM,
}  # fmt: skip
_UNSPECIFIED_SIGNALS = (None, 0, "SIGNAL_UNSPECIFIED")
_REAP_SECONDS = 1.0
# The client is told of the deadline first and the program killed then; should the client not
# read what it is told, the program dies all the same.
_DEADLINE_GRACE = 2.0
_SIZE_LIMIT = 0xFFFF


async def handle(request: Request, record: Record) -> Response | Stream:
    """Answer one call. Raises ApiError."""
    method = request.raw_path[len(_PREFIX) :]
    live = record.live
    if method in _CALLS:
        call = _CALLS[method]
        return await connect.unary(request, lambda message: call(live, message))
    if method == "SendInput":  # waits for a program that does not read

        async def send_input(message: Message) -> Wire:
            await connect.unless_gone(request, _write(_found(live, message), message))
            return {}

        return await connect.unary(request, send_input)
    if method == "Start":
        return await _start(request, record)
    if method == "Connect":
        return await connect.server_stream(request, lambda message: _follow(request, live, message))
    if method == "StreamInput":
        return await connect.client_stream(request, lambda messages: _stream_input(live, messages))
    raise ApiError(404, f"method '{method[:64]}' not found")


async def _start(request: Request, record: Record) -> Stream:
    live = record.live
    deadline = connect.deadline(request)
    until = None if deadline is None else deadline + _DEADLINE_GRACE
    processes = live.part(Processes)
    started: list[Process] = []

    def note_end(process: Process) -> None:
        record.journal.note("Process ended", pid=str(process.pid), status=process.status)

    async def events(message: Message) -> AsyncGenerator[Event]:
        order = _order(live, message, connect.acting_user(request, live.user))
        process = processes.prepare(order, note_end)
        subscription = process.follow()
        try:
            with _told():
                await processes.start(process, until)
            started.append(process)
            record.journal.note("Process started", pid=str(process.pid), cmd=order.line)
            async for event in _events(process, subscription, request):
                yield event
        finally:
            process.forsake(subscription)
            if deadline is not None and process in started:  # nobody is left to be told first
                process.end_at(deadline, lambda: processes.kill(process))

    def kill() -> None:
        for process in started:
            processes.kill(process)

    return await connect.server_stream(request, events, after_deadline=kill)


async def _follow(
    request: Request, live: RunningSandbox, message: Message
) -> AsyncGenerator[Event]:
    with _told():
        process = live.part(Processes).find_or_remember(*_selector(message))
    subscription = process.follow()
    try:
        async for event in _events(process, subscription, request):
            yield event
    finally:
        process.forsake(subscription)


async def _events(
    process: Process, subscription: Subscription, request: Request
) -> AsyncGenerator[Event]:
    """From the start event to the end, with a sign of life when nothing else happens."""
    patience = connect.keepalive(request)
    yield {"event": {"start": {"pid": process.pid}}}
    while (event := await _next(subscription, patience)) is not None:
        yield event


async def _next(subscription: Subscription, patience: float) -> Event | None:
    try:
        return await subscription.next(patience)
    except TimeoutError:
        return KEEPALIVE


def _order(live: RunningSandbox, message: Message, user: str) -> ProcessOrder:
    config = message.object("process") or Message({})
    command = config.text("cmd")
    if not command:
        raise RpcError("invalid_argument", "cmd is required")
    environment = {**live.user_environment(user), **config.text_map("envs")}
    for name in environment:
        if not name or "=" in name:
            raise RpcError("invalid_argument", f"'{name[:64]}' is no name of a variable")
    pty, home = message.object("pty"), USERS[user]
    return ProcessOrder(
        argv=[command, *config.texts("args")],
        cwd=absolute(config.text("cwd") or live.directory or home, home, home),
        environment=environment,
        user=user,
        config=_echo(config),
        tag=message.text("tag") or None,
        stdin=message.flag("stdin") is not False,
        size=None if pty is None else _size(pty),
    )


def _echo(config: Message) -> dict[str, Any]:
    echo = {
        "cmd": config.text("cmd"),
        "args": config.texts("args"),
        "envs": config.text_map("envs"),
        "cwd": config.text("cwd"),
    }
    return {name: value for name, value in echo.items() if value}


def _size(pty: Message) -> tuple[int, int]:
    size = pty.object("size") or Message({})
    columns, rows = size.number("cols"), size.number("rows")
    if not (0 <= columns <= _SIZE_LIMIT and 0 <= rows <= _SIZE_LIMIT):
        raise RpcError("invalid_argument", "the terminal's size is out of range")
    return columns, rows


def _selector(message: Message) -> tuple[int, str]:
    """(pid, tag) of the process that is meant; the one that is not given is 0 or ""."""
    selector = message.object("process") or Message({})
    pid, tag = selector.number("pid"), selector.text("tag")
    if not pid and not tag:
        raise RpcError("invalid_argument", "a process is selected by pid or by tag")
    return pid, tag


def _found(live: RunningSandbox, message: Message) -> Process:
    with _told():
        return live.part(Processes).find(*_selector(message))


@contextmanager
def _told() -> Generator[None]:
    """What the host refuses, as a client is told."""
    try:
        yield
    except NoSuchProcess as error:
        raise RpcError("not_found", str(error)) from None
    except StartRefused as error:
        raise RpcError("invalid_argument", str(error)) from None


async def _list(live: RunningSandbox, _message: Message) -> Wire:
    infos: list[dict[str, Any]] = []
    for process in live.part(Processes).running():
        info: dict[str, Any] = {"config": process.order.config, "pid": process.pid}
        if process.order.tag is not None:
            info["tag"] = process.order.tag
        infos.append(info)
    return {"processes": infos}


async def _write(process: Process, message: Message) -> None:
    given = message.object("input") or Message({})
    stdin, pty = given.blob("stdin"), given.blob("pty")
    on_terminal = process.order.size is not None
    if stdin is None and pty is None:
        raise RpcError("unimplemented", "the input must be for stdin or pty")
    if (pty is not None) != on_terminal:
        kind = "a pty: send input to it" if on_terminal else "no pty: send input to stdin"
        raise RpcError("internal", f"the process has {kind}")
    if process.stdin is None or not process.stdin.open:
        raise RpcError("internal", "stdin not enabled or closed")
    try:
        await process.stdin.write(stdin if pty is None else pty)  # type: ignore[arg-type]
    except BrokenChannel as error:
        raise RpcError("internal", f"error writing to the process: {error}") from None


async def _stream_input(live: RunningSandbox, messages: AsyncIterator[Message]) -> Wire:
    process: Process | None = None
    async for message in messages:
        start, data = message.object("start"), message.object("data")
        if start is not None:
            process = _found(live, start)
        elif data is not None:
            if process is None:
                raise RpcError("invalid_argument", "the first message must select a process")
            await _write(process, data)
    return {}


async def _send_signal(live: RunningSandbox, message: Message) -> Wire:
    processes = live.part(Processes)
    process = _found(live, message)
    wanted = message.raw("signal")
    if not isinstance(wanted, str | int | None) or wanted in _UNSPECIFIED_SIGNALS:
        raise RpcError("unimplemented", "a signal must be given")
    if wanted not in _SIGNALS:
        raise RpcError("unimplemented", f"signal {str(wanted)[:32]} is not supported")
    number = _SIGNALS[wanted]
    processes.send_signal(process, number)
    if number == signal.SIGKILL:  # gone when we answer: clients ask `kill -0` next
        await process.reaped(_REAP_SECONDS)
    return {}


async def _close_stdin(live: RunningSandbox, message: Message) -> Wire:
    process = _found(live, message)
    if process.order.size is not None:
        raise RpcError("unknown", "a pty has no stdin to close: send Ctrl+D (0x04) to it")
    if process.stdin is not None:  # it reads an end of file next
        process.stdin.close()
    return {}


async def _update(live: RunningSandbox, message: Message) -> Wire:
    process = _found(live, message)
    pty = message.object("pty")
    if pty is not None:
        if process.order.size is None:
            raise RpcError("internal", "the process has no pty")
        try:
            process.resize(*_size(pty))
        except OSError as error:
            raise RpcError("internal", f"the pty cannot be resized: {error.strerror}") from None
    return {}


_CALLS: dict[str, Callable[[RunningSandbox, Message], Awaitable[Wire]]] = {
    "List": _list,
    "SendSignal": _send_signal,
    "CloseStdin": _close_stdin,
    "Update": _update,
}
