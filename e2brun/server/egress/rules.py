"""Rules for a sandbox's network namespace, out of the settings that E2B's clients send."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from e2brun.sandbox.local.isolation.egress import Rules
from e2brun.sandbox.local.isolation.out_of_reach import NAMESERVER
from e2brun.sandbox.local.isolation.rtnetlink import Network
from e2brun.server.http.messages import Refused

NAMED_PORTS = (80, 443)  # where a connection tells the name that it is for
_EVERYTHING = "0.0.0.0/0"
_E2B_NAMESERVER = "8.8.8.8"  # ours stands for it
_MOST = 300  # ranges; more do not fit one message to the kernel


def of(network: Mapping[str, Any] | None, internet: bool | None) -> Rules | None:
    """The rules; None where there are none to speak of. Raises ApiError 400."""
    if not limits(network, internet):
        return None
    settings = network or {}
    deny = [*settings.get("denyOut", ()), *([_EVERYTHING] if internet is False else [])]
    names, listed = names_of(settings), settings.get("dnsServers")
    allow = [entry for entry in settings.get("allowOut", ()) if is_address(entry)]
    if names:
        allow += [_E2B_NAMESERVER] if listed is None else listed
    allowed, denied = _ranges(allow), _ranges(deny)
    if len(allowed) + len(denied) > _MOST:
        raise Refused(400, f"allowOut and denyOut: at most {_MOST} ranges can be told apart here")
    dns = ipaddress.IPv4Address(_E2B_NAMESERVER)
    may_ask = any(dns in one for one in allowed) or not any(dns in one for one in denied)
    ours = (NAMESERVER,)
    return Rules(
        allow=(*(ours if may_ask else ()), *map(_network, allowed)),
        deny=(*(() if may_ask else ours), *map(_network, denied)),
        ports=NAMED_PORTS if names else (),
    )


def limits(network: Mapping[str, Any] | None, internet: bool | None) -> bool:
    """Whether anything is denied."""
    return internet is False or bool((network or {}).get("denyOut"))


def names_of(network: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The host names that are allowed."""
    allowed = (network or {}).get("allowOut", ())
    return tuple(entry.lower().rstrip(".") for entry in allowed if not is_address(entry))


def is_address(entry: str) -> bool:
    """Whether it is an address or a range, and no name."""
    try:
        ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
    return True


def _ranges(entries: Iterable[str]) -> list[ipaddress.IPv4Network]:
    """Of IPv4, for there is no other network inside."""
    networks = [ipaddress.ip_network(entry, strict=False) for entry in entries]
    return list(
        ipaddress.collapse_addresses(
            network for network in networks if isinstance(network, ipaddress.IPv4Network)
        )
    )


def _network(network: ipaddress.IPv4Network) -> Network:
    return Network(network.network_address.packed, network.prefixlen)
