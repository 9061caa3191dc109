"""What the service's sandboxes may reach of the internet, where they may at all.

In come a sandbox's network settings and its connections to names; out go rules for its network
namespace, and those connections that are allowed. Knows nothing of requests.
"""
