"""Lanes: the only place with threads. A lane queues the jobs of all sessions for one engine and runs them in turn."""
