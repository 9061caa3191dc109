"""The embedded sandbox: sandboxes on this machine, built with the kernel's own means.

`backend` makes them: `packages` finds what is installed, `isolation` builds, `blocking` and the
service's `host` talk to the `agent` inside, `memory` watches. Which Python runs inside, and the
templates' packages, are in `interpreter` and `templates`. Arrows go down that list only.
"""
