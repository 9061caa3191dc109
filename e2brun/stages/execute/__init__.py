"""The candidate runs, in a sandbox.

In come a candidate and the settings of the step; out go evidence (what was printed, which files
came back, how it ended) and the record of it. `sandboxed` is the primitive that runs it.
"""
