"""The embedded sandbox: supervisor, isolation drivers, package layers, limits."""
