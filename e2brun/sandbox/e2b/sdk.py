"""The only module that touches what E2B's SDK does not publish; `tests/e2b` drives all of it.

Three things need more than its public calls. Creating: `Sandbox.create` drops the headers of a
refusal, and with them Retry-After and Should-Retry. Programs: a `CommandHandle` decodes output as
text, which loses bytes that are not UTF-8. Cells: `run_code` keeps all output in memory and takes
any clean end of the answer for the end of the cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from e2brun.sandbox.contract import USER, SandboxSpec
from e2brun.sandbox.e2b.backoff import refused_from
from e2brun.sandbox.e2b.endpoint import packages_only
from e2brun.sandbox.e2b.translate import RequestRefused
from e2brun.values import Network, is_table

if TYPE_CHECKING:
    import httpx
    from e2b import ConnectionConfig

REQUEST_SECONDS = 60.0  # for one answer of the provider
QUICK_SECONDS = 5.0  # for an answer that only decides how an error is worded

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
PROXIES = (*_PROXIES, *map(str.lower, _PROXIES))

_DEFAULT = {None, "", "python"}  # names of the template that is the SDK's own
Native = Any
"""The SDK's `Sandbox`: its package for cells has no type information."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The key and where it is good for; None is the SDK's own default."""

    api_key: str = field(repr=False)
    api_url: str | None = None
    sandbox_url: str | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class SdkStarted:
    """The command runs."""

    pid: int


@dataclass(frozen=True, slots=True)
class Output:
    """Some of its output, as it was written."""

    data: bytes
    is_stderr: bool


@dataclass(frozen=True, slots=True)
class Alive:
    """Nothing happened, and the other side is still there."""


@dataclass(frozen=True, slots=True)
class Ended:
    """It ended; where by a signal, `status` names it."""

    exit_code: int
    status: str


CommandEvent = SdkStarted | Output | Alive | Ended


def options(credentials: Credentials) -> dict[str, Any]:
    """What every call of the SDK is given."""
    # Retries are ours to decide: the SDK's repeat a create after a 502 or a 504 too.
    return {
        "api_key": credentials.api_key,
        "api_url": credentials.api_url,
        "sandbox_url": credentials.sandbox_url,
        "domain": credentials.domain,
        "request_timeout": REQUEST_SECONDS,
        "retries": 0,
    }


def configure(credentials: Credentials) -> ConnectionConfig:
    from e2b import ConnectionConfig

    return ConnectionConfig(**options(credentials))


def load(credentials: Credentials) -> str:
    """Import everything that is used here. The address of the provider's API."""
    native_class()
    return configure(credentials).api_url


def ask_no_proxy_for(host: str, environment: Mapping[str, str]) -> None:
    """Where a proxy is set, reach `host` without it. The SDK has no option for that: its transport
    reads the C library's environment, of which `os.environ` is only a copy."""
    if not any(environment.get(name) for name in PROXIES):
        return
    import ctypes

    listed = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    hosts = ",".join(filter(None, (listed, host))).encode("utf-8", "surrogateescape")
    for name in (b"NO_PROXY", b"no_proxy"):
        ctypes.CDLL(None).setenv(name, hosts, 1)


def native_class() -> Any:
    """The SDK's own `Sandbox`."""
    # Untyped as it is, it is everywhere else just `Any`.
    from e2b_code_interpreter import Sandbox

    return cast("Any", Sandbox)


def create(credentials: Credentials, spec: SandboxSpec, key: str) -> Native:
    """One request; `key`: of idempotency. Raises `RequestRefused` for any answer of an error."""
    from e2b.api.client.api.sandboxes import post_v2_sandboxes
    from e2b.api.client.models import NewSandboxV2, SandboxNetworkConfig
    from e2b.api.client.types import UNSET

    rules = SandboxNetworkConfig.from_dict
    body = NewSandboxV2(
        template_id=str(
            native_class().default_template if spec.template in _DEFAULT else spec.template
        ),
        timeout=max(1, math.ceil(spec.lifetime)),
        metadata=cast("Any", dict(spec.metadata)),
        env_vars=cast("Any", dict(spec.env)),
        auto_pause=False,
        allow_internet_access=UNSET if spec.network is None else spec.network is not Network.NONE,
        network=rules(packages_only()) if spec.network is Network.PACKAGES else UNSET,
    )
    answer = post_v2_sandboxes.sync_detailed(
        client=_api_client(credentials), body=body, idempotency_key=key
    )
    return _attach(credentials, answer.parsed)


