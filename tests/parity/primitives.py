"""Run by a Python of its own, once for each backend: what `CodeExecutionPrimitive` makes of each
input of the table, as one JSON document."""

from __future__ import annotations

import asyncio
import json
import sys
import traceback

Options = dict[str, object]

# name: (settings of the primitive, its input)
PRIMITIVES: dict[str, tuple[Options, object]] = {
    "a value": ({}, {"code": "1 + 1"}),
    "both streams": ({}, {"code": "import sys; print('o'); print('e', file=sys.stderr); 'v'"}),
    "an exception": ({}, {"code": "print('a')\ndef f(): return 1/0\nf()"}),
    "os._exit": ({}, {"code": "import os; os._exit(7)"}),
    "a time limit": ({"timeout": 1}, {"code": "import time; print('in'); time.sleep(30)"}),
    "a time limit of the input": ({}, {"code": "while True: pass", "timeout": 1}),
    "files": ({}, {
        "code": "import helper; print(open('d/x.bin', 'rb').read(), helper.y)",
        "files": {"d/x.bin": "ü", "helper.py": "y = 3"},
    }),
    "a working directory": ({"working_directory": "/workspace"}, {
        "code": "import os; print(os.getcwd()); open('x', 'w')",
    }),
    "a working directory with files": ({"working_directory": "work"}, {
        "code": "import os; print(os.getcwd(), os.listdir())", "files": {"a": "1"},
    }),
    "a path of modules": ({
        "working_directory": "/workspace", "environment_vars": {"PYTHONPATH": "/workspace/src"},
    }, {"code": "import mine; mine.z", "files": {"src/mine.py": "z = 9"}}),
    "keys that it does not know": ({}, {"code": "1", "syntax_valid": True, "other": [1]}),
    "no code": ({}, {"timeout": 1}),
    "code that is no text": ({}, {"code": 5}),
    "not a dict": ({}, "1 + 1"),
    "a time limit that is none": ({}, {"code": "1", "timeout": -1}),
    "files that are none": ({}, {"code": "1", "files": {"/proc/x": "1"}}),
}  # fmt: skip


async def _told(on: str, options: Options, given: object) -> object:
    from e2brun import CodeExecutionPrimitive, E2brunError, WorkflowContext

    try:
        step = CodeExecutionPrimitive(on=on, **options)  # type: ignore[arg-type]
        ran = await step.execute(given, WorkflowContext(correlation_id="c"))  # type: ignore[arg-type]
    except E2brunError as error:
        return [type(error).__name__, str(error), error.hint]
    except Exception:  # noqa: BLE001  # a bug: the test shows it
        return traceback.format_exc()
    own = ("execution_time", "sandbox_id")
    return {key: value for key, value in ran.items() if key not in own}


async def _all(on: str) -> dict[str, object]:
    return {name: await _told(on, options, given) for name, (options, given) in PRIMITIVES.items()}


if __name__ == "__main__":
    json.dump(asyncio.run(_all(sys.argv[1])), sys.stdout)
