"""The Python of a context: IPython's shell, and the session that serves cells.

In come cells, out go frames: results, errors, how the cell ended. Nothing of it is in sight of the
user's code once it runs.
"""
