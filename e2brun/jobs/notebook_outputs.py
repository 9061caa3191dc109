"""The outputs of a notebook's cells, put together as they come: streams merged, displays
updated and cleared as in Jupyter, whatever the sandbox says of them bounded in size.

Between two results all of stdout stands before all of stderr: they come through two pipes, and
which spoke first is not known.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator, Mapping

from e2brun.frozen import Frozen
from e2brun.jobs.notebook_format import Json, table
from e2brun.jobs.prelude import MIME as OURS
from e2brun.sandbox.contract import MIB, CodeError, Execution, Outcome, Result
from e2brun.values import is_table

MOST_OUTPUT = 128 * MIB  # of all results of a run, as JSON
LEAST_RESULT = 1024  # what one takes of that, be it empty: a notebook may have millions
_MOST_AREAS, _MOST_WIDGETS = 100, 10_000  # Output widgets inside each other; of a run
_LONGEST_ID = 200
_MOST_HELD, _SMALL = MIB, 200  # of what may be cleared yet; what a piece costs at least
_WIDGET = "application/vnd.jupyter.widget-view+json"
MIMES = {
    "text": "text/plain",
    "html": "text/html",
    "markdown": "text/markdown",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "pdf": "application/pdf",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "application/javascript",
}


class CellRun(Frozen):
    """What one cell put out; `count` is the number in its In[ ]."""

    index: int
    count: int
    outputs: list[Json]


class _Stream:
    def __init__(self, name: str) -> None:
        self.name = name
        self.pieces: list[str] = []
        self.size = 0


class _Shown:
    def __init__(self, output: Json, result: Result, size: int = 0) -> None:
        self.output, self.result, self.size = output, result, size
        self.identity: str | None = None


class _Held:
    """What may be cleared yet is told when it stays: at the end, or where it has grown large."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] | None = None
        self._size = 0

    def clear(self) -> None:
        """Nobody is told of what waits; what comes now waits."""
        self._waiting, self._size = [], 0

    def tell(self, say: Callable[[], None], size: int) -> None:
        """Now or later."""
        if self._waiting is None:
            say()
            return
        self._waiting.append(say)
        self._size += size
        if self._size > _MOST_HELD:
            self.release()

    def release(self) -> None:
        """Tell what waits; nothing waits from now on."""
        waiting, self._waiting = self._waiting, None
        for say in waiting or ():
            say()


class _Area:
    """Where output goes: a cell's own, or that of an Output widget."""

    def __init__(self) -> None:
        self.parts: list[_Stream | _Shown] = []
        self.clear_next = False
        self.held = _Held()


