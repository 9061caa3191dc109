"""What runs inside the sandbox: the standard library only, nothing of e2brun."""
