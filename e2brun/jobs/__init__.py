"""One job: what is to be run, what it needs, and running it in a sandbox."""
