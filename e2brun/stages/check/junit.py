"""A JUnit report out of a sandbox: written by a stranger, so bounded, and no DTD is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

_DEPTH = 20
_CASES = 20_000
_TEXT = 20_000
_PROBLEMS = {"failure": "failed", "error": "failed", "skipped": "skipped"}


class BadReport(ValueError):
    """It is not such a report."""


@dataclass(slots=True)
class TestCase:
    """One test: `status` is passed, failed or skipped; the last failure is told."""

    __test__ = False  # it is no test of ours

    name: str
    status: str = "passed"
    message: str = ""
    text: str = ""


@dataclass(slots=True)
class _Reader:
    cases: list[TestCase] = field(default_factory=list[TestCase])
    depth: int = 0
    inside: bool = False  # of a failure: its text counts

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _DEPTH or len(self.cases) > _CASES:
            raise BadReport("it is nested too deeply, or too long")
        if name == "testcase":
            test = TestCase(attributes.get("name", "")[:500])
            self.cases.append(test)
        elif name in _PROBLEMS and self.cases:
            test = self.cases[-1]
            if test.status != "failed":
                test.status = _PROBLEMS[name]
            test.message = attributes.get("message", "")[:_TEXT]
            test.text = ""
            self.inside = True

    def end(self, name: str) -> None:
        self.depth -= 1
        self.inside = self.inside and name not in _PROBLEMS

    def data(self, text: str) -> None:
        if self.inside and len(self.cases[-1].text) < _TEXT:
            self.cases[-1].text += text[:_TEXT]


def _refuse(*_: object) -> None:
    raise BadReport("it has a DTD")


def read_report(content: bytes) -> list[TestCase]:
    """Its tests. Raises BadReport."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise BadReport(f"it is no XML: {error}") from None
    except (LookupError, ValueError) as error:
        raise BadReport(str(error)) from None
    return reader.cases
