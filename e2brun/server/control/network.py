"""The network settings of a sandbox: checked, kept, followed and told again.

Where the service gives no way out every rule holds anyway. Where it does, they are kept by
`egress`, and what that cannot keep is refused: a rule that is not enforced is worse than none.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from e2brun.server.egress.rules import is_address
from e2brun.server.http.fields import Fields, bad
from e2brun.server.http.messages import PERMANENT, ApiError, Request, Response
from e2brun.server.sandboxes.records import State
from e2brun.values import Network, is_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from e2brun.server.sandboxes.records import Record
    from e2brun.server.sandboxes.registry import Registry

_EVERYTHING = frozenset({"0.0.0.0/0", "::/0"})
_DOMAIN = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_][a-z0-9_-]{0,62}\.){0,30}[a-z0-9-]{1,63}\.?", re.IGNORECASE | re.ASCII
)
_LISTS = ("allowOut", "denyOut", "dnsServers")
_ENVD_PORT = 49983
_MANY = 1000
_EGRESS = (*_LISTS, "rules", "egressProxy")


def settings(fields: Fields) -> dict[str, Any]:
    """What a client asked for at create, checked, without passwords. Raises ApiError 400."""
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


def is_limited(settings: Mapping[str, Any]) -> bool:
    """Whether there are rules for what a sandbox may reach."""
    return any(settings.get(name) for name in _EGRESS if name != "dnsServers")


def check_kept(settings: Mapping[str, Any]) -> None:
    """Raises ApiError 400 for what a sandbox with a way out cannot be held to here."""
    for name in ("rules", "egressProxy"):
        if settings.get(name):
            message = (
                f"{name}: this service passes on what a sandbox sends, and changes nothing in it"
            )
            raise ApiError(400, message, headers=PERMANENT)


async def update(request: Request, registry: Registry, record: Record) -> Response:
    """PUT /sandboxes/{id}/network: what is left out is cleared."""
    fields = Fields(await request.json())
    kept = _egress(fields)
    internet = fields.flag("allow_internet_access")
    if record.state is not State.RUNNING:
        raise ApiError(404, f"sandbox {record.id} is not running")
    has = record.live.jail.network
    if has is Network.INTERNET:
        from e2brun.server.egress.names import Egress

        check_kept(kept)
        await record.live.part(Egress).follow(kept, internet)
    elif has is Network.PACKAGES:
        if internet is False or is_limited(kept):
            message = (
                "this service cannot take the package indexes from a sandbox that runs: create it "
                "with allow_internet_access false"
            )
            raise ApiError(400, message, headers=PERMANENT)
    elif internet and registry.options.network is not Network.NONE:
        message = (
            "this sandbox was made without a way out, and gets none: create it without "
            "allow_internet_access false"
        )
        raise ApiError(400, message, headers=PERMANENT)
    before = record.network or {}
    ingress = {name: value for name, value in before.items() if name not in _EGRESS}
    record.network = {**ingress, **kept}
    record.internet = internet
    return Response(204)


def _egress(fields: Fields) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name in _LISTS:
        entries = fields.texts(name)
        if entries is not None:
            if len(entries) > _MANY:
                raise bad(name, f"a list of at most {_MANY} entries")
            for entry in entries:
                _check_destination(name, entry)
            kept[name] = entries
    rules = fields.object("rules")
    if rules is not None:
        kept["rules"] = _rules(rules)
    proxy = fields.object("egressProxy")
    if proxy is not None:
        kept["egressProxy"] = _proxy(proxy)
    _check_domains_denied(kept)
    return kept


def _check_destination(name: str, entry: str) -> None:
    try:
        ipaddress.ip_network(entry, strict=False)
    except ValueError:
        if name == "allowOut" and _DOMAIN.fullmatch(entry):
            return
        raise ApiError(400, f"{name}: {entry[:100]!r} is no address or CIDR block") from None
    if name == "dnsServers" and ("/" in entry or ":" in entry):
        raise ApiError(400, f"dnsServers: {entry[:100]!r} is no IPv4 address")


def _check_domains_denied(kept: dict[str, Any]) -> None:
    """An allowed domain means something only where all else is denied: E2B insists on it."""
    names = [entry for entry in kept.get("allowOut", ()) if not is_address(entry)]
    if names and not _EVERYTHING & set(kept.get("denyOut", ())):
        message = (
            "a domain in allowOut needs '0.0.0.0/0' in denyOut, which blocks all other traffic"
        )
        raise ApiError(400, message)


def _rules(hosts: Fields) -> dict[str, Any]:
    """Host -> rules, with no more in them than E2B's have."""
    return {host: [_rule(rule) for rule in hosts.items(host) or ()] for host in hosts.names()}


def _rule(value: object) -> dict[str, Any]:
    if not is_table(value):
        raise bad("a network rule", "an object")
    transform = Fields(value).object("transform")
    if transform is None:
        return {}
    headers = transform.object("headers")
    if headers is None:
        return {"transform": {}}
    return {"transform": {"headers": {name: headers.text(name) for name in headers.names()}}}


def _proxy(fields: Fields) -> dict[str, Any]:
    host, separator, port = fields.text("address").rpartition(":")
    if not host or not separator or not port.isascii() or not port.isdigit():
        raise bad("egressProxy.address", "host:port")
    kept: dict[str, Any] = {"address": fields.text("address")}
    for name in ("username", "password"):
        if len(fields.text(name).encode(errors="replace")) > 255:
            raise bad(f"egressProxy.{name}", "at most 255 bytes")
    if "username" in fields:
        kept["username"] = fields.text("username")
    tls = fields.object("tls")
    if tls is not None:
        kept["tls"] = _tls(tls)
    return kept


def _tls(fields: Fields) -> dict[str, Any]:
    name = {"serverName": fields.text("serverName")} if "serverName" in fields else {}
    return {"enabled": bool(fields.flag("enabled")), **name}


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
