"""The system call filter read as the kernel reads it: what no kernel here would show."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

import pytest

from e2brun.sandbox.local.isolation import seccomp

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")

_ALLOWED, _NO_SUCH_CALL = 0x7FFF0000, 0x00050000 | 38
_X86_64, _I386 = 0xC000003E, 0x40000003


def _verdict(program: bytes, number: int, *arguments: int, machine: int = _X86_64) -> int:
    """What linux/filter.h makes of it, as far as our programs go: all other arguments are 0."""
    data = struct.pack("=IIQ6Q", number, machine, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    loaded, at = 0, 0
    tests: dict[int, Callable[[int, int], bool]] = {
        0x15: int.__eq__, 0x35: int.__ge__, 0x45: lambda one, other: bool(one & other),
    }  # fmt: skip
    while True:
        code, yes, no, value = struct.unpack_from("=HBBI", program, 8 * at)
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            loaded = int(struct.unpack_from("=I", data, value)[0])
        else:
            at += yes if tests[code](loaded, value) else no


@pytest.mark.parametrize(
    "make", [seccomp.first_filter, seccomp.last_filter, seccomp.setns_filter, seccomp.root_filter]
)
def test_there_are_no_calls_of_x32_or_of_32_bits(make: Callable[[], bytes]) -> None:
    """A kernel without them would say so itself."""
    program = make()
    assert _verdict(program, 39) == _ALLOWED
    for number in (0, 39, 59, 101, 165, 520):
        assert _verdict(program, 0x40000000 + number) == _NO_SUCH_CALL
        assert _verdict(program, number, machine=_I386) == _NO_SUCH_CALL


def test_what_nobody_has_judged_yet_does_not_exist() -> None:
    """Calls that a kernel of tomorrow will have; this one would say so itself."""
    program = seccomp.first_filter()
    assert {_verdict(program, number) for number in range(470, 600)} == {_NO_SUCH_CALL}
    epoll_pwait2, fchmodat2 = 441, 452
    assert _verdict(program, epoll_pwait2) == _verdict(program, fchmodat2) == _ALLOWED


def test_no_rename_leaves_a_device_behind() -> None:
    whiteout, exchange = 4, 2
    assert _verdict(seccomp.first_filter(), 316, 0, 0, 0, 0, whiteout) == 0x00050000 | 22
    assert _verdict(seccomp.first_filter(), 316, 0, 0, 0, 0, exchange) == _ALLOWED


def test_no_listener_outlives_what_it_listened_to() -> None:
    """In a zygote, too, where packages are imported."""
    assert _verdict(seccomp.first_filter(), 317, 1, 8) == 0x00050000 | 1


def test_nobody_inside_waits_for_the_host_s_disks_or_takes_its_huge_pages() -> None:
    program, done, no_memory = seccomp.first_filter(), 0x00050000, 0x00050000 | 12
    sync, syncfs, mmap, private, huge = 162, 306, 9, 0x22, 0x40000
    assert _verdict(program, sync) == _verdict(program, syncfs, 3) == done
    assert _verdict(program, mmap, 0, 1 << 21, 3, private | huge) == no_memory
    assert _verdict(program, mmap, 0, 1 << 21, 3, private) == _ALLOWED
