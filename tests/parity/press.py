"""Commands by the hundred: each is a process of its own, forked from one that has imported what
`e2brun` imports. Reads a JSON document a line: argv, cwd, env, and files for 0, 1 and 2; answers
with the exit code."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NoReturn


def main() -> None:
    import e2b
    import e2b_code_interpreter

    from e2brun.cli import console, execution, options, preparation, signals
    from e2brun.report import execution_json, streams
    from e2brun.sandbox.e2b import backend, sdk
    from e2brun.sandbox.local import backend as local_backend

    assert all((e2b, e2b_code_interpreter, console, execution, signals, options, preparation))
    assert all((execution_json, streams, backend, sdk, local_backend))
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(order: dict[str, Any]) -> NoReturn:
    try:
        for number, name in enumerate(order["streams"]):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(name, flags, 0o600), number)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        os.umask(0o022)
        sys.argv = ["e2brun", *order["argv"]]
        from e2brun.__main__ import main as command

        command()
    except BaseException:  # noqa: BLE001  # a fork must not return into its parent
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(99)


if __name__ == "__main__":
    main()
