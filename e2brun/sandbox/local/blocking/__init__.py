"""The `Sandbox` contract over one agent, for `exec`, pipelines and primitives.

In come programs, cells and files; out go executions and what they printed. One thread, one
poll(2), no event loop: importing asyncio would cost more than the whole start.
"""
