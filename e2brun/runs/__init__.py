"""The record of a run, and where it is kept."""
