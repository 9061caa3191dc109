"""HTTP as the service speaks it: connections, requests, responses, bodies.

In come bytes of clients, bounded and checked; out go `Request` and what `Response` or `Stream`
says. Knows nothing of sandboxes.
"""
