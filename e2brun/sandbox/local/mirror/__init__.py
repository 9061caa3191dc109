"""The package indexes of this machine, for a sandbox without a network.

A process of the host's accepts at a port inside, and answers with index pages, with archives that
those name, and with nothing else. Credentials, proxies and certificates stay with it."""
