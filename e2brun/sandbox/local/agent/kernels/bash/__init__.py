"""The bash of a context: one shell that keeps its state, and the process that feeds it.

In come cells, out go frames, as with every kernel.
"""
