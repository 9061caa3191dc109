"""From what was asked to a `Job`, for the command, a pipeline and a primitive alike. Everything is
read and checked before a sandbox is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING

from e2brun.errors import UsageError
from e2brun.jobs.job import Job, Plan
from e2brun.jobs.needs import Fetched, needs_of
from e2brun.jobs.source import Kind, Source, SourceUnfit
from e2brun.sandbox.contract import HOME, CodeError, Upload, absolute
from e2brun.values import Network

if TYPE_CHECKING:
    from e2brun.jobs.notebook import Notebook

_LIFETIME_MARGIN = 60.0  # for starting, files, packages; after that a forgotten sandbox ends
_KEEP_LIFETIME = 3600.0
_CLOSED = (None, Network.NONE)
_START_LIMIT = 128 * 1024
_MOST_DIRECTORIES = 64
_SHALLOW = frozenset({"opt", "mnt", "root", "srv", "var", "run", "etc", "usr", "home", "code"})


def prepare(plan: Plan) -> Job:
    """Read and check it all. Raises UsageError; SourceUnfit where the source itself is why."""
    source = plan.source
    notebook = _notebook(source, plan.parameters)
    cells = plan.as_cell or notebook is not None
    _check_together(plan, cells=cells)
    check_size(plan.arguments, plan.spec.env)
    code, unreadable = _code(source, notebook, cells=cells)
    uploads = plan.uploads
    if plan.with_imports and source.directory is not None:
        uploads += _imported(plan, source.directory, code, cells=cells)
    _check_names(source, plan.cwd, uploads, cells=cells)
    sent = (upload.source for upload in uploads[len(plan.uploads) :] if upload.path.endswith(".py"))
    codes = [code, *(one.read_bytes() for one in sent if isinstance(one, Path))] if code else []
    texts = (plan.setup, *_texts(source, notebook, code))
    fetched = Fetched(plan.spec.template, cells=cells, fetch=plan.spec.fetch)
    needs = needs_of(source, codes, plan.wanted, uploads, fetched)
    supplied = plan.wanted.auto or plan.wanted.cloud
    if cells and not supplied and plan.spec.network in _CLOSED:
        _advise(plan, [text for text in texts if "install" in str(text)], needs.install)
    lifetime = plan.timeout + _LIFETIME_MARGIN + plan.longer
    beside = () if plan.wanted.cloud else _beside(uploads)
    spec = plan.spec.but(
        lifetime=max(lifetime, _KEEP_LIFETIME) if plan.keep else lifetime,
        install=needs.install,
        python=needs.python,
        wants=() if plan.wanted.cloud else _wants(plan, (*texts, *beside), uploads, cells=cells),
        cells=cells,
        language=None if notebook is None else notebook.language,
        directories=_directories(plan.cwd, uploads),
        sudo=not plan.wanted.cloud and _has_sudo(plan, beside, uploads),
    )
    whole = vars(plan.but(spec=spec, uploads=uploads))
    return Job(
        **whole,
        notebook=notebook,
        own=needs.own,
        requires_python=needs.requires_python,
        unreadable=unreadable,
    )


def _advise(plan: Plan, texts: Sequence[str | bytes], install: Sequence[str]) -> None:
    """Say what to do about cells that install packages, where that cannot succeed."""
    if not texts:  # reading such lines takes modules that few jobs need
        return
    from e2brun.jobs.pip_lines import advice

    if line := advice(map(str, texts), install):
        plan.notice(line)


def _notebook(source: Source, parameters: Mapping[str, object]) -> Notebook | None:
    if source.kind is not Kind.NOTEBOOK:
        return None
    from e2brun.jobs.notebook import read_notebook

    try:
        return read_notebook(source.content, source.name, parameters)
    except UsageError as error:
        raise SourceUnfit(str(error), hint=error.hint) from error


def _check_together(plan: Plan, *, cells: bool) -> None:
    source = plan.source
    if cells and source.kind not in {Kind.PYTHON, Kind.NOTEBOOK}:
        raise UsageError(f"{source.name}: only Python runs as a cell")
    if source.kind is not Kind.NOTEBOOK and plan.parameters:
        raise SourceUnfit(f"{source.name} is no notebook: it has no parameters")
    if source.kind is Kind.NOTEBOOK and plan.arguments:
        raise UsageError(f"a notebook has no arguments: {plan.arguments[0]}")
    if cells and plan.arguments:
        raise UsageError("cells take no arguments; run the file as a program to pass some")
    if cells and plan.stdin is not None:
        raise UsageError("cells have no stdin; run the file as a program to give it some")
    if plan.cwd is not None and (not plan.cwd or "\0" in plan.cwd):
        raise UsageError(f"{plan.cwd!r} is no directory")


def check_size(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """What a program is started with has to fit one message to the sandbox."""
    words = (*arguments, *environment, *environment.values())
    size = sum(len(word.encode("utf-8", "surrogatepass")) + 5 for word in words)
    if size > _START_LIMIT:
        raise UsageError(
            f"the arguments and variables are too long: {size} bytes, at most {_START_LIMIT}",
            hint="Write them to a file and give the program that: --file, or stdin with -i.",
        )


def _code(
    source: Source, notebook: Notebook | None, *, cells: bool
) -> tuple[str | bytes, CodeError | None]:
    """The Python in it, or why it cannot be read: which is how a cell of it ends."""
    if notebook is not None:
        return "\n".join(cell.source for cell in notebook.cells), None
    if source.kind is not Kind.PYTHON:
        return "", None
    if not cells:
        return source.content, None
    try:
        return source.text(), None
    except SyntaxError as error:
        trace = f'  File "{source.name}"\nSyntaxError: {error}'
        return "", CodeError("SyntaxError", str(error), trace)


def _texts(source: Source, notebook: Notebook | None, code: str | bytes) -> tuple[str | bytes, ...]:
    """The code in which the default template's packages are looked for; of cells, each."""
    if notebook is not None:
        python = notebook.language == "python"
        return tuple(cell.source for cell in notebook.cells) if python else ()
    return (source.content,) if source.kind is Kind.SHELL else (code,)


