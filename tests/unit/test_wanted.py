"""What code uses of the default template, and what its cells have pip install: read, never run."""

from __future__ import annotations

import time

import pytest

from e2brun.jobs.needs import Fetched, Wanted, needs_of
from e2brun.jobs.pip_lines import advice, requirements_of
from e2brun.jobs.source import Kind, Source
from e2brun.jobs.wanted import texts_of, wanted, wants_of
from e2brun.sandbox.contract import Upload
from e2brun.sandbox.local import templates


@pytest.mark.parametrize(
    ("code", "packages"),
    [
        ("import os, sys, json", ()),
        ("import numpy as np, pandas", ("numpy", "pandas")),
        ("from PIL import Image", ("pillow",)),
        ("import cv2", ("opencv-python-headless",)),
        ("import sklearn.linear_model", ("scikit-learn",)),
        ("from dateutil import parser", ("python-dateutil",)),
        ("import six; import yaml", ("pyyaml", "six")),
        ("try: import bs4\nexcept ImportError: pass", ("beautifulsoup4",)),
        ("def f():\n    import docx", ("python-docx",)),
        ("import importlib\nimportlib.import_module('skimage.io')", ("scikit-image",)),
        ("import requests, boto3, tensorflow", ("requests",)),
        ("'''\nimport numpy\n'''", ()),
        ("# import numpy", ()),
        ("from . import numpy", ()),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy", ()),
        ("import pandas as pd\npd.read_excel('x.xlsx')", ("openpyxl", "pandas")),
        ("import pandas\nd.plot()", ("matplotlib", "pandas")),
        ("# python -m pip install numpy\nprint('a pip of an apple')", ()),
        ("import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pip', 'list'])", ("pip",)),
        ("import os\nos.system('pip install x')", ("pip",)),
        ("import os\nos.system('pip --version')", ("pip",)),
        ("import importlib.metadata as m\nm.version('Numpy')", ("numpy",)),
        (
            "from importlib import metadata\nfor n in ('pandas', 'x'): metadata.version(n)",
            ("pandas",),
        ),
        ("from importlib.util import find_spec\nfind_spec('PIL')", ("pillow",)),
        ("metadata = {'version': 'numpy'}", ()),
        (b"\xff\xfe import numpy", ()),
        ("import \x00", ()),
        ("import numpy\nthis is no Python", ("numpy",)),
    ],
)
def test_a_program_wants_what_it_imports_of_the_template(
    code: str | bytes, packages: tuple[str, ...]
) -> None:
    assert wanted([code]) == packages


@pytest.mark.parametrize(
    ("script", "packages"),
    [("set -e && pip install x", ("pip",)), ("for n in x; do\n  pip3 show $n\ndone", ("pip",)),
     ("# pip install x\necho pipe | cat", ())],
)  # fmt: skip
def test_a_shell_script_wants_pip_where_it_calls_it(script: str, packages: tuple[str, ...]) -> None:
    assert wanted([script], shell=True) == packages


@pytest.mark.parametrize(
    ("code", "packages"),
    [
        ("!pip install -q plotly cowsay", ("nbformat", "pip", "plotly")),
        ("%pip install 'xarray[io]>=2' | tail -1", ("pip", "xarray")),
        ("!{sys.executable} -m pip install nltk", ("nltk", "pip")),
        ("%%bash\nset -e\npip3 install gensim", ("gensim", "pip")),
        ("!ls\nimport sympy", ("sympy",)),
        ("import plotly.graph_objects as go", ("nbformat", "plotly")),
        ("import matplotlib.pyplot as plt", ("e2b-charts", "matplotlib")),
        ("%pylab inline\nhist([1])", ("e2b-charts", "matplotlib")),
        ("x = 'pip install numpy'", ("pip",)),
    ],
)
def test_a_cell_wants_what_it_has_pip_install_as_well(code: str, packages: tuple[str, ...]) -> None:
    assert wanted([code], cells=True) == packages


