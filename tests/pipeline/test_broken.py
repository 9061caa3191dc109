"""Every way a TOML can be wrong: the line, what is wrong, what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2brun.pipeline.loader import load
from e2brun.pipeline.places import BrokenPipeline
from tests.pipeline.conftest import Place

HEAD = '[pipeline]\nname = "x"\n'  # two lines
CODE = HEAD + '[generate]\ncode = "print(1)"\n'  # four
RUN = CODE + "[execute]\n"  # five

BROKEN = {
    "no value": ("[pipeline]\nname =\n", 2, "not valid TOML"),
    "a quote left open": (HEAD + 'x = "y\n', 3, "not valid TOML"),
    "the file ends too early": (HEAD + "x = [1,\n2,\n", 4, "not valid TOML"),
    "a key twice": (HEAD + 'name = "y"\n', 3, "not valid TOML"),
    "a name of very many parts": (CODE + ".".join(["a"] * 50_000) + " = 1\n", 5, "100 parts"),
    "a table of very many parts": (CODE + f"[a{'.a' * 50_000}]\n", 5, "100 parts"),
    "a list in very many others": (CODE + "x = " + "[" * 50_000 + "]" * 50_000, 1, "too deeply"),
    "a matrix of more cases than anybody runs": (
        CODE + "[matrix]\n" + "".join(f"m{i} = [{'1,' * 99}]\n" for i in range(9)), 5, "more than",
    ),
    "variables that hold each other many times": (
        CODE + "[vars]\nv0 = 'x'\n"
        + "".join(f"v{i + 1} = '{f'{{{{v{i}}}}}' * 99}'\n" for i in range(9)),
        10, "characters",
    ),
    "a number that is too long": (RUN + f"timeout = {'9' * 5000}\n", 6, "a number is too long"),
    "a pattern of very many parts": (
        f'{HEAD}[generate]\nfiles = ["{"../" * 3000}x"]\n', 4, "has too many parts",
    ),
    "an expression nested too deeply": (
        RUN + f'[[check]]\nstdout = {{ matches = "{"(" * 5000}" }}\n', 7, "regular expression",
    ),
    "no pipeline table": ('[generate]\ncode = "1"\n', 1, "has no 'pipeline'"),
    "no name": ('[pipeline]\n[generate]\ncode = "1"\n', 1, "[pipeline] has no 'name'"),
    "an empty name": ('[pipeline]\nname = " "\n[generate]\ncode="1"\n', 1, "is no name"),
    "no generate": (HEAD, 1, "has no 'generate'"),
    "an unknown table": (CODE + "[exceute]\n", 5, 'did you mean "execute"?'),
    "an unknown key": (RUN + "timeot = 1\n", 6, 'did you mean "timeout"?'),
    "an unknown key in a table within": (
        RUN + "[execute.retry]\nmax_retrys = 1\n", 7, 'did you mean "max_retries"?',
    ),
    "an unknown key in an inline table": (
        RUN + '[[check]]\nstdout = { contians = "x" }\n', 7, 'did you mean "contains"?',
    ),
    "a dotted key": (RUN + "retry.max_retry = 1\n", 6, 'did you mean "max_retries"?'),
    "a quoted key": (RUN + '"time out" = 1\n', 6, 'did you mean "timeout"?'),
    "an unknown stage": (CODE + '[[validate]]\nuse = "sintax"\n', 6, 'did you mean "syntax"?'),
    "no stage named": (CODE + "[[validate]]\nstrict = true\n", 5, "has no 'use'"),
    "a key of another stage": (
        CODE + '[[validate]]\nuse = "syntax"\nseverity = "low"\n', 7, "has no key 'severity'",
    ),
    "an unknown check": (RUN + '[[check]]\nstduot = "1"\n', 7, 'did you mean "stdout"?'),
    "a check of nothing": (RUN + "[[check]]\n", 6, "checks nothing"),
    "a check of nothing in a stream": (RUN + "[[check]]\nstdout = {}\n", 7, "checks nothing"),
    "an unknown word": (
        CODE + '[[validate]]\nuse = "lint"\nseverity = "hihg"\n', 7, 'did you mean "high"?',
    ),
    "text for a number": (RUN + 'repeat = "3"\n', 6, "'3' is not a whole number"),
    "a number for text": (RUN + "cwd = 3\n", 6, "execute.cwd is text, not 3"),
    "text for true": (RUN + 'cell = "yes"\n', 6, "execute.cell is true or false, not text"),
    "text for a list": (RUN + 'args = "a b"\n', 6, "execute.args is a list, not text"),
    "a wrong item in a list": (RUN + 'args = [\n "a",\n 2,\n]\n', 8, "is text, not 2"),
    "a number for a table": (RUN + "env = 3\n", 6, "execute.env is a table, not 3"),
    "a table for an array of tables": (RUN + "[check]\nmax_time = 3\n", 6, "is a list"),
    "an array of tables for a table": (HEAD + '[[generate]]\ncode = "1"\n', 3, "is a table"),
    "no duration": (RUN + 'timeout = "5 parsecs"\n', 6, "is not a duration"),
    "a duration below 0": (RUN + "timeout = -1\n", 6, "is not a duration"),
    "no size": (CODE + '[sandbox]\nmemory = "lots"\n', 6, "is not a size"),
    "a size of nothing": (RUN + "memory = 0\n", 6, "is out of range"),
    "a limit of nothing": (RUN + "[[check]]\nmax_memory = 0\n", 7, "is out of range"),
    "no count": (RUN + "repeat = 0\n", 6, "is not a whole number, 1 or more"),
    "no requirement": (CODE + '[sandbox]\ninstall = ["nump y"]\n', 6, "nump y"),
    "no regular expression": (
        RUN + '[[check]]\nstdout = { matches = "(" }\n', 7, "is not a regular expression",
    ),
    "a missing candidate": (
        HEAD + '[generate]\nfiles = ["helo.py"]\n', 4, 'no such file (did you mean "hello.py"?)',
    ),
    "a glob without a match": (HEAD + '[generate]\nfiles = ["*.rb"]\n', 4, "matches no file"),
    "a bad glob": (HEAD + '[generate]\nfiles = ["/etc/*.py"]\n', 4, "no pattern for files"),
    "a missing prompt": (
        HEAD + '[generate]\ncommand = "cat"\nprompt_file = "promt.txt"\n', 5,
        'did you mean "prompt.txt"?',
    ),
    "a missing upload": (RUN + 'files = ["dta.json"]\n', 6, 'did you mean "data.json"?'),
    "missing tests": (RUN + '[[check]]\ntests = "test_y.py"\n', 7, "no such file"),
    "a missing file of cases": (CODE + '[cases]\nfile = "c.csv"\n', 6, "no such file"),
    "a file of cases of no kind": (CODE + '[cases]\nfile = "hello.py"\n', 5, "neither .csv"),
    "two ways to generate": (
        HEAD + '[generate]\ncode = "1"\nfiles = ["*.py"]\n', 3, "one of files, code",
    ),
    "no way to generate": (HEAD + "[generate]\nattempts = 2\n", 3, "one of files, code"),
    "no prompt": (HEAD + '[generate]\ncommand = "cat"\n', 3, "needs a prompt"),
    "attempts without a generator": (
        HEAD + '[generate]\ncode = "1"\nattempts = 3\n', 3, "that can try again",
    ),
    "an empty command": (
        HEAD + '[generate]\ncommand = "a \'b"\nprompt = "p"\n', 3, "cannot be split",
    ),
    "a check without execute": (CODE + "[[check]]\nexit_code = 0\n", 1, "add [execute]"),
    "a cell with arguments": (RUN + 'cell = true\nargs = ["a"]\n', 5, "a cell has no args"),
    "a cell with input": (RUN + 'cell = true\nstdin = "a"\n', 5, "a cell has no args"),
    "repeat and cache": (RUN + 'repeat = 2\ncache = "1h"\n', 5, "contradict"),
    "a variable nobody has": (
        HEAD + '[vars]\nlimit = 1\n[generate]\ncode = "print({{limt}})"\n', 6,
        'did you mean "limit"?',
    ),
    "a variable one case lacks": (
        HEAD + '[generate]\ncode = "{{a}}"\n[[case]]\na = 1\n[[case]]\nb = 1\n', 7, "has no 'a'",
    ),
    "variables in a circle": (
        CODE + '[vars]\na = "{{b}}"\nb = "{{a}}"\n', 6, "circle: a -> b -> a",
    ),
    "a variable of no variable": (CODE + '[vars]\na = "{{c}}"\n', 6, "not in [vars]"),
    "two cases of one id": (
        CODE + '[[case]]\nid = "a"\n[[case]]\nid = "a"\n', 7, "two cases with the id 'a'",
    ),
    "an id that is none": (CODE + "[[case]]\nid = [1]\n", 6, "cannot be the id"),
    "cases twice": (
        CODE + '[cases]\nfile = "good.csv"\n[[case]]\nid = "a"\n', 1, "cannot stand together",
    ),
    "a matrix of nothing": (CODE + "[matrix]\nn = []\n", 6, "matrix.n has no value"),
    "a schema that is none": (
        RUN + '[[check]]\njson = { schema = "data.json" }\n', 6, "not a JSON Schema",
    ),
    "numbers that are none": (
        RUN + '[[check]]\nnumbers = { equals = ["x"] }\n', 6, "is no number",
    ),
}  # fmt: skip

ELSEWHERE = {
    "a row too short": ("c.csv", "id,a\n1,2\n3\n", "c.csv:3"),
    "a line that is no JSON": ("c.jsonl", '{"id": 1}\n{id: 2}\n', "c.jsonl:2"),
    "a line that is no object": ("c.jsonl", '{"id": 1}\n\n[2]\n', "c.jsonl:3"),
    "a row without an id": ("c.csv", "id,a\n,2\n", "c.csv:2"),
    "two rows of one id": ("c.csv", "id,a\nx,2\nx,3\n", "c.csv:3"),
    "a variable one row lacks": ("c.jsonl", '{"id": 1, "a": 1}\n{"id": 2}\n', "c.jsonl:2"),
}


def test_there_are_enough_kinds() -> None:
    assert len(BROKEN) > 50


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, text in {"hello.py": "", "prompt.txt": "p", "data.json": "[]", "good.csv": "id\n1\n"
                       }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_wrong_is_told_with_its_line(directory: Path, kind: str) -> None:
    text, line, message = BROKEN[kind]
    file = directory / "p.toml"
    file.write_text(text)
    with pytest.raises(BrokenPipeline) as broken:
        load(file)
    problem = broken.value.problems[0]
    assert problem.where == f"{file}:{line}"
    assert message in problem.message
    assert "\n" not in problem.message


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_what_is_wrong_in_a_file_of_cases_is_told_with_its_line(directory: Path, kind: str) -> None:
    name, cases, where = ELSEWHERE[kind]
    (directory / name).write_text(cases)
    file = directory / "p.toml"
    file.write_text(HEAD + f'[generate]\ncode = "{{{{a}}}}"\n[cases]\nfile = "{name}"\n')
    with pytest.raises(BrokenPipeline) as broken:
        load(file)
    assert where in [problem.where for problem in broken.value.problems]


@pytest.mark.parametrize(
    ("words", "where", "message"),
    [
        (("--set", "execute.timeot=3"), "--set execute.timeot=3", 'did you mean "timeout"?'),
        (("--set", "execut.timeout=3"), "--set execut.timeout=3", 'did you mean "execute"?'),
        (("--set", "execute.timeout=x"), "--set execute.timeout=x", "is not a duration"),
        (("--set", "check.3.max_time=1"), "", "numbered from 0"),
        (("--set", "execute"), "", "write it like"),
        (("--var", "nmae=1"), "--var nmae", 'did you mean "name"?'),
        (("--var", "name"), "", "write it like"),
        (("--only", "on"), "", 'did you mean "one"?'),
        (("--concurrency", "0"), "", "is not a count"),
        (("--pass-rate", "95"), "", "a share from 0 to 1"),
        (("--report", "x.docx"), "", "no kind of report"),
        (("--report", "nowhere/x.xml"), "", "no such place"),
        (("--replay", "no.cassette"), "", "cannot be replayed"),
        (("--nonsense",), "", "No such option"),
    ],
)
def test_a_wrong_option_is_told_and_nothing_runs(
    place: Place, words: tuple[str, ...], where: str, message: str
) -> None:
    place.write(HEAD + '[generate]\ncode = "{{name}}"\n[execute]\n[[check]]\nexit_code = 0\n'
                '[[case]]\nid = "one"\nname = "1"\n')  # fmt: skip
    ran = place.pipeline("run", "p.toml", *words)
    assert ran.code == 2
    assert ran.out == b""
    assert message in ran.err
    assert where in ran.err
    assert not (place.directory / "state").exists()


def test_all_that_is_wrong_is_told_a_line_each_and_in_order(place: Place) -> None:
    place.write(RUN + 'timeot = 1\ncwd = 2\n[[check]]\nstdot = "1"\n')
    ran = place.pipeline("run", "p.toml")
    assert ran.code == 2
    assert [line.split(" ")[0] for line in ran.err.splitlines()] == [
        "p.toml:6:", "p.toml:7:", "p.toml:9:",
    ]  # fmt: skip


def test_with_json_what_is_wrong_is_in_the_document(place: Place) -> None:
    place.write(RUN + "timeot = 1\n")
    document = place.document("p.toml")
    assert document["exit_code"] == 2
    assert document["error"]["problems"][0]["where"] == "p.toml:6"


def test_a_file_that_is_not_there_is_told_with_the_nearest_name(place: Place) -> None:
    place.write(CODE, "hello.toml")
    ran = place.pipeline("validate", "helo.toml")
    assert (ran.code, 'did you mean "hello.toml"?' in ran.err) == (2, True)
