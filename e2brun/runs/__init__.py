"""What was run: records of runs, their events, and the store that keeps them.

In come records as they come to be, out go the same, later and in another process.
"""
