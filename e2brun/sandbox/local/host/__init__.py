"""The host's end of the agent: everything that is said to a sandbox, and read from it.

In come requests of ours, which are trusted; from the agent come reports, frames, pipes and
descriptors, in which nothing is believed. Knows the loop, and no HTTP: the service and the
blocking contract both stand on it.
"""
