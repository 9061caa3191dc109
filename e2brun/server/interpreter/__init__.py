"""The code interpreter of a sandbox (its port 49999): contexts, and cells run in them.

In come cells over HTTP; out go lines of JSON as they happen. The processes behind are the host's
(`sandbox.local.host`).
"""
