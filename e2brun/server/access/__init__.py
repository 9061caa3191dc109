"""Who is let in, and to which sandbox: keys, tokens, signatures, host names.

In comes a request, out goes where it is meant for, or the refusal.
"""
