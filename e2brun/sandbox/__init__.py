"""Where code runs: the contract every backend meets, choosing one, and the backends themselves.

In come specifications of sandboxes, programs, cells and files (`contract`); out go executions, in
the same words whatever the backend (`endings`, `cell_end`). What is to be run is prepared in
`jobs`; here nobody knows a notebook or a requirements file.
"""
