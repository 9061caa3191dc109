"""What makes a user look like root without any power: sudo, its socket, file attributes.

In comes a command of the user's, out goes the same one run under the name of root.
"""
