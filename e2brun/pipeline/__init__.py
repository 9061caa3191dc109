"""Pipelines in TOML: read, checked, compiled to steps, and run.

In comes a file; out go the records of its cases. Every mistake in it is told with its line, before
anything runs.
"""
