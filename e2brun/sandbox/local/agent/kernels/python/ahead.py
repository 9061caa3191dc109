"""Import, in the process that sandboxes are forked from, what their code is known to import."""

from __future__ import annotations

import itertools
import logging
import os
import sys
import threading
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def _yes(*_arguments: object, **_options: object) -> bool:
    return True


def import_ahead(names: Iterable[str], home: str) -> None:
    """What cannot be imported here, the code itself may try. Leaves no thread, and nothing that
    tells where it was done."""
    access = os.access
    # Matplotlib insists on a directory that it can write to: here is none, later there is.
    os.access = _yes
    os.environ["MPLCONFIGDIR"] = home
    logging.disable()  # it cannot keep its list of fonts, and finds it the first time
    try:
        for name in names:
            with suppress(Exception):
                __import__(name)
    finally:
        os.access = access
        del os.environ["MPLCONFIGDIR"]
        logging.disable(logging.NOTSET)
    matplotlib: Any = sys.modules.get("matplotlib")
    for place in ("get_configdir", "get_cachedir"):
        with suppress(AttributeError):
            asked_anew = matplotlib._logged_cached("%s")(getattr(matplotlib, place).__wrapped__)
            setattr(matplotlib, place, asked_anew)
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(1)
    count: Any = threading  # that of the names of threads
    count._counter = itertools.count(1).__next__
