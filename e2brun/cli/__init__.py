"""The command line: options, and one module for each command.

In come words and the environment's settings; out go exit codes, results on stdout, all else on
stderr. Each command imports what it needs when it is called: start-up time is counted here.
"""
