"""Ports that programs inside listen on, from outside.

In comes a client's request for a port of a sandbox; out goes what the program there answers, HTTP
passed on and upgrades tunnelled.
"""
