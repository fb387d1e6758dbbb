"""The load generator: talkers who stream real speech to any server of the protocol, and the figures of what came back.

It is a client: it knows the public protocol and nothing of a server's inside. What it needs of a server's process, CPU
time and memory, it reads from the operating system.
"""
