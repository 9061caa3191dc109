"""E2B's cloud, or any endpoint that speaks its protocol, behind the sandbox contract.

backend    creates and connects, owns what it created
sandbox    one running sandbox
program    a program run: from the start request to its end
launch     the shell line that puts files in place and starts the program
launcher   runs in there: the program's parent, which tells of its end
feed       a descriptor of ours, passed on to a program's stdin
endings    exit codes and signals
cell       a notebook cell run
results    what a cell sends back
sinks      where output goes
transfer   files in and out
sdk        the only module that touches what the official SDK does not publish
channel    hands events from a reading thread to the waiting caller
backoff    when to ask again, and when not to
translate  the SDK's exceptions, as ours
troubles   what it says of files, in the words of both backends
guard      our end of the pipe to the guardian
guardian   the process that outlives us and kills what we leave behind
"""

from e2brun.sandbox.e2b.backend import E2BBackend
from e2brun.sandbox.e2b.sandbox import E2BSandbox

__all__ = ["E2BBackend", "E2BSandbox"]
