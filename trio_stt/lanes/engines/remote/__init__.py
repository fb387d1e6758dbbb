"""Engines that ask another server."""
