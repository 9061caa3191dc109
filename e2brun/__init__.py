"""Run code that nobody has reviewed, in a sandbox."""

__version__ = "0.1.0"
