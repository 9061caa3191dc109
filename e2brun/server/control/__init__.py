"""The control plane: E2B's REST interface to create, find, pause and end sandboxes.

In come requests with their JSON, checked field by field; out go records as E2B's clients read them
(`objects`), or an `ApiError` that says what to do. `routes` is the table of it.
"""
