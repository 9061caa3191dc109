"""The interpreters behind code-interpreter contexts, one folder a language.

In come cells on one pipe, out go frames of JSON on another; what a cell prints goes to its own
stdout and stderr. `contexts` starts them.
"""
