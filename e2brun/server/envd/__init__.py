"""What E2B's own agent answers on port 49983: processes, the file system, files over HTTP.

In come Connect calls and plain requests, out go their answers and streams. What they are about is
done by the host's end of the sandbox (`sandbox.local.host`).
"""
