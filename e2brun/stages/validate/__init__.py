"""What is said of a candidate before anything of it runs: it is parsed, never imported.

In comes a candidate; out go findings with their lines. Parsers and linters run in processes of
their own, with limits: sources may be made to break them.
"""

from typing import TYPE_CHECKING

from e2brun.stages.lazy import lazy

if TYPE_CHECKING:
    from e2brun.stages.validate.lint import LintCheck
    from e2brun.stages.validate.security import SecurityCheck
    from e2brun.stages.validate.syntax import SyntaxCheck
    from e2brun.stages.validate.typecheck import TypesCheck

__all__ = [
    "LintCheck",
    "SecurityCheck",
    "SyntaxCheck",
    "TypesCheck",
]

__getattr__ = lazy(
    __name__,
    {
        "LintCheck": "lint",
        "SecurityCheck": "security",
        "SyntaxCheck": "syntax",
        "TypesCheck": "typecheck",
    },
)
