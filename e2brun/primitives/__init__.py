"""The engine: small steps that compose (`>>`, `|`), each cancellable and each telling what it
does to whoever subscribes. Import the names from `e2brun`."""
