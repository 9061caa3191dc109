"""Operations on files: `plain` in pid 1 for one run, `worker` in a process of its own.

In come paths and pipes, out go contents, entries and changes, as JSON that the host checks.
"""
