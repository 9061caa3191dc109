"""`serve --https`: the service, and every port of its sandboxes, under https names of their own.

What enters: the state directory for the authority, a listener, the App that answers.
What leaves: a second listener that speaks TLS, a proxy that leads to it, and the environment in
which a command's Python, Node.js, curl and git find names and authority.
"""
