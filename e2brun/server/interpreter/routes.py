"""Port 49999 of a sandbox: E2B's code interpreter (E2B_PROTOCOL 6).

What runs code needs the sandbox's access token. The SDKs send it there and nowhere else on this
port: what they ask about contexts shows and ends some, but runs nothing.
"""

from __future__ import annotations

from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local.host import languages
from e2brun.sandbox.local.host.contexts import Context, Contexts, NotStarted, UnknownLanguage
from e2brun.sandbox.local.host.execution import RequestedCell, execute
from e2brun.server.admission import check_access_token
from e2brun.server.http.fields import Fields
from e2brun.server.http.messages import ApiError, Request, Response, Stream, json_response
from e2brun.server.sandboxes.records import Record

_CODE_LIMIT = 64 * 1024 * 1024


class _Refusal(Exception):
    """Ends a request with a line of text, which the clients show."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class _Given(Fields):
    """What a client sent; a field of the wrong type is a _Refusal."""

    def bad(self, name: str, expected: str) -> Exception:
        return _Refusal(400, f"{name} must be {expected}")


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
            return await _execute(_Given(await request.json(_CODE_LIMIT)), contexts)
        case "GET", ["contexts"]:
            return json_response([context.described() for context in contexts.listed()])
        case "POST", ["contexts"]:
            asked = _Given(await request.json())
            language = languages.normalised(asked.text("language"))
            made = await contexts.create(language, asked.text("cwd") or HOME)
            return json_response(made.described())
        case "DELETE", ["contexts", context_id]:
            await contexts.remove(_found(contexts, context_id))
            return Response(200)
        case "POST", ["contexts", context_id, "restart"]:
            await _found(contexts, context_id).end()
            return Response(200)
        case _:
            raise ApiError(404, f"{request.method} {request.raw_path}: no such endpoint")


async def _execute(asked: _Given, contexts: Contexts) -> Stream:
    code = asked.raw("code")
    if not isinstance(code, str):
        raise asked.bad("code", "a string")
    context_id, language = asked.text("context_id"), asked.text("language")
    if context_id and language:
        raise _Refusal(400, "Only one of context_id or language can be provided")
    if context_id:
        context = _found(contexts, context_id)
    else:
        name = languages.normalised(language)
        context = contexts.default(languages.default_context(name))
    env = asked.text_map("env_vars", "an object of strings")
    spoken = languages.normalised(language) if language else None
    cell = RequestedCell(code, env, spoken)
    await context.started()  # what prevents it is told by status, not in the stream
    return Stream(execute(contexts, context, cell), headers=_STREAMED)


_STREAMED = {"content-type": "application/json", "cache-control": "no-store"}


def _found(contexts: Contexts, context_id: str) -> Context:
    context = contexts.get(context_id)
    if context is None:
        raise _Refusal(404, f"Context {context_id} not found")
    return context


def _text(status: int, text: str) -> Response:
    return Response(status, text.encode(), {"content-type": "text/plain; charset=utf-8"})
