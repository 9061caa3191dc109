"""The user's own service in the background: started when needed, gone when idle.

In comes a directory of the user's, out goes where the service listens and its key. `client` finds
or starts it, `process` is what is started.
"""