def test_what_was_sent_along_is_not_fetched_and_what_that_imports_is() -> None:
    uploads = [
        Upload("/home/user/yaml/__init__.py", b"import tqdm"),
        Upload("src/tabulate.py", b""),
    ]
    code = "import yaml, tabulate, xlrd"
    texts: list[str | bytes] = [code, *texts_of(uploads)]
    assert wants_of(texts, uploads, template=None, cells=False) == ("tqdm", "xlrd")


@pytest.mark.parametrize(
    ("template", "packages"),
    [(None, ("xlrd",)), ("python", ("xlrd",)), ("base", ()), ("my-own", ())],
)
def test_only_the_default_template_has_them(
    template: str | None, packages: tuple[str, ...]
) -> None:
    assert wants_of(["import xlrd"], (), template=template, cells=False) == packages


def test_a_long_program_is_read_in_no_time() -> None:
    code = "import os  # " + "import " * 20 + "\n"
    started = time.process_time()
    assert wanted([code * 50_000 + "-m pi " * 10_000 + "-m" + " " * 100_000]) == ()
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("code", "requirements"),
    [
        ("%pip install a 'b[x]>=1,<2' c==3 -q  # for later", ("a", "b[x]>=1,<2", "c==3")),
        ("!pip install a && echo done; ls > b", ("a",)),
        ("!pip install a \\\n    b", ("a", "b")),
        ("if True:\n    !pip install -U a", ("a",)),
        ("!pip install -i https://index.example a", ()),  # may be another `a` there
        ("!pip install -r requirements.txt", ()),
        ("!pip install git+https://example.com/a ./b", ()),
        ("!pip install 'a", ()),
        ("!pip list", ()),
        ("print('!pip install a')", ()),
        ("x = '''\n!pip install a\n'''", ()),
        ("%pip install " + "a" * 10_000, ()),
    ],
)
def test_the_lines_that_install_are_requirements(code: str, requirements: tuple[str, ...]) -> None:
    assert requirements_of([code]) == requirements


def test_there_is_advice_for_what_pip_will_not_find() -> None:
    said = advice(["!pip install cowsay numpy plotly==5.1"], ["numpy"])
    assert said is not None
    assert "(cowsay, plotly==5.1)" in said
    assert "--auto-install" in said
    assert "--network" in said
    assert advice(["!pip install numpy Cow_Say", "1 + 1"], ["cow-say>1"]) is None
    assert advice(["!pip install -r needs.txt"], ()) is not None


def test_auto_install_leaves_to_the_template_what_it_has() -> None:
    code = "!pip install cowsay==6 pandas==2.0 numpy\nimport cowsay, numpy, boto3"

    def found(*, fetch: bool = True, template: str | None = None) -> tuple[str, ...]:
        source = Source("-c", code.encode(), Kind.PYTHON, None)
        fetched = Fetched(template, cells=True, fetch=fetch)
        return needs_of(source, [code], Wanted(auto=True), (), fetched).install

    assert found() == ("cowsay==6", "pandas==2.0", "boto3")
    assert found(fetch=False) == ("cowsay==6", "pandas==2.0", "numpy", "boto3")
    assert found(template="base") == ("cowsay==6", "pandas==2.0", "numpy", "boto3")


def test_the_list_has_what_e2b_has() -> None:
    theirs = (
        "aiohttp", "beautifulsoup4", "bokeh", "e2b_charts", "gensim", "imageio", "ipykernel",
        "ipython", "joblib", "jupyter-server", "kaleido", "librosa", "matplotlib", "nltk",
        "numba", "numpy", "opencv-python", "openpyxl", "orjson", "pandas", "pillow", "plotly",
        "pytest", "python-docx", "pytz", "requests", "scikit-image", "scikit-learn", "scipy",
        "seaborn", "soundfile", "spacy", "sympy", "textblob", "tornado", "urllib3", "xarray",
        "xlrd",
    )  # fmt: skip
    assert [name for name in theirs if templates.member(name) is None] == []
    assert templates.member("tensorflow") is None


def test_versions_are_the_templates_where_they_have_wheels() -> None:
    names = ("pandas", "tabulate")
    assert templates.requirements(names, (3, 12)) == ("pandas>=2.2.3,<2.3", "tabulate")
    assert templates.requirements(names, (3, 15)) == ("pandas<3", "tabulate")
