"""PEP 723 metadata, requirements files, --install values, imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from e2brun.errors import InstallFailed, UsageError
from e2brun.jobs.diagnosis import wants_what_does_not_exist
from e2brun.jobs.needs import missing_imports
from e2brun.jobs.requirements import (
    ScriptMetadata,
    check_requires_python,
    inline_metadata,
    requirements_from_file,
)
from e2brun.sandbox.requirement import parse_requirement

SCRIPT = """#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "requests<3",
#   "rich",
# ]
# ///
import requests
"""


def missing(source: str | bytes, **options: object) -> tuple[str, ...]:
    version = options.get("version", (3, 11))
    assert isinstance(version, tuple)
    return missing_imports(source, python_version=version)


def test_inline_metadata_is_read() -> None:
    expected = ScriptMetadata(("requests<3", "rich"), ">=3.11")
    assert inline_metadata(SCRIPT) == expected
    assert inline_metadata(SCRIPT.encode()) == expected
    assert inline_metadata(SCRIPT.replace("\n", "\r\n").encode()) == expected
    assert inline_metadata(b"\xef\xbb\xbf" + SCRIPT.partition("\n")[2].encode()) == expected


def test_a_script_without_metadata_needs_nothing_and_imports_nothing() -> None:
    code = (
        "import sys\n"
        "from e2brun.jobs.requirements import inline_metadata\n"
        "inline_metadata(b'print(1)')\n"
        "sys.exit(bool({'tomllib', 'packaging'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert inline_metadata("print(1)\n") == ScriptMetadata()


@pytest.mark.parametrize(
    "text",
    [
        '# /// script\n# dependencies = ["six"]\n',  # not closed
        '# /// other\n# dependencies = ["six"]\n# ///\n# see # /// script\n',
        '# /// script\n#dependencies = ["six"]\n# ///\n',  # a line that is no content line
        '  # /// script\n  # dependencies = ["six"]\n  # ///\n',
    ],
)
def test_what_the_specification_does_not_take_for_a_block_is_none(text: str) -> None:
    assert inline_metadata(text) == ScriptMetadata()


def test_a_block_may_hold_lines_that_look_like_its_end() -> None:
    text = '# /// script\n# dependencies = []\n# ///\n# x = "y"\n# ///\n'
    with pytest.raises(UsageError, match=r"s\.py:3: Invalid statement"):
        inline_metadata(text, "s.py")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("# dependencies = [\n# nonsense\n", r"s\.py:4: "),
        ("# x = 1\n# dependencies = 'six'\n", r"s\.py:4: dependencies is not a list of strings"),
        ("# dependencies = ['six', 3]\n", r"s\.py:3: dependencies is not a list of strings"),
        ("# requires-python = 3.11\n", r"s\.py:3: requires-python is not a string"),
        (f"# requires-python = '>={'9' * 5000}'\n", r"s\.py:3: requires-python .>=9+. is not"),
        ("# requires-python = 'new'\n", r"s\.py:3: requires-python 'new' is not a version"),
        ("# dependencies = [\n#  'a b',\n# ]\n", r"s\.py:4: 'a b' is not a requirement"),
        (f"# dependencies = ['six; {'(' * 4000}']\n", r"s\.py:3: 'six; \(+' is not a requirement"),
    ],
)
def test_bad_metadata_is_an_error_at_its_line(block: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        inline_metadata(f"x = 1\n# /// script\n{block}# ///\n", "s.py")


def test_two_script_blocks_are_an_error_at_the_second() -> None:
    block = "# /// script\n# dependencies = []\n# ///\n"
    with pytest.raises(UsageError, match=r"s\.py:5: .*only one"):
        inline_metadata(f"{block}\n{block}", "s.py")


def test_a_python_that_does_not_suit_is_refused_with_the_remedy() -> None:
    check_requires_python(">=3.11,<4", (3, 11, 7), "s.py")
    check_requires_python("", (3, 11, 7), "s.py")
    with pytest.raises(
        UsageError, match=r"s\.py requires Python >=3\.13, and this is 3\.11\.7"
    ) as e:
        check_requires_python(">=3.13", (3, 11, 7), "s.py")
    assert "--python" in e.value.hint


def test_a_requirements_file_is_read_with_the_files_it_includes(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("numpy>=2 ; python_version >= '3.11'  # arrays\n")
    (tmp_path / "all.txt").write_text(
        "\ufeff# comment\n\n-r base.txt\nrequests[socks] \\\n  <3\nrich#not-a-comment\n"[:-20]
        + "\npkg @ https://example.com/pkg-1.0-py3-none-any.whl#sha256=0\n"
    )
    assert requirements_from_file(tmp_path / "all.txt") == (
        "numpy>=2 ; python_version >= '3.11'",
        "requests[socks]   <3",
        "pkg @ https://example.com/pkg-1.0-py3-none-any.whl#sha256=0",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("six --hash=sha256:00", "--hash is not supported"),
        ("six \\\n  --hash=sha256:00", "--hash is not supported"),
        ("-c other.txt", "constraints"),
        ("--constraint=other.txt", "constraints"),
        ("-e .", "editable"),
        ("--index-url https://example.com", "UV_DEFAULT_INDEX"),
        ("--find-links=.", "UV_FIND_LINKS"),
        ("--pre", "option --pre"),
        ("six --no-deps", "option --no-deps"),
        ("./six.whl", "path or URL"),
        ("dist/six.whl", "path or URL"),
        ("git+https://example.com/six", "path or URL"),
        ("six == ", "not a requirement"),
    ],
)
def test_what_a_requirements_file_may_not_hold_is_an_error_at_its_line(
    tmp_path: Path, line: str, message: str
) -> None:
    file = tmp_path / "r.txt"
    file.write_text(f"rich\n{line}\n")
    with pytest.raises(UsageError, match=rf"r\.txt:2: .*{message}") as caught:
        requirements_from_file(file)
    assert "\n" not in str(caught.value)


def test_requirements_files_in_a_circle_or_missing_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("-rb.txt\n")
    (tmp_path / "b.txt").write_text("--requirement=a.txt\n")
    with pytest.raises(UsageError, match="includes itself"):
        requirements_from_file(tmp_path / "a.txt")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        requirements_from_file(tmp_path / "c.txt")


def test_a_requirement_is_checked_and_credentials_are_not_repeated() -> None:
    assert parse_requirement(" NumPy[x]>=2 ; os_name == 'posix' ").name == "NumPy"
    for text in (
        "-r x",
        "--index-url=x",
        "./x",
        "a/b",
        "~/x",
        "https://me:secret@x/y.whl",
        "",
        "é",
    ):
        with pytest.raises(UsageError) as caught:
            parse_requirement(text)
        assert "secret" not in str(caught.value)


def test_imports_are_found_wherever_they_are_and_named_as_their_packages() -> None:
    source = """
