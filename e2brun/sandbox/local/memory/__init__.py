"""How much memory a sandbox uses, seen from the host.

In comes the pid of a sandbox's first process and its limits; out go figures, and the cgroup that
keeps the limit where there may be one. Reads /proc and /sys only, and ends nobody.
"""