class Recorder:
    """Takes what a run puts out, cell after cell. `limit` is of each stream, 0 for none;
    `most` is of all results; `holds`: nobody is told of what is cleared."""

    def __init__(self, limit: int = 0, most: int = MOST_OUTPUT, *, holds: bool = False) -> None:
        self._limit, self._holds = limit, holds
        self._taken = {"stdout": 0, "stderr": 0}
        self._room = self._most = most
        self._left_out = False
        self._displays: dict[str, list[_Shown]] = {}
        self._areas: list[_Area] = []  # the last one is where output goes now
        self._widgets: dict[str, _Area] = {}
        self.has_widgets = False
        self.widgets: Json = {}  # what the sandbox said of them in the end
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._count = 0
        self.begin(0)

    def begin(self, count: int, *, clears: bool = False) -> None:
        """A new cell; `clears`: it looks as if it would."""
        self._areas, self._count = [_Area()], count
        if clears and self._holds:
            self._areas[0].held.clear()
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {name: decoder("replace") for name in self._taken}

    def stream(self, name: str, data: bytes, *, last: bool = False) -> None:
        text = self._decoders[name].decode(data, last)
        if self._limit:
            text = text[: max(0, self._limit - self._taken[name])]
        if not text:
            return
        self._clear_if_due()
        self._taken[name] += len(text)
        stream = next((part for part in self._tail() if part.name == name), None)
        if stream is None:
            stream = _Stream(name)
            self._areas[-1].parts.append(stream)
        stream.pieces.append(text)
        stream.size += len(text)

    def tell(self, say: Callable[[], None], size: int = 0) -> None:
        """Have `say` called for what was just put out (kept nowhere else), unless it is cleared."""
        self._areas[-1].held.tell(say, size + _SMALL)

    def release(self) -> None:
        """Nothing is cleared any more."""
        for area in (*self._areas, *self._widgets.values()):
            area.held.release()

    def _tail(self) -> Iterator[_Stream]:
        """The streams since the last result."""
        for part in reversed(self._areas[-1].parts):
            if not isinstance(part, _Stream):
                return
            yield part

    def result(self, told: Result) -> Result | None:
        """Something was shown. Gives back what of it is a result, without what is told for us;
        None where it only changes what was shown before."""
        result, note = _parted(told)
        match note.get("op"):
            case "clear":
                self._areas[-1].clear_next = note.get("wait") is True
                if not self._areas[-1].clear_next:
                    self._clear()
            case "enter":
                self._enter(_identity(note))
            case "leave" if len(self._areas) > 1:
                self._areas.pop()
            case "error":
                self._raised(note)
            case "widgets":
                self._take_widgets(table(note.get("state")))
            case op:
                return self._show(result, note, update=op == "update")
        return None

    def _enter(self, identity: str | None) -> None:
        """What comes now belongs to an Output widget, until it is left."""
        if identity is None or len(self._areas) >= _MOST_AREAS:
            return
        if identity not in self._widgets and len(self._widgets) < _MOST_WIDGETS:
            self._widgets[identity] = _Area()
        self._areas.append(self._widgets.get(identity) or self._areas[0])
        self.has_widgets = True

    def _raised(self, note: Mapping[str, object]) -> None:
        """An error inside an Output widget, which shows it."""
        name, value, trace = (str(note.get(key, "")) for key in ("ename", "evalue", "traceback"))
        output = _raised_output(CodeError(name, value, trace))
        if (size := LEAST_RESULT + _size(trace) + _size(value)) < self._room:
            self._room -= size
            self._areas[-1].parts.append(_Shown(output, {}, size))

    def _take_widgets(self, state: Mapping[str, object]) -> None:
        """The state of all widgets, with the outputs that are inside of them."""
        if not _is_json(state) or _size(state) > self._room:
            return
        for identity, area in self._widgets.items():
            model = table(table(state.get(identity)).get("state"))
            if isinstance(model, dict):
                model["outputs"] = _outputs(area)
        self.widgets = dict(state)

    def _show(self, result: Result, note: Mapping[str, object], *, update: bool) -> Result | None:
        data = _bundle(result, note)
        metadata = _metadata(note, data)
        identity = _identity(note)
        same = self._displays.get(identity, []) if identity else []
        self._room += sum(shown.size for shown in same)
        size = LEAST_RESULT + _size(data) + _size(metadata) + len(identity or "")
        if size * (len(same) + (not update)) > self._room:  # each is written out by itself
            self._room -= sum(shown.size for shown in same)
            self._left_out = True
            return None
        for shown in same:
            _replace(shown, result, data, metadata)
        if update:
            self._charge(same, size)
            return result if same else None
        if not data and not any(value for key, value in result.items() if key != "is_main_result"):
            return None
        self._clear_if_due()
        shown = _Shown({"output_type": "display_data", "data": data, "metadata": metadata}, result)
        if result.get("is_main_result"):
            shown.output |= {"output_type": "execute_result", "execution_count": self._count}
        self._areas[-1].parts.append(shown)
        self.has_widgets = self.has_widgets or _WIDGET in data
        self._charge([*same, shown], size)
        if identity:
            shown.identity = identity
            self._displays.setdefault(identity, []).append(shown)
        return result

    def _charge(self, holders: list[_Shown], size: int) -> None:
        for shown in holders:
            shown.size = size
            self._room -= size

    def _clear_if_due(self) -> None:
        if self._areas[-1].clear_next:
            self._areas[-1].clear_next = False
            self._clear()

    def _clear(self) -> None:
        parts = self._areas[-1].parts
        if self._holds:
            self._areas[-1].held.clear()
        for part in parts:
            if isinstance(part, _Stream):
                self._taken[part.name] -= part.size
                continue
            self._room += part.size
            if part.identity:
                self._displays[part.identity].remove(part)
        parts.clear()

    def end(self, index: int, execution: Execution) -> tuple[CellRun, tuple[Result, ...]]:
        """The cell is over: its outputs, and the results that are left of it."""
        for name in self._taken:
            self.stream(name, b"", last=True)
        outputs = _outputs(self._areas[0])
        results = [part.result for part in self._areas[0].parts if isinstance(part, _Shown)]
        if self._left_out:
            self._left_out = False
            note = f"results left out: more than {self._most // MIB} MiB in one notebook\n"
            outputs.append({"output_type": "stream", "name": "stderr", "text": [note]})
        if error := _error_output(execution):
            outputs.append(error)
        return CellRun(index, self._count, outputs), tuple(results)


