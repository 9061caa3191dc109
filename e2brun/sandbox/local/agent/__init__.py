"""What runs inside every sandbox, as pid 1 and its children: the standard library and nothing else.

Mounted at /opt/e2brun/agent and imported there as the package `agent`: relative imports only.
In come marshalled requests of the host, who is trusted; out go reports that it does not believe.
`main` is what every sandbox pays for; all else is imported when it is asked for.
"""