def created_nothing(error: BaseException) -> bool:
    """Whether a create that failed like this certainly left no sandbox behind."""
    import httpx

    if isinstance(error, RequestRefused):
        return error.status in {400, 401, 403, 404, 422, 429, 503}
    return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))


def attach(credentials: Credentials, sandbox_id: str) -> Native | None:
    """A running one, None for a paused one. One request; unlike `connect` it prolongs nothing."""
    from e2b.api.client.api.sandboxes import get_sandboxes_sandbox_id

    answer = get_sandboxes_sandbox_id.sync_detailed(sandbox_id, client=_api_client(credentials))
    made = cast("Any", answer.parsed)
    return None if str(made.state.value) != "running" else _attach(credentials, made)


def pages(credentials: Credentials, states: Sequence[str], metadata: Mapping[str, str]) -> Any:
    """The SDK's list of sandboxes, page by page."""
    from e2b import SandboxQuery, SandboxState

    query = SandboxQuery(
        metadata=dict(metadata) or None, state=[SandboxState(state) for state in states] or None
    )
    return native_class().list(query=query, **options(credentials))


def logs(credentials: Credentials, sandbox_id: str, since: int) -> list[Any]:
    """One page of a sandbox's log, from `since` (Unix milliseconds) on."""
    from e2b.api.client.api.sandboxes import get_v_2_sandboxes_sandbox_id_logs
    from e2b.api.client.models import LogsDirection

    answer = get_v_2_sandboxes_sandbox_id_logs.sync_detailed(
        sandbox_id, client=_api_client(credentials), cursor=since, direction=LogsDirection.FORWARD
    )
    return list(cast("Any", answer.parsed).logs)


def is_not_found(error: BaseException) -> bool:
    if isinstance(error, RequestRefused):
        return error.status == 404
    return type(error).__name__ == "SandboxNotFoundException"


def tokens(native: Native) -> tuple[str, ...]:
    """What must not be shown of a sandbox: whoever has it may do anything in there."""
    held = (native._envd_access_token, native.traffic_access_token)
    return tuple(one for one in held if isinstance(one, str) and one)


def _api_client(credentials: Credentials) -> Any:
    from e2b import ApiClient
    from e2b.api.client_sync import get_transport

    config = configure(credentials)
    client = ApiClient(config, transport=get_transport(config))
    # The generated code parses error bodies before anybody can look at the headers, and dies of
    # a KeyError on a body it does not know, such as a proxy's.
    client.get_httpx_client().event_hooks = {"response": [_refuse]}
    return client


def _refuse(response: httpx.Response) -> None:
    if response.status_code < 400:
        return
    response.read()
    try:
        body = response.json()
    except ValueError:
        body = None
    message = body.get("message") if is_table(body) else None
    raise refused_from(
        response.status_code,
        message if isinstance(message, str) else response.reason_phrase,
        response.headers,
    )


def _attach(credentials: Credentials, made: Any) -> Native:
    """The SDK's object for a created sandbox, put together as its own `create` does."""
    from e2b import ConnectionConfig
    from packaging.version import Version

    def text(value: object) -> str | None:
        return value if isinstance(value, str) else None

    token = text(made.envd_access_token)
    headers = {
        "E2b-Sandbox-Id": made.sandbox_id,
        "E2b-Sandbox-Port": str(ConnectionConfig.envd_port),
    }
    if token is not None:
        headers["X-Access-Token"] = token
    config = ConnectionConfig(extra_sandbox_headers=headers, **options(credentials))
    return native_class()(
        sandbox_id=made.sandbox_id,
        sandbox_domain=text(made.domain),
        envd_version=Version(made.envd_version),
        envd_access_token=token,
        traffic_access_token=text(getattr(made, "traffic_access_token", None)),
        connection_config=config,
    )