def _outputs(area: _Area) -> list[Json]:
    return [output for part in _ordered(area.parts) if (output := _output(part))]


def _ordered(parts: list[_Stream | _Shown]) -> list[_Stream | _Shown]:
    ordered: list[_Stream | _Shown] = []
    for part in parts:
        before = ordered[-1] if ordered else None
        if isinstance(part, _Stream) and part.name == "stdout" and isinstance(before, _Stream):
            ordered.insert(-1, part)
        else:
            ordered.append(part)
    return ordered


def _output(part: _Stream | _Shown) -> Json | None:
    if isinstance(part, _Shown):
        return part.output if part.output.get("data", True) else None
    text = settled("".join(part.pieces))
    return {"output_type": "stream", "name": part.name, "text": text.splitlines(keepends=True)}


def settled(text: str) -> str:
    """What a terminal would still show: a progress bar draws its line again and again, and the
    last one stays, as nbclient has it. In one pass, whatever it is."""
    if "\b" in text:
        text = _erased(text)
    if "\r" not in text:
        return text
    lines = text.split("\n")
    return "\n".join(line[line.rfind("\r", 0, max(0, len(line) - 1)) + 1 :] for line in lines)


def _erased(text: str) -> str:
    kept: list[str] = []
    for character in text:
        if character != "\b":
            kept.append(character)
        elif kept and kept[-1] != "\n":
            kept.pop()
    return "".join(kept)


def _parted(told: Result) -> tuple[Result, Mapping[str, object]]:
    """A result, and what the prelude says of it; the code may have written either itself."""
    extra = table(told.get("extra"))
    if OURS not in extra:
        return told, {}
    others = {mime: value for mime, value in extra.items() if mime != OURS}
    return {**told, "extra": others}, table(extra[OURS])


def _identity(note: Mapping[str, object]) -> str | None:
    identity = note.get("id")
    return identity if isinstance(identity, str) and 0 < len(identity) <= _LONGEST_ID else None


def _replace(shown: _Shown, result: Result, data: Json, metadata: Json) -> None:
    shown.output["data"], shown.output["metadata"], shown.size = data, metadata, 0
    main = shown.result.get("is_main_result", False)
    shown.result.clear()
    shown.result.update({**result, "is_main_result": main})


def _metadata(note: Mapping[str, object], data: Json) -> Json:
    metadata = table(note.get("metadata"))
    return dict(metadata) if data and _is_json(metadata) else {}


def _bundle(result: Result, note: Mapping[str, object]) -> Json:
    """Mime type to content. What strict JSON cannot say is left out, as is E2B's own."""
    found: Json = {}
    for mime, value in table(result.get("extra")).items():
        if "/" in mime and (isinstance(value, str) or mime.endswith("json")):
            found[mime] = value
    for key, mime in MIMES.items():
        value = result.get(key)
        if value is not None and (key == "json" or isinstance(value, str)):
            found[mime] = value
    text = note.get("text")
    if isinstance(text, str) and "text/plain" in found:
        found["text/plain"] = text
    found.pop(str(note.get("hide")), None)
    return {mime: value for mime, value in found.items() if _is_json(value)}


def _is_json(value: object) -> bool:
    if isinstance(value, str):
        return True
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _size(value: object) -> int:
    """About as many bytes as it takes in the document."""
    if is_table(value):
        pairs = value.items()
        return sum(len(str(key)) + 8 + _size(item) for key, item in pairs)
    return len(value) if isinstance(value, str) else len(json.dumps(value))


def _error_output(execution: Execution) -> Json | None:
    """What was raised; for an end that raised nothing, such as a timeout, that end."""
    error = execution.error or execution.left
    if error is None and execution.outcome is Outcome.OK:
        return None
    return _raised_output(error or CodeError(execution.outcome.value, execution.detail, ""))


def _raised_output(error: CodeError) -> Json:
    lines = (error.traceback or f"{error.name}: {error.value}".removesuffix(": ")).splitlines()
    return {"output_type": "error", "ename": error.name, "evalue": error.value, "traceback": lines}
