"""Data sets of programming problems, read as they are published.

In comes a record of the data set and an answer to it; out goes a program that says whether the
answer is right.
"""
