"""E2B's cloud, or any endpoint that speaks its protocol, behind the sandbox contract.

In come programs, cells and files of the contract; out go calls of E2B's SDK, which is named in
`sdk` alone, and their errors, translated by one table (`translate`). `backend` creates and owns,
`sandbox` is one of them; `reaper` is a process that ends what a killed e2brun left behind.
"""

from e2brun.sandbox.e2b.backend import E2BBackend
from e2brun.sandbox.e2b.sandbox import E2BSandbox
from e2brun.sandbox.e2b.sdk import Credentials

__all__ = ["Credentials", "E2BBackend", "E2BSandbox"]
