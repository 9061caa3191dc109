"""Steps and their combinations: the library's own face, for programs that use e2brun.

In come data and a context, out goes what the step makes of it; events tell what happens. A
primitive holds its settings only, and may be run many times at once.
"""
