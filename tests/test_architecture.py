"""The layers of DESIGN.md, and what may be imported where, read from the source itself."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "e2brun"
# Each may import what stands in a later row; rows of one tuple never import each other.
LAYERS = (
    ("cli",),
    ("report", "server", "pipeline", "batch"),
    ("stages",),
    ("primitives",),
    ("runs",),
    ("jobs",),
    ("sandbox",),
    ("settings",),
    ("project_files",),
    ("dotenv",),
    ("values",),
    ("private",),
    ("errors",),
    ("frozen",),
)
# pipeline > stages > primitives: report draws what all of them record, so it stands beside them.
_OF_BOTH = {
    "check", "completion", "cell_end", "contract", "endings", "public_indexes", "requirement",
}  # fmt: skip
# A folder with folders in it: what each of these may import of what stands beside it there. Files
# beside them may import all of them, and each other.
FOLDERS: dict[str, dict[str, set[str]]] = {
    "batch": {"formats": {"case", "fields", "jsonl", "lines"}},
    "report": {"html": {"safe", "summary"}},
    "sandbox": {"e2b": {"owner", *_OF_BOTH}, "local": {"process_group", "threads", *_OF_BOTH}},
    "sandbox/local": {
        "agent": set(),
        "isolation": {"agent", "interpreter"},
        "memory": {"isolation"},
        "host": {"agent", "isolation", "memory", "template_setup", "templates"},
        "blocking": {"agent", "host", "interpreter", "isolation", "memory"},
        "mirror": {"agent", "isolation", "packages"},
        "packages": {"blocking", "interpreter", "isolation", "pythons", "templates"},
    },
    "sandbox/local/agent": {
        "root": {"callers", "child", "descriptors", "programs"},
        "files": {"child", "descriptors"},
        "kernels": {"child", "descriptors", "finder"},
        "programs": {"callers", "child", "descriptors", "finder"},
    },
    "sandbox/local/agent/kernels": {"bash": {"jsontext"}, "python": {"jsontext"}},
    "server": {
        "http": set(),
        "https": {"http"},
        "egress": {"http"},
        "sandboxes": {"egress", "http", "options"},
        "builds": {"http", "sandboxes"},
        "control": {"builds", "egress", "http", "options", "sandboxes"},
        "envd": {"admission", "http", "sandboxes"},
        "interpreter": {"admission", "http", "sandboxes"},
        "ports": {"http", "sandboxes"},
        "background": {"http", "options", "sandboxes", "serving"},
    },
    "stages": {
        "check": {"child", "step", "validate", "work"},
        "execute": {"step", "template", "work"},
        "generate": {"child", "step", "template", "work"},
        "validate": {"child", "step", "work"},
    },
}
# What the service may know of the host's end of a sandbox: neither frames nor what the control
# socket carries.
HOST = {
    "agent_client", "channels", "commands", "contexts", "descriptors", "execution", "file_worker",
    "inside", "languages", "output", "process", "processes", "running", "streams",
    "subscriptions", "trees", "volumes",
}  # fmt: skip
AGENT = PACKAGE / "sandbox" / "local" / "agent"
LAUNCHER = PACKAGE / "sandbox" / "e2b" / "launcher.py"  # runs inside, too
NAMES = PACKAGE / "server" / "https" / "names" / "sitecustomize.py"  # in other people's programs
ENTRY = {"__init__", "__main__"}


def _level(part: str) -> int:
    for number, layer in enumerate(LAYERS):
        if part in layer:
            return number
    raise AssertionError(f"e2brun/{part} stands in no layer")


@cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    """All of a module that is asked about here. Of its classes the names: whole trees of all
    modules would be looked through by the collector again and again."""
    found = tuple(filter(_is_asked_about, ast.walk(ast.parse(path.read_text()))))
    for node in found:
        if isinstance(node, ast.ClassDef):
            node.body = []
    return found


def _is_asked_about(node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.ClassDef():
            return True
        case ast.Attribute():
            return node.attr in {"environ", "getenv", "putenv"}
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
    return False


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def _place(name: str) -> tuple[str, ...] | None:
    """Where a module is, from e2brun's directory on; a package is its __init__."""
    place = PACKAGE.joinpath(*name.split(".")[1:])
    if place.with_suffix(".py").is_file():
        return place.relative_to(PACKAGE).parts
    return (*place.relative_to(PACKAGE).parts, "__init__") if place.is_dir() else None


def _type_only(nodes: tuple[ast.AST, ...]) -> set[ast.AST]:
    blocks = [node.body for node in nodes if isinstance(node, ast.If)]
    return {below for block in blocks for statement in block for below in ast.walk(statement)}


def _named(path: Path, *, types: bool) -> Iterator[str]:
    """The dotted names a module imports: `package.module` for `from package import module`."""
    package = ("e2brun", *path.parent.relative_to(PACKAGE).parts)
    nodes = _nodes(path)
    left_out: set[ast.AST] = set() if types else _type_only(nodes)
    for node in nodes:
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join((*start, *([node.module] if node.module else [])))
            yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def _targets(path: Path, *, types: bool) -> tuple[tuple[str, ...], ...]:
    """The modules of ours that a module imports."""
    ours = [name for name in _named(path, types=types) if name.split(".")[0] == "e2brun"]
    places = [_place(name) or _place(name.rpartition(".")[0]) for name in ours]
    return tuple(place for place in places if place is not None)


