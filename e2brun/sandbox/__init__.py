"""The contract every backend meets, choosing a backend, and the backends themselves."""
