"""Ids of very many cases, at eight bytes each."""

from __future__ import annotations

import hashlib
from array import array

_BUCKETS = 256


def plain_id(name: str) -> str:
    """As every file keeps it: bytes that are no UTF-8, and halves of characters, spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()


def digest_of(name: str) -> int:
    """Eight bytes that stand for a name; of a billion names two are the same by 1 in 37."""
    data = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(data, "big")


class Ids:
    """Takes ids, and says which of them came twice."""

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(_BUCKETS)]

    def add(self, name: str) -> None:
        found = digest_of(name)
        self._buckets[found % _BUCKETS].append(found)

    def repeated(self) -> frozenset[int]:
        """The digests of those that came more than once."""
        found: set[int] = set()
        for bucket in self._buckets:  # a set of all of them would take ten times the memory
            if len(once := set(bucket)) == len(bucket):
                continue
            for digest in bucket:
                if digest in once:
                    once.remove(digest)
                else:
                    found.add(digest)
        return frozenset(found)
