"""The network settings of a sandbox: checked, kept, followed and told again.

Where the service gives no way out every list holds anyway; where it does, `egress` sees to that.
What would change what a sandbox sends is refused everywhere: a rule that nobody follows is worse
than none.
"""

from __future__ import annotations

import re
from typing import Any

from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.server.egress.rules import is_address, limits
from e2brun.server.http.fields import Fields, bad
from e2brun.server.http.messages import ApiError, Refused, Request, Response
from e2brun.server.sandboxes.records import Record, State
from e2brun.server.sandboxes.registry import Registry
from e2brun.values import Network

_EVERYTHING = "0.0.0.0/0"  # as E2B's clients write it
_DOMAIN = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_][a-z0-9_-]{0,62}\.){0,30}[a-z0-9-]{1,63}\.?", re.IGNORECASE | re.ASCII
)
_LISTS = ("allowOut", "denyOut", "dnsServers")
_ENVD_PORT = 49983
_MANY = 1000
_CHANGING = ("rules", "egressProxy")


def settings(fields: Fields) -> dict[str, Any]:
    """What a client asked for at create, checked. Raises ApiError 400."""
    kept = _egress(fields)
    public = fields.flag("allowPublicTraffic")
    if public is not None:
        kept["allowPublicTraffic"] = public
    if "maskRequestHost" in fields:
        kept["maskRequestHost"] = _host_mask(fields.text("maskRequestHost"))
    ports = fields.items("httpsPorts")
    if ports is not None:
        kept["httpsPorts"] = [_port(port) for port in ports]
    return kept


async def update(request: Request, registry: Registry, record: Record) -> Response:
    """What is left out is cleared."""
    fields = Fields(await request.json())
    kept = _egress(fields)
    internet = fields.flag("allow_internet_access")
    if record.state is not State.RUNNING:
        raise ApiError(404, f"sandbox {record.id} is not running")
    has = record.live.jail.network
    if has is Network.INTERNET:
        from e2brun.server.egress.names import Egress

        await record.live.part(Egress).follow(kept, internet)
    elif has is Network.PACKAGES:
        try:
            await record.live.offer_packages(not limits(kept, internet))
        except AgentRefused as refused:
            raise Refused(400, f"the package indexes cannot be had again: {refused}") from refused
    elif internet and registry.options.network is not Network.NONE:
        message = (
            "this sandbox was made without a way out, and gets none: create it without "
            "allow_internet_access false"
        )
        raise Refused(400, message)
    before = record.network or {}
    ingress = {name: value for name, value in before.items() if name not in _LISTS}
    record.network = {**ingress, **kept}
    record.internet = internet
    return Response(204)


def _egress(fields: Fields) -> dict[str, Any]:
    for name in _CHANGING:
        if fields.raw(name):
            message = (
                f"{name}: this service passes on what a sandbox sends, and changes nothing in it"
            )
            raise Refused(400, message)
    kept: dict[str, Any] = {}
    for name in _LISTS:
        entries = fields.texts(name)
        if entries is not None:
            if len(entries) > _MANY:
                raise bad(name, f"a list of at most {_MANY} entries")
            for entry in entries:
                _check_destination(name, entry)
            kept[name] = entries
    _check_domains_denied(kept)
    return kept


def _check_destination(name: str, entry: str) -> None:
    if not is_address(entry):
        if name == "allowOut" and _DOMAIN.fullmatch(entry):
            return
        raise ApiError(400, f"{name}: {entry[:100]!r} is no address or CIDR block")
    if name == "dnsServers" and ("/" in entry or ":" in entry):
        raise ApiError(400, f"dnsServers: {entry[:100]!r} is no IPv4 address")


def _check_domains_denied(kept: dict[str, Any]) -> None:
    """An allowed domain means something only where all else is denied: E2B insists on it."""
    names = [entry for entry in kept.get("allowOut", ()) if not is_address(entry)]
    if names and _EVERYTHING not in kept.get("denyOut", ()):
        message = (
            f"a domain in allowOut needs '{_EVERYTHING}' in denyOut, which blocks all other traffic"
        )
        raise ApiError(400, message)


def _host_mask(text: str) -> str:
    if not text or len(text) > 255 or not text.isascii() or not text.isprintable() or " " in text:
        raise bad("maskRequestHost", "a host name")
    return text


def _port(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise bad("httpsPorts", "a list of ports")
    if value == _ENVD_PORT:
        raise ApiError(400, f"httpsPorts: {value} is envd's own")
    return value
