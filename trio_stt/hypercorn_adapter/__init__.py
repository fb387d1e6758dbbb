"""The hosting layer: all that depends on the internals of Hypercorn, wsproto and Quart."""
