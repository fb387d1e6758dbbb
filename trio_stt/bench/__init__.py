"""Load test: simulated clients stream real speech to a server, and figures are computed from its answers.

It knows the public protocol only, so it can measure any server that speaks it. CPU time and memory of a local server
come from the operating system.
"""
