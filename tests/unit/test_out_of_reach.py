"""Addresses that no sandbox reaches, whichever way out it has."""

from __future__ import annotations

import socket

import pytest

from e2brun.sandbox.local.isolation.out_of_reach import seen_from_host, seen_from_inside


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "127.0.0.1", "127.8.8.8", "169.254.169.254", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "224.0.0.251", "239.255.255.250", "255.255.255.255",
    ],
)  # fmt: skip
def test_who_is_nobody_on_the_internet_is_out_of_reach(address: str) -> None:
    packed = socket.inet_aton(address)
    for networks in (seen_from_host(private=False), seen_from_inside(private=False)):
        assert any(network.holds(packed) for network in networks)


@pytest.mark.parametrize("address", ["10.1.2.3", "172.31.255.1", "192.168.0.1", "100.64.0.1"])
def test_private_networks_are_out_of_reach_where_that_is_asked_for(address: str) -> None:
    packed = socket.inet_aton(address)
    for seen in (seen_from_host, seen_from_inside):
        assert any(network.holds(packed) for network in seen(private=True))


def test_of_slirp4netns_its_name_server_alone_is_reached() -> None:
    networks = seen_from_inside(private=True) - seen_from_host(private=True)
    assert any(network.holds(socket.inet_aton("10.0.2.2")) for network in networks)
    assert not any(network.holds(socket.inet_aton("10.0.2.3")) for network in networks)
