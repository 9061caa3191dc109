"""Where candidates come from: files, inline code, any command, a model.

In come a case's values and the prompt; out goes a candidate. What a command or a model answered
may be recorded on a cassette and replayed.
"""
