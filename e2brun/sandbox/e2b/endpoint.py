"""Whether there is an E2B key, and whether E2B's endpoint answers and takes it.

The key goes into one header of one request to the endpoint that runs would use, and nowhere
else: redirects are not followed, and of an address only its host is ever shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from e2brun.errors import Unsupported
from e2brun.sandbox.check import Check, Status
from e2brun.sandbox.public_indexes import npm_registry, python_index
from e2brun.settings import Settings

_SECONDS = 5.0
_DOMAIN = "e2b.app"
_KEY, _ENDPOINT = "e2b-key", "e2b-endpoint"
_GET_A_KEY = "get a key at https://e2b.dev/dashboard and set E2B_API_KEY to it."
_CHECK_ADDRESS = "Check the network, a proxy, and E2B_API_URL and E2B_DOMAIN if you set them."


def packages_only() -> dict[str, list[str]]:
    """What a sandbox of E2B's can reach with `--network packages`: the public indexes, since those
    of this machine's settings may be known to this machine alone. Raises Unsupported."""
    python, npm = python_index(), npm_registry()
    if python is None:
        raise Unsupported(
            "--network packages: which index is E2B's sandbox to reach? There is no pip beside "
            "e2brun that names the public one",
            hint="Install pip there (pip install pip, or uv pip install pip), or use --network.",
        )
    hosts = [urlsplit(python[0]).hostname, python[1], npm and urlsplit(npm).hostname]
    return {"allowOut": [host for host in hosts if host], "denyOut": ["0.0.0.0/0"]}


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(  # the base class has these
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def examine(settings: Settings) -> Iterator[Check]:
    """The key, and with one the endpoint."""
    if not settings.api_key:
        found = "none: code runs in the embedded sandbox"
        yield Check(_KEY, Status.WARN, found, f"Only to run on E2B: {_GET_A_KEY}")
        return
    yield Check(_KEY, Status.OK, f"found in {settings.api_key_from} (not shown)")
    url = settings.api_url or f"https://api.{settings.domain or _DOMAIN}"
    yield _ask(url.rstrip("/"), settings.api_key)


def _ask(url: str, key: str) -> Check:
    host = urlsplit(url).netloc.rpartition("@")[2]
    request = Request(f"{url}/v2/sandboxes?limit=1", headers={"X-API-KEY": key})  # noqa: S310
    try:
        with build_opener(_NoRedirect).open(request, timeout=_SECONDS) as answer:
            status = int(answer.status)
    except HTTPError as error:
        status = error.code
        error.close()
    except (URLError, HTTPException, OSError, ValueError) as error:
        why = error.reason if isinstance(error, URLError) else error
        reason = f"no answer in {_SECONDS:g} s" if isinstance(why, TimeoutError) else why
        return Check(_ENDPOINT, Status.FAIL, f"{host}: {reason}", _CHECK_ADDRESS)
    return _judge(host, status)


def _judge(host: str, status: int) -> Check:
    if status == 200:
        return Check(_ENDPOINT, Status.OK, f"{host} answers and accepts the key", proves=True)
    if status in {401, 403}:
        found = f"{host} answers, and rejects the key ({status})"
        return Check(_ENDPOINT, Status.FAIL, found, f"To run on E2B, {_GET_A_KEY}")
    if status == 429:
        return Check(_ENDPOINT, Status.WARN, f"{host} answers: too many requests", "Try later.")
    if status >= 500:
        return Check(_ENDPOINT, Status.FAIL, f"{host} is in trouble ({status})", "Try later.")
    return Check(_ENDPOINT, Status.FAIL, f"{host} is no E2B endpoint ({status})", _CHECK_ADDRESS)
