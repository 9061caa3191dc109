"""The templates of the embedded sandbox: a name, and the packages that its Python comes with.

The default one has what E2B's code-interpreter-v1 has, in the versions it has (a minor version is
what two of them agree in). A part is there from the start in `serve`; the rest is fetched when code
first imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from e2brun.frozen import Frozen
from e2brun.sandbox.requirement import normalized

# What the list of E2B's template names, less what has no use here (debugpy), and opencv without a
# window: the other one needs libGL, which few servers have.
# ipywidgets is not E2B's: without, tqdm in a notebook ends in an ImportError.
NAMED = frozenset({
    "aiohttp", "beautifulsoup4", "bokeh", "e2b-charts", "gensim", "imageio", "ipykernel", "ipython",
    "ipywidgets", "joblib", "jupyter-server", "kaleido", "librosa", "lxml", "matplotlib", "nltk",
    "numba", "numpy", "opencv-python-headless", "openpyxl", "orjson", "pandas", "pillow", "pip",
    "plotly", "pytest", "python-docx", "pytz", "pyyaml", "requests", "scikit-image", "scikit-learn",
    "scipy", "seaborn", "soundfile", "spacy", "sympy", "tabulate", "textblob", "tornado", "tqdm",
    "urllib3", "xarray", "xlrd",
})  # fmt: skip
# What these need, and so E2B's has as well, as far as people import it themselves.
_NEEDED = frozenset({
    "aiosignal", "annotated-types", "anyio", "argon2-cffi", "arrow", "attrs", "bleach", "blis",
    "catalogue", "certifi", "cffi", "charset-normalizer", "click", "cloudpathlib", "cloudpickle",
    "comm", "contourpy", "cycler", "cymem", "decorator", "defusedxml", "et-xmlfile", "executing",
    "fastjsonschema", "fonttools", "frozenlist", "h11", "httpcore", "httpx", "idna", "iniconfig",
    "jedi", "jinja2", "jsonpointer", "jsonschema", "jupyter-client", "jupyter-core", "kiwisolver",
    "lark", "lazy-loader", "llvmlite", "markdown-it-py", "markupsafe", "matplotlib-inline",
    "mistune", "mpmath", "msgpack", "multidict", "murmurhash", "narwhals", "nbclient",
    "nbconvert", "nbformat", "nest-asyncio", "networkx", "packaging", "parso", "pexpect",
    "platformdirs", "pluggy", "pooch", "preshed", "prometheus-client", "prompt-toolkit",
    "propcache", "psutil", "ptyprocess", "pycparser", "pydantic", "pydantic-core", "pygments",
    "pyparsing", "python-dateutil", "python-json-logger", "pyzmq", "referencing", "regex", "rich",
    "rpds-py", "send2trash", "setuptools", "simplejson", "six", "smart-open", "soupsieve", "soxr",
    "srsly", "stack-data", "thinc", "threadpoolctl", "tifffile", "tinycss2", "traitlets", "typer",
    "typing-extensions", "typing-inspection", "tzdata", "wasabi", "wcwidth", "webcolors",
    "webencodings", "websocket-client", "wrapt", "xyzservices", "yarl",
})  # fmt: skip
_OTHER_NAMES = {"opencv-python": "opencv-python-headless"}
_VERSIONS = {
    "ipykernel": "<7",
    "ipython": ">=9.17,<10",
    "jupyter-server": "<3",
    "matplotlib": ">=3.10,<3.11",
    "numpy": ">=2.3,<2.4",
    "opencv-python-headless": ">=4.11,<4.12",
    "pandas": ">=2.2.3,<2.3",
    "pillow": ">=12,<13",
    "plotly": ">=6,<7",
    "scikit-learn": ">=1.6,<1.7",
}
# These have wheels for these Pythons; another gets what there is for it.
_OLDEST, _NEWEST = (3, 11), (3, 13)
_ELSEWHERE = {"pandas": "<3", "matplotlib": "<3.11", "ipython": "<10"}
_FROM_THE_START = (
    "ipython", "numpy", "pandas", "matplotlib", "pillow", "e2b-charts", "orjson", "pip", "scipy",
    "scikit-learn", "seaborn", "sympy", "requests", "aiohttp", "beautifulsoup4", "lxml",
    "openpyxl", "pytest", "pytz", "pyyaml", "tabulate", "tqdm",
)  # fmt: skip


class Template(Frozen):
    """One template; `packages` are there from the start, a layer that sandboxes share."""

    name: str
    template_id: str
    aliases: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    @property
    def notebook(self) -> bool:
        """Whether its Python contexts are IPython's."""
        return "ipython" in self.packages


BASE = Template("base", "rki5dems9wqfm4r03t7g")
CODE_INTERPRETER = Template(
    "code-interpreter-v1",
    "nlhz8vlwyupq845jsdg9",
    ("code-interpreter", "code-interpreter-stateful", "python"),
    _FROM_THE_START,
)
TEMPLATES = (BASE, CODE_INTERPRETER)


def find(name: str) -> Template | None:
    """The template of this name, id or alias; a `:default` tag is the same."""
    name = name.removesuffix(":default")
    for template in TEMPLATES:
        if name in (template.name, template.template_id, *template.aliases):
            return template
    return None


def is_default(name: str | None) -> bool:
    """Whether this name (None: none was given) means the default template."""
    return name is None or find(name) is CODE_INTERPRETER


def member(distribution: str) -> str | None:
    """The name under which the default template has this distribution, None where it has not."""
    name = normalized(distribution)
    name = _OTHER_NAMES.get(name, name)
    return name if name in NAMED or name in _NEEDED else None


def parted(packages: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of the default template, which say no version, and whatever else there is."""
    given = tuple(packages)
    named = tuple(text for text in given if member(text))
    return named, tuple(text for text in given if text not in named)


def beside(names: Iterable[str], there: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that are not `there`, whichever OpenCV that is."""
    present = {name.removesuffix("-headless") for name in there}
    return tuple(name for name in names if name.removesuffix("-headless") not in present)


def requirements(
    names: Iterable[str], version: tuple[int, ...] = sys.version_info[:2]
) -> tuple[str, ...]:
    """What to install for packages of the default template in this Python."""
    pins = _VERSIONS if _OLDEST <= tuple(version[:2]) <= _NEWEST else _ELSEWHERE
    return tuple(f"{name}{pins.get(name, '')}" for name in names)
