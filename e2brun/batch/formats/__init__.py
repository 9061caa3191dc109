"""Data sets of programming problems, read as they are published."""
