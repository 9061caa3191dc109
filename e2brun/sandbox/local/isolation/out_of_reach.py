"""Which networks nobody inside reaches, whatever way out there is."""

from __future__ import annotations

from e2brun.sandbox.local.isolation.rtnetlink import Network, local_networks

_FORBIDDEN = tuple(
    Network.parse(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local: metadata of AWS, Google, Azure, ECS, ...
        "100.100.100.200/32",  # metadata of Alibaba
        "168.63.129.16/32",  # Azure's WireServer
        "192.0.0.0/24",  # metadata of Oracle, and protocols of the link
        "224.0.0.0/4",
        "255.255.255.255/32",
    )
)
_PRIVATE = tuple(
    Network.parse(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
_GATEWAY, NAMESERVER = Network.parse("10.0.2.2/32"), Network.parse("10.0.2.3/32")


def seen_from_host(*, private: bool) -> set[Network]:
    """What nobody inside may reach, seen from the host's network; `private`: nor private ones."""
    return {*_FORBIDDEN, *local_networks(), *(_PRIVATE if private else ())}


def seen_from_inside(*, private: bool) -> set[Network]:
    """The same, for a sandbox's own network. The gateway is slirp4netns, and nobody to talk to."""
    return (seen_from_host(private=private) | {_GATEWAY}) - {NAMESERVER}
