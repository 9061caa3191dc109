"""The service's ASGI application: who may ask, which plane answers, and in what shape it fails.

One origin carries two planes: requests that name a sandbox, by headers or by host name, go into
that sandbox; all others are for the control plane.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from e2brun.errors import SandboxError
from e2brun.server import admission
from e2brun.server.http.messages import (
    ApiError,
    Gone,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    Stream,
)
from e2brun.server.options import ServiceOptions
from e2brun.server.sandboxes.records import Record, State, not_found
from e2brun.server.sandboxes.registry import Registry

log = logging.getLogger("e2brun.server")

ENVD_PORT, INTERPRETER_PORT = 49983, 49999
_GLANCE = 0.2  # seconds between looks whether a request has been read to its end


Plane = Callable[[Request, Record], Awaitable[Response | Stream]]


@dataclass(slots=True)
class Exchange:
    """One request and how far its answer got."""

    request: Request
    send: Send
    record: Record | None = None
    sandbox_id: str = ""  # "" for the control plane
    port: int = 0  # of the sandbox; 0 for the control plane
    status: int = 0
    complete: bool = False  # False in the end: it was cut off
    seconds: float = 0.0  # from its beginning to its end


class App:
    """Answers requests.

    `planes` are the ports of a sandbox that the service itself answers on; the others reach the
    program that listens inside. `on_access` is told of each request when it is over.
    """

    def __init__(self, registry: Registry, options: ServiceOptions) -> None:
        self._registry, self._options = registry, options
        self._key = options.key.encode()
        self.planes: dict[int, Plane] = {ENVD_PORT: _envd, INTERPRETER_PORT: _interpreter}
        self.on_access: Callable[[Exchange], None] = lambda _: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # no plane speaks WebSocket itself
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        exchange = Exchange(request, send)
        began = time.perf_counter()
        try:
            await self._answer(exchange)
        finally:
            exchange.seconds = time.perf_counter() - began
            request.let_go()
            self.on_access(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        """Answer, whatever happens: an error before the answer has begun is an answer."""
        task = asyncio.current_task()
        try:
            await self._deliver(exchange, await self._handle(exchange))
        except Gone as gone:
            exchange.status, exchange.complete = gone.status, gone.status != 0
        except asyncio.CancelledError:
            record = exchange.record
            if task is None or record is None or not record.leave(task):
                raise
            task.uncancel()
            await self._fail(exchange, not_found(record.id))
        except ApiError as error:
            await self._fail(exchange, error)
        except SandboxError as error:
            await self._fail(exchange, self._lost(exchange, error))
        except Exception:
            log.exception("%s %s failed", exchange.request.method, exchange.request.raw_path)
            await self._fail(exchange, ApiError(500, "the service failed; its log says why"))
        finally:
            if exchange.record is not None and task is not None:
                exchange.record.leave(task)

    def _lost(self, exchange: Exchange, error: SandboxError) -> ApiError:
        record = exchange.record
        if record is not None and (record.state is not State.RUNNING or record.running is None):
            return not_found(record.id)
        return ApiError(502, str(error), more={"sandboxId": exchange.sandbox_id})

    async def _handle(self, exchange: Exchange) -> Response | Stream:
        request = exchange.request
        target = admission.target(request)
        if target is None or not target.by_name or target.port in {ENVD_PORT, INTERPRETER_PORT}:
            admission.check_origin(request)  # a program's own pages are the program's business
        if target is None:
            admission.check_host(request, self._options)
            if request.raw_path == "/files":
                return await self._signed_url(exchange)
            from e2brun.server.control import builds as endpoints

            if request.raw_path.startswith(endpoints.UPLOADS):
                return await endpoints.upload(request, self._registry)
            if request.raw_path.startswith("/volumecontent/"):  # a volume's own token opens it
                from e2brun.server import volume_content

                return await volume_content.handle(request, self._registry)
            self._check_key(request)
            from e2brun.server.control import routes

            return await routes.handle(request, self._registry)
        if not target.by_name:
            admission.check_host(request, self._options)
        exchange.sandbox_id, exchange.port = target.sandbox_id, target.port
        return await self._into(exchange, self._registry.records.get(target.sandbox_id))

    async def _signed_url(self, exchange: Exchange) -> Response | Stream:
        """A URL that can be fetched by anybody, so no header says which sandbox is meant."""
        query = exchange.request.query
        if "signature" not in query:
            raise ApiError(401, "missing signature query parameter")
        record = admission.signer(self._registry.records.values(), exchange.request.method, query)
        if record is None:
            raise ApiError(401, "invalid signature")
        exchange.sandbox_id, exchange.port = record.id, ENVD_PORT
        return await self._into(exchange, record)

    async def _into(self, exchange: Exchange, record: Record | None) -> Response | Stream:
        """Traffic of one sandbox."""
        request, port = exchange.request, exchange.port
        if record is None:
            raise not_found(exchange.sandbox_id)
        request.owner = record.id
        if port != ENVD_PORT:
            admission.check_traffic_token(request, record)
        if record.state is State.PAUSED and record.lifecycle.auto_resume:
            from e2brun.server.sandboxes import lifecycle

            await lifecycle.resume(self._registry, record, record.timeout)
        if record.state is not State.RUNNING or record.running is None:
            raise not_found(record.id)
        task = asyncio.current_task()
        if task is not None:
            exchange.record = record
            record.join(task)
        plane = self.planes.get(port)
        if plane is not None:
            return await plane(request, record)
        from e2brun.server.ports import proxy

        return await proxy.handle(request, record, port, self._options.key)

    def _check_key(self, request: Request) -> None:
        # As E2B's clients send it, or as those who scrape metrics can.
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.headers.get("x-api-key", bearer).encode("latin-1", "replace")
        if not hmac.compare_digest(given, self._key):
            raise ApiError(
                401, "the API key is missing or wrong: set E2B_API_KEY to this service's"
            )

    async def _deliver(self, exchange: Exchange, answer: Response | Stream) -> None:
        if isinstance(answer, Stream):
            await self._stream(exchange, answer)
        else:
            await _send_whole(exchange, answer)

    async def _stream(self, exchange: Exchange, answer: Stream) -> None:
        """Send the pieces as they come, and close their source at once when the client goes."""
        pump = asyncio.ensure_future(_pump(exchange, answer))
        watch = asyncio.ensure_future(_hung_up(exchange.request))
        record = exchange.record
        if record is not None:  # or the pump could still send what looks like a clean end
            record.join(pump)
        try:
            await asyncio.wait((pump, watch), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (watch, pump):
                if not task.done():
                    task.cancel()
            # The pump closes its source as it ends; the sandbox's part must know by then.
            await asyncio.gather(watch, pump, return_exceptions=True)
            if record is not None:
                record.leave(pump)
            await _close(answer.body)  # a pump that was cancelled before its start has not
        if not pump.cancelled() and (error := pump.exception()) is not None:
            raise error
        if not exchange.complete:
            raise Gone

    async def _fail(self, exchange: Exchange, error: ApiError) -> None:
        """Send the error, or break the connection where an answer has begun: a clean end would
        look like one."""
        if exchange.complete:  # only we had not noticed yet; the connection may serve another
            return
        if exchange.status == 0:
            with suppress(Gone):
                await _send_whole(exchange, error.response())
            return
        if exchange.request.connection is not None:
            exchange.request.connection.reset()
            await asyncio.sleep(0)  # the server notices, and does not complain about us


async def _envd(request: Request, record: Record) -> Response | Stream:
    from e2brun.server.envd import routes

    return await routes.handle(request, record)


async def _interpreter(request: Request, record: Record) -> Response | Stream:
    from e2brun.server.interpreter import routes

    return await routes.handle(request, record)


async def _send_whole(exchange: Exchange, answer: Response) -> None:
    headers: list[tuple[bytes, bytes]] = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()
    ]
    if answer.status != 204 and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", b"%d" % len(answer.body)))
    exchange.status = answer.status
    start = {"type": "http.response.start", "status": answer.status, "headers": headers}
    await exchange.send(start)
    await exchange.send({"type": "http.response.body", "body": answer.body})
    exchange.complete = True


async def _pump(exchange: Exchange, answer: Stream) -> None:
    fields = (*answer.headers.items(), *answer.more_headers)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    send, pieces = exchange.send, answer.body
    try:
        start: dict[str, Any] = {"type": "http.response.start", "status": answer.status}
        await send({**start, "headers": headers})
        exchange.status = answer.status
        # Pushes the status line out before the first piece exists.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        await _close(pieces)
    await send({"type": "http.response.body", "body": b""})
    exchange.complete = True


async def _close(pieces: AsyncIterator[bytes]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()


async def _hung_up(request: Request) -> None:
    """Returns when the client has gone."""
    # A body that is still being read belongs to its reader, who then learns it first.
    while request.sends_body and not request.ended:  # noqa: ASYNC110  # its reader has no event
        await asyncio.sleep(_GLANCE)
    await request.disconnected()
