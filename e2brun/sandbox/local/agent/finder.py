"""Where nobody finds a module in a Python inside: have it, if the template has it.

Runs when that happens first, for what `demand` has every start put last in sys.meta_path. It is no
module of the program's. What libraries try and do without is not had: of what the template's
packages only need, no more than the program's own code names.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import FrameType, ModuleType
    from typing import Any

DOOR = b"\0e2brun-packages"  # an abstract address: of this network namespace alone
_PLACE_LIMIT = 1024
_SECONDS = 120  # for the host to fetch it
_asked: set[str] = set()
# The modules of the default template's packages, those it names and those that these need. A test
# compares them with `templates` and `distributions`, which are not to be seen in here.
NAMED = (
    "PIL", "_pytest", "_yaml", "aiohttp", "beautifulsoup4", "bokeh", "bs4", "cv2", "docx",
    "e2b_charts", "gensim", "imageio", "ipykernel", "ipython", "ipywidgets", "joblib",
    "jupyter_server", "kaleido", "librosa", "lxml", "matplotlib", "mpl_toolkits", "nltk",
    "numba", "numpy", "opencv_python_headless", "openpyxl", "orjson", "pandas", "pillow", "pip",
    "plotly", "pylab", "pytest", "python_docx", "pytz", "pyyaml", "requests", "scikit_image",
    "scikit_learn", "scipy", "seaborn", "skimage", "sklearn", "soundfile", "spacy", "sympy",
    "tabulate", "textblob", "tornado", "tqdm", "urllib3", "xarray", "xlrd", "yaml",
)  # fmt: skip
NEEDED = (
    "_cffi_backend", "aiosignal", "annotated_types", "anyio", "argon2", "argon2_cffi", "arrow",
    "attr", "attrs", "bleach", "blis", "catalogue", "certifi", "cffi", "charset_normalizer",
    "click", "cloudpathlib", "cloudpickle", "comm", "contourpy", "cycler", "cymem", "dateutil",
    "decorator", "defusedxml", "et_xmlfile", "executing", "fastjsonschema", "fonttools",
    "frozenlist", "h11", "httpcore", "httpx", "idna", "iniconfig", "jedi", "jinja2",
    "jsonpointer", "jsonschema", "jupyter_client", "jupyter_core", "kiwisolver", "lark",
    "lazy_loader", "llvmlite", "markdown_it", "markdown_it_py", "markupsafe",
    "matplotlib_inline", "mistune", "mpmath", "msgpack", "multidict", "murmurhash", "narwhals",
    "nbclient", "nbconvert", "nbformat", "nest_asyncio", "networkx", "packaging", "parso",
    "pexpect", "platformdirs", "pluggy", "pooch", "preshed", "prometheus_client",
    "prompt_toolkit", "propcache", "psutil", "ptyprocess", "pycparser", "pydantic",
    "pydantic_core", "pygments", "pyparsing", "python_dateutil", "python_json_logger",
    "pythonjsonlogger", "pyzmq", "referencing", "regex", "rich", "rpds", "rpds_py",
    "send2trash", "setuptools", "simplejson", "six", "smart_open", "soupsieve", "soxr", "srsly",
    "stack_data", "thinc", "threadpoolctl", "tifffile", "tinycss2", "traitlets", "typer",
    "typing_extensions", "typing_inspection", "tzdata", "wasabi", "wcwidth", "webcolors",
    "webencodings", "websocket", "websocket_client", "wrapt", "xyzservices", "yarl", "zmq",
)  # fmt: skip


def found(us: Any, name: str, target: ModuleType | None) -> ModuleSpec | None:
    """A top-level module of the template's list, each asked for once; `us` is the finder."""
    frame: FrameType = vars(sys)["_getframe"](2)
    if name in _asked or (name in NEEDED and _is_a_librarys(frame)):
        return None
    for finder in sys.meta_path[sys.meta_path.index(us) + 1 :]:  # who has joined after us
        if (spec := finder.find_spec(name, None, target)) is not None:
            return spec
    _asked.add(name)
    place = _asked_for(name)
    if not place:
        return None
    reach(place)
    external: Any = sys.modules["_frozen_importlib_external"]
    there: ModuleSpec | None = external.PathFinder.find_spec(name, [place], target)
    return there


def _is_a_librarys(frame: FrameType | None) -> bool:
    """The import that this frame is part of."""
    file = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<frozen ") and "/importlib/" not in file:
            break
        frame = frame.f_back
    return "-packages/" in file or file.startswith("/opt/e2brun/")


def _asked_for(name: str) -> str:
    """Where it is now; empty: nowhere."""
    socket: Any = __import__("_socket")
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        asking.settimeout(_SECONDS)
        asking.connect(DOOR)
        asking.send(name.encode())
        place = str(asking.recv(_PLACE_LIMIT), "utf-8")
    except OSError:
        return ""
    else:
        return place
    finally:
        asking.close()


def reach(path: str) -> None:
    """Import from this directory as well, here and in the Pythons that are started from here."""
    sys.path.append(path)
    site: Any = __import__("site")
    try:
        place = site.getusersitepackages()
        os.makedirs(place, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        file = os.open(f"{place}/e2brun-template.pth", flags, 0o644)
        try:
            os.write(file, f"{path}\n".encode())
        finally:
            os.close(file)
    except Exception:  # the home is full, or theirs to arrange
        return
