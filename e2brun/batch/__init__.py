"""Very many programs: where they come from, running them side by side, keeping what came of it.

In come files or lines of JSON, one program each; out goes a line for each of them, kept as they
come, so that a run that was cut off goes on where it stopped. `formats` reads data sets as they
are published.
"""