def run(
    native: Native, line: str, env: Mapping[str, str], *, stdin: bool, deadline: float
) -> Iterator[CommandEvent]:
    """The events of a line for the sandbox's bash. Ends without `Ended` when the other side did.
    `deadline`: seconds until the SDK gives up; 0 for never."""
    handle = native.commands.run(
        line,
        background=True,
        envs=dict(env),
        user=USER,
        stdin=stdin,
        timeout=deadline,
        retain_output=False,
    )
    yield from _events(handle)


def terminal(
    native: Native, columns: int, rows: int, env: Mapping[str, str]
) -> Iterator[CommandEvent]:
    """The events of a login shell on a pseudo-terminal, its output as stdout."""
    from e2b import PtySize

    handle = native.pty.create(
        PtySize(rows=rows, cols=columns), user=USER, envs=dict(env), timeout=0
    )
    yield from _events(handle)


def resize(native: Native, pid: int, columns: int, rows: int) -> None:
    from e2b import PtySize

    native.pty.resize(pid, PtySize(rows=rows, cols=columns), request_timeout=QUICK_SECONDS)


def _events(handle: Any) -> Iterator[CommandEvent]:
    from e2b.envd.rpc import handle_rpc_exception_with_health

    yield SdkStarted(handle.pid)
    stream = handle._events  # before they are decoded as text
    try:
        for response in stream:
            event = _command_event(response)
            if event is not None:
                yield event
    except Exception as error:
        check_health = handle._check_health
        raise handle_rpc_exception_with_health(error, check_health) from error
    finally:
        stream.close()


def _command_event(response: Any) -> CommandEvent | None:
    payload = None if response.event is None else response.event.event
    if payload is None:
        return None
    match payload.field:
        case "data":
            output = payload.value.output
            if output is None:
                return None
            return Output(bytes(output.value), output.field == "stderr")
        case "end":
            end = payload.value
            # Older sandboxes say only `error`, newer ones `status` too.
            return Ended(int(end.exit_code), str(end.status or end.error))
        case _:
            return Alive()


def kill_command(native: Native, pid: int, line: str) -> None:
    """Run `line`, which is to end everything below `pid`, then end `pid` itself."""
    try:
        native.commands.run(line, user=USER, timeout=QUICK_SECONDS, retain_output=False)
    finally:
        native.commands.kill(pid, request_timeout=QUICK_SECONDS)


def kill(native: Native, seconds: float) -> bool:
    """End the sandbox; one that is gone already is as good."""
    native.kill(request_timeout=seconds)
    return True


def is_running(native: Native) -> bool:
    return bool(native.is_running(request_timeout=QUICK_SECONDS))


def run_cell(
    native: Native, code: str, where: Mapping[str, str | None], deadline: float | None
) -> Iterator[bytes]:
    """The bytes of the answer: a JSON document a line. Dropping it interrupts the cell."""
    import httpx
    from e2b_code_interpreter.models import extract_exception

    headers = {
        "E2b-Sandbox-Id": native.sandbox_id,
        "E2b-Sandbox-Port": "49999",
        "X-Access-Token": native._envd_access_token,
        "E2B-Traffic-Access-Token": native.traffic_access_token,
    }
    # HTTP/1.1, so that the server notices when the answer is dropped.
    request = native._client.stream(
        "POST",
        f"{native._jupyter_url}/execute",
        json={"code": code, **where, "env_vars": None},
        headers={name: value for name, value in headers.items() if value},
        # The SDK's transport adds up `read` and `write` to one deadline for the whole answer.
        timeout=httpx.Timeout(REQUEST_SECONDS, read=deadline, write=0.0),
    )
    with request as response:
        error = cast("Any", extract_exception)(response)
        if error is not None:
            raise error
        yield from response.iter_bytes()
