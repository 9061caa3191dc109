"""What is said of a candidate before anything of it runs: it is parsed, never imported.

In comes a candidate; out go findings with their lines. Parsers and linters run in processes of
their own, with limits: sources may be made to break them.
"""
