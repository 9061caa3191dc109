"""What came of it, for people and machines: text, JSON, Markdown, JUnit, SARIF, GitHub.

In come executions and records of runs; out go lines and files, in which nothing that a program
printed can be taken for ours.
"""
