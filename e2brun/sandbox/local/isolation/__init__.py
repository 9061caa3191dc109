"""How a sandbox is built with the kernel's own means, and nothing of what runs in it.

In comes a `Jail` (which Python, which packages, which limits); out go a started process (`Jailed`)
and one end of its control socket. `driver` is the interface; bubblewrap and the forkserver with
its zygotes meet it. The root both build stands in `rootfs` and `mounts`.
"""
