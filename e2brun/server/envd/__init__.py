"""What E2B's own agent answers on port 49983: processes, the file system, files over HTTP."""