import os, numpy as np, xml.etree
from sklearn.svm import SVC
from . import sibling
from .pkg import other
import yaml, cv2
try:
    import PIL.Image
except ImportError:
    PIL = None
def f():
    from bs4 import BeautifulSoup
    import dateutil.parser
"""
    assert missing(source) == (
        "beautifulsoup4",
        "numpy",
        "opencv-python-headless",
        "pillow",
        "python-dateutil",
        "PyYAML",
        "scikit-learn",
    )


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("import google.protobuf.message", "protobuf"),
        ("from google.protobuf import descriptor", "protobuf"),
        ("from google.cloud import storage", "google-cloud-storage"),
        ("from google.cloud.bigquery import Client", "google-cloud-bigquery"),
        ("import google.cloud.secretmanager_v1", "google-cloud-secretmanager-v1"),
        ("from azure.storage.blob import BlobClient", "azure-storage-blob"),
        ("import azure.identity", "azure-identity"),
        ("from ruamel.yaml import YAML", "ruamel.yaml"),
        ("from ruamel import yaml", "ruamel.yaml"),
        ("import zope.interface", "zope.interface"),
        ("from mpl_toolkits.mplot3d import Axes3D", "matplotlib"),
        ("import pkg_resources", "setuptools<81"),
        ("from my_module import x", "my_module"),
    ],
)
def test_a_dotted_or_renamed_module_has_its_package(line: str, package: str) -> None:
    assert missing(line) == (package,)


@pytest.mark.parametrize(
    "line",
    [
        "import google",
        "from google import colab",
        "import win32api",
        "import __main__",
        "from . import x",
        "import _private_thing",
        "if TYPE_CHECKING:\n    import numpy",
        "def f(:",
        "\0",
        b"\xff",
    ],
)
def test_what_nobody_can_install_is_left_alone(line: str | bytes) -> None:
    assert missing(line) == ()


def test_the_standard_library_is_that_of_the_python_that_will_run() -> None:
    assert missing("import distutils, telnetlib, tomllib") == ()
    assert missing("import distutils, telnetlib, tomllib", version=(3, 13)) == (
        "setuptools",
        "standard-telnetlib",
    )


def test_modules_that_come_along_are_not_installed() -> None:
    source = "import helper.part, numpy"
    assert missing_imports(source, python_version=(3, 11), present={"helper"}) == ("numpy",)


def test_the_magics_of_a_notebook_do_not_hide_its_imports() -> None:
    assert missing("%matplotlib inline\nif 1:\n    !ls\nimport numpy\n") == ("numpy",)


def test_a_warning_about_the_source_is_not_ours_to_print() -> None:
    assert missing("import numpy\nx = '\\d'\nif x is 'y': pass") == ("numpy",)


def test_every_known_package_name_is_a_requirement() -> None:
    from e2brun.jobs.distributions import DISTRIBUTIONS, REMOVED_MODULES

    packages = [*DISTRIBUTIONS.values(), *(package for _, package in REMOVED_MODULES.values())]
    for package in filter(None, packages):
        assert parse_requirement(package).name


def test_metadata_longer_than_anybody_writes_is_refused() -> None:
    comments = "# # of which TOML makes nothing\n" * 3000
    with pytest.raises(UsageError, match=r"odd\.py:1: the script's metadata is too long"):
        inline_metadata(f"# /// script\n{comments}# ///\n", "odd.py")


@pytest.mark.parametrize(
    ("said", "own", "found"),
    [
        ("no-such-mod was not found in the package registry", "No_Such.Mod[x]>=1", True),
        ("there is no version of no-such-mod==9", "no_such_mod==9", True),
        ("there is no version of no-such-mod==9", "mod", False),
        ("no-such-mod was not found in the package registry", "regis", False),
        ("the package registry cannot be reached", "no_such_mod", False),
    ],
)
def test_a_package_that_there_is_not_is_the_fault_of_whoever_names_it(
    said: str, own: str, found: bool
) -> None:
    assert wants_what_does_not_exist(InstallFailed(said), [own]) is found