def _arrows(*, types: bool = False) -> Iterator[tuple[str, str, str, str]]:
    """(folder, who in it, imports whom in it, file), for every import between two of its own."""
    for path in _modules():
        here = path.relative_to(PACKAGE).with_suffix("").parts
        for there in _targets(path, types=types):
            pairs = enumerate(zip(here, there, strict=False))
            at = next((i for i, (a, b) in pairs if a != b), None)
            if at is not None:
                folder = "/".join(here[:at])
                yield folder, here[at], there[at], path.relative_to(ROOT).as_posix()


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of a graph, or []."""
    done: set[str] = set()

    def walk(node: str, above: tuple[str, ...]) -> list[str]:
        if node in above:
            return [*above[above.index(node) :], node]
        if node in done:
            return []
        done.add(node)
        return next(filter(None, (walk(n, (*above, node)) for n in graph.get(node, ()))), [])

    return next(filter(None, (walk(node, ()) for node in graph)), [])


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_there_is_code_to_look_at() -> None:
    assert len(_modules()) > 30


def test_every_import_goes_down() -> None:
    wrong: list[str] = []
    for path in _modules():
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part in ENTRY or path.is_relative_to(AGENT):
            continue
        for line, name in _imports(path):
            words = name.split(".")
            if words[0] != "e2brun" or len(words) < 2 or words[1] == part:
                continue
            if _level(words[1]) <= _level(part):
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {part} imports {words[1]}")
    assert wrong == []


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    graph = {
        path.relative_to(PACKAGE).with_suffix("").as_posix(): {
            "/".join(place) for place in _targets(path, types=False)
        }
        for path in _modules()
    }
    assert _circle(graph) == []


def test_no_two_folders_import_each_other_in_a_circle() -> None:
    graphs: dict[str, dict[str, set[str]]] = {}
    for folder, who, whom, _ in _arrows():
        if "__init__" not in (who, whom):  # __version__, and names that are imported when asked for
            graphs.setdefault(folder, {}).setdefault(who, set()).add(whom)
    assert {folder: found for folder, graph in graphs.items() if (found := _circle(graph))} == {}


def test_every_folder_imports_only_what_its_list_has() -> None:
    wrong = [
        f"{file}: {who} imports {whom}"
        for folder, who, whom, file in _arrows(types=True)
        if folder in FOLDERS and who in FOLDERS[folder] and whom not in FOLDERS[folder][who]
        if not (folder == "server" and (who, whom) == ("sandboxes", "builds"))  # the builder's type
    ]
    assert wrong == []


def test_the_service_talks_to_sandboxes_through_the_hosts_interface() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {'/'.join(place)}"
        for path in (PACKAGE / "server").rglob("*.py")
        for place in _targets(path, types=True)
        if place[:2] == ("sandbox", "local")
        and (place[2] in {"agent", "blocking"} or (place[2] == "host" and place[3] not in HOST))
    ]
    assert wrong == []


def test_every_folder_among_folders_has_a_list() -> None:
    folders = [place.parent.relative_to(PACKAGE) for place in PACKAGE.glob("*/*/**/__init__.py")]
    there = {(folder.parent.as_posix(), folder.name) for folder in folders}
    assert there == {(folder, name) for folder, names in FOLDERS.items() for name in names}


def test_every_folder_says_what_lives_in_it() -> None:
    short = [
        place.relative_to(ROOT).as_posix()
        for place in PACKAGE.rglob("__init__.py")
        if place.parent != PACKAGE
        if not 3 <= len((ast.get_docstring(ast.parse(place.read_text())) or "").splitlines()) <= 8
    ]
    assert short == []


def test_a_layer_has_one_class_of_a_name() -> None:
    homes: dict[tuple[str, str], list[str]] = {}
    for path in _modules():
        layer = path.relative_to(PACKAGE).parts[0]
        for node in _nodes(path):
            if isinstance(node, ast.ClassDef) and not path.is_relative_to(AGENT):
                homes.setdefault((layer, node.name), []).append(path.name)
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_the_agent_imports_nothing_but_the_standard_library() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in (*sorted(AGENT.rglob("*.py")), LAUNCHER)
        for line, name in _imports(path)
        if not name.startswith(".")
        and name.split(".")[0] not in {*sys.stdlib_module_names, "_ctypes", "_signal", "_socket"}
        # Looked for in the user's own packages, and done without where it is not.
        and name.split(".")[0] not in {"e2b_charts", "IPython", "matplotlib"}
    ]
    assert wrong == []


def test_only_settings_reads_the_environment() -> None:
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in _modules()
        if not path.is_relative_to(AGENT) and path not in (LAUNCHER, NAMES)
        if any(isinstance(node, ast.Attribute) for node in _nodes(path))
    }
    assert readers <= {"settings.py"}


def test_no_file_holds_more_than_one_idea() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in _modules()}
    assert [path.name for path, length in lengths.items() if length > 400] == []
