"""What is asked of a candidate that ran: its exit, its output, its files, its values, tests of its.

In come the evidence of a run and what is expected; out go findings, each in one line. Nothing of
the candidate runs here but its tests, and those in a sandbox of their own.
"""
