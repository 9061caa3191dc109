"""The line of every key, whatever way it is written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest

from e2brun.pipeline.places import Path, Places

TEXT = '''\
# a comment with [brackets] = "and quotes
title = "x"  # another

[a.b]
"quoted key" = 1
'single.dotted' = 2
c.d."e f" = """
[not.a.table]
key = "no"
"""
inline = { one = 1, two = { three = [1, 2] } }
list = [
  "first",  # why
  { k = "]" },
  """
long""",
]

[[case]]
id = "one"
[[case]]
id = 'two'
[case.more]
deep = 3
[[case.inner]]
x = 1
[[case.inner]]
x = 2
after = \'\'\'it's
[[fake]]\'\'\'
last = 1979-05-27T07:32:00Z
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("a", "b"), 4),
        (("a", "b", "quoted key"), 5),
        (("a", "b", "single.dotted"), 6),
        (("a", "b", "c", "d", "e f"), 7),
        (("a", "b", "inline", "two", "three", 1), 11),
        (("a", "b", "list"), 12),
        (("a", "b", "list", 0), 13),
        (("a", "b", "list", 1, "k"), 14),
        (("a", "b", "list", 2), 15),
        (("case", 0, "id"), 20),
        (("case", 1, "id"), 22),
        (("case", 1, "more", "deep"), 24),
        (("case", 1, "inner", 1, "x"), 28),
        (("case", 1, "inner", 1, "last"), 31),
    ],
)
def test_every_key_has_the_line_it_is_written_on(path: Path, line: int) -> None:
    assert Places(TEXT).lines[path] == line


def test_every_path_that_tomllib_reads_has_a_place() -> None:
    lines = Places(TEXT).lines
    assert [path for path in _paths(tomllib.loads(TEXT), ()) if path not in lines] == []


def test_a_key_that_is_not_there_has_the_line_of_its_table() -> None:
    assert Places(TEXT).line(("case", 1, "more", "missing", "x")) == 23


def test_windows_line_ends_change_nothing() -> None:
    assert Places(TEXT.replace("\n", "\r\n")).lines == Places(TEXT).lines


def _paths(value: object, path: Path) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _paths(item, (*path, number))
