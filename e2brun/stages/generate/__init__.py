"""Where candidates come from: files, inline code, any command, a model.

In come a case's values and the prompt; out goes a candidate. What a command or a model answered
may be recorded on a cassette and replayed.
"""

from typing import TYPE_CHECKING

from e2brun.stages.lazy import lazy

if TYPE_CHECKING:
    from e2brun.stages.generate.cassette import Cassette, Recorder, Replay
    from e2brun.stages.generate.code import CodeGenerator
    from e2brun.stages.generate.command import CommandGenerator
    from e2brun.stages.generate.files import FilesGenerator
    from e2brun.stages.generate.model import ModelGenerator

__all__ = [
    "Cassette",
    "CodeGenerator",
    "CommandGenerator",
    "FilesGenerator",
    "ModelGenerator",
    "Recorder",
    "Replay",
]

__getattr__ = lazy(
    __name__,
    {
        "CodeGenerator": "code",
        "CommandGenerator": "command",
        "FilesGenerator": "files",
        "ModelGenerator": "model",
        "Recorder": "cassette",
        "Replay": "cassette",
        "Cassette": "cassette",
    },
)
