"""Operations on processes: programs of a service, ports, freezing, health.

Each module has a function of the operation's name, called with the agent, the request and its
descriptors; it answers through the agent.
"""
