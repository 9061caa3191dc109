"""What a program could see of the interpreter it was forked into: told from its compiled code.

Forks have one hash seed, and the addresses of their objects alike. So a program that can look at a
hash (a set of strings is enough) is started instead, and so is one that can look at what starts
it. What it may import is a closed list. Code that hides from this look what it does learns the
seed its neighbours have, and nothing of what they do.
"""

from __future__ import annotations

import opcode
import re
from types import CodeType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Seen:
    """How much: nothing; the order of its end; which modules are there; that it was not started."""

    NOTHING, END, IMPORTS, START = range(4)


# Neither they nor what they show depends on a hash, but for the names below.
_MODULES = _words(
    "__future__ abc argparse array asyncio atexit base64 binascii bisect calendar cmath codecs "
    "collections contextlib copy csv datetime decimal enum errno fractions functools glob hashlib "
    "heapq hmac html io itertools json locale logging math numbers operator os pathlib pprint "
    "queue random re secrets shutil signal statistics string struct sys tempfile textwrap "
    "threading time traceback types typing unicodedata uuid warnings zlib"
)
_HASHES = _words(
    "hash set frozenset eval exec compile getattr vars globals locals breakpoint help modules "
    "stdlib_module_names supports_bytes_environ supports_dir_fd supports_effective_ids "
    "supports_fd supports_follow_symlinks valid_signals pthread_sigmask sigpending get_field "
    "vformat get_type_hints ForwardRef attrgetter methodcaller algorithms_available "
    "algorithms_guaranteed FunctionType CodeType LambdaType f_builtins f_globals f_locals "
    "_make_key all_tasks path_importer_cache getallocatedblocks getrefcount "
    "find_spec util machinery get_ident native_id settrace setprofile"
)
# "abc": there is a collections.abc as soon as somebody has imported it.
_IMPORTS = _words("abc meta_path path_hooks addaudithook setswitchinterval dir")
# None of them makes what does something when it is freed.
_PURE = _words(
    "__future__ abc bisect cmath collections copy dataclasses datetime decimal enum fractions "
    "functools heapq itertools json math numbers operator random re statistics string sys time "
    "types typing"
)
_ENDS = _words(
    "open __del__ __file__ buffer detach fileno reconfigure __stdout__ __stderr__ stdout stderr "
    "excepthook displayhook unraisablehook exit quit"
)
_VIEWS = _words("keys items")  # & | ^ - make sets of them
_DUNDERS = _words(
    "__name__ __main__ __file__ __doc__ __module__ __qualname__ __annotations__ __spec__ "
    "__cached__ __package__ __loader__ __firstlineno__ __static_attributes__ __classcell__ "
    "__conditional_annotations__ __class__ __slots__ __match_args__ __debug__ __all__ __version__ "
    "__author__ __init__ __new__ __del__ __repr__ __str__ __format__ __bytes__ __bool__ __len__ "
    "__lt__ __le__ __eq__ __ne__ __gt__ __ge__ __call__ __iter__ __next__ __reversed__ "
    "__contains__ __getitem__ __setitem__ __delitem__ __missing__ __enter__ __exit__ __aenter__ "
    "__aexit__ __aiter__ __anext__ __await__ __get__ __set__ __delete__ __set_name__ "
    "__init_subclass__ __class_getitem__ __post_init__ __int__ __float__ __complex__ __index__ "
    "__round__ __trunc__ __floor__ __ceil__ __abs__ __neg__ __pos__ __invert__ __copy__ "
    "__deepcopy__ __getattr__ __setattr__ __delattr__ __cause__ __context__ __traceback__ "
    "__suppress_context__ __notes__ __stdin__ __stdout__ __stderr__ __excepthook__"
) | {
    f"__{kind}{name}__"
    for name in _words(
        "add sub mul matmul truediv floordiv mod divmod pow and or xor lshift rshift"
    )
    for kind in ("", "r", "i")
}
_DUNDER = re.compile(r"__\w+__\Z").match
_TELLING = re.compile(r"__(?!main__\Z)|/proc|/sys/|stdlib_module|supports_|algorithms_").search
_BUILD_SETS = {opcode.opmap[n] for n in ("BUILD_SET", "SET_ADD", "SET_UPDATE") if n in opcode.opmap}
_IMPORT, _EXTENDED = opcode.opmap["IMPORT_NAME"], opcode.EXTENDED_ARG
_GENERATES = 0x20 | 0x80 | 0x200  # CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR
_SET_SIGNS = {"&", "|", "^", "-", "&=", "|=", "^=", "-="}
_SET_OPERATION = re.compile(
    b"%c[%s]"
    % (
        opcode.opmap["BINARY_OP"],
        re.escape(bytes(at for at, (_, sign) in enumerate(opcode._nb_ops) if sign in _SET_SIGNS)),  # type: ignore[attr-defined]
    ),
    re.DOTALL,
).search


def seen(code: CodeType) -> int:
    """What the code of a program could see."""
    names: set[str] = set()
    modules: set[str] = set()
    operates = generates = False
    for part in _codes(code):
        names.update(part.co_names)
        words = part.co_code
        used = {*words[::2]}
        if used & _BUILD_SETS or any(_is_telling(constant) for constant in part.co_consts):
            return Seen.START
        if _IMPORT in used:
            modules.update(name.partition(".")[0] for name in _imported(part, words))
        operates = operates or _SET_OPERATION(words) is not None
        generates = generates or (part.co_flags & _GENERATES != 0 and part.co_name != "<genexpr>")
    if not modules <= _MODULES or names & _HASHES or (operates and names & _VIEWS):
        return Seen.START
    if any(_DUNDER(name) and name not in _DUNDERS for name in names):
        return Seen.START
    if names & _IMPORTS:
        return Seen.IMPORTS
    return Seen.END if generates or not modules <= _PURE or names & _ENDS else Seen.NOTHING


def imports(code: CodeType) -> bool:
    """Whether there is anything that the code of a program imports."""
    return any(_IMPORT in part.co_code[::2] for part in _codes(code))


def _codes(code: CodeType) -> Iterable[CodeType]:
    left = [code]
    while left:
        code = left.pop()
        yield code
        left += [constant for constant in code.co_consts if type(constant) is CodeType]


def _imported(code: CodeType, words: bytes) -> Iterable[str]:
    for at in range(0, len(words), 2):
        if words[at] == _IMPORT:
            if at and words[at - 2] == _EXTENDED:
                yield ""
            else:
                yield code.co_names[words[at + 1]]


def _is_telling(constant: Any) -> bool:
    if isinstance(constant, str):
        return _TELLING(constant) is not None
    if constant.__class__ is tuple:  # isinstance would leave what is in it unknown to pyright
        return any(map(_is_telling, constant))
    return constant.__class__ is frozenset and not all(
        isinstance(member, int | float) for member in constant
    )
