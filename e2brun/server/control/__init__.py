"""The control plane: E2B's REST interface to create, find, pause and end sandboxes."""
