"""The code interpreter of a sandbox (its port 49999): contexts, and cells run in them."""
