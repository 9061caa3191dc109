"""Port 49999 of a sandbox: E2B's code interpreter (E2B_PROTOCOL 6).

What runs code needs the sandbox's access token. The SDKs send it there and nowhere else on this
port: what they ask about contexts shows and ends some, but runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local.host import languages
from e2brun.sandbox.local.host.contexts import Context, Contexts, NotStarted, UnknownLanguage
from e2brun.sandbox.local.host.execution import RequestedCell, execute
from e2brun.server.access.admission import check_access_token
from e2brun.server.http.fields import is_unicode
from e2brun.server.http.messages import ApiError, Request, Response, Stream, json_response
from e2brun.server.sandboxes.records import Record
from e2brun.values import is_text_table

_CODE_LIMIT = 64 * 1024 * 1024


class _Refusal(Exception):
    """Ends a request with a line of text, which the clients show."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


async def handle(request: Request, record: Record) -> Response | Stream:
    """Answer one request. Raises ApiError."""
    if request.raw_path.strip("/") == "execute":
        check_access_token(request, record)
    contexts = record.live.part(Contexts)
    try:
        return await _answer(request, contexts)
    except _Refusal as refusal:
        return _text(refusal.status, refusal.text)
    except UnknownLanguage as error:
        return _text(400, f"Language {str(error)!r} is not supported")
    except NotStarted as error:
        return _text(500, str(error))


async def _answer(request: Request, contexts: Contexts) -> Response | Stream:
    match request.method, request.raw_path.strip("/").split("/"):
        case "GET", ["health"]:
            return json_response("OK")
        case "POST", ["execute"]:
            return await _execute(await request.json(_CODE_LIMIT), contexts)
        case "GET", ["contexts"]:
            return json_response([context.described() for context in contexts.listed()])
        case "POST", ["contexts"]:
            return await _create(await request.json(), contexts)
        case "DELETE", ["contexts", context_id]:
            await contexts.remove(_found(contexts, context_id))
            return Response(200)
        case "POST", ["contexts", context_id, "restart"]:
            await _found(contexts, context_id).end()
            return Response(200)
        case _:
            raise ApiError(404, f"{request.method} {request.raw_path}: no such endpoint")


async def _execute(body: Mapping[str, Any], contexts: Contexts) -> Stream:
    code = body.get("code")
    if not isinstance(code, str):
        raise _Refusal(400, "code must be a string")
    context_id, language = _optional(body, "context_id"), _optional(body, "language")
    if context_id and language:
        raise _Refusal(400, "Only one of context_id or language can be provided")
    if context_id:
        context = _found(contexts, context_id)
    else:
        name = languages.normalised(language)
        context = contexts.default(languages.default_context(name))
    env = _environment(body.get("env_vars"))
    spoken = languages.normalised(language) if language else None
    cell = RequestedCell(code, env, spoken)
    await context.started()  # what prevents it is told by status, not in the stream
    return Stream(execute(contexts, context, cell), headers=_STREAMED)


_STREAMED = {"content-type": "application/json", "cache-control": "no-store"}


async def _create(body: Mapping[str, Any], contexts: Contexts) -> Response:
    language = languages.normalised(_optional(body, "language"))
    cwd = _optional(body, "cwd") or HOME
    return json_response((await contexts.create(language, cwd)).described())


def _optional(body: Mapping[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _Refusal(400, f"{key} must be a string")
    return _fit(key, value)


def _environment(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not is_text_table(given):
        raise _Refusal(400, "env_vars must be an object of strings")
    _fit("env_vars", "".join(map("".join, given.items())))
    return given


def _fit(key: str, text: str) -> str:
    if not is_unicode(text):
        raise _Refusal(400, f"{key} must be valid Unicode")
    return text


def _found(contexts: Contexts, context_id: str) -> Context:
    context = contexts.get(context_id)
    if context is None:
        raise _Refusal(404, f"Context {context_id} not found")
    return context


def _text(status: int, text: str) -> Response:
    return Response(status, text.encode(), {"content-type": "text/plain; charset=utf-8"})
