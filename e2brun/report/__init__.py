"""What a run looks like to its reader: on a terminal, in a pipe, as JSON, as files."""
