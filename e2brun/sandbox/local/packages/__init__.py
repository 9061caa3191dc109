"""What is installed for a sandbox: layers of wheels, found, built and kept.

In come requirements and an interpreter; out goes a directory that is mounted. Fetched and unpacked
by uv outside of any sandbox, compiled inside one; nothing of a package runs on the host.
"""
