"""What is to be run, and what goes in and out: programs, notebooks, requirements, files.

In comes what a command or a step asks for; out go a plan for a sandbox, and what was printed,
saved and brought back once it ran. Knows the contract of a sandbox, and no backend.
"""