def _wants(
    plan: Plan, texts: Sequence[str | bytes], uploads: Sequence[Upload], *, cells: bool
) -> tuple[str, ...]:
    from e2brun.jobs.wanted import wants_of

    own, shell = (plan.source.inside.removesuffix(".py"),), plan.source.kind is Kind.SHELL
    template = plan.spec.template
    found = wants_of(texts, uploads, template=template, cells=cells, shell=shell, present=own)
    # Whatever starts it: what is to be had with it is what was asked for.
    more = () if plan.spec.network is not Network.PACKAGES or "pip" in found else ("pip",)
    return (*found, *more)


def _beside(uploads: Sequence[Upload], ending: str = ".py") -> tuple[bytes, ...]:
    if not uploads:
        return ()
    from e2brun.jobs.wanted import texts_of

    return tuple(texts_of(uploads, ending))


def _has_sudo(plan: Plan, beside: Sequence[bytes], uploads: Sequence[Upload]) -> bool:
    """Making a root for who does not ask for one would be paid by every run."""
    if b"sudo" in plan.source.content or "sudo" in " ".join((plan.setup, *plan.arguments)):
        return True
    return any(b"sudo" in text for text in (*beside, *_beside(uploads, ".sh")))


def _imported(plan: Plan, directory: Path, code: str | bytes, *, cells: bool) -> tuple[Upload, ...]:
    from e2brun.jobs.local_modules import imported

    into = absolute(plan.cwd) if cells and plan.cwd is not None else None
    found = imported([code], directory, into, plan.notice)
    given = {absolute(upload.path) for upload in plan.uploads}
    if not cells:
        given.add(f"{HOME}/{plan.source.inside}")
    sent = tuple(upload for upload in found if absolute(upload.path) not in given)
    for upload in sent:
        plan.details(f"with imports: {upload.source!s}")
    return sent


def _check_names(
    source: Source, cwd: str | None, uploads: Sequence[Upload], *, cells: bool
) -> None:
    """Two things of one name: the program would be another file, or not find one."""
    program = None if cells or source.path is None else f"{HOME}/{source.inside}"
    directory = None if cwd is None else normpath(absolute(cwd))
    if directory is not None and directory == program:
        raise UsageError(f"{cwd} is the program itself, and no directory")
    for upload in uploads:
        place = normpath(absolute(upload.path))
        if place == directory:
            raise UsageError(f"{cwd} is a file that is sent, and no directory")
        if place == program and not _is(upload, source.content):
            raise UsageError(f"{source.inside} is the program itself: give that file another name")


def _is(upload: Upload, content: bytes) -> bool:
    match upload.source:
        case bytes() as data:
            return data == content
        case path:
            return path.stat().st_size == len(content) and path.read_bytes() == content


def _directories(cwd: str | None, uploads: Sequence[Upload]) -> tuple[str, ...]:
    """Those that have to be made before the first run: the working directory, and where files
    go outside of the home, in which everything else is made as it is needed."""
    found = [] if cwd is None else [normpath(absolute(cwd))]
    for upload in uploads:
        path = normpath(upload.path) if upload.path.startswith("/") else HOME
        first, _, rest = path[1:].partition("/")
        if first == "tmp" or f"{path}/".startswith(f"{HOME}/") or not rest:
            continue
        deep = first in _SHALLOW and "/" in rest
        found.append(f"/{first}/{rest.partition('/')[0]}" if deep else f"/{first}")
    found = [place for place in dict.fromkeys(found) if place not in {HOME, "/", "/tmp"}]  # noqa: S108
    if len(found) > _MOST_DIRECTORIES:
        raise UsageError(f"files for more than {_MOST_DIRECTORIES} directories outside of {HOME}")
    return tuple(found)
